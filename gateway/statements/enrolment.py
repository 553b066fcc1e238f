"""Enrolments: an officer's own signed statement of who they are, in which office, and with which key.

Decides whether the holder of a key asks to be an officer of an agency at this gateway: the signature is the proof of
possession. Leaves to the operator whether the agency really appointed this person, and to `officers.py` the record.
The statement holds a name and a number: it is for one operator's hands and is not kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.errors import MalformedError, TooLargeError
from gateway.jose import PublicKey, Signer, parse_jws, public_key_from_jwk, sign_jws, verify_jws
from gateway.message.envelope import AGENCY_ID, PURPOSE

ENROLMENT_TYP: Final = "enrolment+jwt"
ENROLMENT_LENGTH: Final = 4096
AGE: Final = timedelta(days=7)
LEEWAY: Final = timedelta(seconds=60)
_TEXTS: Final[Mapping[str, re.Pattern[str]]] = {
    "iss": AGENCY_ID,
    "aud": AGENCY_ID,
    "id": re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./_+-]{0,63}"),
    "name": re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}"),
    "role": PURPOSE,
    "unit": re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,120}"),
}
_MEMBERS: Final = frozenset({*_TEXTS, "iat", "jwk"})
_LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can hold


@dataclass(frozen=True, slots=True)
class Person:
    """Who an officer is to the own agency. `id` is a NIP, NRP or the agency's own number; never shown in a log."""

    id: str = field(repr=False)
    name: str = field(repr=False)
    role: str
    unit: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A verified statement: the holder of `key` says to be this officer of `agency`."""

    agency: str
    gateway: str
    person: Person
    key: PublicKey
    issued: datetime


def sign_enrolment(person: Person, agency: str, gateway: str, *, key: PublicKey, signer: Signer, now: datetime) -> str:
    """A compact JWS with the officer's own key. Raises MalformedError for what the gateway would not take."""
    payload = {
        "iss": agency,
        "aud": gateway,
        "iat": int(now.timestamp()),
        "id": person.id,
        "name": person.name,
        "role": person.role,
        "unit": person.unit,
        "jwk": dict(key.jwk),
    }
    _require_texts(payload)
    return sign_jws(payload, ENROLMENT_TYP, signer)


def verify_enrolment(text: str, gateway: str, now: datetime) -> Enrolment:
    """Made for this gateway in the last 7 days, and signed by the very key that it carries.

    Raises MalformedError, TooLargeError or SignatureInvalidError.
    """
    if len(text) > ENROLMENT_LENGTH:
        raise TooLargeError(f"an enrolment may have {ENROLMENT_LENGTH} characters")
    jws = parse_jws(text, ENROLMENT_TYP, 2)
    payload = jws.payload
    if payload.keys() != _MEMBERS or not isinstance(payload["jwk"], dict):
        raise MalformedError("an enrolment has exactly iss, aud, iat, id, name, role, unit and jwk")
    _require_texts(payload)
    key = public_key_from_jwk(payload["jwk"])
    verify_jws(jws, key)
    if payload["aud"] != gateway:
        raise MalformedError("the enrolment is for another gateway")
    issued = payload["iat"]
    # JSON true is an int to Python.
    if type(issued) is not int or not 0 <= issued <= _LATEST:
        raise MalformedError("an enrolment's iat is whole seconds since 1970")
    moment = datetime.fromtimestamp(issued, UTC)
    if not now - AGE <= moment <= now + LEEWAY:
        raise MalformedError(f"the enrolment was not signed in the last {AGE.days} days")
    person = Person(**{name: payload[name] for name in ("id", "name", "role", "unit")})
    return Enrolment(payload["iss"], payload["aud"], person, key, moment)


def _require_texts(payload: Mapping[str, Any]) -> None:
    for name, form in _TEXTS.items():
        if not isinstance(payload[name], str) or not form.fullmatch(payload[name]):
            raise MalformedError(f"an enrolment's {name} has the wrong form")
