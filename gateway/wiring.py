"""Explicit wiring: the one place where collaborators are made and handed to each other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy.engine import make_url
from sqlmodel import Session

from gateway import keyring, resources
from gateway.errors import GatewayError, KeyAwayError, KeyringError, NotFoundError, OperatorError
from gateway.keys.keychain import CHECKPOINT, INDEX, LONG_LIVED, REQUEST, SIGN, STORAGE, OwnKey, Ring
from gateway.ledger.cosignature import Cosigner
from gateway.ledger.entry import decode
from gateway.lookup import Lookup
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from gateway.record import OWN_LEDGER, RecordWriter
from gateway.settings import Settings
from gateway.store import queries
from gateway.store.append import Memory
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.checkpoint_keys import CheckpointKeys, raw
from gateway.store.configuration import Configuration
from gateway.store.long_lived_keys import LongLivedKeys
from gateway.store.migrations import require_current
from gateway.store.patrol import require_whole
from gateway.store.published import require_published
from gateway.store.recorder import Recorder
from gateway.store.sealing import Sealer, SubjectTokens
from gateway.store.session import Database, guard, open_database
from gateway.transfer import Exchange

_log = structlog.get_logger("sinergi.wiring")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Keys:
    """The gateway's private keys, loaded and checked."""

    signing: Ring[keyring.KeyringSigner]
    requesting: Ring[keyring.KeyringSigner]
    checkpoint: CheckpointKeys
    storage: Ring[keyring.Secret]
    index: Ring[keyring.Secret]
    long_lived_keys: LongLivedKeys = field(default_factory=LongLivedKeys)

    @property
    def sign(self) -> keyring.KeyringSigner:
        """The key that signs receipts, releases and notices at this moment: ask anew for each signature."""
        return self.signing.current()

    @property
    def request(self) -> keyring.KeyringSigner:
        """The key that signs the tokens of pushes at this moment."""
        return self.requesting.current()

    @property
    def faults(self) -> tuple[str, ...]:
        """Which keys this process needs now or soon and could not open."""
        return tuple(fault for ring in self._rings for fault in ring.faults)

    def needed(self, lost: str | None = None) -> tuple[str, ...]:
        """Those about keys that have begun, without a role whose key in use is known to be lost."""
        return tuple(fault for ring in self._rings if ring.role != lost for fault in ring.needed)

    @property
    def away(self) -> bool:
        """Whether every fault is that a token or a service does not answer."""
        return all(ring.away for ring in self._rings if ring.faults)

    def answer(self) -> bool:
        """Whether each key that signs now can be had; one that failed last is asked again, which may take a while."""
        try:
            return all(ring.current().answers() for ring in (self.signing, self.requesting, self.checkpoint.ring))
        except GatewayError:
            return False

    def opens(self, role: str, uri: str) -> str | None:
        """The id of the key of this role there, where this process can open it."""
        ring = next((ring for ring in self._rings if ring.role == role), None)
        return None if ring is None else ring.opens(uri)

    def learn(self, known: Sequence[OwnKey]) -> None:
        for ring in (self.signing, self.requesting, self.checkpoint, self.storage, self.index, self.long_lived_keys):
            ring.learn(known)

    @property
    def _rings(self) -> tuple[Ring[keyring.KeyringSigner] | Ring[keyring.Secret] | Ring[keyring.LongLivedKey], ...]:
        long_lived = self.long_lived_keys.ring
        others = (self.signing, self.requesting, self.checkpoint.ring, self.storage, self.index)
        return others if long_lived is None else (*others, long_lived)

    def long_lived(self, origin: str) -> Cosigner | None:
        """The ML-DSA-44 key in use, signing as a ledger; None where the gateway has none."""
        return next(iter(self.long_lived_keys.cosigners(origin)), None)


def load_keys(settings: Settings) -> Keys:
    """Raises KeyringError, before anything is served, for a file with a wrong mode, passphrase or kind."""
    passphrase = keyring.read_passphrase(settings.keys.passphrase_file)

    def signers(uri: str, role: str) -> Ring[keyring.KeyringSigner]:
        return Ring(keyring.load_signer(uri, passphrase), role, lambda other: keyring.load_signer(other, passphrase))

    def secrets(uri: str, role: str) -> Ring[keyring.Secret]:
        def load(other: str) -> keyring.Secret:
            return keyring.load_secret(other, passphrase, role)

        return Ring(load(uri), role, load)

    def checkpoint(uri: str) -> keyring.KeyringSigner:
        key = keyring.load_signer(uri, passphrase)
        raw(key.public)
        return key

    return Keys(
        signing=signers(settings.keys.sign, SIGN),
        requesting=signers(settings.keys.request, REQUEST),
        checkpoint=CheckpointKeys(Ring(checkpoint(settings.keys.checkpoint), CHECKPOINT, checkpoint)),
        storage=secrets(settings.keys.storage, STORAGE),
        index=secrets(settings.keys.index, INDEX),
        long_lived_keys=_long_lived(settings.keys.checkpoint_mldsa, passphrase),
    )


def _long_lived(uri: str | None, passphrase: bytes) -> LongLivedKeys:
    def load(other: str) -> keyring.LongLivedKey:
        return keyring.load_long_lived(other, passphrase)

    return LongLivedKeys(None if uri is None else Ring(load(uri), LONG_LIVED, load))


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
    # What somebody should look at, though everything works.
    warnings: tuple[str, ...] = ()


def require_own(session: Session, settings: Settings) -> None:
    """Raises OperatorError for the database of a gateway of another id: what it signed names that one, for ever."""
    try:
        named = decode(queries.leaf(session, OWN_LEDGER, 0)).get("gateway")
    except NotFoundError:
        return  # that it is gone is told by what is remembered of it
    if named != settings.gateway.id:
        raise OperatorError(
            f"gateway.id is {settings.gateway.id}, but the database belongs to {named}: an id cannot be changed"
        )


def remembers_nothing(checkpoints: CheckpointFiles, memory: Memory) -> tuple[str, ...]:
    """A node whose state directory is empty would take a database that was rolled back for the whole."""
    if memory.ledgers():
        return ()
    told = f"{checkpoints.directory} holds no checkpoint: this node cannot tell whether the database was rolled back."
    return (f"{told} A new node starts like this; on any other node bring the files back first",)


def unfound(keys: Keys) -> tuple[str, ...]:
    """While a lost index key still has messages that nothing finds."""
    told = "the index key {} is lost, and stored messages are not found yet: run `sinergi keys reindex`"
    return tuple(told.format(kid) for kid in keys.index.lost())


@contextmanager
def open_store(settings: Settings, *, lost: str | None = None) -> Iterator[Store]:
    """Refuses an empty, outdated, forked or rolled-back database, and another gateway's; creates nothing.

    `lost`: the one role whose key in use need not open, because it is about to be replaced. A key that has not begun need not
    either: `keys.faults` tells of it, and so does `/readyz`.
    """
    keys = load_keys(settings)
    database = connect(settings.database.url, settings.database.password_file)
    recorder = None
    try:
        require_current(database)
        guard(database)
        with database.reading() as session:
            require_own(session, settings)
            keys.learn(queries.own_keys(session))
        if faults := keys.needed(lost):
            raise (KeyAwayError if keys.away else KeyringError)("; ".join(faults))
        checkpoints = CheckpointFiles(settings.gateway.state_dir / "checkpoints", keys.checkpoint)
        memory = checkpoints.load()
        checkpoints.require_sound(database, memory)
        warnings = (*keys.faults, *unfound(keys), *remembers_nothing(checkpoints, memory))
        for warning in warnings:
            _log.warning("look_at_this", detail=warning)
        recorder = Recorder(database, keys.checkpoint, memory)
        recorder.start()
        yield Store(settings, keys, database, recorder, checkpoints, warnings)
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
    """Refuses what `open_store` refuses, and a ledger whose newest entries, or rows beside them, were altered."""
    with open_store(settings) as store:
        require_whole(
            store.database, store.keys.checkpoint, store.recorder.memory, settings.audit.startup_entries, clock()
        )
        messages = catalogue.load(resources.schemas_dir())
        require_published(store.database, messages)
        configuration = Configuration(
            store.database,
            learn=store.keys.learn,
            unopened=lambda: bool(store.keys.faults),
            patience=settings.certificates.patience(),
        )
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
