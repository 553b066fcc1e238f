"""Cosignatures: making one, reading when it was made, and whether enough witnesses made one.

Decides when a checkpoint counts as witnessed. The bytes are `timestamped.py`'s; which witnesses there are, and how many
must have seen a checkpoint, is configured by whoever relies on it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from gateway.errors import LedgerInvalidError
from gateway.ledger.checkpoint import VerifiedCheckpoint, open_checkpoint
from gateway.ledger.note import (
    COSIGNATURE_V1,
    ML_DSA_44,
    SIGNATURE_TYPES,
    NoteSignature,
    NoteVerifier,
    UnverifiedNote,
    parse_note,
)
from gateway.ledger.succession import Succession, following
from gateway.ledger.timestamped import (
    TIME_SIZE,
    cosignature_v1_message,
    require_time,
    signed_at,
    subtree_v1_message,
    timestamped,
)

COSIGNERS = frozenset({COSIGNATURE_V1, ML_DSA_44})


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A key that signs checkpoints with the time, wherever it is kept; `sign` returns the bare signature."""

    verifier: NoteVerifier
    sign: Callable[[bytes], bytes]

    def __post_init__(self) -> None:
        if self.verifier.type not in COSIGNERS:
            raise LedgerInvalidError("a cosigner's key is for cosignatures alone")

    def cosign(self, text: str, time: int) -> NoteSignature:
        """The signature line over a checkpoint's note text; `time` in seconds since 1970."""
        verifier = self.verifier
        require_time(time)
        if verifier.type == COSIGNATURE_V1:
            message = cosignature_v1_message(text, time)
        else:
            message = subtree_v1_message(verifier.name, text, time)
        signature = self.sign(message)
        if len(signature) != SIGNATURE_TYPES[verifier.type].signature_size - TIME_SIZE:
            raise LedgerInvalidError("the signer returned something that is no signature of its kind")
        return NoteSignature(verifier.name, verifier.key_id, timestamped(time, signature))


@dataclass(frozen=True, slots=True)
class Quorum:
    """At least `count` of `witnesses`, told apart by name. `count` 0 asks for none."""

    witnesses: tuple[NoteVerifier, ...] = ()
    count: int = 0

    def __post_init__(self) -> None:
        names = {witness.name for witness in self.witnesses}
        # One key under two names would be one witness that counts twice.
        if len({witness.public_key for witness in self.witnesses}) != len(self.witnesses):
            raise LedgerInvalidError("two witnesses have the same key")
        if any(witness.type not in COSIGNERS for witness in self.witnesses):
            raise LedgerInvalidError("a witness's key has type 0x04 or 0x06: it cosigns")
        if not 0 <= self.count <= len(names):
            raise LedgerInvalidError(f"{self.count} witnesses are wanted, and there are {len(names)}")

    def among(self, signatures: Iterable[NoteSignature]) -> frozenset[str]:
        """The names of our witnesses among the signers of these lines. A line without a time is no witness's word."""
        known = {(witness.name, witness.key_id) for witness in self.witnesses}
        return frozenset(one.name for one in signatures if (one.name, one.key_id) in known and signed_at(one.signature))

    def met_by(self, signatures: Iterable[NoteSignature]) -> bool:
        """Whether these lines, verified ones, are of enough witnesses."""
        return len(self.among(signatures)) >= self.count

    def require(self, checkpoint: VerifiedCheckpoint) -> frozenset[str]:
        """The names of the witnesses that cosigned. Raises LedgerInvalidError when they are too few."""
        names = self.among(checkpoint.note.signatures)
        if len(names) < self.count:
            raise LedgerInvalidError(f"{len(names)} of the {self.count} witnesses needed cosigned the checkpoint")
        return names


@dataclass(frozen=True, slots=True)
class Trust:
    """What somebody believes of one ledger: its own keys, and its witnesses.

    Of each kind of key one must have signed: a ledger's Ed25519 keys come one after the other, its ML-DSA key stands beside.
    """

    origin: str
    keys: tuple[NoteVerifier, ...]
    quorum: Quorum = Quorum()

    def __post_init__(self) -> None:
        if not self.keys or any(key.name != self.origin for key in self.keys):
            raise LedgerInvalidError("the keys of a ledger have its origin as their name")
        if any(witness.name == self.origin for witness in self.quorum.witnesses):
            raise LedgerInvalidError("a ledger is not its own witness")

    def learn(self, said: Iterable[Succession]) -> "Trust":
        """With the keys that follow from these."""
        return replace(self, keys=following(self.keys, said))

    def open(self, note: bytes) -> VerifiedCheckpoint:
        """The checkpoint, with a signature of every kind of key and enough cosignatures. Raises LedgerInvalidError."""
        checkpoint = open_checkpoint(note, self.origin, (*self.keys, *self.quorum.witnesses))
        signed = {(one.name, one.key_id) for one in checkpoint.note.signatures}
        kinds = {key.type for key in self.keys if (key.name, key.key_id) in signed}
        if kinds != {key.type for key in self.keys}:
            raise LedgerInvalidError("not every kind of key that was asked for signed the checkpoint")
        self.quorum.require(checkpoint)
        return checkpoint


def witnessed_at(checkpoint: VerifiedCheckpoint, witnesses: Iterable[NoteVerifier]) -> int | None:
    """The latest time that one of these witnesses puts to the checkpoint, in seconds since 1970."""
    known = {(witness.name, witness.key_id) for witness in witnesses}
    times = [signed_at(one.signature) for one in checkpoint.note.signatures if (one.name, one.key_id) in known]
    return max(times, default=None) or None


def read_cosignatures(
    lines: bytes, text: str, witness: NoteVerifier, *, latest: int | None = None
) -> tuple[NoteSignature, ...]:
    """The witness's own lines in what it answered to the checkpoint `text`, each verified. Lines of others are dropped.

    `latest` is the last second that is not in the future. Raises LedgerInvalidError when there is none, when one of
    the witness's does not verify, or for anything that is no list of signature lines.
    """
    try:
        note = parse_note(text.encode() + b"\n" + lines)
    except LedgerInvalidError as error:
        raise LedgerInvalidError("the answer is not a list of cosignatures") from error
    if note.text != text:
        raise LedgerInvalidError("the answer is not a list of cosignatures")
    own = [one for one in note.signatures if (one.name, one.key_id) == (witness.name, witness.key_id)]
    if len(own) != 1:
        raise LedgerInvalidError("the answer does not hold exactly one cosignature of the witness")
    witness.verify(text.encode(), own[0].signature)
    time = require_time(signed_at(own[0].signature))
    if latest is not None and time > latest:
        raise LedgerInvalidError("the cosignature is dated in the future")
    return tuple(own)


def with_signatures(note: bytes, more: Iterable[NoteSignature]) -> bytes:
    """The note with these lines added, one a key: what it has already stays as it is."""
    held = parse_note(note)
    lines = {(one.name, one.key_id): one for one in more}
    for one in held.signatures:
        lines.pop((one.name, one.key_id), None)
    return UnverifiedNote(held.text, (*held.signatures, *lines.values())).to_bytes()
