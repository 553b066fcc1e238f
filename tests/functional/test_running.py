"""Running it: stopping, slow callers, an unwritable ledger, TLS, expiry, an agreement that ends."""

import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.keyring import signer_for
from gateway.operations.agency_keys import import_key, retire_key
from gateway.wiring import open_store
from tests.province import AGREEMENT, IMIGRASI, WARNING, Province, now
from tests.standing import standing, version


def test_a_graceful_stop_loses_nothing(new_province: Callable[..., Province]) -> None:
    """Every message that got an answer before or during the stop is there afterwards; the process exits 0."""
    province = new_province().start()
    answered: list[str] = []
    stopping = threading.Event()

    def send() -> None:
        while not stopping.is_set():
            try:
                response = province.imigrasi.post(province.imigrasi.message())
            except httpx.HTTPError:
                return
            if response.status_code == 202:
                answered.append(response.json()["transfer"])

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    until = time.monotonic() + 90
    while len(answered) <= 5:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert province.stop() == [0]
    stopping.set()
    for sender in senders:
        sender.join()
    province.start()
    delivered: set[str] = set()
    while items := province.polda.inbox():
        delivered |= {item["transfer"] for item in items}
        province.polda.acknowledge(*(province.polda.acknowledgement(item) for item in items))
    assert delivered == set(answered)


def test_slow_bodies_are_cut_off(new_province: Callable[..., Province]) -> None:
    """A body that trickles is answered 408 and does not hold up anybody else."""
    province = new_province(SINERGI_SERVER__BODY_TIMEOUT="1").start()
    with socket.create_connection(("127.0.0.1", province.port)) as slow:
        slow.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/sd-jwt\r\nContent-Length: 500\r\n\r\nabc"
        )
        assert province.imigrasi.post(province.imigrasi.message()).status_code == 202
        slow.settimeout(10)
        answer = b""
        while b"request.timeout" not in answer and (chunk := slow.recv(4096)):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"request.timeout" in answer


def test_nothing_is_accepted_while_the_ledger_cannot_be_written(new_province: Callable[..., Province]) -> None:
    """503 with Retry-After, no entry; the same bytes pass once the ledger can be written again."""
    province = new_province().start()
    before = province.sizes()
    message = province.imigrasi.message()
    with sqlite3.connect(province.directory / "sinergi.db", isolation_level=None) as hostile:
        hostile.execute("BEGIN EXCLUSIVE")
        response = province.imigrasi.post(message)
        hostile.execute("ROLLBACK")
    hostile.close()
    assert (response.status_code, response.json()["code"]) == (503, "store.unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert "receipt" not in response.json()
    assert province.sizes() == before
    assert province.imigrasi.post(message).status_code == 202


def test_an_undelivered_message_expires_and_is_recorded(new_province: Callable[..., Province]) -> None:
    """When `exp` passes undelivered the transfer is `expired`, for both sides and in the ledger; it is not handed out."""
    province = new_province().start()
    seconds = int(time.time())
    transfer = province.imigrasi.post(province.imigrasi.message(iat=seconds, exp=seconds + 2)).json()["transfer"]
    until = time.monotonic() + 90
    while time.monotonic() < until:
        status = province.imigrasi.get(f"/v1/transfers/{transfer}").json()["status"]
        if status == "expired":
            break
        time.sleep(0.05)
    assert status == "expired"
    assert province.polda.inbox() == []
    assert province.sizes()[AGREEMENT] == 3  # activation, acceptance, expiry


def test_an_agreement_that_ended_permits_nothing(new_province: Callable[..., Province]) -> None:
    """Beyond its term an agreement refuses with `agreement.inactive`, and the refusal is recorded."""
    province = new_province()
    over = (now() - timedelta(days=2)).date()
    with open_store(province.settings) as store:
        province.activate(store, version(2, standing().read_text(encoding="utf-8"), until=over))
    province.start()
    response = province.imigrasi.post(province.imigrasi.message())
    assert (response.status_code, response.json()["code"]) == (403, "agreement.inactive")
    assert "receipt" in response.json()


@pytest.mark.parametrize("window", ["future", "past", "retired"])
def test_a_key_counts_only_in_its_window(new_province: Callable[..., Province], window: str) -> None:
    """A key that is not valid yet, not any more, or retired is refused at the moment of receipt."""
    province = new_province()
    signer = signer_for(Ed25519PrivateKey.generate())
    first, last = {"future": (1, 2), "past": (-2, -1), "retired": (-1, 1)}[window]
    with open_store(province.settings) as store:
        import_key(
            store,
            IMIGRASI,
            signer.public.jwk,
            not_before=now() + timedelta(days=first),
            not_after=now() + timedelta(days=last),
            why="T-1",
            who="tester",
        )
        if window == "retired":
            retire_key(store, IMIGRASI, signer.kid, why="T-1", who="tester")
    province.start()
    response = province.imigrasi.post(province.imigrasi.message(WARNING, signer=signer))
    assert (response.status_code, response.json()["code"]) == (401, "key.not-valid")


def make_certificates(folder: Path) -> None:
    """A small authority, a server certificate and a client certificate, by OpenSSL."""
    run = lambda *command: subprocess.run(command, check=True, capture_output=True, cwd=folder)  # noqa: E731
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
        "-out", "ca.crt", "-subj", "/CN=Test CA", "-days", "2",
        # Python asks for it since 3.13, as RFC 5280 §4.2.1.3 does.
        "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        (folder / f"{name}.ext").write_text(f"{extension}\nauthorityKeyIdentifier=keyid")
        run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.crt", "-extfile", f"{name}.ext", "-days", "2")  # fmt: skip


def test_tls_can_require_a_client_certificate(new_province: Callable[..., Province], tmp_path: Path) -> None:
    """With `require_client_certificate` a caller without a certificate of the authority gets no answer at all."""
    make_certificates(tmp_path)
    province = new_province(
        SINERGI_SERVER__TLS_CERTIFICATE=str(tmp_path / "server.crt"),
        SINERGI_SERVER__TLS_KEY=str(tmp_path / "server.key"),
        SINERGI_SERVER__CLIENT_CA=str(tmp_path / "ca.crt"),
        SINERGI_SERVER__REQUIRE_CLIENT_CERTIFICATE="true",
    ).start(ready=False)
    base = f"https://127.0.0.1:{province.port}"
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    with_certificate = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    with_certificate.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
    until = time.monotonic() + 90
    with httpx.Client(verify=with_certificate) as known:
        while True:
            try:
                assert known.get(f"{base}/healthz").status_code == 200
                break
            except httpx.ConnectError:
                assert time.monotonic() < until, province.log()
                time.sleep(0.1)
    with httpx.Client(verify=trust) as stranger, pytest.raises(httpx.HTTPError):
        stranger.get(f"{base}/healthz")
