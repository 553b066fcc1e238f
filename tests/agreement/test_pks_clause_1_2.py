"""Clauses 1 and 2 of the shipped agreement: foreign nationals, travel documents, deferred departures, listings and hits."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway.decision.decide import Facts
from gateway.message.envelope import parse, release, verify
from tests.agreement.clause_1_2 import (
    AGREEMENT,
    ASKED,
    BAN,
    BORDER,
    CANCELLED,
    CHECKED,
    DECISION,
    DEFERRED,
    ENTRY_BAN,
    EXIT_BAN,
    EXTENSION,
    FORWARDED,
    GRANT,
    GRANTED,
    HIT,
    INVESTIGATION,
    LOSS,
    MESSAGES,
    MET,
    NOTICE,
    NOW,
    PASSING,
    PERMIT,
    PERMIT_ANSWER,
    PRESENCE,
    QUERY,
    REFERRED,
    REPLY,
    REPORT,
    REQUESTED,
    REVOKED,
    SCHEMAS,
    SEEN,
    SOUGHT,
    STAY,
    STOLEN,
    STOPPED,
    TRIAGE,
    TYPES,
    VALIDITY,
    WANTED,
    Name,
    decided,
    example,
    referral,
    related,
    sent,
)
from tests.agreement.making import IMIGRASI, KEY, LP, POLDA, earlier, judged, message


def test_every_example_has_a_row() -> None:
    """No valid example of these types is left untried."""
    files = {
        (type_, path.stem.removeprefix("valid-"))
        for type_ in TYPES
        for path in (SCHEMAS / type_ / "examples").glob("valid-*")
    }
    assert files == set(PASSING)


@pytest.mark.parametrize("name", PASSING, ids=":".join)
def test_every_example_is_permitted(name: Name) -> None:
    """Valid under its schema, permitted by a rule; what is released satisfies the release schema. One age is only said."""
    draft, facts = PASSING[name]
    verified = message(draft)
    assert MESSAGES.violations(draft.type, verified.body) == ()
    decision = judged(AGREEMENT, draft, facts, NOW)
    assert (decision.permitted, decision.reasons) == (True, ())
    assert [flag.detail for flag in decision.flags] == (["age-shown"] if name == (WANTED, "smuggler") else [])
    released = verify(parse(release(verified, decision.withheld).encode()), KEY.public, complete=False)
    assert MESSAGES.release_violations(draft.type, released.body) == ()


POLICEMAN = {"name": "Dedi Rekaan", "unit": "Ditreskrimum", "nrp": "85031234"}
WHERE_A_CHILD_IS = {"subject", "place", "lodging/name"}
WITHHELD: list[tuple[Name, dict[str, Any], dict[str, Any], set[str]]] = [
    (PERMIT, {}, {}, set()),
    (PERMIT_ANSWER, {}, {}, set()),
    (PERMIT_ANSWER, {"is_minor": True}, {}, {"sponsor", "registered_address"}),
    (PERMIT_ANSWER, {"is_minor": None}, {}, {"sponsor", "registered_address"}),
    (MET, {}, {}, set()),
    (MET, {"is_minor": True}, {}, WHERE_A_CHILD_IS),
    (MET, {"is_minor": True}, {"claims": {"case": LP}, "purpose": INVESTIGATION}, WHERE_A_CHILD_IS),
    (MET, {"reason": "COMMUNITY_REPORT"}, {}, {"place", "lodging/name"}),
    (MET, {"reason": "COMMUNITY_REPORT"}, {"claims": {"case": LP}}, set()),
    (MET, {"subject": {"full_name": "Anwar Rekaan", "nationality": "BGD", "nik": "3604080107990001"}}, {}, {"subject/nik"}),
    (STOLEN, {}, {}, {"holder/nik"}),
    (STOLEN, {"is_minor": True}, {}, {"holder"}),
    (CHECKED, {}, {}, set()),
    (DEFERRED, {}, {}, {"persons/0/identity", "persons/1/identity", "facilitator", "contact_officer/nip"}),
    (DEFERRED, {}, {"claims": {"case": LP}}, {"persons/0/identity", "persons/1/identity", "contact_officer/nip"}),
    (DEFERRED, {"contact_officer": POLICEMAN}, {"claims": {"case": LP}},
     {"persons/0/identity", "persons/1/identity", "contact_officer/nrp"}),
    (REFERRED, {}, {}, {"persons/0/identity"}),
    (EXIT_BAN, {}, {}, set()),
    (GRANT, {}, {}, set()),
    (REVOKED, {}, {}, set()),
    (CANCELLED, {}, {}, {"contact_officer/nrp"}),
    (SEEN, {}, {}, {"contact_officer/nip"}),
    (SEEN, {"contact_officer": POLICEMAN}, {}, {"contact_officer/nrp"}),
    (STOPPED, {}, {}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "more", "withheld"), WITHHELD)
def test_what_stays_behind(name: Name, changes: dict[str, Any], more: dict[str, Any], withheld: set[str]) -> None:
    """Children always; addresses without a matter or a case; identities of the deferred; numbers that tell a birth date."""
    decision = decided(name, changes, **more)
    assert decision.reasons == ()
    assert set(decision.withheld) == {f"/body/{field}" for field in withheld}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (PERMIT, "document"), (PERMIT_ANSWER, "sponsor"), (PERMIT_ANSWER, "registered_address"), (MET, "subject"),
        (MET, "place"), (MET, "lodging/name"), (STOLEN, "holder"), (EXIT_BAN, "subject"), (EXIT_BAN, "order_no"),
        (EXIT_BAN, "grounds"), (GRANT, "decision_no"), (REVOKED, "reason"), (CANCELLED, "reason"), (SEEN, "notice_ref"),
        (SEEN, "crossing"), (ASKED, "subject"), (SOUGHT, "subject"),
    ],
)  # fmt: skip
def test_released_where_needed_yet_disclosable(name: Name, field: str) -> None:
    """What a rule may withhold passes here, but only as a disclosure that can be erased alone."""
    assert f"/body/{field}" not in decided(name).withheld
    kept = [pointer for pointer in PASSING[name][0].disclosable if not pointer.startswith(f"/body/{field}")]
    reasons = decided(name, disclosable=kept).reasons
    assert ("rule.field-not-disclosable", f"/body/{field}") in {(one.code, one.pointer) for one in reasons}


CONDITION, OUTSIDE, NO_CASE = "rule.condition", "rule.out-of-jurisdiction", {"claims": {"case": None}}
BY_IMMIGRATION = {"sender": IMIGRASI, "recipient": POLDA}
BY_THE_POLICE = {"sender": POLDA, "recipient": IMIGRASI}
ENDED = related(WANTED, "recruiter", police=True, live=False)
REFUSED: list[tuple[Name, dict[str, Any], dict[str, Any], str, str]] = [
    (PERMIT, {}, BY_IMMIGRATION, "rule.none", "/type"),
    (PERMIT, {}, {"purpose": "SUPERVISION"}, "rule.purpose", "/purpose"),
    (PERMIT, {}, NO_CASE, CONDITION, "/case"),
    (PERMIT, {"is_minor": True}, {}, CONDITION, "/body/is_minor"),
    (PERMIT, {"document": {"type": "ORDINARY_PASSPORT", "issuing_state": "IDN", "number": "X0000017"}}, {}, CONDITION,
     "/body/document/issuing_state"),
    (PERMIT, {}, {"facts": Facts(last_hour=60)}, "rule.quota", "/type"),
    (PERMIT, {}, {"facts": Facts(last_day=400)}, "rule.quota", "/type"),
    (PERMIT, {}, {"facts": Facts(repeated=2)}, "rule.repeated-subject", "/body/document"),
    (ASKED, {}, {"facts": Facts(last_hour=60)}, "rule.quota", "/type"),
    (ASKED, {}, {"facts": Facts(last_day=400)}, "rule.quota", "/type"),
    (ASKED, {}, {"facts": Facts(repeated=3)}, "rule.repeated-subject", "/body/subject"),
    (PERMIT_ANSWER, {}, BY_THE_POLICE, "rule.none", "/type"),
    (PERMIT_ANSWER, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (PERMIT_ANSWER, {}, {"facts": related(STAY, "by-passport", police=True, open=False)}, CONDITION, "/in_reply_to"),
    (PERMIT_ANSWER, {}, {"facts": related(STAY, "by-passport", police=True, live=False)}, CONDITION, "/in_reply_to"),
    (PERMIT_ANSWER, {}, {"facts": related(QUERY, "by-nik", police=True)}, CONDITION, "/in_reply_to"),
    (MET, {}, BY_IMMIGRATION, "rule.none", "/type"),
    (MET, {"region_code": "36.71.01.1001"}, {}, OUTSIDE, "/body/region_code"),
    (MET, {"region_code": None}, {}, OUTSIDE, "/body/region_code"),
    (MET, {"place": {"region_code": "36.03.14"}}, {}, OUTSIDE, "/body/place/region_code"),
    (MET, {"observed_at": "2026-12-21T10:00:01+07:00"}, {}, CONDITION, "/iat"),
    (STOLEN, {"police_report_no": None}, {}, CONDITION, "/body"),
    (STOLEN, {"lost_at": "2026-12-22"}, {}, CONDITION, "/iat"),
    (STOLEN, {"document": {"type": "OTHER", "issuing_state": "IDN", "number": "X1"}}, {}, CONDITION, "/body"),
    (STOLEN, {}, {"purpose": "SUPERVISION"}, "rule.purpose", "/purpose"),
    (CHECKED, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (CHECKED, {}, {"facts": related(LOSS, "lost-abroad", police=True)}, CONDITION, "/body/document/number"),
    (CHECKED, {"document": {**example(VALIDITY, "cancelled")["document"], "issuing_state": "MYS"}}, {}, CONDITION,
     "/body/document/issuing_state"),
    (DEFERRED, {}, BY_THE_POLICE, "rule.none", "/type"),
    (DEFERRED, {"checkpoint": "CGK"}, {}, OUTSIDE, "/body/checkpoint"),
    (DEFERRED, {"checkpoint": "OTHER"}, {}, OUTSIDE, "/body/checkpoint"),
    (DEFERRED, {"suspected_offence": "THEFT"}, {}, CONDITION, "/body/suspected_offence"),
    (DEFERRED, {"deferred_at": "2026-12-21T10:00:01+07:00"}, {}, CONDITION, "/iat"),
    (DEFERRED, {}, {"purpose": BORDER}, "rule.purpose", "/purpose"),
    (REFERRED, {}, {"facts": Facts()}, CONDITION, "/body/referral"),
    (REFERRED, {}, {"facts": Facts(linked=referral(REPORT))}, CONDITION, "/body/referral"),
    (REFERRED, {}, {"facts": Facts(linked=referral(accepted=False))}, CONDITION, "/body/referral"),
    (EXIT_BAN, {}, BY_IMMIGRATION, "rule.none", "/type"),
    (EXIT_BAN, {}, NO_CASE, "rule.case-required", "/case"),
    (EXIT_BAN, {}, {"claims": {"case": LP}}, "rule.case-required", "/case/type"),
    (EXIT_BAN, {"stage": "PENYELIDIKAN"}, {}, CONDITION, "/body/stage"),
    (ENTRY_BAN, {"stage": "PENUNTUTAN"}, {}, CONDITION, "/body/stage"),
    (EXIT_BAN, {"issuing_authority": "POLDA"}, {}, CONDITION, "/body/issuing_authority"),
    (EXIT_BAN, {"duration_months": 7}, {}, CONDITION, "/body/duration_months"),
    (EXIT_BAN, {"ends_on": "2027-05-02"}, {}, CONDITION, "/body/ends_on"),
    (EXIT_BAN, {"ends_on": "2026-10-31"}, {}, CONDITION, "/body/ends_on"),
    (ENTRY_BAN, {"duration_months": 121}, {}, CONDITION, "/body/duration_months"),
    (ENTRY_BAN, {"ends_on": "2036-11-02"}, {}, CONDITION, "/body/ends_on"),
    (EXIT_BAN, {"order_date": "2026-12-22"}, {}, CONDITION, "/iat"),
    (EXTENSION, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (EXTENSION, {}, {"facts": related(DECISION, "granted", police=False, live=False)}, CONDITION, "/in_reply_to"),
    (EXTENSION, {}, {"facts": related(DECISION, "forwarded", police=False)}, CONDITION, "/in_reply_to"),
    (EXTENSION, {}, {"facts": related(DECISION, "granted", police=False, body={"kind": "TANGKAL"})}, CONDITION, "/body/kind"),
    (EXTENSION, {}, {"facts": related(DECISION, "granted", police=False, body={"is_extension": True})}, CONDITION,
     "/in_reply_to"),
    (EXTENSION, {}, {"facts": replace(GRANTED, replies=1)}, CONDITION, "/in_reply_to"),
    (EXTENSION, {"duration_months": 7}, {}, CONDITION, "/body/duration_months"),
    (FORWARDED, {}, BY_THE_POLICE, "rule.none", "/type"),
    (FORWARDED, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (FORWARDED, {"kind": "TANGKAL"}, {}, CONDITION, "/body/kind"),
    (FORWARDED, {"is_extension": True}, {}, CONDITION, "/body/is_extension"),
    (FORWARDED, {}, {"facts": replace(REQUESTED, replies=3)}, CONDITION, "/in_reply_to"),
    (FORWARDED, {"effective_to": None}, {}, CONDITION, "/body/effective_to"),
    (GRANT, {"effective_to": "2027-05-03"}, {}, CONDITION, "/body/effective_to"),
    (GRANT, {"kind": "TANGKAL", "effective_to": "2036-11-03"}, {}, CONDITION, "/body/effective_to"),
    (GRANT, {}, {"facts": GRANTED}, CONDITION, "/in_reply_to"),
    (REVOKED, {}, {"facts": REQUESTED}, CONDITION, "/in_reply_to"),
    (REVOKED, {}, {"facts": related(DECISION, "forwarded", police=False)}, CONDITION, "/in_reply_to"),
    (REVOKED, {}, {"facts": related(DECISION, "granted", police=False, live=False)}, CONDITION, "/in_reply_to"),
    (REVOKED, {"decided_on": "2026-12-22"}, {}, CONDITION, "/iat"),
    (CANCELLED, {}, BY_IMMIGRATION, "rule.none", "/type"),
    (CANCELLED, {}, NO_CASE, "rule.case-required", "/case"),
    (CANCELLED, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (CANCELLED, {}, {"facts": ENDED}, CONDITION, "/in_reply_to"),
    (CANCELLED, {}, {"facts": related(WANTED, "recruiter", police=False)}, CONDITION, "/in_reply_to"),
    (CANCELLED, {}, {"facts": related(WANTED, "smuggler", police=True)}, CONDITION, "/body/dpo_no"),
    (CANCELLED, {"police_report_no": "LP/B/215/IX/2026/SPKT"}, {}, CONDITION, "/body/police_report_no"),
    (CANCELLED, {"cancelled_on": "2026-12-22"}, {}, CONDITION, "/iat"),
    (SEEN, {}, BY_THE_POLICE, "rule.none", "/type"),
    (SEEN, {"officer_confirmed": False}, {}, CONDITION, "/body/officer_confirmed"),
    (SEEN, {}, {"facts": Facts()}, CONDITION, "/in_reply_to"),
    (SEEN, {}, {"facts": ENDED}, CONDITION, "/in_reply_to"),
    (SEEN, {}, {"facts": GRANTED}, CONDITION, "/in_reply_to"),
    (SEEN, {"notice_ref": "DPO/38/X/RES.1.16/2026/Ditreskrimum"}, {}, CONDITION, "/body/notice_ref"),
    (STOPPED, {}, {"facts": related(DECISION, "granted", police=False, live=False)}, CONDITION, "/in_reply_to"),
    (STOPPED, {}, {"facts": related(DECISION, "forwarded", police=False)}, CONDITION, "/in_reply_to"),
    (STOPPED, {}, {"facts": NOTICE}, CONDITION, "/in_reply_to"),
    (STOPPED, {"notice_ref": "IMI-1"}, {}, CONDITION, "/body/notice_ref"),
    (STOPPED, {"crossing": {**example(HIT, "exit-ban-at-soekarno-hatta")["crossing"], "at": "2026-12-22T00:00:00Z"}}, {},
     CONDITION, "/iat"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "more", "code", "pointer"), REFUSED)
def test_what_is_refused(name: Name, changes: dict[str, Any], more: dict[str, Any], code: str, pointer: str) -> None:
    """One row a condition, a relation, a territory and a limit of these rules."""
    assert (code, pointer) in [(reason.code, reason.pointer) for reason in decided(name, changes, **more).reasons]


def test_a_case_that_names_the_person_lifts_the_limit_on_repeats() -> None:
    """Whoever stands in the papers of the case may be asked about as often as the case needs."""
    assert all(decided(name, facts=Facts()).permitted for name in (PERMIT, ASKED))


def test_the_police_s_own_papers_lift_the_limit_and_leave_a_mark() -> None:
    """A wanted notice may be written in order to ask: the questions pass, and each says that only the asker named the person."""
    for name in (PERMIT, ASKED):
        decision = decided(name, facts=Facts(repeated_on_own_papers=9))
        assert decision.permitted
        assert [flag.code for flag in decision.flags] == ["rule.repeated-subject"]


def test_a_case_is_named_by_papers_of_the_case() -> None:
    """What the police write of their own accord, a report of presence or of a loss, is no paper that names anyone."""
    for rule in AGREEMENT.rules:
        if rule.type in (STAY, QUERY):
            assert rule.repeats is not None
            assert {WANTED, BAN, "case.referral/1"} <= set(rule.repeats.named_by)
            assert not {PRESENCE, LOSS, REPORT} & set(rule.repeats.named_by)


ODD = {"type": "ORDINARY_PASSPORT", "issuing_state": "IDN", "number": "7X"}


JOKO = {"full_name": "Joko Rekaan", "birth_date": "1979", "travel_documents": [ODD]}


@pytest.mark.parametrize(
    ("name", "changes", "pointer"),
    [
        (STOLEN, {"document": {**ODD, "expiry_date": "2031-05-20"}}, "/body/document/number"),
        (SEEN, {"crossing": {**example(HIT, "wanted-at-merak")["crossing"], "document": ODD}}, "/body/crossing/document/number"),
        (EXIT_BAN, {"subject": JOKO}, "/body/subject/travel_documents"),
        (ASKED, {"subject": {"full_name": "Andi Rekaan", "travel_documents": [ODD]}}, "/body/subject/travel_documents"),
        (SOUGHT, {"subject": JOKO}, "/body/subject/travel_documents"),
    ],
)  # fmt: skip
def test_an_odd_passport_number_is_flagged(name: Name, changes: dict[str, Any], pointer: str) -> None:
    """One letter and seven digits is what we know of ordinary passports, not what the law says: the message passes."""
    decision = decided(name, changes)
    assert decision.permitted
    flags = [(flag.code, flag.pointer, flag.detail) for flag in decision.flags]
    assert flags == [(CONDITION, pointer, "ordinary-passport-number")]


def test_other_documents_are_not_held_to_the_form_of_ordinary_passports() -> None:
    """Neither another state's passport nor another kind of document is flagged."""
    for document in ({**ODD, "issuing_state": "CHN"}, {**ODD, "type": "SEAFARER_DOCUMENT"}):
        dated = {**document, "expiry_date": "2031-05-20"}
        subject = {"full_name": "Andi Rekaan", "travel_documents": [document]}
        assert decided(STOLEN, {"document": dated, "holder": None, "is_minor": None}).flags == ()
        assert decided(ASKED, {"subject": subject}).flags == ()


@pytest.mark.parametrize(
    ("name", "acknowledge", "retain", "priority"),
    [
        (PERMIT, timedelta(hours=4), date(2031, 12, 21), "normal"),
        (PERMIT_ANSWER, timedelta(hours=4), date(2031, 12, 21), "normal"),
        (MET, timedelta(days=1), date(2027, 12, 21), "normal"),
        (STOLEN, timedelta(hours=1), date(2041, 5, 20), "urgent"),
        (CHECKED, timedelta(hours=1), date(2041, 5, 20), "urgent"),
        (DEFERRED, timedelta(minutes=15), date(2028, 12, 21), "urgent"),
        (EXIT_BAN, timedelta(hours=1), date(2032, 5, 1), "urgent"),
        (ENTRY_BAN, timedelta(hours=1), date(2036, 11, 1), "urgent"),
        (GRANT, timedelta(hours=1), date(2032, 5, 1), "urgent"),
        (CANCELLED, timedelta(minutes=15), date(2027, 12, 21), "urgent"),
        (SEEN, timedelta(minutes=5), date(2031, 12, 21), "urgent"),
    ],
)
def test_the_figures_of_the_table(name: Name, acknowledge: timedelta, retain: date, priority: str) -> None:
    """Deadline, retention and priority of each type."""
    decision = decided(name)
    assert decision.acknowledge_by is not None
    assert decision.acknowledge_by - NOW == acknowledge
    assert (decision.retain_until, decision.priority) == (retain, priority)


def test_listings_stand_until_their_last_day() -> None:
    """A notice and a decision lapse at the end of a day in Banten; what was only forwarded stands for a day."""
    assert decided(SOUGHT).stands_until == datetime(2027, 4, 19, 17, tzinfo=UTC)
    assert decided(GRANT).stands_until == datetime(2027, 5, 1, 17, tzinfo=UTC)
    assert decided(FORWARDED).stands_until == datetime(2026, 11, 1, 17, tzinfo=UTC)


def test_how_these_messages_reply() -> None:
    """Answers close a question, cancellation and revocation end a listing, a hit and an extension refer to it."""
    ways = {
        PERMIT_ANSWER: "answers", CHECKED: "answers", GRANT: "answers", REVOKED: "ends", CANCELLED: "ends", SEEN: "refers",
        STOPPED: "refers", EXTENSION: "refers", PERMIT: None, EXIT_BAN: None,
    }  # fmt: skip
    assert {name: decided(name).reply_as for name in ways} == ways


def test_an_expired_restriction_is_told_after_it_has_lapsed() -> None:
    """Expiry answers the request: the decision itself stands no longer and need not be ended."""
    facts = replace(related(BAN, "exit-ban", police=True, open=False), replies=2)
    changes = {"status": "EXPIRED", "decided_on": "2026-12-20", "effective_to": "2026-12-20", "effective_from": None}
    decision = decided(GRANT, changes, facts=facts)
    assert (decision.permitted, decision.reply_as) == (True, "answers")


def test_a_triage_links_only_warnings_as_duplicates() -> None:
    """A duplicate names another warning between the two; what it names otherwise is refused."""
    body = example(TRIAGE, "duplicate")
    named = body["duplicate_of"]
    draft = replace(sent(TRIAGE, "duplicate", "EARLY_WARNING", police=False, **REPLY), body=body)
    reply = earlier(type=REPORT)
    for type_, permitted in ((REPORT, True), (QUERY, False)):
        facts = Facts(reply, linked={named: earlier(transfer=named, type=type_)})
        assert judged(AGREEMENT, draft, facts, NOW).permitted is permitted
    assert not judged(AGREEMENT, draft, Facts(reply), NOW).permitted
