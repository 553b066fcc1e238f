"""Notices to liaison endpoints: who is told that a deadline passed, how often it is tried, and when it is given up.

    1 lease      notices that are due, oldest first; what was answered meanwhile is dropped
    2 tell       each in a request of its own, with a token that names its body
    3 settle     told, to be tried again, or given up

A loop, connections and resolvers of its own: a liaison endpoint that is away takes nothing from deliveries. Any 2xx
answer means that the notice was taken; what the answer says is not read.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from gateway.delivery.outbound import Answer, DeliveryFailed, Outbound
from gateway.delivery.retry import next_attempt
from gateway.errors import EndpointForbiddenError
from gateway.jose import Signer, compact_json
from gateway.keys.directory import ACTIVE, Endpoint
from gateway.statements.notice import Notice, sign_notice
from gateway.statements.request_token import sign_request_token
from gateway.store import early_warnings
from gateway.store.configuration import Configuration
from gateway.store.early_warnings import Due
from gateway.store.jobs.notices import LeaseNotices, SettleNotices, Told
from gateway.store.recorder import Recorder
from gateway.store.session import Database
from gateway.store.tables import micros, moment

NOTICE_SECONDS: Final = 1.0
NOTICE_BATCH: Final = 50
# About a day: whoever has not been told by then finds the transfer with `sinergi transfers overdue`.
NOTICE_ATTEMPTS: Final = 8
NO_ENDPOINT: Final = "no-endpoint"
_log: Final = structlog.get_logger("sinergi.liaison")


@dataclass(frozen=True, slots=True)
class LiaisonNotices:
    """`lease` must outlive a request."""

    gateway_id: str
    configuration: Configuration
    database: Database
    recorder: Recorder
    signer: Callable[[], Signer]
    requests: Callable[[], Signer]
    clock: Callable[[], datetime]
    lease: timedelta
    outbound: Outbound

    async def run(self) -> int:
        """Sends what is due now, all at once; how many were taken. Takes about one timeout at most."""
        if not await asyncio.to_thread(self._due):
            return 0
        now = self.clock()
        job = LeaseNotices(micros(now), micros(now + self.lease), NOTICE_BATCH)
        leased = (await asyncio.wrap_future(self.recorder.submit(job))).result  # 1 lease
        if not leased:
            return 0
        notices = await asyncio.to_thread(self._read, leased)
        told = await asyncio.gather(*(self._tell(notice) for notice in notices))  # 2 tell
        await asyncio.wrap_future(self.recorder.submit(SettleNotices(told)))  # 3 settle
        return sum(one.error is None for one in told)

    def _due(self) -> bool:
        with self.database.reading() as session:
            return early_warnings.notices_due(session, micros(self.clock()))

    def _read(self, leased: Sequence[tuple[str, str, str]]) -> Sequence[Due]:
        with self.database.reading() as session:
            return early_warnings.notices(session, leased)

    async def _tell(self, due: Due) -> Told:
        agency = self.configuration.current().directory.agencies.get(due.agency)
        endpoint = None if agency is None or agency.status != ACTIVE else agency.liaison
        outcome = DeliveryFailed(NO_ENDPOINT) if endpoint is None else await self._post(endpoint, due)
        key = (due.transfer, due.agency, due.event)
        if isinstance(outcome, Answer):
            _log.info("liaison_told", transfer=due.transfer, agency=due.agency, attempt=due.attempt)
            return Told(*key, due.attempt, None)
        jitter = random.random()  # noqa: S311 - spreads load, keeps no secret
        decision = next_attempt(
            due.attempt, self.clock(), retry_after=outcome.retry_after, limit=NOTICE_ATTEMPTS, jitter=jitter
        )
        _log.warning(
            "liaison_not_told",
            transfer=due.transfer,
            agency=due.agency,
            attempt=due.attempt,
            error=outcome.code,
            given_up=decision.due_at is None,
        )
        again = None if decision.due_at is None else micros(decision.due_at)
        return Told(*key, due.attempt, outcome.code, again)

    async def _post(self, endpoint: Endpoint, due: Due) -> Answer | DeliveryFailed:
        def prepare() -> tuple[bytes, str]:
            now = self.clock()
            notice = Notice(
                iss=self.gateway_id,
                aud=due.agency,
                iat=int(now.timestamp()),
                jti=secrets.token_urlsafe(16),
                event=due.event,
                transfer=due.transfer,
                type=due.type,
                recipient=due.recipient,
                due_at=None if due.due_at is None else int(moment(due.due_at).timestamp()),
                severity=due.severity,
            )
            body = compact_json({"notice": sign_notice(notice, self.signer())})
            token = sign_request_token(self.requests(), self.gateway_id, due.agency, "POST", endpoint.url, now, body)
            return body, token

        body, token = await asyncio.to_thread(prepare)
        try:
            return await self.outbound.push(endpoint, body, token)
        except EndpointForbiddenError as error:
            _log.warning("liaison_forbidden", agency=due.agency, detail=error.detail)
            return DeliveryFailed(error.code)
