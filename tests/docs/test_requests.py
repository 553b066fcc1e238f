"""The table of bad requests on the page of errors, asked of a running gateway, row by row."""

import json
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import CODES
from gateway.keyring import signer_for
from scripts.docs.errors import REQUESTS
from tests.province import Province, now

Ask = Callable[[Province], httpx.Response]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    """A gateway that gives up on a slow body soon."""
    made = Province(tmp_path_factory.mktemp("requests") / "gateway", extra={"SINERGI_SERVER__BODY_TIMEOUT": "0.5"})
    made.found().start()
    yield made
    made.kill()


def get(province: Province, path: str, headers: dict[str, str] | None = None, **params: object) -> httpx.Response:
    return httpx.get(province.base + path, params={**params}, headers=headers or {}, timeout=30)


def post(
    province: Province, path: str, content: str, kind: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    return httpx.post(
        province.base + path, content=content, headers={"content-type": kind} | (headers or {}), timeout=30
    )


def slow(province: Province) -> httpx.Response:
    """A body that is announced and does not come."""
    place = urlsplit(province.base)
    assert place.hostname is not None
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        line.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/sd-jwt\r\nContent-Length: 10\r\n\r\ne"
        )
        answer = b""
        while chunk := line.recv(65536):
            answer += chunk
            head, _, body = answer.partition(b"\r\n\r\n")
            if body.endswith(b"}"):
                break
    return httpx.Response(int(head.split()[1]), content=body)


def twice(province: Province) -> httpx.Response:
    token = province.polda.token("GET", "/v1/inbox")
    assert get(province, "/v1/inbox", token).status_code == 200
    return get(province, "/v1/inbox", token)


def acknowledgements(province: Province, content: str) -> httpx.Response:
    path = "/v1/acknowledgements"
    return post(province, path, content, "application/json", province.polda.token("POST", path))


def anothers(province: Province) -> httpx.Response:
    path = "/v1/decisions"
    message = province.imigrasi.message()
    return post(province, path, message, "application/sd-jwt", province.polda.token("POST", path))


def refused_for_its_recipient(province: Province) -> httpx.Response:
    refused = province.imigrasi.post(province.imigrasi.message(disclosable=()))
    path = f"/v1/transfers/{refused.json()['transfer']}"
    assert get(province, path, province.imigrasi.token("GET", path)).status_code == 200
    return get(province, path, province.polda.token("GET", path))


def stranger(province: Province) -> httpx.Response:
    signer = signer_for(Ed25519PrivateKey.generate())
    return get(province, "/v1/inbox", province.polda.token("GET", "/v1/inbox", signer=signer))


def old(province: Province) -> httpx.Response:
    return get(province, "/v1/inbox", province.polda.token("GET", "/v1/inbox", now=now() - timedelta(minutes=5)))


ASKED: dict[str, Ask] = {
    "every call but `POST /v1/messages` and the public ones, without a token": lambda p: get(p, "/v1/inbox"),
    "a token whose signature, audience or form is wrong": lambda p: get(
        p, "/v1/inbox", p.polda.token("GET", "/v1/inbox", aud="another-gateway")
    ),
    "a token signed with an unknown, ended or revoked key": stranger,
    "a token older than its 60 seconds": old,
    "the same token a second time, on any node": twice,
    "a token for another method or URL": lambda p: get(p, "/v1/inbox", p.polda.token("POST", "/v1/acknowledgements")),
    "a body that is not `application/sd-jwt`": lambda p: post(
        p, "/v1/messages", p.imigrasi.message(), "application/json"
    ),
    "a body that arrives too slowly": slow,
    "another agency's message": anothers,
    "`limit` over 100, `wait` over 60": lambda p: p.polda.get("/v1/inbox", limit=101),
    "more than 100 receipts, or none": lambda p: acknowledgements(p, json.dumps({"acknowledgements": []})),
    "a body that is not a JSON object": lambda p: acknowledgements(p, "[]"),
    "a `cursor` that is no transfer id, a time without offset": lambda p: p.audit(
        "/v1/transfers", **{"from": "2026-11-23T00:00:00"}
    ),
    "an unknown, revoked or misspelt auditor's token": lambda p: get(
        p, "/v1/transfers", {"authorization": "Bearer nobody"}
    ),
    "`subject` without the role `dpo`": lambda p: p.audit(
        "/v1/transfers/search", json_body={"subject": {"kind": "nik", "value": "3604010101010001"}}
    ),
    "another agency's transfer, a refused one for its recipient": refused_for_its_recipient,
    "an unknown agency, type, agreement or ledger, a tile beyond the end": lambda p: get(
        p, "/ledger/gateway/tile/0/x001/000"
    ),
    "a path with another method": lambda p: get(p, "/v1/messages"),
}


@pytest.mark.parametrize("row", REQUESTS, ids=lambda row: row[0])
def test_a_bad_request_gets_what_the_page_says(running: Province, row: tuple[str, str, str]) -> None:
    """Status and code are those of the page."""
    what, _, code = row
    if what not in ASKED:
        # Faults and overload are the functional tests' business.
        assert code in ("store.unavailable", "gateway.busy", "keyring.away")
        return
    answer = ASKED[what](running)
    assert (answer.status_code, answer.json()["code"]) == (CODES[code].status, code)
