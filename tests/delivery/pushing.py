"""A worker and the answers of a recipient, for the tests of pushes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.delivery.worker import Worker
from tests.delivery.recipient import Push, Recipient, Reply, acknowledging
from tests.delivery.world import RECIPIENT, World, until


@asynccontextmanager
async def pushing(world: World, recipient: Recipient, **settings: Any) -> AsyncIterator[Worker]:
    """A worker that pushes to this recipient."""
    world.set_endpoint(RECIPIENT, f"http://polda.test:{await recipient.start()}/push")
    worker = world.worker(resolve=lambda _host, _port: ["127.0.0.1"], **settings)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


def always(reply: Reply) -> Callable[[Push], Awaitable[Reply]]:
    async def answer(_push: Push) -> Reply:
        return reply

    return answer


def state(world: World, transfer: str) -> tuple[str, int, str | None]:
    row = world.outbox(transfer)
    return row.state, row.attempts, row.last_error


async def as_time_passes(world: World, true: Callable[[], bool]) -> None:
    """Moves the clock, two minutes a look, until something has come about."""

    def later() -> bool:
        world.clock.advance(minutes=2)
        return true()

    await until(later)


async def acknowledge_all(world: World, push: Push) -> Reply:
    return acknowledging(*(world.acknowledge(item) for item in push.items))
