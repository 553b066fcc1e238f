"""What every commit asks of the database is asked by an index: its cost must not grow with what is stored."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from gateway.store import recorder
from gateway.store.jobs import acknowledgements
from gateway.store.session import Database


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (recorder._USED, {"sender": "a", "jtis": ["b", "c"]}),
        (acknowledgements._KNOWN, {"transfers": ["a", "b"]}),
    ],
    ids=["message ids", "receipts"],
)
def test_a_commit_walks_no_table(database: Database, statement: Any, values: dict[str, Any]) -> None:
    """A list of pairs makes SQLite walk the whole table, so that the millionth message costs thirty times the first."""
    if not database.is_sqlite:
        pytest.skip("PostgreSQL reads a table of no rows whole, and is right")
    bound = statement.params(**values)
    asked = bound.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with database.read.begin() as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {asked}")).all()
    assert plan
    assert not [row for row in plan if "SCAN" in row[-1]]
