"""What a ledger has few entries of, and what is therefore held against its rows at the end of a walk: holds, activations,
proposals (`proposed.py`) and agencies (`described.py`). And, some thousand entries at a time, the index of what they are
about (`mentions.py`).

A hold that is taken away, turned to something else, or ended past the gateway lets evidence go; an activation without its
row is a rule that nobody can read any more. The other way round, whether a stored rule was activated, is `activated.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.errors import LedgerInvalidError
from gateway.ledger.entry import AgreementActivated, HoldAdded, HoldReleased, decode, hold_commitment
from gateway.ledger.verify import Findings
from gateway.store import described, mentions, proposed
from gateway.store.tables import HoldRow, LedgerEntry

OWN: Final = "gateway"  # as gateway.record.OWN_LEDGER: where holds are recorded
_HOLDS: Final = frozenset({HoldAdded.kind, HoldReleased.kind})
KINDS: Final = frozenset(kind.encode() for kind in _HOLDS | mentions.KINDS) | {proposed.KIND} | described.KINDS
_SPELLED: Final = tuple(b'"kind":"%b"' % kind.encode() for kind in _HOLDS)


class Few:
    """Of one ledger. `activated` are the versions of its agreement that entries name."""

    def __init__(self, ledger: str) -> None:
        self._ledger = ledger
        self.activated: set[object] = set()
        self._holds: dict[str, str] = {}
        self._released: set[str] = set()
        self._mentions: set[tuple[str, str, int]] = set()
        self.proposals = proposed.Proposals() if ledger == OWN else None
        self.agencies = described.Described() if ledger == OWN else None

    def note(self, position: int, leaf: bytes) -> None:
        """An entry of one of KINDS."""
        if self.agencies is not None:
            self.agencies.note(position, leaf)
        if proposed.SPELLED in leaf:
            if self.proposals is not None:
                self.proposals.note(position, leaf)
            return
        try:
            entry: Mapping[str, Any] = decode(leaf)
        except LedgerInvalidError:
            return  # check 3 has found it
        if entry["kind"] == HoldAdded.kind:
            self._holds[str(entry["hold"])] = str(entry["commitment"])
        elif entry["kind"] == HoldReleased.kind:
            self._released.add(str(entry["hold"]))
        elif (about := mentions.mention(self._ledger, position, entry)) is not None:
            self._mentions.add((about["sort"], about["name"], position))
            if entry["kind"] == AgreementActivated.kind and entry["agreement"] == self._ledger:
                self.activated.add(entry["version"])

    def compare_mentions(self, session: Session, first: int, end: int, findings: Findings) -> int:
        """After the entries from `first` to before `end` were noted, and none since; how many rows there are."""
        rows = mentions.between(session, self._ledger, first, end)
        for sort, name, position in sorted(self._mentions - rows):
            findings.add(f"the index does not say that entry {position} is about {sort} {name}".rstrip())
        for sort, name, position in sorted(rows - self._mentions):
            findings.add(f"the index says that entry {position} is about {sort} {name}, and it is not")
        self._mentions.clear()
        return len(rows)

    def compare_proposals(self, session: Session, size: int) -> None:
        """After every entry up to `size` was noted."""
        if self.proposals is not None:
            rows = proposed.read_rows(session)
            self.proposals.compare(rows, _later(session, size, (proposed.SPELLED,)))

    def compare_agencies(self, session: Session, size: int) -> None:
        """After every entry up to `size` was noted."""
        if self.agencies is not None:
            rows = described.read_rows(session)
            self.agencies.compare(rows, _later(session, size, described.SPELLED))

    def compare_holds(self, session: Session, size: int, findings: Findings) -> int:
        """After every entry up to `size` was noted; how many rows there are."""
        if self._ledger != OWN:
            return 0
        placed = set(self._holds)
        rows = session.execute(select(HoldRow)).scalars().all()
        # Rows first: what came since the entries were read has its entry in what is read now.
        for position, leaf in _later(session, size, _SPELLED):
            self.note(position, leaf)
        for row in rows:
            placed.discard(row.id)
            if hold_commitment(bytes(row.commitment_key), row.scope, row.target) != self._holds.get(row.id):
                findings.add(f"the hold {row.id} is not about what it was placed on")
            if row.released_at is not None and row.id not in self._released:
                findings.add(f"the hold {row.id} was ended without an entry")
        for hold in sorted(placed):
            findings.add(f"the hold {hold} is gone")
        return len(rows)


def _later(session: Session, size: int, spelled: Sequence[bytes]) -> Iterable[tuple[int, bytes]]:
    entries = select(col(LedgerEntry.position), col(LedgerEntry.leaf)).where(
        col(LedgerEntry.ledger) == OWN, col(LedgerEntry.position) >= size
    )
    rows = session.connection().execute(entries)
    return ((position, leaf) for position, leaf in rows if any(kind in leaf for kind in spelled))
