"""Where a ledger speaks of a key, a message type, an agreement or its own checkpoint key, and of an auditor's look at a transfer:
nobody has to read all of it.

Decides which entries are in this index, which proves nothing: an entry is proved by its tree, and the index is
held against the entries by the audit (`few.py`), for whoever leaves a place out of it hides a revocation from evidence, or
from a person who has looked at what was sent of them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import and_, select, union_all
from sqlmodel import Session, col

from gateway.ledger.entry import (
    AgreementActivated,
    AuditRead,
    CheckpointKey,
    Entry,
    KeyAdded,
    KeyRetired,
    KeyRevoked,
    SchemaPublished,
)
from gateway.store.tables import LedgerEntry, LedgerMention

_KEY, _TYPE, _AGREEMENT, _OWN, _READ = "key", "type", "agreement", "checkpoint", "read"
_ASKED: Final = 500  # far below what a statement may hold of parameters
# A kind of entry: which sort of thing it is about, and the member that names it.
_ABOUT: Final[Mapping[str, tuple[str, str | None]]] = {
    KeyAdded.kind: (_KEY, "key"),
    KeyRetired.kind: (_KEY, "key"),
    KeyRevoked.kind: (_KEY, "key"),
    SchemaPublished.kind: (_TYPE, "type"),
    AgreementActivated.kind: (_AGREEMENT, "agreement"),
    CheckpointKey.kind: (_OWN, None),
}
KINDS: Final = frozenset({*_ABOUT, AuditRead.kind})


def mention(ledger: str, position: int, entry: Entry | Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of an entry; None for one that is about something else."""
    kind = entry.kind if isinstance(entry, Entry) else str(entry.get("kind"))
    if kind == AuditRead.kind:
        filters = entry.filters if isinstance(entry, AuditRead) else entry["filters"]  # type: ignore[index]
        transfer = filters.get("transfer")
        return None if transfer is None else {"ledger": ledger, "sort": _READ, "name": transfer, "position": position}
    if kind not in _ABOUT:
        return None
    sort, member = _ABOUT[kind]
    name = "" if member is None else str(getattr(entry, member) if isinstance(entry, Entry) else entry[member])
    return {"ledger": ledger, "sort": sort, "name": name, "position": position}


def positions(session: Session, ledger: str, *, keys: Collection[str], type_: str, agreement: str) -> Sequence[int]:
    """Of the entries about these, and of all about the ledger's own checkpoint keys, in the order of the ledger."""
    asked = {_KEY: sorted(keys), _TYPE: [type_], _AGREEMENT: [agreement], _OWN: [""]}
    # Each by itself: with `or` between them SQLite would walk every line of this ledger's.
    found = union_all(
        *(
            select(col(LedgerMention.position)).where(
                col(LedgerMention.ledger) == ledger,
                col(LedgerMention.sort) == sort,
                col(LedgerMention.name).in_(names),
            )
            for sort, names in asked.items()
        )
    )
    return sorted(session.connection().execute(found).scalars())


def reads(session: Session, ledger: str, transfers: Collection[str]) -> Iterator[bytes]:
    """The entries that say that an auditor looked at one of these; of each transfer in the order of the ledger."""
    asked = sorted(transfers)
    entry = and_(
        col(LedgerEntry.ledger) == col(LedgerMention.ledger), col(LedgerEntry.position) == col(LedgerMention.position)
    )
    for first in range(0, len(asked), _ASKED):
        found = (
            select(col(LedgerEntry.leaf))
            .join(LedgerMention, entry)
            .where(
                col(LedgerMention.ledger) == ledger,
                col(LedgerMention.sort) == _READ,
                col(LedgerMention.name).in_(asked[first : first + _ASKED]),
            )
            # As the index by name has them: by position alone, SQLite would walk every line of this ledger's.
            .order_by(col(LedgerMention.name), col(LedgerMention.position))
        )
        yield from session.connection().execute(found).scalars()


def between(session: Session, ledger: str, first: int, end: int) -> set[tuple[str, str, int]]:
    """All that the index says of the entries from `first` to before `end`; of the first one on, also of what is no place."""
    found = select(col(LedgerMention.sort), col(LedgerMention.name), col(LedgerMention.position)).where(
        col(LedgerMention.ledger) == ledger, col(LedgerMention.position) < end
    )
    if first:
        found = found.where(col(LedgerMention.position) >= first)
    return {(sort, name, position) for sort, name, position in session.connection().execute(found)}
