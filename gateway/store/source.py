"""A ledger in the database, read as if it were published: what the audit of `ledger/verify.py` asks of a Source."""

from collections.abc import Callable, Sequence
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

    def __init__(
        self,
        database: Database,
        ledger: str,
        seen: Callable[[int, Sequence[bytes]], None] = lambda _first, _leaves: None,
    ) -> None:
        """`seen` is told the leaves as they are read, some bundles at once, and the position of the first.

        Raises NotFoundError.
        """
        self._database = database
        self._ledger = ledger
        self._seen = seen
        with database.reading() as session:
            head = queries.ledger_head(session, ledger)
            # SQLite keeps whatever type somebody wrote: then no entry is looked for, and each is missed.
            self._checkpoint, self.size = head.checkpoint, head.size if isinstance(head.size, int) else 0
        self._leaves: list[bytes] = []
        self._first = -_AHEAD  # the bundle that `_leaves` begins with

    def fetch(self, path: str) -> bytes:
        """The bytes at `path`. Raises TileMissingError, and StoreUnavailableError when the database does not answer."""
        if path == tiles.CHECKPOINT_PATH:
            return self._checkpoint
        wanted = tiles.TilePath.parse(path)
        if wanted.level is None:
            return tiles.bundle(self.entries(wanted.index, wanted.width))
        with self._database.reading() as session:
            try:
                stored = queries.tile(session, self._ledger, wanted.level, wanted.index)
            except NotFoundError as error:
                raise TileMissingError(f"{path} is missing") from error
        return stored[: wanted.width * HASH_SIZE]

    def entries(self, index: int, width: int) -> Sequence[bytes]:
        """The leaves of a bundle. An audit goes from one to the next: a few are read at once, unless a row is missing there.

        Raises TileMissingError, and LedgerInvalidError for one that is not stored as bytes.
        """
        if not self._first <= index < self._first + _AHEAD:
            count = min(_AHEAD * tiles.TILE_WIDTH, max(0, self.size - index * tiles.TILE_WIDTH))
            self._leaves, self._first = self._read(index, count), index
            if len(self._leaves) < count:
                self._first = -_AHEAD
            else:
                self._seen(index * tiles.TILE_WIDTH, self._leaves)
        start = (index - self._first) * tiles.TILE_WIDTH
        # A head may say less than its checkpoint: then what is beyond is read by itself.
        if self._first >= 0 and len(ahead := self._leaves[start : start + width]) == width:
            return ahead
        leaves = self._read(index, width)
        if len(leaves) < width:
            raise TileMissingError(f"the database has {len(leaves)} of its {width} entries")
        self._seen(index * tiles.TILE_WIDTH, leaves)
        return leaves

    def _read(self, index: int, count: int) -> list[bytes]:
        with self._database.reading() as session:
            return list(queries.leaves(session, self._ledger, index, count))
