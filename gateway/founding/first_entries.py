"""What a gateway's own ledger says first: that it was founded, with which keys, message types and operators, and by whom."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from gateway import resources
from gateway.keys.directory import ACTIVE
from gateway.keys.keychain import CHECKPOINT, INDEX, LONG_LIVED, REQUEST, SIGN, STORAGE
from gateway.ledger.entry import Entry, GatewayInitialised, KeyAdded, OperatorAct, OperatorAdded, SchemaPublished
from gateway.message_types import catalogue
from gateway.message_types.catalogue import MessageType
from gateway.record import OWN_LEDGER
from gateway.settings import Settings
from gateway.statements.appointment import Appointment
from gateway.store.append import Memory, create_ledger, open_ledger
from gateway.store.published import row_of
from gateway.store.tables import GatewayKeyRow, OperatorRow, PublishedSchemaRow, micros
from gateway.wiring import Keys, now


@dataclass(frozen=True, slots=True)
class Founders:
    """Who founds it, the first operators, and what the ceremony that made the keys is remembered by."""

    who: str
    operators: Sequence[Appointment] = ()
    ceremony: OperatorAct | None = None


@dataclass(frozen=True, slots=True)
class _OwnKey:
    """One of the gateway's keys; a secret has no public half, and no entry names it."""

    role: str
    kid: str
    uri: str
    jwk: str | None = None


def write_first(
    connection: Connection, settings: Settings, keys: Keys, memory: Memory, founders: Founders
) -> Callable[[], None]:
    """The ledger with its first entries, and the rows that they speak of, in the caller's transaction.

    What it returns is called once that is committed.
    """
    time, own = now(), _own_keys(settings, keys)
    types = catalogue.load(resources.schemas_dir()).types()
    create_ledger(connection, OWN_LEDGER, settings.gateway.ledger_origin(OWN_LEDGER), keys.checkpoint)
    append = open_ledger(connection, OWN_LEDGER, keys.checkpoint, memory)
    for entry in _entries(time, settings.gateway.id, own, types, founders):
        append.append(entry)
    append.flush()
    if founders.operators:
        connection.execute(insert(OperatorRow), [operator_row(one, time) for one in founders.operators])
    connection.execute(insert(PublishedSchemaRow), [row_of(one, time) for one in types])
    connection.execute(insert(GatewayKeyRow), [_key_row(key, time) for key in own])
    return append.committed


def _own_keys(settings: Settings, keys: Keys) -> list[_OwnKey]:
    uris, checkpoint = settings.keys, keys.checkpoint.signer.public
    own = [
        _OwnKey(SIGN, keys.sign.kid, uris.sign, json.dumps(dict(keys.sign.public.jwk))),
        _OwnKey(REQUEST, keys.request.kid, uris.request, json.dumps(dict(keys.request.public.jwk))),
        _OwnKey(CHECKPOINT, checkpoint.kid, uris.checkpoint, json.dumps(dict(checkpoint.jwk))),
        _OwnKey(STORAGE, keys.storage.current().id, uris.storage),
        _OwnKey(INDEX, keys.index.current().id, uris.index),
    ]
    ring = keys.long_lived_keys.ring
    if ring is not None and uris.checkpoint_mldsa is not None:
        lasting = ring.current()
        own.append(_OwnKey(LONG_LIVED, lasting.kid, uris.checkpoint_mldsa, json.dumps(lasting.jwk)))
    return own


def _entries(
    time: datetime, gateway: str, own: Sequence[_OwnKey], types: Sequence[MessageType], founders: Founders
) -> list[Entry]:
    checkpoint = next(key.kid for key in own if key.role == CHECKPOINT)
    entries: list[Entry] = [GatewayInitialised(time=time, gateway=gateway, key=checkpoint)]
    entries += [
        KeyAdded(time=time, agency=gateway, key=key.kid, use=key.role, not_before=time)
        for key in own
        if key.jwk is not None
    ]
    entries += [SchemaPublished(time=time, type=one.type, digest=one.digest.removeprefix("sha256:")) for one in types]
    entries.append(OperatorAct(time=time, who=founders.who, what="init", why="init", about=gateway))
    if founders.ceremony is not None:
        entries.append(replace(founders.ceremony, time=time))
    if founders.operators:
        entries += [OperatorAdded(time=time, operator=one.operator, key=one.key.kid) for one in founders.operators]
        entries.append(OperatorAct(time=time, who=founders.who, what="operators.found", why="init", about=gateway))
    return entries


def _key_row(key: _OwnKey, time: datetime) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "use": key.role,
        "jwk": key.jwk,
        "uri": key.uri,
        "not_before": micros(time),
        "not_after": None,
        "status": ACTIVE,
    }


def operator_row(appointment: Appointment, time: datetime) -> dict[str, Any]:
    """What the directory has of an operator."""
    return {
        "kid": appointment.key.kid,
        "operator": appointment.operator,
        "jwk": json.dumps(dict(appointment.key.jwk)),
        "status": ACTIVE,
        "added_at": micros(time),
        "changed_at": micros(time),
    }
