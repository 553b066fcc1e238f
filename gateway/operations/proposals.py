"""Proposals in the store: one operator's, waiting for another's signature.

Decides that a proposal is kept with its first signature, can be withdrawn, and is judged with the second one as things are then.
It is used up by the commit of the act itself (`acts.require_two`). Leaves its form and what two signatures are to `proposal.py`.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, update
from sqlmodel import Session, col, select

from gateway.errors import OperatorError
from gateway.founding import RefusedError
from gateway.operations.acts import ENDED, PENDING, WITHDRAWN, Authority, ConflictError, Who, act, authority
from gateway.statements.parameters import require_parameters
from gateway.statements.proposal import Proposal, parse_proposal, require_open, require_operator, require_two
from gateway.store.configuration import Configuration
from gateway.store.proposed import said
from gateway.store.recorder import Transaction
from gateway.store.tables import ProposalRow, micros, moment
from gateway.wiring import Store, now

PREFIX: int = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """A proposal with what became of it."""

    id: str
    proposal: Proposal
    state: str
    proposed_by: str
    approved_by: str | None
    changed_at: datetime
    attachment: str | None
    signature: str
    approval: str | None = None


def propose(store: Store, proposal: Proposal, signature: str, *, attachment: str | None = None) -> str:
    """Keeps it until another operator approves it, or it expires; its id. The ledger says who proposed what.

    Raises what `require_operator` and `require_parameters` raise, and RefusedError for one that was proposed before.
    """
    time, snapshot = now(), Configuration(store.database).current()
    if proposal.gateway != store.settings.gateway.id:
        raise OperatorError("the proposal is for another gateway")
    require_parameters(proposal)
    operator = require_operator(signature, proposal, snapshot.directory, time)
    row = {
        "id": proposal.digest,
        "what": proposal.what,
        "document": proposal.canonical(),
        "attachment": attachment,
        "state": PENDING,
        "proposed_by": operator.key.kid,
        "proposal": signature,
        "expires_at": micros(proposal.expires),
        "changed_at": micros(time),
    }

    with store.database.reading() as session:
        before = said(session.connection(), proposal.digest)

    def unknown(transaction: Transaction) -> None:
        if transaction.config_version != snapshot.version:
            raise ConflictError("operators, agencies or keys were changed meanwhile: try again")
        if _state(transaction.connection, proposal.digest) is not None:
            raise ConflictError("this proposal was made before")
        # Under the ledger's lock, only what came since is read.
        since = said(transaction.connection, proposal.digest, first=before.size)
        if before.proposed or before.ended or since.proposed or since.ended:
            raise ConflictError("the ledger says that this proposal was made before, and its row is gone")

    by = Authority(operator.id, (operator.key.kid,), proposal.digest)
    entry = by.entry(time, f"propose/{proposal.what}", why=proposal.why, about=proposal.about)
    act(store, [entry], unknown, rows=[(ProposalRow, row)], changes_config=False)
    return proposal.digest


def judge(store: Store, kept: Kept, signature: str) -> Authority:
    """The word of two operators, good for what the proposal says, once. Raises AccessDeniedError with every fault.

    Somebody who writes to the database may have put there what the same persons signed for another gateway of theirs, or have
    set back what was used up: what was proposed, and is not ended, is what the ledger says so of.
    """
    if kept.proposal.gateway != store.settings.gateway.id:
        raise RefusedError("the proposal is for another gateway")
    with store.database.reading() as session:
        known = said(session.connection(), kept.id)
        # After the entries: who was faster a moment ago, and wrote both, is not taken for somebody who set the row back.
        state = _state(session.connection(), kept.id)
    if known.ended:
        raise RefusedError(ENDED if state == PENDING else f"the proposal is {state} already")
    if not known.proposed:
        raise RefusedError("the ledger does not say that it was proposed")
    snapshot = Configuration(store.database).current()
    first, second = require_two((kept.signature, signature), kept.proposal, snapshot.directory, now())
    return Authority(
        who=f"{first.id}+{second.id}",
        approvals=(first.key.kid, second.key.kid),
        digest=kept.id,
        approval=signature,
        config_version=snapshot.version,
        looked=known.size,
    )


def withdraw(store: Store, kept: Kept, *, why: str, who: Who) -> None:
    """Raises RefusedError for one that is not pending."""
    time = now()

    def end(transaction: Transaction) -> None:
        ended = transaction.connection.execute(
            update(ProposalRow)
            .where(col(ProposalRow.id) == kept.id, col(ProposalRow.state) == PENDING)
            .values(state=WITHDRAWN, changed_at=micros(time))
        )
        if ended.rowcount != 1:
            raise ConflictError(f"the proposal is {_state(transaction.connection, kept.id)} already")

    entry = authority(who).entry(time, f"withdraw/{kept.proposal.what}", why=why, about=kept.id)
    act(store, [entry], end, changes_config=False)


def find(store: Store, id_: str, *, pending: bool = True) -> Kept:
    """By its id, or the first eight digits of it or more. Raises RefusedError."""
    if len(id_) < PREFIX:
        raise OperatorError(f"give at least {PREFIX} digits of the proposal's id")
    with store.database.reading() as session:
        found = [row for row in _rows(session) if row.id.startswith(id_)]
        if len(found) != 1:
            raise RefusedError("there is no such proposal" if not found else "more than one proposal begins with that")
        kept = _kept(found[0])
    if kept.proposal.digest != kept.id:
        raise RefusedError("the stored proposal is not the one that was made")
    if pending:
        if kept.state != PENDING:
            raise RefusedError(f"the proposal is {kept.state} already")
        require_open(kept.proposal, now())
    return kept


def proposals(store: Store) -> tuple[Kept, ...]:
    """Every one, past ones included, the newest first."""
    with store.database.reading() as session:
        return tuple(_kept(row) for row in _rows(session))


def _rows(session: Session) -> list[ProposalRow]:
    return list(session.exec(select(ProposalRow).order_by(col(ProposalRow.changed_at).desc())))


def _kept(row: ProposalRow) -> Kept:
    return Kept(
        row.id,
        parse_proposal(row.document),
        row.state,
        row.proposed_by,
        row.approved_by,
        moment(row.changed_at),
        row.attachment,
        row.proposal,
        row.approval,
    )


def _state(connection: Connection, id_: str) -> str | None:
    found = connection.execute(select(ProposalRow.state).where(col(ProposalRow.id) == id_)).scalar()
    return None if found is None else str(found)
