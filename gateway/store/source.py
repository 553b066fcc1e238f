"""A ledger in the database, read as if it were published: what the audit of `ledger/verify.py` asks of a Source."""

from typing import Final

from gateway.errors import NotFoundError
from gateway.ledger import tiles
from gateway.ledger.merkle import HASH_SIZE
from gateway.ledger.verify import TileMissingError
from gateway.store import queries
from gateway.store.session import Database

_AHEAD: Final = 16


class DatabaseSource:
    """Rows as they are, altered ones too: nothing is checked here. Entries that come later are not looked at."""

    def __init__(self, database: Database, ledger: str) -> None:
        """Raises NotFoundError when there is no such ledger."""
        self._database = database
        self._ledger = ledger
        with database.reading() as session:
            head = queries.ledger_head(session, ledger)
            self._checkpoint, self._size = head.checkpoint, head.size
        self._leaves: list[bytes] = []
        self._first = -_AHEAD  # the bundle that `_leaves` begins with

    def fetch(self, path: str) -> bytes:
        """The bytes at `path`. Raises TileMissingError, and StoreUnavailableError when the database does not answer."""
        if path == tiles.CHECKPOINT_PATH:
            return self._checkpoint
        wanted = tiles.TilePath.parse(path)
        if wanted.level is None:
            return self._bundle(wanted)
        with self._database.reading() as session:
            try:
                stored = queries.tile(session, self._ledger, wanted.level, wanted.index)
            except NotFoundError as error:
                raise TileMissingError(f"{path} is missing") from error
        return stored[: wanted.width * HASH_SIZE]

    def _bundle(self, wanted: tiles.TilePath) -> bytes:
        """An audit goes from bundle to bundle: a few are read at once, unless a row is missing among them."""
        if not self._first <= wanted.index < self._first + _AHEAD:
            count = min(_AHEAD * tiles.TILE_WIDTH, max(0, self._size - wanted.index * tiles.TILE_WIDTH))
            self._leaves, self._first = self._read(wanted.index, count), wanted.index
            if len(self._leaves) < count:
                self._first = -_AHEAD
        start = (wanted.index - self._first) * tiles.TILE_WIDTH
        held = self._leaves[start : start + wanted.width]
        leaves = held if self._first >= 0 else self._read(wanted.index, wanted.width)
        if len(leaves) < wanted.width:
            raise TileMissingError(f"the database has {len(leaves)} of its {wanted.width} entries")
        return tiles.bundle(leaves)

    def _read(self, index: int, count: int) -> list[bytes]:
        with self._database.reading() as session:
            return list(queries.leaves(session, self._ledger, index, count))
