"""The ledgers: what is signed, and what others put to it. Append-only, which `migrations/` enforces inside the database."""

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from gateway.store.tables.column import NO_ROWID, big, octets


class LedgerHead(SQLModel, table=True):
    """The lock of one ledger, and what the next append needs: size, right edge, signed checkpoint."""

    __tablename__ = "ledger_head"
    __table_args__ = NO_ROWID
    ledger: str = Field(primary_key=True, max_length=63)
    origin: str = Field(unique=True, max_length=255)
    size: int = Field(sa_column=big())
    frontier: bytes = Field(sa_column=octets())
    checkpoint: bytes = Field(sa_column=octets())


class LedgerEntry(SQLModel, table=True):
    __tablename__ = "ledger_entry"
    __table_args__ = NO_ROWID
    ledger: str = Field(primary_key=True, max_length=63)
    position: int = Field(sa_column=big(primary_key=True, autoincrement=False))
    leaf: bytes = Field(sa_column=octets())


class LedgerTile(SQLModel, table=True):
    """A hash tile (C2SP tlog-tiles). The partial one at the right edge grows in place; a full one never changes."""

    __tablename__ = "ledger_tile"
    __table_args__ = NO_ROWID
    ledger: str = Field(primary_key=True, max_length=63)
    level: int = Field(primary_key=True)
    position: int = Field(sa_column=big(primary_key=True, autoincrement=False))
    data: bytes = Field(sa_column=octets())


class LedgerMention(SQLModel, table=True):
    """What the entry at `position` is about: `sort` is `key`, `type`, `agreement`, `checkpoint` or `read` (`mentions.py`)."""

    __tablename__ = "ledger_mention"
    __table_args__ = (Index("ledger_mention_by_name", "ledger", "sort", "name", "position"), NO_ROWID)
    ledger: str = Field(primary_key=True, max_length=63)
    position: int = Field(sa_column=big(primary_key=True, autoincrement=False))
    sort: str = Field(max_length=16)
    name: str = Field(max_length=280)


class LedgerCheckpoint(SQLModel, table=True):
    """Every checkpoint that was ever signed, one a commit: a proof in an old receipt names one of them."""

    __tablename__ = "ledger_checkpoint"
    __table_args__ = NO_ROWID
    ledger: str = Field(primary_key=True, max_length=63)
    size: int = Field(sa_column=big(primary_key=True, autoincrement=False))
    note: bytes = Field(sa_column=octets())


class AttestedCheckpoint(SQLModel, table=True):
    """A checkpoint as enough witnesses cosigned it, with the gateway's long-lived signature where it has such a key.

    Stands beside the ledger, never in it: what others say comes after the commit. Lines are only added.
    """

    __tablename__ = "attested_checkpoint"
    ledger: str = Field(primary_key=True, max_length=63)
    size: int = Field(sa_column=big(primary_key=True, autoincrement=False))
    note: bytes = Field(sa_column=octets())


class CheckpointTimestamp(SQLModel, table=True):
    """A timestamp (RFC 3161) over exactly the bytes in `note`, a checkpoint with the signatures it had by then."""

    __tablename__ = "checkpoint_timestamp"
    ledger: str = Field(primary_key=True, max_length=63)
    size: int = Field(sa_column=big(primary_key=True, autoincrement=False))
    note: bytes = Field(sa_column=octets())
    token: bytes = Field(sa_column=octets())
    stamped_at: int = Field(sa_column=big())
