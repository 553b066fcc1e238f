"""The application: routers, one way for every error to leave, and the delivery worker's life."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import __version__
from gateway.api import (
    agency_keys,
    audit,
    batches,
    early_warnings,
    ledger,
    mailbox,
    messages,
    operations,
    registry,
    shapes,
)
from gateway.api.admission import Admission, Door
from gateway.api.context import Context
from gateway.api.problems import problem
from gateway.attestation.wiring import collector
from gateway.delivery.acknowledge import Acknowledgements
from gateway.delivery.inbox import Inbox
from gateway.delivery.worker import Worker
from gateway.errors import CODES, BusyError, CallerError, GatewayError, Reason
from gateway.key_management.confirmation import confirmation
from gateway.record import OWN_LEDGER
from gateway.retention import Retention
from gateway.store.nodes import Presence
from gateway.store.patrol import Patrol
from gateway.telemetry import Metrics
from gateway.wiring import Gateway

_log = structlog.get_logger("sinergi.http")
_BY_STATUS: Final = {404: "request.not-found", 405: "request.method"}


class _Application(FastAPI):
    """The one call that every message makes goes straight to its endpoint, with the errors and the door of all others.

    Routing, dependencies and the framework's own wrappings, of which it needs none, would cost more than its ledger entry.
    It is a route all the same: for OpenAPI, and for every other method.
    """

    straight: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == messages.PATH and scope["method"] == "POST":
            scope["app"], scope["route"] = self, _MESSAGES
            await self.straight(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


_MESSAGES: Final = next(route for route in messages.router.routes if getattr(route, "path", None) == messages.PATH)


async def _send(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive, send)
    try:
        response = await messages.send(request)
    except GatewayError as error:
        response = _gateway_error(request, error)
    await response(scope, receive, send)


def create_app(gateway: Gateway) -> FastAPI:
    context = _context(gateway)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await context.attestations.start()
        await context.certificates.start()
        await context.worker.start()
        context.patrol.start()
        try:
            yield
        finally:
            await asyncio.to_thread(context.patrol.stop)
            await context.worker.stop()
            await context.certificates.stop()
            await context.attestations.stop()

    app = _Application(
        title="Sinergi",
        version=__version__,
        summary="Inter-agency data exchange gateway",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Served below: FastAPI's own route writes the document anew for each caller, which costs as much as ten messages.
        openapi_url=None,
        # Sinergi's own table of codes is the contract; the framework's 422 is never sent.
        responses={},
    )
    app.state.context = context
    for router in (messages, batches, mailbox, registry, agency_keys, audit, early_warnings, ledger, operations):
        app.include_router(router.router)
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Door, admission=context.admission)
    app.add_middleware(_Outermost, metrics=context.metrics)
    app.straight = _Outermost(Door(_send, context.admission), context.metrics)
    _describe(app)
    return app


def _context(gateway: Gateway) -> Context:
    settings, store, metrics = gateway.settings, gateway.store, Metrics()
    acknowledgements = Acknowledgements(
        gateway_id=settings.gateway.id,
        configuration=gateway.configuration,
        database=store.database,
        recorder=store.recorder,
        sealer=gateway.sealer,
        clock=gateway.clock,
        limits=gateway.exchange.limits,
        metrics=metrics,
    )
    inbox = Inbox(
        database=store.database,
        recorder=store.recorder,
        sealer=gateway.sealer,
        clock=gateway.clock,
        settings=settings.delivery,
    )
    worker = Worker(
        gateway_id=settings.gateway.id,
        configuration=gateway.configuration,
        database=store.database,
        recorder=store.recorder,
        sealer=gateway.sealer,
        signer=lambda: store.keys.sign,
        requests=lambda: store.keys.request,
        acknowledgements=acknowledgements,
        checkpoints=store.checkpoints,
        settings=settings.delivery,
        clock=gateway.clock,
        metrics=metrics,
        retention=Retention.of(settings.retention, store.database, store.recorder, OWN_LEDGER, gateway.clock),
        presence=presence(gateway),
    )
    patrol = Patrol(
        database=store.database,
        keys=store.keys.checkpoint,
        recorder=store.recorder,
        settings=settings.audit,
        clock=gateway.clock,
        metrics=metrics,
    )
    return Context(
        gateway,
        acknowledgements,
        inbox,
        worker,
        collector(gateway, metrics),
        patrol,
        confirmation(gateway, metrics),
        metrics,
        Admission(settings.server, metrics),
    )


def presence(gateway: Gateway) -> Presence | None:
    """On PostgreSQL, where there may be other nodes."""
    store = gateway.store
    if store.database.is_sqlite:
        return None
    return Presence(
        store.database, store.recorder, gateway.configuration, store.keys.opens, lambda: len(store.keys.faults)
    )


def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    # What there was no room for has its own line, not one a request.
    if error.status >= 500 and not isinstance(error, BusyError):  # noqa: PLR2004
        _log.error("request_failed", code=error.code, detail=error.detail)
    return problem(request, error)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The place and the rule, not the value that broke it.
    reasons = [
        Reason(
            "request.malformed", pointer="/" + "/".join(str(part) for part in fault["loc"][1:]), detail=fault["type"]
        )
        for fault in error.errors()
    ]
    return problem(request, CallerError("a parameter is not valid", reasons=reasons))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem(request, CallerError(code=_BY_STATUS.get(error.status_code, "request.malformed")))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


class _Outermost:
    """Counts every answer by route; turns what nobody expected into `gateway.internal` without showing it to anyone."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watching)
        except Exception as error:  # noqa: BLE001 - the outermost place there is
            # The type and the place only: an exception's text may quote what was sent.
            _log.error("unexpected", error=type(error).__name__, at=_place(error))
            if status == 0:
                await problem(Request(scope), GatewayError())(scope, receive, watching)
        finally:
            # The template, never the path: a path can hold anything.
            self.metrics.request(getattr(scope.get("route"), "path", "none"), status)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _describe(app: FastAPI) -> None:
    """OpenAPI: one schema for all problems, and the list of codes."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            problem_schema = shapes.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= problem_schema.pop("$defs", {})
            problem_schema["properties"]["code"]["enum"] = sorted(CODES)
            schemas["Problem"] = problem_schema
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path in document["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None) if "problem" not in str(
                        operation["responses"].get("422")
                    ) else None
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @cache
    def written() -> bytes:
        return json.dumps(openapi(), ensure_ascii=False, separators=(",", ":")).encode()

    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> Response:
        return Response(written(), media_type="application/json")
