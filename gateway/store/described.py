"""Agencies as the ledger tells of them: each was added once, and its newest entry says how it stands and where it is called.

Whoever can write the database can send what is meant for an agency somewhere else. Decides what the digest of an agency's
public description is of, and for an audit which row says something else than the entries. It does not cover the path of an
authority's certificate: each node has its own file.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import rfc8785
from sqlalchemy import select
from sqlmodel import Session, col

from gateway.errors import LedgerInvalidError
from gateway.ledger.entry import AgencyAdded, AgencyChanged, OperatorAct, decode
from gateway.ledger.verify import Findings
from gateway.store.tables import AgencyRow

PAUSED: Final = "endpoint-paused"
"""The status in the entry of a pause that delivery put on an endpoint; in the row it is a column of its own."""
_SET: Final = "agencies.set/"
_RESUMED: Final = "pause"
_KINDS: Final = frozenset({AgencyAdded.kind, AgencyChanged.kind})
_SPELLED_SET: Final = b'"what":"%b' % _SET.encode()
KINDS: Final = frozenset(kind.encode() for kind in _KINDS)
SPELLED: Final = (*(b'"kind":"%b"' % kind for kind in sorted(KINDS)), _SPELLED_SET)
_COLUMNS: Final = (
    "id", "name", "status", "paused_reason", "endpoint_url", "endpoint_networks", "liaison_url", "liaison_networks",
)  # fmt: skip


def description(row: Any) -> str:
    """Digest of what the other agencies may know: RFC 8785 of id, name and endpoints."""
    members: dict[str, Any] = {"id": row.id, "name": row.name}
    if row.endpoint_url is not None:
        members["endpoint"] = {"url": row.endpoint_url, "networks": row.endpoint_networks.split()}
    if row.liaison_url is not None:
        members["liaison_endpoint"] = {"url": row.liaison_url, "networks": row.liaison_networks.split()}
    return hashlib.sha256(rfc8785.dumps(members)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Stands:
    """How an agency stands after an entry. `digest` is None where no entry gave one."""

    position: int
    status: str | None = None
    digest: str | None = None
    paused: bool = False


class Described:
    """For an audit of the gateway's own ledger. Memory holds a line for each agency."""

    def __init__(self) -> None:
        self._stands: dict[str, _Stands] = {}
        self.findings = Findings()
        self.looked = 0

    def note(self, position: int, leaf: bytes) -> tuple[str, _Stands] | None:
        """An entry about an agency, or of an operator's act; what it makes of which agency."""
        if not any(spelled in leaf for spelled in SPELLED):
            return None  # another act
        try:
            entry: Mapping[str, Any] = decode(leaf)
        except LedgerInvalidError:
            return None  # check 3 has found it
        kind, agency = entry["kind"], str(entry.get("agency", entry.get("about")))
        stands = self._stands.get(agency, _Stands(position))
        if kind == OperatorAct.kind:
            what = str(entry["what"])
            if agency not in self._stands or _RESUMED not in what.removeprefix(_SET).split("+"):
                return None
            stands = replace(stands, paused=False)
        elif kind not in _KINDS:
            return None
        elif entry.get("status") == PAUSED:
            stands = replace(stands, position=position, paused=True)
        else:
            stands = replace(
                stands,
                position=position,
                status=entry.get("status", stands.status),
                digest=entry.get("digest", stands.digest),
            )
        self._stands[agency] = stands
        return agency, stands

    def compare(self, rows: Sequence[Any], later: Iterable[tuple[int, bytes]]) -> None:
        """After every entry up to some size was noted: the rows, read after that, and the entries since, read after the rows.

        A row may be of any moment in between: it says what one of these entries says.
        """
        before = frozenset(self._stands)
        said = {agency: [stands] for agency, stands in self._stands.items()}
        for position, leaf in later:
            if (told := self.note(position, leaf)) is not None:
                said.setdefault(told[0], []).append(told[1])
        for row in rows:
            self.looked += 1
            if (stands := said.get(row.id)) is None:
                self.findings.add(f"the agency {row.id} was added by no entry")
            elif differing := min((_differing(row, one) for one in stands), key=len):
                self.findings.add(f"{row.id} differs from entry {stands[-1].position} in {', '.join(differing)}")
        for gone in sorted(before - {row.id for row in rows}):
            self.findings.add(f"the agency {gone} is gone")


def _differing(row: Any, stands: _Stands) -> Sequence[str]:
    differing = []
    if row.status != stands.status:
        differing.append("status")
    if (row.paused_reason is not None) != stands.paused:
        differing.append("the pause of its endpoint")
    try:
        digest = description(row)
    except (AttributeError, TypeError, rfc8785.CanonicalizationError):
        digest = None  # no text: SQLite keeps whatever type somebody wrote
    if digest is None or digest != stands.digest:
        differing.append("name, endpoint or liaison")
    return differing


def read_rows(session: Session) -> Sequence[Any]:
    """Each agency's columns, as they are stored."""
    columns = (getattr(AgencyRow, column) for column in _COLUMNS)
    return session.connection().execute(select(*columns).order_by(col(AgencyRow.id))).all()
