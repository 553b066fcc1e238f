"""Deadlines that pass unanswered: each is escalated once, whichever node sees it first.

Decides when to look. Whether a deadline is still open is decided by the job, under the lock of its ledger; so a clock
that jumps, a restart or a second node can make an escalation late or superfluous work, never a second entry.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from gateway.ledger.entry import timestamp
from gateway.store import early_warnings
from gateway.store.jobs.deadlines import Escalate
from gateway.store.recorder import Recorder
from gateway.store.session import Database
from gateway.store.tables import micros
from gateway.telemetry import Metrics

ESCALATE_SECONDS: Final = 1.0
ESCALATE_BATCH: Final = 200
_log: Final = structlog.get_logger("sinergi.escalation")


@dataclass(frozen=True, slots=True)
class Escalations:
    """`metrics` are this process's; None counts nowhere."""

    database: Database
    recorder: Recorder
    clock: Callable[[], datetime]
    metrics: Metrics | None = None

    async def run(self) -> int:
        """Escalates everything that is overdue now; how many this call did."""
        total = 0
        while True:
            now = self.clock()
            found = await asyncio.to_thread(self._overdue, now)
            by_ledger: dict[str, list[str]] = {}
            for ledger, transfer in found:
                by_ledger.setdefault(ledger, []).append(transfer)
            jobs = [Escalate(ledger, transfers, now) for ledger, transfers in by_ledger.items()]
            done = await asyncio.gather(*(asyncio.wrap_future(self.recorder.submit(job)) for job in jobs))
            escalated = [one for committed in done for one in committed.result]
            for one in escalated:
                _log.warning(
                    "transfer_overdue",
                    transfer=one.transfer,
                    type=one.type,
                    recipient=one.recipient,
                    due_at=timestamp(one.due_at),
                )
                if self.metrics is not None:
                    # Only types of the catalogue are ever accepted, so the label is bounded.
                    self.metrics.escalations.labels(one.type).inc()
            total += len(escalated)
            # Another node, or an answer, took the rest; or there is none.
            if len(found) < ESCALATE_BATCH or not escalated:
                return total

    def _overdue(self, now: datetime) -> list[tuple[str, str]]:
        with self.database.reading() as session:
            return list(early_warnings.to_escalate(session, micros(now), ESCALATE_BATCH))
