"""The register of persons' requests: what was asked, by when an answer was due, what came of it.

The numbers and dates are told to whoever runs the gateway. Which transfers a request was about is opened for one request at a
time, and that is recorded before it is told: they are all of one person. UU 27/2022 Arts 30 and 32: within 3×24 hours.
"""

import json
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from gateway.data_protection.data_subjects import DETAIL_PART, OPERATOR, WITHIN
from gateway.founding import RefusedError, require_code
from gateway.ledger.entry import AuditRead, recordable, timestamp
from gateway.operations.acts import record
from gateway.record import OWN_LEDGER
from gateway.store.jobs.events import RecordEvent
from gateway.store.sealing import Sealer
from gateway.store.tables import SubjectRequestRow, moment
from gateway.wiring import Store, now


def listed(store: Store, *, why: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """The newest first; with `why`, those of that number alone."""
    asked = select(SubjectRequestRow).order_by(col(SubjectRequestRow.id).desc()).limit(limit)
    if why is not None:
        asked = asked.where(col(SubjectRequestRow.why) == require_code(why, "the request's number"))
    with store.database.reading() as session:
        return [_told(row) for row in session.scalars(asked)]


def shown(store: Store, request: str, who: str) -> dict[str, Any]:
    """One request with what is sealed: the transfers, and for an erasure what was erased and why each other one was kept.

    An erasure that was cut short has no `erased`. Raises RefusedError where there is no such request, KeyringError where its
    row was altered.
    """
    require_code(who, "the operator")
    with store.database.reading() as session:
        row = session.get(SubjectRequestRow, request)
        if row is None:
            raise RefusedError("there is no such request")
        told, sealed = _told(row), (row.id, row.storage_key, row.wrapped_key)
        opened = Sealer(store.keys.storage).unwrap(*sealed).open(DETAIL_PART, row.sealed_detail)
    read = AuditRead(
        time=now(),
        auditor=who,
        role=OPERATOR,
        what="subjects.show",
        filters={"request": recordable(request)},
        results=1,
    )
    record(store, RecordEvent(OWN_LEDGER, [read]))
    detail: dict[str, Any] = json.loads(opened)
    return told | detail


def _told(row: SubjectRequestRow) -> dict[str, Any]:
    requested_at, recorded_at = moment(row.requested_at), moment(row.recorded_at)
    return {
        "request": row.id,
        "what": row.what,
        "why": row.why,
        "who": row.who,
        "requested_at": timestamp(requested_at),
        "due_by": timestamp(requested_at + WITHIN),
        "recorded_at": timestamp(recorded_at),
        "in_time": recorded_at <= requested_at + WITHIN,
    }
