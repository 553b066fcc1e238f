"""Erasure on request: a person's, and what the agencies agreed on between themselves (UU 27/2022 Arts 42-44, 15).

Decides by whose word a message goes before its day: two officers' for a person's request, both agencies' own signed messages
for what they agreed. What stands against it is decided in `erasure.py`, under the recorder's lock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlmodel import Session

from gateway.data_protection.data_subjects import Request, begin, end, transfers_of
from gateway.erasure import DATA_SUBJECT, REQUEST
from gateway.errors import ErasedError
from gateway.founding import RefusedError, require_code
from gateway.lookup import Lookup
from gateway.retention import Retention
from gateway.statements.early_erasure import EarlyErasure
from gateway.statements.two_officers import require_two
from gateway.store import queries
from gateway.store.configuration import Configuration
from gateway.store.recorder import DecidedBeforeError
from gateway.store.sealing import Sealer, SubjectTokens
from gateway.store.tables import ACCEPTED, TransferRow
from gateway.wiring import Store, now

_CONFIRMATION: Final = "erasure.confirmation/1"
_ERASURE_REQUEST: Final = "erasure.request/1"
Outcome = dict[str, Any]
"""`erased`: transfers; `kept`: transfers, each with every reason; `request`: the number."""


def early_erasure(store: Store, request: Request, ground: str) -> EarlyErasure:
    """What two officers must sign for, before what names the subject is erased before its day."""
    require_code(ground, "the ground")
    token = SubjectTokens(store.keys.index).token(request.subject.kind, request.subject.value)
    return EarlyErasure(store.settings.gateway.id, token, require_code(request.why, "the request's number"), ground)


def preview(store: Store, retention: Retention, request: Request, *, before_retention: str | None = None) -> Outcome:
    """What `erase` would do now. Changes nothing."""
    erased: list[str] = []
    kept: dict[str, tuple[str, ...]] = {}
    for _, transfers in _by_ledger(transfers_of(store, request.subject), retention.batch):
        done = retention.would_keep(transfers, duty=before_retention is None)
        erased += done.erased
        kept |= done.kept
    return _told(erased, kept)


def refuse(store: Store, request: Request, law: str) -> Outcome:
    """Erases nothing, and records the law by which that is so (Art 15), a code."""
    require_code(law, "the law")
    rows = transfers_of(store, request.subject)
    outcome = _told([], {row.id: (law,) for row in rows})
    begun = begin(store, request, "erase", outcome | {"refused": law}, results=len(rows), erased=0)
    return {"request": begun.number} | outcome


def erase(
    store: Store,
    retention: Retention,
    request: Request,
    *,
    before_retention: str | None = None,
    statements: Iterable[str] = (),
) -> Outcome:
    """Destroys every message that names the subject, and says of each other one what stands against it.

    A message is whole: what it says of others goes with it. The end of retention is a duty and is waited for, unless
    `before_retention` names a ground on which it is not owed (unlawfully obtained, Art 43(1)d), and two officers signed for
    that. A legal hold stands against everything. Interrupted, it is done again: what is gone stays gone.

    Raises AccessDeniedError with every fault of the statements, RefusedError where keys were changed meanwhile.
    """
    approvals: tuple[str, ...] = ()
    snapshot = Configuration(store.database).current()
    if before_retention is not None:
        matter = early_erasure(store, request, before_retention)
        officers = require_two(statements, matter, snapshot.directory, now())
        approvals = tuple(officer.key.kid for officer in officers)
    rows = transfers_of(store, request.subject)
    detail = {"transfers": [row.id for row in rows], "before_retention": before_retention}
    # Before anything is gone: a run that is cut short has its entry.
    begun = begin(store, request, "erase", detail, results=len(rows), approvals=approvals)
    erased: list[str] = []
    kept: dict[str, tuple[str, ...]] = {}
    for ledger, transfers in _by_ledger(rows, retention.batch):
        try:
            done = retention.erase(
                ledger,
                transfers,
                DATA_SUBJECT,
                request.who,
                why=before_retention or request.why,
                duty=before_retention is None,
                approvals=approvals,
                judged_at=snapshot.version if approvals else None,
            )
        except DecidedBeforeError as error:
            raise RefusedError(
                f"agencies, keys or officers were changed meanwhile, {len(erased)} are erased: run it again"
            ) from error
        erased += done.erased
        kept |= done.kept
    outcome = _told(erased, kept)
    end(store, begun, detail | outcome, results=len(rows), erased=len(erased), approvals=approvals)
    return {"request": begun.number} | outcome


def _told(erased: Sequence[str], kept: Mapping[str, tuple[str, ...]]) -> Outcome:
    return {"erased": list(erased), "kept": {transfer: list(reasons) for transfer, reasons in kept.items()}}


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
            raise RefusedError("request and confirmation are not about the same transfer between these two agencies")
        ledger, transfer = target.ledger, target.id
    done = retention.erase(ledger, [transfer], REQUEST, who, why=why, request=confirmation, duty=False)
    return _told(done.erased, done.kept)


def _accepted(session: Session, transfer: str, type_: str) -> TransferRow:
    row = queries.transfers(session, [transfer]).get(transfer)
    if row is None or row.decision != ACCEPTED or row.type != type_:
        raise RefusedError(f"{transfer or 'nothing'} is not an accepted {type_}")
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
