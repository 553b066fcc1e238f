"""One rule of an agreement in words: who to whom, what for, under which conditions, and what becomes of the message."""

from collections.abc import Iterator
from typing import Any

from gateway.agreement.document import Agreement
from gateway.agreement.figures import Deadline, Sourced
from gateway.agreement.terms import (
    Amends,
    Answers,
    AtMost,
    Attributed,
    Condition,
    Earlier,
    Links,
    Ordered,
    PeriodAtLeast,
    PeriodAtMost,
    RefersTo,
    Relation,
    Rule,
    Same,
    Withholding,
)
from gateway.agreement.vocabulary import Otherwise
from gateway.message_types.catalogue import Catalogue
from scripts.docs.conditions import given, must, period
from scripts.docs.markdown import code, joined, listed, table


def rule_section(agreement: Agreement, catalogue: Catalogue, rule: Rule) -> Iterator[str]:
    """The whole rule below a heading of the third rank."""
    clause = agreement.clauses[rule.clause]
    yield f"### Rule {rule.id}"
    yield ""
    yield f"{rule.title.en} – *{rule.title.id}*"
    yield ""
    yield f"- Clause {rule.clause}: {clause.title.en} – *{clause.title.id}*"
    yield f"- From → to: {'; '.join(f'{code(one)} → {code(other)}' for one, other in rule.routes())}"
    purposes = catalogue.code_list("purpose").entries
    labels = [f"{code(name)} ({purposes[name].en})" if name in purposes else code(name) for name in rule.purposes]
    yield f"- Purposes: {', '.join(labels)}"
    yield f"- Handling (TLP): {code(rule.handling)}; priority: {code(rule.priority)}"
    if rule.valid_from or rule.valid_until:
        yield f"- Valid: from {rule.valid_from or 'the beginning'} until {rule.valid_until or 'the end'} of the agreement"
    yield f"- {source(rule)}"
    yield ""
    yield from table(("what must hold", "otherwise", "source"), [*_demands(rule)])
    if rule.withhold:
        yield ""
        yield from table(("withheld", "unless", "source"), [_withheld(one) for one in rule.withhold])
    yield ""
    yield from table(("figure", "value", "source"), [*_figures(rule)])


def source(term: Sourced | Attributed, otherwise: str = "as the rule") -> str:
    """Provenance and citation; a term without its own has its rule's."""
    if term.provenance is None:
        return otherwise
    return f"**{'public' if term.provenance == 'public' else 'to be confirmed'}**: {term.citation}"


def deadline(rule: Rule) -> str:
    """By when the recipient must have acknowledged, every case."""
    if rule.acknowledge_within is None:
        return "none"
    return "; ".join(
        _within(one) + (f" if {given(one.when)}" if one.when else "") for one in rule.acknowledge_within.deadlines
    )


def _within(deadline: Deadline) -> str:
    return period(deadline.within).replace("day", "working day") if deadline.working else period(deadline.within)


def retention(rule: Rule) -> str:
    counted = rule.retention.counted_from
    return period(rule.retention.keep) + (f" from the day at {code(counted.text)}" if counted else "")


def _demands(rule: Rule) -> Iterator[tuple[str, str, str]]:
    if rule.requires is not None:
        yield f"a case reference of type {listed(rule.requires.case)}", "refused", source(rule.requires)
    for condition in rule.where:
        yield _named(condition, _condition(condition)), _failure(condition), source(condition)
    for relation in rule.relations:
        yield _named(relation, _relation(relation)), _failure(relation), source(relation)
    for within in rule.jurisdiction:
        words = f"{code(within.field.text)} lies in the territory of {code(within.of)}"
        yield words + (", or is missing" if within.optional else ""), "refused", source(within)
    yield "every field below is a disclosure of its own" if rule.withhold else "the schema", "refused", "as the rule"


def _named(term: Any, words: str) -> str:
    when = f"if {given(term.when)}: " if term.when is not None else ""
    return f"{code(term.name)}: {when}{words}"


def _failure(term: Any) -> str:
    return _outcome(term.otherwise)


def _outcome(otherwise: Otherwise) -> str:
    return "accepted with a flag" if otherwise == "flag" else "refused"


def _condition(condition: Condition) -> str:
    schema = condition.must.schema
    if condition.optional and schema == {"const": False}:
        return f"{code(condition.field.text)} is absent"
    return f"{code(condition.field.text)} {must(schema)}" + (", or is missing" if condition.optional else "")


def _relation(relation: Relation) -> str:
    optional = ", or one of them is missing" if getattr(relation, "optional", False) else ""
    match relation:
        case Ordered():
            return f"{code(relation.first.text)} is not later than {code(relation.last.text)}{optional}"
        case PeriodAtMost() | PeriodAtLeast():
            ends = f"from {code(relation.first.text)} to {code(relation.last.text)}"
            bound = "at most" if isinstance(relation, PeriodAtMost) else "at least"
            return f"{ends} it is {bound} {period(relation.limit)}{optional}"
        case Answers():
            state = "still open" if relation.open else "answered or not"
            return f"replies to a message that the sender received and that still stands: {listed(relation.types)}, {state}"
        case RefersTo():
            return f"replies to a message between the two that still stands: {listed(relation.types)}"
        case Amends():
            what = listed(relation.types) if relation.types else "of any type"
            stands = " that still stands" if relation.standing else ", standing or not"
            return f"replies to the sender's own message{stands}: {what}" + (
                "; afterwards that one stands no longer" if relation.ends else ""
            )
        case Earlier():
            return f"in the message replied to, {code(relation.field.text)} {must(relation.must.schema)}"
        case Same():
            return f"{code(relation.here.text)} equals {code(relation.there.text)} of the message replied to{optional}"
        case Links():
            missing = ", if it is there," if relation.optional else ""
            return f"{code(relation.field.text)}{missing} names a message between the two: {listed(relation.types)}"
        case AtMost():
            return f"at most {relation.count} message(s) of this type reply to the same message"


def _withheld(withholding: Withholding) -> tuple[str, str, str]:
    field = code(withholding.field.text)
    if not withholding.unless:
        return field, "never released", source(withholding)
    situations = " – or – ".join(map(given, withholding.unless))
    secret = withholding.confidential
    if secret is None:
        return field, situations, source(withholding)
    asked = f"{secret.approvals} different officers approve, of the roles {listed(secret.roles)}"
    notice = f"the recipient has acknowledged the notice: {listed(secret.notice)}"
    equal = [f"{code(here.text)} equals its {code(there.text)}" for here, there in secret.matching.items()]
    when = f" (needed if {given(secret.when)})" if secret.when is not None else ""
    words = f"{situations}; **confidential**{when}: {joined([asked, notice, *equal])}"
    own = f"; confidentiality {source(secret)}" if secret.provenance is not None else ""
    return field, words, source(withholding) + own


def _figures(rule: Rule) -> Iterator[tuple[str, str, str]]:
    yield "kept", retention(rule), source(rule.retention)
    if rule.acknowledge_within is not None:
        yield "acknowledged within", deadline(rule), source(rule.acknowledge_within)
    if rule.stands_until is not None:
        yield "stands until", code(rule.stands_until.text), "as the rule"
    if rule.quota is not None:
        limits = ((rule.quota.per_hour, "an hour"), (rule.quota.per_day, "a day"))
        yield "quota of a sender", ", ".join(f"{count} {per}" for count, per in limits if count), source(rule.quota)
    if rule.repeats is not None:
        words = f"{rule.repeats.at_most} in {period(rule.repeats.within)} about one person at {code(rule.repeats.subject.text)}"
        if rule.repeats.named_by:
            words += (
                f"; no limit where the case names the person in {listed(rule.repeats.named_by)} that the recipient sent"
            )
            words += (
                f"; where only the sender's own papers name the person, beyond: {_outcome(rule.repeats.on_own_papers)}"
            )
        yield "repeated subject", f"{words}; beyond: {_failure(rule.repeats)}", source(rule.repeats)
