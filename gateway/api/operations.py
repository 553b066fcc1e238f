"""For those who keep it running: `/healthz`, `/readyz`, `/metrics`."""

import asyncio
import hmac
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.context import Context, context, json_response
from gateway.attestation.standing import standings
from gateway.errors import GatewayError, TokenError
from gateway.keyring import read_private
from gateway.store import early_warnings, queries
from gateway.store.endings import endings
from gateway.store.tables import micros

router: Final = APIRouter(tags=["operations"])
# Older than this, the picture of keys and rules is no longer to be trusted with new messages.
STALE_SECONDS: Final = 30.0


@router.get("/healthz", summary="The process answers")
def healthz() -> Response:
    """Never touches the database: a database that is away is no reason to restart the gateway."""
    return json_response({"status": "ok"})


@router.get("/readyz", summary="The gateway can accept messages")
async def readyz(request: Request) -> Response:
    checks = await readiness(context(request))
    ready = all(checks.values())
    told = {
        "status": "ready" if ready else "not ready",
        "checks": checks,
        "warnings": await _warnings(context(request)),
    }
    return json_response(told, 200 if ready else 503)


async def _warnings(here: Context) -> list[str]:
    """What an operator should know, and a load balancer not act on: other ledgers are served all the same."""
    now, policies = here.gateway.clock(), here.attestations.policies

    def look() -> list[str]:
        if not here.attestations.needed:
            return []
        try:
            with here.gateway.store.database.reading() as session:
                found = standings(session, policies)
        except GatewayError:
            return []
        told = [f"{one.ledger}: witnesses are missing" for one in found if policies.overdue(one, now)]
        told += [f"{one.ledger}: a timestamp is missing" for one in found if policies.stamp_overdue(one, now)]
        return told + [f"{one.ledger}: takes no messages" for one in found if policies.stops(one, now)]

    return await asyncio.to_thread(look)


async def readiness(here: Context) -> dict[str, bool]:
    store = here.gateway.store

    def head_readable() -> bool:
        try:
            with store.database.reading() as session:
                return bool(queries.ledgers(session))
        except GatewayError:
            return False

    async def within(look: Callable[[], bool]) -> bool:
        try:
            async with asyncio.timeout(5):
                return await asyncio.to_thread(look)
        except TimeoutError:
            return False

    head = await within(head_readable)
    checks = {
        "head_readable": head,
        "recorder_alive": store.recorder.alive,
        "configuration_fresh": here.gateway.configuration.age < STALE_SECONDS,
        "not_draining": not here.draining,
        "keys_open": not store.keys.faults and await within(store.keys.answer),
    }
    here.metrics.ready.set(int(all(checks.values())))
    return checks


@router.get("/metrics", summary="Prometheus metrics of this process")
async def metrics(request: Request) -> Response:
    here = context(request)
    token_file = here.gateway.settings.server.metrics_token_file
    if token_file is not None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), read_private(token_file).strip()):
            raise TokenError("the metrics token is not valid")
    await readiness(here)
    await asyncio.to_thread(_collect, here)
    return Response(generate_latest(here.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _collect(here: Context) -> None:
    recorder = here.gateway.store.recorder
    here.metrics.recorder_waiting.set(recorder.waiting)
    here.metrics.recorder_commits.set(recorder.figures.commits)
    here.metrics.recorder_jobs.set(recorder.figures.jobs)
    here.metrics.recorder_unknown.set(recorder.figures.unknown)
    try:
        with here.gateway.store.database.reading() as session:
            backlog = queries.backlog(session)
            here.metrics.overdue.set(early_warnings.overdue(session, micros(here.gateway.clock())))
            ends = _ends(here, session)
            sizes = {head.ledger: head.size for head in queries.ledgers(session)}
    except GatewayError:
        return
    for (kind, owner), at in ends.items():
        here.metrics.key_ends.labels(kind, owner).set(at)
    for agency in here.gateway.configuration.current().directory.agencies:
        here.metrics.backlog.labels(agency).set(backlog.get(agency, 0))
    for ledger, size in sizes.items():
        here.metrics.ledger_size.labels(ledger).set(size)


def _ends(here: Context, session: Session) -> dict[tuple[str, str], float]:
    """The first of each kind and owner: few labels, however many officers there are."""
    known, gateway = here.gateway.configuration.current(), here.gateway.settings.gateway.id
    first: dict[tuple[str, str], float] = {}
    for one in endings(session, known.own_keys, known.directory, gateway, here.gateway.clock()):
        at = 0.0 if one.ends is None else one.ends.timestamp()
        first[one.kind, one.owner] = min(at, first.get((one.kind, one.owner), at))
    return first
