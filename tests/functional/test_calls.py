"""Request tokens, auditors, and the calls around a message: who may do what, and what is written down of it."""

import json
import secrets
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.keyring import signer_for
from gateway.message.envelope import Case
from tests.province import AGREEMENT, POLDA, QUERY, Province, example, now
from tests.published import entries


def inbox_with(province: Province, headers: dict[str, str], path: str = "/v1/inbox") -> httpx.Response:
    return httpx.get(province.base + path, headers=headers, timeout=10)


@pytest.mark.parametrize(
    ("name", "changes", "status", "code"),
    [
        ("no token", None, 401, "token.missing"),
        ("another method", {"method": "POST"}, 401, "token.wrong-request"),
        ("another path", {"path": "/v1/acknowledgements"}, 401, "token.wrong-request"),
        ("another gateway", {"aud": "sinergi-jabar"}, 401, "token.invalid"),
        ("expired", {"late": timedelta(minutes=-10)}, 401, "token.expired"),
        ("from the future", {"late": timedelta(minutes=10)}, 401, "token.invalid"),
        ("a stranger's key", {"signer": signer_for(Ed25519PrivateKey.generate())}, 401, "key.unknown"),
        ("another agency's name", {"iss": "imigrasi-banten"}, 401, "key.unknown"),
    ],
)
def test_a_request_token_is_for_one_request(
    province: Province, name: str, changes: dict[str, Any] | None, status: int, code: str
) -> None:
    """A token that is missing, late, somebody else's or for another request opens nothing."""
    headers: dict[str, str] = {}
    if changes is not None:
        rest = dict(changes)
        rest["now"] = now() + rest.pop("late", timedelta())
        headers = province.polda.token(rest.pop("method", "GET"), rest.pop("path", "/v1/inbox"), **rest)
    response = inbox_with(province, headers)
    assert (response.status_code, response.json()["code"]) == (status, code), name


def test_a_request_token_counts_once(province: Province) -> None:
    """The second use of a token is refused."""
    headers = province.polda.token("GET", "/v1/inbox")
    assert inbox_with(province, headers).status_code == 200
    assert inbox_with(province, headers).json()["code"] == "token.replayed"


def test_the_host_header_decides_nothing(province: Province) -> None:
    """A token for a URL made from a forged Host header is refused: the configured public URL counts."""
    headers = province.polda.token("GET", "/v1/inbox") | {"host": "evil.example"}
    assert inbox_with(province, headers).status_code == 200
    from gateway.statements.request_token import sign_request_token

    token = sign_request_token(
        province.polda.signer, POLDA, "sinergi-banten", "GET", "http://evil.example/v1/inbox", now()
    )
    response = inbox_with(province, {"authorization": f"Bearer {token}", "host": "evil.example"})
    assert response.json()["code"] == "token.wrong-request"


def test_lying_acknowledgements_are_refused_one_by_one(province: Province) -> None:
    """A receipt for another hash, another agency's transfer or by another key is refused; honest ones beside it count."""
    province.drain()
    for _ in range(2):
        assert province.imigrasi.post(province.imigrasi.message()).status_code == 202
    first, second = province.polda.inbox()
    honest = province.polda.acknowledgement(first)
    wrong_hash = province.polda.acknowledgement(second, sd_hash="A" * 43)
    unknown = province.polda.acknowledgement(second, transfer="019a9c5e-7a10-7cc3-8a2e-0d6f6f1b2c3d")
    foreign = province.imigrasi.acknowledgement(second)
    results = province.polda.acknowledge(honest, wrong_hash, unknown, foreign, "junk")
    assert [result["status"] for result in results] == ["recorded", *["refused"] * 4]
    assert all("index" not in result for result in results[1:])
    by_sender = province.imigrasi.acknowledge(province.imigrasi.acknowledgement(second))
    assert by_sender[0]["status"] == "refused"
    province.drain()


def test_auditors_find_a_transfer_by_every_filter(province: Province) -> None:
    """Every filter of the contract finds the transfer it describes and leaves others out."""
    case = Case("LP", "LP/B/4242/XI/2026/SPKT")
    since = now() - timedelta(seconds=5)
    sent = province.polda.post(province.polda.query(case=case)).json()["transfer"]
    refused = province.polda.post(province.polda.message(QUERY)).json()["transfer"]

    def found(**filters: Any) -> set[str]:
        response = province.audit("/v1/transfers", **({"from": since.isoformat(), "limit": 200} | filters))
        assert response.status_code == 200, response.text
        return {item["transfer"] for item in response.json()["items"]}

    for filters in (
        {"type": QUERY},
        {"sender": "polda-banten"},
        {"recipient": "imigrasi-banten"},
        {"decision": "accepted"},
        {"case": case.number},
    ):
        assert sent in found(**filters), filters
    assert found(case=case.number) == {sent}
    assert refused in found(code="rule.case-required")
    assert sent not in found(code="rule.case-required")
    assert refused in found(clause="1", decision="refused")
    assert found(to=since.isoformat(), **{"from": (since - timedelta(seconds=1)).isoformat()}).isdisjoint(
        {sent, refused}
    )
    province.drain()


def test_pages_end_and_lose_nothing(province: Province) -> None:
    """Following `next` until null shows every transfer once."""
    since = now()
    sent = {province.imigrasi.post(province.imigrasi.message()).json()["transfer"] for _ in range(7)}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = province.audit("/v1/transfers", limit=3, **{"from": since.isoformat()}, **cursor).json()
        seen += [item["transfer"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len(seen) == len(set(seen))
    assert sent <= set(seen)
    province.drain()


def test_a_person_is_found_by_identifier_and_only_by_the_dpo(province: Province) -> None:
    """The data-protection officer finds a document, under a wrong state too; an auditor may not; no URL, log or entry has it."""
    number = f"X{secrets.randbelow(10**7):07}"
    body = example(QUERY, "valid-by-passport")
    body["subject"]["travel_documents"][0]["number"] = number
    sent = province.polda.post(province.polda.query(body=body)).json()["transfer"]
    subject = {"subject": {"kind": "travel-document", "value": f"IDN{number}"}, "limit": 200}
    assert province.audit("/v1/transfers/search", json_body=subject).json()["code"] == "access.denied"
    items = province.audit("/v1/transfers/search", dpo=True, json_body=subject).json()["items"]
    assert sent in {item["transfer"] for item in items}
    body["subject"]["travel_documents"][0]["issuing_state"] = "MYS"
    hidden = province.polda.post(province.polda.query(body=body)).json()["transfer"]
    for kind, value, shown in (
        ("travel-document", f"IDN{number}", {sent}),
        ("document-number", number, {sent, hidden}),
    ):
        asked = {"subject": {"kind": kind, "value": value}, "limit": 200}
        items = province.audit("/v1/transfers/search", dpo=True, json_body=asked).json()["items"]
        assert {item["transfer"] for item in items} == shown
    other = {"subject": {"kind": "travel-document", "value": "IDNZ9999999"}}
    assert province.audit("/v1/transfers/search", dpo=True, json_body=other).json()["items"] == []
    assert number not in province.log()
    province.drain()


def test_every_audit_read_is_itself_recorded(province: Province) -> None:
    """Each search and each look at a transfer is an entry of the gateway's own ledger before it is answered."""
    transfer = province.imigrasi.post(province.imigrasi.message()).json()["transfer"]
    before = province.sizes()["gateway"]
    assert province.audit("/v1/transfers", sender="imigrasi-banten").status_code == 200
    shown = province.audit(f"/v1/transfers/{transfer}").json()
    assert province.sizes()["gateway"] == before + 2
    assert shown["claims"]["purpose"] == "EARLY_WARNING"
    assert "body" not in shown["claims"]
    assert "WARGA" not in json.dumps(shown)
    province.drain()


def test_nobody_else_sees_a_transfer(province: Province) -> None:
    """A recipient does not see what was refused to it; a wrong token sees nothing."""
    refused = province.imigrasi.post(province.imigrasi.message(purpose="CAPACITY_BUILDING")).json()["transfer"]
    assert province.polda.get(f"/v1/transfers/{refused}").status_code == 404
    assert province.imigrasi.get(f"/v1/transfers/{refused}").json()["status"] == "refused"
    assert httpx.get(f"{province.base}/v1/transfers/{refused}", timeout=10).json()["code"] == "token.missing"
    wrong = {"authorization": "Bearer wrong"}
    assert httpx.get(f"{province.base}/v1/transfers", headers=wrong, timeout=10).json()["code"] == "token.invalid"


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"},
        {"limit": "x"},
        {"from": "yesterday"},
        {"decision": "maybe"},
        {"cursor": "1"},
        {"nik": "3604"},
        {"type": "a\x00b"},
    ],
)
def test_bad_search_parameters_are_named_not_repeated(province: Province, params: dict[str, str]) -> None:
    """A parameter that is not valid gets 400 and its place, never an internal error."""
    response = province.audit("/v1/transfers", **params)
    assert (response.status_code, response.json()["code"]) == (400, "request.malformed")


def test_what_anyone_may_know_is_published(province: Province) -> None:
    """Keys, types, agreement and OpenAPI are there without a token, and say the same as the files."""
    get = lambda path: httpx.get(province.base + path, timeout=10)  # noqa: E731
    known = get("/.well-known/sinergi-gateway").json()
    assert known["gateway"] == "sinergi-banten"
    assert known["limits"]["message_bytes"] == 1_048_576
    (key,) = get("/v1/agencies/polda-banten/jwks.json").json()["keys"]
    assert (key["kid"], key["status"]) == (province.polda.signer.kid, "active")
    assert {item["type"] for item in get("/v1/message-types").json()["items"]} >= {QUERY}
    one = get(f"/v1/message-types/{QUERY}").json()
    assert "subject" in one["schema"]["required"]
    assert "subject" not in one["release_schema"].get("required", [])
    agreement = get(f"/v1/agreements/{AGREEMENT}").json()
    assert len(agreement["signatures"]) == 2
    document = get("/openapi.json").json()
    assert {"/v1/messages", "/v1/inbox", "/v1/transfers"} <= document["paths"].keys()
    assert get("/v1/agencies/nobody/jwks.json").json()["code"] == "request.not-found"
    assert get("/nowhere").json()["code"] == "request.not-found"
    assert httpx.delete(f"{province.base}/v1/messages", timeout=10).json()["code"] == "request.method"


def test_operations_endpoints_tell_the_truth(province: Province) -> None:
    """Health, readiness and metrics answer; metrics count messages and name no one."""
    assert httpx.get(f"{province.base}/healthz", timeout=10).status_code == 200
    assert httpx.get(f"{province.base}/readyz", timeout=10).json()["status"] == "ready"
    province.imigrasi.post(province.imigrasi.message())
    text = httpx.get(f"{province.base}/metrics", timeout=10).text
    assert 'sinergi_messages_total{decision="accepted"}' in text
    assert f'sinergi_ledger_entries{{ledger="{AGREEMENT}"}}' in text
    province.drain()


def test_an_entry_holds_codes_and_nothing_else(province: Province) -> None:
    """The entry of a refusal has its codes and pointers, not what the message claimed."""
    response = province.imigrasi.post(province.imigrasi.message(aud="si-budi-3604081503990001", purpose="RAHASIA_BUDI"))
    entry = entries(province)[response.json()["ledger"]["index"]]
    assert entry["kind"] == "transfer.refused"
    assert "budi" not in json.dumps(entry).lower()


@pytest.mark.parametrize(
    "path", ["/ledger/a%00b/checkpoint", "/ledger/%FF/tile/0/000", "/ledger/gateway/tile/63/x999/x999/999"]
)
def test_odd_ledger_paths_are_not_found(province: Province, path: str) -> None:
    """A name or a tile that cannot be is 404, whatever the database would say to it."""
    response = httpx.get(province.base + path, timeout=10)
    assert (response.status_code, response.json()["code"]) == (404, "request.not-found")
