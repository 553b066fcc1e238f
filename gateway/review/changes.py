"""What can be changed in a message so that the rules notice: the places that they speak of, and the facts that they look up.

Decides which values are worth trying at a place. Leaves to `witness` where the changes lead.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from gateway.agreement.conditions import MISSING, Pointer
from gateway.agreement.terms import (
    Amends,
    Answers,
    AtMost,
    Earlier,
    Links,
    Ordered,
    PeriodAtLeast,
    PeriodAtMost,
    RefersTo,
    Relation,
    Rule,
    Same,
    Within,
)
from gateway.agreement.vocabulary import Situation
from gateway.message_types.catalogue import Catalogue
from gateway.message_types.specimens import specimens
from gateway.review.draft import LINKED, RELATED, Bench, Draft, Related, moved, with_value
from gateway.review.narrowing import Side, codes_at
from gateway.review.replies import ways_of
from gateway.review.shape import message_shape, nodes

_VALUES: Final = 24
_CASE: Final = Pointer.parse("/case")
_OFFICER: Final = Pointer.parse("/officer")
_FIXED: Final = frozenset({"iss", "aud", "type", "agreement", "purpose", "jti", "iat", "exp", "in_reply_to"})
_TIMES: Final = ("2026-01-01", "2026-06-01", "2027-06-01", "2026-01-01T00:00:00Z", "2027-06-01T00:00:00Z")

Values = Mapping[Pointer, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Field:
    """What is searched in: one exchange, the moments to try, the catalogue that bodies must conform to."""

    bench: Bench
    catalogue: Catalogue
    examples: Mapping[str, Sequence[Any]]
    claims: Mapping[str, Any]
    moments: tuple[datetime, ...]


def single_changes(field: Field, draft: Draft, values: Values) -> Iterator[Draft]:
    """Every single change of a draft that the rules could notice."""
    for pointer, candidates in values.items():
        for value in (*candidates, MISSING):
            view = with_value(draft.view, pointer, value)
            if view is not None and view != draft.view:
                yield moved(draft, view=view)
    yield from _facts(field, draft)
    for moment in field.moments:
        if moment != draft.at:
            yield moved(draft, at=moment)


def _facts(field: Field, draft: Draft) -> Iterator[Draft]:
    rules = field.bench.rules
    for related in _related(field, draft):
        yield moved(draft, related=related)
    if draft.related is not None:
        yield moved(draft, related=None)
    roles = {
        role for rule in rules for entry in rule.withhold if entry.confidential for role in entry.confidential.roles
    }
    for number in (4, 3, 2, 1, 0) if roles else ():
        yield moved(draft, approvals=number, roles=tuple(sorted(roles)))
    for role in sorted(roles):
        yield moved(draft, approvals=4, roles=(role,))
    for rule in rules:
        if rule.quota is not None:
            for name, limit in (("last_hour", rule.quota.per_hour), ("last_day", rule.quota.per_day)):
                if limit is not None:
                    yield from (moved(draft, **{name: count}) for count in (limit, limit - 1))
        if rule.repeats is not None:
            for name in ("repeated", "repeated_on_own_papers"):
                yield from (moved(draft, **{name: count}) for count in (rule.repeats.at_most, rule.repeats.at_most - 1))
        for relation in rule.relations:
            if isinstance(relation, AtMost):
                yield from (moved(draft, replies=count) for count in (relation.count, relation.count - 1))
            if isinstance(relation, Links):
                yield from (moved(draft, links=type_) for type_ in relation.types)


def _related(field: Field, draft: Draft) -> Iterator[Related]:
    """Earlier transfers that the rules' relations and notices name, with the values that they compare."""
    route = (str(field.claims["iss"]), str(field.claims["aud"]))
    for rule in field.bench.rules:
        named: list[tuple[Sequence[str], tuple[tuple[str, str], ...]]] = [
            (relation.types or (rule.type,), ways_of(relation, route))
            for relation in rule.relations
            if isinstance(relation, Answers | RefersTo | Amends)
        ]
        named += [(entry.confidential.notice, (route[::-1],)) for entry in rule.withhold if entry.confidential]
        for types, ways in named:
            for type_ in types:
                for sender, recipient in ways:
                    for view in _earlier(field, draft, rule, type_, (sender, recipient)):
                        yield Related(type_, sender, recipient, view=view)
                        yield Related(type_, sender, recipient, open=False, view=view)
                        yield Related(type_, sender, recipient, live=False, view=view)


def _earlier(field: Field, draft: Draft, rule: Rule, type_: str, way: tuple[str, str]) -> Iterator[dict[str, Any]]:
    base: dict[str, Any] = {
        **{name: field.claims[name] for name in ("agreement", "purpose", "classification")},
        "iss": way[0],
        "aud": way[1],
        "type": type_,
        "jti": RELATED,
        "body": next(iter(field.examples.get(type_, ())), {}),
    }
    pairs = [(relation.here, relation.there) for relation in rule.relations if isinstance(relation, Same)]
    pairs += [pair for entry in rule.withhold if entry.confidential for pair in entry.confidential.matching.items()]
    for here, there in pairs:
        value = here.read(dict(draft.view))
        base = with_value(base, there, value) or base if value is not MISSING else base
    tried = False
    for relation in rule.relations:
        if isinstance(relation, Earlier):
            for value in islice(specimens(relation.must.schema), 6):
                view = with_value(base, relation.field, value)
                if view is not None:
                    tried = True
                    yield view
    if not tried or any(isinstance(relation, Earlier) for relation in rule.relations):
        yield base


def worth_trying(field: Field) -> Values:
    """For every place that one of the rules speaks of, what is worth putting there."""
    found: dict[Pointer, list[Any]] = {}

    def add(pointer: Pointer, values: Iterable[Any]) -> None:
        known = found.setdefault(pointer, [])
        known.extend(value for value in islice(values, _VALUES) if value not in known)

    for rule in field.bench.rules:
        if rule.requires is not None:
            add(_CASE, ({"type": code, "number": f"{code}/1/2026"} for code in rule.requires.case))
        for pointer, fragment in _spoken(rule):
            if fragment is not None:
                add(pointer, specimens(fragment.schema))
            add(pointer, specimens_at(field, pointer))
            if pointer.text == "/case/type":
                kinds = [value for value in found[pointer] if isinstance(value, str)]
                add(_CASE, ({"type": kind, "number": f"{kind}/1/2026"} for kind in kinds))
            if pointer.text == "/officer/role":
                add(_OFFICER, ({"id": "OFFICER-1", "role": role} for role in found[pointer] if isinstance(role, str)))
        for relation in rule.relations:
            _add_times(relation, add)
            if isinstance(relation, Links):
                add(relation.field, [LINKED])
        for within in rule.jurisdiction:
            add(within.field, _places(field, rule, within))
            add(within.field, specimens_at(field, within.field))
    found.pop(Pointer.parse("/case/type"), None)
    found.pop(Pointer.parse("/officer/role"), None)
    return {pointer: values for pointer, values in found.items() if pointer.steps[0] not in _FIXED}


def _places(field: Field, rule: Rule, within: Within) -> Iterator[str]:
    """Codes that lie in a territory, those first that lie in one agreement's and not in the other's."""
    units = {"sender": field.claims["iss"], "recipient": field.claims["aud"]}
    unit = str(units.get(within.of, within.of))
    old, new = (agreement.jurisdictions.get(unit) for agreement in (field.bench.old, field.bench.new))
    stated = [
        code
        for one in (old, new)
        if one is not None
        for code in (*one.regions.codes, *(one.checkpoints.codes if one.checkpoints else ()))
    ]
    listed = codes_at(Side(field.bench.new, rule, field.catalogue.get(rule.type)), within.field)
    known = [(code, bool(old and old.covers(code)), bool(new and new.covers(code))) for code in listed or stated]
    for lies in ((True, False), (False, True), (True, True)):
        yield from islice((code for code, before, after in known if (before, after) == lies), 4)


def _add_times(relation: Relation, add: Callable[[Pointer, Iterable[Any]], None]) -> None:
    """Days far apart and near, for relations that compare two of them."""
    if isinstance(relation, Ordered | PeriodAtMost | PeriodAtLeast):
        for pointer in (relation.first, relation.last):
            add(pointer, _TIMES)


def _spoken(rule: Rule) -> Iterator[tuple[Pointer, Any]]:
    """Every place with the fragment that is held against it; None where only its presence counts."""
    for condition in rule.where:
        yield condition.field, condition.must
        yield from _given(condition.when)
    for relation in rule.relations:
        yield from _given(relation.when)
        if isinstance(relation, Same):
            yield relation.here, None
    for withholding in rule.withhold:
        for situation in withholding.unless:
            yield from _given(situation)
        if withholding.confidential is not None:
            yield from _given(withholding.confidential.when)
            yield from ((here, None) for here in withholding.confidential.matching)
    if rule.stands_until is not None:
        yield rule.stands_until, None
    if rule.retention.counted_from is not None:
        yield rule.retention.counted_from, None


def _given(situation: Situation | None) -> Iterator[tuple[Pointer, Any]]:
    yield from (situation or {}).items()


def specimens_at(field: Field, pointer: Pointer) -> Iterator[Any]:
    """Specimens of what the type's schema describes at the place."""
    rule = field.bench.rules[0]
    type_ = field.catalogue.get(rule.type)
    if type_ is not None:
        shape = message_shape(rule, type_)
        for node in nodes(shape, pointer.steps):
            yield from islice(specimens({**node, "$defs": shape["$defs"]}), _VALUES)
