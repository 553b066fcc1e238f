"""The check of a whole ledger where it lies, for its operator: the audit of `ledger/verify.py`, and what no reader sees.

Decides whether the stored rows are exactly those of the signed tree, and what to do where they are not. Further checks:

 9. the edge that the next append builds on gives the signed root
10. no row lies beyond what was signed
11. the newest of the stored checkpoints are signed, and of this tree
12. stored messages, receipts and erasures are those of the entries
13. stored agreements are those that the entries activated, and their parties signed
14. every accepted message that is still owed waits for its delivery, or was ended by an entry
15. every proposal of operators was done or withdrawn once, and its row says so (the own ledger; a warning)
16. every agency is called where, named and in the state that its newest entry says (the own ledger)

It reads only, in flat memory. A database that is wrong from its first entry on, and signed so, passes: only a checkpoint
kept elsewhere contradicts it (check 7; docs/explanation/trusted-stores.md).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement, ScalarSelect, func
from sqlmodel import Session, col, select

from gateway.agreement.document import agreement_from_json
from gateway.errors import AgreementInvalidError, LedgerForkedError, LedgerInvalidError, NotFoundError
from gateway.ledger.checkpoint import Checkpoint, open_checkpoint
from gateway.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, frontier
from gateway.ledger.verify import AuditReport, Check, Findings, Progress, audit
from gateway.store import queries
from gateway.store.activated import require_activated
from gateway.store.append import verified_head
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.correspondence import Correspondence
from gateway.store.session import Database
from gateway.store.source import DatabaseSource
from gateway.store.tables import (
    AcknowledgementRow,
    LedgerCheckpoint,
    LedgerEntry,
    LedgerHead,
    LedgerTile,
    TransferRow,
)

CHECKPOINTS: Final = 1_000
"""So many of the newest stored checkpoints are compared with the tree."""
_TILES_KEPT: Final = 64
_PRESENT: Final = 2  # the audit's check of whether every entry is there
_LEVELS: Final = 8  # of tiles: a size is a signed 64-bit number in both databases
_Row = LedgerEntry | LedgerCheckpoint | LedgerTile | TransferRow | AcknowledgementRow
_TITLES: Final = {
    9: "the edge gives the signed root",
    10: "no row beyond what was signed",
    11: "stored checkpoints are of this tree",
    12: "stored messages are those of the entries",
    13: "stored agreements were activated and signed",
    14: "what is owed will be delivered",
    15: "proposals were done once",
    16: "agencies are what their entries say",
}
_KEEP: Final = "Stop every node and keep this database as it is: it is evidence. "
_ADVICE: Final = {
    1: "The head's checkpoint is not ours: was it altered, or is another checkpoint key configured? " + _KEEP,
    2: _KEEP + "Entries are missing: go back to a database that has them (replica, archive), never to a shorter one.",
    3: _KEEP + "Something other than a gateway wrote entries.",
    4: _KEEP + "Where check 5 passes, the entries are whole and tiles alone were altered.",
    5: _KEEP + "Entries were changed: compare them with a published copy (sinergi ledger verify), and restore.",
    6: "A clock was set back. Compare the nodes' clocks; the order of the entries is not affected.",
    7: _KEEP + "This database was rolled back or exchanged: find the newer one. Never delete the checkpoint files.",
    9: _KEEP + "Nothing can be appended: restore the head's row from a replica that passes.",
    10: _KEEP + "Something other than the recorder wrote these rows.",
    11: _KEEP + "A stored checkpoint was altered, or another tree was signed: compare with the witnesses' copies.",
    12: _KEEP + "The entries say what was recorded: restore the rows from a copy that passes. If an erased message is there"
    " again: sinergi retention repeat.",
    13: _KEEP + "Somebody wrote or removed a rule without the gateway: restore the row from a copy that passes.",
    14: _KEEP + "Nothing will deliver these messages. Start each of them again with sinergi transfers redeliver, which makes an"
    " entry. If a message has expired, tell its sender and its recipient. Restore the row of an alert, or of a changed recipient,"
    " from a copy that passes.",
    15: "Somebody wrote to the table of proposals, or acted without the commands: ask the operators whose keys the entries name"
    " (sinergi operators proposals --all), and look at what was done twice. Messages and receipts are not affected.",
    16: _KEEP + "Somebody changed an agency without the gateway: what was pushed since may be with somebody else. Restore the row"
    " from a copy that passes. Without a copy ask the agency, and say with sinergi agencies add or set how it is: that makes an"
    " entry. An agency that nobody added must be taken out of the table.",
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
    database: Database,
    keys: CheckpointKeys,
    ledger: str,
    known: Checkpoint | None,
    progress: Progress | None = None,
    *,
    now: datetime,
    begin: Checkpoint | None = None,
    checkpoints: int = CHECKPOINTS,
) -> Examination:
    """Every check of one ledger, which may grow meanwhile: what comes later is not looked at.

    `known` is the newest checkpoint of it that was kept outside the database. `begin` is one that our key signed: entries
    before it are not read. What has expired by `now` is owed no more. Raises NotFoundError for a ledger that is not there,
    and StoreUnavailableError.
    """
    with database.reading() as session:
        head = queries.ledger_head(session, ledger)
        session.expunge(head)
    # With the keys of the moment at which the head was read: one that is declared lost while the entries are read, which may
    # take long, signed this head all the same.
    edge = _found(9, lambda: f"root {verified_head(head, keys).root.hex()}")
    rows = Correspondence(database, ledger, now)
    source = DatabaseSource(database, ledger, rows.look)
    report = audit(source, head.origin, keys.verifiers(head.origin), trusted=known, begin=begin, progress=progress)
    with database.reading() as session:
        further = [
            edge,
            _found(10, lambda: _beyond(session, head)),
            _found(11, lambda: _checkpoints(session, head, keys, checkpoints)),
        ]
    further += [
        *_rows(rows, report, source.size, whole=begin is None),
        _agreements(database, ledger, rows.few.activated),
    ]
    further.sort(key=lambda check: check.number)
    whole = replace(report, checks=(*report.checks, *further))
    return Examination(ledger, whole, tuple(_advice(whole.checks)))


def _rows(rows: Correspondence, report: AuditReport, size: int, *, whole: bool) -> tuple[Check, ...]:
    """Checks 12 and 14 to 16. `whole`: it was read from its first entry on. Nothing is said where entries are missing."""
    unread = report.checkpoint is None or any(check.number == _PRESENT and not check.ok for check in report.checks)
    if not unread:
        rows.finish(size, whole=whole)
    silent = "the entries could not all be read" if unread else ""
    checks = (
        _told(12, str(rows.findings) or silent, f"{rows.compared} rows"),
        _told(14, str(rows.owed.findings) or silent, f"{rows.owed.looked} deliveries"),
    )
    proposals, agencies = rows.few.proposals, rows.few.agencies
    if proposals is None or agencies is None:
        return checks
    fault = str(proposals.findings)
    told = fault or silent or f"{proposals.looked} proposals"
    return (
        *checks,
        Check(15, _TITLES[15], ok=True, detail=told, warning=bool(fault)),
        _told(16, str(agencies.findings) or silent, f"{agencies.looked} agencies"),
    )


def _told(number: int, fault: str, passed: str) -> Check:
    return Check(number, _TITLES[number], ok=not fault, detail=fault or passed)


def _agreements(database: Database, ledger: str, activated: Collection[object]) -> Check:
    """Every version that was ever in force: past ones are evidence. `activated` are the versions that entries name."""
    faults = Findings()
    with database.reading() as session:
        directory = queries.load_directory(session, 0)
        rows = [row for row in queries.agreements(session) if row.id == ledger]
        for row in rows:
            try:
                require_activated(session, row, agreement_from_json(row.document), directory)
            except AgreementInvalidError as error:
                faults.add(f"version {row.version}: {error.detail}")
    for version in sorted(map(str, set(activated) - {row.version for row in rows})):
        faults.add(f"version {version} was activated and is gone")
    return _told(13, str(faults), f"{len(rows)} versions")


def _advice(checks: Iterable[Check]) -> Iterable[str]:
    """A warning counts where everything could be read: before that it says nothing of clocks."""
    failed = [check for check in checks if not check.ok]
    told = failed or [check for check in checks if check.warning]
    return (f"{check.number}: {_ADVICE[check.number]}".strip() for check in told)


def _found(number: int, look: Callable[[], str]) -> Check:
    try:
        return _told(number, "", look())
    except (LedgerInvalidError, LedgerForkedError, NotFoundError) as error:
        return _told(number, error.detail or error.code, "")


def _beyond(session: Session, head: LedgerHead) -> str:
    """Rows are counted that the audit never asks for: beyond the size that the head has when they are counted."""
    size = select(LedgerHead.size).where(LedgerHead.ledger == head.ledger).scalar_subquery()
    position, number = col(LedgerEntry.position), col(LedgerCheckpoint.size)
    message, receipt = col(TransferRow.position), col(AcknowledgementRow.position)
    outside: dict[str, tuple[type[_Row], Sequence[ColumnElement[bool]]]] = {
        "entries": (LedgerEntry, (position >= size, position < 0)),
        "checkpoints": (LedgerCheckpoint, (number > size, number < 0)),
        "tiles": (LedgerTile, tuple(_outside(size))),
        "messages": (TransferRow, (message >= size, message < 0)),
        "receipts": (AcknowledgementRow, (receipt >= size, receipt < 0)),
    }
    found = []
    for name, (table, ranges) in outside.items():
        # One statement a table: head and rows are of one moment, whoever appends meanwhile. And one range of an index
        # each: joined by OR, they would be looked for in every row.
        counts = [
            select(func.count()).select_from(table).where(col(table.ledger) == head.ledger, one).scalar_subquery()
            for one in ranges
        ]
        if count := session.exec(select(sum(counts[1:], counts[0]))).one():
            found.append(f"{count} {name}")
    if found:
        raise LedgerInvalidError(f"{', '.join(found)} lie beyond the entries that were signed")
    return "none"


def _outside(size: ScalarSelect[int]) -> Iterable[ColumnElement[bool]]:
    """Which tiles a tree of `size` entries does not have."""
    level, position = col(LedgerTile.level), col(LedgerTile.position)
    for number in range(_LEVELS):
        nodes = size // (1 << TILE_HEIGHT * number)
        yield (level == number) & (position >= (nodes + (TILE_WIDTH - 1)) // TILE_WIDTH)
        yield (level == number) & (position < 0)
    yield level >= _LEVELS
    yield level < 0


def _checkpoints(session: Session, head: LedgerHead, keys: CheckpointKeys, count: int) -> str:
    """The newest, with their signatures and roots. Raises LedgerInvalidError for the first that is another's."""
    verifiers = keys.verifiers(head.origin, lost=True)
    read = lru_cache(_TILES_KEPT)(_reader(session, head.ledger))
    newest = select(LedgerCheckpoint.size, LedgerCheckpoint.note).where(LedgerCheckpoint.ledger == head.ledger)
    newest = newest.where(col(LedgerCheckpoint.size) <= head.size).order_by(col(LedgerCheckpoint.size).desc())
    rows = session.exec(newest.limit(count)).all()
    if not rows or rows[0][0] != head.size:
        raise LedgerInvalidError(f"there is no stored checkpoint of size {head.size}")
    for size, note in rows:
        try:
            signed = open_checkpoint(note, head.origin, verifiers)
        except LedgerInvalidError as error:
            raise LedgerInvalidError(f"the checkpoint of size {size}: {error.detail}") from error
        root = frontier(size, lambda level, index, _width: read(level, index)).root()
        if (signed.size, signed.root) != (size, root):
            raise LedgerInvalidError(f"the checkpoint of size {size} is of another tree")
    return f"the newest {len(rows)}"


def _reader(session: Session, ledger: str) -> Callable[[int, int], bytes]:
    return lambda level, index: queries.tile(session, ledger, level, index)
