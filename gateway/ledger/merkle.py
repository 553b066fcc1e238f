"""The Merkle tree of RFC 6962 §2: hashes, the compact range a log appends with, and proofs made and verified.

Decides roots and proofs from hashes alone. Where the hashes lie is the caller's: proofs are made through
`node(level, index)`, the hash of the complete subtree over leaves `[index·2^level, (index+1)·2^level)`.
Leaf and node hashes have different prefixes, so an interior node can never be presented as an entry.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

from gateway.errors import LedgerInvalidError

HASH_SIZE: Final = 32
SIZE_LIMIT: Final = 2**63 - 1  # what a signed 64-bit index of other implementations holds
EMPTY_ROOT: Final = sha256(b"").digest()

Node = Callable[[int, int], bytes]


def leaf_hash(leaf: bytes) -> bytes:
    """MTH({d}) = SHA-256(0x00 || d), RFC 6962 §2.1."""
    return sha256(b"\x00" + leaf).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of each; spelled out, for an audit asks for millions."""
    return [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 §2.1."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree: the roots of its complete subtrees, largest first, one for each 1 bit of the size.

    All a log needs to append and to know its root; 32 bytes for each bit of the size.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if not isinstance(size, int) or not 0 <= size <= SIZE_LIMIT or len(hashes) != size.bit_count():
            raise LedgerInvalidError("a frontier has one hash for each 1 bit of its size")
        if any(len(held) != HASH_SIZE for held in hashes):
            raise LedgerInvalidError("a hash is 32 bytes")
        self._size = size
        self._hashes = list(hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> "Frontier":
        """The inverse of `to_bytes`. Raises LedgerInvalidError when data and size do not belong together."""
        return cls(size, split_hashes(data))

    def to_bytes(self) -> bytes:
        return b"".join(self._hashes)

    @property
    def size(self) -> int:
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self._hashes)

    def copy(self) -> "Frontier":
        return Frontier(self._size, self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash: amortised one SHA-256."""
        size, hashes = self._size, self._hashes
        self._size = size + 1
        while size & 1:
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            size >>= 1
        hashes.append(leaf)

    def append_perfect(self, level: int, root: bytes) -> None:
        """Add 2^level leaves at once, by the root over them. Raises LedgerInvalidError where they do not stand aligned."""
        size, hashes = self._size >> level, self._hashes
        if size << level != self._size:
            raise LedgerInvalidError(f"{1 << level} leaves cannot be one subtree after {self._size}")
        self._size += 1 << level
        while size & 1:
            root = node_hash(hashes.pop(), root)
            size >>= 1
        hashes.append(root)

    def extend(self, leaves: Iterable[bytes]) -> None:
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The Merkle Tree Hash of everything appended."""
        return fold(self._hashes)


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over adjacent complete subtrees, largest first; EMPTY_ROOT over none."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def split_hashes(data: bytes) -> list[bytes]:
    """Concatenated hashes, apart. Raises LedgerInvalidError for a length that is not a multiple of 32, and for no bytes."""
    if not isinstance(data, bytes) or len(data) % HASH_SIZE:
        raise LedgerInvalidError("concatenated hashes are a multiple of 32 bytes")
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def root(size: int, node: Node) -> bytes:
    """The root of the tree of `size` leaves."""
    _check_size(size)
    return _range_root(0, size, node)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 §2.1.1, from the leaf's sibling up."""
    _check_size(size)
    if not 0 <= index < size:
        raise LedgerInvalidError(f"no entry {index} in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_root(middle, high, node))
            high = middle
        else:
            path.append(_range_root(low, middle, node))
            low = middle
    path.reverse()
    return path


def consistency_proof(old_size: int, new_size: int, node: Node) -> list[bytes]:
    """PROOF(old_size, D[new_size]) of RFC 6962 §2.1.2; empty for an empty old tree and for equal sizes."""
    _check_size(new_size)
    if not 0 <= old_size <= new_size:
        raise LedgerInvalidError(f"a tree of {new_size} cannot extend one of {old_size}")
    if old_size in {0, new_size}:
        return []
    path: list[bytes] = []
    low, high = 0, new_size
    while high != old_size:
        middle = low + _split(high - low)
        if old_size <= middle:
            path.append(_range_root(middle, high, node))
            high = middle
        else:
            path.append(_range_root(low, middle, node))
            low = middle
    if low:  # at 0 the verifier has this subtree's root already: it is the old root
        path.append(_range_root(low, high, node))
    path.reverse()
    return path


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Returns when the leaf hash `leaf` is at `index` of the tree; raises LedgerInvalidError otherwise.

    The algorithm of RFC 9162 §2.1.3.2. The length of the proof is fixed by index and size, so there is one proof only.
    """
    _check_size(size)
    _check_hashes(leaf, root, *proof)
    if not 0 <= index < size:
        raise LedgerInvalidError(f"no entry {index} in a tree of {size}")
    here, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise LedgerInvalidError("the inclusion proof is too long")
        if here & 1 or here == last:
            computed = node_hash(sibling, computed)
            while here and not here & 1:
                here >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        here >>= 1
        last >>= 1
    if last:
        raise LedgerInvalidError("the inclusion proof is too short")
    if computed != root:
        raise LedgerInvalidError("the inclusion proof leads to another root")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Returns when the new tree begins with exactly the old one; raises LedgerInvalidError otherwise.

    The algorithm of RFC 9162 §2.1.4.2, with an empty proof for an empty old tree and for equal sizes.
    """
    _check_size(new_size)
    _check_hashes(old_root, new_root, *proof)
    if not 0 <= old_size <= new_size:
        raise LedgerInvalidError(f"a tree of {new_size} cannot extend one of {old_size}")
    if (old_size == 0 and old_root != EMPTY_ROOT) or (new_size == 0 and new_root != EMPTY_ROOT):
        raise LedgerInvalidError("an empty tree has another root")
    if old_size in {0, new_size}:
        if proof:
            raise LedgerInvalidError("the consistency proof is too long")
        if old_size == new_size and old_root != new_root:
            raise LedgerInvalidError("two roots for one size: the ledger is forked")
        return
    path = [*([old_root] if old_size.bit_count() == 1 else []), *proof]
    if not path:
        raise LedgerInvalidError("the consistency proof is too short")
    here, last = old_size - 1, new_size - 1
    while here & 1:
        here >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise LedgerInvalidError("the consistency proof is too long")
        if here & 1 or here == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while here and not here & 1:
                here >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        here >>= 1
        last >>= 1
    if last:
        raise LedgerInvalidError("the consistency proof is too short")
    if old != old_root or new != new_root:
        raise LedgerInvalidError("the new tree does not extend the old one")


def _split(width: int) -> int:
    """The largest power of two smaller than `width`, RFC 6962 §2.1."""
    return 1 << (width - 1).bit_length() - 1


def _range_root(low: int, high: int, node: Node) -> bytes:
    """MTH(D[low:high]) where `low` is a multiple of a power of two at least as large as the range."""
    hashes = []
    while low < high:
        level = (high - low).bit_length() - 1
        hashes.append(node(level, low >> level))
        low += 1 << level
    return fold(hashes)


def _check_size(size: int) -> None:
    if not 0 <= size <= SIZE_LIMIT:
        raise LedgerInvalidError("a tree has between 0 and 2⁶³ − 1 entries")


def _check_hashes(*hashes: bytes) -> None:
    if any(len(held) != HASH_SIZE for held in hashes):
        raise LedgerInvalidError("a hash is 32 bytes")
