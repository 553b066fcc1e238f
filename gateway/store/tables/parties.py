"""Who takes part and under what: agencies, officers, auditors, keys, agreements, message types."""

from sqlmodel import Field, SQLModel

from gateway.store.tables.column import big, octets


class ConfigVersion(SQLModel, table=True):
    """One row. Moves with every change of agencies, keys or agreements; a decision made before it is made again."""

    __tablename__ = "config_version"
    id: int = Field(primary_key=True)
    version: int = Field(sa_column=big())


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
    not_before: int = Field(sa_column=big())
    not_after: int = Field(sa_column=big())
    status: str = Field(max_length=16)
    changed_at: int = Field(sa_column=big())
    # Of a revoked key: since when it is in other hands, where that was before the revocation.
    untrusted_since: int | None = Field(default=None, sa_column=big(nullable=True))
    # Of a certified key (its `jwk` has `x5c`): when its authority said last that the certificates count.
    confirmed_at: int | None = Field(default=None, sa_column=big(nullable=True))


class OfficerRow(SQLModel, table=True):
    """A named officer's key. `person` is a keyed digest of agency and number; number and name are in `sealed_identity`."""

    __tablename__ = "officer"
    kid: str = Field(primary_key=True, max_length=64)
    agency: str = Field(max_length=63)
    person: str = Field(max_length=64)
    index_key: str = Field(default="", max_length=16, sa_column_kwargs={"server_default": ""})
    role: str = Field(max_length=64)
    unit: str = Field(max_length=120)
    jwk: str
    not_before: int = Field(sa_column=big())
    not_after: int = Field(sa_column=big())
    status: str = Field(max_length=16)
    changed_at: int = Field(sa_column=big())
    storage_key: str = Field(max_length=16)
    wrapped_key: bytes = Field(sa_column=octets())
    sealed_identity: bytes = Field(sa_column=octets())


class OperatorRow(SQLModel, table=True):
    """An operator's key. `operator` is a code, such as an account; nothing else of the person is known here."""

    __tablename__ = "operator"
    kid: str = Field(primary_key=True, max_length=64)
    operator: str = Field(max_length=63)
    jwk: str
    status: str = Field(max_length=16)
    added_at: int = Field(sa_column=big())
    changed_at: int = Field(sa_column=big())


class ProposalRow(SQLModel, table=True):
    """An act that two operators sign: the document, both signatures, and what became of it. `id` is the document's SHA-256."""

    __tablename__ = "proposal"
    id: str = Field(primary_key=True, max_length=64)
    what: str = Field(max_length=128)
    document: bytes = Field(sa_column=octets())
    # What the document names by its digest, such as an agency's key statement.
    attachment: str | None = None
    state: str = Field(max_length=16)
    proposed_by: str = Field(max_length=64)
    proposal: str
    approved_by: str | None = Field(default=None, max_length=64)
    approval: str | None = None
    expires_at: int = Field(sa_column=big())
    changed_at: int = Field(sa_column=big())


class RecoveryKeyRow(SQLModel, table=True):
    """An agency's offline key. It signs no message: it endorses the next key where the one in use was lost."""

    __tablename__ = "recovery_key"
    kid: str = Field(primary_key=True, max_length=64)
    agency: str = Field(max_length=63)
    jwk: str
    not_before: int = Field(sa_column=big())
    not_after: int = Field(sa_column=big())
    status: str = Field(max_length=16)
    changed_at: int = Field(sa_column=big())


class KeyStatementRow(SQLModel, table=True):
    """The newest statement of a next key that an agency handed in itself; operators take it up or leave it."""

    __tablename__ = "key_statement"
    agency: str = Field(primary_key=True, max_length=63)
    digest: str = Field(max_length=64)
    kid: str = Field(max_length=64)
    use: str = Field(max_length=16)
    statement: str
    received_at: int = Field(sa_column=big())


class GatewayKeyRow(SQLModel, table=True):
    """The gateway's own keys, past ones included: public halves for those who verify later, and where the private ones lie.

    A secret (`storage`, `index`) has no public half; its `kid` is the id that rows name.
    """

    __tablename__ = "gateway_key"
    kid: str = Field(primary_key=True, max_length=64)
    use: str = Field(max_length=16)
    jwk: str | None = None
    uri: str | None = None
    not_before: int = Field(sa_column=big())
    not_after: int | None = Field(default=None, sa_column=big(nullable=True))
    status: str = Field(max_length=16)
    # Of a revoked key: since when it is in other hands.
    untrusted_since: int | None = Field(default=None, sa_column=big(nullable=True))
    # Of a checkpoint key: the statement of the key before it.
    succession: str | None = None


class AgreementRow(SQLModel, table=True):
    """Every activated version: canonical JSON (RFC 8785), and the agencies' signatures over its digest.

    `position` is that of the activation in the agreement's own ledger: a row without such an entry is refused.
    """

    __tablename__ = "agreement"
    id: str = Field(primary_key=True, max_length=63)
    version: int = Field(primary_key=True)
    digest: str = Field(max_length=64)
    document: bytes = Field(sa_column=octets())
    signatures: str
    activated_at: int = Field(sa_column=big())
    position: int = Field(sa_column=big())
    active: bool


class PublishedSchemaRow(SQLModel, table=True):
    """A publication of a message type: the schema that agencies were told, as RFC 8785 JSON. Past ones are evidence."""

    __tablename__ = "published_schema"
    type: str = Field(primary_key=True, max_length=255)
    version: int = Field(primary_key=True)
    published_at: int = Field(sa_column=big(primary_key=True, autoincrement=False))
    digest: str = Field(max_length=71)
    document: bytes = Field(sa_column=octets())


class AuditorRow(SQLModel, table=True):
    """Someone who may read. Of the token only its SHA-256 is kept; it has 256 random bits, so that is enough."""

    __tablename__ = "auditor"
    id: str = Field(primary_key=True, max_length=63)
    name: str = Field(max_length=255)
    role: str = Field(max_length=32)
    token_hash: str = Field(unique=True, max_length=64)
    expires_at: int = Field(sa_column=big())
    revoked_at: int | None = Field(default=None, sa_column=big(nullable=True))


class UsedToken(SQLModel, table=True):
    """Request tokens that were used; a row may go when its token has expired."""

    __tablename__ = "used_token"
    agency: str = Field(primary_key=True, max_length=63)
    jti: str = Field(primary_key=True, max_length=128)
    expires_at: int = Field(sa_column=big(index=True))
