"""The outbound client: an endpoint's URL, name server and answers are in somebody else's hands."""

import asyncio
import gzip
import ipaddress
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import respx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.outbound import ANSWER_LIMIT, Answer, DeliveryFailed, Outbound, permitted
from gateway.errors import EndpointForbiddenError
from gateway.keys.directory import Endpoint, parse_endpoint
from tests.delivery.recipient import Push, Recipient, Reply

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
URL = "https://polda.test/push"
ALLOWED = ("203.0.113.0/28", "2001:db8:1::/48")
pytestmark = pytest.mark.anyio
MakeOutbound = Callable[..., Outbound]


def endpoint(url: str = URL, networks: Sequence[str] = ALLOWED, ca_file: Path | None = None) -> Endpoint:
    return parse_endpoint(url, networks, None if ca_file is None else str(ca_file))


@pytest.fixture
async def outbound() -> AsyncIterator[MakeOutbound]:
    """Makes a client whose name server answers with the given addresses."""
    made: list[Outbound] = []

    def make(*addresses: str, timeout: float = 5.0) -> Outbound:
        made.append(Outbound(timeout=timeout, clock=lambda: NOW, resolve=lambda _host, _port: addresses))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["169.254.169.254"],
        ["203.0.113.5", "10.0.0.1"],
        ["10.0.0.1", "203.0.113.5"],
        ["203.0.113.16"],
        ["2001:db8:2::1"],
        ["::ffff:127.0.0.1"],
        ["::ffff:10.0.0.1", "203.0.113.5"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%eth0"],
        ["not-an-address"],
    ],
)
@pytest.mark.respx(assert_all_called=False)
async def test_one_address_outside_the_allow_list_refuses_them_all(
    outbound: MakeOutbound, addresses: list[str], respx_mock: respx.MockRouter
) -> None:
    """A name that also resolves to our own network is not called at its good address either."""
    route = respx_mock.route().respond(200)
    with pytest.raises(EndpointForbiddenError):
        await outbound(*addresses).push(endpoint(), b"{}", "token")
    assert not route.called


@pytest.mark.parametrize("networks", [[], ["::/0"]])
def test_an_allow_list_names_ipv4_by_ipv4(networks: list[str]) -> None:
    """An empty list allows nothing, and all of IPv6 does not include IPv4 in IPv6 clothing."""
    for address in ("203.0.113.5", "::ffff:203.0.113.5"):
        with pytest.raises(EndpointForbiddenError):
            permitted(endpoint(networks=networks), [address])


def test_ipv4_in_ipv6_clothing_is_called_as_ipv4() -> None:
    """What was checked and what is connected to are the same value."""
    addresses = permitted(endpoint(), ["::ffff:203.0.113.5", "203.0.113.5", "2001:db8:1::7"])
    assert [str(address) for address in addresses] == ["203.0.113.5", "2001:db8:1::7"]


@given(st.lists(st.ip_addresses(), min_size=1, max_size=5))
def test_nothing_outside_the_allow_list_is_ever_permitted(resolved: list[ipaddress.IPv4Address]) -> None:
    """Every permitted address lies in a network that the operator named."""
    networks = [ipaddress.ip_network(network) for network in ("0.0.0.0/2", "2001::/16")]
    named = endpoint(networks=[str(network) for network in networks])
    try:
        addresses = permitted(named, map(str, resolved))
    except EndpointForbiddenError:
        return
    assert addresses
    assert all(any(address in network for network in networks) for address in addresses)


async def test_the_checked_address_is_called_under_the_endpoints_name(
    outbound: MakeOutbound, respx_mock: respx.MockRouter
) -> None:
    """The URL holds the very address that was checked; Host and SNI are the name; the token goes along."""
    route = respx_mock.post("https://203.0.113.5:8443/push").respond(200, content=b"{}")
    answer = await outbound("203.0.113.5").push(endpoint("https://polda.test:8443/push"), b'{"items":[]}', "a.b.c")
    assert answer == Answer(b"{}")
    request = route.calls.last.request
    assert request.headers["host"] == "polda.test:8443"
    assert request.extensions["sni_hostname"] == "polda.test"
    assert request.headers["authorization"] == "Bearer a.b.c"
    assert request.headers["accept-encoding"] == "identity"
    assert request.content == b'{"items":[]}'


async def test_an_ipv6_address_is_called_in_brackets(outbound: MakeOutbound, respx_mock: respx.MockRouter) -> None:
    """IPv6 recipients are recipients too."""
    route = respx_mock.post("https://[2001:db8:1::7]/push").respond(200)
    assert await outbound("2001:db8:1::7").push(endpoint(), b"{}", "token") == Answer(b"")
    assert route.called


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.respx(assert_all_called=False)
async def test_no_redirect_is_followed(outbound: MakeOutbound, status: int, respx_mock: respx.MockRouter) -> None:
    """A redirect could lead to the metadata service with our token in hand; it is a failure."""
    respx_mock.post("https://203.0.113.5/push").respond(status, headers={"Location": "http://169.254.169.254/"})
    elsewhere = respx_mock.route(host="169.254.169.254").respond(200)
    assert await outbound("203.0.113.5").push(endpoint(), b"{}", "token") == DeliveryFailed("status", status)
    assert not elsewhere.called


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (503, "120", 120.0),
        (429, "Mon, 23 Nov 2026 08:01:00 GMT", 60.0),
        (503, "whenever", None),
        (500, "120", None),
        (410, None, None),
        (199 + 5, None, None),
    ],
)
async def test_what_an_answer_says_reaches_the_caller(
    outbound: MakeOutbound, status: int, header: str | None, expected: float | None, respx_mock: respx.MockRouter
) -> None:
    """2xx alone is success; Retry-After counts with 429 and 503."""
    headers = {} if header is None else {"Retry-After": header}
    respx_mock.post("https://203.0.113.5/push").respond(status, headers=headers)
    outcome = await outbound("203.0.113.5").push(endpoint(), b"{}", "token")
    assert outcome == (Answer(b"") if status == 204 else DeliveryFailed("status", status, expected))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), "connection"),
        (httpx.ConnectTimeout("slow"), "timeout"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.ReadError("reset"), "broken-off"),
        (httpx.RemoteProtocolError("junk"), "broken-off"),
    ],
)
async def test_a_broken_connection_is_a_failure_with_a_name(
    outbound: MakeOutbound, error: Exception, kind: str, respx_mock: respx.MockRouter
) -> None:
    """No exception of the library leaves the client."""
    respx_mock.post("https://203.0.113.5/push").mock(side_effect=error)
    assert await outbound("203.0.113.5").push(endpoint(), b"{}", "token") == DeliveryFailed(kind)


async def test_a_host_that_refuses_at_one_address_is_called_at_its_next(
    outbound: MakeOutbound, respx_mock: respx.MockRouter
) -> None:
    """Where nothing was sent, the other address of the name may still work."""
    respx_mock.post("https://203.0.113.5/push").mock(side_effect=httpx.ConnectError("refused"))
    respx_mock.post("https://203.0.113.6/push").respond(200)
    assert await outbound("203.0.113.5", "203.0.113.6").push(endpoint(), b"{}", "token") == Answer(b"")


@pytest.mark.respx(assert_all_called=False)
async def test_a_page_that_may_have_arrived_is_not_sent_to_the_next_address(
    outbound: MakeOutbound, respx_mock: respx.MockRouter
) -> None:
    """After the first byte it is unknown what the recipient has; only the schedule sends it again."""
    respx_mock.post("https://203.0.113.5/push").mock(side_effect=httpx.ReadError("reset"))
    other = respx_mock.post("https://203.0.113.6/push").respond(200)
    outcome = await outbound("203.0.113.5", "203.0.113.6").push(endpoint(), b"{}", "token")
    assert outcome == DeliveryFailed("broken-off")
    assert not other.called


@pytest.mark.parametrize("size", [ANSWER_LIMIT, ANSWER_LIMIT + 1])
async def test_an_answer_has_a_size(outbound: MakeOutbound, size: int, respx_mock: respx.MockRouter) -> None:
    """A recipient cannot fill our memory."""
    respx_mock.post("https://203.0.113.5/push").respond(200, content=b" " * size)
    outcome = await outbound("203.0.113.5").push(endpoint(), b"{}", "token")
    expected = Answer(b" " * size) if size <= ANSWER_LIMIT else DeliveryFailed("answer-too-large")
    assert outcome == expected


async def test_a_compressed_answer_is_not_opened(outbound: MakeOutbound, respx_mock: respx.MockRouter) -> None:
    """A small answer that unpacks to gigabytes is refused unread."""
    bomb = gzip.compress(b"0" * 10_000_000)
    respx_mock.post("https://203.0.113.5/push").respond(200, content=bomb, headers={"Content-Encoding": "gzip"})
    assert await outbound("203.0.113.5").push(endpoint(), b"{}", "token") == DeliveryFailed("answer-encoded")


async def test_a_cookie_is_not_kept(outbound: MakeOutbound, respx_mock: respx.MockRouter) -> None:
    """A recipient cannot make us carry anything from one push to the next."""
    route = respx_mock.post("https://203.0.113.5/push").respond(200, headers={"Set-Cookie": "a=b; Path=/"})
    client = outbound("203.0.113.5")
    for _ in range(2):
        await client.push(endpoint(), b"{}", "token")
    assert "cookie" not in route.calls.last.request.headers


async def test_a_name_that_does_not_resolve_is_a_failure() -> None:
    """A name server's outage is the recipient's outage."""

    def fails(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    client = Outbound(timeout=5, clock=lambda: NOW, resolve=fails)
    assert await client.push(endpoint(), b"{}", "token") == DeliveryFailed("dns")
    await client.close()


async def test_a_name_server_that_hangs_costs_no_more_than_the_timeout() -> None:
    """The whole push is bounded, resolving included."""
    released = threading.Event()

    def hangs(_host: str, _port: int) -> Sequence[str]:
        released.wait(10)
        return ()

    client = Outbound(timeout=0.05, clock=lambda: NOW, resolve=hangs)
    assert await client.push(endpoint(), b"{}", "token") == DeliveryFailed("timeout")
    released.set()
    await client.close()


async def test_one_agency_s_name_server_that_hangs_does_not_silence_the_others(respx_mock: respx.MockRouter) -> None:
    """Notices to all liaisons share a client: however many go to one that does not resolve, the next one is told."""
    respx_mock.route(host="203.0.113.5").respond(200)
    released = threading.Event()

    def resolve(host: str, _port: int) -> Sequence[str]:
        if host == "hangs.test":
            released.wait(10)
        return ["203.0.113.5"]

    client = Outbound(timeout=0.5, clock=lambda: NOW, resolve=resolve)
    hanging = endpoint("https://hangs.test/push")
    calls = [asyncio.create_task(client.push(hanging, b"{}", "token")) for _ in range(40)]
    await asyncio.sleep(0.05)
    assert isinstance(await client.push(endpoint(), b"{}", "token"), Answer)
    assert await asyncio.gather(*calls) == [DeliveryFailed("timeout")] * 40
    assert isinstance(await client.push(endpoint(), b"{}", "token"), Answer)
    released.set()
    await client.close()


class Crumbling(Recipient):
    """Answers without end, each byte a chunk of its own."""

    async def write(self, writer: asyncio.StreamWriter, _data: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\n \r\n" * 4_000)
            await writer.drain()


async def test_an_answer_in_crumbs_does_not_keep_the_gateway_busy(outbound: MakeOutbound) -> None:
    """A chunk costs the event loop the same whatever is in it: a megabyte of them would be half a minute of everybody's time."""
    server = Crumbling(_nothing)
    here = endpoint(f"http://polda.test:{await server.start()}/push", ["127.0.0.1"])
    assert await outbound("127.0.0.1", timeout=5).push(here, b"{}", "token") == DeliveryFailed("answer-too-large")
    await server.stop()


class Dripping(Recipient):
    """Sends a byte now and then."""

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for byte in data:
            await super().write(writer, bytes([byte]))
            await asyncio.sleep(0.01)


async def test_a_recipient_that_drips_is_cut_off(outbound: MakeOutbound) -> None:
    """A byte now and then does not extend the time: the bound is on the whole push."""
    server = Dripping(_nothing)
    here = endpoint(f"http://polda.test:{await server.start()}/push", ["127.0.0.1"])
    assert await outbound("127.0.0.1", timeout=0.2).push(here, b"{}", "token") == DeliveryFailed("timeout")
    await server.stop()


async def test_the_environments_proxy_is_not_used(outbound: MakeOutbound, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets HTTP_PROXY does not get the messages."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server = Recipient(_nothing)
    here = endpoint(f"http://polda.test:{await server.start()}/push", ["127.0.0.1"])
    assert await outbound("127.0.0.1").push(here, b"{}", "token") == Answer(b"")
    await server.stop()


async def test_a_connection_is_kept_for_the_next_page(outbound: MakeOutbound) -> None:
    """Two pages, one connection."""
    server = Recipient(_nothing)
    here = endpoint(f"http://polda.test:{await server.start()}/push", ["127.0.0.1"])
    client = outbound("127.0.0.1")
    for _ in range(3):
        assert await client.push(here, b"{}", "token") == Answer(b"")
    assert (len(server.pushes), server.connections) == (3, 1)
    assert server.pushes[0].headers["host"] == here.url.split("/")[2]
    await server.stop()


@pytest.fixture
async def tls_recipient(authority: "Authority") -> AsyncIterator[tuple[Recipient, int]]:
    server = Recipient(_nothing)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate_for("polda.test"))
    port = await server.start(context)
    yield server, port
    await server.stop()


async def test_a_certificate_of_the_pinned_authority_for_this_name_is_accepted(
    outbound: MakeOutbound, tls_recipient: tuple[Recipient, int], authority: "Authority"
) -> None:
    """The connection goes to an address, the certificate is checked for the name."""
    server, port = tls_recipient
    here = endpoint(f"https://polda.test:{port}/push", ["127.0.0.1"], authority.file)
    assert await outbound("127.0.0.1").push(here, b"{}", "token") == Answer(b"")
    assert len(server.pushes) == 1


@pytest.mark.parametrize(("name", "pinned"), [("other.test", True), ("polda.test", False), ("127.0.0.1", True)])
async def test_another_name_or_another_authority_is_refused(
    outbound: MakeOutbound, tls_recipient: tuple[Recipient, int], authority: "Authority", name: str, pinned: bool
) -> None:
    """Nothing is sent to a server that cannot prove the endpoint's name to the pinned authority."""
    server, port = tls_recipient
    here = endpoint(f"https://{name}:{port}/push", ["127.0.0.1"], authority.file if pinned else None)
    assert await outbound("127.0.0.1").push(here, b"{}", "token") == DeliveryFailed("tls")
    assert server.pushes == []


async def test_an_authority_file_that_is_missing_forbids_the_endpoint(outbound: MakeOutbound, tmp_path: Path) -> None:
    """A pin that cannot be read is never replaced by the system's authorities."""
    with pytest.raises(EndpointForbiddenError):
        await outbound("203.0.113.5").push(endpoint(ca_file=tmp_path / "none.pem"), b"{}", "token")


async def test_session_keys_are_not_logged_where_the_environment_says(
    outbound: MakeOutbound,
    tls_recipient: tuple[Recipient, int],
    authority: "Authority",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SSLKEYLOGFILE does not open our connections to whoever can set it."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    here = endpoint(f"https://polda.test:{tls_recipient[1]}/push", ["127.0.0.1"], authority.file)
    assert await outbound("127.0.0.1").push(here, b"{}", "token") == Answer(b"")
    assert not (tmp_path / "keys.log").exists()


async def _nothing(_push: Push) -> Reply:
    return Reply()


class Authority:
    """A certificate authority for one test run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.file = folder / "ca.pem"
        certificate = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(True, 0), critical=True)
        signed = certificate.sign(self.key, hashes.SHA256())
        self.file.write_bytes(signed.public_bytes(Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def certificate_for(self, name: str) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = (
            self._builder(subject, key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        file = self.folder / f"{name}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + signed.public_bytes(Encoding.PEM))
        return file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
