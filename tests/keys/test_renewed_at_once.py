"""Two operators renew the same thing at the same time: each item once, each entry once, and both are told that it is done."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from gateway.jose import parse_jws
from gateway.key_management.compromise import compromise
from gateway.key_management.own_compromise import Touched, compromise_own
from gateway.key_management.reindexing import forget_erased, reindex, to_reindex
from gateway.key_management.retirement import retire
from gateway.key_management.rewrapping import rewrap, to_rewrap
from gateway.key_management.rotation import rotate
from gateway.keys.directory import ACTIVE
from gateway.keys.keychain import INDEX, KEPT, LOST, RETIRED, SIGN, STORAGE
from gateway.statements.alert import ALERT_TYP
from gateway.store import queries
from gateway.store.recorder import Transaction
from gateway.store.tables import AlertRow, GatewayKeyRow
from gateway.wiring import Store, now
from tests.cli.office import PKS, entries, in_service
from tests.cli.shell import AGENCIES, Shell, founded
from tests.keys.runs import SENT, Act, item_by_item, opened, overtaken, release, sent

__all__ = ["item_by_item"]
POLDA = AGENCIES[1]


def both_at_once(shell: Shell, act: Act) -> list[Any]:
    """What two runs give that begin at one moment, each with a store of its own."""
    given: list[Any] = []
    begin = threading.Barrier(2)

    def run(store: Store) -> None:
        begin.wait(10)
        try:
            given.append(act(store))
        except Exception as error:  # noqa: BLE001 - any is a failure of the test
            given.append(error)

    with ExitStack() as stack:
        stores = [stack.enter_context(opened(shell)) for _ in range(2)]
        threads = [threading.Thread(target=run, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not [one for one in given if isinstance(one, Exception)]
    return given


def test_two_runs_at_once_renew_each_item_once(tmp_path: Path, postgres_url: str) -> None:
    """On PostgreSQL, where two nodes can serve: releases and alerts, none of them twice, and the ledger is whole."""
    shell = in_service(tmp_path, postgres_url)
    since, transfers = datetime.now(UTC) - timedelta(minutes=20), sent(shell)
    with opened(shell) as store:
        compromise(store, POLDA, shell.kid(POLDA), since, why="INC-1", who="tester")
        lost = store.keys.sign.kid
        new = rotate(store, SIGN, lead=timedelta(), why="T-1", who="tester").new
    done: list[Touched] = both_at_once(
        shell, lambda store: compromise_own(store, lost, since, why="INC-2", who="tester")
    )
    assert sum(one.signed_anew for one in done) == SENT
    assert sum(one.alerts_anew for one in done) == 1
    require_done(shell, transfers, lost, new)


@pytest.mark.parametrize("before", [1, 2 + SENT], ids=["revocation", "first release"])
def test_a_run_that_is_overtaken_by_another_ends_well(tmp_path: Path, before: int) -> None:
    """Whoever comes second finds everything done, and says so."""
    shell = in_service(tmp_path)
    since, transfers = datetime.now(UTC) - timedelta(minutes=20), sent(shell)
    with opened(shell) as store:
        compromise(store, POLDA, shell.kid(POLDA), since, why="INC-1", who="tester")
        lost = store.keys.sign.kid
        new = rotate(store, SIGN, lead=timedelta(), why="T-1", who="tester").new
    done = overtaken(shell, lambda store: compromise_own(store, lost, since, why="INC-2", who="tester"), before)
    assert (len(done.transfers), done.signed_anew, done.alerts_anew, done.left) == (SENT, 0, 0, ())
    require_done(shell, transfers, lost, new)


def require_done(shell: Shell, transfers: list[str], lost: str, new: str | None) -> None:
    with opened(shell) as store:
        assert {release(store, transfer).kid for transfer in transfers} == {new}
        with store.database.reading() as session:
            alerts = [parse_jws(text, ALERT_TYP, 2) for text in session.exec(select(AlertRow.jws))]
    assert {alert.kid for alert in alerts} == {new}
    named = Counter(transfer for one in alerts if one.payload["kid"] == lost for transfer in one.payload["transfers"])
    assert named == Counter(transfers)
    issued = Counter(entry["alert"] for entry in entries(shell, PKS) if entry["kind"] == "alert.issued")
    assert issued == {one.payload["jti"]: 1 if one.payload["kid"] == lost else 2 for one in alerts}
    own = [(entry["kind"], entry.get("key")) for entry in entries(shell)]
    assert own.count(("key.revoked", lost)) == 1
    shell.ok("ledger", "fsck")


def test_an_agency_s_lost_key_is_dealt_with_once_by_two(tmp_path: Path) -> None:
    """Both operators hear of it and type the same: one revocation, one alert."""
    shell = in_service(tmp_path)
    since, transfers = datetime.now(UTC) - timedelta(minutes=20), sent(shell)
    found = overtaken(
        shell, lambda store: compromise(store, POLDA, shell.kid(POLDA), since, why="INC-1", who="tester"), 1
    )
    assert [one.transfer for one in found] == transfers
    kinds = Counter(entry["kind"] for ledger in ("gateway", PKS) for entry in entries(shell, ledger))
    assert (kinds["key.revoked"], kinds["alert.issued"], kinds["transfer.dead"]) == (1, 1, SENT)


@pytest.mark.parametrize(
    ("role", "walk", "left"), [(STORAGE, rewrap, to_rewrap), (INDEX, reindex, to_reindex)], ids=[STORAGE, INDEX]
)
def test_an_older_key_is_ended_once_by_two(
    tmp_path: Path, role: str, walk: Callable[..., int], left: Callable[[Store], int]
) -> None:
    """The second finds it ended between its look and its commit: no second entry, and its end is not moved."""
    shell = in_service(tmp_path)
    sent(shell)
    with opened(shell) as store:
        rotate(store, role, lead=timedelta(), why="T-1", who="tester")
    overtaken(shell, lambda store: walk(store, why="T-2", who="tester"), 1 + SENT)
    with opened(shell) as store:
        assert left(store) == 0
    assert len([entry for entry in entries(shell) if entry.get("what") == f"keys.retire/{role}"]) == 1
    shell.ok("ledger", "fsck")


def test_a_key_that_is_kept_for_erased_messages_is_forgotten_once_by_two(tmp_path: Path) -> None:
    """Both operators type it: one act in the ledger."""
    shell = founded(tmp_path)
    with opened(shell) as store:
        done = rotate(store, INDEX, lead=timedelta(), why="T-1", who="tester")
        with store.database.write.begin() as connection:
            connection.execute(update(GatewayKeyRow).where(col(GatewayKeyRow.kid) == done.old).values(status=KEPT))
    overtaken(shell, lambda store: forget_erased(store, why="T-2", who="tester"), 1)
    assert [one["about"] for one in entries(shell) if one.get("why") == "T-2"] == [f"index-key:{done.old}"]


def test_a_key_that_was_lost_meanwhile_is_not_ended_as_if_it_were_at_hand(tmp_path: Path) -> None:
    """Between a run's look and its commit somebody said that it is lost: that stands."""
    with opened(founded(tmp_path)) as store, store.database.write.begin() as connection:
        with store.database.reading() as session:
            (key,) = (key for key in queries.own_keys(session) if key.role == INDEX)
        connection.execute(update(GatewayKeyRow).where(col(GatewayKeyRow.kid) == key.kid).values(status=LOST))
        transaction = cast("Transaction", SimpleNamespace(connection=connection))
        assert retire(transaction, key, now(), ACTIVE) is False
        assert retire(transaction, replace(key, status=LOST), now(), RETIRED) is True
