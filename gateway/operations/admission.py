"""The admission of an agency's key: its own signed statement, and the word of two operators.

Decides when the new key begins to count and the old ones end: both count meanwhile, so nothing that is under way is refused.
Leaves to `key_statement.py` what proves that the agency means it. Also of the agency's offline recovery key, which signs no
message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col

from gateway.authorities import admit as admit_chain
from gateway.errors import OperatorError
from gateway.founding import RefusedError
from gateway.keys.certificate import chain_of
from gateway.keys.directory import RETIRED, Directory
from gateway.ledger.entry import Entry, KeyRetired
from gateway.operations.acts import Authority, ConflictError, act, holder_of, require_two
from gateway.operations.agencies import locked_row
from gateway.operations.agency_keys import OVERLAP, added, end_older, key_row, outlasting, require_overlap
from gateway.statements.key_statement import RECOVERY, SIGN, KeyStatement, verify_statement
from gateway.store.configuration import Configuration
from gateway.store.recorder import Transaction
from gateway.store.tables import AgencyKeyRow, RecoveryKeyRow, micros
from gateway.wiring import Store, now

LONGEST: Final = timedelta(days=3 * 366)


@dataclass(frozen=True, slots=True)
class Admission:
    """What would be done, and when: the new key's window, and which older keys end at `old_end`."""

    statement: KeyStatement
    begins: datetime
    ends: datetime
    old: tuple[str, ...]
    old_end: datetime | None
    overlap: timedelta
    confirmed_at: datetime | None = None

    def parameters(self) -> dict[str, str]:
        """What two operators sign: enough to know which key it is, without the statement."""
        said = self.statement
        return {
            "statement": said.digest,
            "kid": said.key.kid,
            "use": said.use,
            "not_before": said.not_before.isoformat(),
            "not_after": said.not_after.isoformat(),
            "endorsed_by": said.endorsed_by or "nobody",
            "recovered": "yes" if said.recovered else "no",
            "overlap_seconds": str(int(self.overlap.total_seconds())),
        }


def plan(store: Store, text: str, *, overlap: timedelta = OVERLAP) -> Admission:
    """Raises as `verify_statement` does, and RefusedError for an agency that is not there."""
    return _plan(store, text, overlap, Configuration(store.database).current().directory, now())


def _plan(store: Store, text: str, overlap: timedelta, directory: Directory, time: datetime) -> Admission:
    statement = verify_statement(text, store.settings.gateway.id, directory, time)
    if statement.agency not in directory.agencies:
        raise RefusedError(f"there is no agency {statement.agency}")
    if statement.not_after <= time:
        raise OperatorError("the new key's validity has passed already")
    if statement.not_after - statement.not_before > LONGEST:
        raise OperatorError("a key is valid for three years at most")
    confirmed_at = _certified(store, statement, time)
    begins = max(statement.not_before, time)
    if statement.use == RECOVERY:
        held = tuple(key.key.kid for key in directory.spares_of(statement.agency, time))
        return Admission(statement, begins, statement.not_after, held, time, timedelta())
    end = begins + require_overlap(overlap)
    old = outlasting(directory, statement.agency, end)
    return Admission(statement, begins, statement.not_after, old, end if old else None, overlap, confirmed_at)


def _certified(store: Store, statement: KeyStatement, time: datetime) -> datetime | None:
    """When an authority confirmed the key's certificate, asked over HTTP. Raises CertificateError or SilentError."""
    if not statement.key.x5c:
        return None
    certified, confirmed_at = admit_chain(store.settings.certificates, statement.agency, chain_of(statement.key), time)
    if statement.not_before < certified.not_before or statement.not_after > certified.not_after:
        raise OperatorError(
            "a certified key counts for as long as every certificate of its chain is valid, and no longer"
        )
    return confirmed_at


def admit(store: Store, text: str, parameters: Mapping[str, str], *, why: str, who: Authority) -> Admission:
    """Does what the proposal says, if the statement is still true and still that very one.

    Raises as `plan` does; RefusedError for a key that is known already, whoever's it is, or for used signatures.
    """
    time, snapshot = now(), Configuration(store.database).current()
    done = _plan(store, text, timedelta(seconds=int(parameters["overlap_seconds"])), snapshot.directory, time)
    if done.parameters() != dict(parameters):
        raise RefusedError("the statement is not the one that was proposed, or its effect has changed since")
    said = done.statement

    def apply(transaction: Transaction) -> None:
        if locked_row(transaction, said.agency) is None:
            raise ConflictError(f"there is no agency {said.agency}")
        if (holder := holder_of(transaction, said.key.kid)) is not None:
            raise ConflictError(f"the key {said.key.kid} is {holder} already")
        require_two(transaction, who, time)
        _end_old(transaction, done, time)

    validity = (said.not_before, said.not_after)
    row = key_row(said.agency, said.key, validity, time)
    table: Any = RecoveryKeyRow
    if said.use == SIGN:
        table = AgencyKeyRow
        row["confirmed_at"] = None if done.confirmed_at is None else micros(done.confirmed_at)
    entries: list[Entry] = [added(said.agency, said.key, said.use, validity, time)]
    entries += [
        KeyRetired(time=time, agency=said.agency, key=kid, use=said.use, not_after=done.old_end) for kid in done.old
    ]
    act(store, [*entries, who.entry(time, "keys.admit", why=why, about=said.agency)], apply, rows=[(table, row)])
    return done


def _end_old(transaction: Transaction, done: Admission, time: datetime) -> None:
    """An older key of the agency counts until the overlap is over; an older recovery key endorses nothing more."""
    agency = done.statement.agency
    if done.statement.use == RECOVERY:
        transaction.connection.execute(
            update(RecoveryKeyRow)
            .where(col(RecoveryKeyRow.agency) == agency, col(RecoveryKeyRow.kid).in_(done.old))
            .values(status=RETIRED, changed_at=micros(time))
        )
    elif done.old and done.old_end is not None:
        end_older(transaction, agency, done.old, done.old_end)
