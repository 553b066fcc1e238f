"""What a lost key of the gateway signed: how it is told, and what of it is signed anew by the key in use.

Decides by the key id in what was signed, and by when it was signed; where it was erased, by when it came. A release or an alert
under a revoked key is refused by whoever is handed it, so what is not delivered yet, stopped deliveries as well, is signed anew.
Leaves to `own_compromise.py` that a key was lost, and since when.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import Connection, func, update
from sqlmodel import col, select

from gateway.errors import GatewayError, KeyringError, LedgerInvalidError, MalformedError
from gateway.jose import PublicKey, parse_jws, public_key_from_jwk
from gateway.key_management.unopened import require_altered
from gateway.keys.keychain import OwnKey
from gateway.ledger.entry import AlertIssued, decode, timestamp
from gateway.operations.acts import record
from gateway.record import OWN_LEDGER, open_content, open_with_receipt, released_text
from gateway.statements.alert import ALERT_TYP, Alert, read_alert
from gateway.statements.receipt import RECEIPT_TYP, RELEASE_TYP
from gateway.statements.restatement import counts_from, release_under
from gateway.store import queries
from gateway.store.jobs.alerts import digest
from gateway.store.jobs.transfers import CONTENT_PART
from gateway.store.recorder import Transaction
from gateway.store.sealing import Sealer
from gateway.store.tables import ACCEPTED, DEAD, WAITING, AlertRow, LedgerEntry, OutboxRow, TransferRow, micros
from gateway.wiring import Store, now

BATCH: Final = 200
_UNDELIVERED: Final = (WAITING, DEAD)
_log: Final = structlog.get_logger("sinergi.keys")
_PAGE: Final = 1_000
_ISSUED: Final = f'"kind":"{AlertIssued.kind}"'.encode()


@dataclass(frozen=True, slots=True)
class Renewed:
    """How many were signed anew, and the ids of those that are under the lost key, or cannot be read, and were not."""

    done: int = 0
    left: tuple[str, ...] = ()


def signed_since(sealer: Sealer, row: TransferRow, key: OwnKey, since: datetime) -> bool:
    """Whether `key` signed the receipt or the release of a transfer at `since` or later."""
    try:
        opened = open_with_receipt(sealer, row)
    except KeyringError:
        # Erased, or it does not open: what it was signed with is not known any more.
        return row.received_at >= micros(max(since, key.not_before))
    signed = [(opened.receipt, RECEIPT_TYP)]
    if release := opened.content.get("release"):
        signed.append((release, RELEASE_TYP))
    told = [parse_jws(text, typ, 4) for text, typ in signed]
    return any(jws.kid == key.kid and jws.payload["iat"] >= int(since.timestamp()) for jws in told)


def renew_releases(store: Store, lost: OwnKey, transfers: Sequence[str]) -> Renewed:
    """Those of `transfers` that are not delivered, by the key in use.

    One that does not open, or is not what was released, keeps no other from its recipient: it stays as it is, and is named.
    """
    sealer, done, left = Sealer(store.keys.storage), 0, list[str]()
    with store.database.reading() as session:
        begun = counts_from(queries.own_keys(session), store.keys.sign.kid)
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
            except KeyringError:
                raise  # a key is away: nothing is wrong with the row
            except GatewayError as error:
                _log.error("release_not_renewed", transfer=row.id, detail=error.detail)
                left.append(row.id)
                continue
            if content is not None:
                changed.append((row.id, row.sealed_content, content))
        if changed:
            done += record(store, ReplaceContents(changed))
    return Renewed(done, tuple(left))


def _renewed(store: Store, sealer: Sealer, row: TransferRow, lost: OwnKey, begun: int) -> bytes | None:
    """The sealed content with another release in it; None where that is not by the lost key, or the message is erased.

    Raises KeyringError where a key does not answer, another GatewayError for what was altered.
    """
    if row.erased_at is not None:
        return None
    try:
        content = open_content(sealer, row)
    except KeyringError as error:
        require_altered(store, row.storage_key)
        raise GatewayError(error.detail) from error
    if parse_jws(content["release"], RELEASE_TYP, 4).kid != lost.kid:
        return None
    # Whoever gets it asks for the key at that moment: it must have begun. Not later: the sender's key is asked for too.
    content["release"] = release_under(
        content["release"], lost, begun, store.keys.sign, transfer=row.id, released=released_text(content)
    )
    seal = sealer.unwrap(row.id, row.storage_key, row.wrapped_key)
    return seal.close(CONTENT_PART, json.dumps(content).encode())


@dataclass(frozen=True, slots=True)
class ReplaceContents:
    """(transfer, old, new): its sealed content, with another release in it."""

    changed: Sequence[tuple[str, bytes, bytes]]
    ledgers: Sequence[str] = (OWN_LEDGER,)
    message_id: None = None

    def stage(self, transaction: Transaction) -> int:
        """How many. The old bytes stand in the WHERE: what was erased meanwhile stays so, and what another run renewed."""
        replaced = 0
        for transfer, old, new in self.changed:
            here = (col(TransferRow.id) == transfer, col(TransferRow.sealed_content) == old)
            done = transaction.connection.execute(update(TransferRow).where(*here).values(sealed_content=new))
            replaced += done.rowcount
        return replaced


def renew_alerts(store: Store, lost: OwnKey, sign: Callable[[Alert], str]) -> Renewed:
    """Every alert that is not signed for and is under the lost key, by the key in use. Memory holds their ids and entries."""
    under, left = _waiting_under(store, lost.kid)
    public, done = public_key_from_jwk(lost.jwk or {}), 0
    for ledger, ids in under.items():
        issued = _issued(store, ledger, frozenset(ids))
        told = [id_ for id_ in ids if id_ in issued]
        left += (_not_renewed(id_, "its ledger has no entry of it") for id_ in ids if id_ not in issued)
        for first in range(0, len(told), BATCH):
            job = RenewAlerts(
                ledger, told[first : first + BATCH], issued, public, store.settings.gateway.id, sign, now()
            )
            renewed = record(store, job)
            done, left = done + renewed.done, [*left, *renewed.left]
    return Renewed(done, tuple(left))


def _waiting_under(store: Store, kid: str) -> tuple[dict[str, list[str]], list[str]]:
    """The ids of the alerts under this key that wait, by their ledgers; and of those that nobody can read."""
    waiting = (
        select(AlertRow.ledger, AlertRow.id, AlertRow.jws)
        .join(OutboxRow, col(OutboxRow.transfer) == col(AlertRow.id))
        .where(col(OutboxRow.state).in_(_UNDELIVERED))
    )
    under: dict[str, list[str]] = {}
    unread = []
    with store.database.reading() as session:
        for ledger, id_, jws in session.exec(waiting.execution_options(yield_per=_PAGE)):
            try:
                if _kid(jws) == kid:
                    under.setdefault(ledger, []).append(id_)
            except GatewayError as error:
                unread.append(_not_renewed(id_, error.detail))
    return under, unread


def _kid(jws: object) -> str:
    if not isinstance(jws, str):  # SQLite keeps whatever type somebody wrote
        raise MalformedError("an alert is a text")
    return parse_jws(jws, ALERT_TYP, 2).kid


def _not_renewed(alert: str, why: str) -> str:
    _log.error("alert_not_renewed", alert=alert, detail=why)
    return alert


def _issued(store: Store, ledger: str, alerts: frozenset[str]) -> Mapping[str, Mapping[str, Any]]:
    """What the ledger says of these alerts. Who has the lost key can sign any, and may have written rows, but no entries."""
    found: dict[str, Mapping[str, Any]] = {}
    first, more = 0, True
    while more and len(found) < len(alerts):
        # A statement a page: nothing holds a view of the database for as long as a ledger is read.
        here = (col(LedgerEntry.ledger) == ledger, col(LedgerEntry.position) >= first)
        page = select(LedgerEntry.position, LedgerEntry.leaf).where(*here).order_by(col(LedgerEntry.position))
        with store.database.reading() as session:
            rows = session.exec(page.limit(_PAGE)).all()
        for position, leaf in rows:
            first = position + 1
            if isinstance(leaf, bytes) and _ISSUED in leaf:
                try:
                    entry = decode(leaf)
                except LedgerInvalidError:
                    _log.error("entry_does_not_decode", ledger=ledger, position=position)
                    continue
                if entry["kind"] == AlertIssued.kind and entry["alert"] in alerts:
                    found.setdefault(entry["alert"], entry)
        more = len(rows) == _PAGE
    return found


@dataclass(frozen=True, slots=True)
class RenewAlerts:
    """The same alerts under another signature, each with one more entry `alert.issued`. Done twice, it changes nothing.

    `issued` is what the ledger says of each of them, by its id: one of which it says something else gets no signature.
    """

    ledger: str
    alerts: Sequence[str]
    issued: Mapping[str, Mapping[str, Any]]
    lost: PublicKey
    gateway: str
    sign: Callable[[Alert], str]
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> Renewed:
        # A key that lies elsewhere may fall silent between two alerts: then the other jobs' commit has none of it.
        with transaction.connection.begin_nested():
            return self._done(transaction)

    def _done(self, transaction: Transaction) -> Renewed:
        connection, done, left = transaction.connection, 0, []
        waiting = (
            select(col(AlertRow.id), col(AlertRow.jws))
            .join(OutboxRow, col(OutboxRow.transfer) == col(AlertRow.id))
            .where(col(AlertRow.id).in_(self.alerts), col(OutboxRow.state).in_(_UNDELIVERED))
            .order_by(col(AlertRow.id))
            # Not what leases them: that waits for no ledger, so it could wait for this in another order.
            .with_for_update(of=AlertRow)
        )
        for row in connection.execute(waiting).all():
            try:
                if _kid(row.jws) != self.lost.kid:
                    continue
                said = read_alert(row.jws, self.lost)
            except GatewayError as error:
                left.append(_not_renewed(row.id, error.detail))
                continue
            if not self._borne_out(row.id, said, self.issued[row.id]) or not self._of_these(connection, said):
                left.append(_not_renewed(row.id, "the ledger does not confirm it"))
                continue
            said = replace(said, iat=int(self.now.timestamp()))
            text = self.sign(said)
            connection.execute(update(AlertRow).where(col(AlertRow.id) == row.id).values(jws=text))
            transaction.append(
                self.ledger,
                AlertIssued(
                    time=self.now,
                    alert=said.jti,
                    recipient=said.aud,
                    agency=said.agency,
                    key=said.kid,
                    not_after=datetime.fromtimestamp(said.since, self.now.tzinfo),
                    digest=digest(text),
                ),
            )
            done += 1
        return Renewed(done, tuple(left))

    def _borne_out(self, alert: str, said: Alert, entry: Mapping[str, Any]) -> bool:
        told = (said.iss, said.jti, said.jti, said.aud, said.agency, said.kid)
        names = ("alert", "recipient", "agency", "key")
        since = timestamp(datetime.fromtimestamp(said.since, self.now.tzinfo))
        # An alert speaks of whole seconds, the first entry of it more finely.
        return told == (self.gateway, alert, *map(entry.get, names)) and entry["not_after"][:19] == since[:19]

    def _of_these(self, connection: Connection, said: Alert) -> bool:
        """Whether the recipient was handed each of them, by that key. No entry names them."""
        theirs = select(func.count()).where(
            col(TransferRow.id).in_(said.transfers),
            col(TransferRow.ledger) == self.ledger,
            col(TransferRow.recipient) == said.aud,
            col(TransferRow.decision) == ACCEPTED,
        )
        if said.agency != self.gateway:
            theirs = theirs.where(col(TransferRow.sender) == said.agency, col(TransferRow.kid) == said.kid)
        return connection.execute(theirs).scalar_one() == len(said.transfers)
