"""The keys that sign this gateway's checkpoints over time: which ones sign now, and which ones its own ledgers may bear.

Decides whose signature counts when the gateway reads what it stored. The database is not trusted with that: a key counts
because this process opened its private half, or because it follows, by signed statements, from one that it opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import KeyringError, LedgerInvalidError
from gateway.jose import PublicKey, public_key_from_jwk
from gateway.keyring import KeyringSigner
from gateway.keys.keychain import CHECKPOINT, REVOKED, OwnKey, Ring
from gateway.ledger.note import Ed25519NoteSigner, NoteVerifier
from gateway.ledger.succession import Succession, following


def raw(public: PublicKey) -> bytes:
    """The 32 bytes of an Ed25519 key. Raises KeyringError for any other."""
    if not isinstance(public.key, Ed25519PublicKey):
        raise KeyringError("the checkpoint key must be Ed25519 (C2SP signed-note)")
    return public.key.public_bytes_raw()


@dataclass(frozen=True, slots=True)
class NoteKey:
    """One of them, as the statement of a succession wants it."""

    signer: KeyringSigner

    @property
    def public_key(self) -> bytes:
        return raw(self.signer.public)

    def sign(self, message: bytes) -> bytes:
        return self.signer.sign(message)


@dataclass(slots=True)
class CheckpointKeys:
    """Signs as whichever ledger's origin it is asked for."""

    ring: Ring[KeyringSigner]
    said: tuple[Succession, ...] = ()
    _lost: frozenset[bytes] = frozenset()

    def learn(self, known: Sequence[OwnKey]) -> None:
        """As `Ring.learn`, and what the keys said of each other. A row whose statement does not verify says nothing."""
        self.ring.learn(known)
        mine = [key for key in known if key.role == CHECKPOINT]
        self.said = said_of(known, CHECKPOINT)
        self._lost = frozenset(
            raw(public_key_from_jwk(key.jwk)) for key in mine if key.status == REVOKED and key.jwk is not None
        )

    @property
    def signer(self) -> KeyringSigner:
        """The key that has the word now."""
        return self.ring.current()

    def note_signer(self, origin: str) -> Ed25519NoteSigner:
        return _note_signer(origin, self.ring.current())

    def note_signers(self, origin: str) -> tuple[Ed25519NoteSigner, ...]:
        """All that sign now: the key in use first, then the one before it while it still counts, and the next one."""
        return tuple(_note_signer(origin, key) for key in self.ring.counting())

    def verifiers(self, origin: str, *, lost: bool = False) -> tuple[NoteVerifier, ...]:
        """Whose signatures count; with `lost`, those of keys that were revoked as well, for what was signed long ago."""
        held = tuple(NoteVerifier(origin, raw(key.public)) for key in self.ring.held())
        every = following(held, self.said, and_before=True)
        return every if lost else tuple(key for key in every if key.public_key not in self._lost)


def _note_signer(origin: str, key: KeyringSigner) -> Ed25519NoteSigner:
    return Ed25519NoteSigner(origin, key.sign, raw(key.public))


def said_of(known: Sequence[OwnKey], role: str) -> tuple[Succession, ...]:
    """What the keys of a role said of each other."""
    return tuple(one for key in known if key.role == role and (one := _said(key)) is not None)


def _said(key: OwnKey) -> Succession | None:
    try:
        return None if key.succession is None else Succession.read(key.succession)
    except LedgerInvalidError:
        return None
