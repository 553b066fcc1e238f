"""C2SP tlog-witness: the body of `add-checkpoint`, written by a log and read by a witness.

Decides the exact form, both ways. Whether a witness may cosign is `witness/admission.py`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from gateway.errors import LedgerInvalidError
from gateway.ledger.checkpoint import Checkpoint, parse, parse_decimal
from gateway.ledger.merkle import HASH_SIZE
from gateway.ledger.note import decode_base64, encode_base64, parse_note

PATH: Final = "/add-checkpoint"
SIZE_MEDIA_TYPE: Final = "text/x.tlog.size"
PROOF_LIMIT: Final = 63
# 63 hashes, and a checkpoint with a hundred signatures, some of them ML-DSA's.
BODY_LIMIT: Final = 131_072


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A log's wish: `checkpoint`, which is what `note` claims, proved to extend the tree of `old_size`."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes
    checkpoint: Checkpoint

    def to_bytes(self) -> bytes:
        lines = [f"old {self.old_size}", *map(encode_base64, self.proof), "", ""]
        return "\n".join(lines).encode() + self.note


def add_checkpoint(old_size: int, proof: Sequence[bytes], note: bytes) -> AddCheckpoint:
    """Raises LedgerInvalidError for anything that `parse_add_checkpoint` would refuse."""
    if len(proof) > PROOF_LIMIT or any(len(held) != HASH_SIZE for held in proof):
        raise LedgerInvalidError(f"a consistency proof is at most {PROOF_LIMIT} hashes of 32 bytes")
    checkpoint = parse(parse_note(note).text)
    if not 0 <= old_size <= checkpoint.size:
        raise LedgerInvalidError("the old size is larger than the checkpoint")
    return AddCheckpoint(old_size, tuple(proof), note, checkpoint)


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """The request of exactly these bytes. Raises LedgerInvalidError. Nothing in it is verified."""
    if len(body) > BODY_LIMIT:
        raise LedgerInvalidError(f"a request is at most {BODY_LIMIT} bytes")
    head, separator, note = body.partition(b"\n\n")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise LedgerInvalidError("a request begins with an old size and a proof") from error
    if not separator or not first.startswith("old "):
        raise LedgerInvalidError("a request begins with an old size and a proof")
    if len(hashes) > PROOF_LIMIT:
        raise LedgerInvalidError(f"a consistency proof is at most {PROOF_LIMIT} hashes of 32 bytes")
    return add_checkpoint(parse_decimal(first.removeprefix("old ")), [decode_base64(line) for line in hashes], note)


def parse_size(body: bytes) -> int:
    """What a witness answers when it holds another size than the log thought. Raises LedgerInvalidError."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise LedgerInvalidError("not a size") from error
    if not text.endswith("\n"):
        raise LedgerInvalidError("not a size")
    return parse_decimal(text[:-1])


def monitoring_path(origin: str) -> str:
    """Where a witness shows the latest checkpoint that it cosigned for this log (editor's draft of tlog-witness)."""
    return f"/{sha256(origin.encode()).hexdigest()}/checkpoint"
