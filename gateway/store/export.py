"""A ledger as the files that any web server can serve: C2SP tlog-tiles in a directory, extended in place.

Decides what is written and in which order, so that whoever reads, at any moment, finds everything that the checkpoint
counts:

    lock the directory
    its checkpoint is ours, and the ledger in the database begins with that tree
    write entry bundles and full tiles, as the entries fill them
    the entries lead to the signed root, else nothing more is written
    write the partial bundle and tiles of the right edge; sync the directories
    put the new checkpoint in the place of the old one              <- what readers go by
    remove partial resources whose full one is there now

Every file is written aside, synced and renamed. Killed anywhere, an export is the older one, and the next one goes on
from there. What a checkpoint in the directory counts is never written again. The entries are hashed on the way, so that
a changed row ends the export and is not published.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.errors import LedgerForkedError, LedgerInvalidError, NotFoundError, OperatorError
from gateway.ledger import tiles
from gateway.ledger.checkpoint import Checkpoint, open_checkpoint
from gateway.ledger.merkle import EMPTY_ROOT, HASH_SIZE, leaf_hashes
from gateway.ledger.verify import Progress
from gateway.store import queries
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.session import Database

_ASIDE: Final = ".export"
_BUNDLES: Final = 16  # a read: a copy of a large ledger must not hold one snapshot open for an hour


@dataclass(frozen=True, slots=True)
class Exported:
    """What is in the directory now: `size` entries where `old_size` were, `files` of them written by this export."""

    ledger: str
    origin: str
    old_size: int
    size: int
    files: int


def export_ledger(
    database: Database,
    keys: CheckpointKeys,
    ledger: str,
    directory: Path,
    progress: Progress | None = None,
    *,
    note: bytes | None = None,
) -> Exported:
    """Brings the export of `ledger` in `directory` to `note`, or to the newest checkpoint. `progress` is of new entries.

    `note` is the checkpoint that readers are given, with cosignatures; it may be behind the newest one.

    Raises NotFoundError for an unknown ledger before anything is made, OperatorError when the directory cannot be used,
    and LedgerForkedError when the database is not an extension of what was exported: the older export stands.
    """
    with database.reading() as session:
        head = queries.ledger_head(session, ledger)
        origin, held, note = head.origin, head.size, note or head.checkpoint
    verifiers = keys.verifiers(origin, lost=True)
    try:
        published = open_checkpoint(note, origin, verifiers).checkpoint
    except LedgerInvalidError as error:
        raise LedgerForkedError(f"the checkpoint of {ledger} was altered: {error.detail}") from error
    with _locked(directory) as folder:
        standing = folder.read(tiles.CHECKPOINT_PATH)
        old = Checkpoint(origin, 0, EMPTY_ROOT)
        if standing is not None:
            try:
                old = open_checkpoint(standing, origin, verifiers).checkpoint
            except LedgerInvalidError as error:
                raise OperatorError(f"{directory} has no export of {origin}: {error.detail}") from error
        if held < old.size:
            raise LedgerForkedError(
                f"{ledger} has {held} entries, but {old.size} were exported: the database was rolled back or exchanged"
            )
        if published.size < old.size:  # an export may be ahead of what witnesses have cosigned so far
            return Exported(ledger, origin, old.size, old.size, 0)
        _Extension(database, ledger, folder, old, published).write(progress)
        folder.settle()
        if standing != note:
            folder.place(tiles.CHECKPOINT_PATH, note)
            folder.settle()
        _prune(folder, old.size, published.size)
        return Exported(ledger, origin, old.size, published.size, folder.placed)


class _Extension:
    """From the tree of the old checkpoint, entry by entry, to that of the new one."""

    def __init__(self, database: Database, ledger: str, folder: "_Folder", old: Checkpoint, new: Checkpoint) -> None:
        self._database = database
        self._ledger = ledger
        self._folder = folder
        self._first = old.size
        self._new = new
        self._edges: dict[int, bytes] = {}
        with database.reading() as session:

            def read(level: int, index: int, width: int) -> bytes:
                return queries.tile(session, ledger, level, index)[: width * HASH_SIZE]

            try:
                self._tree = tiles.frontier(old.size, read)
                for level, index, width in _right_edge(old.size):
                    self._edges[level] = read(level, index, width)
            except (NotFoundError, LedgerInvalidError) as error:
                raise LedgerForkedError(f"the tiles of {ledger} are not those of its tree: {error.detail}") from error
        if self._tree.root() != old.root:
            raise LedgerForkedError(f"the first {old.size} entries of {ledger} are not those that were exported")

    def write(self, progress: Progress | None) -> None:
        size, first = self._new.size, self._first
        partial: tuple[str, bytes] | None = None
        for index, leaves in self._bundles():
            start = index * tiles.TILE_WIDTH
            self._grow(leaf_hashes(leaves[self._tree.size - start :]))
            place = (tiles.entries_path(index, len(leaves)), tiles.bundle(leaves))
            if len(leaves) == tiles.TILE_WIDTH:
                self._folder.place(*place)
            else:
                partial = place
            if progress is not None:
                progress(self._tree.size - first, size - first)
        if self._tree.root() != self._new.root:
            raise LedgerForkedError(
                f"the entries of {self._ledger} do not lead to its signed root: nothing was published"
            )
        if partial is not None:
            self._folder.place(*partial)
        for level, index, width in _right_edge(size):
            self._folder.place(tiles.tile_path(level, index, width), self._edges[level])

    def _bundles(self) -> Iterator[tuple[int, list[bytes]]]:
        """(index, leaves) of each bundle that is new or longer."""
        size, position = self._new.size, self._first // tiles.TILE_WIDTH * tiles.TILE_WIDTH
        if self._first == size:
            return
        while position < size:
            count = min(_BUNDLES * tiles.TILE_WIDTH, size - position)
            index = position // tiles.TILE_WIDTH
            with self._database.reading() as session:
                try:
                    leaves = list(queries.leaves(session, self._ledger, index, count))
                except LedgerInvalidError as error:
                    raise LedgerForkedError(f"{self._ledger}: {error.detail}") from error
            if len(leaves) != count:
                raise LedgerForkedError(f"{self._ledger} lacks entries between {position} and {position + count}")
            for start in range(0, count, tiles.TILE_WIDTH):
                yield index, leaves[start : start + tiles.TILE_WIDTH]
                index += 1
            position += count

    def _grow(self, hashes: list[bytes]) -> None:
        update = tiles.TileUpdate.append(self._tree.size, lambda level, _index, _width: self._edges[level], hashes)
        for tile in update.tiles:
            if tile.width == tiles.TILE_WIDTH:
                self._folder.place(tile.path, tile.data)
                self._edges[tile.level] = b""
            else:
                self._edges[tile.level] = tile.data
        self._tree.extend(hashes)


def _right_edge(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, index, width) of each partial tile of the tree of `size`."""
    level = 0
    while size >> tiles.TILE_HEIGHT * level:
        index, width = divmod(size >> tiles.TILE_HEIGHT * level, tiles.TILE_WIDTH)
        if width:
            yield level, index, width
        level += 1


def _prune(folder: "_Folder", old_size: int, size: int) -> None:
    """What the old checkpoint called for at its right edge, where the full resource now stands in for it."""
    for level, index, _ in _right_edge(old_size):
        if tiles.tile_width(size, level, index) == tiles.TILE_WIDTH:
            folder.remove(f"{tiles.tile_path(level, index)}.p")
            if level == 0:
                folder.remove(f"{tiles.entries_path(index)}.p")


@dataclass(slots=True)
class _Folder:
    """The directory of one ledger, while this process alone writes to it."""

    path: Path
    placed: int = 0
    _changed: set[Path] = field(default_factory=set)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def place(self, name: str, content: bytes) -> None:
        """The file is there whole, or as it was. What is there already, from an export that was killed, stays."""
        if self.read(name) == content:
            return
        path, aside = self.path / name, self.path / _ASIDE / "new"
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(0o644)
        aside.replace(path)
        self._changed.add(path.parent)
        self.placed += 1

    def settle(self) -> None:
        """A name in a directory outlives a power cut only when the directory was synced, and it in its own parent."""
        changed = {above for directory in self._changed for above in (directory, *directory.parents)}
        for directory in sorted(changed, reverse=True):
            if directory == self.path or self.path in directory.parents:
                descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        self._changed.clear()

    def remove(self, name: str) -> None:
        shutil.rmtree(self.path / name, ignore_errors=True)


@contextmanager
def _locked(directory: Path) -> Iterator[_Folder]:
    """The lock ends with the process, however that ends."""
    try:
        (directory / _ASIDE).mkdir(parents=True, exist_ok=True)
        with (directory / _ASIDE / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OperatorError(f"another export is writing to {directory}") from error
            yield _Folder(directory)
    except OSError as error:
        raise OperatorError(f"{error.filename or directory} cannot be written: {error.strerror}") from error
