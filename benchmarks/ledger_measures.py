"""What is measured of one ledger in a database, however it came there: append, prove, read whole, search."""

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import ledger_store as made
from gateway.cli.ledger_fsck import collect_seldom
from gateway.ledger.entry import OperatorAct
from gateway.ledger.merkle import inclusion_proof
from gateway.ledger.proof import format_proof
from gateway.ledger.source import DirectorySource
from gateway.ledger.verify import audit
from gateway.store import queries
from gateway.store.fsck import examine
from gateway.store.identity import first_id
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Recorder
from gateway.store.search import Search, matching
from gateway.store.session import Database, guard, open_database
from gateway.store.tables import micros

_PATIENCE: Final = 20.0  # seconds for one filter


Taken = tuple[float, float]  # elapsed, and of the processor: seconds


def spread(taken: Sequence[Taken]) -> dict[str, float]:
    """Milliseconds elapsed; those of the processor say what another load of the machine cannot touch."""
    elapsed, processor = (sorted(one) for one in zip(*taken, strict=True))
    return {
        "count": len(elapsed),
        "p50_ms": share(elapsed, 0.5),
        "p95_ms": share(elapsed, 0.95),
        "p99_ms": share(elapsed, 0.99),
        "max_ms": elapsed[-1] * 1000,
        "cpu_p50_ms": share(processor, 0.5),
        "cpu_p99_ms": share(processor, 0.99),
    }


def share(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000


def calmest(windows: Sequence[dict[str, float]], by: str) -> dict[str, Any]:
    """The window with the lowest figure, and that figure of every window."""
    best: dict[str, Any] = min(windows, key=lambda one: one[by])
    return best if len(windows) == 1 else best | {"windows": [round(one[by], 3) for one in windows]}


def timed(work: Callable[[], object]) -> Taken:
    began, processor = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - began, time.thread_time() - processor


def opened(place: Path | str) -> Database:
    """A SQLite file, or a URL."""
    database = open_database(f"sqlite:///{place}" if isinstance(place, Path) else place)
    guard(database)
    return database


def append(arms: Mapping[str, Database], rounds: int, windows: int) -> dict[str, Any]:
    """Batches of 64 entries, each a durable commit, the arms in turns: medians of the calmest window.

    Large against small is the median of all windows, for the arms are disturbed alike.
    """
    recorders = {name: Recorder(database, made.keys()) for name, database in arms.items()}
    for recorder in recorders.values():
        recorder.start()
    taken = [_appended(recorders, rounds) for _ in range(windows)]
    for recorder in recorders.values():
        recorder.stop()
    best = min(taken, key=lambda one: sum(one[name]["cpu_ms"] for name in arms))
    ratios = {name: [round(one[f"{name}_ratio"], 3) for one in taken] for name in ("p50", "cpu")}
    return best | {f"{name}_ratio": statistics.median(found) for name, found in ratios.items()} | {"windows": ratios}


def _appended(recorders: Mapping[str, Recorder], rounds: int) -> dict[str, Any]:
    taken: dict[str, list[Taken]] = {name: [] for name in recorders}
    acts = [OperatorAct(time=made.BEGAN + made.SPAN, who="bench", what="append", why="T-1") for _ in range(64)]
    for number in range(rounds + 20):
        for name in recorders if number % 2 else reversed(recorders):
            began, cpu = time.perf_counter(), time.process_time()
            recorders[name].submit(RecordEvent(made.LEDGER, acts)).result(60)
            if number >= 20:
                taken[name].append((time.perf_counter() - began, time.process_time() - cpu))
    figures: dict[str, Any] = {}
    for name, pairs in taken.items():
        wall, cpu_ = zip(*pairs, strict=True)
        figures[name] = {
            "p50_ms": statistics.median(wall) * 1000,
            "cpu_ms": statistics.median(cpu_) * 1000,
            "mean_cpu_ms": statistics.fmean(cpu_) * 1000,
        }
    large, small = figures["large"], figures["small"]
    return figures | {f"{name}_ratio": large[f"{name}_ms"] / small[f"{name}_ms"] for name in ("p50", "cpu")}


def prove(database: Database, file: Path | None, count: int, windows: int) -> dict[str, Any]:
    """With a file, on a cold disk first."""
    chance = random.Random(1)
    with database.reading() as session:
        head = queries.ledger_head(session, made.LEDGER)
        size, note = head.size, head.checkpoint

    def first(position: int) -> None:
        with database.reading() as session:
            queries.proof(session, made.LEDGER, position)

    def newest(position: int) -> None:
        with database.reading() as session:
            node = queries.tile_reader(session, made.LEDGER, size).node
            format_proof(position, inclusion_proof(position, size, node), note)

    figures = {}
    for name, work in (("as given", first), ("newest", newest)):
        positions = [chance.randrange(size) for _ in range(count)]
        if file is not None:
            forget(file)
            figures[f"{name}, cold disk"] = spread([timed(partial(work, at)) for at in positions[: count // 5]])
        warm = [timed(partial(work, at)) for at in positions]
        again = [spread([timed(partial(work, at)) for at in positions]) for _ in range(windows - 1)]
        figures[f"{name}, warm"] = calmest([spread(warm), *again], "p99_ms")
    return figures


def forget(file: Path) -> None:
    """What the operating system holds of the file in memory is dropped."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """Bytes, of this program alone: what `getrusage` tells is its parent's too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def read_alone(place: str) -> dict[str, Any]:
    """An fsck of a database, or the audit of an export, in a process of its own: entries a second, and how memory grew."""
    early: list[int] = []

    def progress(done: int, total: int) -> None:
        if not early and done > total / 20:
            early.append(resident())

    collect_seldom()  # as `sinergi ledger fsck` does
    began, cpu = time.perf_counter(), time.process_time()
    if Path(place).is_dir():
        verifier = made.keys().note_signer(made.ORIGIN).verifier
        report = audit(DirectorySource(Path(place)), made.ORIGIN, [verifier], progress=progress)
    else:
        database = opened(place if "://" in place else Path(place))
        report = examine(database, made.keys(), made.LEDGER, None, progress, now=datetime.now(UTC)).report
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    size = 0 if report.checkpoint is None else report.checkpoint.size
    if not report.ok:
        raise SystemExit(f"it is not sound: {report.checks}")
    return {
        "entries": size,
        "seconds": wall,
        "per_second": size / wall,
        "per_cpu_second": size / cpu,
        "rss_mib": resident() / 2**20,
        "peak_mib": peak() / 2**20,
        "growth": resident() / early[0] if early else 1.0,
    }


def read_apart(where: Path | str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ledger", "--read", str(where)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def questions() -> dict[str, Search]:
    """Each filter alone with its commonest and its rarest value, and what auditors put together."""
    began, span = made.BEGAN, made.SPAN
    common_type, rare_type = made.TYPES[0], made.TYPES[-1]
    return {
        "no filter": Search(),
        "a day": Search(since=began + span / 2, until=began + span / 2 + timedelta(days=1)),
        "type, common": Search(type=common_type),
        "type, rare": Search(type=rare_type),
        "sender, common": Search(sender=made.AGENCIES[0]),
        "sender, rare": Search(sender=made.AGENCIES[-1]),
        "recipient, common": Search(recipient=made.AGENCIES[-1]),
        "recipient, rare": Search(recipient=made.AGENCIES[0]),
        "accepted": Search(decision="accepted"),
        "refused": Search(decision="refused"),
        "code, common": Search(code=made.CODES[0]),
        "code, rare": Search(code=made.CODES[-1]),
        "clause, common": Search(clause=made.CLAUSES[0]),
        "clause, rare": Search(clause=made.CLAUSES[-1]),
        "subject": Search(tokens=(("nik", made.person(4_711)),)),
        "subject, in one of a thousand": Search(tokens=(("nik", made.person(0)),)),
        "subject, unknown": Search(tokens=(("nik", "f" * 64),)),
        "overdue": Search(overdue_at=micros(began + 2 * span)),
        "type unknown": Search(type="nothing/1"),
        "refused of a rare sender": Search(decision="refused", sender=made.AGENCIES[-1]),
        "rare type and recipient": Search(type=rare_type, recipient=made.AGENCIES[0]),
        "code on a day": Search(code=made.CODES[0], since=began + span / 2, until=began + span / 2 + timedelta(days=1)),
        "code of a sender": Search(code=made.CODES[-1], sender=made.AGENCIES[-1]),
        "overdue of a sender": Search(overdue_at=micros(began + 2 * span), sender=made.AGENCIES[-1]),
        "subject and type": Search(tokens=(("nik", made.person(0)),), type=rare_type),
    }


def search(database: Database, rounds: int, windows: int) -> dict[str, Any]:
    """Half first pages, half pages far behind: the id after which they go on lies anywhere."""
    figures = {}
    for name, question in questions().items():
        taken = [_searched(database, question, rounds) for _ in range(windows)]
        figures[name] = calmest([spread(times) for times, _ in taken], "p95_ms") | {"rows": taken[0][1]}
    return figures


def _searched(database: Database, question: Search, rounds: int) -> tuple[list[Taken], int]:
    chance = random.Random(2)
    taken: list[Taken] = []
    found: list[int] = []
    for number in range(rounds):
        asked = question
        if number % 2:
            before = first_id(made.BEGAN + made.SPAN * chance.random())
            asked = Search(**{field: getattr(question, field) for field in Search.__slots__} | {"before": before})
        with database.reading() as session:
            taken.append(timed(lambda asked=asked, session=session: found.append(len(matching(session, asked)))))
        if sum(elapsed for elapsed, _ in taken) > _PATIENCE:
            break
    return taken, sum(found)
