"""Connections. One engine writes (the recorder's), one reads; both refuse what the ledger must never suffer."""

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Session

from gateway.errors import OperatorError, StoreUnavailableError
from gateway.ledger.tiles import KeptTiles
from gateway.store.sqlite_turns import begin_writing

KEPT_TILES: Final = "tiles"
APPEND_ONLY: Final = ("ledger_entry", "ledger_checkpoint")
LEDGER_TABLES: Final = (*APPEND_ONLY, "ledger_tile", "ledger_head")
_BUSY_MS: Final = 5_000
# A node that hangs with the head locked must not hold up the others: the server ends its transaction.
_WRITE_TIMEOUTS: Final = {
    "lock_timeout": 5_000,
    "statement_timeout": 30_000,
    "idle_in_transaction_session_timeout": 10_000,
}
_READ_TIMEOUTS: Final = {"statement_timeout": 15_000, "idle_in_transaction_session_timeout": 10_000}


@dataclass(frozen=True, slots=True)
class Database:
    """`url` without a password, for people; `write` is used by recorders and migrations alone.

    `tiles` are what its readers keep of each ledger between requests (`queries.tile_reader`).
    """

    url: str
    write: Engine
    read: Engine
    tiles: dict[str, KeptTiles] = field(default_factory=dict)

    @property
    def is_sqlite(self) -> bool:
        return self.write.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one committed state and changes nothing."""
        try:
            with Session(self.read, info={KEPT_TILES: self.tiles}) as session:
                yield session
        except (DBAPIError, PoolTimeoutError) as error:
            raise StoreUnavailableError("the database does not answer") from error

    def close(self) -> None:
        self.write.dispose()
        self.read.dispose()


def open_database(url: str, *, pool_size: int = 8) -> Database:
    """Connects lazily. `url` is `sqlite:////path/file.db` or `postgresql://user@host/name`."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise OperatorError("the database URL is not valid") from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    shown = parsed.render_as_string(hide_password=True)
    if parsed.drivername == "postgresql+psycopg":
        # It logs errors that it holds back, with the rows that PostgreSQL quotes in them; those that matter are raised.
        logging.getLogger("psycopg").setLevel(logging.CRITICAL)
        # READ COMMITTED: the row lock on the head must show what the last holder committed, not an older snapshot.
        options: dict[str, Any] = {"isolation_level": "READ COMMITTED", "pool_pre_ping": True, "hide_parameters": True}
        write = create_engine(parsed, pool_size=2, max_overflow=2, connect_args=_patience(_WRITE_TIMEOUTS), **options)
        _watch_notices(write)
        read_timeouts = _patience(_READ_TIMEOUTS)
        read = create_engine(parsed, pool_size=pool_size, max_overflow=pool_size, connect_args=read_timeouts, **options)
        return Database(shown, write, read)
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        connect = {"check_same_thread": False, "timeout": _BUSY_MS / 1000}
        write = create_engine(parsed, connect_args=connect, pool_size=1, max_overflow=4, hide_parameters=True)
        read = create_engine(parsed, connect_args=connect, pool_size=pool_size, hide_parameters=True)
        _prepare_sqlite(write)
        _prepare_sqlite(read)
        event.listen(write, "begin", lambda connection: begin_writing(connection, _BUSY_MS))
        event.listen(read, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return Database(shown, write, read)
    raise OperatorError("the database must be sqlite:////path/file.db or postgresql://…")


def _patience(timeouts: Mapping[str, int]) -> dict[str, Any]:
    """How long PostgreSQL waits for us, and we for it; milliseconds in, `connect_args` out."""
    options = " ".join(f"-c {name}={value}" for name, value in timeouts.items())
    return {
        "options": options,
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }


def _watch_notices(engine: Engine) -> None:
    """Keeps the server's warnings where the recorder looks after its commit (`connection.info["notices"]`)."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        notices: list[str] = []
        record.info["notices"] = notices
        connection.add_notice_handler(
            lambda notice: notices.append(notice.sqlstate) if notice.severity_nonlocalized == "WARNING" else None
        )


def require_open(connection: Connection) -> None:
    """Raises StoreUnavailableError when the database has given the transaction up, as both may do after an error.

    PostgreSQL would then answer COMMIT with ROLLBACK and no error, and SQLite write each further statement by itself. Asks
    nothing of the database: the driver knows.
    """
    driver: Any = connection.connection.driver_connection
    # 2 is libpq's PQTRANS_INTRANS; 3 is a transaction that failed.
    whole = driver.in_transaction if connection.dialect.name == "sqlite" else driver.pgconn.transaction_status == 2  # noqa: PLR2004
    if not whole:
        raise StoreUnavailableError("the database gave the transaction up")


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        # None: the driver must not begin transactions of its own, or BEGIN IMMEDIATE would come too late.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
            "recursive_triggers=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")


_DENIED: Final = {
    sqlite3.SQLITE_UPDATE: frozenset(APPEND_ONLY),
    sqlite3.SQLITE_DELETE: frozenset(LEDGER_TABLES),
    sqlite3.SQLITE_DROP_TABLE: frozenset(LEDGER_TABLES),
    sqlite3.SQLITE_ALTER_TABLE: frozenset(LEDGER_TABLES),
}


def _authorise(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    """SQLite's own veto, before a statement is even compiled; a trigger alone would miss `INSERT OR REPLACE`."""
    if action == sqlite3.SQLITE_DROP_TRIGGER:
        return sqlite3.SQLITE_DENY
    name = second if action == sqlite3.SQLITE_ALTER_TABLE else first
    return sqlite3.SQLITE_DENY if name in _DENIED.get(action, ()) else sqlite3.SQLITE_OK


def guard(database: Database) -> None:
    """From here on no connection of this process may change or drop what the ledger holds. Migrations run before."""
    if not database.is_sqlite:
        return
    for engine in (database.write, database.read):
        engine.dispose()

        @event.listens_for(engine, "connect")
        def _guard(connection: sqlite3.Connection, _record: object) -> None:
            connection.set_authorizer(_authorise)
