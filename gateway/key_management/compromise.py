"""A key in other hands since a known moment: what it signed since is in doubt, what it signed before stands.

Decides which transfers are in doubt: those that the gateway received from that moment on, whatever date the sender wrote.
The key is revoked first; then those that still wait are stopped, both agencies' liaisons are told of every one, and their
recipients find an alert in the inbox. Nothing is unsaid: the entries stay, the evidence of a doubtful transfer fails its check
of the key, and says since when.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select as columns
from sqlmodel import col

from gateway.errors import OperatorError
from gateway.founding import RefusedError
from gateway.jose import public_key_from_jwk
from gateway.keys.keychain import REVOKED, SIGN
from gateway.operations.acts import Who, record
from gateway.operations.agency_keys import find_key, revoke_key
from gateway.statements.alert import sign_alert
from gateway.store import queries
from gateway.store.jobs.alerts import LostKey
from gateway.store.jobs.deliveries import StopDoubtful
from gateway.store.tables import ACCEPTED, TransferRow, micros, moment
from gateway.wiring import Store, now

BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Doubtful:
    """One transfer that was signed with the key after it was lost."""

    transfer: str
    ledger: str
    received_at: datetime
    recipient: str
    type: str
    decision: str


def doubtful(store: Store, agency: str, kid: str, since: datetime) -> tuple[Doubtful, ...]:
    """Every transfer of `agency` that this key signed and the gateway received at `since` or later; the oldest first."""
    wanted = (
        # Not what is sealed: there may be thousands.
        columns(
            col(TransferRow.id),
            col(TransferRow.ledger),
            col(TransferRow.received_at),
            col(TransferRow.recipient),
            col(TransferRow.type),
            col(TransferRow.decision),
        )
        .where(col(TransferRow.sender) == agency, col(TransferRow.kid) == kid)
        .where(col(TransferRow.received_at) >= micros(since))
        .order_by(col(TransferRow.id))
    )
    with store.database.reading() as session:
        return tuple(
            Doubtful(row.id, row.ledger, moment(row.received_at), row.recipient, row.type, row.decision)
            for row in session.connection().execute(wanted)
        )


def lost_key(store: Store, agency: str, kid: str, since: datetime) -> LostKey:
    """For its alerts. Which of the gateway's own keys were lost is asked now: an alert under one of them tells nobody."""
    with store.database.reading() as session:
        own = [key for key in queries.own_keys(session) if key.role == SIGN and key.status != REVOKED]
    ours = {key.kid: public_key_from_jwk(key.jwk) for key in own if key.jwk is not None}
    return LostKey(
        store.settings.gateway.id, agency, kid, since, lambda alert: sign_alert(alert, store.keys.sign), ours
    )


def compromise(store: Store, agency: str, kid: str, since: datetime, *, why: str, who: Who) -> tuple[Doubtful, ...]:
    """Revokes the key as of `since` and gives what is in doubt. A run that was interrupted is continued by the next one.

    Raises OperatorError for a moment to come, RefusedError for an unknown key or one that was lost earlier already.
    """
    if since > now():
        raise OperatorError("a key cannot have been lost in the future")
    known = find_key(store, agency, kid)
    if known.untrusted_since != since:
        try:
            revoke_key(store, agency, kid, why=why, who=who, since=since)
        except RefusedError:
            if find_key(store, agency, kid).untrusted_since != since:
                raise
            # Another run of the same was faster: both go on with the rest.
    found = doubtful(store, agency, kid, since)
    lost = lost_key(store, agency, kid, since)
    by_ledger: dict[str, list[str]] = {}
    for one in found:
        if one.decision == ACCEPTED:
            by_ledger.setdefault(one.ledger, []).append(one.transfer)
    for ledger, transfers in by_ledger.items():
        for first in range(0, len(transfers), BATCH):
            record(store, StopDoubtful(ledger, transfers[first : first + BATCH], lost, now()))
    return found
