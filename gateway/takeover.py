"""A new gateway takes over from one whose database cannot be continued: who takes part, and under which agreements.

Decides what comes along and what does not (docs/howto/restore.md). The old copy must be sound in itself, only too short; it is
read and never written. Its messages stay where they are, under their own ledgers. What counts here is entered anew in ledgers
of another origin, whose first entries say where each old one ended.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.agreement.document import agreement_from_json
from gateway.errors import LedgerForkedError
from gateway.founding import RefusedError, require_code
from gateway.jose import public_key_from_jwk
from gateway.keys.certificate import digest
from gateway.keys.directory import ACTIVE, REVOKED
from gateway.keys.keychain import SIGN
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.entry import (
    AgencyAdded,
    AgencyChanged,
    AgreementActivated,
    Entry,
    KeyAdded,
    KeyRetired,
    KeyRevoked,
    OperatorAct,
)
from gateway.operations.acts import ConflictError, record
from gateway.record import OWN_LEDGER
from gateway.settings import Settings
from gateway.store import erasures, queries
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.described import PAUSED, description
from gateway.store.fsck import examine
from gateway.store.jobs.events import CreateLedger, RecordEvent
from gateway.store.migrations import require_current
from gateway.store.recorder import Transaction
from gateway.store.tables import (
    WAITING,
    AgencyKeyRow,
    AgencyRow,
    AgreementRow,
    HoldRow,
    OperatorRow,
    OutboxRow,
    RecoveryKeyRow,
    TransferRow,
    UsedMessageId,
    micros,
    moment,
)
from gateway.wiring import Store, connect, load_keys, now

CONTINUES: Final = "takeover/continues"
LOST: Final = "takeover/lost"


@dataclass(frozen=True, slots=True)
class OldLedger:
    """How one of the old ledgers ends: in the copy, and by the newest checkpoint that was kept outside the database."""

    ledger: str
    origin: str
    size: int
    root: bytes
    known: Checkpoint | None

    @property
    def lost(self) -> int:
        """How many entries were signed and are not in the copy."""
        return 0 if self.known is None else max(0, self.known.size - self.size)

    def entries(self, time: datetime, who: str) -> list[Entry]:
        def said(what: str, size: int, root: bytes) -> OperatorAct:
            return OperatorAct(time=time, who=who, what=what, why=str(size), about=self.origin, digest=root.hex())

        ends: list[Entry] = [said(CONTINUES, self.size, self.root)]
        if self.known is not None and self.lost:
            ends.append(said(LOST, self.known.size, self.known.root))
        return ends


@dataclass(frozen=True, slots=True)
class Owing:
    """Somebody who counted in the old gateway and does not here, and the command by which they count again.

    Each rests on the word of a person or an agency to the old gateway, or on a secret that is not in the copy: none is copied.
    """

    what: str
    who: str
    key: str
    command: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What came along, and what the operator must see to: messages on their way, holds that cover what comes later, and whom
    nobody knows here yet.
    """

    ledgers: tuple[OldLedger, ...]
    agencies: tuple[str, ...]
    keys: int
    agreements: tuple[str, ...]
    used_ids: int
    undelivered: tuple[str, ...]
    holds: tuple[str, ...]
    again: tuple[Owing, ...]


@dataclass(frozen=True, slots=True)
class _Old:
    agencies: Sequence[AgencyRow]
    keys: Sequence[AgencyKeyRow]
    agreements: Sequence[AgreementRow]
    used: Sequence[dict[str, Any]]
    undelivered: tuple[str, ...]
    holds: tuple[str, ...]
    again: tuple[Owing, ...]


def take_over(store: Store, old: Settings, *, why: str, who: str) -> Taken:
    """Everything in one commit, into a gateway that has neither agencies nor operators yet.

    Raises LedgerForkedError for a copy that was altered, RefusedError for the same origin or a gateway in service.
    """
    require_code(who, "the operator"), require_code(why, "the reason")
    time = now()
    database, keys = connect(old.database.url, old.database.password_file), load_keys(old)
    try:
        require_current(database)
        with database.reading() as session:
            keys.learn(queries.own_keys(session))
            names = [head.ledger for head in queries.ledgers(session)]
        known = CheckpointFiles(old.gateway.state_dir / "checkpoints", keys.checkpoint).load()
        ledgers = []
        for name in names:
            found = examine(database, keys.checkpoint, name, None, now=time)
            signed = found.report.checkpoint
            if not found.ok or signed is None:
                raise LedgerForkedError(f"the old {name} was altered: sinergi ledger fsck says what to do")
            ledgers.append(OldLedger(name, signed.origin, signed.size, signed.root, known.newest(name)))
        with database.reading() as session:
            rows = _read(session, time)
            session.expunge_all()
    finally:
        database.close()
    for one in ledgers:
        if one.origin == store.settings.gateway.ledger_origin(one.ledger):
            raise RefusedError(
                f"the new gateway has the old one's origin, {one.origin}: initialise it with another --origin"
            )
    for agreement in rows.agreements:
        origin = store.settings.gateway.ledger_origin(agreement.id)
        record(store, CreateLedger(agreement.id, origin, store.keys.checkpoint))
    record(store, _job(rows, [entry for one in ledgers for entry in one.entries(time, who)], time, why, who))
    return Taken(
        tuple(ledgers),
        tuple(row.id for row in rows.agencies),
        len(rows.keys),
        tuple(f"{row.id}/{row.version}" for row in rows.agreements),
        len(rows.used),
        rows.undelivered,
        rows.holds,
        rows.again,
    )


def _read(session: Session, time: datetime) -> _Old:
    """What waits for its recipient in the copy is its sender's to send again: those ids are not used up here."""
    live = (
        select(col(UsedMessageId.sender), col(UsedMessageId.jti), col(UsedMessageId.transfer), col(OutboxRow.state))
        .join(TransferRow, col(TransferRow.id) == col(UsedMessageId.transfer))
        .outerjoin(OutboxRow, col(OutboxRow.transfer) == col(UsedMessageId.transfer))
        .where(col(TransferRow.expires_at) > micros(time))
        .order_by(col(TransferRow.id))
    )
    used = session.connection().execute(live).all()
    return _Old(
        queries.agencies(session),
        session.execute(select(AgencyKeyRow).order_by(col(AgencyKeyRow.not_before))).scalars().all(),
        queries.active_agreements(session),
        [{"sender": row.sender, "jti": row.jti, "transfer": row.transfer} for row in used if row.state != WAITING],
        tuple(row.transfer for row in used if row.state == WAITING),
        tuple(_hold(row) for row in erasures.holds(session)),
        tuple(_owing(session, micros(time))),
    )


def _owing(session: Session, at: int) -> Iterator[Owing]:
    """Those that counted at this moment. An officer is told by agency and key: the copy knows the name only under its keys."""
    found = queries.load_directory(session, 0)
    for operator in found.operators.values():
        if operator.status == ACTIVE:
            yield Owing("operator", operator.id, operator.key.kid, "sinergi operators found")
    for officer in queries.officer_rows(session):
        if officer.status == ACTIVE and officer.not_after > at:
            yield Owing("officer", f"{officer.agency}, {officer.role}", officer.kid, "sinergi agencies officers add")
    recovery = select(RecoveryKeyRow).order_by(col(RecoveryKeyRow.agency), col(RecoveryKeyRow.kid))
    for key in session.execute(recovery).scalars():
        if key.status == ACTIVE and key.not_after > at:
            yield Owing("recovery key", key.agency, key.kid, "sinergi keys statement --use recovery")
    for auditor in queries.auditors(session):
        if auditor.revoked_at is None and auditor.expires_at > at:
            yield Owing("auditor", f"{auditor.id}, {auditor.role}", "", "sinergi auditors issue")


def _hold(row: HoldRow) -> str:
    return f"{row.id} on {row.scope}: {row.why}, {row.citation}"


def _job(rows: _Old, ends: Sequence[Entry], time: datetime, why: str, who: str) -> RecordEvent:
    entries = [*ends]
    entries += [
        AgencyAdded(time=time, agency=agency.id, status=agency.status, digest=description(agency))
        for agency in rows.agencies
    ]
    entries += [
        AgencyChanged(time=time, agency=agency.id, status=PAUSED)
        for agency in rows.agencies
        if agency.paused_reason is not None
    ]
    for key in rows.keys:
        entries += _life(key, time, why)
    entries.append(OperatorAct(time=time, who=who, what="takeover", why=why))
    activated = [
        AgreementActivated(
            time=time,
            agreement=row.id,
            version=row.version,
            digest=row.digest,
            signers=tuple(agreement_from_json(row.document).parties),
        )
        for row in rows.agreements
    ]

    def place(transaction: Transaction) -> None:
        for table in (AgencyRow, OperatorRow):
            if transaction.connection.execute(select(table).limit(1)).first() is not None:
                raise ConflictError("a takeover must come first: this gateway has agencies or operators already")
        for row in rows.agreements:
            position = transaction.appends[row.id].size
            transaction.insert(AgreementRow, row.model_dump() | {"position": position})

    known = [(type(row), row.model_dump()) for row in (*rows.agencies, *rows.keys)]
    known += [(UsedMessageId, row) for row in rows.used]
    also = [(row.id, entry) for row, entry in zip(rows.agreements, activated, strict=True)]
    also += [(OWN_LEDGER, entry) for entry in activated]
    return RecordEvent(OWN_LEDGER, entries, place, known, changes_config=True, also=also)


def _life(key: AgencyKeyRow, time: datetime, why: str) -> list[Entry]:
    """What became of a key, in entries that `keys history` can replay."""
    begins, changed = moment(key.not_before), moment(key.changed_at)
    public = public_key_from_jwk(json.loads(key.jwk))
    added = KeyAdded(
        time=time, agency=key.agency, key=key.kid, use=SIGN, not_before=begins, not_after=moment(key.not_after),
        certificate=digest(public) if public.x5c else None,
    )  # fmt: skip
    if key.status == ACTIVE:
        return [added]
    if key.status == REVOKED:
        lost = changed if key.untrusted_since is None else moment(key.untrusted_since)
        return [
            added,
            KeyRevoked(time=time, agency=key.agency, key=key.kid, use=SIGN, not_before=begins, not_after=lost, why=why),
        ]
    return [
        added,
        KeyRetired(time=time, agency=key.agency, key=key.kid, use=SIGN, not_before=begins, not_after=changed),
    ]
