"""A log that a test drives by hand: it grows, it forks, it submits; and witnesses with keys of their own."""

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger.add_checkpoint import add_checkpoint
from gateway.ledger.checkpoint import Checkpoint, sign_checkpoint
from gateway.ledger.cosignature import Cosigner
from gateway.ledger.merkle import Frontier, consistency_proof, leaf_hash
from gateway.ledger.note import COSIGNATURE_V1, Ed25519NoteSigner, NoteVerifier
from gateway.ledger.tiles import TileReader, TileUpdate

ORIGIN = "log.example/ledger/pks"


def cosigner(name: str = "witness.example/w1") -> Cosigner:
    key = Ed25519PrivateKey.generate()
    return Cosigner(NoteVerifier(name, key.public_key().public_bytes_raw(), COSIGNATURE_V1), key.sign)


@dataclass
class Log:
    """Its leaves are numbers under a prefix: two prefixes are two stories."""

    origin: str = ORIGIN
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    story: str = "a"

    @property
    def signer(self) -> Ed25519NoteSigner:
        return Ed25519NoteSigner(self.origin, self.key.sign, self.key.public_key().public_bytes_raw())

    def other(self, story: str) -> "Log":
        return Log(self.origin, self.key, story)

    def hashes(self, size: int) -> list[bytes]:
        return [leaf_hash(f"{self.story}{number}".encode()) for number in range(size)]

    def note(self, size: int, signer: Any = None) -> bytes:
        tree = Frontier()
        tree.extend(self.hashes(size))
        checkpoint = Checkpoint(self.origin, size, tree.root())
        return sign_checkpoint(checkpoint, [signer or self.signer])

    def proof(self, old: int, new: int) -> list[bytes]:
        update = TileUpdate.append(0, lambda *_: b"", self.hashes(new))
        tiles = {(tile.level, tile.index): tile.data for tile in update.tiles}
        return consistency_proof(old, new, TileReader(new, lambda level, index, _: tiles[level, index]).node)

    def body(self, old: int, new: int, *, proof: list[bytes] | None = None) -> bytes:
        hashes = self.proof(old, new) if proof is None else proof
        return add_checkpoint(old, hashes, self.note(new)).to_bytes()
