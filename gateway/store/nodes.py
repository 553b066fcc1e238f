"""Which processes serve, and what each knows of the gateway's keys: a row each, refreshed every few seconds.

Decides by the database's clock who is alive: a process that ended without a word is soon none, and later its row goes. A command
that wants to know whether a key opens everywhere asks through a row of its own. Nothing rests on the register but how long a new
key is announced before it begins: a row that is wrong makes a rotation slower, or a node answer 503 until it has the file.
"""

import json
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, update
from sqlmodel import Session, col, select

from gateway.store.clocks import time_at
from gateway.store.configuration import Configuration
from gateway.store.recorder import Recorder, Transaction
from gateway.store.session import Database
from gateway.store.tables import NodeRow, micros, moment

BEAT_SECONDS: Final = 2.0
LIVE: Final = timedelta(seconds=15)
FORGOTTEN: Final = timedelta(minutes=10)
_WAIT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """A key that may be announced: does it open there?"""

    role: str
    uri: str
    kid: str


@dataclass(frozen=True, slots=True)
class Node:
    """A process that serves. `unopened`: how many keys it needs now or soon do not open there; `opens`: asked keys that do."""

    name: str
    seen_at: datetime
    config_version: int
    unopened: int
    opens: frozenset[str]


def live(session: Session) -> tuple[Node, ...]:
    """Those that said so a moment ago, by name."""
    return tuple(
        Node(row.name, moment(row.seen_at), row.config_version, row.unopened, frozenset(json.loads(row.opens)))
        for row in _rows(session.connection())
        if row.asks is None
    )


def asked(session: Session) -> tuple[Asked, ...]:
    return tuple(Asked(*json.loads(row.asks)) for row in _rows(session.connection()) if row.asks is not None)


def _rows(connection: Connection) -> Sequence[Any]:
    since = micros(time_at(connection) - LIVE)
    wanted = select(NodeRow.__table__).where(col(NodeRow.seen_at) > since)  # type: ignore[attr-defined]
    return connection.execute(wanted.order_by(col(NodeRow.name), col(NodeRow.id))).all()


@dataclass(frozen=True, slots=True)
class Beat:
    """A process's row, as of now; what is long silent goes. It concerns no ledger, so it locks none."""

    id: str
    values: Mapping[str, Any]
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        connection = transaction.connection
        time = time_at(connection)
        row = {**self.values, "seen_at": micros(time)}
        if connection.execute(update(NodeRow).where(col(NodeRow.id) == self.id).values(**row)).rowcount == 0:
            connection.execute(insert(NodeRow), [{"id": self.id, **row}])
        connection.execute(delete(NodeRow).where(col(NodeRow.seen_at) < micros(time - FORGOTTEN)))


@dataclass(frozen=True, slots=True)
class Leave:
    """The row goes with its process."""

    id: str
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        transaction.connection.execute(delete(NodeRow).where(col(NodeRow.id) == self.id))


@dataclass(slots=True)
class Presence:
    """One serving process's. `opens`: the id of the key of a role at a URI, or None; `unopened`: how many do not open."""

    database: Database
    recorder: Recorder
    configuration: Configuration
    opens: Callable[[str, str], str | None]
    unopened: Callable[[], int]
    name: str = field(default_factory=lambda: f"{socket.gethostname()[:200]}/{os.getpid()}")
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    # To open one costs a tenth of a second: what opened is not opened for every beat.
    _opened: dict[Asked, bool] = field(default_factory=dict)

    def beat(self) -> None:
        """Blocks. Raises StoreUnavailableError; the next one comes soon."""
        with self.database.reading() as session:
            wanted = asked(session)
        self._opened = {one: self._opened.get(one) or self.opens(one.role, one.uri) == one.kid for one in wanted}
        values = {
            "name": self.name,
            "config_version": self.configuration.current().version,
            "unopened": self.unopened(),
            "asks": None,
            "opens": json.dumps([one.kid for one, opened in self._opened.items() if opened]),
        }
        self.recorder.submit(Beat(self.id, values)).result(_WAIT_SECONDS)

    def leave(self) -> None:
        self.recorder.submit(Leave(self.id)).result(_WAIT_SECONDS)
