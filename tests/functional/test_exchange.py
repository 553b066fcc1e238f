"""What the gateway is for, over real HTTP between real processes: a message crosses, is signed for, and can be proven."""

import json
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gateway.jose import b64decode, b64encode
from gateway.ledger.entry import commitment
from gateway.ledger.proof import verify_proof
from gateway.ledger.source import HttpSource
from gateway.ledger.verify import audit
from gateway.message.disclosure import digest_of
from gateway.message.envelope import Case, parse, sd_hash, verify
from gateway.statements.receipt import read_gateway_receipt, read_release
from tests.province import AGREEMENT, GATEWAY, IMIGRASI, POLDA, QUERY, Province
from tests.published import entries, gateway_key, ledger_verifier

CASE = Case("LP", "LP/B/17/XI/2026/SPKT")


def test_an_early_warning_crosses_with_the_reporter_withheld(province: Province) -> None:
    """The recipient gets a message that verifies, without the reporter; both sides hold evidence; an auditor finds it."""
    province.drain()
    message = province.imigrasi.message()
    response = province.imigrasi.post(message)
    assert response.status_code == 202
    accepted = response.json()
    receipt = read_gateway_receipt(accepted["receipt"], gateway_key(province))
    assert (receipt.iss, receipt.aud, receipt.event, receipt.clause) == (GATEWAY, IMIGRASI, "accepted", "1")
    assert receipt.sd_hash == sd_hash(message)

    (item,) = province.polda.inbox()
    assert (item["transfer"], item["attempt"]) == (accepted["transfer"], 1)
    release = read_release(item["release"], gateway_key(province))
    assert release.sd_hash == sd_hash(item["message"])
    assert set(release.withheld) == {"/body/reporter", "/body/recruiter", "/body/narrative"}
    parsed = parse(item["message"].encode())
    verified = verify(parsed, province.imigrasi.signer.public, complete=False)
    assert verified.body["region_code"] == "36.04.08.2009"
    assert not {"reporter", "recruiter", "narrative"} & verified.body.keys()
    decoded = b"".join(b64decode(part, "part") for part in item["message"].replace("~", ".").split(".") if part)
    for secret in (b"WARGA-PP-07", b"+6281200000042", b"Bang Ucok", b"Karangantu"):
        assert secret not in decoded

    delivered, processed = province.polda.acknowledgement(item), province.polda.acknowledgement(item, "processed")
    results = province.polda.acknowledge(delivered, processed)
    assert [result["status"] for result in results] == ["recorded", "recorded"]
    assert [result["status"] for result in province.polda.acknowledge(delivered)] == ["duplicate"]
    assert province.polda.inbox() == []

    for agency in (province.imigrasi, province.polda):
        followed = agency.get(f"/v1/transfers/{accepted['transfer']}").json()
        assert followed["status"] == "processed"
        assert [held["event"] for held in followed["receipts"]] == ["accepted", "delivered", "processed"]

    origin, verifier = ledger_verifier(province)
    digest = b64decode(receipt.leaf_hash, "leaf hash")
    assert verify_proof(accepted["ledger"]["proof"], digest, origin, [verifier]).index == accepted["ledger"]["index"]
    with httpx.Client(base_url=f"{province.base}/ledger/{AGREEMENT}/") as client:
        report = audit(HttpSource(client), origin, [verifier])
        assert report.ok, report
    entry = entries(province)[accepted["ledger"]["index"]]
    assert entry["commitment"] == commitment(bytes.fromhex(release.commitment_key), parsed.jwt)
    assert not any(secret in json.dumps(entry) for secret in ("WARGA", "6281", "Ucok"))


def test_a_case_reference_releases_what_the_rule_names(province: Province) -> None:
    """With a case the recruiter and the narrative pass; the reporter never does."""
    province.drain()
    assert province.imigrasi.post(province.imigrasi.message(case=CASE)).status_code == 202
    (item,) = province.polda.inbox()
    verified = verify(parse(item["message"].encode()), province.imigrasi.signer.public, complete=False)
    assert verified.body["recruiter"]["alias"] == "Bang Ucok"
    assert "reporter" not in verified.body
    province.drain()


def test_an_identical_retry_gets_the_original_answer(province: Province) -> None:
    """The same bytes, or the same disclosures in another order, get the same body again and no second entry."""
    message = province.imigrasi.message()
    first = province.imigrasi.post(message)
    before = province.sizes()
    again = province.imigrasi.post(message)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    jwt, *disclosures = message.split("~")[:-1]
    shuffled = "~".join((jwt, *reversed(disclosures), ""))
    assert province.imigrasi.post(shuffled).json() == first.json()
    assert province.sizes() == before
    province.drain()


def test_a_recipient_cannot_fetch_the_senders_receipt(province: Province) -> None:
    """Whoever lacks the withheld disclosures gets no answer to a replay of what was released."""
    province.drain()
    assert province.imigrasi.post(province.imigrasi.message()).status_code == 202
    (item,) = province.polda.inbox()
    response = province.polda.post(item["message"])
    assert (response.status_code, response.json()["code"]) == (400, "envelope.malformed")
    province.drain()


def test_concurrent_twins_are_recorded_once(province: Province) -> None:
    """The same message from twenty connections at once: one 202, nineteen times the same answer again, one entry."""
    message = province.imigrasi.message()
    before = province.sizes()[AGREEMENT]
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda _: province.imigrasi.post(message), range(20)))
    assert sorted(response.status_code for response in responses) == [200] * 19 + [202]
    assert len({response.text for response in responses}) == 1
    assert province.sizes()[AGREEMENT] == before + 1
    province.drain()


def test_a_query_needs_a_case_and_is_answered_once(province: Province) -> None:
    """Refused without a case, permitted with one; its answer must name it, and only the first answer passes."""
    province.drain()
    refused = province.polda.post(province.polda.message(QUERY)).json()
    assert (refused["code"], refused["clause"], refused["decision"]) == ("rule.case-required", "1", "refused")
    asked = province.polda.post(province.polda.query())
    assert asked.status_code == 202
    (item,) = province.imigrasi.inbox()
    province.imigrasi.acknowledge(province.imigrasi.acknowledgement(item))
    answer = {
        "message_type": "border-crossing.response/1",
        "body": {"match_status": "NO_CROSSINGS"},
        "disclosable": (),
        "purpose": "INVESTIGATION",
        "in_reply_to": asked.json()["transfer"],
    }
    assert province.imigrasi.post(province.imigrasi.message(**answer)).status_code == 202
    second = province.imigrasi.post(province.imigrasi.message(**answer))
    assert (second.status_code, second.json()["code"]) == (403, "rule.condition")
    province.drain()


def test_of_answers_at_once_one_is_accepted(province: Province) -> None:
    """Four different answers to one open query, posted together: the relation is looked at again under the lock."""
    province.drain()
    asked = province.polda.post(province.polda.query()).json()["transfer"]
    answers = [
        province.imigrasi.message(
            "border-crossing.response/1",
            {"match_status": "NO_CROSSINGS"},
            disclosable=(),
            purpose="INVESTIGATION",
            in_reply_to=asked,
        )
        for _ in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(response.status_code for response in pool.map(province.imigrasi.post, answers))
    assert statuses == [202, 403, 403, 403]
    province.drain()


def test_the_twin_of_a_signature_is_the_same_message(province: Province) -> None:
    """(r, n - s) verifies too: whoever posts it gets the original answer, and no replay is held against the sender."""
    message = province.polda.query()
    first = province.polda.post(message)
    assert first.status_code == 202
    before = province.sizes()
    jwt, *rest = message.split("~")
    head, _, signature = jwt.rpartition(".")
    raw = b64decode(signature, "signature")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    twin = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    response = province.polda.post("~".join((f"{head}.{b64encode(twin)}", *rest)))
    assert (response.status_code, response.json()) == (200, first.json())
    garbage = province.polda.post("~".join((f"{head}.{b64encode(bytes(64))}", *rest)))
    assert (garbage.status_code, garbage.json()["code"]) == (401, "envelope.signature-invalid")
    assert province.sizes() == before
    province.drain()


def test_a_decision_can_be_asked_for_without_being_made(province: Province) -> None:
    """`POST /v1/decisions` says what a send would say and leaves no trace but the use of its token."""
    before = province.sizes()
    path = "/v1/decisions"

    def ask(message: str, agency: str = IMIGRASI) -> httpx.Response:
        caller = province.imigrasi if agency == IMIGRASI else province.polda
        headers = caller.token("POST", path) | {"content-type": "application/sd-jwt"}
        return httpx.post(province.base + path, content=message, headers=headers, timeout=10)

    permitted = ask(province.imigrasi.message()).json()
    assert (permitted["decision"], permitted["rule"], permitted["priority"]) == (
        "accepted",
        "early-warning-report",
        "urgent",
    )
    assert "/body/reporter" in permitted["withheld"]
    refused = ask(province.imigrasi.message(purpose="CAPACITY_BUILDING")).json()
    assert (refused["decision"], refused["reasons"][0]["code"]) == ("refused", "rule.purpose")
    other = ask(province.imigrasi.message(), POLDA)
    assert (other.status_code, other.json()["code"]) == (403, "access.denied")
    assert province.sizes() == before


def test_every_violation_is_told_at_once_and_no_value(province: Province) -> None:
    """A message with several faults gets all their pointers in one answer, and none of its values back."""
    marker = f"MARK{secrets.token_hex(6)}"
    body = {"severity": 77, "region_code": marker, "narrative": "x" * 4001, marker: marker}
    response = province.imigrasi.post(province.imigrasi.message(body=body, disclosable=("/body/narrative",)))
    assert response.status_code == 422
    pointers = {error["pointer"] for error in response.json()["errors"]}
    assert {"/body", "/body/severity", "/body/region_code", "/body/narrative"} <= pointers
    assert marker not in response.text
    assert marker not in province.log()


def test_long_poll_ends_when_a_message_arrives(province: Province) -> None:
    """A waiting recipient gets a message as soon as it is recorded, not at the end of its wait."""
    province.drain()
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        waiting = pool.submit(province.polda.inbox, 10, 20)
        time.sleep(0.5)
        assert province.imigrasi.post(province.imigrasi.message()).status_code == 202
        assert len(waiting.result()) == 1
        assert time.monotonic() - started < 15
    province.drain()


def test_a_long_poll_with_a_body_takes_nobodys_room(province: Province) -> None:
    """Whatever somebody sends along with a call that waits, the others' messages find room meanwhile."""
    province.drain()
    path = "/v1/inbox"
    answer = httpx.request(
        "GET",
        f"{province.base}{path}?wait=20",
        content=b"x" * 100_000,
        headers=province.polda.token("GET", path),
        timeout=10,
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "request.malformed"


def test_a_long_poll_whose_caller_left_takes_no_message(province: Province) -> None:
    """A recipient that is started anew gets its messages at once, not when the lease of its cut connection ends."""
    province.drain()
    path = "/v1/inbox"
    headers = {**province.polda.token("GET", path), "host": "gateway"}
    request = "\r\n".join((f"GET {path}?wait=20 HTTP/1.1", *map(": ".join, headers.items()), "\r\n")).encode()
    with socket.create_connection(("127.0.0.1", province.port)) as cut:
        cut.sendall(request)
        time.sleep(0.5)
    time.sleep(0.2)
    assert province.imigrasi.post(province.imigrasi.message()).status_code == 202
    (item,) = province.polda.inbox()
    assert item["attempt"] == 1
    province.drain()


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("id-ID,en;q=0.5", "Pesan tidak sesuai bentuk baku"),
        ("en", "The message is malformed"),
        ("fr", "The message is malformed"),
    ],
)
def test_problem_titles_speak_both_languages(province: Province, language: str, title: str) -> None:
    """Titles come in Indonesian or English, as the caller prefers; codes never change."""
    response = province.imigrasi.post("x", **{"accept-language": language})
    assert (response.json()["title"], response.json()["code"]) == (title, "envelope.malformed")


def test_disclosures_are_what_their_digests_say(province: Province) -> None:
    """What is released are the sender's own disclosures, byte for byte."""
    province.drain()
    message = province.imigrasi.message(case=CASE)
    assert province.imigrasi.post(message).status_code == 202
    (item,) = province.polda.inbox()
    assert set(item["message"].split("~")[1:-1]) < set(message.split("~")[1:-1])
    assert {digest_of(text) for text in item["message"].split("~")[1:-1]} <= {
        digest_of(text) for text in message.split("~")[1:-1]
    }
    province.drain()
