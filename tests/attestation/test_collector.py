"""The collector on a real database, with a real witness on loopback: two nodes, restored pasts, a stolen key."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.attestation.policy import Policies, Policy, WitnessPlace
from gateway.errors import StoreUnavailableError, UnwitnessedError
from gateway.keys.directory import parse_endpoint
from gateway.ledger.cosignature import Quorum, Trust
from gateway.store import queries
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.session import Database, open_database
from gateway.witness.memory import Memory, create
from gateway.witness.service import Witness
from tests.attestation.house import LOOPBACK, House, serving
from tests.witness.logs import cosigner


def test_two_nodes_that_collect_at_once_keep_one_witnessed_checkpoint(
    database: Database, checkpoint_keys: CheckpointKeys, tmp_path: Path
) -> None:
    """Both ask the same witness while the ledger grows: each round ends witnessed, and no node is told of a fork."""
    house, second = (House(database, checkpoint_keys) for _ in range(2))
    create(tmp_path / "witness.db")
    memory, own = Memory(tmp_path / "witness.db"), cosigner()
    app = Witness(own, memory, lambda: {house.origin: (house.own,)})

    async def act(port: int) -> None:
        endpoint = parse_endpoint(f"http://127.0.0.1:{port}", LOOPBACK)
        quorum = Quorum((own.verifier,), 1)
        policy = Policy(quorum, "stop", timedelta(seconds=60))
        # The gateway's own ledger asks for no witness here.
        policies = Policies(
            Policy(Quorum()),
            {"pks": policy},
            (WitnessPlace(own.verifier, endpoint),),
            None,
            False,
            timedelta(),
        )
        with pytest.raises(UnwitnessedError):
            house.published(policies)
        nodes = [node.collector(policies) for node in (house, second)]
        for node in nodes:
            await node.start()
        for _ in range(8):
            await asyncio.gather(
                asyncio.to_thread(house.append, 2),
                asyncio.to_thread(second.append, 1),
                *(node.round() for node in nodes),
            )
        await asyncio.gather(*(node.round() for node in nodes))
        for node in nodes:
            await node.stop()
        checkpoint = Trust(house.origin, (house.own,), quorum).open(house.published(policies))
        assert checkpoint.size == 24
        assert house.recorder.fatal is second.recorder.fatal is None

    asyncio.run(serving(app, act))
    memory.close()
    house.recorder.stop()
    second.recorder.stop()


def test_a_commit_while_the_heads_are_read_is_not_called_a_fork(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recorder goes on between a look at the database and one at what it remembers: the head is old, and nothing is wrong."""
    house.append()
    collector = house.collector(long_lived=lambda _origin: (cosigner(),))
    read = queries.ledgers

    def late(session: Any) -> Any:
        heads = read(session)
        house.append()
        return heads

    monkeypatch.setattr(queries, "ledgers", late)
    assert [(head.ledger, head.checkpoint.size) for head in collector._heads()] == [("gateway", 0), ("pks", 1)]
    assert "not_attested" not in capsys.readouterr().out


def test_a_database_that_went_back_is_not_attested(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was signed is remembered: an older head is shown to no witness, and the log says why."""
    house.append(2)
    collector = house.collector(long_lived=lambda _origin: (cosigner(),))
    house.recorder.memory.remember(
        "pks", replace(collector._heads()[1].checkpoint, size=3), b"a later note, as of a commit that is gone"
    )
    assert [head.ledger for head in collector._heads()] == ["gateway"]
    assert "ledger.forked" in capsys.readouterr().out


def test_a_past_that_was_restored_everywhere_is_known_to_the_witness(
    house: House, tmp_path: Path, checkpoint_keys: CheckpointKeys
) -> None:
    """Database and checkpoint files are of yesterday: nothing here knows more. The witness shows what our own key signed."""
    create(tmp_path / "witness.db")
    memory, own = Memory(tmp_path / "witness.db"), cosigner()
    app = Witness(own, memory, lambda: {house.origin: (house.own,)})

    async def act(port: int) -> None:
        place = WitnessPlace(own.verifier, parse_endpoint(f"http://127.0.0.1:{port}", LOOPBACK))
        ask = Policy(Quorum((own.verifier,), 1))
        policies = Policies(Policy(Quorum()), {"pks": ask}, (place,), None, stamp_stops=False, stamp_budget=timedelta())

        async def collect(there: House) -> None:
            node = there.collector(policies)
            await node.start()
            await node.round()
            await node.stop()

        await asyncio.to_thread(house.append, 3)
        await collect(house)
        backup = tmp_path / "backup.db"
        with sqlite3.connect(tmp_path / "sinergi.db") as live, sqlite3.connect(backup) as copy:
            live.backup(copy)
        for connection in (live, copy):
            connection.close()
        await asyncio.to_thread(house.append, 2)
        await collect(house)
        database = open_database(f"sqlite:///{backup}")
        for entries in (0, 2):  # as it was restored; and grown again, to the very size that the witness holds
            restored = House(database, checkpoint_keys)
            await asyncio.to_thread(restored.append, entries)
            await collect(restored)
            assert restored.recorder.fatal is not None
            assert restored.recorder.fatal.code == "ledger.forked"
            with pytest.raises(StoreUnavailableError):
                restored.append()
            restored.recorder.stop()
        database.close()

    asyncio.run(serving(app, act))
    [proof] = memory.contradictions()
    assert proof.size == 5, "and the two notes convict whoever restored it"
    memory.close()


def test_a_thief_of_the_checkpoint_key_who_gets_there_first_stops_the_gateway(
    house: House, tmp_path: Path, checkpoint_keys: CheckpointKeys
) -> None:
    """He has an entry of his own cosigned; the true ledger's next one is refused, which stops it, and both notes are kept."""
    create(tmp_path / "witness.db")
    memory, own = Memory(tmp_path / "witness.db"), cosigner()
    app = Witness(own, memory, lambda: {house.origin: (house.own,)})

    async def act(port: int) -> None:
        place = WitnessPlace(own.verifier, parse_endpoint(f"http://127.0.0.1:{port}", LOOPBACK))
        ask = Policy(Quorum((own.verifier,), 1))
        policies = Policies(Policy(Quorum()), {"pks": ask}, (place,), None, stamp_stops=False, stamp_budget=timedelta())

        async def collect(there: House) -> None:
            node = there.collector(policies)
            await node.start()
            await node.round()
            await node.stop()

        await asyncio.to_thread(house.append, 3)
        await collect(house)
        stolen = tmp_path / "stolen.db"
        with sqlite3.connect(tmp_path / "sinergi.db") as live, sqlite3.connect(stolen) as copy:
            live.backup(copy)
        for connection in (live, copy):
            connection.close()
        thief = House(open_database(f"sqlite:///{stolen}"), checkpoint_keys)
        await asyncio.to_thread(thief.append)
        await collect(thief)
        assert thief.recorder.fatal is None, "nobody has seen another tree yet"
        await asyncio.to_thread(house.append)
        await collect(house)
        assert house.recorder.fatal is not None
        assert house.recorder.fatal.code == "ledger.forked"
        with pytest.raises(StoreUnavailableError):
            house.append()
        thief.recorder.stop()
        thief.database.close()

    asyncio.run(serving(app, act))
    (proof,) = memory.contradictions()
    assert proof.size == 4
    memory.close()


def test_a_witness_outside_its_networks_is_not_called(house: House) -> None:
    """The same rule as for agencies' endpoints: an address that the settings do not name gets nothing."""
    own = cosigner()
    place = WitnessPlace(own.verifier, parse_endpoint("http://127.0.0.1:9", ("10.0.0.0/8",)))
    policies = Policies(Policy(Quorum((own.verifier,), 1)), {}, (place,), None, False, timedelta())

    async def act() -> None:
        node = house.collector(policies)
        await node.start()
        await asyncio.sleep(0)
        await node.round()
        await node.stop()

    house.append()
    asyncio.run(act())
    failures = house.metrics.witness_failures.labels("witness.example/w1", "endpoint.forbidden")
    assert failures._value.get() >= 1
