"""What a ledger says of the gateway itself, its operators, and the auditors who read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from gateway.ledger.kind import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRead(Entry):
    """An auditor read. `filters` names what was filtered by, with the value only where `recordable` lets it pass."""

    kind: ClassVar[str] = "audit.read"
    auditor: str
    role: str
    what: str
    filters: Mapping[str, str | None]
    results: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAct(Entry):
    """An operator did something that matters to trust. `why` is a code or a ticket number, never a sentence.

    Where two operators signed for it, `approvals` are their keys, and `digest` is of the document that they signed.
    """

    kind: ClassVar[str] = "operator.act"
    who: str
    what: str
    why: str
    about: str | None = None
    approvals: tuple[str, ...] = ()
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAdded(Entry):
    """An operator acts with this key from here on."""

    kind: ClassVar[str] = "operator.added"
    operator: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRevoked(Entry):
    """An operator's key does nothing more."""

    kind: ClassVar[str] = "operator.revoked"
    operator: str
    key: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertIssued(Entry):
    """The gateway told `recipient` that what `key` of `agency` signed since `not_after` is in doubt.

    `digest` is the SHA-256 of the alert's JWS: who has a key that the gateway lost can sign another one.
    """

    kind: ClassVar[str] = "alert.issued"
    alert: str
    recipient: str
    agency: str
    key: str
    not_after: datetime
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAcknowledged(Entry):
    """The recipient signed for an alert. `receipt_digest` is the SHA-256 of its receipt."""

    kind: ClassVar[str] = "alert.acknowledged"
    alert: str
    event: str
    recipient: str
    key: str
    receipt_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointKey(Entry):
    """From here on the ledger's checkpoints are signed by `vkey` as well, and after a while by it alone. Both keys say so."""

    kind: ClassVar[str] = "checkpoint.key"
    old_vkey: str
    vkey: str
    not_before: datetime
    old_signature: str
    new_signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInitialised(Entry):
    """The first entry of a gateway's own ledger."""

    kind: ClassVar[str] = "gateway.initialised"
    gateway: str
    key: str | None = None
