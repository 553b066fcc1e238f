"""An agency's endpoint takes pushes from its gateway, once each, and from nobody else."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from gateway.client import GatewayClient
from gateway.endpoint import AgencyEndpoint, Answer, MemorySeen, Received
from tests.client.agencies import Agency
from tests.client.simulator import GATEWAY, NOW, PUSH_URL, RECIPIENT, SENDER, Gateway, ed25519, jwks


@pytest.fixture
def simulated() -> Gateway:
    return Gateway()


@pytest.fixture
def agency(simulated: Gateway) -> Agency:
    return Agency(simulated)


def test_a_push_is_handled_and_signed_for(simulated: Gateway, agency: Agency) -> None:
    """Each item goes to the handler once; what it answers is what the receipt says."""
    answers = iter([None, "processed", Answer("rejected", ("NOT_OURS",))])
    agency.answer = lambda _: next(answers)
    items = [simulated.deliverable() for _ in range(3)]
    response = agency.push(*items)
    events = ["delivered", "processed", "rejected"]
    assert agency.receipts(response) == list(zip([item["transfer"] for item in items], events, strict=True))
    assert response.headers["cache-control"] == "no-store"


def test_a_duplicate_is_signed_for_again_without_the_handler(simulated: Gateway, agency: Agency) -> None:
    """An answer lost on the way costs a second receipt, not a second police report."""
    item = simulated.deliverable()
    agency.answer = lambda _: "processed"
    first = agency.receipts(agency.push(item))
    assert agency.receipts(agency.push(item | {"attempt": 2})) == first
    assert agency.handled == [item["transfer"]]


def test_a_handler_that_fails_gets_the_item_again(simulated: Gateway, agency: Agency) -> None:
    """An exception costs that item its receipt, and no other; the next push tries again."""
    good, bad = simulated.deliverable(), simulated.deliverable()

    def answer(received: Received) -> None:
        if received.transfer == bad["transfer"] and len(agency.handled) < 3:
            raise OSError("the agency's own database is away")

    agency.answer = answer
    assert agency.receipts(agency.push(bad, good)) == [(good["transfer"], "delivered")]
    assert agency.receipts(agency.push(bad)) == [(bad["transfer"], "delivered")]


def test_an_answer_that_is_none_is_the_handlers_failure(simulated: Gateway, agency: Agency) -> None:
    """An event that does not exist, or reasons for an acceptance, are never signed."""
    agency.answer = lambda _: "stored"
    assert agency.receipts(agency.push(simulated.deliverable())) == []
    with pytest.raises(ValueError, match="only a rejection"):
        Answer("delivered", ("WHY",))


def test_a_bad_item_is_reported_and_hinders_no_other(simulated: Gateway, agency: Agency) -> None:
    """An item that does not verify never reaches the handler; its neighbours do."""
    good, other = simulated.deliverable(), simulated.deliverable()
    forged = simulated.deliverable() | {"message": other["message"]}
    assert agency.receipts(agency.push(forged, good)) == [(good["transfer"], "delivered")]
    assert [(fault.transfer, fault.code) for fault in agency.faults] == [(forged["transfer"], "receipt.mismatch")]


def test_another_message_under_a_handled_transfer_is_not_signed_for(simulated: Gateway, agency: Agency) -> None:
    """The receipt is about the bytes that were handled, so a swapped message gets none."""
    item = simulated.deliverable()
    agency.push(item)
    other = simulated.deliverable()
    simulated.lies["release"] = lambda release: release
    again = simulated.item(message_of(simulated, other["message"]), item["transfer"])
    assert agency.receipts(agency.push(again)) == []
    assert [fault.code for fault in agency.faults] == ["receipt.mismatch"]
    assert agency.handled == [item["transfer"]]


def message_of(simulated: Gateway, text: str) -> Any:
    from gateway.message.envelope import parse, verify

    return verify(parse(text.encode()), simulated.sender.public)


def test_a_replayed_push_is_refused(simulated: Gateway, agency: Agency) -> None:
    """Whoever recorded a push cannot play it again, not even a moment later."""
    content, headers = simulated.push(simulated.deliverable())
    assert agency.take(content, headers).status_code == 200
    again = agency.take(content, headers)
    assert (again.status_code, again.json()["code"]) == (401, "token.replayed")
    assert len(agency.handled) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signer": ed25519()}, "key.unknown"),
        ({"iss": SENDER}, "token.invalid"),
        ({"aud": "kejati-banten"}, "token.invalid"),
        ({"method": "PUT"}, "token.wrong-request"),
        ({"url": "https://kejati.example/sinergi/inbox"}, "token.wrong-request"),
        ({"now": NOW - timedelta(minutes=5)}, "token.expired"),
        ({"now": NOW + timedelta(minutes=5)}, "token.invalid"),
        ({"body": b"{}"}, "envelope.malformed"),
    ],
    ids=["stranger", "another issuer", "another agency", "method", "url", "old", "future", "no page"],
)
def test_a_push_that_is_not_from_our_gateway_is_refused(
    simulated: Gateway, agency: Agency, changes: dict[str, Any], code: str
) -> None:
    """Every claim of the push token is held against this endpoint, and nothing is handled."""
    response = agency.push(simulated.deliverable(), **changes)
    assert response.status_code in (400, 401)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert agency.handled == []


def test_a_push_with_another_body_is_refused_and_uses_no_token_up(simulated: Gateway, agency: Agency) -> None:
    """A copied token is no good for other bytes, and trying does not spoil the original."""
    content, headers = simulated.push(simulated.deliverable())
    other, _ = simulated.push(simulated.deliverable())
    refused = agency.take(other, headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "token.wrong-request")
    assert agency.take(content, headers).status_code == 200


def test_neither_of_the_gateway_s_keys_stands_in_for_the_other(simulated: Gateway) -> None:
    """Whoever has the key of the releases cannot push, and a release that is signed by the key of pushes is none."""
    for purpose, status in (("sign", 401), ("request", 200), ("checkpoint", 401)):
        agency = Agency(simulated, gateway_keys=jwks(simulated.signer, purpose=purpose))
        response = agency.push(simulated.deliverable())
        assert response.status_code == status
        assert response.json().get("code", "key.unknown") == "key.unknown"
        # The token of the `request` key was taken, the release under the same key was not.
        assert agency.handled == []


def test_a_push_token_without_body_hash_is_refused(simulated: Gateway, agency: Agency) -> None:
    """A token that binds no bytes would let anyone on the way choose them."""
    from gateway.statements.request_token import sign_request_token

    content, headers = simulated.push(simulated.deliverable())
    token = sign_request_token(simulated.signer, GATEWAY, RECIPIENT, "POST", PUSH_URL, NOW)
    response = agency.take(content, headers | {"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["code"]) == (401, "token.wrong-request")


def test_what_is_no_push_is_refused(simulated: Gateway, agency: Agency) -> None:
    """Another method, another type, no token, and a signed body that is no page: each has its status."""
    content, headers = simulated.push()
    assert agency.take(content, headers, "PUT").status_code == 405
    assert agency.take(content, headers | {"Content-Type": "text/plain"}).status_code == 415
    missing = agency.take(content, {"Content-Type": "application/json"})
    assert (missing.status_code, missing.json()["code"]) == (401, "token.missing")
    assert missing.headers["www-authenticate"] == "Bearer"
    for body in (b"[]", b"{", b'{"items": 7}', json.dumps({"items": [0] * 101}).encode()):
        assert agency.push(body=body).status_code == 400


def test_a_body_without_end_is_cut_off(simulated: Gateway) -> None:
    """More than the limit is refused while it arrives, and the token stays unused."""
    agency = Agency(simulated, body_limit=1_000)
    response = agency.push(simulated.deliverable())
    assert (response.status_code, response.json()["code"]) == (413, "envelope.too-large")


def test_a_body_that_drips_is_cut_off(simulated: Gateway) -> None:
    """A slow sender holds a connection for as long as it was allowed to, and no longer."""
    agency = Agency(simulated, body_timeout=0.05)
    content, headers = simulated.push(simulated.deliverable())

    async def drip() -> Any:
        yield content[:10]
        await asyncio.sleep(1)
        yield content[10:]

    response = asyncio.run(drip_through(agency.app, drip(), headers))
    assert (response["status"], json.loads(response["body"])["code"]) == (408, "request.timeout")


async def drip_through(app: AgencyEndpoint, parts: Any, headers: dict[str, str]) -> dict[str, Any]:
    """The app, called as a server calls it: `ASGITransport` would wait for the whole body first."""
    answer: dict[str, Any] = {"body": b""}

    async def receive() -> Any:
        try:
            return {"type": "http.request", "body": await anext(parts), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answer["status"] = message.get("status", answer.get("status"))
        answer["body"] += message.get("body", b"")

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/inbox", "query_string": b"", "headers": raw}
    await app(scope, receive, send)
    await parts.aclose()
    return answer


def test_a_slow_handler_is_not_started_twice(simulated: Gateway, agency: Agency) -> None:
    """When the gateway gives up waiting and pushes again, the second push gets no receipt yet and calls nobody."""
    item = simulated.deliverable()

    async def story() -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def slow() -> None:
            begun.set()
            await may_end.wait()

        agency.answer = lambda _: slow()
        first = asyncio.create_task(agency.post(*simulated.push(item)))
        await begun.wait()
        second = await agency.post(*simulated.push(item))
        assert agency.receipts(second) == []
        may_end.set()
        assert agency.receipts(await first) == [(item["transfer"], "delivered")]

    asyncio.run(story())
    assert agency.handled == [item["transfer"]]


def test_items_for_which_there_is_no_time_wait_for_the_next_push(simulated: Gateway) -> None:
    """Receipts for what was handled leave before the gateway hangs up; the rest comes again."""
    agency = Agency(simulated, budget=0.02)
    agency.answer = lambda _: asyncio.sleep(0.05)
    items = [simulated.deliverable(), simulated.deliverable()]
    assert agency.receipts(agency.push(*items)) == [(items[0]["transfer"], "delivered")]


def test_two_processes_that_share_what_they_have_seen_handle_a_message_once(simulated: Gateway) -> None:
    """`Seen` is where exactly-once lives: hand both processes the same one."""
    seen = MemorySeen()
    one, other = Agency(simulated, seen=seen), Agency(simulated, seen=seen)
    item = simulated.deliverable()
    assert one.receipts(one.push(item)) == other.receipts(other.push(item))
    assert (len(one.handled), len(other.handled)) == (1, 0)


def test_memory_forgets_the_oldest() -> None:
    """What is remembered is bounded: the oldest transfer and every expired token go."""
    from gateway.endpoint import Handled

    async def story() -> None:
        seen = MemorySeen(2)
        for name in ("a", "b", "c"):
            await seen.remember(Handled(name, "hash", Answer()))
        assert await seen.find("a") is None
        assert await seen.find("c") is not None
        assert await seen.use_token("jti", 100, 50)
        assert not await seen.use_token("jti", 100, 100)
        assert await seen.use_token("jti", 200, 101)

    asyncio.run(story())


def test_an_endpoint_may_find_senders_keys_through_a_client(gateway: Gateway, recipient: Any) -> None:
    """With `client.find_key` an endpoint follows the senders' keys as the gateway publishes them."""
    client: GatewayClient = recipient()

    async def story() -> httpx.Response:
        async with client:
            agency = Agency(gateway, sender_keys=client.find_key)
            return await agency.post(*gateway.push(gateway.deliverable()))

    assert len(asyncio.run(story()).json()["acknowledgements"]) == 1


def test_what_is_not_http_is_left_alone(agency: Agency) -> None:
    """Lifespan and websocket scopes belong to the app around it."""
    asyncio.run(agency.app({"type": "lifespan"}, None, None))
