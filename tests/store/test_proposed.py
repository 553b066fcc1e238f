"""What the ledger says of a proposal is found however many entries came since, and nobody reads further back than it can be."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from gateway.ledger.entry import OperatorAct
from gateway.store.append import LedgerAppend, Memory
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.proposed import Said, said
from gateway.store.session import Database

BEGIN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SIZE = 1_000
DIGEST, OTHER = "a" * 64, "b" * 64


TOLD = {
    500: {"what": "propose/keys.rotate", "digest": DIGEST},
    505: {"what": "propose/keys.rotate", "digest": OTHER},
    510: {"what": "keys.rotate/sign", "digest": DIGEST},
    520: {"what": "withdraw/keys.rotate", "about": OTHER},
}


@pytest.fixture
def filled(database: Database, checkpoint_keys: CheckpointKeys) -> Database:
    """A thousand acts a minute apart; four of them are about two proposals, one of which was done, the other withdrawn."""
    with database.write.begin() as connection:
        append = LedgerAppend(connection, "gateway", checkpoint_keys, Memory())
        for number in range(SIZE):
            told = {"what": f"act-{number}"} | TOLD.get(number, {})
            append.append(OperatorAct(time=BEGIN + timedelta(minutes=number), who="op", why="T-1", **told))
        append.flush()
    return database


def asked(database: Database, digest: str, **limits: object) -> tuple[Said, int]:
    """And how many pages were read for it."""
    pages: list[str] = []
    with database.reading() as session:
        event.listen(database.read, "before_cursor_execute", lambda _c, _u, statement, *_o: pages.append(statement))
        found = said(session.connection(), digest, **limits)  # type: ignore[arg-type]
    return found, len([page for page in pages if "ledger_entry" in page])


def test_the_end_of_a_proposal_is_found_behind_pages_of_other_entries(filled: Database) -> None:
    """Done or withdrawn; of entries from a later one on nothing is said."""
    for digest, end in ((DIGEST, 510), (OTHER, 520)):
        assert asked(filled, digest)[0] == Said(SIZE, ended=True)
        assert asked(filled, digest, issued=BEGIN + timedelta(minutes=499))[0] == Said(SIZE, ended=True)
        assert asked(filled, digest, first=end)[0].ended
        assert asked(filled, digest, first=end + 1)[0] == Said(SIZE)
    assert asked(filled, "c" * 64)[0] == Said(SIZE)
    assert asked(filled, DIGEST, first=SIZE)[0] == Said(SIZE)


def test_nobody_reads_further_back_than_a_proposal_can_be(filled: Database) -> None:
    """One of the last hour costs a page or two, however long the ledger is."""
    found, pages = asked(filled, "c" * 64, issued=BEGIN + timedelta(minutes=SIZE - 60))
    assert (found, pages) == (Said(SIZE), 1)
