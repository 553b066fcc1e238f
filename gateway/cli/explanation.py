"""Rules in words, and a decision about a message that nobody sent."""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import resources
from gateway.agreement.document import Agreement
from gateway.agreement.terms import (
    Amends,
    Answers,
    AtMost,
    Conditional,
    Earlier,
    Links,
    Ordered,
    PeriodAtLeast,
    PeriodAtMost,
    RefersTo,
    Relation,
    Rule,
    Same,
    Withholding,
)
from gateway.agreement.vocabulary import Situation
from gateway.decision.decide import Decision, Facts, RelatedTransfer, decide
from gateway.errors import OperatorError
from gateway.jose import sign_jws, strict_json
from gateway.keyring import signer_for
from gateway.message.disclosure import close_payload
from gateway.message.envelope import MESSAGE_TYP, VerifiedMessage, open_message, parse, serialise, verify
from gateway.message_types import catalogue

_OWN: Final = frozenset({"body", "disclosable"})


def judge(agreement: Agreement, text: str, related: Mapping[str, Any] | None, now: datetime) -> Decision:
    """Schema and rules, as in the flow; not the signature, the dates or the replay of a real message.

    Raises OperatorError or MalformedError for what is no message at all.
    """
    message = _from_json(text, now) if text.lstrip().startswith("{") else _from_text(text.strip())
    claims = message.claims
    messages = catalogue.load(resources.schemas_dir())
    if violations := messages.violations(claims.type, message.body):
        return Decision(
            permitted=False, reasons=violations, agreement=agreement.id, agreement_version=agreement.version
        )
    kind = messages.get(claims.type)
    facts = Facts(in_reply_to=_related(related))
    if kind is not None:
        facts = replace(facts, may_be_absent=kind.may_be_absent, places=kind.places)
    return decide(agreement, message, facts, now)


def _from_json(text: str, now: datetime) -> VerifiedMessage:
    """Signed with a key that nobody keeps, so that it goes through the same strict parser as a real one."""
    given = strict_json(text.encode("utf-8"), "the message")
    body, disclosable = given.get("body"), given.get("disclosable", [])
    if not isinstance(body, dict):
        raise OperatorError("the message's body must be an object")
    if not isinstance(disclosable, list) or not all(isinstance(one, str) for one in disclosable):
        raise OperatorError("disclosable must be a list of pointers such as /body/reporter")
    closed, disclosures = close_payload(body, [one.removeprefix("/body") for one in disclosable])
    issued = int(now.timestamp())
    claims = {
        "iat": issued,
        "exp": issued + int(timedelta(days=1).total_seconds()),
        "jti": secrets.token_urlsafe(16),
        **{name: value for name, value in given.items() if name not in _OWN},
    }
    if disclosures:
        claims["_sd_alg"] = "sha-256"
    signer = signer_for(Ed25519PrivateKey.generate())
    signed = serialise(sign_jws(claims | {"body": closed}, MESSAGE_TYP, signer), disclosures)
    return verify(parse(signed.encode("ascii")), signer.public)


def _from_text(text: str) -> VerifiedMessage:
    """A real message, whose signature is not looked at: no decision of this command counts for anything."""
    try:
        message = parse(text.encode("ascii"))
    except UnicodeEncodeError as error:
        raise OperatorError("the message is neither JSON nor an SD-JWT") from error
    opened = open_message(message)
    return VerifiedMessage(
        message.jwt, message.jws.kid, message.claims, opened.payload, opened.placed, message.disclosures
    )


def _related(given: Mapping[str, Any] | None) -> RelatedTransfer | None:
    if given is None:
        return None
    try:
        return RelatedTransfer(**given)
    except TypeError as error:
        raise OperatorError(
            "the related transfer has transfer, type, sender, recipient, accepted, open and live"
        ) from error


def rule_lines(agreement: Agreement, rule: Rule) -> Iterator[str]:
    """One rule in a few lines of English, with its source."""
    yield f"{rule.id}: {rule.title.en}"
    yield f"  clause {rule.clause}: {agreement.clauses[rule.clause].title.en}"
    routes = ", ".join(f"{sender} to {recipient}" for sender, recipient in rule.routes())
    yield f"  {rule.type} from {routes}, for {' or '.join(rule.purposes)}"
    if rule.valid_from or rule.valid_until:
        yield f"  from {rule.valid_from or agreement.valid_from} to {rule.valid_until or agreement.valid_until}"
    if rule.requires is not None:
        yield f"  needs a case of type {' or '.join(rule.requires.case)}"
    for condition in rule.where:
        optional = " where it is given" if condition.optional else ""
        must = f"{condition.field.text} must match {_short(condition.must.schema)}{optional}"
        yield f"  {condition.name}: {must}{_conditional(condition)}"
    for relation in rule.relations:
        yield f"  {relation.name}: {_relation(relation)}{_conditional(relation)}"
    if rule.stands_until is not None:
        yield f"  stands until {rule.stands_until.text}"
    for within in rule.jurisdiction:
        yield f"  {within.field.text} must lie in the territory of {within.of}"
    for withholding in rule.withhold:
        yield f"  {withholding.field.text} is withheld{_unless(withholding)}"
    yield from _limits(rule)
    since = f" from {rule.retention.counted_from.text}" if rule.retention.counted_from else ""
    yield f"  kept for {rule.retention.keep.text}{since}"
    if rule.acknowledge_within is not None:
        for deadline in rule.acknowledge_within.deadlines:
            when = _given(deadline.when or {})
            counted = " in working days" if deadline.working else ""
            yield f"  acknowledged within {deadline.within.text}{counted}{f' when {when}' if when else ''}"
    yield f"  handling {rule.handling}, priority {rule.priority}"
    yield f"  source ({rule.provenance}): {rule.citation}"


def _given(situation: Situation) -> str:
    return " and ".join(f"{pointer.text} matches {_short(fragment.schema)}" for pointer, fragment in situation.items())


def _conditional(term: Conditional) -> str:
    when = f", when {_given(term.when)}" if term.when else ""
    return when + (" (only flagged)" if term.otherwise == "flag" else "")


def _unless(withholding: Withholding) -> str:
    unless = " or ".join(_given(situation) for situation in withholding.unless)
    if not unless:
        return " always"
    confidential = withholding.confidential
    if confidential is None:
        return f", unless {unless}"
    when = f" when {_given(confidential.when)}" if confidential.when else ""
    return (
        f", unless {unless}; and{when} only with the approvals of {confidential.approvals} officers"
        f" ({' or '.join(confidential.roles)}), after {' or '.join(confidential.notice)}"
    )


def _limits(rule: Rule) -> Iterator[str]:
    if rule.quota is not None:
        counts = ((rule.quota.per_hour, "an hour"), (rule.quota.per_day, "a day"))
        yield f"  at most {' and '.join(f'{count} {each}' for count, each in counts if count is not None)} a sender"
    if rule.repeats is not None:
        repeats = rule.repeats
        flagged = " (only flagged)" if repeats.otherwise == "flag" else ""
        yield (
            f"  at most {repeats.at_most} about one person of {repeats.subject.text} within {repeats.within.text},"
            f" unless {' or '.join(repeats.named_by)} names the person under the case{flagged};"
            f" {'flagged' if repeats.on_own_papers == 'flag' else 'refused too'} where only the sender's own papers do"
        )


def _relation(relation: Relation) -> str:
    match relation:
        case Ordered():
            return f"{relation.first.text} is not later than {relation.last.text}"
        case PeriodAtMost():
            return f"{relation.first.text} to {relation.last.text} is at most {relation.limit.text}"
        case PeriodAtLeast():
            return f"{relation.first.text} to {relation.last.text} is at least {relation.limit.text}"
        case Answers():
            which = "an open" if relation.open else "a"
            return f"in_reply_to names {which} {' or '.join(relation.types)} that it received and that still stands"
        case RefersTo():
            return f"in_reply_to names an accepted {' or '.join(relation.types)} that still stands"
        case Amends():
            ends = ", which then stands no longer" if relation.ends else ""
            stands = " that still stands" if relation.standing else ", standing or not"
            return f"in_reply_to names its own {' or '.join(relation.types or ('message',))}{stands}{ends}"
        case Earlier():
            return f"{relation.field.text} of the message replied to matches {_short(relation.must.schema)}"
        case Same():
            return f"{relation.here.text} equals {relation.there.text} of the message replied to"
        case Links():
            return f"{relation.field.text} names accepted transfers of {' or '.join(relation.types)}"
        case AtMost():
            return f"at most {relation.count} of this type reply to the same message"


def _short(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
