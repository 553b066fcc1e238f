"""Appending to one ledger inside one transaction: lock, distrust, place, write, sign.

Decides whether the stored edge may be built upon. The database is not trusted: before anything is signed, the stored
checkpoint must carry our signature, the stored frontier must give its root, and neither may be older than what this
process has seen. Whatever fails here is `ledger.forked`, and nothing is signed over it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlmodel import col

from gateway.errors import LedgerForkedError, LedgerInvalidError, OperatorError
from gateway.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from gateway.ledger.entry import Entry
from gateway.ledger.merkle import EMPTY_ROOT, HASH_SIZE, Frontier, inclusion_proof, leaf_hash, node_hash
from gateway.ledger.proof import proofs_under
from gateway.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, TileReader, TileUpdate, frontier
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.mentions import mention
from gateway.store.rows import insert_rows
from gateway.store.tables import LedgerCheckpoint, LedgerEntry, LedgerHead, LedgerMention, LedgerTile
from gateway.store.together import Send, Sent, together

_NODES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an entry stands, once its transaction has committed."""

    ledger: str
    origin: str
    index: int
    leaf_hash: bytes


class Head(Protocol):
    """A row of `ledger_head`."""

    @property
    def ledger(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def frontier(self) -> bytes: ...
    @property
    def checkpoint(self) -> bytes: ...


class Memory:
    """The newest checkpoint that this process knows to be committed, a ledger: a rolled-back database contradicts it."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[Checkpoint, bytes]] = {}
        self._nodes: dict[str, dict[tuple[int, int], bytes]] = {}
        self._edges: dict[str, tuple[int, dict[tuple[int, int], bytes]]] = {}

    def require_extends(self, ledger: str, head: Checkpoint) -> None:
        require_extends(ledger, head, self.newest(ledger))

    def remember(self, ledger: str, checkpoint: Checkpoint, note: bytes) -> None:
        seen = self.newest(ledger)
        if seen is None or checkpoint.size > seen.size:
            self._newest[ledger] = (checkpoint, note)

    def known(self, ledger: str, note: bytes) -> Checkpoint | None:
        """What the newest note says, if `note` is that one."""
        held = self._newest.get(ledger)
        return held[0] if held is not None and held[1] == note else None

    def newest(self, ledger: str) -> Checkpoint | None:
        held = self._newest.get(ledger)
        return None if held is None else held[0]

    def ledgers(self) -> frozenset[str]:
        return frozenset(self._newest)

    def nodes(self, ledger: str) -> dict[tuple[int, int], bytes]:
        """Hashes of complete subtrees near the right edge, which proofs share; forgotten when they become many."""
        held = self._nodes.setdefault(ledger, {})
        if len(held) > _NODES:
            held.clear()
        return held

    def edge(self, ledger: str, size: int) -> Mapping[tuple[int, int], bytes] | None:
        """The partial tiles at the right edge of the tree of `size`, if it was this process that committed them last."""
        at, edge = self._edges.get(ledger, (-1, {}))
        return edge if at == size else None

    def keep_edge(self, ledger: str, size: int, edge: dict[tuple[int, int], bytes]) -> None:
        self._edges[ledger] = (size, edge)

    def notes(self) -> dict[str, bytes]:
        """The signed notes, for keeping elsewhere."""
        return {ledger: note for ledger, (_, note) in list(self._newest.items())}


def require_extends(ledger: str, head: Checkpoint, seen: Checkpoint | None) -> None:
    """`seen` is what was known before `head` was read: what is signed in between may be newer than both."""
    if seen is not None and (head.size < seen.size or (head.size == seen.size and head.root != seen.root)):
        raise LedgerForkedError(
            f"{ledger} has {head.size} entries, but {seen.size} were signed: the database was rolled back or exchanged"
        )


def verified_head(head: Head, keys: CheckpointKeys, memory: Memory | None = None) -> Checkpoint:
    """The stored checkpoint, if it is ours and the stored frontier belongs to it. Raises LedgerForkedError.

    What is in `memory`, byte by byte, was found to be ours before.
    """
    try:
        checkpoint = memory and memory.known(head.ledger, head.checkpoint)
        if not checkpoint:
            checkpoint = open_checkpoint(head.checkpoint, head.origin, keys.verifiers(head.origin)).checkpoint
        root = Frontier.from_bytes(head.size, head.frontier).root()
    except LedgerInvalidError as error:
        raise LedgerForkedError(f"the head of {head.ledger} was altered: {error.detail}") from error
    if checkpoint.size != head.size or checkpoint.root != root:
        raise LedgerForkedError(f"the head of {head.ledger} was altered: its edge does not give the signed root")
    return checkpoint


def create_ledger(connection: Connection, ledger: str, origin: str, keys: CheckpointKeys) -> None:
    """An empty ledger with a signed checkpoint of size 0. A second one of the same name is an IntegrityError."""
    note = sign_checkpoint(Checkpoint(origin, 0, EMPTY_ROOT), keys.note_signers(origin))
    connection.execute(
        insert(LedgerHead), [{"ledger": ledger, "origin": origin, "size": 0, "frontier": b"", "checkpoint": note}]
    )
    connection.execute(insert(LedgerCheckpoint), [{"ledger": ledger, "size": 0, "note": note}])


@dataclass(frozen=True, slots=True)
class LockedHead:
    """A row of `ledger_head` that nobody else moves until the transaction ends."""

    ledger: str
    origin: str
    size: int
    frontier: bytes
    checkpoint: bytes


def ask_head(send: Send, ledger: str) -> Callable[[], LockedHead]:
    """Locks it. What is returned is called when the answer is there, and raises OperatorError where there is no such ledger."""
    sent = send(_HEAD, {"l": ledger})

    def head() -> LockedHead:
        rows = sent.fetchall()
        if not rows:
            raise OperatorError(f"there is no ledger {ledger}")
        return LockedHead(*rows[0])

    return head


def open_ledger(connection: Connection, ledger: str, keys: CheckpointKeys, memory: Memory) -> "LedgerAppend":
    """Locks one ledger and nothing else, for appending to it."""
    return LedgerAppend(connection, ask_head(connection.execute, ledger)(), keys, memory)


class LedgerAppend:
    """One ledger, locked until the transaction ends."""

    def __init__(self, connection: Connection, row: LockedHead, keys: CheckpointKeys, memory: Memory) -> None:
        self.ledger = ledger = row.ledger
        self.origin: str = row.origin
        self._connection = connection
        self._signers = keys.note_signers(row.origin)
        self._head = verified_head(row, keys, memory)
        memory.require_extends(ledger, self._head)
        self._memory = memory
        self._frontier = Frontier.from_bytes(row.size, row.frontier)
        self._leaves: list[bytes] = []
        self._hashes: list[bytes] = []
        self._mentions: list[dict[str, Any]] = []
        self._edge: Mapping[tuple[int, int], bytes] = {}
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._grown: list[tuple[int, int]] = []
        self._sent: dict[str, Sent] = {}
        self.checkpoint: Checkpoint = self._head
        self.note: bytes = row.checkpoint

    @property
    def size(self) -> int:
        return self._head.size + len(self._leaves)

    def append(self, entry: Entry) -> Placed:
        leaf = entry.leaf()
        digest = leaf_hash(leaf)
        placed = Placed(self.ledger, self.origin, self.size, digest)
        self._leaves.append(leaf)
        self._hashes.append(digest)
        if (about := mention(self.ledger, placed.index, entry)) is not None:
            self._mentions.append(about)
        return placed

    def forget(self, size: int) -> None:
        """Takes back what was appended beyond `size`: the job that wanted it failed."""
        kept = size - self._head.size
        del self._leaves[kept:], self._hashes[kept:]
        self._mentions = [about for about in self._mentions if about["position"] < size]

    def flush(self) -> None:
        """Writes head, tiles, entries and checkpoint. What is signed here is published only by the commit."""
        self.sign()
        with together(self._connection) as send:
            self.write(send)
        self.require_written()

    def sign(self) -> None:
        """The first third of a flush: the tree grows and its checkpoint is signed; nothing is written."""
        if not self._leaves:
            return
        first = self._head.size
        self._edge = edge = self._read_edge(first)
        update_ = TileUpdate.append(first, lambda level, index, _width: edge.get((level, index), b""), self._hashes)
        self._frontier.extend(self._hashes)
        self.checkpoint = Checkpoint(self.origin, self._frontier.size, self._frontier.root())
        self.note = sign_checkpoint(self.checkpoint, self._signers, after=self._memory.newest(self.ledger))
        self._tiles = dict(edge)
        self._tiles.update(((tile.level, tile.index), tile.data) for tile in update_.tiles)
        self._grown = [(tile.level, tile.index) for tile in update_.tiles]

    def write(self, send: Send) -> None:
        """The second: all that is written, the caller's own rows beside it if it likes. Nothing of it is asked back."""
        if not self._leaves:
            return
        connection, ledger, first = self._connection, self.ledger, self._head.size
        moved = {"l": ledger, "old": first, "new": self.checkpoint.size, "note": self.note}
        self._sent[f"the head of {ledger} moved under its lock"] = send(
            _MOVE, moved | {"edge": self._frontier.to_bytes()}
        )
        new = []
        for level, index in self._grown:
            data, old = self._tiles[level, index], self._edge.get((level, index))
            if old is None:
                new.append({"ledger": ledger, "level": level, "position": index, "data": data})
            else:
                # A partial tile may only grow: whatever else it says by now, whoever changed it, is not built upon.
                place = {"l": ledger, "v": level, "p": index, "old": old, "d": data}
                self._sent[f"the tile {level}/{index} at the edge of {ledger} was altered"] = send(_WIDEN, place)
        entries = [
            {"ledger": ledger, "position": first + number, "leaf": leaf} for number, leaf in enumerate(self._leaves)
        ]
        insert_rows(connection, LedgerEntry, entries)
        if self._mentions:
            insert_rows(connection, LedgerMention, self._mentions)
        if new:
            insert_rows(connection, LedgerTile, new)
        note = {"ledger": ledger, "size": self.checkpoint.size, "note": self.note}
        insert_rows(connection, LedgerCheckpoint, [note])

    def require_written(self) -> None:
        """The last: what was to be as this ledger had been left, was so. Raises LedgerForkedError: nothing may be committed."""
        for otherwise, sent in self._sent.items():
            if sent.rowcount != 1:
                raise LedgerForkedError(otherwise)

    def committed(self) -> None:
        if self._leaves:
            edge = {tile: self._tiles[tile] for tile in _edge(self.checkpoint.size)}
            self._memory.keep_edge(self.ledger, self.checkpoint.size, edge)
        self._memory.remember(self.ledger, self.checkpoint, self.note)

    def prover(self) -> Callable[[int], str]:
        """Inclusion proofs against this transaction's checkpoint, from the tiles it has in hand; call after the commit."""
        size, note, tiles = self.checkpoint.size, self.note, self._tiles
        reader = TileReader(size, lambda level, index, _width: tiles[level, index])
        known = self._memory.nodes(self.ledger)

        def node(level: int, index: int) -> bytes:
            # A complete subtree never changes: neighbours, and the next batch, find most of their path here.
            held = known.get((level, index))
            if held is None:
                if level % TILE_HEIGHT == 0:
                    held = reader.node(level, index)
                else:
                    held = node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))
                known[level, index] = held
            return held

        prove = proofs_under(note)
        return lambda index: prove(index, inclusion_proof(index, size, node))

    def _read_edge(self, size: int) -> Mapping[tuple[int, int], bytes]:
        """The partial tile at the right edge of every level: an append and its proofs need no other.

        They must give the signed root, or what is signed next would have proofs that do not verify. What this process
        wrote last it has in hand: nothing of it is read again.
        """
        kept = self._memory.edge(self.ledger, size)
        if kept is not None:
            return kept
        edge: dict[tuple[int, int], bytes] = {}
        for (level, index), width in _edge(size).items():
            data = self._connection.execute(_TILE, {"l": self.ledger, "v": level, "p": index}).scalar_one_or_none()
            if data is None:
                raise LedgerForkedError(f"{self.ledger} lacks the tile {level}/{index} of its own edge")
            if len(data) != width * HASH_SIZE:
                raise LedgerForkedError(f"the tile {level}/{index} of {self.ledger} has not the length of its edge")
            edge[level, index] = data
        if frontier(size, lambda level, index, _width: edge[level, index]).root() != self._head.root:
            raise LedgerForkedError(f"the tiles at the edge of {self.ledger} do not give its signed root")
        return edge


def _edge(size: int) -> dict[tuple[int, int], int]:
    """(level, index) of each partial tile of a tree of `size` entries, to the number of its hashes."""
    found: dict[tuple[int, int], int] = {}
    level = 0
    while size:
        index, width = divmod(size, TILE_WIDTH)
        if width:
            found[level, index] = width
        level, size = level + 1, index
    return found


# Made once: for a row or two, SQLAlchemy takes longer to put a statement together than the database to carry it out.
_HEAD = (
    select(
        col(LedgerHead.ledger),
        col(LedgerHead.origin),
        col(LedgerHead.size),
        col(LedgerHead.frontier),
        col(LedgerHead.checkpoint),
    )
    .where(col(LedgerHead.ledger) == bindparam("l"))
    .with_for_update()
)
_MOVE = (
    update(LedgerHead)
    .where(col(LedgerHead.ledger) == bindparam("l"), col(LedgerHead.size) == bindparam("old"))
    .values(size=bindparam("new"), frontier=bindparam("edge"), checkpoint=bindparam("note"))
)
_TILE = select(col(LedgerTile.data)).where(
    col(LedgerTile.ledger) == bindparam("l"),
    col(LedgerTile.level) == bindparam("v"),
    col(LedgerTile.position) == bindparam("p"),
)
_WIDEN = (
    update(LedgerTile)
    .where(
        col(LedgerTile.ledger) == bindparam("l"),
        col(LedgerTile.level) == bindparam("v"),
        col(LedgerTile.position) == bindparam("p"),
        col(LedgerTile.data) == bindparam("old"),
    )
    .values(data=bindparam("d"))
)
