"""The figures of an agreement: quotas, limits on questions, retention, deadlines, each with its source.

Decides what they may say and, of deadlines, when they end. Leaves to `terms.py` what else a document says, and to
`decide.py` what a figure means for a message.
"""

from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.agreement.conditions import ExpressionError
from gateway.agreement.vocabulary import (
    WEEKDAYS,
    Day,
    DayOfYear,
    MessageType,
    Otherwise,
    PayloadField,
    Period,
    Place,
    Prose,
    Provenance,
    Situation,
    Weekday,
    distinct,
    some,
)

WORKING_DAYS_LIMIT: Final = 250


class Term(BaseModel):
    """Base of all: JSON types as they are, no key beyond the named ones, nothing changes once read."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


class Sourced(Term):
    """A figure: where it was read (`public`), or that the agencies have yet to confirm it."""

    provenance: Provenance
    citation: Prose


class Quota(Sourced):
    """How many messages of one sender are accepted under the rule in any hour and any 24 hours."""

    per_hour: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    per_day: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> "Quota":
        if self.per_hour is None and self.per_day is None:
            raise ExpressionError("a quota says per_hour, per_day or both")
        return self


class Repeats(Sourced):
    """How often one sender may ask about one person without a case that names the person (fishing).

    A case names a person where an accepted message of a type in `named_by`, which still stands, has both this case (type and
    number) and the person. Where every such message is the asking agency's own, `own_papers` says what one more question
    does: an agency's word about itself is not taken for a proof, and never does more than no case at all.
    """

    subject: PayloadField
    at_most: Annotated[int, Field(ge=1, le=1000)]
    within: Period
    named_by: Annotated[tuple[MessageType, ...], AfterValidator(distinct)] = ()
    otherwise: Otherwise = "refuse"
    own_papers: Otherwise = "refuse"

    @property
    def on_own_papers(self) -> Otherwise:
        return "flag" if self.otherwise == "flag" else self.own_papers


class Retention(Sourced):
    """How long the message is kept, from acceptance or from the day at `counted_from`, whichever is later."""

    keep: Period
    counted_from: Place | None = None

    @model_validator(mode="after")
    def _in_days(self) -> "Retention":
        if self.keep.seconds:
            raise ExpressionError("what is kept is kept for days, months or years")
        return self


# More of them could leave no day to work on, and a deadline that never comes.
_MOST_HOLIDAYS: Final = 100


class WorkingDays(Sourced):
    """Which days are worked on: every one but the days of rest of a week and the holidays."""

    rest: Annotated[tuple[Weekday, ...], AfterValidator(some), AfterValidator(distinct)]
    every_year: Annotated[tuple[DayOfYear, ...], AfterValidator(distinct)] = ()
    holidays: Annotated[tuple[Day, ...], AfterValidator(distinct)] = ()

    @model_validator(mode="after")
    def _leaves_some(self) -> "WorkingDays":
        if len(self.rest) == len(WEEKDAYS):
            raise ExpressionError("a week needs at least one working day")
        if len(self.every_year) > _MOST_HOLIDAYS:
            raise ExpressionError(f"a year has {_MOST_HOLIDAYS} fixed holidays at most")
        return self

    def works(self, day: date) -> bool:
        return (
            WEEKDAYS[day.weekday()] not in self.rest
            and f"{day:%m-%d}" not in self.every_year
            and day not in self.holidays
        )

    def after(self, moment: datetime, days: int) -> datetime:
        """The same time of day on the `days`-th working day after that of `moment`, on its own calendar.

        OverflowError past year 9999.
        """
        while days:
            moment += timedelta(days=1)
            days -= self.works(moment.date())
        return moment


class Deadline(Term):
    """`working`: the days of `within` are working days."""

    within: Period
    working: bool = False
    when: Situation | None = None

    @model_validator(mode="after")
    def _in_days(self) -> "Deadline":
        if self.working and (self.within.months or self.within.seconds or self.within.days > WORKING_DAYS_LIMIT):
            raise ExpressionError(f"working days are from P1D to P{WORKING_DAYS_LIMIT}D")
        return self

    def after(self, moment: datetime, calendar: WorkingDays | None) -> datetime:
        """When it ends for what was accepted at `moment`. OverflowError past year 9999."""
        if self.working and calendar is not None:
            return calendar.after(moment, self.within.days)
        return self.within.after(moment)


class Acknowledgement(Sourced):
    """The shortest of the deadlines whose situation is given; exactly one has none and always applies."""

    deadlines: Annotated[tuple[Deadline, ...], AfterValidator(some)]

    @cached_property
    def shortest_first(self) -> tuple[Deadline, ...]:
        """Those of months come first, because a month has no length to order it by; working days by the least that they take."""
        return tuple(
            sorted(
                self.deadlines,
                key=lambda deadline: (
                    not deadline.within.months,
                    deadline.within.days * 86400 + deadline.within.seconds,
                ),
            )
        )

    @model_validator(mode="after")
    def _has_a_default(self) -> "Acknowledgement":
        if sum(deadline.when is None for deadline in self.deadlines) != 1:
            raise ExpressionError("exactly one deadline has no when, and applies in every other case")
        return self
