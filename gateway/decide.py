"""Whether a message may pass under an agreement, and how much of it: one pure function, `decide`.

Decides from the message, the agreement, facts that the flow has looked up, and `now`. Default deny: nothing passes
without a rule, and an error while judging denies. A refusal tells every reason of the one rule that could have
permitted the message, with its clause; no reason ever holds a value of the message. Leaves signature and schema to the
steps before, withholding and recording to those after.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from gateway.agreement import Agreement
from gateway.conditions import CLAIMS, MISSING, Span, in_order, lasts_at_most
from gateway.envelope import Claims, VerifiedMessage
from gateway.errors import Reason
from gateway.terms import Answers, Ordered, PeriodAtMost, RefersTo, Retention, Rule
from gateway.vocabulary import Situation

REASONS_LIMIT: Final = 64
EVALUATION_FAILED: Final = "evaluation failed"
# How far a message may travel (TLP 2.0), the widest first.
_HANDLINGS: Final = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")


@dataclass(frozen=True, slots=True)
class RelatedTransfer:
    """An earlier transfer under the same agreement, as the ledger has it.

    `accepted`: it was permitted and recorded. `open`: no accepted message answers it yet. `live`: it was looked up that
    it is neither cancelled, recalled nor expired; what was not looked up does not count as live.
    """

    transfer: str
    type: str
    sender: str
    recipient: str
    accepted: bool
    open: bool
    live: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What `decide` cannot see in the message. `in_reply_to` is None where no such transfer is known."""

    in_reply_to: RelatedTransfer | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, under which rule, and why.

    Permitted: `reasons` is empty, `withheld` names what stays behind (each pointer with everything below it),
    `retain_until` is the last day on which the message is kept, in the agreement's time zone, `acknowledge_by` is in
    UTC and None where the rule sets no deadline. Refused: `reasons` is not empty and nothing else is set but what is
    known of the rule and the agreement.
    """

    permitted: bool
    rule: str | None = None
    clause: str | None = None
    reasons: tuple[Reason, ...] = ()
    withheld: tuple[str, ...] = ()
    agreement: str | None = None
    agreement_version: int | None = None
    retain_until: date | None = None
    acknowledge_by: datetime | None = None
    priority: str | None = None
    handling: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values for `POST /v1/decisions`: what is not set is left out."""
        members = {
            "rule": self.rule,
            "clause": self.clause,
            "agreement": self.agreement,
            "agreement_version": self.agreement_version,
            "retain_until": self.retain_until and self.retain_until.isoformat(),
            "acknowledge_by": self.acknowledge_by and self.acknowledge_by.isoformat().replace("+00:00", "Z"),
            "priority": self.priority,
            "handling": self.handling,
        }
        return {
            "permitted": self.permitted,
            "reasons": [reason.as_json() for reason in self.reasons],
            "withheld": list(self.withheld),
            **{name: value for name, value in members.items() if value is not None},
        }


def relations_needed(agreement: Agreement | None, message: VerifiedMessage) -> tuple[str, ...]:
    """The ids of the transfers to look up for `Facts`: the one that the message replies to, where a rule asks about it."""
    claims = message.claims
    if agreement is None or claims.in_reply_to is None:
        return ()
    rules = agreement.rules_for(claims.type, claims.iss, claims.aud)
    asked = any(isinstance(relation, Answers | RefersTo) for rule in rules for relation in rule.relations)
    return (claims.in_reply_to,) if asked else ()


def decide(agreement: Agreement | None, message: VerifiedMessage, facts: Facts, now: datetime) -> Decision:
    """Step 7: a permission with its rule, or a refusal with every reason. Never raises: an error denies."""
    rule: Rule | None = None
    try:
        if agreement is None or agreement.id != message.claims.agreement:
            return _refused(None, None, [Reason("agreement.unknown", pointer="/agreement")])
        if not agreement.in_force(now):
            return _refused(agreement, None, [Reason("agreement.inactive", pointer="/agreement")])
        rules = _in_force(agreement, message.claims, now)
        if not rules:
            return _refused(agreement, None, [Reason("rule.none", pointer="/type")])
        # The parser refuses a second rule for the same purpose, so there is one or none.
        rule = next((rule for rule in rules if message.claims.purpose in rule.purposes), None)
        if rule is None:
            return _refused(agreement, rules[0] if len(rules) == 1 else None, _purposes(rules))
        return _Judgement(agreement, rule, message, facts, now).decision()
    except Exception:  # noqa: BLE001 - whatever went wrong, nobody has said that this message may pass
        clause = rule.clause if rule else None
        return _refused(agreement, rule, [Reason("rule.condition", clause, detail=EVALUATION_FAILED)])


def _in_force(agreement: Agreement, claims: Claims, now: datetime) -> list[Rule]:
    day = agreement.day(now)
    return [rule for rule in agreement.rules_for(claims.type, claims.iss, claims.aud) if rule.valid_on(day)]


def _purposes(rules: Iterable[Rule]) -> list[Reason]:
    return [
        Reason("rule.purpose", rule.clause, "/purpose", f"rule {rule.id} allows {', '.join(rule.purposes)}")
        for rule in rules
    ]


def _refused(agreement: Agreement | None, rule: Rule | None, reasons: list[Reason]) -> Decision:
    return Decision(
        permitted=False,
        rule=rule.id if rule else None,
        clause=rule.clause if rule else None,
        reasons=tuple(reasons[:REASONS_LIMIT]),
        agreement=agreement.id if agreement else None,
        agreement_version=agreement.version if agreement else None,
    )


class _Judgement:
    """One message before the one rule that could permit it; every condition is looked at, so that all faults are told."""

    def __init__(self, agreement: Agreement, rule: Rule, message: VerifiedMessage, facts: Facts, now: datetime) -> None:
        self.agreement = agreement
        self.rule = rule
        self.claims = message.claims
        self.view = _view(message)
        self.disclosable = message.disclosable
        self.restricted = [
            (withholding, [pointer for pointer, _ in withholding.field.find(self.view)])
            for withholding in rule.withhold
        ]
        self.related = facts.in_reply_to
        self.now = now.astimezone(agreement.timezone)

    def decision(self) -> Decision:
        retain_until = self.retain_until(self.rule.retention)
        reasons = [
            *self.case(),
            *self.conditions(),
            *self.relations(),
            *self.territory(),
            *self.openness(),
            *(() if retain_until else (self.reason("rule.condition", "/body", "retention"),)),
        ]
        if reasons:
            return _refused(self.agreement, self.rule, reasons)
        return Decision(
            permitted=True,
            rule=self.rule.id,
            clause=self.rule.clause,
            withheld=self.withheld(),
            agreement=self.agreement.id,
            agreement_version=self.agreement.version,
            retain_until=retain_until,
            acknowledge_by=self.acknowledge_by(),
            priority=self.rule.priority,
            handling=max(self.rule.handling, self.claims.handling or "CLEAR", key=_HANDLINGS.index),
        )

    def reason(self, code: str, pointer: str, detail: str | None = None) -> Reason:
        return Reason(code, self.rule.clause, pointer, detail)

    def holds(self, situation: Situation) -> bool:
        for pointer, fragment in situation.items():
            value = pointer.read(self.view)
            if value is MISSING or not fragment.is_met_by(value):
                return False
        return True

    def case(self) -> Iterator[Reason]:
        if self.rule.requires is None:
            return
        allowed = f"one of {', '.join(self.rule.requires.case)}"
        if self.claims.case is None:
            yield self.reason("rule.case-required", "/case", allowed)
        elif self.claims.case.type not in self.rule.requires.case:
            yield self.reason("rule.case-required", "/case/type", allowed)

    def conditions(self) -> Iterator[Reason]:
        for condition in self.rule.where:
            value = condition.field.read(self.view)
            if not (condition.optional if value is MISSING else condition.must.is_met_by(value)):
                yield self.reason("rule.condition", condition.field.text, condition.name)

    def relations(self) -> Iterator[Reason]:
        for relation in self.rule.relations:
            if isinstance(relation, Ordered | PeriodAtMost):
                if not self.timely(relation):
                    yield self.reason("rule.condition", relation.last.text, relation.name)
            elif not self.replies(relation):
                yield self.reason("rule.condition", "/in_reply_to", relation.name)

    def timely(self, relation: Ordered | PeriodAtMost) -> bool:
        if isinstance(relation, Ordered) and relation.optional:
            ends = (relation.first.read(self.view), relation.last.read(self.view))
            if MISSING in ends:
                return True
        first, last = (
            Span.read(pointer, self.view, self.agreement.timezone) for pointer in (relation.first, relation.last)
        )
        if first is None or last is None:
            return False
        return in_order(first, last) if isinstance(relation, Ordered) else lasts_at_most(first, last, relation.limit)

    def replies(self, relation: Answers | RefersTo) -> bool:
        """Whether the looked-up transfer is the one that the message names, and fit to be replied to by this sender."""
        earlier, claims = self.related, self.claims
        if earlier is None or earlier.transfer != claims.in_reply_to:
            return False
        if not earlier.accepted or earlier.type not in relation.types:
            return False
        received = (earlier.sender, earlier.recipient) == (claims.aud, claims.iss)
        if isinstance(relation, Answers):
            return received and (earlier.open or not relation.open)
        return (received or (earlier.sender, earlier.recipient) == (claims.iss, claims.aud)) and earlier.live

    def territory(self) -> Iterator[Reason]:
        for within in self.rule.jurisdiction:
            unit = {"sender": self.claims.iss, "recipient": self.claims.aud}.get(within.of, within.of)
            jurisdiction = self.agreement.jurisdictions[unit]
            detail = f"not in the territory of {unit}"
            found = within.field.find(self.view)
            if not found and not within.optional:
                yield self.reason("rule.out-of-jurisdiction", within.field.text, detail)
            for pointer, code in found:
                if not jurisdiction.covers(code):
                    yield self.reason("rule.out-of-jurisdiction", pointer, detail)

    def openness(self) -> Iterator[Reason]:
        """What the rule may withhold must be a disclosure of its own, in this message and whatever its situation.

        A disclosable parent is not enough, for then the gateway would have to take more than the rule says; disclosable
        children are not enough, for then the field itself would stay.
        """
        for _, pointers in self.restricted:
            for pointer in pointers:
                if pointer not in self.disclosable:
                    yield self.reason("rule.field-not-disclosable", pointer)

    def withheld(self) -> tuple[str, ...]:
        gone = {
            pointer
            for withholding, pointers in self.restricted
            if not any(self.holds(situation) for situation in withholding.unless)
            for pointer in pointers
        }
        return tuple(sorted(pointer for pointer in gone if not _lies_within(pointer, gone)))

    def retain_until(self, retention: Retention) -> date | None:
        """None where the day to count from is not there: without it nobody could say when the message must go."""
        start = self.now
        if retention.counted_from is not None:
            span = Span.read(retention.counted_from, self.view, self.agreement.timezone)
            if span is None:
                return None
            start = max(start, span.last)
        return retention.keep.after(start).date()

    def acknowledge_by(self) -> datetime | None:
        if self.rule.acknowledge_within is None:
            return None
        deadlines = (
            deadline.within.after(self.now)
            for deadline in self.rule.acknowledge_within.deadlines
            if deadline.when is None or self.holds(deadline.when)
        )
        return min(deadlines).astimezone(UTC)


def _view(message: VerifiedMessage) -> dict[str, Any]:
    """What `message.view()` gives, without copying: the copies cost as much as all conditions together."""
    claims = message.claims
    view = {name: value for name in CLAIMS if (value := getattr(claims, name)) not in (None, ())}
    if claims.case is not None:
        view["case"] = {"type": claims.case.type, "number": claims.case.number}
    if claims.officer is not None:
        view["officer"] = {"id": claims.officer.id, "role": claims.officer.role}
    if claims.legal_basis:
        view["legal_basis"] = list(claims.legal_basis)
    view["body"] = message.body
    return view


def _lies_within(pointer: str, others: set[str]) -> bool:
    """Whether an ancestor of `pointer` is among `others`."""
    parent = pointer.rpartition("/")[0]
    while parent:
        if parent in others:
            return True
        parent = parent.rpartition("/")[0]
    return False
