"""HTTP/1.1 for clients that are slow on purpose: headers, reading and connections have their bounds here.

uvicorn gives a connection no time limit until its first answer, headers no bound in bytes, and a client that does not
read its answer for ever. Bodies are bounded in `body.py`.

A request that is sent before the answer to the one before it has begun (pipelining) is dropped, unread, and the connection
closed after that answer, as RFC 9112 §9.3.2 lets us: uvicorn would stop reading there, and a long poll never hear that its
caller left.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# Beyond the first read, which is bounded by the event loop itself (256 KiB).
HEADER_BYTES: Final = 65_536
READ_SECONDS: Final = 60.0
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def bounded(header_seconds: float, most_connections: int) -> type[asyncio.Protocol]:
    """The protocol with these bounds: uvicorn makes one for each connection, and has no other way to hand them on."""
    return type("Bounded", (BoundedProtocol,), {"header_seconds": header_seconds, "most_connections": most_connections})


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `header_seconds`: from connecting, and from a later request's first byte, to its last header."""

    header_seconds = 10.0
    most_connections = 4096

    def __init__(self, *args: Any, **uvicorns: Any) -> None:
        super().__init__(*args, **uvicorns)
        self._beginning = True
        self._too_early = False
        self._size = 0
        self._header_deadline: asyncio.TimerHandle | None = None
        self._read_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            # The server's files are for those who are here; the door says 503 long before.
            transport.abort()
            return
        self._header_deadline = self.loop.call_later(self.header_seconds, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        for deadline in (self._header_deadline, self._read_deadline):
            if deadline is not None:
                deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._too_early:
            return
        begun_before = self._beginning
        super().data_received(data)
        # In life all headers come at once: no timer is made for them.
        if self._too_early or not self._beginning:
            return
        if begun_before:
            self._size += len(data)
            if self._size > HEADER_BYTES:
                self.transport.write(_TOO_LARGE)
                self._hang_up()
                return
        if self._header_deadline is None:
            self._header_deadline = self.loop.call_later(self.header_seconds, self._hang_up)

    def on_message_begin(self) -> None:
        self._beginning, self._size = True, 0
        if not self._too_early:
            super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._beginning = False
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None
        if not self._too_early:
            before, queued = self.cycle, len(self.pipeline)
            super().on_headers_complete()
            # Whose answer has begun may have it already: what comes behind it is no surprise, and is next.
            if len(self.pipeline) > queued and not before.response_started:
                self._drop(before)

    def on_body(self, body: bytes) -> None:
        if not self._too_early:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._too_early:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read: what waits for it is held in memory."""
        super().pause_writing()
        self._read_deadline = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._read_deadline is not None:
            self._read_deadline.cancel()
            self._read_deadline = None

    def _drop(self, before: RequestResponseCycle) -> None:
        """The request that was just queued is forgotten, and so is all that follows; `before` is the connection's last."""
        self.pipeline.popleft()
        # uvicorn tells this one, and no other, of the connection's end.
        self.cycle, self._too_early, before.keep_alive = before, True, False
        if not self.pipeline:
            self.flow.resume_reading()

    def _hang_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
