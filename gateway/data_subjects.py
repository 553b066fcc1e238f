"""A person's requests about their data: found by a keyed identifier, told as a trail of processing, corrected, erased.

Decides what is told, what is asked of senders, and how a request is written down; an identifier given here leaves this
module only as a keyed token. UU 27/2022 Arts 30 (correction), 32 (access and trail), 42-44 (ending, erasure,
destruction), 15 (exceptions). The gateway changes no message: what is wrong is corrected by a message of whoever sent it.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from gateway import catalogue as catalogues
from gateway import resources
from gateway.catalogue import Catalogue
from gateway.envelope import parse
from gateway.erasure import DATA_SUBJECT, REQUEST
from gateway.errors import ErasedError, OperatorError
from gateway.founding import RefusedError, require_code
from gateway.ledger.entry import AuditRead, Entry, SubjectRequest, decode, timestamp
from gateway.lookup import Lookup
from gateway.operations import record
from gateway.record import OWN_LEDGER, open_content
from gateway.retention import Retention
from gateway.store import queries
from gateway.store.identity import new_transfer_id
from gateway.store.jobs.events import RecordEvent
from gateway.store.past import AMENDS, ENDS
from gateway.store.sealing import Sealer, SubjectTokens
from gateway.store.tables import ACCEPTED, LedgerEntry, SubjectRequestRow, TransferRow, micros, moment
from gateway.subjects import CASE, OFFICER, SUBJECT_KINDS
from gateway.wiring import Store, now

KINDS: Final = (CASE, OFFICER, *sorted(SUBJECT_KINDS))
OPERATOR: Final = "operator"
WITHIN: Final = timedelta(hours=72)
"""UU 27/2022 Arts 30 and 32: 3×24 hours from the request."""
DETAIL_PART: Final = "detail"
_VALUE_LIMIT: Final = 128
_PAGE: Final = 200
_CONFIRMATION: Final = "erasure.confirmation/1"
_ERASURE_REQUEST: Final = "erasure.request/1"

Progress = Callable[[int, int], None]


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
    rows = _found(store, subject)
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


def _found(store: Store, subject: Subject) -> list[TransferRow]:
    token = SubjectTokens(store.keys.index).token(subject.kind, subject.value)
    rows: list[TransferRow] = []
    while True:
        before = rows[-1].id if rows else None
        with store.database.reading() as session:
            question = queries.Search(tokens=((subject.kind, token),), before=before, limit=_PAGE)
            page = queries.search(session, question)
            session.expunge_all()
        rows += page[:_PAGE]
        if len(page) <= _PAGE:
            return rows


def trail(store: Store, request: Request, progress: Progress = lambda _done, _total: None) -> dict[str, Any]:
    """The trail of processing (Art 32): who sent what to whom, why, on which basis, how much of it arrived, who looked.

    Without the identifier and without any content. Whether there is a legal hold is not told: it can be part of a case.
    """
    rows = _found(store, request.subject)
    sealer, known = Sealer(store.keys.storage), catalogues.load(resources.schemas_dir())
    limits = store.settings.limits.limits()
    with store.database.reading() as session:
        reads = _reads(session, {row.id for row in rows}, progress)
        names = {agency.id: agency.name for agency in queries.agencies(session)}
        items = [
            {
                **_told(row, known),
                "legal_basis": list(parse(open_content(sealer, row)["message"].encode(), limits).claims.legal_basis),
                "delivery": _delivery(session, row),
                "changed_by": _changes(session, row),
                "reads": reads.get(row.id, []),
            }
            for row in reversed(rows)
        ]
    return {
        "gateway": store.settings.gateway.id,
        "request": _write_down(store, request, "trail", {"transfers": [row.id for row in rows]}, results=len(rows)),
        "requested_at": timestamp(request.requested_at),
        "due_by": timestamp(request.due_by),
        "made_at": timestamp(now()),
        "subject": {"kind": request.subject.kind},
        "agencies": names,
        "transfers": items,
    }


def correct(store: Store, request: Request) -> dict[str, Any]:
    """What the agencies must do (Art 30): for each sender, the messages about which it owes a `correction`, if they are wrong."""
    rows = [row for row in _found(store, request.subject) if row.decision == ACCEPTED]
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
    number = _write_down(store, request, "correct", {"senders": by_sender}, results=len(rows))
    return {"request": number, "due_by": timestamp(request.due_by), "senders": by_sender}


def erase(
    store: Store,
    retention: Retention,
    request: Request,
    *,
    before_retention: str | None = None,
    refuse: str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Destroys every message that names the subject, and says of each other one what stands against it.

    A message is whole: what it says of others goes with it. The end of retention is a duty and is waited for, unless
    `before_retention` names a ground on which it is not owed (unlawfully obtained, Art 43(1)d). `refuse` names the law by
    which nothing is erased (Art 15). Both are codes. A legal hold stands against everything.
    """
    for code, what in ((before_retention, "the ground"), (refuse, "the law")):
        if code is not None:
            require_code(code, what)
    if before_retention is not None and refuse is not None:
        raise OperatorError("a request is refused or granted, not both")
    rows = _found(store, request.subject)
    erased: list[str] = []
    kept: dict[str, tuple[str, ...]] = {}
    if refuse is not None:
        kept = {row.id: (refuse,) for row in rows}
    else:
        ask = retention.would_keep if dry_run else None
        for ledger, transfers in _by_ledger(rows, retention.batch):
            duty = before_retention is None
            if ask is not None:
                found = ask(transfers, duty=duty)
            else:
                why = before_retention or request.why
                found = retention.erase(ledger, transfers, DATA_SUBJECT, request.who, now(), why=why, duty=duty)
            erased += found.erased
            kept |= found.kept
    outcome = {"erased": erased, "kept": {transfer: list(reasons) for transfer, reasons in kept.items()}}
    if dry_run:
        return outcome
    detail = outcome | {"before_retention": before_retention, "refused": refuse}
    return {"request": _write_down(store, request, "erase", detail, results=len(rows), erased=len(erased))} | outcome


def erase_agreed(store: Store, retention: Retention, confirmation: str, *, why: str, who: str) -> dict[str, Any]:
    """Destroys the message that the agencies agreed to erase: `confirmation` answers a request with the outcome DONE.

    They are the controllers, so the end of retention is theirs to judge. Raises RefusedError for anything else.
    """
    require_code(who, "the operator"), require_code(why, "the reason")
    lookup = Lookup(
        store.database, Sealer(store.keys.storage), SubjectTokens(store.keys.index), store.settings.limits.limits()
    )
    with store.database.reading() as session:
        answer = _accepted(session, confirmation, _CONFIRMATION)
        asked = _accepted(session, answer.in_reply_to or "", _ERASURE_REQUEST)
        views = [lookup.view(row) for row in (answer, asked)]
        bodies = [view["body"] if view else {} for view in views]
        target = queries.transfers(session, [str(bodies[0].get("transfer", ""))]).get(
            str(bodies[1].get("transfer", ""))
        )
        if bodies[0].get("outcome") != "DONE":
            raise RefusedError("the confirmation does not say that the message was erased (DONE)")
        if target is None or {target.sender, target.recipient} != {answer.sender, answer.recipient}:
            raise RefusedError("request and confirmation are not about one transfer between these two")
        ledger, transfer = target.ledger, target.id
    found = retention.erase(ledger, [transfer], REQUEST, who, now(), why=why, request=confirmation, duty=False)
    return {"erased": list(found.erased), "kept": {name: list(reasons) for name, reasons in found.kept.items()}}


def _accepted(session: Session, transfer: str, type_: str) -> TransferRow:
    row = queries.transfers(session, [transfer]).get(transfer)
    if row is None or row.decision != ACCEPTED or row.type != type_:
        raise RefusedError(f"{transfer or 'nothing'} is no accepted {type_}")
    if row.erased_at is not None:
        raise ErasedError(f"the {type_} has been erased itself")
    return row


def _by_ledger(rows: Sequence[TransferRow], size: int) -> Iterator[tuple[str, list[str]]]:
    by_ledger: dict[str, list[str]] = {}
    for row in rows:
        by_ledger.setdefault(row.ledger, []).append(row.id)
    for ledger, transfers in by_ledger.items():
        for first in range(0, len(transfers), size):
            yield ledger, transfers[first : first + size]


def _write_down(
    store: Store, request: Request, what: str, detail: Mapping[str, Any], *, results: int, erased: int | None = None
) -> str:
    """The request's number. The ledger gets counts; which transfers they were is sealed."""
    time = now()
    number = new_transfer_id(time)
    seal, wrapped = Sealer(store.keys.storage).new(number)
    row = {
        "id": number,
        "what": what,
        "who": require_code(request.who, "the operator"),
        "why": require_code(request.why, "the request's number"),
        "requested_at": micros(request.requested_at),
        "recorded_at": micros(time),
        "storage_key": seal.storage_key,
        "wrapped_key": wrapped,
        "sealed_detail": seal.close(DETAIL_PART, json.dumps({"kind": request.subject.kind, **detail}).encode()),
    }
    entry = SubjectRequest(
        time=time, request=number, what=what, who=request.who, why=request.why, results=results, erased=erased
    )
    record(store, RecordEvent(OWN_LEDGER, [entry], rows=[(SubjectRequestRow, row)]))
    return number


def _record(store: Store, entry: Entry) -> None:
    record(store, RecordEvent(OWN_LEDGER, [entry]))


def _told(row: TransferRow, known: Catalogue) -> dict[str, Any]:
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


def _reads(session: Session, transfers: Collection[str], progress: Progress) -> dict[str, list[dict[str, str]]]:
    """Who read each of these transfers by its number, from the gateway's own ledger."""
    found: dict[str, list[dict[str, str]]] = {}
    if not transfers:
        return found
    size = queries.ledger_head(session, OWN_LEDGER).size
    leaves: Iterable[bytes] = session.connection().execute(
        select(col(LedgerEntry.leaf)).where(col(LedgerEntry.ledger) == OWN_LEDGER).order_by(col(LedgerEntry.position)),
        execution_options={"yield_per": 1000},
    ).scalars()  # fmt: skip
    for number, leaf in enumerate(leaves):
        if number % 1000 == 0:
            progress(number, size)
        # Few entries are of this kind: the others are not parsed.
        if b'"kind":"audit.read"' not in leaf:
            continue
        entry = decode(leaf)
        transfer = entry["filters"].get("transfer")
        if transfer in transfers:
            read = {"at": entry["time"], "who": entry["auditor"], "role": entry["role"], "what": entry["what"]}
            found.setdefault(str(transfer), []).append(read)
    return found
