"""A narrower agreement never permits and never releases more, for messages of all types."""

import re
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.document import Agreement
from gateway.decision.decide import Decision
from gateway.errors import AgreementInvalidError
from tests.properties.changes import near
from tests.properties.exchanges import (
    TYPES,
    Exchange,
    agreement,
    leaves,
    permitted,
    rules_of,
    sensitive,
    some,
)

each_type = pytest.mark.parametrize("type_", TYPES)
SOURCE = {"provenance": "public", "citation": "a test"}
Rule = dict[str, Any]


def held(pointer: str, withheld: tuple[str, ...]) -> bool:
    return any(pointer == entry or pointer.startswith(f"{entry}/") for entry in withheld)


def more_than(narrow: Decision, wide: Decision) -> str | None:
    """What the narrower decision gives that the wider one does not."""
    if not narrow.permitted:
        return None
    if not wide.permitted:
        return "a permission"
    return next((pointer for pointer in wide.withheld if not held(pointer, narrow.withheld)), None)


def _fewer(key: str) -> Callable[[st.DrawFn, Rule, str], None]:
    def drop(draw: st.DrawFn, rule: Rule, _: str) -> None:
        gone = draw(st.sampled_from(rule[key]))
        left = {**rule, key: [entry for entry in rule[key] if entry != gone]}
        if left["purposes"] and any(one != other for one in left["senders"] for other in left["recipients"]):
            rule[key] = left[key]

    return drop


def _replies(rule: Rule) -> bool:
    return any(entry["kind"] in ("answers", "refers_to", "amends") for entry in rule.get("relations", ()))


def _named(entries: Any, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry more, under a name of its own."""
    return [*(entries or ()), {"name": f"one-more-{len(entries or ())}", **entry}]


def _one_situation_less(draw: st.DrawFn, rule: Rule, _: str) -> None:
    releasing = [entry for entry in rule.get("withhold", ()) if entry.get("unless")]
    if releasing:
        entry = draw(st.sampled_from(releasing))
        entry["unless"].pop(draw(st.integers(0, len(entry["unless"]) - 1)))
        if not entry["unless"]:
            entry.pop("confidential", None)


def _one_condition_more(draw: st.DrawFn, rule: Rule, type_: str) -> None:
    pointer, value = draw(st.sampled_from(_told(type_)))
    kind = {bool: "boolean", int: "integer", str: "string"}[type(value)]
    must = draw(
        st.sampled_from([{"const": value}, {"type": kind, "not": {"const": value}}, {"enum": [value, "OTHER"]}])
    )
    mode: dict[str, Any] = draw(
        st.sampled_from([{}, {"optional": True}, {"when": {"/purpose": {"const": "PREVENTION"}}}])
    )
    rule["where"] = _named(rule.get("where"), {"field": pointer, "must": must, **mode})


def _one_withheld_more(draw: st.DrawFn, rule: Rule, type_: str) -> None:
    known = {entry["field"] for entry in rule.get("withhold", ())}
    fields = sorted({*sensitive(type_), *(pointer for pointer, _ in _told(type_))} - known)
    fields = [field for field in fields if field.startswith("/body/")]
    pointer, value = draw(st.sampled_from(_told(type_)))
    unless: list[Any] = draw(st.sampled_from([[], [{pointer: {"const": value}}], [{"/case/type": {"const": "LP"}}]]))
    if fields:
        entry = {"field": draw(st.sampled_from(fields)), "unless": unless, **SOURCE}
        rule["withhold"] = [*rule.get("withhold", ()), entry]


def _stricter_confidence(draw: st.DrawFn, rule: Rule, _: str) -> None:
    for entry in rule.get("withhold", ()):
        if entry.get("unless") and ("confidential" in entry or not _replies(rule)):
            asked = {"approvals": 2, "roles": ["SUPERVISOR"], "notice": ["confidentiality.acknowledgement/1"]}
            asked = entry.setdefault("confidential", asked)
            change = draw(st.sampled_from(["more", "always", "fewer roles", "nothing"]))
            if change == "more":
                asked["approvals"] = 3
            elif change == "always":
                asked.pop("when", None)
            elif change == "fewer roles":
                asked["roles"] = asked["roles"][:1]


def _shorter(draw: st.DrawFn, rule: Rule, type_: str) -> None:
    exchange = permitted(type_)[0]
    day = (exchange.at + timedelta(days=draw(st.integers(-2, 2)))).date()
    rule[draw(st.sampled_from(["valid_from", "valid_until"]))] = str(day)


def _a_limit(draw: st.DrawFn, rule: Rule, _: str) -> None:
    rule["quota"] = {**rule.get("quota", {}), "per_hour": 1, **SOURCE}
    if draw(st.booleans()):
        rule["requires"] = {"case": (rule.get("requires") or {"case": ["LP"]})["case"][:1]}


def _never_a_flag(_: st.DrawFn, rule: Rule, __: str) -> None:
    for entry in (*rule.get("where", ()), *rule.get("relations", ())):
        entry.pop("otherwise", None)
        if entry.get("kind") not in ("answers", "refers_to", "amends"):
            entry.pop("when", None)


def _a_relation_more(draw: st.DrawFn, rule: Rule, type_: str) -> None:
    pointer, _ = draw(st.sampled_from([entry for entry in _told(type_) if entry[0].startswith("/body/")]))
    kinds: list[dict[str, Any]] = [
        {"kind": "ordered", "first": "/iat", "last": pointer, "optional": True},
        {"kind": "links", "field": pointer, "types": ["recall/1"], "optional": True},
    ]
    if _replies(rule):
        kinds += [
            {"kind": "same", "here": pointer, "there": pointer, "optional": draw(st.booleans())},
            {"kind": "at_most", "count": 1},
            {"kind": "earlier", "field": "/purpose", "must": {"const": "PREVENTION"}},
        ]
    rule["relations"] = _named(rule.get("relations"), draw(st.sampled_from(kinds)))


def _a_territory(draw: st.DrawFn, rule: Rule, type_: str) -> None:
    coded = [pointer for pointer, _ in _told(type_) if pointer.startswith("/body/") and "region" in pointer]
    if coded:
        entry = {"field": draw(st.sampled_from(coded)), "of": "polda-banten", "optional": draw(st.booleans())}
        rule["jurisdiction"] = [*rule.get("jurisdiction", ()), entry]


NARROWINGS = (
    _fewer("senders"),
    _fewer("recipients"),
    _fewer("purposes"),
    _one_situation_less,
    _one_condition_more,
    _one_withheld_more,
    _stricter_confidence,
    _shorter,
    _a_limit,
    _never_a_flag,
    _a_relation_more,
    _a_territory,
)


def _told(type_: str) -> list[tuple[str, Any]]:
    """Places that a condition may speak of: those of the claims, and those of a body that go through no list."""
    exchange = permitted(type_)[0]
    plain = [(pointer, value) for pointer, value in leaves(dict(exchange.draft.body)) if isinstance(value, str | int)]
    body = [(f"/body{pointer}", value) for pointer, value in plain if not re.search(r"/[0-9]", pointer)]
    return [("/purpose", exchange.draft.purpose), ("/case/type", "LP"), *body]


@st.composite
def narrower(draw: st.DrawFn, type_: str) -> Agreement | None:
    """The rules of the type with up to three terms made narrower, or one rule less; None once no rule is left."""
    rules = deepcopy(rules_of(type_))
    for narrowing in draw(st.lists(st.sampled_from(NARROWINGS), min_size=1, max_size=3)):
        narrowing(draw, draw(st.sampled_from(rules)), type_)
    if draw(st.sampled_from([False] * 15 + [True])):
        rules.pop(draw(st.integers(0, len(rules) - 1)))
    try:
        return agreement(rules) if rules else None
    except AgreementInvalidError:
        return None  # the few terms that say something against each other


@each_type
@some(16)
@given(st.data())
def test_a_narrower_agreement_gives_no_more(type_: str, data: st.DataObject) -> None:
    """A rule, sender, recipient, purpose, situation or day less; a condition, relation, limit, officer or field more."""
    exchange = data.draw(near(type_, most=2))
    if data.draw(st.booleans()):
        exchange = finely(exchange)
    assert more_than(exchange.decided(data.draw(narrower(type_))), exchange.decided()) is None


def finely(exchange: Exchange) -> Exchange:
    """Every leaf of the body disclosable by itself, so that whatever a rule withholds can be."""
    places = [f"/body{pointer}" for pointer, _ in leaves(dict(exchange.draft.body))]
    return exchange.with_draft(disclosable=[*dict.fromkeys([*exchange.draft.disclosable, *places])])
