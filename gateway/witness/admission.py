"""Whether a witness may cosign: the checks of C2SP tlog-witness, in its order, on values alone.

    1 known      the checkpoint is of a log that this witness was told of         404
    2 signed     one of the log's keys signed it, and none of them badly          403
    3 forward    the old size is not larger than the checkpoint                   400
    4 held       the old size is that of the checkpoint cosigned last             409, with that size
    5 one root   the same size has the same root: else the log is forked          409
    6 extends    the consistency proof verifies                                   422

Decides with what a witness holds already; keeping that is `memory.py`'s, where 4 to 6 and the new state are one
transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import GatewayError, LedgerInvalidError
from gateway.ledger.add_checkpoint import AddCheckpoint, parse_add_checkpoint
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.merkle import EMPTY_ROOT, verify_consistency
from gateway.ledger.note import NoteVerifier, open_note, parse_note

MALFORMED: Final = "malformed"
UNKNOWN: Final = "unknown-log"
UNSIGNED: Final = "not-signed"
STALE: Final = "stale"
FORKED: Final = "forked"
UNPROVED: Final = "not-proved"
STATUS: Final[Mapping[str, int]] = {
    MALFORMED: 400,
    UNKNOWN: 404,
    UNSIGNED: 403,
    STALE: 409,
    FORKED: 409,
    UNPROVED: 422,
}


class NotCosignedError(GatewayError):
    """Why there is no cosignature: a kind of `STATUS`. `held` is the size held, for `stale`."""

    default_code = "ledger.invalid"

    def __init__(self, kind: str, detail: str, *, held: int | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.held = held


@dataclass(frozen=True, slots=True)
class Held:
    """What a witness cosigned last for one log: the tree, the note as the log signed it, and when (seconds)."""

    size: int
    root: bytes
    note: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint whose log signed it (checks 1 and 2)."""

    request: AddCheckpoint
    note: bytes

    @property
    def checkpoint(self) -> Checkpoint:
        return self.request.checkpoint


def read_submission(body: bytes, logs: Mapping[str, Sequence[NoteVerifier]]) -> Submission:
    """Checks 1 to 3. Signatures that are not the log's are dropped. Raises NotCosignedError."""
    try:
        request = parse_add_checkpoint(body)
    except LedgerInvalidError as error:
        raise NotCosignedError(MALFORMED, error.detail) from error
    origin = request.checkpoint.origin
    keys = logs.get(origin)
    if keys is None:  # 1 known
        raise NotCosignedError(UNKNOWN, "no such log here")
    try:
        verified = open_note(request.note, keys)  # 2 signed
    except LedgerInvalidError as error:
        raise NotCosignedError(UNSIGNED, error.detail) from error
    # 3 forward: `parse_add_checkpoint` refused it already.
    own = {(one.name, one.key_id) for one in verified.signatures}
    held = parse_note(request.note)
    kept = tuple(one for one in held.signatures if (one.name, one.key_id) in own)
    return Submission(request, type(held)(held.text, kept).to_bytes())


def admit(submission: Submission, held: Held | None, time: int) -> Held:
    """Checks 4 to 6: what the witness holds from now on. Raises NotCosignedError.

    `time` is the clock's; a clock that was set back does not make a later cosignature look older than an earlier one.
    """
    request, checkpoint = submission.request, submission.checkpoint
    size, root = (0, EMPTY_ROOT) if held is None else (held.size, held.root)
    if request.old_size != size:  # 4 held
        raise NotCosignedError(STALE, f"the latest checkpoint cosigned here has {size} entries", held=size)
    if checkpoint.size == size and checkpoint.root != root:  # 5 one root
        raise NotCosignedError(FORKED, f"another root was cosigned for {size} entries")
    try:
        verify_consistency(size, root, checkpoint.size, checkpoint.root, request.proof)  # 6 extends
    except LedgerInvalidError as error:
        raise NotCosignedError(UNPROVED, error.detail) from error
    return Held(checkpoint.size, checkpoint.root, submission.note, max(time, 0 if held is None else held.time))


def contradicts(submission: Submission, held: Held | None) -> bool:
    """Whether the log signed two roots for one size: a proof against it that needs nobody's word."""
    checkpoint = submission.checkpoint
    return held is not None and checkpoint.size == held.size and checkpoint.root != held.root
