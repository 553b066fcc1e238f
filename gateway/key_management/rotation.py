"""Rotation of the gateway's own keys: a new key is announced, begins, and the old one ends, while messages flow.

Decides when the next key begins and when the old one is done with. `sign` and `request`: the new public key is published
before it signs anything, and the old one still counts a while after. `checkpoint` and `checkpoint_mldsa`: both sign for a
month, and every ledger says in an entry that the new key comes after the old one. `storage` and `index`: from its first
moment the new key is used for what comes; what is stored follows in `rewrapping.py` and `reindexing.py`, and only then the
old key ends. An announcement is one commit with its ledger entries.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import Select, func, insert, or_, select, update
from sqlmodel import col

from gateway import keyring
from gateway.errors import KeyringError, OperatorError, StoreUnavailableError
from gateway.founding import RefusedError, require_code
from gateway.key_management.everywhere import asked_everywhere
from gateway.key_management.index_loss import give_up, losses, lost_keys
from gateway.key_management.withdrawal import ROLES as REPLACEABLE
from gateway.key_management.withdrawal import end_announced
from gateway.keys.directory import ACTIVE
from gateway.keys.keychain import CHECKPOINT, INDEX, LONG_LIVED, LOST, REQUEST, SIGN, STORAGE, OwnKey, in_use, state
from gateway.ledger.entry import CheckpointKey, Entry, KeyAdded, KeyRetired
from gateway.ledger.note import ML_DSA_44
from gateway.ledger.succession import Succession
from gateway.operations.acts import ConflictError, Who, authority, holder_of, record, require_two
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.checkpoint_keys import NoteKey
from gateway.store.clocks import TOLERANCE
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.tables import GatewayKeyRow, LedgerHead, micros
from gateway.wiring import Store, now

# How long a key is known before it is used. Signing keys: longer than any cache may hold the key set, twice over.
LEADS: Final = {
    SIGN: timedelta(minutes=5),
    REQUEST: timedelta(minutes=5),
    CHECKPOINT: timedelta(seconds=5),
    LONG_LIVED: timedelta(seconds=5),
    STORAGE: timedelta(seconds=5),
    INDEX: timedelta(seconds=5),
}
ROLES: Final = tuple(LEADS)
# How long it may take to give every node the new file, and to look at its `/readyz`.
OTHER_NODES: Final = timedelta(minutes=15)
# How long the old key counts on. Of a ledger everybody who holds its key has to hear first.
OVERLAPS: Final = {
    SIGN: timedelta(minutes=5),
    REQUEST: timedelta(minutes=5),
    CHECKPOINT: timedelta(days=30),
    LONG_LIVED: timedelta(days=30),
}
# How long a walk waits for a key that begins.
PATIENCE: Final = timedelta(seconds=60)
# What has to be done with what is stored before the next rotation of the role.
WALKS: Final = {STORAGE: "rewrap", INDEX: "reindex"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What two operators signed for: the key in use, the announced key that is withdrawn, and the one at a given place."""

    old: str
    instead_of: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation does and when: `new` is None while it is only planned, `instead_of` an announced key that never begins."""

    role: str
    old: str
    old_ends: datetime | None
    begins: datetime
    uri: str
    new: str | None = None
    instead_of: str | None = None
    # Index keys that nobody has any more.
    lost: tuple[str, ...] = ()
    # Nodes that serve and cannot open the new key yet.
    lacking: tuple[str, ...] = ()


def default_lead(store: Store, role: str) -> timedelta:
    """At most. On PostgreSQL other nodes may serve, and one that is not given the new key before serves nothing from then on."""
    return LEADS[role] if store.database.is_sqlite else max(LEADS[role], OTHER_NODES)


def plan(
    store: Store,
    role: str,
    *,
    uri: str | None = None,
    lead: timedelta | None = None,
    overlap: timedelta | None = None,
    instead: bool = False,
    lost: bool = False,
) -> Rotation:
    """What `rotate` would do now. Raises OperatorError for a role that has no rotation, RefusedError while one is going on.

    `instead`: the key that was announced and has not begun is withdrawn, because this one is wanted earlier. `lost`: the index
    key in use is gone (`index_loss.py`).
    """
    if role not in ROLES:
        raise OperatorError(f"the role must be one of {', '.join(ROLES)}")
    if role == LONG_LIVED and store.keys.long_lived_keys.ring is None:
        raise OperatorError("this gateway has no ML-DSA-44 key: let keys.checkpoint_mldsa name one, and restart")
    time = now()
    with store.database.reading() as session:
        own = queries.own_keys(session)
    used = in_use(own, role, time) or _named_by_settings(store, role, own, time)
    if used is None:
        raise RefusedError(f"no {role} key is known to be in use")
    pending = next((key for key in own if key.role == role and state(key, own, time) == "pending"), None)
    if instead and (role not in REPLACEABLE or pending is None):
        raise OperatorError(f"only an announced {', '.join(REPLACEABLE)} key that has not begun is replaced by another")
    if pending is not None and not instead:
        raise RefusedError(
            f"the next {role} key begins at {pending.not_before.isoformat(timespec='seconds')} already"
            + ("; to use another one earlier: --instead" if role in REPLACEABLE else "")
        )
    gone = lost_keys(store, own, used, time) if lost else ()
    for key in own:
        if role in WALKS and key.role == role and state(key, own, time) in ("retiring", LOST) and not gone:
            raise RefusedError(
                f"what is stored still needs the {role} key before: run `sinergi keys {WALKS[role]}` first"
            )
    begins = time + (default_lead(store, role) if lead is None else lead)
    if overlap is not None and role not in OVERLAPS:
        raise OperatorError(f"the old {role} key counts until `sinergi keys {WALKS[role]}` is done, and no longer")
    ends = None if role in WALKS else begins + (OVERLAPS[role] if overlap is None else overlap)
    place = _beside(store, role, used, time) if uri is None else keyring.absolute(uri)
    instead_of = None if pending is None else pending.kid
    return Rotation(role, used.kid, ends, begins, place, instead_of=instead_of, lost=gone)


def _named_by_settings(store: Store, role: str, own: Sequence[OwnKey], time: datetime) -> OwnKey | None:
    """A long-lived key that the settings alone name: it was made after the gateway was founded, and no row tells of it."""
    uri, ring = store.settings.keys.checkpoint_mldsa, store.keys.long_lived_keys.ring
    if role != LONG_LIVED or ring is None or any(key.role == role for key in own):
        return None
    held = ring.current()
    return OwnKey(held.kid, role, held.jwk, keyring.absolute(uri or ""), time)


def rotate(
    store: Store,
    role: str,
    *,
    uri: str | None = None,
    lead: timedelta | None = None,
    overlap: timedelta | None = None,
    instead: bool = False,
    lost: bool = False,
    expected: Expected | None = None,
    why: str,
    who: Who,
) -> Rotation:
    """Announces the next key of `role`: made in a file beside the old one, or the existing one at `uri`. It takes two operators.

    Every process opens it before it begins; one that cannot says so on `/readyz`. Raises as `plan` does, KeyringError, and
    RefusedError where things are not as `expected` any more. Where it is not known whether the commit came off, the new file
    stays: an announced key without it would end the gateway.
    """
    require_code(authority(who).who, "the operator")
    require_code(why, "the reason")
    planned = plan(store, role, uri=uri, lead=lead, overlap=overlap, instead=instead, lost=lost)
    if expected is not None and expected != Expected(planned.old, planned.instead_of, key_at(store, role, uri)):
        raise RefusedError("it is not the rotation that was proposed any more: other keys are in use, or at that place")
    made = None if uri is not None else Path(unquote(urlsplit(planned.uri).path))
    passphrase = keyring.read_passphrase(store.settings.keys.passphrase_file)
    if made is not None:
        keyring.generate(made, _algorithm(store, role), passphrase)
    try:
        if lead is None and not store.database.is_sqlite:
            planned = _sooner(store, planned)
        return _announce(store, planned, passphrase, why=why, who=who)
    except (RefusedError, KeyringError):
        if made is not None:
            made.unlink(missing_ok=True)
        raise
    except BaseException as error:
        if made is None:
            raise
        raise StoreUnavailableError(
            f"it is not known whether the key was announced: {made} stays; `sinergi keys status` shows it if it was"
        ) from error


def _sooner(store: Store, planned: Rotation) -> Rotation:
    """Where every node that serves can open the new key already, it begins as soon as their clocks may agree that it does."""
    role = planned.role
    nodes, lacking = asked_everywhere(store, role, planned.uri, key_at(store, role, planned.uri) or "")
    if lacking:
        return replace(planned, lacking=lacking)
    begins = now() + (LEADS[role] if nodes <= 1 else max(LEADS[role], TOLERANCE))
    ends = None if planned.old_ends is None else begins + (planned.old_ends - planned.begins)
    return replace(planned, begins=begins, old_ends=ends)


def _algorithm(store: Store, role: str) -> str:
    """As the key before; a checkpoint is signed by Ed25519 alone (C2SP signed-note)."""
    if role in WALKS:
        return keyring.SECRET
    if role == LONG_LIVED:
        return keyring.LONG_LIVED
    return "EdDSA" if role == CHECKPOINT else (store.keys.sign if role == SIGN else store.keys.request).alg


def key_at(store: Store, role: str, uri: str | None) -> str | None:
    """The id of an existing key that is to be used. Raises KeyringError."""
    if uri is None:
        return None
    passphrase = keyring.read_passphrase(store.settings.keys.passphrase_file)
    if role == LONG_LIVED:
        return keyring.load_long_lived(uri, passphrase).kid
    return keyring.load_secret(uri, passphrase, role).id if role in WALKS else keyring.load_signer(uri, passphrase).kid


def _presented(store: Store, planned: Rotation, passphrase: bytes) -> tuple[str, str | None, Succession | None]:
    """The new key's id, its public half for the key set, and what it and the key before say of each other."""
    role = planned.role
    if role in WALKS:
        return keyring.load_secret(planned.uri, passphrase, role).id, None, None
    if role == LONG_LIVED:
        ring, coming = store.keys.long_lived_keys.ring, keyring.load_long_lived(planned.uri, passphrase)
        assert ring is not None, "the settings name the key in use"
        return (
            coming.kid,
            json.dumps(coming.jwk),
            Succession.sign(ring.named(planned.old), coming, planned.begins, ML_DSA_44),
        )
    signer = keyring.load_signer(planned.uri, passphrase)
    said = None
    if role == CHECKPOINT:
        said = Succession.sign(NoteKey(store.keys.checkpoint.signer), NoteKey(signer), planned.begins)
    return signer.kid, json.dumps(dict(signer.public.jwk)), said


def _announce(store: Store, planned: Rotation, passphrase: bytes, *, why: str, who: Who) -> Rotation:
    role, time, gateway = planned.role, now(), store.settings.gateway.id
    kid, jwk, said = _presented(store, planned, passphrase)
    with store.database.reading() as session:
        origins = {head.ledger: head.origin for head in queries.ledgers(session)} if said is not None else {}
        own = queries.own_keys(session)
    unknown = _named_by_settings(store, role, own, time)

    def announce(transaction: Transaction) -> None:
        connection = transaction.connection
        require_two(transaction, who, time)
        if (holder := holder_of(transaction, kid)) is not None:
            raise ConflictError(f"the key {kid} is known already ({holder}): a new key is needed")
        if unknown is not None:
            connection.execute(insert(GatewayKeyRow), [_row(unknown)])
        if planned.instead_of is not None:
            end_announced(transaction, role, planned.instead_of, time)
        others = select(func.count()).where(
            col(GatewayKeyRow.use) == role,
            col(GatewayKeyRow.not_before) > micros(time),
            col(GatewayKeyRow.status) == ACTIVE,
        )
        if connection.execute(others).scalar_one():
            raise ConflictError(f"another {role} key was announced meanwhile")
        if connection.execute(_newest(role, time)).scalar() != planned.old:
            raise ConflictError(
                f"the {role} key was replaced meanwhile: look, and try again if it must be replaced once more"
            )
        if said is not None and set(connection.execute(select(col(LedgerHead.ledger))).scalars()) != origins.keys():
            raise ConflictError("a ledger was made meanwhile: try again, it has to say so as well")
        if planned.old_ends is not None:
            connection.execute(
                update(GatewayKeyRow)
                .where(col(GatewayKeyRow.kid) == planned.old)
                .values(not_after=micros(planned.old_ends))
            )
        give_up(transaction, planned.lost, time)

    row = {
        "kid": kid,
        "use": role,
        "jwk": jwk,
        "uri": planned.uri,
        "not_before": micros(planned.begins),
        "not_after": None,
        "status": ACTIVE,
        "untrusted_since": None,
        "succession": None if said is None else json.dumps(said.members(origins[OWN_LEDGER])),
    }
    entries: list[Entry] = []
    if unknown is not None:
        entries.append(KeyAdded(time=time, agency=gateway, key=unknown.kid, use=role, not_before=unknown.not_before))
    if jwk is not None:
        entries += [
            KeyAdded(time=time, agency=gateway, key=kid, use=role, not_before=planned.begins),
            KeyRetired(time=time, agency=gateway, key=planned.old, use=role, not_after=planned.old_ends),
        ]
    if planned.instead_of is not None and jwk is not None:
        entries.append(KeyRetired(time=time, agency=gateway, key=planned.instead_of, use=role, not_after=time))
    entries += losses(planned.lost, who, why, time)
    entries.append(authority(who).entry(time, f"keys.rotate/{role}", why=why, about=_about(role, kid)))
    also = [] if said is None else _statements(said, origins, time)
    if said is not None and role == CHECKPOINT:
        # The commit that names the new key is signed by it already, beside the old one.
        begun = OwnKey(kid, role, json.loads(jwk or ""), planned.uri, planned.begins, succession=said.members("own"))
        store.keys.checkpoint.learn((*own, begun))
    job = RecordEvent(OWN_LEDGER, entries, announce, [(GatewayKeyRow, row)], changes_config=True, also=also)
    try:
        record(store, job)
    except RefusedError:
        store.keys.learn(own)
        raise
    return replace(planned, new=kid)


def _row(key: OwnKey) -> dict[str, Any]:
    """Of a key that is in use and was not written down."""
    return {
        "kid": key.kid,
        "use": key.role,
        "jwk": json.dumps(key.jwk),
        "uri": key.uri,
        "not_before": micros(key.not_before),
        "not_after": None,
        "status": ACTIVE,
    }


def _newest(role: str, time: datetime) -> Select[Any]:
    """The id of the key that `keychain.in_use` names, in the database's words: under the recorder's lock nobody changes it."""
    begun = select(col(GatewayKeyRow.kid)).where(
        col(GatewayKeyRow.use) == role,
        col(GatewayKeyRow.status) == ACTIVE,
        col(GatewayKeyRow.not_before) <= micros(time),
        or_(col(GatewayKeyRow.not_after).is_(None), col(GatewayKeyRow.not_after) > micros(time)),
    )
    return begun.order_by(col(GatewayKeyRow.not_before).desc(), col(GatewayKeyRow.kid).desc()).limit(1)


def _statements(said: Succession, origins: Mapping[str, str], time: datetime) -> list[tuple[str, Entry]]:
    """One in every ledger: whoever reads only one of them learns of the key as well."""
    found: list[tuple[str, Entry]] = []
    for ledger, origin in sorted(origins.items()):
        members = said.members(origin)
        found.append(
            (
                ledger,
                CheckpointKey(
                    time=time,
                    old_vkey=members["old_vkey"],
                    vkey=members["vkey"],
                    not_before=said.not_before,
                    old_signature=members["old_signature"],
                    new_signature=members["new_signature"],
                ),
            )
        )
    return found


def _about(role: str, kid: str) -> str | None:
    """A secret has no `key.added`: its id stands in the operator's act."""
    return f"{role}-key:{kid}" if role in WALKS else f"{role}-key"


def _beside(store: Store, role: str, used: OwnKey, time: datetime) -> str:
    """A new file's URI in the folder of the key in use."""
    place = urlsplit(used.uri or getattr(store.settings.keys, role))
    if place.scheme != "file":
        raise OperatorError("the key in use is not a file here: name the new one with --key")
    folder = Path(unquote(place.path)).parent
    return f"file:{quote(str(folder / f'{role}-{time:%Y%m%dT%H%M%S%f}'))}.pem"


def await_next(store: Store, role: str) -> None:
    """Waits for a key of `role` that begins in a moment. Raises RefusedError for one that begins later."""
    with store.database.reading() as session:
        own = queries.own_keys(session)
    time = now()
    begins = max(
        (key.not_before for key in own if key.role == role and state(key, own, time) == "pending"), default=time
    )
    if begins > time + PATIENCE:
        raise RefusedError(f"the next {role} key begins at {begins.isoformat(timespec='seconds')}: run it after that")
    if begins > time:
        sleep((begins - time).total_seconds() + 1.0)  # and every node has seen it begin
