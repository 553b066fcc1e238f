"""One altered row keeps no other from the new key: the walk goes past it, names it, and ends the older key when it is mended."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from gateway.errors import KeyAwayError, KeyringError
from gateway.founding import RefusedError
from gateway.key_management import reindexing
from gateway.key_management.reindexing import reindex, to_reindex
from gateway.key_management.rewrapping import rewrap, to_rewrap
from gateway.key_management.rotation import rotate
from gateway.keys.keychain import INDEX, STORAGE, in_use
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.tables import OfficerRow, TransferRow
from gateway.wiring import Store, now
from tests.cli.office import FOREIGNER, enrol, entries, exchanged, in_service
from tests.keys.runs import opened, overtaken, sent

WALKS: dict[str, tuple[Callable[..., int], Callable[..., int]]] = {
    STORAGE: (rewrap, to_rewrap),
    INDEX: (reindex, to_reindex),
}
# A column of one message each, and what somebody wrote there.
ALTERED: dict[str, dict[str, Any]] = {
    STORAGE: {"wrapped_key": b"altered", "storage_key": "nobody's"},
    INDEX: {"sealed_content": b"altered", "storage_key": "nobody's"},
}


@pytest.mark.parametrize("role", ALTERED)
def test_a_row_that_does_not_open_stops_no_walk(tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All others are under the new key; the older one stays until the rows are mended, and ends with the next run."""
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)
    shell, (walk, left) = in_service(tmp_path), WALKS[role]
    altered = dict(zip(sent(shell), ALTERED[role].items(), strict=False))
    before: dict[str, dict[str, Any]] = {}
    with opened(shell) as store:
        rotate(store, role, lead=timedelta(), why="T-1", who="tester")

        def put(values: dict[str, dict[str, Any]]) -> None:
            with store.database.write.begin() as connection:
                for transfer, value in values.items():
                    connection.execute(update(TransferRow).where(col(TransferRow.id) == transfer).values(value))

        with store.database.reading() as session:
            for transfer, (column, _) in altered.items():
                before[transfer] = {column: getattr(queries.transfer(session, transfer), column)}
        put({transfer: {column: value} for transfer, (column, value) in altered.items()})
        with pytest.raises(KeyringError) as refusal:
            walk(store, why="T-2", who="tester")
        assert all(transfer in refusal.value.detail for transfer in altered)
        assert left(store) == len(altered)
        assert not [entry for entry in entries(shell) if entry.get("what") == f"keys.retire/{role}"]
        put(before)
        assert (walk(store, why="T-2", who="tester"), left(store)) == (len(altered), 0)
    assert len([entry for entry in entries(shell) if entry.get("what") == f"keys.retire/{role}"]) == 1


@pytest.mark.parametrize("role", WALKS)
def test_a_walk_ends_no_key_that_came_after_its_own(tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that this process has not heard of yet; and one that another began after it had done the same walk meanwhile."""
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)
    shell, (walk, left) = in_service(tmp_path), WALKS[role]
    sent(shell)

    def rotated(store: Store) -> str | None:
        return rotate(store, role, lead=timedelta(), why="T-1", who="tester").new

    def meanwhile(fast: Store) -> None:
        walk(fast, why="T-2", who="tester")
        newest.append(rotated(fast))

    newest: list[str | None] = []
    with opened(shell) as store:
        rotated(store)
        walk(store, why="T-2", who="tester")
        assert left(store) == 0
        rotated(store)
        # What has digests under a key that is over must not be moved back to it: that run is refused.
        with pytest.raises(RefusedError) if role == INDEX else nullcontext():
            overtaken(shell, lambda slow: walk(slow, why="T-3", who="tester"), 1, meanwhile)
        with store.database.reading() as session:
            used = in_use(queries.own_keys(session), role, now())
    assert used is not None
    assert used.kid == newest[0]


def test_a_row_under_a_newer_key_is_not_called_altered(tmp_path: Path) -> None:
    """Messages come under a key that another operator makes while an older run still walks: it has only to be repeated."""
    shell = in_service(tmp_path)
    sent(shell)

    def meanwhile(fast: Store) -> None:
        rewrap(fast, why="T-2", who="tester")
        rotate(fast, STORAGE, lead=timedelta(), why="T-1", who="tester")
        document = FOREIGNER["document"] | {"number": "B7"}
        later = ("stay-permit.query/1", FOREIGNER | {"document": document}, {"jti": "later-one-1234"})
        exchanged(shell, later, ago=timedelta(minutes=-10))

    with opened(shell) as store:
        rotate(store, STORAGE, lead=timedelta(), why="T-1", who="tester")
    with pytest.raises(KeyAwayError, match="this process does not have"):
        overtaken(shell, lambda slow: rewrap(slow, why="T-3", who="tester"), 1, meanwhile)


def test_an_officer_and_a_hold_that_do_not_open_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose digest cannot be made anew is told, and the older index key goes on being read until it can."""
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)
    shell = in_service(tmp_path)
    sent(shell)
    shell.ok("agencies", "officers", "add", "--why", "T-1", enrol(shell, "sari", role="SUPERVISOR"))
    with opened(shell) as store:
        rotate(store, INDEX, lead=timedelta(), why="T-1", who="tester")
        with store.database.write.begin() as connection:
            kid = connection.execute(select(col(OfficerRow.kid))).scalar_one()
            connection.execute(update(OfficerRow).values(wrapped_key=b"altered"))
        with pytest.raises(KeyringError, match=f"officer {kid}"):
            reindex(store, why="T-2", who="tester")


@pytest.mark.parametrize("role", WALKS)
def test_a_key_file_that_is_away_is_no_altered_row(tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to take thousands of rows from a copy, an operator would overwrite true ones: it is the file that is missing."""
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)
    shell, (walk, _) = in_service(tmp_path), WALKS[role]
    sent(shell)
    with opened(shell) as store:
        kid, uri = store.keys.storage.current().id, load_settings(shell.config).keys.storage
        for rotated in {STORAGE, role}:
            rotate(store, rotated, lead=timedelta(), why="T-1", who="tester")
    with opened(shell) as store:
        store.keys.storage._held.pop(kid, None)
        Path(uri.removeprefix("file:")).rename(tmp_path / "away.key")
        with pytest.raises(KeyringError) as refusal:
            walk(store, why="T-2", who="tester")
    assert "altered" not in refusal.value.detail
