"""Who writes to SQLite when several want to."""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from gateway.store.session import Database, open_database
from gateway.store.sqlite_turns import begin_writing

PATIENCE_MS = 50
COUNT = text("UPDATE counted SET commits = commits + 1")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    with database.write.begin() as connection:
        connection.execute(text("CREATE TABLE counted (commits INTEGER)"))
        connection.execute(text("INSERT INTO counted VALUES (0)"))
    yield database
    database.close()


@pytest.fixture
def hasty(database: Database) -> Iterator[Engine]:
    """Another process's engine, as it were, that waits for 50 ms only."""
    engine = create_engine(database.write.url)

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None

    event.listen(engine, "begin", lambda connection: begin_writing(connection, PATIENCE_MS))
    yield engine
    engine.dispose()


def test_turn_by_turn(database: Database) -> None:
    """A writer that commits again and again, with no time in between, leaves every other writer its turn."""
    done = threading.Event()

    def commit_again_and_again() -> None:
        with database.write.connect() as connection:
            while not done.is_set():
                with connection.begin():
                    connection.execute(COUNT)
                    time.sleep(0.002)

    busy = threading.Thread(target=commit_again_and_again)
    busy.start()
    seen = []
    try:
        for _ in range(20):
            with database.write.begin() as connection:
                connection.execute(COUNT)
                (commits,) = connection.execute(text("SELECT commits FROM counted")).one()
                seen.append(commits)
    finally:
        done.set()
        busy.join()
    between = sorted(later - earlier for earlier, later in pairwise(seen))
    assert between[len(between) // 2] <= 3, between


def test_hung_head_of_the_line(database: Database, hasty: Engine) -> None:
    """Who hangs at the head of the line, before it has begun, keeps nobody from writing for longer than they wait anyway."""
    assert database.write.url.database
    folder = os.open(Path(database.write.url.database).parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with hasty.begin() as connection:
            connection.execute(COUNT)
    finally:
        os.close(folder)


def test_patience(database: Database, hasty: Engine) -> None:
    """Who waits in vain for another's commit is told so by the database's own error, and writes when it is over."""
    with database.write.begin() as writing:
        writing.execute(COUNT)
        with pytest.raises(OperationalError, match="locked"), hasty.begin():
            pytest.fail("it began beside another")
    with hasty.begin() as connection:
        connection.execute(COUNT)
        assert connection.execute(text("SELECT commits FROM counted")).scalar_one() == 2
        (patience,) = connection.execute(text("PRAGMA busy_timeout")).one()
        assert patience == PATIENCE_MS
