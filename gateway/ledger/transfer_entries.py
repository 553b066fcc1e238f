"""What a ledger says of a message: that it was judged, delivered, answered for, or given up."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from gateway.errors import Reason
from gateway.ledger.kind import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferAccepted(Entry):
    """A message was permitted by a rule and is the recipient's from this entry on.

    `in_reply_to` and `notice` name transfers that were looked up. `approvals` are the keys of the officers who approved
    a release, `flags` what was wrong without being a reason to refuse.
    """

    kind: ClassVar[str] = "transfer.accepted"
    transfer: str
    sender: str
    recipient: str
    type: str
    purpose: str
    classification: str
    agreement: str
    agreement_version: int | str
    rule: str
    clause: str
    key: str
    commitment: str
    exp: int
    retain_until: date | None = None
    withheld: tuple[str, ...] = ()
    in_reply_to: str | None = None
    reply_as: str | None = None
    acknowledge_by: datetime | None = None
    flags: tuple[Reason, ...] = ()
    approvals: tuple[str, ...] = ()
    notice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRefused(Entry):
    """A message of a proven sender was refused. What it claimed appears only where it is a known code."""

    kind: ClassVar[str] = "transfer.refused"
    transfer: str
    sender: str
    key: str
    commitment: str
    reasons: tuple[Reason, ...]
    recipient: str | None = None
    type: str | None = None
    purpose: str | None = None
    classification: str | None = None
    agreement: str | None = None
    agreement_version: int | str | None = None
    rule: str | None = None
    clause: str | None = None
    exp: int | None = None
    retain_until: date | None = None
    withheld: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferAcknowledged(Entry):
    """The recipient signed a receipt: `receipt_digest` is the SHA-256 of that JWS, whose `jti` cannot be guessed."""

    kind: ClassVar[str] = "transfer.acknowledged"
    transfer: str
    event: str
    recipient: str
    key: str
    receipt_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferExpired(Entry):
    """The message's `exp` passed before the recipient had it."""

    kind: ClassVar[str] = "transfer.expired"
    transfer: str
    recipient: str | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferDead(Entry):
    """Delivery was given up after all retries; an operator may start it again."""

    kind: ClassVar[str] = "transfer.dead"
    transfer: str
    recipient: str | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferWithdrawn(Entry):
    """Its sender ended it before it was delivered; `ended_by` is the accepted transfer that did."""

    kind: ClassVar[str] = "transfer.withdrawn"
    transfer: str
    ended_by: str
    recipient: str | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOverdue(Entry):
    """`due_at` passed, and the recipient had neither answered the message nor said that it handled or rejected it."""

    kind: ClassVar[str] = "transfer.overdue"
    transfer: str
    recipient: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRedelivered(Entry):
    """An operator put a transfer back into delivery."""

    kind: ClassVar[str] = "transfer.redelivered"
    transfer: str
    who: str
    why: str | None = None
