"""What was accepted so far, as a later message may depend on it: how a transfer stands, how many of a kind there are.

The same questions are asked twice: before a message is judged, of what is committed, and under the recorder's lock, of
that and of what the same batch has staged. Decides how accepted transfers are counted; leaves to `decide.py` what a
count means. Every count is bounded: nobody waits for the last row of what is over its limit anyway.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, or_, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import col

from gateway.store.tables import ACCEPTED, SubjectIndex, TransferRow

ANSWERS: Final = "answers"
AMENDS: Final = "amends"
ENDS: Final = "ends"
# The kind and the keyed token of an identifier (`gateway/decision/subjects.py`).
Person = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """`answered`: its recipient's answer was accepted. `ended`: it was cancelled or recalled."""

    answered: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class Past:
    """Of one connection; `transfers` and `subjects` are staged rows of the same batch."""

    connection: Connection
    transfers: Sequence[Mapping[str, Any]] = ()
    subjects: Sequence[Mapping[str, Any]] = ()

    def standing(self, transfer: str, recipient: str) -> Standing:
        """Of a transfer to `recipient`: only the recipient's answer answers."""
        found = {
            (row.sender, row.reply_as)
            for row in self.connection.execute(
                select(col(TransferRow.sender), col(TransferRow.reply_as))
                .where(col(TransferRow.in_reply_to) == transfer, col(TransferRow.decision) == ACCEPTED)
                .where(col(TransferRow.reply_as).in_((ANSWERS, ENDS)))
                .distinct()
            )
        }
        found |= {(row["sender"], row["reply_as"]) for row in self._staged(in_reply_to=transfer)}
        return Standing((recipient, ANSWERS) in found, any(reply_as == ENDS for _, reply_as in found))

    def replies(self, transfer: str, type_: str, bound: int) -> int:
        """Messages of this type in reply to one transfer."""
        rows = (
            select(col(TransferRow.id))
            .where(col(TransferRow.in_reply_to) == transfer, col(TransferRow.decision) == ACCEPTED)
            .where(col(TransferRow.type) == type_)
        )
        return self._count(rows, bound) + len(self._staged(in_reply_to=transfer, type=type_))

    def under_rule(self, agreement: str, rule: str, sender: str, *, since: str, bound: int) -> int:
        """Messages of one sender that a rule permitted, from the transfer id `since` on."""
        rows = select(col(TransferRow.id)).where(
            col(TransferRow.agreement) == agreement,
            col(TransferRow.rule) == rule,
            col(TransferRow.sender) == sender,
            col(TransferRow.decision) == ACCEPTED,
            col(TransferRow.id) >= since,
        )
        staged = self._staged(agreement=agreement, rule=rule, sender=sender)
        return self._count(rows, bound) + sum(str(row["id"]) >= since for row in staged)

    def about(self, person: Person, agreement: str, type_: str, sender: str, *, since: str, bound: int) -> int:
        """Messages of one sender and type that name a person, from the transfer id `since` on."""
        kind, token = person
        rows = (
            select(col(SubjectIndex.transfer))
            .join(TransferRow, col(TransferRow.id) == col(SubjectIndex.transfer))
            .where(
                col(SubjectIndex.kind) == kind,
                col(SubjectIndex.token) == token,
                col(SubjectIndex.transfer) >= since,
                col(TransferRow.agreement) == agreement,
                col(TransferRow.type) == type_,
                col(TransferRow.sender) == sender,
                col(TransferRow.decision) == ACCEPTED,
            )
        )
        named = {row["transfer"] for row in self.subjects if (row["kind"], row["token"]) == person}
        staged = self._staged(agreement=agreement, type=type_, sender=sender)
        return self._count(rows, bound) + sum(row["id"] in named and str(row["id"]) >= since for row in staged)

    def case_names(
        self, case: Person, persons: Collection[Person], agreement: str, types: Collection[str], at: int
    ) -> frozenset[tuple[Person, str]]:
        """Those of the persons that stand beside the case in an accepted message of these types, each with its senders.

        `at` is the moment at which the message has to stand. What is recalled or has lapsed names nobody any more.
        """
        end = aliased(TransferRow)
        ended = (
            select(col(end.id))
            .where(col(end.in_reply_to) == col(TransferRow.id), col(end.decision) == ACCEPTED)
            .where(col(end.reply_as) == ENDS)
        )
        of_case = select(col(SubjectIndex.transfer)).where(
            col(SubjectIndex.kind) == case[0], col(SubjectIndex.token) == case[1]
        )
        found = self.connection.execute(
            select(col(SubjectIndex.kind), col(SubjectIndex.token), col(TransferRow.sender))
            .join(TransferRow, col(TransferRow.id) == col(SubjectIndex.transfer))
            .where(
                tuple_(col(SubjectIndex.kind), col(SubjectIndex.token)).in_(sorted(persons)),
                col(SubjectIndex.transfer).in_(of_case),
                col(TransferRow.agreement) == agreement,
                col(TransferRow.type).in_(sorted(types)),
                col(TransferRow.decision) == ACCEPTED,
                or_(col(TransferRow.stands_until).is_(None), col(TransferRow.stands_until) > at),
                ~ended.exists(),
                col(TransferRow.id).not_in(sorted(self._ended())),
            )
            .distinct()
        )
        return frozenset(((row.kind, row.token), row.sender) for row in found)

    def _ended(self) -> set[str]:
        """What a message of the same batch ends."""
        return {row["in_reply_to"] for row in self._staged(reply_as=ENDS)}

    def _count(self, rows: Any, bound: int) -> int:
        bounded = rows.limit(bound).subquery()
        return int(self.connection.execute(select(func.count()).select_from(bounded)).scalar_one())

    def _staged(self, **members: str) -> list[Mapping[str, Any]]:
        """Accepted rows of this batch that have these members."""
        wanted = members | {"decision": ACCEPTED}
        return [row for row in self.transfers if all(row[name] == value for name, value in wanted.items())]
