"""The Merkle tree of RFC 6962 §2.1, transcribed from the text: slow, and obviously right."""

from hashlib import sha256


def mth(entries: list[bytes]) -> bytes:
    """§2.1: MTH({}) = SHA-256(); MTH({d}) = SHA-256(0x00 || d); else SHA-256(0x01 || MTH(left) || MTH(right))."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = largest_power_of_two_below(len(entries))
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """§2.1.1: PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    k = largest_power_of_two_below(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def proof(m: int, entries: list[bytes]) -> list[bytes]:
    """§2.1.2: PROOF(m, D[n]) = SUBPROOF(m, D[n], true)."""
    return subproof(m, entries, is_root=True)


def subproof(m: int, entries: list[bytes], *, is_root: bool) -> list[bytes]:
    """§2.1.2: SUBPROOF(m, D[n], b)."""
    if m == len(entries):
        return [] if is_root else [mth(entries)]
    k = largest_power_of_two_below(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], is_root=is_root), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], is_root=False), mth(entries[:k])]


def largest_power_of_two_below(n: int) -> int:
    """The k of §2.1, with k < n ≤ 2k."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k
