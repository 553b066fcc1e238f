"""Whether there is room for one more: judged at the door, before any work is done.

More than can be judged and recorded in time must wait at its sender, not here: an answer that comes too late is work done
for nobody, and memory without a bound ends the process for everyone. So there is a bound on messages under way and on how
long one may wait for its turn, one on the bytes of bodies held, and one on connections; beyond each the answer is 503 with
`Retry-After`. A body counts by what has arrived of it and a message from its last byte on: whoever sends slowly takes
nobody's place.

Only AT_WORK messages are judged and recorded at a time, one batch that commits and one that is made meanwhile; the others
wait for their turn and cost nothing. How long a newcomer would wait is reckoned from the pace at which those before it are
finished: it is refused at the door, before its body is read, when that is too long. What nobody could foresee, as a database
that stops, ends the wait of those who are here, and newcomers are refused for a while. A slow machine therefore refuses at a
shorter queue. Turns are given a few at a time, so that refusals, probes and receipts are answered in between.

Receipts, inbox and audit are not messages: they make room, or need little. Probes and metrics are always answered,
because what restarts or loses a gateway under load makes it worse.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.problems import problem
from gateway.errors import BusyError
from gateway.settings import ServerSettings
from gateway.telemetry import Metrics

_ALWAYS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_MESSAGES: Final = ("/v1/messages", "/v1/decisions")
AT_WORK: Final = 128
_SPREAD: Final = 4  # seconds: those who were refused together do not come back together
_SHUT_SECONDS: Final = 1.0
# Each turn that is given is a millisecond of the event loop or several: so many, and then it looks after everybody else.
_STRIDE: Final = 16
_QUIET_SECONDS: Final = 10.0
# Of the longest wait: a pace falls now and then, and who was let in should not wait in vain.
_FORESEEN: Final = 0.75
_log: Final = structlog.get_logger("sinergi.http")


class Pace:
    """How fast messages are finished while others wait, from the moment at which the first of those came.

    Pure: moments in seconds of one clock. What was long ago counts less and less.
    """

    # A batch is finished at once, and the next one takes a moment; the first of a rush may be a small one. Before that,
    # nothing is known.
    KNOWN: Final = 0.25
    ENOUGH: Final = 32
    # With no more than that finished for so long, something has stopped, or the machine is slow.
    STOPPED: Final = 1.0
    REMEMBERED: Final = 4.0

    def __init__(self) -> None:
        self._since = 0.0
        self._finished = 0.0

    def begin(self, now: float) -> None:
        self._since, self._finished = now, 0.0

    def finish(self) -> None:
        self._finished += 1

    def seconds(self, count: int, now: float) -> float:
        """Until so many more are finished; 0 while nothing is known."""
        elapsed = now - self._since
        if elapsed < (self.KNOWN if self._finished >= self.ENOUGH else self.STOPPED):
            return 0.0
        if elapsed > self.REMEMBERED:
            elapsed /= 2
            self._since, self._finished = now - elapsed, self._finished / 2
        return count * elapsed / max(1.0, self._finished)


class Admission:
    """Counts of one process; used from its event loop alone."""

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        self._most_messages = settings.messages_at_once
        self._most_bytes = settings.bytes_at_once
        self._most_connections = settings.connections
        self._metrics = metrics
        self._refused = 0
        self._told_at = -_QUIET_SECONDS
        self._longest_wait = settings.longest_wait
        self._at_work = min(AT_WORK, settings.messages_at_once)
        self._working = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._queued = 0
        self._given = 0
        self._pace = Pace()
        self._shut_until = 0.0
        self.bytes = 0
        # The server says how many there are, once it runs.
        self.connections: Callable[[], int] = lambda: 0

    def enter(self, path: str) -> None:
        """A request's headers are there. Raises BusyError."""
        if path in _ALWAYS:
            return
        if self.connections() > self._most_connections:
            raise self._busy("connections")
        if path.startswith(_MESSAGES):
            self._require_room()

    def hold(self, size: int) -> None:
        """So many bytes more of a body have arrived. Raises BusyError and does not count them."""
        if self.bytes + size > self._most_bytes:
            raise self._busy("bytes")
        self.bytes += size

    def drop(self, size: int) -> None:
        self.bytes -= size

    @asynccontextmanager
    async def message(self) -> AsyncIterator[None]:
        """While a message is judged and recorded, from its turn on. Raises BusyError when its turn would come too late."""
        self._require_room()
        if self._working >= self._at_work or self._queued:
            await self._turn()
        else:
            self._working += 1
        try:
            yield
        finally:
            self._working -= 1
            self._pace.finish()
            self._next()

    @property
    def messages(self) -> int:
        return self._working + self._queued

    def _require_room(self) -> None:
        if self.messages >= self._most_messages:
            raise self._busy("messages")
        if self._working < self._at_work and not self._queued:
            return
        now = time.monotonic()
        foreseen = self._pace.seconds(self._queued + 1, now) if self._queued else 0.0
        # Somebody has just waited in vain: whoever comes now would too.
        if foreseen > _FORESEEN * self._longest_wait or now < self._shut_until:
            raise self._busy("time")

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._queued:
            self._pace.begin(time.monotonic())
        self._waiting.append(turn)
        self._queued += 1
        try:
            async with asyncio.timeout(self._longest_wait):
                await turn
        except BaseException as error:
            # The caller went away, or had waited too long, in the very moment of its turn: it is the next one's.
            if turn.done() and not turn.cancelled():
                self._working -= 1
            if isinstance(error, TimeoutError):
                self._shut_until = time.monotonic() + _SHUT_SECONDS
                raise self._busy("time") from error
            raise
        finally:
            self._queued -= 1
            # While this one still counted as waiting, a newcomer may have queued behind it though all were free.
            self._next()

    def _next(self) -> None:
        """Gives free turns to those who wait, in their order; so many in one turn of the loop, and the rest in the next."""
        while self._waiting and self._working < self._at_work and self._given < _STRIDE:
            turn = self._waiting.popleft()
            if turn.done():
                continue
            if not self._given:
                asyncio.get_running_loop().call_soon(self._afresh)
            self._given += 1
            self._working += 1
            turn.set_result(None)

    def _afresh(self) -> None:
        self._given = 0
        self._next()

    def _busy(self, lack: str) -> BusyError:
        self._metrics.busy.labels(lack).inc()
        self._refused += 1
        # Under load a line a refusal would be load itself.
        if (now := time.monotonic()) - self._told_at >= _QUIET_SECONDS:
            self._told_at = now
            _log.warning("busy", lack=lack, refused=self._refused, messages=self.messages, bytes=self.bytes)
        return BusyError(f"no room: {lack}", retry_after=1 + self._refused % _SPREAD)


class Door:
    """The ASGI middleware in front of the routes: nothing of a request is looked at before there is room for it."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self.app = app
        self.admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        admission, held = self.admission, 0

        async def counting() -> Message:
            nonlocal held
            message = await receive()
            if body := message.get("body"):
                admission.hold(len(body))
                held += len(body)
            return message

        try:
            admission.enter(scope["path"])
        except BusyError as error:
            await problem(Request(scope), error)(scope, receive, send)
            return
        try:
            await self.app(scope, counting, send)
        finally:
            admission.drop(held)
