"""Operators' proposals as the ledger tells of them: each is proposed once, and then done or withdrawn once.

A row says the same, and whoever writes to the database can set a row back. Decides by the entries alone what became of a
proposal, and for an audit which row says something else, or which proposal was done a second time. That is a warning there:
what was done cannot be undone, and no message is less recorded for it. Leaves to `operations/proposals.py` what may be done.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select
from sqlmodel import Session, col

from gateway.errors import LedgerInvalidError
from gateway.ledger.entry import OperatorAct, decode
from gateway.ledger.leaf import recorded_at
from gateway.ledger.verify import Findings
from gateway.store.tables import LedgerEntry, ProposalRow

OWN: Final = "gateway"  # as gateway.record.OWN_LEDGER: where operators' acts are recorded
KIND: Final = OperatorAct.kind.encode()
_PENDING: Final = "pending"  # as gateway.operations.acts
SPELLED: Final = b'"kind":"%b"' % KIND
_PROPOSE, _WITHDRAW = "propose/", "withdraw/"
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Said:
    """What the entries up to `size` say of a proposal."""

    size: int
    proposed: bool = False
    ended: bool = False


def said(connection: Connection, digest: str, *, first: int = 0) -> Said:
    """Of the entries from `first` on, the newest first. However old: the times of entries may have been a wrong clock's."""
    size, wanted = first, digest.encode()
    proposed = False
    for position, leaf in _backwards(connection, first):
        size = max(size, position + 1)
        if wanted in leaf:
            told, what = _told(leaf)
            if told == digest and not what.startswith(_PROPOSE):
                return Said(size, ended=True)
            proposed = proposed or told == digest
    return Said(size, proposed)


def _backwards(connection: Connection, first: int) -> Iterator[tuple[int, bytes]]:
    place = (col(LedgerEntry.position), col(LedgerEntry.leaf))
    page = select(*place).where(col(LedgerEntry.ledger) == OWN, place[0] >= first).order_by(place[0].desc())
    before = None
    while True:
        rows = connection.execute((page if before is None else page.where(place[0] < before)).limit(_PAGE)).all()
        if any(type(leaf) is not bytes for _, leaf in rows):
            raise LedgerInvalidError("an entry is stored as text, not as bytes")
        yield from rows
        if len(rows) < _PAGE:
            return
        before = rows[-1][0]


def _told(leaf: bytes) -> tuple[str | None, str]:
    """Which proposal an entry is about, and what it says of it; None of no entry of an operator's act."""
    try:
        entry = decode(leaf)
    except LedgerInvalidError:
        return None, ""  # an audit finds it
    if entry["kind"] != OperatorAct.kind:
        return None, ""
    what = str(entry["what"])
    return str(entry.get("about" if what.startswith(_WITHDRAW) else "digest")), what


class Proposals:
    """For an audit of the gateway's own ledger. Memory holds a line for each proposal that there ever was."""

    def __init__(self) -> None:
        self._proposed: set[str] = set()
        # Where and when it ended. One commit may end it with several entries, of one moment.
        self._ended: dict[str, tuple[int, str]] = {}
        self.findings = Findings()
        self.looked = 0

    def note(self, position: int, leaf: bytes) -> None:
        """An entry of an operator's act."""
        if b'"digest":' not in leaf and _WITHDRAW.encode() not in leaf:
            return  # what one does alone
        digest, what = _told(leaf)
        if digest is None:
            return
        if what.startswith(_PROPOSE):
            self._proposed.add(digest)
        elif digest in self._proposed:
            moment = recorded_at(leaf)
            first, then = self._ended.setdefault(digest, (position, moment))
            if then != moment:
                self.findings.add(
                    f"the proposal {digest} was ended by entry {first}, and once more by entry {position}"
                )

    def compare(self, rows: Sequence[tuple[str, str]], later: Iterable[tuple[int, bytes]]) -> None:
        """After every entry up to some size was noted: the rows, read after that, and the acts since, read after the rows.

        What came between them is in both, or in the entries alone.
        """
        proposed, ended = frozenset(self._proposed), {digest: place for digest, (place, _) in self._ended.items()}
        for position, leaf in later:
            self.note(position, leaf)
        for id_, state in rows:
            self.looked += 1
            if state == _PENDING and id_ in ended:
                self.findings.add(f"the proposal {id_} is marked pending, but entry {ended[id_]} ended it")
            elif state != _PENDING and id_ not in self._ended:
                self.findings.add(f"the proposal {id_} is marked {state}, but no entry says so")
        for gone in sorted(proposed - {id_ for id_, _ in rows}):
            self.findings.add(f"the proposal {gone} is gone")


def read_rows(session: Session) -> Sequence[tuple[str, str]]:
    """Each proposal's id, and what its row says of it."""
    rows = session.connection().execute(select(col(ProposalRow.id), col(ProposalRow.state)))
    return [(id_, state) for id_, state in rows]
