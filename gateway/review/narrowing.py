"""Whether one rule asks for everything that another one asks for: what it permits, the other one permits as well.

Decides it term by term. Where a term of the other rule is not proven to follow, it is named: then a message may exist
that only the first rule permits, and `witness` looks for one. What is named here too much costs a search, what is named
too little would hide a permission; so anything that is not understood is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.agreement.conditions import Duration, Pointer
from gateway.agreement.document import Agreement
from gateway.agreement.figures import Term
from gateway.agreement.terms import (
    Amends,
    Answers,
    AtMost,
    Confidential,
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
    Within,
)
from gateway.agreement.vocabulary import Situation
from gateway.message_types.catalogue import MessageType
from gateway.message_types.compatibility import Verdict, algebra, covers
from gateway.message_types.specimens import flat
from gateway.review.shape import at, holds, message_shape, nodes, only_when

_SPOKEN = frozenset({"provenance", "citation", "citation_id", "name", "title", "id"})


@dataclass(frozen=True, slots=True)
class Side:
    """A rule in its agreement, beside the type that it is about (None where the catalogue has no such type)."""

    agreement: Agreement
    rule: Rule
    type: MessageType | None


def plain(term: Any) -> Any:
    """What a term says and its source does not: for telling whether two terms mean the same."""
    if isinstance(term, Term):
        return {name: plain(getattr(term, name)) for name in type(term).model_fields if name not in _SPOKEN}
    if hasattr(term, "items"):
        return {plain(name): plain(value) for name, value in term.items()}
    if isinstance(term, tuple | list):
        return [plain(entry) for entry in term]
    if hasattr(term, "schema"):
        return dict(term.schema)
    return term.text if hasattr(term, "text") else term


def no_wider(narrow: Side, wide: Side, route: tuple[str, str]) -> tuple[str, ...]:
    """The terms of `wide` that `narrow` is not proven to ask for, by name; empty if it permits no more than `wide`."""
    return tuple(dict.fromkeys(_missing(narrow, wide, route)))


def _missing(narrow: Side, wide: Side, route: tuple[str, str]) -> Iterator[str]:
    yield from _conditions(narrow, wide, route)
    for relation in wide.rule.relations:
        if relation.otherwise == "refuse" and not any(_follows(relation, other) for other in narrow.rule.relations):
            yield relation.name
    for within in wide.rule.jurisdiction:
        if not any(_inside(narrow, other, wide, within, route) for other in narrow.rule.jurisdiction):
            yield f"jurisdiction {within.field.text}"
    yield from _limits(narrow.rule, wide.rule)


def _limits(narrow: Rule, wide: Rule) -> Iterator[str]:
    if wide.quota is not None:
        for name in ("per_hour", "per_day"):
            limit, other = getattr(wide.quota, name), getattr(narrow.quota, name, None)
            if limit is not None and (other is None or other > limit):
                yield f"quota {name}"
    one, other_repeats = wide.repeats, narrow.repeats
    if one is not None and one.otherwise == "refuse":
        tighter = (
            other_repeats is not None
            and other_repeats.otherwise == "refuse"
            and plain(other_repeats.subject) == plain(one.subject)
            and other_repeats.at_most <= one.at_most
            and _no_longer(one.within, other_repeats.within)
            and set(other_repeats.named_by) <= set(one.named_by)
            and (other_repeats.on_own_papers == "refuse" or one.on_own_papers == "flag")
        )
        if not tighter:
            yield "repeats"
    if wide.stands_until is not None and plain(narrow.stands_until) != plain(wide.stands_until):
        yield "stands_until"
    counted = wide.retention.counted_from
    if counted is not None and plain(narrow.retention.counted_from) != plain(counted):
        yield "retention"


def _conditions(narrow: Side, wide: Side, route: tuple[str, str]) -> Iterator[str]:
    """Each demand on claims and body must follow from all demands of the narrower rule together."""
    asked = dict(_demands(narrow.rule))
    together: Any = None
    for name, demand in _demands(wide.rule):
        if any(demand == other for other in asked.values()):
            continue
        if together is None:
            shape = message_shape(narrow.rule, narrow.type, route) if narrow.type else {"type": "object"}
            together = algebra({"allOf": [shape, *asked.values()], "$defs": shape.get("$defs", {})})
        if covers(algebra(demand), together) is not Verdict.YES:
            yield name


def _demands(rule: Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    for condition in rule.where:
        if condition.otherwise == "refuse":
            met = at(condition.field, condition.must.schema, optional=condition.optional)
            yield condition.name, only_when(condition.when, met)
    if rule.requires is not None:
        case = {"type": "object", "properties": {"type": {"enum": sorted(rule.requires.case)}}, "required": ["type"]}
        yield "case", {"type": "object", "properties": {"case": case}, "required": ["case"]}


def _follows(wide: Relation, narrow: Relation) -> bool:
    """Whether whatever meets `narrow` meets `wide`."""
    if narrow.otherwise != "refuse" or not _given_whenever(narrow.when, wide.when):
        return False
    match wide, narrow:
        case (Ordered(), Ordered()):
            return _same_ends(wide, narrow) and _as_strict(wide, narrow)
        case (PeriodAtMost(), PeriodAtMost()):
            return _same_ends(wide, narrow) and _as_strict(wide, narrow) and _no_longer(narrow.limit, wide.limit)
        case (PeriodAtLeast(), PeriodAtLeast()):
            return _same_ends(wide, narrow) and _as_strict(wide, narrow) and _no_longer(wide.limit, narrow.limit)
        case (Answers(), Answers()):
            return set(narrow.types) <= set(wide.types) and (narrow.open or not wide.open)
        case (RefersTo(), RefersTo()):
            return set(narrow.types) <= set(wide.types)
        case (Amends(), Amends()):
            if wide.ends and not narrow.ends:  # what was ended could be answered and hit again
                return False
            if wide.standing and not narrow.standing:
                return False
            return wide.types is None or (narrow.types is not None and set(narrow.types) <= set(wide.types))
        case (Earlier(), Earlier()):
            if narrow.field.text != wide.field.text:
                return False
            return covers(algebra(wide.must.schema), algebra(narrow.must.schema)) is Verdict.YES
        case (Same(), Same()):
            places = (wide.here.text, wide.there.text) == (narrow.here.text, narrow.there.text)
            return places and _as_strict(wide, narrow)
        case (Links(), Links()):
            same = narrow.field.text == wide.field.text and set(narrow.types) <= set(wide.types)
            return same and _as_strict(wide, narrow)
        case (AtMost(), AtMost()):
            return narrow.count <= wide.count
    return False


Timed = Ordered | PeriodAtMost | PeriodAtLeast


def _same_ends(wide: Timed, narrow: Timed) -> bool:
    return (wide.first.text, wide.last.text) == (narrow.first.text, narrow.last.text)


def _as_strict(wide: Any, narrow: Any) -> bool:
    return wide.optional or not narrow.optional


def _no_longer(one: Duration, other: Duration) -> bool:
    """Months have no length in days: only like is compared with like."""
    return (one.months, one.days, one.seconds) == (other.months, other.days, other.seconds) or (
        one.months <= other.months and one.days <= other.days and one.seconds <= other.seconds
    )


def _given_whenever(one: Situation | None, other: Situation | None) -> bool:
    """Whether the situation `one` is given wherever `other` is."""
    if one is None or plain(one) == plain(other):
        return True
    return other is not None and covers(algebra(holds(one)), algebra(holds(other))) is Verdict.YES


def _inside(narrow: Side, one: Within, wide: Side, other: Within, route: tuple[str, str]) -> bool:
    if one.field.text != other.field.text or not _as_strict(other, one):
        return False
    inner = narrow.agreement.jurisdictions[_unit(one, route)]
    outer = wide.agreement.jurisdictions[_unit(other, route)]
    listed = codes_at(narrow, one.field)
    codes = (
        (*inner.regions.codes, *(inner.checkpoints.codes if inner.checkpoints else ())) if listed is None else listed
    )
    return all(outer.covers(code) for code in codes if inner.covers(code))


def codes_at(side: Side, field: Pointer) -> tuple[str, ...] | None:
    """The codes that the schema lists for the place; None where it does not list them all."""
    if side.type is None:
        return None
    shape = message_shape(side.rule, side.type)
    found = [[*specimen_codes(node, shape)] for node in nodes(shape, field.steps)]
    listed = [codes for codes in found if codes]
    return tuple(dict.fromkeys(code for codes in listed for code in codes)) if listed and listed == found else None


def specimen_codes(node: dict[str, Any], shape: dict[str, Any]) -> Iterator[str]:
    """Every code of an enumeration, through `anyOf` and `oneOf`."""
    flattened = flat(node, shape)
    yield from (code for code in flattened.get("enum", ()) if isinstance(code, str))
    for branch in (*flattened.get("anyOf", ()), *flattened.get("oneOf", ())):
        yield from specimen_codes(branch, shape)


def _unit(within: Within, route: tuple[str, str]) -> str:
    return {"sender": route[0], "recipient": route[1]}.get(within.of, within.of)


def releases_no_more(narrow: Withholding | None, wide: Withholding | None) -> bool:
    """Whether a field is withheld under `narrow` wherever it is under `wide`; None: the rule never withholds it."""
    if wide is None:
        return True
    if narrow is None:
        return False
    if not all(any(_given_whenever(other, one) for other in wide.unless) for one in narrow.unless):
        return False
    return not narrow.unless or _as_confidential(narrow.confidential, wide.confidential)


def _as_confidential(narrow: Confidential | None, wide: Confidential | None) -> bool:
    if wide is None:
        return True
    return (
        narrow is not None
        and narrow.approvals >= wide.approvals
        and set(narrow.roles) <= set(wide.roles)
        and set(narrow.notice) <= set(wide.notice)
        and _given_whenever(narrow.when, wide.when)
        and set(plain(wide.matching).items()) <= set(plain(narrow.matching).items())
    )
