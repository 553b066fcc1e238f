"""What the ledger says of a proposal is found however many entries came since, and whatever their times are."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.ledger.entry import OperatorAct
from gateway.store.append import Memory, open_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.proposed import Proposals, Said, said
from gateway.store.session import Database

BEGIN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SIZE = 1_200
# Minutes of an entry; at one moment the clock was set back by months.
SET_BACK = 700
DIGEST, OTHER = "a" * 64, "b" * 64


TOLD = {
    500: {"what": "propose/keys.rotate", "digest": DIGEST},
    505: {"what": "propose/keys.rotate", "digest": OTHER},
    510: {"what": "keys.rotate/sign", "digest": DIGEST},
    520: {"what": "withdraw/keys.rotate", "about": OTHER},
}


@pytest.fixture
def filled(database: Database, checkpoint_keys: CheckpointKeys) -> Database:
    """Acts a minute apart, by a clock that was set back once; four are about two proposals: one done, the other withdrawn."""
    with database.write.begin() as connection:
        append = open_ledger(connection, "gateway", checkpoint_keys, Memory())
        for number in range(SIZE):
            told = {"what": f"act-{number}"} | TOLD.get(number, {})
            clock = BEGIN - timedelta(days=0 if number < SET_BACK else 90) + timedelta(minutes=number)
            append.append(OperatorAct(time=clock, who="op", why="T-1", **told))
        append.flush()
    return database


def asked(database: Database, digest: str, first: int = 0) -> Said:
    with database.reading() as session:
        return said(session.connection(), digest, first=first)


def test_the_end_of_a_proposal_is_found_behind_pages_of_other_entries(filled: Database) -> None:
    """Done or withdrawn; of entries from a later one on nothing is said."""
    for digest, end in ((DIGEST, 510), (OTHER, 520)):
        assert asked(filled, digest) == Said(SIZE, ended=True)
        assert asked(filled, digest, first=end).ended
        assert asked(filled, digest, first=end + 1) == Said(SIZE)
    assert asked(filled, "c" * 64) == Said(SIZE)
    assert asked(filled, DIGEST, first=SIZE) == Said(SIZE)


def leaf(what: str, **told: str) -> bytes:
    return OperatorAct(time=BEGIN, who="op", what=what, why="T-1", **told).leaf()


def compared(
    rows: list[tuple[str, str]], *, entries: list[bytes] | None = None, later: list[bytes] | None = None
) -> str:
    found = Proposals()
    for position, entry in enumerate(entries or []):
        found.note(position, entry)
    found.compare(rows, enumerate(later or [], len(entries or [])))
    return str(found.findings)


def test_what_happens_while_an_audit_reads_is_no_finding() -> None:
    """Proposed and done between the last entry that it read and the rows, or between the rows and the entries since."""
    proposed, done = leaf("propose/keys.rotate", digest=DIGEST), leaf("keys.rotate/sign", digest=DIGEST)
    assert compared([(DIGEST, "done")], later=[proposed, done]) == ""
    assert compared([(DIGEST, "pending")], later=[proposed, done]) == ""
    assert compared([(DIGEST, "pending")], entries=[proposed], later=[done]) == ""
    assert compared([], later=[proposed, done]) == ""


def test_a_row_that_says_something_else_is_a_finding() -> None:
    """Set back, called done, or gone."""
    proposed, done = leaf("propose/keys.rotate", digest=DIGEST), leaf("keys.rotate/sign", digest=DIGEST)
    assert "is marked pending, but entry 1 ended it" in compared([(DIGEST, "pending")], entries=[proposed, done])
    assert "is marked withdrawn, but no entry" in compared([(DIGEST, "withdrawn")], entries=[proposed])
    assert "is gone" in compared([], entries=[proposed])


def test_one_commit_with_two_entries_is_one_end() -> None:
    """What retires two keys at one moment is one act; one of a later moment is a second one."""
    proposed, time = leaf("propose/keys.rotate", digest=DIGEST), BEGIN + timedelta(seconds=1)
    retired = [leaf(f"keys.{what}/index", digest=DIGEST) for what in ("lost", "retire")]
    assert compared([(DIGEST, "done")], entries=[proposed, *retired]) == ""
    later = OperatorAct(time=time, who="op", what="keys.retire/index", why="T-1", digest=DIGEST).leaf()
    assert "was ended by entry 1, and once more by entry 3" in compared(
        [(DIGEST, "done")], entries=[proposed, *retired, later]
    )
