"""Agencies: who takes part, under which name, in which state, and where the gateway calls them.

Decides what takes two operators: where messages and notices go, because another address gets what was meant for this agency;
and to lift a suspension. One alone may suspend, and stop the pushes to an endpoint.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select, update
from sqlmodel import col

from gateway.errors import OperatorError
from gateway.founding import RefusedError, require_code
from gateway.keys.directory import ACTIVE, SUSPENDED, Endpoint, require_agency_id
from gateway.ledger.entry import AgencyAdded, AgencyChanged
from gateway.operations.acts import ConflictError, Who, act, authority, require_two
from gateway.store.described import description
from gateway.store.recorder import Transaction
from gateway.store.tables import AgencyRow
from gateway.wiring import Store, now


def add_agency(
    store: Store,
    agency: str,
    name: str,
    *,
    endpoint: Endpoint | None = None,
    liaison: Endpoint | None = None,
    why: str,
    who: Who,
) -> None:
    """A new agency, active at once. Raises RefusedError when there is one of this id; with an endpoint it takes two operators."""
    require_agency_id(agency)
    if agency == store.settings.gateway.id:
        raise RefusedError("an agency cannot have the gateway's own id")
    time, code = now(), require_code(why, "the reason")
    row = AgencyRow(id=agency, name=name, status=ACTIVE)
    _place_endpoint(row, endpoint)
    _place_liaison(row, liaison)

    def unknown(transaction: Transaction) -> None:
        if locked_row(transaction, agency) is not None:
            raise ConflictError(f"there is an agency {agency} already")
        if endpoint is not None or liaison is not None:
            require_two(transaction, who, time)

    entries = (
        AgencyAdded(time=time, agency=agency, status=ACTIVE, digest=description(row)),
        authority(who).entry(time, "agencies.add", why=code, about=agency),
    )
    act(store, entries, unknown, rows=[(AgencyRow, row.model_dump())])


def change_agency(
    store: Store,
    agency: str,
    *,
    why: str,
    who: Who,
    name: str | None = None,
    status: str | None = None,
    endpoint: Endpoint | None = None,
    remove_endpoint: bool = False,
    resume: bool = False,
    liaison: Endpoint | None = None,
    remove_liaison: bool = False,
) -> None:
    """Changes what is given. `resume` lifts the pause that delivery put on an endpoint, and so does a new endpoint."""
    if status not in (None, ACTIVE, SUSPENDED):
        raise OperatorError(f"an agency's status is {ACTIVE} or {SUSPENDED}")
    if (endpoint is not None and remove_endpoint) or (liaison is not None and remove_liaison):
        raise OperatorError("an endpoint cannot be set and removed at once")
    time, code = now(), require_code(why, "the reason")
    with store.database.reading() as session:
        row = session.get(AgencyRow, agency)
    if row is None:
        raise RefusedError(f"there is no agency {agency}")
    before = row.model_dump()
    row.name, row.status = name or row.name, status or row.status
    if endpoint is not None or remove_endpoint:
        _place_endpoint(row, endpoint)
    if liaison is not None or remove_liaison:
        _place_liaison(row, liaison)
    if resume:
        row.paused_reason = None
    after = row.model_dump()
    if after == before:
        raise RefusedError("nothing would change")

    def unchanged(transaction: Transaction) -> None:
        held = locked_row(transaction, agency)
        if held is None or dict(held) != before:
            raise ConflictError(f"{agency} was changed by somebody else: look again")
        if takes_two(before, after):
            require_two(transaction, who, time)
        transaction.connection.execute(update(AgencyRow).where(col(AgencyRow.id) == agency).values(**after))

    changed = "+".join(sorted({_PARTS[member] for member in after if after[member] != before[member]}))
    entries = (
        AgencyChanged(time=time, agency=agency, status=row.status, digest=description(row)),
        authority(who).entry(time, f"agencies.set/{changed}", why=code, about=agency),
    )
    act(store, entries, unchanged)


# What an act's entry says was changed, by column.
_PARTS: Final = {"name": "name", "status": "status", "paused_reason": "pause"} | {
    f"{which}_{column}": which for which in ("endpoint", "liaison") for column in ("url", "networks", "ca_file")
}


def takes_two(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the change sends something elsewhere, or lifts a suspension."""
    for which in ("endpoint", "liaison"):
        places = [[row[f"{which}_{column}"] for column in ("url", "networks", "ca_file")] for row in (before, after)]
        if places[0] != places[1] and after[f"{which}_url"] is not None:
            return True
    return bool(after["status"] == ACTIVE and before["status"] != ACTIVE)


def locked_row(transaction: Transaction, agency: str) -> Any:
    table = AgencyRow.__table__  # type: ignore[attr-defined]  # SQLModel makes it
    found = select(*table.columns).where(col(AgencyRow.id) == agency).with_for_update()
    return transaction.connection.execute(found).mappings().one_or_none()


def _place_endpoint(row: AgencyRow, endpoint: Endpoint | None) -> None:
    row.endpoint_url = None if endpoint is None else endpoint.url
    row.endpoint_networks = "" if endpoint is None else " ".join(map(str, endpoint.networks))
    row.endpoint_ca_file = None if endpoint is None else endpoint.ca_file
    row.paused_reason = None


def _place_liaison(row: AgencyRow, liaison: Endpoint | None) -> None:
    row.liaison_url = None if liaison is None else liaison.url
    row.liaison_networks = "" if liaison is None else " ".join(map(str, liaison.networks))
    row.liaison_ca_file = None if liaison is None else liaison.ca_file
