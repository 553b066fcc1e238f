"""Explicit wiring: the one place where collaborators are made and handed to each other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.engine import make_url

from gateway import catalogue, keyring, resources
from gateway.catalogue import Catalogue
from gateway.errors import KeyringError
from gateway.keychain import SIGN, STORAGE, OwnKey, Ring
from gateway.ledger.cosignature import Cosigner
from gateway.ledger.note import ML_DSA_44
from gateway.lookup import Lookup
from gateway.record import RecordWriter
from gateway.settings import Settings
from gateway.store import queries
from gateway.store.append import CheckpointKeys
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.configuration import Configuration
from gateway.store.migrations import require_current
from gateway.store.published import require_published
from gateway.store.recorder import Recorder
from gateway.store.sealing import Sealer, SubjectTokens
from gateway.store.session import Database, guard, open_database
from gateway.transfer import Exchange


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Keys:
    """The gateway's private keys, loaded and checked."""

    signing: Ring[keyring.KeyringSigner]
    checkpoint: CheckpointKeys
    storage: Ring[keyring.Secret]
    index: keyring.Secret
    long_lived_key: Cosigner | None = None

    @property
    def sign(self) -> keyring.KeyringSigner:
        """The key that signs receipts, releases and push tokens at this moment: ask anew for each signature."""
        return self.signing.current()

    @property
    def faults(self) -> tuple[str, ...]:
        """Which keys this process needs now or soon and could not open."""
        return (*self.signing.faults, *self.storage.faults)

    def learn(self, known: Sequence[OwnKey]) -> None:
        self.signing.learn(known)
        self.storage.learn(known)

    def long_lived(self, origin: str) -> Cosigner | None:
        """The ML-DSA-44 key, signing as a ledger; None where the gateway has none."""
        key = self.long_lived_key
        return None if key is None else replace(key, verifier=replace(key.verifier, name=origin))


def load_keys(settings: Settings) -> Keys:
    """Raises KeyringError, before anything is served, for a file with a wrong mode, passphrase or kind."""
    passphrase = keyring.read_passphrase(settings.keys.passphrase_file)
    checkpoint = keyring.load_signer(settings.keys.checkpoint, passphrase)
    if not isinstance(checkpoint.public.key, Ed25519PublicKey):
        raise KeyringError("the checkpoint key must be Ed25519 (C2SP signed-note)")
    return Keys(
        signing=Ring(
            keyring.load_signer(settings.keys.sign, passphrase),
            SIGN,
            lambda uri: keyring.load_signer(uri, passphrase),
        ),
        checkpoint=CheckpointKeys(checkpoint, checkpoint.public.key.public_bytes_raw()),
        storage=Ring(
            keyring.load_secret(settings.keys.storage, passphrase, STORAGE),
            STORAGE,
            lambda uri: keyring.load_secret(uri, passphrase, STORAGE),
        ),
        index=keyring.load_secret(settings.keys.index, passphrase, "index"),
        long_lived_key=_long_lived(settings.keys.checkpoint_mldsa, passphrase),
    )


def _long_lived(uri: str | None, passphrase: bytes) -> Cosigner | None:
    if uri is None:
        return None
    key = keyring.load_cosigner(uri, passphrase, "checkpoint")
    if key.verifier.type != ML_DSA_44:
        raise KeyringError("keys.checkpoint_mldsa must be an ML-DSA-44 key")
    return key


def connect(url: str, password_file: Path | None) -> Database:
    parsed = make_url(url)
    if password_file is not None:
        parsed = parsed.set(password=keyring.read_private(password_file).decode().rstrip("\r\n"))
    return open_database(parsed.render_as_string(hide_password=False))


@dataclass(frozen=True, slots=True)
class Store:
    """An initialised database with its recorder running: enough for an operator's command."""

    settings: Settings
    keys: Keys
    database: Database
    recorder: Recorder
    checkpoints: CheckpointFiles


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """Refuses an empty, outdated, forked or rolled-back database; creates nothing."""
    keys = load_keys(settings)
    database = connect(settings.database.url, settings.database.password_file)
    recorder = None
    try:
        require_current(database)
        guard(database)
        with database.reading() as session:
            keys.learn(queries.own_keys(session))
        if keys.faults:
            raise KeyringError("; ".join(keys.faults))
        checkpoints = CheckpointFiles(settings.gateway.state_dir / "checkpoints", keys.checkpoint)
        memory = checkpoints.load()
        checkpoints.require_sound(database, memory)
        recorder = Recorder(database, keys.checkpoint, memory)
        recorder.start()
        yield Store(settings, keys, database, recorder, checkpoints)
    finally:
        if recorder is not None:
            recorder.stop()
            checkpoints.save(recorder.memory)
        database.close()


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything the server needs."""

    store: Store
    catalogue: Catalogue
    configuration: Configuration
    exchange: Exchange
    tokens: SubjectTokens
    sealer: Sealer
    clock: Callable[[], datetime]

    @property
    def settings(self) -> Settings:
        return self.store.settings


@contextmanager
def open_gateway(settings: Settings, clock: Callable[[], datetime] = now) -> Iterator[Gateway]:
    with open_store(settings) as store:
        messages = catalogue.load(resources.schemas_dir())
        require_published(store.database, messages)
        configuration = Configuration(store.database, learn=store.keys.learn)
        sealer, tokens = Sealer(store.keys.storage), SubjectTokens(store.keys.index)
        exchange = Exchange(
            limits=settings.limits.limits(),
            catalogue=messages,
            configuration=configuration,
            database=store.database,
            recorder=store.recorder,
            writer=RecordWriter(settings.gateway.id, messages, sealer, tokens, lambda: store.keys.sign),
            sealer=sealer,
            lookup=Lookup(store.database, sealer, tokens, settings.limits.limits()),
            clock=clock,
        )
        yield Gateway(store, messages, configuration, exchange, tokens, sealer, clock)
