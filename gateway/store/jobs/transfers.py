"""A judged message, and the recipient's receipts for it."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, update
from sqlmodel import col

from gateway.errors import GatewayError
from gateway.ledger.entry import Entry, TransferAcknowledged
from gateway.store import queries
from gateway.store.append import Placed
from gateway.store.recorder import DecidedBeforeError, Transaction
from gateway.store.sealing import Seal
from gateway.store.tables import (
    ACCEPTED,
    DELIVERED,
    AcknowledgementRow,
    OutboxRow,
    SubjectIndex,
    TransferCode,
    TransferRow,
    UsedMessageId,
    micros,
)

RECEIPT_PART: Final = "receipt"
CONTENT_PART: Final = "content"


class MessageIdUsedError(GatewayError):
    """The `jti` was used since the message was looked up: look again."""


@dataclass(frozen=True, slots=True)
class RecordedTransfer:
    """A judged message, in the ledger. `receipt` is the gateway's signed JWS."""

    transfer: str
    decision: str
    receipt: str
    placed: Placed


@dataclass(frozen=True, slots=True)
class Reliance:
    """How a transfer stood when an answer to it was permitted. Both are under one agreement, so one lock covers them."""

    transfer: str
    recipient: str
    answered: bool
    ended: bool

    def holds(self, transaction: Transaction) -> bool:
        replies = transaction.connection.execute(
            select(col(TransferRow.sender), col(TransferRow.type)).where(
                col(TransferRow.in_reply_to) == self.transfer, col(TransferRow.decision) == ACCEPTED
            )
        )
        found = [(row.sender, row.type) for row in replies]
        found += [
            (row["sender"], row["type"])
            for row in transaction.rows.get(TransferRow, ())
            if row["in_reply_to"] == self.transfer and row["decision"] == ACCEPTED
        ]
        return queries.reply_state(self.recipient, found) == (self.answered, self.ended)


@dataclass(frozen=True, slots=True, repr=False)
class RecordTransfer:
    """Step 9: message, ledger entry and outbox row, or message and refusal."""

    ledger: str
    entry: Entry
    row: dict[str, Any]
    seal: Seal
    sign_receipt: Callable[[Placed], str]
    judged_at_version: int
    claims_message_id: bool
    codes: Sequence[str] = ()
    subjects: Sequence[tuple[str, str]] = ()
    outbox: dict[str, Any] | None = None
    relies_on: Reliance | None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    @property
    def message_id(self) -> tuple[str, str] | None:
        return (self.row["sender"], self.row["jti"]) if self.claims_message_id else None

    def stage(self, transaction: Transaction) -> RecordedTransfer:
        transfer: str = self.row["id"]
        transaction.require_version(self.judged_at_version)
        if self.relies_on is not None and not self.relies_on.holds(transaction):
            raise DecidedBeforeError
        message_id = self.message_id
        if message_id is not None:
            if message_id in transaction.used_ids:
                raise MessageIdUsedError
            transaction.used_ids.add(message_id)
            transaction.insert(UsedMessageId, {"sender": message_id[0], "jti": message_id[1], "transfer": transfer})
        placed = transaction.append(self.ledger, self.entry)
        receipt = self.sign_receipt(placed)
        sealed = self.seal.close(RECEIPT_PART, receipt.encode("ascii"))
        transaction.insert(TransferRow, self.row | {"position": placed.index, "sealed_receipt": sealed})
        for code in self.codes:
            transaction.insert(TransferCode, {"code": code, "transfer": transfer})
        for kind, token in self.subjects:
            transaction.insert(SubjectIndex, {"kind": kind, "token": token, "transfer": transfer})
        if self.outbox is not None:
            transaction.insert(OutboxRow, self.outbox)
        return RecordedTransfer(transfer, self.row["decision"], receipt, placed)


@dataclass(frozen=True, slots=True)
class RecordAcknowledgement:
    """A recipient's verified receipt; the second one of the same event changes nothing."""

    ledger: str
    transfer: str
    event: str
    recipient: str
    kid: str
    jws: str
    now: datetime
    judged_at_version: int
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> Placed | None:
        """Where it was recorded; None for a duplicate."""
        transaction.require_version(self.judged_at_version)
        staged = any(
            row["transfer"] == self.transfer and row["event"] == self.event
            for row in transaction.rows.get(AcknowledgementRow, ())
        )
        known = transaction.connection.execute(
            select(col(AcknowledgementRow.position)).where(
                col(AcknowledgementRow.transfer) == self.transfer, col(AcknowledgementRow.event) == self.event
            )
        ).one_or_none()
        if staged or known is not None:
            return None
        placed = transaction.append(
            self.ledger,
            TransferAcknowledged(
                time=self.now,
                transfer=self.transfer,
                event=self.event,
                recipient=self.recipient,
                key=self.kid,
                receipt_digest=hashlib.sha256(self.jws.encode("ascii")).hexdigest(),
            ),
        )
        transaction.insert(
            AcknowledgementRow,
            {
                "transfer": self.transfer,
                "event": self.event,
                "jws": self.jws,
                "ledger": self.ledger,
                "position": placed.index,
                "recorded_at": micros(self.now),
            },
        )
        transaction.connection.execute(
            update(OutboxRow).where(col(OutboxRow.transfer) == self.transfer).values(state=DELIVERED, last_error=None)
        )
        return placed


def reasons_json(reasons: Sequence[Any]) -> str:
    return json.dumps([reason.as_json() for reason in reasons], separators=(",", ":"))
