"""Erasure in one commit: what was stored goes, the entry that says so comes.

A job looks once more at all that stands against it, under the locks of the transfers' ledger and of the gateway's own,
where holds are placed: a hold that was answered "in force" covers whatever is not erased by then, on every node.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlmodel import col

from gateway.erasure import HELD, standing_against
from gateway.ledger.entry import OperatorAct, TransferErased, decode
from gateway.store import erasures
from gateway.store.recorder import Transaction
from gateway.store.tables import (
    REFUSED,
    ChoreRow,
    EarlyWarningRow,
    LedgerEntry,
    LiaisonNoticeRow,
    SubjectIndex,
    TransferRow,
    micros,
)

_EMPTY: Final = {"wrapped_key": b"", "sealed_content": b"", "sealed_receipt": b""}
# What a refused message claimed, where its entry does not repeat it: a stranger's words.
_CLAIMED: Final = ("recipient", "type", "purpose", "agreement")


@dataclass(frozen=True, slots=True)
class Erased:
    """What one job did: the transfers that are gone, and for the others every reason together."""

    erased: tuple[str, ...] = ()
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    """Destroys those of `transfers`, all of one ledger, against which nothing stands; an entry for each.

    `own_ledger` is the gateway's. `duty` False: the end of retention is not waited for; then `approvals` are the keys of the
    officers who signed for it, which were judged at the configuration `judged_at`.
    """

    ledger: str
    own_ledger: str
    transfers: Sequence[str]
    erased_for: str
    who: str
    now: datetime
    refused_days: int
    why: str | None = None
    request: str | None = None
    duty: bool = True
    approvals: tuple[str, ...] = ()
    judged_at: int | None = None
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger, self.own_ledger)

    def stage(self, transaction: Transaction) -> Erased:
        if self.judged_at is not None:
            transaction.require_version(self.judged_at)
        connection = transaction.connection
        of_ledger = select(col(TransferRow.id)).where(
            col(TransferRow.id).in_(self.transfers), col(TransferRow.ledger) == self.ledger
        )
        known = connection.execute(of_ledger).scalars().all()
        kept: dict[str, tuple[str, ...]] = {}
        going: list[str] = []
        for stored in erasures.stored(connection, known, lock=True):
            if against := standing_against(stored, self.now, self.refused_days, duty=self.duty):
                kept[stored.transfer] = against
            else:
                going.append(stored.transfer)
        if not going:
            return Erased(kept=kept)
        _destroy(connection, [Erasure(one, self._entry(transaction, one), self.now, self.erased_for) for one in going])
        return Erased(tuple(going), kept)

    def _entry(self, transaction: Transaction, transfer: str) -> int:
        entry = TransferErased(
            time=self.now,
            transfer=transfer,
            erased_for=self.erased_for,
            who=self.who,
            why=self.why,
            request=self.request,
            approvals=self.approvals,
        )
        return transaction.append(self.ledger, entry).index


@dataclass(frozen=True, slots=True)
class Erasure:
    """What the ledger says of one: the transfer, where its entry stands, when, and on which ground."""

    transfer: str
    position: int
    time: datetime
    erased_for: str


@dataclass(frozen=True, slots=True)
class EraseAgain:
    """Destroys what the ledger has called erased and a restored table brought back. A hold placed since keeps it."""

    own_ledger: str
    ledger: str
    erasures: Sequence[Erasure]
    why: str
    who: str
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger, self.own_ledger)

    def stage(self, transaction: Transaction) -> Erased:
        connection = transaction.connection
        found = erasures.stored(connection, [one.transfer for one in self.erasures], lock=True)
        back = {one.transfer: one.held for one in found if not one.erased}
        going = [one for one in self.erasures if back.get(one.transfer) is False]
        if going:
            _destroy(connection, going)
            act = OperatorAct(time=self.now, who=self.who, what="retention.repeat", why=self.why, about=str(len(going)))
            transaction.append(self.own_ledger, act)
        kept: dict[str, tuple[str, ...]] = {transfer: (HELD,) for transfer, held in back.items() if held}
        return Erased(tuple(one.transfer for one in going), kept)


def _destroy(connection: Connection, going: Sequence[Erasure]) -> None:
    transfers = [one.transfer for one in going]
    claimed = _claimed(connection, transfers)
    for table in (SubjectIndex, EarlyWarningRow, LiaisonNoticeRow):
        connection.execute(delete(table).where(col(table.transfer).in_(transfers)))
    # One statement a shape of row: those of refused messages lose more.
    shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in going:
        lost = claimed.get(one.transfer, {})
        row = {"t": one.transfer, "p": one.position, "at": micros(one.time), "ground": one.erased_for, **lost}
        shapes.setdefault(tuple(sorted(lost)), []).append(row)
    for shape, rows in shapes.items():
        values: dict[str, Any] = {
            **_EMPTY,
            "erased_at": bindparam("at"),
            "erased_for": bindparam("ground"),
            "erased_position": bindparam("p"),
            **{name.removeprefix("new_"): bindparam(name) for name in shape},
        }
        connection.execute(
            update(TransferRow.__table__).where(col(TransferRow.id) == bindparam("t")).values(**values),  # type: ignore[attr-defined]
            rows,
        )


def _claimed(connection: Connection, transfers: Sequence[str]) -> dict[str, dict[str, str]]:
    """For each refused message, what of its claims the ledger knows; the rest is emptied."""
    refused = connection.execute(
        select(col(TransferRow.id), col(LedgerEntry.leaf))
        .join(
            LedgerEntry,
            (col(LedgerEntry.ledger) == col(TransferRow.ledger))
            & (col(LedgerEntry.position) == col(TransferRow.position)),
        )
        .where(col(TransferRow.id).in_(transfers), col(TransferRow.decision) == REFUSED)
    )
    found = {}
    for transfer, leaf in refused:
        entry = decode(leaf)
        found[transfer] = {f"new_{name}": str(entry.get(name, "")) for name in _CLAIMED}
    return found


@dataclass(frozen=True, slots=True)
class TakeChore:
    """Whether the caller may do a chore now: it is due, and then nobody else may until `until` (microseconds)."""

    name: str
    now: int
    until: int
    ledgers: Sequence[str]
    message_id: None = None

    def stage(self, transaction: Transaction) -> bool:
        connection = transaction.connection
        # The lock of a ledger stands before this: two nodes never insert at once.
        known = connection.execute(select(col(ChoreRow.due_at)).where(col(ChoreRow.name) == self.name)).scalar()
        if known is None:
            connection.execute(insert(ChoreRow), [{"name": self.name, "due_at": self.until}])
            return True
        if known > self.now:
            return False
        connection.execute(update(ChoreRow).where(col(ChoreRow.name) == self.name).values(due_at=self.until))
        return True


@dataclass(frozen=True, slots=True)
class MoveChore:
    """The one who has a chore says when it is due again: later while it works, the next time when it is done."""

    name: str
    due_at: int
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        transaction.connection.execute(
            update(ChoreRow).where(col(ChoreRow.name) == self.name).values(due_at=self.due_at)
        )
