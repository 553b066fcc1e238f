"""What a ledger's size costs: `make bench-growth`. The same gateway at 1,000, 100,000 and 1,000,000 entries, in turns.

    accept     processor time of one message over HTTP, durably; nobody fetches them meanwhile
    delivery   then the recipient comes, pulls what waits and signs for it: processor time of one
    proof      the inclusion proof of an entry anywhere, from the database
    search     an auditor's pages: the newest, by sender, by code, by person; as many rows at every size; the slowest of the four

The entries are written straight to the database (`ledger_store.py`), with the rows that accepting and delivering them
leaves; only then a gateway is started on it, anew in every round. What a round accepts makes the ledger larger: a small one is
put back as it was before the next, and how many entries each had by the end of a round is told. Then memory: so many messages
accepted and delivered by the smallest of the three, its resident size after each thousand. `--json FILE` writes the
figures, `--plot FILE` draws them.
"""

import argparse
import contextlib
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from sqlalchemy import func
from sqlmodel import Session, col, select

from benchmarks import ledger_store as made
from benchmarks.gateways import PATIENCE, PULL, RECORDED, Bench, Meter
from benchmarks.measure import Round, Spread, machine, resident, revision
from benchmarks.pool import Pool
from benchmarks.tables import COSTS, GROWTH, grown, growth_lines
from gateway.store import queries
from gateway.store.search import Search, matching
from gateway.store.session import Database, open_database
from gateway.store.tables import SubjectIndex
from gateway.wiring import load_keys
from tests.province import AGREEMENT

SIZES: Final = (1_000, 100_000, 1_000_000)
WITHIN: Final = 1.10
# Of a ledger that is larger, some rounds of messages are little: it is not put back.
_PUT_BACK: Final = 20_000
_WARM: Final = 300
_PROOFS: Final = 300
_SEARCHES: Final = 20
_ROWS: Final = 5
_CONNECTIONS: Final = 16


class Arm:
    """A province whose agreement has had so many entries. Its gateway runs only while it is measured."""

    def __init__(self, folder: Path, pool: Pool, entries: int, sample: made.Sample) -> None:
        self.bench = Bench(folder, pool, delivery=PULL, SINERGI_AUDIT__EVERY_HOURS="0")
        self.bench.away = True
        settings = self.bench.province.settings
        origin, keys = settings.gateway.ledger_origin(AGREEMENT), load_keys(settings).checkpoint
        onto = made.Onto(AGREEMENT, origin, keys, whole=True)
        made.extend(Path(settings.database.url.removeprefix("sqlite:///")), entries, sample, onto, time.monotonic())
        self._folder = folder
        self._as_made = folder.with_name(f"{folder.name}-as-made") if entries <= _PUT_BACK else None
        if self._as_made is not None:
            shutil.copytree(folder, self._as_made)

    def put_back(self) -> None:
        if self._as_made is not None:
            shutil.rmtree(self._folder)
            shutil.copytree(self._as_made, self._folder)

    def measured(self, messages: int, number: int) -> dict[str, float]:
        """Of one round."""
        self.put_back()
        with self.bench as bench:
            bench.accept(_WARM, connections=_CONNECTIONS, seconds=PATIENCE)
            deliver(bench, _WARM)
            accepted = bench.accept(messages, connections=_CONNECTIONS, seconds=PATIENCE)
            delivered = deliver(bench, accepted.messages)
        return {
            "accept_per_second": accepted.rate,
            "accept_cpu_ms": accepted.cpu_ms,
            "delivery_cpu_ms": delivered.cpu_ms,
            "delivery_per_second": delivered.rate,
            "rss_mib": delivered.rss / 2**20,
        } | asked(bench, number)

    def memory(self, messages: int, say: Any) -> list[dict[str, float]]:
        """Resident size while so many messages are accepted and delivered."""
        self.put_back()
        looks: list[dict[str, float]] = []
        done, step = 0, max(1, min(1_000, messages // 20))
        with self.bench as bench:
            bench.start_recipient()
            while done < messages:
                done += bench.complete(step, connections=64, seconds=PATIENCE).messages
                looks.append({"messages": done, "rss_mib": round(resident(bench.pids) / 2**20, 1)})
                if len(looks) % 20 == 0:
                    say(f"memory: {done:,} of {messages:,} messages, {looks[-1]['rss_mib']} MiB")
            bench.stop_recipient()
        return looks


def deliver(bench: Bench, count: int) -> Round:
    """What waits is pulled and signed for."""
    meter, acknowledged, began = Meter(bench), bench.metric(RECORDED), time.perf_counter()
    bench.start_recipient()
    try:
        bench.wait_acknowledged(acknowledged + count)
    finally:
        bench.stop_recipient()
    return meter.round(count, time.perf_counter() - began, (), 0.0)


def asked(bench: Bench, number: int) -> dict[str, float]:
    """Proofs and pages, in this process: the reads that the gateway does, without HTTP."""
    chance = random.Random(number)
    database = open_database(bench.province.settings.database.url)
    try:
        with database.reading() as session:
            size = queries.ledger_head(session, AGREEMENT).size
            questions = _questions(session)
        proofs = []
        for _ in range(_PROOFS):
            position, began = chance.randrange(size), time.perf_counter()
            with database.reading() as session:
                queries.proof(session, AGREEMENT, position)
            proofs.append(time.perf_counter() - began)
        pages = [statistics.median(_page(database, question) for _ in range(_SEARCHES)) for question in questions]
    finally:
        database.close()
    return {
        "entries": float(size),
        "proof_ms": statistics.median(proofs) * 1000,
        "search_ms": max(pages) * 1000,
    }


def _page(database: Database, question: Search) -> float:
    began = time.perf_counter()
    with database.reading() as session:
        assert len(matching(session, question)) >= 1
    return time.perf_counter() - began


def _questions(session: Session) -> tuple[Search, ...]:
    """Answered by as many rows at every size: else the smallest would be cheap because it has little to tell."""
    token = col(SubjectIndex.token)
    once = select(token).group_by(token).having(func.count() == 1).limit(1)
    return (
        Search(limit=_ROWS),
        Search(sender=made.AGENCIES[-1], limit=_ROWS),
        Search(code=made.CODES[0], limit=_ROWS),
        Search(tokens=(("nik", session.exec(once).one()),), limit=_ROWS),
    )


def run(options: argparse.Namespace, say: Any) -> dict[str, Any]:
    described, code = machine(), revision()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sinergi-growth-", dir=options.folder)))
        pool, sample = Pool(), made.sample(folder / "sample", 40)
        arms = {}
        for entries in options.sizes:
            say(f"{entries:,} entries …")
            arms[entries] = Arm(folder / f"of-{entries}", pool, entries, sample)
        found: dict[int, list[dict[str, float]]] = {entries: [] for entries in arms}
        for number in range(options.rounds):
            for entries in list(arms)[:: 1 if number % 2 else -1]:
                found[entries].append(arms[entries].measured(options.each, number))
            say(f"round {number + 1} of {options.rounds}")
        looks = arms[min(arms)].memory(options.messages, say) if options.messages else []
    result = {
        "benchmark": "sinergi growth",
        "revision": code,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": described,
        "options": {"rounds": options.rounds, "each": options.each, "messages": options.messages},
        "sizes": {str(entries): rounds for entries, rounds in found.items()},
        "memory": looks,
    }
    return result | {"aims": judged(result)}


def judged(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    sizes = list(result["sizes"])
    small, large = sizes[0], sizes[-1]
    aims = []
    for name, key, _ in COSTS:
        ratio = Spread.of(
            big[key] / little[key] for big, little in zip(result["sizes"][large], result["sizes"][small], strict=True)
        )
        what = f"{name} at {int(large):,} entries / at {int(small):,}"
        aims.append({"aim": what, "measured": ratio.text(2), "wanted": f"≤ {WITHIN:g}", "met": ratio.median <= WITHIN})
    looks = result["memory"]
    if looks:
        early = looks[len(looks) // 10]["rss_mib"]
        growth = looks[-1]["rss_mib"] / early
        what = f"memory after {looks[-1]['messages']:,} messages / after a tenth of them"
        measured_ = f"{growth:.2f} ({early:.0f} to {looks[-1]['rss_mib']:.0f} MiB)"
        aims.append({"aim": what, "measured": measured_, "wanted": f"≤ {WITHIN:g}", "met": growth <= WITHIN})
    return aims


def show(console: Console, result: Mapping[str, Any]) -> None:
    table = Table(*GROWTH, title="median (least-most of the rounds)", title_justify="left")
    for line in growth_lines(result):
        table.add_row(*line)
    aims = Table("aim", "measured", "wanted", "")
    for aim in result["aims"]:
        verdict = "[green]met" if aim["met"] else "[bold red]NOT MET"
        aims.add_row(aim["aim"], aim["measured"], aim["wanted"], verdict)
    console.print(table)
    console.print(aims)


def plot(result: Mapping[str, Any], file: Path) -> None:
    """Cost against size, each cost in a panel of its own that begins at nothing; memory below."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "sinergi"
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(COSTS) + 1, figsize=(15, 3.2), layout="constrained")
    sizes: Sequence[str] = list(result["sizes"])
    for panel, (name, key, unit) in zip(panels, COSTS, strict=False):
        spreads = [grown(result, entries, key) for entries in sizes]
        middle = [one.median for one in spreads]
        errors = [[one.median - one.least for one in spreads], [one.most - one.median for one in spreads]]
        panel.errorbar([int(entries) for entries in sizes], middle, yerr=errors, marker="o", capsize=3, color="#1f5f8b")
        panel.set(
            xscale="log", xlabel="entries", title=f"{name}, {unit}", ylim=(0, max(one.most for one in spreads) * 1.2)
        )
    panel = panels[-1]
    panel.plot(
        [one["messages"] for one in result["memory"]], [one["rss_mib"] for one in result["memory"]], color="#8b3a1f"
    )
    panel.set(xlabel="messages", title="resident, MiB", ylim=(0, None))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description="What a ledger's size costs.")
    parser.add_argument(
        "--sizes", type=lambda text: tuple(int(one) for one in text.split(",")), default=SIZES, help="entries"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--each", type=int, default=1_000, help="messages of a round, at each size")
    parser.add_argument("--messages", type=int, default=100_000, help="of the memory run; 0: none")
    parser.add_argument("--folder", type=Path, help="where the databases are written [default: a temporary folder]")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    options = parser.parse_args()
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Console(stderr=True)
    result = run(options, lambda text: progress.print(text, style="dim", highlight=False))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.plot is not None:
        plot(result, options.plot)
    show(Console(width=None if sys.stdout.isatty() else 160), result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
