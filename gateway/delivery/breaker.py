"""A circuit breaker: after failures in a row an endpoint is left alone for a while, then tried once.

Decides whether a call may be made at a moment. A breaker is a value; every event gives the next one. It keeps messages
from using up their attempts against a recipient that is down, and a recipient that comes back from being overrun.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from gateway.delivery.retry import bounded

THRESHOLD: Final = 3
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(minutes=5)
# Shorter than an urgent message's next attempt: one that always fails is not due when the next probe is, and so never
# stands in front of the others for ever.
URGENT_PAUSE: Final = timedelta(seconds=15)
_DOUBLINGS: Final = 16


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row; `[opened_at, open_until)` is the pause they led to, if any; `longest` that it can become."""

    failures: int = 0
    opened_at: datetime | None = None
    open_until: datetime | None = None
    longest: timedelta = LONGEST_PAUSE

    def state(self, now: datetime) -> State:
        """HALF_OPEN: the next call is the probe, and its outcome closes the breaker or opens it for longer."""
        if self.opened_at is None or self.open_until is None:
            return State.CLOSED
        # A clock that was set back must not prolong the pause.
        return State.OPEN if self.opened_at <= now < self.open_until else State.HALF_OPEN

    def succeeded(self) -> "Breaker":
        return Breaker(longest=self.longest)

    def failed(self, now: datetime, retry_after: float | None = None) -> "Breaker":
        """One failure more. `retry_after` (seconds, bounded) opens at once: the endpoint asked to be left alone."""
        failures = self.failures + 1
        pause = bounded(retry_after)
        if failures >= THRESHOLD:
            pause = max(pause, min(FIRST_PAUSE * 2 ** min(failures - THRESHOLD, _DOUBLINGS), self.longest))
        if not pause:
            return Breaker(failures, longest=self.longest)
        return Breaker(failures, now, now + pause, self.longest)
