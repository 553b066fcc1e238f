"""The only HTTP client of the gateway: it posts to agencies' endpoints, and cannot be turned against us.

Decides which addresses may be connected to. An endpoint's name is resolved once a push, every address that it resolves
to must be in the endpoint's allow-list, and the connection goes to such an address itself, so that no second answer of
a name server can slip in between (DNS rebinding). SNI, certificate check and Host are the name's. No redirect is
followed, no proxy, cookie or environment variable is heeded, no encoding is accepted; time and answer are bounded.
Leaves to `lane.py` what a failure means.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from gateway.delivery.retry import parse_retry_after
from gateway.errors import EndpointForbiddenError
from gateway.keys.directory import Endpoint

ANSWER_LIMIT: Final = 1_048_576
_CONNECTIONS: Final = httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=30)
_RESOLVERS: Final = 8
# A chunk takes its time of the event loop, whatever is in it: a megabyte byte by byte would take half a minute of it.
_CRUMB: Final = 256
_MOST_CRUMBS: Final = 4_096
_PORTS: Final = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer's body, of at most ANSWER_LIMIT bytes; nothing in it was looked at."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint: `path` is appended to its URL. Answers with a status of `heeded` are read as well.

    `limit`: the most bytes that an answer may have.
    """

    method: str
    body: bytes
    headers: Mapping[str, str]
    path: str = ""
    heeded: frozenset[int] = frozenset()
    limit: int = ANSWER_LIMIT


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx or heeded answer, with a body within the call's limit."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeliveryFailed:
    """Anything else; `retry_after` (seconds) comes with a 429 or 503 that names it.

    `kind` is `timeout`, `dns`, `tls`, `connection` (nothing was sent), `broken-off`, `answer-too-large`,
    `answer-encoded` or `status`.
    """

    kind: str
    status: int | None = None
    retry_after: float | None = None

    @property
    def code(self) -> str:
        """For the outbox's `last_error`: a short code that quotes nothing."""
        return self.kind if self.status is None else f"{self.kind}-{self.status}"


def resolve(host: str, port: int) -> Sequence[str]:
    """Every address that the system's resolver gives. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def permitted(endpoint: Endpoint, resolved: Iterable[str]) -> tuple[Address, ...]:
    """The addresses, in order, if *each* of them is in the endpoint's allow-list.

    One stray address refuses them all: whoever can add it to the name can also make it the only one. An IPv4 address in
    IPv6 clothing (`::ffff:10.0.0.1`) is judged, and called, as the IPv4 address that it is. Raises EndpointForbiddenError.
    """
    addresses: dict[Address, None] = {}
    for text in resolved:
        try:
            address: Address = ipaddress.ip_address(text)
        except ValueError as error:
            raise EndpointForbiddenError("the endpoint resolves to something that is no address") from error
        if isinstance(address, ipaddress.IPv6Address):
            if address.scope_id is not None:
                raise EndpointForbiddenError("the endpoint resolves to an address of one link only")
            address = address.ipv4_mapped or address
        if not any(address in network for network in endpoint.networks):
            raise EndpointForbiddenError("the endpoint resolves to an address that its allow-list does not name")
        addresses[address] = None
    return tuple(addresses)


class Outbound:
    """Keeps one pool of connections an endpoint; `timeout` (seconds) is for a whole push, resolving included.

    A certificate authority file is read when its endpoint is first called.
    """

    def __init__(self, *, timeout: float, clock: Callable[[], datetime], resolve: Resolve = resolve) -> None:
        self._timeout = timeout
        self._clock = clock
        self._resolve = resolve
        # Of its own: a resolver that hangs must not use up the threads that read the database.
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolver")
        self._resolving: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}
        self._clients: dict[Endpoint, httpx.AsyncClient] = {}

    async def push(self, endpoint: Endpoint, body: bytes, token: str) -> Answer | DeliveryFailed:
        """Posts JSON with a bearer token. Raises EndpointForbiddenError before anything is sent."""
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        outcome = await self.call(endpoint, Call("POST", body, headers))
        return Answer(outcome.body) if isinstance(outcome, Reply) else outcome

    async def call(self, endpoint: Endpoint, call: Call) -> Reply | DeliveryFailed:
        """Any request, under the same rules. Raises EndpointForbiddenError before anything is sent."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._call(endpoint, call)
        except TimeoutError:
            return DeliveryFailed("timeout")

    async def forget(self, endpoint: Endpoint) -> None:
        """Closes the connections of an endpoint that is no longer configured."""
        client = self._clients.pop(endpoint, None)
        if client is not None:
            await client.aclose()

    async def close(self) -> None:
        for endpoint in list(self._clients):
            await self.forget(endpoint)
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _call(self, endpoint: Endpoint, call: Call) -> Reply | DeliveryFailed:
        parts = urlsplit(endpoint.url)
        port = parts.port or _PORTS[parts.scheme]
        try:
            resolved = await self._resolved(endpoint.host, port)
        except (OSError, UnicodeError):
            return DeliveryFailed("dns")
        failed = DeliveryFailed("dns")
        client = self._client(endpoint)
        for address in permitted(endpoint, resolved):
            outcome = await self._send(client, _request(client, parts, address, call), call)
            # Only what never reached the recipient is tried at its next address.
            if not (isinstance(outcome, DeliveryFailed) and outcome.kind == "connection"):
                return outcome
            failed = outcome
        return failed

    async def _resolved(self, host: str, port: int) -> Sequence[str]:
        """Calls at the same time share one answer: a name whose server hangs holds one thread, not those of the other names."""
        asked = self._resolving.get((host, port))
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._resolvers, self._resolve, host, port)
            self._resolving[host, port] = asked
            asked.add_done_callback(lambda done: self._forget_answer(host, port, done))
        return await asyncio.shield(asked)

    def _forget_answer(self, host: str, port: int, done: "asyncio.Future[Sequence[str]]") -> None:
        del self._resolving[host, port]
        # Everybody who waited for it may have gone, and then nobody else looks at its failure.
        if not done.cancelled():
            done.exception()

    async def _send(self, client: httpx.AsyncClient, request: httpx.Request, call: Call) -> Reply | DeliveryFailed:
        try:
            response = await client.send(request, stream=True)
        except httpx.TimeoutException:
            return DeliveryFailed("timeout")
        except httpx.ConnectError as error:
            return DeliveryFailed("tls" if _is_tls(error) else "connection")
        except httpx.HTTPError as error:
            return DeliveryFailed("tls" if _is_tls(error) else "broken-off")
        async with contextlib.aclosing(response):
            if not (response.is_success or response.status_code in call.heeded):
                asked = response.headers.get("retry-after") if response.status_code in (429, 503) else None
                return DeliveryFailed("status", response.status_code, parse_retry_after(asked, self._clock()))
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                # A kilobyte of gzip can be a gigabyte; we asked for none.
                return DeliveryFailed("answer-encoded")
            return await _bounded(response, call.limit)

    def _client(self, endpoint: Endpoint) -> httpx.AsyncClient:
        """One an endpoint: a connection made under one name is never used under another."""
        client = self._clients.get(endpoint)
        if client is None:
            client = httpx.AsyncClient(
                verify=_tls(endpoint),
                http1=True,
                http2=False,
                trust_env=False,
                follow_redirects=False,
                timeout=self._timeout,
                limits=_CONNECTIONS,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
            self._clients[endpoint] = client
        return client


def _request(client: httpx.AsyncClient, parts: SplitResult, address: Address, call: Call) -> httpx.Request:
    shown = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IPv6
    netloc = shown if parts.port is None else f"{shown}:{parts.port}"
    return client.build_request(
        call.method,
        f"{parts.scheme}://{netloc}{parts.path.rstrip('/') + call.path if call.path else parts.path or '/'}",
        content=call.body,
        headers={
            "Host": parts.netloc,
            **call.headers,
            "Accept-Encoding": "identity",
            "User-Agent": "sinergi",
        },
        extensions={"sni_hostname": parts.hostname or ""},
    )


async def _bounded(response: httpx.Response, limit: int) -> Reply | DeliveryFailed:
    body, crumbs = bytearray(), 0
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            crumbs += len(chunk) < _CRUMB
            if len(body) > limit or crumbs > _MOST_CRUMBS:
                return DeliveryFailed("answer-too-large")
    except httpx.TimeoutException:
        return DeliveryFailed("timeout")
    except httpx.HTTPError:
        return DeliveryFailed("broken-off")
    media_type = response.headers.get("content-type", "").strip().lower()
    return Reply(response.status_code, media_type, bytes(body))


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    """Certificate and name are checked, TLS 1.2 is the least; `ca_file`, if any, is the only authority.

    Not `create_default_context`, which would write the session keys wherever SSLKEYLOGFILE says.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if endpoint.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile=endpoint.ca_file)
    except OSError as error:
        raise EndpointForbiddenError("the endpoint's certificate authority file cannot be used") from error
    return context


def _is_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
