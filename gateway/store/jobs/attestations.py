"""What others put to a checkpoint is kept beside it: cosignatures and timestamps. None of it is a ledger entry.

Each job names its ledger, so that the recorder locks its head: two nodes that bring lines for one checkpoint add to each
other's, and neither waits for the other in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlmodel import col

from gateway.ledger.cosignature import with_signatures
from gateway.ledger.note import parse_note
from gateway.store.recorder import Transaction
from gateway.store.tables import AttestedCheckpoint, CheckpointTimestamp


@dataclass(frozen=True, slots=True)
class KeepAttested:
    """Keeps a checkpoint with its verified lines, or adds them to what is kept of the same checkpoint."""

    ledger: str
    size: int
    note: bytes
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> None:
        place = (col(AttestedCheckpoint.ledger) == self.ledger, col(AttestedCheckpoint.size) == self.size)
        kept = transaction.connection.execute(select(col(AttestedCheckpoint.note)).where(*place)).scalar_one_or_none()
        if kept is None:
            row = {"ledger": self.ledger, "size": self.size, "note": self.note}
            transaction.connection.execute(insert(AttestedCheckpoint), [row])
            return
        more = with_signatures(kept, parse_note(self.note).signatures)
        if more != kept:
            transaction.connection.execute(update(AttestedCheckpoint).where(*place).values(note=more))


@dataclass(frozen=True, slots=True)
class KeepTimestamp:
    """Keeps a verified timestamp; one that another node brought for the same checkpoint stays."""

    ledger: str
    size: int
    note: bytes
    token: bytes
    stamped_at: int
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> None:
        known = transaction.connection.execute(
            select(col(CheckpointTimestamp.stamped_at)).where(
                col(CheckpointTimestamp.ledger) == self.ledger, col(CheckpointTimestamp.size) == self.size
            )
        ).one_or_none()
        if known is None:
            row = {
                "ledger": self.ledger,
                "size": self.size,
                "note": self.note,
                "token": self.token,
                "stamped_at": self.stamped_at,
            }
            transaction.connection.execute(insert(CheckpointTimestamp), [row])
