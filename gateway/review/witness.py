"""The search for a witness: one concrete message that two agreements judge differently.

Decides where to look: published examples and specimens, then the places that the two rules speak of, one change after
the other, towards a message that the one agreement permits, and from there to one that the other refuses or withholds
more of. What it returns was judged by `decide` under both; that it returns nothing proves nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final

from gateway.agreement.conditions import MISSING, Pointer
from gateway.agreement.document import Agreement
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
from gateway.decision.decide import Decision
from gateway.message_types.catalogue import Catalogue
from gateway.message_types.specimens import specimens
from gateway.review.draft import LINKED, RELATED, Bench, Draft, Related, moved, released, with_value
from gateway.review.narrowing import Side, codes_at
from gateway.review.replies import ways_of
from gateway.review.shape import message_shape, nodes

TRIES: Final = 6_000
"""How many messages one search judges at most."""

_STEPS: Final = 24
_BASES: Final = 12
_VALUES: Final = 24
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Values = Mapping[Pointer, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Witness:
    """A message and what each agreement says of it. `fields` are those that only one of them releases."""

    draft: Draft
    before: Decision
    after: Decision
    fields: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        told = {"before": self.before.as_json(), "after": self.after.as_json()}
        return {**self.draft.as_json(), **told, **({"fields": list(self.fields)} if self.fields else {})}


@dataclass(frozen=True, slots=True)
class Field:
    """What is searched in: one exchange, the moments to try, the catalogue that bodies must conform to."""

    bench: Bench
    catalogue: Catalogue
    examples: Mapping[str, Sequence[Any]]
    claims: Mapping[str, Any]
    moments: tuple[datetime, ...]


def permitted_by_one(field: Field, permits: Agreement, refuses: Agreement) -> Witness | None:
    """A message that `permits` permits and `refuses` refuses."""
    for draft in _around(field, permits):
        other = field.bench.judged(draft, refuses)
        if not other.permitted:
            return Witness(draft, *field.bench.both(draft))
    return None


def released_by_one(field: Field, releases: Agreement, withholds: Agreement, pattern: str) -> Witness | None:
    """A message that both permit, with a field at `pattern` that only `releases` shows the recipient."""
    wanted = Pointer.parse(pattern)
    for draft in _around(field, releases, withholds, wanted):
        shown, kept = field.bench.judged(draft, releases), field.bench.judged(draft, withholds)
        if shown.permitted and kept.permitted:
            disclosable = field.bench.disclosable
            more = released(draft, shown, disclosable) - released(draft, kept, disclosable)
            places = {pointer for pointer, _ in wanted.find({"body": draft.view["body"]})}
            if more & places:
                return Witness(draft, *field.bench.both(draft), tuple(sorted(more)))
    return None


def handled_apart(field: Field, one: Agreement, other: Agreement) -> Witness | None:
    """A message that both permit, and that may travel further under one of them than under the other."""
    for draft in _around(field, one, other):
        first, second = field.bench.judged(draft, one), field.bench.judged(draft, other)
        if first.permitted and second.permitted and first.handling != second.handling:
            return Witness(draft, *field.bench.both(draft))
    return None


def _around(
    field: Field, first: Agreement, second: Agreement | None = None, wanted: Pointer | None = None
) -> Iterator[Draft]:
    """Messages that `first` (and `second`) permits: each base climbed to one, then its neighbours, near ones first."""
    agreements = (first,) if second is None else (first, second)
    values = _values(field)
    if wanted is not None:
        values = {**values, wanted: [*values.get(wanted, ()), *_at(field, wanted)]}
    budget = _Budget(TRIES)

    def faults(draft: Draft) -> int | None:
        if not budget.take() or field.catalogue.violations(draft.view["type"], draft.view["body"]):
            return None
        return sum(len(field.bench.judged(draft, agreement).reasons) for agreement in agreements)

    for base in _bases(field):
        start = _with_field(field, base, wanted, values) if wanted else base
        peak = _climb(start, faults, lambda draft: _moves(field, draft, values))
        if peak is None:
            continue
        yield peak
        near = []
        for draft in _moves(field, peak, values):
            if faults(draft) == 0:
                yield draft
                near.append(draft)
        for neighbour in near[:_STEPS]:
            for draft in _moves(field, neighbour, values):
                if faults(draft) == 0:
                    yield draft


def _with_field(field: Field, base: Draft, wanted: Pointer, values: Values) -> Draft:
    if wanted.find({"body": base.view["body"]}):
        return base
    for value in values.get(wanted, ()):
        view = with_value(base.view, wanted, value)
        if view is not None and not field.catalogue.violations(view["type"], view["body"]):
            return moved(base, view=view)
    return base


@dataclass(slots=True)
class _Budget:
    left: int

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


def _climb(
    start: Draft, faults: Callable[[Draft], int | None], moves: Callable[[Draft], Iterable[Draft]]
) -> Draft | None:
    """Always the first change that leaves fewer reasons of refusal; every reason is told, so a repaired one is gone."""
    here, height = start, faults(start)
    for _ in range(_STEPS):
        if height is None or height == 0:
            break
        for draft in moves(here):
            found = faults(draft)
            if found is not None and found < height:
                here, height = draft, found
                break
        else:
            return None
    return here if height == 0 else None


def _bases(field: Field) -> Iterator[Draft]:
    type_ = field.catalogue.get(str(field.claims["type"]))
    if type_ is None:
        return
    made = (body for body in specimens(type_.schema) if not field.catalogue.violations(type_.type, body))
    for body in islice((*field.examples.get(type_.type, ()), *islice(made, 4)), _BASES):
        dated = [*_moments(field, body)]
        for moment in dated[:1] or field.moments[:1]:
            yield Draft(view={**field.claims, "body": body}, at=moment)
        days = sorted(date.fromisoformat(text) for text in _days(body))
        if days and not dated:
            # Examples speak of their own time; a rule of another year needs them told of that year.
            for ahead in (timedelta(0), timedelta(days=30)):
                later = _later(body, field.moments[0].date() + ahead - days[0])
                for moment in [*_moments(field, later)][:2]:
                    yield Draft(view={**field.claims, "body": later}, at=moment)


def _moments(field: Field, body: Any) -> Iterator[datetime]:
    """The days that the body speaks of, and the ones around them, as far as they lie in the span of the search."""
    days = {date.fromisoformat(text) for text in _days(body)}
    first, last = min(field.moments), max(field.moments)
    for day in sorted({*days, *(day + timedelta(days=one) for day in days for one in (1, -1))}):
        moment = datetime.combine(day, time(3), UTC)
        if first.date() <= moment.date() <= last.date():
            yield moment


def _later(value: Any, by: timedelta) -> Any:
    """The same body with every day in it moved."""
    if isinstance(value, dict):
        return {name: _later(member, by) for name, member in value.items()}
    if isinstance(value, list):
        return [_later(member, by) for member in value]
    for day in _days(value):
        return (date.fromisoformat(day) + by).isoformat() + str(value)[10:]
    return value


def _days(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _days(member)
    elif isinstance(value, str) and _DAY.match(value):
        try:
            date.fromisoformat(value[:10])
        except ValueError:
            return
        yield value[:10]


def _moves(field: Field, draft: Draft, values: Values) -> Iterator[Draft]:
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


def _values(field: Field) -> Values:
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
            add(pointer, _at(field, pointer))
            if pointer.text == "/case/type":
                kinds = [value for value in found[pointer] if isinstance(value, str)]
                add(_CASE, ({"type": kind, "number": f"{kind}/1/2026"} for kind in kinds))
            if pointer.text == "/officer/role":
                add(_OFFICER, ({"id": "OFFICER-1", "role": role} for role in found[pointer] if isinstance(role, str)))
        for relation in rule.relations:
            add_times(relation, add)
            if isinstance(relation, Links):
                add(relation.field, [LINKED])
        for within in rule.jurisdiction:
            add(within.field, _places(field, rule, within))
            add(within.field, _at(field, within.field))
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


_CASE: Final = Pointer.parse("/case")
_OFFICER: Final = Pointer.parse("/officer")
_FIXED: Final = frozenset({"iss", "aud", "type", "agreement", "purpose", "jti", "iat", "exp", "in_reply_to"})
_TIMES: Final = ("2026-01-01", "2026-06-01", "2027-06-01", "2026-01-01T00:00:00Z", "2027-06-01T00:00:00Z")


def add_times(relation: Relation, add: Callable[[Pointer, Iterable[Any]], None]) -> None:
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


def _at(field: Field, pointer: Pointer) -> Iterator[Any]:
    """Specimens of what the type's schema describes at the place."""
    rule = field.bench.rules[0]
    type_ = field.catalogue.get(rule.type)
    if type_ is not None:
        shape = message_shape(rule, type_)
        for node in nodes(shape, pointer.steps):
            yield from islice(specimens({**node, "$defs": shape["$defs"]}), _VALUES)
