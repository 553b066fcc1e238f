"""The terms of an agreement as its document states them: closed, typed, frozen, each figure with its source.

Decides which keys a document has and what each may hold; docs/reference/agreement.md describes every one. Leaves to
`document.py` what can only be seen across terms (an unknown clause, two rules for one case), to `conditions.py` the
expressions, and to `decide.py` what a rule means for a message.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.agreement.conditions import ExpressionError
from gateway.agreement.figures import Acknowledgement, Quota, Repeats, Retention, Sourced, Term, WorkingDays
from gateway.agreement.vocabulary import (
    AgencyId,
    AgreementId,
    BodyPlace,
    ClauseNumber,
    Code,
    Codes,
    Day,
    Handling,
    MessageType,
    MessageTypes,
    Name,
    Otherwise,
    PayloadField,
    Period,
    Place,
    Priority,
    Prose,
    Provenance,
    RegionCode,
    Schema,
    Situation,
    Zone,
    distinct,
    sealed,
    several,
    some,
)


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
    liaisons: Annotated[tuple[Liaison, ...], AfterValidator(some)]


class Clause(Sourced):
    title: Text


class Limit(Sourced):
    """The first or the last day of the agreement, both included."""

    date: Day


class Regions(Sourced):
    """Kemendagri codes; each stands for everything below it."""

    codes: Annotated[tuple[RegionCode, ...], AfterValidator(some), AfterValidator(distinct)]


class Checkpoints(Sourced):
    codes: Codes


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
        while code:
            if code in self.regions.codes:
                return True
            code = code.rpartition(".")[0]
        return False


class Conditional(Attributed):
    """What a message must show: only in the situation of `when`, if it has one; a failure refuses it or is a flag."""

    name: Name
    when: Situation | None = None
    otherwise: Otherwise = "refuse"


class Condition(Conditional):
    """`must` holds for the value at `field`; a missing value fails it unless `optional`."""

    field: Place
    must: Schema
    optional: bool = False


class Confidential(Attributed):
    """What a release needs beside its situation: officers' approvals, and a notice that the recipient acknowledged.

    UU 21/2007 Art 24: who was told that an identity is secret, and what of it was released, must be shown afterwards.
    `matching` pairs a place of this message with a place of the acknowledgement that holds the same value.
    """

    approvals: Annotated[int, Field(ge=2, le=4)]
    roles: Codes
    notice: MessageTypes
    when: Situation | None = None
    matching: Annotated[Mapping[Place, Place], AfterValidator(sealed)] = Field(
        default_factory=dict, validate_default=True
    )


class Withholding(Sourced):
    """What `field` names stays behind, unless one of the situations is given; none at all means always.

    With `confidential`, a situation alone releases nothing. A report of evidence tells a judge why: in Indonesian by
    `citation_id`.
    """

    field: PayloadField
    citation_id: Prose | None = None
    unless: tuple[Situation, ...] = ()
    confidential: Confidential | None = None

    @model_validator(mode="after")
    def _has_a_release(self) -> "Withholding":
        if self.confidential is not None and not self.unless:
            raise ExpressionError("confidential needs unless: it says when the field may be released")
        return self


class Requirements(Attributed):
    case: Codes


class Within(Attributed):
    """Every code at `field` lies in the territory of a unit, of the sender or of the recipient."""

    field: PayloadField
    of: AgencyId
    optional: bool = False


class Ordered(Conditional):
    """`first` is not later than `last`."""

    kind: Literal["ordered"]
    first: Place
    last: Place
    optional: bool = False


class PeriodAtMost(Conditional):
    """From `first` to `last` is no longer than `limit`, by the calendar. A figure, so its source is required."""

    kind: Literal["period_at_most"]
    first: Place
    last: Place
    limit: Period
    optional: bool = False
    provenance: Provenance
    citation: Prose


class PeriodAtLeast(Conditional):
    """From `first` to `last` is no shorter than `limit`, by the calendar. A figure, so its source is required."""

    kind: Literal["period_at_least"]
    first: Place
    last: Place
    limit: Period
    optional: bool = False
    provenance: Provenance
    citation: Prose


class Answers(Conditional):
    """`in_reply_to` names a standing transfer that this sender received from this recipient, by default one still open."""

    kind: Literal["answers"]
    types: MessageTypes
    open: bool = True


class RefersTo(Conditional):
    """`in_reply_to` names an accepted transfer between the two, in either direction, that still stands."""

    kind: Literal["refers_to"]
    types: MessageTypes


class Amends(Conditional):
    """`in_reply_to` names a standing transfer that this sender sent to this recipient; `ends`: it stands no longer.

    Without `standing` it may have lapsed or ended: what somebody once received is corrected all the same.
    """

    kind: Literal["amends"]
    types: MessageTypes | None = None
    ends: bool = False
    standing: bool = True


class Earlier(Conditional):
    """`must` holds for the value at `field` of the message replied to, as its sender sent it; a missing one fails."""

    kind: Literal["earlier"]
    field: Place
    must: Schema


class Same(Conditional):
    """The value at `here` equals the one at `there` of the message replied to; `optional`: or one of them is missing."""

    kind: Literal["same"]
    here: Place
    there: Place
    optional: bool = False


class Links(Conditional):
    """Each text at `field` is the id of an accepted transfer between the two, other than the one replied to."""

    kind: Literal["links"]
    field: PayloadField
    types: MessageTypes
    optional: bool = True


class AtMost(Conditional):
    """At most `count` accepted messages of this type reply to the same transfer, this one included."""

    kind: Literal["at_most"]
    count: Annotated[int, Field(ge=1, le=1000)]


Relation = Annotated[
    Ordered | PeriodAtMost | PeriodAtLeast | Answers | RefersTo | Amends | Earlier | Same | Links | AtMost,
    Field(discriminator="kind"),
]


class Rule(Sourced):
    """Who may send which type to whom, for what, under which conditions, and what becomes of it."""

    id: Name
    title: Text
    clause: ClauseNumber
    type: MessageType
    senders: Annotated[tuple[AgencyId, ...], AfterValidator(some), AfterValidator(distinct)]
    recipients: Annotated[tuple[AgencyId, ...], AfterValidator(some), AfterValidator(distinct)]
    purposes: Codes
    valid_from: Day | None = None
    valid_until: Day | None = None
    requires: Requirements | None = None
    where: tuple[Condition, ...] = ()
    relations: tuple[Relation, ...] = ()
    jurisdiction: tuple[Within, ...] = ()
    withhold: tuple[Withholding, ...] = ()
    quota: Quota | None = None
    repeats: Repeats | None = None
    stands_until: BodyPlace | None = None
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
    parties: Annotated[Mapping[AgencyId, Party], AfterValidator(several), AfterValidator(sealed)]
    clauses: Annotated[Mapping[ClauseNumber, Clause], AfterValidator(some), AfterValidator(sealed)]
    jurisdictions: Annotated[Mapping[AgencyId, Jurisdiction], AfterValidator(sealed)] = Field(
        default_factory=dict, validate_default=True
    )
    working_days: WorkingDays | None = None
    rules: Annotated[tuple[Rule, ...], AfterValidator(some)]
