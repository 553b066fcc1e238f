"""The newest checkpoint of every ledger, kept in files outside the database, and what start-up does with them.

A database that was restored from a backup, or exchanged, cannot know it; the file can. It is written behind the commit
(about once a second and at the stop), so it may lag, and only ever proves that a ledger *was* at least so long.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import LedgerForkedError, LedgerInvalidError
from gateway.ledger.checkpoint import Checkpoint, open_checkpoint, parse
from gateway.ledger.merkle import consistency_proof, leaf_hash, verify_consistency
from gateway.ledger.note import parse_note
from gateway.ledger.tiles import TILE_WIDTH, TileReader, frontier, tile_width
from gateway.store import queries
from gateway.store.append import Memory, verified_head
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.session import Database
from gateway.store.tables import LedgerHead


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """One file a ledger in `directory`, each a signed note that anybody can verify."""

    directory: Path
    keys: CheckpointKeys

    def load(self) -> Memory:
        """Raises LedgerForkedError for a file that our key did not sign: somebody wants us to forget."""
        memory = Memory()
        for file in sorted(self.directory.glob("*.checkpoint")):
            try:
                data = file.read_bytes()
                origin = parse(parse_note(data).text).origin
                verified = open_checkpoint(data, origin, self.keys.verifiers(origin, lost=True))
            except LedgerInvalidError as error:
                raise LedgerForkedError(f"{file} is not a checkpoint of this gateway: {error.detail}") from error
            memory.remember(file.name.removesuffix(".checkpoint"), verified.checkpoint, data)
        return memory

    def save(self, memory: Memory) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for ledger, note in memory.notes().items():
            file = self.directory / f"{ledger}.checkpoint"
            if file.exists() and parse(parse_note(file.read_bytes()).text).size >= parse(parse_note(note).text).size:
                # Another process of this node was ahead of us.
                continue
            fresh = file.with_suffix(f".{os.getpid()}.new")
            with fresh.open("wb") as handle:
                handle.write(note)
                handle.flush()
                # An empty file after a power cut would look like tampering.
                os.fsync(handle.fileno())
            # Atomic: a crash leaves the old file or the new one.
            fresh.replace(file)

    def require_sound(self, database: Database, memory: Memory) -> None:
        """Start-up's distrust: every ledger's head, right edge and last entries fit together and extend what we know.

        Raises LedgerForkedError. A full check is `sinergi ledger verify`; this one costs a few tiles a ledger.
        """
        with database.reading() as session:
            present = set()
            for head in queries.ledgers(session):
                present.add(head.ledger)
                signed = verified_head(head, self.keys)
                memory.require_extends(head.ledger, signed)

                def read(level: int, index: int, _width: int, ledger: str = head.ledger) -> bytes:
                    return queries.tile(session, ledger, level, index)

                reader = TileReader(head.size, read)
                if frontier(head.size, read).root() != signed.root:
                    raise LedgerForkedError(f"the tiles of {head.ledger} do not give its signed root")
                known = memory.newest(head.ledger)
                if known is not None:
                    self._require_extension(head, known, signed, reader)
                last = (head.size - 1) // TILE_WIDTH if head.size else 0
                width = tile_width(head.size, 0, last)
                try:
                    leaves = queries.leaves(session, head.ledger, last, width)
                except LedgerInvalidError as error:
                    raise LedgerForkedError(f"the last entries of {head.ledger}: {error.detail}") from error
                stored = queries.tile(session, head.ledger, 0, last) if width else b""
                if b"".join(leaf_hash(leaf) for leaf in leaves) != stored[: width * 32]:
                    raise LedgerForkedError(f"the last entries of {head.ledger} are not those of its tree")
            for ledger in memory.ledgers() - present:
                raise LedgerForkedError(f"{ledger} is gone from the database")

    def _require_extension(self, head: LedgerHead, known: Checkpoint, signed: Checkpoint, reader: TileReader) -> None:
        try:
            proof = consistency_proof(known.size, signed.size, reader.node)
            verify_consistency(known.size, known.root, signed.size, signed.root, proof)
        except LedgerInvalidError as error:
            raise LedgerForkedError(f"{head.ledger} is not an extension of what was signed before") from error
