"""Keys of agencies: which public key speaks for whom, from when, and how it ends."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.x509 import Certificate
from sqlalchemy import select, update
from sqlmodel import col

from gateway.authorities import admit
from gateway.errors import OperatorError
from gateway.founding import RefusedError, require_code
from gateway.jose import PublicKey, public_key_from_jwk
from gateway.keys.certificate import digest
from gateway.keys.directory import ACTIVE, RETIRED, REVOKED, AgencyKey, Directory
from gateway.keys.keychain import SIGN
from gateway.ledger.entry import Entry, KeyAdded, KeyRetired, KeyRevoked
from gateway.operations.acts import ConflictError, Who, act, authority, holder_of, require_two
from gateway.operations.agencies import locked_row
from gateway.store import queries
from gateway.store.configuration import Configuration
from gateway.store.recorder import Transaction
from gateway.store.tables import AgencyKeyRow, micros
from gateway.wiring import Store, now

KEY_LIFETIME: Final = timedelta(days=365)
OVERLAP: Final = timedelta(days=7)
LONGEST_OVERLAP: Final = timedelta(days=90)
_EVER: Final = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def import_key(
    store: Store,
    agency: str,
    jwk: Mapping[str, Any] | None,
    *,
    chain: Sequence[Certificate] = (),
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    overlap: timedelta = OVERLAP,
    why: str,
    who: Who,
) -> PublicKey:
    """A public key that speaks for `agency` in `[not_before, not_after)`; by default a year from now.

    Older ones that would outlast the overlap end with it.

    With a `chain` it is the key of its first certificate, for as long as the whole chain is valid at most, and an authority of
    the settings is asked whether it still counts; `jwk` must then be that key, or None. Raises CertificateError.

    Raises RefusedError for a key that is known already, whoever's it is: one private key is one party's, and a revoked
    one never comes back; and in a gateway that has operators, where an agency's key is admitted by two of them
    (`admission.py`). MalformedError for what is not a public Ed25519 or P-256 JWK.
    """
    time, code = now(), require_code(why, "the reason")
    key, limits, confirmed_at = _key(store, agency, jwk, chain, time)
    first, last = _validity(not_before or time, not_after, limits)
    end = max(first, time) + require_overlap(overlap)
    snapshot = Configuration(store.database).current()
    old = outlasting(snapshot.directory, agency, end) if last > end else ()

    def unknown(transaction: Transaction) -> None:
        if transaction.config_version != snapshot.version:
            raise ConflictError("operators, agencies or keys were changed meanwhile: try again")
        if locked_row(transaction, agency) is None:
            raise ConflictError(f"there is no agency {agency}")
        if (holder := holder_of(transaction, key.kid)) is not None:
            raise ConflictError(f"the key {key.kid} is {holder} already")
        require_two(transaction, who, time)
        end_older(transaction, agency, old, end)

    entries: list[Entry] = [
        added(agency, key, SIGN, (first, last), time),
        *(KeyRetired(time=time, agency=agency, key=kid, use=SIGN, not_after=end) for kid in old),
        authority(who).entry(time, "keys.import", why=code, about=agency),
    ]
    row = key_row(agency, key, (first, last), time)
    row["confirmed_at"] = None if confirmed_at is None else micros(confirmed_at)
    act(store, entries, unknown, rows=[(AgencyKeyRow, row)])
    return key


def _key(
    store: Store, agency: str, jwk: Mapping[str, Any] | None, chain: Sequence[Certificate], time: datetime
) -> tuple[PublicKey, tuple[datetime, datetime], datetime | None]:
    """The key, how long it may count at most, and when its authority confirmed it."""
    if not chain:
        if jwk is None:
            raise OperatorError("a key is given as a JWK, or by its certificate")
        return public_key_from_jwk(jwk), (_EVER[0], _EVER[1]), None
    certified, confirmed_at = admit(store.settings.certificates, agency, chain, time)
    # The RSA key of a JWK is not read without its chain; whose thumbprint it claims is enough to compare.
    if jwk is not None and any(jwk.get(name) != value for name, value in certified.key.jwk.items()):
        raise OperatorError("the certificate is for another key than the JWK")
    return certified.key, (certified.not_before, certified.not_after), confirmed_at


def _validity(
    first: datetime, not_after: datetime | None, limits: tuple[datetime, datetime]
) -> tuple[datetime, datetime]:
    """`[first, last)` within what the key's certificates allow. Raises OperatorError."""
    last = not_after or min(first + KEY_LIFETIME, limits[1])
    if first < limits[0] or last > limits[1]:
        raise OperatorError(
            "a certified key counts for as long as every certificate of its chain is valid, and no longer"
        )
    if last <= first:
        raise OperatorError("a key's validity must end after it begins")
    return first, last


def added(agency: str, key: PublicKey, use: str, validity: tuple[datetime, datetime], time: datetime) -> KeyAdded:
    """The ledger's entry of a new key; of a certified one it names the chain."""
    return KeyAdded(
        time=time,
        agency=agency,
        key=key.kid,
        use=use,
        not_before=validity[0],
        not_after=validity[1],
        certificate=digest(key) if key.x5c else None,
    )


def key_row(agency: str, key: PublicKey, validity: tuple[datetime, datetime], time: datetime) -> dict[str, Any]:
    """What the directory has of a key, whether it signs or recovers."""
    return {
        "agency": agency,
        "kid": key.kid,
        "jwk": json.dumps(key.members()),
        "not_before": micros(validity[0]),
        "not_after": micros(validity[1]),
        "status": ACTIVE,
        "changed_at": micros(time),
    }


def require_overlap(overlap: timedelta) -> timedelta:
    """How long older keys count beside a new one. Raises OperatorError."""
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise OperatorError(f"the overlap must be between 0 and {LONGEST_OVERLAP.days} days")
    return overlap


def outlasting(directory: Directory, agency: str, end: datetime) -> tuple[str, ...]:
    """The agency's keys that would count beyond the overlap with a new one."""
    return tuple(key.public.kid for key in directory.keys_of(agency) if key.status == ACTIVE and key.not_after > end)


def end_older(transaction: Transaction, agency: str, old: Sequence[str], end: datetime) -> None:
    """They are as good as before until `end`, and no longer."""
    transaction.connection.execute(
        update(AgencyKeyRow)
        .where(col(AgencyKeyRow.agency) == agency, col(AgencyKeyRow.kid).in_(old))
        .values(not_after=micros(end))
    )


def revoke_key(store: Store, agency: str, kid: str, *, why: str, who: Who, since: datetime | None = None) -> None:
    """From the commit on nothing that this key signs is accepted. For a key that is, or may be, in other hands.

    `since`: what was received from then on is not trusted either; `compromise.py` says what that is, and it needs two operators,
    because it casts doubt on what others did. A key that is revoked already may turn out to have been lost earlier, never later.
    """
    _end_key(store, agency, kid, REVOKED, who=who, why=require_code(why, "the reason"), since=since)


def retire_key(store: Store, agency: str, kid: str, *, why: str, who: Who) -> None:
    """The key is no longer used; what it signed stays valid."""
    _end_key(store, agency, kid, RETIRED, who=who, why=require_code(why, "the reason"))


def find_key(store: Store, agency: str, kid: str) -> AgencyKey:
    """Raises RefusedError."""
    with store.database.reading() as session:
        key = queries.load_directory(session, 0).keys.get((agency, kid))
    if key is None:
        raise RefusedError(f"{agency} has no key {kid}")
    return key


def _end_key(
    store: Store, agency: str, kid: str, status: str, *, who: Who, why: str, since: datetime | None = None
) -> None:
    key, time = find_key(store, agency, kid), now()

    def end(transaction: Transaction) -> None:
        here = (col(AgencyKeyRow.agency) == agency, col(AgencyKeyRow.kid) == kid)
        # As the key is under the lock: of two revocations the earlier moment wins, whichever comes first.
        columns = (col(AgencyKeyRow.status), col(AgencyKeyRow.changed_at), col(AgencyKeyRow.untrusted_since))
        held = transaction.connection.execute(select(*columns).where(*here)).one()
        if held.status == REVOKED:
            lost = held.changed_at if held.untrusted_since is None else held.untrusted_since
            if since is None or micros(since) >= lost:
                raise ConflictError("the key is revoked already, as of that moment or an earlier one")
        elif status == RETIRED and held.status != ACTIVE:
            raise ConflictError(f"the key is {held.status} already")
        if since is not None:
            require_two(transaction, who, time)
        untrusted = None if since is None else micros(since)
        transaction.connection.execute(
            update(AgencyKeyRow).where(*here).values(status=status, changed_at=micros(time), untrusted_since=untrusted)
        )

    entry: Entry
    if status == REVOKED:
        entry = KeyRevoked(
            time=time, agency=agency, key=kid, use=SIGN, not_before=key.not_before, not_after=since or time, why=why
        )
    else:
        entry = KeyRetired(time=time, agency=agency, key=kid, use=SIGN, not_before=key.not_before, not_after=time)
    what = "keys.revoke" if status == REVOKED else "keys.retire"
    act(store, (entry, authority(who).entry(time, what, why=why, about=agency)), end)
