"""Who waits for messages, and is told when there are some: at once by this process, within a moment by the others.

Decides only when to look; what is due, and to whom it goes, is settled under the recorder's lock. While anyone listens,
one query every `poll_seconds` serves them all, because another node may have recorded what they wait for.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import structlog

from gateway.store import queries
from gateway.store.session import Database
from gateway.store.tables import micros

_log: Final = structlog.get_logger("sinergi.delivery")


class Doorbell:
    """All of it belongs to one event loop; no database connection is held between two looks."""

    def __init__(self, database: Database, clock: Callable[[], datetime], poll_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._watch: asyncio.Task[None] | None = None

    def wake(self, agency: str) -> None:
        """Something for this agency was recorded here."""
        for bell in self._listeners.get(agency, ()):
            bell.set()

    def wake_all(self) -> None:
        for agency in self._listeners:
            self.wake(agency)

    @contextmanager
    def listening(self, agency: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something may be due. Clear it before looking, so that no ring is lost."""
        bell = asyncio.Event()
        self._listeners.setdefault(agency, set()).add(bell)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look(), name="doorbell")
        try:
            yield bell
        finally:
            listeners = self._listeners[agency]
            listeners.discard(bell)
            if not listeners:
                del self._listeners[agency]

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            if not self._listeners:
                return
            try:
                for agency in await asyncio.to_thread(self._due):
                    self.wake(agency)
            except Exception as error:  # noqa: BLE001 - everybody who listens depends on this loop
                _log.warning("outbox_unreadable", error=type(error).__name__)

    def _due(self) -> list[str]:
        with self._database.reading() as session:
            return list(queries.due_recipients(session, micros(self._clock())))


async def rings(bell: asyncio.Event, seconds: float) -> bool:
    """Waits for the bell, at most so long."""
    try:
        async with asyncio.timeout(seconds):
            return await bell.wait()
    except TimeoutError:
        return False
