"""An announced key of the gateway is taken back before it begins, and the key in use goes on as if nothing had been said.

Decides which key may be: one that has signed nothing, and under which nothing is stored. A checkpoint key is none of them: every
ledger says already that it comes next, and both signed that. Leaves to `rotation.py` what is announced in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlmodel import col

from gateway.errors import OperatorError
from gateway.founding import RefusedError, require_code
from gateway.keys.directory import ACTIVE, RETIRED
from gateway.keys.keychain import INDEX, REQUEST, SIGN, STORAGE, OwnKey, in_use, state
from gateway.ledger.entry import Entry, KeyAdded, KeyRetired
from gateway.operations.acts import ConflictError, Who, authority, record
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.clocks import TOLERANCE
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.tables import GatewayKeyRow, SubjectIndex, micros
from gateway.wiring import Store, now

ROLES: Final = (SIGN, REQUEST, STORAGE, INDEX)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """`key` never begins, `goes_on` is the one in use."""

    key: OwnKey
    goes_on: OwnKey


def plan(store: Store, role: str) -> Withdrawal:
    """Raises OperatorError for a role that has no such key, RefusedError where none was announced."""
    if role not in ROLES:
        raise OperatorError(f"the role must be one of {', '.join(ROLES)}")
    time = now()
    with store.database.reading() as session:
        own = queries.own_keys(session)
    announced = next((key for key in own if key.role == role and state(key, own, time) == "pending"), None)
    used = in_use(own, role, time)
    if announced is None or used is None:
        raise RefusedError(f"no announced {role} key waits to begin")
    return Withdrawal(announced, used)


def withdraw(store: Store, role: str, *, why: str, who: Who) -> Withdrawal:
    """Takes the announced key back. One operator is enough: whatever was in use stays so. Raises as `plan`."""
    require_code(authority(who).who, "the operator")
    require_code(why, "the reason")
    found, time, gateway = plan(store, role), now(), store.settings.gateway.id

    def take_back(transaction: Transaction) -> None:
        resume(transaction, found)
        end_announced(transaction, role, found.key.kid, time)

    entries: list[Entry] = []
    if found.key.jwk is not None:
        entries = [KeyRetired(time=time, agency=gateway, key=found.key.kid, use=role, not_after=time)]
    entries += resumed(found, gateway, time)
    about = f"{role}-key" if found.key.jwk is not None else f"{role}-key:{found.key.kid}"
    entries.append(authority(who).entry(time, f"keys.withdraw/{role}", why=why, about=about))
    record(store, RecordEvent(OWN_LEDGER, entries, take_back, changes_config=True))
    return found


def begun_by(transaction: Transaction, time: datetime) -> datetime:
    """What begins until then may have begun. On PostgreSQL another node's clock may be ahead, as far as clocks may differ."""
    alone = transaction.connection.dialect.name == "sqlite"
    return max(time, now()) + (timedelta() if alone else TOLERANCE)


def end_announced(transaction: Transaction, role: str, kid: str, time: datetime) -> None:
    """It never begins. Raises ConflictError for one that has, at `time` or by the clock: something may be under it."""
    ended = transaction.connection.execute(
        update(GatewayKeyRow)
        .where(col(GatewayKeyRow.kid) == kid, col(GatewayKeyRow.status) == ACTIVE)
        .where(col(GatewayKeyRow.not_before) > micros(begun_by(transaction, time)))
        .values(status=RETIRED, not_after=micros(time))
    )
    if ended.rowcount != 1:
        raise ConflictError("the key is in use already, perhaps on another node, or was withdrawn meanwhile")
    _forget_digests(transaction, role, kid)


def resume(transaction: Transaction, found: Withdrawal) -> None:
    """The key in use has no end any more; what was written beside its own digests is gone. To be called before the other ends.

    Raises ConflictError where the other one has given way already: the end that the key in use has is then another one's doing.
    """
    kids = (found.key.kid, found.goes_on.kid)
    stand = select(col(GatewayKeyRow.kid)).where(col(GatewayKeyRow.kid).in_(kids), col(GatewayKeyRow.status) == ACTIVE)
    if len(transaction.connection.execute(stand).all()) != len(kids):
        raise ConflictError("the announced key was withdrawn or replaced meanwhile: look, and try again")
    transaction.connection.execute(
        update(GatewayKeyRow).where(col(GatewayKeyRow.kid) == found.goes_on.kid).values(not_after=None)
    )
    _forget_digests(transaction, found.key.role, found.key.kid)


def _forget_digests(transaction: Transaction, role: str, kid: str) -> None:
    if role == INDEX:
        transaction.connection.execute(delete(SubjectIndex).where(col(SubjectIndex.index_key) == kid))


def resumed(found: Withdrawal, gateway: str, time: datetime) -> Sequence[Entry]:
    """For the ledger: once more `key.added`, without an end."""
    used = found.goes_on
    if used.jwk is None:
        return ()
    return (KeyAdded(time=time, agency=gateway, key=used.kid, use=used.role, not_before=used.not_before),)
