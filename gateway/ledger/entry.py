"""Ledger entries: the kinds there are, their members, and the exact bytes of a leaf.

Decides what may be written down for ever. A leaf is RFC 8785 JSON of one flat object with `v`, `kind` and `time`, the
closed set of members of its kind, and nothing personal: a message appears only as a commitment under a key of its own
(`commitment`), so destroying key and message leaves nothing to find. Order, indices and storage are the recorder's.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final

from gateway.errors import LedgerInvalidError, Reason
from gateway.ledger import canonical
from gateway.ledger.member import FORMS, Form, instant, recordable, timestamp

__all__ = [
    "COMMITMENT_KEY_SIZE",
    "KINDS",
    "LEAF_LIMIT",
    "AgencyAdded",
    "AgencyChanged",
    "AgreementActivated",
    "AuditRead",
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
    "instant",
    "recordable",
    "timestamp",
]

LEAF_LIMIT: Final = 65_535  # C2SP tlog-tiles: an entry's length is a uint16
COMMITMENT_KEY_SIZE: Final = 32


def encode(entry: Mapping[str, Any]) -> bytes:
    """The leaf of an entry. Raises LedgerInvalidError for a wrong member or a leaf over LEAF_LIMIT bytes."""
    leaf = _bounded(canonical.dumps(entry))
    decode(leaf)  # what is written is what will be read
    return leaf


def decode(leaf: bytes) -> dict[str, Any]:
    """The entry of a leaf, exactly: what `encode` would not have written is refused with LedgerInvalidError.

    An entry of a kind that is not known here, from a later release, passes when it has `v` 1, `kind` and `time`.
    """
    entry = canonical.loads(_bounded(leaf))
    if not isinstance(entry, dict):
        raise LedgerInvalidError("an entry is not an object")
    _check_members(entry)
    return entry


def commitment(key: bytes, jwt: str) -> str:
    """HMAC-SHA256 of the issuer-signed JWT (ASCII, no disclosures) under the message's own random key, in hex.

    Raises LedgerInvalidError for a key that is not 32 bytes or a text that cannot be a JWT.
    """
    if len(key) != COMMITMENT_KEY_SIZE:
        raise LedgerInvalidError("a commitment key is 32 bytes")
    if not jwt.isascii() or "~" in jwt or not jwt:
        raise LedgerInvalidError("a commitment is to the issuer-signed JWT alone")
    return hmac.digest(key, jwt.encode(), "sha256").hex()


def _bounded(leaf: bytes) -> bytes:
    if len(leaf) > LEAF_LIMIT:
        raise LedgerInvalidError(f"a leaf of {len(leaf)} bytes; {LEAF_LIMIT} is the limit")
    return leaf


def _check_members(entry: Mapping[str, Any]) -> None:
    kind = entry.get("kind")
    known = KINDS.get(kind, _ANY) if isinstance(kind, str) else _ANY
    if not known.required <= entry.keys():
        raise LedgerInvalidError(f"an entry without {', '.join(sorted(known.required - entry.keys()))}")
    for name, value in entry.items():
        form = known.forms.get(name)
        if form is None:
            if known.open:
                continue
            raise LedgerInvalidError(f"{kind} has no member {name!r}")
        if not form(value):  # and what it holds is not repeated: it may be what must not be written down
            raise LedgerInvalidError(f"the member {name!r} of an entry has the wrong form")


_ABSENT_WHEN_EMPTY: Final = frozenset({"withheld", "flags", "approvals"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What every kind shares. A member that is None, or a list that may be absent and is empty, is left out."""

    kind: ClassVar[str]
    time: datetime

    def __post_init__(self) -> None:
        _check_members(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The members as JSON values."""
        members: dict[str, Any] = {"v": 1, "kind": self.kind}
        for name in KINDS[self.kind].names:
            value = getattr(self, name)
            if value is not None and (value or name not in _ABSENT_WHEN_EMPTY):
                members[name] = value if isinstance(value, str | int) else _json(value)
        return members

    def leaf(self) -> bytes:
        """The bytes that are hashed into the tree. Raises LedgerInvalidError when they would be too long."""
        return _bounded(canonical.dumps(self.as_json()))


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Reason):  # without its detail, which is words for a caller and not evidence
        members = {"code": value.code, "clause": value.clause, "pointer": value.pointer}
        return {name: held for name, held in members.items() if held is not None}
    if isinstance(value, Mapping):
        return dict(value)
    return [_json(element) for element in value] if isinstance(value, tuple | list) else value


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferErased(Entry):
    """Message, receipt, their keys and every index of them were destroyed. `erased_for` says on what ground.

    `request` is the accepted transfer by which the parties agreed on it, where it is not retention or a person's wish.
    """

    kind: ClassVar[str] = "transfer.erased"
    transfer: str
    erased_for: str
    who: str
    why: str | None = None
    request: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAdded(Entry):
    """Nothing that the hold covers is erased from here on. `scope` is `transfer`, or the kind of an identifier."""

    kind: ClassVar[str] = "hold.added"
    hold: str
    scope: str
    who: str
    why: str
    transfer: str | None = None


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

    `request` is the gateway's number for it. Which transfers they are is not told here: it would tie them to one person.
    """

    kind: ClassVar[str] = "subject.request"
    request: str
    what: str
    who: str
    why: str
    results: int
    erased: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdded(Entry):
    """An agency's public key counts for `use` from `not_before` on."""

    kind: ClassVar[str] = "key.added"
    agency: str
    key: str
    use: str
    not_before: datetime
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRevoked(Entry):
    """A key must not be trusted from `not_after` on, because it is or may be in other hands."""

    kind: ClassVar[str] = "key.revoked"
    agency: str
    key: str
    use: str
    not_before: datetime | None = None
    not_after: datetime | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRetired(Entry):
    """A key is no longer used after `not_after`; what it signed before stays valid."""

    kind: ClassVar[str] = "key.retired"
    agency: str
    key: str
    use: str
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerAdded(Entry):
    """An officer of `agency` may approve with this key. The entry names no person: an officer's number tells a birth date."""

    kind: ClassVar[str] = "officer.added"
    agency: str
    key: str
    role: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerRevoked(Entry):
    """An officer's key approves nothing more."""

    kind: ClassVar[str] = "officer.revoked"
    agency: str
    key: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyAdded(Entry):
    """An agency takes part. `digest` is the SHA-256 of its canonical public description."""

    kind: ClassVar[str] = "agency.added"
    agency: str
    status: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyChanged(Entry):
    """An agency's status, endpoint or other public description changed."""

    kind: ClassVar[str] = "agency.changed"
    agency: str
    status: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementActivated(Entry):
    """A version of an agreement, signed by all its parties, is in force; `digest` is of its canonical JSON."""

    kind: ClassVar[str] = "agreement.activated"
    agreement: str
    version: int | str
    digest: str
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaPublished(Entry):
    """A version of a message type is in the catalogue; `digest` is of its canonical schema."""

    kind: ClassVar[str] = "schema.published"
    type: str
    digest: str


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
    """An operator did something that matters to trust. `why` is a code or a ticket number, never a sentence."""

    kind: ClassVar[str] = "operator.act"
    who: str
    what: str
    why: str | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInitialised(Entry):
    """The first entry of a gateway's own ledger."""

    kind: ClassVar[str] = "gateway.initialised"
    gateway: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    names: tuple[str, ...]
    required: frozenset[str]
    forms: Mapping[str, Form]
    open: bool = False


def _kind(entry: type[Entry]) -> _Kind:
    """The members of a kind are the fields of its class, so the two cannot drift apart."""
    names = tuple(field.name for field in fields(entry))
    optional = {field.name for field in fields(entry) if field.default is None or field.default == ()}
    allowed = ("v", "kind", *names)
    return _Kind(names, frozenset(allowed) - optional, {name: FORMS[name] for name in allowed})


_COMMON: Final = ("v", "kind", "time")
_ANY: Final = _Kind(("time",), frozenset(_COMMON), {name: FORMS[name] for name in _COMMON}, open=True)

KINDS: Final[Mapping[str, _Kind]] = MappingProxyType({
    entry.kind: _kind(entry)
    for entry in (
        TransferAccepted, TransferRefused, TransferAcknowledged, TransferExpired, TransferDead, TransferWithdrawn,
        TransferOverdue, TransferRedelivered, TransferErased, HoldAdded, HoldReleased, SubjectRequest,
        KeyAdded, KeyRevoked, KeyRetired, OfficerAdded, OfficerRevoked, AgencyAdded, AgencyChanged,
        AgreementActivated, SchemaPublished,
        AuditRead, OperatorAct, GatewayInitialised,
    )
})  # fmt: skip
