"""What is released of a message of any type: it satisfies its release schema, and tells nothing of what stays behind.

What tells something is worked out here from the schemas and from how identity numbers are made, not as the gateway does.
"""

import re
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.document import Agreement
from gateway.decision.decide import Decision, decide
from gateway.message.disclosure import pointers_matching
from gateway.message.envelope import VerifiedMessage, parse, release, verify
from tests.agreement.making import KEY
from tests.properties.changes import near
from tests.properties.exchanges import (
    AGREEMENT,
    EXAMPLES,
    MESSAGES,
    TYPES,
    Exchange,
    agreement,
    leaves,
    permitted,
    rules_of,
    sensitive,
    some,
)
from tests.properties.words import held, leaks

each_type = pytest.mark.parametrize("type_", TYPES)
SOURCE = {"provenance": "public", "citation": "a test"}


_agreements: dict[tuple[str, ...], Agreement] = {}


def stricter(type_: str, fields: tuple[str, ...]) -> Agreement:
    """The rules of the type, which withhold these fields as well, always."""
    key = (type_, *fields)
    if key not in _agreements:
        rules = deepcopy(rules_of(type_))
        for rule in rules:
            others = [entry for entry in rule.get("withhold", ()) if entry["field"] not in fields]
            rule["withhold"] = [*others, *({"field": field, "unless": [], **SOURCE} for field in fields)]
        _agreements[key] = agreement(rules)
    return _agreements[key]


def patterns(type_: str) -> list[str]:
    """Every place of the examples' bodies, as a rule names it."""
    found = {
        re.sub(r"/[0-9]+", "/*", f"/body{pointer}")
        for body in EXAMPLES[type_]
        for leaf, _ in leaves(body)
        for pointer in (leaf, leaf.rpartition("/")[0])
        if pointer
    }
    return sorted(pattern for pattern in found if not pattern.endswith("/*"))


def finely(exchange: Exchange) -> Exchange:
    """Every leaf of the body and every object in it disclosable by itself."""
    return exchange.with_draft(disclosable=sorted({*exchange.draft.disclosable, *patterns(exchange.draft.type)}))


def released(exchange: Exchange, under: Agreement) -> tuple[VerifiedMessage, Decision, str]:
    """The message, the decision and what goes out; nothing where it is refused."""
    message, facts = exchange.sent()
    decision = decide(under, message, facts, exchange.at)
    return message, decision, release(message, decision.withheld) if decision.permitted else ""


@each_type
@some(10)
@given(st.data())
def test_what_is_released_satisfies_its_release_schema(type_: str, data: st.DataObject) -> None:
    """Of every message that the schema and a rule let pass, what goes out is what the recipient's schema asks for.

    However the sender cut it into disclosures, and whatever stays behind for what it would tell.
    """
    exchange = data.draw(near(type_))
    if data.draw(st.booleans()):
        exchange = finely(exchange)
    _, decision, text = released(exchange, AGREEMENT)
    if decision.permitted:
        opened = verify(parse(text.encode()), KEY.public, complete=False)
        assert MESSAGES.release_violations(type_, opened.body) == ()


@each_type
@some(16)
@given(st.data())
def test_nothing_released_tells_what_is_withheld(type_: str, data: st.DataObject) -> None:
    """Not a word of a withheld field stands in what goes out, nor a number made from it; under any stricter rule too."""
    exchange = data.draw(near(type_))
    under, fields = AGREEMENT, []
    if data.draw(st.booleans()):
        exchange = finely(exchange)
        fields = sorted(data.draw(st.sets(st.sampled_from(patterns(type_)), min_size=1, max_size=2)))
        under = stricter(type_, tuple(fields))
    message, decision, text = released(exchange, under)
    if decision.permitted:
        named = [pointer for field in fields for pointer in pointers_matching({"body": message.body}, field)]
        assert all(held(pointer, decision.withheld) for pointer in named)
        assert leaks(type_, message, decision, text) == []


def test_what_a_recipient_needs_is_refused_rather_than_left_out() -> None:
    """A field that the release schema requires, told apart by its sender and repeating a withheld number: refused.

    It once stayed behind with the number, and the recipient got a message that its own schema does not take.
    """
    (exchange, *_) = permitted("facility-use.request/1")
    body = deepcopy(dict(exchange.draft.body))
    officer = {**body["contact_officer"], "nrp": "85031234", "unit": "Ditreskrimum 85031234"}
    fields = [*sensitive("facility-use.request/1"), "/body/contact_officer/unit", "/body/contact_officer/phone"]
    told = exchange.with_draft(body={**body, "contact_officer": officer}, disclosable=fields)
    refused = told.decided()
    assert [(reason.code, reason.pointer) for reason in refused.reasons] == [
        ("rule.field-not-disclosable", "/body/contact_officer/unit")
    ]
    # What the schema can do without goes along instead.
    officer = {**officer, "unit": "Ditreskrimum", "phone": "+6285031234"}
    optional = exchange.with_draft(body={**body, "contact_officer": officer}, disclosable=fields).decided()
    assert set(optional.withheld) >= {"/body/contact_officer/nrp", "/body/contact_officer/phone"}
