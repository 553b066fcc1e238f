"""The identity of victims, children and possible victims: who may release it, to whom, and after which notice."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest

from gateway.decision.decide import Decision, Facts, decide
from gateway.statements.approval import Approval, digests_of
from tests.agreement.making import EARLIER, POLDA, Draft, message
from tests.agreement.sending import (
    ACKNOWLEDGED,
    AGREEMENT,
    DETENTION,
    MESSAGES,
    NOW,
    REFERRAL,
    REPLY,
    Sent,
    carried,
    example,
    fields,
    reply,
)

SECRET = {"identity", "health_summary", "service_provider"}  # of the adult of the example
UNITS = MESSAGES.code_list("unit").entries
PPA = {code for code, entry in UNITS.items() if entry.more["group"] == "PPA"}
VICTIM = Sent(REFERRAL, example(REFERRAL, "adult"))
DETAINED = Sent(DETENTION, example(DETENTION, "overstayer"), purpose="INVESTIGATION")


@dataclass(frozen=True)
class Second:
    """The referral sent again with what a release asks for: approvals of officers and an acknowledged notice."""

    body: Mapping[str, Any]
    police: bool = False
    type: str = REFERRAL
    purpose: str = "VICTIM_PROTECTION"
    roles: tuple[str, ...] = ("VICTIM_PROTECTION_OFFICER", "SUPERVISOR")
    officers: tuple[str, ...] = ("first", "second")
    approved: tuple[str, ...] = ("identity", "guardian", "health_summary", "service_provider", "detainee")
    acknowledged: Mapping[str, Any] | None = None
    live: bool = True
    received: bool = True

    def decided(self) -> Decision:
        sent = Sent(self.type, self.body, self.police, self.purpose, claims=REPLY)
        verified = sent.message()
        assert MESSAGES.violations(self.type, verified.body) == ()
        digests = frozenset(digest for name in self.approved for digest in digests_of(verified, f"/body/{name}"))
        notice = {
            "reference": self.body.get("victim_token"),
            "unit": self.body["receiving_unit"],
            "notice": self.body.get("notice"),
            **(self.acknowledged or {}),
        }
        related = reply(
            ACKNOWLEDGED,
            police=self.police if self.received else not self.police,
            live=self.live,
            open=True,
            view=carried(notice),
        )
        approvals = tuple(
            Approval(officer=officer, role=role, disclosures=digests)
            for officer, role in zip(self.officers, self.roles, strict=True)
        )
        return decide(AGREEMENT, verified, replace(related, approvals=approvals), NOW)


ADULT, MINOR = example(REFERRAL, "adult"), example(REFERRAL, "minor")
MINOR_ELSEWHERE = {**MINOR, "receiving_unit": "DITRESKRIMUM_BANTEN"}


def test_a_victim_is_a_token_until_the_notice_is_acknowledged() -> None:
    """By default only the needs of a token are released; the notice and the routing are always in clear."""
    assert fields(VICTIM.decided()) == SECRET
    decision = VICTIM.decided()
    assert (decision.handling, decision.priority, decision.approved_by, decision.notice) == ("RED", "urgent", (), None)
    assert decision.acknowledge_by == NOW + timedelta(hours=1)
    assert decision.retain_until == date(2032, 5, 2)  # services end on 2 May 2027, and five years


def test_two_officers_and_an_acknowledged_notice_release_a_victim() -> None:
    """The decision says by whom it was approved and which acknowledgement it rests on."""
    decision = Second(ADULT).decided()
    assert fields(decision) == set()
    assert (decision.approved_by, decision.notice) == (("first", "second"), EARLIER)


def test_a_minor_goes_to_a_unit_for_women_and_children() -> None:
    """The identity and the guardian of a minor, approved and acknowledged, to each PPA unit."""
    for unit in sorted(PPA):
        assert fields(Second({**MINOR, "receiving_unit": unit}).decided()) == set()


@pytest.mark.parametrize(
    ("second", "withheld"),
    [
        (Second(ADULT, officers=("first", "first")), SECRET),
        (Second(ADULT, officers=("first",), roles=("SUPERVISOR",)), SECRET),
        (Second(ADULT, roles=("SUPERVISOR", "INTELLIGENCE")), SECRET),
        (Second(ADULT, approved=("service_provider",)), SECRET - {"service_provider"}),
        (Second(ADULT, approved=("identity",)), SECRET - {"identity"}),
        (Second(ADULT, acknowledged={"reference": "KRB-B3NF-R8HC-V6JP"}), SECRET),
        (Second(ADULT, acknowledged={"unit": "PPA_POLRES_LEBAK"}), SECRET),
        (Second(ADULT, acknowledged={"notice": "CHILD_1"}), SECRET),
        (Second(ADULT, live=False), SECRET),
        (Second(ADULT, received=False), SECRET),
        (Second({**MINOR, "receiving_unit": "DITRESKRIMUM_BANTEN"}), {"identity", "guardian"}),
        (Second({**MINOR, "receiving_unit": "POLRES_LEBAK"}), {"identity", "guardian"}),
        (Second({**MINOR, "receiving_unit": "KANIM_SERANG"}, police=True), {"identity", "guardian"}),
    ],
    ids=[
        "one officer twice",
        "one officer",
        "another role",
        "the shelter alone approved",
        "the identity alone approved",
        "another victim's notice",
        "another unit's notice",
        "another notice",
        "a notice withdrawn",
        "the sender's own notice",
        "a minor to detectives",
        "a minor to a police resort",
        "a minor to immigration",
    ],
)
def test_whatever_is_missing_withholds(second: Second, withheld: set[str]) -> None:
    """Nothing is refused, and nothing is released that was not approved, acknowledged, or may not go there."""
    decision = second.decided()
    assert fields(decision) == withheld
    if withheld == SECRET:
        assert (decision.approved_by, decision.notice) == ((), None)


def test_health_goes_with_medical_care_alone() -> None:
    """The schema refuses health without the need; should it not, the rule withholds it all the same."""
    body = {**ADULT, "needs": ["SHELTER"]}
    assert MESSAGES.violations(REFERRAL, body)
    sent = Second(body)
    verified = Sent(REFERRAL, body, claims=REPLY).message()
    digests = frozenset(place.disclosure.digest for place in verified.placed)
    view = {"reference": body["victim_token"], "unit": body["receiving_unit"], "notice": body["notice"]}
    approvals = tuple(Approval(officer, "SUPERVISOR", digests) for officer in sent.officers)
    facts = replace(reply(ACKNOWLEDGED, view=carried(view)), approvals=approvals)
    assert fields(decide(AGREEMENT, verified, facts, NOW)) == {"health_summary"}


def test_what_must_be_disclosable_may_not_be_in_clear() -> None:
    """A sender that puts the identity in clear is refused: the gateway could not withhold it."""
    verified = message(
        Draft(
            type=REFERRAL,
            purpose="VICTIM_PROTECTION",
            agreement="pks-banten-2025",
            body=ADULT,
            disclosable=["/body/needs"],
            at=NOW,
        )
    )
    decision = decide(AGREEMENT, verified, Facts(), NOW)
    assert {reason.code for reason in decision.reasons} == {"rule.field-not-disclosable"}
    assert "/body/identity" in {reason.pointer for reason in decision.reasons}


# --- Who is detained

TRAFFICKED, CHILD = example(DETENTION, "possible-victim"), example(DETENTION, "child")


def test_a_detained_foreigner_is_named_and_a_possible_victim_is_not() -> None:
    """Without signs of being a victim, an adult is named; who may be a victim, or is a child, is not."""
    assert fields(DETAINED.decided()) == set()
    assert fields(replace(DETAINED, body=TRAFFICKED).decided()) == {"detainee", "health_summary"}
    assert fields(replace(DETAINED, body=CHILD).decided()) == {"detainee"}
    suspected = {**DETAINED.body, "is_minor": True, "victim_token": CHILD["victim_token"], "notice": "CHILD_1"}
    assert fields(replace(DETAINED, body=suspected).decided()) == {"detainee"}


def test_a_detained_victim_is_released_like_any_other() -> None:
    """For protection, approved and acknowledged; a child to a PPA unit; never for an investigation."""
    protection = Second(TRAFFICKED, type=DETENTION)
    assert fields(protection.decided()) == set()
    assert protection.decided().notice == EARLIER
    assert fields(Second(CHILD, type=DETENTION).decided()) == set()
    assert fields(replace(protection, purpose="INVESTIGATION").decided()) == {"detainee", "health_summary"}
    assert fields(replace(protection, live=False).decided()) == {"detainee", "health_summary"}
    assert fields(replace(protection, officers=("first", "first")).decided()) == {"detainee", "health_summary"}
    other = {**CHILD, "receiving_unit": "DITRESKRIMUM_BANTEN"}
    assert fields(Second(other, type=DETENTION).decided()) == {"detainee"}


def test_a_victim_in_detention_is_flagged() -> None:
    """UU 6/2011 Arts 86 to 88: the notice passes, and says that it should not have come to this."""
    [flag] = replace(DETAINED, body=CHILD).decided().flags
    assert flag.detail == "victims-are-not-detained-for-breaches"
    assert replace(DETAINED, body=TRAFFICKED).decided().flags == ()


# --- The rules and the code lists


def test_the_units_for_minors_are_those_of_the_list() -> None:
    """Wherever a minor is released, it is to the PPA units of the code list, all of the police, and to no other."""
    found = [
        situation_of["/body/receiving_unit"]["enum"]
        for rule in AGREEMENT.rules
        for entry in rule.withhold
        for situation in entry.unless
        if "/body/receiving_unit"
        in (situation_of := {pointer.text: fragment.schema for pointer, fragment in situation.items()})
        and rule.type in {REFERRAL, DETENTION}
    ]
    assert len(found) == 6
    assert all(set(units) == PPA and len(units) == len(PPA) for units in found)
    assert {UNITS[code].more["agency"] for code in PPA} == {POLDA}


def test_whatever_protects_a_victim_or_a_child_needs_approval() -> None:
    """In these types a field that can carry the identity of one is withheld unless it is approved and acknowledged."""
    for type_ in (REFERRAL, DETENTION):
        kind = MESSAGES.get(type_)
        [rule] = [rule for rule in AGREEMENT.rules if rule.type == type_]
        assert kind is not None
        protected = {name for name, entry in kind.schema["properties"].items() if entry.get("x-protects")}
        confidential = {entry.field.text for entry in rule.withhold if entry.confidential is not None}
        assert protected
        assert {f"/body/{name}" for name in protected} == confidential
