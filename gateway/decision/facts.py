"""What a decision rests on that does not stand in the message: earlier transfers, counts, officers' approvals.

Decides which of it a rule asks for (`needs`), so that the flow looks up nothing else. Leaves the looking up to the flow
and the judgement to `decide.py`. Pure: the identifiers in `Needs` become keyed tokens before they reach the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from gateway.agreement.document import Agreement
from gateway.agreement.terms import Amends, Answers, AtMost, Earlier, Links, RefersTo, Rule, Same
from gateway.decision.reading import rule_for, rules_in_force, view_of
from gateway.decision.subjects import Person, persons_at
from gateway.errors import Reason
from gateway.message.envelope import TRANSFER_ID, VerifiedMessage
from gateway.message_types.places import UNKNOWN, Places
from gateway.statements.approval import APPROVALS, Approval


@dataclass(frozen=True, slots=True)
class RelatedTransfer:
    """An earlier transfer under the same agreement, as the ledger has it.

    `accepted`: it was permitted and recorded. `open`: no accepted message answers it yet. `live`: it was looked up that
    it still stands: neither ended nor recalled, and its `stands_until` has not passed; what was not looked up does not
    count as live. `view`: the message as its sender sent it, claims and `body`, withheld fields included; None where
    nothing asked for it.
    """

    transfer: str
    type: str
    sender: str
    recipient: str
    accepted: bool
    open: bool
    live: bool = False
    view: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """What `decide` cannot see in the message, as far as `needs` asks for it.

    `in_reply_to` is None where no such transfer is known; `linked` holds what is known, by transfer id. `replies` are the
    accepted messages of this type to that transfer, `last_hour` and `last_day` those of this sender under this rule,
    `repeated` those of this type and sender about one person since `Needs.since` whom no paper of the case names, and
    `repeated_on_own_papers` about one whom only the sender's own papers name: the highest count, without this message.
    `may_be_absent` is `MessageType.may_be_absent`: what may stay behind because it would tell what a rule withholds; None
    where no schema is known, and anything may. `places` is `MessageType.places`: what stands where.
    """

    in_reply_to: RelatedTransfer | None = None
    linked: Mapping[str, RelatedTransfer] = field(default_factory=dict)
    replies: int = 0
    last_hour: int = 0
    last_day: int = 0
    repeated: int = 0
    repeated_on_own_papers: int = 0
    approvals: tuple[Approval, ...] = ()
    approval_faults: tuple[Reason, ...] = ()
    may_be_absent: frozenset[str] | None = None
    places: Places = UNKNOWN


@dataclass(frozen=True, slots=True)
class Needs:
    """What the flow has to look up before it decides. Empty where the rule asks for nothing.

    `related`: the transfer to look up, with its message where `earlier_view`. `linked`: further transfers. `replies`:
    count the replies of this type. `quota`: count what `rule` accepted of this sender in the last hour and 24 hours.
    `persons`: count what this sender asked about any of them since `since`, the highest count of one; `named_by`: types
    among which a message with the case and one of the persons is looked for. `approvals`: verify the officers' approvals
    in the body.
    """

    related: str | None = None
    earlier_view: bool = False
    linked: tuple[str, ...] = ()
    replies: bool = False
    rule: str | None = None
    quota: bool = False
    persons: frozenset[Person] = field(default=frozenset(), repr=False)
    named_by: tuple[str, ...] = ()
    since: datetime | None = None
    approvals: bool = False


NOTHING: Final = Needs()


def needs(agreement: Agreement | None, message: VerifiedMessage, now: datetime) -> Needs:
    """What to look up for the one rule that could permit this message at `now`, which has a time zone."""
    claims = message.claims
    if agreement is None or agreement.id != claims.agreement:
        return NOTHING
    rule = rule_for(rules_in_force(agreement, claims, now) or (), claims.purpose)
    if rule is None:
        return NOTHING
    confidential = [entry.confidential for entry in rule.withhold if entry.confidential is not None]
    relations = rule.relations
    if not (relations or confidential or rule.quota or rule.repeats):
        return Needs(rule=rule.id)
    view = view_of(message)
    asks = confidential or any(
        isinstance(relation, Answers | RefersTo | Amends | Earlier | Same | AtMost) for relation in relations
    )
    repeats = rule.repeats
    return Needs(
        related=claims.in_reply_to if asks else None,
        earlier_view=claims.in_reply_to is not None
        and (
            any(isinstance(relation, Earlier | Same) for relation in relations)
            or any(entry.matching for entry in confidential)
        ),
        linked=_linked(rule, view),
        replies=claims.in_reply_to is not None and any(isinstance(relation, AtMost) for relation in relations),
        rule=rule.id,
        quota=rule.quota is not None,
        persons=persons_at(repeats.subject.find(view)) if repeats else frozenset(),
        named_by=repeats.named_by if repeats else (),
        since=repeats.within.before(now.astimezone(agreement.timezone)).astimezone(UTC) if repeats else None,
        approvals=bool(confidential) and APPROVALS in message.body,
    )


def _linked(rule: Rule, view: dict[str, Any]) -> tuple[str, ...]:
    """In the order of the message, each once. What has not the form of a transfer id names none."""
    texts = (
        text
        for relation in rule.relations
        if isinstance(relation, Links)
        for _, text in relation.field.find(view)
        if isinstance(text, str) and TRANSFER_ID.fullmatch(text)
    )
    return tuple(dict.fromkeys(texts))
