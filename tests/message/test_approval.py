"""Approvals: whose word counts, for which message, for which words; and every way to make a wrong one count."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, MalformedError, Reason, SignatureInvalidError
from gateway.jose import b64encode, parse_jws, sign_jws
from gateway.keyring import KeyringSigner, signer_for
from gateway.keys.directory import REVOKED, Agency, AgencyKey, Directory, Officer, directory
from gateway.message.disclosure import close_payload, digest_of
from gateway.message.envelope import MESSAGE_TYP, VerifiedMessage, issue_closed
from gateway.statements.approval import (
    APPROVAL_LENGTH,
    APPROVAL_TYP,
    Approval,
    ApprovalRequest,
    content_digest,
    digests_of,
    parse_approval,
    sign_approval,
    verify_approvals,
)
from tests.message.making import EC, ED, ISSUED, OTHER, accept, claims, encode, header, often, refuse, salt, sign


def key(name: str) -> KeyringSigner:
    """A key of no one, the same in every run."""
    return signer_for(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


NOW = datetime.fromtimestamp(ISSUED, UTC)
DAY = timedelta(days=1)
SENDER, RECIPIENT = "imigrasi-banten", "polda-banten"
SARI, BUDI, TAMU = key("sari"), key("budi"), key("guest")
BODY: Mapping[str, Any] = {
    "reference": "REF-1",
    "identity": {"name": "Mawar", "nik": "3604085501080001", "aliases": ["Melati"]},
    "identity_note": "kept apart",
}
PATTERNS = ("/identity/nik", "/identity/aliases/*", "/identity", "/identity_note")


def officer(signer: KeyringSigner, *, person: str | None = None, agency: str = SENDER, **changes: Any) -> Officer:
    """An officer whose number is, if nothing else is said, the key's own."""
    given: dict[str, Any] = {
        "agency": agency,
        "person": person or signer.kid,
        "role": "VICTIM_PROTECTION_OFFICER",
        "unit": "Seksi Inteldakim",
        "key": signer.public,
        "not_before": NOW - DAY,
        "not_after": NOW + DAY,
    }
    return Officer(**(given | changes))


def house(*officers: Officer) -> Directory:
    """Both agencies, each with a key of its own, and these officers."""
    keys = [AgencyKey(SENDER, ED.public, NOW - DAY, NOW + DAY), AgencyKey(RECIPIENT, EC.public, NOW - DAY, NOW + DAY)]
    agencies = [Agency(SENDER, "Imigrasi"), Agency(RECIPIENT, "Polda")]
    return directory(agencies, keys, 1, officers or (officer(SARI), officer(BUDI)))


def salted(number: int = 0) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body closed with salts that the test chooses."""
    salts = iter(salt(100 * number + place) for place in range(50))
    return close_payload(BODY, PATTERNS, lambda: next(salts))


def message(*approvals: Any, salts: int = 0, given: Any = None, **changes: Any) -> VerifiedMessage:
    closed, disclosures = salted(salts)
    if approvals or given is not None:
        closed["approvals"] = list(approvals) if given is None else given
    return accept(issue_closed(claims(**changes), closed, disclosures, ED))


def request(held: VerifiedMessage | None = None, pointer: str = "/body/identity", **changes: Any) -> ApprovalRequest:
    about = held or message()
    given: dict[str, Any] = {name: getattr(about.claims, name) for name in ("iss", "aud", "jti", "type", "purpose")}
    signed = {"content": content_of(about), "disclosures": tuple(digests_of(about, pointer))}
    return ApprovalRequest(**(given | signed | changes))


def content_of(held: VerifiedMessage) -> str:
    return content_digest(parse_jws(held.jwt, MESSAGE_TYP, 40).payload)


def approved(signer: KeyringSigner = SARI, now: datetime = NOW, **changes: Any) -> str:
    return sign_approval(request(**changes), signer, now)


def payload(**changes: Any) -> dict[str, Any]:
    """An approval's claims as they should be, for taking apart."""
    asked = request()
    members = {name: getattr(asked, name) for name in ("iss", "aud", "jti", "type", "purpose")}
    return members | {"iat": ISSUED, "content": asked.content, "disclosures": sorted(asked.disclosures)} | changes


def judged(*approvals: Any, known: Directory | None = None, now: datetime = NOW) -> tuple[Any, Any]:
    return verify_approvals(message(*approvals), known or house(), now)


def refused(approval: Any, match: str, known: Directory | None = None, now: datetime = NOW) -> None:
    """Exactly this approval is a fault, the good one beside it is none, and the fault quotes nothing."""
    counted, faults = judged(approved(BUDI, now), approval, known=known, now=now)
    assert [one.officer for one in counted] == [BUDI.kid]
    assert [(fault.code, fault.pointer) for fault in faults] == [("rule.approval", "/body/approvals/1")]
    assert match in faults[0].detail
    for value in ("Mawar", "3604085501080001", RECIPIENT, "message-0001"):
        assert value not in faults[0].detail


def test_two_officers_approve_one_field() -> None:
    """Each counts by key and role, for the field's digest and every digest below it."""
    counted, faults = judged(approved(SARI), approved(BUDI))
    assert faults == ()
    expected = digests_of(message(), "/body/identity")
    assert len(expected) == 3
    assert counted == tuple(Approval(one.kid, "VICTIM_PROTECTION_OFFICER", expected) for one in (SARI, BUDI))


def test_a_message_without_approvals_has_none() -> None:
    """Nothing counts, and nothing is wrong."""
    assert judged() == ((), ())


def test_the_digests_of_a_field_end_at_the_field() -> None:
    """A name that merely begins alike is another field; a field in clear has no digests."""
    held = message()
    note = digests_of(held, "/body/identity_note")
    assert len(note) == 1
    assert not note & digests_of(held, "/body/identity")
    assert digests_of(held, "/body/reference") == frozenset()
    assert digests_of(held, "/body/identity/nik") < digests_of(held, "/body/identity")


def test_an_officer_of_the_recipient_does_not_approve() -> None:
    """The agency that wants to know is not the one that lets know."""
    known = house(officer(BUDI), officer(TAMU, agency=RECIPIENT))
    refused(approved(TAMU), "not one of an officer of the sending agency", known)


def test_an_agency_s_own_key_does_not_approve() -> None:
    """A backend holds that key, and no person stands behind it."""
    refused(approved(ED), "not one of an officer of the sending agency")


def test_a_stranger_does_not_approve() -> None:
    """A key that nobody enrolled."""
    refused(approved(OTHER), "not one of an officer of the sending agency")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iss", RECIPIENT),
        ("aud", "kejati-banten"),
        ("jti", "message-0002"),
        ("type", "early-warning.report/2"),
        ("purpose", "INVESTIGATION"),
    ],
)
def test_an_approval_is_for_one_message(name: str, value: str) -> None:
    """Another sender, recipient, message, type or purpose: the fault names which, and not what."""
    refused(approved(**{name: value}), f"not as in the message: {name}")


def test_every_difference_is_named_together() -> None:
    """An officer's client is told at once."""
    refused(approved(aud="kejati-banten", purpose="INVESTIGATION"), "not as in the message: aud, purpose")


def test_an_approval_is_for_the_words_that_were_read() -> None:
    """The same field under another salt, as when the draft was made anew with other words."""
    held = message(salts=1)
    refused(approved(disclosures=tuple(digests_of(held, "/body/identity"))), "not of one of the message's disclosures")


def test_an_approval_of_the_field_alone_does_not_hold_what_is_below_it() -> None:
    """It verifies, and does not contain every digest that the release would need."""
    held = message()
    alone = next(place.disclosure.digest for place in held.placed if place.pointer == "/body/identity")
    (counted,), faults = judged(approved(disclosures=(alone,)))
    assert faults == ()
    assert not digests_of(held, "/body/identity") <= counted.disclosures


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"status": REVOKED}, "revoked"),
        ({"not_after": NOW}, "outside its validity"),
        ({"not_before": NOW + timedelta(seconds=1)}, "outside its validity"),
    ],
)
def test_an_officer_whose_time_is_over_does_not_approve(changes: dict[str, Any], match: str) -> None:
    """Asked for the moment of receipt, never for a date that the officer wrote."""
    refused(approved(), match, house(officer(BUDI), officer(SARI, **changes)))


def test_the_same_officer_twice_counts_once() -> None:
    """Two approvals of one person are one head, with the fields of both."""
    counted, faults = judged(approved(SARI), approved(SARI, pointer="/body/identity_note"))
    assert faults == ()
    held = message()
    both = digests_of(held, "/body/identity") | digests_of(held, "/body/identity_note")
    assert counted == (Approval(SARI.kid, "VICTIM_PROTECTION_OFFICER", both),)


def test_one_person_with_two_keys_is_one_officer() -> None:
    """A new key after an old one, or a key in each of two offices, does not make a second pair of eyes."""
    known = house(officer(SARI, person="p1"), officer(BUDI, person="p1"))
    (counted,), faults = judged(approved(SARI), approved(BUDI), known=known)
    assert (counted.officer, faults) == (SARI.kid, ())
    known = house(officer(SARI, person="p1", role="LIAISON"), officer(BUDI, person="p1"))
    (counted,), _ = judged(approved(SARI, pointer="/body/identity_note"), approved(BUDI), known=known)
    assert counted == Approval(SARI.kid, "LIAISON", digests_of(message(), "/body/identity_note"))


@pytest.mark.parametrize(
    ("moment", "match"),
    [(NOW + timedelta(seconds=61), "in the future"), (NOW - timedelta(days=7, seconds=1), "older than 7 days")],
)
def test_an_approval_is_fresh(moment: datetime, match: str) -> None:
    """Dated in the future, or given so long ago that nobody remembers why."""
    refused(approved(now=moment), match)


@pytest.mark.parametrize("moment", [NOW + timedelta(seconds=60), NOW - timedelta(days=7)])
def test_the_last_moments_of_freshness_count(moment: datetime) -> None:
    """A minute of leeway, and seven whole days."""
    counted, faults = judged(approved(now=moment))
    assert (len(counted), faults) == (1, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ISSUED + 60},
        {"sub": "197801152005011002"},
        {"iat": True},
        {"iat": float(ISSUED)},
        {"iat": -1},
        {"iat": 2**60},
        {"iss": "Imigrasi"},
        {"type": "early-warning.report"},
        {"content": "all"},
        {"content": None},
        {"disclosures": []},
        {"disclosures": "all"},
        {"disclosures": ["*"]},
        {"disclosures": [1]},
        {"disclosures": [digest_of("a")] * 2},
        {"disclosures": [digest_of("a")[:-1] + "B"]},
        {"disclosures": [digest_of(str(number)) for number in range(257)]},
    ],
)
def test_an_approval_has_exactly_its_claims(changes: dict[str, Any]) -> None:
    """A claim too many, or of another form; it is refused before any key is asked."""
    text = sign_jws(payload(**changes), APPROVAL_TYP, SARI)
    with pytest.raises(GatewayError):
        parse_approval(text)
    _, faults = judged(text)
    assert [fault.code for fault in faults] == ["rule.approval"]


@pytest.mark.parametrize("name", sorted(payload()))
def test_every_claim_is_needed(name: str) -> None:
    """None of them has a default."""
    members = payload()
    del members[name]
    with pytest.raises(MalformedError, match="has exactly"):
        parse_approval(sign_jws(members, APPROVAL_TYP, SARI))


@pytest.mark.parametrize(
    "head",
    [
        header(SARI, typ=APPROVAL_TYP, alg="none"),
        header(SARI, typ=APPROVAL_TYP, alg="HS256"),
        header(SARI, typ=APPROVAL_TYP, alg="ES256"),
        header(SARI, typ="receipt+jwt"),
        header(SARI, typ="exchange+sd-jwt"),
        header(SARI, typ=APPROVAL_TYP, jwk=dict(SARI.public.jwk)),
        header(SARI, typ=APPROVAL_TYP, crit=["exp"]),
        header(BUDI, typ=APPROVAL_TYP),
    ],
)
def test_an_approval_s_header_confuses_nobody(head: dict[str, Any]) -> None:
    """Another algorithm, another kind of text, a key in the header, somebody else's key id."""
    _, faults = judged(sign(payload(), head, SARI))
    assert [fault.code for fault in faults] == ["rule.approval"]


def test_a_changed_approval_does_not_verify() -> None:
    """The signature is over these very claims."""
    head, _, signature = approved().split(".")
    text = f"{head}.{encode(payload(disclosures=[digest_of('a')]))}.{signature}"
    refused(f"{head}.{encode(payload())}.{b64encode(bytes(64))}", "does not verify")
    _, faults = judged(text)
    assert [fault.code for fault in faults] == ["rule.approval"]


@pytest.mark.parametrize("text", ["", "a.b.c", "é", None, 7, ["x"], "A" * (APPROVAL_LENGTH + 1)])
def test_what_is_no_approval_is_refused(text: Any) -> None:
    """Whatever JSON value stands there; a long one is not even read."""
    _, faults = judged(text)
    assert faults == (Reason("rule.approval", pointer="/body/approvals/0", detail=faults[0].detail),)


@pytest.mark.parametrize("given", [[], "x", {"0": "x"}, 1])
def test_approvals_are_an_array(given: Any) -> None:
    """Even where the message's schema does not say so."""
    counted, faults = verify_approvals(message(given=given), house(), NOW)
    assert (counted, [fault.pointer for fault in faults]) == ((), ["/body/approvals"])


def test_nine_approvals_are_one_too_many() -> None:
    """None of them is read: who sends many wants the gateway to work."""
    eight = [approved() for _ in range(8)]
    counted, faults = judged(*eight)
    assert (len(counted), faults) == (1, ())
    counted, faults = judged(*eight, approved())
    assert (counted, [fault.pointer for fault in faults]) == ((), ["/body/approvals"])


def test_every_faulty_approval_is_reported() -> None:
    """All together, each by its place."""
    _, faults = judged("x", approved(), approved(ED), approved(purpose="INVESTIGATION"))
    assert [fault.pointer for fault in faults] == [f"/body/approvals/{number}" for number in (0, 2, 3)]


def test_an_approval_of_nothing_cannot_be_signed() -> None:
    """An empty set of digests would be contained in every other."""
    with pytest.raises(MalformedError):
        approved(disclosures=())


def test_an_approval_is_part_of_what_the_sender_signed() -> None:
    """Nobody adds one to a signed message, or takes one away."""
    held = message(approved())
    body, disclosures = salted()
    assert accept(held.text()).body["approvals"] == held.body["approvals"]
    stripped = issue_closed(claims(), body, disclosures, ED).partition(".")
    head, _, rest = held.text().partition(".")
    mixed = f"{head}.{stripped[2].partition('.')[0]}.{rest.partition('.')[2]}"
    refuse(mixed, error=SignatureInvalidError)


@often
@given(st.lists(st.sampled_from(["/body/identity", "/body/identity/nik", "/body/identity_note"]), min_size=1))
def test_what_is_signed_is_what_is_read(pointers: Sequence[str]) -> None:
    """Sign and parse are inverse for whatever was approved."""
    held = message()
    digests = frozenset().union(*(digests_of(held, pointer) for pointer in pointers))
    read = parse_approval(approved(disclosures=tuple(digests)))
    assert (read.disclosures, read.jti, read.iat, read.jws.kid) == (digests, held.claims.jti, ISSUED, SARI.kid)


def test_an_approval_is_of_what_stands_in_clear_too() -> None:
    """Another case, reply or word in clear beside the very same disclosures is another message, and the approval is refused."""
    signed = approved()
    other = message(signed, correlation_id="another-letter")
    approvals, faults = verify_approvals(other, house(), NOW)
    assert approvals == ()
    assert [fault.detail for fault in faults] == ["what the message says in clear is not what was approved"]
    closed, disclosures = salted(0)
    closed |= {"receiving_unit": "DITINTELKAM_BANTEN", "approvals": [signed]}
    _, faults = verify_approvals(accept(issue_closed(claims(), closed, disclosures, ED)), house(), NOW)
    assert [fault.detail for fault in faults] == ["what the message says in clear is not what was approved"]
