"""The messages of clauses 1 and 2 that the shipped agreement is tried on: every valid example, with claims and facts."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway import resources
from gateway.decision.decide import Decision, Facts
from gateway.decision.facts import RelatedTransfer
from gateway.message.envelope import Case
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from tests.agreement.making import EARLIER, IMIGRASI, LP, POLDA, Draft, earlier, judged, real

AGREEMENT = real()
SCHEMAS = resources.schemas_dir()
MESSAGES = Catalogue(catalogue.read(SCHEMAS))
NOW = datetime(2026, 12, 21, 3, 0, tzinfo=UTC)  # 10:00 in Banten, after every example
SPRINDIK = Case("SPRINDIK", "SPRINDIK/9/XI/2026/Ditreskrimum")
INVESTIGATION, BORDER, PREVENTION = "INVESTIGATION", "BORDER_CONTROL", "PREVENTION"
REPLY = {"in_reply_to": EARLIER}

STAY, STAYING = "stay-permit.query/1", "stay-permit.response/1"
PRESENCE, LOSS, VALIDITY = "foreigner.presence-report/1", "travel-document.loss-report/1", "travel-document.validity/1"
DEFERRAL, ANOMALY = "departure-deferral.notice/1", "passport-application.anomaly/1"
BAN, DECISION = "travel-restriction.request/1", "travel-restriction.decision/1"
WANTED, CANCELLATION, HIT = "wanted-person.notice/1", "wanted-person.cancellation/1", "wanted-person.hit/1"
QUERY, TRIAGE, REPORT = "border-crossing.query/1", "early-warning.acknowledgement/1", "early-warning.report/1"
ACKNOWLEDGED = "confidentiality.acknowledgement/1"
TYPES = (STAY, STAYING, PRESENCE, LOSS, VALIDITY, DEFERRAL, ANOMALY, BAN, DECISION, WANTED, CANCELLATION, HIT, QUERY)


def example(type_: str, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((SCHEMAS / type_ / "examples" / f"valid-{name}.json").read_text("utf-8"))
    return body


def sent(type_: str, name: str, purpose: str, *, police: bool, **claims: Any) -> Draft:
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
        at=NOW,
    )


def related(type_: str, name: str, *, police: bool, body: dict[str, Any] | None = None, **changes: Any) -> Facts:
    """An example that one of the two sent earlier, accepted, open and standing unless `changes` says otherwise."""
    sender, recipient = (POLDA, IMIGRASI) if police else (IMIGRASI, POLDA)
    view = {"body": {**example(type_, name), **(body or {})}}
    return Facts(earlier(type=type_, sender=sender, recipient=recipient, view=view, **changes))


REFERRAL_ID = example(DEFERRAL, "adults-referred")["referral"]


def referral(type_: str = "victim.referral/1", **changes: Any) -> dict[str, RelatedTransfer]:
    return {REFERRAL_ID: earlier(**{"transfer": REFERRAL_ID, "type": type_, **changes})}


GRANTED = related(DECISION, "granted", police=False)
REQUESTED = related(BAN, "exit-ban", police=True)
NOTICE = related(WANTED, "recruiter", police=True)

# Every valid example, with claims and facts under which some rule permits it.
PASSING: dict[tuple[str, str], tuple[Draft, Facts]] = {
    (STAY, "by-passport"): (sent(STAY, "by-passport", INVESTIGATION, police=True, case=LP), Facts()),
    (STAY, "prevention"): (sent(STAY, "prevention", PREVENTION, police=True), Facts()),
    **{
        (STAYING, name): (
            sent(STAYING, name, INVESTIGATION, police=False, **REPLY),
            related(STAY, "by-passport", police=True),
        )
        for name in ("expired", "not-found", "child")
    },
    **{
        (PRESENCE, name): (sent(PRESENCE, name, PREVENTION, police=True), Facts())
        for name in ("lodging", "no-document", "child")
    },
    **{
        (LOSS, name): (sent(LOSS, name, BORDER, police=True), Facts()) for name in ("stolen", "lost-abroad", "blank")
    },
    (VALIDITY, "cancelled"): (sent(VALIDITY, "cancelled", BORDER, police=False, **REPLY), related(LOSS, "stolen", police=True)),
    (VALIDITY, "other-state"): (
        sent(VALIDITY, "other-state", BORDER, police=False, **REPLY),
        related(LOSS, "stolen", police=True, body={"document": example(VALIDITY, "other-state")["document"]}),
    ),
    (DEFERRAL, "merak-with-a-child"): (sent(DEFERRAL, "merak-with-a-child", "EARLY_WARNING", police=False), Facts()),
    (DEFERRAL, "nobody-identified"): (sent(DEFERRAL, "nobody-identified", PREVENTION, police=False), Facts()),
    (DEFERRAL, "adults-referred"): (
        sent(DEFERRAL, "adults-referred", "VICTIM_PROTECTION", police=False),
        Facts(linked=referral()),
    ),
    **{
        (ANOMALY, name): (sent(ANOMALY, name, PREVENTION, police=False), Facts())
        for name in ("age-band-only", "applicant-from-elsewhere", "lontar", "child")
    },
    (BAN, "exit-ban"): (sent(BAN, "exit-ban", INVESTIGATION, police=True, case=SPRINDIK), Facts()),
    (BAN, "entry-ban"): (sent(BAN, "entry-ban", BORDER, police=True, case=SPRINDIK), Facts()),
    (BAN, "extension"): (sent(BAN, "extension", INVESTIGATION, police=True, case=SPRINDIK, **REPLY), GRANTED),
    (DECISION, "forwarded"): (sent(DECISION, "forwarded", INVESTIGATION, police=False, **REPLY), REQUESTED),
    (DECISION, "granted"): (
        sent(DECISION, "granted", INVESTIGATION, police=False, **REPLY),
        replace(related(BAN, "exit-ban", police=True, open=False), replies=1),
    ),
    (DECISION, "revoked"): (sent(DECISION, "revoked", INVESTIGATION, police=False, **REPLY), GRANTED),
    **{
        (WANTED, name): (sent(WANTED, name, INVESTIGATION, police=True, case=LP), Facts())
        for name in ("recruiter", "smuggler", "last-day-of-the-old-law")
    },
    (CANCELLATION, "arrested"): (sent(CANCELLATION, "arrested", INVESTIGATION, police=True, case=LP, **REPLY), NOTICE),
    (CANCELLATION, "mistaken-identity"): (
        sent(CANCELLATION, "mistaken-identity", BORDER, police=True, case=LP, **REPLY),
        related(WANTED, "smuggler", police=True),
    ),
    (HIT, "wanted-at-merak"): (sent(HIT, "wanted-at-merak", BORDER, police=False, **REPLY), NOTICE),
    (HIT, "exit-ban-at-soekarno-hatta"): (
        sent(HIT, "exit-ban-at-soekarno-hatta", BORDER, police=False, **REPLY),
        GRANTED,
    ),
    (QUERY, "by-nik"): (sent(QUERY, "by-nik", INVESTIGATION, police=True, case=LP), Facts()),
    (QUERY, "by-passport"): (sent(QUERY, "by-passport", INVESTIGATION, police=True, case=LP), Facts()),
}  # fmt: skip
Name = tuple[str, str]
PERMIT, PERMIT_ANSWER, MET = (STAY, "by-passport"), (STAYING, "expired"), (PRESENCE, "lodging")
STOLEN, CHECKED = (LOSS, "stolen"), (VALIDITY, "cancelled")
DEFERRED, REFERRED = (DEFERRAL, "merak-with-a-child"), (DEFERRAL, "adults-referred")
EXIT_BAN, ENTRY_BAN, EXTENSION = (BAN, "exit-ban"), (BAN, "entry-ban"), (BAN, "extension")
GRANT, FORWARDED, REVOKED = (DECISION, "granted"), (DECISION, "forwarded"), (DECISION, "revoked")
SOUGHT, CANCELLED = (WANTED, "recruiter"), (CANCELLATION, "arrested")
SEEN, STOPPED, ASKED = (HIT, "wanted-at-merak"), (HIT, "exit-ban-at-soekarno-hatta"), (QUERY, "by-passport")


def changed(name: Name, changes: dict[str, Any] | None = None, **more: Any) -> tuple[Draft, Facts]:
    """The passing message of that name with fields of its body (`None` takes one away), claims or the draft changed."""
    draft, facts = PASSING[name]
    body = {key: value for key, value in {**draft.body, **(changes or {})}.items() if value is not None}
    if "claims" in more:
        more["claims"] = {**draft.claims, **more["claims"]}
    known = more.pop("facts", facts)
    return replace(draft, body=body, **more), known


def decided(name: Name, changes: dict[str, Any] | None = None, **more: Any) -> Decision:
    draft, facts = changed(name, changes, **more)
    return judged(AGREEMENT, draft, facts, NOW)
