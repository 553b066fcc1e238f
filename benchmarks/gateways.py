"""The gateway under load: real processes of `sinergi serve`, SQLite or PostgreSQL, a real recipient behind real HTTP."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlmodel import col, select

from benchmarks.measure import ROOT, Clock, Round, cpu_seconds, generate_load, resident
from benchmarks.pool import Pool
from benchmarks.postgres import PostgresServer
from gateway.keyring import signer_for
from gateway.keys.directory import parse_endpoint
from gateway.operations.agencies import change_agency
from gateway.store.session import open_database
from gateway.store.tables import AcknowledgementRow, TransferRow
from gateway.wiring import open_store
from tests.province import GATEWAY, POLDA, Province, example, free_port

PATIENCE: Final = 300.0
_REFUSED: Final = 0.01
PUSH, PULL = "push", "pull"
RECORDED: Final = 'sinergi_acknowledgements_total{status="recorded"}'


class Bench:
    """A province with one gateway process or more, perhaps with a recipient; a context manager.

    `delivery` None: messages are accepted and wait, because nobody asks for them and the recipient has no endpoint.
    """

    def __init__(
        self,
        folder: Path,
        pool: Pool,
        *,
        server: PostgresServer | None = None,
        nodes: int = 1,
        delivery: str | None = None,
        **environment: str,
    ) -> None:
        environment = {"SINERGI_LOG__LEVEL": "error"} | environment
        self.province = Province(folder, server and server.database(), environment)
        private = Ed25519PrivateKey.generate()
        # Ed25519 on both sides: the crypto floor counts the same.
        self.province.imigrasi.signer, self.province.polda.signer = pool.signer, signer_for(private)
        self.province.found()
        self.server, self.nodes, self.delivery = server, nodes, delivery
        self.messages = pool.cursor()
        self.away = False  # the recipient comes only when it is called
        self.recipient: subprocess.Popen[bytes] | None = None
        self.recipient_port = free_port()
        self._key = folder / "recipient.pem"
        self._key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        if delivery == PUSH:
            endpoint = parse_endpoint(f"http://127.0.0.1:{self.recipient_port}/push", ["127.0.0.0/8"])
            with open_store(self.province.settings) as store:
                change_agency(store, POLDA, endpoint=endpoint, why="bench", who="bench")

    def __enter__(self) -> Self:
        self.province.start(nodes=self.nodes, ready=False)
        self._wait_ready()
        if self.delivery is not None and not self.away:
            self.start_recipient()
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.stop_recipient()
        self.province.kill()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.province.processes]

    def pause(self) -> None:
        """While another arm is measured this one must not run at all, its clocks and polls included."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in [*self.pids, *([self.recipient.pid] if self.recipient else [])]:
            os.kill(pid, number)

    @contextmanager
    def turn(self) -> Iterator[Self]:
        self.resume()
        self._wait_ready()
        try:
            yield self
        finally:
            self.pause()

    def _wait_ready(self) -> None:
        for base, process in zip(self.province.bases, self.province.processes, strict=True):
            self.province.wait_ready(base, process, PATIENCE)

    def start_recipient(self) -> None:
        if self.delivery == PULL:
            arguments = ["benchmarks.puller", self.province.base, POLDA, GATEWAY, str(self._key)]
        else:
            arguments = ["benchmarks.recipient", str(self.recipient_port), POLDA, GATEWAY, str(self._key)]
        self.recipient = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT)
        if self.delivery == PULL:
            return
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                self.arrivals()
            except httpx.HTTPError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("the recipient does not start")

    def stop_recipient(self) -> None:
        if self.recipient is not None:
            self.recipient.terminate()
            self.recipient.wait(10)
            self.recipient = None

    def arrivals(self) -> Mapping[str, float]:
        """Transfer to Unix seconds, of everything that was pushed."""
        return dict(json.loads(httpx.get(f"http://127.0.0.1:{self.recipient_port}/seen", timeout=30).text))

    def metric(self, name: str) -> float:
        """A figure of all processes together; `name` with its labels as /metrics writes them."""
        total = 0.0
        for base in self.province.bases:
            for line in httpx.get(f"{base}/metrics", timeout=30).text.splitlines():
                if line.startswith(f"{name} "):
                    total += float(line.rpartition(" ")[2])
        return total

    def accept(self, count: int, **orders: Any) -> Round:
        """Sends until the time is over; every message must be accepted, durably, before its answer."""
        meter = Meter(self)
        result = self.send(count, **orders)
        return meter.round(accepted(result), result["elapsed"], result["latencies"], result["cpu"])

    def complete(self, count: int, **orders: Any) -> Round:
        """From the first message sent to the last signed acknowledgement recorded in the ledger.

        A latency is a transfer's: from its acceptance to its acknowledgement, as the ledger tells both.
        """
        meter, began, acknowledged = Meter(self), time.time(), self.metric(RECORDED)
        started = time.perf_counter()
        result = self.send(count, **orders)
        done = accepted(result)
        self.wait_acknowledged(acknowledged + done)
        elapsed = time.perf_counter() - started
        round_ = meter.round(done, elapsed, (), result["cpu"])
        return Round(round_.messages, elapsed, round_.cpu, self._taken(began), round_.rss, round_.figures)

    def wait_acknowledged(self, total: float) -> None:
        until = time.monotonic() + PATIENCE
        while (missing := total - self.metric(RECORDED)) > 0:
            if time.monotonic() > until:
                raise TimeoutError(f"{missing:.0f} acknowledgements are missing")
            time.sleep(0.05)

    def send(self, count: int, **orders: Any) -> dict[str, Any]:
        texts = self.messages.take(count)
        result = generate_load(self.province.bases, texts, **orders)
        self.messages.give_back(count - len(result["latencies"]))
        return result

    def _taken(self, since: float) -> list[float]:
        database = open_database(self.province.settings.database.url)
        try:
            with database.reading() as session:
                rows = session.exec(
                    select(AcknowledgementRow.recorded_at, TransferRow.received_at)
                    .join(TransferRow, col(TransferRow.id) == col(AcknowledgementRow.transfer))
                    .where(col(TransferRow.received_at) >= int(since * 1e6))
                )
                return [(recorded - received) / 1e6 for recorded, received in rows]
        finally:
            database.close()


class Meter:
    """What the processes of a gateway, and of its database, spend from now on."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._counts = self._recorder()
        self._clock = Clock.now()
        self._postgres = bench.server.cpu_seconds() if bench.server else 0.0
        self._cpu = cpu_seconds(bench.pids)
        self._recipient = self._recipients()

    def _recipients(self) -> float:
        return cpu_seconds([self._bench.recipient.pid] if self._bench.recipient else [])

    def _recorder(self) -> tuple[float, float]:
        commits, jobs = (self._bench.metric(f"sinergi_recorder_{name}") for name in ("commits", "jobs"))
        return commits, jobs

    def round(self, done: int, elapsed: float, latencies: Sequence[float], generator: float) -> Round:
        bench = self._bench
        cpu = cpu_seconds(bench.pids) - self._cpu
        figures = {"generator_cpu_ms": generator / max(1, done) * 1000}
        ours = cpu + generator + max(0.0, self._recipients() - self._recipient)
        if bench.server is not None:
            postgres = bench.server.cpu_seconds() - self._postgres
            figures["postgres_cpu_ms"] = postgres / max(1, done) * 1000
            ours += postgres
        figures |= self._clock.figures(ours)
        commits, jobs = (after - before for after, before in zip(self._recorder(), self._counts, strict=True))
        figures |= {"commits_per_second": commits / elapsed, "batch": jobs / max(1.0, commits)}
        return Round(done, elapsed, cpu, latencies, resident(bench.pids), figures)


def accepted(result: Mapping[str, Any]) -> int:
    """How many. A disk that stops for a second makes the gateway refuse some (503): more than one in a hundred ends the
    benchmark, and so does any other answer.
    """
    statuses: dict[str, int] = result["statuses"]
    done, refused = statuses.get("202", 0), statuses.get("503", 0)
    if done + refused != sum(statuses.values()) or refused > done * _REFUSED:
        raise RuntimeError(f"the gateway answered {statuses}")
    return done


def bulk(bench: Bench, count: int) -> list[str]:
    """Messages that are not urgent: passport anomalies, as an office sends them by the thousand."""
    kind = "passport-application.anomaly/1"
    body = example(kind, "valid-age-band-only")
    return [
        bench.province.imigrasi.message(
            kind,
            body | {"application_ref": f"SRG-{secrets.token_hex(4).upper()}"},
            disclosable=(),
            purpose="PREVENTION",
        )
        for _ in range(count)
    ]
