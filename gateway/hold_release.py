"""The end of a legal hold: the signed word of two officers that what it protects may be erased again.

Decides what a valid statement is and when there are enough: of two different persons, each with a key of their own, for
this hold of this gateway. Leaves the placing of holds and the record to `holds.py`. A statement names no person.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.directory import Directory, Officer
from gateway.envelope import AGENCY_ID, TRANSFER_ID
from gateway.errors import AccessDeniedError, GatewayError, MalformedError, Reason, TooLargeError
from gateway.jose import Signer, UnverifiedJws, parse_jws, sign_jws, verify_jws

HOLD_RELEASE_TYP: Final = "hold-release+jwt"
STATEMENT_LENGTH: Final = 2048
STATEMENTS_LIMIT: Final = 8
PERSONS: Final = 2
# Who answers for evidence, for personal data, or for those who do: an investigator's own hold needs one of these to end it.
ROLES: Final = frozenset({"SUPERVISOR", "DATA_PROTECTION_OFFICER", "KORWAS_PPNS"})
AGE: Final = timedelta(days=7)
LEEWAY: Final = timedelta(seconds=60)
_MEMBERS: Final = frozenset({"iss", "aud", "iat", "hold", "why"})
_FORMS: Final = {
    "iss": AGENCY_ID,
    "aud": AGENCY_ID,
    "hold": TRANSFER_ID,
    "why": re.compile(r"(?!.*[0-9]{16})[A-Za-z0-9][A-Za-z0-9._:/+#-]{0,127}"),
}
_LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can hold


@dataclass(frozen=True, slots=True)
class HoldRelease:
    """What is to end: a hold of the gateway `aud`. `why` is a code, which the ledger will have."""

    aud: str
    hold: str
    why: str


def sign_hold_release(release: HoldRelease, agency: str, signer: Signer, now: datetime) -> str:
    """A compact JWS with the key of an officer of `agency`. Raises MalformedError for what the gateway would not take."""
    payload = {
        "iss": agency, "aud": release.aud, "iat": int(now.timestamp()), "hold": release.hold, "why": release.why,
    }  # fmt: skip
    _require_forms(payload)
    return sign_jws(payload, HOLD_RELEASE_TYP, signer)


def require_two(
    statements: Iterable[str], release: HoldRelease, directory: Directory, now: datetime
) -> tuple[Officer, ...]:
    """The officers who signed, in the statements' order. Raises AccessDeniedError with every fault.

    Each statement, in numbered steps:

    1. it is a compact JWS with exactly these header members and claims
    2. its key is one of an officer, valid at `now`, whose role may end a hold
    3. that key signed it
    4. it names this hold, this gateway and this reason
    5. it was signed at most 7 days ago, and not in the future

    Then they must be of two persons: two keys of one person are one person.
    """
    texts = list(statements)
    if len(texts) > STATEMENTS_LIMIT:
        raise AccessDeniedError(f"at most {STATEMENTS_LIMIT} statements")
    faults: list[Reason] = []
    officers: dict[str, Officer] = {}
    for number, text in enumerate(texts, 1):
        try:
            jws = _parse(text)  # 1
            officer = directory.officer_for(jws.payload["iss"], jws.kid, now)  # 2
            if officer.role not in ROLES:
                raise MalformedError(f"the role {officer.role} ends no hold")
            verify_jws(jws, officer.key)  # 3
            if HoldRelease(*(jws.payload[name] for name in ("aud", "hold", "why"))) != release:  # 4
                raise MalformedError("it is about another hold, gateway or reason")
            _require_recent(jws.payload["iat"], now)  # 5
        except GatewayError as error:
            faults.append(Reason("access.denied", detail=f"statement {number}: {error.detail}"))
        else:
            officers.setdefault(officer.person, officer)
    if len(officers) < PERSONS:
        faults.append(
            Reason("access.denied", detail=f"{len(officers)} of {PERSONS} persons signed: a hold needs two to end")
        )
    if faults:
        raise AccessDeniedError("the hold stays", reasons=faults)
    return tuple(officers.values())


def _parse(text: str) -> UnverifiedJws:
    if len(text) > STATEMENT_LENGTH:
        raise TooLargeError(f"a statement may have {STATEMENT_LENGTH} characters")
    if not text.isascii():
        raise MalformedError("a statement is a compact JWS")
    jws = parse_jws(text, HOLD_RELEASE_TYP, 2)
    if jws.payload.keys() != _MEMBERS:
        raise MalformedError("a statement has exactly iss, aud, iat, hold and why")
    _require_forms(jws.payload)
    issued = jws.payload["iat"]
    # JSON true is an int to Python.
    if type(issued) is not int or not 0 <= issued <= _LATEST:
        raise MalformedError("a statement's iat is whole seconds since 1970")
    return jws


def _require_forms(payload: Any) -> None:
    for name, form in _FORMS.items():
        if not isinstance(payload[name], str) or not form.fullmatch(payload[name]):
            raise MalformedError(f"a statement's {name} has the wrong form")


def _require_recent(issued: int, now: datetime) -> None:
    moment = datetime.fromtimestamp(issued, UTC)
    if not now - AGE <= moment <= now + LEEWAY:
        raise MalformedError(f"it was not signed in the last {AGE.days} days")
