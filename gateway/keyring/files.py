"""Key files: encrypted PKCS#8 PEM that nobody but its owner may read, by path or as a systemd credential.

Decides who may have touched a file before it is believed, and how a new one is made. Never replaces a file.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.errors import KeyringError
from gateway.jose import ED25519, ES256, PublicKey, public_key
from gateway.keyring.pkcs8 import LABEL, encrypted

SECRET: Final = "X25519"
LONG_LIVED: Final = "ML-DSA-44"
ALGORITHMS: Final = (ED25519, ES256, SECRET, LONG_LIVED)
PASSPHRASE_VARIABLE: Final = "SINERGI_KEY_PASSPHRASE"
CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
SCHEMES: Final = ("file", "credential")
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
PASSPHRASE_LIMIT: Final = 1023  # of OpenSSL
_FORBIDDEN_MODE: Final = stat.S_IRWXG | stat.S_IRWXO


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
    write_private(path, encrypted(key, passphrase))
    return None if isinstance(key, X25519PrivateKey | MLDSA44PrivateKey) else public_key(key.public_key())


def write_private(path: Path, content: bytes) -> None:
    """Creates the file for its owner alone, whole or not at all; refuses to replace one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise KeyringError(f"{path} cannot be created: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise KeyringError(f"{path} cannot be written: {error.strerror}") from error
        raise


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
    """From the file (its last line end is not part of it), else from SINERGI_KEY_PASSPHRASE, else none: for keys in tokens."""
    # fsencode: the environment's own bytes, also where they are not UTF-8.
    given = os.fsencode(environment.get(PASSPHRASE_VARIABLE, ""))
    passphrase = given if file is None else read_private(file).rstrip(b"\r\n")
    if file is not None and not passphrase:
        raise KeyringError(f"{file} is empty: it should hold the passphrase")
    return passphrase


def place(uri: str) -> Path:
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


def absolute(uri: str) -> str:
    """The same key from any folder: a URI that is kept is read by processes that were started elsewhere."""
    return f"file:{quote(str(place(uri).absolute()))}" if urlsplit(uri).scheme == "file" else uri


def load(uri: str, passphrase: bytes) -> PrivateKeyTypes:
    path = place(uri)
    pem = read_private(path)
    # The label is what counts: OpenSSL's older format is encrypted too, under one round of MD5.
    if not pem.lstrip().startswith(b"-----BEGIN %s-----" % LABEL):
        raise KeyringError(f"{path} is not an encrypted PKCS#8 file")
    if not passphrase:
        raise KeyringError(f"no passphrase: name a passphrase file, or set {PASSPHRASE_VARIABLE}")
    try:
        return load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the library's message may quote the content.
        raise KeyringError(f"{path} cannot be decrypted: wrong passphrase or damaged file") from None
