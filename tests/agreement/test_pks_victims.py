"""Cases, victims, children and detentions: what the shipped agreement permits and refuses, and what a case releases."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from gateway import resources
from gateway.decision.decide import decide
from gateway.message.envelope import Case, Officer, parse, release, verify
from tests.agreement.making import IMIGRASI, KEY
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

LP, LI = Case("LP", "LP/A/31/XI/2026/SPKT"), Case("LI", "LI/9/XI/2026")
OFFICER = Officer("OFF-7", "PPA_OFFICER")
OF_IMMIGRATION = {
    code for code, entry in MESSAGES.code_list("unit").entries.items() if entry.more["agency"] == IMIGRASI
}
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


def test_each_unit_receives_for_its_own_agency() -> None:
    """Every unit of the list is accepted as a recipient of its own agency, and refused by the other."""
    for unit in MESSAGES.code_list("unit").entries:
        for police in (True, False):
            decision = replace(VICTIM, police=police).decided(receiving_unit=unit)
            assert decision.permitted == ((unit in OF_IMMIGRATION) == police)


def test_deadlines_and_retention() -> None:
    """24 hours for cases and detentions; criminal files for ten years, detentions for five."""
    assert CASE.decided().acknowledge_by == DETAINED.decided().acknowledge_by == NOW + timedelta(days=1)
    assert CASE.decided().retain_until == date(2036, 11, 4)
    assert STATUS.decided().retain_until == ACKNOWLEDGEMENT.decided().retain_until == date(2036, 11, 4)
    assert DETAINED.decided().retain_until == date(2031, 11, 4)
    assert ACKNOWLEDGEMENT.decided().acknowledge_by is None


def test_a_referral_s_day_of_assessment_cannot_be_to_come() -> None:
    """By a day years ahead every child would be an adult."""
    body = example(REFERRAL, "adult") | {"assessed_on": "2031-01-01"}
    decision = replace(VICTIM, body=body).decided()
    assert ("rule.condition", "age-day-before-sent") in {(reason.code, reason.detail) for reason in decision.reasons}
