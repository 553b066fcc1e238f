"""What a ledger says of what is kept: erasures, legal holds, persons' requests."""

from dataclasses import dataclass
from typing import ClassVar

from gateway.ledger.kind import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferErased(Entry):
    """Message, receipt, their keys and every index of them were destroyed. `erased_for` says on what ground.

    `request` is the accepted transfer by which the parties agreed on it, where it is not retention or a person's wish;
    `approvals` are the keys of the officers who signed for an erasure before its day.
    """

    kind: ClassVar[str] = "transfer.erased"
    transfer: str
    erased_for: str
    who: str
    why: str | None = None
    request: str | None = None
    approvals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAdded(Entry):
    """Nothing that the hold covers is erased from here on. `scope` is `transfer`, or the kind of an identifier.

    What it is about stands here only as a commitment (`hold_commitment`): a hold can be part of a case.
    """

    kind: ClassVar[str] = "hold.added"
    hold: str
    scope: str
    who: str
    why: str
    commitment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased(Entry):
    """A hold ended. `approvals` are the keys of the officers who signed for it, each another person's."""

    kind: ClassVar[str] = "hold.released"
    hold: str
    who: str
    why: str
    approvals: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectRequest(Entry):
    """A person's request was worked on: `what` was done, with how many transfers, of which `erased` were destroyed.

    `request` is the gateway's number for it, and an erasure has two entries: before it begins, and with `erased` when it is
    done. `approvals` are the keys of the officers who signed for one before its day. Which transfers they are is not told
    here: it would tie them to one person.
    """

    kind: ClassVar[str] = "subject.request"
    request: str
    what: str
    who: str
    why: str
    results: int
    erased: int | None = None
    approvals: tuple[str, ...] = ()
