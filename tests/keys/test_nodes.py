"""The register of nodes: who is alive by the database's clock, and how it makes a rotation on PostgreSQL wait for them alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from gateway.api.app import presence
from gateway.cli.output import DONE, NO
from gateway.key_management import everywhere, rotation
from gateway.settings import Settings, load_settings
from gateway.store import nodes
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.configuration import Configuration
from gateway.store.nodes import Beat, Presence
from gateway.store.recorder import Recorder, Transaction
from gateway.store.session import Database
from gateway.store.tables import NodeRow
from gateway.wiring import Store, now, open_gateway, open_store
from tests.cli.shell import Shell, founded


@pytest.fixture
def register(database: Database, checkpoint_keys: CheckpointKeys) -> Iterator[tuple[Database, Recorder]]:
    recorder = Recorder(database, checkpoint_keys)
    recorder.start()
    yield database, recorder
    recorder.stop()


def aged(recorder: Recorder, id_: str, by: timedelta) -> None:
    """As if it had been silent for so long."""

    class Age:
        ledgers = ()
        message_id = None

        def stage(self, transaction: Transaction) -> None:
            earlier = col(NodeRow.seen_at) - int(by.total_seconds() * 1_000_000)
            transaction.connection.execute(update(NodeRow).where(col(NodeRow.id) == id_).values(seen_at=earlier))

    recorder.submit(Age()).result(10)


def seen(database: Database) -> list[str]:
    with database.reading() as session:
        return [node.name for node in nodes.live(session)]


def test_a_node_is_alive_while_it_says_so(register: tuple[Database, Recorder]) -> None:
    """Its row goes with it; one that ended without a word is soon none, and later its row goes as well."""
    database, recorder = register
    configuration = Configuration(database)
    one, two = (
        Presence(database, recorder, configuration, lambda *_: None, lambda: 0, name) for name in ("one", "two")
    )
    one.beat(), two.beat(), one.beat()
    assert seen(database) == ["one", "two"]
    two.leave()
    assert seen(database) == ["one"]
    two.beat()
    aged(recorder, one.id, nodes.LIVE)
    assert seen(database) == ["two"]
    aged(recorder, one.id, nodes.FORGOTTEN)
    two.beat()
    with database.reading() as session:
        assert session.get(NodeRow, one.id) is None
        assert session.get(NodeRow, two.id) is not None
    one.beat()
    assert seen(database) == ["one", "two"]


@pytest.fixture
def shell(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(everywhere, "PATIENCE_SECONDS", 3.0)
    return founded(tmp_path, database_url=postgres_url)


@contextmanager
def serving(settings: Settings, opens: Callable[[str, str], str | None] | None = None) -> Iterator[Presence]:
    """A node that beats, as `serve` makes it; without its web server."""
    stop = threading.Event()
    with open_gateway(settings) as gateway:
        node = presence(gateway)
        assert node is not None
        node.opens = node.opens if opens is None else opens
        node.beat()

        def run() -> None:
            while not stop.wait(0.1):
                gateway.configuration.reload()
                node.beat()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield node
        finally:
            stop.set()
            thread.join(10)


def rotated(store: Store, role: str) -> tuple[rotation.Rotation, float]:
    """What was announced, and in how many seconds it begins."""
    done = rotation.rotate(store, role, why="T-1", who="tester")
    return done, (done.begins - now()).total_seconds()


def test_a_key_that_every_node_can_open_begins_at_once(shell: Shell) -> None:
    """With the files on storage that all share nobody waits fifteen minutes, but for clocks, and caches of key sets."""
    settings = load_settings(shell.config)
    with serving(settings), serving(settings), open_store(settings) as store:
        done, left = rotated(store, "storage")
        assert (done.lacking, 55 < left <= 60) == ((), True)
        done, left = rotated(store, "sign")
        assert (done.lacking, 295 < left <= 300) == ((), True)
        assert done.old_ends == done.begins + rotation.OVERLAPS["sign"]
        with store.database.reading() as session:
            assert nodes.asked(session) == ()


def test_one_node_alone_waits_for_nobody(shell: Shell) -> None:
    """As on SQLite: there is no other clock."""
    settings = load_settings(shell.config)
    with serving(settings), open_store(settings) as store:
        done, left = rotated(store, "storage")
        assert (done.lacking, 0 < left <= 5) == ((), True)


def test_a_node_that_cannot_open_the_key_is_named_and_waited_for(shell: Shell) -> None:
    """Then it is announced for fifteen minutes, as long as it takes to bring a file; so is nothing where nobody serves."""
    settings = load_settings(shell.config)
    with serving(settings), serving(settings, lambda *_: None) as blind, open_store(settings) as store:
        blind.name = "blind"
        done, left = rotated(store, "index")
        assert (done.lacking, 890 < left <= 900) == (("blind",), True)
    told = shell("keys", "nodes", "--json")
    assert {row["node"] for row in told.json} >= {"blind"}
    with open_store(settings) as store:
        with store.database.reading() as session:
            crashed = session.exec(select(NodeRow.id)).all()
        for id_ in crashed:  # both, without a word
            aged(store.recorder, id_, nodes.LIVE)
        done, left = rotated(store, "storage")
        assert (done.lacking, left <= 5) == ((), True)
    assert shell("keys", "nodes", "--json").json == []


def test_a_node_that_lacks_something_is_shown(shell: Shell) -> None:
    """`keys nodes` ends with 1 where one has not read the newest change, or cannot open a key that it needs."""
    with open_store(load_settings(shell.config)) as store:
        values = {"config_version": 1_000, "asks": None, "opens": "[]"}
        store.recorder.submit(Beat("a", {**values, "name": "whole", "unopened": 0})).result(10)
        assert shell("keys", "nodes").code == DONE
        store.recorder.submit(Beat("b", {**values, "name": "poor", "unopened": 1})).result(10)
        store.recorder.submit(Beat("c", {**values, "name": "late", "unopened": 0, "config_version": 0})).result(10)
        told = shell("keys", "nodes", "--json")
        status = shell("keys", "status")
    assert (status.code, "poor cannot open 1 keys" in status.err, "late" in status.err) == (NO, True, False)
    assert told.code == NO
    assert {row["node"]: (row["behind"], row["unopened"]) for row in told.json} == {
        "whole": (False, 0), "poor": (False, 1), "late": (True, 0)
    }  # fmt: skip
