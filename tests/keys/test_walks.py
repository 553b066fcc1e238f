"""One altered row keeps no other from the new key: the walk goes past it, names it, and ends the older key when it is mended."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from gateway.errors import KeyringError
from gateway.founding import RefusedError
from gateway.key_management import reindexing
from gateway.key_management.reindexing import reindex, to_reindex
from gateway.key_management.rewrapping import rewrap, to_rewrap
from gateway.key_management.rotation import rotate
from gateway.keys.keychain import INDEX, STORAGE, in_use
from gateway.store import queries
from gateway.store.tables import TransferRow
from gateway.wiring import Store, now
from tests.chaos.test_renewal_killed import opened, sent
from tests.cli.test_retention import entries, in_service
from tests.keys.test_renewed_at_once import overtaken

WALKS: dict[str, tuple[Callable[..., int], Callable[..., int]]] = {
    STORAGE: (rewrap, to_rewrap),
    INDEX: (reindex, to_reindex),
}
# A column of one message each, and what somebody wrote there.
ALTERED: dict[str, dict[str, Any]] = {
    STORAGE: {"wrapped_key": b"altered", "storage_key": "nobody's"},
    INDEX: {"sealed_content": b"altered"},
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
