"""The index key is lost: the next one begins at once, and what was stored is found anew by its own text.

Decides which index keys are lost: those that this process cannot open. Until `reindexing.py` has gone over what is stored, a lost
key stays as `lost`: whatever has to know everything (a search, a quota, a new hold) waits, a retry is recognised by its stored
text, and nothing that a person's hold may cover is erased. Of an erased message nothing is left to recognise it by.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlmodel import col

from gateway.errors import OperatorError
from gateway.founding import RefusedError
from gateway.keys.keychain import INDEX, KEPT, LOST, RETIRED, OwnKey
from gateway.ledger.entry import OperatorAct
from gateway.operations.acts import Who, authority
from gateway.store.recorder import Transaction
from gateway.store.tables import GatewayKeyRow, TransferRow, micros
from gateway.wiring import Store


def lost_keys(store: Store, own: Sequence[OwnKey], used: OwnKey, time: datetime) -> tuple[str, ...]:
    """The ids of the index keys that are still needed and do not open here; the one in use must be among them.

    Raises RefusedError where it opens: a key that is there is rotated, and then nothing is forgotten.
    """
    if used.role != INDEX:
        raise OperatorError("only a lost index key can be replaced without the old one")
    held = {key.id for key in store.keys.index.held()}
    if used.kid in held:
        raise RefusedError("the index key opens here, so it is not lost: rotate it without --lost")
    mine = (key for key in own if key.role == INDEX and (key.status == KEPT or not key.over(time)))
    return tuple(key.kid for key in mine if key.not_before <= time and key.kid not in held)


def forgotten(store: Store, lost: Sequence[str]) -> int:
    """How many erased messages nobody recognises any more without these keys."""
    gone = select(func.count()).where(col(TransferRow.index_key).in_(lost), col(TransferRow.erased_at).is_not(None))
    with store.database.reading() as session:
        return int(session.connection().execute(gone).scalar_one())


def give_up(transaction: Transaction, lost: Sequence[str], time: datetime) -> None:
    """From this commit on they are lost; one that was kept for erased messages alone is over."""
    if not lost:
        return
    mine = col(GatewayKeyRow.kid).in_(lost)
    connection = transaction.connection
    connection.execute(update(GatewayKeyRow).where(mine, col(GatewayKeyRow.status) == KEPT).values(status=RETIRED))
    connection.execute(
        update(GatewayKeyRow)
        .where(mine, col(GatewayKeyRow.status) != RETIRED)
        .values(status=LOST, not_after=micros(time))
    )


def losses(lost: Sequence[str], who: Who, why: str, time: datetime) -> Iterator[OperatorAct]:
    """For the ledger: one for each key."""
    for kid in lost:
        yield authority(who).entry(time, "keys.lost/index", why=why, about=f"index-key:{kid}")
