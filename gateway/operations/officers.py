"""What an operator does about officers: each act is one commit and its entries in the gateway's own ledger.

Decides who may be admitted and what of it may be written down: the ledger and the directory know an officer by key and
role, the sealed row alone knows name and number. Leaves the statement's form to `enrolment.py`.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlmodel import col

from gateway import resources
from gateway.errors import OperatorError
from gateway.founding import RefusedError, require_code
from gateway.keys.directory import ACTIVE, REVOKED, Officer
from gateway.ledger.entry import OfficerAdded, OfficerRevoked, OperatorAct
from gateway.message_types import catalogue
from gateway.operations.acts import ConflictError, Who, authority, holder_of, record, require_two
from gateway.record import OWN_LEDGER
from gateway.statements.enrolment import Enrolment, verify_enrolment
from gateway.store import queries
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.sealing import Sealer, token
from gateway.store.tables import AgencyRow, OfficerRow, micros
from gateway.wiring import Store, now

ROLES: Final = "officer-role"
LIFETIME: Final = timedelta(days=365)
IDENTITY_PART: Final = "identity"
PERSON: Final = "officer-person"


@dataclass(frozen=True, slots=True)
class Listed:
    """An officer with name and number, for the operator's own eyes."""

    officer: Officer
    id: str
    name: str


def roles() -> tuple[str, ...]:
    """The codes of `schemas/codes/officer-role.json`."""
    return tuple(sorted(catalogue.load(resources.schemas_dir()).codes(ROLES)))


def read_enrolment(store: Store, statement: str) -> Enrolment:
    """Raises as `verify_enrolment` does, and OperatorError for a role that is not in the code list."""
    enrolment = verify_enrolment(statement, store.settings.gateway.id, now())
    if enrolment.person.role not in (known := roles()):
        raise OperatorError(f"a role is one of {', '.join(known)}")
    return enrolment


def add_officer(
    store: Store,
    statement: str,
    *,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    why: str,
    who: Who,
) -> Enrolment:
    """Admits the officer of a signed statement for `[not_before, not_after)`; by default a year from now.

    Raises RefusedError for an unknown agency and for a key that is known already, whoever's it is: an agency's key never
    approves, an officer's never speaks for an agency, and a revoked one never comes back. A gateway that has operators takes
    the word of two: an officer's signature releases what protects a victim.
    """
    enrolment = read_enrolment(store, statement)
    time, key, person = now(), enrolment.key, enrolment.person
    first = not_before or time
    last = not_after or first + LIFETIME
    if last <= first:
        raise OperatorError("an officer's validity must end after it begins")
    seal, wrapped = Sealer(store.keys.storage).new(key.kid)
    index = store.keys.index.eldest()
    identity = json.dumps({"id": person.id, "name": person.name}).encode()
    row = {
        "kid": key.kid,
        "agency": enrolment.agency,
        "person": token(index, PERSON, head_of(enrolment.agency, person.id)),
        "index_key": index.id,
        "role": person.role,
        "unit": person.unit,
        "jwk": json.dumps(dict(key.jwk)),
        "not_before": micros(first),
        "not_after": micros(last),
        "status": ACTIVE,
        "changed_at": micros(time),
        "storage_key": seal.storage_key,
        "wrapped_key": wrapped,
        "sealed_identity": seal.close(IDENTITY_PART, identity),
    }

    def unknown(transaction: Transaction) -> None:
        agency = select(col(AgencyRow.id)).where(col(AgencyRow.id) == enrolment.agency)
        if transaction.connection.execute(agency).first() is None:
            raise ConflictError(f"there is no agency {enrolment.agency}")
        if (holder := holder_of(transaction, key.kid)) is not None:
            raise ConflictError(f"the key {key.kid} is known already ({holder}): an officer needs a key of their own")
        require_two(transaction, who, time)

    entries = (
        OfficerAdded(
            time=time, agency=enrolment.agency, key=key.kid, role=person.role, not_before=first, not_after=last
        ),
        authority(who).entry(time, "officers.add", why=why, about=enrolment.agency),
    )
    record(store, RecordEvent(OWN_LEDGER, entries, unknown, [(OfficerRow, row)], changes_config=True))
    return enrolment


def find_officer(store: Store, agency: str, kid: str) -> Officer:
    """Raises RefusedError."""
    with store.database.reading() as session:
        officer = queries.load_directory(session, 0).officers.get((agency, kid))
    if officer is None:
        raise RefusedError(f"{agency} has no officer with the key {kid}")
    return officer


def revoke_officer(store: Store, agency: str, kid: str, *, why: str, who: str) -> None:
    """From the commit on nothing that this key approves counts; what it approved before stays released."""
    find_officer(store, agency, kid)
    time, code = now(), require_code(why, "the reason")

    def end(transaction: Transaction) -> None:
        ended = transaction.connection.execute(
            update(OfficerRow)
            .where(col(OfficerRow.agency) == agency, col(OfficerRow.kid) == kid, col(OfficerRow.status) == ACTIVE)
            .values(status=REVOKED, changed_at=micros(time))
        )
        if ended.rowcount != 1:
            raise ConflictError("the officer's key is revoked already")

    entries = (
        OfficerRevoked(time=time, agency=agency, key=kid, why=code),
        OperatorAct(time=time, who=require_code(who, "the operator"), what="officers.revoke", why=code, about=agency),
    )
    record(store, RecordEvent(OWN_LEDGER, entries, end, changes_config=True))


def head_of(agency: str, number: str) -> str:
    """Without points and strokes: one person's number in two spellings must not make two heads."""
    return f"{agency}/{''.join(character for character in number if character.isalnum()) or number}"


def listed(store: Store, agency: str | None = None) -> tuple[Listed, ...]:
    """Every officer, of one agency or of all, past ones included. Opens the sealed names: show them to nobody else."""
    sealer = Sealer(store.keys.storage)
    with store.database.reading() as session:
        rows = queries.officer_rows(session)
        officers = queries.load_directory(session, 0).officers
    found = []
    for row in rows:
        if agency not in (None, row.agency):
            continue
        seal = sealer.unwrap(row.kid, row.storage_key, row.wrapped_key)
        identity = json.loads(seal.open(IDENTITY_PART, row.sealed_identity))
        found.append(Listed(officers[row.agency, row.kid], identity["id"], identity["name"]))
    return tuple(found)
