"""The load generator, a process of its own: `python -m benchmarks.load` with its orders as JSON on standard input.

Closed loop: so many connections, each with one request under way. Open loop: so many requests a second whatever comes
back, each one's latency counted from the moment at which it was due, so that a stall is seen by all that it delays.
`patient`: a closed loop's sender that hears 503 waits as long as it is told, and sends the same again.
`detailed`: what became of each request, and which transfers were recorded.
"""

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import uvloop
from pyreqwest.client import Client, ClientBuilder

# An open loop must never wait for a connection: more than a gateway has room for.
_OPEN_CONNECTIONS: Final = 3_500
_TRANSFER: Final = b'"transfer":"'
_BUSY: Final = "503"


class Generator:
    def __init__(self, orders: dict[str, Any], client: Client) -> None:
        self.client = client
        self.urls = itertools.cycle([f"{base}{orders['path']}" for base in orders["bases"]])
        bodies = Path(orders["messages"]).read_bytes().splitlines()
        # An endpoint that remembers nothing takes the same again.
        self.bodies = itertools.cycle(bodies) if orders.get("again") else iter(bodies)
        self.media_type = orders["media_type"]
        self.detailed = bool(orders.get("detailed"))
        self.patient = bool(orders.get("patient"))
        self.latencies: list[float] = []
        self.statuses: dict[str, int] = {}
        self.outcomes: list[str] = []
        self.due: list[float] = []
        self.transfers: dict[str, list[str]] = {}
        self.without_retry_after = 0
        self.started = time.perf_counter()

    async def send(self, body: bytes, due: float) -> float | None:
        """Seconds to wait when the answer was 503."""
        wait = None
        try:
            request = self.client.post(next(self.urls)).header("content-type", self.media_type).body_bytes(body).build()
            response = await request.send()
            content = await response.bytes()
            status = str(response.status)
            if status == _BUSY:
                wait = self._wait(response.headers.get("retry-after"))
            elif self.detailed and (at := bytes(content).find(_TRANSFER)) >= 0:
                transfer = bytes(content)[at + len(_TRANSFER) :][:36].decode("ascii")
                self.transfers.setdefault(status, []).append(transfer)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is counted under its name
            status = type(error).__name__
        self.latencies.append(time.perf_counter() - due)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self.detailed:
            self.outcomes.append(status)
            self.due.append(due - self.started)
        return wait

    def _wait(self, told: str | None) -> float:
        if told is None or not told.isdigit():
            self.without_retry_after += 1
            return 1.0
        return float(told)

    async def closed(self, connections: int, seconds: float) -> None:
        until = time.perf_counter() + seconds

        async def one() -> None:
            while time.perf_counter() < until and (body := next(self.bodies, None)) is not None:
                wait = await self.send(body, time.perf_counter())
                while self.patient and wait is not None and time.perf_counter() < until:
                    await asyncio.sleep(wait)
                    wait = await self.send(body, time.perf_counter())

        await asyncio.gather(*(one() for _ in range(connections)))

    async def opened(self, rate: float, seconds: float) -> None:
        running: set[asyncio.Task[float | None]] = set()
        start = time.perf_counter()
        for number in range(int(rate * seconds)):
            due = start + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            body = next(self.bodies, None)
            if body is None:
                break
            task = asyncio.create_task(self.send(body, due))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


async def run(orders: dict[str, Any]) -> dict[str, Any]:
    connections = orders.get("connections") or _OPEN_CONNECTIONS
    async with ClientBuilder().max_connections(connections).build() as client:
        generator = Generator(orders, client)
        started, cpu = time.perf_counter(), time.process_time()
        generator.started = started
        if "rate" in orders:
            await generator.opened(orders["rate"], orders["seconds"])
        else:
            await generator.closed(orders["connections"], orders["seconds"])
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    told = {"elapsed": elapsed, "cpu": cpu, "latencies": generator.latencies, "statuses": generator.statuses}
    if generator.detailed:
        told |= {
            "outcomes": generator.outcomes,
            "due": generator.due,
            "transfers": generator.transfers,
            "without_retry_after": generator.without_retry_after,
        }
    return told


def main() -> None:
    orders = json.load(sys.stdin)
    json.dump(uvloop.run(run(orders)), sys.stdout)


if __name__ == "__main__":
    main()
