"""`POST /v1/agencies/{id}/keys`: an agency hands in the statement of its next key. Two operators decide."""

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import auth, shapes
from gateway.api.body import read_body, require_media_type
from gateway.api.context import context, json_response
from gateway.errors import AccessDeniedError, CallerError
from gateway.statements.key_statement import FILE_LIMIT, verify_statement
from gateway.store.jobs.events import HandInStatement
from gateway.store.tables import micros

router: Final = APIRouter(tags=["registry"])


@router.post(
    "/v1/agencies/{agency}/keys",
    summary="Hand in the statement of the agency's next key",
    status_code=202,
    responses=shapes.answers(202, of=shapes.Described) | shapes.problems(400, 401, 403, 408, 413, 415, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["statement", "endorsement"],
                        "properties": {"statement": {"type": "string"}, "endorsement": {"type": "string"}},
                        "additionalProperties": False,
                    },
                    "example": {"statement": "eyJhbGciOiJFZERTQSIs…", "endorsement": "eyJhbGciOiJFZERTQSIs…"},
                }
            },
        }
    },
)
async def hand_in(request: Request, agency: str) -> Response:
    """It is verified and waits; a newer one takes its place. The key counts once two operators have admitted it."""
    here = context(request)
    gateway = here.gateway
    require_media_type(request, "application/json")
    raw = await read_body(request, FILE_LIMIT, gateway.settings.server.body_timeout)
    if await auth.agency(request, gateway) != agency:
        raise AccessDeniedError("an agency hands in its own keys alone")
    try:
        text = raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise CallerError("the body is not UTF-8") from error
    now = gateway.clock()
    directory = (await asyncio.to_thread(gateway.configuration.reload)).directory
    said = verify_statement(text, gateway.settings.gateway.id, directory, now)
    if said.agency != agency:
        raise AccessDeniedError("the statement is another agency's")
    row = {
        "agency": agency,
        "digest": said.digest,
        "kid": said.key.kid,
        "use": said.use,
        "statement": text,
        "received_at": micros(now),
    }
    await gateway.store.recorder.record(HandInStatement(row))
    return json_response({"statement": said.digest, "kid": said.key.kid, "use": said.use, "status": "waiting"}, 202)
