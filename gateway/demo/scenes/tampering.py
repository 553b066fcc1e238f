"""What happens when somebody who owns the database changes history: a copy of it, one byte, and three who notice."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.demo.province import AGREEMENT
from gateway.demo.scenes.exchange import the_warning
from gateway.demo.stage import DifferenceError, Stage
from gateway.errors import LedgerForkedError
from gateway.ledger.merkle import HASH_SIZE
from gateway.ledger.source import DirectorySource
from gateway.ledger.tiles import CHECKPOINT_PATH, TILE_WIDTH, bundle, entries_path, tile_path, tile_width
from gateway.ledger.verify import AuditReport, audit
from gateway.settings import load_settings
from gateway.wiring import open_gateway


def one_byte(stage: Stage) -> None:
    """Copied, published, believed; one byte changed, published again, refused."""
    transfer, _ = the_warning(stage)
    ledger = stage.province.ledgers[AGREEMENT]
    folder = stage.folder / "tampered"
    folder.mkdir(mode=0o700)
    database = folder / "sinergi.db"
    _copy(stage.province.database, database)

    def published(name: str) -> AuditReport:
        _publish(database, folder / name)
        return audit(DirectorySource(folder / name), ledger.origin, [ledger.verifier])

    stage.expect("the copy, published as it is, verifies", published("before").ok)
    index, before, after = _change(database, transfer)
    stage.screen.line()
    stage.screen.facts({f"entry {index} was": _excerpt(before), "and is now": _excerpt(after)})
    differing = [place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    stage.expect(f"one byte of {len(after)} differs: clause 1 has become clause 2", len(differing), 1)
    report = published("after")
    stage.screen.audit(report.checks)
    failed = [check for check in report.checks if not check.ok]
    stage.expect("its published tiles and its signed root no longer follow", [one.number for one in failed], [4, 5])
    stage.expect("the check says where", f"over entry {index}" in failed[0].detail)
    _expect_no_start(stage, folder / "state", database)


def _copy(source: Path, target: Path) -> None:
    """Consistent while the gateway writes: SQLite's backup reads through the write-ahead log."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    url = f"{source.as_uri()}?mode=ro"
    with closing(sqlite3.connect(url, uri=True)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)


def _change(database: Path, transfer: str) -> tuple[int, bytes, bytes]:
    """Makes the clause under which the transfer was accepted another one. The entry's position, and its bytes."""
    with closing(sqlite3.connect(database)) as connection, connection:
        # The guards inside the database stop a program, not its owner.
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        rows = connection.execute("SELECT position, leaf FROM ledger_entry WHERE ledger = ?", [AGREEMENT]).fetchall()
        for position, leaf in rows:
            entry = json.loads(leaf)
            if (entry["kind"], entry.get("transfer")) == ("transfer.accepted", transfer):
                changed = leaf.replace(b'"clause":"1"', b'"clause":"2"')
                connection.execute(
                    "UPDATE ledger_entry SET leaf = ? WHERE ledger = ? AND position = ?", [changed, AGREEMENT, position]
                )
                return position, leaf, changed
    raise DifferenceError(f"an entry of {transfer}: the copy has none")


def _publish(database: Path, directory: Path) -> None:
    """The files that a web server would serve, straight from the tables: `sinergi ledger export` refuses a changed one."""
    with closing(sqlite3.connect(database)) as connection:
        size, note = connection.execute(
            "SELECT size, checkpoint FROM ledger_head WHERE ledger = ?", [AGREEMENT]
        ).fetchone()
        leaves = [
            leaf
            for (leaf,) in connection.execute(
                "SELECT leaf FROM ledger_entry WHERE ledger = ? ORDER BY position LIMIT ?", [AGREEMENT, size]
            )
        ]
        for start in range(0, size, TILE_WIDTH):
            part = leaves[start : start + TILE_WIDTH]
            _write(directory / entries_path(start // TILE_WIDTH, len(part)), bundle(part))
        for level, index, data in connection.execute(
            "SELECT level, position, data FROM ledger_tile WHERE ledger = ?", [AGREEMENT]
        ):
            width = tile_width(size, level, index)
            _write(directory / tile_path(level, index, width), data[: width * HASH_SIZE])
    _write(directory / CHECKPOINT_PATH, note)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _excerpt(leaf: bytes) -> str:
    entry = json.loads(leaf)
    return ", ".join(f"{name}: {entry[name]}" for name in ("kind", "rule", "clause", "purpose"))


def _expect_no_start(stage: Stage, state: Path, database: Path) -> None:
    """What `sinergi serve` does first, on the changed database: the real keys, and no memory outside the database."""
    settings = load_settings(
        stage.province.config,
        database={"url": f"sqlite:///{database}"},
        gateway={"id": stage.province.gateway_id, "public_url": stage.province.base, "state_dir": state},
    )
    refused = None
    try:
        with open_gateway(settings):
            pass
    except LedgerForkedError as error:
        refused = error
    if refused is not None:
        stage.screen.note(f"{refused.code}: {refused.detail}")
    stage.expect("a gateway refuses to start on it: ledger.forked", refused is not None)
