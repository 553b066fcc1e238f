"""What a witness must never forget: one SQLite file with the latest checkpoint of each log that it cosigned.

    BEGIN IMMEDIATE
      read what is held for the log
      admit the new checkpoint, or refuse
      write it
    COMMIT, synced to the disk                                <- the commit point
    only now: the signature is made and leaves

So two requests at once, in one process or in two, are decided one after the other, and a witness that is killed between
the commit and the answer has promised nothing that it does not remember. A file that was restored from a backup has
forgotten promises: such a witness starts anew, under a new name and key.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import OperatorError, StoreUnavailableError
from gateway.witness.admission import Held, Submission, admit, contradicts

EVIDENCE_LIMIT: Final = 16
_BUSY_SECONDS: Final = 5.0
_SHAPE: Final = """
CREATE TABLE held (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, time INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE evidence (
    origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, cosigned BLOB NOT NULL,
    time INTEGER NOT NULL, PRIMARY KEY (origin, size, root)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two notes that one log signed for one size: `cosigned` here, `note` refused at `time` (seconds)."""

    origin: str
    size: int
    cosigned: bytes
    note: bytes
    time: int


def create(path: Path) -> None:
    """An empty memory in a new file, for its owner alone. Raises OperatorError when there is one."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise OperatorError(f"{path} cannot be created: {error.strerror}") from error
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_SHAPE)


class Memory:
    """The file, opened by one process; any number of threads and processes may use it."""

    def __init__(self, path: Path) -> None:
        """Raises OperatorError where there is none: a witness that begins empty by accident forgets its promises."""
        if not path.is_file():
            raise OperatorError(f"{path} does not exist: only `sinergi witness init` makes it")
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def cosign(self, submission: Submission, time: int) -> Held:
        """Remembers the submission as cosigned. Raises NotCosignedError, and StoreUnavailableError when unknown."""
        origin = submission.checkpoint.origin
        with self._transaction() as connection:
            held = self._held(connection, origin)
            if contradicts(submission, held):
                assert held is not None
                self._keep(connection, submission, held, time)
                admitted = None
            else:
                admitted = admit(submission, held, time)
                connection.execute(
                    "INSERT INTO held (origin, size, root, note, time) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root,"
                    " note = excluded.note, time = excluded.time",
                    (origin, admitted.size, admitted.root, admitted.note, admitted.time),
                )
        # The transaction has ended: what is refused for a contradiction is refused after that was written down.
        return admitted if admitted is not None else admit(submission, held, time)

    def held(self, origin: str) -> Held | None:
        with self._transaction() as connection:
            return self._held(connection, origin)

    def contradictions(self) -> list[Contradiction]:
        """Every proof against a log that this witness was ever shown, the oldest first."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT origin, size, cosigned, note, time FROM evidence ORDER BY time")
            return [Contradiction(*row) for row in rows]

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _held(self, connection: sqlite3.Connection, origin: str) -> Held | None:
        row = connection.execute("SELECT size, root, note, time FROM held WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Held(*row)

    def _keep(self, connection: sqlite3.Connection, submission: Submission, held: Held, time: int) -> None:
        origin, checkpoint = submission.checkpoint.origin, submission.checkpoint
        count = connection.execute("SELECT count(*) FROM evidence WHERE origin = ?", (origin,)).fetchone()[0]
        if count < EVIDENCE_LIMIT:  # one proves it; whoever holds the log's key could fill the disk
            connection.execute(
                "INSERT OR IGNORE INTO evidence (origin, size, root, note, cosigned, time) VALUES (?, ?, ?, ?, ?, ?)",
                (origin, checkpoint.size, checkpoint.root, submission.note, held.note, time),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                # After a failed COMMIT it is unknown what the file holds: no signature, and a fresh look next time.
                self._drop()
                raise StoreUnavailableError("the witness's memory cannot be written") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=_BUSY_SECONDS,
                check_same_thread=False,
            )
            connection.execute("PRAGMA synchronous=FULL")
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
