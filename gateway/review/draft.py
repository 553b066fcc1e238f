"""Synthetic messages for a comparison: claims, body and the facts around them, small changes, and what `decide` says.

Decides how a message that nobody sent is put before two agreements. Leaves which change is worth trying to `witness`.
Everything in a draft is made from published examples and from specimens; nothing is about a real person.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from gateway.agreement.conditions import MISSING, Pointer
from gateway.agreement.document import Agreement
from gateway.agreement.terms import Links, Rule
from gateway.decision.decide import Decision, decide
from gateway.decision.facts import Facts, RelatedTransfer
from gateway.message.disclosure import Disclosure, Placed, digest_of
from gateway.message.envelope import CLASSIFICATIONS, HANDLINGS, Case, Claims, Officer, VerifiedMessage
from gateway.statements.approval import Approval

RELATED: Final = "01960000-0000-7000-8000-000000000001"
LINKED: Final = "01960000-0000-7000-8000-000000000002"
_SECONDS: Final = 3600
_OBJECTS: Final = {"case": frozenset({"type", "number"}), "officer": frozenset({"id", "role"})}


@dataclass(frozen=True, slots=True)
class Related:
    """The earlier transfer that `in_reply_to` names."""

    type: str
    sender: str
    recipient: str
    open: bool = True
    live: bool = True
    view: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """`view` is the message: its claims and `body`. `approvals` is how many officers of each of `roles` approved all fields."""

    view: Mapping[str, Any]
    at: datetime
    related: Related | None = None
    links: str | None = None
    replies: int = 0
    last_hour: int = 0
    last_day: int = 0
    repeated: int = 0
    repeated_on_own_papers: int = 0
    approvals: int = 0
    roles: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Claims, body and facts as plain values: what a reader needs to try it."""
        facts = {
            "in_reply_to": self.related
            and {
                "type": self.related.type,
                "sender": self.related.sender,
                "recipient": self.related.recipient,
                "open": self.related.open,
                "live": self.related.live,
            },
            "replies": self.replies,
            "last_hour": self.last_hour,
            "last_day": self.last_day,
            "repeated": self.repeated,
            "repeated_on_own_papers": self.repeated_on_own_papers,
            "approvals": self.approvals,
        }
        message = {**self.view, **({"in_reply_to": RELATED} if self.related else {})}
        return {"at": self.at.isoformat(), "message": message, "facts": {k: v for k, v in facts.items() if v}}


def with_value(view: Mapping[str, Any], pointer: Pointer, value: Any) -> dict[str, Any] | None:
    """The view with `value` at `pointer`, or without it for MISSING; None where there is no way to the place."""
    changed: dict[str, Any] | None = _placed(dict(view), pointer.steps, value)
    return changed if changed is not None and _is_message(changed) else None


def _is_message(view: Mapping[str, Any]) -> bool:
    """Whether the envelope would take these claims: a message that cannot be sent is no witness."""
    return (
        isinstance(view.get("body"), dict)
        and all(name not in view or _texts(view[name], members) for name, members in _OBJECTS.items())
        and view.get("classification") in CLASSIFICATIONS
        and view.get("handling", "CLEAR") in HANDLINGS
    )


def _texts(value: Any, members: frozenset[str]) -> bool:
    return isinstance(value, dict) and value.keys() == members and all(isinstance(one, str) for one in value.values())


def _placed(node: Any, steps: tuple[str, ...], value: Any) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if step == "*":
        if not isinstance(node, list) or not node:
            return None
        changed = _placed(node[0], rest, value)
        return None if changed is None else [changed, *node[1:]]
    if not isinstance(node, dict):
        return None
    if not rest and value is MISSING:
        return {name: member for name, member in node.items() if name != step} if step in node else None
    if rest and step not in node and value is MISSING:
        return None
    changed = _placed(node.get(step, {}), rest, value)
    return None if changed is None else {**node, step: changed}


def message_of(draft: Draft, disclosable: Iterable[str]) -> VerifiedMessage:
    """As if it had been sent and verified, with every field that matches one of the patterns behind a digest."""
    view = dict(draft.view)
    body = view.pop("body")
    claims = Claims(
        **{
            **view,
            "case": Case(**view["case"]) if "case" in view else None,
            "officer": Officer(**view["officer"]) if "officer" in view else None,
            "legal_basis": tuple(view.get("legal_basis", ())),
            "iat": int(draft.at.timestamp()),
            "exp": int(draft.at.timestamp()) + _SECONDS,
            "in_reply_to": RELATED if draft.related else None,
        }
    )
    found = {
        pointer: value for pattern in disclosable for pointer, value in Pointer.parse(pattern).find({"body": body})
    }
    placed = tuple(Placed(pointer, _disclosure(pointer, value), None) for pointer, value in sorted(found.items()))
    return VerifiedMessage("", "", claims, body, placed, tuple(place.disclosure for place in placed))


def _disclosure(pointer: str, value: Any) -> Disclosure:
    return Disclosure(pointer, digest_of(pointer), pointer, pointer.rpartition("/")[2], value)


def facts_of(draft: Draft, message: VerifiedMessage, rules: Iterable[Rule]) -> Facts:
    """The facts of a draft as the flow would look them up."""
    named = draft.related
    related = named and RelatedTransfer(
        RELATED, named.type, named.sender, named.recipient, True, named.open, named.live, named.view
    )
    digests = frozenset(entry.digest for entry in message.disclosures)
    return Facts(
        in_reply_to=related or None,
        linked=dict(_linked(draft, message, rules)),
        replies=draft.replies,
        last_hour=draft.last_hour,
        last_day=draft.last_day,
        repeated=draft.repeated,
        repeated_on_own_papers=draft.repeated_on_own_papers,
        approvals=tuple(
            Approval(f"{role}-{number}", role, digests) for role in draft.roles for number in range(draft.approvals)
        ),
    )


def _linked(draft: Draft, message: VerifiedMessage, rules: Iterable[Rule]) -> Iterator[tuple[str, RelatedTransfer]]:
    fields = [term.field for rule in rules for term in rule.relations if isinstance(term, Links)]
    for pointer in fields if draft.links else ():
        for _, text in pointer.find({"body": message.body}):
            if isinstance(text, str) and draft.links is not None:
                claims = message.claims
                yield (
                    text,
                    RelatedTransfer(text, draft.links, claims.aud, claims.iss, accepted=True, open=True, live=True),
                )


@dataclass(frozen=True, slots=True)
class Bench:
    """Where drafts are judged: two agreements, their two rules, and which fields a sender makes disclosable."""

    old: Agreement
    new: Agreement
    rules: tuple[Rule, ...]
    disclosable: tuple[str, ...]

    def judged(self, draft: Draft, agreement: Agreement) -> Decision:
        message = message_of(draft, self.disclosable)
        return decide(agreement, message, facts_of(draft, message, self.rules), draft.at)

    def both(self, draft: Draft) -> tuple[Decision, Decision]:
        """What the old and the new agreement say of one message."""
        message = message_of(draft, self.disclosable)
        facts = facts_of(draft, message, self.rules)
        return decide(self.old, message, facts, draft.at), decide(self.new, message, facts, draft.at)


def moved(draft: Draft, **changes: Any) -> Draft:
    """The draft with other facts."""
    return replace(draft, **changes)


def released(draft: Draft, decision: Decision, disclosable: Iterable[str]) -> frozenset[str]:
    """The disclosable fields that a permitted message still shows its recipient."""
    message = message_of(draft, disclosable)
    return frozenset(
        pointer
        for pointer in message.disclosable
        if not any(pointer == gone or pointer.startswith(f"{gone}/") for gone in decision.withheld)
    )
