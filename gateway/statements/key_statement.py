"""Key statements: an agency says, signed, that a new key is to speak for it, and the key itself says so too.

Decides three things of a statement: the new key is in the agency's hands (it signed the statement); the agency means it (its key
in use, or its offline recovery key where that is lost, endorsed these very bytes); it is for this gateway, now. An agency's first
key has no endorsement: the thumbprint is compared over another channel. Leaves to `operations/admission.py` that two operators
agree.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.errors import AccessDeniedError, MalformedError, TooLargeError
from gateway.jose import PublicKey, Signer, b64encode, public_key_from_jwk, sign_jws, strict_json, verify_jws
from gateway.keys.directory import Directory
from gateway.message.envelope import AGENCY_ID
from gateway.statements.statement import LENGTH, THUMBPRINT, read_statement, require_members, require_recent, seconds

STATEMENT_TYP: Final = "agency-key+jwt"
ENDORSEMENT_TYP: Final = "agency-key-endorsement+jwt"
SIGN: Final = "sign"
RECOVERY: Final = "recovery"
USES: Final = (SIGN, RECOVERY)
# A chain of RSA certificates, coded twice.
STATEMENT_LENGTH: Final = 32_768
FILE_LIMIT: Final = STATEMENT_LENGTH + 2 * LENGTH
_STATEMENT: Final = {"iss": AGENCY_ID, "aud": AGENCY_ID, "use": AGENCY_ID}
_STATEMENT_ALSO: Final = frozenset({"iat", "nbf", "exp", "jwk"})
# The digest is SHA-256 in base64url, 43 characters, as a thumbprint is.
_ENDORSEMENT: Final = {"iss": AGENCY_ID, "aud": AGENCY_ID, "statement": THUMBPRINT}
_ENDORSEMENT_ALSO: Final = frozenset({"iat"})


@dataclass(frozen=True, slots=True)
class KeyStatement:
    """A verified statement. `endorsed_by` is the key that stands for the agency until now; None for its first key.

    `recovered`: that key is the offline recovery key, because the one in use was lost.
    """

    agency: str
    use: str
    key: PublicKey
    not_before: datetime
    not_after: datetime
    endorsed_by: str | None
    recovered: bool
    digest: str


def sign_statement(
    agency: str,
    gateway: str,
    use: str,
    *,
    key: PublicKey,
    signer: Signer,
    not_before: datetime,
    not_after: datetime,
    now: datetime,
    endorser: Signer | None = None,
) -> str:
    """The statement's file: JSON of the statement, signed by the new key, and its endorsement. Raises MalformedError."""
    payload = {
        "iss": agency,
        "aud": gateway,
        "use": use,
        "iat": int(now.timestamp()),
        "nbf": int(not_before.timestamp()),
        "exp": int(not_after.timestamp()),
        "jwk": key.members(),
    }
    _require_statement(payload)
    statement = sign_jws(payload, STATEMENT_TYP, signer)
    members = {"statement": statement}
    if endorser is not None:
        endorsed = {"iss": agency, "aud": gateway, "iat": payload["iat"], "statement": _digest(statement)}
        members["endorsement"] = sign_jws(endorsed, ENDORSEMENT_TYP, endorser)
    return json.dumps(members)


def verify_statement(text: str, gateway: str, directory: Directory, now: datetime) -> KeyStatement:
    """In numbered steps:

    1. the file is JSON of a statement and, but for a first key, of an endorsement
    2. the new key signed the statement, which is about this gateway, of the last 7 days
    3. the endorsement is of these very bytes, for the same agency and gateway
    4. the endorsing key is the agency's own, valid at `now`: the key in use, or the recovery key

    A recovery key that is there is replaced by its own word alone: else a thief of the key in use would take both. An agency
    that has nothing but a recovery key has its first signing key endorsed by it.
    Raises MalformedError, TooLargeError, SignatureInvalidError, KeyRefusedError or AccessDeniedError.
    """
    members = _members(text)  # 1
    jws = read_statement(members["statement"], STATEMENT_TYP, _STATEMENT, _STATEMENT_ALSO, length=STATEMENT_LENGTH)
    key = _require_statement(jws.payload)
    verify_jws(jws, key)  # 2
    _require_here(jws.payload, gateway, now)
    agency, use = jws.payload["iss"], jws.payload["use"]
    first, last = (seconds(jws.payload[name], name) for name in ("nbf", "exp"))
    endorsed_by, recovered = None, False
    recovery = directory.recovery_key_of(agency, now)
    if "endorsement" in members:
        endorsement = read_statement(members["endorsement"], ENDORSEMENT_TYP, _ENDORSEMENT, _ENDORSEMENT_ALSO)
        _require_here(endorsement.payload, gateway, now)  # 3
        if (endorsement.payload["iss"], endorsement.payload["statement"]) != (agency, _digest(members["statement"])):
            raise AccessDeniedError("the endorsement is of another statement")
        recovered = recovery is not None and recovery.key.kid == endorsement.kid  # 4
        held = recovery.key if recovered and recovery is not None else directory.key_for(agency, endorsement.kid, now)
        verify_jws(endorsement, held)
        endorsed_by = held.kid
    elif directory.had_keys(agency):
        raise AccessDeniedError("the agency has had keys: the one in use or the recovery key must endorse a new one")
    if use == RECOVERY and directory.spares_of(agency, now) and not recovered:
        raise AccessDeniedError("a recovery key is replaced by its own word, or once it is revoked or has ended")
    return KeyStatement(agency, use, key, first, last, endorsed_by, recovered, digest_of(text))


def digest_of(text: str) -> str:
    """SHA-256 of the file in hex: what two operators sign."""
    return hashlib.sha256(text.encode()).hexdigest()


def _members(text: str) -> dict[str, str]:
    if len(text) > FILE_LIMIT:
        raise TooLargeError(f"a key statement may have {FILE_LIMIT} characters")
    value = strict_json(text.encode("utf-8", "surrogatepass"), "the key statement", 2)
    if not isinstance(value, dict) or not {"statement"} <= value.keys() <= {"statement", "endorsement"}:
        raise MalformedError("a key statement is a JSON object of statement and endorsement")
    if not all(isinstance(held, str) for held in value.values()):
        raise MalformedError("a key statement's members are compact JWS")
    return value


def _require_statement(payload: Mapping[str, Any]) -> PublicKey:
    require_members(payload, _STATEMENT, _STATEMENT_ALSO)
    if payload["use"] not in USES:
        raise MalformedError(f"a key is for one of {', '.join(USES)}")
    if seconds(payload["exp"], "exp") <= seconds(payload["nbf"], "nbf"):
        raise MalformedError("a key's validity must end after it begins")
    if not isinstance(payload["jwk"], dict):
        raise MalformedError("a statement's jwk is an object")
    # A certified key may be RSA; whether its chain is to be believed is asked when it is admitted. A recovery key has none.
    return public_key_from_jwk(payload["jwk"], certified=payload["use"] == SIGN)


def _require_here(payload: Mapping[str, Any], gateway: str, now: datetime) -> None:
    if payload["aud"] != gateway:
        raise MalformedError("the statement is for another gateway")
    require_recent(seconds(payload["iat"], "iat"), now)


def _digest(statement: str) -> str:
    return b64encode(hashlib.sha256(statement.encode()).digest())
