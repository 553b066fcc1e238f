"""Provisions are chosen by the date of the offence, and who may be a minor is said to be one."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SchemaInvalidError
from gateway.message_types.catalogue import Catalogue, load
from gateway.message_types.schema import self_contained
from gateway.message_types.validity import checks, days_of, limits, mrz_places, violations
from gateway.resources import schemas_dir

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
            "people": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "born": day,
                        "child": {"type": "boolean"},
                        "band": {"type": "string", "x-code-list": "age-band"},
                    },
                },
            },
            "child": {"type": "boolean"},
            "others": {"type": "array", "items": {"type": "object", "properties": {"child": {"type": "boolean"}}}},
            "band": {"type": "string", "x-code-list": "age-band"},
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

EACH = checks(
    schema(**{
        "x-minor-on": {"born": "people/*/born", "on": "period/from", "flag": "people/*/child", "band": "people/*/band"}
    }),
    DAYS,
)  # fmt: skip


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


def test_a_nik_of_nobody_born_yet_is_no_adult_s() -> None:
    """1900 had no 29 February, so this one is of 2000: on a day before, a date that cannot be."""
    body = {"people": [{"nik": "3604082902000001"}], "period": {"from": "1990"}}
    assert pointers(NOBODY, body) == ["/body/people/0/nik"]
    assert pointers(FLAGGED, body | {"child": False}) == ["/body/child"]


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


def test_nobody_hides_behind_another_child() -> None:
    """Each person's own word counts: that one of them is said to be a child does not answer for the next."""
    people = [{"born": "2011", "child": True}, {"born": "2012-03-04", "child": False}, {"born": "1985", "child": False}]
    body = {"people": people, "period": {"from": "2026-11-02"}, "child": True}
    assert pointers(EACH, body) == ["/body/people/1/child"]
    assert pointers(EACH, {**body, "people": [{"nik": "3604080105120001"}]}) == ["/body/people/0/child"]
    assert pointers(EACH, {**body, "people": [{**one, "child": True} for one in people]}) == []


@pytest.mark.parametrize(
    ("born", "band", "fits"),
    [
        ("2012-03-04", "AGE_25_34", False),  # a child among adults
        ("2018", "AGE_12_17", False),  # eight at most
        ("2014-11-02", "AGE_12_17", True),  # twelve that day
        ("2014-11-03", "AGE_12_17", False),
        ("2014", "AGE_12_17", True),  # perhaps twelve
        ("1999", "AGE_60_UP", False),
        ("1985", "AGE_12_17", True),  # younger than the papers say: whoever looked at the child knows better
        ("2027", "AGE_00_11", True),
    ],
)
def test_a_band_makes_nobody_older(born: str, band: str, fits: bool) -> None:
    """An age band above what the date of birth allows is refused; one below it may be the truth about false papers."""
    body = {"people": [{"born": born, "child": True, "band": band}], "period": {"from": "2026-11-02"}}
    assert pointers(EACH, body) == ([] if fits else ["/body/people/0/band"])


def test_a_fault_is_told_once() -> None:
    """A date and a NIK that both tell a child make one reason of the flag."""
    body = {"people": [{"born": "2012-05-01", "nik": "3604080105130001"}], "period": {"from": "2026-11-02"}}
    assert pointers(FLAGGED, body) == ["/body/child"]


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


NUMBERS = checks(
    self_contained(
        IDENTIFIER,
        {
            IDENTIFIER: {
                "$id": IDENTIFIER,
                "properties": {"paper": {"$ref": "urn:d#/$defs/Paper"}, "holder": {"anyOf": [{"type": "string"}, {
                    "properties": {"papers": {"type": "array", "items": {"$ref": "urn:d#/$defs/Paper"}}}
                }]}},
            },
            "urn:d": {"$id": "urn:d", "$defs": {"Paper": {"$ref": "#/$defs/Bare"}, "Bare": {
                "properties": {"number": {"type": "string"}, "mrz": {"type": "string", "x-mrz-of": "number"}}
            }}},
        },
    ),
    {},
)  # fmt: skip


@pytest.mark.parametrize(
    ("number", "mrz", "fits"),
    [
        ("X0000042", "X0000042<5", True),
        ("EA0000001", "EA00000019", True),  # nine characters: nothing to fill up
        ("A", "A<<<<<<<<0", True),
        ("X0000042", "X0000043<8", False),  # somebody else's, with a check digit that fits
        ("X0000042", "X00000042<", False),
        ("X000042", "X0000042<5", False),
        ("X0000042", "X0000042<6", False),
        ("x0000042", "X0000042<5", False),  # one spelling only
        ("X000 0042", "X0000042<5", False),
        ("", "<<<<<<<<<0", False),
        (None, "X0000042<5", False),
    ],
)
def test_the_machine_readable_zone_repeats_the_number(number: str | None, mrz: str, fits: bool) -> None:
    """ICAO 9303-3: filled up with `<`, then the check digit; in every document of the body, whatever holds it."""
    paper = {"mrz": mrz} if number is None else {"number": number, "mrz": mrz}
    assert pointers(NUMBERS, {"paper": paper}) == ([] if fits else ["/body/paper/mrz"])
    papers = {"holder": {"papers": [{"number": "X0000042"}, paper]}}
    assert pointers(NUMBERS, papers) == ([] if fits else ["/body/holder/papers/1/mrz"])
    assert pointers(NUMBERS, {"holder": "papers", "paper": {"number": "X1"}}) == []


def test_every_number_of_the_machine_readable_zone_is_compared(catalogue: Catalogue) -> None:
    """Wherever a type has `mrz_number`, the gateway asks about it: a definition nobody walks would compare nothing."""

    def held(part: Any, definitions: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        found: set[tuple[str, ...]] = (
            {path} if isinstance(part, dict) and "mrz_number" in part.get("properties", {}) else set()
        )
        for name, entry in part.items() if isinstance(part, dict) else ():
            if name == "$ref":
                found |= held(definitions[entry.removeprefix("#/$defs/")], definitions, path)
            elif name == "properties":
                found = found.union(*(held(inner, definitions, (*path, key)) for key, inner in entry.items()))
            elif name in ("items", "then", "else"):
                found |= held(entry, definitions, (*path, "*") if name == "items" else path)
            elif name in ("allOf", "anyOf", "oneOf"):
                found = found.union(*(held(inner, definitions, path) for inner in entry))
        return found

    compared = 0
    for kind in catalogue.types():
        places = mrz_places(kind.schema)
        assert {place.holder for place in places} == held(kind.schema, kind.schema["$defs"])
        compared += len(places)
    assert compared


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
        {"x-minor-on": {"born": "people/*/born", "on": "period/from", "flag": "others/*/child"}},
        {"x-minor-on": {"born": "period/from", "on": "period/from", "flag": "people/*/child"}},
        {
            "x-minor-on": {
                "born": "people/*/born",
                "on": "period/from",
                "flag": "people/*/child",
                "band": "people/*/born",
            }
        },
        {"properties": {"mrz": {"type": "string", "x-mrz-of": "number"}}},
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
