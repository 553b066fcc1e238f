"""The server itself: who comes is heard, however much there is to do."""

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

import uvicorn
import uvloop

from gateway.api.protocol import bounded
from gateway.api.server import _Server

RUSH = 64


async def nobody(_scope: Any, _receive: Any, _send: Any) -> None:
    raise AssertionError("no request was sent")


def test_a_rush_of_connections_is_heard_in_a_few_turns_of_the_loop() -> None:
    """Under load a turn takes 10 ms: with one connection a turn, the last of a thousand senders would wait ten seconds."""

    async def story() -> int:
        server: Any = _Server(
            uvicorn.Config(nobody, port=0, http=bounded(10, 1000), lifespan="off", log_config=None), Any
        )
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        address = server.servers[0].sockets[0].getsockname()
        turns = 0
        with ExitStack() as clients:
            for _ in range(RUSH):
                clients.enter_context(socket.create_connection(address, timeout=5))
            while len(server.server_state.connections) < RUSH and turns < RUSH:
                await asyncio.sleep(0)
                turns += 1
            heard = len(server.server_state.connections)
        await server.shutdown()
        assert heard == RUSH
        return turns

    assert uvloop.run(story()) <= RUSH // 8
