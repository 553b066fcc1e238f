"""The circuit breaker: how often an endpoint in trouble is called."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.breaker import FIRST_PAUSE, LONGEST_PAUSE, THRESHOLD, Breaker, State
from gateway.delivery.retry import RETRY_AFTER_LIMIT

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
second = timedelta(seconds=1)


def failing(times: int) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker = breaker.failed(NOW)
    return breaker


def test_a_few_failures_leave_it_closed() -> None:
    """One lost connection is no reason to stop."""
    assert failing(THRESHOLD - 1).state(NOW) is State.CLOSED


def test_failures_in_a_row_open_it_until_a_probe_is_due() -> None:
    """Open, nothing is called; after the pause exactly the next call is the probe."""
    breaker = failing(THRESHOLD)
    assert breaker.state(NOW) is State.OPEN
    assert breaker.state(NOW + FIRST_PAUSE - second) is State.OPEN
    assert breaker.state(NOW + FIRST_PAUSE) is State.HALF_OPEN
    assert breaker.state(NOW + FIRST_PAUSE) is not State.OPEN


def test_a_failed_probe_doubles_the_pause_and_a_good_one_forgets_everything() -> None:
    """A recipient that stays down is called less and less; one that is back is trusted again."""
    probed_at = NOW + FIRST_PAUSE
    again = failing(THRESHOLD).failed(probed_at)
    assert again.state(probed_at + 2 * FIRST_PAUSE - second) is State.OPEN
    assert again.state(probed_at + 2 * FIRST_PAUSE) is not State.OPEN
    assert again.succeeded() == Breaker()


def test_a_success_in_between_starts_the_count_anew() -> None:
    """Only failures in a row count."""
    breaker = failing(THRESHOLD - 1).succeeded().failed(NOW)
    assert breaker.state(NOW) is State.CLOSED


def test_retry_after_opens_at_once() -> None:
    """An endpoint that asks to be left alone is, after one answer."""
    breaker = Breaker().failed(NOW, 120)
    assert breaker.state(NOW + 119 * second) is State.OPEN
    assert breaker.state(NOW + 120 * second) is not State.OPEN


def test_a_clock_that_was_set_back_does_not_prolong_the_pause() -> None:
    """A pause that began in the future is over."""
    assert failing(THRESHOLD).state(NOW - timedelta(hours=5)) is not State.OPEN


@given(st.lists(st.one_of(st.just("ok"), st.none(), st.floats(allow_nan=True)), max_size=40), st.integers(0, 10**6))
def test_no_history_closes_an_endpoint_for_longer_than_the_bound(
    history: list[str | float | None], waited: int
) -> None:
    """Whatever happened before, within a known time the endpoint is tried again."""
    breaker, now = Breaker(), NOW
    for event in history:
        breaker = breaker.succeeded() if isinstance(event, str) else breaker.failed(now, event)
        assert breaker.state(now + max(LONGEST_PAUSE, RETRY_AFTER_LIMIT)) is not State.OPEN
        now += timedelta(milliseconds=waited)
