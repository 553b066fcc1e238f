"""What shares a commit: one job's fault is its own, and nobody is told of a commit that was none."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any

import psycopg
import pytest
from psycopg._pipeline_base import BasePipeline
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from gateway.errors import CallerError, StoreUnavailableError
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.recorder import Job, Recorder, Transaction
from gateway.store.session import Database
from gateway.store.tables import UsedMessageId, UsedToken
from gateway.store.waiting import Waiting
from tests.store.ledgers import act, require_sound

NIK = "3604012345670001"


class Writing:
    """One entry, and rows beside it."""

    ledgers: Sequence[str] = ("pks",)
    message_id = None

    def __init__(self, number: int, *rows: tuple[type[SQLModel], dict[str, Any]]) -> None:
        self.number, self.rows = number, rows

    def stage(self, transaction: Transaction) -> None:
        for table, row in self.rows:
            transaction.insert(table, row)
        transaction.append("pks", act(self.number))


class Changing:
    """Changes a row by itself and adds none, as whoever leases a message does; `then` is done after it."""

    ledgers: Sequence[str] = ()
    message_id = None

    def __init__(self, then: Callable[[Transaction], None] = lambda _: None) -> None:
        self.then = then

    def stage(self, transaction: Transaction) -> None:
        transaction.connection.execute(text("UPDATE config_version SET version = 4711"))
        self.then(transaction)


def used(jti: str, transfer: Any = "0" * 36) -> tuple[type[SQLModel], dict[str, Any]]:
    return UsedMessageId, {"sender": "imi", "jti": jti, "transfer": transfer}


def together(recorder: Recorder, *jobs: Job[Any]) -> list[BaseException | None]:
    """All of them in one batch; how each ended."""
    futures: list[Future[Any]] = [Future() for _ in jobs]
    recorder._line.join([Waiting(job, future) for job, future in zip(jobs, futures, strict=True)])
    wait(futures, 20)
    return [future.exception(0) for future in futures]


@pytest.fixture
def recorder(database: Database, checkpoint_keys: CheckpointKeys) -> Any:
    made = Recorder(database, checkpoint_keys)
    made.start()
    yield made
    made.stop()


UNWRITABLE = {
    "a lone surrogate": used("bad", "\ud800"),
    "NUL, which PostgreSQL has not": used("bad", "a\0b"),
    "nothing where something must be": used("bad", None),
    "no text at all": used("bad", object()),
    "a number without end": (UsedToken, {"agency": "polda", "jti": "bad", "expires_at": 2**70}),
    "a column too few": (UsedMessageId, {"sender": "imi", "jti": "bad"}),
}


@pytest.mark.parametrize("bad", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_a_row_that_cannot_be_written_harms_no_neighbour(
    recorder: Recorder, database: Database, checkpoint_keys: CheckpointKeys, bad: tuple[type[SQLModel], dict[str, Any]]
) -> None:
    """Whether driver, server or Python refuses it: its own caller hears so, those before and after it have their receipts."""
    before, refused, after = together(recorder, Writing(1, used("one")), Writing(2, bad), Writing(3, used("two")))
    assert (before, after) == (None, None)
    written = refused is None and bad[1].get("transfer") == "a\0b" and database.is_sqlite
    assert written or isinstance(refused, StoreUnavailableError)
    assert require_sound(database, checkpoint_keys) == 2 + written


def test_a_transaction_that_the_database_gave_up_is_no_commit(recorder: Recorder, database: Database) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK, and no error, when somebody hushed up a fault: nobody gets a receipt for it."""

    def hushed(transaction: Transaction) -> None:
        try:
            transaction.connection.execute(text("SELECT * FROM no_such_table"))
        except DBAPIError as error:
            raise CallerError("no") from error

    def gave_up(transaction: Transaction) -> None:
        """What SQLite does by itself when its disk is full."""
        transaction.connection.exec_driver_sql("ROLLBACK")
        raise CallerError("no")

    first, _ = together(recorder, Changing(), Changing(gave_up if database.is_sqlite else hushed))
    with database.read.connect() as connection:
        written = connection.execute(text("SELECT version FROM config_version")).scalar_one() == 4711
    assert written == (first is None)
    assert together(recorder, Writing(1, used("later"))) == [None]


@pytest.fixture
def talking(postgres_url: str, open_empty: Callable[[str], Database]) -> Database:
    """A PostgreSQL opened by a process whose driver may log whatever it likes until then."""
    logging.getLogger("psycopg").setLevel(logging.NOTSET)
    return open_empty(postgres_url)


def test_the_driver_tells_no_log_of_the_rows_that_the_server_quotes(
    talking: Database, checkpoint_keys: CheckpointKeys, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver logs errors that it holds back, and PostgreSQL's errors quote the row: a NIK in it must not get there.

    In a server as on the terminal of an operator's command, where Python shows every warning that nobody else handles.
    """
    recorder = Recorder(talking, checkpoint_keys)
    recorder.start()
    for _ in range(5):
        together(recorder, Writing(1, used(NIK, None)), Writing(2, used("bad", "a\0b")))
    recorder.stop()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("psycopg")] == []
    assert not logging.getLogger("psycopg.pool").isEnabledFor(logging.ERROR)


def test_a_connection_that_is_ended_in_the_middle_is_thrown_away(
    talking: Database,
    checkpoint_keys: CheckpointKeys,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The driver may not notice, and stay in the pipeline, where no ROLLBACK can be sent: the pool logged that, with the row."""
    left, leave = [], BasePipeline._exit

    def stays(pipeline: BasePipeline, error: BaseException | None) -> None:
        """What it does when the server's last word comes in the place of an answer."""
        left.append(pipeline)
        if len(left) == 1:  # the questions
            leave(pipeline, error)
            return
        pipeline.level -= 1
        raise psycopg.OperationalError("cannot exit pipeline mode while busy")

    recorder = Recorder(talking, checkpoint_keys)
    recorder.start()
    with monkeypatch.context() as patched:
        patched.setattr(BasePipeline, "_exit", stays)
        (refused,) = together(recorder, Writing(1, used(NIK, None)))
    assert isinstance(refused, StoreUnavailableError)
    assert together(recorder, Writing(2, used("later"))) == [None]
    recorder.stop()
    assert [record.getMessage() for record in caplog.records] == []
    assert require_sound(talking, checkpoint_keys) == 1
