"""Statements that go to the database together: sent one after the other, waited for once.

PostgreSQL is sent all of them before the first is answered (libpq's pipeline mode), where each would cost a wait of its own,
with the head of a ledger locked meanwhile. SQLite, which is in this process, does them one after the other, as always.
Leaves to the caller that none of them depends on an answer to another.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import DBAPIError


class Sent(Protocol):
    """The answer to one statement; there once all it was sent with are done."""

    @property
    def rowcount(self) -> int: ...
    def fetchall(self) -> Sequence[Sequence[Any]]: ...


class Send(Protocol):
    """Sends one statement, which is one object for good (it is compiled once), with the values of its parameters."""

    def __call__(self, statement: Executable, values: Mapping[str, Any], /) -> Sent: ...


@contextmanager
def together(connection: Connection) -> Iterator[Send]:
    """What is executed inside, by `Send` or by `insert_rows`, is done when the block ends.

    Raises what each would have raised by itself, perhaps only at the end.
    """
    dialect, driver = connection.dialect, connection.connection.driver_connection
    if dialect.name != "postgresql":
        yield connection.execute
        return
    driver_error: Any = dialect.loaded_dbapi.Error
    try:
        with driver.pipeline():  # type: ignore[union-attr]

            def send(statement: Executable, values: Mapping[str, Any]) -> Sent:
                text, own = _compiled(statement, dialect)
                sent: Sent = driver.execute(text, {**own, **values})  # type: ignore[union-attr]
                return sent

            yield send
    except Exception as error:
        # A session that the server ended in the middle may not have left the pipeline, and takes no ROLLBACK there.
        if driver.closed or driver.pgconn.pipeline_status:  # type: ignore[union-attr]
            connection.invalidate(error)
        if isinstance(error, driver_error):
            raise DBAPIError.instance(None, None, error, driver_error) from error
        raise


@lru_cache(64)
def _compiled(statement: Any, dialect: Dialect) -> tuple[str, dict[str, Any]]:
    """Its text, and the values of those parameters that it brings itself."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), dict(compiled.params)
