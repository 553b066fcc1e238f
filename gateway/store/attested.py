"""Named reads about what others put to checkpoints: cosignatures and timestamps. None of them changes anything."""

from collections.abc import Callable, Iterable, Sequence

from sqlmodel import Session, col, select

from gateway.errors import NotFoundError
from gateway.ledger.cosignature import Quorum, with_signatures
from gateway.ledger.merkle import consistency_proof, inclusion_proof
from gateway.ledger.note import parse_note
from gateway.ledger.proof import format_proof
from gateway.store import queries
from gateway.store.tables import AttestedCheckpoint, CheckpointTimestamp

# A policy that was just made stricter is not met by the newest ones; further back is not looked.
_LOOKED_AT = 16


def newest(session: Session, ledger: str, quorum: Quorum) -> AttestedCheckpoint | None:
    """The largest checkpoint that enough of these witnesses cosigned. Its lines were verified when they were stored."""
    wanted = (
        select(AttestedCheckpoint)
        .where(AttestedCheckpoint.ledger == ledger)
        .order_by(col(AttestedCheckpoint.size).desc())
    )
    # Nearly always it is the first, and each may hold kilobytes of signatures.
    return _first(session.exec(wanted.limit(1)), quorum) or _first(session.exec(wanted.limit(_LOOKED_AT)), quorum)


def covering(session: Session, ledger: str, position: int, quorum: Quorum) -> AttestedCheckpoint | None:
    """The first checkpoint that has this entry and enough of these witnesses; else the newest, if that has it."""
    rows = session.exec(
        select(AttestedCheckpoint)
        .where(AttestedCheckpoint.ledger == ledger, AttestedCheckpoint.size > position)
        .order_by(col(AttestedCheckpoint.size))
        .limit(_LOOKED_AT)
    )
    found = _first(rows, quorum) or newest(session, ledger, quorum)
    return found if found is not None and found.size > position else None


def _first(rows: Iterable[AttestedCheckpoint], quorum: Quorum) -> AttestedCheckpoint | None:
    return next((row for row in rows if quorum.met_by(parse_note(row.note).signatures)), None)


def witnessed_proof(session: Session, ledger: str, position: int, quorum: Quorum) -> str | None:
    """The inclusion proof of an entry against a witnessed checkpoint; None while no such checkpoint covers it."""
    row = covering(session, ledger, position, quorum)
    return None if row is None else _proof(session, position, row)


def proof_by_all(session: Session, ledger: str, position: int) -> str | None:
    """The same against the newest checkpoint with an ML-DSA-44 line, where no witness is asked for; None while there is none.

    The newest, because the keys that sign now signed it: an earlier one may be by a key that was lost since.
    """
    row = newest(session, ledger, Quorum())
    return _proof(session, position, row) if row is not None and row.size > position else None


def _proof(session: Session, position: int, row: AttestedCheckpoint) -> str:
    node = queries.tile_reader(session, row.ledger, row.size).node
    return format_proof(position, inclusion_proof(position, row.size, node), row.note)


def extension(session: Session, ledger: str, old: int, size: int) -> list[bytes]:
    """The consistency proof between two sizes of a ledger."""
    return consistency_proof(old, size, queries.tile_reader(session, ledger, size).node)


def reading_tiles(session: Session, ledger: str) -> Callable[[int, int, int], bytes]:
    """As they are in the database now, for whoever holds them against something."""
    return lambda level, index, _width: queries.tile(session, ledger, level, index)


def newest_timestamp(session: Session, ledger: str) -> CheckpointTimestamp | None:
    return session.exec(
        select(CheckpointTimestamp)
        .where(CheckpointTimestamp.ledger == ledger)
        .order_by(col(CheckpointTimestamp.size).desc())
        .limit(1)
    ).first()


def timestamp_covering(session: Session, ledger: str, position: int) -> CheckpointTimestamp:
    """The earliest timestamp of a checkpoint that has this entry. Raises NotFoundError."""
    found = timestamps_covering(session, ledger, position, 1)
    if not found:
        raise NotFoundError("no timestamp covers the entry")
    return found[0]


def timestamps_covering(
    session: Session, ledger: str, position: int, limit: int = _LOOKED_AT
) -> Sequence[CheckpointTimestamp]:
    """The earliest timestamps of checkpoints that have this entry, the first of them first."""
    return session.exec(
        select(CheckpointTimestamp)
        .where(CheckpointTimestamp.ledger == ledger, CheckpointTimestamp.size > position)
        .order_by(col(CheckpointTimestamp.size))
        .limit(limit)
    ).all()


def with_later_signatures(session: Session, stamp: CheckpointTimestamp) -> bytes:
    """The checkpoint that was stamped, with every line that was added to it before and since."""
    row = session.get(AttestedCheckpoint, (stamp.ledger, stamp.size))
    return stamp.note if row is None else with_signatures(stamp.note, parse_note(row.note).signatures)
