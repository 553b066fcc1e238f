"""Clauses 3 and 4 of the shipped agreement: supervision of investigators, joint operations, facilities and training."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from gateway import resources
from gateway.decision.decide import Decision, Facts
from gateway.message.envelope import Case, Officer, parse, release, verify
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from tests.agreement.making import EARLIER, IMIGRASI, KEY, LP, NOW, POLDA, Draft, earlier, judged, message, real

AGREEMENT = real()
SCHEMAS = resources.schemas_dir()
MESSAGES = Catalogue(catalogue.read(SCHEMAS))
SPRINDIK = Case("SPRINDIK", "SPRINDIK/9/III/2026/INTELDAKIM")
LIAISON = Officer("imi-0042", "LIAISON")
TYPES = (
    "investigation-start.notice/1",
    "investigation-assistance.request/1",
    "investigation-assistance.decision/1",
    "investigator-roster.record/1",
    "joint-operation.plan/1",
    "facility-use.request/1",
    "facility-use.response/1",
    "training.announcement/1",
    "training.enrolment/1",
)


def example(type_: str, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((SCHEMAS / type_ / "examples" / f"valid-{name}.json").read_text("utf-8"))
    return body


def sent(
    type_: str, name: str, purpose: str, *, police: bool = False, classification: str = "T", **claims: Any
) -> Draft:
    kind = MESSAGES.get(type_)
    assert kind is not None
    sender, recipient = (POLDA, IMIGRASI) if police else (IMIGRASI, POLDA)
    return Draft(
        type=type_,
        sender=sender,
        recipient=recipient,
        purpose=purpose,
        agreement="pks-banten-2025",
        body=example(type_, name),
        disclosable=sorted(kind.sensitive),
        claims=claims,
        classification=classification,
    )


def related(type_: str, name: str, **changes: Any) -> Facts:
    """An example that was sent earlier, by the one who is now the recipient unless `changes` says otherwise."""
    return Facts(earlier(type=type_, view={"body": example(type_, name)}, **changes))


NOTICE, REQUEST, DECISION, ROSTER, PLAN, FACILITY, ANSWER, TRAINING, ENROLMENT = TYPES
OWN_NOTICE = related(NOTICE, "smuggling", sender=IMIGRASI, recipient=POLDA)
ENDED_NOTICE = related(NOTICE, "smuggling", sender=IMIGRASI, recipient=POLDA, live=False)
SUSPECT_KNOWN = sent(NOTICE, "smuggling", "SUPERVISION", case=SPRINDIK)
SEARCH = sent(REQUEST, "search", "INVESTIGATION", case=SPRINDIK, in_reply_to=EARLIER)
PARTIAL = sent(DECISION, "partial", "INVESTIGATION", police=True, in_reply_to=EARLIER)
ASKED = related(REQUEST, "search", sender=IMIGRASI, recipient=POLDA)
CASED_PLAN = sent(PLAN, "raid-for-a-case", "INVESTIGATION", classification="SR", case=LP)
OPEN_PLAN = sent(PLAN, "sea-patrol", "PREVENTION", classification="R", police=True)
ARMED = sent(ROSTER, "polsus-armed", "SUPERVISION", officer=LIAISON)
ROOM = sent(FACILITY, "classroom", "CAPACITY_BUILDING")
NOMINEES = sent(ENROLMENT, "two-nominees", "CAPACITY_BUILDING", in_reply_to=EARLIER)

# Every valid example, with claims and facts under which some rule permits it.
PASSING: dict[tuple[str, str], tuple[Draft, Facts]] = {
    (NOTICE, "smuggling"): (SUSPECT_KNOWN, Facts()),
    (NOTICE, "suspect-unknown"): (sent(NOTICE, "suspect-unknown", "INVESTIGATION", case=SPRINDIK), Facts()),
    (REQUEST, "search"): (SEARCH, OWN_NOTICE),
    (REQUEST, "forensics-only"): (
        sent(REQUEST, "forensics-only", "SUPERVISION", case=SPRINDIK, in_reply_to=EARLIER),
        OWN_NOTICE,
    ),
    **{
        (DECISION, name): (sent(DECISION, name, "INVESTIGATION", police=True, in_reply_to=EARLIER), ASKED)
        for name in ("partial", "approved", "rejected")
    },
    **{
        (ROSTER, name): (sent(ROSTER, name, "SUPERVISION", officer=LIAISON), Facts())
        for name in ("ppns", "polsus-armed", "retired")
    },
    (PLAN, "sea-patrol"): (OPEN_PLAN, Facts()),
    (PLAN, "no-recipients-yet"): (sent(PLAN, "no-recipients-yet", "CAPACITY_BUILDING", classification="R"), Facts()),
    (PLAN, "raid-for-a-case"): (CASED_PLAN, Facts()),
    (FACILITY, "classroom"): (ROOM, Facts()),
    (FACILITY, "special-service-room"): (sent(FACILITY, "special-service-room", "CAPACITY_BUILDING"), Facts()),
    **{
        (ANSWER, name): (
            sent(ANSWER, name, "CAPACITY_BUILDING", police=True, in_reply_to=EARLIER),
            related(FACILITY, "classroom", sender=IMIGRASI, recipient=POLDA),
        )
        for name in ("approved", "rejected", "other-offer")
    },
    (TRAINING, "by-the-police"): (sent(TRAINING, "by-the-police", "CAPACITY_BUILDING", police=True), Facts()),
    (TRAINING, "by-immigration"): (sent(TRAINING, "by-immigration", "CAPACITY_BUILDING"), Facts()),
    (ENROLMENT, "two-nominees"): (NOMINEES, related(TRAINING, "by-the-police")),
    (ENROLMENT, "one-policeman"): (
        sent(ENROLMENT, "one-policeman", "CAPACITY_BUILDING", police=True, in_reply_to=EARLIER),
        related(TRAINING, "by-immigration", sender=IMIGRASI, recipient=POLDA),
    ),
}
NAMED = {f"{type_.partition('/')[0]}:{name}": PASSING[type_, name] for type_, name in PASSING}
SPDP, ASSISTANCE = "investigation-start.notice:smuggling", "investigation-assistance.request:search"
VERDICT, REGISTER = "investigation-assistance.decision:partial", "investigator-roster.record:polsus-armed"
PATROL, RAID = "joint-operation.plan:sea-patrol", "joint-operation.plan:raid-for-a-case"
CLASSROOM, OFFER = "facility-use.request:classroom", "facility-use.response:other-offer"
COURSE, PLACES = "training.announcement:by-the-police", "training.enrolment:two-nominees"


def decided(name: str, changes: dict[str, Any] | None = None, *, now: datetime = NOW, **more: Any) -> Decision:
    """The passing message of that name with fields of its body (`None` takes one away), claims or the draft changed."""
    draft, facts = NAMED[name]
    body = {key: value for key, value in {**draft.body, **(changes or {})}.items() if value is not None}
    if "claims" in more:
        more["claims"] = {**draft.claims, **more["claims"]}
    known = more.pop("facts", facts)
    return judged(AGREEMENT, replace(draft, body=body, **more), known, now)


def test_every_example_has_a_row() -> None:
    """No valid example of these types is left untried."""
    files = {
        (type_, path.stem.removeprefix("valid-"))
        for type_ in TYPES
        for path in (SCHEMAS / type_ / "examples").glob("valid-*")
    }
    assert files == set(PASSING)


@pytest.mark.parametrize("name", NAMED)
def test_every_example_is_permitted(name: str) -> None:
    """Valid under its schema, permitted by a rule without a flag; what is released satisfies the release schema."""
    draft, facts = NAMED[name]
    verified = message(draft)
    assert MESSAGES.violations(draft.type, verified.body) == ()
    decision = judged(AGREEMENT, draft, facts)
    assert (decision.permitted, decision.reasons, decision.flags) == (True, (), ())
    released = verify(parse(release(verified, decision.withheld).encode()), KEY.public, complete=False)
    assert MESSAGES.release_violations(draft.type, released.body) == ()


# Everything of a plan that says where, when, what and who; without named recipients none of it passes.
PLANNED = {
    "operation_kind", "sprint_no", "starts_at", "ends_at", "region_codes", "assembly_point", "personnel_counts", "objective",
    "commander", "approval",
}  # fmt: skip
OFFICERS = {"commander/nrp", "approval/officer/nip"}
INVESTIGATORS = {"investigators/0/nip", "investigators/1/nip", "signatory/nip"}
POLICEMAN = {"name": "Dedi Rekaan", "unit": "Korwas", "nrp": "85031234"}
WITHHELD: list[tuple[str, dict[str, Any], set[str]]] = [
    (SPDP, {}, INVESTIGATORS),
    (SPDP, {"signatory": POLICEMAN}, (INVESTIGATORS - {"signatory/nip"}) | {"signatory/nrp"}),
    (ASSISTANCE, {}, {"contact_officer/nip"}),
    (ASSISTANCE, {"contact_officer": POLICEMAN}, {"contact_officer/nrp"}),
    (VERDICT, {}, {"contact_officer/nrp"}),
    (REGISTER, {}, set()),
    (REGISTER, {"cadre": "PPNS"}, {"firearms"}),
    (PATROL, {}, OFFICERS),
    (PATROL, {"distribution": None}, PLANNED),
    (PATROL, {"distribution": []}, PLANNED),
    (RAID, {}, OFFICERS),
    (RAID, {"distribution": None}, PLANNED | {"investigation"}),
    (CLASSROOM, {}, {"contact_officer/nip"}),
    (OFFER, {}, set()),
    (COURSE, {}, {"contact_officer/nrp"}),
    (PLACES, {}, {"nominees/0/nip", "contact_officer/nip"}),
    ("training.enrolment:one-policeman", {}, {"nominees/0/nrp", "contact_officer/nrp"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "withheld"), WITHHELD)
def test_what_stays_behind(name: str, changes: dict[str, Any], withheld: set[str]) -> None:
    """Numbers that tell a birth date stay, firearms of all but special police, and a plan without named recipients."""
    decision = decided(name, changes)
    assert decision.reasons == ()
    assert set(decision.withheld) == {f"/body/{field}" for field in withheld}


def test_released_where_needed_yet_disclosable() -> None:
    """Suspects, reasons, nominees and the register's NIP pass, but each as a disclosure that can be erased alone."""
    for name, field in ((SPDP, "suspects"), (ASSISTANCE, "suspects"), (ASSISTANCE, "explanation"), (VERDICT, "reason"),
                        (PLACES, "nominees"), (REGISTER, "nip"), (PATROL, "objective")):  # fmt: skip
        assert f"/body/{field}" not in decided(name).withheld
        draft, _ = NAMED[name]
        kept = [pointer for pointer in draft.disclosable if not pointer.startswith(f"/body/{field}")]
        reasons = decided(name, disclosable=kept).reasons
        assert ("rule.field-not-disclosable", f"/body/{field}") in {(one.code, one.pointer) for one in reasons}


CONDITION, NO_CASE = "rule.condition", {"claims": {"case": None}}
REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    (SPDP, {}, {"sender": POLDA, "recipient": IMIGRASI}, "rule.none", "/type"),
    (SPDP, {}, {"purpose": "PREVENTION"}, "rule.purpose", "/purpose"),
    (SPDP, {}, NO_CASE, "rule.case-required", "/case"),
    (SPDP, {}, {"claims": {"case": LP}}, "rule.case-required", "/case/type"),
    (SPDP, {"sprindik_no": None}, {}, CONDITION, "/body/sprindik_no"),
    (SPDP, {"sprindik_no": "LK/4/II/2026"}, {}, CONDITION, "/body/sprindik_no"),
    (SPDP, {"spdp_date": "2026-03-01"}, {}, CONDITION, "/body/spdp_date"),
    (SPDP, {"spdp_date": "2026-03-11"}, {}, CONDITION, "/iat"),
    (SPDP, {"ends_on": "2026-03-01"}, {}, CONDITION, "/body/ends_on"),
    (ASSISTANCE, {}, {"sender": POLDA, "recipient": IMIGRASI}, "rule.none", "/type"),
    (ASSISTANCE, {}, {"purpose": "BORDER_CONTROL"}, "rule.purpose", "/purpose"),
    (ASSISTANCE, {}, NO_CASE, "rule.case-required", "/case"),
    (ASSISTANCE, {}, {"claims": {"in_reply_to": None}}, CONDITION, "/in_reply_to"),
    (ASSISTANCE, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (ASSISTANCE, {}, {"facts": ENDED_NOTICE}, CONDITION, "/in_reply_to"),
    (ASSISTANCE, {}, {"facts": related(ROSTER, "ppns", sender=IMIGRASI, recipient=POLDA)}, CONDITION, "/in_reply_to"),
    (ASSISTANCE, {"sprindik_ref": "SPRINDIK/10/III/2026/INTELDAKIM"}, {}, CONDITION, "/body/sprindik_ref"),
    (ASSISTANCE, {"ends_at": "2026-03-12T04:59:00+07:00"}, {}, CONDITION, "/body/ends_at"),
    (ASSISTANCE, {"place": {"region_code": "36.71.01"}}, {}, "rule.out-of-jurisdiction", "/body/place/region_code"),
    (ASSISTANCE, {"place": {"address": "Entah di mana"}}, {}, "rule.out-of-jurisdiction", "/body/place/region_code"),
    (VERDICT, {}, {"sender": IMIGRASI, "recipient": POLDA}, "rule.none", "/type"),
    (VERDICT, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (VERDICT, {}, {"facts": related(REQUEST, "search", sender=IMIGRASI, recipient=POLDA, open=False)}, CONDITION, "/in_reply_to"),
    (VERDICT, {}, {"facts": related(REQUEST, "search", sender=POLDA, recipient=IMIGRASI)}, CONDITION, "/in_reply_to"),
    (REGISTER, {}, {"claims": {"officer": None}}, CONDITION, "/officer/role"),
    (REGISTER, {}, {"claims": {"officer": Officer("imi-0007", "INTELLIGENCE")}}, CONDITION, "/officer/role"),
    (REGISTER, {}, {"claims": {"case": LP}}, CONDITION, "/case"),
    (REGISTER, {}, {"purpose": "CAPACITY_BUILDING"}, "rule.purpose", "/purpose"),
    (REGISTER, {}, {"sender": POLDA, "recipient": IMIGRASI}, "rule.none", "/type"),
    (REGISTER, {"as_of": "2026-03-11"}, {}, CONDITION, "/iat"),
    (PATROL, {}, {"classification": "T"}, CONDITION, "/classification"),
    (PATROL, {}, {"classification": "B"}, CONDITION, "/classification"),
    (PATROL, {}, {"claims": {"case": LP}}, CONDITION, "/case"),
    (PATROL, {"investigation": {"case_references": []}}, {}, CONDITION, "/body/investigation"),
    (PATROL, {"ends_at": "2026-03-20T03:59:00+07:00"}, {}, CONDITION, "/body/ends_at"),
    (PATROL, {"starts_at": "2026-03-10T09:59:00+07:00"}, {}, CONDITION, "/body/starts_at"),
    (PATROL, {"region_codes": ["36.04", "36.71"]}, {}, "rule.out-of-jurisdiction", "/body/region_codes/1"),
    (RAID, {}, {"classification": "T"}, CONDITION, "/classification"),
    (RAID, {}, NO_CASE, "rule.case-required", "/case"),
    (RAID, {"investigation": None}, {}, CONDITION, "/body/investigation"),
    (RAID, {}, {"purpose": "PREVENTION"}, CONDITION, "/body/investigation"),
    (RAID, {}, {"disclosable": ["/body/commander"]}, "rule.field-not-disclosable", "/body/investigation"),
    (CLASSROOM, {}, {"claims": {"case": LP}}, CONDITION, "/case"),
    (CLASSROOM, {}, {"purpose": "INVESTIGATION"}, "rule.purpose", "/purpose"),
    (CLASSROOM, {"to": "2026-04-13T07:59:00+07:00"}, {}, CONDITION, "/body/to"),
    (CLASSROOM, {"from": "2026-03-10T09:59:00+07:00"}, {}, CONDITION, "/body/from"),
    (OFFER, {}, {"claims": {"case": LP}}, CONDITION, "/case"),
    (OFFER, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (OFFER, {"facility_id": "SPN-MANDALAWANGI-KELAS-9"}, {}, CONDITION, "/body/facility_id"),
    (COURSE, {}, {"claims": {"case": LP}}, CONDITION, "/case"),
    (COURSE, {"enrol_until": "2026-03-09"}, {}, CONDITION, "/body/enrol_until"),
    (COURSE, {"enrol_until": "2026-05-05"}, {}, CONDITION, "/body/starts_on"),
    (COURSE, {"ends_on": "2026-05-03"}, {}, CONDITION, "/body/ends_on"),
    (PLACES, {}, {"claims": {"case": LP}}, CONDITION, "/case"),
    (PLACES, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (PLACES, {}, {"facts": related(TRAINING, "by-the-police", sender=IMIGRASI, recipient=POLDA)}, CONDITION, "/in_reply_to"),
    (PLACES, {"course_code": "DOKIM-2026-02"}, {}, CONDITION, "/body/course_code"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "more", "code", "pointer"), REFUSED)
def test_what_is_refused(name: str, changes: dict[str, Any], more: dict[str, Any], code: str, pointer: str) -> None:
    """One row a condition, relation, requirement or territory of these rules, and nothing else is wrong with the message."""
    decision = decided(name, changes, **more)
    assert decision.permitted is False
    assert (code, pointer) in [(reason.code, reason.pointer) for reason in decision.reasons]


@pytest.mark.parametrize(
    ("warrant", "flags"), [("2026-02-27", []), ("2026-02-26", ["notice-within-7-days"]), ("2025-12-01", ["notice-within-7-days"])]
)  # fmt: skip
def test_a_late_notice_passes_with_a_flag(warrant: str, flags: list[str]) -> None:
    """Seven days from the warrant: a day more is written down, and the notice is not made later still."""
    decision = decided(SPDP, {"sprindik_date": warrant})
    assert decision.permitted
    assert [flag.detail for flag in decision.flags] == flags


@pytest.mark.parametrize(
    ("status", "valid_to", "flags"),
    [("ACTIVE", "2025-12-31", []), ("ACTIVE", "2025-12-30", ["card-still-valid"]), ("RETIRED", "2025-12-30", [])],
)
def test_an_expired_card_passes_with_a_flag(status: str, valid_to: str, flags: list[str]) -> None:
    """Supervision looks for the expired card of somebody who is active; of somebody who left it means nothing."""
    decision = decided(REGISTER, {"status": status, "card_valid_to": valid_to})
    assert decision.permitted
    assert [flag.detail for flag in decision.flags] == flags


@pytest.mark.parametrize(
    ("starts", "flags"), [("2026-03-13T10:00:00+07:00", []), ("2026-03-13T09:59:59+07:00", ["72-hours-before-start"])]
)
def test_a_plan_at_short_notice_passes_with_a_flag(starts: str, flags: list[str]) -> None:
    """Seventy-two hours before the start: a second less is written down, since an operation may be urgent."""
    for name in (PATROL, RAID):
        decision = decided(name, {"starts_at": starts})
        assert decision.permitted
        assert [flag.detail for flag in decision.flags] == flags


def test_the_clause_of_a_joint_operation_follows_its_content() -> None:
    """Investigative content falls under the second clause, everything else about it under the fourth."""
    assert [decided(name).clause for name in (PATROL, RAID)] == ["4", "2"]
    assert {decided(name).clause for name in (SPDP, ASSISTANCE, VERDICT, REGISTER)} == {"3"}
    assert {decided(name).clause for name in (CLASSROOM, OFFER, COURSE, PLACES)} == {"4"}


def test_deadlines() -> None:
    """Seven days; a day, an hour where urgent; a quarter; a day for plans; three working days."""
    waits = {
        SPDP: 7,
        **dict.fromkeys((ASSISTANCE, VERDICT, PATROL, RAID), 1),
        **dict.fromkeys((CLASSROOM, OFFER, COURSE, PLACES), 3),
    }
    due = {name: NOW + timedelta(days=days) for name, days in waits.items()}
    assert {name: decided(name).acknowledge_by for name in waits} == due
    assert decided(ASSISTANCE, {"urgent": True}).acknowledge_by == NOW + timedelta(hours=1)
    assert decided(REGISTER).acknowledge_by == datetime(2026, 6, 10, 3, 0, tzinfo=NOW.tzinfo)


def test_retention_and_handling() -> None:
    """Five years of a file, of a register entry and after the end of an operation; two of facilities and training."""
    kept = {
        **dict.fromkeys((SPDP, ASSISTANCE, VERDICT, REGISTER), date(2031, 3, 10)),
        **dict.fromkeys((PATROL, RAID), date(2031, 3, 21)),
        **dict.fromkeys((CLASSROOM, OFFER, COURSE, PLACES), date(2028, 3, 10)),
    }
    assert {name: decided(name).retain_until for name in kept} == kept
    assert {decided(name).handling for name in (PATROL, RAID, REGISTER)} == {"RED"}
    assert {decided(name).handling for name in (SPDP, ASSISTANCE, VERDICT)} == {"AMBER+STRICT"}
    assert decided(ASSISTANCE).priority == "urgent"


def test_an_announcement_stands_until_the_course_ends() -> None:
    """After enrolment has closed it can still be corrected; after the last day it cannot."""
    assert decided(COURSE).stands_until == datetime(2026, 5, 8, 17, 0, tzinfo=NOW.tzinfo)
    assert decided(PLACES).reply_as == "answers"


def test_codes_are_those_of_the_catalogue() -> None:
    """Roles, decisions and the like that these rules name stand on their lists."""
    rules = [rule for rule in AGREEMENT.rules if rule.type in TYPES]
    assert {rule.type for rule in rules} == set(TYPES)
    roster = next(rule for rule in rules if rule.type == ROSTER)
    assert set(roster.where[0].must.schema["enum"]) <= MESSAGES.codes("officer-role")
    for rule in rules:
        kind = MESSAGES.get(rule.type)
        assert kind is not None
        assert {one.field.text for one in rule.withhold} <= kind.sensitive
