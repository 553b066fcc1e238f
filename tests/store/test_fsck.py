"""Attacks from the operator's side: whoever owns the database, its triggers and its backups, is found out by the check."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from gateway.errors import ClockError, LedgerForkedError, StoreUnavailableError
from gateway.ledger.checkpoint import open_checkpoint
from gateway.ledger.entry import OperatorAct
from gateway.settings import AuditSettings
from gateway.store.append import Memory, open_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.clocks import require_clock
from gateway.store.fsck import Examination, examine
from gateway.store.jobs.events import RecordEvent
from gateway.store.patrol import Patrol, require_whole
from gateway.store.recorder import Recorder
from gateway.store.session import Database
from gateway.store.tables import LedgerHead
from gateway.telemetry import Metrics
from tests.store.ledgers import NOW, grow, head
from tests.store.tampering import (
    SIZE,
    appended,
    changed,
    checkpoint_changed,
    deleted,
    edge_flipped,
    edge_tile_flipped,
    flip_tile,
    full_tile_flipped,
    head_set_back,
    inserted,
    reordered,
    size_set_back,
    tamper,
)


@pytest.fixture
def grown(database: Database, checkpoint_keys: CheckpointKeys) -> Database:
    """A ledger of 700 entries, signed at 300, 600 and 700."""
    for size in (300, 600, SIZE):
        grow(database, checkpoint_keys, size)
    return database


def look(database: Database, keys: CheckpointKeys, kept: LedgerHead | None = None) -> Examination:
    """What the check finds, with `kept`, an earlier head, as the checkpoint that lies outside the database."""
    known = None
    if kept is not None:
        known = open_checkpoint(kept.checkpoint, kept.origin, [keys.note_signer(kept.origin).verifier]).checkpoint
    return examine(database, keys, "pks", known, now=NOW)


def remembering(database: Database, keys: CheckpointKeys, kept: LedgerHead) -> Memory:
    memory = Memory()
    memory.remember(
        "pks", open_checkpoint(kept.checkpoint, kept.origin, [keys.note_signer(kept.origin).verifier]).checkpoint, b""
    )
    return memory


def failed(found: Examination) -> list[int]:
    return [check.number for check in found.report.checks if not check.ok]


ATTACKS: list[tuple[Callable[[Connection], None], list[int], bool]] = [
    # what is done, which checks fail, whether the next append is refused as well
    (changed, [4, 5, 7], False),
    (deleted, [2, 3, 4, 5, 7, 12, 14], False),
    (reordered, [4, 5, 7], False),
    (inserted, [4, 5, 7, 10], False),
    (appended, [10], False),
    (edge_flipped, [9], True),
    (full_tile_flipped, [4], False),
    (edge_tile_flipped, [4, 11], True),
    (checkpoint_changed, [11], False),
    (head_set_back, [7, 9, 10], True),
    (size_set_back, [9, 10, 11], True),
]


@pytest.mark.parametrize(("attack", "checks", "refused"), ATTACKS, ids=[attack.__name__ for attack, *_ in ATTACKS])
def test_rows_changed_past_the_guards_are_found_with_what_to_do(
    grown: Database,
    database_url: str,
    checkpoint_keys: CheckpointKeys,
    attack: Callable[[Connection], None],
    checks: list[int],
    refused: bool,
) -> None:
    """Each fails exactly the checks that are about it, each failure has advice, and nothing is signed over a false edge."""
    kept = head(grown)
    assert failed(look(grown, checkpoint_keys, kept)) == []
    tamper(database_url, attack)
    found = look(grown, checkpoint_keys, kept)
    assert failed(found) == checks
    assert [int(one.partition(":")[0]) for one in found.advice] == checks
    with pytest.raises(LedgerForkedError, match=r"pks was altered .*sinergi ledger fsck"):
        require_whole(grown, checkpoint_keys, remembering(grown, checkpoint_keys, kept), SIZE, NOW)
    if refused:
        with pytest.raises(LedgerForkedError):
            grow(grown, checkpoint_keys, SIZE + 1)
        assert head(grown).size <= SIZE


TEXT = "replace(hex(zeroblob(length({0}) / 2)), '0', 'a')"  # as long as it was
NO_BYTES: list[tuple[str, list[int]]] = [
    ("UPDATE ledger_head SET size = 'soon' WHERE ledger = 'pks'", [9, 10, 11]),
    (f"UPDATE ledger_head SET frontier = {TEXT.format('frontier')} WHERE ledger = 'pks'", [9]),
    ("UPDATE ledger_head SET checkpoint = 'soon' WHERE ledger = 'pks'", [1, 9, 12, 14]),
    (f"UPDATE ledger_tile SET data = {TEXT.format('data')} WHERE ledger = 'pks' AND level = 1", [4, 11]),
    ("UPDATE ledger_checkpoint SET note = 'soon' WHERE ledger = 'pks' AND size = 600", [11]),
    ("UPDATE ledger_entry SET leaf = CAST(leaf AS TEXT) WHERE position = 699", [2, 3, 4, 5, 12, 14]),
]


@pytest.mark.parametrize(("change", "checks"), NO_BYTES)
def test_a_text_where_bytes_belong_is_a_finding_and_ends_no_audit(
    open_empty: Callable[[str], Database],
    checkpoint_keys: CheckpointKeys,
    tmp_path: Path,
    change: str,
    checks: list[int],
) -> None:
    """SQLite keeps whatever type somebody wrote: an audit that fell over it would find nothing any more, in no ledger."""
    database = open_empty(url := f"sqlite:///{tmp_path / 'sinergi.db'}")
    for size in (600, SIZE):
        grow(database, checkpoint_keys, size)
    tamper(url, lambda connection: connection.execute(text(change)) and None)
    assert failed(look(database, checkpoint_keys)) == checks
    require_clock(database, datetime.now(UTC))
    if "ledger_head" in change:
        with pytest.raises(LedgerForkedError):
            grow(database, checkpoint_keys, SIZE + 1)


def test_a_database_that_went_back_to_a_backup_is_found(
    open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys, grown: Database, tmp_path: Path
) -> None:
    """Every row of the shorter ledger is true; the checkpoint that was kept outside says that there was more."""
    backup = open_empty(f"sqlite:///{tmp_path / 'backup.db'}")
    grow(backup, checkpoint_keys, 300)
    assert failed(look(backup, checkpoint_keys)) == []
    assert failed(look(backup, checkpoint_keys, head(grown))) == [7]
    with pytest.raises(LedgerForkedError, match="rolled back"):
        require_whole(backup, checkpoint_keys, remembering(grown, checkpoint_keys, head(grown)), SIZE, NOW)


def test_a_second_database_signed_with_the_same_key_is_found_only_from_outside(
    open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys, grown: Database, tmp_path: Path
) -> None:
    """Fork and stolen key: another past, rightly signed, passes by itself, and fails beside any checkpoint of the first."""
    fork = open_empty(f"sqlite:///{tmp_path / 'fork.db'}")
    with fork.write.begin() as connection:
        append = open_ledger(connection, "pks", checkpoint_keys, Memory())
        for number in range(SIZE + 5):
            append.append(OperatorAct(time=NOW, who="thief", what=f"act-{number}", why="T-1"))
        append.flush()
    assert failed(look(fork, checkpoint_keys)) == []
    assert failed(look(fork, checkpoint_keys, head(grown))) == [7]
    with pytest.raises(LedgerForkedError, match="not those of the earlier checkpoint"):
        require_whole(fork, checkpoint_keys, remembering(grown, checkpoint_keys, head(grown)), SIZE, NOW)


def test_what_a_start_does_not_read_is_found_while_the_gateway_serves(
    grown: Database, database_url: str, checkpoint_keys: CheckpointKeys
) -> None:
    """A start reads the newest entries; the rounds after it read all, stop the recorder over what they find, and say so."""
    recorder, metrics = Recorder(grown, checkpoint_keys), Metrics()
    patrol = Patrol(
        database=grown,
        keys=checkpoint_keys,
        recorder=recorder,
        settings=AuditSettings(share=1),
        clock=lambda: NOW,
        metrics=metrics,
    )
    patrol.round()
    assert recorder.fatal is None
    assert metrics.registry.get_sample_value("sinergi_ledger_sound", {"ledger": "pks"}) == 1
    assert (
        metrics.registry.get_sample_value("sinergi_ledger_audited_timestamp_seconds", {"ledger": "pks"})
        == NOW.timestamp()
    )
    tamper(database_url, reordered)
    require_whole(grown, checkpoint_keys, Memory(), 256, NOW)
    tamper(database_url, changed)
    with pytest.raises(LedgerForkedError, match=r"tile/0/001 differs in hash 44, over entry 300"):
        require_whole(grown, checkpoint_keys, Memory(), 256, NOW)
    patrol.round()
    assert metrics.registry.get_sample_value("sinergi_ledger_sound", {"ledger": "pks"}) == 0
    assert recorder.fatal is not None
    assert recorder.fatal.code == "ledger.forked"
    assert not recorder.alive
    with pytest.raises(StoreUnavailableError, match="needs an operator"):
        recorder.submit(RecordEvent("pks", [OperatorAct(time=NOW, who="op", what="more", why="T-1")]))


def test_a_start_on_tiles_that_are_false_before_its_first_entry_is_refused(
    grown: Database, database_url: str, checkpoint_keys: CheckpointKeys
) -> None:
    """The tiles on which it begins must give the root of the checkpoint that it begins with."""
    require_whole(grown, checkpoint_keys, Memory(), 256, NOW)
    tamper(database_url, lambda connection: flip_tile(connection, 1, first=True))
    with pytest.raises(LedgerForkedError, match="before entry 300 are not those of its checkpoint"):
        require_whole(grown, checkpoint_keys, Memory(), 256, NOW)


def test_a_ledger_that_grows_while_it_is_checked_is_sound(grown: Database, checkpoint_keys: CheckpointKeys) -> None:
    """What comes after the check began is not taken for rows that somebody else wrote."""

    def more(done: int, _total: int) -> None:
        if done == SIZE:
            grow(grown, checkpoint_keys, SIZE + 300)

    found = examine(grown, checkpoint_keys, "pks", None, more, now=NOW)
    assert (found.ok, head(grown).size) == (True, SIZE + 300), found.report.checks


def test_a_wrong_clock_stops_what_is_judged_by_it(grown: Database, checkpoint_keys: CheckpointKeys) -> None:
    """Behind the newest entry nothing is taken, and it goes on by itself when the clock is right again."""
    recorder, times = Recorder(grown, checkpoint_keys), [datetime.now(UTC)]
    patrol = Patrol(
        database=grown,
        keys=checkpoint_keys,
        recorder=recorder,
        settings=AuditSettings(),
        clock=lambda: times[0],
        metrics=Metrics(),
    )
    recorder.start()
    job = RecordEvent("pks", [OperatorAct(time=times[0], who="op", what="today", why="T-1")])
    recorder.submit(job).result(10)
    patrol.tick()
    assert recorder.alive
    times[0] -= timedelta(minutes=2)
    with pytest.raises(ClockError, match=r"newest entry of pks .* sinergi ledger accept-clock"):
        require_clock(grown, times[0])
    patrol.tick()
    assert not recorder.alive
    with pytest.raises(StoreUnavailableError, match="clock is wrong"):
        recorder.submit(job)
    times[0] += timedelta(minutes=2)
    patrol.tick()
    recorder.submit(job).result(10)
    recorder.stop()
    if not grown.is_sqlite:
        with pytest.raises(ClockError, match="the database's"):
            require_clock(grown, times[0] + timedelta(minutes=2))


def test_a_clock_that_was_set_back_is_a_warning(grown: Database, checkpoint_keys: CheckpointKeys) -> None:
    """An hour back: the ledger is whole, the entry is named, and the advice is about clocks."""
    earlier: datetime = NOW - timedelta(hours=1)
    with grown.write.begin() as connection:
        append = open_ledger(connection, "pks", checkpoint_keys, Memory())
        append.append(OperatorAct(time=earlier, who="op", what="late", why="T-1"))
        append.flush()
    found = look(grown, checkpoint_keys)
    assert found.ok
    (warning,) = [check for check in found.report.checks if check.warning]
    assert f"entry {SIZE}" in warning.detail
    assert found.advice[0].startswith("6: A clock was set back")


def test_an_edge_that_this_process_wrote_is_not_widened_when_it_changed(
    grown: Database, database_url: str, checkpoint_keys: CheckpointKeys
) -> None:
    """A process builds on the tiles of its own last commit, not on what is stored: one bit of it later, it records nothing."""
    memory = Memory()

    def add() -> None:
        with grown.write.begin() as connection:
            append = open_ledger(connection, "pks", checkpoint_keys, memory)
            append.append(OperatorAct(time=NOW, who="op", what="act-more", why="T-1"))
            append.flush()
        append.committed()

    add()
    add()
    assert memory.edge("pks", SIZE + 2) is not None
    tamper(database_url, edge_tile_flipped)
    with pytest.raises(LedgerForkedError, match="at the edge of pks was altered"):
        add()
    assert head(grown).size == SIZE + 2
