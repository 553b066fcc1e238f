"""An act is one commit: its entries in the gateway's own ledger, and the rows that change with them.

Decides by whose word an act is done, and how a commit that did not come off is told. In a gateway that has operators of its own
some acts need two of them: their signatures over a proposal are used up in the very commit that does what it says. Leaves to the
other modules what is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, update
from sqlmodel import col

from gateway.errors import GatewayError, StoreUnavailableError
from gateway.founding import RefusedError, require_code
from gateway.ledger.entry import Entry, OperatorAct
from gateway.record import OWN_LEDGER
from gateway.store.jobs.events import RecordEvent
from gateway.store.proposed import said
from gateway.store.recorder import Job, Transaction
from gateway.store.tables import (
    AgencyKeyRow,
    GatewayKeyRow,
    OfficerRow,
    OperatorRow,
    ProposalRow,
    RecoveryKeyRow,
    micros,
)
from gateway.wiring import Store

PENDING: Final = "pending"
DONE: Final = "done"
WITHDRAWN: Final = "withdrawn"
ENDED: Final = (
    "the ledger says that the proposal was used or withdrawn, but its row says otherwise: somebody changed the row"
)
_WAIT_SECONDS: Final = 60


class ConflictError(GatewayError):
    """For a job's `apply`: a RefusedError, found under the recorder's lock: only this job is left out of its batch."""


@dataclass(frozen=True, slots=True)
class Authority:
    """By whose word an act is done: one operator's, or two operators' by their signatures over the proposal `digest`.

    `approval` is the second signature, `approvals` the keys of both; they were judged at `config_version`, when
    the first `looked` entries of the gateway's ledger did not say that they were used.
    """

    who: str
    approvals: tuple[str, ...] = ()
    digest: str | None = None
    approval: str = ""
    config_version: int = 0
    looked: int = 0

    def entry(self, time: datetime, what: str, *, why: str, about: str | None = None) -> OperatorAct:
        return OperatorAct(
            time=time,
            who=require_code(self.who, "the operator"),
            what=what,
            why=require_code(why, "the reason"),
            about=about,
            approvals=self.approvals,
            digest=self.digest,
        )


Who = str | Authority


def authority(who: Who) -> Authority:
    """A bare name is one person's word."""
    return who if isinstance(who, Authority) else Authority(who)


def require_two(transaction: Transaction, who: Who, time: datetime) -> None:
    """Uses the two signatures up. Raises ConflictError without them, or where they were used, or operators changed since.

    A gateway without operators of its own is one for trying things out: a name is enough.
    """
    held = authority(who)
    if held.digest is None:
        if transaction.connection.execute(select(col(OperatorRow.kid)).limit(1)).first() is not None:
            raise ConflictError("two operators must sign for it: one proposes, another approves")
        return
    if transaction.config_version != held.config_version:
        raise ConflictError("operators, agencies or keys were changed meanwhile: try again")
    used = transaction.connection.execute(
        update(ProposalRow)
        .where(col(ProposalRow.id) == held.digest, col(ProposalRow.state) == PENDING)
        .where(col(ProposalRow.expires_at) > micros(time))
        .values(state=DONE, approved_by=held.approvals[-1], approval=held.approval, changed_at=micros(time))
    )
    if used.rowcount != 1:
        raise ConflictError("the proposal was used or withdrawn, or has expired")
    if said(transaction.connection, held.digest, first=held.looked).ended:
        raise ConflictError(ENDED)


def holder_of(transaction: Transaction, kid: str) -> str | None:
    """Whose a key is already, in words: one private key is one party's, for one thing, and never comes back."""
    places = (
        (AgencyKeyRow.kid, AgencyKeyRow.agency, "{}'s"),
        (RecoveryKeyRow.kid, RecoveryKeyRow.agency, "the recovery key of {}"),
        (OfficerRow.kid, OfficerRow.agency, "an officer's of {}"),
        (OperatorRow.kid, OperatorRow.operator, "the operator {}'s"),
        (GatewayKeyRow.kid, GatewayKeyRow.use, "the gateway's ({})"),
    )
    for column, owner, words in places:
        found = transaction.connection.execute(select(col(owner)).where(col(column) == kid)).scalar()
        if found is not None:
            return words.format(found)
    return None


def record(store: Store, job: Job[Any]) -> Any:
    """Commits one job. Raises RefusedError for a conflict, StoreUnavailableError, or LedgerForkedError.

    A RefusedError alone says that nothing was changed. After anything else, an interruption as well, the job may be recorded.
    """
    try:
        future = store.recorder.submit(job)
        try:
            return future.result(_WAIT_SECONDS).result
        finally:
            # Whoever waits no more, and was not taken yet, is left out of the commit that the recorder's stop still makes.
            future.cancel()
    except ConflictError as error:
        raise RefusedError(error.detail) from error
    except TimeoutError as error:
        raise StoreUnavailableError(
            "the recorder did not answer: check whether it was done before you try again"
        ) from error
    except GatewayError:
        if store.recorder.fatal is not None:
            raise store.recorder.fatal from None
        raise


def act(
    store: Store,
    entries: Sequence[Entry],
    apply: Callable[[Transaction], None] | None = None,
    *,
    rows: Sequence[tuple[Any, dict[str, Any]]] = (),
    changes_config: bool = True,
) -> None:
    record(store, RecordEvent(OWN_LEDGER, entries, apply, rows, changes_config))
