"""A judged message: recorded with its entry, its receipt and its place in the outbox."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update
from sqlmodel import col

from gateway.errors import GatewayError
from gateway.jose import compact_json
from gateway.ledger.entry import Entry, TransferWithdrawn
from gateway.store.append import Placed
from gateway.store.past import Past
from gateway.store.recorder import DecidedBeforeError, Transaction
from gateway.store.reliance import Reliance
from gateway.store.sealing import Seal
from gateway.store.tables import (
    DEAD,
    DELIVERED,
    URGENT,
    WAITING,
    WITHDRAWN,
    OutboxRow,
    SubjectIndex,
    TransferCode,
    TransferRow,
    UsedMessageId,
)

RECEIPT_PART: Final = "receipt"
CONTENT_PART: Final = "content"


class MessageIdUsedError(GatewayError):
    """The `jti` was used, perhaps for this very message, since it was looked up: look again."""


@dataclass(frozen=True, slots=True)
class RecordedTransfer:
    """A judged message, in the ledger. `receipt` is the gateway's signed JWS."""

    transfer: str
    decision: str
    receipt: str
    placed: Placed


@dataclass(frozen=True, slots=True, repr=False)
class RecordTransfer:
    """Step 9: message, ledger entry and outbox row, or message and refusal.

    `ends` is the sender's own earlier transfer that this one cancels or recalls, `amends` one that it corrects.
    """

    ledger: str
    entry: Entry
    row: dict[str, Any]
    seal: Seal
    sign_receipt: Callable[[Placed], str]
    judged_at_version: int
    claims_message_id: bool
    codes: Sequence[str] = ()
    # Kind, keyed token, and the id of the index key.
    subjects: Sequence[tuple[str, str, str]] = ()
    known_as: Sequence[str] = ()
    outbox: dict[str, Any] | None = None
    relies_on: Sequence[Reliance] = ()
    ends: str | None = None
    amends: str | None = None
    # What else is in the same commit; the last step, because what an effect changes is not taken back.
    effects: Sequence[Callable[[Transaction], None]] = ()

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    @property
    def message_id(self) -> tuple[str, str] | None:
        return (self.row["sender"], self.row["jti"]) if self.claims_message_id else None

    def stage(self, transaction: Transaction) -> RecordedTransfer:
        transfer: str = self.row["id"]
        transaction.require_version(self.judged_at_version)
        self._require_still_permitted(transaction)
        message_id = self.message_id
        if message_id is not None:
            if message_id in transaction.used_ids:
                raise MessageIdUsedError
            transaction.used_ids.add(message_id)
            transaction.insert(UsedMessageId, {"sender": message_id[0], "jti": message_id[1], "transfer": transfer})
        elif _is_recorded(transaction, self.row["sender"], self.known_as):
            # The same replay twice at once: the second shares the refusal, and the receipt, of the first.
            raise MessageIdUsedError
        placed = transaction.append(self.ledger, self.entry)
        receipt = self.sign_receipt(placed)
        sealed = self.seal.close(RECEIPT_PART, receipt.encode("ascii"))
        transaction.insert(TransferRow, self.row | {"position": placed.index, "sealed_receipt": sealed})
        for code in self.codes:
            transaction.insert(TransferCode, {"code": code, "transfer": transfer})
        for kind, token, index_key in self.subjects:
            row = {"kind": kind, "token": token, "transfer": transfer, "index_key": index_key}
            transaction.insert(SubjectIndex, row)
        if self.outbox is not None:
            transaction.insert(OutboxRow, self.outbox | self._before_delivery(transaction))
        for effect in self.effects:
            effect(transaction)
        return RecordedTransfer(transfer, self.row["decision"], receipt, placed)

    def _require_still_permitted(self, transaction: Transaction) -> None:
        if not self.relies_on:
            return
        past = Past(
            transaction.connection, transaction.rows.get(TransferRow, ()), transaction.rows.get(SubjectIndex, ())
        )
        if not all(reliance.holds(past) for reliance in self.relies_on):
            raise DecidedBeforeError

    def _before_delivery(self, transaction: Transaction) -> dict[str, Any]:
        """Withdraws what this message ends, if it still waits. A change to what is out already is urgent."""
        changed = self.ends or self.amends
        if changed is None:
            return {}
        earlier = transaction.connection.execute(
            select(col(OutboxRow.state), col(OutboxRow.recipient), col(OutboxRow.attempts))
            .where(col(OutboxRow.transfer) == changed)
            .with_for_update()
        ).one_or_none()
        if earlier is None:
            return {}
        if self.ends is not None and earlier.state in (WAITING, DEAD):
            transaction.connection.execute(
                update(OutboxRow).where(col(OutboxRow.transfer) == changed).values(state=WITHDRAWN, last_error=None)
            )
            transaction.append(
                self.ledger,
                TransferWithdrawn(
                    time=self.entry.time,
                    transfer=changed,
                    ended_by=self.row["id"],
                    recipient=earlier.recipient,
                    attempts=earlier.attempts,
                ),
            )
        # Handed out once is perhaps read, though nobody has signed for it.
        return {"priority": URGENT} if earlier.state == DELIVERED or earlier.attempts else {}


def _is_recorded(transaction: Transaction, sender: str, identities: Sequence[str]) -> bool:
    staged = any(
        row["sender"] == sender and row["identity"] in identities for row in transaction.rows.get(TransferRow, ())
    )
    known = transaction.connection.execute(
        select(col(TransferRow.id)).where(col(TransferRow.sender) == sender, col(TransferRow.identity).in_(identities))
    )
    return staged or known.first() is not None


def reasons_json(reasons: Sequence[Any]) -> str:
    return compact_json([reason.as_json() for reason in reasons]).decode("utf-8") if reasons else "[]"
