"""Clients that do not read: a connection whose answer nobody takes is cut off, whatever it still has to be told."""

import asyncio
import contextlib
import socket

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
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


async def serving(app: ASGIApp = long) -> asyncio.Server:
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
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


TWO = b"POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"


@pytest.mark.parametrize("at_once", [True, False], ids=["in one packet", "later"])
def test_a_second_request_before_the_first_answer_does_not_hide_that_the_caller_left(at_once: bool) -> None:
    """Reading stops at it in uvicorn, which tells of the end the one that waits, not the one that runs."""

    async def story() -> None:
        begun, left = asyncio.Event(), asyncio.Event()

        async def waits(_scope: Scope, receive: Receive, _send: Send) -> None:
            begun.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()

        server = await serving(waits)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(TWO % 1 + (TWO % 2 if at_once else b""))
        await asyncio.wait_for(begun.wait(), 5)
        if not at_once:
            writer.write(TWO % 2)
            await asyncio.sleep(0.05)
        writer.close()
        await asyncio.wait_for(left.wait(), 5)
        server.close()

    asyncio.run(story())


def test_a_request_that_comes_too_early_is_dropped_and_the_connection_closed() -> None:
    """The first is answered whole, with its own body only; the others were never begun, and their sender is told by the end."""

    async def story() -> None:
        begun: list[tuple[str, bytes]] = []

        async def answers(scope: Scope, receive: Receive, send: Send) -> None:
            body, message = b"", await receive()
            while message["body"] or message["more_body"]:
                body += message["body"]
                if not message["more_body"]:
                    break
                message = await receive()
            begun.append((scope["path"], body))
            await asyncio.sleep(0.05)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

        server = await serving(answers)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(TWO % 1 + TWO % 2 + TWO % 3)
        await asyncio.sleep(0.01)
        writer.write(b"and whatever else")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert answer.endswith(b"\r\n\r\nok")
        assert answer.count(b"HTTP/1.1") == 1
        assert begun == [("/1", b"body")]
        writer.close()
        server.close()

    asyncio.run(story())


def test_a_request_behind_an_answer_that_has_begun_is_the_next_one() -> None:
    """A client may have the whole answer before the server has ended it; of those behind it the first is answered, no more."""

    async def story() -> None:
        asked, begun, end = [], asyncio.Event(), asyncio.Event()

        async def answers(scope: Scope, _receive: Receive, send: Send) -> None:
            asked.append(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok", "more_body": True})
            begun.set()
            await end.wait()
            await send({"type": "http.response.body"})

        server = await serving(answers)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(TWO % 1)
        await asyncio.wait_for(begun.wait(), 5)
        writer.write(TWO % 2 + TWO % 3)
        await asyncio.sleep(0.05)
        end.set()
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.count(b"\r\n\r\nok") == 2
        assert asked == ["/1", "/2"]
        writer.close()
        server.close()

    asyncio.run(story())
