"""The SDK of an agency backend: send, receive, acknowledge, and believe nothing that was not verified.

Decides whether an answer of the gateway is evidence: receipts, releases and inclusion proofs are checked against pinned
or published keys before a caller sees them. What must be true of a received item is decided in `reception.py`. Async only;
a script calls `asyncio.run`.
"""

import json
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeVar, Unpack

import httpx

from gateway.errors import GatewayError, KeyRefusedError, MalformedError
from gateway.jose import PublicKey, Signer
from gateway.ledger.note import NoteVerifier
from gateway.ledger.proof import VerifiedProof, verify_proof
from gateway.message import batch
from gateway.message.envelope import AGENCY_ID, DEFAULT_LIMITS, MEDIA_TYPE, Limits, parse
from gateway.sdk.answers import (
    Acknowledged,
    AnswerError,
    ClientError,
    Composed,
    Page,
    ProblemError,
    RefusedError,
    Sent,
    UnreachableError,
)
from gateway.sdk.calling import Calls, Patience
from gateway.sdk.draft import Draft, MessageOptions
from gateway.sdk.ledger_keys import LedgerKeys
from gateway.sdk.public_ledger import open_commitment, read_entry
from gateway.sdk.reception import PAGE_LIMIT, Event, KeySet, Purpose, Received, Recipient, new_jti
from gateway.sdk.verdict import Verdicts, lacks_some
from gateway.statements.alert import Alert
from gateway.statements.receipt import GatewayReceipt
from gateway.statements.request_token import sign_request_token

__all__ = [
    "Acknowledged",
    "Alert",
    "AnswerError",
    "ClientError",
    "Composed",
    "Draft",
    "GatewayClient",
    "MessageOptions",
    "Page",
    "ProblemError",
    "Received",
    "RefusedError",
    "Sent",
    "UnreachableError",
    "open_commitment",
    "tls_context",
]

# How long a key set is kept where the gateway publishes no other time, and the longest that is believed.
KEYS_SECONDS: Final = 60.0
KEYS_SECONDS_LIMIT: Final = 3600.0
# A key that is not in the set is looked for in a newer one, at most this often.
REFETCH_SECONDS: Final = 2.0
VALID_FOR: Final = timedelta(days=1)
T = TypeVar("T")


def tls_context(
    ca_file: Path | None = None, certificate: Path | None = None, key: Path | None = None, password: str | None = None
) -> ssl.SSLContext:
    """For `tls=`: the authorities of `ca_file` alone, and the agency's client certificate."""
    context = ssl.create_default_context(cafile=ca_file)
    if certificate is not None:
        context.load_cert_chain(certificate, key, password)
    return context


class GatewayClient:
    """One agency at one gateway. `async with GatewayClient(…) as client` connects and closes.

    Without pins, the keys that the gateway publishes at `connect` are trusted, so TLS must name the right server. Pinned
    values take precedence and are complete: no other key or ledger is trusted, and a gateway that publishes none of the
    pinned keys, or another key for a pinned ledger, is an AnswerError. `public_url` is the URL that the gateway knows
    itself by, if it is called by another.
    """

    def __init__(
        self,
        gateway_url: str,
        agency_id: str,
        signer: Signer,
        *,
        gateway_id: str | None = None,
        gateway_keys: Mapping[str, Any] | None = None,
        ledger_vkeys: Iterable[str] = (),
        sender_keys: Mapping[str, Mapping[str, Any]] | None = None,
        public_url: str | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = 30.0,
        retries: int = 5,
        patience: float = 60.0,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.agency_id = agency_id
        self._signer = signer
        self._public_url = (public_url or gateway_url).rstrip("/")
        self._pinned_id = gateway_id
        self._pinned = {agency: KeySet.read(jwks) for agency, jwks in (sender_keys or {}).items()}
        self._pinned_gateway = None if gateway_keys is None else KeySet.read(gateway_keys)
        self._ledgers = LedgerKeys(ledger_vkeys)
        self._fetched: dict[str, tuple[KeySet, float]] = {}
        self._looked: dict[str, float] = {}
        self._gateway_id: str | None = None
        self._keys_seconds = KEYS_SECONDS
        self._limits, self._clock = limits, clock
        waits = Patience(timeout, retries, patience)
        self._calls = Calls(gateway_url, self._token, patience=waits, clock=clock, tls=tls, transport=transport)

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._calls.aclose()

    @property
    def gateway_id(self) -> str:
        """Raises RuntimeError before `connect`."""
        if self._gateway_id is None:
            raise RuntimeError("connect first: `async with GatewayClient(…) as client`")
        return self._gateway_id

    async def connect(self) -> None:
        """Learns what the gateway publishes, and holds it against what is pinned and what was learnt before."""
        about = (await self._calls.call("GET", "/.well-known/sinergi-gateway", token=False)).json()
        gateway, ledgers = about.get("gateway"), about.get("ledgers")
        if not isinstance(gateway, str) or gateway != (self._gateway_id or self._pinned_id or gateway):
            raise AnswerError("this is another gateway than the pinned one")
        if str(about.get("public_url")).rstrip("/") != self._public_url:
            raise AnswerError("the gateway's own URL is another one: give it as public_url")
        if not isinstance(ledgers, list):
            raise AnswerError("the gateway publishes no ledgers")
        for ledger in ledgers:
            self._ledgers.learn(ledger)
        self._gateway_id = gateway
        self._keys_seconds = _keys_seconds(about.get("limits"))
        published = await self._key_set(gateway)
        pinned = self._pinned_gateway
        if pinned is not None and pinned.keys.keys().isdisjoint(published.keys):
            raise AnswerError("none of the gateway's published keys is pinned", code="key.unknown")

    def compose(
        self,
        to: str,
        type: str,  # noqa: A002 - the claim's own name
        body: Mapping[str, Any],
        **options: Unpack[MessageOptions],
    ) -> Composed:
        """A signed message, not sent yet.

        Raises MalformedError or TooLargeError for what the gateway would answer with 400 or 413.
        """
        return self.compose_draft(self.draft(to, type, body, **({"valid_for": VALID_FOR} | options)))

    def draft(
        self,
        to: str,
        type: str,  # noqa: A002 - the claim's own name
        body: Mapping[str, Any],
        **options: Unpack[MessageOptions],
    ) -> Draft:
        """The same, fixed to the last salt and not signed: for officers to approve (`Draft.approval_request`).

        Raises MalformedError.
        """
        given: MessageOptions = {"jti": new_jti(), **options}
        return Draft.write(self.agency_id, to, type, body, self._clock(), given)

    def compose_draft(self, draft: Draft, approvals: Iterable[str] = ()) -> Composed:
        """Signs a draft with the approvals that officers gave for it. Raises MalformedError for any other approval."""
        if draft.claims.iss != self.agency_id:
            raise MalformedError("the draft is another agency's", pointer="/iss")
        text = draft.sign(self._signer, approvals)
        return Composed(text, parse(text.encode(), self._limits).claims)

    async def send(self, message: Composed) -> Sent:
        """Sends it, the same bytes at each retry, and verifies the answer.

        Raises RefusedError (recorded, with a verified receipt), ProblemError (not recorded), UnreachableError (not
        known: send the same again) or AnswerError.
        """
        content = message.text.encode()
        try:
            answer = await self._calls.call(
                "POST", "/v1/messages", content, MEDIA_TYPE, token=False, expected=(200, 202)
            )
        except ProblemError as problem:
            raise await self._verdicts.no(message, problem) from problem.__cause__
        return await self._verdicts.yes(message, answer.status, answer.json())

    async def send_batch(self, messages: Iterable[Composed]) -> tuple[Sent | ClientError, ...]:
        """Sends many, as few requests as the gateway's limits allow, and verifies each answer. One result a message.

        What `send` would raise for a message stands in its place, also where the whole request failed: each is judged alone.
        """
        kept = tuple(messages)
        results: list[Sent | ClientError] = []
        for portion in batch.portions([message.text for message in kept]):
            results += await self._send_portion(kept[len(results) : len(results) + len(portion)])
        return tuple(results)

    async def _send_portion(self, messages: Sequence[Composed]) -> list[Sent | ClientError]:
        content = batch.join(message.text for message in messages)
        try:
            answer = await self._calls.call(
                "POST", "/v1/messages:batch", content, batch.MEDIA_TYPE, token=False, incomplete=lacks_some
            )
            results = answer.json().get("results")
            if not isinstance(results, list) or len(results) != len(messages):
                raise AnswerError("the results are not those of the messages")
        except ClientError as error:
            return [error] * len(messages)
        return [await self._verdicts.one(message, result) for message, result in zip(messages, results, strict=True)]

    @property
    def _verdicts(self) -> Verdicts:
        return Verdicts(self.agency_id, self.gateway_id, self.find_key, self._proved)

    async def preview(self, message: Composed) -> dict[str, Any]:
        """What `send` would be answered now: `permitted`, `reasons`, `withheld`, …; not signed, not recorded, no promise.

        Raises ProblemError for what cannot be decided about, for instance a bad signature.
        """
        return (await self._calls.call("POST", "/v1/decisions", message.text.encode(), MEDIA_TYPE)).json()

    async def receive(self, limit: int = PAGE_LIMIT, wait: int = 0) -> Page:
        """Takes up to `limit` waiting messages, waiting `wait` seconds for the first. Each is leased for 60 s.

        An item that does not verify is in `faults`, and hinders no other. Acknowledge what you have stored.
        """
        query = {"limit": str(limit), "wait": str(wait)}
        page = (await self._calls.call("GET", "/v1/inbox", query=query, seconds=wait)).json()
        recipient = Recipient(self.agency_id, self.gateway_id, self.find_key, self._limits)
        try:
            received, faults = await recipient.open_page(page, self._clock())
            alerts, unread = await recipient.open_alerts(page)
        except MalformedError as error:
            raise AnswerError(error.detail, code=error.code) from error
        return Page(received, (*faults, *unread), page.get("more") is True, alerts)

    async def acknowledge(
        self,
        received: Received | Alert | Iterable[Received | Alert],
        event: Event = "delivered",
        reasons: Iterable[str] = (),
    ) -> tuple[Acknowledged, ...]:
        """Signs a receipt for each message or alert and hands them in; the results are in the same order."""
        items = (received,) if isinstance(received, Received | Alert) else tuple(received)
        codes = tuple(reasons)
        results: list[Acknowledged] = []
        for start in range(0, len(items), PAGE_LIMIT):
            page = items[start : start + PAGE_LIMIT]
            signed = [item.acknowledgement(self._signer, new_jti(), self._clock(), event, codes) for item in page]
            content = json.dumps({"acknowledgements": signed}).encode()
            answer = await self._calls.call("POST", "/v1/acknowledgements", content, "application/json")
            listed = answer.json().get("results")
            given = [_acknowledged(result) for result in (listed if isinstance(listed, list) else ())]
            if [result.transfer for result in given] != [item.transfer for item in page]:
                raise AnswerError("the results are not those of the receipts")
            results += given
        return tuple(results)

    async def transfer(self, transfer: str) -> dict[str, Any]:
        """`GET /v1/transfers/{id}`: what became of a transfer of this agency. Its receipts are not verified here."""
        return (await self._calls.call("GET", f"/v1/transfers/{transfer}")).json()

    async def hand_in_key(self, statement: str) -> dict[str, Any]:
        """`POST /v1/agencies/{id}/keys`: the statement of this agency's next key (`key_statement.sign_statement`).

        It counts once two of the gateway's operators have admitted it. Raises ProblemError for a false one.
        """
        path = f"/v1/agencies/{self.agency_id}/keys"
        content = statement.strip().encode()
        return (await self._calls.call("POST", path, content, "application/json", expected=(202,))).json()

    async def entry(self, receipt: GatewayReceipt, message: str) -> dict[str, Any]:
        """The ledger entry that a receipt names, read from the public ledger.

        Proved as `public_ledger.read_entry` says. Raises AnswerError; UnreachableError when it cannot be read.
        """
        return await self._with_keys(receipt.origin, lambda keys: read_entry(self._calls.read, keys, receipt, message))

    async def find_key(self, agency: str, kid: str, at: int, purpose: Purpose = "sign") -> PublicKey:
        """The key that could sign for an agency, or for the gateway, at that moment. An endpoint may use this as well.

        Pinned keys, else those that the gateway publishes: it is then trusted to say who an agency is, and not to have
        made up a key. Raises KeyRefusedError.
        """
        own = agency == self.gateway_id
        pinned = self._pinned_gateway if own else self._pinned.get(agency)
        if pinned is not None:
            return pinned.require(kid, at, purpose)
        moment = time.monotonic()
        keys, fetched = self._fetched.get(agency, (KeySet({}), -math.inf))
        if moment - fetched > self._keys_seconds:
            keys = await self._key_set(agency)
        # An unknown key may be a new one: keys roll over while clients run. But whoever makes up keys makes no calls here.
        if kid not in keys.keys and moment - self._looked.get(agency, -math.inf) > REFETCH_SECONDS:
            self._looked[agency] = moment
            keys = await self._key_set(agency)
        return keys.require(kid, at, purpose)

    async def _key_set(self, agency: str) -> KeySet:
        own = agency == self._gateway_id
        if not own and not AGENCY_ID.fullmatch(agency):
            raise KeyRefusedError("no such agency")
        path = "/.well-known/jwks.json" if own else f"/v1/agencies/{agency}/jwks.json"
        try:
            keys = KeySet.read((await self._calls.call("GET", path, token=False)).json())
        except (MalformedError, ProblemError) as error:
            raise KeyRefusedError("no keys of this agency are published") from error
        self._fetched[agency] = (keys, time.monotonic())
        return keys

    async def _proved(self, text: str, leaf: bytes, origin: str) -> VerifiedProof:
        async def prove(keys: Sequence[NoteVerifier]) -> VerifiedProof:
            return verify_proof(text, leaf, origin, keys)

        return await self._with_keys(origin, prove)

    async def _with_keys(self, origin: str, prove: Callable[[Sequence[NoteVerifier]], Awaitable[T]]) -> T:
        """What `prove` gives with the keys of a ledger; once more where the ledger says that it has another by now."""
        if not self._ledgers.of(origin):
            await self.connect()  # a new agreement has a new ledger
        known = self._ledgers.of(origin)
        if not known:
            raise AnswerError("the ledger is not a trusted one", code="ledger.invalid")
        try:
            return await prove(known)
        except GatewayError:
            await self.connect()
            if self._ledgers.of(origin) == known:
                raise
        return await prove(self._ledgers.of(origin))

    def _token(self, method: str, path: str, content: bytes | None) -> str:
        url, now = self._public_url + path, self._clock()
        return sign_request_token(self._signer, self.agency_id, self.gateway_id, method, url, now, content)


def _keys_seconds(limits: Any) -> float:
    """How long the gateway says that a key set may be kept."""
    told = limits.get("keys_max_age_seconds") if isinstance(limits, dict) else None
    return float(min(told, KEYS_SECONDS_LIMIT)) if type(told) is int and told > 0 else KEYS_SECONDS


def _acknowledged(result: Any) -> Acknowledged:
    names = ("transfer", "status", "index", "code")
    try:
        return Acknowledged(**{name: result[name] for name in names if name in result})
    except TypeError as error:
        raise AnswerError("a result has no transfer or no status") from error
