"""When a push that failed is tried again, and when it is given up.

Decides from the number of attempts, the recipient's own wish (`Retry-After`) and a random number that the caller drew.
Leaves the clock, the dice and the outbox to the caller.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

# After the first attempt, which is made at once. The last step repeats: sixteen attempts take about five days.
SCHEDULE: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
)
# A recipient that needs longer says so again; one wrong header must not hold back warnings for a day.
RETRY_AFTER_LIMIT: Final = timedelta(hours=1)
SPREAD: Final = 0.25
# An urgent message is with a recipient that is back within a minute: this, its jitter and the breaker's pause.
URGENT_STEP: Final = timedelta(seconds=30)
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """`due_at` None: no more attempts. `reason` is `schedule`, `urgent`, `retry-after` or `exhausted`."""

    due_at: datetime | None
    reason: str


def next_attempt(
    attempt: int,
    now: datetime,
    *,
    retry_after: float | None,
    limit: int,
    jitter: float,
    urgent_since: datetime | None = None,
) -> RetryDecision:
    """What follows failed attempt number `attempt` (from 1) of at most `limit`.

    Never earlier than the schedule or the recipient (`retry_after`, in seconds, bounded) says; `jitter` in [0, 1)
    delays by up to a quarter more, so that recipients which failed together are not called together. With
    `urgent_since`, the moment of its acceptance, a message is tried at least every URGENT_STEP, `limit` times and for as
    long as `limit` attempts of any other would take.
    """
    delay, reason = _step(attempt), "schedule"
    if urgent_since is None:
        exhausted = attempt >= limit
    else:
        # Both: one that an operator starts again late in its life still gets its attempts.
        exhausted = attempt >= limit and now >= urgent_since + span(limit)
        delay, reason = min(delay, URGENT_STEP), "urgent"
    if exhausted:
        return RetryDecision(None, "exhausted")
    wished = bounded(retry_after)
    if wished > delay:
        delay, reason = wished, "retry-after"
    return RetryDecision(now + delay * (1 + SPREAD * jitter), reason)


def span(limit: int) -> timedelta:
    """How long `limit` attempts on the schedule take, without jitter."""
    steps = min(limit - 1, len(SCHEDULE))
    return sum(SCHEDULE[:steps], timedelta(0)) + SCHEDULE[-1] * max(0, limit - 1 - len(SCHEDULE))


def _step(attempt: int) -> timedelta:
    return SCHEDULE[min(max(attempt, 1), len(SCHEDULE)) - 1]


def bounded(retry_after: float | None) -> timedelta:
    """The recipient's wish within [0, RETRY_AFTER_LIMIT]; zero for none and for what is not a number."""
    if retry_after is None or not math.isfinite(retry_after):
        return timedelta(0)
    return timedelta(seconds=min(max(retry_after, 0.0), RETRY_AFTER_LIMIT.total_seconds()))


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now`: the header's whole seconds or its HTTP-date (RFC 9110 §10.2.3). None when it is neither."""
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    # `-0000` gives a naive date; HTTP knows only GMT.
    moment = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
