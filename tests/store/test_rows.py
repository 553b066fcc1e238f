"""Rows that the driver takes as they are: what SQLAlchemy would have made of them must be missed by nobody."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from gateway.store.rows import insert_rows
from gateway.store.session import Database
from gateway.store.tables import LedgerEntry, SubjectIndex, UsedMessageId
from gateway.store.together import together


@pytest.fixture
def postgres(open_empty: Callable[[str], Database], postgres_url: str) -> Database:
    return open_empty(postgres_url)


def used(number: int) -> dict[str, Any]:
    return {"sender": "imigrasi-banten", "jti": f"message-{number}", "transfer": f"{number:036d}"}


def test_rows_come_back_as_they_were_given(database: Database) -> None:
    """Texts, numbers and octets of many rows, in portions and one by one, on both databases."""
    leaves = [{"ledger": "pks", "position": number, "leaf": bytes([number, 0, 255])} for number in range(40)]
    with database.write.begin() as connection:
        insert_rows(connection, LedgerEntry, leaves)
        insert_rows(connection, UsedMessageId, [used(number) for number in range(23)])
    with database.write.begin() as connection:
        rows = connection.execute(select(LedgerEntry).where(LedgerEntry.ledger == "pks")).mappings()
        assert sorted((dict(row) for row in rows), key=lambda row: row["position"]) == leaves
        texts = connection.execute(select(UsedMessageId)).mappings()
        assert sorted((dict(row) for row in texts), key=lambda row: row["transfer"]) == [used(n) for n in range(23)]


def test_a_row_that_is_there_is_told_as_before(database: Database) -> None:
    """The recorder tells a used message id from a database that fails: by SQLAlchemy's errors, not the driver's."""
    with pytest.raises(IntegrityError), database.write.begin() as connection:
        insert_rows(connection, UsedMessageId, [used(1), used(2), used(1)])


def test_a_row_that_lacks_a_column_is_not_written_with_anothers(database: Database) -> None:
    """All rows have the columns of the first; one without is an error, not a null."""
    short = {"sender": "imigrasi-banten", "jti": "message-2"}
    with pytest.raises(Exception, match="transfer"), database.write.begin() as connection:
        insert_rows(connection, UsedMessageId, [used(1), short])


def test_what_a_row_leaves_out_has_its_default(database: Database) -> None:
    """A column that no row names is filled in as SQLAlchemy would, also one that only SQLAlchemy has a default for."""
    rows = [{"kind": "nik", "token": f"{number}", "transfer": "t"} for number in range(3)]
    with database.write.begin() as connection:
        insert_rows(connection, SubjectIndex, rows)
        assert list(connection.execute(select(SubjectIndex.index_key)).scalars()) == [""] * 3


def test_rows_of_many_tables_are_sent_together(database: Database) -> None:
    """What is sent before anything is waited for is all there at the end, table by table."""
    with database.write.begin() as connection:
        with together(connection):
            insert_rows(connection, UsedMessageId, [used(number) for number in range(3)])
            insert_rows(connection, LedgerEntry, [{"ledger": "pks", "position": 0, "leaf": b"\x00\xff"}])
        assert connection.execute(select(LedgerEntry.leaf)).scalar_one() == b"\x00\xff"
    with database.read.begin() as connection:
        assert len(connection.execute(select(UsedMessageId.jti)).all()) == 3


@pytest.mark.parametrize(
    ("row", "refusal"),
    [(used(1), IntegrityError), (used(2) | {"transfer": "x" * 4_000}, DataError)],
    ids=["there already", "does not fit"],
)
def test_what_is_refused_together_is_told_as_if_it_were_alone(
    postgres: Database, row: dict[str, Any], refusal: type[DBAPIError]
) -> None:
    """The recorder tells by the kind of error whether a batch is tried again one by one; nothing of the batch stays."""
    with postgres.write.begin() as connection:
        insert_rows(connection, UsedMessageId, [used(1)])

    def refused() -> None:
        with postgres.write.begin() as connection, together(connection):
            insert_rows(connection, UsedMessageId, [row])
            insert_rows(connection, UsedMessageId, [used(3)])

    with pytest.raises(refusal):
        refused()
    with postgres.write.begin() as connection:
        assert connection.execute(select(UsedMessageId.jti)).scalars().all() == ["message-1"]


def test_a_connection_that_ends_meanwhile_is_not_used_again(postgres: Database) -> None:
    """A server that restarts in the middle of a batch is a database error, and the next batch has a connection that works."""
    with postgres.write.connect() as connection:
        transaction = connection.begin()
        (own,) = connection.execute(text("SELECT pg_backend_pid()")).one()
        with postgres.read.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
        with pytest.raises(DBAPIError), together(connection):
            insert_rows(connection, UsedMessageId, [used(1)])
        assert connection.invalidated
        transaction.rollback()
    with postgres.write.begin() as connection, together(connection):
        insert_rows(connection, UsedMessageId, [used(2)])
