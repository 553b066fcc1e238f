"""The agreement that the product ships, on the message types that the product ships."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway import resources
from gateway.agreement.figures import Sourced, Term
from gateway.agreement.terms import Attributed
from gateway.decision.decide import Decision, Facts
from gateway.message.envelope import Case, parse, release, verify
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from tests.agreement.making import EARLIER, IMIGRASI, KEY, LP, NOW, POLDA, Draft, earlier, judged, message, real

AGREEMENT = real()
MESSAGES = Catalogue(catalogue.read(resources.schemas_dir()))
PULO_PANJANG = "36.04.08.2009"

REPORT: dict[str, Any] = {
    "reported_at": "2026-03-10T09:15:00+07:00",
    "observed_from": "2026-03-09T19:00:00+07:00",
    "region_code": PULO_PANJANG,
    "source_type": "PIMPASA",
    "suspected_offence": "TPPO",
    "indicators": ["SOCIAL_MEDIA_AD"],
    "severity": 3,
    "persons_at_risk_count": 6,
    "narrative": "Enam orang diminta berkumpul di Karangantu.",
    "recruiter": {"alias": "Tokoh Rekaan"},
    "reporter": {"pseudonym": "WARGA-PP-07", "source_role": "FAMILY_MEMBER"},
}
ANOMALY: dict[str, Any] = {
    "application_ref": "SRG-2026-000117",
    "office": "SERANG",
    "applied_on": "2026-03-09",
    "anomaly_codes": ["TOURIST_PRETEXT"],
    "severity": 2,
    "stated_purpose": "TOURISM",
    "decision": "DEFERRED",
    "applicant_age_band": "AGE_18_24",
    "applicant_district": "36.04.08",
    "applicant": {"full_name": "Tokoh Rekaan"},
    "sponsor": {"kind": "COMPANY", "name": "PT Rekaan"},
}
DOCUMENT = {"type": "ORDINARY_PASSPORT", "issuing_state": "IDN", "number": "X0000017"}
QUERY: dict[str, Any] = {
    "subject": {"full_name": "Tokoh Rekaan", "travel_documents": [DOCUMENT]},
    "is_minor": False,
    "period_from": "2025-03-10",
    "period_to": "2026-03-10",
    "reason": "Penyidikan perekrutan.",
}
RESPONSE: dict[str, Any] = {
    "match_status": "MATCHED",
    "is_minor": False,
    "crossings": [{"direction": "EXIT", "at": "2026-02-14T05:41:00+07:00", "checkpoint": "CGK", "document": DOCUMENT}],
}
OVERSTAY: dict[str, Any] = {
    "subject": {
        "full_name": "Tokoh Rekaan",
        "birth_date": "1979",
        "nationality": "CHN",
        "travel_documents": [{**DOCUMENT, "issuing_state": "CHN"}],
    },
    "permit": {"permit_type": "VISIT", "number": "2C21AB0001-X", "sponsor": {"kind": "COMPANY", "name": "PT Rekaan"}},
    "expired_on": "2026-01-30",
    "overstay_days": 39,
    "last_address": {"region_code": "36.04.30.2001", "address": "Kontrakan dekat pasar"},
    "action_requested": "LOCATE",
    "contact_officer": {"name": "Rina Rekaan", "unit": "Kantor Imigrasi Cilegon", "nip": "198804122012032001"},
}
WANTED: dict[str, Any] = {
    "dpo_no": "DPO/7/III/2026/Ditreskrimum",
    "issued_on": "2026-03-09",
    "valid_until": "2026-09-09",
    "police_report_no": LP.number,
    "offences": ["UU1-2023-455"],
    "danger_level": "MEDIUM",
    "subject": {"full_name": "Tokoh Rekaan", "birth_date": "1979"},
    "aliases": ["Rekaan"],
}
SUSPICION = {"action_requested": "INFORMATION_ONLY", "suspected_offences": ["UU6-2011-122"]}


def draft(type_: str, purpose: str, body: dict[str, Any], *, police: bool = False, **claims: Any) -> Draft:
    kind = MESSAGES.get(type_)
    assert kind is not None
    sender, recipient = (POLDA, IMIGRASI) if police else (IMIGRASI, POLDA)
    return Draft(
        type=type_,
        sender=sender,
        recipient=recipient,
        purpose=purpose,
        agreement="pks-banten-2025",
        body=body,
        disclosable=sorted(kind.sensitive),
        claims=claims,
    )


PASSING: dict[str, tuple[Draft, Facts]] = {
    "warning by immigration": (draft("early-warning.report/1", "EARLY_WARNING", REPORT), Facts()),
    "warning by the police": (draft("early-warning.report/1", "PREVENTION", REPORT, police=True), Facts()),
    "triage": (
        draft("early-warning.acknowledgement/1", "EARLY_WARNING", {"triage": "UNFOUNDED"}, in_reply_to=EARLIER),
        Facts(earlier(type="early-warning.report/1", open=False)),
    ),
    "anomaly": (draft("passport-application.anomaly/1", "PREVENTION", ANOMALY), Facts()),
    "query": (draft("border-crossing.query/1", "INVESTIGATION", QUERY, police=True, case=LP), Facts()),
    "response": (
        draft("border-crossing.response/1", "INVESTIGATION", RESPONSE, in_reply_to=EARLIER),
        Facts(earlier(type="border-crossing.query/1")),
    ),
    "overstay": (draft("overstay.notice/1", "PREVENTION", OVERSTAY), Facts()),
    "wanted person": (draft("wanted-person.notice/1", "INVESTIGATION", WANTED, police=True, case=LP), Facts()),
}


def decided(name: str, changes: dict[str, Any] | None = None, *, now: datetime = NOW, **more: Any) -> Decision:
    """The passing message of that name with fields of its body changed (`None` takes one away) or the draft changed."""
    sent, facts = PASSING[name]
    body = {key: value for key, value in {**sent.body, **(changes or {})}.items() if value is not None}
    if "claims" in more:
        more["claims"] = {**sent.claims, **more["claims"]}
    known = more.pop("facts", facts)
    return judged(AGREEMENT, replace(sent, body=body, **more), known, now)


@pytest.mark.parametrize("name", PASSING)
def test_what_the_agreement_is_for_passes(name: str) -> None:
    """One message a rule: valid under its schema, sent as its catalogue entry says, permitted; what is released is valid."""
    sent, facts = PASSING[name]
    verified = message(sent)
    assert MESSAGES.violations(sent.type, verified.body) == ()
    decision = judged(AGREEMENT, sent, facts)
    assert decision.reasons == ()
    released = verify(parse(release(verified, decision.withheld).encode()), KEY.public, complete=False)
    assert MESSAGES.release_violations(sent.type, released.body) == ()


WITHHELD: list[tuple[str, dict[str, Any], dict[str, Any], set[str]]] = [
    ("warning by immigration", {}, {}, {"reporter", "recruiter", "narrative"}),
    ("warning by immigration", {}, {"case": LP}, {"reporter"}),
    ("warning by immigration", {}, {"case": Case("DPO", "DPO/1")}, {"reporter", "recruiter", "narrative"}),
    ("warning by the police", {"reporter": None, "recruiter": None}, {}, {"narrative"}),
    ("triage", {}, {}, set()),
    ("anomaly", {}, {}, {"applicant", "sponsor"}),
    ("anomaly", {"severity": 3}, {}, set()),
    ("anomaly", {}, {"case": Case("LI", "LI/31")}, set()),
    ("query", {}, {}, set()),
    ("response", {}, {}, set()),
    # Who asked said that it is no child; the register knows better.
    ("response", {"is_minor": True}, {}, {"crossings"}),
    ("overstay", {}, {}, {"contact_officer/nip"}),
    ("overstay", SUSPICION, {}, {"contact_officer/nip", "last_address", "permit/sponsor"}),
    ("overstay", SUSPICION, {"case": LP}, {"contact_officer/nip"}),
    ("wanted person", {}, {}, set()),
    (
        "wanted person",
        {"contact_officer": {"name": "Budi Rekaan", "unit": "Ditreskrimum", "nrp": "87031234"}},
        {},
        {"contact_officer/nrp"},
    ),
]


@pytest.mark.parametrize(("name", "changes", "claims", "withheld"), WITHHELD)
def test_what_stays_behind(name: str, changes: dict[str, Any], claims: dict[str, Any], withheld: set[str]) -> None:
    """Reporters never pass; persons pass with a case, a grave anomaly, or the assistance that needs them."""
    decision = decided(name, changes, claims=claims)
    assert decision.reasons == ()
    assert set(decision.withheld) == {f"/body/{field}" for field in withheld}


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("warning by immigration", {"suspected_offence": "THEFT"}, {}, "rule.condition", "/body/suspected_offence"),
    ("warning by immigration", {"observed_to": "2026-03-08T10:00:00Z"}, {}, "rule.condition", "/body/observed_to"),
    ("warning by immigration", {"region_code": "36.71.01.1001"}, {}, "rule.out-of-jurisdiction", "/body/region_code"),
    ("warning by immigration", {}, {"purpose": "CAPACITY_BUILDING"}, "rule.purpose", "/purpose"),
    ("warning by immigration", {}, {"purpose": "INVESTIGATION"}, "rule.purpose", "/purpose"),
    ("warning by immigration", {}, {"disclosable": []}, "rule.field-not-disclosable", "/body/reporter"),
    ("triage", {}, {"facts": Facts()}, "rule.condition", "/in_reply_to"),
    ("triage", {}, {"facts": Facts(earlier(type="border-crossing.query/1"))}, "rule.condition", "/in_reply_to"),
    ("anomaly", {}, {"sender": POLDA, "recipient": IMIGRASI}, "rule.none", "/type"),
    ("query", {}, {"claims": {"case": None}}, "rule.case-required", "/case"),
    ("query", {}, {"claims": {"case": Case("LI", "LI/31")}}, "rule.case-required", "/case/type"),
    ("query", {"is_minor": True}, {}, "rule.condition", "/body/is_minor"),
    ("query", {"period_to": "2026-03-11"}, {}, "rule.condition", "/iat"),
    ("query", {"period_from": "2025-03-09"}, {}, "rule.condition", "/body/period_to"),
    ("query", {"period_from": "2026-03-11"}, {}, "rule.condition", "/body/period_to"),
    ("query", {}, {"purpose": "PREVENTION"}, "rule.purpose", "/purpose"),
    ("query", {}, {"sender": IMIGRASI, "recipient": POLDA}, "rule.none", "/type"),
    ("query", {}, {"disclosable": ["/body/subject/travel_documents"]}, "rule.field-not-disclosable", "/body/subject"),
    ("response", {}, {"facts": Facts()}, "rule.condition", "/in_reply_to"),
    (
        "response",
        {},
        {"facts": Facts(earlier(type="border-crossing.query/1", open=False))},
        "rule.condition",
        "/in_reply_to",
    ),
    ("overstay", {"action_requested": "INFORMATION_ONLY"}, {}, "rule.condition", "/body"),
    ("overstay", {"last_address": {"address": "Jalan Rekaan 3"}}, {}, "rule.condition", "/body/last_address"),
    (
        "overstay",
        {"last_address": {"region_code": "36.03.14"}},
        {},
        "rule.out-of-jurisdiction",
        "/body/last_address/region_code",
    ),
    ("wanted person", {}, {"claims": {"case": Case("LK", "LK/1")}}, "rule.case-required", "/case/type"),
    ("wanted person", {"offences": ["UU18-2017-81"]}, {}, "rule.condition", "/body/offences"),
    ("wanted person", {"valid_until": "2026-09-10"}, {}, "rule.condition", "/body/valid_until"),
    ("wanted person", {"issued_on": "2026-03-11"}, {}, "rule.condition", "/iat"),
    ("wanted person", {"issued_on": "2025-09-09", "valid_until": "2026-03-09"}, {}, "rule.condition", "/body/valid_until"),
    ("wanted person", {}, {"agreement": "pks-jakarta-2025"}, "agreement.unknown", "/agreement"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "more", "code", "pointer"), REFUSED)
def test_what_is_refused(name: str, changes: dict[str, Any], more: dict[str, Any], code: str, pointer: str) -> None:
    """One row a condition of the shipped agreement."""
    decision = decided(name, changes, **more)
    assert (code, pointer) in [(reason.code, reason.pointer) for reason in decision.reasons]


@pytest.mark.parametrize(
    ("code", "inside"),
    [
        (PULO_PANJANG, True),
        ("36.02.21.2005", True),
        ("36.01.01.2006", True),
        ("36.04.13.2007", True),
        ("36.03.08.2001", True),
        ("36.04.30.2001", True),
        ("36.73", True),
        ("36.03.13.2001", False),
        ("36.03.14", False),
        ("36.03", False),
        ("36", False),
        ("36.71.01.1001", False),
        ("36.74.01.1001", False),
        ("31.71", False),
        ("MERAK", True),
        ("CGK", False),
        ("OTHER", False),
    ],
)
def test_the_police_territory_is_not_the_province(code: str, inside: bool) -> None:
    """KEP/76 and 78/I/2016: parts of Tangerang are Jakarta's, and what stands in neither list is nobody's."""
    assert AGREEMENT.jurisdictions[POLDA].covers(code) is inside


def test_every_district_is_in_one_territory_or_knowingly_in_none() -> None:
    """Against the list of regions: no district twice, no code that does not exist, five districts left open."""
    units = AGREEMENT.jurisdictions.values()
    regions = MESSAGES.codes("region")
    assert {code for unit in units for code in unit.regions.codes} <= regions
    assert {code for unit in units if unit.checkpoints for code in unit.checkpoints.codes} <= MESSAGES.codes(
        "checkpoint"
    )
    districts = sorted(code for code in regions if code.count(".") == 2)
    homes = {
        code: [name for name in AGREEMENT.jurisdictions if AGREEMENT.jurisdictions[name].covers(code)]
        for code in districts
    }
    assert len(districts) == 155
    assert {code for code in districts if not homes[code]} == {
        f"36.03.{number}" for number in ("09", "10", "14", "23", "30")
    }
    assert max(len(names) for names in homes.values()) == 1


@pytest.mark.parametrize(("severity", "deadline"), [(1, "P3D"), (2, "P1D"), (3, "PT4H"), (4, "PT15M")])
def test_severity_sets_the_deadline_of_an_early_warning(severity: int, deadline: str) -> None:
    """72 hours, 24 hours, 4 hours, 15 minutes."""
    wait = {
        "P3D": timedelta(days=3),
        "P1D": timedelta(days=1),
        "PT4H": timedelta(hours=4),
        "PT15M": timedelta(minutes=15),
    }
    assert decided("warning by immigration", {"severity": severity}).acknowledge_by == NOW + wait[deadline]


def test_the_other_figures_of_the_table() -> None:
    """Deadlines, retention and priority of the other types."""
    assert decided("query").acknowledge_by == NOW + timedelta(hours=1)
    assert decided("query", {"urgent": True}).acknowledge_by == NOW + timedelta(minutes=15)
    assert decided("anomaly").retain_until == date(2029, 3, 10)
    assert decided("overstay").retain_until == date(2031, 3, 10)
    assert decided("wanted person").retain_until == date(2027, 9, 9)
    assert {name: decided(name).priority for name in ("warning by the police", "query", "anomaly")} == {
        "warning by the police": "urgent",
        "query": "urgent",
        "anomaly": "normal",
    }


def test_it_is_in_force_from_the_day_of_signature() -> None:
    """From 19 November 2025 in Banten, for three years."""
    first = datetime(2025, 11, 18, 17, tzinfo=UTC)
    assert [AGREEMENT.in_force(first + step) for step in (timedelta(0), -timedelta(seconds=1))] == [True, False]
    assert (AGREEMENT.valid_from, AGREEMENT.valid_until) == (date(2025, 11, 19), date(2028, 11, 18))


def test_rules_and_catalogue_speak_of_the_same_fields() -> None:
    """Every type exists, every withheld field is one that the schema calls sensitive, every code is on its list."""
    assert {rule.type for rule in AGREEMENT.rules} == {kind.type for kind in MESSAGES.types()}
    for rule in AGREEMENT.rules:
        kind = MESSAGES.get(rule.type)
        assert kind is not None
        assert {withholding.field.text for withholding in rule.withhold} <= kind.sensitive
        assert set(rule.purposes) <= MESSAGES.codes("purpose")
        assert rule.requires is None or set(rule.requires.case) <= MESSAGES.codes("case-type")
    wanted = next(rule for rule in AGREEMENT.rules if rule.id == "wanted-person-notice")
    offences = wanted.where[0].must.schema["contains"]["enum"]
    groups = {entry.code: entry.more["group"] for entry in MESSAGES.code_list("offence").entries.values()}
    assert set(offences) == {code for code, group in groups.items() if group in ("TPPO", "TPPM", "IMMIGRATION")}


def test_every_figure_says_where_it_comes_from() -> None:
    """Public or to be confirmed, with a citation; what the agencies have yet to say is never called public."""
    found: list[Sourced] = []

    def walk(value: Any) -> None:
        if isinstance(value, Sourced):
            found.append(value)
        if isinstance(value, Attributed) and value.provenance is not None:
            assert value.citation
        if isinstance(value, Term):
            for name in type(value).model_fields:
                walk(getattr(value, name))
        elif isinstance(value, tuple):
            for item in value:
                walk(item)

    for part in (AGREEMENT.rules, tuple(AGREEMENT.clauses.values()), tuple(AGREEMENT.jurisdictions.values())):
        walk(part)
    assert len(found) > 40
    assert all(entry.citation for entry in found)
    assert not [entry for entry in found if entry.citation.startswith("Proposal") and entry.provenance == "public"]
    withheld = [term for rule in AGREEMENT.rules for term in rule.withhold]
    assert len(withheld) > 100
    assert not [term for term in withheld if term.citation_id is None or term.citation_id == term.citation]
    assert all(
        term.citation.startswith("Proposal") == (term.citation_id or "").startswith("Usulan")
        for term in withheld
        if not term.citation.startswith("Never")
    )


def test_the_scope_clauses_are_those_of_the_article() -> None:
    """Clauses 1 to 4, in both languages, and no clause without a rule."""
    assert list(AGREEMENT.clauses) == ["1", "2", "3", "4"]
    assert AGREEMENT.clauses["1"].title.id == "Pertukaran data dan informasi"
    assert {rule.clause for rule in AGREEMENT.rules} == {"1", "2", "3", "4"}
    assert AGREEMENT.onward_transfer is False
