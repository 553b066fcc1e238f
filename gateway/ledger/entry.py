"""Ledger entries: the kinds there are, their members, and the exact bytes of a leaf.

Decides what may be written down for ever. A leaf is RFC 8785 JSON of one flat object with `v`, `kind` and `time`, the
closed set of members of its kind, and nothing personal: a message appears only as a commitment under a key of its own
(`commitment`), so destroying key and message leaves nothing to find. Order, indices and storage are the recorder's.
"""

import hmac
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.errors import LedgerInvalidError
from gateway.ledger import canonical
from gateway.ledger.custody_entries import HoldAdded, HoldReleased, SubjectRequest, TransferErased
from gateway.ledger.gateway_entries import (
    AlertAcknowledged,
    AlertIssued,
    AuditRead,
    CheckpointKey,
    GatewayInitialised,
    OperatorAct,
    OperatorAdded,
    OperatorRevoked,
)
from gateway.ledger.kind import ANY, LEAF_LIMIT, Entry, Kind, bounded, check_members, kind_of
from gateway.ledger.member import instant, recordable, timestamp
from gateway.ledger.party_entries import (
    AgencyAdded,
    AgencyChanged,
    AgreementActivated,
    KeyAdded,
    KeyRetired,
    KeyRevoked,
    OfficerAdded,
    OfficerRevoked,
    SchemaPublished,
)
from gateway.ledger.transfer_entries import (
    TransferAccepted,
    TransferAcknowledged,
    TransferDead,
    TransferExpired,
    TransferOverdue,
    TransferRedelivered,
    TransferRefused,
    TransferWithdrawn,
)

__all__ = [
    "COMMITMENT_KEY_SIZE",
    "KINDS",
    "LEAF_LIMIT",
    "AgencyAdded",
    "AgencyChanged",
    "AgreementActivated",
    "AlertAcknowledged",
    "AlertIssued",
    "AuditRead",
    "CheckpointKey",
    "Entry",
    "GatewayInitialised",
    "HoldAdded",
    "HoldReleased",
    "KeyAdded",
    "KeyRetired",
    "KeyRevoked",
    "OfficerAdded",
    "OfficerRevoked",
    "OperatorAct",
    "OperatorAdded",
    "OperatorRevoked",
    "SchemaPublished",
    "SubjectRequest",
    "TransferAccepted",
    "TransferAcknowledged",
    "TransferDead",
    "TransferErased",
    "TransferExpired",
    "TransferOverdue",
    "TransferRedelivered",
    "TransferRefused",
    "TransferWithdrawn",
    "commitment",
    "decode",
    "encode",
    "hold_commitment",
    "instant",
    "recordable",
    "timestamp",
]

COMMITMENT_KEY_SIZE: Final = 32


def encode(entry: Mapping[str, Any]) -> bytes:
    """The leaf of an entry. Raises LedgerInvalidError for a wrong member or a leaf over LEAF_LIMIT bytes."""
    leaf = bounded(canonical.dumps(entry))
    decode(leaf)  # what is written is what will be read
    return leaf


def decode(leaf: bytes) -> dict[str, Any]:
    """The entry of a leaf, exactly: what `encode` would not have written is refused with LedgerInvalidError.

    An entry of a kind that is not known here, from a later release, passes when it has `v` 1, `kind` and `time`.
    """
    entry = canonical.loads(bounded(leaf))
    if not isinstance(entry, dict):
        raise LedgerInvalidError("an entry is not an object")
    kind = entry.get("kind")
    check_members(entry, KINDS.get(kind, ANY) if isinstance(kind, str) else ANY)
    return entry


def hold_commitment(key: bytes, scope: str, target: str) -> str:
    """HMAC-SHA256 of scope, newline and target under the hold's own random key, in hex."""
    if len(key) != COMMITMENT_KEY_SIZE:
        raise LedgerInvalidError("a commitment key is 32 bytes")
    return hmac.new(key, f"{scope}\n{target}".encode(), "sha256").hexdigest()


def commitment(key: bytes, jwt: str) -> str:
    """HMAC-SHA256 of the issuer-signed JWT (ASCII, no disclosures) under the message's own random key, in hex.

    Raises LedgerInvalidError for a key that is not 32 bytes or a text that cannot be a JWT.
    """
    if len(key) != COMMITMENT_KEY_SIZE:
        raise LedgerInvalidError("a commitment key is 32 bytes")
    if not jwt.isascii() or "~" in jwt or not jwt:
        raise LedgerInvalidError("a commitment is to the issuer-signed JWT alone")
    return hmac.new(key, jwt.encode(), "sha256").hexdigest()


KINDS: Final[Mapping[str, Kind]] = MappingProxyType({
    entry.kind: kind_of(entry)
    for entry in (
        TransferAccepted, TransferRefused, TransferAcknowledged, TransferExpired, TransferDead, TransferWithdrawn,
        TransferOverdue, TransferRedelivered, TransferErased, HoldAdded, HoldReleased, SubjectRequest,
        KeyAdded, KeyRevoked, KeyRetired, OfficerAdded, OfficerRevoked, AgencyAdded, AgencyChanged,
        AgreementActivated, SchemaPublished,
        AuditRead, OperatorAct, OperatorAdded, OperatorRevoked, CheckpointKey, AlertIssued,
        AlertAcknowledged, GatewayInitialised,
    )
})  # fmt: skip
