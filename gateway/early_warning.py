"""What is followed up of an accepted message: its deadline, what it settles, and the early-warning system's figures.

Decides which rows an accepted message makes or changes, and how rows become figures. Only codes leave a message here, and
only what its recipient was given: no word of a narrative, no person. Leaves the writing to `store/jobs/deadlines.py` and
the looking up to `store/early_warnings.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean, median
from typing import Any, Final

from gateway.message.envelope import Claims

REPORT: Final = "early-warning.report"
ACKNOWLEDGEMENT: Final = "early-warning.acknowledgement"
ANSWERS: Final = "answers"
ENDS: Final = "ends"
# What meets a deadline. `delivered` alone is a machine's and does not.
ANSWER: Final = "answer"
WITHDRAWN: Final = "withdrawn"
HANDLED: Final = frozenset({"processed", "rejected"})


@dataclass(frozen=True, slots=True)
class Deadline:
    """By when the recipient must have answered or handled a transfer."""

    transfer: str
    ledger: str
    sender: str
    recipient: str
    type: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Warned:
    """An early warning as it is counted; None for what its recipient was not given."""

    transfer: str
    sender: str
    recipient: str
    region_code: str | None
    severity: int | None
    suspected_offence: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Triage:
    """The outcome that the recipient of an early warning reported."""

    transfer: str
    outcome: str
    assigned_unit: str | None
    duplicate_of: str | None


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Everything that one accepted message makes or changes. `settles` is the transfer that it answers or withdraws."""

    by: str
    at: datetime
    deadline: Deadline | None = None
    warned: Warned | None = None
    settles: str | None = None
    settled_by: str = ANSWER
    triage: Triage | None = None


def follow_up(
    *,
    transfer: str,
    ledger: str,
    claims: Claims,
    body: Mapping[str, Any],
    withheld: Sequence[str],
    received_at: datetime,
    acknowledge_by: datetime | None,
    reply_as: str | None,
) -> FollowUp:
    """Of an accepted message. `withheld` and `reply_as` are its decision's, `body` is complete."""
    name = claims.type.partition("/")[0]
    told = _Told(body, withheld)
    deadline = warned = triage = None
    if acknowledge_by is not None:
        deadline = Deadline(transfer, ledger, claims.iss, claims.aud, claims.type, acknowledge_by)
    if name == REPORT:
        severity = told.value("severity")
        warned = Warned(
            transfer,
            claims.iss,
            claims.aud,
            told.text("region_code"),
            severity if type(severity) is int else None,
            told.text("suspected_offence"),
            received_at,
        )
    answers = claims.in_reply_to if reply_as == ANSWERS else None
    outcome = told.text("triage")
    if name == ACKNOWLEDGEMENT and answers is not None and outcome is not None:
        triage = Triage(answers, outcome, told.text("assigned_unit"), told.text("duplicate_of"))
    withdraws = claims.in_reply_to if reply_as == ENDS else None
    return FollowUp(
        claims.iss,
        received_at,
        deadline,
        warned,
        settles=answers or withdraws,
        settled_by=ANSWER if withdraws is None else WITHDRAWN,
        triage=triage,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """A body as its recipient sees it."""

    body: Mapping[str, Any]
    withheld: Sequence[str]

    def value(self, name: str) -> Any:
        return None if {f"/body/{name}", "/body"} & set(self.withheld) else self.body.get(name)

    def text(self, name: str) -> str | None:
        value = self.value(name)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Counted:
    """One early warning as the store has it. Moments are microseconds since 1970; `due_at` None: no deadline was set."""

    region_code: str | None
    severity: int | None
    assigned_unit: str | None
    triage: str | None
    duplicate_of: str | None
    received_at: int
    triaged_at: int | None = None
    due_at: int | None = None
    met_at: int | None = None
    met_by: str | None = None

    @property
    def answered_at(self) -> int | None:
        """When its recipient first dealt with it."""
        if self.met_at is not None and self.met_by != WITHDRAWN:
            return self.met_at
        return self.triaged_at


@dataclass(slots=True)
class _Figures:
    count: int = 0
    by_severity: dict[str, int] = field(default_factory=dict)
    by_outcome: dict[str, int] = field(default_factory=dict)
    in_time: int = 0
    late: int = 0
    open_overdue: int = 0
    without_outcome: int = 0
    duplicates: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, one: Counted, now: int) -> None:
        self.count += 1
        _count(self.by_severity, "unknown" if one.severity is None else str(one.severity))
        if one.triage is None:
            self.without_outcome += 1
        else:
            _count(self.by_outcome, one.triage)
        self.duplicates += one.duplicate_of is not None
        answered = one.answered_at
        if answered is not None:
            self.seconds.append(max(0, answered - one.received_at) / 1_000_000)
            self.in_time += one.due_at is None or answered <= one.due_at
            self.late += one.due_at is not None and answered > one.due_at
        elif one.due_at is not None and one.met_at is None:
            self.open_overdue += one.due_at < now

    def as_json(self) -> dict[str, Any]:
        seconds = self.seconds
        response = None
        if seconds:
            response = {
                "average": round(fmean(seconds), 3),
                "median": round(median(seconds), 3),
                "max": round(max(seconds), 3),
            }
        return {
            "count": self.count,
            "by_severity": dict(sorted(self.by_severity.items())),
            "by_outcome": dict(sorted(self.by_outcome.items())),
            "acknowledged_in_time": self.in_time,
            "acknowledged_late": self.late,
            "open_past_deadline": self.open_overdue,
            "without_outcome": self.without_outcome,
            "duplicates": self.duplicates,
            "response_seconds": response,
        }


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def summarise(warnings: Iterable[Counted], now: int) -> dict[str, Any]:
    """Totals, figures by village and by assigned unit, each group in order of its name; a null name comes last.

    `now` in microseconds since 1970. Response times run from acceptance to the recipient's first answer, in seconds.
    """
    total = _Figures()
    villages: dict[str | None, _Figures] = {}
    units: dict[str | None, _Figures] = {}
    for one in warnings:
        groups = (villages, one.region_code), (units, one.assigned_unit)
        for figures in (total, *(groups_.setdefault(name, _Figures()) for groups_, name in groups)):
            figures.add(one, now)
    return {
        "total": total.as_json(),
        "villages": _groups("region_code", villages),
        "units": _groups("assigned_unit", units),
    }


def _groups(member: str, groups: Mapping[str | None, _Figures]) -> list[dict[str, Any]]:
    names = sorted(groups, key=lambda name: (name is None, name or ""))
    return [{member: name} | groups[name].as_json() for name in names]
