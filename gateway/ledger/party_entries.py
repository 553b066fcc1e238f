"""What a ledger says of those who take part: agencies, officers, keys, agreements, message types."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from gateway.ledger.kind import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdded(Entry):
    """An agency's public key counts for `use` from `not_before` on. `certificate` is the SHA-256 of the one that certifies it."""

    kind: ClassVar[str] = "key.added"
    agency: str
    key: str
    use: str
    not_before: datetime
    not_after: datetime | None = None
    certificate: str | None = None


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
