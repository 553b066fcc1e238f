"""Approvals: the signed word of a named officer that certain fields of one message may be released.

Decides what a valid approval is, who may give one, and which digests it stands for. Leaves to `decide.py` how many a
field needs and of which roles. An approval names no person: the key id says to the gateway who it was, and to others
nothing. It binds the message's recipient, `jti`, type and purpose; by the digests the very words that were read, as a
field's digest is of its salt, name and value (RFC 9901 §4.2.3); and by `content` all else that the message says in clear.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import rfc8785

from gateway.errors import GatewayError, MalformedError, Reason, TooLargeError
from gateway.jose import Signer, UnverifiedJws, b64decode, b64encode, parse_jws, sign_jws, verify_jws
from gateway.keys.directory import Directory, Officer
from gateway.message.disclosure import Placed
from gateway.message.envelope import (
    AGENCY_ID,
    DEFAULT_LIMITS,
    JTI,
    MESSAGE_TYP,
    MESSAGE_TYPE,
    PURPOSE,
    Claims,
    VerifiedMessage,
)

APPROVAL_TYP: Final = "approval+jwt"
APPROVALS: Final = "approvals"
APPROVALS_POINTER: Final = f"/body/{APPROVALS}"
APPROVALS_LIMIT: Final = 8
APPROVAL_LENGTH: Final = 17_408
DIGESTS_LIMIT: Final = 256
AGE: Final = timedelta(days=7)
LEEWAY: Final = timedelta(seconds=60)
_SUBJECT: Final = ("iss", "aud", "jti", "type", "purpose")
_MEMBERS: Final = frozenset({*_SUBJECT, "iat", "content", "disclosures"})
# What the signing of the message adds.
_ADDED: Final = ("iat", "exp")
_FORMS: Final = {"iss": AGENCY_ID, "aud": AGENCY_ID, "jti": JTI, "type": MESSAGE_TYPE, "purpose": PURPOSE}
_DIGEST: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can hold


@dataclass(frozen=True, slots=True)
class Approval:
    """A verified approval: `officer` is the id (RFC 7638 thumbprint) of the officer's key, pseudonymous.

    `disclosures` are SD-JWT digests (RFC 9901 §4.2.3) of what the officer approved for release.
    """

    officer: str
    role: str
    disclosures: frozenset[str]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What an officer is asked to approve. `fields`, by pointer and in plain, is for the officer's eyes and not signed."""

    iss: str
    aud: str
    jti: str
    type: str
    purpose: str
    content: str
    disclosures: tuple[str, ...]
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class UnverifiedApproval:
    """Well-formed. It says what was approved, and nothing of by whom."""

    jws: UnverifiedJws
    iss: str
    aud: str
    jti: str
    type: str
    purpose: str
    iat: int
    content: str
    disclosures: frozenset[str]


class HasPlaced(Protocol):
    """A message, or a draft of one: where its disclosures stand, as pointers from `/body` on."""

    @property
    def placed(self) -> tuple[Placed, ...]: ...


def digests_of(message: HasPlaced, pointer: str) -> frozenset[str]:
    """Digests of the disclosure at `pointer` and of every one below it: what must be approved before it is released.

    Empty where nothing there is disclosable; an empty set is in every approval and must never count as approved.
    """
    below = f"{pointer}/"
    return frozenset(
        place.disclosure.digest
        for place in message.placed
        if place.pointer == pointer or place.pointer.startswith(below)
    )


def content_digest(payload: Mapping[str, Any]) -> str:
    """SHA-256, base64url, of the message's signed payload as RFC 8785 JSON, without `iat`, `exp` and `/body/approvals`.

    So an approval is of one message: another receiving unit, another case or another field beside it has another digest.
    """
    body = {name: value for name, value in payload["body"].items() if name != APPROVALS}
    kept = {name: value for name, value in payload.items() if name not in _ADDED} | {"body": body}
    return b64encode(hashlib.sha256(rfc8785.dumps(kept)).digest())


def sign_approval(request: ApprovalRequest, signer: Signer, now: datetime) -> str:
    """A compact JWS with the officer's own key. Raises MalformedError for a request without a field."""
    if not 1 <= len(set(request.disclosures)) <= DIGESTS_LIMIT:
        raise MalformedError(f"an approval is of 1 to {DIGESTS_LIMIT} disclosures")
    payload = {
        **{name: getattr(request, name) for name in _SUBJECT},
        "iat": int(now.timestamp()),
        "content": request.content,
        "disclosures": sorted(set(request.disclosures)),
    }
    return sign_jws(payload, APPROVAL_TYP, signer)


def parse_approval(text: Any) -> UnverifiedApproval:
    """Exactly the members above. Raises MalformedError or TooLargeError."""
    if not isinstance(text, str) or not text.isascii():
        raise MalformedError("an approval is a compact JWS")
    if len(text) > APPROVAL_LENGTH:
        raise TooLargeError(f"an approval may have {APPROVAL_LENGTH} characters")
    jws = parse_jws(text, APPROVAL_TYP, 2)
    payload = jws.payload
    if payload.keys() != _MEMBERS:
        raise MalformedError("an approval has exactly iss, aud, jti, iat, type, purpose, content and disclosures")
    for name, form in _FORMS.items():
        if not isinstance(payload[name], str) or not form.fullmatch(payload[name]):
            raise MalformedError(f"an approval's {name} has the wrong form")
    issued, digests, content = payload["iat"], payload["disclosures"], payload["content"]
    if not isinstance(content, str) or not _DIGEST.fullmatch(content):
        raise MalformedError("an approval's content is a SHA-256 digest in base64url")
    # JSON true is an int to Python.
    if type(issued) is not int or not 0 <= issued <= _LATEST:
        raise MalformedError("an approval's iat is whole seconds since 1970")
    return UnverifiedApproval(
        jws,
        **{name: payload[name] for name in _SUBJECT},
        iat=issued,
        content=content,
        disclosures=_digests(digests),
    )


def _digests(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= DIGESTS_LIMIT:
        raise MalformedError(f"an approval's disclosures are an array of 1 to {DIGESTS_LIMIT} digests")
    for digest in value:
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise MalformedError("an approval's disclosures are SHA-256 digests in base64url")
        b64decode(digest, "a digest")
    if len(set(value)) != len(value):
        raise MalformedError("an approval names a digest twice")
    return frozenset(value)


def require_about(approval: UnverifiedApproval, claims: Claims, digests: Collection[str], content: str) -> None:
    """Raises MalformedError, naming members and never values, unless it is about this message and these words."""
    if wrong := [name for name in _SUBJECT if getattr(approval, name) != getattr(claims, name)]:
        raise MalformedError(f"not as in the message: {', '.join(wrong)}")
    if not approval.disclosures <= set(digests):
        raise MalformedError("a digest is not of one of the message's disclosures")
    if approval.content != content:
        raise MalformedError("what the message says in clear is not what was approved")


def verify_approvals(
    message: VerifiedMessage, directory: Directory, now: datetime, leeway: timedelta = LEEWAY
) -> tuple[tuple[Approval, ...], tuple[Reason, ...]]:
    """The approvals of `/body/approvals` that count, and a `rule.approval` for each that does not verify.

    Each one, in numbered steps:

    1. it is a compact JWS with exactly these header members and claims
    2. its key is one of an officer of the sending agency, valid at `now`
    3. that key signed it
    4. it names this message: sender, recipient, `jti`, type, purpose, all that is in clear; and only digests of this message
    5. it was signed at most 7 days ago, and not in the future

    One person is one officer, with however many keys: the second approval adds fields to the first, never a head.
    """
    if APPROVALS not in message.body:
        return (), ()
    texts = message.body[APPROVALS]
    if not isinstance(texts, list) or not 1 <= len(texts) <= APPROVALS_LIMIT:
        expected = f"an array of 1 to {APPROVALS_LIMIT} approvals"
        return (), (Reason("rule.approval", pointer=APPROVALS_POINTER, detail=expected),)
    digests = frozenset(disclosure.digest for disclosure in message.disclosures)
    content = content_digest(parse_jws(message.jwt, MESSAGE_TYP, DEFAULT_LIMITS.depth + 4).payload)
    faults: list[Reason] = []
    verified: list[tuple[Officer, frozenset[str]]] = []
    for number, text in enumerate(texts):
        try:
            approval = parse_approval(text)  # 1
            officer = directory.officer_for(message.claims.iss, approval.jws.kid, now)  # 2
            verify_jws(approval.jws, officer.key)  # 3
            require_about(approval, message.claims, digests, content)  # 4
            _require_recent(approval.iat, now, leeway)  # 5
        except GatewayError as error:
            faults.append(Reason("rule.approval", pointer=f"{APPROVALS_POINTER}/{number}", detail=error.detail))
        else:
            verified.append((officer, approval.disclosures))
    return _heads(verified), tuple(faults)


def _require_recent(issued: int, now: datetime, leeway: timedelta) -> None:
    moment = datetime.fromtimestamp(issued, UTC)
    if moment > now + leeway:
        raise MalformedError("the approval is dated in the future")
    if moment < now - AGE:
        raise MalformedError(f"the approval is older than {AGE.days} days")


def _heads(verified: Iterable[tuple[Officer, frozenset[str]]]) -> tuple[Approval, ...]:
    counted: dict[str, Approval] = {}
    for officer, digests in verified:
        held = counted.setdefault(officer.person, Approval(officer.key.kid, officer.role, digests))
        # A key of another role does not lend its fields to the first one's role.
        if held.role == officer.role:
            counted[officer.person] = Approval(held.officer, held.role, held.disclosures | digests)
    return tuple(counted.values())
