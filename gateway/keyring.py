"""Private keys, named by URI. A key only ever signs, or gives a secret for one purpose; its bytes never leave here.

Schemes: `file:/path` is an encrypted PKCS#8 PEM file that nobody but its owner may read; `credential:NAME` the same as a
systemd credential. Any other scheme is a key service's (an HSM's, a KMS's), which an installed package brings as an entry
point of the group `sinergi.keyring`, named like the scheme: it signs, and its key never comes here.
Signing keys are Ed25519 or P-256, and for checkpoints alone ML-DSA-44;
the storage and index secrets are derived by HKDF (RFC 5869) from an X25519 key, so that every private thing has one file
format, one passphrase rule and one way of being rotated.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

from gateway.errors import KeyringError
from gateway.jose import ED25519, ES256, PublicKey, b64encode, parse_jws, public_key, sign_jws, verify_jws
from gateway.ledger.cosignature import Cosigner
from gateway.ledger.note import COSIGNATURE_V1, ML_DSA_44, NoteVerifier

SECRET: Final = "X25519"
LONG_LIVED: Final = "ML-DSA-44"
ALGORITHMS: Final = (ED25519, ES256, SECRET, LONG_LIVED)
PASSPHRASE_VARIABLE: Final = "SINERGI_KEY_PASSPHRASE"
CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
SERVICES: Final = "sinergi.keyring"
_FILES: Final = ("file", "credential")
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
PASSPHRASE_LIMIT: Final = 1023  # of OpenSSL
_FORBIDDEN_MODE: Final = stat.S_IRWXG | stat.S_IRWXO
_es256: Final = ECAlgorithm(ECAlgorithm.SHA256, SECP256R1)


@dataclass(frozen=True, slots=True, repr=False)
class KeyringSigner:
    """A signing key from a keyring. `public` may be shown to anyone."""

    public: PublicKey
    _sign: Callable[[bytes], bytes]

    @property
    def kid(self) -> str:
        return self.public.kid

    @property
    def alg(self) -> str:
        return self.public.alg

    def sign(self, message: bytes) -> bytes:
        return self._sign(message)

    def __repr__(self) -> str:
        return f"KeyringSigner({self.kid})"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """32 bytes for one purpose, and an id that says which key they came from."""

    id: str
    value: bytes

    @property
    def kid(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"Secret({self.id})"


class KeyService(Protocol):
    """One signing key somewhere else. `sign` gives 64 bytes: Ed25519 (RFC 8032), or ECDSA P-256 as r and s (RFC 7518 §3.4)."""

    def public_key(self) -> Ed25519PublicKey | EllipticCurvePublicKey: ...

    def sign(self, message: bytes) -> bytes: ...


def load_signer(uri: str, passphrase: bytes) -> KeyringSigner:
    """Raises KeyringError when the file is missing, readable by others, not decryptable, or not a signing key.

    Of a key service also when it does not answer, or signs with another key than it shows.
    """
    if urlsplit(uri).scheme not in _FILES:
        return _from_service(uri)
    return signer_for(_load(uri, passphrase))


def _from_service(uri: str) -> KeyringSigner:
    """An entry point is called with the URI and gives a KeyService."""
    scheme = urlsplit(uri).scheme
    found = next(iter(entry_points(group=SERVICES, name=scheme)), None)
    if not scheme or found is None:
        raise KeyringError(f"a key URI looks like file:/etc/sinergi/keys/sign.pem; nothing is installed for {scheme!r}")
    try:
        service: KeyService = found.load()(uri)
        signer = KeyringSigner(public_key(service.public_key()), service.sign)
        probe = sign_jws({"probe": b64encode(os.urandom(16))}, "probe+jwt", signer)
        verify_jws(parse_jws(probe, "probe+jwt", 2), signer.public)
    except Exception as error:  # noqa: BLE001 - another's program may raise anything
        # `from None`: what another program says may hold its secrets.
        raise KeyringError(f"the {scheme} key does not sign ({type(error).__name__})") from None
    return signer


def signer_for(key: PrivateKeyTypes) -> KeyringSigner:
    if isinstance(key, Ed25519PrivateKey):
        return KeyringSigner(public_key(key.public_key()), key.sign)
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return KeyringSigner(public_key(key.public_key()), lambda message: _es256.sign(message, key))
    raise KeyringError("a signing key must be Ed25519 or P-256")


def load_cosigner(uri: str, passphrase: bytes, name: str) -> Cosigner:
    """An Ed25519 or ML-DSA-44 key that signs checkpoints, with the time, as `name`. Raises KeyringError."""
    key = _load(uri, passphrase)
    if isinstance(key, Ed25519PrivateKey):
        return Cosigner(NoteVerifier(name, key.public_key().public_bytes_raw(), COSIGNATURE_V1), key.sign)
    if isinstance(key, MLDSA44PrivateKey):
        return Cosigner(NoteVerifier(name, key.public_key().public_bytes_raw(), ML_DSA_44), key.sign)
    raise KeyringError("a key that cosigns must be Ed25519 or ML-DSA-44")


def load_secret(uri: str, passphrase: bytes, purpose: str) -> Secret:
    """A 32-byte secret bound to `purpose`: the same file gives unrelated secrets for two purposes."""
    key = _load(uri, passphrase)
    if not isinstance(key, X25519PrivateKey):
        raise KeyringError("a storage or index key must be an X25519 key made by `sinergi keys generate`")
    raw = key.private_bytes_raw()
    value = HKDF(hashes.SHA256(), 32, None, f"sinergi {purpose} v1".encode()).derive(raw)
    identity = HKDF(hashes.SHA256(), 9, None, f"sinergi {purpose} id v1".encode()).derive(raw)
    return Secret(b64encode(identity), value)


def generate(path: Path, algorithm: str, passphrase: bytes) -> PublicKey | None:
    """Makes a new key in a new file (mode 0600); never overwrites.

    The public half as a JWK, or None for a secret, and for ML-DSA-44, whose public half is a ledger's verifier key.
    """
    key: Ed25519PrivateKey | EllipticCurvePrivateKey | X25519PrivateKey | MLDSA44PrivateKey
    match algorithm:
        case "EdDSA":
            key = Ed25519PrivateKey.generate()
        case "ES256":
            key = generate_ec_key(SECP256R1())
        case "X25519":
            key = X25519PrivateKey.generate()
        case "ML-DSA-44":
            key = MLDSA44PrivateKey.generate()
        case _:
            raise KeyringError(f"the algorithm must be one of {', '.join(ALGORITHMS)}")
    if not passphrase:
        raise KeyringError("a private key is never stored without a passphrase")
    if len(passphrase) > PASSPHRASE_LIMIT:
        raise KeyringError(f"a passphrase may have {PASSPHRASE_LIMIT} bytes")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    write_private(path, pem)
    return None if isinstance(key, X25519PrivateKey | MLDSA44PrivateKey) else public_key(key.public_key())


def write_private(path: Path, content: bytes) -> None:
    """Creates the file for its owner alone; refuses to replace one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise KeyringError(f"{path} cannot be created: {error.strerror}") from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_private(path: Path) -> bytes:
    """Reads a file that only its owner may read. Raises KeyringError, saying what to do about the mode."""
    try:
        # Not blocking: a pipe in the file's place would otherwise hold the start-up for ever.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyringError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise KeyringError("a file's name has a NUL in it") from None
    try:
        # The open file is judged, not the name: it cannot be exchanged in between. A link is followed to what it names,
        # because that is how orchestrators mount secrets.
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & _FORBIDDEN_MODE:
            raise KeyringError(f"{path} must be a file that only its owner may read: chmod 600 {path}")
        if status.st_uid not in (os.geteuid(), 0):
            raise KeyringError(f"{path} belongs to another user")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def read_passphrase(file: Path | None, environment: Mapping[str, str] = os.environ) -> bytes:
    """From the file (its last line end is not part of it), else from SINERGI_KEY_PASSPHRASE."""
    # fsencode: the environment's own bytes, also where they are not UTF-8.
    given = os.fsencode(environment.get(PASSPHRASE_VARIABLE, ""))
    passphrase = given if file is None else read_private(file).rstrip(b"\r\n")
    if not passphrase:
        raise KeyringError(f"no passphrase: name a passphrase file, or set {PASSPHRASE_VARIABLE}")
    return passphrase


def _place(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.query or parts.fragment or parts.netloc or not parts.path:
        raise KeyringError("a key URI looks like file:/etc/sinergi/keys/sign.pem")
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme != "credential" or not _CREDENTIAL.fullmatch(parts.path):
        raise KeyringError("this key must be a file: or a credential:")
    folder = os.environ.get(CREDENTIALS_VARIABLE)
    if not folder:
        raise KeyringError(f"{CREDENTIALS_VARIABLE} is not set: systemd sets it for a unit with LoadCredential=")
    return Path(folder) / parts.path


def _load(uri: str, passphrase: bytes) -> PrivateKeyTypes:
    path = _place(uri)
    pem = read_private(path)
    # The label is what counts: OpenSSL's older format is encrypted too, under one round of MD5.
    if not pem.lstrip().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"):
        raise KeyringError(f"{path} is not an encrypted PKCS#8 file")
    try:
        return load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the library's message may quote the content.
        raise KeyringError(f"{path} cannot be decrypted: wrong passphrase or damaged file") from None
