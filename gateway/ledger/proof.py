"""C2SP tlog-proof: that an entry is in a ledger, as one text that verifies offline.

Decides whether a leaf hash is at an index of a tree that the ledger signed. Making the hashes is `merkle.py`'s.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import LedgerInvalidError
from gateway.ledger.checkpoint import VerifiedCheckpoint, open_checkpoint, parse_decimal
from gateway.ledger.checkpoint import parse as parse_checkpoint
from gateway.ledger.merkle import HASH_SIZE, SIZE_LIMIT, verify_inclusion
from gateway.ledger.note import NOTE_LIMIT, NoteVerifier, decode_base64, encode_base64, parse_note

HEADER: Final = "c2sp.org/tlog-proof@v1"
PROOF_LIMIT: Final = 2 * NOTE_LIMIT  # characters
HASHES_LIMIT: Final = 63


@dataclass(frozen=True, slots=True)
class UnverifiedProof:
    """A well-formed proof. `checkpoint` is the signed note, verbatim; `extra` is authenticated by nothing."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        _check_place(self.index, self.hashes)
        if self.extra == b"":
            raise LedgerInvalidError("no extra data has no line at all")
        parse_checkpoint(parse_note(self.checkpoint).text)

    def format(self) -> str:
        extra = [] if self.extra is None else [f"extra {encode_base64(self.extra)}"]
        return _text([*extra, f"index {self.index}", *map(encode_base64, self.hashes)], self.checkpoint.decode())


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """The leaf with this hash is entry `index` of the ledger that signed `checkpoint`."""

    index: int
    leaf_hash: bytes
    checkpoint: VerifiedCheckpoint
    extra: bytes | None


def _check_place(index: int, hashes: Sequence[bytes]) -> None:
    if not 0 <= index < SIZE_LIMIT:
        raise LedgerInvalidError("an index is between 0 and 2⁶³ − 2")
    if len(hashes) > HASHES_LIMIT or any(len(held) != HASH_SIZE for held in hashes):
        raise LedgerInvalidError(f"an inclusion proof is at most {HASHES_LIMIT} hashes of 32 bytes")


def _text(lines: Sequence[str], note: str) -> str:
    return "\n".join((HEADER, *lines, "", note))


def format_proof(index: int, hashes: Sequence[bytes], checkpoint: bytes, extra: bytes | None = None) -> str:
    """The proof text for the signed checkpoint. Raises LedgerInvalidError for anything `parse_proof` refuses."""
    return UnverifiedProof(index, tuple(hashes), checkpoint, extra).format()


def proofs_under(checkpoint: bytes) -> Callable[[int, Sequence[bytes]], str]:
    """`format_proof` for many entries under one signed checkpoint, which is looked at once. Raises LedgerInvalidError."""
    parse_checkpoint(parse_note(checkpoint).text)
    note = checkpoint.decode()

    def format_(index: int, hashes: Sequence[bytes]) -> str:
        _check_place(index, hashes)
        return _text([f"index {index}", *map(encode_base64, hashes)], note)

    return format_


def parse_proof(text: str) -> UnverifiedProof:
    """The proof of exactly this text. Raises LedgerInvalidError."""
    if len(text) > PROOF_LIMIT:
        raise LedgerInvalidError(f"a proof is at most {PROOF_LIMIT} characters")
    head, _, checkpoint = text.partition("\n\n")
    header, *lines = head.split("\n")
    if header != HEADER:
        raise LedgerInvalidError("not a proof of this version")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise LedgerInvalidError("a proof without an index")
    index = parse_decimal(lines.pop(0).removeprefix("index "))
    try:
        note = checkpoint.encode()
    except UnicodeEncodeError as error:
        raise LedgerInvalidError("a checkpoint is UTF-8") from error
    if len(lines) > HASHES_LIMIT:
        raise LedgerInvalidError(f"an inclusion proof is at most {HASHES_LIMIT} hashes of 32 bytes")
    return UnverifiedProof(index, tuple(map(decode_base64, lines)), note, extra)


def verify_proof(text: str, leaf_hash: bytes, origin: str, verifiers: Iterable[NoteVerifier]) -> VerifiedProof:
    """Returns the verified proof that `leaf_hash` is in the ledger `origin`, or raises LedgerInvalidError."""
    proof = parse_proof(text)
    checkpoint = open_checkpoint(proof.checkpoint, origin, verifiers)
    verify_inclusion(proof.index, checkpoint.size, leaf_hash, proof.hashes, checkpoint.root)
    return VerifiedProof(proof.index, leaf_hash, checkpoint, proof.extra)
