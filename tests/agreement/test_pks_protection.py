"""Who is protected in clauses 1 and 2: children, the deferred and reporters, and what it takes to release an identity."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.agreement.terms import Rule
from gateway.decision.decide import Decision, Facts, decide
from gateway.statements.approval import Approval, digests_of
from tests.agreement.clause_1_2 import (
    ACKNOWLEDGED,
    AGREEMENT,
    ANOMALY,
    DEFERRAL,
    DEFERRED,
    INVESTIGATION,
    MESSAGES,
    NOW,
    REFERRAL_ID,
    REFERRED,
    REPLY,
    Name,
    changed,
    decided,
    referral,
)
from tests.agreement.making import EARLIER, LP, earlier, message

CHILD_UNIT = "PPA_POLRES_PANDEGLANG"
PPA = {code for code, entry in MESSAGES.code_list("unit").entries.items() if entry.more["group"] == "PPA"}
OFFICERS = (("one", "VICTIM_PROTECTION_OFFICER"), ("two", "SUPERVISOR"))


def asked_to_release(
    name: Name,
    changes: dict[str, Any],
    *,
    officers: tuple[tuple[str, str], ...] = OFFICERS,
    acknowledged: dict[str, Any] | None = None,
    **more: Any,
) -> Decision:
    """The message sent again for protection, approved in full, in reply to the acknowledgement of its own notice."""
    draft, facts = changed(name, changes, **{"purpose": "VICTIM_PROTECTION", "claims": REPLY, **more})
    verified = message(draft)
    assert MESSAGES.violations(draft.type, verified.body) == ()
    fields = [entry.pointer for entry in verified.placed]
    digests = frozenset(digest for pointer in fields for digest in digests_of(verified, pointer))
    body = verified.body
    told = {
        "reference": body.get("deferral_no") or body.get("application_ref"),
        "unit": body.get("receiving_unit"),
        "notice": body.get("notice"),
        **(acknowledged or {}),
    }
    notice = earlier(type=ACKNOWLEDGED, sender=draft.recipient, recipient=draft.sender, view={"body": told})
    approvals = tuple(Approval(officer, role, digests) for officer, role in officers)
    return decide(AGREEMENT, verified, replace(facts, in_reply_to=notice, approvals=approvals), NOW)


CHILD_REFERRED = {"referral": REFERRAL_ID, "receiving_unit": CHILD_UNIT}
CHILD_APPLIED = (ANOMALY, "child")
RELEASES: list[tuple[Name, dict[str, Any], set[str]]] = [
    (REFERRED, {}, {"/body/persons/0/identity"}),
    (DEFERRED, CHILD_REFERRED, {"/body/persons/0/identity", "/body/persons/1/identity"}),
    (CHILD_APPLIED, {}, {"/body/applicant", "/body/sponsor"}),
]


def facts_of(name: Name) -> Facts:
    return Facts() if name == CHILD_APPLIED else Facts(linked=referral())


@pytest.mark.parametrize(("name", "changes", "fields"), RELEASES)
def test_two_officers_and_an_acknowledged_notice_release_an_identity(
    name: Name, changes: dict[str, Any], fields: set[str]
) -> None:
    """Approved twice, acknowledged, referred, to the right unit: then and only then; the decision says by whom."""
    decision = asked_to_release(name, changes, facts=facts_of(name))
    assert decision.reasons == ()
    assert fields.isdisjoint(decision.withheld)
    assert (set(decision.approved_by), decision.notice) == ({"one", "two"}, EARLIER)


@pytest.mark.parametrize(("name", "changes", "fields"), RELEASES)
@pytest.mark.parametrize(
    "more",
    [
        {"officers": OFFICERS[:1]},
        {"officers": (OFFICERS[0], (OFFICERS[0][0], "SUPERVISOR"))},
        {"officers": (OFFICERS[0], ("two", "INTELLIGENCE"))},
        {"acknowledged": {"reference": "TPI-MRK-2026-9999"}},
        {"acknowledged": {"unit": "PPA_POLRES_LEBAK"}},
        {"acknowledged": {"notice": "OTHER_1"}},
        {"purpose": INVESTIGATION},
        {"claims": {"in_reply_to": "01960000-0000-7000-8000-000000000009"}},
    ],
    ids=[
        "one officer", "one officer twice", "another role", "another reference", "another unit", "another notice",
        "another purpose", "another reply",
    ],
)  # fmt: skip
def test_whatever_is_missing_withholds(
    name: Name, changes: dict[str, Any], fields: set[str], more: dict[str, Any]
) -> None:
    """Nothing is refused, and no identity is released."""
    decision = asked_to_release(name, changes, facts=facts_of(name), **more)
    assert decision.reasons == ()
    assert fields <= set(decision.withheld)
    assert (decision.approved_by, decision.notice) == ((), None)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (DEFERRED, {**CHILD_REFERRED, "receiving_unit": "DITRESKRIMUM_BANTEN"}),
        (DEFERRED, {**CHILD_REFERRED, "receiving_unit": "INTELDAKIM_SERANG"}),
        (CHILD_APPLIED, {"receiving_unit": "DITRESKRIMUM_BANTEN"}),
    ],
)
def test_a_child_goes_to_a_unit_for_women_and_children(name: Name, changes: dict[str, Any]) -> None:
    """Approved and acknowledged by another unit, the identity of a child stays, and of everyone who travels with it."""
    decision = asked_to_release(name, changes, facts=facts_of(name))
    assert decision.reasons == ()
    assert decision.approved_by == ()
    assert {"/body/applicant", "/body/persons/0/identity", "/body/persons/1/identity"} & set(decision.withheld)


def test_nobody_is_unmasked_before_a_referral() -> None:
    """Approved and acknowledged, an adult whom nobody has referred stays masked."""
    decision = asked_to_release(REFERRED, {"referral": None})
    assert decision.reasons == ()
    assert decision.withheld == ("/body/persons/0/identity",)


def test_a_grave_anomaly_or_a_case_does_not_release_a_child() -> None:
    """What releases an adult applicant leaves a child and its sponsor where they are."""
    for more in ({}, {"claims": {"case": LP}, "purpose": INVESTIGATION}):
        withheld = decided(CHILD_APPLIED, {"severity": 4}, **more).withheld
        assert set(withheld) == {"/body/applicant", "/body/sponsor"}


def test_the_units_of_the_rules_are_those_of_the_list() -> None:
    """Every unit for women and children that the code list has, and no other."""
    for rule in AGREEMENT.rules:
        if rule.type not in (DEFERRAL, ANOMALY):
            continue
        situations = [situation for entry in rule.withhold for situation in entry.unless]
        for situation in situations:
            for pointer, fragment in situation.items():
                if pointer.text == "/body/receiving_unit":
                    assert set(fragment.schema["enum"]) == PPA


def test_every_protected_field_is_withheld_for_good_or_confidential() -> None:
    """`x-protects` is not a promise: for a victim, a child or a reporter some term of the rule stands behind it."""
    child = [{"is_minor": True}, {"applicant_age_band": "AGE_12_17", "is_minor": True}]
    for rule in AGREEMENT.rules:
        protected = {pointer for pointer, whom in protects(rule.type) if whom}
        for pointer in protected - never_there(rule):
            terms = [entry for entry in rule.withhold if entry.field.text == pointer]
            assert terms, (rule.id, pointer)
            for entry in terms:
                if entry.confidential is not None or not entry.unless:
                    continue
                for situation in entry.unless if pointer not in adults_alone(rule.type) else ():
                    asked = {place.text: fragment for place, fragment in situation.items()}
                    flag = asked.get("/body/is_minor")
                    assert flag is not None, (rule.id, pointer)
                    assert not any(flag.is_met_by(body["is_minor"]) for body in child), (rule.id, pointer)


def never_there(rule: Rule) -> set[str]:
    """What the rule refuses to have in a message at all."""
    return {entry.field.text for entry in rule.where if entry.optional and entry.must.schema == {"const": False}}


def adults_alone(type_: str) -> set[str]:
    """The field of a type that names nobody who may be a child: there a flag has nothing to say."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    minority = kind.schema.get("x-minor-on")
    return set() if minority is None or "flag" in minority else {f"/body/{minority['born'].partition('/')[0]}"}


def protects(type_: str) -> list[tuple[str, list[str]]]:
    """Where a type says `x-protects`, as pointers of the rules."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    found: list[tuple[str, list[str]]] = []

    def look(schema: Any, at: str) -> None:
        if isinstance(schema, dict):
            found.append((at, schema.get("x-protects", [])))
            for name, entry in schema.get("properties", {}).items():
                look(entry, f"{at}/{name}")
            look(schema.get("items"), f"{at}/*")

    look(dict(kind.schema), "/body")
    return found
