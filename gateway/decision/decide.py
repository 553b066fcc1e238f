"""Whether a message may pass under an agreement, and how much of it: one pure function, `decide`.

Decides from the message, the agreement, facts that the flow has looked up, and `now`. Default deny: nothing passes
without a rule, and an error while judging denies. A refusal tells every reason of the one rule that could have
permitted the message, with its clause; no reason ever holds a value of the message. Leaves signature and schema to the
steps before, withholding and recording to those after.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from gateway.agreement.conditions import MISSING, Span
from gateway.agreement.document import Agreement
from gateway.agreement.terms import Rule
from gateway.agreement.vocabulary import Otherwise
from gateway.decision.confidentiality import Release, release
from gateway.decision.facts import Facts, Needs, RelatedTransfer, needs
from gateway.decision.reading import Reading, rule_for, rules_in_force, view_of
from gateway.decision.relations import broken, reply_as
from gateway.errors import Reason
from gateway.message.envelope import HANDLINGS, VerifiedMessage
from gateway.withholding.consistency import consistent

# What a caller asks and what it passes in come with the decision; they stand in `facts.py`.
__all__ = ["Decision", "Facts", "Needs", "RelatedTransfer", "decide", "needs"]

REASONS_LIMIT: Final = 64
EVALUATION_FAILED: Final = "evaluation failed"
REVEALS: Final = "reveals what is withheld"
_INDEX: Final = re.compile(r"/[0-9]+(?=/|$)")
# How far a message may travel (TLP 2.0), the widest first.


class Decision(NamedTuple):
    """What was decided, under which rule, and why.

    Permitted: `reasons` is empty, `flags` tells what failed without refusing, `withheld` names what stays behind (each
    pointer with everything below it), `retain_until` is the last day on which the message is kept, in the agreement's time
    zone, `acknowledge_by` is in UTC and None where the rule sets no deadline. `reply_as` says how the message replies:
    `answers`, `ends`, `amends` or `refers`. `stands_until` is the first moment, in UTC, at which it stands no longer, None
    for no end. `approved_by` are the keys of the officers whose approvals carry a release, `notice` is the transfer that
    acknowledged the confidentiality notice. Refused: `reasons` is not empty and nothing else is set but what is known of
    the rule and the agreement.
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
    flags: tuple[Reason, ...] = ()
    reply_as: str | None = None
    stands_until: datetime | None = None
    approved_by: tuple[str, ...] = ()
    notice: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values for `POST /v1/decisions`: what is not set is left out."""
        members = {
            "rule": self.rule,
            "clause": self.clause,
            "agreement": self.agreement,
            "agreement_version": self.agreement_version,
            "retain_until": self.retain_until and self.retain_until.isoformat(),
            "acknowledge_by": _moment(self.acknowledge_by),
            "priority": self.priority,
            "handling": self.handling,
            "flags": [flag.as_json() for flag in self.flags] or None,
            "reply_as": self.reply_as,
            "stands_until": _moment(self.stands_until),
            "approved_by": list(self.approved_by) or None,
            "notice": self.notice,
        }
        return {
            "permitted": self.permitted,
            "reasons": [reason.as_json() for reason in self.reasons],
            "withheld": list(self.withheld),
            **{name: value for name, value in members.items() if value is not None},
        }


def decide(agreement: Agreement | None, message: VerifiedMessage, facts: Facts, now: datetime) -> Decision:
    """Step 7: a permission with its rule, or a refusal with every reason. Never raises: an error denies."""
    rule: Rule | None = None
    try:
        if agreement is None or agreement.id != message.claims.agreement:
            return _refused(None, None, [Reason("agreement.unknown", pointer="/agreement")])
        rules = rules_in_force(agreement, message.claims, now)
        if rules is None:
            return _refused(agreement, None, [Reason("agreement.inactive", pointer="/agreement")])
        if not rules:
            return _refused(agreement, None, [Reason("rule.none", pointer="/type")])
        rule = rule_for(rules, message.claims.purpose)
        if rule is None:
            return _refused(agreement, rules[0] if len(rules) == 1 else None, _purposes(rules))
        return _Judgement(agreement, rule, message, facts, now).decision()
    except Exception:  # noqa: BLE001 - whatever went wrong, nobody has said that this message may pass
        clause = rule.clause if rule else None
        return _refused(agreement, rule, [Reason("rule.condition", clause, detail=EVALUATION_FAILED)])


def _purposes(rules: Iterable[Rule]) -> list[Reason]:
    return [
        Reason("rule.purpose", rule.clause, "/purpose", f"rule {rule.id} allows {', '.join(rule.purposes)}")
        for rule in rules
    ]


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _refused(agreement: Agreement | None, rule: Rule | None, reasons: list[Reason]) -> Decision:
    return Decision(
        permitted=False,
        rule=rule.id if rule else None,
        clause=rule.clause if rule else None,
        reasons=tuple(reasons[:REASONS_LIMIT]),
        agreement=agreement.id if agreement else None,
        agreement_version=agreement.version if agreement else None,
    )


# A failure, and whether it refuses or is a flag.
_Finding = tuple[Otherwise, Reason]


class _Judgement:
    """One message before the one rule that could permit it; every condition is looked at, so that all faults are told."""

    def __init__(self, agreement: Agreement, rule: Rule, message: VerifiedMessage, facts: Facts, now: datetime) -> None:
        self.agreement = agreement
        self.rule = rule
        self.claims = message.claims
        self.reading = Reading(message, rule, agreement.timezone, view_of(message))
        self.view = self.reading.view
        self.disclosable = message.disclosable
        self.restricted = [(withholding, withholding.field.places(self.view)) for withholding in rule.withhold]
        self.facts = facts
        self.now = now.astimezone(agreement.timezone)

    def decision(self) -> Decision:
        retain_until, stands_until = self.retain_until(), self.stands_until()
        untimed: list[Reason] = [retain_until] if isinstance(retain_until, Reason) else []
        findings = [*self.conditions(), *self.relations(), *self.subject()]
        gone, carried = self.sorted_out()
        withheld, revealing = consistent(self.view, self.may_stay_behind() if gone else (), gone, self.facts.places)
        reasons = [
            *self.case(),
            *(reason for otherwise, reason in findings if otherwise == "refuse"),
            *self.territory(),
            *self.openness(revealing),
            *self.approvals(),
            *self.quota(),
            *untimed,
        ]
        if self.rule.stands_until is not None and stands_until is None:
            reasons.append(self.reason("rule.condition", self.rule.stands_until.text, "stands-until"))
        if reasons or isinstance(retain_until, Reason):
            return _refused(self.agreement, self.rule, reasons)
        released = [
            entry for pointer, entry in carried if pointer not in withheld and not _lies_within(pointer, withheld)
        ]
        return Decision(
            permitted=True,
            rule=self.rule.id,
            clause=self.rule.clause,
            withheld=tuple(sorted([pointer for pointer in withheld if not _lies_within(pointer, withheld)])),
            agreement=self.agreement.id,
            agreement_version=self.agreement.version,
            retain_until=retain_until,
            acknowledge_by=self.acknowledge_by(),
            priority=self.rule.priority,
            handling=max(self.rule.handling, self.claims.handling or "CLEAR", key=HANDLINGS.index),
            flags=tuple([reason for otherwise, reason in findings if otherwise == "flag"][:REASONS_LIMIT]),
            reply_as=reply_as(self.reading, self.facts),
            stands_until=stands_until,
            approved_by=tuple(sorted({officer for entry in released for officer in entry.officers})),
            notice=next((entry.notice for entry in released if entry.notice), None),
        )

    def reason(self, code: str, pointer: str, detail: str | None = None) -> Reason:
        return Reason(code, self.rule.clause, pointer, detail)

    def case(self) -> Iterator[Reason]:
        if self.rule.requires is None:
            return
        allowed = f"one of {', '.join(self.rule.requires.case)}"
        if self.claims.case is None:
            yield self.reason("rule.case-required", "/case", allowed)
        elif self.claims.case.type not in self.rule.requires.case:
            yield self.reason("rule.case-required", "/case/type", allowed)

    def conditions(self) -> Iterator[_Finding]:
        for condition in self.rule.where:
            if condition.when is not None and not self.reading.given(condition.when):
                continue
            value = condition.field.read(self.view)
            if not (condition.optional if value is MISSING else condition.must.is_met_by(value)):
                yield condition.otherwise, self.reason("rule.condition", condition.field.text, condition.name)

    def relations(self) -> Iterator[_Finding]:
        for relation in self.rule.relations:
            for pointer in broken(relation, self.reading, self.facts):
                yield relation.otherwise, self.reason("rule.condition", pointer, relation.name)

    def subject(self) -> Iterator[_Finding]:
        """Fishing: one person asked about again and again, with no case in which that person appears."""
        repeats = self.rule.repeats
        if repeats is None:
            return
        limit = f"at most {repeats.at_most} about one person in {repeats.within.text}, unless the case names the person"
        if self.facts.repeated >= repeats.at_most:
            yield repeats.otherwise, self.reason("rule.repeated-subject", repeats.subject.text, limit)
        if self.facts.repeated_on_own_papers >= repeats.at_most:
            own = f"{limit} in more than the sender's own papers"
            yield repeats.on_own_papers, self.reason("rule.repeated-subject", repeats.subject.text, own)

    def quota(self) -> Iterator[Reason]:
        quota = self.rule.quota
        if quota is None:
            return
        if quota.per_hour is not None and self.facts.last_hour >= quota.per_hour:
            yield self.reason("rule.quota", "/type", f"at most {quota.per_hour} an hour")
        if quota.per_day is not None and self.facts.last_day >= quota.per_day:
            yield self.reason("rule.quota", "/type", f"at most {quota.per_day} in 24 hours")

    def approvals(self) -> Iterator[Reason]:
        """One false signature spoils the message, even where the others would do: somebody tried."""
        return (replace(fault, clause=self.rule.clause) for fault in self.facts.approval_faults)

    def territory(self) -> Iterator[Reason]:
        for within in self.rule.jurisdiction:
            unit = {"sender": self.claims.iss, "recipient": self.claims.aud}.get(within.of, within.of)
            jurisdiction = self.agreement.jurisdictions[unit]
            found = within.field.find(self.view)
            outside = [pointer for pointer, code in found if not jurisdiction.covers(code)]
            if not found and not within.optional:
                outside.append(within.field.text)
            for pointer in outside:
                yield self.reason("rule.out-of-jurisdiction", pointer, f"not in the territory of {unit}")

    def openness(self, revealing: Iterable[str]) -> Iterator[Reason]:
        """What the rule may withhold must be a disclosure of its own, in this message and whatever its situation.

        A disclosable parent is not enough, for then the gateway would have to take more than the rule says; disclosable
        children are not enough, for then the field itself would stay. Nor may anything in clear reveal what stays behind.
        """
        for _, pointers in self.restricted:
            for pointer in pointers:
                if pointer not in self.disclosable:
                    yield self.reason("rule.field-not-disclosable", pointer)
        for pointer in sorted(revealing):
            yield self.reason("rule.field-not-disclosable", pointer, REVEALS)

    def sorted_out(self) -> tuple[set[str], list[tuple[str, Release]]]:
        """What the rule withholds, and what it could withhold and releases, with that which carries the release."""
        gone: set[str] = set()
        carried: list[tuple[str, Release]] = []
        for withholding, pointers in self.restricted:
            given = bool(withholding.unless) and any(map(self.reading.given, withholding.unless))
            for pointer in pointers:
                entry = None
                if given and withholding.confidential is None:
                    entry = Release()
                elif given and withholding.confidential is not None:
                    entry = release(withholding.confidential, pointer, self.reading, self.facts)
                if entry is None:
                    gone.add(pointer)
                else:
                    carried.append((pointer, entry))
        return gone, carried

    def may_stay_behind(self) -> frozenset[str]:
        """What may be taken along with what the rule withholds: a recipient's schema must still find what it asks for."""
        known = self.facts.may_be_absent
        if known is None:
            return self.disclosable
        return frozenset(
            [pointer for pointer in self.disclosable if pointer in known or _INDEX.sub("/*", pointer) in known]
        )

    def retain_until(self) -> date | Reason:
        """The reason where the day to count from is not there or no end can be told: the message could never go."""
        start, retention = self.now, self.rule.retention
        if retention.counted_from is None:
            return retention.keep.after(start).date()
        span = Span.read(retention.counted_from, self.view, self.agreement.timezone)
        if span is None:
            return self.reason("rule.condition", "/body", "retention")
        try:
            return retention.keep.after(max(start, span.last)).date()
        except OverflowError:
            return self.reason("rule.condition", retention.counted_from.text, "retention: would end past the year 9999")

    def stands_until(self) -> datetime | None:
        """The first moment after the stated day, or the stated moment; None where there is none, or no time at all."""
        if self.rule.stands_until is None:
            return None
        span = Span.read(self.rule.stands_until, self.view, self.agreement.timezone)
        return None if span is None else span.end.astimezone(UTC)

    def acknowledge_by(self) -> datetime | None:
        if self.rule.acknowledge_within is None:
            return None
        ends: list[datetime] = []
        for deadline in self.rule.acknowledge_within.shortest_first:
            if self.reading.given(deadline.when):
                ends.append(deadline.after(self.now, self.agreement.working_days))
                if not (deadline.within.months or deadline.working):  # those that follow are no shorter
                    break
        return min(ends).astimezone(UTC)


def _lies_within(pointer: str, others: Collection[str]) -> bool:
    """Whether an ancestor of `pointer` is among `others`."""
    parent = pointer.rpartition("/")[0]
    while parent:
        if parent in others:
            return True
        parent = parent.rpartition("/")[0]
    return False
