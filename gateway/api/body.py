"""Request bodies: bounded in size and in time before anything is made of them."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from gateway.errors import CallerError, TooLargeError
from gateway.jose import strict_json


def require_media_type(request: Request, expected: str) -> None:
    """Raises CallerError (`request.media-type`); parameters are ignored."""
    given = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if given != expected:
        raise CallerError(f"the content type must be {expected}", code="request.media-type")


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The exact bytes. Raises TooLargeError as soon as they exceed `limit`, CallerError when they come too slowly."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLargeError(f"a body may have {limit} bytes")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise TooLargeError(f"a body may have {limit} bytes")
                chunks.append(chunk)
    except ClientDisconnect as error:
        raise CallerError("the caller closed the connection") from error
    except TimeoutError as error:
        raise CallerError(f"the body took longer than {seconds:g} s", code="request.timeout") from error
    return b"".join(chunks)


async def read_json(request: Request, limit: int, seconds: float) -> dict[str, object]:
    """A JSON object (RFC 7493). Raises CallerError (`request.malformed`)."""
    require_media_type(request, "application/json")
    raw = await read_body(request, limit, seconds)
    try:
        value = strict_json(raw, "the body", 8)
    except CallerError as error:
        raise CallerError(error.detail) from error
    if not isinstance(value, dict):
        raise CallerError("the body must be a JSON object")
    return value
