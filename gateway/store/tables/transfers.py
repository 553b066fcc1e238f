"""Judged messages and what finds them. What is personal is sealed under a key of its own message."""

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from gateway.store.tables.column import big, octets


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
    position: int = Field(sa_column=big())
    sender: str = Field(max_length=63)
    recipient: str = Field(max_length=63)
    jti: str = Field(max_length=128)
    identity: str = Field(max_length=64)
    # Whose digest `identity` is.
    index_key: str = Field(default="", max_length=16, sa_column_kwargs={"server_default": ""})
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
    stands_until: int | None = Field(default=None, sa_column=big(nullable=True))
    received_at: int = Field(sa_column=big())
    expires_at: int = Field(sa_column=big())
    acknowledge_by: int | None = Field(default=None, sa_column=big(nullable=True))
    retain_until: str | None = Field(default=None, max_length=32)
    commitment: str = Field(max_length=64)
    storage_key: str = Field(max_length=16)
    wrapped_key: bytes = Field(sa_column=octets())
    sealed_content: bytes = Field(sa_column=octets())
    sealed_receipt: bytes = Field(sa_column=octets())
    erased_at: int | None = Field(default=None, sa_column=big(nullable=True))
    erased_for: str | None = Field(default=None, max_length=16)
    erased_position: int | None = Field(default=None, sa_column=big(nullable=True))


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
    # For erasures and holds, which ask what is known of a message: else each reads the table whole.
    __table_args__ = (Index("subject_index_by_transfer", "transfer"),)
    kind: str = Field(primary_key=True, max_length=16)
    token: str = Field(primary_key=True, max_length=64)
    transfer: str = Field(primary_key=True, max_length=36)
    index_key: str = Field(default="", max_length=16, sa_column_kwargs={"server_default": ""})


class EarlyWarningRow(SQLModel, table=True):
    """What is counted of an accepted early warning: codes that its recipient was given, and what came of it.

    `triage` and `assigned_unit` are the latest outcome, `triaged_at` is the first answer.
    """

    __tablename__ = "early_warning"
    __table_args__ = (Index("early_warning_by_time", "received_at"),)
    transfer: str = Field(primary_key=True, max_length=36)
    sender: str = Field(max_length=63)
    recipient: str = Field(max_length=63)
    region_code: str | None = Field(default=None, max_length=16)
    severity: int | None = None
    suspected_offence: str | None = Field(default=None, max_length=64)
    received_at: int = Field(sa_column=big())
    triage: str | None = Field(default=None, max_length=64)
    assigned_unit: str | None = Field(default=None, max_length=120)
    triaged_at: int | None = Field(default=None, sa_column=big(nullable=True))
    duplicate_of: str | None = Field(default=None, max_length=36)
