"""Victims, children and reporters, in every type that has them: what it takes before an identity leaves the sender.

Officers sign with their own keys here, and the gateway verifies them; who is protected is said again, in this file.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.decision.decide import Decision, decide
from gateway.decision.facts import RelatedTransfer
from gateway.keyring import KeyringSigner, signer_for
from gateway.keys.directory import ACTIVE, REVOKED, Directory, Officer, directory
from gateway.message.disclosure import pointers_matching
from gateway.message.envelope import Claims, VerifiedMessage, parse, verify
from gateway.message_types.catalogue import MessageType
from gateway.sdk.draft import Draft
from gateway.statements.approval import sign_approval, verify_approvals
from tests.agreement.making import EARLIER, KEY
from tests.properties.changes import near
from tests.properties.exchanges import (
    ACKNOWLEDGED,
    AGREEMENT,
    MESSAGES,
    PURPOSES,
    Exchange,
    at,
    bodies,
    leaves,
    permitted,
    put,
    some,
)

CHILD_BANDS = {"AGE_00_11", "AGE_12_17"}
PPA = {code for code, entry in MESSAGES.code_list("unit").entries.items() if entry.more["group"] == "PPA"}
ROLES = {"VICTIM_PROTECTION_OFFICER", "SUPERVISOR", "PPA_OFFICER"}


def _protecting(node: Any, root: Any, place: str) -> Iterator[tuple[str, frozenset[str]]]:
    while isinstance(node, dict) and "$ref" in node and "x-protects" not in node:
        node = {
            **root["$defs"][node["$ref"].removeprefix("#/$defs/")],
            **{k: v for k, v in node.items() if k != "$ref"},
        }
    if not isinstance(node, dict):
        return
    if "x-protects" in node:
        yield place, frozenset(node["x-protects"])
    for name, member in node.get("properties", {}).items():
        yield from _protecting(member, root, f"{place}/{name}")
    if "items" in node:
        yield from _protecting(node["items"], root, f"{place}/*")


def protecting(kind: MessageType) -> dict[str, frozenset[str]]:
    """The fields of a type with `x-protects`, as patterns, and whom each protects."""
    return dict(_protecting(kind.schema, kind.schema, "/body"))


# Who is named in the other types is shown to be an adult: `test_adults.py`.
FIELDS = {
    kind.type: fields
    for kind in MESSAGES.types()
    if (fields := protecting(kind)) and "flag" in kind.schema.get("x-minor-on", {"flag": None})
}
each_type = pytest.mark.parametrize("type_", sorted(FIELDS))


def may_be_a_child(body: dict[str, Any]) -> bool:
    """In doubt a child: only a message that says otherwise is about an adult."""
    return (
        body.get("is_minor", False) is not False
        or body.get("minors_present", False) is not False
        or body.get("applicant_age_band") in CHILD_BANDS
    )


def is_protected(type_: str, whom: frozenset[str], body: dict[str, Any]) -> bool:
    if "reporter" in whom or ("child" in whom and may_be_a_child(body)):
        return True
    # Whoever is referred or was kept from leaving is a victim; of a detainee the screening says so.
    return "victim" in whom and body.get("victim_screening_result") != "NO_INDICATION"


def key(name: str) -> KeyringSigner:
    return signer_for(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


@dataclass(frozen=True)
class Someone:
    """Who signs an approval. `counts`: a named officer of the sending agency, of a role that may, with a valid key."""

    name: str
    person: str
    role: str = "SUPERVISOR"
    ours: bool = True
    status: str = ACTIVE
    days: int = 1
    known: bool = True

    @property
    def valid(self) -> bool:
        return self.known and self.ours and self.status == ACTIVE and self.days > 0


SARI, BUDI = Someone("sari", "P1", "VICTIM_PROTECTION_OFFICER"), Someone("budi", "P2")
OTHERS = (
    Someone("sari-again", "P1", "SUPERVISOR"),
    Someone("clerk", "P3", "CLERK"),
    Someone("theirs", "P4", ours=False),
    Someone("revoked", "P5", status=REVOKED),
    Someone("expired", "P6", days=-1),
    Someone("stranger", "P7", known=False),
)


def officers(exchange: Exchange) -> Directory:
    """Everyone who has a key at all, as the gateway knows them at the time of the message."""
    draft, now = exchange.draft, exchange.at
    return directory(
        (),
        (),
        officers=[
            Officer(
                draft.sender if one.ours else draft.recipient,
                one.person,
                one.role,
                "Unit",
                key(one.name).public,
                now - timedelta(days=30),
                now + timedelta(days=one.days),
                one.status,
            )
            for one in (SARI, BUDI, *OTHERS)
            if one.known
        ],
    )


def approved(exchange: Exchange, signers: list[tuple[Someone, list[str] | None]]) -> tuple[VerifiedMessage, Decision]:
    """The message with approvals of these, each of some fields or of all, put before the gateway's own verification."""
    draft, issued = exchange.draft, int(exchange.at.timestamp())
    claims = Claims(
        iss=draft.sender,
        aud=draft.recipient,
        iat=issued,
        exp=issued + 3600,
        jti="test-0001",
        type=draft.type,
        agreement=draft.agreement,
        purpose=draft.purpose,
        classification=draft.classification,
        **draft.claims,
    )
    written = Draft.make(claims, draft.body, draft.disclosable)
    # An officer approves fields that are there; with none to approve nobody signs.
    signed = [
        sign_approval(request, key(one.name), exchange.at)
        for one, fields in signers
        if (request := written.approval_request(fields)).disclosures
    ]
    text = written.sign(KEY, signed)
    message = verify(parse(text.encode()), KEY.public)
    approvals, faults = verify_approvals(message, officers(exchange), exchange.at)
    kind = MESSAGES.get(draft.type)
    assert kind is not None
    facts = replace(
        exchange.known,
        approvals=approvals,
        approval_faults=faults,
        may_be_absent=kind.may_be_absent,
        places=kind.places,
    )
    return message, decide(AGREEMENT, message, facts, exchange.at)


def acknowledgement(exchange: Exchange, **changes: Any) -> RelatedTransfer:
    """The recipient's own, of just what this message is about."""
    body = exchange.draft.body
    reference = next((body[name] for name in ("victim_token", "deferral_no", "application_ref") if name in body), None)
    told = {"reference": reference, "unit": body.get("receiving_unit"), "notice": body.get("notice")}
    view = {"body": {name: value for name, value in told.items() if value is not None}}
    given_: dict[str, Any] = {
        "transfer": EARLIER, "type": ACKNOWLEDGED, "sender": exchange.draft.recipient, "recipient": exchange.draft.sender,
        "accepted": True, "open": True, "live": True, "view": view,
    }  # fmt: skip
    return RelatedTransfer(**{**given_, **changes})


def is_acknowledged(exchange: Exchange) -> bool:
    note, earlier = acknowledgement(exchange), exchange.known.in_reply_to
    replies = exchange.draft.claims.get("in_reply_to") == EARLIER
    return replies and earlier is not None and replace(earlier, open=True) == note


def shown(message: VerifiedMessage, decision: Decision, patterns: Any) -> list[tuple[str, str]]:
    """The protected fields that go out, whole or in part, each with its pattern."""
    return [
        (pattern, pointer)
        for pattern in patterns
        for pointer in pointers_matching({"body": message.body}, pattern)
        if not any(pointer == gone or pointer.startswith(f"{gone}/") for gone in decision.withheld)
    ]


@st.composite
def nearly(draw: st.DrawFn, type_: str) -> Exchange:
    """Nearly all that a release takes: for protection, in reply to the acknowledgement, and at most one thing wrong."""
    base = draw(st.sampled_from(permitted(type_)))
    body = draw(st.sampled_from([exchange.draft.body for exchange in permitted(type_)] + [*bodies(type_)]))
    unit = draw(st.sampled_from([*sorted(PPA)[:2], "DITRESKRIMUM_BANTEN", None]))
    if unit is not None and not MESSAGES.violations(type_, changed := put(dict(body), "/receiving_unit", unit)):
        body = changed
    exchange = base.with_draft(body=body, purpose="VICTIM_PROTECTION").with_claims(in_reply_to=EARLIER)
    note = acknowledgement(exchange)
    name = draw(st.sampled_from(["reference", "unit", "notice"]))
    other = {"body": {**dict(note.view or {})["body"], name: "X"}}
    wrong = draw(
        st.sampled_from(
            [note] * 8
            + [
                None,
                replace(note, live=False),
                replace(note, accepted=False),
                replace(note, type="recall/1"),
                replace(note, sender=note.recipient, recipient=note.sender),
                replace(note, view=None),
                replace(note, view=other),
            ]
        )
    )
    exchange = replace(exchange, known=replace(exchange.known, in_reply_to=wrong))
    if draw(st.sampled_from([False] * 5 + [True])):
        purpose = draw(st.sampled_from(["INVESTIGATION", "PREVENTION", "EARLY_WARNING", "BORDER_CONTROL"]))
        exchange = exchange.with_draft(purpose=purpose)
    return exchange


@st.composite
def signing(draw: st.DrawFn, exchange: Exchange) -> list[tuple[Someone, list[str] | None]]:
    """Two officers who count; or another in the place of one, or one of them, or one who did not see every field."""
    who = draw(st.sampled_from([[SARI, BUDI]] * 4 + [[SARI, one] for one in OTHERS] + [[SARI], []]))
    fields = [
        pointer
        for pattern in exchange.draft.disclosable
        for pointer in pointers_matching({"body": dict(exchange.draft.body)}, pattern)
    ]
    if not fields:
        return []
    seen = draw(st.sampled_from([None, None, None, [fields[0]], [fields[-1]]]))
    return [(one, None if number == 0 else seen) for number, one in enumerate(who)]


@each_type
@some(20)
@given(st.data())
def test_an_identity_is_released_only_with_all_that_it_takes(type_: str, data: st.DataObject) -> None:
    """The purpose, two valid officers of the sender, the acknowledged notice, and a unit for women and children of a minor."""
    exchange = data.draw(nearly(type_) | near(type_))
    signers = data.draw(signing(exchange))
    message, decision = approved(exchange, signers)
    if any(not one.valid for one, _ in signers):
        assert not decision.permitted
    if not decision.permitted:
        return
    body = message.body
    for pattern, pointer in shown(message, decision, FIELDS[type_]):
        if not is_protected(type_, FIELDS[type_][pattern], body):
            continue
        assert "reporter" not in FIELDS[type_][pattern]
        assert exchange.draft.purpose == "VICTIM_PROTECTION"
        assert is_acknowledged(exchange)
        assert len({one.person for one, fields in signers if one.role in ROLES and _saw(fields, pointer)}) >= 2
        assert not may_be_a_child(body) or body["receiving_unit"] in PPA
        assert (decision.notice, len(decision.approved_by) >= 2) == (EARLIER, True)


def _saw(fields: list[str] | None, pointer: str) -> bool:
    return fields is None or pointer in fields


CONFIDENTIAL = sorted(
    (rule.type, entry.field.text) for rule in AGREEMENT.rules for entry in rule.withhold if entry.confidential
)


Signers = list[tuple[Someone, list[str] | None]]


def releases(type_: str, pattern: str) -> list[tuple[Exchange, str]]:
    """Exchanges with all that it takes, in which the protected field goes out, each with the field's place."""
    found = []
    for base in permitted(type_):
        exchange = acknowledged(base.with_draft(purpose="VICTIM_PROTECTION").with_claims(in_reply_to=EARLIER))
        message, decision = approved(exchange, [(SARI, None), (BUDI, None)])
        if decision.permitted and is_protected(type_, FIELDS[type_][pattern], message.body):
            found += [(exchange, pointer) for _, pointer in shown(message, decision, [pattern])]
    return found


def acknowledged(exchange: Exchange, **changes: Any) -> Exchange:
    return replace(exchange, known=replace(exchange.known, in_reply_to=acknowledgement(exchange, **changes)))


def faults(exchange: Exchange, pointer: str) -> Iterator[tuple[str, Exchange, Signers]]:
    """Each single thing that may be missing, by name."""
    both: Signers = [(SARI, None), (BUDI, None)]
    draft, note = exchange.draft, acknowledgement(exchange)
    for one in OTHERS:
        yield one.name, exchange, [(SARI, None), (one, None)]
    yield "one officer", exchange, both[:1]
    yield "nobody", exchange, []
    # The second officer saw one part of the field and not the whole.
    part = next(f"{pointer}{leaf}" for leaf, _ in leaves(at({"body": dict(draft.body)}, pointer)))
    if part != pointer:
        yield "a part", exchange.with_draft(disclosable=[*draft.disclosable, part]), [(SARI, None), (BUDI, [part])]
    for name, changes in {
        "not standing": {"live": False},
        "not accepted": {"accepted": False},
        "not received": {"sender": draft.sender, "recipient": draft.recipient},
        "another type": {"type": "case.status/1"},
        "another transfer": {"transfer": EARLIER[:-1] + "9"},
        "not known": {"view": None},
    }.items():
        yield name, acknowledged(exchange, **changes), both
    told = dict(note.view or {})["body"]
    for name in told:
        yield f"another {name}", acknowledged(exchange, view={"body": {**told, name: "X"}}), both
        yield f"no {name}", acknowledged(exchange, view={"body": {**told, name: None}}), both
    for purpose in PURPOSES:
        if purpose != "VICTIM_PROTECTION":
            yield purpose, exchange.with_draft(purpose=purpose), both
    if may_be_a_child(dict(draft.body)):
        for unit in ("DITRESKRIMUM_BANTEN", "POLRES_LEBAK", "KANIM_SERANG"):
            yield unit, acknowledged(exchange.with_draft(body={**draft.body, "receiving_unit": unit})), both


@pytest.mark.parametrize(("type_", "pattern"), CONFIDENTIAL)
def test_with_all_that_it_takes_an_identity_is_released_and_without_any_of_it_not(type_: str, pattern: str) -> None:
    """Some example of each confidential field goes out, and stays behind, or is refused, for each single thing missing."""
    found = releases(type_, pattern)
    assert found
    for exchange, pointer in found:
        for name, faulty, signers in faults(exchange, pointer):
            message, decision = approved(faulty, signers)
            assert not decision.permitted or (pattern, pointer) not in shown(message, decision, [pattern]), name


def ordinary(type_: str) -> Iterator[Exchange]:
    """Every permitted exchange of the type, also told of a child, without an approval or an acknowledgement."""
    for base in permitted(type_):
        for flag in (None, "is_minor", "minors_present"):
            body = dict(base.draft.body) if flag is None else {**base.draft.body, flag: True}
            if not MESSAGES.violations(type_, body):
                yield replace(base.with_draft(body=body), approvals=())


@each_type
def test_nobody_protected_is_shown_by_an_ordinary_message(type_: str) -> None:
    """Each example, for each purpose that its rule has: whoever is protected in it stays behind."""
    present = 0
    for exchange in ordinary(type_):
        message, decision = approved(exchange, [])
        fields = {one: whom for one, whom in FIELDS[type_].items() if is_protected(type_, whom, message.body)}
        present += sum(len(pointers_matching({"body": message.body}, field)) for field in fields)
        assert not decision.permitted or shown(message, decision, fields) == []
    assert present


def test_every_protected_field_is_one_that_its_rules_withhold() -> None:
    """No type has a field with `x-protects` that some rule of the type would let pass in every situation."""
    for type_, fields in FIELDS.items():
        for rule in (rule for rule in AGREEMENT.rules if rule.type == type_):
            assert fields.keys() <= {entry.field.text for entry in rule.withhold}, rule.id
