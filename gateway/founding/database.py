"""A gateway's database: made and brought up to date as its owner, and founded by one commit as the gateway itself."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway.errors import OperatorError, StoreUnavailableError
from gateway.founding import RefusedError
from gateway.founding.first_entries import Founders, write_first
from gateway.settings import Settings
from gateway.store.append import Memory
from gateway.store.migrations import migrate, require_current
from gateway.store.session import Database, guard
from gateway.store.tables import LedgerHead
from gateway.wiring import Keys, connect


def found_database(settings: Settings, keys: Keys, founders: Founders, made: list[Path]) -> Memory:
    """The first commit. From there on, even if it is not known whether it came off, what was `made` is not taken back."""
    url = make_url(settings.database.url)
    if url.get_backend_name() == "sqlite" and url.database:
        _claim_file(Path(url.database), made)
    with _owner(settings) as (owner, grant_to):
        require_unused(owner)
        migrate(owner, grant_to=grant_to)
    database = connect(settings.database.url, settings.database.password_file)
    try:
        guard(database)
        memory = Memory()
        with database.write.connect() as connection, connection.begin() as transaction:
            committed = write_first(connection, settings, keys, memory, founders)
            made.clear()
            transaction.commit()
        committed()
    except IntegrityError as error:
        raise RefusedError("the database is another gateway's, initialised a moment ago") from error
    except DBAPIError as error:
        told = "the database refused the first entries"
        if not made:
            told = "it is not known whether the first entries are recorded: the keys that signed them stay"
        raise StoreUnavailableError(told) from error
    finally:
        database.close()
    return memory


def _claim_file(path: Path, made: list[Path]) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise RefusedError(f"{path} exists already") from error
    except OSError as error:
        raise OperatorError(f"{path} cannot be created: {error.strerror}") from error
    made += [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]


def require_unused(database: Database) -> None:
    """Raises RefusedError for a database that holds a ledger. Empty tables are what an earlier failure left."""
    try:
        with database.read.connect() as connection:
            used = (
                inspect(connection).has_table(str(LedgerHead.__tablename__))
                and connection.execute(select(func.count()).select_from(LedgerHead)).scalar_one() > 0
            )
    except DBAPIError as error:
        raise StoreUnavailableError("the database does not answer") from error
    if used:
        raise RefusedError("the database holds a gateway's ledger already")


@contextmanager
def _owner(settings: Settings) -> Iterator[tuple[Database, str | None]]:
    """The database as its owner, and the role to grant to: None where the gateway itself owns the tables."""
    if settings.database.owner_url is None:
        database, grant_to = connect(settings.database.url, settings.database.password_file), None
    else:
        database = connect(settings.database.owner_url, settings.database.owner_password_file)
        grant_to = make_url(settings.database.url).username or getpass.getuser()
    try:
        yield database, grant_to
    finally:
        database.close()


def bring_up_to_date(settings: Settings) -> str:
    """Migrates an initialised database and names its shape. Raises OperatorError for one that was never initialised."""
    with _owner(settings) as (database, grant_to):
        try:
            # A missing SQLite file must not be made by looking at it.
            path = make_url(settings.database.url).database
            known = not database.is_sqlite or (path is not None and Path(path).is_file())
            known = known and inspect(database.read).has_table(str(LedgerHead.__tablename__))
        except DBAPIError as error:
            raise StoreUnavailableError("the database does not answer") from error
        if not known:
            raise OperatorError("the database is empty: run `sinergi init` first")
        migrate(database, grant_to=grant_to)
    database = connect(settings.database.url, settings.database.password_file)
    try:
        require_current(database)
        with database.read.connect() as connection:
            return str(MigrationContext.configure(connection).get_current_revision())
    finally:
        database.close()
