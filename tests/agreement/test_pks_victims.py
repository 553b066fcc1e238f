"""Cases, victims, children and detentions: what the shipped agreement permits, refuses, withholds and releases, to whom."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway import catalogue, resources
from gateway.approval import Approval, digests_of
from gateway.catalogue import Catalogue
from gateway.decide import Decision, Facts, decide
from gateway.envelope import Case, Officer, VerifiedMessage, parse, release, verify
from tests.agreement.making import EARLIER, IMIGRASI, KEY, POLDA, Draft, earlier, message, real

AGREEMENT = real()
MESSAGES = Catalogue(catalogue.read(resources.schemas_dir()))
NOW = datetime(2026, 11, 4, 0, 0, tzinfo=UTC)  # 07:00 in Banten, after every example
LP, LI = Case("LP", "LP/A/31/XI/2026/SPKT"), Case("LI", "LI/9/XI/2026")
OFFICER = Officer("OFF-7", "PPA_OFFICER")
PPA = {code for code, entry in MESSAGES.code_list("unit").entries.items() if entry.more["group"] == "PPA"}
OF_IMMIGRATION = {
    code for code, entry in MESSAGES.code_list("unit").entries.items() if entry.more["agency"] == IMIGRASI
}
REFERRAL, DETENTION, ACKNOWLEDGED = (
    "victim.referral/1",
    "foreigner.detention-notice/1",
    "confidentiality.acknowledgement/1",
)
SECRET = {"identity", "health_summary", "service_provider"}  # of the adult of the example


def example(type_: str, name: str) -> dict[str, Any]:
    path = resources.schemas_dir() / type_ / "examples" / f"valid-{name}.json"
    body: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return body


@dataclass(frozen=True)
class Sent:
    """One message as it is sent; what a test changes, it changes here."""

    type: str
    body: Mapping[str, Any]
    police: bool = False
    purpose: str = "VICTIM_PROTECTION"
    claims: Mapping[str, Any] | None = None
    facts: Facts = field(default_factory=Facts)

    def message(self) -> VerifiedMessage:
        kind = MESSAGES.get(self.type)
        assert kind is not None
        sender, recipient = (POLDA, IMIGRASI) if self.police else (IMIGRASI, POLDA)
        return message(
            Draft(
                type=self.type,
                sender=sender,
                recipient=recipient,
                purpose=self.purpose,
                agreement="pks-banten-2025",
                body=self.body,
                disclosable=sorted(kind.sensitive),
                claims=self.claims or {},
                at=NOW,
            )
        )

    def decided(self, **changes: Any) -> Decision:
        """With fields of the body changed; None takes one away."""
        body = {name: value for name, value in {**self.body, **changes}.items() if value is not None}
        sent = replace(self, body=body)
        verified = sent.message()
        assert MESSAGES.violations(self.type, verified.body) == ()
        return decide(AGREEMENT, verified, self.facts, NOW)


def reply(type_: str, *, police: bool = False, **changes: Any) -> Facts:
    """What the sender of the reply received: `police` says who replies."""
    sender, recipient = (IMIGRASI, POLDA) if police else (POLDA, IMIGRASI)
    return Facts(earlier(type=type_, sender=sender, recipient=recipient, **changes))


def carried(body: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier message as its sender sent it."""
    return {"body": dict(body)}


REPLY = {"in_reply_to": EARLIER}
ACKNOWLEDGEMENT = Sent(
    ACKNOWLEDGED,
    example(ACKNOWLEDGED, "victim"),
    police=True,
    claims={**REPLY, "officer": OFFICER},
    facts=reply(REFERRAL, police=True, open=False, view=carried(example(REFERRAL, "adult"))),
)
CASE = Sent("case.referral/1", example("case.referral/1", "lontar-2025"), purpose="INVESTIGATION", claims={"case": LP})
STATUS = Sent(
    "case.status/1",
    example("case.status/1", "accepted"),
    police=True,
    purpose="INVESTIGATION",
    claims=REPLY,
    facts=reply("case.referral/1", police=True),
)
VICTIM = Sent(REFERRAL, example(REFERRAL, "adult"))
DETAINED = Sent(DETENTION, example(DETENTION, "overstayer"), purpose="INVESTIGATION")
PERMITTED: dict[str, Sent] = {
    "case.referral/1 lontar-2025": CASE,
    "case.referral/1 child-suspect": replace(CASE, body=example("case.referral/1", "child-suspect")),
    "case.referral/1 smuggling-2026": replace(CASE, body=example("case.referral/1", "smuggling-2026"), police=True),
    "case.status/1 accepted": STATUS,
    "case.status/1 declined": replace(STATUS, body=example("case.status/1", "declined")),
    "case.status/1 investigation": replace(
        STATUS, body=example("case.status/1", "investigation"), facts=reply("case.referral/1", police=True, open=False)
    ),
    "victim.referral/1 adult": VICTIM,
    "victim.referral/1 minor": replace(VICTIM, body=example(REFERRAL, "minor")),
    "victim.referral/1 to-immigration": replace(VICTIM, body=example(REFERRAL, "to-immigration"), police=True),
    "confidentiality.acknowledgement/1 victim": ACKNOWLEDGEMENT,
    "confidentiality.acknowledgement/1 child": replace(
        ACKNOWLEDGEMENT,
        body=example(ACKNOWLEDGED, "child"),
        facts=reply(REFERRAL, police=True, view=carried(example(REFERRAL, "minor"))),
    ),
    "confidentiality.acknowledgement/1 application": replace(
        ACKNOWLEDGEMENT,
        body=example(ACKNOWLEDGED, "application"),
        purpose="EARLY_WARNING",
        facts=reply(
            "passport-application.anomaly/1", police=True, view=carried({"application_ref": "SRG-2026-000117"})
        ),
    ),
    "foreigner.detention-notice/1 overstayer": DETAINED,
    "foreigner.detention-notice/1 possible-victim": replace(DETAINED, body=example(DETENTION, "possible-victim")),
    "foreigner.detention-notice/1 child": replace(DETAINED, body=example(DETENTION, "child")),
    "foreigner.detention-notice/1 custody": replace(DETAINED, body=example(DETENTION, "custody"), police=True),
}


@pytest.mark.parametrize("name", PERMITTED)
def test_every_good_example_may_be_sent(name: str) -> None:
    """Valid under its schema, permitted by its rule, and what is released conforms to its release schema."""
    sent = PERMITTED[name]
    assert sent.body == example(*name.split(" "))
    verified = sent.message()
    assert MESSAGES.violations(sent.type, verified.body) == ()
    decision = decide(AGREEMENT, verified, sent.facts, NOW)
    assert (decision.permitted, decision.reasons) == (True, ())
    released = verify(parse(release(verified, decision.withheld).encode()), KEY.public, complete=False)
    assert MESSAGES.release_violations(sent.type, released.body) == ()


def test_no_example_is_forgotten() -> None:
    """The table above holds every good example of these types."""
    types = {sent.type for sent in PERMITTED.values()}
    found = {
        f"{type_} {path.stem.removeprefix('valid-')}"
        for type_ in types
        for path in (resources.schemas_dir() / type_ / "examples").glob("valid-*.json")
    }
    assert found == set(PERMITTED)


REFUSED: list[tuple[str, Sent, dict[str, Any], str, str]] = [
    ("no case", replace(CASE, claims={}), {}, "rule.case-required", "/case"),
    ("a wanted list", replace(CASE, claims={"case": Case("DPO", "DPO/1")}), {}, "rule.case-required", "/case/type"),
    ("an airport", CASE, {"region_code": "36.71"}, "rule.out-of-jurisdiction", "/body/region_code"),
    ("a district on no list", CASE, {"region_code": "36.03.09"}, "rule.out-of-jurisdiction", "/body/region_code"),
    (
        "not trafficking",
        CASE,
        {"offence_codes": ["UU6-2011-122"]},
        "rule.condition trafficking-or-smuggling",
        "/body/offence_codes",
    ),
    (
        "immigration's own unit",
        CASE,
        {"receiving_unit": "KANIM_SERANG"},
        "rule.condition police-unit",
        "/body/receiving_unit",
    ),
    (
        "the police's own unit",
        replace(CASE, police=True),
        {},
        "rule.condition immigration-unit",
        "/body/receiving_unit",
    ),
    ("prevention", replace(CASE, purpose="PREVENTION"), {}, "rule.purpose", "/purpose"),
    ("a status of nothing", replace(STATUS, claims={}), {}, "rule.condition answers-referral", "/in_reply_to"),
    (
        "answered before",
        replace(STATUS, facts=reply("case.referral/1", police=True, open=False)),
        {},
        "rule.condition answers-referral",
        "/in_reply_to",
    ),
    (
        "a status of a recalled referral",
        replace(
            STATUS,
            body=example("case.status/1", "investigation"),
            facts=reply("case.referral/1", police=True, live=False),
        ),
        {},
        "rule.condition about-a-referral",
        "/in_reply_to",
    ),
    (
        "a status of a warning",
        replace(STATUS, facts=reply("early-warning.report/1", police=True)),
        {},
        "rule.condition answers-referral",
        "/in_reply_to",
    ),
    ("to investigate a victim", replace(VICTIM, purpose="INVESTIGATION"), {}, "rule.purpose", "/purpose"),
    (
        "a victim for the sender's unit",
        VICTIM,
        {"receiving_unit": "KANWIL_IMIGRASI_BANTEN"},
        "rule.condition police-unit",
        "/body/receiving_unit",
    ),
    (
        "acknowledged by nobody",
        replace(ACKNOWLEDGEMENT, claims=REPLY),
        {},
        "rule.condition named-officer",
        "/officer/role",
    ),
    (
        "acknowledged for the other agency",
        PERMITTED["confidentiality.acknowledgement/1 application"],
        {"unit": "KANIM_SERANG"},
        "rule.condition own-police-unit",
        "/body/unit",
    ),
    (
        "acknowledged for another unit",
        ACKNOWLEDGEMENT,
        {"unit": "PPA_POLRES_LEBAK"},
        "rule.condition the-unit-of-that-message",
        "/body/unit",
    ),
    (
        "another notice",
        ACKNOWLEDGEMENT,
        {"notice": "CHILD_1"},
        "rule.condition the-notice-of-that-message",
        "/body/notice",
    ),
    (
        "another victim",
        ACKNOWLEDGEMENT,
        {"reference": "KRB-B3NF-R8HC-V6JP"},
        "rule.condition the-token-of-that-message",
        "/body/reference",
    ),
    (
        "another application",
        PERMITTED["confidentiality.acknowledgement/1 application"],
        {"reference": "SRG-2026-000118"},
        "rule.condition the-application-of-that-message",
        "/body/reference",
    ),
    (
        "another deferral",
        replace(
            ACKNOWLEDGEMENT,
            facts=reply("departure-deferral.notice/1", police=True, view=carried({"deferral_no": "TPI-MRK-2026-0031"})),
        ),
        {},
        "rule.condition the-deferral-of-that-message",
        "/body/reference",
    ),
    (
        "acknowledged tomorrow",
        ACKNOWLEDGEMENT,
        {"acknowledged_at": "2026-11-05T10:05:00+07:00"},
        "rule.condition acknowledged-before-sent",
        "/iat",
    ),
    (
        "acknowledged by its sender",
        replace(ACKNOWLEDGEMENT, facts=reply(REFERRAL, view=carried(example(REFERRAL, "adult")))),
        {},
        "rule.condition answers-what-carried-the-notice",
        "/in_reply_to",
    ),
    (
        "in the custody of the other",
        DETAINED,
        {"authority": "POLICE_CUSTODY"},
        "rule.condition own-custody",
        "/body/authority",
    ),
    (
        "of the police in immigration detention",
        replace(DETAINED, police=True),
        {"receiving_unit": "INTELDAKIM_CILEGON"},
        "rule.condition own-police-custody",
        "/body/authority",
    ),
    (
        "screened tomorrow",
        DETAINED,
        {"screened_on": "2026-11-05"},
        "rule.condition screened-before-sent",
        "/iat",
    ),
    (
        "detained tomorrow",
        DETAINED,
        {"detained_from": "2026-11-05T14:30:00+07:00"},
        "rule.condition detained-before-sent",
        "/iat",
    ),
]


@pytest.mark.parametrize(
    ("sent", "changes", "code", "pointer"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_the_rule_forbids_is_refused(sent: Sent, changes: dict[str, Any], code: str, pointer: str) -> None:
    """Each condition, relation, case, territory and purpose, broken alone, is the one reason that is told."""
    decision = sent.decided(**changes)
    assert not decision.permitted
    [reason] = decision.reasons
    told = f"{reason.code} {reason.detail}" if reason.code == "rule.condition" else reason.code
    assert (told, reason.pointer) == (code, pointer)


def fields(decision: Decision) -> set[str]:
    assert decision.permitted, decision.reasons
    return {pointer.removeprefix("/body/") for pointer in decision.withheld}


def test_a_case_names_its_suspects_and_an_information_report_does_not() -> None:
    """Under a police report the suspects and tokens go over; under an LI nothing that leads to a person."""
    assert fields(CASE.decided()) == {"contact_officer/nip"}
    assert fields(replace(CASE, claims={"case": LI}).decided()) == {
        "contact_officer/nip",
        "evidence_index/0/description",
        "suspects",
        "summary",
        "victim_refs",
    }
    child = replace(CASE, body=example("case.referral/1", "child-suspect"), claims={"case": LI})
    assert "child_suspect_refs" in fields(child.decided())


def test_remarks_follow_a_case() -> None:
    """Free text about a case goes over only where the claims say which case."""
    sent = PERMITTED["case.status/1 investigation"]
    assert fields(sent.decided()) == {"remarks"}
    assert fields(replace(sent, claims={**REPLY, "case": LP}).decided()) == set()


def test_the_first_status_answers_and_a_later_one_refers() -> None:
    """A referral is open until it is taken on or declined."""
    assert STATUS.decided().reply_as == "answers"
    assert PERMITTED["case.status/1 investigation"].decided().reply_as == "refers"


# --- The identity of a victim


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
    assert not PPA & OF_IMMIGRATION


def test_each_unit_receives_for_its_own_agency() -> None:
    """Every unit of the list is accepted as a recipient of its own agency, and refused by the other."""
    for unit in MESSAGES.code_list("unit").entries:
        for police in (True, False):
            decision = replace(VICTIM, police=police).decided(receiving_unit=unit)
            assert decision.permitted == ((unit in OF_IMMIGRATION) == police)


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


def test_deadlines_and_retention() -> None:
    """24 hours for cases and detentions; criminal files for ten years, detentions for five."""
    assert CASE.decided().acknowledge_by == DETAINED.decided().acknowledge_by == NOW + timedelta(days=1)
    assert CASE.decided().retain_until == date(2036, 11, 4)
    assert STATUS.decided().retain_until == ACKNOWLEDGEMENT.decided().retain_until == date(2036, 11, 4)
    assert DETAINED.decided().retain_until == date(2031, 11, 4)
    assert ACKNOWLEDGEMENT.decided().acknowledge_by is None
