"""The arms of `make bench`: what is measured, in which order, and how often."""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.backlog import drain
from benchmarks.floors import BareEndpoint, as4_peer, crypto_floor, postgres_floor, sqlite_floor
from benchmarks.gateways import PULL, PUSH, Bench
from benchmarks.measure import Round
from benchmarks.pool import Pool
from benchmarks.postgres import PostgresServer

CRYPTO, BARE, DATABASE, AS4 = "crypto floor", "bare endpoint", "database floor", "as4 (PyPI)"
ACCEPT, COMPLETE = "accept", "complete"
BACKLOG, WARNING = "backlog drain", "early warning into the backlog"
ORDER: Final = (CRYPTO, BARE, DATABASE, AS4, ACCEPT, COMPLETE, BACKLOG, WARNING)
DATABASES: Final = ("SQLite", "PostgreSQL")
HALF: Final = "open, half of maximum"
# More than any arm can take in a second on one machine of today; what is not sent is given back.
_FASTEST: Final = 6_000
_WARM_UP: Final = 1.0


@dataclass(frozen=True)
class Label:
    """Which row of the table a figure belongs to."""

    arm: str
    database: str = ""
    processes: int = 1
    delivery: str = ""
    load: str = ""


@dataclass
class Arm:
    """`play` measures everything of this arm once."""

    name: str
    play: Callable[[], Iterator[tuple[Label, Round]]]
    rounds: int | None = None
    played: int = 0


@dataclass
class Suite:
    options: argparse.Namespace
    folder: Path
    pool: Pool
    server: PostgresServer
    say: Callable[[str], None]
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def arms(self) -> list[Arm]:
        """Each gateway is started here, warmed up, and stopped until it is its turn."""
        wanted = self.options.arms
        made = [arm for arm in self._floors() if _fits(arm.name, wanted)]
        for name, make in self._gateways():
            if _fits(name, wanted):
                self.say(f"starting: {name}")
                made.append(make(name))
        return made

    def _floors(self) -> Iterable[Arm]:
        seconds = self.options.seconds
        self.pool.reach(1_000)
        message = self.pool.made[0]
        bare = self.stack.enter_context(BareEndpoint(self.pool.signer))
        bare.take(self.pool.made, connections=16, seconds=_WARM_UP)
        url = self.server.database()

        def crypto() -> Iterator[tuple[Label, Round]]:
            yield Label(CRYPTO), crypto_floor(message, min(2.0, seconds))

        def databases() -> Iterator[tuple[Label, Round]]:
            yield Label(DATABASE, "SQLite"), sqlite_floor(self.folder, min(2.0, seconds))
            yield Label(DATABASE, "PostgreSQL"), postgres_floor(url, min(2.0, seconds))

        def peer() -> Iterator[tuple[Label, Round]]:
            yield Label(AS4), as4_peer(self.options.peer, message, seconds)

        def bare_endpoint() -> Iterator[tuple[Label, Round]]:
            take = partial(bare.take, self.pool.made[:1_000])
            yield from self._loads(lambda load: Label(BARE, load=load), take)

        yield Arm(CRYPTO, crypto)
        yield Arm(DATABASE, databases)
        if self.options.peer:
            yield Arm(AS4, peer)
        yield Arm(BARE, bare_endpoint)

    def _gateways(self) -> Iterable[tuple[str, Callable[[str], Arm]]]:
        for database in DATABASES:
            for nodes in (1, 2):
                yield f"{ACCEPT} {database} {nodes}", partial(self._accept, database, nodes)
        for delivery in (PUSH, PULL):
            for database in DATABASES:
                yield f"{COMPLETE} {delivery} {database}", partial(self._complete, delivery, database)
        for database in DATABASES:
            yield f"{BACKLOG} {database}", partial(self._backlog, database)

    def _bench(self, name: str, database: str, nodes: int = 1, delivery: str | None = None) -> Bench:
        server = self.server if database == "PostgreSQL" else None
        folder = self.folder / name.replace(" ", "-")
        bench = self.stack.enter_context(Bench(folder, self.pool, server=server, nodes=nodes, delivery=delivery))
        bench.accept(_FASTEST, connections=16, seconds=_WARM_UP)
        time.sleep(0.5)
        bench.pause()
        return bench

    def _accept(self, database: str, nodes: int, name: str) -> Arm:
        bench = self._bench(name, database, nodes)

        def play() -> Iterator[tuple[Label, Round]]:
            take = partial(bench.accept, int(_FASTEST * self.options.seconds))
            with bench.turn():
                yield from self._loads(lambda load: Label(ACCEPT, database, nodes, load=load), take)

        return Arm(name, play)

    def _complete(self, delivery: str, database: str, name: str) -> Arm:
        bench = self._bench(name, database, delivery=delivery)

        def play() -> Iterator[tuple[Label, Round]]:
            take = partial(bench.complete, int(_FASTEST * self.options.seconds))
            with bench.turn():
                yield from self._loads(lambda load: Label(COMPLETE, database, 1, delivery, load), take)

        return Arm(name, play)

    def _backlog(self, database: str, name: str) -> Arm:
        bench = self._bench(name, database, delivery=PUSH)

        def play() -> Iterator[tuple[Label, Round]]:
            with bench.turn():
                drained, warned = drain(bench, self.options.backlog)
            yield Label(BACKLOG, database), drained
            yield Label(WARNING, database), warned

        return Arm(name, play, rounds=1)

    def _loads(self, label: Callable[[str], Label], take: Callable[..., Round]) -> Iterator[tuple[Label, Round]]:
        """Closed loops, then an open one at half of the most that this very round saw; twice as long, for as many latencies."""
        best = 0.0
        for connections in self.options.connections:
            measured = take(connections=connections, seconds=self.options.seconds)
            best = max(best, measured.rate)
            yield label(f"closed, {connections}"), measured
        yield label(HALF), take(rate=best / 2, seconds=2 * self.options.seconds)


def play(suite: Suite, rounds: int) -> dict[Label, list[Round]]:
    """All arms in turns, each round beginning with another one, so that no arm always has the machine's same mood."""
    arms = suite.arms()
    found: dict[Label, list[Round]] = {}
    for number in range(rounds):
        turned = arms[number % len(arms) :] + arms[: number % len(arms)]
        for arm in turned:
            if arm.rounds is not None and arm.played >= arm.rounds:
                continue
            arm.played += 1
            began = time.monotonic()
            for label, measured in arm.play():
                found.setdefault(label, []).append(measured)
            suite.say(f"round {number + 1} of {rounds}: {arm.name}, {time.monotonic() - began:.0f} s")
    return {label: found[label] for label in sorted(found, key=_place)}


def _place(label: Label) -> tuple[int, str, int, int]:
    """In the order of the table; the loads of an arm stay as they were measured."""
    return (ORDER.index(label.arm), label.delivery, DATABASES.index(label.database or "SQLite"), label.processes)


def _fits(name: str, wanted: list[str]) -> bool:
    return not wanted or any(one in name for one in wanted)
