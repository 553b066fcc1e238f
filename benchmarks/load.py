"""The load generator, a process of its own: `python -m benchmarks.load` with its orders as JSON on standard input.

Closed loop: so many connections, each with one request under way. Open loop: so many requests a second whatever comes
back, each one's latency counted from the moment at which it was due, so that a stall is seen by all that it delays.
"""

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from pyreqwest.client import Client, ClientBuilder


class Generator:
    def __init__(self, orders: dict[str, Any], client: Client) -> None:
        self.client = client
        self.urls = itertools.cycle([f"{base}{orders['path']}" for base in orders["bases"]])
        self.bodies = iter(Path(orders["messages"]).read_bytes().splitlines())
        self.media_type = orders["media_type"]
        self.latencies: list[float] = []
        self.statuses: dict[str, int] = {}

    async def send(self, body: bytes, due: float) -> None:
        try:
            request = self.client.post(next(self.urls)).header("content-type", self.media_type).body_bytes(body).build()
            response = await request.send()
            await response.bytes()
            status = str(response.status)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is counted under its name
            status = type(error).__name__
        self.latencies.append(time.perf_counter() - due)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    async def closed(self, connections: int, seconds: float) -> None:
        until = time.perf_counter() + seconds

        async def one() -> None:
            while time.perf_counter() < until and (body := next(self.bodies, None)) is not None:
                await self.send(body, time.perf_counter())

        await asyncio.gather(*(one() for _ in range(connections)))

    async def opened(self, rate: float, seconds: float) -> None:
        running: set[asyncio.Task[None]] = set()
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
    async with ClientBuilder().max_connections(orders.get("connections") or 1024).build() as client:
        generator = Generator(orders, client)
        started = time.perf_counter()
        if "rate" in orders:
            await generator.opened(orders["rate"], orders["seconds"])
        else:
            await generator.closed(orders["connections"], orders["seconds"])
        elapsed = time.perf_counter() - started
    return {"elapsed": elapsed, "latencies": generator.latencies, "statuses": generator.statuses}


def main() -> None:
    orders = json.load(sys.stdin)
    json.dump(uvloop.run(run(orders)), sys.stdout)


if __name__ == "__main__":
    main()
