"""What has to reach a recipient, what came back, and what is due."""

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from gateway.store.tables.column import big


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
    due_at: int = Field(sa_column=big())
    attempts: int
    expires_at: int = Field(sa_column=big())
    last_error: str | None = Field(default=None, max_length=64)


class AlertRow(SQLModel, table=True):
    """What the gateway itself has to tell a recipient, as it signed it. It waits in the outbox like a message."""

    __tablename__ = "alert"
    id: str = Field(primary_key=True, max_length=36)
    ledger: str = Field(max_length=63)
    recipient: str = Field(max_length=63)
    # The key that it is about.
    kid: str = Field(max_length=64)
    jws: str
    received_at: int = Field(sa_column=big())
    expires_at: int = Field(sa_column=big())
    acknowledgement: str | None = None


class AcknowledgementRow(SQLModel, table=True):
    """A recipient's signed receipt; one event a transfer is recorded once, and each is one entry."""

    __tablename__ = "acknowledgement"
    __table_args__ = (Index("acknowledgement_by_entry", "ledger", "position", unique=True),)
    transfer: str = Field(primary_key=True, max_length=36)
    event: str = Field(primary_key=True, max_length=16)
    jws: str
    ledger: str = Field(max_length=63)
    position: int = Field(sa_column=big())
    recorded_at: int = Field(sa_column=big())


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
    due_at: int = Field(sa_column=big())
    met_at: int | None = Field(default=None, sa_column=big(nullable=True))
    met_by: str | None = Field(default=None, max_length=16)
    escalated_at: int | None = Field(default=None, sa_column=big(nullable=True))


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
    due_at: int = Field(sa_column=big())
    attempts: int
    last_error: str | None = Field(default=None, max_length=64)
