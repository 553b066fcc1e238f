"""After a rotation of the index key: what is found by a keyed digest is found by the new one, and the old one ends.

Decides when the index is whole under the new key. Since the new key began, everything new is written under both and read
under the old one; this walk adds the new digests of what was there before. In one commit the reading changes over and the old
key ends; then its digests are thrown away. Of an erased message no new digest can be made: while there are any, the old key
is kept for recognising them, and for nothing else; one that is lost (`index_loss.py`) cannot even do that. The walk needs no
older key, only the messages. One that was interrupted is continued by the next one.
"""

import json
import time as clock
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, tuple_, update
from sqlmodel import col

from gateway.data_protection.holds import TARGET_PART, TRANSFER
from gateway.decision.subjects import identifiers
from gateway.errors import KeyringError
from gateway.founding import require_code
from gateway.key_management.announcement import newest
from gateway.key_management.retirement import before, retire
from gateway.key_management.rotation import await_next
from gateway.key_management.unopened import require_altered, require_opened
from gateway.keyring import Secret
from gateway.keys.directory import ACTIVE
from gateway.keys.keychain import INDEX, KEPT, LOST, RETIRED, OwnKey
from gateway.ledger.entry import HoldAdded, OperatorAct, hold_commitment
from gateway.message.envelope import Limits, open_message, parse
from gateway.operations.acts import ConflictError, record
from gateway.operations.officers import IDENTITY_PART, PERSON, head_of
from gateway.record import OWN_LEDGER, open_content
from gateway.store import queries
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.sealing import Sealer, identity, token
from gateway.store.tables import GatewayKeyRow, HoldRow, OfficerRow, SubjectIndex, TransferRow
from gateway.wiring import Store, now

BATCH: Final = 100
ROWS: Final = 2_000
# By then every node has read that the reading changed over; a node that has not says so on /readyz.
SETTLED_SECONDS: Final = 3.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _New:
    """A transfer's digests under the new key."""

    transfer: str
    identity: str
    tokens: frozenset[tuple[str, str]]


def to_reindex(store: Store) -> int:
    """How many stored messages have digests under another index key than the one in use."""
    with store.database.reading() as session:
        return _waiting(session.connection(), store.keys.index.current().id)


def _waiting(connection: Any, current: str) -> int:
    waiting = select(func.count()).where(_of_others(current), col(TransferRow.erased_at).is_(None))
    return int(connection.execute(waiting).scalar_one())


def _of_others(current: str) -> Any:
    return col(TransferRow.index_key) != current


def reindex(store: Store, *, why: str, who: str, progress: Progress = lambda _done, _of: None) -> int:
    """Makes the index anew under the key in use, in small commits while the gateway runs; of how many messages.

    Raises KeyringError where a key is not at hand that something stored still needs; and, after all others are found anew, for
    messages, holds and officers that do not open.
    """
    require_code(who, "the operator"), require_code(why, "the reason")
    await_next(store, INDEX)
    key, total, done = store.keys.index.current(), to_reindex(store), 0
    unopened: list[str] = []
    for batch in _batches(store, key, unopened):
        record(store, RecordEvent(OWN_LEDGER, (), partial(_move, key.id, batch)))
        done += len(batch)
        progress(min(done, total), total)
    require_opened(unopened)
    if _change_over(store, key, why, who):
        clock.sleep(SETTLED_SECONDS)
    _throw_away(store, key.id)
    return done


def to_forget(store: Store) -> tuple[str, ...]:
    """The older keys that are kept for erased messages alone."""
    with store.database.reading() as session:
        return tuple(key.kid for key in queries.own_keys(session) if key.role == INDEX and key.status == KEPT)


def forget_erased(store: Store, *, why: str, who: str) -> tuple[str, ...]:
    """Ends the keys that are kept for erased messages alone; which they were.

    Whoever sends an erased message again is told that its `jti` was used, and gets no receipt.
    """
    time, kept = now(), to_forget(store)
    require_code(who, "the operator"), require_code(why, "the reason")

    def end(transaction: Transaction) -> None:
        for kid in kept:
            mine = (col(GatewayKeyRow.kid) == kid, col(GatewayKeyRow.status) == KEPT)
            ended = transaction.connection.execute(update(GatewayKeyRow).where(*mine).values(status=RETIRED))
            if ended.rowcount == 1:  # not, if another run was faster
                transaction.append(OWN_LEDGER, _act(time, who, f"index-key:{kid}", why))
        transaction.config_changes()

    if kept:
        record(store, RecordEvent(OWN_LEDGER, (), end))
    return kept


def _batches(store: Store, key: Secret, unopened: list[str]) -> Iterator[list[_New]]:
    """Of what opens; the ids of the others go to `unopened`."""
    sealer, limits, after = Sealer(store.keys.storage), store.settings.limits.limits(), ""
    while True:
        wanted = (
            select(TransferRow)
            .where(col(TransferRow.id) > after, _of_others(key.id), col(TransferRow.erased_at).is_(None))
            .order_by(col(TransferRow.id))
            .limit(BATCH)
        )
        found = []
        with store.database.reading() as session:
            rows = session.execute(wanted).scalars().all()
            for row in rows:
                after = row.id
                try:
                    found.append(_digests(row, sealer, key, limits))
                except KeyringError:
                    require_altered(store, row.storage_key)
                    unopened.append(f"transfer {row.id}")
        if not rows:
            return
        yield found


def _digests(row: TransferRow, sealer: Sealer, key: Secret, limits: Limits) -> _New:
    message = parse(str(open_content(sealer, row)["message"]).encode("ascii"), limits)
    named = identifiers(message.claims, open_message(message, limits).payload)
    tokens = frozenset((kind, token(key, kind, value)) for kind, value in named)
    return _New(row.id, identity(key, message.jwt), tokens)


def _require_in_use(key: str, transaction: Transaction) -> None:
    """A run that was overtaken by a rotation moves nothing back to its own key, which may be over."""
    if transaction.connection.execute(newest(INDEX, now())).scalar() != key:
        raise ConflictError("the index key was replaced meanwhile: run it again")


def _move(key: str, batch: Sequence[_New], transaction: Transaction) -> None:
    _require_in_use(key, transaction)
    _add(key, batch, transaction)


def _add(key: str, batch: Sequence[_New], transaction: Transaction) -> None:
    for new in batch:
        moved = transaction.connection.execute(
            update(TransferRow)
            # What was erased meanwhile is not found again.
            .where(col(TransferRow.id) == new.transfer, col(TransferRow.erased_at).is_(None), _of_others(key))
            .values(identity=new.identity, index_key=key)
        )
        if moved.rowcount == 1:
            _add_tokens(key, new, transaction)


def _add_tokens(key: str, new: _New, transaction: Transaction) -> None:
    """Those that are missing: a message that came after the key was announced and before it began has them already."""
    place = (col(SubjectIndex.kind), col(SubjectIndex.token))
    wanted = select(*place).where(tuple_(*place).in_(new.tokens), col(SubjectIndex.transfer) == new.transfer)
    there = {tuple(row) for row in transaction.connection.execute(wanted)} if new.tokens else set()
    if missing := sorted(new.tokens - there):
        rows = [{"kind": kind, "token": text, "transfer": new.transfer, "index_key": key} for kind, text in missing]
        transaction.connection.execute(insert(SubjectIndex), rows)


def _change_over(store: Store, key: Secret, why: str, who: str) -> bool:
    """The commit from which on the index is read under the new key. Whether there was an older one to end."""
    time = now()
    with store.database.reading() as session:
        begun = before(queries.own_keys(session), INDEX, key.id)
        older = [old for old in begun if old.status == LOST or not old.over(time)]
        if not older:
            return False
        rows, officer_rows = session.execute(_HOLDS).scalars().all(), queries.officer_rows(session)
    sealer, unopened = Sealer(store.keys.storage), list[str]()

    def opened(made: Callable[[], str], name: str, storage_key: str) -> str:
        try:
            return made()
        except KeyringError:
            require_altered(store, storage_key)
            unopened.append(name)
            return ""

    holds = [
        (row.id, opened(partial(_hold_token, row, sealer, key), f"hold {row.id}", row.storage_key)) for row in rows
    ]
    officers = [
        (row.kid, opened(partial(_head_token, row, sealer, key), f"officer {row.kid}", row.storage_key))
        for row in officer_rows
    ]
    require_opened(unopened)
    again = [_committed(row, text, who, time) for row, (_, text) in zip(rows, holds, strict=True)]

    def end(transaction: Transaction) -> None:
        connection = transaction.connection
        _require_in_use(key.id, transaction)
        if left := _waiting(connection, key.id):
            raise ConflictError(f"{left} messages came under the older index key meanwhile: run it again")
        ended = [old.kid for old in older if retire(transaction, old, time, _status(connection, old))]
        if not ended:
            return  # another run did all of this
        for hold, text in holds:
            connection.execute(update(HoldRow).where(col(HoldRow.id) == hold).values(target=text, index_key=key.id))
        for kid, text in officers:
            connection.execute(
                update(OfficerRow).where(col(OfficerRow.kid) == kid).values(person=text, index_key=key.id)
            )
        others = [
            select(func.count()).where(col(HoldRow.scope) != TRANSFER, col(HoldRow.index_key) != key.id),
            select(func.count()).where(col(OfficerRow.index_key) != key.id),
        ]
        if any(connection.execute(other).scalar_one() for other in others):
            raise ConflictError("an officer or a hold was added meanwhile: run it again")
        for entry in (*again, *(_act(time, who, f"index-key:{kid}", why) for kid in ended)):
            transaction.append(OWN_LEDGER, entry)
        transaction.config_changes()

    record(store, RecordEvent(OWN_LEDGER, (), end))
    return True


def _status(connection: Any, old: OwnKey) -> str:
    """How it ends: it is kept for erased messages, unless nobody has it."""
    if old.status == LOST:
        return RETIRED
    needed = select(col(TransferRow.id)).where(col(TransferRow.index_key) == old.kid).limit(1)
    return ACTIVE if connection.execute(needed).first() is None else KEPT


def _committed(row: HoldRow, text: str, who: str, time: datetime) -> HoldAdded:
    """The hold's entry once more: what it commits to is the digest in its row, and that is another one now."""
    committed = hold_commitment(bytes(row.commitment_key), row.scope, text)
    return HoldAdded(time=time, hold=row.id, scope=row.scope, who=who, why=row.why, commitment=committed)


def _act(time: datetime, who: str, about: str, why: str) -> OperatorAct:
    return OperatorAct(time=time, who=who, what="keys.retire/index", why=why, about=about)


_HOLDS: Final = select(HoldRow).where(col(HoldRow.scope) != TRANSFER)


def _hold_token(row: HoldRow, sealer: Sealer, key: Secret) -> str:
    seal = sealer.unwrap(row.id, row.storage_key, row.wrapped_key)
    return token(key, row.scope, seal.open(TARGET_PART, row.sealed_target).decode())


def _head_token(row: OfficerRow, sealer: Sealer, key: Secret) -> str:
    seal = sealer.unwrap(row.kid, row.storage_key, row.wrapped_key)
    number = json.loads(seal.open(IDENTITY_PART, row.sealed_identity))["id"]
    return token(key, PERSON, head_of(row.agency, number))


def _throw_away(store: Store, current: str) -> None:
    """Digests under older keys, which nothing is looked up by any more. A walk along the index, past what stays: also what
    was written under a key that came meanwhile.
    """
    place = (col(SubjectIndex.kind), col(SubjectIndex.token), col(SubjectIndex.transfer))
    after: tuple[str, str, str] = ("", "", "")
    while True:
        wanted = select(*place, col(SubjectIndex.index_key)).where(tuple_(*place) > after).order_by(*place).limit(ROWS)
        with store.database.reading() as session:
            rows = session.connection().execute(wanted).all()
            # After the rows: whichever key they are under is among these.
            own = queries.own_keys(session)
        if not rows:
            return
        stays = {key.kid for key in own if key.role == INDEX} - {key.kid for key in before(own, INDEX, current)}
        gone = [tuple(row[:3]) for row in rows if row[3] not in stays]
        if gone:
            record(store, RecordEvent(OWN_LEDGER, (), partial(_delete, gone)))
        after = (rows[-1][0], rows[-1][1], rows[-1][2])


def _delete(rows: Sequence[tuple[str, ...]], transaction: Transaction) -> None:
    place = tuple_(col(SubjectIndex.kind), col(SubjectIndex.token), col(SubjectIndex.transfer))
    for first in range(0, len(rows), BATCH):
        transaction.connection.execute(delete(SubjectIndex).where(place.in_(rows[first : first + BATCH])))
