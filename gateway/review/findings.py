"""What is wrong with an agreement although it is well-formed: rules that can never permit, releases that nobody meant.

Decides, for the agreement beside the catalogue, what is an error (it cannot work, or protects nobody) and what deserves a
look (a warning). Claims only what it can prove: a condition is called impossible where the algebra of JSON Schema says
that nothing meets it, never because no example was found. Leaves to `contradictions` what makes a document no agreement.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final

from gateway.agreement.conditions import Pointer
from gateway.agreement.document import Agreement
from gateway.agreement.terms import Links, Ordered, PeriodAtLeast, PeriodAtMost, Rule, Same, Withholding
from gateway.agreement.vocabulary import Situation
from gateway.message.disclosure import escape
from gateway.message_types.catalogue import Catalogue, MessageType
from gateway.message_types.compatibility import Verdict, algebra, both, possible
from gateway.message_types.protections import protected
from gateway.message_types.validity import MINOR_ON, NIK
from gateway.review.replies import reply_findings
from gateway.review.shape import at, covering, holds, is_place, message_shape, nodes, only_when
from gateway.review.words import Finding, Words, finding

__all__ = ["Finding", "Words", "check"]

CHILD: Final = "child"
_IS_MINOR: Final = "is_minor"
_SAYS_ADULT: Final = {"required": [_IS_MINOR], "properties": {_IS_MINOR: {"const": False}}}
_SEVERITIES: Final = {"error": 0, "warning": 1}


def check(agreement: Agreement, catalogue: Catalogue) -> tuple[Finding, ...]:
    """Everything found, errors first, then in the order of the rules. `pointer` is a place in the agreement's document."""
    found = [
        entry
        for number, rule in enumerate(agreement.rules)
        for entry in _Reading(agreement, catalogue, rule, f"/rules/{number}").findings()
    ]
    found += [*_gaps(agreement, catalogue), *_jurisdictions(agreement), *_unconfirmed(agreement)]
    return tuple(sorted(found, key=lambda entry: _SEVERITIES[entry.severity]))


@dataclass(frozen=True, slots=True)
class _Reading:
    """One rule beside the type that it is about."""

    agreement: Agreement
    catalogue: Catalogue
    rule: Rule
    place: str

    def findings(self) -> Iterator[Finding]:
        yield from self.codes()
        yield from self.deadlines()
        for entry in reply_findings(self.agreement, self.catalogue, self.rule):
            yield entry.below(self.place, self.rule.id)
        type_ = self.catalogue.get(self.rule.type)
        if type_ is None:
            yield self.error("type-unknown", "/type", type=self.rule.type)
            return
        yield from self.conditions(type_)
        yield from self.places(type_)
        yield from self.withholding(type_)

    def error(self, code: str, place: str, **named: Any) -> Finding:
        return finding("error", code, **named).below(self.place + place, self.rule.id)

    def warning(self, code: str, place: str, **named: Any) -> Finding:
        return finding("warning", code, **named).below(self.place + place, self.rule.id)

    def codes(self) -> Iterator[Finding]:
        known = self.catalogue.codes("purpose")
        for number, purpose in enumerate(self.rule.purposes):
            if purpose not in known:
                yield self.error("purpose-unknown", f"/purposes/{number}", named=purpose)
        cases, requires = self.catalogue.codes("case-type"), self.rule.requires
        for number, case in enumerate(requires.case if requires else ()):
            if case not in cases:
                yield self.error("case-type-unknown", f"/requires/case/{number}", named=case)

    def deadlines(self) -> Iterator[Finding]:
        """An answer that may come after the agreement has ended is owed under no agreement."""
        if self.rule.acknowledge_within is None:
            return
        first = max(self.rule.valid_from or date.min, self.agreement.valid_from)
        last = min(self.rule.valid_until or date.max, self.agreement.valid_until)
        for number, deadline in enumerate(self.rule.acknowledge_within.deadlines):
            try:
                ends = deadline.after(datetime.combine(first, time()), self.agreement.working_days).date()
            except OverflowError:
                ends = None
            if ends is None or ends > last:
                yield self.warning(
                    "deadline-too-long", f"/acknowledge_within/deadlines/{number}/within", within=deadline.within.text
                )

    def demands(self) -> list[dict[str, Any]]:
        """What every message that the rule permits meets, as far as conditions say it."""
        return [
            only_when(entry.when, at(entry.field, entry.must.schema, optional=entry.optional))
            for entry in self.rule.where
            if entry.otherwise == "refuse"
        ]

    def conditions(self, type_: MessageType) -> Iterator[Finding]:
        """Each one against the type's schema alone, then all together, then every situation against what is left."""
        shape = algebra(message_shape(self.rule, type_))
        faulty = False
        for number, condition in enumerate(self.rule.where):
            met = at(condition.field, condition.must.schema, optional=condition.optional)
            if possible(shape, *([holds(condition.when)] if condition.when else []), met) is Verdict.NO:
                faulty = True
                code = "condition-impossible" if condition.when is None else "condition-forbids"
                severity = self.error if condition.when is None and condition.otherwise == "refuse" else self.warning
                yield severity(code, f"/where/{number}", named=condition.name, field=condition.field.text)
        permitted = both(shape, *self.demands())
        if not faulty and permitted is not None and possible(permitted) is Verdict.NO:
            yield self.error(
                "conditions-contradict", "/where", named=", ".join(entry.name for entry in self.rule.where)
            )
            return
        for place, situation in self.situations():
            if possible(shape if faulty or permitted is None else permitted, holds(situation)) is Verdict.NO:
                yield self.warning("situation-never", place)

    def situations(self) -> Iterator[tuple[str, Situation]]:
        for number, term in enumerate((*self.rule.where, *self.rule.relations)):
            if term.when is not None:
                inside = number < len(self.rule.where)
                place = f"/where/{number}" if inside else f"/relations/{number - len(self.rule.where)}"
                yield f"{place}/when", term.when
        for number, withholding in enumerate(self.rule.withhold):
            for which, situation in enumerate(withholding.unless):
                yield f"/withhold/{number}/unless/{which}", situation
            if withholding.confidential is not None and withholding.confidential.when is not None:
                yield f"/withhold/{number}/confidential/when", withholding.confidential.when
        for number, deadline in enumerate(
            self.rule.acknowledge_within.deadlines if self.rule.acknowledge_within else ()
        ):
            if deadline.when is not None:
                yield f"/acknowledge_within/deadlines/{number}/when", deadline.when

    def places(self, type_: MessageType) -> Iterator[Finding]:
        """Pointers that lead nowhere: the rule refuses everything, or the term never counts."""
        for place, pointer, optional in self.pointers():
            if not is_place(type_, self.rule, pointer):
                severity = self.warning if optional else self.error
                yield severity("place-unknown", place, field=pointer.text, type=self.rule.type)

    def pointers(self) -> Iterator[tuple[str, Pointer, bool]]:
        rule = self.rule
        for number, condition in enumerate(rule.where):
            if condition.optional or condition.when is not None:  # without either, `conditions` has said it
                yield f"/where/{number}/field", condition.field, True
        for number, relation in enumerate(rule.relations):
            place, weak = f"/relations/{number}", relation.when is not None or relation.otherwise == "flag"
            match relation:
                case Ordered() | PeriodAtMost() | PeriodAtLeast():
                    yield f"{place}/first", relation.first, weak or relation.optional
                    yield f"{place}/last", relation.last, weak or relation.optional
                case Same():
                    yield f"{place}/here", relation.here, weak or relation.optional
                case Links():
                    yield f"{place}/field", relation.field, weak or relation.optional
                case _:
                    pass
        for number, within in enumerate(rule.jurisdiction):
            yield f"/jurisdiction/{number}/field", within.field, within.optional
        if rule.repeats is not None:
            yield "/repeats/subject", rule.repeats.subject, False
        if rule.stands_until is not None:
            yield "/stands_until", rule.stands_until, False
        if rule.retention.counted_from is not None:
            yield "/retention/counted_from", rule.retention.counted_from, False

    def withholding(self, type_: MessageType) -> Iterator[Finding]:
        withheld = {entry.field.text: entry for entry in self.rule.withhold}
        shape, demands = message_shape(self.rule, type_), self.demands()
        for number, field in enumerate(withheld):
            if not is_place(type_, self.rule, withheld[field].field):
                yield self.error("field-unknown", f"/withhold/{number}/field", field=field, type=self.rule.type)
            elif field not in type_.sensitive:
                yield self.error("field-in-clear", f"/withhold/{number}/field", field=field, type=self.rule.type)
        for pattern in sorted(type_.sensitive):
            if any(covering(field, pattern) or covering(pattern, field) for field in withheld):
                continue
            if possible(shape, *demands, at(Pointer.parse(pattern), {})) is not Verdict.NO:
                yield self.warning("field-released", "/withhold", field=pattern, type=self.rule.type)
        yield from self.protection(type_, [*withheld.values()])

    def protection(self, type_: MessageType, withheld: list[Withholding]) -> Iterator[Finding]:
        """Who is protected is shown to nobody without approvals and a notice; a child not where there is none."""
        shape, demands = message_shape(self.rule, type_), self.demands()
        for pattern, people in sorted(protected(type_.schema).items()):
            given: list[dict[str, Any]] = [at(Pointer.parse(pattern), {})]
            if people == {CHILD}:
                given.append(may_be_child(type_, pattern))
            over = [entry for entry in withheld if covering(entry.field.text, pattern)]
            # Shown where the situations of everything above it are given; each is asked with what makes it harmful.
            ways = [entry.unless for entry in over if entry.confidential is None and entry.unless] or [({},)]
            if any(not entry.unless or entry.confidential is not None for entry in over):
                continue
            if any(possible(shape, *demands, *given, holds(way)) is not Verdict.NO for way in ways[0]):
                named = ", ".join(sorted(people))
                yield self.error("protected-released", "/withhold", field=pattern, named=named, type=self.rule.type)


def may_be_child(type_: MessageType, pattern: str) -> dict[str, Any]:
    """The schema of a message that may have a child at `pattern`: one that neither shows nor says that it has none.

    Who has a date of birth or a NIK there is compared with the day that counts where `x-minor-on` names no flag; of
    anybody else a member made for it has to say that it is no child. With a flag the message says it for everyone, or
    person by person: then one of them who is not said to be an adult is enough.
    """
    minority = type_.schema.get(MINOR_ON, {})
    if minority and "flag" not in minority:
        *holder, born = Pointer.parse("/body/" + minority["born"]).steps
        place = Pointer.parse("/" + "/".join(holder))
        if covering(pattern, place.text):
            shown = [{"required": [born]}, {"required": [NIK]}, _SAYS_ADULT]
            return at(place, {"type": "object", "not": {"anyOf": shown}})
    flag = Pointer.parse("/body/" + minority.get("flag", _IS_MINOR))
    if not any(True for _ in nodes({"properties": {"body": type_.schema}, "$defs": type_.schema["$defs"]}, flag.steps)):
        return {}
    if "*" not in flag.steps:
        return {"not": at(flag, {"const": False})}
    each = len(flag.steps) - flag.steps[::-1].index("*")
    people, own = (Pointer.parse("/" + "/".join(steps)) for steps in (flag.steps[:each], flag.steps[each:]))
    return at(people, {"not": at(own, {"const": False})})


def _gaps(agreement: Agreement, catalogue: Catalogue) -> Iterator[Finding]:
    ruled = {rule.type for rule in agreement.rules}
    for type_ in catalogue.types():
        if type_.type not in ruled:
            yield finding("warning", "type-without-rule", type=type_.type).below("/rules", None)


def _jurisdictions(agreement: Agreement) -> Iterator[Finding]:
    used: set[str] = set()
    for rule in agreement.rules:
        for within in rule.jurisdiction:
            used |= {*({"sender": rule.senders, "recipient": rule.recipients}.get(within.of, (within.of,)))}
    for unit in agreement.jurisdictions:
        if unit not in used:
            yield finding("warning", "jurisdiction-unused", named=unit).below(f"/jurisdictions/{unit}", None)


def _unconfirmed(agreement: Agreement) -> Iterator[Finding]:
    count = len(unconfirmed(agreement))
    if count:
        yield finding("warning", "figures-unconfirmed", count=count).below("", None)


def unconfirmed(agreement: Agreement) -> tuple[str, ...]:
    """The places of the document whose `provenance` says that the agencies have yet to confirm them."""
    return tuple(
        place for place, term in terms(json.loads(agreement.canonical())) if term.get("provenance") == "to-be-confirmed"
    )


def terms(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a document with its JSON Pointer."""
    if isinstance(value, dict):
        yield place, value
        for name, member in value.items():
            yield from terms(member, f"{place}/{escape(name)}")
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from terms(member, f"{place}/{number}")
