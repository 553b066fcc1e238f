"""What is stored beside a ledger, held against its entries: messages, receipts, erasures; `few.py` holds, `owed.py` deliveries.

The tree proves the entries; the rows that people search, deliver and erase by are only as true as they agree with them.
Decides which members must agree. Sealed contents are not opened here: they are encrypted under keys that bind them to
their row, and open for their commitment alone (`evidence/`, `retention.check`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import and_, bindparam, select
from sqlmodel import Session, col

from gateway.errors import LedgerInvalidError
from gateway.ledger.canonical import dumps
from gateway.ledger.entry import TransferAccepted, TransferAcknowledged, TransferErased, TransferRefused, decode
from gateway.ledger.verify import Findings
from gateway.store.few import KINDS, Few
from gateway.store.owed import Owed
from gateway.store.session import Database
from gateway.store.tables import ACCEPTED, AcknowledgementRow, LedgerEntry, TransferRow

_CLAIMS: Final = 1_000
_HOLE: Final = "?"  # a value that holds it is compared the slow way
_HOLES: Final = 4
_DEADLINE: Final = b'{"acknowledge_by":"2026-01-31T00:00:00.000000Z",'
_DATED: Final = _DEADLINE.index(b"2")
_TIME: Final = len("2026-01-31T00:00:00.000000Z")
_KIND: Final = b'"kind":"'
_BEHIND: Final = len(_KIND)
_ACCEPTED: Final = TransferAccepted.kind.encode()
_REFUSED: Final = TransferRefused.kind.encode()
_ACKNOWLEDGED: Final = TransferAcknowledged.kind.encode()
_ERASED: Final = TransferErased.kind.encode()
# A column, and the member of the entry that says the same. In the order of the statement below.
_OWN: Final = (("id", "transfer"), ("commitment", "commitment"))
_MICROS: Final = 1_000_000  # `expires_at` counts these, `exp` seconds
_SHARED: Final = (
    ("sender", "sender"),
    ("kid", "key"),
    ("recipient", "recipient"),
    ("type", "type"),
    ("purpose", "purpose"),
    ("classification", "classification"),
    ("agreement", "agreement"),
    ("agreement_version", "agreement_version"),
    ("rule", "rule"),
    ("clause", "clause"),
    ("retain_until", "retain_until"),
)
_LISTS: Final = ("reasons", "withheld", "flags")
# Of a refused message the entry repeats only what is a code of ours.
_ALWAYS: Final = frozenset({"transfer", "sender", "key", "commitment"})


class Correspondence:
    """One ledger's rows, looked at some thousand entries at a time: memory stays flat. `findings` says what differs."""

    def __init__(self, database: Database, ledger: str, now: datetime) -> None:
        self._database = database
        self._ledger = ledger
        self.findings = Findings()
        self.compared = 0
        self.few = Few(ledger)
        self.owed = Owed(ledger, now)

    def look(self, first: int, leaves: Sequence[bytes]) -> None:
        """The entries from `first` on, which the tree has. Raises StoreUnavailableError."""
        kinds = _kinds(leaves)
        if not KINDS.isdisjoint(kinds):
            for position, (leaf, kind) in enumerate(zip(leaves, kinds, strict=True), first):
                if kind in KINDS:
                    self.few.note(position, leaf)
        span: dict[str, Any] = {"ledger": self._ledger, "first": first, "end": first + len(leaves)}
        with self._database.reading() as session:
            messages = self._rows(session, span, leaves, kinds, _Message())
            self.owed.look(session, span, messages, leaves, kinds)
            self._rows(session, span, leaves, kinds, _Receipt())
            self._erasures(session, first, leaves, kinds)
            self.compared += self.few.compare_mentions(session, first, first + len(leaves), self.findings)

    def finish(self, size: int, *, whole: bool = True) -> None:
        """After the entries up to `size` were looked at, and with `whole` from the first one on: holds, and what calls itself
        erased or ended. Raises StoreUnavailableError.
        """
        with self._database.reading() as session:
            self.owed.finish(session, size, whole=whole)
            if not whole:
                return
            self.compared += self.few.compare_holds(session, size, self.findings)
            self.few.compare_proposals(session, size)
            self.few.compare_agencies(session, size)
            self._claimed(session, size)

    def _claimed(self, session: Session, size: int) -> None:
        """A message that somebody emptied is not erased: the entry that it names must be that of its erasure."""
        entry = and_(
            col(LedgerEntry.ledger) == col(TransferRow.ledger),
            col(LedgerEntry.position) == col(TransferRow.erased_position),
        )
        claims = (
            select(col(TransferRow.id), col(TransferRow.erased_position), col(LedgerEntry.leaf))
            .outerjoin(LedgerEntry, entry)
            .where(col(TransferRow.ledger) == self._ledger, col(TransferRow.erased_at).is_not(None))
            .execution_options(yield_per=_CLAIMS)
        )
        for transfer, position, leaf in session.connection().execute(claims):
            if position is not None and position >= size:
                continue  # erased since the round began
            told = {} if leaf is None else _read(bytes(leaf))
            if (told.get("kind"), told.get("transfer")) != (TransferErased.kind, transfer):
                self.findings.add(f"{transfer} is marked erased, but no entry says so")

    def _rows(
        self,
        session: Session,
        span: Mapping[str, Any],
        leaves: Sequence[bytes],
        kinds: Sequence[bytes],
        told: "_Message | _Receipt",
    ) -> Sequence[Any]:
        """The rows that have an entry of theirs."""
        first: int = span["first"]
        mine, same = told.kinds, told.same
        wanted = [number for number, kind in enumerate(kinds, first) if kind in mine]
        rows = session.connection().execute(told.statement, span).all()
        if [row[0] for row in rows] != wanted:
            rows = self._matched(rows, set(wanted), told)
        for row in rows:
            leaf = leaves[row[0] - first]
            if not same(row, leaf) and (differing := told.differing(row, _read(leaf))):
                self.findings.add(f"{told.named(row)} differs from entry {row[0]} in {', '.join(differing)}")
        self.compared += len(rows)
        return rows

    def _matched(self, rows: Sequence[Any], wanted: set[int], told: "_Message | _Receipt") -> Sequence[Any]:
        """The rows whose entry is one of theirs; each other row is a finding, and each entry without one."""
        for row in rows:
            if row[0] not in wanted:
                self.findings.add(f"{told.named(row)} names entry {row[0]}, which is about something else")
        for position in sorted(wanted - {row[0] for row in rows}):
            self.findings.add(f"the {told.noun} of entry {position} is gone")
        return [row for row in rows if row[0] in wanted]

    def _erasures(self, session: Session, first: int, leaves: Sequence[bytes], kinds: Sequence[bytes]) -> None:
        """What the ledger calls erased must be so: a table that was restored brings contents back."""
        erased = {
            str(_read(leaves[number]).get("transfer")): first + number
            for number, kind in enumerate(kinds)
            if kind == _ERASED
        }
        if not erased:
            return
        known = select(col(TransferRow.id), col(TransferRow.erased_position)).where(col(TransferRow.id).in_(erased))
        for transfer, position in session.connection().execute(known):
            self.compared += 1
            if position is None:
                self.findings.add(f"{transfer} was erased by entry {erased[transfer]}, and is stored again")
            elif position != erased[transfer]:
                self.findings.add(f"{transfer} names another entry than {erased[transfer]} for its erasure")


class _Message:
    """The row of a judged message beside its entry.

    `same` compares bytes, because a leaf has one spelling, and says yes where it is sure; `differing` takes apart the rest.
    """

    noun: Final = "message"
    kinds: Final = frozenset({_ACCEPTED, _REFUSED})

    @property
    def statement(self) -> Any:
        return _TRANSFERS

    def named(self, row: Any) -> str:
        return f"transfer {row.id}"

    def same(self, row: Any, leaf: bytes) -> bool:
        if _as_written(row, leaf):
            return True
        _, id_, commitment, expires, decision, *lists = row[:8]
        for member, text in zip(_LISTS, lists, strict=True):
            if text != "[]":
                # Taken out, for what is in a list may be spelled like a member beside it.
                before, found, after = leaf.partition(_list(member, text))
                if not found:
                    return False
                leaf = before + after
        if b"[" in leaf and any(f',"{member}":['.encode() in leaf for member in _LISTS):
            return False
        # No value has this comma and quotation mark in it: inside a text the mark stands behind a backslash.
        members = set(leaf[2:-1].split(b',"'))
        said, optional, absent = _members(decision, *row[8:])
        until = b'exp":%d' % _seconds(expires)
        if (
            not said <= members
            or (until not in members and (decision == ACCEPTED or b'"exp":' in leaf))
            or not {b'transfer":"%b"' % id_.encode(), b'commitment":"%b"' % commitment.encode()} <= members
        ):
            return False
        if not optional and not absent:
            return True
        names = {one.partition(b'"')[0] for one in members}
        return absent.isdisjoint(names) and all(one in members or name not in names for one, name in optional)

    def differing(self, row: Any, entry: Mapping[str, Any]) -> Sequence[str]:
        refused = row.decision != ACCEPTED
        differing = []
        if entry.get("kind") != f"transfer.{row.decision}":
            differing.append("kind")
        for column, member in (*_OWN, *_SHARED):
            if refused and member not in entry and member not in _ALWAYS:
                continue
            if entry.get(member) != getattr(row, column):
                differing.append(member)
        if ("exp" in entry or not refused) and entry.get("exp") != _seconds(row.expires_at):
            differing.append("exp")
        differing += [member for member in _LISTS if _told(getattr(row, member)) != entry.get(member, [])]
        return differing


class _Receipt:
    """The row of a recipient's receipt beside its entry."""

    noun: Final = "receipt"
    kinds: Final = frozenset({_ACKNOWLEDGED})

    @property
    def statement(self) -> Any:
        return _RECEIPTS

    def named(self, row: Any) -> str:
        return f"the receipt {row.event} of {row.transfer}"

    def same(self, row: Any, leaf: bytes) -> bool:
        _, transfer, event, jws = row
        digest = hashlib.sha256(jws.encode()).hexdigest()
        # First and last of its members, as it happens.
        return (
            leaf.endswith(f'"transfer":"{transfer}","v":1}}'.encode())
            and leaf.startswith(f'{{"event":"{event}",'.encode())
            and f'"receipt_digest":"{digest}"'.encode() in leaf
        )

    def differing(self, row: Any, entry: Mapping[str, Any]) -> Sequence[str]:
        signed = hashlib.sha256(row.jws.encode()).hexdigest()
        said = {"transfer": row.transfer, "event": row.event, "receipt_digest": signed}
        return [member for member, value in said.items() if entry.get(member) != value]


def _seconds(moment: object) -> int:
    """Of a column; SQLite keeps whatever type somebody wrote."""
    return moment // _MICROS if type(moment) is int else -1


def _kinds(leaves: Sequence[bytes]) -> list[bytes]:
    return [leaf[(at := leaf.find(_KIND) + _BEHIND) : leaf.find(b'"', at)] for leaf in leaves]


def _read(leaf: bytes) -> dict[str, Any]:
    try:
        return decode(leaf)
    except LedgerInvalidError:
        return {}  # check 3 has found it


def _as_written(row: Any, leaf: bytes) -> bool:
    """Whether the leaf is what a gateway writes of a message that refers to no other: byte for byte, its times apart."""
    parts = _parts(*row[4:])
    if len(parts) != _HOLES + 1:
        return False
    agreed, until, middle, before, behind = parts
    head = b"%b%b%b%d%b" % (agreed, row[2].encode(), until, _seconds(row[3]), middle)
    tail = b"%b%b%b" % (before, row[1].encode(), behind)
    start = leaf.find(head)
    return (
        (start == 1 or (start == len(_DEADLINE) and leaf.startswith(_DEADLINE[:_DATED])))
        and leaf.endswith(tail)
        and len(leaf) == start + len(head) + _TIME + len(tail)
    )


@lru_cache(4096)
def _parts(decision: str, reasons: str, withheld: str, flags: str, *values: str | int | None) -> Sequence[bytes]:
    """The leaf of thousands of rows, cut where they differ: commitment, expiry, time, transfer. Without the first bracket."""
    members: dict[str, Any] = {
        member: value for (_, member), value in zip(_SHARED, values, strict=True) if value is not None
    }
    lists = {member: _told(text) for member, text in zip(_LISTS, (reasons, withheld, flags), strict=True)}
    own = dict.fromkeys(("commitment", "time", "transfer"), _HOLE)
    members |= {member: told for member, told in lists.items() if told} | own
    whole = dumps(members | {"v": 1, "kind": f"transfer.{decision}", "exp": 0})
    name, value = b'"exp":', _HOLE.encode()
    return whole[1:].replace(name + b"0,", name + value + b",", 1).split(value)


@lru_cache(4096)
def _members(
    decision: str, *values: str | int | None
) -> tuple[frozenset[bytes], Sequence[tuple[bytes, bytes]], frozenset[bytes]]:
    """What thousands of entries share: members as they stand between two commas, those that a refusal may be without, with
    their names, and the names of those that it must be without.
    """
    said, optional, absent = [b'kind":"transfer.%b"' % decision.encode()], [], []
    for (_, member), value in zip(_SHARED, values, strict=True):
        name = member.encode()
        if value is None:
            absent.append(name)
        elif decision == ACCEPTED or member in _ALWAYS:
            said.append(name + b'":' + dumps(value))
        else:
            optional.append((name + b'":' + dumps(value), name))
    return frozenset(said), optional, frozenset(absent)


@lru_cache(4096)
def _list(member: str, text: str) -> bytes:
    """A list of the row as its entry spells it; it is never the first member."""
    return f',"{member}":'.encode() + dumps(_told(text))


def _told(text: str) -> list[Any]:
    """A list of the row as entries have it: of a reason without its detail, which is words for a caller and no evidence."""
    return [
        {name: value for name, value in one.items() if name != "detail" and value is not None}
        if isinstance(one, dict)
        else one
        for one in json.loads(text)
    ]


_TRANSFERS: Final = (
    select(
        col(TransferRow.position),
        *(getattr(TransferRow, column) for column, _ in _OWN),
        col(TransferRow.expires_at),
        col(TransferRow.decision),
        *(getattr(TransferRow, column) for column in _LISTS),
        *(getattr(TransferRow, column) for column, _ in _SHARED),
    )
    .where(
        col(TransferRow.ledger) == bindparam("ledger"),
        col(TransferRow.position) >= bindparam("first"),
        col(TransferRow.position) < bindparam("end"),
    )
    .order_by(col(TransferRow.position))
)
_RECEIPTS: Final = (
    select(
        col(AcknowledgementRow.position),
        col(AcknowledgementRow.transfer),
        col(AcknowledgementRow.event),
        col(AcknowledgementRow.jws),
    )
    .where(
        col(AcknowledgementRow.ledger) == bindparam("ledger"),
        col(AcknowledgementRow.position) >= bindparam("first"),
        col(AcknowledgementRow.position) < bindparam("end"),
    )
    .order_by(col(AcknowledgementRow.position))
)
