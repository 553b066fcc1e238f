"""A small ledger as it would be published: entries, keys, and every resource by its path."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger import tiles
from gateway.ledger.checkpoint import Checkpoint, sign_checkpoint
from gateway.ledger.entry import TransferExpired
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.note import Ed25519NoteSigner
from gateway.ledger.verify import TileMissingError

ORIGIN = "gateway.banten.example/ledger/pks-banten-2025"
START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def signer(name: str = ORIGIN, seed: int = 1) -> Ed25519NoteSigner:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return Ed25519NoteSigner(name, key.sign, key.public_key().public_bytes_raw())


def leaves(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield TransferExpired(time=START + timedelta(milliseconds=number), transfer=f"transfer-{number:08d}").leaf()


class MemorySource(dict[str, bytes]):
    """Published resources by path; what is not there is missing."""

    def fetch(self, path: str) -> bytes:
        if path not in self:
            raise TileMissingError(f"{path} is missing")
        return self[path]


def publish(entries: Sequence[bytes], key: Ed25519NoteSigner | None = None) -> MemorySource:
    """The resources of the ledger of these leaves, with its checkpoint."""
    key = key or signer()
    hashes = [leaf_hash(leaf) for leaf in entries]
    tree = Frontier()
    tree.extend(hashes)
    source = MemorySource()
    update = tiles.TileUpdate.append(0, lambda _level, _index, _width: b"", hashes)
    source.update({tile.path: tile.data for tile in update.tiles})
    for start in range(0, len(entries), 256):
        part = entries[start : start + 256]
        source[tiles.entries_path(start // 256, len(part))] = tiles.bundle(part)
    source["checkpoint"] = sign_checkpoint(Checkpoint(key.name, tree.size, tree.root()), [key])
    return source
