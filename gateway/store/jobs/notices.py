"""What becomes of a notice to a liaison: leased, told, tried again, given up.

Nothing of it is a ledger entry: that a deadline passed is one already, and a notice is a courtesy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, tuple_, update
from sqlmodel import col

from gateway.keys.directory import ACTIVE
from gateway.statements.notice import OVERDUE
from gateway.store.recorder import Transaction
from gateway.store.tables import DEAD, DELIVERED, IS_UNMET, WAITING, AgencyRow, DeadlineRow, LiaisonNoticeRow

MOOT: Final = "moot"
_KEY: Final = (col(LiaisonNoticeRow.transfer), col(LiaisonNoticeRow.agency), col(LiaisonNoticeRow.event))


def tell_liaisons(transaction: Transaction, transfers: Iterable[tuple[str, str, str]], event: str, at: int) -> None:
    """Queues a notice about each (transfer, sender, recipient) for those of the two that have a liaison endpoint."""
    having = select(col(AgencyRow.id)).where(col(AgencyRow.liaison_url).is_not(None), col(AgencyRow.status) == ACTIVE)
    told = set(transaction.connection.execute(having).scalars())
    for transfer, sender, recipient in transfers:
        for agency in sorted(told & {sender, recipient}):
            row = {"transfer": transfer, "agency": agency, "event": event, "state": WAITING, "due_at": at}
            transaction.insert(LiaisonNoticeRow, {**row, "attempts": 0, "last_error": None})


@dataclass(frozen=True, slots=True)
class LeaseNotices:
    """Hands out up to `limit` due notices until `until`, the oldest first; what was answered meanwhile is told to nobody.

    The result names each by (transfer, agency, event).
    """

    now: int
    until: int
    limit: int
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> tuple[tuple[str, str, str], ...]:
        rows = transaction.connection.execute(
            select(*_KEY)
            .where(col(LiaisonNoticeRow.state) == WAITING, col(LiaisonNoticeRow.due_at) <= self.now)
            .order_by(col(LiaisonNoticeRow.due_at), *_KEY)
            .limit(self.limit)
            # Two nodes that ask at once must not hand out the same notice.
            .with_for_update(skip_locked=True)
        ).all()
        keys = [(row.transfer, row.agency, row.event) for row in rows]
        open_ = set(
            transaction.connection.execute(
                select(col(DeadlineRow.transfer)).where(
                    IS_UNMET, col(DeadlineRow.transfer).in_([transfer for transfer, _, _ in keys])
                )
            ).scalars()
        )
        # That a key was lost is not settled by an answer.
        leased = tuple(key for key in keys if key[0] in open_ or key[2] != OVERDUE)
        moot = [key for key in keys if key not in leased]
        if leased:
            transaction.connection.execute(
                update(LiaisonNoticeRow)
                .where(tuple_(*_KEY).in_(leased))
                .values(due_at=self.until, attempts=col(LiaisonNoticeRow.attempts) + 1)
            )
        if moot:
            transaction.connection.execute(
                update(LiaisonNoticeRow).where(tuple_(*_KEY).in_(moot)).values(state=MOOT, last_error=None)
            )
        return leased


@dataclass(frozen=True, slots=True)
class Told:
    """What became of attempt `attempt`: taken (`error` None), or to be tried again at `due_at`, or given up (None)."""

    transfer: str
    agency: str
    event: str
    attempt: int
    error: str | None
    due_at: int | None = None


@dataclass(frozen=True, slots=True)
class SettleNotices:
    """Changes nothing once a notice was handed out anew."""

    told: Sequence[Told]
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        for one in sorted(self.told, key=lambda one: (one.transfer, one.agency, one.event)):
            state = DELIVERED if one.error is None else DEAD if one.due_at is None else WAITING
            values: dict[str, object] = {"state": state, "last_error": one.error}
            if one.due_at is not None:
                values["due_at"] = one.due_at
            transaction.connection.execute(
                update(LiaisonNoticeRow)
                .where(tuple_(*_KEY) == (one.transfer, one.agency, one.event))
                .where(col(LiaisonNoticeRow.state) == WAITING, col(LiaisonNoticeRow.attempts) == one.attempt)
                .values(**values)
            )
