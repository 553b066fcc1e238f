"""The tables. Moments are whole microseconds since 1970 (UTC), so that both databases order and compare them alike.

Ledger tables are append-only, which `migrations/` enforces inside the database. Everything personal is in `sealed_*`
columns, encrypted under a key of its own message; `subject_index` finds it by keyed digests alone.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
EXPIRED: Final = "expired"
DEAD: Final = "dead"
WITHDRAWN: Final = "withdrawn"
# Priorities: the lower goes first.
URGENT: Final = 0
# Written out, not bound: a partial index is used only where the planner sees its constant.
IS_WAITING: Final = text("outbox.state = 'waiting'")
IS_UNMET: Final = text("deadline.met_at IS NULL")
IS_KEPT: Final = text("transfer.erased_at IS NULL")


def micros(moment: datetime) -> int:
    """Exact: a float of seconds would lose the last digit."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(micros_: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros_)


def _big(**options: object) -> Column[int]:
    return Column(BigInteger, **{"nullable": False} | options)  # type: ignore[arg-type]


def _bytes(**options: object) -> Column[bytes]:
    return Column(LargeBinary, **{"nullable": False} | options)  # type: ignore[arg-type]


# SQLite: without it, INSERT OR REPLACE of another row's rowid would take that row away past every trigger.
_NO_ROWID: Final = {"sqlite_with_rowid": False}


class LedgerHead(SQLModel, table=True):
    """The lock of one ledger, and what the next append needs: size, right edge, signed checkpoint."""

    __tablename__ = "ledger_head"
    __table_args__ = _NO_ROWID
    ledger: str = Field(primary_key=True, max_length=63)
    origin: str = Field(unique=True, max_length=255)
    size: int = Field(sa_column=_big())
    frontier: bytes = Field(sa_column=_bytes())
    checkpoint: bytes = Field(sa_column=_bytes())


class LedgerEntry(SQLModel, table=True):
    __tablename__ = "ledger_entry"
    __table_args__ = _NO_ROWID
    ledger: str = Field(primary_key=True, max_length=63)
    position: int = Field(sa_column=_big(primary_key=True, autoincrement=False))
    leaf: bytes = Field(sa_column=_bytes())


class LedgerTile(SQLModel, table=True):
    """A hash tile (C2SP tlog-tiles). The partial one at the right edge grows in place; a full one never changes."""

    __tablename__ = "ledger_tile"
    __table_args__ = _NO_ROWID
    ledger: str = Field(primary_key=True, max_length=63)
    level: int = Field(primary_key=True)
    position: int = Field(sa_column=_big(primary_key=True, autoincrement=False))
    data: bytes = Field(sa_column=_bytes())


class LedgerCheckpoint(SQLModel, table=True):
    """Every checkpoint that was ever signed, one a commit: a proof in an old receipt names one of them."""

    __tablename__ = "ledger_checkpoint"
    __table_args__ = _NO_ROWID
    ledger: str = Field(primary_key=True, max_length=63)
    size: int = Field(sa_column=_big(primary_key=True, autoincrement=False))
    note: bytes = Field(sa_column=_bytes())


class AttestedCheckpoint(SQLModel, table=True):
    """A checkpoint as enough witnesses cosigned it, with the gateway's long-lived signature where it has such a key.

    Stands beside the ledger, never in it: what others say comes after the commit. Lines are only added.
    """

    __tablename__ = "attested_checkpoint"
    ledger: str = Field(primary_key=True, max_length=63)
    size: int = Field(sa_column=_big(primary_key=True, autoincrement=False))
    note: bytes = Field(sa_column=_bytes())


class CheckpointTimestamp(SQLModel, table=True):
    """A timestamp (RFC 3161) over exactly the bytes in `note`, a checkpoint with the signatures it had by then."""

    __tablename__ = "checkpoint_timestamp"
    ledger: str = Field(primary_key=True, max_length=63)
    size: int = Field(sa_column=_big(primary_key=True, autoincrement=False))
    note: bytes = Field(sa_column=_bytes())
    token: bytes = Field(sa_column=_bytes())
    stamped_at: int = Field(sa_column=_big())


class ConfigVersion(SQLModel, table=True):
    """One row. Moves with every change of agencies, keys or agreements; a decision made before it is made again."""

    __tablename__ = "config_version"
    id: int = Field(primary_key=True)
    version: int = Field(sa_column=_big())


class AgencyRow(SQLModel, table=True):
    __tablename__ = "agency"
    id: str = Field(primary_key=True, max_length=63)
    name: str = Field(max_length=255)
    status: str = Field(max_length=16)
    endpoint_url: str | None = Field(default=None, max_length=2048)
    endpoint_networks: str = ""
    endpoint_ca_file: str | None = None
    paused_reason: str | None = None
    liaison_url: str | None = Field(default=None, max_length=2048)
    liaison_networks: str = ""
    liaison_ca_file: str | None = None


class AgencyKeyRow(SQLModel, table=True):
    __tablename__ = "agency_key"
    agency: str = Field(primary_key=True, max_length=63)
    kid: str = Field(primary_key=True, max_length=64)
    jwk: str
    not_before: int = Field(sa_column=_big())
    not_after: int = Field(sa_column=_big())
    status: str = Field(max_length=16)
    changed_at: int = Field(sa_column=_big())
    # Of a revoked key: since when it is in other hands, where that was before the revocation.
    untrusted_since: int | None = Field(default=None, sa_column=_big(nullable=True))


class OfficerRow(SQLModel, table=True):
    """A named officer's key. `person` is a keyed digest of agency and number; number and name are in `sealed_identity`."""

    __tablename__ = "officer"
    kid: str = Field(primary_key=True, max_length=64)
    agency: str = Field(max_length=63)
    person: str = Field(max_length=64)
    role: str = Field(max_length=64)
    unit: str = Field(max_length=120)
    jwk: str
    not_before: int = Field(sa_column=_big())
    not_after: int = Field(sa_column=_big())
    status: str = Field(max_length=16)
    changed_at: int = Field(sa_column=_big())
    storage_key: str = Field(max_length=16)
    wrapped_key: bytes = Field(sa_column=_bytes())
    sealed_identity: bytes = Field(sa_column=_bytes())


class GatewayKeyRow(SQLModel, table=True):
    """The gateway's own keys, past ones included: public halves for those who verify later, and where the private ones lie.

    A secret (`storage`, `index`) has no public half; its `kid` is the id that rows name.
    """

    __tablename__ = "gateway_key"
    kid: str = Field(primary_key=True, max_length=64)
    use: str = Field(max_length=16)
    jwk: str | None = None
    uri: str | None = None
    not_before: int = Field(sa_column=_big())
    not_after: int | None = Field(default=None, sa_column=_big(nullable=True))
    status: str = Field(max_length=16)


class AgreementRow(SQLModel, table=True):
    """Every activated version: canonical JSON (RFC 8785), and the agencies' signatures over its digest."""

    __tablename__ = "agreement"
    id: str = Field(primary_key=True, max_length=63)
    version: int = Field(primary_key=True)
    digest: str = Field(max_length=64)
    document: bytes = Field(sa_column=_bytes())
    signatures: str
    activated_at: int = Field(sa_column=_big())
    active: bool


class TransferRow(SQLModel, table=True):
    """One judged message. `id` is a UUIDv7 of `received_at`: pages and date ranges follow the primary key.

    `identity` is a keyed digest of what was signed: the same message is never recorded twice (ADR 0008). `reply_as` is
    what the message is to the one it replies to (`answers`, `ends`, `amends`, `refers`), `flags` what was wrong with an
    accepted message, `stands_until` when others can no longer refer to it.
    Once erased, the wrapped key and what was sealed are empty; the entry that says so is at `erased_position`.
    """

    __tablename__ = "transfer"
    __table_args__ = (
        Index("transfer_by_identity", "sender", "identity", unique=True),
        Index("transfer_by_sender", "sender", "id"),
        Index("transfer_by_recipient", "recipient", "id"),
        Index("transfer_by_type", "type", "id"),
        Index("transfer_by_decision", "decision", "id"),
        Index("transfer_by_clause", "clause", "id"),
        Index("transfer_by_reply", "in_reply_to", "decision", "reply_as"),
        Index("transfer_by_entry", "ledger", "position", unique=True),
        # For quotas: the refusals under a rule, which a sender may pile up, are not in the way.
        Index("transfer_by_rule", "agreement", "rule", "sender", "decision", "id"),
        # What retention will come for, and nothing of what it has done.
        Index(
            "transfer_kept",
            "decision",
            "retain_until",
            "id",
            sqlite_where=text("erased_at IS NULL"),
            postgresql_where=text("erased_at IS NULL"),
        ),
    )
    id: str = Field(primary_key=True, max_length=36)
    ledger: str = Field(max_length=63)
    position: int = Field(sa_column=_big())
    sender: str = Field(max_length=63)
    recipient: str = Field(max_length=63)
    jti: str = Field(max_length=128)
    identity: str = Field(max_length=64)
    type: str = Field(max_length=280)
    purpose: str = Field(max_length=64)
    classification: str = Field(max_length=2)
    agreement: str = Field(max_length=63)
    agreement_version: int | None = None
    rule: str | None = Field(default=None, max_length=64)
    clause: str | None = Field(default=None, max_length=100)
    decision: str = Field(max_length=8)
    reasons: str = "[]"
    withheld: str = "[]"
    flags: str = "[]"
    kid: str = Field(max_length=64)
    in_reply_to: str | None = Field(default=None, max_length=36)
    reply_as: str | None = Field(default=None, max_length=8)
    stands_until: int | None = Field(default=None, sa_column=_big(nullable=True))
    received_at: int = Field(sa_column=_big())
    expires_at: int = Field(sa_column=_big())
    acknowledge_by: int | None = Field(default=None, sa_column=_big(nullable=True))
    retain_until: str | None = Field(default=None, max_length=32)
    commitment: str = Field(max_length=64)
    storage_key: str = Field(max_length=16)
    wrapped_key: bytes = Field(sa_column=_bytes())
    sealed_content: bytes = Field(sa_column=_bytes())
    sealed_receipt: bytes = Field(sa_column=_bytes())
    erased_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    erased_for: str | None = Field(default=None, max_length=16)
    erased_position: int | None = Field(default=None, sa_column=_big(nullable=True))


class UsedMessageId(SQLModel, table=True):
    """`jti` is unique per sender, for ever. The primary key decides between two processes."""

    __tablename__ = "used_message_id"
    sender: str = Field(primary_key=True, max_length=63)
    jti: str = Field(primary_key=True, max_length=128)
    transfer: str = Field(max_length=36)


class TransferCode(SQLModel, table=True):
    """The codes of a refusal, and of the flags of an accepted message, for auditors who ask for one."""

    __tablename__ = "transfer_code"
    code: str = Field(primary_key=True, max_length=64)
    transfer: str = Field(primary_key=True, max_length=36)


class SubjectIndex(SQLModel, table=True):
    """HMAC(index key, kind and normalised identifier) → transfer: findable by who knows the identifier and holds the key."""

    __tablename__ = "subject_index"
    kind: str = Field(primary_key=True, max_length=16)
    token: str = Field(primary_key=True, max_length=64)
    transfer: str = Field(primary_key=True, max_length=36)


class OutboxRow(SQLModel, table=True):
    """What still has to reach a recipient. While an item is handed out, `due_at` is the end of its lease."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "outbox_waiting",
            "recipient",
            "priority",
            "transfer",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "outbox_expiring",
            "expires_at",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
    )
    transfer: str = Field(primary_key=True, max_length=36)
    recipient: str = Field(max_length=63)
    priority: int
    state: str = Field(max_length=16)
    due_at: int = Field(sa_column=_big())
    attempts: int
    expires_at: int = Field(sa_column=_big())
    last_error: str | None = Field(default=None, max_length=64)


class AcknowledgementRow(SQLModel, table=True):
    """A recipient's signed receipt; one event a transfer is recorded once."""

    __tablename__ = "acknowledgement"
    transfer: str = Field(primary_key=True, max_length=36)
    event: str = Field(primary_key=True, max_length=16)
    jws: str
    ledger: str = Field(max_length=63)
    position: int = Field(sa_column=_big())
    recorded_at: int = Field(sa_column=_big())


class DeadlineRow(SQLModel, table=True):
    """By when an accepted transfer must be acknowledged, what met that, and when it was escalated.

    `met_by` is `processed` or `rejected` (a receipt), `answer` (a message), or `withdrawn` (its sender ended it).
    """

    __tablename__ = "deadline"
    __table_args__ = (
        Index(
            "deadline_open",
            "due_at",
            "transfer",
            sqlite_where=text("met_at IS NULL"),
            postgresql_where=text("met_at IS NULL"),
        ),
    )
    transfer: str = Field(primary_key=True, max_length=36)
    ledger: str = Field(max_length=63)
    sender: str = Field(max_length=63)
    recipient: str = Field(max_length=63)
    type: str = Field(max_length=280)
    due_at: int = Field(sa_column=_big())
    met_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    met_by: str | None = Field(default=None, max_length=16)
    escalated_at: int | None = Field(default=None, sa_column=_big(nullable=True))


class EarlyWarningRow(SQLModel, table=True):
    """What is counted of an accepted early warning: codes that its recipient was given, and what came of it.

    `triage` and `assigned_unit` are the latest outcome, `triaged_at` is the first and `outcome_at` the latest answer.
    """

    __tablename__ = "early_warning"
    __table_args__ = (Index("early_warning_by_time", "received_at"),)
    transfer: str = Field(primary_key=True, max_length=36)
    sender: str = Field(max_length=63)
    recipient: str = Field(max_length=63)
    region_code: str | None = Field(default=None, max_length=16)
    severity: int | None = None
    suspected_offence: str | None = Field(default=None, max_length=64)
    received_at: int = Field(sa_column=_big())
    triage: str | None = Field(default=None, max_length=64)
    assigned_unit: str | None = Field(default=None, max_length=120)
    triaged_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    outcome_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    duplicate_of: str | None = Field(default=None, max_length=36)


class LiaisonNoticeRow(SQLModel, table=True):
    """A notice to an agency's liaison endpoint. While it is handed out, `due_at` is the end of its lease."""

    __tablename__ = "liaison_notice"
    __table_args__ = (
        Index(
            "liaison_notice_waiting",
            "due_at",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
    )
    transfer: str = Field(primary_key=True, max_length=36)
    agency: str = Field(primary_key=True, max_length=63)
    event: str = Field(primary_key=True, max_length=16)
    state: str = Field(max_length=16)
    due_at: int = Field(sa_column=_big())
    attempts: int
    last_error: str | None = Field(default=None, max_length=64)


class PublishedSchemaRow(SQLModel, table=True):
    """A publication of a message type: the schema that agencies were told, as RFC 8785 JSON. Past ones are evidence."""

    __tablename__ = "published_schema"
    type: str = Field(primary_key=True, max_length=255)
    version: int = Field(primary_key=True)
    published_at: int = Field(sa_column=_big(primary_key=True, autoincrement=False))
    digest: str = Field(max_length=71)
    document: bytes = Field(sa_column=_bytes())


class HoldRow(SQLModel, table=True):
    """A legal hold. `target` is a transfer's id, or the keyed token of an identifier of the kind `scope`.

    `citation` is the paper it rests on, for people; the ledger has `why`, a code. `approvals` are key ids, as JSON.
    """

    __tablename__ = "hold"
    __table_args__ = (Index("hold_by_target", "scope", "target"),)
    id: str = Field(primary_key=True, max_length=36)
    scope: str = Field(max_length=16)
    target: str = Field(max_length=64)
    why: str = Field(max_length=128)
    citation: str = Field(max_length=200)
    added_by: str = Field(max_length=128)
    added_at: int = Field(sa_column=_big())
    released_by: str | None = Field(default=None, max_length=128)
    released_why: str | None = Field(default=None, max_length=128)
    released_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    approvals: str = "[]"


class SubjectRequestRow(SQLModel, table=True):
    """A person's request and what came of it. Which transfers it was about is sealed: they are all of one person."""

    __tablename__ = "subject_request"
    id: str = Field(primary_key=True, max_length=36)
    what: str = Field(max_length=16)
    who: str = Field(max_length=128)
    why: str = Field(max_length=128)
    requested_at: int = Field(sa_column=_big())
    recorded_at: int = Field(sa_column=_big())
    storage_key: str = Field(max_length=16)
    wrapped_key: bytes = Field(sa_column=_bytes())
    sealed_detail: bytes = Field(sa_column=_bytes())


class ChoreRow(SQLModel, table=True):
    """Work that one node does for all, each period: `due_at` is the next time, or the end of the lease of who is at it."""

    __tablename__ = "chore"
    name: str = Field(primary_key=True, max_length=32)
    due_at: int = Field(sa_column=_big())


class UsedToken(SQLModel, table=True):
    """Request tokens that were used; a row may go when its token has expired."""

    __tablename__ = "used_token"
    agency: str = Field(primary_key=True, max_length=63)
    jti: str = Field(primary_key=True, max_length=128)
    expires_at: int = Field(sa_column=_big(index=True))


class AuditorRow(SQLModel, table=True):
    """Someone who may read. Of the token only its SHA-256 is kept; it has 256 random bits, so that is enough."""

    __tablename__ = "auditor"
    id: str = Field(primary_key=True, max_length=63)
    name: str = Field(max_length=255)
    role: str = Field(max_length=32)
    token_hash: str = Field(unique=True, max_length=64)
    expires_at: int = Field(sa_column=_big())
    revoked_at: int | None = Field(default=None, sa_column=_big(nullable=True))


TABLES: Final = (
    LedgerHead,
    LedgerEntry,
    LedgerTile,
    LedgerCheckpoint,
    AttestedCheckpoint,
    CheckpointTimestamp,
    ConfigVersion,
    AgencyRow,
    AgencyKeyRow,
    OfficerRow,
    GatewayKeyRow,
    AgreementRow,
    TransferRow,
    UsedMessageId,
    TransferCode,
    SubjectIndex,
    OutboxRow,
    AcknowledgementRow,
    DeadlineRow,
    EarlyWarningRow,
    LiaisonNoticeRow,
    PublishedSchemaRow,
    HoldRow,
    SubjectRequestRow,
    ChoreRow,
    UsedToken,
    AuditorRow,
)
METADATA: Final = SQLModel.metadata
