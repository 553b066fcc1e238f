"""A reindex that a rotation of the index key overtakes: whatever comes meanwhile is found, now and later."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from gateway.founding import RefusedError
from gateway.key_management import reindexing
from gateway.key_management.reindexing import reindex, to_reindex
from gateway.key_management.rotation import rotate
from gateway.keys.keychain import INDEX
from gateway.store.tables import HoldRow, OfficerRow
from gateway.wiring import Store
from tests.cli.office import FOREIGNER, SUBJECT, enrol, exchanged, in_service
from tests.cli.shell import Shell
from tests.keys.runs import opened, overtaken, sent


def found(shell: Shell) -> str:
    return shell.ok("subjects", "find", "--subject-file", "-", "--json", stdin=SUBJECT).out


def replace(store: Store) -> None:
    rotate(store, INDEX, lead=timedelta(), why="T-1", who="tester")


def test_what_came_under_a_newer_index_key_is_still_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the change-over and the end of one run another operator rotates, and a message comes: its digests stay."""
    shell = in_service(tmp_path)
    sent(shell)
    came: list[str] = []

    def meanwhile(_seconds: float) -> None:
        if not came:
            with opened(shell) as other:
                replace(other)
            message = ("stay-permit.query/1", FOREIGNER, {"jti": "later-one-1234"})
            came.extend(outcome.transfer for outcome in exchanged(shell, message, ago=timedelta()))

    with opened(shell) as store:
        replace(store)
        monkeypatch.setattr(reindexing, "clock", SimpleNamespace(sleep=meanwhile))
        reindex(store, why="T-2", who="tester")
    with opened(shell) as store:
        reindex(store, why="T-3", who="tester")
        assert to_reindex(store) == 0
    assert came[0] in found(shell)


def test_a_run_that_another_left_behind_moves_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another does the same walk, rotates and walks again before the first commit of the slow one, which then says so."""
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)
    shell = in_service(tmp_path)
    (outcome,) = exchanged(shell, ("stay-permit.query/1", FOREIGNER, {}), ago=timedelta(minutes=-15))

    def meanwhile(fast: Store) -> None:
        reindex(fast, why="T-2", who="tester")
        replace(fast)
        reindex(fast, why="T-2", who="tester")

    with opened(shell) as store:
        replace(store)
    with pytest.raises(RefusedError, match="replaced meanwhile"):
        overtaken(shell, lambda slow: reindex(slow, why="T-3", who="tester"), 1, meanwhile)
    assert outcome.transfer in found(shell)


@pytest.mark.parametrize("table", [OfficerRow, HoldRow])
def test_who_is_added_under_the_older_key_meanwhile_stops_the_change_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: type[OfficerRow | HoldRow]
) -> None:
    """An officer or a hold that nobody would find under the new key: the run is refused, and the next one takes it along."""
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)
    shell = in_service(tmp_path)
    with opened(shell) as store:
        old = rotate(store, INDEX, lead=timedelta(), why="T-1", who="tester").old

    def meanwhile(fast: Store) -> None:
        if table is OfficerRow:
            shell.ok("agencies", "officers", "add", "--why", "T-1", enrol(shell, "sari"))
        else:
            shell.ok(
                "holds", "add", "--subject-file", "-", "--why", "P-7", "--citation", "Penetapan 1/2026", stdin=SUBJECT
            )
        with fast.database.write.begin() as connection:
            connection.execute(update(table).values(index_key=old))

    with pytest.raises(RefusedError, match="meanwhile"):
        overtaken(shell, lambda slow: reindex(slow, why="T-2", who="tester"), 1, meanwhile)
    with opened(shell) as store:
        reindex(store, why="T-3", who="tester")
        with store.database.reading() as session:
            assert old not in session.execute(select(table.index_key)).scalars().all()
