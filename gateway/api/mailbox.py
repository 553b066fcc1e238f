"""`GET /v1/inbox` and `POST /v1/acknowledgements`: how a recipient takes messages and signs for them."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import auth, shapes
from gateway.api.body import read_json
from gateway.api.context import context, json_response
from gateway.delivery.inbox import Inbox
from gateway.delivery.page import Page
from gateway.errors import CallerError
from gateway.statements.receipt import RECEIPT_LIMIT

router: Final = APIRouter(tags=["delivery"])
PAGE_LIMIT: Final = 100
_BODY_LIMIT: Final = PAGE_LIMIT * (RECEIPT_LIMIT + 8) + 64


@router.get(
    "/v1/inbox",
    summary="Take waiting messages",
    responses=shapes.answers(200, of=shapes.Inbox) | shapes.problems(400, 401, 503),
)
async def inbox(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="Messages at most")] = PAGE_LIMIT,
    wait: Annotated[int, Query(ge=0, le=60, description="Seconds to wait when nothing is there")] = 0,
) -> Response:
    """Each item is handed out for 60 s and again after that, until a receipt for it is recorded."""
    here = context(request)
    agency = await auth.agency(request, here.gateway)
    seconds = 0 if here.draining else min(wait, here.gateway.settings.delivery.max_wait)
    page = await _while_there(request, here.inbox.take(agency, limit, seconds), here.inbox)
    return json_response(page.as_json())


async def _while_there(request: Request, taking: Coroutine[Any, Any, Page], inbox: Inbox) -> Page:
    """Ends when the caller goes away: what a connection without a reader is handed, nobody else would get until the lease ends.

    Beyond this point the answer is on its way: who leaves then gets its messages when their lease ends.
    """
    page, leaving = asyncio.create_task(taking), asyncio.create_task(_leaves(request))
    tasks = (page, leaving)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not leaving.done():
            return page.result()
        if page.done() and page.exception() is None:
            inbox.give_back(page.result())
        leaving.result()
        return Page()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _leaves(request: Request) -> None:
    """Raises CallerError at the first byte of a body: nobody reads it, and it would take others' room while the call waits."""
    while (message := await request.receive())["type"] != "http.disconnect":
        if message.get("body"):
            raise CallerError("a call for waiting messages has no body")


@router.post(
    "/v1/acknowledgements",
    summary="Hand in signed receipts",
    responses=shapes.answers(200, of=shapes.Acknowledged) | shapes.problems(400, 401, 408, 413, 415, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": shapes.ACKNOWLEDGEMENTS, "example": shapes.ACKNOWLEDGEMENTS_EXAMPLE}
            },
        }
    },
)
async def acknowledge(request: Request) -> Response:
    """Each receipt is judged alone: `recorded`, `duplicate` or `refused`."""
    here = context(request)
    body = await read_json(request, _BODY_LIMIT, here.gateway.settings.server.body_timeout)
    agency = await auth.agency(request, here.gateway)
    texts = body.get("acknowledgements")
    if body.keys() != {"acknowledgements"} or not isinstance(texts, list) or not 1 <= len(texts) <= PAGE_LIMIT:
        raise CallerError("the body must be {acknowledgements: [1 to 100 receipts]}", pointer="/acknowledgements")
    if not all(isinstance(text, str) for text in texts):
        raise CallerError("a receipt is a string", pointer="/acknowledgements")
    results = await here.acknowledgements.record(texts, agency)
    return json_response({"results": [result.as_json() for result in results]})
