"""Recovery keys: an agency's offline key, and how it ends when it may be in other hands.

It signed no message, so nothing that it did is in doubt. How it begins is `admission.py`.
"""

from sqlalchemy import update
from sqlmodel import col

from gateway.founding import require_code
from gateway.keys.directory import ACTIVE, REVOKED, RecoveryKey
from gateway.ledger.entry import KeyRevoked
from gateway.operations.acts import ConflictError, Who, act, authority
from gateway.statements.key_statement import RECOVERY
from gateway.store import queries
from gateway.store.recorder import Transaction
from gateway.store.tables import RecoveryKeyRow, micros
from gateway.wiring import Store, now


def recovery_keys(store: Store) -> tuple[RecoveryKey, ...]:
    """Past ones included."""
    with store.database.reading() as session:
        return queries.load_directory(session, 0).recovery


def revoke_recovery_key(store: Store, key: RecoveryKey, *, why: str, who: Who) -> None:
    """From the commit on it endorses nothing. Raises RefusedError for one that is not in use."""
    time, code, kid = now(), require_code(why, "the reason"), key.key.kid

    def end(transaction: Transaction) -> None:
        ended = transaction.connection.execute(
            update(RecoveryKeyRow)
            .where(col(RecoveryKeyRow.kid) == kid, col(RecoveryKeyRow.status) == ACTIVE)
            .values(status=REVOKED, changed_at=micros(time))
        )
        if ended.rowcount != 1:
            raise ConflictError("the recovery key is not in use any more")

    entries = (
        KeyRevoked(time=time, agency=key.agency, key=kid, use=RECOVERY, not_after=time, why=code),
        authority(who).entry(time, "keys.revoke", why=code, about=key.agency),
    )
    act(store, entries, end)
