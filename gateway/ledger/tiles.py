"""C2SP tlog-tiles: the tree as files of 256 hashes, the entries as bundles, and how both grow.

Decides paths, widths and contents. A hash tile at level L holds hashes of tree level 8·L; the rightmost tile of a level
is partial and only ever grows, so a narrower version is a prefix of a wider one, and one stored row a tile is enough to
answer for every earlier size. Storing rows and serving paths is left to others.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Final

from gateway.errors import LedgerInvalidError
from gateway.ledger.entry import LEAF_LIMIT
from gateway.ledger.merkle import HASH_SIZE, SIZE_LIMIT, Frontier, split_hashes

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 256
LEVEL_LIMIT: Final = 63
CHECKPOINT_PATH: Final = "checkpoint"
BUNDLE_LIMIT: Final = TILE_WIDTH * (2 + LEAF_LIMIT)  # bytes of the largest resource there can be

ReadTile = Callable[[int, int, int], bytes]
"""(level, index, width) → at least `width` hashes of that tile; a wider, later version of it will do."""


@dataclass(frozen=True, slots=True)
class TilePath:
    """What a path asks for: a hash tile, or with `level` None an entry bundle. `width` is 256 when full."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if self.level is not None and not 0 <= self.level <= LEVEL_LIMIT:
            raise LedgerInvalidError(f"a tile level is between 0 and {LEVEL_LIMIT}")
        if not 0 <= self.index <= SIZE_LIMIT >> TILE_HEIGHT or not 1 <= self.width <= TILE_WIDTH:
            raise LedgerInvalidError("a tile's index or width is out of range")

    def __str__(self) -> str:
        """`tile/<L>/<N>[.p/<W>]` with N in groups of three digits, all but the last marked with `x`."""
        groups = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"

    @classmethod
    def parse(cls, path: str) -> "TilePath":
        """The inverse of `str`, exactly. Raises LedgerInvalidError for any other spelling."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise LedgerInvalidError("not the path of a tile")
        level, index, width = found.groups()
        parsed = cls(
            None if level == "entries" else int(level),
            int(index.replace("x", "").replace("/", "")),
            TILE_WIDTH if width is None else int(width),
        )
        if str(parsed) != path:
            raise LedgerInvalidError("not the path of a tile")
        return parsed


_PATH: Final = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,7}[0-9]{3})(?:\.p/([0-9]{1,3}))?",
)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a hash tile, relative to the ledger's prefix."""
    return str(TilePath(level, index, width))


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """The path of an entry bundle, relative to the ledger's prefix."""
    return str(TilePath(None, index, width))


def tile_width(size: int, level: int, index: int) -> int:
    """How many hashes tile `index` of `level` has in a tree of `size`: 0 when it is not there, 256 when full.

    Level 0 also says how many entries a bundle has.
    """
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def bundle(leaves: Iterable[bytes]) -> bytes:
    """An entry bundle: each leaf behind its length as a big-endian uint16."""
    parts: list[bytes] = []
    for leaf in leaves:
        if len(leaf) > LEAF_LIMIT:
            raise LedgerInvalidError(f"a leaf of {len(leaf)} bytes; {LEAF_LIMIT} is the limit")
        parts += (len(leaf).to_bytes(2, "big"), leaf)
    if not 1 <= len(parts) // 2 <= TILE_WIDTH:
        raise LedgerInvalidError(f"a bundle has between 1 and {TILE_WIDTH} entries")
    return b"".join(parts)


def split_bundle(data: bytes, count: int) -> list[bytes]:
    """The `count` leaves of a bundle, no byte left over. Raises LedgerInvalidError otherwise."""
    if not 1 <= count <= TILE_WIDTH:
        raise LedgerInvalidError(f"a bundle has between 1 and {TILE_WIDTH} entries")
    leaves: list[bytes] = []
    offset = 0
    for _ in range(count):
        start = offset + 2
        if start > len(data):
            raise LedgerInvalidError("the bundle has too few entries")
        offset = start + int.from_bytes(data[offset:start], "big")
        leaves.append(data[start:offset])
    if offset != len(data):
        raise LedgerInvalidError("the bundle is longer or shorter than its entries")
    return leaves


@dataclass(frozen=True, slots=True)
class Tile:
    """A hash tile as it is stored: its place, and between 1 and 256 concatenated hashes."""

    level: int
    index: int
    data: bytes

    @property
    def width(self) -> int:
        return len(self.data) // HASH_SIZE

    @property
    def path(self) -> str:
        return tile_path(self.level, self.index, self.width)


@dataclass(frozen=True, slots=True)
class TileUpdate:
    """What an append changes: each tile that is new or wider, in its state after it, lower levels first.

    Storing means: for each tile, replace the row (level, index) or insert it. Only the first tile of a level can
    replace one, and its old data is a prefix of the new.
    """

    old_size: int
    new_size: int
    tiles: tuple[Tile, ...]

    @classmethod
    def append(cls, size: int, read: ReadTile, leaf_hashes: Sequence[bytes]) -> "TileUpdate":
        """The update from `size` by `leaf_hashes`. `read` is asked once a level for the partial tile at the edge.

        Raises LedgerInvalidError when that tile is not exactly as wide as `size` says: a wider one means that the
        size is stale, and appending would fork the ledger. (At a multiple of 256 there is no such tile to look at: the
        size must come from a locked head in any case.)
        """
        if not 0 <= size <= SIZE_LIMIT - len(leaf_hashes):
            raise LedgerInvalidError("a tree has between 0 and 2⁶³ − 1 entries")
        if any(len(held) != HASH_SIZE for held in leaf_hashes):
            raise LedgerInvalidError("a hash is 32 bytes")
        tiles: list[Tile] = []
        hashes, count, level = list(leaf_hashes), size, 0
        while hashes:
            index, width = divmod(count, TILE_WIDTH)
            edge = read(level, index, width) if width else b""
            if len(edge) != width * HASH_SIZE:
                raise LedgerInvalidError(f"the edge tile of level {level} is not {width} hashes wide")
            data = edge + b"".join(hashes)
            full: list[bytes] = []
            for start in range(0, len(data), TILE_WIDTH * HASH_SIZE):
                tile = Tile(level, index, data[start : start + TILE_WIDTH * HASH_SIZE])
                tiles.append(tile)
                index += 1
                if tile.width == TILE_WIDTH:
                    full.append(perfect_root(split_hashes(tile.data)))
            hashes, count, level = full, count >> TILE_HEIGHT, level + 1
        return cls(size, size + len(leaf_hashes), tuple(tiles))


class Subtrees:
    """The hashes of one tile, and of the complete subtrees in it: a row a height, made when it is first asked for."""

    __slots__ = ("_rows",)

    def __init__(self, data: bytes) -> None:
        self._rows: list[bytes | None] = [data, *[None] * TILE_HEIGHT]

    @property
    def width(self) -> int:
        return len(self._row(0)) // HASH_SIZE

    def hash(self, height: int, index: int) -> bytes:
        """The root over the tile's hashes `[index·2^height, (index+1)·2^height)`. Raises LedgerInvalidError."""
        held = self._row(height)[index * HASH_SIZE : (index + 1) * HASH_SIZE]
        if len(held) != HASH_SIZE:
            raise LedgerInvalidError("no such complete subtree in the tile")
        return held

    def _row(self, height: int) -> bytes:
        row = self._rows[height]
        if row is None:
            # Two threads may both make it: they make the same.
            below = self._row(height - 1)
            pairs = range(0, len(below) // (2 * HASH_SIZE) * 2 * HASH_SIZE, 2 * HASH_SIZE)
            # node_hash, spelled out: most of a proof's time goes by here.
            row = b"".join([sha256(b"\x01" + below[at : at + 2 * HASH_SIZE]).digest() for at in pairs])
            self._rows[height] = row
        return row


class KeptTiles:
    """Tiles above level 0 of one ledger, for the proofs of a whole process: each stands above 65,536 entries or more.

    A tile only grows, so one that is wide enough answers for every smaller tree; one that is not is read again. Holds at
    most `limit` of them, 16 kB each: enough for 67 million entries, and for more the oldest make room.
    """

    def __init__(self, limit: int = 1024) -> None:
        self._held: dict[tuple[int, int], Subtrees] = {}
        self._limit = limit
        self._lock = Lock()

    def get(self, level: int, index: int, width: int) -> Subtrees | None:
        held = self._held.get((level, index))
        return held if held is not None and held.width >= width else None

    def keep(self, level: int, index: int, tile: Subtrees) -> None:
        if level == 0:
            return
        with self._lock:
            self._held.pop((level, index), None)
            if len(self._held) >= self._limit:
                del self._held[next(iter(self._held))]
            self._held[level, index] = tile


class TileReader:
    """Answers `node(level, index)` for a tree of `size` from its tiles, so that proofs cost O(log n) tiles.

    Also right for every smaller tree: a subtree that is complete there is the same here. Tiles are kept for the life
    of the reader, which is meant to be one request; those above level 0 for that of `kept`, where it is given.
    """

    def __init__(self, size: int, read: ReadTile, kept: KeptTiles | None = None) -> None:
        if not 0 <= size <= SIZE_LIMIT:
            raise LedgerInvalidError("a tree has between 0 and 2⁶³ − 1 entries")
        self.size = size
        self._read = read
        self._kept = kept
        self._tiles: dict[tuple[int, int], Subtrees] = {}

    def node(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree over leaves `[index·2^level, (index+1)·2^level)`.

        Raises LedgerInvalidError when it is not complete in this tree, or when a tile is not what the size says.
        """
        if level < 0 or index < 0 or (index + 1) << level > self.size:
            raise LedgerInvalidError(f"no complete subtree {index} of level {level} in a tree of {self.size}")
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile, start = divmod(index << height, TILE_WIDTH)
        return self._tile(tile_level, tile).hash(height, start >> height)

    def _tile(self, level: int, index: int) -> Subtrees:
        held = self._tiles.get((level, index))
        if held is None:
            width = tile_width(self.size, level, index)
            held = None if self._kept is None else self._kept.get(level, index, width)
            if held is None:
                held = self._fetched(level, index, width)
            self._tiles[level, index] = held
        return held

    def _fetched(self, level: int, index: int, width: int) -> Subtrees:
        data = self._read(level, index, width)
        if not isinstance(data, bytes):  # SQLite keeps whatever type somebody wrote
            raise LedgerInvalidError(f"{tile_path(level, index, width)} is stored as no bytes")
        if len(data) % HASH_SIZE or not width * HASH_SIZE <= len(data) <= TILE_WIDTH * HASH_SIZE:
            raise LedgerInvalidError(f"{tile_path(level, index, width)} has the wrong length")
        tile = Subtrees(data)
        if self._kept is not None:
            self._kept.keep(level, index, tile)
        return tile


def frontier(size: int, read: ReadTile) -> Frontier:
    """The right edge of the tree of `size`, from its tiles: what a stored frontier is held against before signing."""
    reader = TileReader(size, read)
    hashes, low = [], 0
    while low < size:
        level = (size - low).bit_length() - 1
        hashes.append(reader.node(level, low >> level))
        low += 1 << level
    return Frontier(size, hashes)


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^k hashes."""
    row = list(hashes)
    if len(row).bit_count() != 1:
        raise LedgerInvalidError("a complete subtree has a power of two of hashes")
    while len(row) > 1:
        # node_hash, spelled out: most of the time of audits goes by here.
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]
