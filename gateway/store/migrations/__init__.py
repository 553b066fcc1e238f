"""The shape of the database over time (Alembic), and the guards that live inside it."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.errors import OperatorError, StoreUnavailableError
from gateway.store.session import Database
from gateway.store.tables import TABLES

_HERE: Final = Path(__file__).parent
# Tables of which the application deletes rows: leases and tokens end, erasure is a law (UU 27/2022 Art 43-44).
_ERASABLE: Final = ("subject_index", "outbox", "used_token", "transfer_code", "early_warning", "liaison_notice", "node")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    return config


def migrate(database: Database, *, grant_to: str | None = None) -> None:
    """Brings the database to the newest shape. On PostgreSQL, `grant_to` is the role the gateway runs under.

    That role gets SELECT and INSERT on what is append-only, and never owns a table; run this as the owner.
    """
    config = _config()
    try:
        with database.write.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if grant_to is not None and not database.is_sqlite:
                _grant(connection, grant_to)
    except DBAPIError as error:
        raise StoreUnavailableError(f"the migration failed: {type(error.orig).__name__}") from error


def _grant(connection: object, role: str) -> None:
    from sqlalchemy import Connection

    assert isinstance(connection, Connection)
    name = connection.dialect.identifier_preparer.quote(role)
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {name}"))
    for table in TABLES:
        table_name = str(table.__tablename__)
        rights = ["SELECT", "INSERT"]
        if table_name not in ("ledger_entry", "ledger_checkpoint"):
            rights.append("UPDATE")
        if table_name in _ERASABLE:
            rights.append("DELETE")
        connection.execute(text(f"GRANT {', '.join(rights)} ON {table_name} TO {name}"))
    connection.execute(text(f"GRANT SELECT ON alembic_version TO {name}"))


def require_current(database: Database) -> None:
    """Raises OperatorError when the database was not initialised, or has another shape than this program."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    try:
        with database.read.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise StoreUnavailableError("the database does not answer") from error
    if current is None:
        raise OperatorError("the database is empty: run `sinergi init` first")
    if current != newest:
        raise OperatorError(
            f"the database has the tables of version {current}, and this program needs {newest}: run `sinergi migrate`"
        )
