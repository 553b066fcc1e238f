"""The same ledger on PostgreSQL, smaller: `python -m benchmarks.ledger_postgres`. Rows are copied from a SQLite database.

The server is the one of the tests' wheel, durable, with its defaults (128 MB of shared buffers): what a tuned one makes of
ten million entries is not told by this.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
from rich.console import Console

from benchmarks.ledger import SMALL, prepared
from benchmarks.ledger_measures import append, opened, prove, read_apart, search
from benchmarks.measure import machine
from benchmarks.postgres import PostgresServer
from gateway.store.migrations import migrate
from gateway.store.session import open_database

_TABLES: Final = (
    "ledger_head", "ledger_entry", "ledger_tile", "ledger_checkpoint", "transfer", "acknowledgement", "deadline",
    "transfer_code", "subject_index",
)  # fmt: skip


def copied(file: Path, url: str) -> float:
    """Puts the rows of the file into a new database. Seconds."""
    began = time.monotonic()
    database = open_database(url)
    migrate(database)
    database.close()
    with sqlite3.connect(file) as source, psycopg.connect(url) as target:
        for table in _TABLES:
            names = [row[1] for row in source.execute(f"PRAGMA table_info({table})")]
            with target.cursor().copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
                for row in _rows(source, table, names):
                    copy.write_row(row)
    with psycopg.connect(url, autocommit=True) as target:
        target.execute("VACUUM ANALYZE")
    return time.monotonic() - began


def _rows(source: sqlite3.Connection, table: str, names: list[str]) -> Iterator[tuple[Any, ...]]:
    return source.execute(f"SELECT {', '.join(names)} FROM {table}")


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    say = Console(stderr=True).print
    _sample, generated = prepared(folder, options.entries, say)
    with PostgresServer() as server:
        urls = {name: server.database() for name in ("small", "large")}
        took = {name: copied(folder / f"{name}.db", url) for name, url in urls.items()}
        say(f"copied: {took}")
        arms = {name: opened(url) for name, url in urls.items()}
        result: dict[str, Any] = {
            "entries": generated["entries"],
            "transfers": generated["transfers"],
            "copied_s": took,
        }
        result["postgresql"] = server.version
        with psycopg.connect(urls["large"]) as connection:
            (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        result["bytes_a_message_generated"] = size / generated["transfers"]
        result["search"] = search(arms["large"], options.searches, options.windows)
        result["prove"] = prove(arms["large"], None, options.proofs, options.windows)
        result["read"] = {"fsck of the database": read_apart(urls["large"])}
        result["append"] = append(arms, options.appends, options.windows) | {"small_entries": SMALL}
        for database in arms.values():
            database.close()
    return result | {"machine": machine()}


def main() -> int:
    parser = argparse.ArgumentParser(description="What a ledger costs on PostgreSQL.")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=40, help="of each filter")
    parser.add_argument("--proofs", type=int, default=2_000)
    parser.add_argument("--appends", type=int, default=400, help="batches a ledger")
    parser.add_argument("--windows", type=int, default=1, help="measure so often, all but readings; the calmest counts")
    parser.add_argument("--folder", type=Path, help="where the rows are made [default: a temporary folder]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there [default: standard output]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sinergi-bench-", dir=options.folder) as folder:
        text = json.dumps(run(Path(folder), options), indent=2) + "\n"
    if options.json is None:
        sys.stdout.write(text)
    else:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
