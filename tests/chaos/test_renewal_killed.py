"""`kill -9` after each commit of what renews under another key. Run again it goes on where it was, and does nothing twice."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlmodel import select

from gateway.jose import parse_jws
from gateway.key_management.own_compromise import compromise_own
from gateway.key_management.reindexing import reindex, to_reindex
from gateway.key_management.rewrapping import rewrap, to_rewrap
from gateway.key_management.rotation import rotate
from gateway.keys.keychain import INDEX, SIGN, STORAGE
from gateway.statements.alert import ALERT_TYP, read_alert
from gateway.store.recorder import Recorder
from gateway.store.tables import AlertRow
from gateway.wiring import Store
from tests.cli.office import PKS, entries, in_service
from tests.cli.shell import Shell
from tests.keys.runs import SENT, item_by_item, opened, release, sent

__all__ = ["item_by_item"]


def _killed_at_its_first_change(shell: Shell, act: Callable[[Store], object]) -> None:
    commit: Callable[[Recorder, Connection, Any], None] = Recorder._commit
    changes: list[str] = []

    def commit_and_die(recorder: Recorder, connection: Connection, outer: Any) -> None:
        commit(recorder, connection, outer)
        if changes:
            os.kill(os.getpid(), signal.SIGKILL)

    Recorder._commit = commit_and_die  # type: ignore[method-assign]
    with opened(shell) as store:

        @event.listens_for(store.database.write, "before_cursor_execute")
        def _look(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
            if statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
                changes.append(statement)

        act(store)


def killed(shell: Shell, act: Callable[[Store], object]) -> int:
    """Runs it in processes of their own, each killed right after the first commit that changed something; how many were."""
    for times in range(50):
        process = multiprocessing.get_context("fork").Process(target=_killed_at_its_first_change, args=(shell, act))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            return times
        assert process.exitcode == -signal.SIGKILL
    raise AssertionError("it does not come to an end")


def test_a_lost_key_s_work_is_signed_anew_once_however_often_it_is_killed(tmp_path: Path, database_url: str) -> None:
    """Of a key that had renewed an older lost key's releases itself: everybody is told once, and every release is renewed."""
    since, office = datetime.now(UTC) - timedelta(minutes=20), in_service(tmp_path, database_url)
    transfers, times = sent(office), {"lead": timedelta(), "why": "T-1", "who": "tester"}
    with opened(office) as store:
        one, two = store.keys.sign.kid, rotate(store, SIGN, **times).new or ""  # type: ignore[arg-type]
        compromise_own(store, one, since, why="INC-1", who="tester")
        assert {release(store, transfer).kid for transfer in transfers} == {two}
        three = rotate(store, SIGN, **times).new or ""  # type: ignore[arg-type]
    deaths = killed(office, lambda store: compromise_own(store, two, since, why="INC-2", who="tester"))
    # The revocation; then of each transfer the alert and the release, and the alert about the first key.
    assert deaths == 1 + 3 * SENT
    with opened(office) as store:
        assert {release(store, transfer).kid for transfer in transfers} == {three}
        with store.database.reading() as session:
            texts = session.exec(select(AlertRow.jws)).all()
        assert {parse_jws(text, ALERT_TYP, 2).kid for text in texts} == {three}
        told = [read_alert(text, store.keys.sign.public) for text in texts]
    named = Counter((alert.kid, transfer) for alert in told for transfer in alert.transfers)
    assert named == Counter((kid, transfer) for kid in (one, two) for transfer in transfers)
    issued = Counter(entry["alert"] for entry in entries(office, PKS) if entry["kind"] == "alert.issued")
    assert issued == {alert.jti: 2 if alert.kid == one else 1 for alert in told}
    own = entries(office)
    assert [entry["key"] for entry in own if entry["kind"] == "key.revoked"] == [one, two]
    assert [entry["why"] for entry in own if entry.get("what") == "keys.revoke/sign"] == ["INC-1", "INC-2"]
    office.ok("ledger", "fsck")


@pytest.mark.parametrize(
    ("role", "walk", "left"), [(STORAGE, rewrap, to_rewrap), (INDEX, reindex, to_reindex)], ids=[STORAGE, INDEX]
)
def test_a_walk_that_is_killed_over_and_over_ends_the_older_key_once(
    tmp_path: Path, role: str, walk: Callable[..., int], left: Callable[[Store], int]
) -> None:
    """Every message is under the key in use, opens and is found; the ledger has one end of the older key."""
    office = in_service(tmp_path)
    transfers = sent(office)
    with opened(office) as store:
        rotate(store, role, lead=timedelta(), why="T-1", who="tester")
    assert killed(office, lambda store: walk(store, why="T-2", who="tester")) > SENT
    with opened(office) as store:
        assert left(store) == 0
        for transfer in transfers:
            assert release(store, transfer)
    assert len([entry for entry in entries(office) if entry.get("what") == f"keys.retire/{role}"]) == 1
    office.ok("ledger", "fsck")
