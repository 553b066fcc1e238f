"""Named reads about erasure: what is due, what stands against it, what was erased. None of them changes anything."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, func, or_, select, tuple_
from sqlmodel import Session, col

from gateway.erasure import Stored
from gateway.keys.keychain import LOST
from gateway.ledger.entry import TransferErased, decode, instant
from gateway.store.identity import first_id
from gateway.store.tables import (
    ACCEPTED,
    IS_KEPT,
    REFUSED,
    WAITING,
    DeadlineRow,
    EarlyWarningRow,
    GatewayKeyRow,
    HoldRow,
    LedgerEntry,
    LiaisonNoticeRow,
    OutboxRow,
    SubjectIndex,
    TransferRow,
    moment,
)

TRANSFER: Final = "transfer"
_ERASED: Final = f'"kind":"{TransferErased.kind}"'.encode()
_SEALED: Final = (TransferRow.wrapped_key, TransferRow.sealed_content, TransferRow.sealed_receipt)
Place = tuple[str, str, str]
"""Where a walk over what is due stands: decision, last day, transfer."""


@dataclass(frozen=True, slots=True)
class Due:
    """A transfer whose retention has ended, in the order of a walk."""

    ledger: str
    transfer: str
    place: Place


def due(session: Session, now: datetime, refused_days: int, after: Place | None, limit: int) -> Sequence[Due]:
    """The next transfers, accepted ones before refused ones, whose last day has passed; whatever stands against them."""
    found: list[Due] = []
    today = now.astimezone(UTC).date().isoformat()
    if after is None or after[0] == ACCEPTED:
        statement = select(col(TransferRow.ledger), col(TransferRow.id), col(TransferRow.retain_until)).where(
            IS_KEPT, col(TransferRow.decision) == ACCEPTED, col(TransferRow.retain_until) < today
        )
        if after is not None:
            statement = statement.where(tuple_(col(TransferRow.retain_until), col(TransferRow.id)) > after[1:])
        ordered = statement.order_by(col(TransferRow.retain_until), col(TransferRow.id)).limit(limit)
        for ledger, transfer, last_day in session.connection().execute(ordered):
            found.append(Due(ledger, transfer, (ACCEPTED, str(last_day), transfer)))
    if len(found) < limit:
        first = "" if after is None or after[0] == ACCEPTED else after[2]
        refused = select(col(TransferRow.ledger), col(TransferRow.id)).where(
            IS_KEPT,
            col(TransferRow.decision) == REFUSED,
            col(TransferRow.retain_until).is_(None),
            col(TransferRow.id) > first,
            col(TransferRow.id) < _refused_before(now, refused_days),
        )
        rows = session.connection().execute(refused.order_by(col(TransferRow.id)).limit(limit - len(found)))
        found += [Due(ledger, transfer, (REFUSED, "", transfer)) for ledger, transfer in rows]
    return found


def due_count(session: Session, now: datetime, refused_days: int) -> int:
    """How many a walk over `due` would see."""
    today = now.astimezone(UTC).date().isoformat()
    ended = or_(
        and_(col(TransferRow.decision) == ACCEPTED, col(TransferRow.retain_until) < today),
        and_(
            col(TransferRow.decision) == REFUSED,
            col(TransferRow.retain_until).is_(None),
            col(TransferRow.id) < _refused_before(now, refused_days),
        ),
    )
    return (
        session.connection().execute(select(func.count()).select_from(TransferRow).where(IS_KEPT, ended)).scalar_one()
    )


def _refused_before(now: datetime, refused_days: int) -> str:
    """Received on a day that was over so many days ago, in UTC."""
    today = datetime.combine(now.astimezone(UTC).date(), datetime.min.time(), UTC)
    return first_id(today - timedelta(days=refused_days))


def stored(connection: Connection, transfers: Collection[str], *, lock: bool = False) -> list[Stored]:
    """The state of each transfer, as `gateway/erasure.py` asks for it; those that do not exist are left out."""
    statement = (
        select(
            col(TransferRow.id),
            col(TransferRow.received_at),
            col(TransferRow.expires_at),
            col(TransferRow.decision),
            col(TransferRow.retain_until),
            col(TransferRow.stands_until),
            col(TransferRow.erased_at),
            col(OutboxRow.state),
            col(DeadlineRow.due_at),
            col(DeadlineRow.met_at),
            col(DeadlineRow.escalated_at),
        )
        .select_from(TransferRow)
        .outerjoin(OutboxRow, col(OutboxRow.transfer) == col(TransferRow.id))
        .outerjoin(DeadlineRow, col(DeadlineRow.transfer) == col(TransferRow.id))
        .where(col(TransferRow.id).in_(transfers))
        .order_by(col(TransferRow.id))
    )
    if lock:
        statement = statement.with_for_update(of=TransferRow)
    rows = connection.execute(statement).all()
    held = on_hold(connection, [row.id for row in rows])
    return [_stored(row, held) for row in rows]


def _stored(row: Row[*tuple[Any, ...]], held: Collection[str]) -> Stored:
    return Stored(
        transfer=row.id,
        received_at=moment(row.received_at),
        expires_at=moment(row.expires_at),
        retain_until=None if row.retain_until is None else date.fromisoformat(row.retain_until),
        waiting=row.state == WAITING,
        deadline=None if row.due_at is None or row.met_at is not None else moment(row.due_at),
        escalated=row.escalated_at is not None,
        stands_until=None if row.stands_until is None else moment(row.stands_until),
        held=row.id in held,
        erased=row.erased_at is not None,
    )


def on_hold(connection: Connection, transfers: Collection[str]) -> frozenset[str]:
    """Those of them that any hold covers: by its own id, or by an identifier that it holds.

    While a hold's identifier lies under a lost index key, nobody can tell what it covers of what is new: all of them.
    """
    active = col(HoldRow.released_at).is_(None)
    blind = (
        select(col(HoldRow.id))
        .join(GatewayKeyRow, col(GatewayKeyRow.kid) == col(HoldRow.index_key))
        .where(active, col(GatewayKeyRow.status) == LOST)
    )
    if connection.execute(blind.limit(1)).first() is not None:
        return frozenset(transfers)
    by_id = select(col(HoldRow.target)).where(
        active, col(HoldRow.scope) == TRANSFER, col(HoldRow.target).in_(transfers)
    )
    by_token = (
        select(col(SubjectIndex.transfer))
        .join(
            HoldRow, and_(col(HoldRow.scope) == col(SubjectIndex.kind), col(HoldRow.target) == col(SubjectIndex.token))
        )
        .where(active, col(SubjectIndex.transfer).in_(transfers))
    )
    return frozenset(connection.execute(by_id).scalars()) | frozenset(connection.execute(by_token).scalars())


def holds(session: Session, *, released: bool = False) -> Sequence[HoldRow]:
    """The holds in force, the oldest first; with `released`, those that ended as well."""
    statement = select(HoldRow).order_by(col(HoldRow.added_at), col(HoldRow.id))
    return (
        session.execute(statement if released else statement.where(col(HoldRow.released_at).is_(None))).scalars().all()
    )


def erased(session: Session, after: str, limit: int) -> Sequence[TransferRow]:
    """Erased transfers in the order of their ids, from the one behind `after` on."""
    statement = (
        select(TransferRow)
        .where(col(TransferRow.erased_at).is_not(None), col(TransferRow.id) > after)
        .order_by(col(TransferRow.id))
        .limit(limit)
    )
    return session.execute(statement).scalars().all()


def back(session: Session, ledger: str) -> Iterator[tuple[str, int, datetime, str]]:
    """(transfer, position, time, ground) of every erasure in the ledger whose message is stored all the same.

    Reads the ledger from end to end, in flat memory.
    """
    leaves = session.connection().execute(
        select(col(LedgerEntry.position), col(LedgerEntry.leaf))
        .where(col(LedgerEntry.ledger) == ledger)
        .order_by(col(LedgerEntry.position)),
        execution_options={"yield_per": 1000},
    )
    for page in leaves.partitions():
        said = {}
        for position, leaf in page:
            if _ERASED in leaf:  # few are of this kind: the others are not parsed
                entry = decode(leaf)
                said[str(entry["transfer"])] = (position, instant(entry["time"]), str(entry["erased_for"]))
        if said:
            kept = select(col(TransferRow.id)).where(IS_KEPT, col(TransferRow.id).in_(said))
            yield from ((transfer, *said[transfer]) for transfer in session.connection().execute(kept).scalars())


def emptied(session: Session, limit: int) -> Sequence[str]:
    """Transfers whose content or key is gone although nothing says that they were erased."""
    nothing = or_(*(func.length(col(part)) == 0 for part in _SEALED))
    found = select(col(TransferRow.id)).where(IS_KEPT, nothing).order_by(col(TransferRow.id)).limit(limit)
    return session.connection().execute(found).scalars().all()


def erased_count(session: Session) -> int:
    erased_ = select(func.count()).select_from(TransferRow).where(col(TransferRow.erased_at).is_not(None))
    return session.connection().execute(erased_).scalar_one()


def leftovers(session: Session, transfers: Collection[str]) -> Iterator[tuple[str, str]]:
    """(table, transfer) of every row that an erasure should have taken away."""
    for table in (SubjectIndex, EarlyWarningRow, LiaisonNoticeRow):
        place = col(table.transfer)
        found = session.connection().execute(select(place).where(place.in_(transfers)).distinct())
        yield from ((str(table.__tablename__), transfer) for transfer in found.scalars())


def covered(session: Session, scope: str, target: str) -> int:
    """How many stored transfers a hold of this scope and target covers now."""
    if scope == TRANSFER:
        return 1
    index = select(func.count()).select_from(SubjectIndex)
    found = index.where(col(SubjectIndex.kind) == scope, col(SubjectIndex.token) == target)
    return session.connection().execute(found).scalar_one()
