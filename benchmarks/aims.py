"""The aims of the gateway as ratios, judged by one run and nothing else.

A ratio is taken within each round, where both sides met the same machine; its median is judged. An aim that this machine
or this run cannot answer is not met by silence: it says why.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from benchmarks.arms import ACCEPT, AS4, BARE, COMPLETE, CRYPTO, DATABASES, HALF, WARNING, Label
from benchmarks.measure import Round, Spread

Found = Mapping[Label, Sequence[Round]]
_RSS_MIB: Final = 200
_FLAT: Final = 1.10


def judged(found: Found) -> list[dict[str, Any]]:
    aims: list[dict[str, Any]] = []
    bare = _best(found, BARE)
    peer = _best(found, AS4)
    floor = found.get(Label(CRYPTO), ())
    for database in DATABASES:
        one = _best(found, ACCEPT, database)
        _ratio(aims, f"accept / bare endpoint, {database}", one, bare, 0.6)
    for database in DATABASES:
        for delivery in ("push", "pull"):
            name = f"complete transfer ({delivery}, {database})"
            complete = _best(found, COMPLETE, database, delivery=delivery)
            _ratio(aims, f"{name} / bare endpoint", complete, bare, 0.35)
            _ratio(aims, f"{name} / as4", complete, peer, 4.0)
            _ratio(aims, f"CPU of {name} / crypto floor", complete, floor, 4.0, of=_cpu, most=True)
    for database in DATABASES:
        half = found.get(Label(ACCEPT, database, 1, load=HALF), ())
        if half:
            p99 = Spread.of(one.percentile(0.99) for one in half)
            what = f"p99 of accept at half of the maximum, {database}"
            _aim(aims, what, f"{p99.text(1)} ms", "≤ 25 ms", met=p99.median <= 25)
    _memory(aims, found)
    _two_processes(aims, found)
    for database in DATABASES:
        warned = found.get(Label(WARNING, database), ())
        if warned:
            slowest = Spread.of(one.figures["slowest_ms"] / 1000 for one in warned)
            what = f"early warning out of a backlog, slowest, {database}"
            _aim(aims, what, f"{slowest.text(3)} s", "< 1 s", met=slowest.median < 1)
    return aims


def _best(found: Found, arm: str, database: str = "", processes: int = 1, delivery: str = "") -> Sequence[Round]:
    """The rounds of the load at which the median rate is highest; open loops do not count."""
    of_arm = {
        label: rounds
        for label, rounds in found.items()
        if (label.arm, label.database, label.processes, label.delivery) == (arm, database, processes, delivery)
        and label.load != HALF
    }
    return max(of_arm.values(), key=lambda rounds: Spread.of(one.rate for one in rounds).median, default=())


def _rate(one: Round) -> float:
    return one.rate


def _cpu(one: Round) -> float:
    return one.cpu_ms


def _ratio(
    aims: list[dict[str, Any]],
    what: str,
    mine: Sequence[Round],
    theirs: Sequence[Round],
    limit: float,
    *,
    of: Callable[[Round], float] = _rate,
    most: bool = False,
) -> None:
    pairs = list(zip(mine, theirs, strict=False))
    if not pairs:
        return
    spread = Spread.of(of(one) / of(other) for one, other in pairs)
    met = spread.median <= limit if most else spread.median >= limit
    _aim(aims, what, spread.text(2), f"{'≤' if most else '≥'} {limit:g}", met=met)


def _memory(aims: list[dict[str, Any]], found: Found) -> None:
    """Over all rounds of the gateways' arms: the largest process, and the last round against the first."""
    held = [rounds for label, rounds in found.items() if label.arm in (ACCEPT, COMPLETE)]
    if not held:
        return
    largest = Spread.of(one.rss / 2**20 for rounds in held for one in rounds)
    what = "RSS of the largest gateway process"
    _aim(aims, what, f"{largest.text()} MiB", f"< {_RSS_MIB} MiB", met=largest.most < _RSS_MIB)
    if len(held[0]) > 1:
        growth = Spread.of(rounds[-1].rss / rounds[0].rss for rounds in held)
        what = "RSS in the last round / in the first"
        _aim(aims, what, growth.text(3), f"≤ {_FLAT}", met=growth.median <= _FLAT)


def _two_processes(aims: list[dict[str, Any]], found: Found) -> None:
    one, two = (_best(found, ACCEPT, "PostgreSQL", processes) for processes in (1, 2))
    if not (one and two):
        return
    spread = Spread.of(double.rate / single.rate for double, single in zip(two, one, strict=False))
    cores = os.cpu_count() or 1
    busy = Spread.of(single.figures["busy_cores"] for single in one).median
    what = "two processes / one, PostgreSQL"
    if cores - busy < 1:
        said = f"{cores - busy:.1f} of {cores} cores were free beside one process"
        aims.append({"aim": what, "measured": spread.text(2), "wanted": "≥ 1.5", "met": None, "note": said})
        return
    _aim(aims, what, spread.text(2), "≥ 1.5", met=spread.median >= 1.5)


def _aim(aims: list[dict[str, Any]], what: str, measured: str, wanted: str, *, met: bool) -> None:
    aims.append({"aim": what, "measured": measured, "wanted": wanted, "met": met, "note": ""})
