"""A witness over HTTP: `POST /add-checkpoint`, and the latest checkpoint of each log for whoever wants to compare.

Decides nothing about checkpoints (`admission.py`) and remembers nothing (`memory.py`). There is no authentication: what
is submitted is signed by its log, and what is shown is public.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.errors import OperatorError, StoreUnavailableError
from gateway.ledger.add_checkpoint import BODY_LIMIT, PATH, SIZE_MEDIA_TYPE, monitoring_path
from gateway.ledger.cosignature import Cosigner, with_signatures
from gateway.ledger.note import NoteVerifier, parse_note
from gateway.witness.admission import FORKED, MALFORMED, STATUS, NotCosignedError, read_submission
from gateway.witness.memory import Memory
from gateway.witness.settings import load

BODY_SECONDS: Final = 10.0
_log: Final = structlog.get_logger("sinergi.witness")
Logs = Mapping[str, Sequence[NoteVerifier]]


class Known:
    """The logs of the settings file, read again when the file has changed. A file that became invalid is not heeded."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._logs: Logs = load(file).logs
        self._seen = self._mark()

    def __call__(self) -> Logs:
        mark = self._mark()
        if mark != self._seen:
            self._seen = mark
            try:
                self._logs = load(self._file).logs
                _log.info("logs_read", logs=len(self._logs))
            except OperatorError as error:
                _log.error("settings_invalid", detail=error.detail)
        return self._logs

    def _mark(self) -> tuple[int, int, int]:
        try:
            status = self._file.stat()
        except OSError:
            return (0, 0, 0)
        return status.st_mtime_ns, status.st_size, status.st_ino


class Witness:
    """The ASGI app. `logs` is asked for each request."""

    def __init__(
        self,
        cosigner: Cosigner,
        memory: Memory,
        logs: Callable[[], Logs],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cosigner = cosigner
        self._memory = memory
        self._logs = logs
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            request = Request(scope, receive)
            response = await self._answer(request)
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path, method = request.url.path, request.method
        if path == "/healthz":
            return PlainTextResponse("ok\n")
        if path == PATH:
            return await self._add(request) if method == "POST" else _plain(405, "POST only")
        origin = next((origin for origin in self._logs() if monitoring_path(origin) == path), None)
        if origin is None:
            return _plain(404, "not found")
        if method not in ("GET", "HEAD"):
            return _plain(405, "GET only")
        return await asyncio.to_thread(self._show, origin)

    async def _add(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _bounded(request)
        except (TimeoutError, ClientDisconnect):
            return _plain(408, "the body came too slowly")
        if body is None:
            return _plain(413, f"a request is at most {BODY_LIMIT} bytes")
        try:
            return await asyncio.to_thread(self._cosign, body)
        except NotCosignedError as error:
            # A kind of our own table: what was submitted is not quoted.
            level = _log.error if error.kind == FORKED else _log.info
            level("not_cosigned", kind=error.kind)
            if error.held is not None:
                return Response(f"{error.held}\n", 409, media_type=None, headers={"content-type": SIZE_MEDIA_TYPE})
            return _plain(STATUS.get(error.kind, STATUS[MALFORMED]), error.detail)
        except StoreUnavailableError as error:
            _log.error("memory_unavailable", detail=error.detail)
            return _plain(503, "try again")

    def _cosign(self, body: bytes) -> Response:
        submission = read_submission(body, self._logs())
        held = self._memory.cosign(submission, int(self._clock()))
        # The commit point is behind us: only what is remembered is signed.
        line = self._cosigner.cosign(submission.checkpoint.format(), held.time).line()
        _log.info("cosigned", origin=submission.checkpoint.origin, size=held.size)
        return Response(line, 200, media_type="text/plain; charset=utf-8")

    def _show(self, origin: str) -> Response:
        held = self._memory.held(origin)
        if held is None:
            return _plain(404, "nothing cosigned yet")
        line = self._cosigner.cosign(parse_note(held.note).text, held.time)
        return Response(with_signatures(held.note, [line]), 200, media_type="text/plain; charset=utf-8")


async def _bounded(request: Request) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            return None
        parts.append(part)
    return b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _plain(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)


def options(host: str, port: int, certificate: Path | None, key: Path | None) -> dict[str, Any]:
    """What uvicorn is started with."""
    tls: dict[str, Any] = {}
    if certificate is not None and key is not None:
        tls = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    elif certificate is not None or key is not None:
        raise OperatorError("TLS needs both witness.tls_certificate and witness.tls_key")
    return {
        "host": host,
        "port": port,
        "loop": "uvloop",
        "http": "httptools",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 5,
        "limit_concurrency": 256,
    } | tls
