"""`POST /v1/messages` and `POST /v1/decisions`: the exact signed bytes in, a decision and its evidence out."""

import time
from dataclasses import replace
from typing import Any, Final

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import auth, shapes
from gateway.api.body import read_body, require_media_type
from gateway.api.context import Context, context, json_response
from gateway.api.problems import PROBLEM_TYPE, language, problem_body
from gateway.attestation.standing import RETRY_SECONDS, holds
from gateway.errors import CODES, CallerError, UnwitnessedError
from gateway.message.envelope import MEDIA_TYPE
from gateway.transfer import Outcome

PATH: Final = "/v1/messages"
HOLD_SECONDS: Final = 15.0
router: Final = APIRouter(tags=["messages"])
_log = structlog.get_logger("sinergi.message")
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": shapes.MESSAGE_EXAMPLE}},
    }
}


@router.post(
    PATH,
    summary="Send one signed message",
    openapi_extra=_BODY,
    responses=shapes.answers(200, 202, of=shapes.Accepted)
    | shapes.problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
)
async def send(request: Request) -> Response:
    """The sender is whoever signed the message; no other token is needed. An identical retry gets the first answer."""
    here = context(request)
    settings = here.gateway.settings
    require_media_type(request, MEDIA_TYPE)
    raw = await read_body(request, settings.limits.message_bytes, settings.server.body_timeout)
    outcome = await take(here, raw)
    status, body = answer(outcome, language(request))
    if outcome.decision == "accepted":
        return json_response(body, status)
    response = json_response(body, status, Content_Language=language(request))
    response.headers["content-type"] = PROBLEM_TYPE
    return response


async def take(here: Context, raw: bytes) -> Outcome:
    """One message through the flow, counted and logged, its recipient woken. Raises what `Exchange.transfer` raises.

    Also UnwitnessedError for what is recorded while its receipt must wait for witnesses who do not come.
    """
    started = time.perf_counter()
    try:
        async with here.admission.message():
            outcome = await here.gateway.exchange.transfer(raw)
    except CallerError as error:
        here.metrics.message("unproven", tuple(reason.code for reason in error.reasons))
        # Whatever the message claims is a stranger's word: only what we found wrong is written down.
        _log.info("message_unproven", code=error.code, bytes=len(raw))
        raise
    seconds = time.perf_counter() - started
    here.metrics.accept_seconds.observe(seconds)
    _note(here, outcome, len(raw), seconds)
    if outcome.decision == "accepted" and not outcome.again:
        here.inbox.wake(outcome.recipient)
        here.worker.wake(outcome.recipient)
    # The entry is there, and the message the recipient's: what may wait for witnesses is the receipt.
    proof = await _witnessed(here, outcome)
    if proof is None:
        raise UnwitnessedError("recorded, and not yet witnessed: send the same bytes again", retry_after=RETRY_SECONDS)
    return outcome if proof == outcome.proof else replace(outcome, proof=proof)


def answer(outcome: Outcome, lang: str) -> tuple[int, dict[str, Any]]:
    """Status and members: the evidence, and for a refusal a problem around it."""
    if outcome.decision == "accepted":
        return 200 if outcome.again else 202, _evidence(outcome)
    body = problem_body(outcome.reasons, lang, clause=outcome.clause) | _evidence(outcome)
    return CODES[outcome.reasons[0].code].status, body


async def _witnessed(here: Context, outcome: Outcome) -> str | None:
    """The proof to answer with: a witnessed one where the ledger's receipts are held for it; None when it did not come."""
    ledger = outcome.origin.rpartition("/ledger/")[2]
    policies = here.attestations.policies
    if not holds(policies, ledger):
        return outcome.proof
    seconds = min(policies.of(ledger).budget.total_seconds(), HOLD_SECONDS)
    return await here.attestations.witnessed(ledger, outcome.index, seconds)


def _note(here: Context, outcome: Outcome, size: int, seconds: float) -> None:
    """The one log line of a message."""
    codes = tuple(reason.code for reason in outcome.reasons)
    here.metrics.message("again" if outcome.again else outcome.decision, codes)
    _log.info(
        "message",
        transfer=outcome.transfer,
        decision=outcome.decision,
        again=outcome.again,
        sender=outcome.sender,
        recipient=outcome.recipient if outcome.decision == "accepted" else None,
        type=outcome.type if outcome.decision == "accepted" else None,
        codes=sorted(set(codes)),
        index=outcome.index,
        bytes=size,
        ms=round(seconds * 1000, 1),
    )


def _evidence(outcome: Outcome) -> dict[str, Any]:
    return {
        "transfer": outcome.transfer,
        "decision": outcome.decision,
        "receipt": outcome.receipt,
        "ledger": {"origin": outcome.origin, "index": outcome.index, "proof": outcome.proof},
    }


@router.post(
    "/v1/decisions",
    summary="What would be decided, and why",
    openapi_extra=_BODY,
    responses=shapes.answers(200, of=shapes.Decided) | shapes.problems(400, 401, 403, 408, 413, 415, 503),
)
async def decide(request: Request) -> Response:
    """The same checks as a send, recorded nowhere. Only the sender of a message may ask about it."""
    here = context(request)
    settings = here.gateway.settings
    require_media_type(request, MEDIA_TYPE)
    raw = await read_body(request, settings.limits.message_bytes, settings.server.body_timeout)
    asker = await auth.agency(request, here.gateway)
    async with here.admission.message():
        judged = await here.gateway.exchange.preview(raw, asker)
    members = {} if judged.decision is None else judged.decision.as_json()
    return json_response(
        members
        | {
            "decision": "accepted" if judged.permitted else "refused",
            "permitted": judged.permitted,
            "reasons": [reason.as_json() for reason in judged.reasons],
        }
    )
