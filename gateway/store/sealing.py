"""Encryption at rest: every message under a key of its own, that key wrapped by the gateway's storage key.

Destroying the wrapped key destroys the message, its receipt and the commitment key, wherever copies of the row are.
AES-256-GCM (NIST SP 800-38D) with the transfer's id and the part's name as associated data, so that no part can be put
in another's place; AES key wrap (RFC 3394) for the key.
"""

import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from gateway.errors import KeyringError
from gateway.keyring import Secret
from gateway.keys.keychain import Ring
from gateway.store.randomness import random_bytes

_NONCE: Final = 12


@dataclass(frozen=True, slots=True, repr=False)
class Seal:
    """The key of one message, open for use; `storage_key` names the key that wraps it."""

    transfer: str
    key: bytes
    storage_key: str = ""

    def close(self, part: str, content: bytes) -> bytes:
        nonce = random_bytes(_NONCE)
        return nonce + AESGCM(self.key).encrypt(nonce, content, f"{self.transfer} {part}".encode())

    def open(self, part: str, sealed: bytes) -> bytes:
        """Raises KeyringError when the row was altered or belongs to another transfer."""
        try:
            return AESGCM(self.key).decrypt(sealed[:_NONCE], sealed[_NONCE:], f"{self.transfer} {part}".encode())
        except (InvalidTag, TypeError, ValueError) as error:  # too short to hold a nonce, or (SQLite) no bytes at all
            raise KeyringError("a stored message does not open: the row was altered") from error


@dataclass(frozen=True, slots=True)
class Sealer:
    """Makes seals under the storage key in use, and opens those under any that is still at hand."""

    storage: Ring[Secret]

    def new(self, transfer: str) -> tuple[Seal, bytes]:
        """A fresh key and its wrapped form, for the row."""
        key, storage = random_bytes(32), self.storage.current()
        return Seal(transfer, key, storage.id), aes_key_wrap(storage.value, key)

    def unwrap(self, transfer: str, key_id: str, wrapped: bytes) -> Seal:
        storage = self.storage.named(key_id)
        try:
            return Seal(transfer, aes_key_unwrap(storage.value, wrapped), key_id)
        except (InvalidUnwrap, TypeError) as error:
            raise KeyringError("a stored message's key does not unwrap: the row was altered") from error

    def rewrap(self, transfer: str, key_id: str, wrapped: bytes) -> tuple[str, bytes]:
        """The id of the storage key in use, and the same message key wrapped by it. What it seals is not touched."""
        storage = self.storage.current()
        return storage.id, aes_key_wrap(storage.value, self.unwrap(transfer, key_id, wrapped).key)


@dataclass(frozen=True, slots=True)
class SubjectTokens:
    """Keyed digests of identifiers. A plain hash of a NIK could be guessed; this one only with the index key.

    While the index is made anew (`reindexing.py`) it is written under both keys, and read under the old one until it is whole
    under the new one.
    """

    index: Ring[Secret]

    def token(self, kind: str, value: str) -> str:
        """As the index is asked."""
        return token(self.index.eldest(), kind, value)

    def written(self, kind: str, value: str) -> tuple[tuple[str, str], ...]:
        """As it is written: pairs of an index key's id and the token under it."""
        return tuple((key.id, token(key, kind, value)) for key in self.index.counting())

    def identity(self, jwt: str) -> tuple[str, str]:
        """The id of the index key in use, and the digest of an issuer-signed JWT under it."""
        key = self.index.current()
        return key.id, identity(key, jwt)

    def identities(self, jwt: str) -> tuple[str, ...]:
        """Every digest under which the message may have been recorded, the newest key's first."""
        return tuple(identity(key, jwt) for key in (*self.index.counting(), *self.index.kept()))


def token(key: Secret, kind: str, value: str) -> str:
    normalised = "".join(value.split()).upper()
    return hmac.new(key.value, f"{kind}\n{normalised}".encode(), "sha256").hexdigest()


def identity(key: Secret, jwt: str) -> str:
    """Of an issuer-signed JWT: over what was signed, so that both forms of an ECDSA signature are one message."""
    signed = jwt.rpartition(".")[0]
    return hmac.new(key.value, f"signed\n{signed}".encode("ascii"), "sha256").hexdigest()
