"""The gateway beside its peers: `make bench`. One run, one table, one JSON file.

Every arm handles the same 2 KB early warning (`benchmarks/workload.py`), in interleaved rounds; figures are medians with
the least and the most of the rounds. While one arm is measured, the processes of all others are stopped (SIGSTOP).
docs/explanation/performance.md says how to read it and what was left out.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.aims import judged
from benchmarks.arms import Suite, play
from benchmarks.measure import machine, revision
from benchmarks.pool import Pool
from benchmarks.postgres import PostgresServer
from benchmarks.tables import rows, show


def run(options: argparse.Namespace, say: Any) -> dict[str, Any]:
    began, described, code = time.monotonic(), machine(), revision()
    with tempfile.TemporaryDirectory(prefix="sinergi-bench-") as folder, PostgresServer() as server:
        suite = Suite(options, Path(folder), Pool(), server, say)
        with suite.stack:
            found = play(suite, options.rounds)
        described["postgresql"] = server.version
    return {
        "benchmark": "sinergi",
        "revision": code,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "machine": described,
        "options": {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "connections": options.connections,
            "backlog": options.backlog,
        },
        "rows": rows(found),
        "aims": judged(found),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="The gateway beside its floors and its peers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument(
        "--connections", type=lambda text: [int(one) for one in text.split(",")], default=[1, 16, 64, 256]
    )
    parser.add_argument("--backlog", type=int, default=10_000, help="messages that wait for the recipient")
    parser.add_argument(
        "--arms",
        type=lambda text: [one for one in text.split(",") if one],
        default=[],
        help="only arms whose names contain one of these",
    )
    parser.add_argument("--peer", default="", metavar="PYTHON", help="an interpreter that has as4 (locks/peer.txt)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing: show what a run wrote")
    options = parser.parse_args()
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Console(stderr=True)
    if options.show is not None:
        result = json.loads(options.show.read_text(encoding="utf-8"))
    else:
        result = run(options, lambda text: progress.print(text, style="dim", highlight=False))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    show(Console(width=None if sys.stdout.isatty() else 170), result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
