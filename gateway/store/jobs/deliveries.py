"""What becomes of an accepted message on its way: leases, retries, ends, second starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Final

from sqlalchemy import func, select, update
from sqlmodel import col

from gateway.errors import GatewayError
from gateway.ledger.entry import TransferDead, TransferExpired, TransferRedelivered
from gateway.statements.notice import KEY_COMPROMISED
from gateway.store.append import Placed
from gateway.store.jobs.alerts import AlertAbout
from gateway.store.jobs.notices import tell_liaisons
from gateway.store.past import ENDS
from gateway.store.recorder import Transaction
from gateway.store.tables import (
    ACCEPTED,
    DEAD,
    DELIVERED,
    EXPIRED,
    IS_WAITING,
    URGENT,
    WAITING,
    WITHDRAWN,
    AcknowledgementRow,
    LiaisonNoticeRow,
    OutboxRow,
    TransferRow,
    micros,
)

PAGE_BYTES: Final = 8 * 1_048_576


@dataclass(frozen=True, slots=True)
class Leased:
    """One item handed out: until its lease ends, nobody else gets it."""

    transfer: str
    attempt: int
    until: int


@dataclass(frozen=True, slots=True)
class Lease:
    """Hands out up to `limit` due items of one recipient, the most urgent and oldest first.

    `priorities` are the most and the least urgent that are wanted. Beyond `size` stored bytes nothing more is taken, but
    always one item.
    """

    recipient: str
    limit: int
    now: int
    until: int
    priorities: tuple[int, int] = (0, 2)
    size: int = PAGE_BYTES
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> tuple[Leased, ...]:
        due = transaction.connection.execute(
            select(
                col(OutboxRow.transfer),
                col(OutboxRow.attempts),
                # An alert is no transfer, and short.
                func.coalesce(func.length(col(TransferRow.sealed_content)), 0).label("size"),
            )
            .outerjoin(TransferRow, col(TransferRow.id) == col(OutboxRow.transfer))
            .where(
                IS_WAITING,
                col(OutboxRow.recipient) == self.recipient,
                col(OutboxRow.priority).between(*self.priorities),
                col(OutboxRow.due_at) <= self.now,
                col(OutboxRow.expires_at) > self.now,
            )
            .order_by(col(OutboxRow.priority), col(OutboxRow.transfer))
            .limit(self.limit)
            # Two nodes that ask at once must not hand out the same item.
            .with_for_update(of=OutboxRow, skip_locked=True)
        ).all()
        sizes = list(accumulate(row.size for row in due))
        taken = [row for row, sum_ in zip(due, sizes, strict=True) if sum_ <= self.size] or due[:1]
        if taken:
            transaction.connection.execute(
                update(OutboxRow)
                .where(col(OutboxRow.transfer).in_([row.transfer for row in taken]))
                .values(due_at=self.until, attempts=col(OutboxRow.attempts) + 1)
            )
        return tuple(Leased(row.transfer, row.attempts + 1, self.until) for row in taken)


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Ends the lease of items that reached nobody: they are due at once, and what was handed out keeps its number.

    Changes nothing of an item that was signed for, ended, put off or handed out anew since: `attempt` and `until` are those
    that this is about, and no second lease has both.
    """

    leased: Sequence[Leased]
    now: int
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        rows = transaction.connection.execute(
            select(col(OutboxRow.transfer), col(OutboxRow.attempts), col(OutboxRow.due_at))
            .where(col(OutboxRow.transfer).in_([item.transfer for item in self.leased]), IS_WAITING)
            # Who holds one is just signing for it, or ending it; and two batches never wait for each other.
            .with_for_update(skip_locked=True)
        ).all()
        as_leased = {(item.transfer, item.attempt, item.until) for item in self.leased}
        back = [row.transfer for row in rows if (row.transfer, row.attempts, row.due_at) in as_leased]
        if back:
            transaction.connection.execute(
                update(OutboxRow).where(col(OutboxRow.transfer).in_(back)).values(due_at=self.now)
            )


@dataclass(frozen=True, slots=True)
class Retry:
    """What became of a pushed item that was not acknowledged: when to try again, or None to give up.

    Changes nothing once the item was handed out anew: `attempt` and `until` are those of the lease that this is about.
    """

    transfer: str
    attempt: int
    until: int
    due_at: int | None
    error: str


@dataclass(frozen=True, slots=True)
class Reschedule:
    """The end of a push that did not deliver everything. Giving up is a ledger entry."""

    retries: Sequence[Retry]
    ledger_of: dict[str, str]
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return tuple({self.ledger_of[retry.transfer] for retry in self.retries if retry.due_at is None})

    def stage(self, transaction: Transaction) -> None:
        # In one order everywhere, so that two batches cannot wait for each other.
        for retry in sorted(self.retries, key=lambda retry: retry.transfer):
            waiting = (
                col(OutboxRow.transfer) == retry.transfer,
                col(OutboxRow.state) == WAITING,
                col(OutboxRow.attempts) == retry.attempt,
                # An operator's second start counts from 1 again.
                col(OutboxRow.due_at) == retry.until,
            )
            if retry.due_at is not None:
                transaction.connection.execute(
                    update(OutboxRow).where(*waiting).values(due_at=retry.due_at, last_error=retry.error)
                )
                continue
            row = transaction.connection.execute(
                select(col(OutboxRow.recipient), col(OutboxRow.attempts)).where(*waiting).with_for_update()
            ).one_or_none()
            if row is not None:
                transaction.connection.execute(
                    update(OutboxRow).where(*waiting).values(state=DEAD, last_error=retry.error)
                )
                transaction.append(
                    self.ledger_of[retry.transfer],
                    TransferDead(
                        time=self.now, transfer=retry.transfer, recipient=row.recipient, attempts=row.attempts
                    ),
                )


@dataclass(frozen=True, slots=True)
class Expire:
    """Ends what was not delivered before its `exp`; an item that is handed out right now is left for the next round."""

    ledger: str
    transfers: Sequence[str]
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> int:
        at = micros(self.now)
        rows = transaction.connection.execute(
            select(col(OutboxRow.transfer), col(OutboxRow.recipient), col(OutboxRow.attempts))
            .where(
                col(OutboxRow.transfer).in_(self.transfers),
                col(OutboxRow.state) == WAITING,
                col(OutboxRow.expires_at) <= at,
            )
            .with_for_update(skip_locked=True)
        ).all()
        if rows:
            transaction.connection.execute(
                update(OutboxRow)
                .where(col(OutboxRow.transfer).in_([row.transfer for row in rows]))
                .values(state=EXPIRED)
            )
        for row in rows:
            transaction.append(
                self.ledger,
                TransferExpired(time=self.now, transfer=row.transfer, recipient=row.recipient, attempts=row.attempts),
            )
        return len(rows)


class StopDoubtful(AlertAbout):
    """Stops the delivery of what a lost key signed, and tells of every one of `transfers`: both agencies' liaisons by a notice,
    its recipient by an alert in the inbox.

    What was stopped is dead: when its sender says that it was its own, an operator starts it again. Done twice, it changes
    nothing.
    """

    __slots__ = ()

    def _done(self, transaction: Transaction) -> None:
        self._stop(transaction)
        self._tell_liaisons(transaction)
        super()._done(transaction)

    def _stop(self, transaction: Transaction) -> None:
        waiting = transaction.connection.execute(
            select(col(OutboxRow.transfer), col(OutboxRow.recipient), col(OutboxRow.attempts))
            .where(col(OutboxRow.transfer).in_(self.transfers), IS_WAITING)
            # In one order everywhere, so that two batches cannot wait for each other.
            .order_by(col(OutboxRow.transfer))
            .with_for_update()
        ).all()
        transaction.connection.execute(
            update(OutboxRow)
            .where(col(OutboxRow.transfer).in_([row.transfer for row in waiting]))
            .values(state=DEAD, last_error="key-compromised")
        )
        for row in waiting:
            dead = TransferDead(time=self.now, transfer=row.transfer, recipient=row.recipient, attempts=row.attempts)
            transaction.append(self.ledger, dead)

    def _tell_liaisons(self, transaction: Transaction) -> None:
        told = select(col(LiaisonNoticeRow.transfer)).where(
            col(LiaisonNoticeRow.transfer).in_(self.transfers), col(LiaisonNoticeRow.event) == KEY_COMPROMISED
        )
        untold = transaction.connection.execute(
            select(col(TransferRow.id), col(TransferRow.sender), col(TransferRow.recipient)).where(
                col(TransferRow.id).in_(self.transfers), col(TransferRow.id).not_in(told)
            )
        ).all()
        parties = [(row.id, row.sender, row.recipient) for row in untold]
        tell_liaisons(transaction, parties, KEY_COMPROMISED, micros(self.now))


class NotWaitingError(GatewayError):
    """There is nothing left to deliver; the detail is the outbox's state."""


@dataclass(frozen=True, slots=True)
class Redeliver:
    """An operator's second start for a dead or waiting transfer: due at once, with all its attempts again.

    And for one that is owed although its place in the outbox is gone, or lies: `sinergi ledger fsck` finds it.
    """

    ledger: str
    entry: TransferRedelivered
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> Placed:
        now, transfer = micros(self.entry.time), self.entry.transfer
        row = transaction.connection.execute(
            select(col(OutboxRow.state), col(OutboxRow.expires_at))
            .where(col(OutboxRow.transfer) == transfer)
            .with_for_update()
        ).one_or_none()
        if row is None or row.state not in (DEAD, WAITING):
            return self._anew(transaction, now, None if row is None else row.state)
        if row.expires_at <= now:
            raise NotWaitingError(EXPIRED)
        transaction.connection.execute(
            update(OutboxRow)
            .where(col(OutboxRow.transfer) == transfer)
            .values(state=WAITING, due_at=now, attempts=0, last_error=None)
        )
        return transaction.append(self.ledger, self.entry)

    def _anew(self, transaction: Transaction, now: int, state: str | None) -> Placed:
        """What was accepted, and neither signed for nor ended by its sender, has a place in the outbox whatever that says."""
        connection, transfer = transaction.connection, self.entry.transfer
        row = connection.execute(
            select(col(TransferRow.decision), col(TransferRow.recipient), col(TransferRow.expires_at)).where(
                col(TransferRow.id) == transfer
            )
        ).one()
        signed = select(col(AcknowledgementRow.event)).where(col(AcknowledgementRow.transfer) == transfer)
        ended = select(col(TransferRow.id)).where(
            col(TransferRow.in_reply_to) == transfer,
            col(TransferRow.decision) == ACCEPTED,
            col(TransferRow.reply_as) == ENDS,
        )
        if row.decision != ACCEPTED:
            raise NotWaitingError(row.decision)
        if connection.execute(signed).first() is not None:
            raise NotWaitingError(DELIVERED)
        if connection.execute(ended).first() is not None:
            raise NotWaitingError(WITHDRAWN)
        if row.expires_at <= now:
            raise NotWaitingError(EXPIRED)
        again = {"recipient": row.recipient, "state": WAITING, "due_at": now, "attempts": 0, "last_error": None}
        # Nobody knows any more how urgent it was, and it is late.
        again |= {"priority": URGENT, "expires_at": row.expires_at}
        if state is None:
            transaction.insert(OutboxRow, {"transfer": transfer, **again})
        else:
            connection.execute(update(OutboxRow).where(col(OutboxRow.transfer) == transfer).values(again))
        return transaction.append(self.ledger, self.entry)
