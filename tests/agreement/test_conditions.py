"""Pointers, dates and periods: what each expression means."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.conditions import (
    MISSING,
    Duration,
    ExpressionError,
    Pointer,
    Span,
    identical,
    in_order,
    lasts_at_least,
    lasts_at_most,
)
from gateway.message.disclosure import pointers_matching

WIB = timezone(timedelta(hours=7))
FIRST, LAST = Pointer.parse("/body/first"), Pointer.parse("/body/last")

names = st.sampled_from(["a", "b", "list", "x.y", "~0", "~1"])
trees = st.recursive(
    st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab~/"), inner, max_size=3),
    max_leaves=12,
)


@given(trees, st.lists(names | st.just("*"), min_size=1, max_size=4))
def test_a_pattern_names_for_a_rule_what_it_names_for_the_sender(tree: Any, steps: list[str]) -> None:
    """What the gateway withholds is found by the same reading by which a sender makes it disclosable."""
    view = {"body": tree}
    pattern = "/".join(["", "body", *steps])
    found = Pointer.parse(pattern).find(view)
    assert [pointer for pointer, _ in found] == pointers_matching(view, pattern)


def test_a_missing_value_is_not_a_null() -> None:
    """`null` is there and can meet a condition; what is not there cannot."""
    assert Pointer.parse("/body/a").read({"body": {"a": None}}) is None
    assert Pointer.parse("/body/a/b").read({"body": {"a": None}}) is MISSING
    assert Pointer.parse("/body/a/b").read({"body": {"a": [{"b": 1}]}}) is MISSING


@pytest.mark.parametrize(
    "text", ["", "body", "/", "/body//a", "/body/~2", "/body/0", "/body/a*", "/nik", "/body/\n", 7]
)
def test_a_place_that_no_message_has_is_refused(text: object) -> None:
    """A pointer that can never match would make a condition fail for ever, or a withholding never work."""
    with pytest.raises(ExpressionError):
        Pointer.parse(text)


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2026-01-31T00:00:00", "P1M", "2026-02-28T00:00:00"),
        ("2024-02-29T00:00:00", "P12M", "2025-02-28T00:00:00"),
        ("2026-11-30T10:00:00", "P3M", "2027-02-28T10:00:00"),
        ("2026-01-01T23:59:00", "PT15M", "2026-01-02T00:14:00"),
        ("2026-01-01T00:00:00", "P1Y2M1W3DT4H5M6S", "2027-03-11T04:05:06"),
    ],
)
def test_durations_count_by_the_calendar(start: str, duration: str, end: str) -> None:
    """A month is a month, not thirty days; the end of a shorter month is its last day."""
    moment = datetime.fromisoformat(start).replace(tzinfo=WIB)
    assert Duration.parse(duration).after(moment) == datetime.fromisoformat(end).replace(tzinfo=WIB)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1", "1Y", "P-1D", "P1.5D", "P0D", "P1DT", "P1H", "p1d", "P1M1Y", 12])
def test_what_is_not_a_duration_is_refused(text: object) -> None:
    """Only whole, positive ISO 8601 durations; a negative one would turn a limit round."""
    with pytest.raises(ExpressionError):
        Duration.parse(text)


def spans(first: object, last: object) -> tuple[Span | None, Span | None]:
    view = {"body": {"first": first, "last": last}}
    return Span.read(FIRST, view, WIB), Span.read(LAST, view, WIB)


ORDERED = [
    ("2026-03-01", "2026-03-01", True),
    ("2026-03-02", "2026-03-01", False),
    ("2026-03-01T23:00:00+07:00", "2026-03-01", True),
    ("2026-03-02T00:00:00+07:00", "2026-03-01", False),
    # The day is a day of Banten: 17:30 in London is already the next one.
    ("2026-03-01T17:30:00Z", "2026-03-01", False),
    ("2026-03-01T10:00:00+07:00", "2026-03-01T03:00:00Z", True),
    ("2026-03-01T10:00:01+07:00", "2026-03-01T03:00:00Z", False),
    ("2026", "2026-03", True),
    ("2026-03", "2026", True),
    ("2026-04", "2026-03", False),
    ("2027", "2026-12-31", False),
]


@pytest.mark.parametrize(("first", "last", "expected"), ORDERED)
def test_order_is_judged_as_far_as_both_are_precise(first: str, last: str, expected: bool) -> None:
    """A date covers its day, a partial date its month or year; only what is certainly later is out of order."""
    one, other = spans(first, last)
    assert one is not None
    assert other is not None
    assert in_order(one, other) is expected


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2025-01-01", "2026-01-01", True),
        ("2025-01-01", "2026-01-02", False),
        ("2024-02-29", "2025-02-28", True),
        ("2024-02-29", "2025-03-01", False),
        ("2025", "2025", True),
        ("2025", "2026-01", False),
        ("2025-01-01T00:00:00+07:00", "2026-01-01T00:00:01+07:00", False),
        ("2026-01-01", "2025-06-01", False),
    ],
)
def test_a_period_is_measured_at_its_longest(first: str, last: str, expected: bool) -> None:
    """A vague end counts as its last day, so vagueness cannot stretch a period; a reversed period has no length."""
    one, other = spans(first, last)
    assert one is not None
    assert other is not None
    assert lasts_at_most(one, other, Duration.parse("P12M")) is expected


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2026-01-01T00:00:00+07:00", "2026-01-04T00:00:00+07:00", True),
        ("2026-01-01T00:00:01+07:00", "2026-01-04T00:00:00+07:00", False),
        ("2026-01-01", "2026-01-04", True),
        ("2026-01-02", "2026-01-04", False),
        ("2026-01", "2026-02-03", True),
        ("2026-01", "2026-02-02", False),
        ("2026-01-04", "2026-01-01", False),
    ],
)
def test_notice_is_measured_at_its_shortest(first: str, last: str, expected: bool) -> None:
    """Of a vague day the last one counts as the beginning, so vagueness cannot make up for being late."""
    one, other = spans(first, last)
    assert one is not None
    assert other is not None
    assert lasts_at_least(one, other, Duration.parse("PT72H")) is expected


@pytest.mark.parametrize(
    "value",
    ["2026-02-30", "2026-13", "0000", "26-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T24:00:00Z",
     "2026-01-01T00:00:60Z", "", "９９９９", None, 1767200000, ["2026"], True],
)  # fmt: skip
def test_what_is_not_a_time_has_no_span(value: object) -> None:
    """A local time, a number or a day that does not exist is no time: a relation on it fails."""
    assert spans(value, value) == (None, None)


def test_only_the_claims_count_seconds() -> None:
    """`/iat` is a number of seconds; the same number in the payload is no time."""
    seconds = Span.read(Pointer.parse("/iat"), {"iat": 0}, WIB)
    assert seconds is not None
    assert seconds.start == seconds.end == seconds.last == datetime(1970, 1, 1, tzinfo=UTC)


@given(st.dates(), st.dates(), st.integers(0, 40))
def test_a_longer_limit_never_refuses_what_a_shorter_one_permits(first: Any, last: Any, months: int) -> None:
    """Periods are monotone in their limit."""
    one, other = spans(first.isoformat(), last.isoformat())
    assert one is not None
    assert other is not None
    short, long = Duration("", months, 1, 0), Duration("", months + 1, 1, 0)
    try:
        assert lasts_at_most(one, other, long) or not lasts_at_most(one, other, short)
    except OverflowError:
        assert first.year > 9990


@pytest.mark.parametrize(
    ("end", "duration", "start"),
    [
        ("2026-03-31T00:00:00", "P1M", "2026-02-28T00:00:00"),
        ("2026-03-10T10:00:00", "P30D", "2026-02-08T10:00:00"),
        ("2026-01-15T00:10:00", "P1Y1MT15M", "2024-12-14T23:55:00"),
        ("2026-01-15T00:00:00", "P9999Y", "0001-01-01T00:00:00"),
        ("2026-01-15T00:00:00", "P2025Y9999W", "0001-01-01T00:00:00"),
    ],
)
def test_a_window_reaches_back_by_the_calendar(end: str, duration: str, start: str) -> None:
    """The start of what is counted; never an error, for a window longer than the calendar counts everything."""
    moment = datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert Duration.parse(duration).before(moment) == datetime.fromisoformat(start).replace(tzinfo=UTC)


values = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, "", "1", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


@given(values, values)
def test_two_values_are_one_if_json_writes_them_alike(one: Any, other: Any) -> None:
    """The canonical form decides: `true` is not 1, and 1.0 is."""
    assert identical(one, other) is (rfc8785.dumps(one) == rfc8785.dumps(other))
