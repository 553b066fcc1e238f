"""Deadlines: set with a message, met by whoever it was for, escalated once when nobody did.

A row belongs to one ledger, and every job that changes it holds that ledger's lock: an answer and an escalation that
come together are put in one order, on all nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Update, bindparam, select, update
from sqlmodel import col

from gateway.early_warning import HANDLED, WITHDRAWN, Deadline, FollowUp, Warned
from gateway.ledger.entry import TransferOverdue
from gateway.statements.notice import OVERDUE
from gateway.store.jobs.notices import tell_liaisons
from gateway.store.recorder import Transaction
from gateway.store.tables import (
    IS_UNMET,
    DeadlineRow,
    EarlyWarningRow,
    micros,
    moment,
)


@dataclass(frozen=True, slots=True)
class Follow:
    """What an accepted message makes or changes, in the commit that accepts it; the last step of its job."""

    follow_up: FollowUp

    def __call__(self, transaction: Transaction) -> None:
        found = self.follow_up
        if found.deadline is not None:
            transaction.insert(DeadlineRow, _unmet(found.deadline))
        if found.warned is not None:
            transaction.insert(EarlyWarningRow, _without_outcome(found.warned))
        if found.settles is not None:
            meet(transaction, found.settles, found.settled_by, found.at, by=found.by)
        if found.triage is not None:
            _triage(transaction, found)


# Every column, also the empty ones: rows of one table are written together.
_UNMET: Final = {"met_at": None, "met_by": None, "escalated_at": None}
_NO_OUTCOME: Final = dict.fromkeys(("triage", "assigned_unit", "triaged_at", "duplicate_of"))


def _unmet(deadline: Deadline) -> dict[str, Any]:
    return {
        "transfer": deadline.transfer,
        "ledger": deadline.ledger,
        "sender": deadline.sender,
        "recipient": deadline.recipient,
        "type": deadline.type,
        "due_at": micros(deadline.due_at),
        **_UNMET,
    }


def _without_outcome(warned: Warned) -> dict[str, Any]:
    return {
        "transfer": warned.transfer,
        "sender": warned.sender,
        "recipient": warned.recipient,
        "region_code": warned.region_code,
        "severity": warned.severity,
        "suspected_offence": warned.suspected_offence,
        "received_at": micros(warned.received_at),
        **_NO_OUTCOME,
    }


def acknowledged(transaction: Transaction, receipts: Sequence[tuple[str, str, str]], at: datetime) -> None:
    """Recipients' receipts (transfer, event, recipient): `processed` and `rejected` meet a deadline, `delivered` does not."""
    # In one order everywhere, as the outbox's rows.
    for transfer, event, recipient in sorted(receipts):
        if event in HANDLED:
            meet(transaction, transfer, event, at, by=recipient)


def meet(transaction: Transaction, transfer: str, how: str, at: datetime, *, by: str) -> None:
    """Only the recipient meets a deadline, and only the sender withdraws it; the first to do so is recorded."""
    # A message is answered after its own commit: its row is never among those that this batch still holds back.
    statement = _WITHDRAWN if how == WITHDRAWN else _MET
    transaction.connection.execute(statement, {"about": transfer, "by": by, "at": micros(at), "how": how})


def _meeting(party: Any) -> Update:
    return (
        update(DeadlineRow)
        .where(IS_UNMET, col(DeadlineRow.transfer) == bindparam("about"), col(party) == bindparam("by"))
        .values(met_at=bindparam("at"), met_by=bindparam("how"))
    )


_MET, _WITHDRAWN = _meeting(DeadlineRow.recipient), _meeting(DeadlineRow.sender)


def _triage(transaction: Transaction, found: FollowUp) -> None:
    triage, at = found.triage, micros(found.at)
    assert triage is not None
    row = transaction.connection.execute(
        select(col(EarlyWarningRow.triaged_at)).where(
            col(EarlyWarningRow.transfer) == triage.transfer, col(EarlyWarningRow.recipient) == found.by
        )
    ).one_or_none()
    if row is None:
        return
    values: dict[str, Any] = {
        "triage": triage.outcome,
        "duplicate_of": triage.duplicate_of,
        "triaged_at": at if row.triaged_at is None else row.triaged_at,
    }
    if triage.assigned_unit is not None:
        # Whoever took it on keeps it until another unit is named.
        values["assigned_unit"] = triage.assigned_unit
    transaction.connection.execute(
        update(EarlyWarningRow).where(col(EarlyWarningRow.transfer) == triage.transfer).values(**values)
    )


@dataclass(frozen=True, slots=True)
class Escalated:
    """One deadline that was escalated by this job; `due_at` in UTC."""

    transfer: str
    recipient: str
    type: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Escalate:
    """Escalates those of `transfers` whose deadline has passed by `now` and is neither met nor escalated: one entry each.

    In the same commit a notice is queued for each of the two agencies that has a liaison endpoint.
    """

    ledger: str
    transfers: Sequence[str]
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> tuple[Escalated, ...]:
        at = micros(self.now)
        # Two jobs in one batch: what the first one marked, the second one sees.
        rows = transaction.connection.execute(
            select(
                col(DeadlineRow.transfer),
                col(DeadlineRow.sender),
                col(DeadlineRow.recipient),
                col(DeadlineRow.type),
                col(DeadlineRow.due_at),
            )
            .where(
                IS_UNMET,
                col(DeadlineRow.ledger) == self.ledger,
                col(DeadlineRow.transfer).in_(self.transfers),
                col(DeadlineRow.due_at) < at,
                col(DeadlineRow.escalated_at).is_(None),
            )
            .order_by(col(DeadlineRow.due_at), col(DeadlineRow.transfer))
            .with_for_update()
        ).all()
        if not rows:
            return ()
        transaction.connection.execute(
            update(DeadlineRow)
            .where(col(DeadlineRow.transfer).in_([row.transfer for row in rows]))
            .values(escalated_at=at)
        )
        tell_liaisons(transaction, [(row.transfer, row.sender, row.recipient) for row in rows], OVERDUE, at)
        escalated = []
        for row in rows:
            due_at = moment(row.due_at)
            transaction.append(
                self.ledger,
                TransferOverdue(time=self.now, transfer=row.transfer, recipient=row.recipient, due_at=due_at),
            )
            escalated.append(Escalated(row.transfer, row.recipient, row.type, due_at))
        return tuple(escalated)
