"""What one operator's word is not enough for: the signed statements of two officers.

Decides what a valid statement is and when there are enough: of two different persons, each with a key of their own, about
exactly this matter of this gateway. A statement names no person. What the matters are is in `hold_release.py` and
`early_erasure.py`; what is done on such a word, and its record, is left to others.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from gateway.errors import AccessDeniedError, GatewayError, MalformedError, Reason
from gateway.jose import Signer, sign_jws, verify_jws
from gateway.keys.directory import Directory, Officer
from gateway.message.envelope import AGENCY_ID
from gateway.statements.statement import read_statement, require_members, require_recent, seconds

STATEMENTS_LIMIT: Final = 8
PERSONS: Final = 2
# Who answers for evidence, for personal data, or for those who do: an investigator's own matter needs one of these.
ROLES: Final = frozenset({"SUPERVISOR", "DATA_PROTECTION_OFFICER", "KORWAS_PPNS"})
_PARTIES: Final = {"iss": AGENCY_ID, "aud": AGENCY_ID}
_ISSUED: Final = frozenset({"iat"})


class Matter(Protocol):
    """What is signed for. `members` with `aud` are the claims beside `iss` and `iat`, in `forms`."""

    @property
    def typ(self) -> str: ...

    @property
    def forms(self) -> Mapping[str, re.Pattern[str]]: ...

    @property
    def otherwise(self) -> str: ...

    @property
    def members(self) -> Mapping[str, str]: ...


def sign_statement(matter: Matter, agency: str, signer: Signer, now: datetime) -> str:
    """A compact JWS with the key of an officer of `agency`. Raises MalformedError for what the gateway would not take."""
    payload: dict[str, Any] = {"iss": agency, "iat": int(now.timestamp()), **matter.members}
    require_members(payload, {**_PARTIES, **matter.forms}, _ISSUED)
    return sign_jws(payload, matter.typ, signer)


def require_two(statements: Iterable[str], matter: Matter, directory: Directory, now: datetime) -> tuple[Officer, ...]:
    """The officers who signed, in the statements' order. Raises AccessDeniedError with every fault.

    Each statement, in numbered steps:

    1. it is a compact JWS with exactly these header members and claims
    2. its key is one of an officer, valid at `now`, whose role may sign
    3. that key signed it
    4. it is about this matter of this gateway
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
            jws = read_statement(text, matter.typ, {**_PARTIES, **matter.forms}, _ISSUED)  # 1
            officer = directory.officer_for(jws.payload["iss"], jws.kid, now)  # 2
            if officer.role not in ROLES:
                raise MalformedError(f"the role {officer.role} may not sign for it")
            verify_jws(jws, officer.key)  # 3
            if {name: jws.payload[name] for name in matter.members} != matter.members:  # 4
                raise MalformedError("it is about another matter, gateway or reason")
            require_recent(seconds(jws.payload["iat"], "iat"), now)  # 5
        except GatewayError as error:
            faults.append(Reason("access.denied", detail=f"statement {number}: {error.detail}"))
        else:
            officers.setdefault(officer.person, officer)
    if len(officers) < PERSONS:
        faults.append(Reason("access.denied", detail=f"{len(officers)} of {PERSONS} persons signed"))
    if faults:
        raise AccessDeniedError(matter.otherwise, reasons=faults)
    return tuple(officers.values())
