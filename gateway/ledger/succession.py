"""A checkpoint key's word that another comes after it, and whom it binds: who trusts the first may trust the second.

Decides which keys follow from those that somebody trusts. The statement names two public keys and a moment, both keys sign
it, and it stands in every ledger that they sign (`checkpoint.key`), so it needs no checkpoint to be believed. It is about
keys and not about one ledger: under whatever origin the old key signed, the new one signs from then on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from gateway.errors import LedgerInvalidError
from gateway.ledger import canonical
from gateway.ledger.member import instant, timestamp
from gateway.ledger.note import ED25519, ML_DSA_44, NoteVerifier, decode_base64, encode_base64
from gateway.ledger.timestamped import verify_ml_dsa

KIND: Final = "checkpoint.key"
# No origin, so that no statement is ever the text of a checkpoint.
STATEMENT: Final = "sinergi/checkpoint-key/1"
_MARK: Final = f'"kind":"{KIND}"'.encode()
# The name has no part in an Ed25519 signature of a note, and ML-DSA-44 signs the statement's bytes as they are.
_NAME: Final = "key"
# Each is followed by its own kind alone: who breaks Ed25519 must not be able to say what comes after an ML-DSA key.
_KINDS: Final = frozenset({ED25519, ML_DSA_44})


class NoteKey(Protocol):
    """A key that signs checkpoints, wherever it is kept."""

    @property
    def public_key(self) -> bytes: ...

    @property
    def sign(self) -> Callable[[bytes], bytes]: ...


@dataclass(frozen=True, slots=True)
class Succession:
    """A statement that both keys signed: there is none whose signatures were not verified."""

    old: bytes
    new: bytes
    not_before: datetime
    old_signature: bytes
    new_signature: bytes
    type: int = ED25519

    def __post_init__(self) -> None:
        if self.old == self.new:
            raise LedgerInvalidError("a key does not come after itself")
        text = _text(self.old, self.new, self.not_before, self.type)
        for key, signature in ((self.old, self.old_signature), (self.new, self.new_signature)):
            if self.type == ML_DSA_44:
                verify_ml_dsa(key, text, signature)
            else:
                NoteVerifier(_NAME, key, self.type).verify(text, signature)

    @classmethod
    def sign(cls, old: NoteKey, new: NoteKey, not_before: datetime, kind: int = ED25519) -> "Succession":
        """The new key's signature shows that whoever names it holds it."""
        text = _text(old.public_key, new.public_key, not_before, kind)
        return cls(old.public_key, new.public_key, not_before, old.sign(text), new.sign(text), kind)

    @classmethod
    def read(cls, members: Mapping[str, Any]) -> "Succession":
        """From the members of an entry, or of what a gateway publishes. Raises LedgerInvalidError."""
        try:
            old, new = NoteVerifier.parse(members["old_vkey"]), NoteVerifier.parse(members["vkey"])
            not_before = instant(members["not_before"])
            signatures = (decode_base64(members["old_signature"]), decode_base64(members["new_signature"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise LedgerInvalidError("a statement about a checkpoint key lacks a member") from error
        if old.name != new.name or old.type != new.type or old.type not in _KINDS:
            raise LedgerInvalidError("a statement about a checkpoint key is about two keys of one kind of one ledger")
        return cls(old.public_key, new.public_key, not_before, *signatures, old.type)

    def members(self, origin: str) -> dict[str, str]:
        """As they stand in the entry in the ledger `origin`, without `v`, `kind` and `time`."""
        return {
            "old_vkey": NoteVerifier(origin, self.old, self.type).vkey,
            "vkey": NoteVerifier(origin, self.new, self.type).vkey,
            "not_before": timestamp(self.not_before),
            "old_signature": encode_base64(self.old_signature),
            "new_signature": encode_base64(self.new_signature),
        }


def stated(leaf: bytes) -> Succession | None:
    """What a leaf says about checkpoint keys; None for a leaf about something else, and for a statement that is none."""
    if _MARK not in leaf:
        return None
    try:
        return Succession.read(canonical.loads(leaf))
    except (LedgerInvalidError, TypeError):
        return None


def statements(leaves: Iterable[bytes]) -> list[Succession]:
    """What `stated` reads in any of the leaves, in their order."""
    return [said for leaf in leaves if _MARK in leaf and (said := stated(leaf)) is not None]


def following(
    known: Iterable[NoteVerifier], said: Iterable[Succession], *, and_before: bool = False
) -> tuple[NoteVerifier, ...]:
    """`known`, and every key that follows from one of them by what was said; with `and_before`, their forerunners as well.

    A forerunner follows only for whoever knows that it was one all along: a new key's owner could invent an old key.
    """
    found = list(known)
    pairs = [(one.type, one.old, one.new) for one in said]
    if and_before:
        pairs += [(kind, new, old) for kind, old, new in pairs]
    # What was found is walked as well: a key may be the second after the one that was known.
    for key in found:
        named = (
            NoteVerifier(key.name, other, kind)
            for kind, first, other in pairs
            if (kind, first) == (key.type, key.public_key)
        )
        found += [other for other in named if other not in found]
    return tuple(found)


def _text(old: bytes, new: bytes, not_before: datetime, kind: int) -> bytes:
    """The bytes that both keys sign: four lines, each ended by a newline."""
    keys = (encode_base64(bytes([kind]) + key) for key in (old, new))
    return "".join(f"{line}\n" for line in (STATEMENT, *keys, timestamp(not_before))).encode()
