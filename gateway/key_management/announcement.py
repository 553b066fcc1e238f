"""The announcement of the gateway's next key: one commit that says in rows and ledger entries what comes, and when.

Decides what must still be so under the recorder's lock, and what is written down. Leaves to `rotation.py` which key comes next,
and when it begins.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, insert, or_, select, update
from sqlmodel import col

from gateway import keyring
from gateway.founding import RefusedError
from gateway.key_management.index_loss import give_up, losses
from gateway.key_management.withdrawal import end_announced
from gateway.keys.directory import ACTIVE
from gateway.keys.keychain import CHECKPOINT, INDEX, LONG_LIVED, STORAGE, OwnKey
from gateway.ledger.entry import CheckpointKey, Entry, KeyAdded, KeyRetired
from gateway.ledger.note import ML_DSA_44
from gateway.ledger.succession import Succession
from gateway.operations.acts import ConflictError, Who, authority, holder_of, record, require_two
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.checkpoint_keys import NoteKey
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.tables import GatewayKeyRow, LedgerHead, micros
from gateway.wiring import Store, now


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


@dataclass(frozen=True, slots=True)
class _Coming:
    """The new key itself: a secret has no `jwk`. `said`: what it and the checkpoint key before say of each other."""

    kid: str
    jwk: Mapping[str, Any] | None
    said: Succession | None = None


def announce(store: Store, planned: Rotation, passphrase: bytes, *, why: str, who: Who) -> Rotation:
    """What was `planned`, with the new key's id. Raises RefusedError where things changed since, KeyringError."""
    role, time, coming = planned.role, now(), _presented(store, planned, passphrase)
    with store.database.reading() as session:
        origins = {head.ledger: head.origin for head in queries.ledgers(session)} if coming.said is not None else {}
        own = queries.own_keys(session)
    it = _Announcement(planned, coming, named_by_settings(store, role, own, time), origins, who, time)
    if role == CHECKPOINT and coming.said is not None:
        # The commit that names the new key is signed by it already, beside the old one.
        succession = coming.said.members("own")
        begun = OwnKey(coming.kid, role, dict(coming.jwk or {}), planned.uri, planned.begins, succession=succession)
        store.keys.checkpoint.learn((*own, begun))
    entries = it.entries(store.settings.gateway.id, why)
    rows = [(GatewayKeyRow, it.row())]
    try:
        record(store, RecordEvent(OWN_LEDGER, entries, it.write, rows, changes_config=True, also=it.statements()))
    except RefusedError:
        store.keys.learn(own)
        raise
    return replace(planned, new=coming.kid)


def named_by_settings(store: Store, role: str, own: Sequence[OwnKey], time: datetime) -> OwnKey | None:
    """A long-lived key that the settings alone name: it was made after the gateway was founded, and no row tells of it."""
    uri, ring = store.settings.keys.checkpoint_mldsa, store.keys.long_lived_keys.ring
    if role != LONG_LIVED or ring is None or any(key.role == role for key in own):
        return None
    held = ring.current()
    return OwnKey(held.kid, role, held.jwk, keyring.absolute(uri or ""), time)


def _presented(store: Store, planned: Rotation, passphrase: bytes) -> _Coming:
    role = planned.role
    if role in (STORAGE, INDEX):
        return _Coming(keyring.load_secret(planned.uri, passphrase, role).id, None)
    if role == LONG_LIVED:
        ring, lasting = store.keys.long_lived_keys.ring, keyring.load_long_lived(planned.uri, passphrase)
        assert ring is not None, "the settings name the key in use"
        said = Succession.sign(ring.named(planned.old), lasting, planned.begins, ML_DSA_44)
        return _Coming(lasting.kid, lasting.jwk, said)
    signer = keyring.load_signer(planned.uri, passphrase)
    if role != CHECKPOINT:
        return _Coming(signer.kid, signer.public.jwk)
    said = Succession.sign(NoteKey(store.keys.checkpoint.signer), NoteKey(signer), planned.begins)
    return _Coming(signer.kid, signer.public.jwk, said)


@dataclass(frozen=True, slots=True)
class _Announcement:
    """`unwritten` is the key in use where no row tells of it; `origins` are the ledgers that must say so as well."""

    planned: Rotation
    coming: _Coming
    unwritten: OwnKey | None
    origins: Mapping[str, str]
    who: Who
    time: datetime

    def write(self, transaction: Transaction) -> None:
        """Beside the new key's row: all that changes, if everything is still as it was planned on. Raises ConflictError."""
        planned, connection = self.planned, transaction.connection
        require_two(transaction, self.who, self.time)
        if (holder := holder_of(transaction, self.coming.kid)) is not None:
            raise ConflictError(f"the key {self.coming.kid} is known already ({holder}): a new key is needed")
        if self.unwritten is not None:
            connection.execute(insert(GatewayKeyRow), [_row(self.unwritten)])
        if planned.instead_of is not None:
            end_announced(transaction, planned.role, planned.instead_of, self.time)
        self._require_unchanged(connection)
        if planned.old_ends is not None:
            connection.execute(
                update(GatewayKeyRow)
                .where(col(GatewayKeyRow.kid) == planned.old)
                .values(not_after=micros(planned.old_ends))
            )
        give_up(transaction, planned.lost, self.time)

    def _require_unchanged(self, connection: Connection) -> None:
        role = self.planned.role
        others = select(func.count()).where(
            col(GatewayKeyRow.use) == role,
            col(GatewayKeyRow.not_before) > micros(self.time),
            col(GatewayKeyRow.status) == ACTIVE,
        )
        if connection.execute(others).scalar_one():
            raise ConflictError(f"another {role} key was announced meanwhile")
        if connection.execute(newest(role, self.time)).scalar() != self.planned.old:
            raise ConflictError(
                f"the {role} key was replaced meanwhile: look, and try again if it must be replaced once more"
            )
        ledgers = select(col(LedgerHead.ledger))
        if self.coming.said is not None and set(connection.execute(ledgers).scalars()) != self.origins.keys():
            raise ConflictError("a ledger was created meanwhile: try again")

    def row(self) -> dict[str, Any]:
        """Of the new key."""
        planned, coming = self.planned, self.coming
        new = OwnKey(
            coming.kid, planned.role, None if coming.jwk is None else dict(coming.jwk), planned.uri, planned.begins
        )
        succession = None if coming.said is None else json.dumps(coming.said.members(self.origins[OWN_LEDGER]))
        return {**_row(new), "untrusted_since": None, "succession": succession}

    def entries(self, gateway: str, why: str) -> list[Entry]:
        """In the gateway's own ledger. A secret has no `key.added`: its id stands in the operator's act."""
        planned, role, time, kid = self.planned, self.planned.role, self.time, self.coming.kid
        found: list[Entry] = []
        if (used := self.unwritten) is not None:
            found.append(KeyAdded(time=time, agency=gateway, key=used.kid, use=role, not_before=used.not_before))
        public = self.coming.jwk is not None
        if public:
            found += [
                KeyAdded(time=time, agency=gateway, key=kid, use=role, not_before=planned.begins),
                KeyRetired(time=time, agency=gateway, key=planned.old, use=role, not_after=planned.old_ends),
            ]
        if public and planned.instead_of is not None:
            found.append(KeyRetired(time=time, agency=gateway, key=planned.instead_of, use=role, not_after=time))
        found += losses(planned.lost, self.who, why, time)
        about = f"{role}-key" if public else f"{role}-key:{kid}"
        found.append(authority(self.who).entry(time, f"keys.rotate/{role}", why=why, about=about))
        return found

    def statements(self) -> list[tuple[str, Entry]]:
        """One in every ledger: whoever reads only one of them learns of the checkpoint key as well."""
        said, found = self.coming.said, list[tuple[str, Entry]]()
        if said is None:
            return found
        for ledger, origin in sorted(self.origins.items()):
            members = said.members(origin)
            entry = CheckpointKey(
                time=self.time,
                old_vkey=members["old_vkey"],
                vkey=members["vkey"],
                not_before=said.not_before,
                old_signature=members["old_signature"],
                new_signature=members["new_signature"],
            )
            found.append((ledger, entry))
        return found


def _row(key: OwnKey) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "use": key.role,
        "jwk": None if key.jwk is None else json.dumps(key.jwk),
        "uri": key.uri,
        "not_before": micros(key.not_before),
        "not_after": None,
        "status": ACTIVE,
    }


def newest(role: str, time: datetime) -> Select[Any]:
    """The id of the key that `keychain.in_use` names, in the database's words: under the recorder's lock nobody changes it."""
    begun = select(col(GatewayKeyRow.kid)).where(
        col(GatewayKeyRow.use) == role,
        col(GatewayKeyRow.status) == ACTIVE,
        col(GatewayKeyRow.not_before) <= micros(time),
        or_(col(GatewayKeyRow.not_after).is_(None), col(GatewayKeyRow.not_after) > micros(time)),
    )
    return begun.order_by(col(GatewayKeyRow.not_before).desc(), col(GatewayKeyRow.kid).desc()).limit(1)
