"""The signed message: a compact SD-JWT (RFC 9901) with this gateway's claims.

Decides what a message is, down to the byte. Leaves to others whether its key may be used (`directory.py`), what its
payload must look like (`catalogue.py`) and whether it may pass (`decide.py`). The path of trust is in the types:
bytes → `UnverifiedMessage` → `VerifiedMessage`; nothing may act on the claims of the first.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.errors import MalformedError, Reason, TooLargeError
from gateway.jose import PublicKey, Signer, UnverifiedJws, parse_jws, sign_jws, verify_jws
from gateway.message.disclosure import (
    Disclosure,
    Opened,
    Placed,
    close_payload,
    digest_of,
    keep,
    open_payload,
    parse_disclosure,
)

MESSAGE_TYP: Final = "exchange+sd-jwt"
MEDIA_TYPE: Final = "application/sd-jwt"
CLASSIFICATIONS: Final = frozenset({"B", "T", "R", "SR"})
# TLP 2.0: how far it may travel, the furthest first.
HANDLINGS: Final = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")

AGENCY_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
AGREEMENT_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
JTI: Final = re.compile(r"[A-Za-z0-9._~-]{8,128}")
MESSAGE_TYPE: Final = re.compile(r"[a-z0-9-]{1,64}(?:\.[a-z0-9-]{1,64}){0,3}/[1-9][0-9]{0,3}")
TRANSFER_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
PURPOSE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_CODE: Final = PURPOSE
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./_+-]{0,127}")
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may cost before anything is known of it; published at `/.well-known/sinergi-gateway`."""

    message_bytes: int = 1_048_576
    disclosures: int = 256
    depth: int = 32
    validity: timedelta = timedelta(days=7)
    leeway: timedelta = timedelta(seconds=60)


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Case:
    type: str
    number: str


@dataclass(frozen=True, slots=True)
class Officer:
    id: str
    role: str


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims in clear. Agency ids in `iss` and `aud`; `type` with its major version; times in whole seconds."""

    iss: str
    aud: str
    iat: int
    exp: int
    jti: str
    type: str
    agreement: str
    purpose: str
    classification: str
    case: Case | None = None
    officer: Officer | None = None
    legal_basis: tuple[str, ...] = ()
    in_reply_to: str | None = None
    correlation_id: str | None = None
    handling: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The claims as they stand in the payload; what is absent there is absent here."""
        members: dict[str, Any] = {
            "iss": self.iss,
            "aud": self.aud,
            "iat": self.iat,
            "exp": self.exp,
            "jti": self.jti,
            "type": self.type,
            "agreement": self.agreement,
            "purpose": self.purpose,
            "classification": self.classification,
        }
        if self.case is not None:
            members["case"] = {"type": self.case.type, "number": self.case.number}
        if self.officer is not None:
            members["officer"] = {"id": self.officer.id, "role": self.officer.role}
        if self.legal_basis:
            members["legal_basis"] = list(self.legal_basis)
        optional = {
            "in_reply_to": self.in_reply_to,
            "correlation_id": self.correlation_id,
            "handling": self.handling,
        }
        return members | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True, slots=True)
class UnverifiedMessage:
    """Well-formed. Its claims say who would have to have signed it, and no more."""

    jws: UnverifiedJws
    claims: Claims
    closed_body: Mapping[str, Any]
    disclosures: tuple[Disclosure, ...]

    @property
    def jwt(self) -> str:
        """The issuer-signed JWT: the identity of the message, whatever the order of its disclosures."""
        return self.jws.text


@dataclass(frozen=True, slots=True)
class VerifiedMessage:
    """Signed by `kid`, every digest opened. `body` is the reconstructed payload; pointers start at the message: `/body/…`."""

    jwt: str
    kid: str
    claims: Claims
    body: dict[str, Any]
    placed: tuple[Placed, ...]
    disclosures: tuple[Disclosure, ...]

    @property
    def disclosable(self) -> frozenset[str]:
        """Pointers of what the sender made selectively disclosable."""
        return frozenset(place.pointer for place in self.placed)

    def view(self) -> dict[str, Any]:
        """What conditions look at: the claims in clear and the reconstructed body, as one JSON object."""
        return {**self.claims.as_json(), "body": self.body}

    def text(self) -> str:
        return serialise(self.jwt, (disclosure.encoded for disclosure in self.disclosures))


def serialise(jwt: str, disclosures: Iterable[str]) -> str:
    return "~".join((jwt, *disclosures, ""))


def sd_hash(text: str) -> str:
    """SHA-256 in base64url over a serialised SD-JWT, its last `~` included (RFC 9901 §4.3.1)."""
    return digest_of(text)


def bound(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
    """Step 1: nothing is decoded yet. Raises TooLargeError."""
    if len(raw) > limits.message_bytes:
        raise TooLargeError(f"a message may have {limits.message_bytes} bytes")
    if raw.count(b"~") > limits.disclosures + 1:
        raise TooLargeError(f"a message may have {limits.disclosures} disclosures")


def parse(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> UnverifiedMessage:
    """Step 2: strict. Raises MalformedError or TooLargeError, never anything else."""
    bound(raw, limits)
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedError("a message is ASCII") from error
    jwt, *rest = text.split("~")
    if not rest or rest[-1]:
        raise MalformedError("a message ends in ~ and carries no key binding")
    # `body` stands one level below the claims.
    jws = parse_jws(jwt, MESSAGE_TYP, limits.depth + 1)
    disclosures = tuple(parse_disclosure(encoded, limits.depth) for encoded in rest[:-1])
    claims, body = read_payload(jws.payload, closed=bool(disclosures))
    return UnverifiedMessage(jws, claims, body, disclosures)


def open_message(message: UnverifiedMessage, limits: Limits = DEFAULT_LIMITS, *, complete: bool = True) -> Opened:
    """Opens every digest of the body, without a word about the signature."""
    opened = open_payload(message.closed_body, message.disclosures, complete=complete, depth=limits.depth)
    placed = tuple(Placed(f"/body{place.pointer}", place.disclosure, place.within) for place in opened.placed)
    return Opened(opened.payload, placed)


def verify(
    message: UnverifiedMessage, key: PublicKey, limits: Limits = DEFAULT_LIMITS, *, complete: bool = True
) -> VerifiedMessage:
    """Step 4: the signature, then every digest. Raises SignatureInvalidError, MalformedError or TooLargeError.

    `complete` is False only at the recipient of a release, where withheld digests stay closed.
    """
    jws = verify_jws(message.jws, key)
    opened = open_message(message, limits, complete=complete)
    return VerifiedMessage(jws.text, jws.kid, message.claims, opened.payload, opened.placed, message.disclosures)


def staleness(
    claims: Claims, now: datetime, agencies: Collection[str], limits: Limits = DEFAULT_LIMITS
) -> tuple[Reason, ...]:
    """Step 5 without the replay check: audience and dates, every fault together."""
    reasons = []
    issued, expires = (datetime.fromtimestamp(seconds, UTC) for seconds in (claims.iat, claims.exp))
    if claims.aud not in agencies or claims.aud == claims.iss:
        reasons.append(Reason("envelope.wrong-audience", pointer="/aud"))
    if issued > now + limits.leeway:
        reasons.append(Reason("envelope.not-yet-valid", pointer="/iat"))
    if expires <= now - limits.leeway:
        reasons.append(Reason("envelope.expired", pointer="/exp"))
    if expires - issued > limits.validity:
        reasons.append(Reason("envelope.validity-too-long", pointer="/exp"))
    return tuple(reasons)


def release(message: VerifiedMessage, withheld: Iterable[str]) -> str:
    """Step 8: the same signed JWT with the disclosures that may pass, in the sender's order."""
    kept = keep(message.placed, withheld)
    return serialise(message.jwt, (entry.encoded for entry in message.disclosures if entry.digest in kept))


def issue(claims: Claims, body: Mapping[str, Any], disclosable: Iterable[str], signer: Signer) -> str:
    """For a sender: signs `body` with the fields at `disclosable` (patterns such as `/body/reporter`) behind digests.

    Raises MalformedError for a pattern that is not of the body, and for a body with names of RFC 9901 itself.
    """
    return issue_closed(claims, *close_body(body, disclosable), signer)


def close_body(body: Mapping[str, Any], disclosable: Iterable[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body with digests in place of the fields, and the encoded disclosures; new salts each time. Raises as `issue`."""
    return close_payload(body, [_below_body(pattern) for pattern in disclosable])


def issue_closed(claims: Claims, closed: Mapping[str, Any], disclosures: Iterable[str], signer: Signer) -> str:
    """Signs what `close_body` gave, salts and digests as they are."""
    kept = tuple(disclosures)
    return serialise(sign_jws(payload_of(claims, closed, disclosed=bool(kept)), MESSAGE_TYP, signer), kept)


def payload_of(claims: Claims, closed: Mapping[str, Any], *, disclosed: bool) -> dict[str, Any]:
    """What is signed: the claims, the digests' algorithm where there are any, the body. Its inverse is `read_payload`."""
    return claims.as_json() | ({"_sd_alg": "sha-256"} if disclosed else {}) | {"body": closed}


def _below_body(pattern: str) -> str:
    # A misspelt pattern would otherwise name nothing, and the field would go out in clear.
    if not pattern.startswith("/body/"):
        raise MalformedError("a disclosable field is named by a pointer that starts with /body/")
    return pattern.removeprefix("/body")


_REQUIRED: Final = frozenset(
    {"iss", "aud", "iat", "exp", "jti", "type", "agreement", "purpose", "classification", "body"}
)
_OPTIONAL: Final = frozenset({"case", "officer", "legal_basis", "in_reply_to", "correlation_id", "handling", "_sd_alg"})
_LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can hold
_LEGAL_BASES: Final = 16


def read_payload(payload: Mapping[str, Any], *, closed: bool) -> tuple[Claims, Mapping[str, Any]]:
    """The claims and the body of a payload, exactly; `closed` when it has disclosures. Raises MalformedError."""
    if missing := _REQUIRED - payload.keys():
        raise MalformedError(f"claims are missing: {', '.join(sorted(missing))}")
    if payload.keys() - _REQUIRED - _OPTIONAL:
        # The name is not repeated: it came from outside and may be anything.
        raise MalformedError("the payload has an unknown claim")
    if payload.get("_sd_alg", "sha-256") != "sha-256" or (closed and "_sd_alg" not in payload):
        raise MalformedError("_sd_alg must be sha-256", pointer="/_sd_alg")
    body = payload["body"]
    if not isinstance(body, dict):
        raise MalformedError("body must be an object", pointer="/body")
    issued, expires = _seconds(payload, "iat"), _seconds(payload, "exp")
    if expires <= issued:
        raise MalformedError("exp must be after iat", pointer="/exp")
    bases = payload.get("legal_basis", [])
    if not isinstance(bases, list) or len(bases) > _LEGAL_BASES or ("legal_basis" in payload and not bases):
        raise MalformedError("legal_basis must be an array of 1 to 16 strings", pointer="/legal_basis")
    claims = Claims(
        iss=_text(payload, "iss", AGENCY_ID),
        aud=_text(payload, "aud", AGENCY_ID),
        iat=issued,
        exp=expires,
        jti=_text(payload, "jti", JTI),
        type=_text(payload, "type", MESSAGE_TYPE),
        agreement=_text(payload, "agreement", AGREEMENT_ID),
        purpose=_text(payload, "purpose", _CODE),
        classification=_member(payload, "classification", CLASSIFICATIONS),
        case=Case(**_pair(payload["case"], "case", {"type": _CODE, "number": _REFERENCE}))
        if "case" in payload
        else None,
        officer=Officer(**_pair(payload["officer"], "officer", {"id": _REFERENCE, "role": _CODE}))
        if "officer" in payload
        else None,
        legal_basis=tuple(_match(basis, "/legal_basis", _TEXT) for basis in bases),
        in_reply_to=_text(payload, "in_reply_to", TRANSFER_ID) if "in_reply_to" in payload else None,
        correlation_id=_text(payload, "correlation_id", JTI) if "correlation_id" in payload else None,
        handling=_member(payload, "handling", HANDLINGS) if "handling" in payload else None,
    )
    return claims, body


def _match(value: Any, pointer: str, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise MalformedError(f"{pointer} has the wrong form", pointer=pointer)
    return value


def _text(payload: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    return _match(payload[name], f"/{name}", pattern)


def _member(payload: Mapping[str, Any], name: str, allowed: Collection[str]) -> str:
    value = payload[name]
    if not isinstance(value, str) or value not in allowed:
        raise MalformedError(f"/{name} must be one of {', '.join(sorted(allowed))}", pointer=f"/{name}")
    return value


def _pair(value: Any, name: str, patterns: Mapping[str, re.Pattern[str]]) -> dict[str, str]:
    if not isinstance(value, dict) or value.keys() != patterns.keys():
        raise MalformedError(f"/{name} must have exactly the members {', '.join(patterns)}", pointer=f"/{name}")
    return {member: _match(value[member], f"/{name}/{member}", pattern) for member, pattern in patterns.items()}


def _seconds(payload: Mapping[str, Any], name: str) -> int:
    value = payload[name]
    # JSON true is an int to Python; 1.0 is a float and not what we would emit.
    if type(value) is not int or not 0 <= value <= _LATEST:
        raise MalformedError(f"/{name} must be whole seconds since 1970", pointer=f"/{name}")
    return value
