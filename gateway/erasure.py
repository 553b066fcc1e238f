"""Erasure: when a stored message must go, and what stands against it.

Pure: the state of one transfer and `now` in, codes out. Leaves the finding of that state and the destruction to `store/`,
and whose wish an erasure is to the callers. Whatever the ground, a legal hold stands against it (UU 27/2022 Arts 15, 43-44).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

RETENTION: Final = "retention"
DATA_SUBJECT: Final = "data-subject"
REQUEST: Final = "request"

HELD: Final = "hold"
DUTY: Final = "retention-duty"
DELIVERY: Final = "delivery"
DEADLINE: Final = "deadline"
STANDS: Final = "stands"
GONE: Final = "erased"


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of one stored message. Moments in UTC; `retain_until` is the last day on which it is kept.

    `waiting`: it is still to be delivered. `deadline` is when its answer is due, if nobody has answered; `escalated` says
    that this was found too late and recorded. `stands_until`: others may refer to it until then.
    """

    transfer: str
    received_at: datetime
    expires_at: datetime
    retain_until: date | None = None
    waiting: bool = False
    deadline: datetime | None = None
    escalated: bool = False
    stands_until: datetime | None = None
    held: bool = False
    erased: bool = False


def kept_through(stored: Stored, refused_days: int) -> date:
    """The last day of its retention: the rule's, or for a message that no rule permitted, so many days after receipt."""
    if stored.retain_until is not None:
        return stored.retain_until
    return (stored.received_at.astimezone(UTC) + timedelta(days=refused_days)).date()


def standing_against(stored: Stored, now: datetime, refused_days: int, *, duty: bool = True) -> tuple[str, ...]:
    """Every reason together why this message may not be erased now; none, and it may.

    `hold`            somebody's legal hold covers it
    `retention-duty`  the last day of its retention has not ended, in UTC (`duty` False: this is not asked)
    `delivery`        it may still reach its recipient, or be sent again: until its `exp`, and until the outbox is done with it
    `deadline`        its answer is still due; once that is recorded as overdue, the ledger says all there is to say
    `stands`          others may still refer to it
    """
    if stored.erased:
        return (GONE,)
    reasons = {
        HELD: stored.held,
        DUTY: duty and now.astimezone(UTC).date() <= kept_through(stored, refused_days),
        DELIVERY: stored.waiting or now < stored.expires_at,
        DEADLINE: stored.deadline is not None and not (stored.escalated and stored.deadline < now),
        STANDS: stored.stands_until is not None and now < stored.stands_until,
    }
    return tuple(code for code, applies in reasons.items() if applies)
