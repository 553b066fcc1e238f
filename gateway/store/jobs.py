"""What can be recorded: each class is one kind of write, checked once more under the lock and then made whole.

A job carries everything that could be computed before; what needs the entry's place (the receipt) is made here.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlmodel import SQLModel, col

from gateway.errors import GatewayError
from gateway.ledger.entry import (
    Entry,
    TransferAcknowledged,
    TransferDead,
    TransferExpired,
    TransferRedelivered,
)
from gateway.store import queries
from gateway.store.append import CheckpointKeys, Placed, create_ledger
from gateway.store.recorder import Transaction
from gateway.store.sealing import Seal
from gateway.store.tables import (
    ACCEPTED,
    DEAD,
    DELIVERED,
    EXPIRED,
    IS_WAITING,
    WAITING,
    AcknowledgementRow,
    LedgerHead,
    OutboxRow,
    SubjectIndex,
    TransferCode,
    TransferRow,
    UsedMessageId,
    UsedToken,
    micros,
)

RECEIPT_PART: Final = "receipt"
CONTENT_PART: Final = "content"
PAGE_BYTES: Final = 8 * 1_048_576


class DecidedBeforeError(GatewayError):
    """The configuration, or the message that this one answers, changed since it was judged: judge it again."""


class MessageIdUsedError(GatewayError):
    """The `jti` was used since the message was looked up: look again."""


class TokenUsedError(GatewayError):
    default_code = "token.replayed"


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
        if transaction.config_version != self.judged_at_version:
            raise DecidedBeforeError
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
        if transaction.config_version != self.judged_at_version:
            raise DecidedBeforeError
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


@dataclass(frozen=True, slots=True)
class Leased:
    """One item handed out: until its lease ends, nobody else gets it."""

    transfer: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Lease:
    """Hands out up to `limit` due items of one recipient, the most urgent and oldest first.

    `priorities` are the most and the least urgent that are wanted. Beyond `size` stored bytes nothing more is taken, but
    always one item.
    """

    recipient: str
    limit: int
    now: int
    until: int
    priorities: tuple[int, int] = (0, 2)
    size: int = PAGE_BYTES
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> tuple[Leased, ...]:
        due = transaction.connection.execute(
            select(
                col(OutboxRow.transfer),
                col(OutboxRow.attempts),
                func.length(col(TransferRow.sealed_content)).label("size"),
            )
            .join(TransferRow, col(TransferRow.id) == col(OutboxRow.transfer))
            .where(
                IS_WAITING,
                col(OutboxRow.recipient) == self.recipient,
                col(OutboxRow.priority).between(*self.priorities),
                col(OutboxRow.due_at) <= self.now,
                col(OutboxRow.expires_at) > self.now,
            )
            .order_by(col(OutboxRow.priority), col(OutboxRow.transfer))
            .limit(self.limit)
            # Two nodes that ask at once must not hand out the same item.
            .with_for_update(of=OutboxRow, skip_locked=True)
        ).all()
        sizes = list(accumulate(row.size for row in due))
        taken = [row for row, sum_ in zip(due, sizes, strict=True) if sum_ <= self.size] or due[:1]
        if taken:
            transaction.connection.execute(
                update(OutboxRow)
                .where(col(OutboxRow.transfer).in_([row.transfer for row in taken]))
                .values(due_at=self.until, attempts=col(OutboxRow.attempts) + 1)
            )
        return tuple(Leased(row.transfer, row.attempts + 1) for row in taken)


@dataclass(frozen=True, slots=True)
class Retry:
    """What became of a pushed item that was not acknowledged: when to try again, or None to give up.

    Changes nothing once the item was handed out anew: `attempt` is the one that this is about.
    """

    transfer: str
    attempt: int
    due_at: int | None
    error: str


@dataclass(frozen=True, slots=True)
class Reschedule:
    """The end of a push that did not deliver everything. Giving up is a ledger entry."""

    retries: Sequence[Retry]
    ledger_of: dict[str, str]
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return tuple({self.ledger_of[retry.transfer] for retry in self.retries if retry.due_at is None})

    def stage(self, transaction: Transaction) -> None:
        # In one order everywhere, so that two batches cannot wait for each other.
        for retry in sorted(self.retries, key=lambda retry: retry.transfer):
            waiting = (
                col(OutboxRow.transfer) == retry.transfer,
                col(OutboxRow.state) == WAITING,
                col(OutboxRow.attempts) == retry.attempt,
            )
            if retry.due_at is not None:
                transaction.connection.execute(
                    update(OutboxRow).where(*waiting).values(due_at=retry.due_at, last_error=retry.error)
                )
                continue
            row = transaction.connection.execute(
                select(col(OutboxRow.recipient), col(OutboxRow.attempts)).where(*waiting).with_for_update()
            ).one_or_none()
            if row is not None:
                transaction.connection.execute(
                    update(OutboxRow).where(*waiting).values(state=DEAD, last_error=retry.error)
                )
                transaction.append(
                    self.ledger_of[retry.transfer],
                    TransferDead(
                        time=self.now, transfer=retry.transfer, recipient=row.recipient, attempts=row.attempts
                    ),
                )


@dataclass(frozen=True, slots=True)
class Expire:
    """Ends what was not delivered before its `exp`; an item that is handed out right now is left for the next round."""

    ledger: str
    transfers: Sequence[str]
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> int:
        at = micros(self.now)
        rows = transaction.connection.execute(
            select(col(OutboxRow.transfer), col(OutboxRow.recipient), col(OutboxRow.attempts))
            .where(
                col(OutboxRow.transfer).in_(self.transfers),
                col(OutboxRow.state) == WAITING,
                col(OutboxRow.expires_at) <= at,
            )
            .with_for_update(skip_locked=True)
        ).all()
        if rows:
            transaction.connection.execute(
                update(OutboxRow)
                .where(col(OutboxRow.transfer).in_([row.transfer for row in rows]))
                .values(state=EXPIRED)
            )
        for row in rows:
            transaction.append(
                self.ledger,
                TransferExpired(time=self.now, transfer=row.transfer, recipient=row.recipient, attempts=row.attempts),
            )
        return len(rows)


class NotWaitingError(GatewayError):
    """There is nothing left to deliver; the detail is the outbox's state."""


@dataclass(frozen=True, slots=True)
class Redeliver:
    """An operator's second start for a dead or waiting transfer: due at once, with all its attempts again."""

    ledger: str
    entry: TransferRedelivered
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> Placed:
        now, transfer = micros(self.entry.time), self.entry.transfer
        row = transaction.connection.execute(
            select(col(OutboxRow.state), col(OutboxRow.expires_at))
            .where(col(OutboxRow.transfer) == transfer)
            .with_for_update()
        ).one_or_none()
        if row is None or row.state not in (DEAD, WAITING):
            raise NotWaitingError("refused" if row is None else row.state)
        if row.expires_at <= now:
            raise NotWaitingError(EXPIRED)
        transaction.connection.execute(
            update(OutboxRow)
            .where(col(OutboxRow.transfer) == transfer)
            .values(state=WAITING, due_at=now, attempts=0, last_error=None)
        )
        return transaction.append(self.ledger, self.entry)


@dataclass(frozen=True, slots=True)
class UseToken:
    """A request token's `jti` counts once on all nodes together."""

    agency: str
    jti: str
    expires_at: int
    judged_at_version: int
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        if transaction.config_version != self.judged_at_version:
            raise DecidedBeforeError
        staged = any(
            row["agency"] == self.agency and row["jti"] == self.jti for row in transaction.rows.get(UsedToken, ())
        )
        known = transaction.connection.execute(
            select(col(UsedToken.expires_at)).where(
                col(UsedToken.agency) == self.agency, col(UsedToken.jti) == self.jti
            )
        ).one_or_none()
        if staged or known is not None:
            raise TokenUsedError("the token was used before")
        transaction.insert(UsedToken, {"agency": self.agency, "jti": self.jti, "expires_at": self.expires_at})


@dataclass(frozen=True, slots=True)
class ForgetTokens:
    """Drops the ids of tokens that have expired and can no longer be replayed."""

    before: int
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        transaction.connection.execute(delete(UsedToken).where(col(UsedToken.expires_at) < self.before))


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """An operator's or auditor's act: entries in one ledger or more, and rows that change with them."""

    ledger: str
    entries: Sequence[Entry]
    apply: Callable[[Transaction], None] | None = None
    rows: Sequence[tuple[type[SQLModel], dict[str, Any]]] = field(default_factory=tuple)
    changes_config: bool = False
    also: Sequence[tuple[str, Entry]] = ()
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger, *(ledger for ledger, _ in self.also))

    def stage(self, transaction: Transaction) -> tuple[Placed, ...]:
        if self.apply is not None:
            self.apply(transaction)
        for table, row in self.rows:
            transaction.insert(table, row)
        if self.changes_config:
            transaction.config_changes()
        every = [(self.ledger, entry) for entry in self.entries] + [*self.also]
        return tuple(transaction.append(ledger, entry) for ledger, entry in every)


@dataclass(frozen=True, slots=True)
class CreateLedger:
    """A new, empty ledger. One that is there already stays as it is."""

    ledger: str
    origin: str
    keys: CheckpointKeys
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        known = transaction.connection.execute(
            select(col(LedgerHead.size)).where(col(LedgerHead.ledger) == self.ledger)
        ).one_or_none()
        if known is None:
            create_ledger(transaction.connection, self.ledger, self.origin, self.keys)


def reasons_json(reasons: Sequence[Any]) -> str:
    return json.dumps([reason.as_json() for reason in reasons], separators=(",", ":"))
