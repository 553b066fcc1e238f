"""A recipient's verified receipts: entry, receipt and the end of the delivery, for a whole page in one go."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlmodel import col

from gateway.ledger.entry import TransferAcknowledged
from gateway.store.append import Placed
from gateway.store.jobs.deadlines import acknowledged
from gateway.store.recorder import Transaction
from gateway.store.tables import DELIVERED, AcknowledgementRow, OutboxRow, micros


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a recipient says of one transfer, found to be true; `jws` is what it signed, `kid` with which key."""

    ledger: str
    transfer: str
    event: str
    recipient: str
    kid: str
    jws: str


@dataclass(frozen=True, slots=True)
class RecordAcknowledgements:
    """Receipts that came together; a second one of the same event of a transfer changes nothing."""

    receipts: Sequence[VerifiedReceipt]
    now: datetime
    judged_at_version: int
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return tuple({receipt.ledger for receipt in self.receipts})

    def stage(self, transaction: Transaction) -> tuple[Placed | None, ...]:
        """Where each was recorded; None for a duplicate."""
        transaction.require_version(self.judged_at_version)
        known = self._known(transaction)
        placed: list[Placed | None] = []
        fresh: list[VerifiedReceipt] = []
        for receipt in self.receipts:
            event = (receipt.transfer, receipt.event)
            if event in known:
                placed.append(None)
                continue
            known.add(event)
            fresh.append(receipt)
            placed.append(self._append(transaction, receipt))
        if fresh:
            # In one order everywhere, so that two batches cannot wait for each other.
            ended = sorted({receipt.transfer for receipt in fresh})
            transaction.connection.execute(_END, [{"acknowledged": transfer} for transfer in ended])
            acknowledged(
                transaction, [(receipt.transfer, receipt.event, receipt.recipient) for receipt in fresh], self.now
            )
        return tuple(placed)

    def _known(self, transaction: Transaction) -> set[tuple[str, str]]:
        """Events of these transfers that are recorded, or staged by another job of this batch."""
        transfers = sorted({receipt.transfer for receipt in self.receipts})
        recorded = transaction.connection.execute(_KNOWN, {"transfers": transfers})
        staged = transaction.rows.get(AcknowledgementRow, ())
        return {(transfer, event) for transfer, event in recorded} | {(row["transfer"], row["event"]) for row in staged}

    def _append(self, transaction: Transaction, receipt: VerifiedReceipt) -> Placed:
        entry = TransferAcknowledged(
            time=self.now,
            transfer=receipt.transfer,
            event=receipt.event,
            recipient=receipt.recipient,
            key=receipt.kid,
            receipt_digest=hashlib.sha256(receipt.jws.encode("ascii")).hexdigest(),
        )
        placed = transaction.append(receipt.ledger, entry)
        row: dict[str, Any] = {
            "transfer": receipt.transfer,
            "event": receipt.event,
            "jws": receipt.jws,
            "ledger": receipt.ledger,
            "position": placed.index,
            "recorded_at": micros(self.now),
        }
        transaction.insert(AcknowledgementRow, row)
        return placed


# By transfer, which has three events at most: for pairs in a list SQLite walks the whole table.
_KNOWN = select(col(AcknowledgementRow.transfer), col(AcknowledgementRow.event)).where(
    col(AcknowledgementRow.transfer).in_(bindparam("transfers", expanding=True))
)
_END = (
    update(OutboxRow)
    .where(col(OutboxRow.transfer) == bindparam("acknowledged"))
    .values(state=DELIVERED, last_error=None)
)
