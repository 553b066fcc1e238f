"""Messages of all types under the shipped agreement, and what the flow would know of them: what properties are tried on.

`permitted()` finds, for every valid example of the catalogue, the claims and facts under which a rule lets it pass.
`changes.py` makes others from these.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice
from typing import Any

import rfc8785
from hypothesis import HealthCheck, Phase, settings

from gateway import resources
from gateway.agreement.conditions import MISSING, Pointer
from gateway.agreement.document import Agreement, agreement_from_json
from gateway.agreement.terms import Amends, Answers, Earlier, Links, RefersTo, Rule, Same
from gateway.decision.decide import Decision, Facts, RelatedTransfer, decide
from gateway.jose import strict_json
from gateway.message.disclosure import unescape
from gateway.message.envelope import TRANSFER_ID, Case, Officer, VerifiedMessage
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from gateway.message_types.specimens import specimens, variations
from gateway.statements.approval import Approval
from tests.agreement.making import EARLIER, Draft, message, real

AGREEMENT = real()
DOCUMENT: dict[str, Any] = strict_json(AGREEMENT.canonical(), "the agreement", 32)
MESSAGES = Catalogue(catalogue.read(resources.schemas_dir()))
EXAMPLES = catalogue.examples(resources.schemas_dir())
TYPES = tuple(entry.type for entry in MESSAGES.types())
PURPOSES = tuple(sorted(MESSAGES.codes("purpose")))
AGENCIES = tuple(sorted(AGREEMENT.parties))
ACKNOWLEDGED = "confidentiality.acknowledgement/1"
FIRST, LAST = datetime(2025, 11, 18, 17, tzinfo=UTC), datetime(2028, 11, 18, 17, tzinfo=UTC)  # [first, last): WIB days

_CASES = ("LP", "SPRINDIK", "LI", "LK", "SPDP", "DPO")
_OFFICER = Officer("OFFICER-1", "LIAISON")
OFFICERS = (("1" * 43, "SUPERVISOR"), ("2" * 43, "VICTIM_PROTECTION_OFFICER"))  # key ids have 43 characters
_DAY = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")


def some(examples: int) -> settings:
    """Few examples a type, for there are many types; not shrunk, for that takes minutes and an exchange is small."""
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, suppress_health_check=quiet, phases=[Phase.generate])


@dataclass(frozen=True)
class Exchange:
    """One message before it is signed, and what the flow knows: what a property changes, it changes here.

    `approvals` are officers by key and role; each approves every field of the message.
    """

    draft: Draft
    known: Facts = field(default_factory=Facts)
    approvals: tuple[tuple[str, str], ...] = ()

    @property
    def at(self) -> datetime:
        return self.draft.at

    def sent(self) -> tuple[VerifiedMessage, Facts]:
        verified = message(self.draft)
        digests = frozenset(disclosure.digest for disclosure in verified.disclosures)
        approvals = tuple(Approval(officer, role, digests) for officer, role in self.approvals)
        kind = MESSAGES.get(self.draft.type)
        assert kind is not None
        return verified, replace(self.known, approvals=approvals, may_be_absent=kind.may_be_absent, places=kind.places)

    def decided(self, agreement: Agreement | None = AGREEMENT) -> Decision:
        verified, facts = self.sent()
        return decide(agreement, verified, facts, self.at)

    def with_draft(self, **changes: Any) -> "Exchange":
        return replace(self, draft=replace(self.draft, **changes))

    def with_claims(self, **changes: Any) -> "Exchange":
        """None takes a claim away."""
        claims = {name: value for name, value in {**self.draft.claims, **changes}.items() if value is not None}
        return self.with_draft(claims=claims)


def sensitive(type_: str) -> list[str]:
    kind = MESSAGES.get(type_)
    assert kind is not None
    return sorted(kind.sensitive)


def rules_of(type_: str) -> list[dict[str, Any]]:
    return [rule for rule in DOCUMENT["rules"] if rule["type"] == type_]


def agreement(rules: Iterable[Mapping[str, Any]], **changes: Any) -> Agreement:
    """The shipped agreement with these rules alone: no rule has a say in what another one decides."""
    return agreement_from_json(rfc8785.dumps({**DOCUMENT, **changes, "rules": [*rules]}))


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that holds no other, with its pointer."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, f"{pointer}/{name}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from leaves(member, f"{pointer}/{index}")
    else:
        yield pointer, value


def at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = value[int(step)] if isinstance(value, list) else value[unescape(step)]
    return value


def put(value: dict[str, Any], pointer: str, new: Any) -> dict[str, Any]:
    """A copy with `new` at a place whose holder is there; MISSING takes a member away."""
    copy = deepcopy(value)
    holder, _, name = pointer.rpartition("/")
    there = at(copy, holder)
    if isinstance(there, list):
        there[int(name)] = new
    elif new is MISSING:
        there.pop(name, None)
    else:
        there[name] = new
    return copy


@cache
def bodies(type_: str) -> tuple[dict[str, Any], ...]:
    """Valid bodies of a type: the examples, some specimens, and these with one place changed."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    whole = [*EXAMPLES[type_], *islice(_valid(type_, specimens(kind.schema)), 2)]
    changed: list[dict[str, Any]] = []
    for body in EXAMPLES[type_]:
        tried = [*islice(variations(kind.schema, body), 2000)]
        changed += islice(_valid(type_, tried[:: max(1, len(tried) // 60)]), 16)
    return (*whole, *changed)


def _valid(type_: str, values: Iterable[Any]) -> Iterator[Any]:
    return (value for value in values if not MESSAGES.violations(type_, value))


@cache
def permitted(type_: str) -> tuple[Exchange, ...]:
    """For every example and purpose, an exchange in each direction that a rule permits, if one is found."""
    found = []
    for rule in (rule for rule in AGREEMENT.rules if rule.type == type_):
        alike = not any(entry.confidential for entry in rule.withhold)
        for body in EXAMPLES[type_]:
            for sender, recipient in rule.routes():
                # Where nothing is confidential, the purposes of one rule differ in next to nothing: one search does.
                for purpose in rule.purposes[:1] if alike else rule.purposes:
                    first = next(_passing(rule, body, sender, recipient, purpose), None)
                    if first is None:
                        continue
                    others = (first.with_draft(purpose=other) for other in (rule.purposes[1:] if alike else ()))
                    found += [first, *(other for other in others if other.decided().permitted)]
    return tuple(found)


def _passing(rule: Rule, body: dict[str, Any], sender: str, recipient: str, purpose: str) -> Iterator[Exchange]:
    for draft in _drafts(rule, body, sender, recipient, purpose):
        for earlier in (*_earlier(rule, draft), None):
            claims = {**draft.claims, **({"in_reply_to": EARLIER} if earlier else {})}
            known = Facts(in_reply_to=earlier, linked=_linked(rule, draft))
            exchange = Exchange(replace(draft, claims=claims), known, OFFICERS)
            if exchange.decided().permitted:
                yield exchange


def _drafts(rule: Rule, body: dict[str, Any], sender: str, recipient: str, purpose: str) -> Iterator[Draft]:
    for kind in (*(rule.requires.case if rule.requires else _CASES[:1]), None):
        for moment in _moments(body):
            yield Draft(
                type=rule.type,
                sender=sender,
                recipient=recipient,
                purpose=purpose,
                agreement=AGREEMENT.id,
                classification="R",
                body=body,
                disclosable=sensitive(rule.type),
                claims={"officer": _OFFICER} | ({"case": Case(kind, f"{kind}/1/2026")} if kind else {}),
                at=moment,
            )


def _moments(body: dict[str, Any]) -> list[datetime]:
    """After everything that the body tells, before everything, and on each of its days."""
    days = {match[0] for _, value in leaves(body) if isinstance(value, str) and (match := _DAY.match(value))}
    told = sorted(date.fromisoformat(day) for day in days)
    near = [told[-1] + timedelta(1), told[0] - timedelta(4), *told] if told else []
    tried = [*near, date(2026, 12, 21)]
    moments = [datetime.combine(day, time(9, 30), UTC) for day in tried]
    return [moment for moment in moments if FIRST <= moment < LAST]


def _earlier(rule: Rule, draft: Draft) -> Iterator[RelatedTransfer]:
    """What the relations ask the message to reply to; the acknowledgement of its notice, where it may reply to that."""
    for entry in rule.withhold:
        if entry.confidential is not None and draft.purpose == "VICTIM_PROTECTION":
            pairs = [*entry.confidential.matching.items()]
            yield _transfer(ACKNOWLEDGED, draft.recipient, draft.sender, _view({"body": {}}, pairs, draft))
            break
    pairs = [(relation.here, relation.there) for relation in rule.relations if isinstance(relation, Same)]
    for relation in rule.relations:
        if not isinstance(relation, Answers | RefersTo | Amends):
            continue
        sender, recipient = draft.recipient, draft.sender
        if isinstance(relation, Amends):
            sender, recipient = recipient, sender
        for type_ in (relation.types or ("early-warning.report/1",))[:3]:
            for example in EXAMPLES[type_]:
                view = _view({"purpose": draft.purpose, "body": example}, pairs, draft)
                for asked in rule.relations:
                    if isinstance(asked, Earlier):
                        view = put(view, asked.field.text, next(specimens(asked.must.schema)))
                yield _transfer(type_, sender, recipient, view)


def _view(view: dict[str, Any], pairs: Iterable[tuple[Pointer, Pointer]], draft: Draft) -> dict[str, Any]:
    for here, there in pairs:
        value = here.read({"body": draft.body})
        if value is not MISSING:
            view = put(view, there.text, value)
    return view


def _transfer(type_: str, sender: str, recipient: str, view: dict[str, Any], id_: str = EARLIER) -> RelatedTransfer:
    return RelatedTransfer(id_, type_, sender, recipient, accepted=True, open=True, live=True, view=view)


def _linked(rule: Rule, draft: Draft) -> dict[str, RelatedTransfer]:
    return {
        text: _transfer(relation.types[0], draft.sender, draft.recipient, {"body": {}}, text)
        for relation in rule.relations
        if isinstance(relation, Links)
        for _, text in relation.field.find({"body": draft.body})
        if TRANSFER_ID.fullmatch(text)  # as `needs` asks: nothing else can name a transfer
    }
