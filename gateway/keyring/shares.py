"""A secret key in shares (SLIP-39): any m of the n give it back, fewer say nothing of it.

Decides what is split: the 32 bytes of an X25519 key, such as the storage key's, so that the shares alone rebuild its file. A
share is 33 words of SLIP-39's list, which other programs read as well. It is shown to its holder and kept nowhere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from shamir_mnemonic import (  # type: ignore[import-untyped]  # it has no stubs
    MnemonicError,
    Share,
    combine_mnemonics,
    generate_mnemonics,
)

from gateway.errors import KeyringError
from gateway.keyring import files
from gateway.keyring.pkcs8 import encrypted

FEWEST: Final = 2
MOST: Final = 16  # of SLIP-39
_SECRET_BYTES: Final = 32


def split(uri: str, passphrase: bytes, threshold: int, count: int) -> tuple[str, ...]:
    """`count` shares of an X25519 key file, any `threshold` of which rebuild it. Raises KeyringError."""
    if not FEWEST <= threshold <= count <= MOST:
        raise KeyringError(
            f"shares are {FEWEST} to {MOST}, and at least {FEWEST} and at most all of them rebuild the key"
        )
    key = files.load(uri, passphrase)
    if not isinstance(key, X25519PrivateKey):
        raise KeyringError("only a storage or index key in a file can be split: an X25519 key")
    (shares,) = generate_mnemonics(1, [(threshold, count)], key.private_bytes_raw())
    return tuple(shares)


def _enough(shares: Sequence[str]) -> list[str]:
    """As many as the library takes: exactly as many groups as suffice, and of each exactly as many shares, each once."""
    read = [Share.from_mnemonic(" ".join(share.split())) for share in shares]
    if len({share.common_parameters() for share in read}) > 1:
        raise KeyringError("the shares are not of one splitting")
    groups: dict[int, dict[int, Any]] = {}
    for share in read:
        groups.setdefault(share.group_index, {}).setdefault(share.index, share)
    whole = [
        list(group.values())[:needed]
        for group in groups.values()
        if len(group) >= (needed := next(iter(group.values())).member_threshold)
    ]
    if not read or len(whole) < read[0].group_threshold:
        told = "" if not read else f", and {read[0].member_threshold} are needed"
        raise KeyringError(f"there are too few shares: {sum(map(len, groups.values()))}{told}")
    return [share.mnemonic() for group in whole[: read[0].group_threshold] for share in group]


def rebuild(path: Path, shares: Sequence[str], passphrase: bytes) -> None:
    """Writes the key's file anew, for its owner alone; of more shares than are needed, by the first of them.

    Raises KeyringError for too few shares or wrong ones; quotes none.
    """
    try:
        secret = combine_mnemonics(_enough(shares))
    except (MnemonicError, ValueError):
        # `from None`: the library's message may quote words of a share.
        raise KeyringError("the shares do not give a key: one is mistyped, or they are of different keys") from None
    if len(secret) != _SECRET_BYTES:
        raise KeyringError("the shares are of something else: not of a key of 32 bytes")
    if not passphrase:
        raise KeyringError("a private key is never stored without a passphrase")
    files.write_private(path, encrypted(X25519PrivateKey.from_private_bytes(secret), passphrase))
