"""Activation: a version of an agreement that all its parties signed comes into force."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col

from gateway.agreement.document import Agreement, verify_signatures
from gateway.founding import RefusedError, require_code
from gateway.ledger.entry import AgreementActivated, OperatorAct
from gateway.operations.acts import ConflictError, record
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.configuration import Configuration
from gateway.store.jobs.events import CreateLedger, RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.tables import AgreementRow, micros
from gateway.wiring import Store, now


@dataclass(frozen=True, slots=True)
class Activation:
    """A version that may come into force: all parties signed it, with keys that are valid at `checked_at`."""

    agreement: Agreement
    signers: tuple[str, ...]
    signatures: tuple[str, ...]
    replaces: int | None
    config_version: int
    checked_at: datetime


def check_activation(store: Store, agreement: Agreement, signatures: Iterable[str]) -> Activation:
    """Raises AgreementInvalidError with every fault of the signatures, RefusedError for a version that is not newer."""
    if agreement.id == OWN_LEDGER:
        raise RefusedError(f"{OWN_LEDGER} is the name of the gateway's own ledger")
    time, texts = now(), tuple(signatures)
    snapshot = Configuration(store.database).current()
    signers = verify_signatures(agreement, texts, lambda agency, kid: snapshot.directory.key_for(agency, kid, time))
    with store.database.reading() as session:
        newest = queries.agreement_version(session, agreement.id)
    if newest is not None and agreement.version <= newest:
        raise RefusedError(f"version {newest} of {agreement.id} was activated: a new one must have a higher version")
    return Activation(agreement, signers, texts, newest, snapshot.version, time)


def activate_agreement(
    store: Store, agreement: Agreement, signatures: Iterable[str], *, why: str, who: str
) -> Activation:
    """Brings a signed version into force, in one commit with its entries in the agreement's ledger and the gateway's.

    An agreement's first version also gets its ledger. Raises as `check_activation` does.
    """
    require_code(who, "the operator"), require_code(why, "the reason")
    activation = check_activation(store, agreement, signatures)
    origin = store.settings.gateway.ledger_origin(agreement.id)
    # A commit of its own: a crash after it leaves an empty ledger, and the same command finishes the work.
    record(store, CreateLedger(agreement.id, origin, store.keys.checkpoint))
    time = now()

    def replace(transaction: Transaction) -> None:
        # Keys and versions were judged at this configuration; another one is judged again.
        if transaction.config_version != activation.config_version:
            raise ConflictError("agencies, keys or agreements were changed meanwhile: try again")
        transaction.connection.execute(
            update(AgreementRow).where(col(AgreementRow.id) == agreement.id).values(active=False)
        )
        # The entry of this very commit comes next in the agreement's ledger.
        transaction.insert(AgreementRow, row | {"position": transaction.appends[agreement.id].size})

    row = {
        "id": agreement.id,
        "version": agreement.version,
        "digest": agreement.digest,
        "document": agreement.canonical(),
        "signatures": json.dumps(activation.signatures),
        "activated_at": micros(time),
        "active": True,
    }
    activated = AgreementActivated(
        time=time,
        agreement=agreement.id,
        version=agreement.version,
        digest=agreement.digest,
        signers=activation.signers,
    )
    act = OperatorAct(
        time=time, who=who, what="agreement.activate", why=why, about=f"{agreement.id}/{agreement.version}"
    )
    record(
        store,
        RecordEvent(
            agreement.id,
            [activated],
            replace,
            changes_config=True,
            also=[(OWN_LEDGER, activated), (OWN_LEDGER, act)],
        ),
    )
    return activation
