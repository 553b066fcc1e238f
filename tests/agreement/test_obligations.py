"""What a permission obliges to: when an answer is due, how long the message is kept, how it may travel."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from tests.agreement.making import (
    NOW,
    Draft,
    agreement,
    judged,
    rule,
    source,
)


@pytest.mark.parametrize(("severity", "minutes"), [(1, 72 * 60), (3, 240), (4, 15), ("4", 72 * 60)])
def test_the_shortest_deadline_that_applies_counts(severity: object, minutes: int) -> None:
    """Whatever the order in which the deadlines stand."""
    deadlines = [
        {"within": "PT15M", "when": {"/body/severity": {"const": 4}}},
        {"within": "P3D"},
        {"within": "PT4H", "when": {"/body/severity": {"type": "integer", "minimum": 3}}},
    ]
    one = agreement(rule(acknowledge_within={"deadlines": deadlines, **source()}))
    decision = judged(one, Draft(body={"severity": severity}))
    assert decision.acknowledge_by == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("sent", "due"),
    [
        ("2026-03-10T10:00", "2026-03-13T10:00"),  # Tuesday to Friday
        ("2026-03-12T10:00", "2026-03-17T10:00"),  # Thursday, over a weekend
        ("2026-03-14T23:59", "2026-03-18T23:59"),  # on a Saturday: Monday is the first day
        ("2026-12-23T10:00", "2026-12-29T10:00"),  # over a holiday of every year, a Friday, and a weekend
        ("2026-03-18T10:00", "2026-03-25T10:00"),  # over Thursday and Friday, both holidays, and a weekend
    ],
)
def test_working_days_pass_over_rest_and_holidays(sent: str, due: str) -> None:
    """Three working days: the day of acceptance is not one of them, and days are days of the agreement's zone."""
    calendar = {
        "rest": ["SATURDAY", "SUNDAY"],
        "every_year": ["12-25"],
        "holidays": ["2026-03-19", "2026-03-20"],
        **source(),
    }
    deadlines = [
        {"within": "P3D", "working": True},
        {"within": "P9D", "when": {"/body/severity": {"const": 3}}},  # no shorter, and found so
    ]
    one = agreement(rule(acknowledge_within={"deadlines": deadlines, **source()}), working_days=calendar)
    wib = timezone(timedelta(hours=7))
    at, end = (datetime.fromisoformat(text).replace(tzinfo=wib) for text in (sent, due))
    assert judged(one, Draft(), now=at.astimezone(UTC)).acknowledge_by == end


def test_working_days_may_be_longer_than_more_days() -> None:
    """Over a weekend three working days end after four days: the shortest is what ends first, not the smallest number."""
    calendar = {"rest": ["SATURDAY", "SUNDAY"], **source()}
    deadlines = [{"within": "P3D", "working": True}, {"within": "P4D", "when": {"/body/severity": {"const": 3}}}]
    one = agreement(rule(acknowledge_within={"deadlines": deadlines, **source()}), working_days=calendar)
    thursday = datetime(2026, 3, 12, 3, tzinfo=UTC)
    decision = judged(one, Draft(body={"severity": 3}), now=thursday)
    assert decision.acknowledge_by == thursday + timedelta(days=4)


def test_retention_counts_from_the_later_of_acceptance_and_the_stated_day() -> None:
    """A day in the past cannot shorten what is kept; days are days of the agreement's zone."""
    one = agreement(rule(retention={"keep": "P1Y", "counted_from": "/body/a", **source()}))
    assert judged(one, Draft(body={"a": "2026-09-01"})).retain_until == date(2027, 9, 1)
    assert judged(one, Draft(body={"a": "2020-01-01"})).retain_until == date(2027, 3, 10)
    late = NOW.replace(hour=18)  # already the 11th in Banten
    assert judged(agreement(), Draft(), now=late).retain_until == date(2028, 3, 11)


@pytest.mark.parametrize(
    ("claimed", "effective"), [(None, "AMBER"), ("CLEAR", "AMBER"), ("AMBER+STRICT", "AMBER+STRICT"), ("RED", "RED")]
)
def test_a_sender_may_only_tighten_the_handling(claimed: str | None, effective: str) -> None:
    """The stricter of the rule's and the message's applies."""
    assert judged(agreement(), Draft(claims={"handling": claimed} if claimed else {})).handling == effective
