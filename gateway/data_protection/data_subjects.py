"""A person's requests about their data: found by a keyed identifier, told as a trail of processing, corrected.

Decides what is told, what is asked of senders, and how a request is written down; an identifier given here leaves this
module only as a keyed token. UU 27/2022 Arts 30 (correction), 32 (access and trail). Erasure is `subject_erasure.py`. The
gateway changes no message: what is wrong is corrected by a message of whoever sent it.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlmodel import Session, col

from gateway import resources
from gateway.decision.subjects import CASE, OFFICER, SUBJECT_KINDS
from gateway.errors import OperatorError
from gateway.founding import require_code
from gateway.ledger.entry import AuditRead, Entry, SubjectRequest, decode, timestamp
from gateway.message.envelope import parse
from gateway.message_types import catalogue as catalogues
from gateway.message_types.catalogue import Catalogue
from gateway.operations.acts import record
from gateway.record import OWN_LEDGER, open_content
from gateway.store import mentions, queries
from gateway.store.identity import new_transfer_id
from gateway.store.jobs.events import RecordEvent
from gateway.store.past import AMENDS, ENDS
from gateway.store.recorder import Transaction
from gateway.store.sealing import Seal, Sealer, SubjectTokens
from gateway.store.search import Search, matching
from gateway.store.tables import ACCEPTED, SubjectRequestRow, TransferRow, micros, moment
from gateway.wiring import Store, now

KINDS: Final = (CASE, OFFICER, *sorted(SUBJECT_KINDS))
OPERATOR: Final = "operator"
WITHIN: Final = timedelta(hours=72)
"""UU 27/2022 Arts 30 and 32: 3×24 hours from the request."""
DETAIL_PART: Final = "detail"
_VALUE_LIMIT: Final = 128
_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """An identifier as somebody gave it: for this process's memory alone."""

    kind: str
    value: str

    def __repr__(self) -> str:
        return f"Subject({self.kind})"


def read_subject(document: Mapping[str, Any]) -> Subject:
    """Of `{kind, value}`. Raises OperatorError, which never quotes the value."""
    kind, value = document.get("kind"), document.get("value")
    if document.keys() != {"kind", "value"} or kind not in KINDS:
        raise OperatorError(f"a subject is an object of kind and value; kinds are {', '.join(KINDS)}")
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value.strip()) <= _VALUE_LIMIT:
        raise OperatorError(f"a subject's value is 1 to {_VALUE_LIMIT} printable characters")
    return Subject(str(kind), value)


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks and since when, as the operator knows it. `why` is the request's own number, a code."""

    subject: Subject
    why: str
    who: str
    requested_at: datetime

    @property
    def due_by(self) -> datetime:
        return self.requested_at + WITHIN


def find(store: Store, subject: Subject, who: str) -> list[TransferRow]:
    """Every stored transfer that names the subject, the newest first. The search is recorded before it is answered."""
    require_code(who, "the operator")
    rows = transfers_of(store, subject)
    # As an auditor's read: by whom, of which kind, how many; never of whom.
    _record(
        store,
        AuditRead(
            time=now(),
            auditor=who,
            role=OPERATOR,
            what="subjects.find",
            filters={"subject": subject.kind},
            results=len(rows),
        ),
    )
    return rows


def transfers_of(store: Store, subject: Subject) -> list[TransferRow]:
    token = SubjectTokens(store.keys.index).token(subject.kind, subject.value)
    rows: list[TransferRow] = []
    while True:
        before = rows[-1].id if rows else None
        with store.database.reading() as session:
            question = Search(tokens=((subject.kind, token),), before=before, limit=_PAGE)
            page = matching(session, question)
            session.expunge_all()
        rows += page[:_PAGE]
        if len(page) <= _PAGE:
            return rows


def trail(store: Store, request: Request) -> dict[str, Any]:
    """The trail of processing (Art 32): who sent what to whom, why, on which basis, how much of it arrived, who looked.

    Without the identifier and without any content. Whether there is a legal hold is not told: it can be part of a case.
    """
    rows = transfers_of(store, request.subject)
    sealer, known = Sealer(store.keys.storage), catalogues.load(resources.schemas_dir())
    limits = store.settings.limits.limits()
    with store.database.reading() as session:
        reads = _reads(session, {row.id for row in rows})
        names = {agency.id: agency.name for agency in queries.agencies(session)}
        items = [
            {
                **_shown(row, known),
                "legal_basis": list(parse(open_content(sealer, row)["message"].encode(), limits).claims.legal_basis),
                "delivery": _delivery(session, row),
                "changed_by": _changes(session, row),
                "reads": reads.get(row.id, []),
            }
            for row in reversed(rows)
        ]
    return {
        "gateway": store.settings.gateway.id,
        "request": begin(store, request, "trail", {"transfers": [row.id for row in rows]}, results=len(rows)).number,
        "requested_at": timestamp(request.requested_at),
        "due_by": timestamp(request.due_by),
        "made_at": timestamp(now()),
        "subject": {"kind": request.subject.kind},
        "agencies": names,
        "transfers": items,
    }


def correct(store: Store, request: Request) -> dict[str, Any]:
    """What the agencies must do (Art 30): for each sender, the messages about which it owes a `correction`, if they are wrong."""
    rows = [row for row in transfers_of(store, request.subject) if row.decision == ACCEPTED]
    by_sender: dict[str, list[dict[str, Any]]] = {}
    with store.database.reading() as session:
        for row in rows:
            task = {
                "transfer": row.id,
                "type": row.type,
                "recipient": row.recipient,
                "received_at": timestamp(moment(row.received_at)),
                "changed_by": _changes(session, row),
            }
            by_sender.setdefault(row.sender, []).append(task)
    number = begin(store, request, "correct", {"senders": by_sender}, results=len(rows)).number
    return {"request": number, "due_by": timestamp(request.due_by), "senders": by_sender}


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that is written down. Which transfers it is about is sealed: they are all of one person."""

    request: Request
    number: str
    what: str
    seal: Seal


def begin(
    store: Store,
    request: Request,
    what: str,
    detail: Mapping[str, Any],
    *,
    results: int,
    erased: int | None = None,
    approvals: tuple[str, ...] = (),
) -> Begun:
    """A number, an entry with counts, and a row."""
    time = now()
    number = new_transfer_id(time)
    seal, wrapped = Sealer(store.keys.storage).new(number)
    begun = Begun(request, number, what, seal)
    row = {
        "id": number,
        "what": what,
        "who": require_code(request.who, "the operator"),
        "why": require_code(request.why, "the request's number"),
        "requested_at": micros(request.requested_at),
        "recorded_at": micros(time),
        "storage_key": seal.storage_key,
        "wrapped_key": wrapped,
        "sealed_detail": _sealed(begun, detail),
    }
    entry = _entry(begun, results, erased, approvals)
    record(store, RecordEvent(OWN_LEDGER, [entry], rows=[(SubjectRequestRow, row)]))
    return begun


def end(
    store: Store, begun: Begun, detail: Mapping[str, Any], *, results: int, erased: int, approvals: tuple[str, ...]
) -> None:
    def tell(transaction: Transaction) -> None:
        sealed = update(SubjectRequestRow).where(col(SubjectRequestRow.id) == begun.number)
        transaction.connection.execute(sealed.values(sealed_detail=_sealed(begun, detail)))

    record(store, RecordEvent(OWN_LEDGER, [_entry(begun, results, erased, approvals)], tell))


def _sealed(begun: Begun, detail: Mapping[str, Any]) -> bytes:
    return begun.seal.close(DETAIL_PART, json.dumps({"kind": begun.request.subject.kind, **detail}).encode())


def _entry(begun: Begun, results: int, erased: int | None, approvals: tuple[str, ...]) -> Entry:
    return SubjectRequest(
        time=now(),
        request=begun.number,
        what=begun.what,
        who=begun.request.who,
        why=begun.request.why,
        results=results,
        erased=erased,
        approvals=approvals,
    )


def _record(store: Store, entry: Entry) -> None:
    record(store, RecordEvent(OWN_LEDGER, [entry]))


def _shown(row: TransferRow, known: Catalogue) -> dict[str, Any]:
    kind, purposes = known.get(row.type), known.code_list("purpose").entries
    label = purposes.get(row.purpose)
    told = {
        "transfer": row.id,
        "received_at": timestamp(moment(row.received_at)),
        "sender": row.sender,
        "recipient": row.recipient,
        "type": row.type,
        "title": None if kind is None else {"en": kind.title_en, "id": kind.title_id},
        "purpose": {"code": row.purpose} | ({} if label is None else {"en": label.en, "id": label.id}),
        "agreement": row.agreement,
        "agreement_version": row.agreement_version,
        "clause": row.clause,
        "rule": row.rule,
        "decision": row.decision,
        "reasons": [reason["code"] for reason in json.loads(row.reasons)],
        "withheld": json.loads(row.withheld),
        "kept_through": row.retain_until,
    }
    return {name: value for name, value in told.items() if value is not None}


def _delivery(session: Session, row: TransferRow) -> dict[str, Any]:
    waiting = queries.outbox(session, row.id)
    events = [
        {"event": receipt.event, "at": timestamp(moment(receipt.recorded_at))}
        for receipt in queries.acknowledgements(session, row.id)
    ]
    return {"state": None if waiting is None else waiting.state, "receipts": events}


def _changes(session: Session, row: TransferRow) -> list[dict[str, str]]:
    """Accepted messages that corrected, cancelled or recalled this one."""
    found = session.connection().execute(
        select(col(TransferRow.id), col(TransferRow.type), col(TransferRow.received_at))
        .where(col(TransferRow.in_reply_to) == row.id, col(TransferRow.decision) == ACCEPTED)
        .where(col(TransferRow.reply_as).in_((AMENDS, ENDS)))
        .order_by(col(TransferRow.id))
    )
    return [{"transfer": id_, "type": type_, "at": timestamp(moment(at))} for id_, type_, at in found]


def _reads(session: Session, transfers: Collection[str]) -> dict[str, list[dict[str, str]]]:
    """Who read each of these transfers by its number, from the gateway's own ledger."""
    found: dict[str, list[dict[str, str]]] = {}
    for leaf in mentions.reads(session, OWN_LEDGER, transfers):
        entry = decode(leaf)
        read = {"at": entry["time"], "who": entry["auditor"], "role": entry["role"], "what": entry["what"]}
        found.setdefault(entry["filters"]["transfer"], []).append(read)
    return found
