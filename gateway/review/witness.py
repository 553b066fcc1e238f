"""The search for a witness: one concrete message that two agreements judge differently.

Decides where to look: published examples and specimens, then the places that the two rules speak of, one change after
the other, towards a message that the one agreement permits, and from there to one that the other refuses or withholds
more of. What it returns was judged by `decide` under both; that it returns nothing proves nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final

from gateway.agreement.conditions import Pointer
from gateway.agreement.document import Agreement
from gateway.decision.decide import Decision
from gateway.message_types.specimens import specimens
from gateway.review.changes import Field, Values, single_changes, specimens_at, worth_trying
from gateway.review.draft import Draft, moved, released, with_value

TRIES: Final = 6_000
"""How many messages one search judges at most."""

_STEPS: Final = 24
_BASES: Final = 12
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


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
    values = worth_trying(field)
    if wanted is not None:
        values = {**values, wanted: [*values.get(wanted, ()), *specimens_at(field, wanted)]}
    budget = _Budget(TRIES)

    def faults(draft: Draft) -> int | None:
        if not budget.take() or field.catalogue.violations(draft.view["type"], draft.view["body"]):
            return None
        return sum(len(field.bench.judged(draft, agreement).reasons) for agreement in agreements)

    for base in _bases(field):
        start = _with_field(field, base, wanted, values) if wanted else base
        peak = _climb(start, faults, lambda draft: single_changes(field, draft, values))
        if peak is None:
            continue
        yield peak
        near = []
        for draft in single_changes(field, peak, values):
            if faults(draft) == 0:
                yield draft
                near.append(draft)
        for neighbour in near[:_STEPS]:
            for draft in single_changes(field, neighbour, values):
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
