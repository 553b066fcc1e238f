"""Rotation of the gateway's own keys: a new key is announced, begins, and the old one ends, while messages flow.

Decides when the next key begins and when the old one is done with. `sign` and `request`: the new public key is published
before it signs anything, and the old one still counts a while after. `checkpoint` and `checkpoint_mldsa`: both sign for a
month, and every ledger says in an entry that the new key comes after the old one. `storage` and `index`: from its first
moment the new key is used for what comes; what is stored follows in `rewrapping.py` and `reindexing.py`, and only then the
old key ends. Leaves to `announcement.py` how the next key is written down.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Final, TypedDict, Unpack
from urllib.parse import quote, unquote, urlsplit

from gateway import keyring
from gateway.errors import KeyringError, OperatorError, StoreUnavailableError
from gateway.founding import RefusedError, require_code
from gateway.key_management.announcement import Rotation, announce, named_by_settings
from gateway.key_management.everywhere import asked_everywhere
from gateway.key_management.index_loss import lost_keys
from gateway.key_management.withdrawal import ROLES as REPLACEABLE
from gateway.keys.keychain import CHECKPOINT, INDEX, LONG_LIVED, LOST, REQUEST, SIGN, STORAGE, OwnKey, in_use, state
from gateway.operations.acts import Who, authority
from gateway.store import queries
from gateway.store.clocks import TOLERANCE
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


class Choices(TypedDict, total=False):
    """What may be chosen of a rotation; left out or None, it is as usual.

    `uri`: an existing key is used, none is made. `lead`: how long it is known before it begins. `overlap`: how long the old one
    counts on. `instead`: the key that was announced and has not begun is withdrawn, because this one is wanted earlier. `lost`:
    the index key in use is gone (`index_loss.py`).
    """

    uri: str | None
    lead: timedelta | None
    overlap: timedelta | None
    instead: bool
    lost: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """What two operators signed for: the key in use, the announced key that is withdrawn, and the one at a given place."""

    old: str
    instead_of: str | None
    new: str | None


def default_lead(store: Store, role: str) -> timedelta:
    """At most. On PostgreSQL other nodes may serve, and one that is not given the new key before serves nothing from then on."""
    return LEADS[role] if store.database.is_sqlite else max(LEADS[role], OTHER_NODES)


def plan(store: Store, role: str, **choices: Unpack[Choices]) -> Rotation:
    """What `rotate` would do now. Raises OperatorError for a role that has no rotation, RefusedError while one is going on."""
    if role not in ROLES:
        raise OperatorError(f"the role must be one of {', '.join(ROLES)}")
    if role == LONG_LIVED and store.keys.long_lived_keys.ring is None:
        raise OperatorError("this gateway has no ML-DSA-44 key: let keys.checkpoint_mldsa name one, and restart")
    time = now()
    with store.database.reading() as session:
        own = queries.own_keys(session)
    used = in_use(own, role, time) or named_by_settings(store, role, own, time)
    if used is None:
        raise RefusedError(f"no {role} key is known to be in use")
    instead_of = _taken_back(role, own, time, instead=choices.get("instead", False))
    gone = lost_keys(store, own, used, time) if choices.get("lost") else ()
    for key in own:
        if role in WALKS and key.role == role and state(key, own, time) in ("retiring", LOST) and not gone:
            raise RefusedError(f"stored data still needs the older {role} key: run `sinergi keys {WALKS[role]}` first")
    lead, overlap, uri = choices.get("lead"), choices.get("overlap"), choices.get("uri")
    begins = time + (default_lead(store, role) if lead is None else lead)
    if overlap is not None and role not in OVERLAPS:
        raise OperatorError(f"the old {role} key counts until `sinergi keys {WALKS[role]}` is done, and no longer")
    ends = None if role in WALKS else begins + (OVERLAPS[role] if overlap is None else overlap)
    place = _beside(store, role, used, time) if uri is None else keyring.absolute(uri)
    return Rotation(role, used.kid, ends, begins, place, instead_of=instead_of, lost=gone)


def _taken_back(role: str, own: Sequence[OwnKey], time: datetime, *, instead: bool) -> str | None:
    """The announced key that never begins, if this one is to be used `instead`."""
    pending = next((key for key in own if key.role == role and state(key, own, time) == "pending"), None)
    if instead and (role not in REPLACEABLE or pending is None):
        raise OperatorError(f"--instead replaces only an announced {', '.join(REPLACEABLE)} key that has not begun")
    if pending is not None and not instead:
        raise RefusedError(
            f"a next {role} key is announced already, for {pending.not_before.isoformat(timespec='seconds')}"
            + ("; to use another one earlier: --instead" if role in REPLACEABLE else "")
        )
    return None if pending is None else pending.kid


def rotate(
    store: Store,
    role: str,
    *,
    expected: Expected | None = None,
    why: str,
    who: Who,
    **choices: Unpack[Choices],
) -> Rotation:
    """Announces the next key of `role`: made in a file beside the old one, or chosen. It takes two operators.

    Every process opens it before it begins; one that cannot says so on `/readyz`. Raises as `plan` does, KeyringError, and
    RefusedError where things are not as `expected` any more. Where it is not known whether the commit came off, the new file
    stays: an announced key without it would end the gateway.
    """
    require_code(authority(who).who, "the operator")
    require_code(why, "the reason")
    planned, uri = plan(store, role, **choices), choices.get("uri")
    if expected is not None and expected != Expected(planned.old, planned.instead_of, key_at(store, role, uri)):
        raise RefusedError(
            "this is no longer the rotation that was proposed: other keys are in use, or another key is at that place"
        )
    made = None if uri is not None else Path(unquote(urlsplit(planned.uri).path))
    passphrase = keyring.read_passphrase(store.settings.keys.passphrase_file)
    if made is not None:
        keyring.generate(made, _algorithm(store, role), passphrase)
    try:
        if choices.get("lead") is None and not store.database.is_sqlite:
            planned = _sooner(store, planned)
        return announce(store, planned, passphrase, why=why, who=who)
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


def _beside(store: Store, role: str, used: OwnKey, time: datetime) -> str:
    """A new file's URI in the folder of the key in use."""
    place = urlsplit(used.uri or getattr(store.settings.keys, role))
    if place.scheme != "file":
        raise OperatorError("the key in use is not a file here: name the new one with --key")
    folder = Path(unquote(place.path)).parent
    return f"file:{quote(str(folder / f'{role}-{time:%Y%m%dT%H%M%S%f}'))}.pem"


def await_next(store: Store, role: str) -> None:
    """Waits for a key of `role` that begins in a moment, and has this process know it: what it took for the newest would end it.

    Raises RefusedError for one that begins later.
    """
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
    store.keys.learn(own)
