"""Named reads about deadlines and early warnings; each is one question with its SQL inside, and changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, or_
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from gateway.early_warning import Counted
from gateway.statements.notice import OVERDUE
from gateway.store.tables import IS_UNMET, WAITING, DeadlineRow, EarlyWarningRow, LiaisonNoticeRow, TransferRow

_CHUNK: Final = 1000


def to_escalate(session: Session, now: int, limit: int) -> Sequence[tuple[str, str]]:
    """(ledger, transfer) of deadlines that have passed and are neither met nor escalated, the oldest first."""
    rows = session.exec(
        select(DeadlineRow.ledger, DeadlineRow.transfer)
        .where(IS_UNMET, DeadlineRow.due_at < now, col(DeadlineRow.escalated_at).is_(None))
        .order_by(col(DeadlineRow.due_at))
        .limit(limit)
    )
    return [(ledger, transfer) for ledger, transfer in rows]


def overdue(session: Session, now: int) -> int:
    """How many deadlines have passed and are not met."""
    return session.exec(select(func.count()).select_from(DeadlineRow).where(IS_UNMET, DeadlineRow.due_at < now)).one()


@dataclass(frozen=True, slots=True)
class Question:
    """Which early warnings; moments in microseconds, `until` excluded. `party` sees what it sent or received."""

    since: int
    until: int
    sender: str | None = None
    recipient: str | None = None
    party: str | None = None


def counted(session: Session, question: Question) -> Iterator[Counted]:
    """The accepted early warnings of a period, as they stand now."""
    statement = (
        columns(
            col(EarlyWarningRow.region_code),
            col(EarlyWarningRow.severity),
            col(EarlyWarningRow.assigned_unit),
            col(EarlyWarningRow.triage),
            col(EarlyWarningRow.duplicate_of),
            col(EarlyWarningRow.received_at),
            col(EarlyWarningRow.triaged_at),
            col(DeadlineRow.due_at),
            col(DeadlineRow.met_at),
            col(DeadlineRow.met_by),
        )
        .select_from(EarlyWarningRow)
        .outerjoin(DeadlineRow, col(DeadlineRow.transfer) == col(EarlyWarningRow.transfer))
        .where(col(EarlyWarningRow.received_at) >= question.since, col(EarlyWarningRow.received_at) < question.until)
    )
    if question.sender is not None:
        statement = statement.where(col(EarlyWarningRow.sender) == question.sender)
    if question.recipient is not None:
        statement = statement.where(col(EarlyWarningRow.recipient) == question.recipient)
    if question.party is not None:
        statement = statement.where(
            or_(
                col(EarlyWarningRow.sender) == question.party,
                col(EarlyWarningRow.recipient) == question.party,
            )
        )
    for row in session.connection().execute(statement.execution_options(yield_per=_CHUNK)).mappings():
        yield Counted(**row)


@dataclass(frozen=True, slots=True)
class Due:
    """A leased notice with what it says; moments in microseconds."""

    transfer: str
    agency: str
    event: str
    attempt: int
    type: str
    recipient: str
    due_at: int | None
    severity: int | None


def notices(session: Session, keys: Sequence[tuple[str, str, str]]) -> Sequence[Due]:
    """What the notices of these (transfer, agency, event) say."""
    found = []
    for transfer, agency, event in keys:
        row = session.exec(
            select(
                LiaisonNoticeRow.attempts,
                func.coalesce(DeadlineRow.type, TransferRow.type),
                TransferRow.recipient,
                DeadlineRow.due_at,
            )
            .join(TransferRow, col(TransferRow.id) == col(LiaisonNoticeRow.transfer))
            .join(DeadlineRow, col(DeadlineRow.transfer) == col(LiaisonNoticeRow.transfer), isouter=True)
            .where(LiaisonNoticeRow.transfer == transfer, LiaisonNoticeRow.agency == agency)
            .where(LiaisonNoticeRow.event == event)
        ).one()
        severity = session.exec(
            select(EarlyWarningRow.severity).where(EarlyWarningRow.transfer == transfer)
        ).one_or_none()
        attempts, type_, recipient, due_at = row
        due = due_at if event == OVERDUE else None
        found.append(Due(transfer, agency, event, attempts, type_, recipient, due, severity))
    return found


def notices_due(session: Session, now: int) -> bool:
    """Whether any notice may go out now."""
    waiting = select(LiaisonNoticeRow.transfer).where(LiaisonNoticeRow.state == WAITING, LiaisonNoticeRow.due_at <= now)
    return session.exec(waiting.limit(1)).first() is not None
