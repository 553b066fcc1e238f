"""A ledger whose checkpoints witnesses and timestamp authorities on loopback attest."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from gateway.attestation.collector import Collector
from gateway.attestation.policy import Policies, Policy
from gateway.attestation.standing import published
from gateway.ledger.cosignature import Cosigner, Quorum
from gateway.ledger.entry import OperatorAct
from gateway.ledger.note import ML_DSA_44, NoteVerifier
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Recorder
from gateway.store.session import Database
from gateway.telemetry import Metrics
from gateway.transfer import Gate
from tests.province import free_port

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


def long_lived(name: str = "gateway.test/ledger/pks") -> Cosigner:
    key = MLDSA44PrivateKey.generate()
    return Cosigner(NoteVerifier(name, key.public_key().public_bytes_raw(), ML_DSA_44), key.sign)
