"""When a failed push is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.breaker import URGENT_PAUSE
from gateway.delivery.retry import (
    RETRY_AFTER_LIMIT,
    SCHEDULE,
    SPREAD,
    URGENT_STEP,
    next_attempt,
    parse_retry_after,
    span,
)

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
jitters = st.floats(0, 1, exclude_max=True)
wishes = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@given(st.integers(1, 100), st.integers(1, 100), wishes, jitters)
def test_an_attempt_is_never_earlier_than_the_schedule_nor_beyond_its_bound(
    attempt: int, limit: int, retry_after: float | None, jitter: float
) -> None:
    """Whatever a recipient asks for, the next attempt comes within known bounds, or there is none."""
    decision = next_attempt(attempt, NOW, retry_after=retry_after, limit=limit, jitter=jitter)
    if attempt >= limit:
        assert (decision.due_at, decision.reason) == (None, "exhausted")
        return
    assert decision.due_at is not None
    step = SCHEDULE[min(attempt, len(SCHEDULE)) - 1]
    assert NOW + step <= decision.due_at <= NOW + max(step, RETRY_AFTER_LIMIT) * (1 + SPREAD)


@given(st.integers(1, 15), st.floats(0, RETRY_AFTER_LIMIT.total_seconds()), jitters)
def test_a_recipient_is_not_called_before_the_moment_it_named(attempt: int, wish: float, jitter: float) -> None:
    """Retry-After is a promise to the recipient, within its bound."""
    decision = next_attempt(attempt, NOW, retry_after=wish, limit=16, jitter=jitter)
    assert decision.due_at is not None
    assert decision.due_at >= NOW + timedelta(seconds=wish)


def test_sixteen_attempts_take_days_and_less_than_a_message_may_live() -> None:
    """A recipient may be down over a long weekend, and its messages are still tried before they expire."""
    total = sum(
        (
            (next_attempt(attempt, NOW, retry_after=None, limit=16, jitter=0.99).due_at or NOW) - NOW
            for attempt in range(1, 16)
        ),
        timedelta(0),
    )
    assert timedelta(days=4) < total < timedelta(days=7)


@given(st.integers(1, 100_000), st.integers(0, 3600), jitters)
def test_an_urgent_message_is_tried_often_and_for_as_long_as_any_other(attempt: int, age: int, jitter: float) -> None:
    """Whatever the number of attempts: within the span of the schedule the next one comes in less than a minute."""
    since = NOW - timedelta(seconds=age)
    decision = next_attempt(attempt, NOW, retry_after=None, limit=16, jitter=jitter, urgent_since=since)
    assert decision.due_at is not None
    assert decision.due_at - NOW + URGENT_PAUSE < timedelta(minutes=1)
    old = NOW - span(16)
    assert next_attempt(16, NOW, retry_after=None, limit=16, jitter=jitter, urgent_since=old).due_at is None
    assert next_attempt(15, NOW, retry_after=None, limit=16, jitter=jitter, urgent_since=old).due_at is not None


def test_an_urgent_message_that_always_fails_is_not_due_when_the_next_probe_is() -> None:
    """Else it would be every probe, and no other warning would ever pass."""
    later = next_attempt(9, NOW, retry_after=None, limit=16, jitter=0, urgent_since=NOW).due_at
    assert later is not None
    assert later > NOW + URGENT_PAUSE
    assert later == NOW + URGENT_STEP


def test_an_urgent_message_honours_what_the_recipient_asks_for() -> None:
    """A recipient that names a time is not called before it, not even with a warning."""
    decision = next_attempt(1, NOW, retry_after=600, limit=16, jitter=0, urgent_since=NOW)
    assert decision.due_at == NOW + timedelta(seconds=600)


def test_a_refusal_of_the_last_attempt_is_the_end() -> None:
    """With a limit of one there is no automatic retry at all."""
    assert next_attempt(1, NOW, retry_after=5, limit=1, jitter=0.5).due_at is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Mon, 23 Nov 2026 08:05:00 GMT", 300.0),
        ("Mon, 23 Nov 2026 07:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 08:05:00 -0000", 300.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 5000, None),
        ("Mon, 99 Nov 2026 08:05:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_nothing_else(value: str | None, seconds: float | None) -> None:
    """RFC 9110 knows two forms; anything else counts as no wish."""
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=60))
def test_no_header_of_a_stranger_breaks_the_reader(value: str) -> None:
    """The header comes from outside and may be anything."""
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0
