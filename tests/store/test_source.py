"""The audit of a ledger where it lies: the database read as if it were published, believed in nothing."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import NotFoundError
from gateway.ledger.verify import audit
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.session import Database
from gateway.store.source import DatabaseSource
from tests.store.ledgers import grow


def failed(database: Database, keys: CheckpointKeys) -> list[int]:
    """The numbers of the checks that an audit of the ledger `pks` fails."""
    key = keys.note_signer("gateway.test/ledger/pks").verifier
    report = audit(DatabaseSource(database, "pks"), key.name, [key])
    return [check.number for check in report.checks if not check.ok]


def test_a_ledger_in_the_database_passes_as_it_grows(database: Database, checkpoint_keys: CheckpointKeys) -> None:
    """At every size, over more bundles than are read at once; an unknown ledger is not found."""
    for size in (0, 1, 256, 700, 5_000):
        grow(database, checkpoint_keys, size)
        assert failed(database, checkpoint_keys) == []
    with pytest.raises(NotFoundError):
        DatabaseSource(database, "nothing")


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        ("UPDATE ledger_entry SET leaf = CAST(replace(leaf, 'act-4500', 'act-4501') AS BLOB) WHERE position = 4500", [4, 5]),
        ("UPDATE ledger_entry SET leaf = x'7b7d' WHERE position = 300", [3, 4, 5]),
        ("UPDATE ledger_entry SET leaf = CAST(leaf AS TEXT) WHERE position = 4500", [2, 3, 4, 5]),
        ("DELETE FROM ledger_entry WHERE position = 4999", [2, 3, 4, 5]),
        ("DELETE FROM ledger_entry WHERE position = 100", [2, 3, 4, 5]),
        ("UPDATE ledger_tile SET data = zeroblob(length(data)) WHERE level = 1", [4]),
        ("DELETE FROM ledger_tile WHERE level = 0 AND position = 7", [4]),
        ("UPDATE ledger_head SET checkpoint = CAST(replace(checkpoint, '5000', '4999') AS BLOB) WHERE ledger = 'pks'", [1]),
    ],
)  # fmt: skip
def test_rows_that_were_changed_past_the_guards_are_found(
    open_empty: Callable[[str], Database],
    checkpoint_keys: CheckpointKeys,
    tmp_path: Path,
    change: str,
    checks: list[int],
) -> None:
    """With the triggers gone, a changed, missing or moved row of any ledger table fails the check that is about it."""
    database = open_empty(f"sqlite:///{tmp_path / 'sinergi.db'}")
    grow(database, checkpoint_keys, 5_000)
    with sqlite3.connect(tmp_path / "sinergi.db") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(change).rowcount > 0
    connection.close()
    assert failed(database, checkpoint_keys) == checks
