"""The looking up of facts: what `facts.needs` asks for, found in the store in one session.

Decides how a fact is found, and how what was found is looked at again under the recorder's lock. Leaves to `facts.py`
what is asked and to `decide.py` what it means. Nothing is looked up that no rule asks for, and of the transfers of
another agreement nothing is known here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlmodel import Session

from gateway.agreement.terms import AtMost, Rule
from gateway.decision.facts import Facts, Needs, RelatedTransfer
from gateway.decision.subjects import typed_case
from gateway.errors import KeyringError
from gateway.message.envelope import Claims, Limits, VerifiedMessage, open_message, parse
from gateway.record import open_content
from gateway.statements.approval import verify_approvals
from gateway.store import queries
from gateway.store.configuration import Snapshot
from gateway.store.identity import first_id
from gateway.store.past import Past, Person
from gateway.store.reliance import QuotaLeft, Reliance, RepliesLeft, SeldomAsked, Stands, StillNamed
from gateway.store.sealing import Sealer, SubjectTokens
from gateway.store.session import Database
from gateway.store.tables import ACCEPTED, TransferRow, micros

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_log: Final = structlog.get_logger("sinergi.transfer")


@dataclass(frozen=True, slots=True)
class Found:
    """The facts of one message, and what a permission by them takes for granted."""

    facts: Facts = field(default_factory=Facts)
    relies_on: tuple[Reliance, ...] = ()


NOTHING: Final = Found()


@dataclass(frozen=True, slots=True)
class Lookup:
    """Made once a process."""

    database: Database
    sealer: Sealer
    tokens: SubjectTokens
    limits: Limits

    def find(self, needs: Needs, message: VerifiedMessage, snapshot: Snapshot, now: datetime) -> Found:
        """Blocks. Raises StoreUnavailableError."""
        approvals, faults = verify_approvals(message, snapshot.directory, now) if needs.approvals else ((), ())
        rule = _rule(needs, message.claims, snapshot)
        if rule is None or not _asks_the_store(needs):
            return Found(Facts(approvals=approvals, approval_faults=faults))
        with self.database.reading() as session:
            search = _Search(self, session, Past(session.connection()), needs, message.claims, rule, now)
            found = search.found()
        return replace(found, facts=replace(found.facts, approvals=approvals, approval_faults=faults))

    def view(self, row: TransferRow) -> dict[str, Any] | None:
        """The stored message as its sender sent it, with what was withheld; None if it does not open any more."""
        try:
            content = open_content(self.sealer, row)
        except KeyringError as error:
            _log.error("message_does_not_open", transfer=row.id, detail=error.detail)
            return None
        message = parse(str(content["message"]).encode("ascii"), self.limits)
        return {**message.claims.as_json(), "body": open_message(message, self.limits).payload}


def asks(needs: Needs) -> bool:
    """Whether there is anything to look up; for most messages there is not."""
    return needs.approvals or _asks_the_store(needs)


def _asks_the_store(needs: Needs) -> bool:
    return bool(needs.related or needs.linked or needs.quota or needs.persons)


def _rule(needs: Needs, claims: Claims, snapshot: Snapshot) -> Rule | None:
    agreement = snapshot.agreements.get(claims.agreement)
    if agreement is None:
        return None
    rules = agreement.rules_for(claims.type, claims.iss, claims.aud)
    return next((rule for rule in rules if rule.id == needs.rule), None)


@dataclass(frozen=True, slots=True)
class _Search:
    """One message's questions to one session. Each count stops at its limit: more would change nothing."""

    lookup: Lookup
    session: Session
    past: Past
    needs: Needs
    claims: Claims
    rule: Rule
    now: datetime

    def found(self) -> Found:
        earlier, stands = self.earlier()
        replies, room = self.replies()
        (last_hour, last_day), quotas = self.quota()
        (repeated, on_own_papers), seldom = self.repeats()
        facts = Facts(
            in_reply_to=earlier,
            linked=self.linked(),
            replies=replies,
            last_hour=last_hour,
            last_day=last_day,
            repeated=repeated,
            repeated_on_own_papers=on_own_papers,
        )
        return Found(facts, (*stands, *room, *quotas, *seldom))

    def earlier(self) -> tuple[RelatedTransfer | None, Iterable[Reliance]]:
        """What the message replies to."""
        if self.needs.related is None:
            return None, ()
        row = self.rows([self.needs.related]).get(self.needs.related)
        if row is None:
            return None, ()
        related = self.related(row)
        if self.needs.earlier_view and related.accepted:
            related = replace(related, view=self.lookup.view(row))
        # One way only: what was answered or had ended already was not relied on, and stays so.
        return related, (Stands(related.transfer, related.recipient, open=related.open, live=related.live),)

    def linked(self) -> dict[str, RelatedTransfer]:
        """That these were accepted is relied on, and cannot change."""
        return {transfer: self.related(row) for transfer, row in self.rows(self.needs.linked).items()}

    def replies(self) -> tuple[int, Iterable[Reliance]]:
        if not self.needs.replies or self.needs.related is None:
            return 0, ()
        limits = {relation.count for relation in self.rule.relations if isinstance(relation, AtMost)}
        count = self.past.replies(self.needs.related, self.claims.type, max(limits))
        room = (RepliesLeft(self.needs.related, self.claims.type, limit) for limit in limits if count < limit)
        return count, tuple(room)

    def quota(self) -> tuple[tuple[int, int], Iterable[Reliance]]:
        """Accepted in the last hour and the last day."""
        quota = self.rule.quota if self.needs.quota else None
        if quota is None:
            return (0, 0), ()
        counts, reliances = [], []
        for window, limit in ((_HOUR, quota.per_hour), (_DAY, quota.per_day)):
            if limit is None:
                counts.append(0)
                continue
            left = QuotaLeft(self.claims.agreement, self.rule.id, self.claims.iss, first_id(self.now - window), limit)
            counts.append(left.count(self.past))
            reliances.append(left)
        return (counts[0], counts[1]), reliances

    def repeats(self) -> tuple[tuple[int, int], list[Reliance]]:
        """How often one person was asked about, of those whom no paper of the case names and whom only own papers name."""
        repeats, since, tokens = self.rule.repeats, self.needs.since, self.lookup.tokens
        if repeats is None or since is None or not self.needs.persons:
            return (0, 0), []
        persons = {
            (named[0], tokens.token(*named)): (counted[0], tokens.token(*counted))
            for named, counted in self.needs.persons
        }
        named, by_others, reliances = self.named(frozenset(persons))
        counts = []
        for unproved in (persons.keys() - named, named - by_others):
            asked = frozenset(persons[person] for person in unproved)
            seldom = SeldomAsked(
                self.claims.agreement, self.claims.type, self.claims.iss, asked, first_id(since), repeats.at_most
            )
            counts.append(seldom.count(self.past))
            # Over the limit and accepted all the same, with a flag: nothing to look at again.
            if asked and counts[-1] < repeats.at_most:
                reliances.append(seldom)
        return (counts[0], counts[1]), reliances

    def named(self, persons: frozenset[Person]) -> tuple[frozenset[Person], frozenset[Person], list[Reliance]]:
        """Whom the papers of the message's case name, and whom of them the papers of somebody else."""
        case, types, at = self.claims.case, self.needs.named_by, micros(self.now)
        if case is None or not types:
            return frozenset(), frozenset(), []
        kind, value = typed_case(case)
        token = (kind, self.lookup.tokens.token(kind, value))
        found = self.past.case_names(token, persons, self.claims.agreement, types, at)
        named = frozenset(person for person, _ in found)
        by_others = frozenset(person for person, sender in found if sender != self.claims.iss)
        if not named:
            return named, by_others, []
        still = StillNamed(self.claims.agreement, self.claims.iss, token, types, at, named, by_others)
        return named, by_others, [still]

    def rows(self, transfers: Iterable[str]) -> dict[str, TransferRow]:
        found = queries.transfers(self.session, transfers)
        return {transfer: row for transfer, row in found.items() if row.agreement == self.claims.agreement}

    def related(self, row: TransferRow) -> RelatedTransfer:
        standing = self.past.standing(row.id, row.recipient)
        passed = row.stands_until is not None and row.stands_until <= micros(self.now)
        return RelatedTransfer(
            transfer=row.id,
            type=row.type,
            sender=row.sender,
            recipient=row.recipient,
            accepted=row.decision == ACCEPTED,
            open=not standing.answered,
            live=not standing.ended and not passed,
        )
