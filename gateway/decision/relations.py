"""Relations: what a message has to do with other messages and with time, beyond what one field's condition can say.

Decides which relations of a rule are broken, and how an accepted message replies to an earlier one. Leaves to
`decide.py` whether a broken relation refuses. Of an earlier transfer nothing counts but what was looked up, and nothing
of one between others: its values must not be guessed by asking.
"""

from collections.abc import Iterator
from typing import Final

from gateway.agreement.conditions import MISSING, Span, identical, in_order, lasts_at_least, lasts_at_most
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
    Same,
)
from gateway.decision.facts import Facts, RelatedTransfer
from gateway.decision.reading import Reading

_REPLY: Final = "/in_reply_to"


def broken(relation: Relation, reading: Reading, facts: Facts) -> Iterator[str]:
    """The places in the message where the relation does not hold; none if it holds or its situation is not given."""
    if not reading.given(relation.when):
        return
    match relation:
        case Ordered() | PeriodAtMost() | PeriodAtLeast():
            if not _timely(relation, reading):
                yield relation.last.text
        case Answers() | RefersTo() | Amends():
            if not _replies(relation, reading, facts):
                yield _REPLY
        case Earlier():
            if not _held(relation, reading, facts):
                yield _REPLY
        case Same():
            if not _agrees(relation, reading, facts):
                yield relation.here.text
        case Links():
            yield from _unlinked(relation, reading, facts)
        case AtMost():
            if reading.claims.in_reply_to is not None and facts.replies >= relation.count:
                yield _REPLY


def reply_as(reading: Reading, facts: Facts) -> str | None:
    """How the message replies, by the relations that apply and hold: `answers`, `ends`, `amends`, `refers` or None."""
    if reading.claims.in_reply_to is None:
        return None
    ways = set()
    for relation in reading.rule.relations:
        if isinstance(relation, Answers | RefersTo | Amends) and reading.given(relation.when):
            if not _replies(relation, reading, facts):
                continue
            match relation:
                case Answers():
                    ways.add("answers")
                case Amends():
                    ways.add("ends" if relation.ends else "amends")
                case RefersTo():
                    ways.add("refers")
    return next((way for way in ("answers", "ends", "amends", "refers") if way in ways), None)


def replied_to(reading: Reading, facts: Facts) -> RelatedTransfer | None:
    """The accepted transfer between these two that the message names, if it was looked up."""
    earlier, claims = facts.in_reply_to, reading.claims
    if earlier is None or earlier.transfer != claims.in_reply_to or not earlier.accepted:
        return None
    return earlier if _between(earlier, reading) else None


def received(earlier: RelatedTransfer, reading: Reading) -> bool:
    """Whether this message's sender received it from this message's recipient."""
    return (earlier.sender, earlier.recipient) == (reading.claims.aud, reading.claims.iss)


def _between(earlier: RelatedTransfer, reading: Reading) -> bool:
    return received(earlier, reading) or _sent(earlier, reading)


def _sent(earlier: RelatedTransfer, reading: Reading) -> bool:
    return (earlier.sender, earlier.recipient) == (reading.claims.iss, reading.claims.aud)


def _replies(relation: Answers | RefersTo | Amends, reading: Reading, facts: Facts) -> bool:
    earlier = replied_to(reading, facts)
    if earlier is None or (relation.types is not None and earlier.type not in relation.types):
        return False
    if not earlier.live and not (isinstance(relation, Amends) and not relation.standing):
        return False
    match relation:
        case Answers():
            return received(earlier, reading) and (earlier.open or not relation.open)
        case Amends():
            return _sent(earlier, reading)
        case RefersTo():
            return True


def _held(relation: Earlier, reading: Reading, facts: Facts) -> bool:
    earlier = replied_to(reading, facts)
    if earlier is None or earlier.view is None:
        return False
    value = relation.field.read(dict(earlier.view))
    return value is not MISSING and relation.must.is_met_by(value)


def _agrees(relation: Same, reading: Reading, facts: Facts) -> bool:
    here = relation.here.read(reading.view)
    if reading.claims.in_reply_to is None:
        return relation.optional
    earlier = replied_to(reading, facts)
    if earlier is None or earlier.view is None:
        return False
    there = relation.there.read(dict(earlier.view))
    if here is MISSING or there is MISSING:
        return relation.optional
    return identical(here, there)


def _unlinked(relation: Links, reading: Reading, facts: Facts) -> Iterator[str]:
    found = relation.field.find(reading.view)
    if not found and not relation.optional:
        yield relation.field.text
    for pointer, text in found:
        linked = facts.linked.get(text) if isinstance(text, str) else None
        if (
            linked is None
            or linked.transfer != text
            or not linked.accepted
            or linked.type not in relation.types
            or text == reading.claims.in_reply_to
            or not _between(linked, reading)
        ):
            yield pointer


def _timely(relation: Ordered | PeriodAtMost | PeriodAtLeast, reading: Reading) -> bool:
    first = Span.read(relation.first, reading.view, reading.zone)
    last = Span.read(relation.last, reading.view, reading.zone)
    if first is None or last is None:
        ends = (relation.first.read(reading.view), relation.last.read(reading.view))
        return relation.optional and MISSING in ends
    match relation:
        case Ordered():
            return in_order(first, last)
        case PeriodAtMost():
            return lasts_at_most(first, last, relation.limit)
        case PeriodAtLeast():
            return lasts_at_least(first, last, relation.limit)
