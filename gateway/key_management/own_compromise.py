"""A key of the gateway's own in other hands since a known moment: what it touched since, and what is made good.

Decides what is in doubt, a role at a time. `sign`: the receipts and releases since then; the key is revoked, recipients are
alerted, and the releases and alerts that still wait are signed anew (`renewal.py`), so that nothing on its way is lost.
`request`: nothing but pushes of that time. `checkpoint`: what was shown of the ledgers since then. `storage` and `index`: no
signature, but every message that lay under the key could be read or found. A key in use is rotated first: this module ends
one, it makes none.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import or_, update
from sqlmodel import col, select

from gateway.errors import OperatorError
from gateway.founding import RefusedError, require_code
from gateway.key_management.compromise import BATCH, Doubtful, lost_key
from gateway.key_management.renewal import Renewed, renew_alerts, renew_releases, signed_since
from gateway.key_management.rotation import WALKS
from gateway.key_management.withdrawal import Withdrawal, begun_by, resume, resumed
from gateway.keys.keychain import CHECKPOINT, LONG_LIVED, LOST, REVOKED, SIGN, OwnKey, in_use
from gateway.ledger.entry import Entry, KeyRevoked
from gateway.operations.acts import ConflictError, Who, authority, record, require_two
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.jobs.alerts import AlertAbout
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.sealing import Sealer
from gateway.store.tables import ACCEPTED, GatewayKeyRow, TransferRow, micros, moment
from gateway.wiring import Store, now

# Every ledger says which of them comes after which.
_SAID: Final = (CHECKPOINT, LONG_LIVED)


@dataclass(frozen=True, slots=True)
class Touched:
    """What a lost key of the gateway touched: transfers, by role, and how many waiting releases and alerts were signed anew.

    `left` are those that were not, because they do not open, or are not what was recorded: nobody will take them.
    """

    role: str
    transfers: tuple[Doubtful, ...]
    signed_anew: int = 0
    alerts_anew: int = 0
    left: tuple[str, ...] = ()


def touched(store: Store, kid: str, since: datetime) -> Touched:
    """Raises RefusedError for a key that is not the gateway's."""
    key = find_own(store, kid)
    return Touched(key.role, _transfers(store, key, since))


def compromise_own(store: Store, kid: str, since: datetime, *, why: str, who: Who) -> Touched:
    """Revokes the key as of `since`, and does what its role asks for. It takes two operators; a run that was interrupted is
    continued by the word of one.

    Raises RefusedError where no other key of the role is in use yet, or something stored still needs this one.
    """
    time, gateway = now(), store.settings.gateway.id
    if since > time:
        raise OperatorError("a key cannot have been lost in the future")
    require_code(authority(who).who, "the operator"), require_code(why, "the reason")
    key = find_own(store, kid)
    require_replaced(store, key, time)
    if key.status != REVOKED or key.untrusted_since is None or since < key.untrusted_since:
        try:
            _revoke(store, key, since, why=why, who=who)
        except RefusedError:
            if find_own(store, kid).untrusted_since != since:
                raise
            # Another run of the same was faster: both go on with the rest.
    elif since > key.untrusted_since:
        raise RefusedError("the key is already declared lost since an earlier moment")
    with store.database.reading() as session:
        store.keys.learn(queries.own_keys(session))  # what is signed from here on is by a key that is not lost
    found = _transfers(store, key, since)
    signed = renewed = Renewed()
    if key.role == SIGN:
        # Alerts first: a release that is signed anew is no longer found by this key, if another one signed its receipt.
        lost = lost_key(store, gateway, kid, since)
        for ledger, transfers in _by_ledger(found):
            record(store, AlertAbout(ledger, transfers, lost, time))
        signed = renew_releases(store, key, [one.transfer for one in found if one.decision == ACCEPTED])
        renewed = renew_alerts(store, key, lost.sign)
    return Touched(key.role, found, signed.done, renewed.done, (*signed.left, *renewed.left))


def find_own(store: Store, kid: str) -> OwnKey:
    """Raises RefusedError for a key that is not the gateway's."""
    with store.database.reading() as session:
        found = next((key for key in queries.own_keys(session) if key.kid == kid), None)
    if found is None:
        raise RefusedError(f"{store.settings.gateway.id} has no key {kid}")
    return found


def require_replaced(store: Store, key: OwnKey, time: datetime) -> None:
    """Raises RefusedError where no other key of the role is in use yet, or something stored still needs this one.

    One that has not begun is replaced by the key in use, which goes on.
    """
    with store.database.reading() as session:
        others = [one for one in queries.own_keys(session) if one.kid != key.kid]
    used = in_use(others, key.role, time)
    if used is not None and _announced(key, time):
        return
    if used is None or (used.not_before < key.not_before and not key.over(time)):
        raise RefusedError(f"the key is in use: first `sinergi keys rotate --role {key.role} --lead 0`")
    if key.role in WALKS and (key.status == LOST or not key.over(time)):
        raise RefusedError(f"stored data still needs the key: first `sinergi keys {WALKS[key.role]}`")


def _announced(key: OwnKey, time: datetime) -> bool:
    """A checkpoint key is announced by every ledger, which cannot be unsaid: it begins, and is replaced by the next."""
    return key.not_before > time and not key.over(time) and key.role not in _SAID


def _revoke(store: Store, key: OwnKey, since: datetime, *, why: str, who: Who) -> None:
    time, gateway = now(), store.settings.gateway.id

    def end(transaction: Transaction) -> None:
        require_two(transaction, who, time)
        if withdrawn is not None:
            # Taken back by the same right as a withdrawal: before anything can be under it.
            if key.not_before <= begun_by(transaction, time):
                raise ConflictError("the key has begun meanwhile, perhaps on another node: it has to be replaced first")
            resume(transaction, withdrawn)
        ended = transaction.connection.execute(
            update(GatewayKeyRow)
            .where(col(GatewayKeyRow.kid) == key.kid)
            .where(
                or_(col(GatewayKeyRow.untrusted_since).is_(None), col(GatewayKeyRow.untrusted_since) > micros(since))
            )
            .values(status=REVOKED, untrusted_since=micros(since))
        )
        if ended.rowcount != 1:
            raise ConflictError("the key is already declared lost since an earlier moment")

    withdrawn = None
    if _announced(key, time):
        with store.database.reading() as session:
            used = in_use(queries.own_keys(session), key.role, time)
        withdrawn = None if used is None else Withdrawal(key, used)
    entries: list[Entry] = []
    also: list[tuple[str, Entry]] = []
    if key.jwk is not None:
        revoked = KeyRevoked(
            time=time, agency=gateway, key=key.kid, use=key.role, not_before=key.not_before, not_after=since, why=why
        )
        entries.append(revoked)
        if key.role in _SAID:
            # In every ledger: from here on each has a checkpoint that the key in use signed.
            with store.database.reading() as session:
                also = [(head.ledger, revoked) for head in queries.ledgers(session) if head.ledger != OWN_LEDGER]
    entries += () if withdrawn is None else resumed(withdrawn, gateway, time)
    about = f"{key.role}-key" if key.jwk is not None else f"{key.role}-key:{key.kid}"
    entries.append(authority(who).entry(time, f"keys.revoke/{key.role}", why=why, about=about))
    record(store, RecordEvent(OWN_LEDGER, entries, end, changes_config=True, also=also))


def _transfers(store: Store, key: OwnKey, since: datetime) -> tuple[Doubtful, ...]:
    """Of a signing key: what it signed from then on. Of a secret: all that lay under it at some time since."""
    until = micros(key.not_after or now())
    wanted = select(TransferRow).where(col(TransferRow.received_at) < until).order_by(col(TransferRow.id))
    sealer, since = Sealer(store.keys.storage), since.replace(microsecond=0)  # as key sets and signatures speak
    with store.database.reading() as session:
        if key.role == SIGN:
            first = min((since, *_renewed_since(queries.own_keys(session), key)))
            wanted = wanted.where(col(TransferRow.received_at) >= micros(first))
        elif key.role in WALKS:
            wanted = wanted.where(
                or_(col(TransferRow.erased_at).is_(None), col(TransferRow.erased_at) >= micros(since))
            )
        else:
            return ()
        return tuple(
            Doubtful(row.id, row.ledger, moment(row.received_at), row.recipient, row.type, row.decision)
            for row in session.exec(wanted.execution_options(yield_per=BATCH))
            if key.role != SIGN or signed_since(sealer, row, key, since)
        )


def _renewed_since(own: Iterable[OwnKey], key: OwnKey) -> Iterator[datetime]:
    """Releases that an earlier lost key signed may have been signed anew by this one."""
    for other in own:
        if other.role == SIGN and other.untrusted_since is not None and other.not_before < key.not_before:
            yield other.untrusted_since


def _by_ledger(found: Sequence[Doubtful]) -> Iterator[tuple[str, list[str]]]:
    by_ledger: dict[str, list[str]] = {}
    for one in found:
        if one.decision == ACCEPTED:
            by_ledger.setdefault(one.ledger, []).append(one.transfer)
    for ledger, transfers in by_ledger.items():
        for first in range(0, len(transfers), BATCH):
            yield ledger, transfers[first : first + BATCH]
