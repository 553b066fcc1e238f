"""How long what is stored is kept, and by whom: legal holds, persons' requests, work that one node does for all, the nodes."""

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from gateway.store.tables.column import big, octets


class HoldRow(SQLModel, table=True):
    """A legal hold. `target` is a transfer's id, or the keyed token of an identifier of the kind `scope`.

    `citation` is the paper it rests on, for people; the ledger has `why`, a code, and a commitment to scope
    and target under `commitment_key`. `approvals` are key ids, as JSON.
    """

    __tablename__ = "hold"
    __table_args__ = (Index("hold_by_target", "scope", "target"),)
    id: str = Field(primary_key=True, max_length=36)
    scope: str = Field(max_length=16)
    target: str = Field(max_length=64)
    why: str = Field(max_length=128)
    citation: str = Field(max_length=200)
    added_by: str = Field(max_length=128)
    added_at: int = Field(sa_column=big())
    released_by: str | None = Field(default=None, max_length=128)
    released_why: str | None = Field(default=None, max_length=128)
    released_at: int | None = Field(default=None, sa_column=big(nullable=True))
    approvals: str = "[]"
    commitment_key: bytes = Field(sa_column=octets())
    index_key: str = Field(default="", max_length=16, sa_column_kwargs={"server_default": ""})
    # The identifier itself, sealed: a new index key needs it. Empty for a transfer's id.
    storage_key: str = Field(max_length=16)
    wrapped_key: bytes = Field(sa_column=octets())
    sealed_target: bytes = Field(sa_column=octets())


class SubjectRequestRow(SQLModel, table=True):
    """A person's request and what came of it. Which transfers it was about is sealed: they are all of one person."""

    __tablename__ = "subject_request"
    id: str = Field(primary_key=True, max_length=36)
    what: str = Field(max_length=16)
    who: str = Field(max_length=128)
    why: str = Field(max_length=128)
    requested_at: int = Field(sa_column=big())
    recorded_at: int = Field(sa_column=big())
    storage_key: str = Field(max_length=16)
    wrapped_key: bytes = Field(sa_column=octets())
    sealed_detail: bytes = Field(sa_column=octets())


class ChoreRow(SQLModel, table=True):
    """Work that one node does for all, each period: `due_at` is the next time, or the end of the lease of who is at it."""

    __tablename__ = "chore"
    name: str = Field(primary_key=True, max_length=32)
    due_at: int = Field(sa_column=big())


class NodeRow(SQLModel, table=True):
    """A running process, as `store/nodes.py` says; `asks` is a command's question, as JSON, and then it serves nothing."""

    __tablename__ = "node"
    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=255)
    seen_at: int = Field(sa_column=big())
    config_version: int = Field(sa_column=big())
    unopened: int
    asks: str | None = None
    opens: str
