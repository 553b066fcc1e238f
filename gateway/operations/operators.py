"""Operators: who runs the gateway, each with a key of their own.

Decides who may be one. The first two are enrolled together, by `init` or later, and from then on there is no way back: what needs
two operators needs their signatures. Each further one is admitted by two. One alone ends a key, because that must be fast; with
fewer than two left nothing that needs two can be done until all agencies consent to new ones (`consent.py`).
"""

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import update
from sqlmodel import col

from gateway.founding import RefusedError, require_code
from gateway.founding.first_entries import operator_row
from gateway.keys.directory import ACTIVE, REVOKED, Operator
from gateway.ledger.entry import Entry, OperatorAdded, OperatorRevoked
from gateway.operations.acts import Authority, ConflictError, Who, act, authority, holder_of, require_two
from gateway.statements.appointment import FEWEST, Appointment, verify_appointment, verify_founders
from gateway.statements.consent import digest_of, require_consent
from gateway.store import queries
from gateway.store.configuration import Configuration
from gateway.store.recorder import Transaction
from gateway.store.tables import OperatorRow, micros
from gateway.wiring import Store, now


def operators(store: Store) -> tuple[Operator, ...]:
    """Every key that was ever an operator's, in the order of their enrolment."""
    with store.database.reading() as session:
        return tuple(queries.load_directory(session, 0).operators.values())


def found_operators(
    store: Store, statements: Iterable[str], *, consents: Iterable[str] = (), why: str, who: Who
) -> tuple[Appointment, ...]:
    """The first operators of a gateway that has none, or more where fewer than two are left and all agencies consent.

    Raises RefusedError where there are enough to add one, AccessDeniedError with every agency that has not consented.
    """
    time, snapshot = now(), Configuration(store.database).current()
    gateway, directory = store.settings.gateway.id, snapshot.directory
    founders = verify_founders(statements, gateway, time)
    by, code = authority(who), require_code(why, "the reason")
    if directory.operators:
        if len(directory.acting()) >= FEWEST:
            raise RefusedError("the gateway has operators: another one is added by two of them")
        keys = require_consent(consents, founders, gateway, directory, time)
        by = replace(by, approvals=keys, digest=digest_of(founders))

    def found(transaction: Transaction) -> None:
        if transaction.config_version != snapshot.version:
            raise ConflictError("operators, agencies or keys were changed meanwhile: try again")
        for founder in founders:
            _require_own_key(transaction, founder)

    entries: list[Entry] = [OperatorAdded(time=time, operator=one.operator, key=one.key.kid) for one in founders]
    entries.append(by.entry(time, "operators.found", why=code))
    act(store, entries, found, rows=[(OperatorRow, operator_row(one, time)) for one in founders])
    return founders


def admit_operator(store: Store, statement: str, operator: str, kid: str, *, why: str, who: Authority) -> Appointment:
    """One more: the person and the key that the two signed for. A person may have a second key; both are one person's."""
    time = now()
    appointment = verify_appointment(statement.strip(), store.settings.gateway.id, time)
    if (appointment.operator, appointment.key.kid) != (operator, kid):
        raise RefusedError("the statement is not the one that was proposed")

    def admit(transaction: Transaction) -> None:
        _require_own_key(transaction, appointment)
        require_two(transaction, who, time)

    entries = (
        OperatorAdded(time=time, operator=appointment.operator, key=appointment.key.kid),
        who.entry(time, "operators.add", why=why, about=appointment.operator),
    )
    act(store, entries, admit, rows=[(OperatorRow, operator_row(appointment, time))])
    return appointment


def revoke_operator(store: Store, kid: str, *, why: str, who: Who) -> int:
    """From the commit on this key does nothing; how many operators are left. Raises RefusedError."""
    time, code = now(), require_code(why, "the reason")
    found = next((one for one in operators(store) if one.key.kid == kid), None)
    if found is None:
        raise RefusedError(f"no operator has the key {kid}")

    def end(transaction: Transaction) -> None:
        ended = transaction.connection.execute(
            update(OperatorRow)
            .where(col(OperatorRow.kid) == kid, col(OperatorRow.status) == ACTIVE)
            .values(status=REVOKED, changed_at=micros(time))
        )
        if ended.rowcount != 1:
            raise ConflictError("the operator's key is revoked already")

    entries = (
        OperatorRevoked(time=time, operator=found.id, key=kid, why=code),
        authority(who).entry(time, "operators.revoke", why=code, about=found.id),
    )
    act(store, entries, end)
    return len({one.id for one in operators(store) if one.status == ACTIVE})


def _require_own_key(transaction: Transaction, appointment: Appointment) -> None:
    if (holder := holder_of(transaction, appointment.key.kid)) is not None:
        raise ConflictError(f"the key {appointment.key.kid} is known already: it is {holder}")
