"""A simulated gateway behind respx, and clients of it whose clock stands still."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import respx

from gateway.client import GatewayClient
from tests.client.simulator import NOW, RECIPIENT, SENDER, URL, Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    simulated = Gateway()
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        router.route().mock(side_effect=simulated)
        yield simulated


@pytest.fixture
def sender(gateway: Gateway) -> Callable[..., GatewayClient]:
    return lambda **options: _client(SENDER, gateway.sender, options)


@pytest.fixture
def recipient(gateway: Gateway) -> Callable[..., GatewayClient]:
    return lambda **options: _client(RECIPIENT, gateway.recipient, options)


def _client(agency: str, signer: Any, options: dict[str, Any]) -> GatewayClient:
    return GatewayClient(URL, agency, signer, **({"clock": lambda: NOW} | options))
