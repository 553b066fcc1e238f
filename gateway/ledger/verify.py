"""The audit of a whole ledger: read everything that is published, recompute everything, believe nothing.

Numbered checks, each reported whether it passed or not:

1. the checkpoint is of this ledger and its key signed it
2. every entry that the checkpoint counts is there, and no byte more
3. every entry is exactly one that a gateway would write
4. every stored hash tile is the one that follows from the entries
5. the entries lead to the root in the checkpoint
6. the entries' times do not run backwards (a warning: clocks do)
7. the ledger begins with the one of an earlier, trusted checkpoint (only when one is given)
8. every kind of key that was given signed the checkpoint, and enough witnesses did (only when that is asked for)

A checkpoint that only a later key signed is the ledger's when its entries say that this key came after one that was given
(`succession.py`). Memory is flat: one bundle and one tile a level. Where the bytes come from is the `Source`'s business.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol, runtime_checkable

from gateway.errors import LedgerInvalidError
from gateway.ledger import tiles
from gateway.ledger.checkpoint import Checkpoint, VerifiedCheckpoint, open_checkpoint, parse
from gateway.ledger.cosignature import Trust
from gateway.ledger.entry import instant
from gateway.ledger.leaf import recognised, recorded_at
from gateway.ledger.merkle import HASH_SIZE, Frontier, leaf_hashes
from gateway.ledger.note import NoteVerifier, parse_note
from gateway.ledger.succession import Succession, following, statements

CLOCK_TOLERANCE: Final = timedelta(seconds=5)
FINDINGS_SHOWN: Final = 10
_FULL: Final = tiles.TILE_WIDTH * HASH_SIZE

Progress = Callable[[int, int], None]
"""(entries done, entries in all), called after each bundle."""
Reader = Callable[[Sequence[bytes]], None]
"""The leaves of a bundle. What it was given is the ledger's only if the report says so in the end."""


class TileMissingError(LedgerInvalidError):
    """The source does not have this path."""


class SourceUnavailableError(LedgerInvalidError):
    """The source could not be asked: nothing is known about the ledger, for good or ill."""


class Source(Protocol):
    """Where a published ledger lies: `checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`."""

    def fetch(self, path: str) -> bytes:
        """The bytes at `path`. Raises TileMissingError, or SourceUnavailableError."""
        ...


@runtime_checkable
class EntrySource(Source, Protocol):
    """One that has the entries apart, and need not put them together only for an audit to part them again."""

    def entries(self, index: int, width: int) -> Sequence[bytes]:
        """The leaves of an entry bundle. Raises what `fetch` raises."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one numbered check. A warning does not make the ledger invalid."""

    number: int
    title: str
    ok: bool
    detail: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found. `checkpoint` is None when there was none to believe; nothing else is checked then.

    `later` are the keys that come after those that were given, as the ledger itself says.
    """

    origin: str
    checkpoint: VerifiedCheckpoint | None
    checks: tuple[Check, ...]
    later: tuple[NoteVerifier, ...] = ()

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


TITLES: Final = {
    1: "checkpoint signed by the ledger's key",
    2: "every entry present",
    3: "every entry well-formed",
    4: "stored tiles follow from the entries",
    5: "root follows from the entries",
    6: "times in order",
    7: "extends the earlier checkpoint",
    8: "signed by every key, and by enough witnesses",
}


def audit(
    source: Source,
    origin: str,
    verifiers: Iterable[NoteVerifier],
    *,
    trusted: Checkpoint | None = None,
    begin: Checkpoint | None = None,
    asked: Trust | None = None,
    tolerance: timedelta = CLOCK_TOLERANCE,
    progress: Progress | None = None,
    reader: Reader | None = None,
) -> AuditReport:
    """Check the whole ledger `origin` at `source`. `trusted` is an earlier checkpoint the caller verified and kept.

    `begin` is another one, of which the caller knows that what comes before it is true: those entries are not read, and the
    walk begins at its last full bundle, on tiles that give its root. `trusted` must then be no smaller.
    `asked` are the keys that all must have signed and the witnesses of whom enough must have; `verifiers` holds them.
    `reader` is given every leaf that is read, once and in order.
    Returns a report in every case but one: SourceUnavailableError passes through, for it answers nothing.
    """
    known = tuple(verifiers)
    try:
        note = source.fetch(tiles.CHECKPOINT_PATH)
        checkpoint = _opened(source, note, origin, known)
    except SourceUnavailableError:
        raise
    except LedgerInvalidError as error:
        return AuditReport(origin, None, (Check(1, TITLES[1], ok=False, detail=error.detail),))
    signed = Check(1, TITLES[1], ok=True, detail=f"{checkpoint.size} entries, root {checkpoint.root.hex()}")
    walk = _Walk(source, checkpoint, trusted, tolerance, reader)
    if begin is not None:
        walk.skip_to(begin)
    checks = (signed, *walk.run(progress))
    later = following(known, walk.said)[len(known) :]
    if asked is not None:
        checks = (*checks, _attested(asked.learn(walk.said), note))
    return AuditReport(origin, checkpoint, checks, later)


def _opened(source: Source, note: bytes, origin: str, known: tuple[NoteVerifier, ...]) -> VerifiedCheckpoint:
    try:
        return open_checkpoint(note, origin, known)
    except LedgerInvalidError as error:
        try:
            later = following(known, _said(source, parse(parse_note(note).text).size))
        except SourceUnavailableError:
            raise
        except LedgerInvalidError:
            later = known
        if len(later) == len(known):
            raise error from None
        return open_checkpoint(note, origin, later)


def _said(source: Source, size: int) -> Iterable[Succession]:
    """The statements about keys among the entries. They are believed for their own signatures, so no tree is needed yet."""
    for index in range(-(-size // tiles.TILE_WIDTH)):
        yield from statements(_leaves(source, index, tiles.tile_width(size, 0, index)))


def _attested(asked: Trust, note: bytes) -> Check:
    try:
        names = sorted(asked.quorum.among(asked.open(note).note.signatures))
    except LedgerInvalidError as error:
        return Check(8, TITLES[8], ok=False, detail=error.detail)
    return Check(
        8, TITLES[8], ok=True, detail=f"{len(asked.keys)} keys; witnesses: {', '.join(names) or 'none asked for'}"
    )


def _leaves(source: Source, index: int, width: int) -> Sequence[bytes]:
    if isinstance(source, EntrySource):
        return source.entries(index, width)
    try:
        data = source.fetch(tiles.entries_path(index, width))
    except TileMissingError:
        if width == tiles.TILE_WIDTH:
            raise
        # A partial resource may go once the full one is there; its first entries are the same.
        full = source.fetch(tiles.entries_path(index))
        return tiles.split_bundle(full, tiles.TILE_WIDTH)[:width]
    return tiles.split_bundle(data, width)


@dataclass(slots=True)
class Findings:
    """The first few in words, the rest counted: a ruined ledger must not fill the memory."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.shown) < FINDINGS_SHOWN:
            self.shown.append(text)

    def __str__(self) -> str:
        more = self.count - len(self.shown)
        return "; ".join([*self.shown, *([f"and {more} more"] if more else [])])


class _Walk:
    """One pass over the entries, from the first to the last."""

    def __init__(
        self,
        source: Source,
        checkpoint: VerifiedCheckpoint,
        trusted: Checkpoint | None,
        tolerance: timedelta,
        reader: Reader | None,
    ) -> None:
        self.source = source
        self.checkpoint = checkpoint
        self.trusted = trusted
        self.tolerance = tolerance
        self.reader = reader
        self.tree = Frontier()
        self.edges: dict[int, bytes] = {}  # the partial tile of each level so far
        self.tiles_compared = 0
        self.latest = ""  # the latest time so far; `timestamp` makes the order of strings the order of time
        self.stopped: str | None = None
        self.malformed = Findings()
        self.tile_faults = Findings()
        self.backwards = Findings()
        self.extends: str | None = None
        self.said: list[Succession] = []

    def skip_to(self, begin: Checkpoint) -> None:
        """The tree up to the last full bundle of `begin`, from the tiles at its edge."""
        read: dict[tuple[int, int], bytes] = {}

        def tile(level: int, index: int, width: int) -> bytes:
            held = read[level, index] = self._stored(level, index, width)
            return held

        try:
            root = tiles.frontier(begin.size, tile).root()
            full = tiles.frontier(begin.size - begin.size % tiles.TILE_WIDTH, tile)
        except SourceUnavailableError:
            raise
        except LedgerInvalidError as error:
            self.tile_faults.add(f"the tiles at entry {begin.size}: {error.detail}")
            root = b""
        if root != begin.root:
            self.stopped = f"the tiles before entry {begin.size} are not those of its checkpoint"
            return
        # The edge of the full bundles is that of `begin` without its lowest tile.
        self.tree = full
        self.edges = {level: data for (level, _), data in read.items() if level and len(data) < _FULL}

    def run(self, progress: Progress | None) -> Iterable[Check]:
        self._compare_trusted()
        size = self.checkpoint.size
        while self.tree.size < size and self.stopped is None:
            self._bundle(self.tree.size // tiles.TILE_WIDTH)
            if progress is not None:
                progress(self.tree.size, size)
        if self.stopped is None:
            for level in range(tiles.LEVEL_LIMIT + 1):
                if self.edges.get(level):
                    self._compare(tiles.Tile(level, (size >> 8 * level) // tiles.TILE_WIDTH, self.edges[level]))
        return self._checks()

    def _bundle(self, index: int) -> None:
        width = tiles.tile_width(self.checkpoint.size, 0, index)
        try:
            leaves = _leaves(self.source, index, width)
        except SourceUnavailableError:
            raise
        except LedgerInvalidError as error:
            self.stopped = f"{tiles.entries_path(index, width)}: {error.detail}"
            return
        self._times(index * tiles.TILE_WIDTH, leaves)
        self.said += statements(leaves)
        if self.reader is not None:
            self.reader(leaves)
        hashes = leaf_hashes(leaves)
        update = tiles.TileUpdate.append(self.tree.size, lambda level, _index, _width: self.edges[level], hashes)
        for tile in update.tiles:
            if tile.width == tiles.TILE_WIDTH:
                self.edges[tile.level] = b""
                self._compare(tile)
            else:
                self.edges[tile.level] = tile.data
        there = 0 if self.trusted is None else self.trusted.size - self.tree.size
        if 0 < there <= len(hashes):
            self.tree.extend(hashes[:there])
            self._compare_trusted()
            self.tree.extend(hashes[there:])
        elif len(hashes) == tiles.TILE_WIDTH:
            # The root of the full tile is the newest hash of the one above it.
            root = next(tile.data[-HASH_SIZE:] for tile in update.tiles if tile.level == 1)
            self.tree.append_perfect(tiles.TILE_HEIGHT, root)
        else:
            self.tree.extend(hashes)

    def _times(self, first: int, leaves: Sequence[bytes]) -> None:
        """Looks at each leaf and its time; `first` is the position of the first one."""
        latest = self.latest
        for index, leaf in enumerate(leaves, first):
            try:
                time = recognised(leaf) or recorded_at(leaf)
            except LedgerInvalidError as error:
                self.malformed.add(f"entry {index}: {error.detail}")
                continue
            if time >= latest:
                latest = time
            elif instant(latest) - instant(time) > self.tolerance:
                self.backwards.add(f"entry {index} is dated {time}, after one of {latest}")
        self.latest = latest

    def _compare(self, tile: tiles.Tile) -> None:
        self.tiles_compared += 1
        try:
            stored = self._stored(tile.level, tile.index, tile.width)
        except SourceUnavailableError:
            raise
        except LedgerInvalidError as error:
            self.tile_faults.add(f"{tile.path}: {error.detail}")
            return
        if stored != tile.data:
            self.tile_faults.add(f"{tile.path} differs{_where(stored, tile)}")

    def _stored(self, level: int, index: int, width: int) -> bytes:
        try:
            return self.source.fetch(tiles.tile_path(level, index, width))
        except TileMissingError:
            if width == tiles.TILE_WIDTH:
                raise
            full = self.source.fetch(tiles.tile_path(level, index))
            if len(full) != _FULL:
                raise LedgerInvalidError("the full tile has the wrong length") from None
            return full[: width * HASH_SIZE]

    def _compare_trusted(self) -> None:
        trusted = self.trusted
        if trusted is None or trusted.size != self.tree.size:
            return
        same = trusted.root == self.tree.root()
        self.extends = "" if same else f"the first {trusted.size} entries are not those of the earlier checkpoint"

    def _checks(self) -> Iterable[Check]:
        size, stopped = self.checkpoint.size, self.stopped
        unread = f"not checked beyond entry {self.tree.size}: the entries could not all be read"
        yield _check(2, stopped, f"{size} entries")
        yield _check(3, str(self.malformed) or (stopped and unread), f"{size} entries")
        yield _check(4, str(self.tile_faults) or (stopped and unread), f"{self.tiles_compared} tiles")
        other = None if self.tree.root() == self.checkpoint.root else f"the entries lead to {self.tree.root().hex()}"
        yield _check(5, (stopped and unread) or other, self.checkpoint.root.hex())
        times = str(self.backwards) or (stopped and unread)
        tolerated = f"none more than {self.tolerance.total_seconds():g} s before an earlier one"
        yield Check(6, TITLES[6], ok=True, detail=times or tolerated, warning=bool(times))
        if self.trusted is not None:
            yield _check(7, self._not_extended(self.trusted), f"the first {self.trusted.size} entries are unchanged")

    def _not_extended(self, trusted: Checkpoint) -> str | None:
        if trusted.origin != self.checkpoint.origin:
            return "the earlier checkpoint is of another ledger"
        if trusted.size > self.checkpoint.size:
            return f"{self.checkpoint.size} entries now, {trusted.size} then: the ledger was rolled back"
        return "not checked: the entries could not all be read" if self.extends is None else self.extends or None


def _check(number: int, fault: str | None, passed: str) -> Check:
    return Check(number, TITLES[number], ok=not fault, detail=fault or passed)


def _where(stored: bytes, tile: tiles.Tile) -> str:
    if len(stored) != len(tile.data):
        return f": {len(stored)} bytes instead of {len(tile.data)}"
    first = next(at for at in range(len(stored)) if stored[at] != tile.data[at]) // HASH_SIZE
    span = 1 << tiles.TILE_HEIGHT * tile.level
    start = (tile.index * tiles.TILE_WIDTH + first) * span
    return f" in hash {first}, over entry {start}" + (f" to {start + span - 1}" if span > 1 else "")
