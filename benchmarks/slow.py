"""Clients that are slow on purpose, a process of its own: `python -m benchmarks.slow HOST PORT COUNT`.

A third sends its headers a byte a second, a third its body, a third asks for large answers and does not read them. Whoever
is cut off comes again, until the process is ended. On SIGTERM it prints how often that was.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from typing import Final

_HEAD: Final = b"POST /v1/messages HTTP/1.1\r\nhost: slow\r\ncontent-type: application/sd-jwt\r\n"
_LARGE: Final = b"GET /openapi.json HTTP/1.1\r\nhost: slow\r\n\r\n"


class Slow:
    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.connected = 0
        self.cut = {"headers": 0, "body": 0, "reading": 0, "connecting": 0}

    async def trickle(self, kind: str, begin: bytes) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        self.connected += 1
        try:
            writer.write(begin)
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                # An answer, 408 or 503, counts as being cut off: nobody waits for the rest.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 1)
                    break
        finally:
            self.cut[kind] += 1
            writer.transport.abort()

    async def deaf(self) -> None:
        client = socket.socket()
        # Little room on the way, so that the answers wait at the gateway and not here.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (self.host, self.port))
        reader, writer = await asyncio.open_connection(sock=client, limit=1)
        self.connected += 1
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        try:
            for _ in range(5):
                writer.write(_LARGE)
            # A reset is noticed by writing; nothing of the answer is ever read.
            while not writer.transport.is_closing():
                await asyncio.sleep(1)
                writer.write(b"\r\n")
        finally:
            del reader
            self.cut["reading"] += 1
            writer.transport.abort()

    async def for_ever(self, number: int) -> None:
        while True:
            try:
                if number % 3 == 0:
                    await self.trickle("headers", _HEAD)
                elif number % 3 == 1:
                    await self.trickle("body", _HEAD + b"content-length: 2000\r\n\r\n")
                else:
                    await self.deaf()
            except OSError:
                self.cut["connecting"] += 1
                await asyncio.sleep(1)


async def run(host: str, port: int, count: int) -> None:
    slow = Slow(host, port)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    tasks = [asyncio.create_task(slow.for_ever(number)) for number in range(count)]
    await ended.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    json.dump({"connections": slow.connected, "cut": slow.cut}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
