"""What permits a message of any type: a rule in force that names it, and nothing else; and that judging never fails."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.conditions import MISSING
from gateway.decision.decide import EVALUATION_FAILED, decide
from gateway.decision.facts import Facts, RelatedTransfer, needs
from tests.agreement.making import EARLIER
from tests.properties.changes import near
from tests.properties.exchanges import (
    AGENCIES,
    AGREEMENT,
    DOCUMENT,
    EXAMPLES,
    FIRST,
    LAST,
    PURPOSES,
    TYPES,
    agreement,
    bodies,
    leaves,
    permitted,
    put,
    rules_of,
    some,
)

each_type = pytest.mark.parametrize("type_", TYPES)
DAY = timedelta(days=1)


@each_type
def test_every_type_has_examples_that_a_rule_permits(type_: str) -> None:
    """Nearly every example of the catalogue passes somehow, so the properties below speak of real permissions."""
    passing = {id(exchange.draft.body) for exchange in permitted(type_)}
    assert len(passing) >= max(1, len(EXAMPLES[type_]) - 1)
    assert all(exchange.decided().permitted for exchange in permitted(type_))
    assert len(bodies(type_)) > len(EXAMPLES[type_])


@each_type
@some(12)
@given(st.data())
def test_what_is_permitted_has_a_rule_that_covers_it(type_: str, data: st.DataObject) -> None:
    """The rule that the decision names allows sender, recipient, type, purpose and day; a refusal has a reason."""
    exchange = data.draw(near(type_))
    decision = exchange.decided()
    assert decision.permitted is (not decision.reasons)
    if not decision.permitted:
        return
    rule = next(rule for rule in DOCUMENT["rules"] if rule["id"] == decision.rule)
    draft, day = exchange.draft, str((exchange.at + timedelta(hours=7)).date())
    assert (rule["type"], rule["clause"]) == (draft.type, decision.clause)
    assert (draft.sender in rule["senders"], draft.recipient in rule["recipients"]) == (True, True)
    assert draft.purpose in rule["purposes"]
    assert draft.sender != draft.recipient
    assert rule.get("valid_from", day) <= day <= rule.get("valid_until", day)
    assert DOCUMENT["valid_from"]["date"] <= day <= DOCUMENT["valid_until"]["date"]
    if "requires" in rule:
        assert draft.claims["case"].type in rule["requires"]["case"]


@each_type
@some(5)
@given(st.data())
def test_without_its_rule_a_message_is_refused_for_having_none(type_: str, data: st.DataObject) -> None:
    """The agreement with every rule but those of this type permits nothing of it: `rule.none`, and no other reason."""
    exchange = data.draw(near(type_, most=1))
    moment = exchange.at if FIRST <= exchange.at < LAST else FIRST
    left = _without(type_)
    decision = exchange.with_draft(at=moment).decided(left)
    assert ([reason.code for reason in decision.reasons], decision.rule) == (["rule.none"], None)
    assert exchange.decided(None).reasons[0].code == "agreement.unknown"


_left: dict[str, Any] = {}


def _without(type_: str) -> Any:
    if type_ not in _left:
        other = next(rule for rule in DOCUMENT["rules"] if rule["type"] != type_)
        _left[type_] = agreement([other])
    return _left[type_]


@each_type
def test_a_purpose_or_a_way_that_no_rule_has_is_refused(type_: str) -> None:
    """Every purpose of the code list and both directions, tried on every permitted exchange of the type."""
    rules = rules_of(type_)
    for exchange in permitted(type_)[:4]:
        draft = exchange.draft
        for purpose in PURPOSES:
            if not any(_names(rule, draft.sender, draft.recipient) and purpose in rule["purposes"] for rule in rules):
                decision = exchange.with_draft(purpose=purpose).decided()
                assert {reason.code for reason in decision.reasons} == {"rule.purpose"}
        if not any(_names(rule, draft.recipient, draft.sender) for rule in rules):
            decision = exchange.with_draft(sender=draft.recipient, recipient=draft.sender).decided()
            assert [reason.code for reason in decision.reasons] == ["rule.none"]


def _names(rule: dict[str, Any], sender: str, recipient: str) -> bool:
    return sender in rule["senders"] and recipient in rule["recipients"]


@each_type
@some(4)
@given(st.data())
def test_outside_its_days_an_agreement_permits_nothing(type_: str, data: st.DataObject) -> None:
    """Before the first and after the last day, to the second and in the agreement's zone, whatever else holds."""
    exchange = data.draw(near(type_, most=1))
    away = data.draw(st.timedeltas(timedelta(0), timedelta(days=3000)))
    second = timedelta(seconds=1)
    for moment in (FIRST - second - away, LAST + away):
        decision = exchange.with_draft(at=moment).decided()
        assert [reason.code for reason in decision.reasons] == ["agreement.inactive"]
    for moment in (FIRST, LAST - second):
        codes = {reason.code for reason in exchange.with_draft(at=moment).decided().reasons}
        assert "agreement.inactive" not in codes


@each_type
def test_outside_its_days_a_rule_permits_nothing(type_: str) -> None:
    """A rule that began today permits no message of yesterday, and one that ended today none of tomorrow."""
    for exchange in permitted(type_)[:3]:
        day = (exchange.at + timedelta(hours=7)).date()
        for bounds, passes in (
            ({"valid_from": str(day), "valid_until": str(day)}, True),
            ({"valid_from": str(day + DAY)}, False),
            ({"valid_until": str(day - DAY)}, False),
        ):
            one = agreement([{**rule, **bounds} for rule in rules_of(type_)])
            decision = exchange.decided(one)
            assert decision.permitted is passes
            assert [reason.code for reason in decision.reasons] == ([] if passes else ["rule.none"])


_claimed = {
    "case": {"type": "LP", "number": "LP/1/2026"},
    "officer": {"id": "1", "role": "LIAISON"},
    "purpose": "INVESTIGATION",
    "in_reply_to": EARLIER,
}


@st.composite
def partial_views(draw: st.DrawFn, body: Any) -> dict[str, Any] | None:
    """An earlier message as the store might hold it: with or without each claim, and with any part of a body."""
    view: dict[str, Any] = {"body": body, **{name: value for name, value in _claimed.items() if draw(st.booleans())}}
    for pointer, _ in draw(st.lists(st.sampled_from([*leaves(view)]), max_size=4)):
        view = _altered(view, pointer, MISSING)
    return draw(st.sampled_from([view, view, view, {}, {"body": {}}, None]))


def _altered(value: dict[str, Any], pointer: str, new: Any) -> dict[str, Any]:
    """As `put`; what is no longer there, or would leave a hole in a list, stays as it is."""
    try:
        return put(value, pointer, None if new is MISSING and pointer.rpartition("/")[2].isdigit() else new)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return value


_strange = st.sampled_from([MISSING, None, 0, True, "x", [], {}, [{}], {"case": 1}, "2026-13-45", "9999-12-31"])


@each_type
@some(12)
@given(st.data())
def test_judging_never_fails_whatever_is_absent(type_: str, data: st.DataObject) -> None:
    """Neither `decide` nor `needs` raises, and nothing is refused for an error of the gateway's own.

    Any claim may be absent, any part of the body (the schema has not been asked) and any part of what was looked up.
    """
    exchange = data.draw(near(type_))
    body = dict(exchange.draft.body)
    for pointer, _ in data.draw(st.lists(st.sampled_from([*leaves(body)]), max_size=3)):
        body = _altered(body, data.draw(st.sampled_from([pointer, pointer.rpartition("/")[0]])), data.draw(_strange))
    earlier_type = data.draw(st.sampled_from(TYPES))
    view = data.draw(partial_views(data.draw(st.sampled_from(EXAMPLES[earlier_type]))))
    route = data.draw(st.permutations(AGENCIES))
    related = RelatedTransfer(EARLIER, earlier_type, *route, True, data.draw(st.booleans()), True, view)
    facts = data.draw(st.sampled_from([Facts(), Facts(in_reply_to=related), exchange.known]))
    if exchange.known.in_reply_to is not None and data.draw(st.booleans()):
        facts = replace(exchange.known, in_reply_to=replace(exchange.known.in_reply_to, view=view))
    verified, _ = exchange.with_draft(body=body).sent()
    needs(AGREEMENT, verified, exchange.at)
    decision = decide(AGREEMENT, verified, facts, exchange.at)
    assert EVALUATION_FAILED not in {reason.detail for reason in decision.reasons}
