"""The gateway under load: real processes of `sinergi serve`, SQLite or PostgreSQL, a real recipient behind real HTTP."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.measure import ROOT, Round, cpu_seconds, generate_load, resident
from benchmarks.workload import messages
from gateway import operations
from gateway.directory import parse_endpoint
from gateway.keyring import signer_for
from gateway.wiring import open_store
from tests.province import GATEWAY, POLDA, Province, free_port

PATIENCE: Final = 300.0


class Bench:
    """A province with one gateway or more and, if wanted, a recipient that takes pushes; a context manager."""

    def __init__(self, folder: Path, database_url: str | None, nodes: int, *, pushed: bool) -> None:
        self.province = Province(folder, database_url, {"SINERGI_LOG__LEVEL": "error"})
        private = Ed25519PrivateKey.generate()
        # Ed25519 on both sides: the crypto floor counts the same.
        self.province.polda.signer = signer_for(private)
        self.province.found()
        self.nodes = nodes
        self.pushed = pushed
        self.recipient: subprocess.Popen[bytes] | None = None
        self.recipient_port = free_port()
        self._key = folder / "recipient.pem"
        self._key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        if pushed:
            endpoint = parse_endpoint(f"http://127.0.0.1:{self.recipient_port}/push", ["127.0.0.0/8"])
            with open_store(self.province.settings) as store:
                operations.change_agency(store, POLDA, endpoint=endpoint, who="bench")

    def __enter__(self) -> Self:
        self.province.start(nodes=self.nodes)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_recipient()
        self.province.kill()

    def start_recipient(self, pause: float = 0.0) -> None:
        """`pause` is what a page costs the recipient, in seconds."""
        arguments = [str(self.recipient_port), POLDA, GATEWAY, str(self._key), str(pause)]
        self.recipient = subprocess.Popen([sys.executable, "-m", "benchmarks.recipient", *arguments], cwd=ROOT)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                httpx.get(f"http://127.0.0.1:{self.recipient_port}/seen", timeout=1)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("the recipient does not start")

    def stop_recipient(self) -> None:
        if self.recipient is not None:
            self.recipient.terminate()
            self.recipient.wait(10)
            self.recipient = None

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.province.processes]

    def metric(self, name: str) -> float:
        """A figure of all processes together; `name` with its labels as /metrics writes them."""
        total = 0.0
        for base in self.province.bases:
            for line in httpx.get(f"{base}/metrics", timeout=10).text.splitlines():
                if line.startswith(f"{name} "):
                    total += float(line.rpartition(" ")[2])
        return total

    def figures(self) -> dict[str, float]:
        return {name: self.metric(f"sinergi_recorder_{name}") for name in ("commits", "jobs")}

    def fresh(self, count: int) -> list[str]:
        return list(messages(self.province.imigrasi.signer, count))

    def accept(self, count: int, **orders: Any) -> Round:
        """Sends until the time is over; every message must be accepted, durably, before its answer."""
        texts = self.fresh(count)
        before, cpu = self.figures(), cpu_seconds(self.pids)
        result = generate_load(self.province.bases, texts, **orders)
        done = _accepted(result)
        spent = cpu_seconds(self.pids) - cpu
        after = self.figures()
        commits = after["commits"] - before["commits"]
        figures = {
            "commits_per_second": commits / result["elapsed"],
            "batch": (after["jobs"] - before["jobs"]) / max(1.0, commits),
        }
        return Round(done, result["elapsed"], spent, result["latencies"], resident(self.pids), figures)

    def complete(self, count: int, connections: int) -> Round:
        """From the first message sent to the last signed acknowledgement recorded in the ledger."""
        texts = self.fresh(count)
        recorded = 'sinergi_acknowledgements_total{status="recorded"}'
        before, acknowledged, cpu = self.figures(), self.metric(recorded), cpu_seconds(self.pids)
        seen = len(self.arrivals()) if self.pushed else 0
        began = time.perf_counter()
        puller = None if self.pushed else self._pull(count)
        done = _accepted(generate_load(self.province.bases, texts, connections=connections, seconds=PATIENCE))
        until = time.monotonic() + PATIENCE
        while (missing := done - (self.metric(recorded) - acknowledged)) > 0:
            if time.monotonic() > until:
                raise TimeoutError(f"{missing:.0f} acknowledgements are missing")
            time.sleep(0.02)
        elapsed = time.perf_counter() - began
        spent, after = cpu_seconds(self.pids) - cpu, self.figures()
        if puller is not None:
            puller.wait(30)
        latencies = [at - _received_at(transfer) for transfer, at in self.arrivals()[seen:]] if self.pushed else []
        commits = after["commits"] - before["commits"]
        figures = {
            "commits_per_second": commits / elapsed,
            "batch": (after["jobs"] - before["jobs"]) / max(1.0, commits),
        }
        return Round(done, elapsed, spent, latencies, resident(self.pids), figures)

    def _pull(self, count: int) -> "subprocess.Popen[bytes]":
        arguments = [self.province.base, POLDA, GATEWAY, str(self._key), str(count)]
        return subprocess.Popen([sys.executable, "-m", "benchmarks.puller", *arguments], cwd=ROOT)

    def arrivals(self) -> Sequence[tuple[str, float]]:
        """(transfer, Unix seconds) of everything that was pushed, in order."""
        text = httpx.get(f"http://127.0.0.1:{self.recipient_port}/seen", timeout=30).text
        return [(transfer, at) for transfer, at in json.loads(text)]

    def backlog(self, count: int) -> dict[str, float]:
        """The recipient is away for `count` messages, then back: how fast they go, and an early warning sent into them."""
        self.stop_recipient()
        texts = self.fresh(count)
        _accepted(generate_load(self.province.bases, texts, connections=64, seconds=PATIENCE))
        self.start_recipient()
        began = time.time()
        sent: list[float] = []
        while len(arrived := self.arrivals()) < count + len(sent):
            if time.time() - began > PATIENCE:
                raise TimeoutError(f"{len(arrived)} of {count} arrived")
            time.sleep(0.1)
        last = max(at for _, at in arrived)
        first = min(at for _, at in arrived)
        return {"messages": count, "seconds": last - first, "per_second": count / max(0.001, last - first)}


def _accepted(result: dict[str, Any]) -> int:
    done: int = result["statuses"].get("202", 0)
    if result["statuses"] != {"202": done}:
        raise RuntimeError(f"the gateway answered {result['statuses']}")
    return done


def _received_at(transfer: str) -> float:
    """Unix seconds: a transfer id is a UUIDv7, whose first 48 bits are milliseconds."""
    return int(transfer.replace("-", "")[:12], 16) / 1000


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="sinergi-bench-")
