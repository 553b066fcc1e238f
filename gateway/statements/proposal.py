"""Proposals: an act that needs two operators, as one document that both of them sign.

Decides what the document says and when two signatures over it are enough: of two different persons, each with an active key of
their own, over the very same bytes, before it expires. Leaves to `operations/proposals.py` that it is used once, and to
`countersigning.py` what then happens. It names no person and holds no secret; a nonce makes its digest one that nobody guesses.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import rfc8785

from gateway.errors import AccessDeniedError, GatewayError, MalformedError, Reason
from gateway.jose import Signer, b64encode, sign_jws, strict_json, verify_jws
from gateway.keys.directory import Directory, Operator
from gateway.message.envelope import AGENCY_ID
from gateway.statements.statement import CODE, NONCE, read_statement, require_members, seconds

PROPOSAL_TYP: Final = "operator-act+jwt"
LIFETIME: Final = timedelta(days=3)
PERSONS: Final = 2
PARAMETERS_LIMIT: Final = 16
VALUE: Final = re.compile(r"[!-~]{1,512}")
_FORMS: Final = {"gateway": AGENCY_ID, "what": CODE, "about": CODE, "why": CODE, "nonce": NONCE}
_ALSO: Final = frozenset({"v", "parameters", "iat", "exp"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is to be done, about whom or what, with which parameters, and why. `parameters` are short printable texts."""

    gateway: str
    what: str
    about: str
    parameters: Mapping[str, str]
    why: str
    issued: datetime
    expires: datetime
    nonce: str

    def members(self) -> dict[str, Any]:
        return {
            "v": 1,
            "gateway": self.gateway,
            "what": self.what,
            "about": self.about,
            "parameters": dict(sorted(self.parameters.items())),
            "why": self.why,
            "iat": int(self.issued.timestamp()),
            "exp": int(self.expires.timestamp()),
            "nonce": self.nonce,
        }

    def canonical(self) -> bytes:
        """RFC 8785: the one spelling of the document."""
        return rfc8785.dumps(self.members())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document in hex: the proposal's name, and what the ledger says of it."""
        return hashlib.sha256(self.canonical()).hexdigest()


def draft(
    gateway: str, what: str, about: str, parameters: Mapping[str, str], *, why: str, now: datetime, lifetime: timedelta
) -> Proposal:
    """A new document. Raises MalformedError for what could not stand in it."""
    issued = now.replace(microsecond=0)
    proposal = Proposal(
        gateway, what, about, parameters, why, issued, issued + lifetime, b64encode(secrets.token_bytes(16))
    )
    return _from_members(proposal.members())


def parse_proposal(document: bytes) -> Proposal:
    """A canonical document, exactly. Raises MalformedError."""
    members = strict_json(document, "the proposal", 3)
    if not isinstance(members, dict):
        raise MalformedError("a proposal is a JSON object")
    proposal = _from_members(members)
    if proposal.canonical() != document:
        raise MalformedError("the proposal is not in its canonical form (RFC 8785)")
    return proposal


def sign_proposal(proposal: Proposal, signer: Signer) -> str:
    """An operator's word for it: a compact JWS whose payload is the document itself."""
    return sign_jws(proposal.members(), PROPOSAL_TYP, signer)


def require_operator(text: str, proposal: Proposal, directory: Directory, now: datetime) -> Operator:
    """The operator who signed this very proposal. In numbered steps:

    1. it is a compact JWS whose payload has exactly the members of a proposal
    2. its key is an operator's, and active at this moment
    3. that key signed it
    4. it says what the proposal says, to the last member
    5. the proposal has not expired, and is not of the future

    Raises MalformedError, KeyRefusedError, SignatureInvalidError or AccessDeniedError.
    """
    jws = read_statement(text, PROPOSAL_TYP, _FORMS, _ALSO)  # 1
    operator = directory.operator_for(jws.kid)  # 2
    verify_jws(jws, operator.key)  # 3
    if _from_members(jws.payload) != proposal:  # 4
        raise AccessDeniedError("the signature is over another proposal")
    require_open(proposal, now)  # 5
    return operator


def require_two(
    signatures: Iterable[str], proposal: Proposal, directory: Directory, now: datetime
) -> tuple[Operator, ...]:
    """The two operators, in the signatures' order. Raises AccessDeniedError with every fault.

    Two keys of one person are one person.
    """
    faults: list[Reason] = []
    operators: dict[str, Operator] = {}
    for number, text in enumerate(signatures, 1):
        try:
            operator = require_operator(text, proposal, directory, now)
        except GatewayError as error:
            faults.append(Reason("access.denied", detail=f"signature {number}: {error.detail}"))
        else:
            operators.setdefault(operator.id, operator)
    if len(operators) < PERSONS:
        faults.append(Reason("access.denied", detail=f"{len(operators)} of {PERSONS} operators signed it"))
    if faults:
        raise AccessDeniedError(f"nothing is done: {'; '.join(str(one.detail) for one in faults)}", reasons=faults)
    return tuple(operators.values())


def require_open(proposal: Proposal, now: datetime) -> None:
    """Raises AccessDeniedError for one that has expired, or begins in the future by more than a minute."""
    if now >= proposal.expires:
        raise AccessDeniedError("the proposal has expired: propose it again")
    if proposal.issued > now + timedelta(seconds=60):
        raise AccessDeniedError("the proposal is dated in the future: check the clocks")


def _from_members(members: Mapping[str, Any]) -> Proposal:
    require_members(members, _FORMS, _ALSO)
    if type(members["v"]) is not int or members["v"] != 1:
        raise MalformedError("a proposal's v is 1")
    parameters = members["parameters"]
    if not isinstance(parameters, dict) or len(parameters) > PARAMETERS_LIMIT:
        raise MalformedError("a proposal's parameters are an object of at most 16 members")
    for name, value in parameters.items():
        if not CODE.fullmatch(name) or not isinstance(value, str) or not VALUE.fullmatch(value):
            raise MalformedError("a proposal's parameter is a short printable text")
    issued, expires = seconds(members["iat"], "iat"), seconds(members["exp"], "exp")
    if not issued < expires <= issued + LIFETIME:
        raise MalformedError(f"a proposal is good for at most {LIFETIME.days} days")
    return Proposal(
        gateway=members["gateway"],
        what=members["what"],
        about=members["about"],
        parameters=parameters,
        why=members["why"],
        issued=issued,
        expires=expires,
        nonce=members["nonce"],
    )
