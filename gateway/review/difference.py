"""What a new version of an agreement changes: what is newly permitted, refused, released and withheld, and every figure.

Decides it exchange by exchange (type, sender, recipient, purpose) and period by period. That something may newly pass
follows from the terms (`narrowing`); that it does is shown by a message that `decide` judges differently under the two
(`witness`). What is neither proven absent nor shown is told as undecided, never left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from itertools import pairwise
from typing import Any, Final

from gateway.agreement.document import Agreement
from gateway.agreement.terms import Rule, Withholding
from gateway.errors import AgreementInvalidError
from gateway.message.envelope import HANDLINGS
from gateway.message_types.catalogue import Catalogue, MessageType
from gateway.review.changes import Field
from gateway.review.draft import Bench
from gateway.review.narrowing import Side, no_wider, plain, releases_no_more
from gateway.review.witness import Witness, handled_apart, permitted_by_one, released_by_one

PERMITTED: Final = "permitted"
REFUSED: Final = "refused"
RELEASED: Final = "released"
WITHHELD: Final = "withheld"
WIDENING: Final = frozenset({PERMITTED, RELEASED})
_FIGURES: Final = (
    "retention", "acknowledge_within", "handling", "priority", "quota", "repeats", "stands_until", "clause",
)  # fmt: skip
_JUDGING: Final = ("requires", "where", "relations", "jurisdiction", "withhold", "quota", "repeats", "stands_until")
_TERMS: Final = ("requires", "where", "relations", "jurisdiction", "withhold")
_TEXTS: Final = ("title", "citation", "citation_id", "provenance")
_HEAD: Final = (
    "title", "description", "timezone", "valid_from", "valid_until", "onward_transfer", "parties", "clauses",
    "jurisdictions", "working_days",
)  # fmt: skip

Examples = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of exchange."""

    type: str
    sender: str
    recipient: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `kind`: permitted, refused, released, withheld, a figure's name, `terms`, `wording`, or `agreement`.

    `terms`: a rule asks for the same in other terms, as far as the algebra can tell: nothing passes that did not, and
    nothing is refused that passed.

    A field that no longer is withheld may stand in clear as well: messages that were refused for that alone, and now
    pass, are told by `released`.

    `subject` is the field, the figure or the term in question; `proven` is False where the terms leave it open and no
    witness was found. `since` and `until` are the days for which the two rules were compared. `before` and `after` are the
    figure's plain values.
    """

    kind: str
    routes: tuple[Route, ...]
    old_rule: str | None
    new_rule: str | None
    subject: str = ""
    proven: bool = True
    since: date | None = None
    until: date | None = None
    before: Any = None
    after: Any = None
    witness: Witness | None = None

    @property
    def widens(self) -> bool:
        """Whether more may pass, or more be seen, than before; what is undecided counts as if it did."""
        return self.kind in WIDENING or self._travels_further

    @property
    def _travels_further(self) -> bool:
        """Whether what was received may be handed on to more people than before."""
        if self.kind == "handling":
            return HANDLINGS.index(self.after) < HANDLINGS.index(self.before)
        return self.subject == "onward_transfer" and bool(self.after)

    def as_json(self) -> dict[str, Any]:
        told = {
            "kind": self.kind,
            "routes": [
                {"type": one.type, "sender": one.sender, "recipient": one.recipient, "purpose": one.purpose}
                for one in self.routes
            ],
            "old_rule": self.old_rule,
            "new_rule": self.new_rule,
            "subject": self.subject or None,
            "proven": self.proven,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "before": self.before,
            "after": self.after,
            "witness": self.witness and self.witness.as_json(),
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Difference:
    """Every change, those that widen first."""

    changes: tuple[Change, ...]

    @property
    def widening(self) -> tuple[Change, ...]:
        """What is newly permitted or released, or may be."""
        return tuple(change for change in self.changes if change.widens)


def diff(old: Agreement, new: Agreement, catalogue: Catalogue, examples: Examples | None = None) -> Difference:
    """`examples` are bodies by type, for witnesses; specimens of the schemas are tried in any case.

    Raises AgreementInvalidError for two documents that are not versions of one agreement.
    """
    if old.id != new.id:
        raise AgreementInvalidError(f"{old.id} and {new.id} are different agreements: two versions of one are compared")
    comparison = _Comparison(old, new, catalogue, examples or {})
    changes = [*comparison.head(), *comparison.rules(), *comparison.quotas()]
    order = {kind: number for number, kind in enumerate((PERMITTED, RELEASED, REFUSED, WITHHELD))}
    return Difference(
        tuple(sorted(changes, key=lambda change: (not change.widens, order.get(change.kind, len(order)))))
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """The rules of one type between two agencies in one period; None where there is none."""

    old: Rule | None
    new: Rule | None
    type: str
    way: tuple[str, str]
    since: date
    until: date


class _Comparison:
    def __init__(self, old: Agreement, new: Agreement, catalogue: Catalogue, examples: Examples) -> None:
        self.old, self.new = old, new
        self.catalogue, self.examples = catalogue, examples

    def head(self) -> Iterator[Change]:
        for name in _HEAD:
            before, after = plain(getattr(self.old, name)), plain(getattr(self.new, name))
            if getattr(self.old, name) != getattr(self.new, name):
                yield Change("agreement", (), None, None, name, before=_shown(before), after=_shown(after))

    def rules(self) -> Iterator[Change]:
        told: set[tuple[str, str]] = set()
        for pair, purposes in self.pairs():
            routes = tuple(Route(pair.type, *pair.way, purpose) for purpose in purposes)
            found = [*self.compared(pair, routes)]
            yield from found
            if pair.old and pair.new and (pair.old.id, pair.new.id) not in told:
                told.add((pair.old.id, pair.new.id))
                yield from self.figures(pair, pair.old, pair.new, routes)
                if not found and (other := _other_terms(pair.old, pair.new)):
                    yield self.change("terms", pair, routes, subject=", ".join(other))

    def quotas(self) -> Iterator[Change]:
        """A quota counts what one rule permitted: two rules in the place of one permit the sum of theirs."""
        ways = sorted({(rule.type, way) for rule in self.new.rules for way in rule.routes()})
        for type_, way in ways:
            old, new = (agreement.rules_for(type_, *way) for agreement in (self.old, self.new))
            if not 0 < len(old) < len(new):
                continue
            for name in ("per_hour", "per_day"):
                before, after = (_together(rules, name) for rules in (old, new))
                if before is not None and (after is None or after > before):
                    routes = tuple(Route(type_, *way, purpose) for rule in new for purpose in rule.purposes)
                    said = f"quota {name} of {len(new)} rules together"
                    yield Change(PERMITTED, routes, old[0].id, new[0].id, said, before=before, after=after)

    def pairs(self) -> list[tuple[_Pair, list[str]]]:
        """Every exchange that either agreement knows, with its purposes, cut at the days on which a rule begins or ends."""
        found: dict[tuple[Any, ...], tuple[_Pair, list[str]]] = {}
        ways = {
            (rule.type, way, purpose): None
            for agreement in (self.old, self.new)
            for rule in agreement.rules
            for way in rule.routes()
            for purpose in rule.purposes
        }
        for type_, way, purpose in ways:
            for since, until in self.periods(type_, way, purpose):
                old, new = (_rule_on(one, type_, way, purpose, since) for one in (self.old, self.new))
                if old is None and new is None:
                    continue
                pair = _Pair(old, new, type_, way, since, until)
                key = (old and old.id, new and new.id, type_, way, *((since,) if old is None or new is None else ()))
                _, purposes = found.setdefault(key, (pair, []))
                if purpose not in purposes:  # else the same two rules once more, in a later period
                    purposes.append(purpose)
        return [*found.values()]

    def periods(self, type_: str, way: tuple[str, str], purpose: str) -> list[tuple[date, date]]:
        cuts: set[int] = set()
        for agreement in (self.old, self.new):
            for rule in agreement.rules_for(type_, *way):
                if purpose in rule.purposes:
                    first, last = _term(agreement, rule)
                    cuts |= {first.toordinal(), last.toordinal() + 1}  # the day after the last may be in the year 10000
        return [(date.fromordinal(first), date.fromordinal(then - 1)) for first, then in pairwise(sorted(cuts))]

    def compared(self, pair: _Pair, routes: tuple[Route, ...]) -> Iterator[Change]:
        if pair.old is None or pair.new is None:
            kind, permits, refuses = (
                (PERMITTED, self.new, self.old) if pair.old is None else (REFUSED, self.old, self.new)
            )
            # Without a rule nothing passes; that the other rule permits anything is what a witness shows.
            witness = permitted_by_one(self.field(pair, routes), permits, refuses)
            yield self.change(kind, pair, routes, witness=witness, proven=witness is not None)
            return
        if _alike(pair.old, pair.new) and self.same_ground(pair.old):
            return
        yield from self.permissions(pair, pair.old, pair.new, routes)
        yield from self.releases(pair, pair.old, pair.new, routes)

    def same_ground(self, rule: Rule) -> bool:
        """Whether what a rule takes from the rest of the document is the same in both."""
        units = {unit for within in rule.jurisdiction for unit in (within.of, *rule.senders, *rule.recipients)}
        return self.old.timezone == self.new.timezone and all(
            plain(self.old.jurisdictions.get(unit)) == plain(self.new.jurisdictions.get(unit)) for unit in units
        )

    def permissions(self, pair: _Pair, old: Rule, new: Rule, routes: tuple[Route, ...]) -> Iterator[Change]:
        before, after = self.side(self.old, old), self.side(self.new, new)
        for kind, narrow, wide in ((PERMITTED, after, before), (REFUSED, before, after)):
            loose = list(no_wider(narrow, wide, pair.way))
            if self.old.timezone != self.new.timezone:
                loose.append("timezone")
            if not loose:
                continue
            witness = permitted_by_one(self.field(pair, routes), narrow.agreement, wide.agreement)
            yield self.change(kind, pair, routes, subject=", ".join(loose), witness=witness, proven=witness is not None)

    def releases(self, pair: _Pair, old: Rule, new: Rule, routes: tuple[Route, ...]) -> Iterator[Change]:
        held = {entry.field.text: entry for entry in old.withhold}
        kept = {entry.field.text: entry for entry in new.withhold}
        for kind, withholds, shows, names in (
            (RELEASED, held, kept, (self.new, self.old)),
            (WITHHELD, kept, held, (self.old, self.new)),
        ):
            for pattern, entry in withholds.items():
                if any(releases_no_more(other, entry) for other in _over(shows, pattern)):
                    continue
                witness = released_by_one(self.field(pair, routes), *names, pattern)
                yield self.change(kind, pair, routes, subject=pattern, witness=witness, proven=witness is not None)

    def side(self, agreement: Agreement, rule: Rule) -> Side:
        return Side(agreement, rule, self.catalogue.get(rule.type))

    def figures(self, pair: _Pair, old: Rule, new: Rule, routes: tuple[Route, ...]) -> Iterator[Change]:
        for name in _FIGURES:
            before, after = plain(getattr(old, name)), plain(getattr(new, name))
            if before != after:
                said = self.change(name, pair, routes, subject=name, before=_shown(before), after=_shown(after))
                if said.widens:
                    said = replace(said, witness=handled_apart(self.field(pair, routes), self.old, self.new))
                yield said
        flags = [
            {term.name: plain(term) for term in (*rule.where, *rule.relations) if term.otherwise == "flag"}
            for rule in (old, new)
        ]
        if flags[0] != flags[1]:
            yield self.change("flags", pair, routes, subject="flags", before=flags[0], after=flags[1])
        if not _alike(old, new, texts=True):
            yield self.change("wording", pair, routes, subject="title, citation or provenance")

    def change(self, kind: str, pair: _Pair, routes: tuple[Route, ...], **said: Any) -> Change:
        old, new = (None if rule is None else rule.id for rule in (pair.old, pair.new))
        return Change(kind, routes, old, new, since=pair.since, until=pair.until, **said)

    def field(self, pair: _Pair, routes: tuple[Route, ...]) -> Field:
        rules = tuple(rule for rule in (pair.old, pair.new) if rule is not None)
        type_ = self.catalogue.get(pair.type)
        claims = {
            "iss": pair.way[0],
            "aud": pair.way[1],
            "jti": "witness-0001",
            "type": pair.type,
            "agreement": self.new.id,
            "purpose": routes[0].purpose,
            "classification": "R",
        }
        return Field(
            bench=Bench(self.old, self.new, rules, _disclosable(rules, type_)),
            catalogue=self.catalogue,
            examples=self.examples,
            claims=claims,
            moments=tuple(datetime.combine(day, time(12), UTC) for day in dict.fromkeys((pair.since, pair.until))),
        )


def _together(rules: Iterable[Rule], window: str) -> int | None:
    """What the quotas of several rules permit in sum; None where one of them has no limit."""
    limits = [getattr(rule.quota, window, None) for rule in rules]
    return None if None in limits else sum(int(limit) for limit in limits if limit is not None)


def _term(agreement: Agreement, rule: Rule) -> tuple[date, date]:
    return (
        max(rule.valid_from or date.min, agreement.valid_from),
        min(rule.valid_until or date.max, agreement.valid_until),
    )


def _rule_on(agreement: Agreement, type_: str, way: tuple[str, str], purpose: str, day: date) -> Rule | None:
    for rule in agreement.rules_for(type_, *way):
        first, last = _term(agreement, rule)
        if purpose in rule.purposes and first <= day <= last:
            return rule
    return None


def _over(withholdings: Mapping[str, Withholding], pattern: str) -> list[Withholding | None]:
    """What withholds the field or something around it; [None] where nothing does."""
    return [entry for field, entry in withholdings.items() if pattern == field or pattern.startswith(f"{field}/")] or [
        None
    ]


def _disclosable(rules: Sequence[Rule], type_: MessageType | None) -> tuple[str, ...]:
    named = {entry.field.text for rule in rules for entry in rule.withhold}
    return tuple(sorted(named | (type_.sensitive if type_ else frozenset())))


def _other_terms(old: Rule, new: Rule) -> list[str]:
    return [name for name in _TERMS if _refusing(old, name) != _refusing(new, name)]


def _refusing(rule: Rule, name: str) -> Any:
    """Without what only flags: that is told as `flags`."""
    value = getattr(rule, name)
    return plain(
        [term for term in value if getattr(term, "otherwise", "") != "flag"] if isinstance(value, tuple) else value
    )


def _alike(old: Rule, new: Rule, *, texts: bool = False) -> bool:
    """Whether two rules say the same of every message; with `texts`, in the same words."""
    if texts:
        return old.model_dump(exclude={"id"}, include=set(_TEXTS)) == new.model_dump(
            exclude={"id"}, include=set(_TEXTS)
        )
    return all(plain(getattr(old, name)) == plain(getattr(new, name)) for name in _JUDGING) and plain(
        old.retention.counted_from
    ) == plain(new.retention.counted_from)


def _shown(value: Any) -> Any:
    """As JSON would say it."""
    if isinstance(value, dict):
        return {str(name): _shown(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_shown(member) for member in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
