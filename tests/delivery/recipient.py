"""A recipient's HTTP server on loopback, which answers as a test says."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Push:
    """One request as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.body)["items"]
        return items

    @property
    def transfers(self) -> list[str]:
        return [item["transfer"] for item in self.items]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def acknowledging(*receipts: str) -> Reply:
    return Reply(body=json.dumps({"acknowledgements": receipts}).encode())


class Recipient:
    """An HTTP/1.1 server on 127.0.0.1 that keeps what it got. `answer` decides what it says."""

    def __init__(self, answer: Callable[[Push], Awaitable[Reply]]) -> None:
        self.answer = answer
        self.pushes: list[Push] = []
        self.connections = 0
        self.arrived = asyncio.Condition()
        self._serving: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def start(self, tls: ssl.SSLContext | None = None) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Leaves no socket behind, whatever the connections are waiting for."""
        for _ in range(20):
            await asyncio.sleep(0)  # who waits to be accepted is: a closed server would drop him with his socket open
        self._server.close()
        serving = dict(self._serving)
        for task, writer in serving.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)  # the transports close their sockets

    async def got(self, count: int, seconds: float = 20) -> list[Push]:
        """The pushes, as soon as there are so many."""
        async with asyncio.timeout(seconds), self.arrived:
            await self.arrived.wait_for(lambda: len(self.pushes) >= count)
        return self.pushes

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in pairs}
                push = Push(headers, await reader.readexactly(int(headers["content-length"])))
                self.pushes.append(push)
                async with self.arrived:
                    self.arrived.notify_all()
                reply = await self.answer(push)
                extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
                head_ = f"HTTP/1.1 {reply.status} X\r\nContent-Length: {len(reply.body)}\r\n{extra}\r\n"
                await self.write(writer, head_.encode() + reply.body)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side went away, or `stop` was called
        finally:
            writer.close()
            del self._serving[task]
