"""A ledger of 10,000,000 entries on one disk: `make bench-ledger`. The aims stand in `AIMS`.

    generate    the entries, the tree and the rows of their messages, straight to disk (ledger_store.py)
    append      batches through the recorder, in turns with a ledger of 10,000 entries
    prove       the inclusion proof of entries anywhere, as a receipt is given again, and against the newest checkpoint
    fsck        the operator's check of the database, rows beside the entries included
    audit       every entry, tile and root read again from an export, as an outsider does
    search      an auditor's pages, each filter alone, some together, first pages and pages far behind

It needs about 3 GB of disk for a million entries, and removes it. `--json FILE` writes the figures. On a machine that
others use as well, `--windows N` measures proofs, searches and appends N times over: the figures are those of the calmest
window, and those of all windows stand beside them.
"""

import argparse
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import ledger_store as made
from benchmarks.ledger_measures import append, opened, prove, read_alone, read_apart, search
from benchmarks.measure import machine
from gateway.store.export import export_ledger

SMALL: Final = 10_000
AIMS: Final = {"proof_p99_ms": 5.0, "append_ratio": 1.10, "fsck_per_second": 50_000.0, "search_p95_ms": 100.0}
TOGETHER: Final = frozenset({
    "refused of a rare sender", "rare type and recipient", "code on a day", "code of a sender", "overdue of a sender",
    "subject and type",
})  # fmt: skip
_GROWTH: Final = 1.10  # flat memory: at the end at most so much more than after a twentieth


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
    result["search"] = search(large, options.searches, options.windows)
    say("proofs …")
    result["prove"] = prove(large, file, options.proofs, options.windows)
    say("fsck …")
    result["read"] = {"fsck of the database": read_apart(file)}
    if not options.without_export:
        began = time.perf_counter()
        export_ledger(large, made.keys(), made.LEDGER, folder / "export")
        result["export_s"] = time.perf_counter() - began
        say("audit …")
        result["read"]["audit of an export"] = read_apart(folder / "export")
        shutil.rmtree(folder / "export")
    say("append …")
    result["append"] = append({"small": little, "large": large}, options.appends, options.windows)
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
    rate = result["read"]["fsck of the database"]["per_cpu_second"]
    growth = max(one["growth"] for one in result["read"].values())
    return [
        aim("inclusion proof, p99", f"{proofs:.2f} ms", "< 5 ms", proofs < AIMS["proof_p99_ms"]),
        aim(
            f"append, against {SMALL:,} entries", f"× {result['append']['cpu_ratio']:.3f} processor,"
            f" × {result['append']['p50_ratio']:.3f} elapsed", "× 0.90 to 1.10",
            result["append"]["cpu_ratio"] <= AIMS["append_ratio"] and result["append"]["p50_ratio"] <= AIMS["append_ratio"],
        ),
        aim("fsck, entries a second a core", f"{rate:,.0f}", "≥ 50,000", rate >= AIMS["fsck_per_second"]),
        aim("memory at the end of a reading against 5 %", f"× {growth:.3f}", f"≤ × {_GROWTH}", growth <= _GROWTH),
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
    shares = ("p50_ms", "p95_ms", "p99_ms", "max_ms", "cpu_p50_ms", "cpu_p99_ms")
    times = Table("what", "p50", "p95", "p99", "max", "cpu p50", "cpu p99", title="milliseconds")
    named = ((f"{group}: {name}", one) for group in ("prove", "search") for name, one in result[group].items())
    for name, one in named:
        times.add_row(name, *(f"{one[share]:.2f}" for share in shares))
    for name in ("small", "large"):
        figures = result["append"][name]
        times.add_row(f"append of 64: {name}", f"{figures['p50_ms']:.2f}", "", "", "", f"{figures['cpu_ms']:.2f}", "")
    audits = Table(
        "reading", "entries/s", "entries/s a core", "seconds", "memory MiB", title="every entry, tile and root"
    )
    for name, one in result["read"].items():
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
        f"generated in {generated['rows_s'] + generated['indexes_s']:.0f} s"
        + (f"; exported in {result['export_s']:.0f} s" if "export_s" in result else "")
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
    parser.add_argument("--windows", type=int, default=1, help="measure so often, all but readings; the calmest counts")
    parser.add_argument("--without-export", action="store_true", help="leave out the export and its audit")
    parser.add_argument("--read", metavar="PLACE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read is not None:
        print(json.dumps(read_alone(options.read)))
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
