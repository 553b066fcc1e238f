"""The one write path: a thread that takes what is waiting and commits it together.

    wait for a job; take up to 256 that are there
    BEGIN
      lock the heads of the ledgers they name, in order of name
      read the configuration's version, the message ids already used
      stage each job: it checks once more, appends its entry, leaves its rows
      move heads and edges on; write entries, new tiles, checkpoints, rows
    COMMIT                                                    <- the commit point
    only now: proofs, and each caller gets its answer

A crash before the commit point leaves nothing; after it, everything is there and the caller's retry finds it. An error
*from* the commit leaves it unknown which of the two happened: no one gets a receipt, the connection is dropped, and the
next batch starts from what the database then says (field experience: docs/explanation/trusted-stores.md).
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog
from sqlalchemy import ARRAY, Connection, String, any_, bindparam, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlmodel import SQLModel, col

from gateway.errors import GatewayError, LedgerForkedError, OperatorError, StoreUnavailableError
from gateway.ledger.entry import Entry
from gateway.store.append import LedgerAppend, Memory, Placed, ask_head
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.rows import insert_rows
from gateway.store.session import Database, require_open
from gateway.store.tables import ConfigVersion, UsedMessageId
from gateway.store.together import Send, Sent, together
from gateway.store.waiting import Answer, Line, Waiting, answer

BATCH: Final = 256
BACKLOG: Final = 4096
TURN: Final = 64
STUCK_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 20.0
_log = structlog.get_logger("sinergi.recorder")
T_co = TypeVar("T_co", covariant=True)


class DecidedBeforeError(GatewayError):
    """The configuration, or what earlier messages leave room for, changed since it was judged: judge it again."""


class Transaction:
    """What a job may use while it is staged. Rows and entries of a job that raises are forgotten."""

    def __init__(
        self,
        connection: Connection,
        appends: Mapping[str, LedgerAppend],
        config_version: int,
        used_ids: set[tuple[str, str]],
    ) -> None:
        self.connection = connection
        self.appends = appends
        self.config_version = config_version
        self.used_ids = used_ids
        self.rows: dict[type[SQLModel], list[dict[str, Any]]] = {}

    def append(self, ledger: str, entry: Entry) -> Placed:
        return self.appends[ledger].append(entry)

    def insert(self, table: type[SQLModel], row: dict[str, Any]) -> None:
        """Written with all other rows of its table at the end of the batch."""
        self.rows.setdefault(table, []).append(row)

    def require_version(self, judged_at: int) -> None:
        """Raises DecidedBeforeError when the configuration changed since a job was judged."""
        if self.config_version != judged_at:
            raise DecidedBeforeError

    def config_changes(self) -> None:
        """Moves the configuration's version: whatever was decided before is decided again."""
        self.connection.execute(update(ConfigVersion).values(version=col(ConfigVersion.version) + 1))
        self.config_version += 1

    def mark(self) -> tuple[dict[str, int], dict[type[SQLModel], int]]:
        return (
            {name: append.size for name, append in self.appends.items()},
            {table: len(rows) for table, rows in self.rows.items()},
        )

    def forget(self, mark: tuple[dict[str, int], dict[type[SQLModel], int]]) -> None:
        sizes, counts = mark
        for name, size in sizes.items():
            self.appends[name].forget(size)
        for table, rows in self.rows.items():
            del rows[counts.get(table, 0) :]

    def flush(self) -> None:
        for append in self.appends.values():
            append.sign()
        with together(self.connection) as send:
            for append in self.appends.values():
                append.write(send)
            for table, rows in self.rows.items():
                if rows:
                    insert_rows(self.connection, table, rows)
        for append in self.appends.values():
            append.require_written()


class Job(Protocol[T_co]):
    """One thing to be recorded, or refused, whole."""

    @property
    def ledgers(self) -> Sequence[str]:
        """The ledgers it appends to."""
        ...

    @property
    def message_id(self) -> tuple[str, str] | None:
        """`(sender, jti)` when the job is about one; the batch looks them all up together."""
        ...

    def stage(self, transaction: Transaction) -> T_co:
        """Raises a GatewayError, before it has changed anything through the connection, to be left out."""
        ...


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """A job's result, and how to prove the entries it appended."""

    result: T
    _provers: Mapping[str, Callable[[int], str]]

    def proof(self, placed: Placed) -> str:
        """A C2SP tlog-proof against the checkpoint that this commit published."""
        return self._provers[placed.ledger](placed.index)


@dataclass(slots=True)
class Figures:
    """Counts since the start, for `/metrics`."""

    commits: int = 0
    jobs: int = 0
    failures: int = 0
    unknown: int = 0
    largest_batch: int = 0


def _stopping() -> StoreUnavailableError:
    return StoreUnavailableError("the gateway is stopping")


class Recorder:
    """Started once a process by `wiring.py`; `submit` may be called from any thread."""

    def __init__(self, database: Database, keys: CheckpointKeys, memory: Memory | None = None) -> None:
        self._database = database
        self._keys = keys
        self.memory = memory or Memory()
        self.figures = Figures()
        self._line = Line()
        # What one turn of an event loop has brought so far: it joins the line together, and so shares a commit.
        self._turns: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._stopping = False
        self._busy_since: float | None = None
        self.fatal: GatewayError | None = None
        # What may pass by itself, as a wrong clock: nothing is taken until then.
        self.held: GatewayError | None = None

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether a job that comes now can expect an answer; false while one commit hangs for STUCK_SECONDS."""
        since = self._busy_since
        stuck = since is not None and time.monotonic() - since > STUCK_SECONDS
        return self._thread.is_alive() and not (self._stopping or stuck) and self.fatal is self.held is None

    @property
    def waiting(self) -> int:
        return len(self._line)

    def submit(self, job: Job[T]) -> "Future[Committed[T]]":
        """For threads: the future resolves after the commit. Raises StoreUnavailableError when too much waits already."""
        self._require_room()
        future: Future[Committed[T]] = Future()
        if not self._line.join([Waiting(job, future)]):
            raise _stopping()
        return future

    async def record(self, job: Job[T]) -> "Committed[T]":
        """Hands in and waits. Raises what the job raises, and StoreUnavailableError when the commit takes too long.

        After such a wait it is not known whether the job will be recorded: the caller sends the same again.
        """
        self._require_room()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed[T]] = loop.create_future()
        turn = self._turns.setdefault(loop, [])
        if not turn:
            # After everything that is ready to run now: whoever else this turn of the loop brings comes along.
            loop.call_soon(self._hand_over, loop)
        turn.append(Waiting(job, future))
        if len(turn) >= TURN:
            self._hand_over(loop)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await future
        except TimeoutError as error:
            raise StoreUnavailableError("the database takes too long", retry_after=5) from error

    def _require_room(self) -> None:
        if self.fatal is not None:
            raise StoreUnavailableError("the ledger needs an operator", retry_after=60)
        if self.held is not None:
            raise StoreUnavailableError("the gateway's clock is wrong", retry_after=30)
        if self._stopping:
            raise _stopping()
        if len(self._line) >= BACKLOG:
            raise StoreUnavailableError("too much is waiting")

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        if (turn := self._turns.pop(loop, None)) and not self._line.join(turn):
            answer((waiting, None, _stopping()) for waiting in turn)

    def stop(self, timeout: float = 30) -> None:
        """Takes nothing more, commits what is waiting, ends."""
        self._stopping = True
        if self._thread.is_alive():
            self._line.close()
            self._thread.join(timeout)

    def _run(self) -> None:
        while (arrived := self._line.take(BATCH)) is not None:
            batch = [waiting for waiting in arrived if waiting.take()]
            if not batch:
                continue
            self._busy_since = time.monotonic()
            try:
                self._record(batch)
            except Exception as error:  # noqa: BLE001 - the thread outlives whatever happens in it
                self._fail(batch, _unavailable(error, "the recorder failed"))
            self._busy_since = None

    def _record(self, batch: Sequence[Waiting], *, again: bool = False) -> None:
        try:
            self._attempt(batch)
        except (IntegrityError, DataError, ProgrammingError) as error:
            # Another process used the same message id or token between our look and our insert; or one job's rows do
            # not fit: its neighbours must not suffer for it.
            if len(batch) > 1:
                for waiting in batch:
                    self._record([waiting])
            elif not again:
                # The other has committed by now: the job's own look will find what it did.
                self._record(batch, again=True)
            else:
                self._fail(batch, _unavailable(error, "the database refused the row"))
        except DBAPIError as error:
            self._fail(batch, _unavailable(error, "the database refused the batch"))
        except StoreUnavailableError as error:
            self._fail(batch, error)
        except OperatorError as error:
            # The ledger contradicts itself: nothing more is signed until an operator has looked.
            self.fatal = error if error.code == "ledger.forked" else self.fatal
            refusal = StoreUnavailableError("the ledger needs an operator", retry_after=60)
            refusal.__cause__ = error
            self._fail(batch, refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must get an answer
            self._fail(batch, _unavailable(error, "the recorder failed"))

    def _attempt(self, batch: Sequence[Waiting]) -> None:
        results: list[tuple[Waiting, Any]] = []
        refused: list[Answer] = []
        with self._database.write.connect() as connection:
            outer = connection.begin()
            try:
                transaction = self._begun(connection, [waiting.job for waiting in batch])
                for waiting in batch:
                    mark = transaction.mark()
                    try:
                        results.append((waiting, waiting.job.stage(transaction)))
                    except (LedgerForkedError, DBAPIError):
                        raise
                    except Exception as error:  # noqa: BLE001 - one job's failure is not its neighbours'
                        transaction.forget(mark)
                        refused.append((waiting, None, error))
                require_open(connection)
                transaction.flush()
                require_open(connection)
            except BaseException as error:
                outer.rollback()
                if isinstance(error, _NO_ROW):
                    raise DataError(None, None, error) from error
                raise
            self._commit(connection, outer)
        for append in transaction.appends.values():
            append.committed()
        self.figures.commits += 1
        self.figures.jobs += len(batch)
        self.figures.largest_batch = max(self.figures.largest_batch, len(batch))
        provers = {name: append.prover() for name, append in transaction.appends.items()}
        recorded: list[Answer] = [(waiting, Committed(result, provers), None) for waiting, result in results]
        answer(recorded + refused)

    def _begun(self, connection: Connection, jobs: Sequence[Job[Any]]) -> Transaction:
        """Locks the heads of the ledgers that the jobs name, in order of name, then asks what they all must know."""
        with together(connection) as send:
            heads = [ask_head(send, name) for name in sorted({name for job in jobs for name in job.ledgers})]
            config = send(_CONFIG, {})
            used = _ask_used(send, connection, (job.message_id for job in jobs))
        appends = {(row := head()).ledger: LedgerAppend(connection, row, self._keys, self.memory) for head in heads}
        ((version,),) = config.fetchall()
        ids = {(sender, jti) for sender, sent in used.items() for (jti,) in sent.fetchall()}
        return Transaction(connection, appends, version, ids)

    def _commit(self, connection: Connection, outer: Any) -> None:
        notices = connection.info.get("notices")
        if notices is not None:
            notices.clear()
        try:
            outer.commit()
        except Exception:
            # Unknown: the rows may be there. No receipt; this connection is not used again.
            self.figures.unknown += 1
            connection.invalidate()
            raise
        if notices:
            # PostgreSQL, synchronous replication: a cancelled wait makes COMMIT succeed though no replica has it.
            self.figures.unknown += 1
            connection.invalidate()
            raise StoreUnavailableError("the commit was not confirmed by the replicas")

    def _fail(self, batch: Sequence[Waiting], error: GatewayError) -> None:
        self.figures.failures += len(batch)
        answer((waiting, None, error) for waiting in batch)
        # The callers first: a log that cannot be written must not leave them waiting.
        with contextlib.suppress(OSError, ValueError):
            cause = error.__cause__
            found = cause.detail if isinstance(cause, GatewayError) else type(cause).__name__
            _log.error("store_unavailable", detail=error.detail, cause=found, jobs=len(batch))


def _unavailable(cause: BaseException, detail: str) -> StoreUnavailableError:
    error = StoreUnavailableError(detail)
    error.__cause__ = cause
    return error


def _ask_used(send: Send, connection: Connection, wanted: Iterable[tuple[str, str] | None]) -> dict[str, Sent]:
    """By sender: which of its message ids are used already."""
    jtis: dict[str, set[str]] = {}
    for message_id in wanted:
        if message_id is not None:
            sender, jti = message_id
            jtis.setdefault(sender, set()).add(jti)
    statement = _USED_OF_ARRAY if connection.dialect.name == "postgresql" else _USED
    return {sender: send(statement, {"sender": sender, "jtis": sorted(used)}) for sender, used in jtis.items()}


# What a driver raises for a value that it cannot hand on: a lone surrogate, a number without end, a column too few.
_NO_ROW: Final = (ArithmeticError, LookupError, TypeError, ValueError)
# Made once: for a row or two, SQLAlchemy takes longer to put a statement together than the database to carry it out. A sender
# at a time: for pairs in a list SQLite walks the whole table.
_JTI: Final = col(UsedMessageId.jti)
_OF_SENDER: Final = select(_JTI).where(col(UsedMessageId.sender) == bindparam("sender"))
_USED: Final = _OF_SENDER.where(_JTI.in_(bindparam("jtis", expanding=True)))
# One text whatever their number: PostgreSQL keeps it prepared.
_USED_OF_ARRAY: Final = _OF_SENDER.where(any_(bindparam("jtis", type_=ARRAY(String))) == _JTI)
# FOR SHARE: a change of the configuration waits for what was judged before it, and is seen by what comes after.
_CONFIG = select(col(ConfigVersion.version)).where(col(ConfigVersion.id) == 1).with_for_update(read=True)
