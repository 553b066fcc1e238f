"""Whether what a rule's relations ask for can exist: a transfer of that type, in that direction, with those values.

Decides it from the other rules of the agreement: what nobody may send was never accepted. Leaves the other findings to
`findings`.
"""

from collections.abc import Iterator
from itertools import combinations

from gateway.agreement.conditions import Pointer
from gateway.agreement.document import Agreement
from gateway.agreement.terms import Amends, Answers, Earlier, Links, RefersTo, Relation, Rule, Same
from gateway.message_types.catalogue import Catalogue
from gateway.message_types.compatibility import Verdict, possible
from gateway.review.shape import at, holds, message_shape, nodes
from gateway.review.words import Finding, finding

Reply = Answers | RefersTo | Amends


def reply_findings(agreement: Agreement, catalogue: Catalogue, rule: Rule) -> Iterator[Finding]:
    """Everything about the rule's relations and confidentiality notices; pointers start at the rule."""
    for number, relation in enumerate(rule.relations):
        place = f"/relations/{number}"
        if isinstance(relation, Reply | Links):
            yield from _types(agreement, catalogue, rule, relation, place)
        elif isinstance(relation, Earlier):
            yield from _guessable(agreement, rule, relation, relation.field, place)
            if not any(_can_hold(catalogue, other, relation) for other in replied_to(agreement, rule)):
                yield finding("error", "earlier-impossible", place, named=relation.name, field=relation.field.text)
        elif isinstance(relation, Same):
            yield from _guessable(agreement, rule, relation, relation.there, place)
            yield from _equal(agreement, catalogue, rule, relation, place)
    yield from _disjoint(catalogue, rule)
    for number, withholding in enumerate(rule.withhold):
        for which, type_ in enumerate(withholding.confidential.notice if withholding.confidential else ()):
            place = f"/withhold/{number}/confidential/notice/{which}"
            named = withholding.field.text
            if catalogue.get(type_) is None:
                yield finding("error", "relation-type-unknown", place, named=named, type=type_)
            elif not any(_sends(agreement, type_, to, by) for by, to in rule.routes()):
                yield finding("warning", "relation-never", place, named=named, type=type_)
    for number, type_ in enumerate(rule.repeats.named_by if rule.repeats else ()):
        if catalogue.get(type_) is None:
            place = f"/repeats/named_by/{number}"
            yield finding("error", "relation-type-unknown", place, named="repeats", type=type_)


def replied_to(agreement: Agreement, rule: Rule) -> tuple[Rule, ...]:
    """The rules under which something was sent that a message of this rule may reply to."""
    return tuple(
        other
        for other in agreement.rules
        if any(
            relation.types is None or other.type in relation.types
            for relation in rule.relations
            if isinstance(relation, Reply) and _direction(rule, relation, other)
        )
    )


def sent_types(agreement: Agreement, sender: str, recipient: str) -> frozenset[str]:
    """The types that some rule lets `sender` send to `recipient`."""
    return frozenset(rule.type for rule in agreement.rules if (sender, recipient) in set(rule.routes()))


def _direction(rule: Rule, relation: Relation, other: Rule) -> bool:
    ways = set(other.routes())
    return any(way in ways for route in rule.routes() for way in ways_of(relation, route))


def ways_of(relation: Relation, route: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Sender and recipient of what a message on `route` may name under the relation."""
    if isinstance(relation, Answers):
        return (route[::-1],)
    if isinstance(relation, Amends):
        return (route,)
    return (route, route[::-1])


def _sends(agreement: Agreement, type_: str, sender: str, recipient: str) -> bool:
    return type_ in sent_types(agreement, sender, recipient)


def _types(
    agreement: Agreement, catalogue: Catalogue, rule: Rule, relation: Reply | Links, place: str
) -> Iterator[Finding]:
    if relation.types is None:
        return
    known = [type_ for type_ in relation.types if catalogue.get(type_) is not None]
    for number, type_ in enumerate(relation.types):
        if type_ not in known:
            yield finding("error", "relation-type-unknown", f"{place}/types/{number}", named=relation.name, type=type_)
    must = relation.when is None and relation.otherwise == "refuse" and not isinstance(relation, Links)
    routes = [*rule.routes()]
    dead = [
        route
        for route in routes
        if not any(_sends(agreement, type_, *way) for type_ in known for way in ways_of(relation, route))
    ]
    ways = {way for route in routes for way in ways_of(relation, route)}
    for number, type_ in enumerate(relation.types if dead != routes or not must else ()):
        if type_ in known and not any(_sends(agreement, type_, *way) for way in ways):
            yield finding("warning", "relation-never", f"{place}/types/{number}", named=relation.name, type=type_)
    for sender, recipient in dead if must else ():
        yield finding(
            "error" if len(dead) == len(routes) else "warning",
            "relation-impossible",
            place,
            named=relation.name,
            type=" ".join(relation.types),
            sender=sender,
            recipient=recipient,
        )


def _disjoint(catalogue: Catalogue, rule: Rule) -> Iterator[Finding]:
    type_ = catalogue.get(rule.type)
    replies = [entry for entry in enumerate(rule.relations) if isinstance(entry[1], Reply)]
    for (_, one), (number, other) in combinations(replies, 2):
        assert isinstance(one, Reply)
        assert isinstance(other, Reply)
        if type_ is None or one.types is None or other.types is None or not set(one.types).isdisjoint(other.types):
            continue
        situations = [holds(relation.when) for relation in (one, other) if relation.when is not None]
        # The situations themselves go together, and nothing about the type is known to keep them apart.
        together = possible(*situations) is Verdict.YES if situations else True
        if together and possible(message_shape(rule, type_), *situations) is not Verdict.NO:
            named = f"{one.name}, {other.name}"
            yield finding("warning", "replies-disjoint", f"/relations/{number}", named=named)


def _can_hold(catalogue: Catalogue, other: Rule, relation: Earlier) -> bool:
    type_ = catalogue.get(other.type)
    if type_ is None:
        return False
    return possible(message_shape(other, type_), at(relation.field, relation.must.schema)) is not Verdict.NO


def _equal(agreement: Agreement, catalogue: Catalogue, rule: Rule, relation: Same, place: str) -> Iterator[Finding]:
    type_ = catalogue.get(rule.type)
    if type_ is None or relation.optional:
        return
    mine = message_shape(rule, type_)
    for other in replied_to(agreement, rule):
        theirs_type = catalogue.get(other.type)
        if theirs_type is None:
            continue
        theirs = message_shape(other, theirs_type)
        if _overlap(mine, relation.here, theirs, relation.there):
            return
    yield finding(
        "error" if relation.when is None and relation.otherwise == "refuse" else "warning",
        "same-impossible",
        place,
        named=relation.name,
        here=relation.here.text,
        there=relation.there.text,
    )


def _guessable(
    agreement: Agreement, rule: Rule, relation: Same | Earlier, there: Pointer, place: str
) -> Iterator[Finding]:
    """A value that was withheld from this rule's sender: whether the relation holds would tell it, try by try."""
    for other in replied_to(agreement, rule):
        received = any(way[::-1] in set(other.routes()) for way in rule.routes())
        if received and any(_touch(entry.field.steps, there.steps) for entry in other.withhold):
            yield finding("warning", "compares-withheld", place, named=relation.name, field=there.text, rule=other.id)


def _touch(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one place holds the other, or is it."""
    return all("*" in pair or pair[0] == pair[1] for pair in zip(one, other, strict=False))


def _overlap(mine: dict[str, object], here: Pointer, theirs: dict[str, object], there: Pointer) -> bool:
    """Whether some value can stand at both places, as far as one description of each says."""
    one = [{**node, "$defs": mine["$defs"]} for node in nodes(mine, here.steps)]
    other = [{**node, "$defs": theirs["$defs"]} for node in nodes(theirs, there.steps)]
    return any(possible(left, right) is not Verdict.NO for left in one for right in other)
