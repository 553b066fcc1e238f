"""C2SP tlog-checkpoint: a tree's size and root, signed by the ledger whose origin stands in its first line.

Decides whether bytes are a checkpoint of *this* ledger. Whether it extends an earlier one is for consistency proofs;
whether enough witnesses saw it is for a witness policy over `VerifiedCheckpoint.note`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import LedgerForkedError, LedgerInvalidError
from gateway.ledger.merkle import EMPTY_ROOT, HASH_SIZE, SIZE_LIMIT
from gateway.ledger.note import (
    COSIGNATURE_V1,
    ML_DSA_44,
    NoteVerifier,
    Signer,
    VerifiedNote,
    check_text,
    decode_base64,
    encode_base64,
    open_note,
    sign_note,
)

ORIGIN_LIMIT: Final = 255  # bytes, as in a cosigned message of tlog-cosignature
_SIZE_DIGITS: Final = 19
_BODY_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree, claimed. Says nothing until it is signed (`sign_checkpoint`) or opened."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= SIZE_LIMIT:
            raise LedgerInvalidError("a tree has between 0 and 2⁶³ − 1 entries")
        if len(self.root) != HASH_SIZE:
            raise LedgerInvalidError("a root is 32 bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise LedgerInvalidError("an empty tree has another root")
        for line in (self.origin, *self.extensions):
            if not line or "\n" in line:
                raise LedgerInvalidError("a line of a checkpoint is empty")
            check_text(line + "\n")
        if len(self.origin.encode()) > ORIGIN_LIMIT:
            raise LedgerInvalidError(f"an origin is at most {ORIGIN_LIMIT} bytes")

    def format(self) -> str:
        """The note text."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint signed by its ledger's own key; `note` holds every verified signature, witnesses' too."""

    checkpoint: Checkpoint
    note: VerifiedNote

    @property
    def origin(self) -> str:
        return self.checkpoint.origin

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.checkpoint.root


def parse(text: str) -> Checkpoint:
    """The checkpoint of a note text, exactly. Raises LedgerInvalidError."""
    lines = text.split("\n")
    if len(lines) <= _BODY_LINES or lines.pop():
        raise LedgerInvalidError("a checkpoint is three lines or more, each ended by a newline")
    origin, size, root, *extensions = lines
    return Checkpoint(origin, parse_decimal(size), decode_base64(root), tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[Signer], *, after: Checkpoint | None = None) -> bytes:
    """The signed note of `checkpoint`. One of the signers has the origin as its name: the ledger's own key.

    `after` is the newest checkpoint known to have been signed: with a smaller tree, or another root for the same size,
    nothing is signed and LedgerForkedError is raised. A fork cannot be taken back once a reader has seen it.
    """
    if all(signer.name != checkpoint.origin for signer in signers):
        raise LedgerInvalidError("a checkpoint is signed under the name of its origin")
    if after is not None:
        if after.origin != checkpoint.origin:
            raise LedgerInvalidError("the earlier checkpoint is of another ledger")
        if checkpoint.size < after.size:
            raise LedgerForkedError(f"a tree of {after.size} entries was signed before one of {checkpoint.size}")
        if checkpoint.size == after.size and checkpoint.root != after.root:
            raise LedgerForkedError(f"another root was signed for {checkpoint.size} entries")
    return sign_note(checkpoint.format(), signers)


def open_checkpoint(data: bytes, origin: str, verifiers: Iterable[NoteVerifier]) -> VerifiedCheckpoint:
    """The checkpoint of the ledger `origin`, signed by a key of `verifiers` that has the origin as its name.

    Witnesses' keys among `verifiers` must verify where they appear, but never stand in for the ledger's own: a key
    that can only cosign is nobody's own, whatever its name. Raises LedgerInvalidError.
    """
    known = tuple(verifiers)
    note = open_note(data, known)
    checkpoint = parse(note.text)
    if checkpoint.origin != origin:
        raise LedgerInvalidError("the checkpoint is of another ledger")
    own = {one.key_id: one.type for one in known if one.name == origin and one.type != COSIGNATURE_V1}
    signed = {own[one.key_id] for one in note.signatures if one.name == origin and one.key_id in own}
    if not signed:
        raise LedgerInvalidError("the ledger's own key did not sign the checkpoint")
    if checkpoint.extensions and signed == {ML_DSA_44}:
        raise LedgerInvalidError("an ML-DSA-44 signature is over no extension line, and nothing else signed them")
    return VerifiedCheckpoint(checkpoint, note)


def parse_decimal(text: str) -> int:
    """A size or an index: ASCII digits without leading zeroes. Raises LedgerInvalidError."""
    if not (text.isascii() and text.isdigit()) or len(text) > _SIZE_DIGITS or (text[0] == "0" and text != "0"):
        raise LedgerInvalidError("not a decimal number in its one spelling")
    return int(text)
