"""What an operator does to a gateway: each act is one function, one commit and its entries in the gateway's own ledger.

Decides what an act needs to be possible and how it is written down. Leaves the words to `cli/`; the founding of a
gateway is `founding.py`. Every act names who did it: `who` and `why` are codes (an account, a ticket), never sentences.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import rfc8785
from sqlalchemy import select, update
from sqlmodel import col

from gateway.agreement import Agreement, verify_signatures
from gateway.directory import ACTIVE, RETIRED, REVOKED, SUSPENDED, AgencyKey, Endpoint, require_agency_id
from gateway.errors import GatewayError, OperatorError, StoreUnavailableError
from gateway.founding import RefusedError, initialise, require_code
from gateway.jose import PublicKey, public_key_from_jwk
from gateway.keychain import SIGN
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
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.configuration import Configuration
from gateway.store.jobs.events import CreateLedger, RecordEvent
from gateway.store.recorder import Job, Transaction
from gateway.store.tables import (
    AgencyKeyRow,
    AgencyRow,
    AgreementRow,
    AuditorRow,
    GatewayKeyRow,
    OfficerRow,
    micros,
    moment,
)
from gateway.wiring import Store, now

__all__ = [
    "ConflictError",
    "RefusedError",
    "activate_agreement",
    "add_agency",
    "change_agency",
    "check_activation",
    "find_key",
    "import_key",
    "initialise",
    "issue_auditor",
    "record",
    "require_code",
    "retire_key",
    "revoke_auditor",
    "revoke_key",
]

AUDITOR: Final = "auditor"
DPO: Final = "dpo"
ROLES: Final = (AUDITOR, DPO)
KEY_LIFETIME: Final = timedelta(days=365)
_WAIT_SECONDS: Final = 60


class ConflictError(GatewayError):
    """For a job's `apply`: a RefusedError, found under the recorder's lock: only this job is left out of its batch."""


def record(store: Store, job: Job[Any]) -> Any:
    """Commits one job. Raises RefusedError for a conflict, StoreUnavailableError, or LedgerForkedError."""
    try:
        return store.recorder.submit(job).result(_WAIT_SECONDS).result
    except ConflictError as error:
        raise RefusedError(error.detail) from error
    except TimeoutError as error:
        raise StoreUnavailableError("the recorder did not answer: look before you try again") from error
    except GatewayError:
        if store.recorder.fatal is not None:
            raise store.recorder.fatal from None
        raise


def _act(
    store: Store,
    entries: Sequence[Entry],
    apply: Callable[[Transaction], None] | None = None,
    *,
    rows: Sequence[tuple[Any, dict[str, Any]]] = (),
    changes_config: bool = True,
) -> None:
    record(store, RecordEvent(OWN_LEDGER, entries, apply, rows, changes_config))


# Agencies.


def add_agency(
    store: Store,
    agency: str,
    name: str,
    *,
    endpoint: Endpoint | None = None,
    liaison: Endpoint | None = None,
    who: str,
) -> None:
    """A new agency, active at once. Raises RefusedError when there is one of this id."""
    require_agency_id(agency)
    if agency == store.settings.gateway.id:
        raise RefusedError("an agency cannot have the gateway's own id")
    time = now()
    row = AgencyRow(id=agency, name=name, status=ACTIVE)
    _place_endpoint(row, endpoint)
    _place_liaison(row, liaison)

    def unknown(transaction: Transaction) -> None:
        if _agency_row(transaction, agency) is not None:
            raise ConflictError(f"there is an agency {agency} already")

    entries = (
        AgencyAdded(time=time, agency=agency, status=ACTIVE, digest=_description(row)),
        OperatorAct(time=time, who=require_code(who, "the operator"), what="agencies.add", about=agency),
    )
    _act(store, entries, unknown, rows=[(AgencyRow, row.model_dump())])


def change_agency(
    store: Store,
    agency: str,
    *,
    who: str,
    name: str | None = None,
    status: str | None = None,
    endpoint: Endpoint | None = None,
    remove_endpoint: bool = False,
    resume: bool = False,
    liaison: Endpoint | None = None,
    remove_liaison: bool = False,
) -> None:
    """Changes what is given. `resume` lifts the pause that delivery put on an endpoint, and so does a new endpoint."""
    if status not in (None, ACTIVE, SUSPENDED):
        raise OperatorError(f"an agency's status is {ACTIVE} or {SUSPENDED}")
    if (endpoint is not None and remove_endpoint) or (liaison is not None and remove_liaison):
        raise OperatorError("an endpoint cannot be set and removed at once")
    time = now()
    with store.database.reading() as session:
        row = session.get(AgencyRow, agency)
    if row is None:
        raise RefusedError(f"there is no agency {agency}")
    before = row.model_dump()
    row.name, row.status = name or row.name, status or row.status
    if endpoint is not None or remove_endpoint:
        _place_endpoint(row, endpoint)
    if liaison is not None or remove_liaison:
        _place_liaison(row, liaison)
    if resume:
        row.paused_reason = None
    after = row.model_dump()
    if after == before:
        raise RefusedError("nothing would change")

    def unchanged(transaction: Transaction) -> None:
        held = _agency_row(transaction, agency)
        if held is None or dict(held) != before:
            raise ConflictError(f"{agency} was changed by somebody else: look again")
        transaction.connection.execute(update(AgencyRow).where(col(AgencyRow.id) == agency).values(**after))

    changed = "+".join(sorted(member for member in after if after[member] != before[member]))
    entries = (
        AgencyChanged(time=time, agency=agency, status=row.status, digest=_description(row)),
        OperatorAct(
            time=time, who=require_code(who, "the operator"), what="agencies.set", why=changed or None, about=agency
        ),
    )
    _act(store, entries, unchanged)


def _agency_row(transaction: Transaction, agency: str) -> Any:
    table = AgencyRow.__table__  # type: ignore[attr-defined]  # SQLModel makes it
    found = select(*table.columns).where(col(AgencyRow.id) == agency).with_for_update()
    return transaction.connection.execute(found).mappings().one_or_none()


def _place_endpoint(row: AgencyRow, endpoint: Endpoint | None) -> None:
    row.endpoint_url = None if endpoint is None else endpoint.url
    row.endpoint_networks = "" if endpoint is None else " ".join(map(str, endpoint.networks))
    row.endpoint_ca_file = None if endpoint is None else endpoint.ca_file
    row.paused_reason = None


def _place_liaison(row: AgencyRow, liaison: Endpoint | None) -> None:
    row.liaison_url = None if liaison is None else liaison.url
    row.liaison_networks = "" if liaison is None else " ".join(map(str, liaison.networks))
    row.liaison_ca_file = None if liaison is None else liaison.ca_file


def _description(row: AgencyRow) -> str:
    """Digest of what the other agencies may know: RFC 8785 of id, name and endpoints."""
    members: dict[str, Any] = {"id": row.id, "name": row.name}
    if row.endpoint_url is not None:
        members["endpoint"] = {"url": row.endpoint_url, "networks": row.endpoint_networks.split()}
    if row.liaison_url is not None:
        members["liaison_endpoint"] = {"url": row.liaison_url, "networks": row.liaison_networks.split()}
    return hashlib.sha256(rfc8785.dumps(members)).hexdigest()


# Keys of agencies.


def import_key(
    store: Store,
    agency: str,
    jwk: Mapping[str, Any],
    *,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    who: str,
) -> PublicKey:
    """A public key that speaks for `agency` in `[not_before, not_after)`; by default a year from now.

    Raises RefusedError for a key that is known already, whoever's it is: one private key is one party's, and a revoked
    one never comes back. MalformedError for what is not a public Ed25519 or P-256 JWK.
    """
    key = public_key_from_jwk(jwk)
    time = now()
    first = not_before or time
    last = not_after or first + KEY_LIFETIME
    if last <= first:
        raise OperatorError("a key's validity must end after it begins")

    def unknown(transaction: Transaction) -> None:
        if _agency_row(transaction, agency) is None:
            raise ConflictError(f"there is no agency {agency}")
        holders = select(col(AgencyKeyRow.agency)).where(col(AgencyKeyRow.kid) == key.kid)
        own = select(col(GatewayKeyRow.kid)).where(col(GatewayKeyRow.kid) == key.kid)
        holder = transaction.connection.execute(holders).scalar()
        officers = select(col(OfficerRow.kid)).where(col(OfficerRow.kid) == key.kid)
        if transaction.connection.execute(officers).first() is not None:
            raise ConflictError(f"the key {key.kid} is an officer's: it cannot speak for an agency")
        if holder is not None or transaction.connection.execute(own).first() is not None:
            raise ConflictError(f"the key {key.kid} is {holder or 'the gateway'}'s already")

    entries = (
        KeyAdded(time=time, agency=agency, key=key.kid, use=SIGN, not_before=first, not_after=last),
        OperatorAct(time=time, who=require_code(who, "the operator"), what="keys.import", about=agency),
    )
    row = {
        "agency": agency,
        "kid": key.kid,
        "jwk": json.dumps(dict(key.jwk)),
        "not_before": micros(first),
        "not_after": micros(last),
        "status": ACTIVE,
        "changed_at": micros(time),
    }
    _act(store, entries, unknown, rows=[(AgencyKeyRow, row)])
    return key


def revoke_key(store: Store, agency: str, kid: str, *, why: str, who: str, since: datetime | None = None) -> None:
    """From the commit on nothing that this key signs is accepted. For a key that is, or may be, in other hands.

    `since`: what was received from then on is not trusted either; `compromise.py` says what that is. A key that is revoked
    already may turn out to have been lost earlier, never later.
    """
    _end_key(store, agency, kid, REVOKED, who=who, why=require_code(why, "the reason"), since=since)


def retire_key(store: Store, agency: str, kid: str, *, who: str) -> None:
    """The key is no longer used; what it signed stays valid."""
    _end_key(store, agency, kid, RETIRED, who=who, why=None)


def find_key(store: Store, agency: str, kid: str) -> AgencyKey:
    """Raises RefusedError."""
    with store.database.reading() as session:
        key = queries.load_directory(session, 0).keys.get((agency, kid))
    if key is None:
        raise RefusedError(f"{agency} has no key {kid}")
    return key


def _end_key(
    store: Store, agency: str, kid: str, status: str, *, who: str, why: str | None, since: datetime | None = None
) -> None:
    key, time = find_key(store, agency, kid), now()
    from_ = (ACTIVE, RETIRED) if status == REVOKED else (ACTIVE,)
    if since is not None and key.status == REVOKED and since < (key.untrusted_since or key.changed_at or time):
        from_ = (REVOKED,)

    def end(transaction: Transaction) -> None:
        ended = transaction.connection.execute(
            update(AgencyKeyRow)
            .where(col(AgencyKeyRow.agency) == agency, col(AgencyKeyRow.kid) == kid)
            .where(col(AgencyKeyRow.status).in_(from_))
            .values(
                status=status,
                changed_at=micros(time),
                untrusted_since=None if since is None else micros(since),
            )
        )
        if ended.rowcount != 1:
            raise ConflictError(f"the key is {find_key(store, agency, kid).status} already")

    entry: Entry
    if status == REVOKED:
        entry = KeyRevoked(
            time=time, agency=agency, key=kid, use=SIGN, not_before=key.not_before, not_after=since or time, why=why
        )
    else:
        entry = KeyRetired(time=time, agency=agency, key=kid, use=SIGN, not_before=key.not_before, not_after=time)
    what = "keys.revoke" if status == REVOKED else "keys.retire"
    act = OperatorAct(time=time, who=require_code(who, "the operator"), what=what, why=why, about=agency)
    _act(store, (entry, act), end)


# Agreements.


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


def activate_agreement(store: Store, agreement: Agreement, signatures: Iterable[str], *, who: str) -> Activation:
    """Brings a signed version into force, in one commit with its entries in the agreement's ledger and the gateway's.

    An agreement's first version also gets its ledger. Raises as `check_activation` does.
    """
    require_code(who, "the operator")
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
    act = OperatorAct(time=time, who=who, what="agreement.activate", about=f"{agreement.id}/{agreement.version}")
    record(
        store,
        RecordEvent(
            agreement.id,
            [activated],
            replace,
            [(AgreementRow, row)],
            changes_config=True,
            also=[(OWN_LEDGER, activated), (OWN_LEDGER, act)],
        ),
    )
    return activation


# Auditors.


def issue_auditor(store: Store, auditor: str, name: str, role: str, days: int, *, who: str) -> str:
    """The token, which is shown once and never again: only its SHA-256 is kept.

    An id whose token was revoked or has expired may be issued a new one; raises RefusedError while it is valid.
    """
    if role not in ROLES:
        raise OperatorError(f"a role is one of {', '.join(ROLES)}")
    if not 1 <= days <= KEY_LIFETIME.days:
        raise OperatorError(f"a token is valid for 1 to {KEY_LIFETIME.days} days")
    time, token = now(), secrets.token_urlsafe(32)
    row = {
        "id": require_agency_id(auditor),
        "name": name,
        "role": role,
        "token_hash": hashlib.sha256(token.encode("ascii")).hexdigest(),
        "expires_at": micros(time + timedelta(days=days)),
        "revoked_at": None,
    }

    def place(transaction: Transaction) -> None:
        held = transaction.connection.execute(
            select(col(AuditorRow.expires_at), col(AuditorRow.revoked_at)).where(col(AuditorRow.id) == auditor)
        ).one_or_none()
        if held is None:
            transaction.insert(AuditorRow, row)
            return
        if held.revoked_at is None and moment(held.expires_at) > time:
            raise ConflictError(f"{auditor} has a valid token: revoke it first")
        transaction.connection.execute(update(AuditorRow).where(col(AuditorRow.id) == auditor).values(**row))

    act = OperatorAct(
        time=time,
        who=require_code(who, "the operator"),
        what=f"auditors.issue/{role}",
        about=require_code(auditor, "the auditor's id"),
    )
    _act(store, [act], place, changes_config=False)
    return token


def revoke_auditor(store: Store, auditor: str, *, why: str, who: str) -> None:
    time = now()

    def end(transaction: Transaction) -> None:
        ended = transaction.connection.execute(
            update(AuditorRow)
            .where(col(AuditorRow.id) == auditor, col(AuditorRow.revoked_at).is_(None))
            .values(revoked_at=micros(time))
        )
        if ended.rowcount != 1:
            raise ConflictError(f"there is no auditor {auditor} with a token to revoke")

    act = OperatorAct(
        time=time,
        who=require_code(who, "the operator"),
        what="auditors.revoke",
        why=require_code(why, "the reason"),
        about=require_code(auditor, "the auditor's id"),
    )
    _act(store, [act], end, changes_config=False)
