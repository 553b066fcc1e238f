"""How far each ledger is attested, read from the database: the same answer on every node and after every start.

Decides which checkpoint a reader is given. The moments are those of the entries themselves, so that a restart does not
begin a budget anew.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from gateway.attestation.policy import HOLD, PUBLISH, Policies, Standing
from gateway.errors import UnwitnessedError
from gateway.ledger.cosignature import Quorum
from gateway.ledger.entry import instant
from gateway.ledger.leaf import recorded_at
from gateway.ledger.note import parse_note
from gateway.ledger.timestamped import signed_at
from gateway.store import attested, queries
from gateway.store.tables import AttestedCheckpoint, LedgerHead, moment

RETRY_SECONDS = 5


def standings(session: Session, policies: Policies) -> Sequence[Standing]:
    """One for each ledger."""
    return [standing(session, head, policies) for head in queries.ledgers(session)]


def standing(session: Session, head: LedgerHead, policies: Policies) -> Standing:
    quorum = policies.of(head.ledger).quorum
    row = attested.newest(session, head.ledger, quorum) if quorum.count else None
    witnessed = min(row.size, head.size) if row is not None else 0
    stamp = attested.newest_timestamp(session, head.ledger) if policies.stamp_period is not None else None
    stamped = min(stamp.size, head.size) if stamp is not None else 0
    return Standing(
        ledger=head.ledger,
        size=head.size,
        witnessed=witnessed,
        waiting_since=_recorded(session, head, witnessed) if quorum.count else None,
        witnessed_at=None if row is None else _witnessed_at(row, quorum),
        stamped=stamped,
        unstamped_since=_recorded(session, head, stamped) if policies.stamp_period is not None else None,
        stamped_at=None if stamp is None else moment(stamp.stamped_at),
    )


def _recorded(session: Session, head: LedgerHead, position: int) -> datetime | None:
    """When the entry at `position` was recorded; None where the ledger ends before it."""
    if position >= head.size:
        return None
    return instant(recorded_at(queries.leaf(session, head.ledger, position)))


def _witnessed_at(row: AttestedCheckpoint, quorum: Quorum) -> datetime:
    known = {(witness.name, witness.key_id) for witness in quorum.witnesses}
    lines = [line for line in parse_note(row.note).signatures if (line.name, line.key_id) in known]
    return moment(max(signed_at(line.signature) for line in lines) * 1_000_000)


def published(session: Session, ledger: str, policies: Policies, now: datetime) -> bytes:
    """The checkpoint that a reader is given: the newest one that meets the policy, and whatever `publish` allows beyond.

    Raises NotFoundError for no ledger, UnwitnessedError where there is none and none may be shown without its witnesses.
    """
    head, policy = queries.ledger_head(session, ledger), policies.of(ledger)
    row = attested.newest(session, ledger, policy.quorum)
    if row is not None and row.size == head.size:
        return row.note
    if not policy.witnessed:
        return head.checkpoint
    if policy.when_missing == PUBLISH and (row is None or policies.overdue(standing(session, head, policies), now)):
        return head.checkpoint
    if row is None:
        raise UnwitnessedError("no checkpoint of this ledger has its witnesses yet", retry_after=RETRY_SECONDS)
    return row.note


def holds(policies: Policies, ledger: str) -> bool:
    """Whether a receipt waits until its entry is witnessed."""
    policy = policies.of(ledger)
    return policy.witnessed and policy.when_missing == HOLD
