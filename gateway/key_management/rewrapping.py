"""After a rotation of the storage key: every stored message's key is wrapped by the new one, and the old one ends.

Decides what has to be wrapped anew and when nothing needs the older keys any more. In small commits while the gateway runs;
a walk that was interrupted is continued by the next one.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlmodel import SQLModel, col

from gateway.errors import KeyringError
from gateway.founding import require_code
from gateway.key_management.retirement import before, retire
from gateway.key_management.rotation import await_next
from gateway.key_management.unopened import require_altered, require_opened
from gateway.keys.keychain import STORAGE
from gateway.ledger.entry import OperatorAct
from gateway.operations.acts import ConflictError, record
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.sealing import Sealer
from gateway.store.tables import HoldRow, OfficerRow, SubjectRequestRow, TransferRow
from gateway.wiring import Store, now

BATCH: Final = 200
_SEALED: Final[tuple[tuple[type[SQLModel], Any], ...]] = (
    (TransferRow, TransferRow.id),
    (OfficerRow, OfficerRow.kid),
    (SubjectRequestRow, SubjectRequestRow.id),
    (HoldRow, HoldRow.id),
)


def to_rewrap(store: Store) -> int:
    """How many stored keys are wrapped by another storage key than the one in use."""
    with store.database.reading() as session:
        return sum(_waiting(session.connection(), table, store.keys.storage.current().id) for table, _ in _SEALED)


def _waiting(connection: Any, table: Any, current: str) -> int:
    waiting = select(func.count()).where(col(table.storage_key) != current, col(table.wrapped_key) != b"")
    return int(connection.execute(waiting).scalar_one())


def rewrap(store: Store, *, why: str, who: str, progress: Callable[[int, int], None] = lambda _done, _of: None) -> int:
    """Wraps every stored message key by the storage key in use, in small commits while the gateway runs; how many it were.

    Then the older storage keys end: nothing needs them any more. Raises KeyringError where an older key is not at hand; and,
    after all others are wrapped, for rows that do not open.
    """
    require_code(who, "the operator"), require_code(why, "the reason")
    await_next(store, STORAGE)
    sealer, total, done = Sealer(store.keys.storage), to_rewrap(store), 0
    current, unopened = sealer.storage.current().id, list[str]()
    for table, name in _SEALED:
        for batch in _batches(store, table, name, current):
            changed = []
            for key, kid, old in batch:
                try:
                    changed.append((key, old, *sealer.rewrap(key, kid, old)))
                except KeyringError:
                    require_altered(store, kid)
                    unopened.append(f"{table.__tablename__} {key}")
            record(store, RecordEvent(OWN_LEDGER, (), partial(_replace, table, name, changed)))
            done += len(changed)
            progress(min(done, total), total)
    require_opened(unopened)
    _retire(store, current, why, who)
    return done


def _batches(store: Store, table: Any, name: Any, current: str) -> Iterator[Sequence[tuple[str, str, bytes]]]:
    after = ""
    while True:
        wanted = (
            select(col(name), col(table.storage_key), col(table.wrapped_key))
            .where(col(name) > after, col(table.storage_key) != current, col(table.wrapped_key) != b"")
            .order_by(col(name))
            .limit(BATCH)
        )
        with store.database.reading() as session:
            found = [(row[0], row[1], row[2]) for row in session.connection().execute(wanted)]
        if not found:
            return
        yield found
        after = found[-1][0]


def _replace(table: Any, name: Any, changed: Sequence[tuple[str, bytes, str, bytes]], transaction: Transaction) -> None:
    for key, old, kid, wrapped in changed:
        # The old bytes stand in the WHERE: what was erased meanwhile stays erased.
        transaction.connection.execute(
            update(table)
            .where(col(name) == key, col(table.wrapped_key) == old)
            .values(storage_key=kid, wrapped_key=wrapped)
        )


def _retire(store: Store, current: str, why: str, who: str) -> None:
    time = now()
    with store.database.reading() as session:
        older = [key for key in before(queries.own_keys(session), STORAGE, current) if not key.over(time)]
    if not older:
        return

    def end(transaction: Transaction) -> None:
        left = sum(_waiting(transaction.connection, table, current) for table, _ in _SEALED)
        if left:
            raise ConflictError(f"{left} stored keys came under the older storage key meanwhile: run it again")
        ended = [key.kid for key in older if retire(transaction, key, time, key.status)]
        for kid in ended:
            act = OperatorAct(time=time, who=who, what="keys.retire/storage", why=why, about=f"storage-key:{kid}")
            transaction.append(OWN_LEDGER, act)
        if ended:
            transaction.config_changes()

    record(store, RecordEvent(OWN_LEDGER, (), end))
