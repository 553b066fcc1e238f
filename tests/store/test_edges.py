"""Attacks on the right edge of a ledger while a gateway runs that builds on the edge that it has in hand."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.checkpoint import open_checkpoint
from gateway.settings import AuditSettings
from gateway.store import patrol, queries
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.patrol import Patrol
from gateway.store.recorder import Recorder
from gateway.store.session import Database
from gateway.telemetry import Metrics
from tests.store.ledgers import grow, head
from tests.store.tampering import SIZE, edge_tile_flipped, flip_tile, tamper


@pytest.fixture
def grown(database: Database, checkpoint_keys: CheckpointKeys) -> Database:
    """A ledger of 700 entries: two full tiles, and partial ones on two levels."""
    grow(database, checkpoint_keys, SIZE)
    return database


def quiet_patrol(database: Database, recorder: Recorder, keys: CheckpointKeys, metrics: Metrics) -> Patrol:
    return Patrol(
        database=database,
        keys=keys,
        recorder=recorder,
        settings=AuditSettings(),
        clock=lambda: datetime.now(UTC),
        metrics=metrics,
    )


@pytest.mark.parametrize("level", [0, 1])
def test_an_edge_that_is_altered_under_a_running_gateway_is_found_within_a_minute(
    grown: Database, database_url: str, checkpoint_keys: CheckpointKeys, level: int
) -> None:
    """A process builds on the edge that it has in hand, and widens an upper tile once in 256 entries: others read it before."""
    recorder, metrics = Recorder(grown, checkpoint_keys), Metrics()
    patrol = quiet_patrol(grown, recorder, checkpoint_keys, metrics)
    patrol.tick()
    assert recorder.fatal is None
    tamper(database_url, lambda connection: flip_tile(connection, 2 if level == 0 else 0, level=level))
    patrol.tick()  # not every few seconds
    assert recorder.fatal is None
    patrol.edges()
    assert recorder.fatal is not None
    assert recorder.fatal.code == "ledger.forked"
    assert "the edge of pks" in recorder.fatal.detail
    assert metrics.registry.get_sample_value("sinergi_ledger_sound", {"ledger": "pks"}) == 0


def test_the_first_look_of_a_patrol_is_at_the_edges(
    grown: Database, database_url: str, checkpoint_keys: CheckpointKeys
) -> None:
    """Nobody has to call for it."""
    recorder = Recorder(grown, checkpoint_keys)
    tamper(database_url, edge_tile_flipped)
    quiet_patrol(grown, recorder, checkpoint_keys, Metrics()).tick()
    assert recorder.fatal is not None


def test_an_edge_that_goes_back_behind_what_was_signed_is_found(
    grown: Database, open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys, tmp_path: Path
) -> None:
    """A backup that is put in the place of the database while nothing is written."""
    backup = open_empty(f"sqlite:///{tmp_path / 'backup.db'}")
    grow(backup, checkpoint_keys, SIZE - 1)
    recorder = Recorder(backup, checkpoint_keys)
    patrol = quiet_patrol(backup, recorder, checkpoint_keys, Metrics())
    patrol.edges()
    assert recorder.fatal is None
    kept = head(grown)
    known = open_checkpoint(
        kept.checkpoint, kept.origin, [checkpoint_keys.note_signer(kept.origin).verifier]
    ).checkpoint
    recorder.memory.remember("pks", known, kept.checkpoint)
    patrol.edges()
    assert recorder.fatal is not None
    assert "rolled back" in recorder.fatal.detail


def test_an_edge_that_grows_while_it_is_looked_at_is_sound(
    grown: Database, checkpoint_keys: CheckpointKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node appends, across the end of a tile, between a look at the head and a look at the tiles."""
    recorder, read = Recorder(grown, checkpoint_keys), queries.tile
    sizes = iter((SIZE + 10, SIZE + 200))

    def late(*given: Any) -> bytes:
        if (size := next(sizes, None)) is not None:
            grow(grown, checkpoint_keys, size)
        return read(*given)

    monkeypatch.setattr(queries, "tile", late)
    quiet_patrol(grown, recorder, checkpoint_keys, Metrics()).edges()
    assert next(sizes, None) is None
    assert recorder.fatal is None


@pytest.mark.parametrize("look", ["edges", "round"])
def test_a_ledger_that_cannot_be_looked_at_hides_no_other(
    grown: Database, database_url: str, checkpoint_keys: CheckpointKeys, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """Whatever somebody wrote there that nobody foresaw: the next ledger is looked at all the same."""
    tamper(database_url, edge_tile_flipped)

    def falling(true: Any) -> Any:
        def falls(*given: Any, **named: Any) -> Any:
            if "gateway" in given:
                raise AttributeError
            return true(*given, **named)

        return falls

    for name in ("require_edge", "examine"):
        monkeypatch.setattr(patrol, name, falling(getattr(patrol, name)))
    recorder = Recorder(grown, checkpoint_keys)
    getattr(quiet_patrol(grown, recorder, checkpoint_keys, Metrics()), look)()
    assert recorder.fatal is not None
