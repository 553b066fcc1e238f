"""A ledger of 10,000,000 entries on one disk: `make bench-ledger`. The aims stand in `AIMS`.

    generate    the entries, the tree and the rows of their messages, straight to disk (ledger_store.py)
    append      batches through the recorder, in turns with a ledger of 10,000 entries
    prove       the inclusion proof of entries anywhere, as a receipt is given again, and against the newest checkpoint
    audit       every entry, tile and root read again from the database, and from an export of it
    search      an auditor's pages, each filter alone, some together, first pages and pages far behind

It needs about 4.5 GB of disk for a million entries, and removes it. `--json FILE` writes the figures.
"""

import argparse
import itertools
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import ledger_store as made
from benchmarks.measure import machine
from gateway.ledger.entry import OperatorAct
from gateway.ledger.merkle import inclusion_proof
from gateway.ledger.proof import format_proof
from gateway.ledger.source import DirectorySource
from gateway.ledger.tiles import TileReader
from gateway.ledger.verify import Source, audit
from gateway.store import queries
from gateway.store.export import export_ledger
from gateway.store.identity import first_id
from gateway.store.jobs.events import RecordEvent
from gateway.store.queries import Search
from gateway.store.recorder import Recorder
from gateway.store.session import Database, guard, open_database
from gateway.store.source import DatabaseSource
from gateway.store.tables import micros

SMALL: Final = 10_000
AIMS: Final = {"proof_p99_ms": 5.0, "append_ratio": 1.10, "audit_per_second": 50_000.0, "search_p95_ms": 100.0}
TOGETHER: Final = frozenset({
    "refused of a rare sender", "rare type and recipient", "code on a day", "code of a sender", "overdue of a sender",
    "subject and type",
})  # fmt: skip
_PATIENCE: Final = 20.0  # seconds for one filter
_GROWTH: Final = 1.10  # flat memory: at the end at most so much more than after a twentieth


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(seconds)
    at = {share: ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 for share in (0.5, 0.95, 0.99)}
    return {
        "count": len(ordered),
        "p50_ms": at[0.5],
        "p95_ms": at[0.95],
        "p99_ms": at[0.99],
        "max_ms": ordered[-1] * 1000,
    }


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def opened(file: Path) -> Database:
    database = open_database(f"sqlite:///{file}")
    guard(database)
    return database


def append(arms: Mapping[str, Database], rounds: int) -> dict[str, Any]:
    """Batches of 64 entries, each a durable commit, the arms in turns. Medians, and large against small."""
    recorders = {name: Recorder(database, made.keys()) for name, database in arms.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    acts = [OperatorAct(time=made.BEGAN + made.SPAN, who="bench", what="append") for _ in range(64)]
    for recorder in recorders.values():
        recorder.start()
    for number in range(rounds + 20):
        for name in arms if number % 2 else reversed(arms):
            began, cpu = time.perf_counter(), time.process_time()
            recorders[name].submit(RecordEvent(made.LEDGER, acts)).result(60)
            if number >= 20:
                taken[name].append((time.perf_counter() - began, time.process_time() - cpu))
    for recorder in recorders.values():
        recorder.stop()
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


def prove(database: Database, file: Path, count: int) -> dict[str, Any]:
    chance = random.Random(1)
    with database.reading() as session:
        head = queries.ledger_head(session, made.LEDGER)
        size, note = head.size, head.checkpoint

    def first(position: int) -> None:
        with database.reading() as session:
            queries.proof(session, made.LEDGER, position)

    def newest(position: int) -> None:
        with database.reading() as session:
            reader = TileReader(size, lambda level, index, _width: queries.tile(session, made.LEDGER, level, index))
            format_proof(position, inclusion_proof(position, size, reader.node), note)

    figures = {}
    for name, work in (("as given", first), ("newest", newest)):
        positions = [chance.randrange(size) for _ in range(count)]
        forget(file)
        figures[f"{name}, cold disk"] = spread([timed(partial(work, at)) for at in positions[: count // 5]])
        figures[f"{name}, warm"] = spread([timed(partial(work, at)) for at in positions])
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


def audit_alone(where: str) -> dict[str, Any]:
    """In a process of its own: entries a second of processor time, and how its memory grew."""
    source: Source = DirectorySource(Path(where))
    if Path(where).is_file():
        source = DatabaseSource(opened(Path(where)), made.LEDGER)
    early: list[int] = []

    def progress(done: int, total: int) -> None:
        if not early and done > total / 20:
            early.append(resident())

    began, cpu = time.perf_counter(), time.process_time()
    report = audit(source, made.ORIGIN, [made.keys().note_signer(made.ORIGIN).verifier], progress=progress)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    size = 0 if report.checkpoint is None else report.checkpoint.size
    if not report.ok:
        raise SystemExit(f"the audit failed: {report.checks}")
    return {
        "entries": size,
        "seconds": wall,
        "per_second": size / wall,
        "per_cpu_second": size / cpu,
        "rss_mib": resident() / 2**20,
        "peak_mib": peak() / 2**20,
        "growth": resident() / early[0] if early else 1.0,
    }


def audit_apart(where: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ledger", "--audit", str(where)]
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


def search(database: Database, rounds: int) -> dict[str, Any]:
    """Half first pages, half pages far behind: the id after which they go on lies anywhere."""
    chance = random.Random(2)
    figures = {}
    for name, question in questions().items():
        taken, found = [], 0
        for number in range(rounds):
            asked = question
            if number % 2:
                before = first_id(made.BEGAN + made.SPAN * chance.random())
                asked = Search(**{field: getattr(question, field) for field in Search.__slots__} | {"before": before})
            with database.reading() as session:
                began = time.perf_counter()
                found += len(queries.search(session, asked))
                taken.append(time.perf_counter() - began)
            if sum(taken) > _PATIENCE:
                break
        figures[name] = spread(taken) | {"rows": found}
    return figures


def prepared(folder: Path, entries: int, say: Callable[[str], None]) -> tuple[made.Sample, dict[str, float]]:
    """Two databases in the folder, or those that an earlier run left there."""
    told = folder / "made.json"
    if told.exists():
        kept = json.loads(told.read_text())
        return made.Sample(**kept["sample"]), kept["generated"]
    sample = made.sample(folder / "sample")
    needed = int(entries / made.GROUP * 10 * (sample.content + sample.receipt + 5_000) + entries * 600)
    if made.free_bytes(folder) < needed:
        raise SystemExit(f"about {needed >> 30} GiB are needed in {folder}")
    say(f"a real message leaves {sample.stored:,.0f} bytes; generating {entries:,} entries")
    generated = made.generate(folder / "large.db", entries, sample)
    made.generate(folder / "small.db", SMALL, sample)
    told.write_text(json.dumps({"sample": asdict(sample), "generated": generated}))
    return sample, generated


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    say = Console(stderr=True).print
    file, small = folder / "large.db", folder / "small.db"
    sample, generated = prepared(folder, options.entries, say)
    say(f"generated: {generated}")
    result: dict[str, Any] = {"generated": generated}
    large, little = opened(file), opened(small)
    say("search …")
    result["search"] = search(large, options.searches)
    say("proofs …")
    result["prove"] = prove(large, file, options.proofs)
    say("audit …")
    result["audit"] = {"database": audit_apart(file)}
    began = time.perf_counter()
    export_ledger(large, made.keys(), made.LEDGER, folder / "export")
    result["export_s"] = time.perf_counter() - began
    result["audit"]["export"] = audit_apart(folder / "export")
    shutil.rmtree(folder / "export")
    say("append …")
    result["append"] = append({"small": little, "large": large}, options.appends)
    large.close()
    little.close()
    messages = result["generated"]["transfers"]
    result["storage"] = {
        "bytes_a_message_measured": sample.stored,
        "bytes_a_message_generated": result["generated"]["bytes"] / messages,
        "sealed_content_bytes": sample.content,
        "sealed_receipt_bytes": sample.receipt,
        "entry_bytes": [len(sample.accepted), len(sample.acknowledged)],
    }
    result["aims"] = judged(result)
    return result


def judged(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    proofs = max(one["p99_ms"] for name, one in result["prove"].items() if name.endswith("warm"))
    worst = {
        together: max((one["p95_ms"], name) for name, one in result["search"].items() if (name in TOGETHER) == together)
        for together in (False, True)
    }
    audits = result["audit"].values()
    rate = min(one["per_cpu_second"] for one in audits)
    growth = max(one["growth"] for one in audits)
    return [
        aim("inclusion proof, p99", f"{proofs:.2f} ms", "< 5 ms", proofs < AIMS["proof_p99_ms"]),
        aim(
            f"append, against {SMALL:,} entries", f"× {result['append']['cpu_ratio']:.3f} processor,"
            f" × {result['append']['p50_ratio']:.3f} elapsed", "× 0.90 to 1.10",
            result["append"]["cpu_ratio"] <= AIMS["append_ratio"] and result["append"]["p50_ratio"] <= AIMS["append_ratio"],
        ),
        aim("audit, entries a second a core", f"{rate:,.0f}", "≥ 50,000", rate >= AIMS["audit_per_second"]),
        aim("audit, memory at the end against 5 %", f"× {growth:.3f}", f"≤ × {_GROWTH}", growth <= _GROWTH),
        aim(
            "search by each filter, p95", f"{worst[False][0]:.1f} ms ({worst[False][1]})", "< 100 ms",
            worst[False][0] < AIMS["search_p95_ms"],
        ),
        aim("search by several, p95", f"{worst[True][0]:.1f} ms ({worst[True][1]})", "no aim", met=True),
    ]  # fmt: skip


def aim(what: str, measured: str, wanted: str, met: bool) -> dict[str, Any]:
    return {"what": what, "measured": measured, "aim": wanted, "met": bool(met)}


def show(console: Console, result: Mapping[str, Any]) -> None:
    generated, storage = result["generated"], result["storage"]
    aims = Table(
        "aim",
        "measured",
        "wanted",
        "",
        title=f"{generated['entries']:,} entries of {generated['transfers']:,} messages",
    )
    for one in result["aims"]:
        aims.add_row(
            one["what"],
            one["measured"],
            one["aim"],
            ("met" if one["met"] else "MISSED") if one["aim"] != "no aim" else "",
        )
    times = Table("what", "p50 ms", "p95 ms", "p99 ms", "max ms", title="milliseconds")
    named = ((f"{group}: {name}", one) for group in ("prove", "search") for name, one in result[group].items())
    for name, one in named:
        times.add_row(name, *(f"{one[share]:.2f}" for share in ("p50_ms", "p95_ms", "p99_ms", "max_ms")))
    for name in ("small", "large"):
        figures = result["append"][name]
        times.add_row(f"append of 64: {name}", f"{figures['p50_ms']:.2f}", "", "", f"cpu {figures['cpu_ms']:.2f}")
    audits = Table(
        "audit of", "entries/s", "entries/s a core", "seconds", "memory MiB", title="every entry, tile and root"
    )
    for name, one in result["audit"].items():
        audits.add_row(
            name,
            f"{one['per_second']:,.0f}",
            f"{one['per_cpu_second']:,.0f}",
            f"{one['seconds']:.0f}",
            f"{one['peak_mib']:.0f}",
        )
    for table in (aims, times, audits):
        console.print(table)
    console.print(
        f"storage: {storage['bytes_a_message_measured']:,.0f} bytes a message with its two receipts (measured on a real gateway),"
        f" {storage['sealed_content_bytes'] + storage['sealed_receipt_bytes']:,} of them sealed; the generated database has"
        f" {storage['bytes_a_message_generated']:,.0f}\n"
        f"generated in {generated['rows_s'] + generated['indexes_s']:.0f} s; exported in {result['export_s']:.0f} s"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="What a ledger of millions of entries costs.")
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--searches", type=int, default=40, help="of each filter")
    parser.add_argument("--proofs", type=int, default=2_000)
    parser.add_argument("--appends", type=int, default=400, help="batches a ledger")
    parser.add_argument("--folder", type=Path, help="where the databases are written [default: a temporary folder]")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the databases there, and use them again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON; - is standard output")
    parser.add_argument("--audit", metavar="PLACE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.audit is not None:
        print(json.dumps(audit_alone(options.audit)))
        return 0
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        result = run(options.keep, options)
    else:
        with tempfile.TemporaryDirectory(prefix="sinergi-bench-", dir=options.folder) as folder:
            result = run(Path(folder), options)
    result["machine"] = machine()
    show(Console(file=sys.stderr if options.json == Path("-") else sys.stdout), result)
    if options.json is not None:
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        if options.json == Path("-"):
            sys.stdout.write(text)
        else:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(text)
    return 0 if all(itertools.chain(one["met"] for one in result["aims"])) else 1


if __name__ == "__main__":
    sys.exit(main())
