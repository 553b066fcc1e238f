"""Small ledgers: entries for them, and whether their tree is sound."""

from datetime import UTC, datetime

from gateway.ledger.checkpoint import open_checkpoint
from gateway.ledger.entry import OperatorAct
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.store import queries
from gateway.store.append import Memory, open_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.jobs.events import RecordEvent
from gateway.store.session import Database
from gateway.store.tables import LedgerHead

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def act(number: int = 0) -> OperatorAct:
    return OperatorAct(time=NOW, who="op", what=f"act-{number}", why="T-1")


def entry_job(number: int = 0, ledger: str = "pks") -> RecordEvent:
    return RecordEvent(ledger, (act(number),))


def require_sound(database: Database, keys: CheckpointKeys, ledger: str = "pks") -> int:
    """Recomputes the whole tree from the stored leaves and holds it against the signed head; the size."""
    with database.reading() as session:
        head = queries.ledger_head(session, ledger)
        frontier = Frontier()
        for index in range(head.size // 256 + 1):
            leaves = queries.leaves(session, ledger, index, 256)
            frontier.extend(leaf_hash(leaf) for leaf in leaves)
    verified = open_checkpoint(head.checkpoint, head.origin, [keys.note_signer(head.origin).verifier])
    assert (verified.size, verified.root) == (frontier.size, frontier.root())
    return head.size


def grow(database: Database, keys: CheckpointKeys, size: int) -> None:
    with database.write.begin() as connection:
        append = open_ledger(connection, "pks", keys, Memory())
        for number in range(append.size, size):
            append.append(OperatorAct(time=NOW, who="op", what=f"act-{number}", why="T-1"))
        append.flush()


def head(database: Database) -> LedgerHead:
    with database.reading() as session:
        found = queries.ledger_head(session, "pks")
        session.expunge(found)
    return found
