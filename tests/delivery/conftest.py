"""A world with a store, on SQLite alone or on both databases."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.session import Database
from tests.delivery.recipient import Push, Recipient, Reply, acknowledging
from tests.delivery.world import World


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys, tmp_path: Path) -> Iterator[World]:
    made = World(open_empty(f"sqlite:///{tmp_path / 'sinergi.db'}"), checkpoint_keys, tmp_path)
    yield made
    made.close()


@pytest.fixture
def world_on_both(database: Database, checkpoint_keys: CheckpointKeys, tmp_path: Path) -> Iterator[World]:
    made = World(database, checkpoint_keys, tmp_path)
    yield made
    made.close()


@pytest.fixture
async def recipient(world: World) -> AsyncIterator[Recipient]:
    """Acknowledges everything, until a test gives it another answer; not yet anybody's endpoint."""

    async def acknowledge(push: Push) -> Reply:
        return acknowledging(*(world.acknowledge(item) for item in push.items))

    server = Recipient(acknowledge)
    yield server
    await server.stop()
