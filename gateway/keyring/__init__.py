"""Private keys, named by URI. A key only ever signs, or gives a secret for one purpose; its bytes never leave here.

Schemes: `file:/path` is an encrypted PKCS#8 PEM file that nobody but its owner may read; `credential:NAME` the same as a
systemd credential (`files.py`); `pkcs11:` is a key in a token (`hsm.py`). Any other scheme is a key service's, which an
installed package brings as an entry point (`services.py`): it signs, and its key never comes here.
Signing keys are Ed25519 or P-256, for checkpoints alone ML-DSA-44, and an agency's with a certificate may be RSA;
the storage and index secrets are derived by HKDF (RFC 5869) from an X25519 key, or by HMAC inside a token, so that every
private thing has one file format, one passphrase rule and one way of being rotated.
"""

from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import KeyringError
from gateway.jose import b64encode
from gateway.keyring import files
from gateway.keyring.files import (
    ALGORITHMS,
    CREDENTIALS_VARIABLE,
    LONG_LIVED,
    PASSPHRASE_LIMIT,
    PASSPHRASE_VARIABLE,
    SECRET,
    absolute,
    generate,
    read_passphrase,
    read_private,
    write_private,
)
from gateway.keyring.held import KeyringSigner, LongLivedKey, Secret, signer_for
from gateway.keyring.hsm import generate_in_token, load_token_secret, load_token_signer
from gateway.keyring.services import SERVICES, KeyService, signer_from_service
from gateway.ledger.cosignature import Cosigner
from gateway.ledger.note import COSIGNATURE_V1, ML_DSA_44, NoteVerifier

__all__ = [
    "ALGORITHMS",
    "CREDENTIALS_VARIABLE",
    "LONG_LIVED",
    "PASSPHRASE_LIMIT",
    "PASSPHRASE_VARIABLE",
    "SECRET",
    "SERVICES",
    "KeyService",
    "KeyringSigner",
    "LongLivedKey",
    "Secret",
    "absolute",
    "generate",
    "generate_in_token",
    "load_cosigner",
    "load_long_lived",
    "load_secret",
    "load_signer",
    "read_passphrase",
    "read_private",
    "signer_for",
    "write_private",
]


def load_signer(uri: str, passphrase: bytes, *, certified: bool = False) -> KeyringSigner:
    """Raises KeyringError when the file is missing, readable by others, not decryptable, or not a signing key.

    Of a token or a key service also when it does not answer, or signs with another key than it shows. `certified`: the key
    is an agency's whose certificate the gateway knows; only such a key may be RSA.
    """
    match urlsplit(uri).scheme:
        case "file" | "credential":
            return signer_for(files.load(uri, passphrase), certified=certified)
        case "pkcs11":
            return load_token_signer(uri, certified=certified)
        case _:
            return signer_from_service(uri)


def load_cosigner(uri: str, passphrase: bytes, name: str) -> Cosigner:
    """An Ed25519 or ML-DSA-44 key that signs checkpoints, with the time, as `name`. Raises KeyringError."""
    if urlsplit(uri).scheme in files.SCHEMES:
        key = files.load(uri, passphrase)
        if isinstance(key, MLDSA44PrivateKey):
            return Cosigner(NoteVerifier(name, key.public_key().public_bytes_raw(), ML_DSA_44), key.sign)
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyringError("a key that cosigns must be Ed25519 or ML-DSA-44")
        signer = signer_for(key)
    else:
        signer = load_signer(uri, passphrase)
    if not isinstance(signer.public.key, Ed25519PublicKey):
        raise KeyringError("a key that cosigns must be Ed25519 or ML-DSA-44")
    return Cosigner(NoteVerifier(name, signer.public.key.public_bytes_raw(), COSIGNATURE_V1), signer.sign)


def load_long_lived(uri: str, passphrase: bytes) -> LongLivedKey:
    """The ML-DSA-44 key of a ledger, which lies in a file. Raises KeyringError before any token or service is asked."""
    if urlsplit(uri).scheme not in files.SCHEMES:
        raise KeyringError(
            "checkpoint_mldsa must be a file: or a credential: with an ML-DSA-44 key; none can be in a token or a key service"
        )
    cosigner = load_cosigner(uri, passphrase, "checkpoint")
    if cosigner.verifier.type != ML_DSA_44:
        raise KeyringError("checkpoint_mldsa must be an ML-DSA-44 key")
    return LongLivedKey(cosigner)


def load_secret(uri: str, passphrase: bytes, purpose: str) -> Secret:
    """A 32-byte secret bound to `purpose`: the same key gives unrelated secrets for two purposes."""
    if urlsplit(uri).scheme == "pkcs11":
        return load_token_secret(uri, purpose)
    key = files.load(uri, passphrase)
    if not isinstance(key, X25519PrivateKey):
        raise KeyringError("a storage or index key must be an X25519 key made by `sinergi keys generate`")
    raw = key.private_bytes_raw()
    value = HKDF(hashes.SHA256(), 32, None, f"sinergi {purpose} v1".encode()).derive(raw)
    identity = HKDF(hashes.SHA256(), 9, None, f"sinergi {purpose} id v1".encode()).derive(raw)
    return Secret(b64encode(identity), value)
