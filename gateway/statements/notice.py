"""Notices to an agency's liaison: the gateway says that something about a transfer needs a person.

Decides what a notice says and how it is read: ids, codes and moments, never a word of the message. A JWS with `typ`
`notice+jwt`, signed by the gateway. When it goes out, and how often, is `delivery/liaison.py`'s.
"""

from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import MalformedError
from gateway.jose import PublicKey, Signer, parse_jws, sign_jws, verify_jws
from gateway.message.envelope import AGENCY_ID, JTI, MESSAGE_TYPE, TRANSFER_ID

NOTICE_TYP: Final = "notice+jwt"
OVERDUE: Final = "overdue"
KEY_COMPROMISED: Final = "key-compromised"
_FORMS: Final = {
    "iss": AGENCY_ID,
    "aud": AGENCY_ID,
    "jti": JTI,
    "transfer": TRANSFER_ID,
    "type": MESSAGE_TYPE,
    "recipient": AGENCY_ID,
}
_REQUIRED: Final = frozenset({*_FORMS, "event", "iat"})
_EVENTS: Final = {OVERDUE: _REQUIRED | {"due_at"}, KEY_COMPROMISED: _REQUIRED}


@dataclass(frozen=True, slots=True)
class Notice:
    """`event` `overdue`: `recipient` has not answered `transfer` by `due_at` (whole seconds, as `iat`).

    `key-compromised`: the key that signed `transfer` was in other hands when the gateway received it; there is no `due_at`.
    `aud` is the agency that is told: the recipient itself, or the sender. `severity` is an early warning's, 1 to 4.
    """

    iss: str
    aud: str
    iat: int
    jti: str
    event: str
    transfer: str
    type: str
    recipient: str
    due_at: int | None = None
    severity: int | None = None

    def as_json(self) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "iss": self.iss,
            "aud": self.aud,
            "iat": self.iat,
            "jti": self.jti,
            "event": self.event,
            "transfer": self.transfer,
            "type": self.type,
            "recipient": self.recipient,
        }
        more = {"due_at": self.due_at, "severity": self.severity}
        return claims | {name: value for name, value in more.items() if value is not None}


def sign_notice(notice: Notice, signer: Signer) -> str:
    return sign_jws(notice.as_json(), NOTICE_TYP, signer)


def read_notice(text: str, key: PublicKey) -> Notice:
    """For an agency: verifies and reads. Raises MalformedError, TooLargeError or SignatureInvalidError."""
    payload = verify_jws(parse_jws(text, NOTICE_TYP, 1), key).payload
    event = payload.get("event")
    required = _EVENTS.get(event) if isinstance(event, str) else None
    if required is None:
        raise MalformedError("the notice is of an unknown event")
    if not required <= payload.keys() <= required | {"severity"}:
        raise MalformedError("the notice has other members than a gateway's notice")
    for name, form in _FORMS.items():
        if not isinstance(payload[name], str) or not form.fullmatch(payload[name]):
            raise MalformedError(f"the notice's {name} has the wrong form")
    for name in {"iat", "due_at", "severity"} & payload.keys():
        if type(payload[name]) is not int or payload[name] < 0:
            raise MalformedError(f"the notice's {name} has the wrong form")
    return Notice(**payload)
