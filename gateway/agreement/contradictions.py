"""What no single term of an agreement can see: two terms that contradict each other, or name what is not there.

Decides which documents are refused although each of their terms is well formed. Leaves the terms themselves to
`terms.py`, and lines, digests and signatures to `document.py`.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from gateway.agreement.terms import Amends, Answers, AtMost, Confidential, Document, Earlier, RefersTo, Rule, Same

_RESERVED: Final = frozenset({"sender", "recipient"})


def contradictions(document: Document) -> Iterator[tuple[str, str]]:
    """Every contradiction, as the JSON Pointer of its place in the document and what is expected there."""
    if document.valid_until.date < document.valid_from.date:
        yield "/valid_until/date", "the last day is before the first"
    for unit in sorted(_RESERVED & {*document.parties, *document.jurisdictions}):
        yield f"/jurisdictions/{unit}", "sender and recipient are words of the rules, not names"
    seen: set[str] = set()
    for index, rule in enumerate(document.rules):
        if rule.id in seen:
            yield f"/rules/{index}/id", f"rule {rule.id} is there twice"
        seen.add(rule.id)
        for place, what in _rule_faults(rule, document):
            yield f"/rules/{index}{place}", f"rule {rule.id}: {what}"
    yield from _overlaps(document)


def _rule_faults(rule: Rule, document: Document) -> Iterator[tuple[str, str]]:
    if rule.clause not in document.clauses:
        yield "/clause", "no such clause in clauses"
    for place, agencies in (("/senders", rule.senders), ("/recipients", rule.recipients)):
        for number, agency in enumerate(agencies):
            if agency not in document.parties:
                yield f"{place}/{number}", "not a party of this agreement"
    if not any(True for _ in rule.routes()):
        yield "/recipients", "nobody is left to send to"
    first, last = rule.valid_from or date.min, rule.valid_until or date.max
    if max(first, document.valid_from.date) > min(last, document.valid_until.date):
        yield "/valid_until", "the rule is never in force while the agreement is"
    yield from _twice("where", (condition.name for condition in rule.where), set())
    names = {condition.name for condition in rule.where}
    yield from _twice("relations", (relation.name for relation in rule.relations), names)
    yield from _twice("withhold", (withholding.field.text for withholding in rule.withhold), set())
    for number, within in enumerate(rule.jurisdiction):
        units = {"sender": rule.senders, "recipient": rule.recipients}.get(within.of, (within.of,))
        if missing := sorted(set(units) - document.jurisdictions.keys()):
            yield f"/jurisdiction/{number}/of", f"no jurisdiction is stated for {missing[0]}"
    yield from _reply_faults(rule)
    for number, withholding in enumerate(rule.withhold):
        if withholding.confidential is not None:
            yield from _notice_faults(rule, withholding.confidential, f"/withhold/{number}/confidential/notice")
    deadlines = rule.acknowledge_within.deadlines if rule.acknowledge_within else ()
    if document.working_days is None and any(deadline.working for deadline in deadlines):
        yield "/acknowledge_within", "the document has no working_days to count"
    if rule.quota and rule.quota.per_hour and rule.quota.per_day and rule.quota.per_day < rule.quota.per_hour:
        yield "/quota/per_day", "per_day must not be less than per_hour"


def _reply_faults(rule: Rule) -> Iterator[tuple[str, str]]:
    """A message replies to one transfer, and what is said of that transfer needs a relation that says which it may be."""
    replies = [relation for relation in rule.relations if isinstance(relation, Answers | RefersTo | Amends)]
    if len(replies) > 1 and any(relation.when is None for relation in replies):
        yield (
            "/relations",
            "a message replies to one transfer: answers, refers_to or amends stands once, or each has a when",
        )
    for number, relation in enumerate(rule.relations):
        if isinstance(relation, Earlier | Same | AtMost) and not replies:
            yield f"/relations/{number}", f"{relation.kind} needs answers, refers_to or amends beside it"


def _notice_faults(rule: Rule, confidential: Confidential, place: str) -> Iterator[tuple[str, str]]:
    """An acknowledged notice that no permitted message could reply to would withhold for ever, unseen."""
    for relation in rule.relations:
        if relation.when is not None or relation.otherwise == "flag":
            continue
        if isinstance(relation, Answers | RefersTo) and set(confidential.notice).isdisjoint(relation.types):
            yield place, f"relation {relation.name} lets a message reply to no such notice"
        if isinstance(relation, Amends):
            yield place, f"relation {relation.name} lets a message reply only to what its sender sent itself"


def _twice(place: str, names: Iterable[str], seen: set[str]) -> Iterator[tuple[str, str]]:
    for number, name in enumerate(names):
        if name in seen:
            yield f"/{place}/{number}", f"{name} is there twice"
        seen.add(name)


def _overlaps(document: Document) -> Iterator[tuple[str, str]]:
    """Two rules for one exchange would make their order matter, and a second rule could undo the first one's conditions."""
    earlier: dict[tuple[str, str, str, str], list[Rule]] = {}
    for index, rule in enumerate(document.rules):
        for sender, recipient in rule.routes():
            for purpose in rule.purposes:
                others = earlier.setdefault((rule.type, sender, recipient, purpose), [])
                for other in others:
                    if _meet(rule, other):
                        what = f"{rule.type} from {sender} to {recipient} for {purpose} is already in rule {other.id}"
                        yield f"/rules/{index}", f"rule {rule.id}: {what}"
                others.append(rule)


def _meet(one: Rule, other: Rule) -> bool:
    first = max(one.valid_from or date.min, other.valid_from or date.min)
    return first <= min(one.valid_until or date.max, other.valid_until or date.max)
