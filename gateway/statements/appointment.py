"""Appointments: an operator's own signed statement of who they are, to which gateway, and with which key.

Decides whether the holder of a key asks to be an operator of this gateway: the signature is the proof of possession. Leaves to
the other operators whether this person is to be one, and to `operations/operators.py` the record. An operator is known by a code,
such as an account: the ledger has it for ever, so it is never a name or a personal number.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.errors import MalformedError, OperatorError
from gateway.jose import PublicKey, Signer, public_key_from_jwk, sign_jws, verify_jws
from gateway.message.envelope import AGENCY_ID
from gateway.statements.statement import read_statement, require_members, require_recent, seconds

FEWEST: Final = 2
APPOINTMENT_TYP: Final = "operator+jwt"
OPERATOR: Final = re.compile(r"(?!.*[0-9]{8})[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_FORMS: Final = {"iss": OPERATOR, "aud": AGENCY_ID}
_ALSO: Final = frozenset({"iat", "jwk"})


@dataclass(frozen=True, slots=True)
class Appointment:
    """A verified statement: the holder of `key` says to be this operator of the gateway."""

    operator: str
    gateway: str
    key: PublicKey
    issued: datetime


def sign_appointment(operator: str, gateway: str, *, key: PublicKey, signer: Signer, now: datetime) -> str:
    """A compact JWS with the operator's own key. Raises MalformedError for what the gateway would not take."""
    payload = {"iss": operator, "aud": gateway, "iat": int(now.timestamp()), "jwk": dict(key.jwk)}
    require_members(payload, _FORMS, _ALSO)
    return sign_jws(payload, APPOINTMENT_TYP, signer)


def verify_appointment(text: str, gateway: str, now: datetime) -> Appointment:
    """Made for this gateway in the last 7 days, and signed by the very key that it carries.

    Raises MalformedError, TooLargeError or SignatureInvalidError.
    """
    jws = read_statement(text, APPOINTMENT_TYP, _FORMS, _ALSO)
    if not isinstance(jws.payload["jwk"], dict):
        raise MalformedError("a statement's jwk is an object")
    key = public_key_from_jwk(jws.payload["jwk"])
    verify_jws(jws, key)
    if jws.payload["aud"] != gateway:
        raise MalformedError("the statement is for another gateway")
    issued = seconds(jws.payload["iat"], "iat")
    require_recent(issued, now)
    return Appointment(jws.payload["iss"], gateway, key, issued)


def verify_founders(texts: Iterable[str], gateway: str, now: datetime) -> tuple[Appointment, ...]:
    """The first operators: two or more, each another person with another key. Raises OperatorError, or as above."""
    found = tuple(verify_appointment(text.strip(), gateway, now) for text in texts)
    if len({one.operator for one in found}) != len(found) or len({one.key.kid for one in found}) != len(found):
        raise OperatorError("each statement must be of another person and another key")
    if len(found) < FEWEST:
        raise OperatorError(f"the first operators are enrolled together: at least {FEWEST}")
    return found
