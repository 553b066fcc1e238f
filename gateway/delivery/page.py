"""What a recipient is handed: a page of leased messages, each as it was released, with the gateway's release.

Decides what an item looks like, for pull and push alike. A lease is taken by the recorder, so that no two callers on any
node get the same item. Who goes away before the page is there has its lease given back; what is lost on the way is handed
out again when the lease ends.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

import structlog

from gateway.errors import KeyAwayError, KeyringError, StoreUnavailableError
from gateway.jose import compact_json
from gateway.record import open_content, released_text
from gateway.store import queries
from gateway.store.jobs.deliveries import PAGE_BYTES, GiveBack, Lease, Leased
from gateway.store.recorder import Committed, Recorder
from gateway.store.sealing import Sealer
from gateway.store.session import Database
from gateway.store.tables import AlertRow, TransferRow, micros

ALL: Final = (0, 2)
URGENT: Final = (0, 0)
OTHERS: Final = (1, 2)
_log: Final = structlog.get_logger("sinergi.delivery")


class Item(TypedDict):
    """`attempt` counts how often the message was handed out, from 1."""

    transfer: str
    message: str
    release: str
    attempt: int


class AlertItem(TypedDict):
    """What the gateway itself says: a signed alert, `transfer` its id."""

    transfer: str
    alert: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Page:
    """`more`: something else is due now. `leased` and `rows` are for the sender of the page, not for the wire.

    What is leased and not among the items did not open.
    """

    items: tuple[Item, ...] = ()
    more: bool = False
    leased: tuple[Leased, ...] = ()
    rows: Mapping[str, TransferRow | AlertRow] = field(default_factory=dict)
    alerts: tuple[AlertItem, ...] = ()

    @property
    def handed_out(self) -> tuple[str, ...]:
        """The ids of everything that is to be signed for."""
        return tuple(one["transfer"] for one in (*self.items, *self.alerts))

    def as_json(self) -> dict[str, Any]:
        """`alerts` only where there are any."""
        content: dict[str, Any] = {"items": [dict(item) for item in self.items], "more": self.more}
        return content | ({"alerts": [dict(alert) for alert in self.alerts]} if self.alerts else {})

    def body(self) -> bytes:
        return compact_json(self.as_json())


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where pages come from. A page has at most `size` stored bytes, but always one item."""

    database: Database
    recorder: Recorder
    sealer: Sealer
    clock: Callable[[], datetime]
    lease: timedelta
    size: int = PAGE_BYTES

    async def take(self, agency: str, limit: int, priorities: tuple[int, int] = ALL) -> Page:
        """Leases what is due, the most urgent and oldest first, and opens it. Empty when nothing is due.

        Raises StoreUnavailableError. When it does, or is cancelled, what was leased in between is given back. KeyAwayError, a
        kind of it, before anything is leased: where this process lacks the storage key, another one may have it.
        """
        if needed := self.sealer.storage.needed:
            raise KeyAwayError("; ".join(needed), retry_after=5)
        # A look costs a read; a lease would make everyone who waits in vain go through the one write path.
        if not await asyncio.to_thread(self._due, agency, priorities):
            return Page()
        now = self.clock()
        job = Lease(agency, limit, micros(now), micros(now + self.lease), priorities, self.size)
        leasing = self.recorder.submit(job)
        try:
            leased = (await asyncio.wrap_future(leasing)).result
            return await asyncio.to_thread(self._open, agency, leased) if leased else Page()
        except (asyncio.CancelledError, StoreUnavailableError):
            # A job that the recorder has taken is committed all the same, perhaps only later.
            leasing.add_done_callback(self._nobody_there)
            raise

    def give_back(self, leased: tuple[Leased, ...]) -> None:
        """What reached nobody is due at once. From any thread; does not wait, and where it fails the lease ends by itself."""
        if leased:
            with contextlib.suppress(StoreUnavailableError):
                self.recorder.submit(GiveBack(leased, micros(self.clock())))

    def _nobody_there(self, leasing: "Future[Committed[tuple[Leased, ...]]]") -> None:
        if not leasing.cancelled() and leasing.exception() is None:
            self.give_back(leasing.result().result)

    def _due(self, agency: str, priorities: tuple[int, int] = ALL) -> bool:
        with self.database.reading() as session:
            return queries.anything_due(session, agency, micros(self.clock()), priorities)

    def _open(self, agency: str, leased: tuple[Leased, ...]) -> Page:
        with self.database.reading() as session:
            rows = queries.transfers(session, [item.transfer for item in leased])
            alerts = queries.alerts(session, [item.transfer for item in leased if item.transfer not in rows])
        items: list[Item] = []
        told: list[AlertItem] = []
        for transfer, attempt in ((item.transfer, item.attempt) for item in leased):
            if transfer in alerts:
                told.append(AlertItem(transfer=transfer, alert=alerts[transfer].jws, attempt=attempt))
                continue
            content = self._content(transfer, rows.get(transfer))
            if content is None:
                continue
            message = released_text(content)
            items.append(Item(transfer=transfer, message=message, release=content["release"], attempt=attempt))
        return Page(tuple(items), self._due(agency), leased, {**rows, **alerts}, tuple(told))

    def _content(self, transfer: str, row: TransferRow | None) -> dict[str, Any] | None:
        """None for a row that was altered, erased or taken away: it must not keep the others from their recipient."""
        fault = "there is no such message"
        if row is not None:
            try:
                return open_content(self.sealer, row)
            except KeyringError as error:
                fault = error.detail
        _log.error("message_does_not_open", transfer=transfer, detail=fault)
        return None
