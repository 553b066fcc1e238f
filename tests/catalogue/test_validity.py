"""Provisions are chosen by the date of the offence, and who may be a minor is said to be one."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue import Catalogue, load
from gateway.errors import SchemaInvalidError
from gateway.resources import schemas_dir
from gateway.schema import self_contained
from gateway.validity import checks, days_of, limits, violations

CATALOGUE = load(schemas_dir())
LAST_OF_THE_OLD, FIRST_OF_THE_NEW = "2026-01-01", "2026-01-02"  # KUHP: UU 1/2023 Art 624
OLD, NEW = "UU6-2011-120", "UU1-2023-457"
IDENTIFIER = "urn:sinergi:schema:t:1"
ADULTHOOD = 18


def schema(**keywords: Any) -> dict[str, Any]:
    """A type with codes of offences, dates, and people, self-contained."""
    day = {"type": "string", "format": "partial-date", "maxLength": 10}
    root = {
        "$id": IDENTIFIER,
        "type": "object",
        "properties": {
            "codes": {"type": "array", "items": {"$ref": "urn:c#/$defs/Offence"}},
            "words": {"type": "array", "items": {"type": "string"}},
            "period": {"$ref": "urn:c#/$defs/Period", "title": "Period"},
            "people": {"type": "array", "items": {"type": "object", "properties": {"born": day}}},
            "child": {"type": "boolean"},
        },
        **keywords,
    }
    period = {"type": "object", "properties": {"from": day, "to": day}}
    common = {"$id": "urn:c", "$defs": {"Offence": {"enum": [OLD, NEW], "x-code-list": "offence"}, "Period": period}}
    return self_contained(IDENTIFIER, {IDENTIFIER: root, "urn:c": common})


DAYS = {
    "offence": {code: limits(entry.more) for code, entry in CATALOGUE.code_list("offence").entries.items()},
}
VALID_ON = checks(schema(**{"x-valid-on": {"codes": "codes", "from": "period/from", "to": "period/to"}}), DAYS)
NOBODY = checks(schema(**{"x-minor-on": {"born": "people/*/born", "on": "period/from"}}), DAYS)
FLAGGED = checks(schema(**{"x-minor-on": {"born": "people/*/born", "on": "period/from", "flag": "child"}}), DAYS)


def pointers(asked: Any, body: dict[str, Any]) -> list[str | None]:
    reasons = violations(asked, body)
    assert all(reason.code == "schema.violated" and reason.detail for reason in reasons)
    return [reason.pointer for reason in reasons]


@pytest.mark.parametrize(
    ("period", "faults"),
    [
        ({"from": LAST_OF_THE_OLD}, ["/body/codes/1"]),
        ({"from": FIRST_OF_THE_NEW}, ["/body/codes/0"]),
        ({"from": LAST_OF_THE_OLD, "to": FIRST_OF_THE_NEW}, []),  # both laws held during the offence
        ({"from": "2025"}, ["/body/codes/1"]),
        ({"from": "2025-12"}, ["/body/codes/1"]),
        ({"from": "2026-01"}, []),  # the first of January, or a later day
        ({"from": "2026"}, []),
        ({"from": "2026-02"}, ["/body/codes/0"]),
        ({"from": "2011-05-04"}, ["/body/codes/0", "/body/codes/1"]),  # before UU 6/2011
        ({"from": "2010", "to": "2011-05"}, ["/body/codes/1"]),
        ({"from": "2026-02", "to": "2026-01"}, ["/body/period/to"]),
        ({"from": "2026-01", "to": "2026"}, []),
        ({"to": "2026-02"}, []),  # no beginning: nothing to compare with
        ({}, []),
    ],
)
def test_a_provision_was_in_force_on_some_day_of_the_offence(period: dict[str, str], faults: list[str]) -> None:
    """Both sides of 2 January 2026, to the day, the month and the year."""
    assert pointers(VALID_ON, {"codes": [OLD, NEW], "period": period}) == faults


def test_without_a_date_or_a_code_nothing_is_compared() -> None:
    """What is optional may be missing: whether it may is for the schema."""
    assert pointers(VALID_ON, {}) == []
    assert pointers(VALID_ON, {"codes": [NEW]}) == []
    assert pointers(VALID_ON, {"period": {"from": "2011"}}) == []


@pytest.mark.parametrize(
    ("type_", "name", "codes", "dated"),
    [
        ("case.referral/1", "offence_codes", [OLD, NEW], lambda day: {"offence_period": {"from": day}}),
        ("wanted-person.notice/1", "offences", [OLD, NEW], lambda day: {"offence_date": day}),
        ("overstay.notice/1", "suspected_offences", [OLD, NEW], lambda day: {"offence_date": day}),
    ],
)
def test_types_that_know_the_date_compare_it(
    valid_examples: list[Any], type_: str, name: str, codes: list[str], dated: Any
) -> None:
    """An offence of 1 January 2026 is not one of the new code, and one of the next day not one of the old laws."""
    body = next(case.document for case in valid_examples if case.type == type_) | {name: codes}
    for day, wrong in ((LAST_OF_THE_OLD, 1), (FIRST_OF_THE_NEW, 0)):
        reasons = CATALOGUE.violations(type_, body | dated(day))
        assert [reason.pointer for reason in reasons] == [f"/body/{name}/{wrong}"]


@pytest.mark.parametrize("at", ["2026-11-03T20:00:00+07:00", "2026-11-04T02:00:00+14:00", "2026-11-04T12:59:00+23:59"])
def test_an_offset_makes_nobody_older(at: str) -> None:
    """The evening before the birthday in Banten, in whatever offset it is written."""
    body = {"people": [{"born": "2008-11-04"}], "period": {"from": at}}
    assert pointers(FLAGGED, body) == ["/body/child"]
    later = {"people": [{"born": "2008-11-04"}], "period": {"from": "2026-11-04T00:00:00+07:00"}}
    assert pointers(FLAGGED, later) == []


@pytest.mark.parametrize(
    ("person", "at"),
    [
        # DDMMYY of the NIK: a child by it alone, a child by it against the date, an adult by both.
        ({"nik": "3604080105120001"}, "nik"),
        ({"nik": "3604084105120001"}, "nik"),
        ({"born": "1990-05-01", "nik": "3604080105120001"}, "nik"),
        ({"born": "2012-05-01", "nik": "3604080105900001"}, "born"),
        ({"born": "1990-05-01", "nik": "3604080105900001"}, None),
        ({"nik": "3604080105900001"}, None),
        # The later century is after the day that counts.
        ({"nik": "3604080105300001"}, None),
        # Both say the same day, also where it is long ago or only a year.
        ({"born": "1912-05-01", "nik": "3604080105120001"}, None),
        ({"born": "1990", "nik": "3604084105900001"}, None),
    ],
)
def test_a_nik_tells_a_child_as_well(person: dict[str, str], at: str | None) -> None:
    """Leaving the date of birth out, or writing another one, does not make an adult of a child."""
    body = {"people": [person], "period": {"from": "2026-11-02"}}
    assert pointers(NOBODY, body) == ([] if at is None else [f"/body/people/0/{at}"])
    assert pointers(FLAGGED, body) == ([] if at is None else ["/body/child"])


@pytest.mark.parametrize(
    ("born", "minor"),
    [
        ("2008-11-02", False),  # eighteen that day
        ("2008-11-03", True),
        ("2008-11", True),  # perhaps on the third
        ("2008-10", False),
        ("2008", True),
        ("2007", False),
        ("2027", True),  # a date that cannot be: not an adult's
    ],
)
def test_who_may_be_a_minor_is_one(born: str, minor: bool) -> None:
    """In doubt a child: the latest day that a partial date can be decides."""
    body = {"people": [{"born": "1980"}, {}, {"born": born}], "period": {"from": "2026-11-02"}}
    assert pointers(NOBODY, body) == (["/body/people/2/born"] if minor else [])
    assert pointers(FLAGGED, body) == (["/body/child"] if minor else [])
    assert pointers(FLAGGED, body | {"child": False}) == (["/body/child"] if minor else [])
    assert pointers(FLAGGED, body | {"child": True}) == []
    assert pointers(NOBODY, {"people": body["people"]}) == []


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_less_of_a_date_never_makes_an_adult(born: date, on: date) -> None:
    """Leaving out the day or the month of birth can only protect."""
    faults = [
        pointers(NOBODY, {"people": [{"born": born.isoformat()[:length]}], "period": {"from": on.isoformat()}})
        for length in (10, 7, 4)
    ]
    assert faults == sorted(faults, key=len)
    completed = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    assert bool(faults[0]) == (completed < ADULTHOOD)


@given(st.dates())
def test_a_partial_date_holds_its_day(day: date) -> None:
    """Cut after month or year, a date is a span with that day in it."""
    for length in (4, 7, 10):
        first, last = days_of(day.isoformat()[:length])
        assert first <= day <= last
    assert days_of(day.isoformat()) == (day, day)


@pytest.mark.parametrize(
    "keywords",
    [
        {"x-valid-on": {"codes": "codes"}},
        {"x-valid-on": {"codes": "codes", "from": "period/from", "until": "period/to"}},
        {"x-valid-on": {"codes": "codes", "from": "period/form"}},
        {"x-valid-on": {"codes": "words", "from": "period/from"}},
        {"x-valid-on": {"codes": "codes", "from": "child"}},
        {"x-valid-on": "codes"},
        {"x-minor-on": {"born": "people/born", "on": "period/from"}},
        {"x-minor-on": {"born": "people/*/born", "on": "child"}},
        {"x-minor-on": {"born": "people/*/born", "on": "period/from", "flag": "minor"}},
    ],
)
def test_a_slip_in_the_keyword_is_refused(keywords: dict[str, Any]) -> None:
    """A path that leads nowhere would compare nothing, unnoticed."""
    with pytest.raises(SchemaInvalidError):
        checks(schema(**keywords), DAYS)


def test_the_keywords_stand_at_the_root(catalogue: Catalogue) -> None:
    """Anywhere else nobody would look at them."""

    def below(value: Any) -> bool:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return any(
            (isinstance(entry, dict) and {"x-valid-on", "x-minor-on"} & set(entry)) or below(entry)
            for entry in children
        )

    assert not any(below(entry.schema) for entry in catalogue.types())
