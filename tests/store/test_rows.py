"""Rows that the driver takes as they are: what SQLAlchemy would have made of them must be missed by nobody."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from gateway.store.rows import insert_rows
from gateway.store.session import Database
from gateway.store.tables import LedgerEntry, SubjectIndex, UsedMessageId


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
