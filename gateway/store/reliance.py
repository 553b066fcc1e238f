"""What a permission takes for granted, looked at again under the recorder's lock.

Between judging and recording another message may have been accepted, on this node or another. All that is relied on is
under one agreement, so the lock of one ledger covers it. Decides only whether a permission still holds: not whether a
count is the same, but whether it is still below its limit, so that messages in a row do not undo each other's judgement.
"""

from dataclasses import dataclass
from typing import Protocol

from gateway.store.past import Past, Person


class Reliance(Protocol):
    """One thing that was so when the message was judged."""

    def holds(self, past: Past) -> bool:
        """Whether it still is."""
        ...


@dataclass(frozen=True, slots=True)
class Stands:
    """A transfer to `recipient` was not answered yet (`open`), and had not ended (`live`); only what is true is relied on."""

    transfer: str
    recipient: str
    open: bool
    live: bool

    def holds(self, past: Past) -> bool:
        standing = past.standing(self.transfer, self.recipient)
        return not (self.open and standing.answered) and not (self.live and standing.ended)


@dataclass(frozen=True, slots=True)
class RepliesLeft:
    """At most `at_most` messages of this type reply to one transfer, the new one included."""

    transfer: str
    type: str
    at_most: int

    def holds(self, past: Past) -> bool:
        return past.replies(self.transfer, self.type, self.at_most) < self.at_most


@dataclass(frozen=True, slots=True)
class QuotaLeft:
    """At most `at_most` messages of the sender under this rule, the new one included, from the transfer id `since` on."""

    agreement: str
    rule: str
    sender: str
    since: str
    at_most: int

    def count(self, past: Past) -> int:
        return past.under_rule(self.agreement, self.rule, self.sender, since=self.since, bound=self.at_most)

    def holds(self, past: Past) -> bool:
        return self.count(past) < self.at_most


@dataclass(frozen=True, slots=True)
class SeldomAsked:
    """At most `at_most` messages of the sender and type about each of these persons, the new one included.

    `persons` are pairs of the kind and the keyed token of an identifier.
    """

    agreement: str
    type: str
    sender: str
    persons: frozenset[Person]
    since: str
    at_most: int

    def count(self, past: Past) -> int:
        """The highest of one person."""
        counts = (
            past.about(person, self.agreement, self.type, self.sender, since=self.since, bound=self.at_most)
            for person in sorted(self.persons)
        )
        return max(counts, default=0)

    def holds(self, past: Past) -> bool:
        return self.count(past) < self.at_most


@dataclass(frozen=True, slots=True)
class StillNamed:
    """Papers of one case name each of these persons, and papers of others each of `by_others`.

    `case` and the persons are pairs of kind and keyed token; `at` is the moment of judgement.
    """

    agreement: str
    sender: str
    case: Person
    types: tuple[str, ...]
    at: int
    persons: frozenset[Person]
    by_others: frozenset[Person]

    def holds(self, past: Past) -> bool:
        found = past.case_names(self.case, self.persons, self.agreement, self.types, self.at)
        named = {person for person, _ in found}
        return self.persons <= named and self.by_others <= {person for person, by in found if by != self.sender}
