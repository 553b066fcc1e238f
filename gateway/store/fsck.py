"""The check of a whole ledger where it lies, for its operator: the audit of `ledger/verify.py`, and what no reader sees.

Decides whether the stored rows are exactly those of the signed tree, and what to do where they are not. Further checks:

 9. the edge that the next append builds on gives the signed root
10. no row lies beyond what was signed
11. the newest of the stored checkpoints are signed, and of this tree

It reads only, in flat memory. A database that is wrong from its first entry on, and signed so, passes: only a checkpoint
kept elsewhere contradicts it (check 7; docs/explanation/trusted-stores.md).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, or_, select

from gateway.errors import LedgerForkedError, LedgerInvalidError, NotFoundError
from gateway.ledger.checkpoint import Checkpoint, open_checkpoint
from gateway.ledger.tiles import LEVEL_LIMIT, TILE_HEIGHT, TILE_WIDTH, frontier
from gateway.ledger.verify import AuditReport, Check, Progress, audit
from gateway.store import queries
from gateway.store.append import CheckpointKeys, verified_head
from gateway.store.session import Database
from gateway.store.source import DatabaseSource
from gateway.store.tables import LedgerCheckpoint, LedgerEntry, LedgerHead, LedgerTile

CHECKPOINTS: Final = 1_000
"""So many of the newest stored checkpoints are compared with the tree."""
_TILES_KEPT: Final = 64
_TITLES: Final = {
    9: "the edge gives the signed root",
    10: "no row beyond what was signed",
    11: "stored checkpoints are of this tree",
}
_KEEP: Final = "Stop every node and keep this database as it is: it is evidence. "
_ADVICE: Final = {
    1: "The head's checkpoint is not ours: was it altered, or is another checkpoint key configured? " + _KEEP,
    2: _KEEP + "Entries are missing: go back to a database that has them (replica, archive), never to a shorter one.",
    3: _KEEP + "Entries were written by something else than a gateway.",
    4: _KEEP + "Where check 5 passes, the entries are whole and tiles alone were altered.",
    5: _KEEP + "Entries were changed: compare them with a published copy (sinergi ledger verify), and restore.",
    6: "A clock was set back. Compare the nodes' clocks; the order of the entries is not touched.",
    7: _KEEP + "This database was rolled back or exchanged: find the newer one. Never delete the checkpoint files.",
    9: _KEEP + "Nothing can be appended: restore the head's row from a replica that passes.",
    10: _KEEP + "Somebody else than the recorder wrote these rows.",
    11: _KEEP + "A stored checkpoint was altered, or another tree was signed: compare with the witnesses' copies.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in one ledger; `advice` is what to do, a sentence or two for each check that failed or warned."""

    ledger: str
    report: AuditReport
    advice: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.report.ok


def examine(
    database: Database, keys: CheckpointKeys, ledger: str, known: Checkpoint | None, progress: Progress | None = None
) -> Examination:
    """Every check of one ledger. `known` is the newest checkpoint of it that was kept outside the database.

    Raises NotFoundError for a ledger that is not there, and StoreUnavailableError.
    """
    with database.reading() as session:
        head = queries.ledger_head(session, ledger)
        session.expunge(head)
    verifier = keys.note_signer(head.origin).verifier
    report = audit(DatabaseSource(database, ledger), head.origin, [verifier], trusted=known, progress=progress)
    further = []
    with database.reading() as session:
        for number, find in ((9, _edge), (10, _beyond), (11, _checkpoints)):
            try:
                further.append(Check(number, _TITLES[number], ok=True, detail=find(session, head, keys)))
            except (LedgerInvalidError, LedgerForkedError, NotFoundError) as error:
                further.append(Check(number, _TITLES[number], ok=False, detail=error.detail))
    whole = replace(report, checks=(*report.checks, *further))
    return Examination(ledger, whole, tuple(_advice(whole.checks)))


def _advice(checks: Iterable[Check]) -> Iterable[str]:
    """A warning counts where everything could be read: before that it says nothing of clocks."""
    failed = [check for check in checks if not check.ok]
    told = failed or [check for check in checks if check.warning]
    return (f"{check.number}: {_ADVICE[check.number]}".strip() for check in told)


def _edge(_session: Session, head: LedgerHead, keys: CheckpointKeys) -> str:
    return f"root {verified_head(head, keys).root.hex()}"


def _beyond(session: Session, head: LedgerHead, _keys: CheckpointKeys) -> str:
    """Rows are counted that the audit never asks for."""
    outside = {
        "entries": select(func.count()).select_from(LedgerEntry).where(
            LedgerEntry.ledger == head.ledger,
            or_(col(LedgerEntry.position) >= head.size, col(LedgerEntry.position) < 0),
        ),
        "checkpoints": select(func.count()).select_from(LedgerCheckpoint).where(
            LedgerCheckpoint.ledger == head.ledger,
            or_(col(LedgerCheckpoint.size) > head.size, col(LedgerCheckpoint.size) < 0),
        ),
        "tiles": select(func.count()).select_from(LedgerTile).where(
            LedgerTile.ledger == head.ledger, or_(*_outside(head.size))
        ),
    }  # fmt: skip
    found = [f"{count} {name}" for name, query in outside.items() if (count := session.exec(query).one())]
    if found:
        raise LedgerInvalidError(f"{', '.join(found)} lie beyond the {head.size} entries that were signed")
    return "none"


def _outside(size: int) -> Iterable[ColumnElement[bool]]:
    """Which tiles a tree of `size` entries does not have."""
    for level in range(LEVEL_LIMIT + 1):
        count = -(-(size >> TILE_HEIGHT * level) // TILE_WIDTH)
        position = col(LedgerTile.position)
        yield (col(LedgerTile.level) == level) & ((position >= count) | (position < 0))
    yield (col(LedgerTile.level) > LEVEL_LIMIT) | (col(LedgerTile.level) < 0)


def _checkpoints(session: Session, head: LedgerHead, keys: CheckpointKeys) -> str:
    """The newest, with their signatures and roots. Raises LedgerInvalidError for the first that is another's."""
    verifier = keys.note_signer(head.origin).verifier
    read = lru_cache(_TILES_KEPT)(_reader(session, head.ledger))
    newest = select(LedgerCheckpoint.size, LedgerCheckpoint.note).where(LedgerCheckpoint.ledger == head.ledger)
    newest = newest.where(col(LedgerCheckpoint.size) <= head.size).order_by(col(LedgerCheckpoint.size).desc())
    rows = session.exec(newest.limit(CHECKPOINTS)).all()
    if not rows or rows[0][0] != head.size:
        raise LedgerInvalidError(f"there is no stored checkpoint of size {head.size}")
    for size, note in rows:
        try:
            signed = open_checkpoint(note, head.origin, [verifier])
        except LedgerInvalidError as error:
            raise LedgerInvalidError(f"the checkpoint of size {size}: {error.detail}") from error
        root = frontier(size, lambda level, index, _width: read(level, index)).root()
        if (signed.size, signed.root) != (size, root):
            raise LedgerInvalidError(f"the checkpoint of size {size} is of another tree")
    return f"the newest {len(rows)}"


def _reader(session: Session, ledger: str) -> Callable[[int, int], bytes]:
    return lambda level, index: queries.tile(session, ledger, level, index)
