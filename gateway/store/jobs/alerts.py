"""What becomes of an alert: issued with its ledger entry, handed out like a message, signed for."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, insert, select, update
from sqlmodel import col

from gateway.errors import GatewayError
from gateway.jose import PublicKey, parse_jws
from gateway.ledger.entry import AlertAcknowledged, AlertIssued
from gateway.statements.alert import ALERT_TYP, KEY_COMPROMISED, TRANSFERS_LIMIT, Alert, read_alert
from gateway.store.append import Placed
from gateway.store.identity import new_transfer_id
from gateway.store.recorder import Transaction
from gateway.store.tables import DELIVERED, IS_WAITING, URGENT, WAITING, AlertRow, OutboxRow, TransferRow, micros

# It does not lapse: the recipient has the messages for as long. The audit counts on it (`owed.py`).
LASTS: Final = timedelta(days=3650)


def digest(jws: str) -> str:
    """As entries tell of an alert, and of the receipt for it."""
    return hashlib.sha256(jws.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class LostKey:
    """The key that an alert is about, and who signs the alert."""

    gateway: str
    agency: str
    kid: str
    since: datetime
    sign: Callable[[Alert], str]
    ours: Mapping[str, PublicKey]
    """The gateway's signing keys that were never in other hands: what they signed was said."""


@dataclass(frozen=True, slots=True)
class AlertAbout:
    """Alerts the recipients of those of `transfers`, of one ledger, that no alert about this key has named."""

    ledger: str
    transfers: Sequence[str]
    lost: LostKey
    now: datetime
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> None:
        # A key that lies elsewhere may fall silent between two alerts: then the other jobs' commit has none of it.
        with transaction.connection.begin_nested():
            self._done(transaction)

    def _done(self, transaction: Transaction) -> None:
        connection = transaction.connection
        told = self._told(connection)
        rows = connection.execute(
            select(col(TransferRow.id), col(TransferRow.recipient)).where(col(TransferRow.id).in_(self.transfers))
        )
        by_recipient: dict[str, list[str]] = {}
        for row in rows:
            if (row.recipient, row.id) not in told:
                by_recipient.setdefault(row.recipient, []).append(row.id)
        # An alert names a hundred at most.
        for recipient, transfers in sorted(by_recipient.items()):
            for first in range(0, len(transfers), TRANSFERS_LIMIT):
                self._issue(transaction, recipient, transfers[first : first + TRANSFERS_LIMIT])

    def _told(self, connection: Connection) -> frozenset[tuple[str, str]]:
        """(recipient, transfer) that an alert about this key has named already.

        Only the gateway's own word counts: whoever can write rows, or has a key that it lost, wants nobody to be told.
        """
        held = select(col(AlertRow.jws)).where(col(AlertRow.kid) == self.lost.kid, col(AlertRow.ledger) == self.ledger)
        return frozenset(one for text in connection.execute(held).scalars() for one in self._named(text))

    def _named(self, text: str) -> Iterator[tuple[str, str]]:
        lost, about = self.lost, frozenset(self.transfers)
        try:
            jws = parse_jws(text, ALERT_TYP, 2)
            # Most are about others, and a signature takes ten times as long to verify.
            if (key := lost.ours.get(jws.kid)) is None or about.isdisjoint(jws.payload["transfers"]):
                return
            said = read_alert(text, key)
        except (GatewayError, AttributeError, KeyError, TypeError):
            return  # no alert: it tells nobody
        if (said.iss, said.agency, said.kid) == (lost.gateway, lost.agency, lost.kid):
            yield from ((said.aud, transfer) for transfer in said.transfers)

    def _issue(self, transaction: Transaction, recipient: str, transfers: Sequence[str]) -> None:
        lost, at, until = self.lost, micros(self.now), micros(self.now + LASTS)
        alert = Alert(
            iss=lost.gateway,
            aud=recipient,
            iat=int(self.now.timestamp()),
            jti=new_transfer_id(self.now),
            event=KEY_COMPROMISED,
            agency=lost.agency,
            kid=lost.kid,
            since=int(lost.since.timestamp()),
            transfers=tuple(transfers),
        )
        text = lost.sign(alert)
        transaction.append(
            self.ledger,
            AlertIssued(
                time=self.now,
                alert=alert.jti,
                recipient=recipient,
                agency=lost.agency,
                key=lost.kid,
                not_after=lost.since,
                digest=digest(text),
            ),
        )
        row = {"id": alert.jti, "ledger": self.ledger, "recipient": recipient, "kid": lost.kid, "jws": text}
        transaction.connection.execute(insert(AlertRow), [{**row, "received_at": at, "expires_at": until}])
        waiting = {"transfer": alert.jti, "recipient": recipient, "priority": URGENT, "state": WAITING, "due_at": at}
        transaction.connection.execute(
            insert(OutboxRow), [{**waiting, "attempts": 0, "expires_at": until, "last_error": None}]
        )


@dataclass(frozen=True, slots=True)
class AcknowledgeAlert:
    """The recipient's verified receipt for an alert; a second one changes nothing."""

    ledger: str
    alert: str
    event: str
    recipient: str
    kid: str
    jws: str
    now: datetime
    judged_at_version: int
    message_id: None = None

    @property
    def transfer(self) -> str:
        return self.alert

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger,)

    def stage(self, transaction: Transaction) -> Placed | None:
        """Where it was recorded; None for a duplicate."""
        transaction.require_version(self.judged_at_version)
        waiting = select(col(OutboxRow.transfer)).where(col(OutboxRow.transfer) == self.alert, IS_WAITING)
        if transaction.connection.execute(waiting.with_for_update()).first() is None:
            return None
        transaction.connection.execute(
            update(OutboxRow).where(col(OutboxRow.transfer) == self.alert).values(state=DELIVERED, last_error=None)
        )
        transaction.connection.execute(
            update(AlertRow).where(col(AlertRow.id) == self.alert).values(acknowledgement=self.jws)
        )
        return transaction.append(
            self.ledger,
            AlertAcknowledged(
                time=self.now,
                alert=self.alert,
                event=self.event,
                recipient=self.recipient,
                key=self.kid,
                receipt_digest=digest(self.jws),
            ),
        )
