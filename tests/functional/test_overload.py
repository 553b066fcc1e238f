"""More than there is room for, and clients that are slow on purpose, at a gateway with little room."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.province import AGREEMENT, Province

HEADERS = {"content-type": "application/sd-jwt"}
ROOM = {
    "SINERGI_SERVER__MESSAGES_AT_ONCE": "3",
    "SINERGI_SERVER__BYTES_AT_ONCE": "1048576",
    "SINERGI_SERVER__CONNECTIONS": "48",
    "SINERGI_SERVER__HEADER_TIMEOUT": "1",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    province = Province(tmp_path_factory.mktemp("small") / "gateway", extra=ROOM).found().start()
    yield province
    province.kill()


@contextmanager
def connected(province: Province, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", province.port), timeout=10) as client:
        client.sendall(sent)
        yield client


def head(length: int) -> bytes:
    return (
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/sd-jwt\r\n"
        b"content-length: %d\r\n\r\n" % length
    )


def answer(client: socket.socket) -> bytes:
    """Everything until the server hangs up, or the first whole answer."""
    got = b""
    while not (b"\r\n\r\n" in got and got.endswith(b"}")) and (chunk := client.recv(65_536)):
        got += chunk
    return got


def assert_busy(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (503, "gateway.busy")
    assert 1 <= int(response.headers["retry-after"]) <= 4
    assert "receipt" not in response.json()


async def send_all(base: str, messages: list[str]) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=base, headers=HEADERS, timeout=30) as client:
        return await asyncio.gather(*(client.post("/v1/messages", content=message) for message in messages))


def test_what_is_too_much_is_refused_and_what_is_accepted_is_kept(small: Province) -> None:
    """Each 202 is in the ledger once and waits for its recipient; each 503 left nothing, and passes when sent again."""
    waiting = [small.imigrasi.message() for _ in range(12)]
    before = small.sizes()[AGREEMENT]
    accepted: set[str] = set()
    rounds = 0
    while waiting:
        rounds += 1
        responses = asyncio.run(send_all(small.base, waiting))
        refused = [message for message, one in zip(waiting, responses, strict=True) if one.status_code == 503]
        for response in responses:
            if response.status_code == 503:
                assert_busy(response)
            else:
                assert response.status_code == 202
                accepted.add(response.json()["transfer"])
        assert len(refused) < len(waiting)
        waiting = refused
    assert rounds > 1
    assert len(accepted) == 12
    assert small.sizes()[AGREEMENT] == before + 12
    delivered: list[str] = []
    while items := small.polda.inbox():
        delivered += [item["transfer"] for item in items]
        small.polda.acknowledge(*(small.polda.acknowledgement(item) for item in items))
    assert sorted(delivered) == sorted(accepted)
    assert 'sinergi_busy_total{lack="messages"}' in httpx.get(f"{small.base}/metrics").text


def test_slow_bodies_take_nobodys_place(small: Province) -> None:
    """A message counts from its last byte on: more bodies on their way than may be judged at once stop nobody."""
    with ExitStack() as slow:
        for _ in range(10):
            slow.enter_context(connected(small, head(500) + b"abc"))
        assert small.imigrasi.post(small.imigrasi.message()).status_code == 202


def test_bodies_are_held_up_to_a_bound(small: Province) -> None:
    """Two bodies that do not fit together: the second is refused before it is whole, and there is room when one is gone."""
    part = b"x" * 600_000
    with connected(small, head(1_000_000) + part) as first:
        time.sleep(0.2)
        with connected(small, head(1_000_000) + part) as second:
            told = answer(second)
        assert told.startswith(b"HTTP/1.1 503")
        assert b"\r\nretry-after: " in told.lower()
        assert b'"gateway.busy"' in told
        first.sendall(b"x" * 400_000)
        assert answer(first).startswith(b"HTTP/1.1 400")
    assert small.imigrasi.post(small.imigrasi.message()).status_code == 202


def test_probes_are_answered_when_connections_are_used_up(small: Province) -> None:
    """Beyond the bound callers hear 503; a probe that failed then would restart a gateway that only has much to do."""
    with ExitStack() as idle:
        for _ in range(60):
            idle.enter_context(connected(small))
        assert_busy(small.imigrasi.post(small.imigrasi.message()))
        assert httpx.get(f"{small.base}/healthz").status_code == 200
        assert httpx.get(f"{small.base}/readyz").status_code == 200
    assert small.imigrasi.post(small.imigrasi.message()).status_code == 202


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-slow: ", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /he"],
    ids=["nothing", "half a header", "half a second request"],
)
def test_headers_that_never_end_are_cut_off(small: Province, begun: bytes) -> None:
    """A connection whose headers do not come holds a place for `server.header_timeout`, no longer."""
    began = time.monotonic()
    with connected(small, begun) as slow:
        if begun.endswith(b"GET /he"):
            assert answer(slow).startswith(b"HTTP/1.1 200")
        assert slow.recv(1) == b""
    assert 0.9 < time.monotonic() - began < 5


def test_headers_without_an_end_in_bytes_are_refused(small: Province) -> None:
    """A header may not fill the memory: 431 long before its megabytes are there."""
    told = b""
    with connected(small, b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: ") as endless:
        sent = 0
        try:
            while sent < 64_000_000:
                endless.sendall(b"x" * 65_536)
                sent += 65_536
            told = endless.recv(1_000)
        except ConnectionError:
            pass
    assert sent < 16_000_000
    assert told == b"" or told.startswith(b"HTTP/1.1 431")
