"""The collector on a real database, with a real witness and a real timestamp authority on loopback."""

import asyncio
import base64
import sqlite3
import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from gateway.attestation.collector import Collector
from gateway.attestation.policy import Policies, Policy, Standing, WitnessPlace
from gateway.attestation.stamping import Stamper
from gateway.attestation.standing import published
from gateway.attestation.wiring import read_policies
from gateway.errors import LedgerInvalidError, OperatorError, StoreUnavailableError, UnwitnessedError
from gateway.keys.directory import parse_endpoint
from gateway.ledger.cosignature import Cosigner, Quorum, Trust, with_signatures
from gateway.ledger.entry import OperatorAct
from gateway.ledger.note import ML_DSA_44, NoteVerifier, parse_note
from gateway.ledger.timestamp import read_roots, verify_timestamp
from gateway.settings import Settings
from gateway.store import attested, queries
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Recorder
from gateway.store.session import Database, open_database
from gateway.telemetry import Metrics
from gateway.transfer import Gate
from gateway.witness.memory import Memory, create
from gateway.witness.service import Witness
from tests.attestation.authority import Authority, needs_openssl
from tests.province import free_port
from tests.witness.logs import Log, cosigner

LOOPBACK = ("127.0.0.1/32",)
NONE = Policies(Policy(Quorum()), {}, (), None, stamp_stops=False, stamp_budget=timedelta())


class House:
    """A ledger with its recorder, and as many nodes' collectors as a test wants."""

    def __init__(self, database: Database, keys: CheckpointKeys) -> None:
        self.database, self.keys = database, keys
        self.recorder = Recorder(database, keys)
        self.recorder.start()
        self.metrics, self.gate = Metrics(), Gate()
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def collector(self, policies: Policies = NONE, **extra: Any) -> Collector:
        return Collector(
            policies=policies,
            database=self.database,
            recorder=self.recorder,
            keys=self.keys,
            gate=self.gate,
            metrics=self.metrics,
            clock=self.now,
            interval=60.0,
            timeout=5.0,
            **extra,
        )

    def append(self, count: int = 1) -> None:
        for _ in range(count):
            entry = OperatorAct(time=self.now(), who="tester", what="test", why="T-1")
            self.recorder.submit(RecordEvent("pks", (entry,))).result(10)

    def published(self, policies: Policies) -> bytes:
        with self.database.reading() as session:
            return published(session, "pks", policies, self.now())

    @property
    def origin(self) -> str:
        return "gateway.test/ledger/pks"

    @property
    def own(self) -> NoteVerifier:
        return self.keys.note_signer(self.origin).verifier


@pytest.fixture
def house(tmp_path: Path, open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys) -> Iterator[House]:
    made = House(open_empty(f"sqlite:///{tmp_path / 'sinergi.db'}"), checkpoint_keys)
    yield made
    made.recorder.stop()


async def serving(app: Any, act: Callable[[int], Awaitable[None]]) -> None:
    """Runs `act(port)` while the app is served on loopback."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag
        await asyncio.sleep(0.01)
    try:
        await act(port)
    finally:
        server.should_exit = True
        await task


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


def long_lived(name: str = "gateway.test/ledger/pks") -> Cosigner:
    key = MLDSA44PrivateKey.generate()
    return Cosigner(NoteVerifier(name, key.public_key().public_bytes_raw(), ML_DSA_44), key.sign)


def test_the_long_lived_signature_is_the_structure_of_the_specification() -> None:
    """tlog-cosignature's `cosigned_message`, written out once more here, is what ML-DSA-44 verifies."""
    log, own = Log(origin="gateway.test/ledger/pks"), long_lived()
    text = parse_note(log.note(1000)).text
    line = own.cosign(text, 1_700_000_000)
    name = b"gateway.test/ledger/pks"
    root = base64.b64decode(text.split("\n")[2])
    message = (
        b"subtree/v1\n\0"
        + struct.pack(">B", len(name)) + name
        + struct.pack(">Q", 1_700_000_000)
        + struct.pack(">B", len(name)) + name
        + struct.pack(">QQ", 0, 1000)
        + root
    )  # fmt: skip
    assert struct.unpack(">Q", line.signature[:8]) == (1_700_000_000,)
    MLDSA44PublicKey.from_public_bytes(own.verifier.public_key).verify(line.signature[8:], message)
    assert NoteVerifier.parse(own.verifier.vkey) == own.verifier
    note = with_signatures(log.note(1000), [line])
    both = Trust(log.origin, (log.signer.verifier, own.verifier))
    assert both.open(note).size == 1000
    # Whoever has broken Ed25519 can sign another root, and cannot carry the other signature over to it.
    forged = with_signatures(log.other("b").note(1000), [line])
    with pytest.raises(LedgerInvalidError, match="ML-DSA-44 signature"):
        both.open(forged)
    with pytest.raises(LedgerInvalidError, match="not every kind of key"):
        both.open(log.note(1000))
    later = replace(line, signature=struct.pack(">Q", 1_800_000_000) + line.signature[8:])
    with pytest.raises(LedgerInvalidError, match="ML-DSA-44 signature"):
        both.open(with_signatures(log.note(1000), [later]))


def test_the_collector_adds_the_long_lived_signature_after_the_commit(house: House) -> None:
    """The commit signs with Ed25519 alone; a round later the published checkpoint carries both, and only once."""
    key = MLDSA44PrivateKey.generate()

    def own(origin: str) -> Cosigner:
        return Cosigner(NoteVerifier(origin, key.public_key().public_bytes_raw(), ML_DSA_44), key.sign)

    async def act() -> None:
        node = house.collector(long_lived=lambda origin: (own(origin),))
        await node.start()
        await node.round()
        await node.round()
        await node.stop()

    house.append(3)
    assert len(parse_note(house.published(NONE)).signatures) == 1
    asyncio.run(act())
    note = house.published(NONE)
    assert len(parse_note(note).signatures) == 2
    assert Trust(house.origin, (house.own, own(house.origin).verifier)).open(note).size == 3
    house.append()
    assert len(parse_note(house.published(NONE)).signatures) == 1, "a newer one is not held back for it"


def test_a_next_long_lived_key_signs_a_checkpoint_that_has_the_old_ones_line_already(house: House) -> None:
    """Announced between two rounds, it signs in the next one, beside the old one, whose line stays what it was."""
    old, new = long_lived(house.origin), long_lived(house.origin)
    signing = [old]

    async def act() -> None:
        node = house.collector(long_lived=lambda _origin: tuple(signing))
        await node.start()
        await node.round()
        before = parse_note(house.published(NONE)).signatures
        signing.insert(0, new)
        await node.round()
        await node.stop()
        assert set(before) < set(parse_note(house.published(NONE)).signatures)

    house.append(3)
    asyncio.run(act())
    for key in (old, new):
        assert Trust(house.origin, (house.own, key.verifier)).open(house.published(NONE)).size == 3


@needs_openssl
def test_a_checkpoint_is_timestamped_and_a_missing_authority_is_budgeted(house: House, tmp_path: Path) -> None:
    """A token that OpenSSL's authority made verifies over the stored bytes; without one, messages stop after the budget."""
    policies = Policies(
        Policy(Quorum()), {}, (), timedelta(hours=1), stamp_stops=True, stamp_budget=timedelta(minutes=30)
    )

    async def act(authority: Authority) -> None:
        roots = read_roots(authority.roots.read_bytes())
        stamper = Stamper(parse_endpoint(authority.url, LOOPBACK), roots, 5.0)
        node = house.collector(policies, stamper=stamper)
        await node.start()
        await node.round()
        with house.database.reading() as session:
            kept = attested.timestamp_covering(session, "pks", 0)
            assert (kept.size, kept.note) == (3, queries.ledger_head(session, "pks").checkpoint)
        assert verify_timestamp(kept.token, kept.note, roots).token == kept.token
        with pytest.raises(LedgerInvalidError):
            verify_timestamp(kept.token, kept.note + b"x", roots)
        with pytest.raises(LedgerInvalidError):
            verify_timestamp(kept.token, kept.note, read_roots((tmp_path / "other" / "ca.pem").read_bytes()))

        # Nothing is asked within the period; after it an authority that lies or is away is not believed, and counted.
        house.append()
        await node.round()
        with house.database.reading() as session:
            assert attested.newest_timestamp(session, "pks").size == 3  # type: ignore[union-attr]
        house.ahead = timedelta(hours=1, minutes=1)
        authority.spoil = True
        await node.round()
        authority.spoil, authority.away = False, True
        stamper._paused.clear()
        await node.round()
        kinds = {sample.labels["kind"] for sample in house.metrics.timestamp_failures.collect()[0].samples}
        assert kinds == {"invalid", "status-503"}
        assert not house.gate.ledgers
        house.ahead = timedelta(hours=1, minutes=31)
        await node.round()
        assert house.gate.ledgers == {"pks"}, "the gateway's own ledger has nothing new to stamp"
        # An authority whose clock differs is not believed either; with the right clock it opens the gate again.
        authority.away = False
        stamper._paused.clear()
        await node.round()
        assert house.gate.ledgers == {"pks"}
        house.ahead = timedelta()
        with house.database.write.begin() as connection:
            connection.exec_driver_sql("UPDATE checkpoint_timestamp SET stamped_at = 0")
        stamper._paused.clear()
        await node.round()
        assert not house.gate.ledgers
        await node.stop()

    house.append(3)
    Authority(tmp_path / "other")
    with Authority(tmp_path / "tsa") as authority:
        asyncio.run(act(authority))


@needs_openssl
def test_a_timestamp_waits_for_the_witnesses_as_long_as_their_budget(house: House, tmp_path: Path) -> None:
    """Stamped before they cosigned, evidence with a timestamp would be without witnesses; absent for long, it is stamped bare."""
    away = WitnessPlace(cosigner().verifier, parse_endpoint(f"http://127.0.0.1:{free_port()}", LOOPBACK))
    policy = Policy(Quorum((away.verifier,), 1), "publish", timedelta(minutes=2))
    policies = Policies(policy, {}, (away,), timedelta(hours=1), stamp_stops=False, stamp_budget=timedelta())

    def stamped() -> int:
        with house.database.reading() as session:
            found = attested.newest_timestamp(session, "pks")
        return 0 if found is None else found.size

    async def act(authority: Authority) -> None:
        roots = read_roots(authority.roots.read_bytes())
        stamper = Stamper(parse_endpoint(authority.url, LOOPBACK), roots, 5.0)
        node = house.collector(policies, stamper=stamper)
        await node.start()
        await node.round()
        assert stamped() == 0
        house.ahead = timedelta(minutes=2, seconds=1)
        await node.round()
        assert stamped() == 3
        await node.stop()

    house.append(3)
    with Authority(tmp_path / "tsa") as authority:
        asyncio.run(act(authority))


def test_a_policy_that_nobody_can_meet_is_refused() -> None:
    """At the start, by name, and not by a ledger that waits for ever."""
    one, two = cosigner(), cosigner("witness.example/w2")
    entry = {"vkey": one.verifier.vkey, "url": "https://w1.example"}
    log = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for witness, named in (
        ({"witnesses": [entry], "quorum": 2}, "witness.quorum"),
        ({"witnesses": [entry, entry]}, "same name"),
        ({"witnesses": [entry | {"vkey": "x"}]}, "witness.witnesses"),
        ({"witnesses": [entry | {"vkey": NoteVerifier("log.example", log).vkey}], "quorum": 1}, "witness.quorum"),
        ({"witnesses": [entry], "ledgers": {"pks": {"witnesses": ["nobody"]}}}, "witness.ledgers.pks"),
    ):
        with pytest.raises(OperatorError, match=named):
            read_policies(Settings(witness=witness))  # type: ignore[arg-type]
    with pytest.raises(OperatorError, match="roots_file"):
        read_policies(Settings(timestamp={"url": "https://tsa.example"}))  # type: ignore[arg-type]
    both = {"witnesses": [entry, entry | {"vkey": two.verifier.vkey}], "quorum": 1}
    made = read_policies(Settings(witness=both | {"ledgers": {"pks": {"quorum": 2, "when_missing": "stop"}}}))  # type: ignore[arg-type]
    assert (made.of("gateway").quorum.count, made.of("pks").quorum.count) == (1, 2)


def test_the_budget_counts_from_the_oldest_entry_that_waits() -> None:
    """A restart begins no budget anew, and a ledger in which nothing waits is never late."""
    quorum = Quorum((cosigner().verifier,), 1)
    policies = Policies(
        Policy(quorum, "stop", timedelta(minutes=5)), {}, (), None, stamp_stops=False, stamp_budget=timedelta()
    )
    since = datetime(2026, 11, 24, tzinfo=UTC)
    waiting = Standing("pks", 9, 4, since, None)
    assert not policies.stops(waiting, since + timedelta(minutes=5))
    assert policies.stops(waiting, since + timedelta(minutes=5, seconds=1))
    assert not policies.stops(Standing("pks", 9, 9, None, since), since + timedelta(days=9))
    assert not policies.stops(waiting, since - timedelta(days=1)), "nor does a clock that was set back stop it"
