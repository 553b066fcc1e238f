"""One recipient's pushes of some priorities, one page after the other.

    1 admit      the agency has an endpoint, and its breaker lets a call through
    2 lease      the most urgent and oldest that are due
    3 push       one request, with a token that names its body
    4 settle     record the signed receipts of the answer
    5 again      what was not acknowledged gets its next attempt, or is dead

A crash or a stop at any step loses nothing: what is leased and not settled is handed out again when its lease ends.
Early warnings have a lane of their own, with its own connections and breaker, so that they never wait behind bulk.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import update
from sqlmodel import col

from gateway.delivery.acknowledge import REFUSED, Acknowledgements, HandedOut
from gateway.delivery.breaker import LONGEST_PAUSE, URGENT_PAUSE, Breaker, State
from gateway.delivery.doorbell import Doorbell, rings
from gateway.delivery.outbound import Answer, DeliveryFailed, Outbound
from gateway.delivery.page import URGENT, Page, Shelf
from gateway.delivery.retry import next_attempt
from gateway.errors import EndpointForbiddenError, GatewayError, MalformedError, TooLargeError
from gateway.jose import Signer, strict_json
from gateway.keys.directory import ACTIVE, Endpoint
from gateway.ledger.entry import AgencyChanged
from gateway.message.envelope import sd_hash
from gateway.record import OWN_LEDGER
from gateway.statements.request_token import sign_request_token
from gateway.store.configuration import Configuration
from gateway.store.described import PAUSED
from gateway.store.jobs.deliveries import Reschedule, Retry
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Recorder, Transaction
from gateway.store.tables import AgencyRow, AlertRow, micros, moment

GONE: Final = "gone"
_GONE_STATUS: Final = 410
_UNOPENED: Final = "keyring.refused"
_EVENTS: Final = 3
_IDLE_SECONDS: Final = 60.0
_LONGEST_BACKOFF: Final = 30.0
_log: Final = structlog.get_logger("sinergi.delivery")


ALERT_AGAIN: Final = timedelta(hours=10)


class _ChangedMeanwhileError(GatewayError):
    """The endpoint that answered 410 is not the agency's any more."""


@dataclass(frozen=True, slots=True)
class Courier:
    """What all lanes share."""

    gateway_id: str
    configuration: Configuration
    recorder: Recorder
    requests: Callable[[], Signer]
    acknowledgements: Acknowledgements
    shelf: Shelf
    doorbell: Doorbell
    clock: Callable[[], datetime]
    page: int
    retry_limit: int

    def endpoint(self, agency: str) -> Endpoint | None:
        """Where pushes to the agency go now; None when it is suspended, paused or has none."""
        known = self.configuration.current().directory.agencies.get(agency)
        return None if known is None or known.status != ACTIVE else known.endpoint


class Lane:
    """Runs until its agency takes no pushes any more, or `stopping` is set."""

    def __init__(self, agency: str, priorities: tuple[int, int], courier: Courier, outbound: Outbound) -> None:
        self.agency = agency
        self.priorities = priorities
        self._courier = courier
        self._outbound = outbound
        self._endpoint: Endpoint | None = None
        self._closed = Breaker(longest=URGENT_PAUSE if priorities == URGENT else LONGEST_PAUSE)
        self._breaker = self._closed
        self._limit = courier.page
        self._log = _log.bind(agency=agency, lane="urgent" if priorities == URGENT else "others")

    async def run(self, stopping: asyncio.Event) -> None:
        faults = 0
        try:
            with self._courier.doorbell.listening(self.agency) as bell:
                while not stopping.is_set() and self._courier.endpoint(self.agency) is not None:
                    bell.clear()
                    try:
                        busy, faults = await self.round(), 0
                    except Exception as error:  # noqa: BLE001 - one fault must not end the deliveries to an agency
                        # The type alone: an exception's text may quote what was sent.
                        self._log.warning("lane_fault", error=type(error).__name__)
                        busy, faults = True, faults + 1
                        await rings(stopping, min(0.5 * 2**faults, _LONGEST_BACKOFF))
                    if not busy and not stopping.is_set():
                        await rings(bell, _IDLE_SECONDS)
        finally:
            await self._outbound.close()

    async def round(self) -> bool:
        """Pushes one page. False when there is nothing to push, or the endpoint is to be left alone."""
        courier = self._courier
        endpoint = await self._admit()  # 1 admit
        if endpoint is None:
            return False
        page = await courier.shelf.take(self.agency, self._limit, self.priorities)  # 2 lease
        if not page.leased:
            return False
        if not page.handed_out:
            # None of them opens: an operator's business, and nothing that the recipient could help.
            await self._again(page, {item.transfer: _UNOPENED for item in page.leased})
            return True
        outcome = await self._push(endpoint, page)  # 3 push
        if isinstance(outcome, DeliveryFailed):
            errors = await self._failed(endpoint, page, outcome)
        else:
            self._breaker, self._limit = self._breaker.succeeded(), min(self._limit * 2, courier.page)
            errors = await self._settle(page, outcome)  # 4 settle
        await self._again(page, errors, outcome)  # 5 again
        self._log.info(
            "pushed",
            items=len(page.handed_out),
            acknowledged=len(page.leased) - len(errors),
            outcome=outcome.code if isinstance(outcome, DeliveryFailed) else "answered",
            breaker=self._breaker.state(courier.clock()).value,
        )
        return True

    async def _admit(self) -> Endpoint | None:
        endpoint = self._courier.endpoint(self.agency)
        if endpoint != self._endpoint:
            if self._endpoint is not None:
                await self._outbound.forget(self._endpoint)
            # Another endpoint starts with a clean slate.
            self._endpoint, self._breaker, self._limit = endpoint, self._closed, self._courier.page
        state = self._breaker.state(self._courier.clock())
        if state is State.OPEN:
            return None
        if state is State.HALF_OPEN:
            self._limit = 1  # the probe puts one message at risk of an attempt in vain
        return endpoint

    async def _push(self, endpoint: Endpoint, page: Page) -> Answer | DeliveryFailed:
        courier = self._courier

        def prepare() -> tuple[bytes, str]:
            body, now = page.body(), courier.clock()
            token = sign_request_token(
                courier.requests(), courier.gateway_id, self.agency, "POST", endpoint.url, now, body
            )
            return body, token

        body, token = await asyncio.to_thread(prepare)
        try:
            return await self._outbound.push(endpoint, body, token)
        except EndpointForbiddenError as error:
            self._log.warning("endpoint_forbidden", detail=error.detail)
            return DeliveryFailed(error.code)

    async def _failed(self, endpoint: Endpoint, page: Page, failure: DeliveryFailed) -> dict[str, str]:
        self._breaker = self._breaker.failed(self._courier.clock(), failure.retry_after)
        # A recipient that cannot manage a page in time may manage a smaller one.
        self._limit = max(1, self._limit // 4)
        if failure.status == _GONE_STATUS:
            await self._pause(endpoint)
        return {item.transfer: failure.code for item in page.leased}

    async def _settle(self, page: Page, answer: Answer) -> dict[str, str]:
        """Records the answer's receipts. For each message without a true one: why it must go again."""
        unopened = {item.transfer: _UNOPENED for item in page.leased}
        sent = page.handed_out
        for transfer in sent:
            del unopened[transfer]
        try:
            texts = read_answer(answer.body, _EVENTS * len(sent))
        except (MalformedError, TooLargeError):
            return unopened | dict.fromkeys(sent, "answer-malformed")
        results = await self._courier.acknowledgements.record(texts, self.agency, _known(page)) if texts else ()
        settled = {result.transfer for result in results if result.status != REFUSED}
        refused = {result.transfer: result.code or REFUSED for result in results if result.status == REFUSED}
        if refused:
            self._log.warning("receipts_refused", codes=sorted(set(refused.values())), count=len(refused))
        return unopened | {
            transfer: refused.get(transfer, "not-acknowledged") for transfer in sent if transfer not in settled
        }

    async def _again(
        self, page: Page, errors: Mapping[str, str], outcome: Answer | DeliveryFailed | None = None
    ) -> None:
        if not errors:
            return
        now, courier = self._courier.clock(), self._courier
        retry_after = outcome.retry_after if isinstance(outcome, DeliveryFailed) else None
        # One throw for the page: what failed together can go together again.
        jitter = random.random()  # noqa: S311 - spreads load, keeps no secret
        gone = isinstance(outcome, DeliveryFailed) and outcome.status == _GONE_STATUS
        retries = []
        for item in page.leased:
            # What somebody took away is missed by the audit: here its lease ends by itself.
            if item.transfer not in errors or item.transfer not in page.rows:
                continue
            since = moment(page.rows[item.transfer].received_at) if self.priorities == URGENT else None
            due_at = next_attempt(
                item.attempt,
                now,
                retry_after=retry_after,
                limit=courier.retry_limit,
                jitter=jitter,
                urgent_since=since,
            ).due_at
            if due_at is None and isinstance(page.rows[item.transfer], AlertRow):
                # What the gateway has to say is never given up.
                due_at = now + ALERT_AGAIN
            if gone:
                # The endpoint is paused; a recipient that pulls may have it at once.
                due_at = now
            if due_at is not None:
                # Never beyond `exp`: what cannot be delivered any more is recorded as expired on time.
                due_at = min(due_at, moment(page.rows[item.transfer].expires_at))
            else:
                self._log.warning("message_dead", transfer=item.transfer, attempts=item.attempt)
            due = None if due_at is None else micros(due_at)
            retries.append(Retry(item.transfer, item.attempt, item.until, due, errors[item.transfer]))
        ledger_of = {transfer: row.ledger for transfer, row in page.rows.items()}
        await asyncio.wrap_future(courier.recorder.submit(Reschedule(retries, ledger_of, now)))

    async def _pause(self, endpoint: Endpoint) -> None:
        """410: no node calls this endpoint again until an operator resumes it or sets another one."""
        agency, courier = self.agency, self._courier

        def pause(transaction: Transaction) -> None:
            paused = transaction.connection.execute(
                update(AgencyRow)
                .where(col(AgencyRow.id) == agency, col(AgencyRow.endpoint_url) == endpoint.url)
                .where(col(AgencyRow.paused_reason).is_(None))
                .values(paused_reason=GONE)
            )
            if paused.rowcount != 1:
                raise _ChangedMeanwhileError

        entry = AgencyChanged(time=courier.clock(), agency=agency, status=PAUSED)
        try:
            event = RecordEvent(OWN_LEDGER, [entry], pause, changes_config=True)
            await asyncio.wrap_future(courier.recorder.submit(event))
            self._log.warning("endpoint_paused", reason=GONE)
        except _ChangedMeanwhileError:
            self._log.info("endpoint_changed_meanwhile")
        await asyncio.to_thread(courier.configuration.reload)


def _known(page: Page) -> dict[str, HandedOut]:
    """What was just opened and sent need not be opened again to be compared with its receipt."""
    sent = ((item["message"], page.rows[item["transfer"]]) for item in page.items)
    return {row.id: HandedOut(row.ledger, row.recipient, sd_hash(message)) for message, row in sent}


def read_answer(body: bytes, limit: int) -> Sequence[str]:
    """The receipts of `{"acknowledgements": [jws…]}`; none when the answer is empty: they may follow in a call.

    Raises MalformedError or TooLargeError for anything else, or for more than `limit`.
    """
    if not body.strip():
        return ()
    answer = strict_json(body, "the answer", 2)
    if not isinstance(answer, dict) or answer.keys() != {"acknowledgements"}:
        raise MalformedError("the answer must have exactly the member acknowledgements")
    texts = answer["acknowledgements"]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise MalformedError("acknowledgements must be an array of strings")
    if len(texts) > limit:
        raise TooLargeError("the answer has more receipts than the page has messages")
    return texts
