"""What a gateway process does besides answering: it pushes, expires, escalates, erases, and keeps its own picture fresh.

Decides which loops run and how they end. A loop never dies of an exception: it says so in the log and goes on, slower.
Every node runs all of them; leases and the recorder's locks keep two nodes from doing the same thing twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from gateway.delivery import outbound
from gateway.delivery.acknowledge import Acknowledgements
from gateway.delivery.doorbell import Doorbell, rings
from gateway.delivery.escalation import ESCALATE_SECONDS, Escalations
from gateway.delivery.lane import Courier, Lane
from gateway.delivery.liaison import NOTICE_SECONDS, LiaisonNotices
from gateway.delivery.outbound import Outbound, Resolve
from gateway.delivery.page import OTHERS, URGENT, Shelf
from gateway.errors import GatewayError
from gateway.jose import Signer
from gateway.retention import Retention
from gateway.settings import DeliverySettings
from gateway.statements.appointment import FEWEST
from gateway.store import queries
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.configuration import REFRESH_SECONDS, Configuration
from gateway.store.endings import Ending, endings
from gateway.store.jobs.deliveries import Expire
from gateway.store.jobs.events import ForgetTokens
from gateway.store.nodes import BEAT_SECONDS, Presence
from gateway.store.recorder import Recorder
from gateway.store.sealing import Sealer
from gateway.store.session import Database
from gateway.store.tables import micros
from gateway.telemetry import Metrics

SWEEP_SECONDS: Final = 1.0
SWEEP_BATCH: Final = 200
WATCH_SECONDS: Final = 86_400.0
FORGET_SECONDS: Final = 600.0
SAVE_SECONDS: Final = 1.0
RETENTION_SECONDS: Final = 60.0
PAST_DAY_SECONDS: Final = 300.0
GRACE_SECONDS: Final = 5.0
_LONGEST_BACKOFF: Final = 30.0
_log: Final = structlog.get_logger("sinergi.worker")


class Worker:
    """Belongs to one event loop, from `start` to `stop`."""

    def __init__(
        self,
        *,
        gateway_id: str,
        configuration: Configuration,
        database: Database,
        recorder: Recorder,
        sealer: Sealer,
        signer: Callable[[], Signer],
        requests: Callable[[], Signer],
        acknowledgements: Acknowledgements,
        checkpoints: CheckpointFiles,
        settings: DeliverySettings,
        clock: Callable[[], datetime],
        metrics: Metrics | None = None,
        retention: Retention | None = None,
        presence: Presence | None = None,
        resolve: Resolve = outbound.resolve,
    ) -> None:
        self._settings = settings
        self._configuration = configuration
        self._database = database
        self._recorder = recorder
        self._checkpoints = checkpoints
        self._clock = clock
        self._resolve = resolve
        self._doorbell = Doorbell(database, clock, settings.poll_seconds)
        # A lease outlives its push: else another node would send the same page while it is under way.
        lease = timedelta(seconds=max(settings.lease_seconds, 2 * settings.timeout))
        self._courier = Courier(
            gateway_id=gateway_id,
            configuration=configuration,
            recorder=recorder,
            requests=requests,
            acknowledgements=acknowledgements,
            shelf=Shelf(database, recorder, sealer, clock, lease),
            doorbell=self._doorbell,
            clock=clock,
            page=settings.page,
            retry_limit=settings.retry_limit,
        )
        self._retention = retention
        self._presence = presence
        self._metrics = metrics
        self._escalations = Escalations(database, recorder, clock, metrics)
        self._gateway_id = gateway_id
        self._signer, self._requests = signer, requests
        self._lease = lease
        self._stopping = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._lanes: dict[tuple[str, tuple[int, int]], asyncio.Task[None]] = {}

    async def start(self) -> None:
        self._stopping.clear()
        loops: tuple[tuple[str, float, Callable[[], Awaitable[Any]]], ...] = (
            ("refresh", REFRESH_SECONDS, self.refresh),
            ("sweep", SWEEP_SECONDS, self.sweep),
            ("forget-tokens", FORGET_SECONDS, self._forget_tokens),
            ("save-checkpoints", SAVE_SECONDS, self._save_checkpoints),
            ("escalate", ESCALATE_SECONDS, self._escalations.run),
            ("watch-keys", WATCH_SECONDS, self._watch_keys),
            ("watch-retention", PAST_DAY_SECONDS, self._watch_retention),
        )
        if self._retention is not None and self._retention.every:
            loops = (*loops, ("retention", RETENTION_SECONDS, self._retain))
        if self._presence is not None:
            loops = (*loops, ("presence", BEAT_SECONDS, self._beat))
        self._loops = [asyncio.create_task(self._every(*loop), name=loop[0]) for loop in loops]
        if self._settings.push:
            self._loops.append(asyncio.create_task(self._tell_liaisons(), name="liaison"))

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Takes no new page, waits `grace` seconds for those under way, then abandons them: their leases end by themselves."""
        self._stopping.set()
        self._doorbell.wake_all()
        # The loops first: one of them starts lanes.
        for tasks in (self._loops, self._lanes.values()):
            running = list(tasks)
            if not running:
                continue
            _, pending = await asyncio.wait(running, timeout=grace)
            for task in pending:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        self._loops, self._lanes = [], {}
        if self._presence is not None:
            with suppress(GatewayError, TimeoutError):  # else its row is soon too old
                await asyncio.to_thread(self._presence.leave)

    def wake(self, agency: str) -> None:
        """A message for this agency was just recorded here: push it at once."""
        self._doorbell.wake(agency)

    async def refresh(self) -> None:
        """Agencies, keys and agreements as they are now; lanes for every agency that takes pushes."""
        await asyncio.to_thread(self._configuration.reload)
        if not self._settings.push or self._stopping.is_set():
            return
        for agency in self._configuration.current().directory.agencies:
            if self._courier.endpoint(agency) is None:
                # Its lanes see that themselves, and end.
                self._doorbell.wake(agency)
                continue
            for priorities in (URGENT, OTHERS):
                running = self._lanes.get((agency, priorities))
                if running is None or running.done():
                    out = Outbound(timeout=self._settings.timeout, clock=self._clock, resolve=self._resolve)
                    lane = Lane(agency, priorities, self._courier, out)
                    self._lanes[agency, priorities] = asyncio.create_task(lane.run(self._stopping), name="lane")

    async def sweep(self) -> int:
        """Records what passed its `exp` undelivered; how many."""
        swept = 0
        while True:
            now = self._clock()
            found = await asyncio.to_thread(self._expired, now)
            by_ledger: dict[str, list[str]] = {}
            for ledger, transfer in found:
                by_ledger.setdefault(ledger, []).append(transfer)
            jobs = [Expire(ledger, transfers, now) for ledger, transfers in by_ledger.items()]
            ended = await asyncio.gather(*(asyncio.wrap_future(self._recorder.submit(job)) for job in jobs))
            swept += (count := sum(one.result for one in ended))
            # Another node holds the rest of them, or there is none.
            if len(found) < SWEEP_BATCH or not count or self._stopping.is_set():
                return swept

    def _expired(self, now: datetime) -> list[tuple[str, str]]:
        with self._database.reading() as session:
            return list(queries.expired(session, micros(now), SWEEP_BATCH))

    async def _tell_liaisons(self) -> None:
        out = Outbound(timeout=self._settings.timeout, clock=self._clock, resolve=self._resolve)
        notices = LiaisonNotices(
            self._gateway_id,
            self._configuration,
            self._database,
            self._recorder,
            self._signer,
            self._requests,
            self._clock,
            self._lease,
            out,
        )
        try:
            await self._every("liaison", NOTICE_SECONDS, notices.run)
        finally:
            await out.close()

    async def _forget_tokens(self) -> None:
        await asyncio.wrap_future(self._recorder.submit(ForgetTokens(micros(self._clock()))))

    async def _watch_keys(self) -> None:
        """At the start and once a day: what ends soon, and whether two operators are there to do what takes two."""
        known = self._configuration.current().directory
        if len(known.acting()) < FEWEST:
            _log.warning("few_operators", left=len(known.acting()), named=not known.operators)
        for one in await asyncio.to_thread(self._endings):
            if one.ends is None:
                _log.warning("agency_without_key", agency=one.owner)
            elif (days := one.within(self._clock())) is not None:
                told = {"kind": one.kind, "owner": one.owner, "name": one.name}
                _log.warning("key_ends", within_days=days, ends=one.ends.isoformat(), **told)

    def _endings(self) -> list[Ending]:
        known = self._configuration.current()
        with self._database.reading() as session:
            return list(endings(session, known.own_keys, known.directory, self._gateway_id, self._clock()))

    async def _beat(self) -> None:
        assert self._presence is not None
        await asyncio.to_thread(self._presence.beat)

    async def _retain(self) -> None:
        assert self._retention is not None
        # One node a period does it; between two commits it looks whether the process is to stop.
        await asyncio.to_thread(self._retention.run_when_due, lambda: not self._stopping.is_set())

    async def _watch_retention(self) -> None:
        if self._retention is not None and self._metrics is not None:
            self._metrics.past_retention.set(await asyncio.to_thread(self._retention.past_day))

    async def _save_checkpoints(self) -> None:
        await asyncio.to_thread(self._checkpoints.save, self._recorder.memory)

    async def _every(self, name: str, seconds: float, act: Callable[[], Awaitable[Any]]) -> None:
        faults = 0
        while not self._stopping.is_set():
            try:
                await act()
                faults = 0
            except Exception as error:  # noqa: BLE001 - the loop goes on, slower
                faults = min(faults + 1, 5)
                _log.warning("loop_fault", loop=name, error=type(error).__name__)
            await rings(self._stopping, seconds if not faults else min(seconds * 2**faults, _LONGEST_BACKOFF))
