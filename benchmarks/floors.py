"""The floors: what no gateway can go below on this machine, and the bare endpoint that the aims are compared with."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, Self

import httpx
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.measure import ROOT, Clock, Round, cpu_seconds, generate_load, resident
from gateway.keyring import KeyringSigner
from tests.province import free_port

BATCH: Final = 64
# What one accepted message leaves behind: ledger entry, sealed message and receipt, message id, outbox.
ROW_BYTES: Final = {"entry": 650, "transfer": 4300, "message_id": 90, "outbox": 120}


def crypto_floor(message: str, seconds: float) -> Round:
    """Verify the sender and the acknowledgement, sign receipt and release: nothing else, one core."""
    signed = message.partition("~")[0].rpartition(".")[0].encode()
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    acknowledgement, receipt, released = (os.urandom(size) for size in (420, 900, 520))
    sender, recipient = private.sign(signed), private.sign(acknowledgement)
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    latencies = []
    while (started := time.perf_counter()) - began < seconds:
        public.verify(sender, signed)
        private.sign(receipt)
        private.sign(released)
        public.verify(recipient, acknowledgement)
        count += 1
        latencies.append(time.perf_counter() - started)
    return Round(count, time.perf_counter() - began, time.process_time() - cpu, latencies)


def sqlite_floor(folder: Path, seconds: float) -> Round:
    """The same rows, BATCH messages a durable commit, by the bare driver."""
    connection = sqlite3.connect(folder / f"floor-{time.monotonic_ns()}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    for table in ROW_BYTES:
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, held BLOB NOT NULL)")

    def batch(first: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for table, size in ROW_BYTES.items():
            rows = [(first + number, os.urandom(size)) for number in range(BATCH)]
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows)
        connection.execute("COMMIT")

    try:
        return _batches(batch, seconds)
    finally:
        connection.close()


def postgres_floor(url: str, seconds: float) -> Round:
    """The same on PostgreSQL, through psycopg's pipelined executemany. Counts this process's time, not the server's."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ROW_BYTES:
            connection.execute(f"DROP TABLE IF EXISTS floor_{table}")
            connection.execute(f"CREATE TABLE floor_{table} (id bigint PRIMARY KEY, held bytea NOT NULL)")

        def batch(first: int) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                for table, size in ROW_BYTES.items():
                    rows = [(first + number, os.urandom(size)) for number in range(BATCH)]
                    cursor.executemany(f"INSERT INTO floor_{table} VALUES (%s, %s)", rows)

        try:
            return _batches(batch, seconds)
        finally:
            for table in ROW_BYTES:
                connection.execute(f"DROP TABLE floor_{table}")


def _batches(batch: Any, seconds: float) -> Round:
    count, latencies = 0, []
    began, cpu = time.perf_counter(), time.process_time()
    while (started := time.perf_counter()) - began < seconds:
        batch(count)
        count += BATCH
        latencies.append(time.perf_counter() - started)
    elapsed = time.perf_counter() - began
    return Round(
        count,
        elapsed,
        time.process_time() - cpu,
        latencies,
        figures={"commits_per_second": len(latencies) / elapsed, "batch": BATCH},
    )


class BareEndpoint:
    """A process of `benchmarks.bare`; a context manager."""

    def __init__(self, signer: KeyringSigner) -> None:
        self._port = free_port()
        self._jwk = json.dumps(dict(signer.public.jwk))
        self.base = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.bare", str(self._port), self._jwk]
        self.process = subprocess.Popen(command, cwd=ROOT)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                httpx.get(f"{self.base}/readyz", timeout=1)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return self
        raise TimeoutError("the bare endpoint does not start")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def take(self, messages: list[str], **orders: Any) -> Round:
        clock, before = Clock.now(), cpu_seconds([self.process.pid])
        result = generate_load([self.base], messages, again=True, **orders)
        done = result["statuses"].get("202", 0)
        if result["statuses"] != {"202": done}:
            raise RuntimeError(f"the bare endpoint answered {result['statuses']}")
        cpu = cpu_seconds([self.process.pid]) - before
        figures = {"generator_cpu_ms": result["cpu"] / max(1, done) * 1000} | clock.figures(cpu + result["cpu"])
        return Round(done, result["elapsed"], cpu, result["latencies"], resident([self.process.pid]), figures)


def as4_peer(python: str, message: str, seconds: float) -> Round:
    """`as4` in its own environment; see `benchmarks/as4_peer.py`."""
    done = subprocess.run(
        [python, str(ROOT / "benchmarks" / "as4_peer.py"), str(seconds)],
        input=message.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    result = json.loads(done.stdout)
    return Round(len(result["latencies"]), result["elapsed"], result["cpu"], result["latencies"])
