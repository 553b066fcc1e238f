"""C2SP tlog-cosignature: the bytes under a timestamped signature of a checkpoint, in both of its kinds.

`cosignature/v1` is Ed25519 over two lines and the note text; `subtree/v1` is ML-DSA-44 over a structure that names the
cosigner, and outlives Ed25519. Either one begins with its time, eight bytes of whole seconds since 1970. Decides what is
signed and whether a signature fits; whose key counts is for whoever configures `NoteVerifier`s (`note.py`).
"""

import base64
import binascii
import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from gateway.errors import LedgerInvalidError

TIME_SIZE: Final = 8
LATEST: Final = 2**63 - 1
_LABEL: Final = b"subtree/v1\n\0"
_NAME_LIMIT: Final = 255
_HASH_SIZE: Final = 32
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def cosignature_v1_message(text: str, time: int) -> bytes:
    """What an Ed25519 cosigner signs of the note text of a checkpoint."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def subtree_v1_message(name: str, text: str, time: int) -> bytes:
    """What an ML-DSA-44 cosigner called `name` signs: the whole tree, so `start` is 0 and `end` the size.

    Extension lines are not part of it. Raises LedgerInvalidError where `text` is not that of a checkpoint.
    """
    origin, size, root = _tree(text)
    start = 0
    return b"".join(
        (
            _LABEL,
            _opaque(name),
            time.to_bytes(TIME_SIZE, "big"),
            _opaque(origin),
            start.to_bytes(8, "big"),
            size.to_bytes(8, "big"),
            root,
        )
    )


def timestamped(time: int, signature: bytes) -> bytes:
    """`timestamped_signature`: what stands in a note's signature line behind the key id."""
    return time.to_bytes(TIME_SIZE, "big") + signature


def signed_at(signature: bytes) -> int:
    """The time in a timestamped signature, in seconds since 1970; 0 where it says none. Raises LedgerInvalidError.

    Only ML-DSA-44 may leave it out, as a log does that signs its own checkpoint. A witness must say it (tlog-witness),
    which `require_time` and `Quorum` hold it to.
    """
    time = int.from_bytes(signature[:TIME_SIZE], "big")
    if time > LATEST:
        raise LedgerInvalidError("a cosignature is of no such time")
    return time


def require_time(time: int) -> int:
    """The time, if there is one. Raises LedgerInvalidError."""
    if not 0 < time <= LATEST:
        raise LedgerInvalidError("a cosignature says when it was made")
    return time


def verify_cosignature_v1(_name: str, public_key: bytes, text: bytes, signature: bytes) -> None:
    """Returns when it is this Ed25519 key's cosignature of the note text; else LedgerInvalidError."""
    _tree(text.decode())
    message = cosignature_v1_message(text.decode(), require_time(signed_at(signature)))
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature[TIME_SIZE:], message)
    except (InvalidSignature, ValueError) as error:
        raise LedgerInvalidError("a cosignature of a known key does not verify") from error


def verify_subtree_v1(name: str, public_key: bytes, text: bytes, signature: bytes) -> None:
    """Returns when it is this ML-DSA-44 key's cosignature, under this name; else LedgerInvalidError."""
    message = subtree_v1_message(name, text.decode(), signed_at(signature))
    verify_ml_dsa(public_key, message, signature[TIME_SIZE:])


def verify_ml_dsa(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Returns when it is this ML-DSA-44 key's signature of these bytes; else LedgerInvalidError."""
    try:
        MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise LedgerInvalidError("an ML-DSA-44 signature of a known key does not verify") from error


def _opaque(text: str) -> bytes:
    data = text.encode()
    if not 1 <= len(data) <= _NAME_LIMIT:
        raise LedgerInvalidError("a cosigned name is 1 to 255 bytes")
    return bytes([len(data)]) + data


def _tree(text: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint's text. `checkpoint.py`, which reads the rest, stands on this module."""
    origin, size, root, *_ = (*text.split("\n"), "", "", "")
    try:
        digest = base64.b64decode(root.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise LedgerInvalidError("only a checkpoint can be cosigned") from error
    exact = base64.b64encode(digest).decode() == root and len(digest) == _HASH_SIZE
    if not origin or not _SIZE.fullmatch(size) or not exact:
        raise LedgerInvalidError("only a checkpoint can be cosigned")
    return origin, int(size), digest
