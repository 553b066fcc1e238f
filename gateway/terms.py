"""The terms of an agreement as its document states them: closed, typed, frozen, each figure with its source.

Decides which keys a document has and what each may hold; docs/reference/agreement.md describes every one. Leaves to
`agreement.py` what can only be seen across terms (an unknown clause, two rules for one case), to `conditions.py` the
expressions, and to `decide.py` what a rule means for a message.
"""

import re
from collections.abc import Iterable, Mapping, Sized
from datetime import date, timedelta, timezone
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    model_validator,
)

from gateway.conditions import Duration, ExpressionError, Fragment, Pointer
from gateway.envelope import AGENCY_ID, AGREEMENT_ID, MESSAGE_TYPE

K = TypeVar("K")
V = TypeVar("V")
C = TypeVar("C", bound=Sized)

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OFFSET: Final = re.compile(r"([+-])((?:0[0-9]|1[0-4])):([0-5][0-9])")
_REGION: Final = re.compile(r"[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{4})?)?)?")
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def _day(text: object) -> date:
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ExpressionError("a date as YYYY-MM-DD is expected")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ExpressionError("there is no such day") from error


def _zone(text: object) -> timezone:
    match = _OFFSET.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ExpressionError('an offset from UTC such as "+07:00" is expected')
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


def _place(text: object) -> Pointer:
    pointer = Pointer.parse(text)
    if pointer.is_pattern:
        raise ExpressionError("one place is expected: use items or contains to look into an array")
    return pointer


def _field(text: object) -> Pointer:
    pointer = Pointer.parse(text)
    if pointer.steps[0] != "body" or pointer.steps[1:2] in ((), ("*",)):
        raise ExpressionError("a field of the payload such as /body/reporter is expected")
    return pointer


def _matching(pattern: re.Pattern[str], what: str) -> PlainValidator:
    def check(text: object) -> str:
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise ExpressionError(f"{what} is expected")
        return text

    return PlainValidator(check)


# pydantic's own min_length counts what is left after faulty elements are dropped, and so reports them twice.
def _some(items: C) -> C:
    if not items:
        raise ExpressionError("at least one is expected")
    return items


def _several(items: C) -> C:
    if len(items) < 2:  # noqa: PLR2004 - an agreement of one is none
        raise ExpressionError("at least two are expected")
    return items


def _distinct(items: tuple[V, ...]) -> tuple[V, ...]:
    if len(set(items)) != len(items):
        raise ExpressionError("an element stands twice")
    return items


def _sealed(members: Mapping[K, V]) -> Mapping[K, V]:
    return MappingProxyType(dict(members))


Day = Annotated[date, PlainValidator(_day)]
Zone = Annotated[timezone, PlainValidator(_zone)]
Place = Annotated[Pointer, PlainValidator(_place)]
PayloadField = Annotated[Pointer, PlainValidator(_field)]
Schema = Annotated[Fragment, PlainValidator(Fragment.parse)]
Period = Annotated[Duration, PlainValidator(Duration.parse)]
AgreementId = Annotated[str, _matching(AGREEMENT_ID, "an agreement id such as pks-banten-2025")]
AgencyId = Annotated[str, _matching(AGENCY_ID, "an agency id such as polda-banten")]
MessageType = Annotated[str, _matching(MESSAGE_TYPE, "a message type with its version, such as overstay.notice/1,")]
Name = Annotated[str, _matching(re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"), "a name in small letters and -")]
Code = Annotated[str, _matching(_CODE, "a code in capitals")]
ClauseNumber = Annotated[
    str, _matching(re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 .()/-]{0,98}[A-Za-z0-9.)])?"), "a clause number in quotes")
]
RegionCode = Annotated[str, _matching(_REGION, 'a region code in quotes, such as "36.04.08",')]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Provenance = Literal["public", "to-be-confirmed"]
Handling = Literal["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"]
Priority = Literal["urgent", "normal", "bulk"]

# All of these hold at once; each pointer's value must be there.
Situation = Annotated[Mapping[Place, Schema], AfterValidator(_some), AfterValidator(_sealed)]


class Term(BaseModel):
    """Base of all: JSON types as they are, no key beyond the named ones, nothing changes once read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Sourced(Term):
    """A figure: where it was read (`public`), or that the agencies have yet to confirm it."""

    provenance: Provenance
    citation: Prose


class Attributed(Term):
    """A term that may name its own source; without one, its rule's source is its own."""

    provenance: Provenance | None = None
    citation: Prose | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> "Attributed":
        if (self.provenance is None) != (self.citation is None):
            raise ExpressionError("provenance and citation go together")
        return self


class Text(Term):
    """The same words in English and in Indonesian."""

    en: Prose
    id: Prose


class Liaison(Term):
    """A role, never a person: people change, the agreement does not."""

    role: Code
    title: Text


class Party(Term):
    name: Text
    liaisons: Annotated[tuple[Liaison, ...], AfterValidator(_some)]


class Clause(Sourced):
    title: Text


class Limit(Sourced):
    """The first or the last day of the agreement, both included."""

    date: Day


class Regions(Sourced):
    """Kemendagri codes; each stands for everything below it."""

    codes: Annotated[tuple[RegionCode, ...], AfterValidator(_some), AfterValidator(_distinct)]


class Checkpoints(Sourced):
    codes: Annotated[tuple[Code, ...], AfterValidator(_some), AfterValidator(_distinct)]


class Jurisdiction(Term):
    """What a unit is competent for. What is not listed is outside, and so is a region of which only parts are listed."""

    name: Text
    regions: Regions
    checkpoints: Checkpoints | None = None

    def covers(self, code: object) -> bool:
        if not isinstance(code, str):
            return False
        if self.checkpoints is not None and code in self.checkpoints.codes:
            return True
        parts = code.split(".")
        return any(".".join(parts[:length]) in self.regions.codes for length in range(1, len(parts) + 1))


class Condition(Attributed):
    """`must` holds for the value at `field`; a missing value fails it unless `optional`."""

    name: Name
    field: Place
    must: Schema
    optional: bool = False


class Withholding(Sourced):
    """What `field` names stays behind, unless one of the situations is given; none at all means always."""

    field: PayloadField
    unless: tuple[Situation, ...] = ()


class Requirements(Attributed):
    case: Annotated[tuple[Code, ...], AfterValidator(_some), AfterValidator(_distinct)]


class Within(Attributed):
    """Every code at `field` lies in the territory of a unit, of the sender or of the recipient."""

    field: PayloadField
    of: AgencyId
    optional: bool = False


class Ordered(Attributed):
    """`first` is not later than `last`."""

    kind: Literal["ordered"]
    name: Name
    first: Place
    last: Place
    optional: bool = False


class PeriodAtMost(Sourced):
    """From `first` to `last` is no longer than `limit`, by the calendar."""

    kind: Literal["period_at_most"]
    name: Name
    first: Place
    last: Place
    limit: Period


class Answers(Attributed):
    """`in_reply_to` names a transfer that this sender received from this recipient, by default one still open."""

    kind: Literal["answers"]
    name: Name
    types: Annotated[tuple[MessageType, ...], AfterValidator(_some), AfterValidator(_distinct)]
    open: bool = True


class RefersTo(Attributed):
    """`in_reply_to` names an accepted transfer between the two, in either direction, that still stands."""

    kind: Literal["refers_to"]
    name: Name
    types: Annotated[tuple[MessageType, ...], AfterValidator(_some), AfterValidator(_distinct)]


Relation = Annotated[Ordered | PeriodAtMost | Answers | RefersTo, Field(discriminator="kind")]


class Retention(Sourced):
    """How long the message is kept, from acceptance or from the day at `counted_from`, whichever is later."""

    keep: Period
    counted_from: Place | None = None

    @model_validator(mode="after")
    def _in_days(self) -> "Retention":
        if self.keep.seconds:
            raise ExpressionError("what is kept is kept for days, months or years")
        return self


class Deadline(Term):
    within: Period
    when: Situation | None = None


class Acknowledgement(Sourced):
    """The shortest of the deadlines whose situation is given; exactly one has none and always applies."""

    deadlines: Annotated[tuple[Deadline, ...], AfterValidator(_some)]

    @model_validator(mode="after")
    def _has_a_default(self) -> "Acknowledgement":
        if sum(deadline.when is None for deadline in self.deadlines) != 1:
            raise ExpressionError("exactly one deadline has no when, and applies in every other case")
        return self


class Rule(Sourced):
    """Who may send which type to whom, for what, under which conditions, and what becomes of it."""

    id: Name
    title: Text
    clause: ClauseNumber
    type: MessageType
    senders: Annotated[tuple[AgencyId, ...], AfterValidator(_some), AfterValidator(_distinct)]
    recipients: Annotated[tuple[AgencyId, ...], AfterValidator(_some), AfterValidator(_distinct)]
    purposes: Annotated[tuple[Code, ...], AfterValidator(_some), AfterValidator(_distinct)]
    valid_from: Day | None = None
    valid_until: Day | None = None
    requires: Requirements | None = None
    where: tuple[Condition, ...] = ()
    relations: tuple[Relation, ...] = ()
    jurisdiction: tuple[Within, ...] = ()
    withhold: tuple[Withholding, ...] = ()
    retention: Retention
    acknowledge_within: Acknowledgement | None = None
    handling: Handling
    priority: Priority

    def routes(self) -> Iterable[tuple[str, str]]:
        """The pairs of sender and recipient; nobody sends to itself."""
        return ((one, other) for one in self.senders for other in self.recipients if one != other)

    def valid_on(self, day: date) -> bool:
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_until is None or day <= self.valid_until
        )


class Document(Term):
    """The whole document. `format` is the version of these keys, not of the agreement."""

    format: Literal[1]
    id: AgreementId
    version: Annotated[int, Field(ge=1, le=9999)]
    title: Text
    description: Text
    timezone: Zone
    valid_from: Limit
    valid_until: Limit
    onward_transfer: bool
    parties: Annotated[Mapping[AgencyId, Party], AfterValidator(_several), AfterValidator(_sealed)]
    clauses: Annotated[Mapping[ClauseNumber, Clause], AfterValidator(_some), AfterValidator(_sealed)]
    jurisdictions: Annotated[Mapping[AgencyId, Jurisdiction], AfterValidator(_sealed)] = Field(
        default_factory=dict, validate_default=True
    )
    rules: Annotated[tuple[Rule, ...], AfterValidator(_some)]
