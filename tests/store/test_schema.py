"""The database's shape and rights: migrations against tables, the application's role against the owner's."""

from collections.abc import Callable, Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from gateway.errors import OperatorError, StoreUnavailableError
from gateway.retention import scrub
from gateway.store.append import create_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.migrations import migrate, require_current
from gateway.store.recorder import Recorder
from gateway.store.session import Database, open_database
from gateway.store.tables import METADATA
from tests.store.ledgers import entry_job, require_sound


def test_the_migrations_make_the_tables_that_the_code_describes(database: Database) -> None:
    """Nothing is in the tables' classes that the migrations do not make, and nothing more."""
    with database.write.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_an_empty_or_foreign_database_is_refused(database_url: str) -> None:
    """The gateway creates nothing by itself: an empty database sends the operator to `sinergi init`."""
    database = open_database(database_url)
    with pytest.raises(OperatorError, match="sinergi init"):
        require_current(database)
    migrate(database)
    require_current(database)
    with database.write.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(OperatorError, match="sinergi migrate"):
        require_current(database)
    database.close()


@pytest.fixture
def application(postgres_url: str, checkpoint_keys: CheckpointKeys) -> Iterator[Database]:
    """A database as `docs/howto/run-in-production.md` sets it up, opened under the application's own role."""
    owner = open_database(postgres_url)
    name = make_url(postgres_url).database
    role = f"app_{name}"
    with owner.write.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    migrate(owner, grant_to=role)
    with owner.write.begin() as connection:
        create_ledger(connection, "pks", "gateway.test/ledger/pks", checkpoint_keys)
    application = open_database(make_url(postgres_url).set(username=role).render_as_string(hide_password=False))
    yield application
    application.close()
    with owner.write.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))
    owner.close()


def test_the_application_role_can_do_its_work(application: Database, checkpoint_keys: CheckpointKeys) -> None:
    """Appending needs no right that could also take away."""
    recorder = Recorder(application, checkpoint_keys)
    recorder.start()
    assert recorder.submit(entry_job()).result(10).result[0].index == 0
    recorder.stop()
    assert require_sound(application, checkpoint_keys) == 1
    with application.write.begin() as connection:
        for table in ("subject_index", "early_warning", "liaison_notice"):
            connection.execute(text(f"DELETE FROM {table}"))
    # To have the files cleaned is the owner's right alone: the answer says that it was not done.
    assert not scrub(application)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET leaf = 'x'",
        "DELETE FROM ledger_entry",
        "TRUNCATE ledger_entry",
        "DROP TABLE ledger_entry",
        "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
        "DROP TRIGGER ledger_entry_kept ON ledger_entry",
        "SET session_replication_role = replica",
        "DELETE FROM transfer",
        "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    ],
)
def test_the_application_role_cannot_take_anything_away(application: Database, statement: str) -> None:
    """Even with the gateway's own database password, the ledger's past is out of reach."""
    with application.write.connect() as connection, pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        connection.execute(text(statement))


def test_a_node_that_hangs_with_the_lock_does_not_stop_the_others(
    postgres_url: str, open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys
) -> None:
    """PostgreSQL ends the transaction of a node that stopped in the middle; another node goes on within seconds."""
    database = open_empty(postgres_url)
    hung = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))
    with hung.connect() as connection:
        connection.execute(text("SET idle_in_transaction_session_timeout = 500"))
        connection.execute(text("SELECT * FROM ledger_head WHERE ledger = 'pks' FOR UPDATE"))
        recorder = Recorder(database, checkpoint_keys)
        recorder.start()
        assert recorder.submit(entry_job()).result(20).result[0].index == 0
        recorder.stop()
        connection.invalidate()
    hung.dispose()


def test_a_lost_connection_costs_an_answer_and_nothing_else(
    postgres_url: str, open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys
) -> None:
    """The server ends our connections again and again under load: who got an answer is in the ledger, and it goes on."""
    database = open_empty(postgres_url)
    killer = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    recorder = Recorder(database, checkpoint_keys)
    recorder.start()
    answered: list[int] = []
    with killer.connect() as connection:
        for number in range(200):
            future = recorder.submit(entry_job(number))
            if number % 20 == 10:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
            try:
                answered.append(future.result(20).result[0].index)
            except StoreUnavailableError:
                continue
    recorder.stop()
    killer.dispose()
    assert recorder.fatal is None
    assert len(answered) >= 180
    assert answered == sorted(set(answered))
    size = require_sound(database, checkpoint_keys)
    # An unanswered entry may be there; an answered one must.
    assert max(answered) < size <= 200
