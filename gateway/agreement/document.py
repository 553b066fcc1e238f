"""An agreement: read from its YAML document or its canonical JSON, identified by a digest, signed by every party.

Decides whether a document is an agreement at all and what its identity is: the RFC 8785 form of what the document
says, so that comments, order and layout are free and nothing else is. Leaves the keys to `terms.py`, what terms say
against each other to `contradictions.py`, what a rule means for a message to `decide.py`, and activation to the
operator's command. There are no negative rules and no order among rules: at most one rule exists for one type, sender,
recipient and purpose at a time, so taking a rule away or adding a condition can only narrow what passes.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timezone
from types import MappingProxyType
from typing import Any, Final

import rfc8785
import yaml
from pydantic import ValidationError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from gateway import jcs
from gateway.agreement.contradictions import contradictions
from gateway.agreement.figures import WorkingDays
from gateway.agreement.terms import Clause, Document, Jurisdiction, Party, Rule, Text
from gateway.errors import AgreementInvalidError, GatewayError, Reason
from gateway.jose import PublicKey, parse_jws, strict_json, verify_jws
from gateway.message.disclosure import escape

AGREEMENT_TYP: Final = "agreement+jwt"
DOCUMENT_LIMIT: Final = 1_048_576
DEPTH_LIMIT: Final = 32
_CODE: Final = "agreement.invalid"

Route = tuple[str, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """What was agreed. `digest` is SHA-256, in hex, of the canonical JSON: two agreements are the same if it is the same.

    Days are days of `timezone`; the first and the last are included.
    """

    id: str
    version: int
    title: Text
    description: Text
    timezone: timezone
    valid_from: date
    valid_until: date
    onward_transfer: bool
    parties: Mapping[str, Party]
    clauses: Mapping[str, Clause]
    jurisdictions: Mapping[str, Jurisdiction]
    working_days: WorkingDays | None
    rules: tuple[Rule, ...]
    digest: str
    _canonical: bytes
    _by_route: Mapping[Route, tuple[Rule, ...]]

    def canonical(self) -> bytes:
        """The RFC 8785 JSON that `digest` is over; `agreement_from_json` reads it back."""
        return self._canonical

    def day(self, now: datetime) -> date:
        """The agreement's calendar day at `now`. Raises ValueError without a time zone: a guess could extend the term."""
        if now.utcoffset() is None:
            raise ValueError("now must have a time zone")
        return now.astimezone(self.timezone).date()

    def in_force(self, now: datetime) -> bool:
        return self.valid_from <= self.day(now) <= self.valid_until

    def rules_for(self, message_type: str, sender: str, recipient: str) -> tuple[Rule, ...]:
        """The rules for this type and these parties, whatever their purposes and days."""
        return self._by_route.get((message_type, sender, recipient), ())


def parse_agreement(text: str) -> Agreement:
    """Reads the YAML document. Raises AgreementInvalidError with every fault: JSON Pointer, line and what is expected.

    YAML 1.2 with nothing beyond JSON's types: no anchors, no tags, no key twice, dates are strings, and a plain word that
    another YAML reader would take for a number or a truth value must be quoted.
    """
    value, lines = _Reader(text).read()
    return _agreement(value, lines)


def agreement_from_json(data: bytes) -> Agreement:
    """Reads canonical JSON back. Raises AgreementInvalidError for anything that `canonical` would not have written."""
    try:
        value = strict_json(data, "the agreement", DEPTH_LIMIT)
    except GatewayError as error:
        raise AgreementInvalidError(error.detail) from error
    agreement = _agreement(value, {})
    if agreement.canonical() != data:
        raise AgreementInvalidError("the agreement is not canonical JSON (RFC 8785)")
    return agreement


def _agreement(value: object, lines: Mapping[str, int]) -> Agreement:
    try:
        canonical = jcs.dumps(value)
        document = Document.model_validate_json(canonical)
    except rfc8785.CanonicalizationError as error:
        raise AgreementInvalidError(f"the document has no canonical form: {error}") from error
    except ValidationError as error:
        raise _invalid(_model_faults(error, value, lines)) from error
    if faults := [_fault(pointer, _NOT_SEEN, lines) for pointer in _unseen(value, "")]:
        raise _invalid(faults)
    if faults := [_fault(pointer, what, lines) for pointer, what in contradictions(document)]:
        raise _invalid(faults)
    by_route: dict[Route, tuple[Rule, ...]] = {}
    for rule in document.rules:
        for sender, recipient in rule.routes():
            route = (rule.type, sender, recipient)
            by_route[route] = (*by_route.get(route, ()), rule)
    return Agreement(
        id=document.id,
        version=document.version,
        title=document.title,
        description=document.description,
        timezone=document.timezone,
        valid_from=document.valid_from.date,
        valid_until=document.valid_until.date,
        onward_transfer=document.onward_transfer,
        parties=document.parties,
        clauses=document.clauses,
        jurisdictions=document.jurisdictions,
        working_days=document.working_days,
        rules=document.rules,
        digest=hashlib.sha256(canonical).hexdigest(),
        _canonical=canonical,
        _by_route=MappingProxyType(by_route),
    )


# Controls, marks without a width, and what turns the direction of writing: on the page that is signed, a text with one of them
# could be read as another text.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
_NOT_SEEN: Final = "a character that a reader does not see"


def _unseen(value: object, pointer: str) -> Iterator[str]:
    """The places of texts, names of members included, that hold such a character."""
    if isinstance(value, str) and _UNSEEN.search(value):
        yield pointer
    elif isinstance(value, dict):
        for name, member in value.items():
            if _UNSEEN.search(name):
                yield pointer
            yield from _unseen(member, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _unseen(member, f"{pointer}/{number}")


# What the document says, as plain JSON values.

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# Read as null, a truth value or a number by YAML 1.1, by YAML 1.2's core schema, or by both in different ways.
_AMBIGUOUS: Final = re.compile(
    r"(?i:~|y|n|yes|no|on|off|true|false|null|[-+]?\.(?:inf|nan)|[-+]?0[xob][0-9a-f_]+"
    r"|[-+]?(?:\.[0-9]|[0-9])[0-9_]*(?:\.[0-9_]*)?(?:e[-+]?[0-9]+)?|[-+]?[0-9]+(?::[0-5]?[0-9])+)?"
)
_WORDS: Final[Mapping[str, object]] = {"true": True, "false": False, "null": None}


class _Reader:
    """One pass over the events of libyaml's parser: a constructor would make dates, merge keys and resolve tags."""

    def __init__(self, text: str) -> None:
        if len(text) > DOCUMENT_LIMIT:
            raise AgreementInvalidError(f"an agreement may have {DOCUMENT_LIMIT} characters")
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
        self.lines: dict[str, int] = {}
        self.faults: list[Reason] = []

    def read(self) -> tuple[object, Mapping[str, int]]:
        try:
            value = self.document()
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise AgreementInvalidError(f"line {line}: {error.problem or error.context}") from error
        # The last three are the parser's own slips: an escape beyond Unicode, a number of thousands of digits, deep nesting.
        except (yaml.YAMLError, OverflowError, ValueError, RecursionError) as error:
            raise AgreementInvalidError("the document is not YAML") from error
        if self.faults:
            raise _invalid(self.faults)
        return value, self.lines

    def document(self) -> object:
        next(self.events)  # the stream's start
        start = next(self.events)
        if not isinstance(start, DocumentStartEvent):
            raise AgreementInvalidError("the document is empty")
        if start.version or start.tags:
            raise AgreementInvalidError("line 1: directives are not allowed in an agreement")
        value = self.value(next(self.events), "", 0)
        next(self.events)  # the document's end
        if isinstance(next(self.events), DocumentStartEvent):
            raise AgreementInvalidError("one document is expected")
        return value

    def fault(self, event: Any, pointer: str, what: str) -> None:
        self.faults.append(Reason(_CODE, pointer=pointer, detail=f"line {event.start_mark.line + 1}: {what}"))

    def value(self, event: Any, pointer: str, level: int) -> object:
        self.lines[pointer] = event.start_mark.line + 1
        if level > DEPTH_LIMIT:
            raise AgreementInvalidError(f"line {self.lines[pointer]}: nested deeper than {DEPTH_LIMIT}")
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
            self.fault(event, pointer, "anchors and aliases are not allowed in an agreement")
        if getattr(event, "tag", None) is not None:
            self.fault(event, pointer, "tags are not allowed in an agreement")
        if isinstance(event, MappingStartEvent):
            return self.mapping(pointer, level)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(pointer, level)
        return self.scalar(event, pointer) if isinstance(event, ScalarEvent) else None

    def mapping(self, pointer: str, level: int) -> dict[str, object]:
        members: dict[str, object] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            name = self.value(event, f"{pointer}/", level + 1)
            if not isinstance(name, str):
                self.fault(event, pointer, "a key must be a text: put it in quotes")
                name = str(name)
            place = f"{pointer}/{escape(name)}"
            if name in members:
                self.fault(event, place, "a key is there twice")
            members[name] = self.value(next(self.events), place, level + 1)
        return members

    def sequence(self, pointer: str, level: int) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.value(event, f"{pointer}/{len(items)}", level + 1))
        return items

    def scalar(self, event: ScalarEvent, pointer: str) -> object:
        text = str(event.value)
        if event.style:  # quoted or a block: a text, whatever it looks like
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _NUMBER.fullmatch(text):
            return json.loads(text)
        if _AMBIGUOUS.fullmatch(text):
            self.fault(event, pointer, "other programs do not read this as a text: put it in quotes")
        return text


# Faults: every one, with its place.


def _invalid(faults: Iterable[Reason]) -> AgreementInvalidError:
    reasons = tuple(faults)
    told = "; ".join(f"{reason.pointer or '/'} {reason.detail}" for reason in reasons[:3])
    count = "1 fault" if len(reasons) == 1 else f"{len(reasons)} faults"
    return AgreementInvalidError(f"{count}: {told}", reasons=reasons)


def _fault(pointer: str, what: str, lines: Mapping[str, int]) -> Reason:
    known = pointer
    while known not in lines and known:
        known = known.rpartition("/")[0]
    where = f"line {lines[known]}: " if known in lines else ""
    return Reason(_CODE, pointer=pointer, detail=where + what)


def _model_faults(error: ValidationError, value: object, lines: Mapping[str, int]) -> Iterable[Reason]:
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        pointer, here = "", value
        for step in found["loc"]:
            # pydantic also names the kind of relation it tried, and "[key]": no steps of the document.
            if isinstance(here, dict) and step in here:
                here = here[str(step)]
            elif isinstance(here, list) and isinstance(step, int) and step < len(here):
                here = here[step]
            elif found["type"] != "missing" or step != found["loc"][-1]:
                continue
            pointer += f"/{escape(str(step))}"
        yield _fault(pointer, found["msg"].removeprefix("Value error, "), lines)


# Signatures: every party, this very digest.

_CLAIMS: Final = frozenset({"iss", "agreement", "version", "digest", "iat"})


def signing_payload(agreement: Agreement, agency: str, signed_at: datetime) -> dict[str, Any]:
    """The claims that `agency` signs as a JWS of type `agreement+jwt` (`gateway.jose.sign_jws`).

    Raises AgreementInvalidError for an agency that is not a party.
    """
    if agency not in agreement.parties:
        raise AgreementInvalidError(f"{agency} is not a party of {agreement.id}")
    return {
        "iss": agency,
        "agreement": agreement.id,
        "version": agreement.version,
        "digest": agreement.digest,
        "iat": int(signed_at.astimezone(UTC).timestamp()),
    }


def verify_signatures(
    agreement: Agreement, texts: Iterable[str], key_for: Callable[[str, str], PublicKey]
) -> tuple[str, ...]:
    """The parties, in the agreement's order, once each has signed this digest exactly once.

    `key_for(agency, kid)` gives the key or raises a GatewayError. Raises AgreementInvalidError with a reason for every
    signature that does not hold (pointer `/{its place}`) and every party whose signature is missing.
    """
    faults: list[Reason] = []
    signers: list[str] = []
    for number, text in enumerate(texts):
        try:
            signers.append(_signer(agreement, text, key_for, signers))
        except GatewayError as error:
            faults.append(Reason(_CODE, pointer=f"/{number}", detail=error.detail or error.code))
    faults.extend(
        Reason(_CODE, detail=f"{agency} has not signed this version")
        for agency in agreement.parties
        if agency not in signers
    )
    if faults:
        raise _invalid(faults)
    return tuple(agency for agency in agreement.parties if agency in signers)


def _signer(agreement: Agreement, text: str, key_for: Callable[[str, str], PublicKey], signers: Iterable[str]) -> str:
    jws = parse_jws(text, AGREEMENT_TYP, 1)
    claims = jws.payload
    agency = claims.get("iss")
    if claims.keys() != _CLAIMS or type(claims["iat"]) is not int or not isinstance(agency, str):
        raise AgreementInvalidError("a signature has exactly the claims iss, agreement, version, digest and iat")
    # Before any key is asked for: a stranger's name has no key here.
    if agency not in agreement.parties:
        raise AgreementInvalidError("the signer is not a party")
    verify_jws(jws, key_for(agency, jws.kid))
    signed = (claims["agreement"], claims["version"], claims["digest"])
    if signed != (agreement.id, agreement.version, agreement.digest) or type(claims["version"]) is not int:
        raise AgreementInvalidError(f"{agency} signed another document")
    if agency in signers:
        raise AgreementInvalidError(f"{agency} signed twice")
    return agency
