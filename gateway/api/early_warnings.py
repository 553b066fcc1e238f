"""`GET /v1/early-warnings/summary`: how fast early warnings are answered, by village and by unit. Figures, never a message."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import auth, shapes
from gateway.api.audit import TEXT_LIMIT, read_moment, record_read
from gateway.api.context import context, json_response
from gateway.early_warning import summarise
from gateway.errors import CallerError
from gateway.ledger.entry import recordable, timestamp
from gateway.store import early_warnings
from gateway.store.early_warnings import Question
from gateway.store.tables import micros

router: Final = APIRouter(tags=["audit"])
PERIOD: Final = timedelta(days=90)
LONGEST: Final = timedelta(days=366)
_FILTERS: Final = ("from", "to", "sender", "recipient")


@router.get(
    "/v1/early-warnings/summary",
    summary="Response times of early warnings",
    responses=shapes.answers(200, of=shapes.EarlyWarningSummary) | shapes.problems(400, 401, 503),
)
async def summary(
    request: Request,
    from_: Annotated[str | None, Query(alias="from", description="RFC 3339, inclusive; 90 days before `to`")] = None,
    to: Annotated[str | None, Query(description="RFC 3339, exclusive; now")] = None,
    sender: str | None = None,
    recipient: str | None = None,
) -> Response:
    """Early warnings that were accepted in at most 366 days. An agency sees those that it sent or received."""
    here = context(request)
    who = await auth.agency_or_auditor(request, here.gateway)
    if unknown := set(request.query_params) - set(_FILTERS):
        raise CallerError(f"{len(unknown)} unknown parameters")
    given = {"from": from_, "to": to, "sender": sender, "recipient": recipient}
    filters = {name: value for name, value in given.items() if value is not None}
    now = here.gateway.clock()
    since, until = _period(filters, now)
    agencies = here.gateway.configuration.current().directory.agencies
    for name in ("sender", "recipient"):
        if name in filters and filters[name] not in agencies:
            raise CallerError(f"{name} is no agency's id", pointer=f"/{name}")
    question = Question(
        micros(since), micros(until), sender, recipient, party=None if isinstance(who, auth.Auditor) else who
    )

    def look() -> dict[str, Any]:
        with here.gateway.store.database.reading() as session:
            return summarise(early_warnings.counted(session, question), micros(now))

    found = await asyncio.to_thread(look)
    if isinstance(who, auth.Auditor):
        recorded = {name: recordable(value) for name, value in filters.items()}
        await record_read(here, who, "early-warnings.summary", recorded, found["total"]["count"])
    return json_response({"from": timestamp(since), "to": timestamp(until)} | found)


def _period(filters: dict[str, str], now: datetime) -> tuple[datetime, datetime]:
    for name, value in filters.items():
        if not 1 <= len(value) <= TEXT_LIMIT or not value.isprintable():
            raise CallerError(f"{name} must be 1 to {TEXT_LIMIT} printable characters", pointer=f"/{name}")
    until = read_moment(filters, "to") or now
    try:
        since = read_moment(filters, "from") or until - PERIOD
        too_long = until - since > LONGEST
    except OverflowError as error:
        raise CallerError("to is too early", pointer="/to") from error
    if since > until or too_long:
        raise CallerError(f"from must be before to, by at most {LONGEST.days} days", pointer="/from")
    return since, until
