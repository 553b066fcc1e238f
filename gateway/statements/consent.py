"""Consent: the agencies' signed word that new persons operate the gateway, where fewer than two operators are left.

Decides what a valid consent is and whose is wanted: every agency's that ever had a key here, also of one that is suspended,
because one operator alone can suspend. Each signs which persons with which keys, by a key of its own that is valid now, or its
recovery key.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import rfc8785

from gateway.errors import AccessDeniedError, GatewayError, KeyRefusedError, Reason
from gateway.jose import PublicKey, Signer, sign_jws, verify_jws
from gateway.keys.directory import Directory
from gateway.message.envelope import AGENCY_ID
from gateway.statements.appointment import Appointment
from gateway.statements.statement import SHA256, read_statement, require_recent, seconds

CONSENT_TYP: Final = "operators-consent+jwt"
_FORMS: Final = {"iss": AGENCY_ID, "aud": AGENCY_ID, "operators": SHA256}
_ALSO: Final = frozenset({"iat"})


def digest_of(appointments: Iterable[Appointment]) -> str:
    """SHA-256 of who is to operate, with which keys, in hex."""
    return hashlib.sha256(rfc8785.dumps({one.operator: one.key.kid for one in appointments})).hexdigest()


def sign_consent(agency: str, gateway: str, appointments: Iterable[Appointment], signer: Signer, now: datetime) -> str:
    """A compact JWS with a key of the agency."""
    payload = {"iss": agency, "aud": gateway, "iat": int(now.timestamp()), "operators": digest_of(appointments)}
    return sign_jws(payload, CONSENT_TYP, signer)


def require_consent(
    texts: Iterable[str], appointments: Iterable[Appointment], gateway: str, directory: Directory, now: datetime
) -> tuple[str, ...]:
    """The keys that signed, one an agency. Raises AccessDeniedError with every fault and every agency that is missing."""
    wanted, faults = digest_of(appointments), []
    signed: dict[str, str] = {}
    for number, text in enumerate(texts, 1):
        try:
            jws = read_statement(text.strip(), CONSENT_TYP, _FORMS, _ALSO)
            agency = jws.payload["iss"]
            verify_jws(jws, _key(directory, agency, jws.kid, now))
            if (jws.payload["aud"], jws.payload["operators"]) != (gateway, wanted):
                raise AccessDeniedError("it is for another gateway, or for other operators")
            require_recent(seconds(jws.payload["iat"], "iat"), now)
        except GatewayError as error:
            faults.append(Reason("access.denied", detail=f"consent {number}: {error.detail}"))
        else:
            signed[agency] = jws.kid
    ever = {agency for agency, _ in directory.keys} | {key.agency for key in directory.recovery}
    missing = sorted(ever - signed.keys())
    faults += [Reason("access.denied", detail=f"{agency} has not consented") for agency in missing]
    if faults:
        raise AccessDeniedError(f"nothing is done: {'; '.join(str(one.detail) for one in faults)}", reasons=faults)
    return tuple(signed.values())


def _key(directory: Directory, agency: str, kid: str, now: datetime) -> PublicKey:
    recovery = directory.recovery_key_of(agency, now)
    if recovery is not None and recovery.key.kid == kid:
        return recovery.key
    held = directory.keys.get((agency, kid))
    if held is None:
        raise KeyRefusedError("no such key of this agency")
    return held.require_valid(now)
