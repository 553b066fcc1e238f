"""What a lost key of the gateway signed: how it is told, and what of it is signed anew by the key in use.

Decides by the key id in what was signed, and by when it was signed; where it was erased, by when it came. A release or an alert
under a revoked key is refused by whoever is handed it, so what is not delivered yet, stopped deliveries as well, is signed anew.
Leaves to `own_compromise.py` that a key was lost, and since when.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from sqlalchemy import update
from sqlmodel import col, select

from gateway.errors import CallerError, GatewayError, KeyringError
from gateway.jose import PublicKey, parse_jws, public_key_from_jwk
from gateway.keys.keychain import OwnKey
from gateway.ledger.entry import AlertIssued
from gateway.operations.acts import record
from gateway.record import OWN_LEDGER, open_content, released_text
from gateway.statements.alert import ALERT_TYP, Alert, read_alert
from gateway.statements.receipt import RECEIPT_TYP, RELEASE_TYP
from gateway.statements.restatement import release_under
from gateway.store import queries
from gateway.store.jobs.events import RecordEvent
from gateway.store.jobs.transfers import CONTENT_PART, RECEIPT_PART
from gateway.store.recorder import Transaction
from gateway.store.sealing import Sealer
from gateway.store.tables import DEAD, WAITING, AlertRow, OutboxRow, TransferRow, micros
from gateway.wiring import Store, now

BATCH: Final = 200
_UNDELIVERED: Final = (WAITING, DEAD)
_log: Final = structlog.get_logger("sinergi.keys")


def signed_since(sealer: Sealer, row: TransferRow, key: OwnKey, since: datetime) -> bool:
    """Whether `key` signed the receipt or the release of a transfer at `since` or later."""
    try:
        content = open_content(sealer, row)
        seal = sealer.unwrap(row.id, row.storage_key, row.wrapped_key)
        signed = [(seal.open(RECEIPT_PART, row.sealed_receipt).decode("ascii"), RECEIPT_TYP)]
    except KeyringError:
        # Erased, or it does not open: what it was signed with is not known any more.
        return row.received_at >= micros(max(since, key.not_before))
    signed += [(text, RELEASE_TYP) for text in (content.get("release"),) if text]
    told = [parse_jws(text, typ, 4) for text, typ in signed]
    return any(jws.kid == key.kid and jws.payload["iat"] >= int(since.timestamp()) for jws in told)


def renew_releases(store: Store, lost: OwnKey, transfers: Sequence[str]) -> int:
    """Those of `transfers` that are not delivered, by the key in use; how many there were.

    One that does not open, or is not what was released, keeps no other from its recipient: it stays as it is, and the audit
    tells of it (`ledger fsck`).
    """
    sealer, done, begun = Sealer(store.keys.storage), 0, _begins(store)
    for first in range(0, len(transfers), BATCH):
        with store.database.reading() as session:
            waiting = select(OutboxRow.transfer).where(
                col(OutboxRow.state).in_(_UNDELIVERED), col(OutboxRow.transfer).in_(transfers[first : first + BATCH])
            )
            rows = queries.transfers(session, session.exec(waiting).all()).values()
        changed = []
        for row in rows:
            try:
                content = _renewed(store, sealer, row, lost, begun)
            except GatewayError as error:
                _log.error("release_not_renewed", transfer=row.id, detail=error.detail)
                continue
            if content is not None:
                changed.append((row.id, row.sealed_content, content))
        if changed:
            record(store, RecordEvent(OWN_LEDGER, (), partial(_replace, changed)))
            done += len(changed)
    return done


def _renewed(store: Store, sealer: Sealer, row: TransferRow, lost: OwnKey, begun: int) -> bytes | None:
    """The sealed content with another release in it; None where that is not by the lost key, or the message is erased."""
    if row.erased_at is not None:
        return None
    content = open_content(sealer, row)
    if parse_jws(content["release"], RELEASE_TYP, 4).kid != lost.kid:
        return None
    # Whoever gets it asks for the key at that moment: it must have begun. Not later: the sender's key is asked for too.
    content["release"] = release_under(
        content["release"], lost, begun, store.keys.sign, transfer=row.id, released=released_text(content)
    )
    seal = sealer.unwrap(row.id, row.storage_key, row.wrapped_key)
    return seal.close(CONTENT_PART, json.dumps(content).encode())


def _begins(store: Store) -> int:
    """Since which whole second the key in use counts."""
    kid = store.keys.sign.kid
    with store.database.reading() as session:
        return max(math.ceil(key.not_before.timestamp()) for key in queries.own_keys(session) if key.kid == kid)


def _replace(changed: Iterable[tuple[str, bytes, bytes]], transaction: Transaction) -> None:
    for transfer, old, new in changed:
        # What was erased meanwhile stays erased.
        transaction.connection.execute(
            update(TransferRow)
            .where(col(TransferRow.id) == transfer, col(TransferRow.sealed_content) == old)
            .values(sealed_content=new)
        )


def renew_alerts(store: Store, lost: OwnKey, sign: Callable[[Alert], str]) -> int:
    """Every alert that is not signed for and is under the lost key, by the key in use; how many there were."""
    with store.database.reading() as session:
        found = session.exec(
            select(AlertRow.ledger, AlertRow.id, AlertRow.jws)
            .join(OutboxRow, col(OutboxRow.transfer) == col(AlertRow.id))
            .where(col(OutboxRow.state).in_(_UNDELIVERED))
        ).all()
    under: dict[str, list[str]] = {}
    for ledger, id_, jws in found:
        if _is_alert_by(jws, lost.kid):
            under.setdefault(ledger, []).append(id_)
    public = public_key_from_jwk(lost.jwk or {})
    return sum(
        record(store, RenewAlerts(ledger, ids[first : first + BATCH], public, sign, now()))
        for ledger, ids in under.items()
        for first in range(0, len(ids), BATCH)
    )


def _is_alert_by(jws: str, kid: str) -> bool:
    """False also for what is no alert any more: somebody altered the row."""
    try:
        return parse_jws(jws, ALERT_TYP, 2).kid == kid
    except CallerError:
        return False


@dataclass(frozen=True, slots=True)
class RenewAlerts:
    """The same alerts under another signature, each with one more entry `alert.issued`. Done twice, it changes nothing."""

    ledger: str
    alerts: Sequence[str]
    lost: PublicKey
    sign: Callable[[Alert], str]
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> int:
        connection, done = transaction.connection, 0
        waiting = (
            select(col(AlertRow.id), col(AlertRow.jws))
            .join(OutboxRow, col(OutboxRow.transfer) == col(AlertRow.id))
            .where(col(AlertRow.id).in_(self.alerts), col(OutboxRow.state).in_(_UNDELIVERED))
            .with_for_update()
        )
        for row in connection.execute(waiting).all():
            if not _is_alert_by(row.jws, self.lost.kid):
                continue
            try:
                said = replace(read_alert(row.jws, self.lost), iat=int(self.now.timestamp()))
            except CallerError as error:
                # Not even the lost key said that: the audit tells of it, and the other alerts go out.
                _log.error("alert_not_renewed", alert=row.id, detail=error.detail)
                continue
            connection.execute(update(AlertRow).where(col(AlertRow.id) == row.id).values(jws=self.sign(said)))
            since = datetime.fromtimestamp(said.since, self.now.tzinfo)
            transaction.append(
                self.ledger,
                AlertIssued(
                    time=self.now,
                    alert=said.jti,
                    recipient=said.aud,
                    agency=said.agency,
                    key=said.kid,
                    not_after=since,
                ),
            )
            done += 1
        return done
