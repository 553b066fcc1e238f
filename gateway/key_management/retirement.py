"""An older key of the gateway ends when nothing needs it any more: once, however many runs come to it at the same time.

Decides, under the recorder's lock, whether the key still stands as it was when a run looked. Leaves to `rewrapping.py` and
`reindexing.py` that nothing needs it, and what the ledger says.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col

from gateway.keys.keychain import OwnKey
from gateway.store.recorder import Transaction
from gateway.store.tables import GatewayKeyRow, micros


def before(own: Sequence[OwnKey], role: str, current: str) -> Sequence[OwnKey]:
    """The keys of a role that began before `current`, in the order of `queries.own_keys`. What came since is not older."""
    mine = [key for key in own if key.role == role]
    place = next((place for place, key in enumerate(mine) if key.kid == current), 0)
    return mine[:place]


def retire(transaction: Transaction, key: OwnKey, time: datetime, status: str) -> bool:
    """Whether this ended it; not, if another run did in the meantime: then there is nothing to tell the ledger."""
    until = None if key.not_after is None else micros(key.not_after)
    ended = transaction.connection.execute(
        update(GatewayKeyRow)
        .where(col(GatewayKeyRow.kid) == key.kid, col(GatewayKeyRow.status) == key.status)
        .where(col(GatewayKeyRow.not_after).is_not_distinct_from(until))
        .values(not_after=micros(time), status=status)
    )
    return ended.rowcount == 1
