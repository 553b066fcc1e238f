"""Rotation of the gateway's own keys: a new key is announced, begins, and the old one ends, while messages flow.

Decides when the next key begins and what must have happened before the old one is done with. `sign`: the new public key is
published before it signs anything, and the old one still counts a while after. `storage`: from its first moment the new key
wraps what comes, then what is stored is wrapped anew, and only then the old key ends. Every step is one commit with its
ledger entries; a rotation that was interrupted is continued by calling it again.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import func, select, update
from sqlmodel import Session, SQLModel, col

from gateway import keyring
from gateway.directory import ACTIVE, ends_within, last_end
from gateway.errors import OperatorError
from gateway.founding import RefusedError, require_code
from gateway.key_history import Life, differences, replay
from gateway.keychain import SIGN, STORAGE, OwnKey, in_use, state
from gateway.ledger.entry import Entry, KeyAdded, KeyRetired, OperatorAct, decode
from gateway.ledger.tiles import TILE_WIDTH
from gateway.operations import ConflictError, record
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.sealing import Sealer
from gateway.store.tables import AgencyKeyRow, GatewayKeyRow, OfficerRow, SubjectRequestRow, TransferRow, micros
from gateway.wiring import Store, now

ROLES: Final = (SIGN, STORAGE)
# Longer than any cache may hold the key set (`keys_max_age_seconds`), twice over.
LEADS: Final = {SIGN: timedelta(minutes=5), STORAGE: timedelta(seconds=5)}
# Every node reads the configuration each second; clocks may differ by the leeway.
OVERLAP: Final = timedelta(minutes=5)
PATIENCE: Final = timedelta(seconds=60)
BATCH: Final = 200
_SEALED: Final[tuple[tuple[type[SQLModel], Any], ...]] = (
    (TransferRow, TransferRow.id),
    (OfficerRow, OfficerRow.kid),
    (SubjectRequestRow, SubjectRequestRow.id),
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation does and when: `new` is None while it is only planned."""

    role: str
    old: str
    old_ends: datetime | None
    begins: datetime
    uri: str
    new: str | None = None


def plan(store: Store, role: str, *, uri: str | None = None, lead: timedelta | None = None) -> Rotation:
    """What `rotate` would do now. Raises OperatorError for a role that has no rotation, RefusedError while one is going on."""
    if role not in ROLES:
        raise OperatorError(f"the role must be one of {', '.join(ROLES)}")
    time = now()
    with store.database.reading() as session:
        own = queries.own_keys(session)
    used = in_use(own, role, time)
    if used is None:
        raise RefusedError(f"no {role} key is known to be in use")
    for key in own:
        if key.role == role and state(key, own, time) == "pending":
            raise RefusedError(f"the next {role} key begins at {key.not_before.isoformat(timespec='seconds')} already")
        if role == STORAGE and key.role == role and state(key, own, time) == "retiring":
            raise RefusedError(
                "stored keys are still wrapped by the storage key before: run `sinergi keys rewrap` first"
            )
    begins = time + (LEADS[role] if lead is None else lead)
    ends = begins + OVERLAP if role == SIGN else None
    return Rotation(role, used.kid, ends, begins, uri or _beside(store, role, used, time))


def rotate(
    store: Store, role: str, *, uri: str | None = None, lead: timedelta | None = None, why: str, who: str
) -> Rotation:
    """Announces the next key of `role`: made in a file beside the old one, or the existing one at `uri`.

    Every process opens it before it begins; one that cannot says so on `/readyz`. Raises as `plan` does, and KeyringError.
    """
    require_code(who, "the operator")
    require_code(why, "the reason")
    planned = plan(store, role, uri=uri, lead=lead)
    made = None if uri is not None else Path(unquote(urlsplit(planned.uri).path))
    passphrase = keyring.read_passphrase(store.settings.keys.passphrase_file)
    if made is not None:
        keyring.generate(made, store.keys.sign.alg if role == SIGN else keyring.SECRET, passphrase)
    try:
        return _announce(store, planned, passphrase, why=why, who=who)
    except BaseException:
        if made is not None:
            made.unlink(missing_ok=True)
        raise


def _announce(store: Store, planned: Rotation, passphrase: bytes, *, why: str, who: str) -> Rotation:
    role, time, gateway = planned.role, now(), store.settings.gateway.id
    jwk: str | None = None
    if role == SIGN:
        signer = keyring.load_signer(planned.uri, passphrase)
        kid, jwk = signer.kid, json.dumps(dict(signer.public.jwk))
    else:
        kid = keyring.load_secret(planned.uri, passphrase, role).id

    def announce(transaction: Transaction) -> None:
        connection = transaction.connection
        for column in (GatewayKeyRow.kid, AgencyKeyRow.kid, OfficerRow.kid):
            if connection.execute(select(col(column)).where(col(column) == kid)).first() is not None:
                raise ConflictError(f"the key {kid} is known already: a new key is needed")
        others = select(func.count()).where(
            col(GatewayKeyRow.use) == role, col(GatewayKeyRow.not_before) > micros(time)
        )
        if connection.execute(others).scalar_one():
            raise ConflictError(f"another {role} key was announced meanwhile")
        if planned.old_ends is not None:
            ends = micros(planned.old_ends)
            connection.execute(
                update(GatewayKeyRow).where(col(GatewayKeyRow.kid) == planned.old).values(not_after=ends)
            )

    row = {
        "kid": kid,
        "use": role,
        "jwk": jwk,
        "uri": planned.uri,
        "not_before": micros(planned.begins),
        "not_after": None,
        "status": ACTIVE,
    }
    entries: list[Entry] = []
    if role == SIGN:
        entries = [
            KeyAdded(time=time, agency=gateway, key=kid, use=role, not_before=planned.begins),
            KeyRetired(time=time, agency=gateway, key=planned.old, use=role, not_after=planned.old_ends),
        ]
    entries.append(OperatorAct(time=time, who=who, what=f"keys.rotate/{role}", why=why, about=_about(role, kid)))
    record(store, RecordEvent(OWN_LEDGER, entries, announce, [(GatewayKeyRow, row)], changes_config=True))
    return Rotation(role, planned.old, planned.old_ends, planned.begins, planned.uri, kid)


def _about(role: str, kid: str) -> str | None:
    """A secret has no entry of its own: its id, which tells nothing of it, stands in the operator's act."""
    return f"storage-key:{kid}" if role == STORAGE else "sign-key"


def _beside(store: Store, role: str, used: OwnKey, time: datetime) -> str:
    """A new file's URI in the folder of the key in use."""
    place = urlsplit(used.uri or getattr(store.settings.keys, role))
    if place.scheme != "file":
        raise OperatorError("the key in use is not a file here: name the new one with --key")
    folder = Path(unquote(place.path)).parent
    return f"file:{quote(str(folder / f'{role}-{time:%Y%m%dT%H%M%S%f}'))}.pem"


# Storage: wrapping anew.


def to_rewrap(store: Store) -> int:
    """How many stored keys are wrapped by another storage key than the one in use."""
    with store.database.reading() as session:
        return sum(_waiting(session.connection(), table, store.keys.storage.current().id) for table, _ in _SEALED)


def _waiting(connection: Any, table: Any, current: str) -> int:
    waiting = select(func.count()).where(col(table.storage_key) != current, col(table.wrapped_key) != b"")
    return int(connection.execute(waiting).scalar_one())


def rewrap(store: Store, *, who: str, progress: Callable[[int, int], None] = lambda _done, _of: None) -> int:
    """Wraps every stored message key by the storage key in use, in small commits while the gateway runs; how many it were.

    Then the older storage keys end: nothing needs them any more. Raises KeyringError where an older key is not at hand.
    """
    require_code(who, "the operator")
    _await_next(store)
    sealer, total, done = Sealer(store.keys.storage), to_rewrap(store), 0
    current = sealer.storage.current().id
    for table, name in _SEALED:
        for batch in _batches(store, table, name, current):
            changed = [(key, old, *sealer.rewrap(key, kid, old)) for key, kid, old in batch]
            record(store, RecordEvent(OWN_LEDGER, (), partial(_replace, table, name, changed)))
            done += len(changed)
            progress(min(done, total), total)
    _retire(store, current, who)
    return done


def _await_next(store: Store) -> None:
    """Waits for a storage key that begins in a moment. Raises RefusedError for one that begins later."""
    with store.database.reading() as session:
        own = queries.own_keys(session)
    time = now()
    begins = max(
        (key.not_before for key in own if key.role == STORAGE and state(key, own, time) == "pending"), default=time
    )
    if begins > time + PATIENCE:
        raise RefusedError(
            f"the next storage key begins at {begins.isoformat(timespec='seconds')}: wrap anew after that"
        )
    if begins > time:
        sleep((begins - time).total_seconds() + 1.0)  # and every node has seen it begin


def _batches(store: Store, table: Any, name: Any, current: str) -> Iterator[Sequence[tuple[str, str, bytes]]]:
    after = ""
    while True:
        wanted = (
            select(col(name), col(table.storage_key), col(table.wrapped_key))
            .where(col(name) > after, col(table.storage_key) != current, col(table.wrapped_key) != b"")
            .order_by(col(name))
            .limit(BATCH)
        )
        with store.database.reading() as session:
            found = [(row[0], row[1], row[2]) for row in session.connection().execute(wanted)]
        if not found:
            return
        yield found
        after = found[-1][0]


def _replace(table: Any, name: Any, changed: Sequence[tuple[str, bytes, str, bytes]], transaction: Transaction) -> None:
    for key, old, kid, wrapped in changed:
        # The old bytes stand in the WHERE: what was erased meanwhile stays erased.
        transaction.connection.execute(
            update(table)
            .where(col(name) == key, col(table.wrapped_key) == old)
            .values(storage_key=kid, wrapped_key=wrapped)
        )


def _retire(store: Store, current: str, who: str) -> None:
    time = now()
    with store.database.reading() as session:
        older = [
            key.kid
            for key in queries.own_keys(session)
            if key.role == STORAGE and key.kid != current and not key.over(time) and key.not_before < time
        ]
    if not older:
        return

    def end(transaction: Transaction) -> None:
        left = sum(_waiting(transaction.connection, table, current) for table, _ in _SEALED)
        if left:
            raise ConflictError(f"{left} stored keys came under the older storage key meanwhile: run it again")
        transaction.connection.execute(
            update(GatewayKeyRow).where(col(GatewayKeyRow.kid).in_(older)).values(not_after=micros(time))
        )

    acts = [OperatorAct(time=time, who=who, what="keys.retire/storage", about=f"storage-key:{kid}") for kid in older]
    record(store, RecordEvent(OWN_LEDGER, acts, end, changes_config=True))


# What an operator should know of keys.


@dataclass(frozen=True, slots=True)
class Standing:
    """One key as `keys status` shows it; `warning` is None where there is nothing to do."""

    owner: str
    role: str
    kid: str
    state: str
    since: datetime
    until: datetime | None
    warning: str | None = None


OLD: Final = timedelta(days=365)


def standings(store: Store, time: datetime) -> list[Standing]:
    """Every key that is not over: the gateway's, then the agencies'."""
    with store.database.reading() as session:
        own, directory = queries.own_keys(session), queries.load_directory(session, 0)
    gateway = store.settings.gateway.id
    found = [
        Standing(
            gateway, key.role, key.kid, state(key, own, time), key.not_before, key.not_after, _aged(key, own, time)
        )
        for key in own
        if not key.over(time)
    ]
    for agency in sorted(directory.agencies):
        keys = [key for key in directory.keys_of(agency) if key.status == ACTIVE and key.not_after > time]
        last = last_end(directory, agency, time)
        for key in keys:
            told = "pending" if time < key.not_before else "active"
            ending = ends_within(key.not_after, time) if key.not_after == last else None
            warning = (
                None if ending is None else f"the agency's last key ends within {ending} days: import the next one"
            )
            found.append(Standing(agency, SIGN, key.public.kid, told, key.not_before, key.not_after, warning))
        if not keys:
            found.append(Standing(agency, SIGN, "-", "missing", time, None, "the agency has no key: it cannot send"))
    return found


def _aged(key: OwnKey, own: Sequence[OwnKey], time: datetime) -> str | None:
    if state(key, own, time) == "active" and key.role in ROLES and time - key.not_before > OLD:
        return "in use for more than a year: rotate it"
    return (
        "stored keys wait for `sinergi keys rewrap`"
        if key.role == STORAGE and state(key, own, time) == "retiring"
        else None
    )


def history(store: Store) -> tuple[list[Life], list[str]]:
    """Every key as the ledger's entries made it, and where the directory differs."""
    with store.database.reading() as session:
        lives = replay(_key_events(session))
        directory, own = queries.load_directory(session, 0), queries.own_keys(session)
    return list(lives.values()), list(differences(lives, directory, own, store.settings.gateway.id))


def _key_events(session: Session) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of a long ledger most entries are something else: they are not read as JSON."""
    bundle = 0
    while leaves := queries.leaves(session, OWN_LEDGER, bundle, TILE_WIDTH):
        for offset, leaf in enumerate(leaves):
            if b'"kind":"key.' in leaf:
                yield bundle * TILE_WIDTH + offset, decode(leaf)
        bundle += 1
