"""Where somebody is named to be found, suspected or stopped: adults alone, and each by more than silence."""

from copy import deepcopy
from typing import Any

import pytest

from gateway.agreement.terms import Ordered
from tests.properties.exchanges import AGREEMENT, EXAMPLES, MESSAGES, permitted

NAMED = [
    ("overstay.notice/1", "subject"),
    ("wanted-person.notice/1", "subject"),
    ("travel-restriction.request/1", "subject"),
    ("case.referral/1", "suspects/0"),
    ("investigation-start.notice/1", "suspects/0"),
    ("investigation-assistance.request/1", "suspects/0"),
    ("joint-operation.plan/1", "investigation/targets/0"),
]


def person_at(body: Any, place: str) -> Any:
    for step in place.split("/"):
        body = body[int(step)] if isinstance(body, list) else body.get(step)
        if not body:
            return None
    return body


def telling(body: Any, place: str, told: dict[str, Any]) -> Any:
    """A copy in which the person there has a passport and, of what tells an age, this alone."""
    copy = deepcopy(body)
    person = person_at(copy, place)
    for name in ("birth_date", "nik", "is_minor"):
        person.pop(name, None)
    passport = {"type": "ORDINARY_PASSPORT", "issuing_state": "CHN", "number": "EA0000001"}
    person |= {"travel_documents": [passport], **told}
    return copy


def test_no_type_names_people_without_a_word_about_children() -> None:
    """A type that compares dates of birth has a flag for minors, or is one of those that name adults alone."""
    dated = {kind.type: kind.schema["x-minor-on"] for kind in MESSAGES.types() if "x-minor-on" in kind.schema}
    assert {type_ for type_, minority in dated.items() if "flag" not in minority} == {type_ for type_, _ in NAMED}
    for type_, minority in dated.items():
        kind = MESSAGES.get(type_)
        assert kind is not None
        holder = minority["born"].partition("/")[0]
        said = {*kind.schema["required"], *kind.schema.get("dependentRequired", {}).get(holder, ())}
        array, _, each = minority.get("flag", "").partition("/*/")
        if each:  # a word for each person
            assert each in kind.schema["properties"][array]["items"]["required"]
            continue
        # The age band of an applicant is such a word, and says what the flag must be.
        flag = minority.get("flag", holder).partition("/")[0]
        assert {flag, "applicant_age_band"} & said or "flag" not in minority


@pytest.mark.parametrize(("type_", "place"), NAMED)
@pytest.mark.parametrize(
    ("told", "at"),
    [
        ({}, ""),
        ({"is_minor": True}, "/is_minor"),
        ({"is_minor": None}, "/is_minor"),
        ({"is_minor": False}, None),
        ({"birth_date": "1985"}, None),
        ({"nik": "3604081503850001"}, None),
        # The word does not help against a date or a NIK that says otherwise, nor does less of a date.
        ({"is_minor": False, "birth_date": "2012"}, "/birth_date"),
        ({"is_minor": False, "birth_date": "2012-05-01"}, "/birth_date"),
        ({"is_minor": False, "nik": "3604080105120001"}, "/nik"),
        ({"birth_date": "1985", "nik": "3604080105120001"}, "/nik"),
    ],
    ids=str,
)
def test_nobody_passes_as_an_adult_by_leaving_things_out(
    type_: str, place: str, told: dict[str, Any], at: str | None
) -> None:
    """Each person by a date of birth or a NIK, or because the sender says so: never for want of a word."""
    body = telling(next(body for body in EXAMPLES[type_] if person_at(body, place)), place, told)
    found = {reason.pointer for reason in MESSAGES.violations(type_, body)}
    assert found == (set() if at is None else {f"/body/{place}{at}"})


@pytest.mark.parametrize(("type_", "place"), NAMED)
def test_an_age_that_is_only_said_is_on_record(type_: str, place: str) -> None:
    """The message passes, with a flag that an auditor finds; with a date of birth there is none."""
    exchange = next(exchange for exchange in permitted(type_) if person_at(exchange.draft.body, place))
    pointer = f"/body/{place.removesuffix('/0')}"
    for told, flags in (({"is_minor": False}, [pointer]), ({"birth_date": "1985"}, [])):
        body = telling(exchange.draft.body, place, told)
        assert not MESSAGES.violations(type_, body)
        decision = exchange.with_draft(body=body).decided()
        assert decision.permitted
        assert [flag.pointer for flag in decision.flags if flag.detail == "age-shown"] == flags


@pytest.mark.parametrize(("type_", "place"), NAMED)
def test_a_year_is_its_last_day(type_: str, place: str) -> None:
    """Who turns 18 in the year of the day that counts may not have done so yet."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    body = next(body for body in EXAMPLES[type_] if person_at(body, place))
    year = int(person_at(body, kind.schema["x-minor-on"]["on"])[:4])
    for born, refused in ((year - 18, True), (year - 19, False)):
        told = telling(body, place, {"birth_date": str(born), "is_minor": False})
        assert [reason.pointer for reason in MESSAGES.violations(type_, told)] == [
            f"/body/{place}/birth_date"
        ] * refused


def test_no_day_that_lies_ahead_makes_anybody_older() -> None:
    """Wherever dates of birth are compared, every rule asks that the day they are compared with is not after the message."""
    for kind in MESSAGES.types():
        minority = kind.schema.get("x-minor-on")
        for rule in (rule for rule in AGREEMENT.rules if rule.type == kind.type and minority):
            asked = [
                relation
                for relation in rule.relations
                if isinstance(relation, Ordered)
                and (relation.first.text, relation.last.text) == (f"/body/{minority['on']}", "/iat")
            ]
            assert [(one.otherwise, one.optional, one.when) for one in asked] == [("refuse", False, None)], rule.id
