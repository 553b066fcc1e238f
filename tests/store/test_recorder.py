"""The recorder: what it promises about one ledger, whatever the database does."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from gateway.errors import CallerError, LedgerForkedError, StoreUnavailableError
from gateway.ledger.checkpoint import open_checkpoint
from gateway.ledger.proof import verify_proof
from gateway.operations.acts import ConflictError
from gateway.store import queries
from gateway.store import together as sent_together
from gateway.store.append import Memory
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.jobs.events import RecordEvent, TokenUsedError, UseToken
from gateway.store.recorder import Recorder, Transaction
from gateway.store.session import Database, open_database
from tests.store.ledgers import act, entry_job, require_sound


@pytest.fixture
def recorder(database: Database, checkpoint_keys: CheckpointKeys) -> Any:
    made = Recorder(database, checkpoint_keys)
    made.start()
    yield made
    made.stop()


def test_an_answer_comes_with_a_proof_that_verifies(recorder: Recorder, checkpoint_keys: CheckpointKeys) -> None:
    """Whoever gets an answer can prove its entry offline with the ledger's public key alone."""
    for number in range(5):
        committed = recorder.submit(entry_job(number)).result(10)
        (placed,) = committed.result
        verifier = checkpoint_keys.note_signer(placed.origin).verifier
        proven = verify_proof(committed.proof(placed), placed.leaf_hash, placed.origin, [verifier])
        assert proven.index == placed.index == number


def test_the_proof_given_again_is_the_proof_given_first(recorder: Recorder, database: Database) -> None:
    """A retry gets the same bytes, however far the ledger has grown since."""
    first = [recorder.submit(entry_job(number)) for number in range(300)]
    wait(first)
    for _ in range(3):
        recorder.submit(entry_job()).result(10)
    with database.reading() as session:
        for future in first[::37]:
            committed = future.result()
            (placed,) = committed.result
            assert queries.proof(session, placed.ledger, placed.index) == committed.proof(placed)


def test_a_proof_given_again_is_one_question_to_the_database(recorder: Recorder, database: Database) -> None:
    """Checkpoint and tile come together: on a busy server each question is one more wait for a processor."""
    wait([recorder.submit(entry_job(number)) for number in range(20)])
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(database.read, "before_cursor_execute", note)
    with database.reading() as session:
        queries.proof(session, "pks", 7)
    assert len([one for one in asked if one != "BEGIN"]) == 1


def test_many_callers_get_contiguous_indices(
    recorder: Recorder, database: Database, checkpoint_keys: CheckpointKeys
) -> None:
    """Every index from 0 on is given exactly once, across batches and tile boundaries."""
    futures = [recorder.submit(entry_job(number)) for number in range(1000)]
    wait(futures)
    assert sorted(future.result().result[0].index for future in futures) == list(range(1000))
    assert require_sound(database, checkpoint_keys) == 1000
    assert recorder.figures.commits < 1000


def test_two_recorders_on_one_database_keep_one_ledger(
    database: Database, database_url: str, checkpoint_keys: CheckpointKeys
) -> None:
    """Two processes' recorders interleave without a gap, a fork or a lost entry."""
    other = open_database(database_url)
    recorders = [Recorder(database, checkpoint_keys), Recorder(other, checkpoint_keys)]
    for recorder in recorders:
        recorder.start()
    futures = [recorders[number % 2].submit(entry_job(number)) for number in range(400)]
    wait(futures)
    for recorder in recorders:
        recorder.stop()
    other.close()
    assert sorted(future.result().result[0].index for future in futures) == list(range(400))
    assert require_sound(database, checkpoint_keys) == 400


class Refusing:
    """A job that appends and then refuses."""

    ledgers: Sequence[str] = ("pks",)
    message_id = None

    def stage(self, transaction: Transaction) -> None:
        transaction.append("pks", act())
        raise CallerError("no")


def test_a_refused_job_leaves_nothing_and_harms_no_neighbour(
    recorder: Recorder, database: Database, checkpoint_keys: CheckpointKeys
) -> None:
    """A job that fails while it is staged takes its entry back; the others of its batch commit."""
    futures: list[Any] = []
    for number in range(50):
        futures += [recorder.submit(entry_job(number)), recorder.submit(Refusing())]
    wait(futures)
    for future in futures[1::2]:
        with pytest.raises(CallerError):
            future.result()
    assert [future.result().result[0].index for future in futures[::2]] == list(range(50))
    assert require_sound(database, checkpoint_keys) == 50


def test_an_act_that_is_refused_after_a_change_leaves_none(recorder: Recorder, database: Database) -> None:
    """Whatever it did before the conflict was found is not in the commit that its neighbours share."""

    def half(transaction: Transaction) -> None:
        transaction.connection.execute(text("UPDATE config_version SET version = 4711"))
        raise ConflictError("found out late")

    jobs = [RecordEvent("pks", [act(1)]), RecordEvent("pks", [act(2)], half), RecordEvent("pks", [act(3)])]
    first, refused, third = [recorder.submit(job) for job in jobs]
    with pytest.raises(ConflictError):
        refused.result(10)
    assert [one.result(10).result[0].index for one in (first, third)] == [0, 1]
    with database.read.connect() as connection:
        assert connection.execute(text("SELECT version FROM config_version")).scalar_one() != 4711


def test_a_token_counts_once_on_all_nodes(
    database: Database, database_url: str, checkpoint_keys: CheckpointKeys
) -> None:
    """Of two nodes that see the same request token at once, one accepts it."""
    other = open_database(database_url)
    recorders = [Recorder(database, checkpoint_keys), Recorder(other, checkpoint_keys)]
    for recorder in recorders:
        recorder.start()
    outcomes = []
    for number in range(20):
        pair = [recorder.submit(UseToken("polda-banten", f"token-{number:04}", 1, 1)) for recorder in recorders]
        wait(pair)
        outcomes.append(sorted(type(future.exception()).__name__ for future in pair))
    for recorder in recorders:
        recorder.stop()
    other.close()
    assert outcomes == [["NoneType", TokenUsedError.__name__]] * 20


class Failing:
    """Makes one statement or the commit of the recorder's engine fail, and counts."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch, *, at: str, persists: bool = False) -> None:
        self.at, self.persists, self.armed = at, persists, False
        self._compiled = sent_together._compiled
        event.listen(database.write, "before_cursor_execute", self._statement)
        monkeypatch.setattr(sent_together, "_compiled", self._sent)
        event.listen(database.write, "commit", self._commit)

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if self.armed and self.at in statement:
            self.armed = False
            raise OperationalError(statement, None, OSError("injected"))

    def _sent(self, statement: Any, dialect: Any) -> tuple[str, dict[str, Any]]:
        """What is sent to PostgreSQL before anything is waited for: the server itself refuses it."""
        text, own = self._compiled(statement, dialect)
        if self.armed and self.at in text:
            self.armed = False
            return "DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = 'disk_full'; END $$", {}
        return text, own

    def _commit(self, connection: Any) -> None:
        if self.armed and self.at == "COMMIT":
            self.armed = False
            if self.persists:
                connection.connection.driver_connection.execute("COMMIT") if connection.dialect.name == "sqlite" else (
                    connection.connection.driver_connection.commit()
                )
            raise OperationalError("COMMIT", None, OSError("injected"))


@pytest.mark.parametrize(
    "at", ["INSERT INTO ledger_entry", "ledger_tile", "INSERT INTO ledger_checkpoint", "UPDATE ledger_head"]
)
def test_a_write_that_fails_leaves_nothing(
    recorder: Recorder,
    database: Database,
    checkpoint_keys: CheckpointKeys,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    """Whichever write of the commit fails, nobody gets an answer, nothing stays, and the next caller succeeds."""
    recorder.submit(entry_job(0)).result(10)
    failing = Failing(database, monkeypatch, at=at)
    failing.armed = True
    with pytest.raises(StoreUnavailableError):
        recorder.submit(entry_job(1)).result(10)
    assert require_sound(database, checkpoint_keys) == 1
    assert recorder.submit(entry_job(2)).result(10).result[0].index == 1
    assert require_sound(database, checkpoint_keys) == 2


@pytest.mark.parametrize("persists", [False, True])
def test_a_commit_error_is_unknown_and_never_a_receipt(
    recorder: Recorder,
    database: Database,
    checkpoint_keys: CheckpointKeys,
    monkeypatch: pytest.MonkeyPatch,
    persists: bool,
) -> None:
    """After an error from COMMIT the caller gets no answer, whether the rows are there or not; the ledger goes on."""
    recorder.submit(entry_job(0)).result(10)
    failing = Failing(database, monkeypatch, at="COMMIT", persists=persists)
    failing.armed = True
    with pytest.raises(StoreUnavailableError):
        recorder.submit(entry_job(1)).result(10)
    size = require_sound(database, checkpoint_keys)
    assert size == (2 if persists else 1)
    assert recorder.figures.unknown == 1
    assert recorder.submit(entry_job(2)).result(10).result[0].index == size
    assert require_sound(database, checkpoint_keys) == size + 1


def test_a_rolled_back_database_is_refused_while_running(
    recorder: Recorder, database: Database, checkpoint_keys: CheckpointKeys
) -> None:
    """A head smaller than one this process has signed is never built upon."""
    for number in range(3):
        recorder.submit(entry_job(number)).result(10)
    ahead = Memory()
    with database.reading() as session:
        head = queries.ledger_head(session, "pks")
    verified = open_checkpoint(head.checkpoint, head.origin, [checkpoint_keys.note_signer(head.origin).verifier])
    from dataclasses import replace

    ahead.remember("pks", replace(verified.checkpoint, size=99), head.checkpoint)
    distrusting = Recorder(database, checkpoint_keys, ahead)
    distrusting.start()
    with pytest.raises(StoreUnavailableError):
        distrusting.submit(entry_job(9)).result(10)
    assert isinstance(distrusting.fatal, LedgerForkedError)
    with pytest.raises(StoreUnavailableError):
        distrusting.submit(entry_job(9))
    distrusting.stop()


def test_a_full_backlog_is_refused_at_once(
    database: Database, checkpoint_keys: CheckpointKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When more waits than the recorder can hold, callers get 503 instead of a place in an endless queue."""
    monkeypatch.setattr("gateway.store.recorder.BACKLOG", 2)
    stuck = Recorder(database, checkpoint_keys)
    stuck.submit(entry_job()), stuck.submit(entry_job())
    with pytest.raises(StoreUnavailableError):
        stuck.submit(entry_job())


def test_a_stop_commits_what_was_taken(database: Database, checkpoint_keys: CheckpointKeys) -> None:
    """Jobs that were submitted before the stop are answered; later ones are refused."""
    recorder = Recorder(database, checkpoint_keys)
    futures = [recorder.submit(entry_job(number)) for number in range(600)]
    starter = threading.Thread(target=recorder.start)
    starter.start()
    starter.join()
    recorder.stop()
    assert all(future.result(1).result for future in futures)
    with pytest.raises(StoreUnavailableError):
        recorder.submit(entry_job())
    assert require_sound(database, checkpoint_keys) == 600


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET leaf = 'x'",
        "DELETE FROM ledger_entry",
        "DELETE FROM ledger_checkpoint",
        "DELETE FROM ledger_head",
        "UPDATE ledger_head SET size = 0",
        "UPDATE ledger_tile SET data = 'x'",
        "UPDATE ledger_checkpoint SET note = 'x'",
        "TRUNCATE ledger_entry",
        "INSERT OR REPLACE INTO ledger_entry VALUES ('pks', 0, 'x')",
        "DROP TRIGGER ledger_entry_kept",
    ],
)
def test_the_database_refuses_to_forget(recorder: Recorder, database: Database, statement: str) -> None:
    """Append-only is enforced by the database too, against the application's own connections."""
    recorder.submit(entry_job()).result(10)
    with pytest.raises(DBAPIError), database.write.begin() as connection:
        connection.execute(text(statement))


def test_postgresql_triggers_hold_in_replica_mode(
    postgres_url: str, open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys
) -> None:
    """`session_replication_role = replica`, which switches ordinary triggers off, does not open the ledger."""
    database = open_empty(postgres_url)
    recorder = Recorder(database, checkpoint_keys)
    recorder.start()
    recorder.submit(entry_job()).result(10)
    recorder.stop()
    with database.write.connect() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        with pytest.raises(DBAPIError):
            connection.execute(text("DELETE FROM ledger_entry"))


@pytest.mark.parametrize(
    ("table", "column"), [("ledger_entry", "leaf"), ("ledger_tile", "data"), ("ledger_head", "frontier")]
)
def test_start_up_detects_one_changed_byte(
    recorder: Recorder,
    database: Database,
    checkpoint_keys: CheckpointKeys,
    tmp_path: Any,
    database_url: str,
    table: str,
    column: str,
) -> None:
    """Someone with the owner's rights changes one byte behind the gateway's back: it refuses to start."""
    for number in range(3):
        recorder.submit(entry_job(number)).result(10)
    owner = open_database(database_url)
    with owner.write.begin() as connection:
        sqlite = owner.is_sqlite
        for name in ("kept", "fixed", "grows") if sqlite else ():
            connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_{name}"))
        if not sqlite:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        value = connection.execute(text(f"SELECT {column} FROM {table} WHERE ledger = 'pks'")).scalars().first()
        changed = bytes([value[0] ^ 1]) + value[1:]
        connection.execute(
            text(f"UPDATE {table} SET {column} = :new WHERE ledger = 'pks' AND {column} = :old"),
            {"new": changed, "old": value},
        )
    owner.close()
    files = CheckpointFiles(tmp_path / "checkpoints", checkpoint_keys)
    with pytest.raises(LedgerForkedError):
        files.require_sound(database, files.load())


def test_start_up_detects_a_restored_backup(
    recorder: Recorder, database: Database, checkpoint_keys: CheckpointKeys, tmp_path: Any
) -> None:
    """A database older than the checkpoint that was kept beside it is refused; a current one is not."""
    files = CheckpointFiles(tmp_path / "checkpoints", checkpoint_keys)
    recorder.submit(entry_job()).result(10)
    files.save(recorder.memory)
    files.require_sound(database, files.load())
    empty = open_database(f"sqlite:///{tmp_path / 'restored.db'}")
    from gateway.store.append import create_ledger
    from gateway.store.migrations import migrate

    migrate(empty)
    with empty.write.begin() as connection:
        create_ledger(connection, "pks", "gateway.test/ledger/pks", checkpoint_keys)
    with pytest.raises(LedgerForkedError):
        files.require_sound(empty, files.load())
    empty.close()
