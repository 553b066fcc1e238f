"""Transfers, for those who may look: auditors all of them, a sender or recipient its own. Each audit read is recorded."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import auth, shapes
from gateway.api.body import read_json
from gateway.api.context import Context, context, json_response
from gateway.attestation.standing import RETRY_SECONDS
from gateway.decision.subjects import CASE, SEARCHED_KINDS
from gateway.errors import CODES, CallerError, NotFoundError, UnwitnessedError
from gateway.evidence.collect import Collector
from gateway.ledger.entry import AuditRead, recordable, timestamp
from gateway.ledger.timestamp import stamped_under
from gateway.message.envelope import TRANSFER_ID, Limits, parse
from gateway.record import OWN_LEDGER, open_with_receipt
from gateway.store import attested, queries
from gateway.store.jobs.events import RecordEvent
from gateway.store.search import Search, matching
from gateway.store.tables import ACCEPTED, WAITING, AgencyKeyRow, TransferRow, micros, moment

router: Final = APIRouter(tags=["audit"])
PAGE_LIMIT: Final = 200
_FILTERS: Final = (
    "from", "to", "type", "sender", "recipient", "decision", "code", "clause", "case", "overdue", "limit",
    "cursor",
)  # fmt: skip
TEXT_LIMIT: Final = 280
_SUBJECT_LIMIT: Final = 128
_PROOF: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "C2SP tlog-proof", "content": {"text/plain": {"example": shapes.PROOF_EXAMPLE}}}
}
_EVIDENCE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "A bundle of evidence", "content": {"application/zip": {}}}
}
_EVENTS: Final = ("rejected", "processed", "delivered")


@router.get(
    "/v1/transfers",
    summary="Search transfers",
    responses=shapes.answers(200, of=shapes.TransferPage) | shapes.problems(400, 401, 403, 503),
)
async def search(  # noqa: PLR0917 - one parameter a filter, in the order of the contract
    request: Request,
    from_: Annotated[str | None, Query(alias="from", description="RFC 3339, inclusive")] = None,
    to: Annotated[str | None, Query(description="RFC 3339, exclusive")] = None,
    type_: Annotated[str | None, Query(alias="type")] = None,
    sender: str | None = None,
    recipient: str | None = None,
    decision: str | None = None,
    code: str | None = None,
    clause: str | None = None,
    case: Annotated[str | None, Query(description="Case number")] = None,
    overdue: Annotated[
        str | None, Query(description="`true`: only those whose `acknowledge_by` has passed without an answer")
    ] = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Response:
    """Newest first. Follow `next` until it is null."""
    here = context(request)
    who = await auth.auditor(request, here.gateway)
    given = {
        "from": from_, "to": to, "type": type_, "sender": sender, "recipient": recipient, "decision": decision,
        "code": code, "clause": clause, "case": case, "overdue": overdue, "limit": limit, "cursor": cursor,
    }  # fmt: skip
    if unknown := set(request.query_params) - set(_FILTERS):
        raise CallerError(f"{len(unknown)} unknown parameters")
    return await _search(here, who, {name: value for name, value in given.items() if value is not None}, None)


@router.post(
    "/v1/transfers/search",
    summary="Search transfers by subject",
    responses=shapes.answers(200, of=shapes.TransferPage) | shapes.problems(400, 401, 403, 415, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {"subject": {"kind": "travel-document", "value": "IDNX0000000"}, "limit": 50},
                }
            },
        }
    },
)
async def search_by_subject(request: Request) -> Response:
    """The same filters in the body, with `subject {kind, value}`: an identifier never stands in a URL."""
    here = context(request)
    who = await auth.auditor(request, here.gateway)
    body = await read_json(request, 8192, here.gateway.settings.server.body_timeout)
    if body.keys() - {*_FILTERS, "subject"}:
        raise CallerError("the body has an unknown member")
    subject = body.pop("subject", None)
    if subject is None:
        return await _search(here, who, body, None)
    auth.require_dpo(who)
    if not isinstance(subject, dict) or subject.keys() != {"kind", "value"}:
        raise CallerError("subject must have exactly kind and value", pointer="/subject")
    kind, value = subject["kind"], subject["value"]
    known = isinstance(kind, str) and kind in SEARCHED_KINDS
    if not known or not isinstance(value, str) or not 1 <= len(value) <= _SUBJECT_LIMIT:
        raise CallerError("subject has an unknown kind or no value", pointer="/subject")
    return await _search(here, who, body, (str(kind), value))


async def _search(
    here: Context, who: auth.Auditor, given: Mapping[str, Any], subject: tuple[str, str] | None
) -> Response:
    question = _question(here, given, subject)

    def look() -> list[dict[str, Any]]:
        with here.gateway.store.database.reading() as session:
            return _described(session, matching(session, question))

    items = await asyncio.to_thread(look)
    page, more = items[: question.limit], len(items) > question.limit
    filters = {name: _recorded(here, name, value) for name, value in given.items() if name != "cursor"}
    if subject is not None:
        filters["subject"] = subject[0]
    await record_read(here, who, "transfers.search", filters, len(page))
    return json_response({"items": page, "next": page[-1]["transfer"] if more else None})


def _recorded(here: Context, name: str, value: Any) -> str | None:
    """Our own codes and nothing else: whatever an auditor typed into a field may be a person's number."""
    known = {
        "type": {kind.type for kind in here.gateway.catalogue.types()},
        "sender": here.gateway.configuration.current().directory.agencies.keys(),
        "recipient": here.gateway.configuration.current().directory.agencies.keys(),
        "code": CODES.keys(),
    }
    if name == CASE or (name in known and value not in known[name]):
        return None
    return recordable(str(value))


async def record_read(
    here: Context, who: auth.Auditor, what: str, filters: Mapping[str, str | None], results: int
) -> None:
    """Before the answer goes out: a read that cannot be recorded does not happen."""
    entry = AuditRead(
        time=here.gateway.clock(), auditor=who.id, role=who.role, what=what, filters=filters, results=results
    )
    await here.gateway.store.recorder.record(RecordEvent(OWN_LEDGER, (entry,)))


def _question(here: Context, given: Mapping[str, Any], subject: tuple[str, str] | None) -> Search:
    texts = {name: value for name, value in given.items() if name != "limit"}
    for name, value in texts.items():
        # PostgreSQL's text holds no NUL, and none of what is searched for has a control character.
        if not isinstance(value, str) or not 1 <= len(value) <= TEXT_LIMIT or not value.isprintable():
            raise CallerError(f"{name} must be 1 to {TEXT_LIMIT} printable characters", pointer=f"/{name}")
    limit = given.get("limit", 50)
    if type(limit) is not int or not 1 <= limit <= PAGE_LIMIT:
        raise CallerError(f"limit must be 1 to {PAGE_LIMIT}", pointer="/limit")
    if "decision" in texts and texts["decision"] not in ("accepted", "refused"):
        raise CallerError("decision must be accepted or refused", pointer="/decision")
    if "cursor" in texts and not TRANSFER_ID.fullmatch(texts["cursor"]):
        raise CallerError("cursor must be the next of an earlier page", pointer="/cursor")
    if texts.get("overdue", "true") != "true":
        raise CallerError("overdue must be true, or left out", pointer="/overdue")
    wanted = [(CASE, texts["case"])] if "case" in texts else []
    wanted += [subject] if subject is not None else []
    return Search(
        since=read_moment(texts, "from"),
        until=read_moment(texts, "to"),
        type=texts.get("type"),
        sender=texts.get("sender"),
        recipient=texts.get("recipient"),
        decision=texts.get("decision"),
        code=texts.get("code"),
        clause=texts.get("clause"),
        tokens=tuple((kind, here.gateway.tokens.token(kind, value)) for kind, value in wanted),
        overdue_at=micros(here.gateway.clock()) if "overdue" in texts else None,
        before=texts.get("cursor"),
        limit=limit,
    )


def read_moment(texts: Mapping[str, str], name: str) -> datetime | None:
    if name not in texts:
        return None
    try:
        found = datetime.fromisoformat(texts[name])
    except ValueError as error:
        raise CallerError(f"{name} must be an RFC 3339 date-time", pointer=f"/{name}") from error
    if found.tzinfo is None:
        raise CallerError(f"{name} needs an offset, for instance Z or +07:00", pointer=f"/{name}")
    return found


def _described(session: Any, rows: Sequence[TransferRow]) -> list[dict[str, Any]]:
    origins = {head.ledger: head.origin for head in queries.ledgers(session)}
    states = queries.delivery_states(session, [row.id for row in rows])
    return [describe(row, states.get(row.id, ()), origins[row.ledger]) for row in rows]


def describe(row: TransferRow, states: Sequence[str], origin: str) -> dict[str, Any]:
    """What is known of a transfer without opening it."""
    described = {
        "transfer": row.id,
        "received_at": timestamp(moment(row.received_at)),
        "sender": row.sender,
        "recipient": row.recipient,
        "type": row.type,
        "purpose": row.purpose,
        "classification": row.classification,
        "agreement": row.agreement,
        "agreement_version": row.agreement_version,
        "rule": row.rule,
        "clause": row.clause,
        "decision": row.decision,
        "status": _status(row, states),
        "reasons": json.loads(row.reasons),
        "flags": json.loads(row.flags) or None,
        "withheld": json.loads(row.withheld),
        "in_reply_to": row.in_reply_to if row.reply_as is not None else None,
        "reply_as": row.reply_as,
        "stands_until": None if row.stands_until is None else timestamp(moment(row.stands_until)),
        "expires_at": timestamp(moment(row.expires_at)),
        "acknowledge_by": None if row.acknowledge_by is None else timestamp(moment(row.acknowledge_by)),
        "retain_until": row.retain_until,
        "erased": _erasure(row),
        "ledger": {"origin": origin, "index": row.position},
    }
    return {name: value for name, value in described.items() if value is not None}


def _erasure(row: TransferRow) -> dict[str, Any] | None:
    """When and on what ground the message was destroyed, and the ledger's entry of that."""
    if row.erased_at is None:
        return None
    return {"at": timestamp(moment(row.erased_at)), "for": row.erased_for, "index": row.erased_position}


def _status(row: TransferRow, states: Sequence[str]) -> str:
    """The furthest the transfer has come: what the recipient signed says more than what the outbox knows."""
    if row.decision != ACCEPTED:
        return row.decision
    return next((event for event in _EVENTS if event in states), None) or next(iter(states), WAITING)


@router.get(
    "/v1/transfers/{transfer}",
    summary="One transfer with its receipts",
    responses=shapes.answers(200, of=shapes.Described) | shapes.problems(401, 404, 503),
)
async def transfer(request: Request, transfer: str) -> Response:
    """For auditors, and for its sender and recipient. To anyone else it does not exist."""
    here = context(request)
    who = await auth.agency_or_auditor(request, here.gateway)
    found = await asyncio.to_thread(_one, here, transfer, who)
    if isinstance(who, auth.Auditor):
        await record_read(here, who, "transfers.show", {"transfer": transfer}, 1)
    return json_response(found)


@router.get(
    "/v1/transfers/{transfer}/proof",
    summary="One transfer's witnessed proof",
    responses=_PROOF | shapes.problems(401, 404, 503),
)
async def proof(request: Request, transfer: str) -> Response:
    """That its entry is in the ledger, under a checkpoint that meets the ledger's policy, cosignatures and all.

    For auditors, and for its sender and recipient. 503 `ledger.unwitnessed` until its witnesses have seen the entry.
    """
    here = context(request)
    who = await auth.agency_or_auditor(request, here.gateway)

    def look() -> str | None:
        with here.gateway.store.database.reading() as session:
            row = _visible(session, transfer, who)
            quorum = here.attestations.policies.of(row.ledger).quorum
            found = attested.witnessed_proof(session, row.ledger, row.position, quorum)
            return queries.proof(session, row.ledger, row.position) if found is None and not quorum.count else found

    text = await asyncio.to_thread(look)
    if isinstance(who, auth.Auditor):
        await record_read(here, who, "transfers.proof", {"transfer": transfer}, 1)
    if text is None:
        raise UnwitnessedError("the entry is not yet witnessed", retry_after=RETRY_SECONDS)
    return Response(text, headers={"Cache-Control": "no-store"}, media_type="text/plain; charset=utf-8")


@router.get(
    "/v1/transfers/{transfer}/evidence",
    summary="One transfer's evidence",
    responses=_EVIDENCE | shapes.problems(401, 403, 404, 503),
)
async def evidence(request: Request, transfer: str) -> Response:
    """A bundle that verifies offline (`sinergi evidence verify`). It holds the message: keep it as the message itself.

    Whole for the sender of a message and for the data-protection officer; for its recipient as it was released: nobody else may
    have what was withheld.
    """
    here = context(request)
    who = await auth.agency_or_auditor(request, here.gateway)
    if isinstance(who, auth.Auditor):
        auth.require_dpo(who)

    def look() -> bytes:
        gateway = here.gateway
        with gateway.store.database.reading() as session:
            received = isinstance(who, str) and _visible(session, transfer, who).sender != who
            policies, keys, stamper = here.attestations.policies, gateway.store.keys, here.attestations.stamper
            collector = Collector(
                session, gateway.sealer, policies, gateway.settings.gateway.id, keys.sign,
                lambda origin: [key.vkey for key in keys.checkpoint.verifiers(origin, lost=True)],
                None if stamper is None else stamped_under(stamper.roots),
            )  # fmt: skip
            return collector.bundle(transfer, gateway.clock(), as_released=received)

    bundle = await asyncio.to_thread(look)
    if isinstance(who, auth.Auditor):
        await record_read(here, who, "transfers.evidence", {"transfer": transfer}, 1)
    sent = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{transfer}.evidence.zip"'}
    return Response(bundle, headers=sent, media_type="application/zip")


def _visible(session: Session, transfer_id: str, who: str | auth.Auditor) -> TransferRow:
    """Raises NotFoundError for whoever may not know of it."""
    if not TRANSFER_ID.fullmatch(transfer_id):
        raise NotFoundError("no such transfer")
    row = queries.transfer(session, transfer_id)
    if isinstance(who, str) and who not in (row.sender, row.recipient):
        raise NotFoundError("no such transfer")
    # A refused message never became the recipient's business.
    if who == row.recipient and row.decision != ACCEPTED:
        raise NotFoundError("no such transfer")
    return row


def _one(here: Context, transfer_id: str, who: str | auth.Auditor) -> dict[str, Any]:
    gateway = here.gateway
    with gateway.store.database.reading() as session:
        row = _visible(session, transfer_id, who)
        described = _described(session, [row])[0]
        receipts = queries.acknowledgements(session, transfer_id)
        described["ledger"]["proof"] = queries.proof(session, row.ledger, row.position)
        waiting = queries.outbox(session, transfer_id)
        signed_with = session.get(AgencyKeyRow, (row.sender, row.kid))
        leaf = queries.leaf(session, row.ledger, row.position)
    since = None if signed_with is None else signed_with.untrusted_since
    if since is not None and row.received_at >= since:
        described["in_doubt"] = {"key": row.kid, "since": timestamp(moment(since))}
    described["receipts"] = [
        {"event": receipt.event, "receipt": receipt.jws, "index": receipt.position} for receipt in receipts
    ]
    if waiting is not None and described["status"] in (WAITING, "dead"):
        described["delivery"] = {"attempts": waiting.attempts, "last_error": waiting.last_error}
    if row.erased_at is None:
        # Of an erased message not even the gateway's own receipt is shown: it held the key of the commitment.
        opened = open_with_receipt(gateway.sealer, row)
        own, origin = gateway.configuration.current().own_keys, described["ledger"]["origin"]
        receipt = opened.receipt_now(own, gateway.store.keys.sign, origin=origin, leaf=leaf)
        described["receipts"].insert(0, {"event": row.decision, "receipt": receipt, "index": row.position})
        if isinstance(who, auth.Auditor):
            described["claims"] = _claims_in_clear(opened.content["message"], gateway.exchange.limits)
    return described


def _claims_in_clear(message: str, limits: Limits) -> dict[str, Any]:
    """Case, officer, legal basis and the like; never the body."""
    return parse(message.encode("ascii"), limits).claims.as_json()
