"""The SDK of an agency backend: send, receive, acknowledge, and believe nothing that was not verified.

Decides whether an answer of the gateway is evidence: receipts, releases and inclusion proofs are checked against pinned
or published keys before a caller sees them. What must be true of a received item is decided in `reception.py`. Async only;
a script calls `asyncio.run`.
"""

import json
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, Unpack

import httpx

from gateway.answers import (
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
from gateway.calling import Calls, Patience
from gateway.draft import Draft, MessageOptions
from gateway.envelope import AGENCY_ID, DEFAULT_LIMITS, MEDIA_TYPE, Limits, parse, sd_hash
from gateway.errors import CODES, GatewayError, KeyRefusedError, MalformedError, ReceiptError
from gateway.jose import PublicKey, Signer, b64decode, parse_jws
from gateway.ledger.note import NoteVerifier
from gateway.ledger.proof import verify_proof
from gateway.public_ledger import open_commitment, read_entry
from gateway.receipt import RECEIPT_TYP, GatewayReceipt, read_gateway_receipt
from gateway.reception import PAGE_LIMIT, Event, KeySet, Received, Recipient, new_jti
from gateway.request_token import sign_request_token

__all__ = [
    "Acknowledged",
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

KEYS_SECONDS: Final = 60.0
VALID_FOR: Final = timedelta(days=1)


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
        self._pinned_ledgers = {verifier.name: verifier for verifier in map(NoteVerifier.parse, ledger_vkeys)}
        self._ledgers = dict(self._pinned_ledgers)
        self._fetched: dict[str, tuple[KeySet, float]] = {}
        self._gateway_id: str | None = None
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
            raise AnswerError("the gateway knows itself by another URL: give it as public_url")
        if not isinstance(ledgers, list):
            raise AnswerError("the gateway publishes no ledgers")
        for ledger in ledgers:
            self._learn(ledger)
        self._gateway_id = gateway
        published = await self._key_set(gateway)
        pinned = self._pinned_gateway
        if pinned is not None and pinned.keys.keys().isdisjoint(published.keys):
            raise AnswerError("none of the gateway's published keys is pinned", code="key.unknown")

    def _learn(self, ledger: Any) -> None:
        try:
            verifier = NoteVerifier.parse(ledger["vkey"])
            fits = verifier.name == ledger["origin"] and verifier.name.endswith(f"/ledger/{ledger['agreement']}")
        except (GatewayError, TypeError, KeyError, AttributeError) as error:
            raise AnswerError("the gateway publishes a ledger without origin and key", code="ledger.invalid") from error
        # A ledger never changes its key: a new key is a new ledger under a new origin.
        if not fits or self._ledgers.get(verifier.name, verifier) != verifier:
            raise AnswerError("the gateway publishes another key for a known ledger", code="ledger.forked")
        if not self._pinned_ledgers:
            self._ledgers[verifier.name] = verifier

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
            if "receipt" in problem.members:
                raise RefusedError(await self._evidence(message, problem.members, "refused"), problem) from None
            # A decision of the agreement is recorded, and then there is a receipt for it.
            if problem.code in CODES and CODES[problem.code].recorded:
                raise AnswerError("the refusal carries no receipt", code=problem.code) from problem
            raise
        sent = await self._evidence(message, answer.json(), "accepted")
        return replace(sent, retried=answer.status == httpx.codes.OK)

    async def _evidence(self, message: Composed, members: Mapping[str, Any], event: str) -> Sent:
        """The answer, in numbered steps.

        1. the gateway signed the receipt, with a key it had then
        2. the receipt is for this agency, about this decision and these bytes
        3. the ledger is the one of the message's agreement (a refusal may stand in the gateway's own)
        4. the proof is about the receipt's entry, and the ledger's key signed its checkpoint
        """
        ledger, text = members.get("ledger"), members.get("receipt")
        proof_text = ledger.get("proof") if isinstance(ledger, dict) else None
        if not isinstance(text, str) or not isinstance(ledger, dict) or not isinstance(proof_text, str):
            raise AnswerError("the answer has no receipt or no proof")
        try:
            jws = parse_jws(text, RECEIPT_TYP, 4)
            receipt = read_gateway_receipt(text, await self.find_key(self.gateway_id, jws.kid, jws.payload["iat"]))  # 1
            said = (receipt.iss, receipt.aud, receipt.event, receipt.transfer, receipt.sd_hash)
            expected = (self.gateway_id, self.agency_id, event, members.get("transfer"), sd_hash(message.text))
            if said != expected or members.get("decision") != event:  # 2
                raise ReceiptError("the receipt is about another message or decision", code="receipt.mismatch")
            if event == "refused" and not receipt.reasons:
                raise ReceiptError("the refusal has no reason", code="receipt.mismatch")
            ledgers = (message.claims.agreement, *(() if event == "accepted" else ("gateway",)))
            if not receipt.origin.endswith(tuple(f"/ledger/{ledger}" for ledger in ledgers)):  # 3
                raise ReceiptError("the receipt names another ledger", code="receipt.mismatch")
            if (ledger.get("origin"), ledger.get("index")) != (receipt.origin, receipt.index):
                raise ReceiptError("the receipt and the proof name different entries", code="receipt.mismatch")
            verifier = await self._verifier(receipt.origin)
            proof = verify_proof(proof_text, b64decode(receipt.leaf_hash, "leaf_hash"), receipt.origin, [verifier])  # 4
            if proof.index != receipt.index:
                raise ReceiptError("the proof is for another entry", code="receipt.mismatch")
        except ClientError:
            raise
        except (GatewayError, TypeError, AttributeError, KeyError) as error:
            raise AnswerError(f"the answer does not verify: {error}", code=getattr(error, "code", None)) from error
        return Sent(message, receipt, text, proof, proof_text)

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
        except MalformedError as error:
            raise AnswerError(error.detail, code=error.code) from error
        return Page(received, faults, page.get("more") is True)

    async def acknowledge(
        self, received: Received | Iterable[Received], event: Event = "delivered", reasons: Iterable[str] = ()
    ) -> tuple[Acknowledged, ...]:
        """Signs a receipt for each message and hands them in; the results are in the same order."""
        items = (received,) if isinstance(received, Received) else tuple(received)
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

    async def entry(self, receipt: GatewayReceipt, message: str) -> dict[str, Any]:
        """The ledger entry that a receipt names, read from the public ledger.

        Proved as `public_ledger.read_entry` says. Raises AnswerError; UnreachableError when it cannot be read.
        """
        return await read_entry(self._calls.read, await self._verifier(receipt.origin), receipt, message)

    async def find_key(self, agency: str, kid: str, at: int) -> PublicKey:
        """The key that could sign for an agency, or for the gateway, at that moment. An endpoint may use this as well.

        Pinned keys, else those that the gateway publishes: it is then trusted to say who an agency is, and not to have
        made up a key. Raises KeyRefusedError.
        """
        own = agency == self.gateway_id
        pinned = self._pinned_gateway if own else self._pinned.get(agency)
        if pinned is not None:
            return pinned.require(kid, at)
        keys, until = self._fetched.get(agency, (KeySet({}), 0.0))
        # An unknown key may be a new one: keys roll over while clients run.
        if time.monotonic() > until or kid not in keys.keys:
            keys = await self._key_set(agency)
        return keys.require(kid, at)

    async def _key_set(self, agency: str) -> KeySet:
        own = agency == self._gateway_id
        if not own and not AGENCY_ID.fullmatch(agency):
            raise KeyRefusedError("no such agency")
        path = "/.well-known/jwks.json" if own else f"/v1/agencies/{agency}/jwks.json"
        try:
            keys = KeySet.read((await self._calls.call("GET", path, token=False)).json())
        except (MalformedError, ProblemError) as error:
            raise KeyRefusedError("no keys of this agency are published") from error
        self._fetched[agency] = (keys, time.monotonic() + KEYS_SECONDS)
        return keys

    async def _verifier(self, origin: str) -> NoteVerifier:
        if origin not in self._ledgers:
            await self.connect()  # a new agreement has a new ledger
        verifier = self._ledgers.get(origin)
        if verifier is None:
            raise AnswerError("the ledger is not a trusted one", code="ledger.invalid")
        return verifier

    def _token(self, method: str, path: str, content: bytes | None) -> str:
        url, now = self._public_url + path, self._clock()
        return sign_request_token(self._signer, self.agency_id, self.gateway_id, method, url, now, content)


def _acknowledged(result: Any) -> Acknowledged:
    names = ("transfer", "status", "index", "code")
    try:
        return Acknowledged(**{name: result[name] for name in names if name in result})
    except TypeError as error:
        raise AnswerError("a result has no transfer or no status") from error
