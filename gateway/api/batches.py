"""`POST /v1/messages:batch`: many messages in one request, each judged alone and answered as if it had come alone.

Decides how they share the event loop with everybody else's requests, and that one line's fault is one line's answer.
What becomes of a message is decided in `messages.py`, as for a single one.
"""

import asyncio
from typing import Any, Final

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import messages, shapes
from gateway.api.admission import AT_WORK
from gateway.api.body import read_body, require_media_type
from gateway.api.context import Context, context, json_response
from gateway.api.problems import error_body, language
from gateway.errors import GatewayError, StoreUnavailableError
from gateway.message import batch

PATH: Final = "/v1/messages:batch"
# So many are judged before the loop looks after other requests again: a batch must not stand in an early warning's way.
_STRIDE: Final = 16
# Half of what is judged and recorded at a time (`admission.py`): the queue at the door is for those who send one message,
# and a batch that waits in it line by line would have half of its own lines refused.
_TOGETHER: Final = AT_WORK // 2
_UNKNOWN: Final = 500
router: Final = APIRouter(tags=["messages"])
_log = structlog.get_logger("sinergi.message")


@router.post(
    PATH,
    summary="Send many signed messages",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {batch.MEDIA_TYPE: {"schema": {"type": "string"}, "example": f"{shapes.MESSAGE_EXAMPLE}\n"}},
        }
    },
    responses=shapes.answers(200, of=shapes.Batched) | shapes.problems(400, 408, 413, 415),
)
async def send_batch(request: Request) -> Response:
    """A line a message, as `POST /v1/messages` takes it; a result a line, in their order, as it would answer.

    Each result has the `status` of that answer and its members. Whatever becomes of one line says nothing of the others.
    """
    here = context(request)
    require_media_type(request, batch.MEDIA_TYPE)
    raw = await read_body(request, batch.BYTES_LIMIT, here.gateway.settings.server.body_timeout)
    results, retry_after = await _judged(here, batch.split(raw), language(request))
    # Some of them are not known to be recorded: the same batch can be sent again, as a single message can.
    headers: dict[str, str] = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return json_response({"results": results}, 200, **headers)


async def _judged(here: Context, lines: list[bytes], lang: str) -> tuple[list[dict[str, Any]], int | None]:
    """A result a line, and when the ones that failed at the store should come again."""
    tasks: list[asyncio.Task[dict[str, Any] | GatewayError]] = []
    together = asyncio.Semaphore(_TOGETHER)

    async def one(line: bytes) -> dict[str, Any] | GatewayError:
        async with together:
            return await _one(here, line, lang)

    for number, line in enumerate(lines, 1):
        tasks.append(asyncio.create_task(one(line)))
        if number % _STRIDE == 0:
            await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks)
    failures = [answer for answer in answers if isinstance(answer, GatewayError) and answer.status >= _UNKNOWN]
    if failures:
        codes = sorted({failure.code for failure in failures})
        _log.error("batch_failed", codes=codes, messages=len(failures), of=len(lines))
    waits = [failure.retry_after for failure in failures if isinstance(failure, StoreUnavailableError)]
    results = [error_body(answer, lang) if isinstance(answer, GatewayError) else answer for answer in answers]
    return results, max(waits, default=None)


async def _one(here: Context, raw: bytes, lang: str) -> dict[str, Any] | GatewayError:
    try:
        status, body = messages.answer(await messages.take(here, raw), lang)
    except GatewayError as error:
        return error
    except Exception as error:  # noqa: BLE001 - of one line: the others have answers, perhaps receipts
        # The type alone: an exception's text may quote what was sent.
        _log.error("unexpected", error=type(error).__name__)
        return GatewayError()
    return {"status": status} | body
