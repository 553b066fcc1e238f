"""Rows that are written many at a time: the statement is put together once, and the driver takes the rows as they are.

SQLAlchemy makes its parameters anew for each row, which costs more than the database needs to write it. Its connection is
kept, and with it its errors. SQLite's driver gives the interpreter lock away at each execution, and the thread that is
woken by it finds it taken again: there sixteen rows are one execution. Leaves to the caller that all rows of one call
have the same columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection, Dialect, insert
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlmodel import SQLModel

# Few sizes: the driver keeps each statement prepared.
_TOGETHER: Final = (16, 4, 1)


def insert_rows(connection: Connection, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Raises KeyError for a row without a column of the first one."""
    statement = _statement(table, tuple(rows[0]), connection.dialect)
    filled = [statement.defaults | row for row in rows] if statement.defaults else rows
    if statement.order is None:
        connection.exec_driver_sql(statement.text, list(filled))
        return
    ordered = [tuple([row[name] for name in statement.order]) for row in filled]
    for some in _portions(ordered):
        connection.exec_driver_sql(statement.of(len(some)), tuple(chain.from_iterable(some)))


def _portions(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    first = 0
    for size in _TOGETHER:
        while len(rows) - first >= size:
            yield rows[first : first + size]
            first += size


@dataclass(frozen=True, slots=True)
class _Statement:
    """`order` are the columns as the placeholders stand, None where these have names; `defaults` what rows leave out."""

    text: str
    order: tuple[str, ...] | None
    defaults: dict[str, Any]

    def of(self, rows: int) -> str:
        """The statement for so many rows at once; only where placeholders have no names."""
        start, values, one = self.text.rpartition(" VALUES ")
        return start + values + ", ".join([one] * rows)


@lru_cache(256)
def _statement(table: type[SQLModel], names: tuple[str, ...], dialect: Dialect) -> _Statement:
    compiled = insert(table).compile(dialect=dialect, column_keys=list(names))
    absent = compiled.prefetch or ()
    defaults = {one.key: one.default.arg for one in absent if isinstance(one.default, ScalarElementColumnDefault)}
    # What would have to be called, or asked of the database beforehand, no table here has.
    assert len(defaults) == len(absent)
    order = None if compiled.positiontup is None else tuple(compiled.positiontup)
    return _Statement(str(compiled), order, defaults)
