"""The agency's side of a push: an ASGI app that an agency mounts where the gateway calls it.

Decides who may call, how much of a page fits into the time, and what is signed for. What must be true of an item is
`reception.py`'s; what to do with a message is the agency's handler's, and remembering is its `Seen`'s.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.errors import (
    CODES,
    CallerError,
    GatewayError,
    TokenError,
    TooLargeError,
)
from gateway.jose import PublicKey, Signer, strict_json
from gateway.message.envelope import DEFAULT_LIMITS, Limits
from gateway.sdk.reception import (
    LEEWAY,
    Event,
    Fault,
    FindKey,
    KeySet,
    Purpose,
    Received,
    Recipient,
    new_jti,
    pinned_keys,
)
from gateway.statements.alert import Alert
from gateway.statements.receipt import RECIPIENT_EVENTS
from gateway.statements.request_token import hash_body, parse_request_token, verify_request_token

__all__ = [
    "AgencyEndpoint",
    "Answer",
    "Event",
    "Fault",
    "FindKey",
    "Handled",
    "KeySet",
    "MemorySeen",
    "Received",
    "Recipient",
    "Seen",
    "pinned_keys",
]

# A page of 100 messages at the published limit of 1 MiB, and what JSON and the releases add.
BODY_LIMIT: Final = 128 * 1024 * 1024
_log: Final = logging.getLogger("sinergi.endpoint")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agency says of a message: an event and, for `rejected`, codes of at most 64 characters."""

    event: Event = "delivered"
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.event not in RECIPIENT_EVENTS or (self.reasons and self.event != "rejected"):
            raise ValueError("an answer is delivered, processed or rejected, and only a rejection has reasons")


@dataclass(frozen=True, slots=True)
class Handled:
    """What is remembered of one transfer: which bytes were handled, and what was answered."""

    transfer: str
    sd_hash: str
    answer: Answer


class Seen(Protocol):
    """Which transfers were handled, and which push tokens used.

    Keep it in the database that the handler writes to, and a crash between the two loses nothing; shared by all
    processes of the endpoint, it makes a handler run once for a transfer.
    """

    async def find(self, transfer: str) -> Handled | None: ...

    async def remember(self, handled: Handled) -> None: ...

    async def use_token(self, jti: str, expires: int, now: int) -> bool:
        """Whether this is its first use. It may be forgotten once `now` is past `expires`."""
        ...


class MemorySeen:
    """In this process, for the newest `size` transfers: after a restart a handler may see a transfer again."""

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._handled: OrderedDict[str, Handled] = OrderedDict()
        self._tokens: dict[str, int] = {}

    async def find(self, transfer: str) -> Handled | None:
        return self._handled.get(transfer)

    async def remember(self, handled: Handled) -> None:
        self._handled[handled.transfer] = handled
        if len(self._handled) > self._size:
            self._handled.popitem(last=False)

    async def use_token(self, jti: str, expires: int, now: int) -> bool:
        self._tokens = {used: until for used, until in self._tokens.items() if until >= now}
        if jti in self._tokens:
            return False
        self._tokens[jti] = expires
        return True


Handler = Callable[[Received], Awaitable[Answer | Event | None]]
Alerted = Callable[[Alert], Awaitable[None]]


class AgencyEndpoint:
    """An ASGI app for the URL that the gateway pushes to: a page in, signed receipts out.

    `public_url` is that URL as the gateway has it. Gateway and sender keys are JWKS, which are then complete, or a
    `FindKey` such as a client's `find_key`, which learns of new keys by itself. The handler answers an event, None for
    `delivered`, or raises: then this item gets no receipt and will come again, and the others are not touched by it.
    Items that `budget` seconds leave no time for wait for the next push: the gateway hangs up after `delivery.timeout`.
    `on_alert` is told what the gateway itself has to say, by default in the log as an error; it may come twice.
    """

    def __init__(
        self,
        agency_id: str,
        signer: Signer,
        *,
        public_url: str,
        gateway_id: str,
        gateway_keys: Mapping[str, Any] | FindKey,
        sender_keys: Mapping[str, Mapping[str, Any]] | FindKey,
        handler: Handler,
        seen: Seen | None = None,
        on_fault: Callable[[Fault], None] | None = None,
        on_alert: Alerted | None = None,
        limits: Limits = DEFAULT_LIMITS,
        body_limit: int = BODY_LIMIT,
        body_timeout: float = 20.0,
        budget: float = 10.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if isinstance(gateway_keys, Mapping):
            own: FindKey = pinned_keys({gateway_id: KeySet.read(gateway_keys)})
        else:
            own = gateway_keys
        if isinstance(sender_keys, Mapping):
            senders: FindKey = pinned_keys({agency: KeySet.read(jwks) for agency, jwks in sender_keys.items()})
        else:
            senders = sender_keys

        async def find_key(agency: str, kid: str, at: int, purpose: Purpose = "sign") -> PublicKey:
            return await (own if agency == gateway_id else senders)(agency, kid, at, purpose)

        self._recipient = Recipient(agency_id, gateway_id, find_key, limits)
        self._signer = signer
        self._url = public_url
        self._handler = handler
        self._seen: Seen = MemorySeen() if seen is None else seen
        self._on_alert = _log_alert if on_alert is None else on_alert
        self._on_fault = _log_fault if on_fault is None else on_fault
        self._body_limit = body_limit
        self._body_timeout = body_timeout
        self._budget = budget
        self._clock = clock
        self._running: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            receipts = await self._take(Request(scope, receive))
            response = JSONResponse({"acknowledgements": receipts}, headers={"Cache-Control": "no-store"})
        except GatewayError as error:
            response = _problem(error)
        await response(scope, receive, send)

    async def _take(self, request: Request) -> list[str]:
        if request.method != "POST":
            raise CallerError("a push is a POST", code="request.method")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise CallerError("a push is application/json", code="request.media-type")
        body = await self._authentic(request)
        page = strict_json(body, "the page", 8)
        received, faults = await self._recipient.open_page(page, self._clock())
        alerts, unread = await self._recipient.open_alerts(page)
        for fault in (*faults, *unread):
            self._on_fault(fault)
        stop = time.monotonic() + self._budget
        receipts = [receipt for alert in alerts if (receipt := await self._tell(alert)) is not None]
        for item in received:
            if time.monotonic() > stop:
                break
            receipt = await self._handle(item)
            if receipt is not None:
                receipts.append(receipt)
        return receipts

    async def _tell(self, alert: Alert) -> str | None:
        try:
            await self._on_alert(alert)
        except Exception:  # noqa: BLE001 - as with messages: it comes again
            _log.exception("the alert %s was not taken", alert.jti)
            return None
        return alert.acknowledgement(self._signer, new_jti(), self._clock())

    async def _authentic(self, request: Request) -> bytes:
        """The body, if the gateway signed a token for this request with these bytes, not used before."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise TokenError("a push carries a request token", code="token.missing")
        token = parse_request_token(text.strip())
        now, gateway = self._clock(), self._recipient.gateway_id
        if token.claims.iss != gateway:
            raise TokenError("the token is not the gateway's")
        key = await self._recipient.find_key(gateway, token.jws.kid, token.claims.iat, "request")
        claims = verify_request_token(
            token,
            key,
            audience=self._recipient.agency_id,
            method="POST",
            url=self._url,
            now=now,
            leeway=LEEWAY,
        )
        body = await self._body(request)
        if claims.body_hash != hash_body(body):
            raise TokenError("the token is for another body", code="token.wrong-request")
        # Last, so that whoever copied a token cannot use it up with a body of his own.
        if not await self._seen.use_token(claims.jti, claims.exp + LEEWAY.seconds, int(now.timestamp())):
            raise TokenError("the token was used before", code="token.replayed")
        return body

    async def _body(self, request: Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._body_timeout):
                async for part in request.stream():
                    size += len(part)
                    if size > self._body_limit:
                        raise TooLargeError(f"a push may have {self._body_limit} bytes")
                    parts.append(part)
        except TimeoutError as error:
            raise CallerError("the body came too slowly", code="request.timeout") from error
        return b"".join(parts)

    async def _handle(self, item: Received) -> str | None:
        """The receipt for one item, or None when it was not handled."""
        # A slow handler may still be at it when the gateway hands the item out again: that push gets no receipt for it.
        if item.transfer in self._running:
            return None
        self._running.add(item.transfer)
        try:
            handled = await self._seen.find(item.transfer)
            if handled is None:
                answer = await self._handler(item)
                given = answer if isinstance(answer, Answer) else Answer(answer or "delivered")
                handled = Handled(item.transfer, item.release.sd_hash, given)
                await self._seen.remember(handled)
        except Exception:  # noqa: BLE001 - the handler is not ours
            # Whatever the handler raises is its own; the gateway will hand the item out again.
            _log.exception("the handler failed for transfer %s", item.transfer)
            return None
        finally:
            self._running.discard(item.transfer)
        if handled.sd_hash != item.release.sd_hash:
            # We sign for the bytes that were handled, and for no others that come under the same transfer.
            self._on_fault(Fault(item.transfer, "receipt.mismatch", "the transfer was handled with another message"))
            return None
        return item.acknowledgement(
            self._signer, new_jti(), self._clock(), handled.answer.event, handled.answer.reasons
        )


async def _log_alert(alert: Alert) -> None:
    _log.error("the gateway says %s: a key of %s, transfers %s", alert.event, alert.agency, ", ".join(alert.transfers))


def _log_fault(fault: Fault) -> None:
    _log.warning("an item was not accepted: %s, transfer %s: %s", fault.code, fault.transfer, fault.detail)


def _problem(error: GatewayError) -> JSONResponse:
    code = CODES[error.code]
    body = {"type": f"urn:sinergi:problem:{code.code}", "title": code.en, "status": code.status, "code": code.code}
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Bearer"} if code.status == 401 else {})  # noqa: PLR2004
    return JSONResponse(body | {"detail": error.detail}, code.status, headers, media_type="application/problem+json")
