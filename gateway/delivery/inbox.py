"""`GET /v1/inbox`: a recipient takes its messages, and may wait for them.

Decides how long a call waits. What it hands out is leased: an item that is not acknowledged comes again, one `attempt`
higher, when the lease ends; so does one whose answer was lost on its way. When the caller is known to have gone before there
was an answer, it comes again at once.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.delivery.doorbell import Doorbell, rings
from gateway.delivery.page import Page, Shelf
from gateway.settings import DeliverySettings
from gateway.store.recorder import Recorder
from gateway.store.sealing import Sealer
from gateway.store.session import Database


class Inbox:
    """Used from one event loop."""

    def __init__(
        self,
        *,
        database: Database,
        recorder: Recorder,
        sealer: Sealer,
        clock: Callable[[], datetime],
        settings: DeliverySettings,
    ) -> None:
        self._shelf = Shelf(database, recorder, sealer, clock, timedelta(seconds=settings.lease_seconds))
        self._doorbell = Doorbell(database, clock, settings.poll_seconds)
        self._longest = settings.max_wait
        self._draining = False

    async def take(self, agency: str, limit: int, wait_seconds: float) -> Page:
        """Up to `limit` items, the most urgent and oldest first; waits while nothing is due, holding no connection.

        An empty page after `wait_seconds` (at most the setting's `max_wait`). Raises StoreUnavailableError.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait_seconds, self._longest)
        with self._doorbell.listening(agency) as bell:
            while True:
                bell.clear()
                page = await self._shelf.take(agency, limit)
                left = deadline - loop.time()
                if page.handed_out or left <= 0 or self._draining:
                    return page
                await rings(bell, left)

    def give_back(self, page: Page) -> None:
        """Nobody is there any more to be handed this page."""
        self._shelf.give_back(page.leased)

    def wake(self, agency: str) -> None:
        """A message for this agency was just recorded here: whoever waits for it looks at once."""
        self._doorbell.wake(agency)

    def drain(self) -> None:
        """The gateway stops: waiting calls get their empty page now, later ones do not wait."""
        self._draining = True
        self._doorbell.wake_all()
