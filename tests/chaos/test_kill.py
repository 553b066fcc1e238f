"""`kill -9` at random moments under load. What was acknowledged stays, arrives, and is in the ledger exactly once."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.ledger.entry import commitment
from gateway.message.envelope import parse
from gateway.statements.receipt import read_gateway_receipt
from tests.province import Province
from tests.published import entries, gateway_key, require_verified

SENDERS = 4


@dataclass
class Load:
    """What the agencies did and were told; every message is kept until it has an answer."""

    province: Province
    waiting: list[str] = field(default_factory=list)
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    delivered: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self) -> None:
        """Retries what has no answer, the very same bytes, then sends new messages; ends when the gateway is gone."""
        with httpx.Client(base_url=self.province.base, timeout=10) as client:
            while True:
                with self.lock:
                    message = self.waiting.pop() if self.waiting else self.province.imigrasi.message()
                try:
                    response = client.post(
                        "/v1/messages", content=message, headers={"content-type": "application/sd-jwt"}
                    )
                    assert response.status_code in (200, 202, 503), response.text
                    if response.status_code == 503:
                        raise httpx.ConnectError("not accepted")
                    with self.lock:
                        self.answered[message] = response.json()
                except httpx.HTTPError:
                    with self.lock:
                        self.waiting.append(message)
                    return

    def receive(self) -> None:
        """Takes, signs for what it took, and goes on until the gateway is gone."""
        try:
            while True:
                self.take(20)
        except (httpx.HTTPError, AssertionError):
            return

    def take(self, limit: int) -> int:
        polda = self.province.polda
        items = polda.inbox(limit)
        if items:
            self.delivered.update(item["transfer"] for item in items)
            polda.acknowledge(*(polda.acknowledgement(item) for item in items))
        return len(items)


def test_nothing_acknowledged_is_lost(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """After any number of kills every answered message is in the ledger once, with its commitment, and was delivered."""
    rounds: int = request.config.getoption("--chaos-rounds")
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    province = Province(tmp_path / "gateway", database_url).found()
    load = Load(province)
    try:
        for _ in range(rounds):
            province.start()
            require_verified(province)
            threads = [threading.Thread(target=load.send) for _ in range(SENDERS)]
            threads.append(threading.Thread(target=load.receive))
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.05, 1.0))
            province.kill()
            for thread in threads:
                thread.join()
        # No lease may outlive the test: what was handed out just before a kill is handed out again in 60 s, or now.
        province.extra = {"SINERGI_DELIVERY__LEASE_SECONDS": "5"}
        province.start()
        for message in load.waiting:
            response = province.imigrasi.post(message)
            assert response.status_code in (200, 202)
            load.answered[message] = response.json()
        wanted = {answer["transfer"] for answer in load.answered.values()}
        until = time.monotonic() + 90
        while not wanted <= load.delivered.keys() and time.monotonic() < until:
            if not load.take(100):
                time.sleep(0.2)
        assert wanted <= load.delivered.keys()
        require_verified(province)
        check_ledger(province, load)
    finally:
        province.kill()
    print(f"{rounds} rounds, {len(load.answered)} messages, {sum(load.delivered.values())} hand-outs")


def check_ledger(province: Province, load: Load) -> None:
    found = entries(province)
    accepted = Counter(entry["transfer"] for entry in found if entry["kind"] == "transfer.accepted")
    acknowledged = Counter(entry["transfer"] for entry in found if entry["kind"] == "transfer.acknowledged")
    wanted = {answer["transfer"] for answer in load.answered.values()}
    assert len(wanted) == len(load.answered), "two messages share a transfer"
    assert accepted == Counter(dict.fromkeys(wanted, 1))
    assert set(acknowledged.values()) <= {1}
    key = gateway_key(province)
    for message, answer in load.answered.items():
        receipt = read_gateway_receipt(answer["receipt"], key)
        entry = found[receipt.index]
        assert entry["transfer"] == answer["transfer"]
        assert entry["commitment"] == commitment(bytes.fromhex(receipt.commitment_key), parse(message.encode()).jwt)
