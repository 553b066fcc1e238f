"""The agency's side of a delivery: what must be true of every item, and an ASGI app that takes pushes.

Decides whether an item is what its sender signed and what the gateway let through for this agency; `client.py` uses the
same check for what it pulls. Leaves what to do with a message to the agency's handler, and remembering to its `Seen`.
"""

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.disclosure import ELEMENT, SD
from gateway.envelope import DEFAULT_LIMITS, Claims, Limits, VerifiedMessage, parse, sd_hash, staleness, verify
from gateway.errors import (
    CODES,
    CallerError,
    GatewayError,
    KeyRefusedError,
    MalformedError,
    ReceiptError,
    TokenError,
    TooLargeError,
)
from gateway.jose import PublicKey, Signer, parse_jws, public_key_from_jwk, strict_json
from gateway.receipt import RECIPIENT_EVENTS, RELEASE_TYP, Acknowledgement, Release, read_release, sign_acknowledgement
from gateway.request_token import hash_body, parse_request_token, verify_request_token

PAGE_LIMIT: Final = 100
LEEWAY: Final = timedelta(seconds=60)
# A page of 100 messages at the published limit of 1 MiB, and what JSON and the releases add.
BODY_LIMIT: Final = 128 * 1024 * 1024
_FOREVER: Final = 253_402_300_799
_log: Final = logging.getLogger("sinergi.endpoint")

Event = Literal["delivered", "processed", "rejected"]
FindKey = Callable[[str, str, int], Awaitable[PublicKey]]
"""(agency or gateway id, kid, moment in whole seconds) → the key that was valid then. Raises KeyRefusedError."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key of a published set, with the seconds between which it may sign."""

    public: PublicKey
    not_before: int
    not_after: int
    status: str


@dataclass(frozen=True, slots=True)
class KeySet:
    """A JWKS by `kid`. Keys of a kind, or for a purpose, that is unknown here are left out (RFC 7517 §5)."""

    keys: Mapping[str, PublishedKey]

    @classmethod
    def read(cls, jwks: Any) -> "KeySet":
        """Raises MalformedError when this is no JWKS at all."""
        entries = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            raise MalformedError("a JWKS is an object with an array of keys")
        found: dict[str, PublishedKey] = {}
        for entry in entries:
            begins, ends = entry.get("nbf", 0), entry.get("exp", _FOREVER)
            # The gateway's set also shows the keys of its checkpoints: they sign no statement about a transfer.
            if entry.get("purpose", "sign") != "sign" or type(begins) is not int or type(ends) is not int:
                continue
            try:
                public = public_key_from_jwk(entry)
            except MalformedError:
                continue
            found[public.kid] = PublishedKey(public, begins, ends, str(entry.get("status", "active")))
        return cls(found)

    def require(self, kid: str, at: int) -> PublicKey:
        """The key, if it could sign at that moment. A retired key still verifies what it signed before; a revoked one nothing."""
        key = self.keys.get(kid)
        if key is None:
            raise KeyRefusedError("no such key is published", code="key.unknown")
        if key.status not in ("active", "retired"):
            raise KeyRefusedError("the key has been revoked", code="key.revoked")
        leeway = LEEWAY.seconds
        if not key.not_before - leeway <= at < key.not_after + leeway:
            raise KeyRefusedError("the key was outside its validity", code="key.not-valid")
        return key.public


def pinned_keys(sets: Mapping[str, KeySet]) -> FindKey:
    """Only these keys, whatever anyone publishes."""

    async def find(agency: str, kid: str, at: int) -> PublicKey:
        return sets.get(agency, KeySet({})).require(kid, at)

    return find


@dataclass(frozen=True, slots=True)
class Received:
    """One verified message, as the gateway let it through. `text` is exactly what `release.sd_hash` covers."""

    transfer: str
    attempt: int
    text: str
    message: VerifiedMessage
    release: Release

    @property
    def claims(self) -> Claims:
        return self.message.claims

    @property
    def body(self) -> dict[str, Any]:
        """The payload without what was withheld."""
        return self.message.body

    @property
    def withheld(self) -> tuple[str, ...]:
        """Pointers of what the sender sent and this agency may not have."""
        return self.release.withheld

    def acknowledgement(
        self, signer: Signer, jti: str, now: datetime, event: Event, reasons: Iterable[str] = ()
    ) -> str:
        """The signed receipt that this agency gives for it. `reasons` are codes, and only for `rejected`."""
        statement = Acknowledgement(
            iss=self.release.aud,
            aud=self.release.iss,
            iat=int(now.timestamp()),
            jti=jti,
            transfer=self.transfer,
            event=event,
            sd_hash=self.release.sd_hash,
            reasons=tuple(reasons),
        )
        return sign_acknowledgement(statement, signer)


@dataclass(frozen=True, slots=True)
class Fault:
    """An item that must not be used: a code of `errors.CODES` and what was wrong. The gateway will hand it out again."""

    transfer: str | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """What one agency checks of every item, pulled or pushed."""

    agency_id: str
    gateway_id: str
    find_key: FindKey
    limits: Limits = DEFAULT_LIMITS

    async def open_page(self, page: Any, now: datetime) -> tuple[tuple[Received, ...], tuple[Fault, ...]]:
        """Every item of `{items, more}` is in one of the two. Raises MalformedError when there is no page at all."""
        items = page.get("items") if isinstance(page, Mapping) else None
        if not isinstance(items, list) or len(items) > PAGE_LIMIT:
            raise MalformedError(f"a page has at most {PAGE_LIMIT} items")
        received: list[Received] = []
        faults: list[Fault] = []
        for item in items:
            try:
                received.append(await self.open_item(item, now))
            except GatewayError as error:
                transfer = item.get("transfer") if isinstance(item, Mapping) else None
                faults.append(Fault(transfer if isinstance(transfer, str) else None, error.code, error.detail))
        return tuple(received), tuple(faults)

    async def open_item(self, item: Any, now: datetime) -> Received:
        """One item, in numbered steps. Raises a GatewayError with the code of the first that fails.

        1. the gateway signed the release, with a key it had then
        2. the release is for this agency and about this transfer
        3. the release covers exactly these bytes
        4. the message is well formed, and its sender had this key when the gateway received it
        5. the sender signed it, and every disclosure belongs to a digest
        6. it is addressed to this agency, and its time has not passed
        7. nothing is withheld that the release does not name
        """
        transfer, text, release_text, attempt = _members(item)
        # 1
        unverified = parse_jws(release_text, RELEASE_TYP, 4)
        issued = unverified.payload.get("iat")
        withheld = unverified.payload.get("withheld")
        if type(issued) is not int or not isinstance(withheld, list) or not all(isinstance(p, str) for p in withheld):
            raise MalformedError("a release's iat is whole seconds, its withheld an array of pointers")
        release = read_release(release_text, await self.find_key(self.gateway_id, unverified.kid, issued))
        # 2
        expected = (self.gateway_id, self.agency_id, transfer)
        if (release.iss, release.aud, release.transfer) != expected:
            raise ReceiptError("the release is for another recipient or transfer", code="receipt.mismatch")
        # 3
        if release.sd_hash != sd_hash(text):
            raise ReceiptError("the release is about another message", code="receipt.mismatch")
        # 4
        message = parse(text.encode("ascii"), self.limits)
        key = await self.find_key(message.claims.iss, message.jws.kid, issued)
        # 5
        verified = verify(message, key, self.limits, complete=False)
        # 6
        for reason in staleness(verified.claims, now, {self.agency_id}, self.limits):
            # How long a validity may be is the gateway's question, and it was asked there.
            if reason.code != "envelope.validity-too-long":
                raise MalformedError("the message is not for this agency, now", code=reason.code)
        # 7
        contents = (message.closed_body, *(disclosure.value for disclosure in verified.disclosures))
        if not release.withheld and sum(map(_digests, contents)) > len(verified.disclosures):
            raise ReceiptError("fields are withheld that the release does not name", code="receipt.mismatch")
        return Received(transfer, attempt, text, verified, release)


def _members(item: Any) -> tuple[str, str, str, int]:
    if not isinstance(item, Mapping):
        raise MalformedError("an item is an object")
    texts = [item.get(name) for name in ("transfer", "message", "release")]
    attempt = item.get("attempt", 1)
    if not all(isinstance(text, str) and text.isascii() for text in texts) or type(attempt) is not int:
        raise MalformedError("an item has a transfer, a message, a release and an attempt")
    transfer, message, release = map(str, texts)
    return transfer, message, release, attempt


def _digests(value: Any) -> int:
    """How many digests stand in `value`, opened or not."""
    if isinstance(value, Mapping):
        here = len(value.get(SD, ())) + (ELEMENT in value)
        return here + sum(_digests(item) for name, item in value.items() if name != SD)
    return sum(map(_digests, value)) if isinstance(value, list) else 0


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


class AgencyEndpoint:
    """An ASGI app for the URL that the gateway pushes to: a page in, signed receipts out.

    `public_url` is that URL as the gateway has it. Gateway and sender keys are JWKS, or for the senders a `FindKey` such
    as a client's `find_key`. The handler answers an event, None for `delivered`, or raises: then this item gets no
    receipt and will come again, and the others are not touched by it. Items that `budget` seconds leave no time for wait
    for the next push: the gateway hangs up after `delivery.timeout`.
    """

    def __init__(
        self,
        agency_id: str,
        signer: Signer,
        *,
        public_url: str,
        gateway_id: str,
        gateway_keys: Mapping[str, Any],
        sender_keys: Mapping[str, Mapping[str, Any]] | FindKey,
        handler: Handler,
        seen: Seen | None = None,
        on_fault: Callable[[Fault], None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        body_limit: int = BODY_LIMIT,
        body_timeout: float = 20.0,
        budget: float = 10.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        own = pinned_keys({gateway_id: KeySet.read(gateway_keys)})
        if isinstance(sender_keys, Mapping):
            senders = pinned_keys({agency: KeySet.read(jwks) for agency, jwks in sender_keys.items()})
        else:
            senders = sender_keys

        async def find_key(agency: str, kid: str, at: int) -> PublicKey:
            return await (own if agency == gateway_id else senders)(agency, kid, at)

        self._recipient = Recipient(agency_id, gateway_id, find_key, limits)
        self._signer = signer
        self._url = public_url
        self._handler = handler
        self._seen: Seen = MemorySeen() if seen is None else seen
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
        received, faults = await self._recipient.open_page(strict_json(body, "the page", 8), self._clock())
        for fault in faults:
            self._on_fault(fault)
        stop = time.monotonic() + self._budget
        receipts: list[str] = []
        for item in received:
            if time.monotonic() > stop:
                break
            receipt = await self._handle(item)
            if receipt is not None:
                receipts.append(receipt)
        return receipts

    async def _authentic(self, request: Request) -> bytes:
        """The body, if the gateway signed a token for this request with these bytes, not used before."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise TokenError("a push carries a request token", code="token.missing")
        token = parse_request_token(text.strip())
        now, gateway = self._clock(), self._recipient.gateway_id
        if token.claims.iss != gateway:
            raise TokenError("the token is not the gateway's")
        key = await self._recipient.find_key(gateway, token.jws.kid, token.claims.iat)
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


def new_jti() -> str:
    return secrets.token_urlsafe(16)


def _log_fault(fault: Fault) -> None:
    _log.warning("an item was not accepted: %s, transfer %s: %s", fault.code, fault.transfer, fault.detail)


def _problem(error: GatewayError) -> JSONResponse:
    code = CODES[error.code]
    body = {"type": f"urn:sinergi:problem:{code.code}", "title": code.en, "status": code.status, "code": code.code}
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Bearer"} if code.status == 401 else {})  # noqa: PLR2004
    return JSONResponse(body | {"detail": error.detail}, code.status, headers, media_type="application/problem+json")
