"""Encrypted PKCS#8 (RFC 5958) as key files hold it: PBES2 with scrypt (RFC 7914 §7) and AES-256-CBC.

Decides the form that is written. Reading is the library's: it opens this form and the older ones with PBKDF2, which it can
write and this no longer does. `openssl pkcs8` reads what is written here as well.
"""

import os
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ObjectIdentifier

LABEL: Final = b"ENCRYPTED PRIVATE KEY"
_PBES2: Final = ObjectIdentifier("1.2.840.113549.1.5.13")
_SCRYPT: Final = ObjectIdentifier("1.3.6.1.4.1.11591.4.11")
_AES_256_CBC: Final = ObjectIdentifier("2.16.840.1.101.3.4.1.42")
_KEY, _BLOCK, _SALT = 32, 16, 16


@dataclass(frozen=True, slots=True)
class Cost:
    """scrypt's parameters: 128·n·r bytes of memory, and the time of `p` such passes."""

    n: int
    r: int
    p: int


# The most memory that OpenSSL spends on a file (32 MiB) leaves n at 2^14; p makes guessing as dear as one pass of 2^17.
COST: Final = Cost(2**14, 8, 5)
# 32 random bytes in base64url, as `init` makes a passphrase. Nobody guesses those, and every command opens four files.
RANDOM_COST: Final = Cost(2**10, 8, 1)
_RANDOM: Final = re.compile(rb"[A-Za-z0-9_-]{43}")


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    n: int
    r: int
    p: int


@asn1.sequence
class _Derivation:
    algorithm: ObjectIdentifier
    parameters: _ScryptParameters


@asn1.sequence
class _Encryption:
    algorithm: ObjectIdentifier
    initial: bytes


@asn1.sequence
class _Pbes2Parameters:
    derivation: _Derivation
    encryption: _Encryption


@asn1.sequence
class _Algorithm:
    algorithm: ObjectIdentifier
    parameters: _Pbes2Parameters


@asn1.sequence
class _EncryptedPrivateKeyInfo:
    algorithm: _Algorithm
    encrypted: bytes


def cost_for(passphrase: bytes) -> Cost:
    return RANDOM_COST if _RANDOM.fullmatch(passphrase) else COST


def encrypted(key: PrivateKeyTypes, passphrase: bytes) -> bytes:
    """The PEM of the key under the passphrase."""
    cost = cost_for(passphrase)
    salt, initial = os.urandom(_SALT), os.urandom(_BLOCK)
    clear = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    derived = Scrypt(salt, _KEY, cost.n, cost.r, cost.p).derive(passphrase)
    padder, encryptor = PKCS7(8 * _BLOCK).padder(), Cipher(AES256(derived), CBC(initial)).encryptor()
    sealed = encryptor.update(padder.update(clear) + padder.finalize()) + encryptor.finalize()
    derivation = _Derivation(algorithm=_SCRYPT, parameters=_ScryptParameters(salt=salt, n=cost.n, r=cost.r, p=cost.p))
    parameters = _Pbes2Parameters(
        derivation=derivation, encryption=_Encryption(algorithm=_AES_256_CBC, initial=initial)
    )
    info = _EncryptedPrivateKeyInfo(algorithm=_Algorithm(algorithm=_PBES2, parameters=parameters), encrypted=sealed)
    body = b64encode(asn1.encode_der(info))
    lines = b"\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (LABEL, lines, LABEL)
