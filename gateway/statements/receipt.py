"""Signed statements about a transfer: receipts (`receipt+jwt`) and releases (`release+jwt`).

Decides their exact members, both ways. The gateway says `accepted` or `refused`; a recipient says `delivered`,
`processed` or `rejected`; a release says which bytes of a message the gateway let through. Leaves to the caller whether
the key may sign for the issuer, and whether the statement fits the transfer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import CODES, MalformedError, Reason, ReceiptError, TooLargeError
from gateway.jose import PublicKey, Signer, UnverifiedJws, parse_jws, sign_jws, verify_jws
from gateway.message.envelope import AGENCY_ID, JTI, TRANSFER_ID

RECEIPT_TYP: Final = "receipt+jwt"
RELEASE_TYP: Final = "release+jwt"
GATEWAY_EVENTS: Final = frozenset({"accepted", "refused"})
RECIPIENT_EVENTS: Final = frozenset({"delivered", "processed", "rejected"})
RECEIPT_LIMIT: Final = 8192
_REASONS_LIMIT: Final = 16
_LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can hold
_DIGEST: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_REQUIRED: Final = frozenset({"iss", "aud", "iat", "jti", "transfer", "event", "sd_hash"})
_GATEWAY_REQUIRED: Final = _REQUIRED | {"origin", "index", "leaf_hash"}
# A receipt that was made again after an erasure says when that was; until then it opens the entry.
_KEY, _ERASED_AT = "commitment_key", "erased_at"
_RELEASE_MEMBERS: Final = _REQUIRED - {"event"} | {"withheld", "commitment_key"}
_SOMETHING: Final = re.compile(r"(?s).+")
_FORMS: Final = {
    "iss": AGENCY_ID,
    "aud": AGENCY_ID,
    "jti": JTI,
    "transfer": TRANSFER_ID,
    "sd_hash": _DIGEST,
    "leaf_hash": _DIGEST,
    "commitment_key": re.compile(r"[0-9a-f]{64}"),
}


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a recipient says of one transfer. `aud` is the gateway; `iat` in whole seconds."""

    iss: str
    aud: str
    iat: int
    jti: str
    transfer: str
    event: str
    sd_hash: str
    reasons: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "iss": self.iss,
            "aud": self.aud,
            "iat": self.iat,
            "jti": self.jti,
            "transfer": self.transfer,
            "event": self.event,
            "sd_hash": self.sd_hash,
        }
        return claims | ({"reasons": [{"code": code} for code in self.reasons]} if self.reasons else {})


def sign_acknowledgement(acknowledgement: Acknowledgement, signer: Signer) -> str:
    return sign_jws(acknowledgement.as_json(), RECEIPT_TYP, signer)


@dataclass(frozen=True, slots=True)
class UnverifiedAcknowledgement:
    jws: UnverifiedJws
    claims: Acknowledgement


def parse_acknowledgement(text: str) -> UnverifiedAcknowledgement:
    """Exactly the members above. Raises ReceiptError (`receipt.malformed`)."""
    if len(text) > RECEIPT_LIMIT:
        raise ReceiptError("a receipt may have 8,192 bytes")
    try:
        jws = parse_jws(text, RECEIPT_TYP, 4)
        return UnverifiedAcknowledgement(jws, _acknowledgement(jws.payload))
    except (MalformedError, TooLargeError) as error:
        raise ReceiptError(error.detail) from error


def _acknowledgement(payload: Mapping[str, Any]) -> Acknowledgement:
    if not _REQUIRED <= payload.keys() <= _REQUIRED | {"reasons"}:
        raise MalformedError(
            "a receipt has exactly iss, aud, iat, jti, transfer, event, sd_hash and, if rejected, reasons"
        )
    texts = {name: payload[name] for name in _REQUIRED - {"iat"}}
    if not all(isinstance(value, str) for value in texts.values()):
        raise MalformedError("a receipt's members are strings")
    patterns = {"iss": AGENCY_ID, "aud": AGENCY_ID, "jti": JTI, "transfer": TRANSFER_ID}
    if not all(pattern.fullmatch(texts[name]) for name, pattern in patterns.items()):
        raise MalformedError("a receipt's iss, aud, jti or transfer has the wrong form")
    if texts["event"] not in RECIPIENT_EVENTS or not _DIGEST.fullmatch(texts["sd_hash"]):
        raise MalformedError("a receipt's event is delivered, processed or rejected, its sd_hash a SHA-256")
    if not _is_seconds(payload["iat"]):
        raise MalformedError("a receipt's iat is whole seconds")
    reasons = payload.get("reasons", [])
    if "reasons" in payload and (texts["event"] != "rejected" or not isinstance(reasons, list) or not reasons):
        raise MalformedError("only a rejection has reasons")
    codes = [_reason_code(reason) for reason in reasons]
    if len(codes) > _REASONS_LIMIT:
        raise MalformedError("a receipt may have 16 reasons")
    return Acknowledgement(iat=payload["iat"], reasons=tuple(codes), **texts)


def _is_seconds(value: Any) -> bool:
    # JSON true is an int to Python; a second beyond the year 9999 would fail later, where it becomes a datetime.
    return type(value) is int and 0 <= value <= _LATEST


def _reason_code(reason: Any) -> str:
    """A recipient's reasons are codes, never prose: what it says ends in the ledger's neighbourhood."""
    code = reason.get("code") if isinstance(reason, dict) and reason.keys() == {"code"} else None
    if not isinstance(code, str) or not 1 <= len(code) <= 64 or not JTI.fullmatch(code.ljust(8, "-")):  # noqa: PLR2004
        raise MalformedError("a reason is an object with a code of 1 to 64 letters, digits, . _ ~ -")
    return code


def verify_acknowledgement(receipt: UnverifiedAcknowledgement, key: PublicKey) -> Acknowledgement:
    """Raises SignatureInvalidError."""
    verify_jws(receipt.jws, key)
    return receipt.claims


@dataclass(frozen=True, slots=True)
class GatewayReceipt:
    """What the gateway says of one message: its decision, and where the ledger has it.

    `commitment_key` (64 hex digits) opens the entry's commitment over the issuer-signed JWT. Once the message is erased it is
    empty, and `erased_at` (whole seconds) says since when.
    """

    iss: str
    aud: str
    iat: int
    jti: str
    transfer: str
    event: str
    sd_hash: str
    origin: str
    index: int
    leaf_hash: str
    commitment_key: str
    rule: str | None = None
    clause: str | None = None
    reasons: tuple[Reason, ...] = ()
    erased_at: int | None = None

    def as_json(self) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "iss": self.iss,
            "aud": self.aud,
            "iat": self.iat,
            "jti": self.jti,
            "transfer": self.transfer,
            "event": self.event,
            "sd_hash": self.sd_hash,
            "origin": self.origin,
            "index": self.index,
            "leaf_hash": self.leaf_hash,
            **({_KEY: self.commitment_key} if self.erased_at is None else {_ERASED_AT: self.erased_at}),
        }
        if self.rule is not None:
            claims["rule"] = self.rule
        if self.clause is not None:
            claims["clause"] = self.clause
        if self.reasons:
            claims["reasons"] = [
                {name: value for name, value in reason.as_json().items() if name != "detail"} for reason in self.reasons
            ]
        return claims


def sign_gateway_receipt(receipt: GatewayReceipt, signer: Signer) -> str:
    return sign_jws(receipt.as_json(), RECEIPT_TYP, signer)


def read_gateway_receipt(text: str, key: PublicKey) -> GatewayReceipt:
    """For a sender: verifies and reads. Raises MalformedError, TooLargeError or SignatureInvalidError."""
    payload = verify_jws(parse_jws(text, RECEIPT_TYP, 4), key).payload
    opens = _ERASED_AT if _ERASED_AT in payload else _KEY
    required = _GATEWAY_REQUIRED | {opens}
    if not required <= payload.keys() <= required | {"rule", "clause", "reasons"}:
        raise MalformedError("the receipt has other members than a gateway's receipt")
    reasons = payload.get("reasons", [])
    if not isinstance(reasons, list) or ("reasons" in payload and not reasons):
        raise MalformedError("the receipt's reasons must be an array that is not empty")
    receipt = GatewayReceipt(
        **{name: _form(payload[name], name) for name in _GATEWAY_REQUIRED - {"iat", "index"}},
        **{name: _form(payload[name], name) for name in ("rule", "clause") if name in payload},
        iat=_whole(payload["iat"], "iat"),
        index=_whole(payload["index"], "index"),
        reasons=tuple(_reason(reason) for reason in reasons),
        commitment_key=_form(payload[_KEY], _KEY) if opens == _KEY else "",
        erased_at=_whole(payload[_ERASED_AT], _ERASED_AT) if opens == _ERASED_AT else None,
    )
    if receipt.event not in GATEWAY_EVENTS or (receipt.event == "accepted" and reasons):
        raise MalformedError("a gateway's receipt says accepted, or refused and why")
    return receipt


def _reason(reason: Any) -> Reason:
    if not isinstance(reason, dict) or not {"code"} <= reason.keys() <= {"code", "clause", "pointer"}:
        raise MalformedError("a reason has exactly a code and, if any, a clause and a pointer")
    # The empty pointer is the whole message (RFC 6901 §5).
    if not all(isinstance(value, str) for value in reason.values()) or reason["code"] not in CODES:
        raise MalformedError("a reason's members are strings, its code one of the table")
    return Reason(**reason)


def _form(value: Any, name: str) -> str:
    if not isinstance(value, str) or not _FORMS.get(name, _SOMETHING).fullmatch(value):
        raise MalformedError(f"the member {name} has the wrong form")
    return value


def _whole(value: Any, name: str) -> int:
    if not _is_seconds(value):
        raise MalformedError(f"the member {name} has the wrong form")
    return int(value)


@dataclass(frozen=True, slots=True)
class Release:
    """Which bytes of one transfer the gateway let through to `aud`. `withheld` are pointers into the message."""

    iss: str
    aud: str
    iat: int
    jti: str
    transfer: str
    sd_hash: str
    withheld: tuple[str, ...]
    commitment_key: str

    def as_json(self) -> dict[str, Any]:
        return {
            "iss": self.iss,
            "aud": self.aud,
            "iat": self.iat,
            "jti": self.jti,
            "transfer": self.transfer,
            "sd_hash": self.sd_hash,
            "withheld": list(self.withheld),
            "commitment_key": self.commitment_key,
        }


def sign_release(release: Release, signer: Signer) -> str:
    return sign_jws(release.as_json(), RELEASE_TYP, signer)


def read_release(text: str, key: PublicKey) -> Release:
    """For a recipient: verifies and reads. Raises MalformedError, TooLargeError or SignatureInvalidError."""
    payload = verify_jws(parse_jws(text, RELEASE_TYP, 4), key).payload
    if payload.keys() != _RELEASE_MEMBERS:
        raise MalformedError("the release has other members than a gateway's release")
    withheld = payload["withheld"]
    # A string would come apart into its characters and look like pointers.
    if not isinstance(withheld, list) or not all(isinstance(pointer, str) for pointer in withheld):
        raise MalformedError("the release's withheld must be an array of pointers")
    return Release(
        **{name: _form(payload[name], name) for name in _RELEASE_MEMBERS - {"iat", "withheld"}},
        iat=_whole(payload["iat"], "iat"),
        withheld=tuple(withheld),
    )
