"""Every setting: one TOML file, and environment variables over it (`SINERGI_SERVER__PORT=8443`).

A key that is not here is refused, and so is a misspelt variable under a known table (`SINERGI_SERVER__PROT`): a misspelt
setting is a setting that does not work. The table of
docs/reference/settings.md is made from these classes.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from gateway.errors import OperatorError
from gateway.message.envelope import AGENCY_ID, Limits

CONFIG_VARIABLE: Final = "SINERGI_CONFIG"
# An input that is not what it should be may be a secret in the wrong line: it is never repeated, in a traceback either.
_STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class GatewaySettings(BaseModel):
    model_config = _STRICT
    id: str = Field(
        "sinergi-banten", description="The gateway's own id: `iss` of its receipts, `aud` of request tokens."
    )
    public_url: str = Field("http://127.0.0.1:8080", description="What clients call; `htu` is compared with it.")
    origin: str | None = Field(
        None, description="First part of every ledger's origin; the host of `public_url` if unset."
    )
    state_dir: Path = Field(Path("var"), description="Where newest checkpoints are kept outside the database.")

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not AGENCY_ID.fullmatch(value):
            raise ValueError("an id is 1 to 63 lower-case letters, digits and inner hyphens")
        return value

    @field_validator("public_url")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("public_url is an http(s) URL of a host and perhaps a path")
        return value.rstrip("/")

    def ledger_origin(self, ledger: str) -> str:
        """The C2SP origin of a ledger, for instance `gateway.example/ledger/pks-banten-2025`."""
        host = self.origin or urlsplit(self.public_url).netloc
        return f"{host}/ledger/{ledger}"


class DatabaseSettings(BaseModel):
    model_config = _STRICT
    url: str = Field(
        "sqlite:///var/sinergi.db", description="`sqlite:////path/file.db` or `postgresql://user@host/name`."
    )
    password_file: Path | None = Field(None, description="File with the database password; never written in the URL.")
    owner_url: str | None = Field(
        None, description="PostgreSQL: the role that owns the tables, for `init` and `migrate`."
    )
    owner_password_file: Path | None = Field(None, description="File with the owner's password.")


class KeySettings(BaseModel):
    model_config = _STRICT
    sign: str = Field("file:var/keys/sign.pem", description="URI of the key for receipts, releases and notices.")
    request: str = Field("file:var/keys/request.pem", description="URI of the key for the tokens of pushes.")
    checkpoint: str = Field("file:var/keys/checkpoint.pem", description="URI of the Ed25519 key for checkpoints.")
    checkpoint_mldsa: str | None = Field(
        None, description="URI of an ML-DSA-44 key that signs checkpoints as well, so that they outlive Ed25519."
    )
    storage: str = Field("file:var/keys/storage.pem", description="URI of the key that wraps stored messages' keys.")
    index: str = Field("file:var/keys/index.pem", description="URI of the key of the subject index.")
    passphrase_file: Path | None = Field(None, description="Passphrase of the key files; else SINERGI_KEY_PASSPHRASE.")


class ServerSettings(BaseModel):
    model_config = _STRICT
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on.")
    tls_certificate: Path | None = Field(None, description="PEM chain; with `tls_key` the server speaks TLS.")
    tls_key: Path | None = Field(None, description="PEM key of the certificate.")
    client_ca: Path | None = Field(None, description="PEM authorities whose client certificates are accepted.")
    require_client_certificate: bool = Field(False, description="Refuse connections without one (needs `client_ca`).")
    messages_at_once: int = Field(
        1024, ge=1, description="Messages that wait for their turn, are judged or recorded, together; then 503."
    )
    longest_wait: float = Field(2.0, gt=0, description="Seconds that a message may wait for its turn; then 503.")
    bytes_at_once: int = Field(
        33_554_432, ge=1_048_576, description="Bytes of request bodies held at the same time; then 503."
    )
    connections: int = Field(4096, ge=16, description="Connections open at the same time; then 503.")
    header_timeout: float = Field(10.0, gt=0, description="Seconds that a request's headers may take to arrive.")
    body_timeout: float = Field(20.0, gt=0, description="Seconds that a request body may take to arrive.")
    graceful_timeout: int = Field(20, ge=1, description="Seconds for running requests after a stop signal.")
    metrics_token_file: Path | None = Field(None, description="If set, `/metrics` wants this bearer token.")


class DeliverySettings(BaseModel):
    model_config = _STRICT
    push: bool = Field(True, description="Push to agencies that have an endpoint.")
    lease_seconds: int = Field(60, ge=5, le=86_400, description="How long a handed-out item is not handed out again.")
    timeout: float = Field(15.0, gt=0, description="Seconds for one push, connecting included.")
    page: int = Field(100, ge=1, le=100, description="Messages in one push.")
    poll_seconds: float = Field(0.5, gt=0, description="How often the outbox is looked at when nothing else woke it.")
    max_wait: int = Field(30, ge=0, le=60, description="Longest long poll of the inbox, in seconds.")
    retry_limit: int = Field(
        16, ge=1, description="Attempts before a pushed message is dead; an urgent one is tried for as long."
    )


class LimitSettings(BaseModel):
    model_config = _STRICT
    message_bytes: int = Field(1_048_576, ge=4096, description="Bytes of one message.")
    disclosures: int = Field(256, ge=1, description="Disclosures of one message.")
    depth: int = Field(32, ge=4, description="Depth of nested objects and arrays.")
    validity_days: int = Field(7, ge=1, description="Longest `exp` - `iat`.")
    leeway_seconds: int = Field(60, ge=0, description="How far clocks may differ.")

    def limits(self) -> Limits:
        return Limits(
            self.message_bytes,
            self.disclosures,
            self.depth,
            timedelta(days=self.validity_days),
            timedelta(seconds=self.leeway_seconds),
        )


class WitnessEntry(BaseModel):
    """One witness that checkpoints are shown to: `[[witness.witnesses]]`."""

    model_config = _STRICT
    vkey: str
    url: str
    networks: tuple[str, ...] = ()
    ca_file: str | None = None


class LedgerWitnessSettings(BaseModel):
    """What is different for one ledger: `[witness.ledgers.LEDGER]`. `witnesses` are names out of their vkeys."""

    model_config = _STRICT
    witnesses: tuple[str, ...] | None = None
    quorum: int | None = Field(None, ge=0)
    when_missing: Literal["publish", "hold-receipts", "stop"] | None = None
    budget_seconds: float | None = Field(None, ge=0)


class WitnessSettings(BaseModel):
    model_config = _STRICT
    witnesses: tuple[WitnessEntry, ...] = Field(
        (),
        description="Tables `[[witness.witnesses]]` of `vkey`, `url` (its submission prefix), `networks` (the only addresses"
        " that may be connected to) and `ca_file`.",
    )
    quorum: int = Field(
        0, ge=0, description="How many witnesses must cosign a checkpoint before it counts as witnessed."
    )
    interval_seconds: float = Field(
        5.0, ge=0.1, description="How often cosignatures are asked for while a ledger grows."
    )
    timeout: float = Field(5.0, gt=0, description="Seconds for one question to one witness, connecting included.")
    when_missing: Literal["publish", "hold-receipts", "stop"] = Field(
        "publish",
        description="What happens while too few witnesses answer; [run a witness](../howto/run-a-witness.md).",
    )
    budget_seconds: float = Field(
        300.0,
        ge=0,
        description="How long an entry may wait for its witnesses: then the checkpoint is published without them (`publish`),"
        " or no more messages are accepted (`stop`). A held receipt is waited for at most 15 s at a time.",
    )
    ledgers: dict[str, LedgerWitnessSettings] = Field(
        {},
        description="Tables `[witness.ledgers.LEDGER]` of `witnesses` (names), `quorum`, `when_missing`, `budget_seconds`,"
        " where a ledger is to differ.",
    )


class TimestampSettings(BaseModel):
    model_config = _STRICT
    url: str | None = Field(None, description="Where the timestamp authority (RFC 3161) answers; unset asks for none.")
    networks: tuple[str, ...] = Field((), description="The only addresses that may be connected to.")
    ca_file: str | None = Field(None, description="PEM authorities of its HTTPS certificate; the system's if unset.")
    roots_file: Path | None = Field(
        None, description="PEM roots, and any intermediates, that a timestamp's own certificate must lead to."
    )
    period_seconds: float = Field(3600.0, ge=1, description="How often a ledger that grew is timestamped.")
    timeout: float = Field(10.0, gt=0, description="Seconds for one question, connecting included.")
    when_missing: Literal["publish", "stop"] = Field(
        "publish",
        description="`stop`: no more messages for a ledger whose timestamp is overdue by more than the budget.",
    )
    budget_seconds: float = Field(
        86_400.0, ge=0, description="How long past `period_seconds` a timestamp may be missing."
    )


class AuditSettings(BaseModel):
    model_config = _STRICT
    startup_entries: int = Field(
        100_000,
        ge=256,
        description="How many of the newest entries of each ledger `serve` reads and recomputes before it starts; about 2 s.",
    )
    every_hours: float = Field(
        6.0, ge=0, description="How often each node then reads every ledger from its first entry on; 0: never."
    )
    share: float = Field(0.1, gt=0, le=1, description="Share of one core that this may take.")


class CertificateSource(BaseModel):
    """Where an authority answers: `[[certificates.lists]]` and `[[certificates.responders]]`; `file` is for lists alone."""

    model_config = _STRICT
    url: str | None = None
    file: Path | None = None
    networks: tuple[str, ...] = ()
    ca_file: str | None = None


class CertificateSettings(BaseModel):
    model_config = _STRICT
    roots_file: Path | None = Field(
        None, description="PEM roots of the authorities that may certify agencies' keys; unset: no key is certified."
    )
    subject: Literal["organizationIdentifier", "serialNumber", "uri"] = Field(
        "organizationIdentifier",
        description="What in a certificate says whose it is; `uri` is of its alternative names.",
    )
    subjects: dict[str, str] = Field(
        {},
        description="Table of agency id and the value that its certificates have there; others are certified by nobody.",
    )
    lists: tuple[CertificateSource, ...] = Field(
        (),
        description="Tables `[[certificates.lists]]` of `url` or `file`, `networks` and `ca_file`: revocation lists (CRL).",
    )
    responders: tuple[CertificateSource, ...] = Field(
        (), description="Tables `[[certificates.responders]]` of `url`, `networks` and `ca_file`: OCSP responders."
    )
    nonce: bool = Field(
        False,
        description="Send a nonce to OCSP responders, and believe no answer without it: then no older answer can be played again."
        " A responder that answers from prepared answers is silent to such a question.",
    )
    when_silent: Literal["accept", "refuse"] = Field(
        "refuse",
        description="When no authority has confirmed a certificate for longer than the budget: `refuse` its key (503, the"
        " agency tries again), or `accept` it and warn.",
    )
    budget_seconds: float = Field(
        14_400.0, gt=0, description="How long an authority's last word that a certificate counts is believed."
    )
    every_seconds: float = Field(300.0, ge=0.5, description="How often the authorities are asked.")
    timeout: float = Field(10.0, gt=0, description="Seconds for one question, connecting included.")

    def patience(self) -> timedelta | None:
        """How long a certified key counts without its authority's word; None for ever."""
        return timedelta(seconds=self.budget_seconds) if self.when_silent == "refuse" else None


class RetentionSettings(BaseModel):
    model_config = _STRICT
    every_hours: float = Field(
        24.0,
        ge=0,
        description="How often one of the nodes erases what is past its retention; 0: only `sinergi retention run` does.",
    )
    refused_days: int = Field(
        90, ge=0, description="Days for which a refused message is kept; the rules say it for accepted ones."
    )
    batch: int = Field(100, ge=1, le=500, description="Messages that are erased in one commit.")


class LogSettings(BaseModel):
    model_config = _STRICT
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is written.")
    format: Literal["json", "console"] = Field("json", description="One JSON object a line, or lines for people.")


class Settings(BaseSettings):
    """All of it. `load_settings` reads it; nothing else may."""

    model_config = SettingsConfigDict(
        env_prefix="SINERGI_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        toml_file=None,
        hide_input_in_errors=True,
    )
    gateway: GatewaySettings = GatewaySettings()
    database: DatabaseSettings = DatabaseSettings()
    keys: KeySettings = KeySettings()
    server: ServerSettings = ServerSettings()
    delivery: DeliverySettings = DeliverySettings()
    limits: LimitSettings = LimitSettings()
    witness: WitnessSettings = WitnessSettings()
    timestamp: TimestampSettings = TimestampSettings()
    audit: AuditSettings = AuditSettings()
    certificates: CertificateSettings = CertificateSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """The file's values under the environment's under `overrides`. Raises OperatorError, naming every bad setting."""
    if file is not None and not file.is_file():
        raise OperatorError(f"{file} does not exist: run `sinergi init` or name another file with --config")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    try:
        return FromFile(**overrides)
    except ValidationError as error:
        # Only places and rules: a value may be a secret in the wrong line.
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False)
        )
        raise OperatorError(f"the settings are not valid: {faults}") from None
    except (OSError, ValueError) as error:
        raise OperatorError(f"{file} is not valid TOML") from error
