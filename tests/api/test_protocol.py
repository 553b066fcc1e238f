"""Clients that do not read: a connection whose answer nobody takes is cut off, whatever it still has to be told."""

import asyncio
import contextlib
import socket

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from gateway.api.protocol import READ_SECONDS, bounded

PIECE = b"x" * 65_536


async def long(scope: Scope, receive: Receive, send: Send) -> None:
    """16 MiB, more than any two sockets hold."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(256):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body"})


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> float:
    """A bound that a test can wait for."""
    monkeypatch.setattr("gateway.api.protocol.READ_SECONDS", 0.3)
    return 0.3


async def serving() -> asyncio.Server:
    config = uvicorn.Config(long, lifespan="off", log_config=None, access_log=False)
    config.load()
    state, made = ServerState(), bounded(5, 10)
    return await asyncio.get_running_loop().create_server(
        lambda: made(config=config, server_state=state, app_state={}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )


async def asked(server: asyncio.Server) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    # Little room on the way, so that what is not read is soon the server's to hold.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, server.sockets[0].getsockname())
    await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    return client


def test_a_client_that_does_not_read_is_cut_off(short: float) -> None:
    """What waits for it is memory; after the bound its connection is reset, and the answer ends in the middle."""
    assert READ_SECONDS == 60

    async def story() -> None:
        server = await serving()
        client = await asked(server)
        await asyncio.sleep(3 * short)
        got, loop = 0, asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while chunk := await asyncio.wait_for(loop.sock_recv(client, 1 << 20), 5):
                got += len(chunk)
        assert got < 256 * len(PIECE)
        client.close()
        server.close()

    asyncio.run(story())


def test_a_client_that_reads_keeps_its_connection(short: float) -> None:
    """The bound is on a silence: an answer that had to wait many times arrives whole, and the connection serves the next."""

    async def story() -> None:
        server = await serving()
        client, loop = await asked(server), asyncio.get_running_loop()
        for _ in range(2):
            got = b""
            while not got.endswith(b"\r\n0\r\n\r\n"):
                chunk = await asyncio.wait_for(loop.sock_recv(client, 1 << 20), 5)
                assert chunk
                got = got[-16:] + chunk
            await asyncio.sleep(2 * short)
            await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        client.close()
        server.close()

    asyncio.run(story())
