"""What a recipient may rely on, and what a gateway that lies to a recipient gets."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from jwcrypto.jwk import JWK
from sd_jwt.verifier import SDJWTVerifier

from gateway.client import Acknowledged, AnswerError, GatewayClient, Page, open_commitment
from gateway.endpoint import KeySet
from gateway.errors import KeyRefusedError, MalformedError
from gateway.message.envelope import parse as parse_message
from gateway.message.envelope import release, sd_hash, verify
from gateway.statements.receipt import parse_acknowledgement
from tests.client.simulator import BODY, NOW, RECIPIENT, SENDER, Gateway, claims, ed25519, jwks, p256

Clients = Callable[..., GatewayClient]
WITHHELD = ("/body/reporter",)


def received(client: GatewayClient) -> Page:
    async def story() -> Page:
        async with client:
            return await client.receive(limit=50, wait=5)

    return asyncio.run(story())


def test_a_released_message_arrives_verified(gateway: Gateway, recipient: Clients) -> None:
    """The body is the sender's, signed by the sender's key, without what the agreement withholds."""
    gateway.withheld = WITHHELD
    gateway.waiting = [gateway.deliverable()]
    page = received(recipient())
    assert (page.faults, page.more) == ((), False)
    item = page.received[0]
    assert item.body == {name: value for name, value in BODY.items() if name != "reporter"}
    assert (item.withheld, item.claims.iss, item.message.kid) == (WITHHELD, SENDER, gateway.sender.kid)
    assert "WARGA" not in item.text


def test_an_independent_verifier_accepts_a_released_message(gateway: Gateway) -> None:
    """The PyPI `sd-jwt` library, which knows nothing of us, reads the same body from the released text."""
    gateway.sender = p256()
    gateway.withheld = WITHHELD
    item = gateway.deliverable(disclosable=("/body/reporter", "/body/indicators/*"))
    key = JWK(**gateway.sender.public.jwk)
    payload = SDJWTVerifier(item["message"], lambda _issuer, _header: key).get_verified_payload()
    assert payload["body"] == {name: value for name, value in BODY.items() if name != "reporter"}
    assert payload["iss"] == SENDER


def test_the_inbox_is_asked_with_its_parameters(gateway: Gateway, recipient: Clients) -> None:
    """`limit` and `wait` are in the query, the token covers the path, and `more` comes through."""
    gateway.waiting = [gateway.deliverable() for _ in range(51)]
    assert received(recipient()).more
    inbox = next(request for request in gateway.requests if request.url.path == "/v1/inbox")
    assert dict(inbox.url.params) == {"limit": "50", "wait": "5"}


LIES: dict[str, tuple[Callable[[Gateway], None], str]] = {}


def lie(code: str) -> Callable[[Callable[[Gateway], None]], Callable[[Gateway], None]]:
    def keep(prepare: Callable[[Gateway], None]) -> Callable[[Gateway], None]:
        LIES[prepare.__name__.replace("_", " ")] = (prepare, code)
        return prepare

    return keep


@lie("receipt.mismatch")
def another_message_under_a_good_release(gateway: Gateway) -> None:
    first, second = gateway.deliverable(), gateway.deliverable()
    gateway.waiting = [first | {"message": second["message"]}]


@lie("receipt.mismatch")
def a_disclosure_taken_away_after_the_release(gateway: Gateway) -> None:
    item = gateway.deliverable()
    gateway.waiting = [item | {"message": item["message"].split("~")[0] + "~"}]


@lie("receipt.mismatch")
def a_field_withheld_without_saying_so(gateway: Gateway) -> None:
    gateway.withheld = WITHHELD
    gateway.lies["release"] = lambda release: replace(release, withheld=())
    gateway.waiting = [gateway.deliverable()]


@lie("receipt.mismatch")
def a_release_for_another_agency(gateway: Gateway) -> None:
    gateway.lies["release"] = lambda release: replace(release, aud="kejati-banten")
    gateway.waiting = [gateway.deliverable()]


@lie("receipt.mismatch")
def a_release_of_another_gateway(gateway: Gateway) -> None:
    gateway.lies["release"] = lambda release: replace(release, iss="another-gateway")
    gateway.waiting = [gateway.deliverable()]


@lie("receipt.mismatch")
def a_release_of_another_transfer(gateway: Gateway) -> None:
    item = gateway.deliverable()
    gateway.waiting = [item | {"transfer": "019a9c5e-7a10-7cc3-8a2e-000000000000"}]


@lie("key.unknown")
def a_release_signed_by_a_stranger(gateway: Gateway) -> None:
    stranger = ed25519()
    gateway.lies["release key"] = lambda _: stranger
    gateway.waiting = [gateway.deliverable()]


@lie("envelope.malformed")
def a_release_without_a_time(gateway: Gateway) -> None:
    gateway.lies["release"] = lambda release: replace(release, iat="yesterday")
    gateway.waiting = [gateway.deliverable()]


@lie("envelope.wrong-audience")
def a_message_to_someone_else(gateway: Gateway) -> None:
    gateway.lies["release"] = lambda release: replace(release, aud=RECIPIENT)
    gateway.waiting = [gateway.deliverable(aud="kejati-banten")]


@lie("envelope.expired")
def an_old_message_as_a_new_transfer(gateway: Gateway) -> None:
    past = int((NOW - timedelta(days=30)).timestamp())
    gateway.waiting = [gateway.deliverable(iat=past, exp=past + 3600)]


@lie("key.unknown")
def a_message_by_a_key_that_is_not_the_senders(gateway: Gateway) -> None:
    honest, gateway.sender = gateway.sender, ed25519()
    gateway.waiting = [gateway.deliverable()]
    gateway.sender = honest


@lie("key.revoked")
def a_message_by_a_revoked_key(gateway: Gateway) -> None:
    gateway.lies[f"/v1/agencies/{SENDER}/jwks.json"] = lambda _: jwks(gateway.sender, status="revoked")
    gateway.waiting = [gateway.deliverable()]


@lie("key.not-valid")
def a_message_by_a_key_whose_time_had_passed(gateway: Gateway) -> None:
    gateway.lies[f"/v1/agencies/{SENDER}/jwks.json"] = lambda _: jwks(
        gateway.sender, exp=int((NOW - timedelta(hours=1)).timestamp())
    )
    gateway.waiting = [gateway.deliverable()]


@lie("key.unknown")
def a_sender_without_keys(gateway: Gateway) -> None:
    gateway.lies[f"/v1/agencies/{SENDER}/jwks.json"] = lambda _: {"keys": None}
    gateway.waiting = [gateway.deliverable()]


@lie("envelope.signature-invalid")
def a_message_whose_signature_was_changed(gateway: Gateway) -> None:
    item = gateway.deliverable(disclosable=())
    jwt, signature = item["message"][:-1].rsplit(".", 1)
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    forged = f"{jwt}.{flipped}~"
    gateway.lies["release"] = lambda release: replace(release, sd_hash=sd_hash(forged))
    honest = gateway.item(verified_again(gateway, item["message"]), item["transfer"])
    gateway.waiting = [honest | {"message": forged}]


@lie("envelope.malformed")
def an_item_without_its_release(gateway: Gateway) -> None:
    item = gateway.deliverable()
    del item["release"]
    gateway.waiting = [item]


@lie("envelope.malformed")
def an_item_that_is_a_list(gateway: Gateway) -> None:
    gateway.waiting = [["019a9c5e-7a10-7cc3-8a2e-000000000000"]]


def verified_again(gateway: Gateway, text: str) -> Any:
    return verify(parse_message(text.encode()), gateway.sender.public)


@pytest.mark.parametrize(("prepare", "code"), LIES.values(), ids=LIES.keys())
def test_a_bad_item_is_reported_and_hinders_no_other(
    gateway: Gateway, recipient: Clients, prepare: Callable[[Gateway], None], code: str
) -> None:
    """Each lie is found with its code, never handed to the caller as a message, and its neighbours arrive."""
    prepare(gateway)
    bad = gateway.waiting
    gateway.lies = {name: lie for name, lie in gateway.lies.items() if name.startswith("/")}
    gateway.withheld = ()
    good = [] if any(name.startswith("/") for name in gateway.lies) else [gateway.deliverable(), gateway.deliverable()]
    gateway.waiting = [*good[:1], *bad, *good[1:]]
    page = received(recipient())
    assert [fault.code for fault in page.faults] == [code]
    assert [item.transfer for item in page.received] == [item["transfer"] for item in good]


def test_a_pinned_sender_key_keeps_a_lying_gateway_out(gateway: Gateway, recipient: Clients) -> None:
    """A gateway that makes up a key for a sender and publishes it is believed only without a pin."""
    pinned = {SENDER: jwks(gateway.sender)}
    gateway.sender = ed25519()
    gateway.waiting = [gateway.deliverable()]
    assert len(received(recipient()).received) == 1
    page = received(recipient(sender_keys=pinned))
    assert [fault.code for fault in page.faults] == ["key.unknown"]


def test_a_senders_key_that_rolls_over_is_followed(gateway: Gateway, recipient: Clients) -> None:
    """An unknown key makes the client look again; a retired one still verifies what it signed."""
    client = recipient()

    async def story() -> Page:
        async with client:
            gateway.waiting = [gateway.deliverable()]
            await client.receive()
            old, gateway.sender = gateway.sender, ed25519()
            both = jwks(old, status="retired")["keys"] + jwks(gateway.sender)["keys"]
            gateway.lies[f"/v1/agencies/{SENDER}/jwks.json"] = lambda _: {"keys": both}
            gateway.waiting.append(gateway.deliverable())
            return await client.receive()

    page = asyncio.run(story())
    assert len(page.received) == 2


def test_a_senders_keys_are_fetched_once_a_page(gateway: Gateway, recipient: Clients) -> None:
    """A hundred messages of one sender cost one look at its keys."""
    gateway.waiting = [gateway.deliverable() for _ in range(20)]
    received(recipient())
    assert sum(request.url.path.startswith("/v1/agencies/") for request in gateway.requests) == 1


def test_a_page_that_is_none_is_an_error(gateway: Gateway, recipient: Clients) -> None:
    """An answer without items is not an empty inbox."""
    gateway.lies["/v1/inbox"] = lambda _: {"more": False}
    with pytest.raises(AnswerError):
        received(recipient())


def test_receipts_are_signed_for_exactly_what_was_received(gateway: Gateway, recipient: Clients) -> None:
    """A receipt is about the released bytes; the results come back in order."""
    gateway.withheld = WITHHELD
    gateway.waiting = [gateway.deliverable(), gateway.deliverable()]
    client = recipient()

    async def story() -> tuple[Page, tuple[Acknowledged, ...], tuple[Acknowledged, ...]]:
        async with client:
            page = await client.receive()
            delivered = await client.acknowledge(page.received)
            return page, delivered, await client.acknowledge(page.received[0], "rejected", ["NOT_OURS"])

    page, delivered, rejected = asyncio.run(story())
    first, second = (item.transfer for item in page.received)
    assert [(result.transfer, result.status, result.index) for result in delivered] == [
        (first, "recorded", 7),
        (second, "recorded", 7),
    ]
    assert [result.transfer for result in rejected] == [first]
    assert gateway.acknowledged == [(first, "delivered"), (second, "delivered"), (first, "rejected")]
    last = json.loads(gateway.requests[-1].content)["acknowledgements"][0]
    said = parse_acknowledgement(last).claims
    assert (said.sd_hash, said.reasons) == (page.received[0].release.sd_hash, ("NOT_OURS",))


@pytest.mark.parametrize(
    "results", [[], [{"transfer": "another", "status": "recorded"}], [{"status": "recorded"}], [7], None]
)
def test_results_that_are_not_those_of_the_receipts_are_an_error(
    gateway: Gateway, recipient: Clients, results: Any
) -> None:
    """A receipt whose fate is not told is not taken for recorded."""
    gateway.waiting = [gateway.deliverable()]
    gateway.lies["/v1/acknowledgements"] = lambda _: {"results": results}
    client = recipient()

    async def story() -> None:
        async with client:
            page = await client.receive()
            with pytest.raises(AnswerError):
                await client.acknowledge(page.received)

    asyncio.run(story())


def test_receipts_are_handed_in_again_with_a_fresh_token(gateway: Gateway, recipient: Clients) -> None:
    """A retry carries the same receipts and another token, because a token counts once."""
    gateway.waiting = [gateway.deliverable()]
    client = recipient()

    async def story() -> None:
        async with client:
            page = await client.receive()
            gateway.failures = [httpx.Response(503, headers={"Retry-After": "0"})]
            await client.acknowledge(page.received)

    asyncio.run(story())
    first, second = gateway.requests[-2:]
    assert first.content == second.content
    assert first.headers["authorization"] != second.headers["authorization"]


def test_a_release_opens_the_ledger_entry(gateway: Gateway) -> None:
    """A recipient holds the same issuer-signed JWT as the sender, so its key opens the entry, too."""
    text = gateway.deliverable()["message"]
    message = verified_again(gateway, text)
    status, answer = gateway.take(text)
    entry = json.loads(gateway.ledger.leaves[answer["ledger"]["index"]])
    assert status == 202
    open_commitment(entry, bytes(range(32)).hex(), release(message, WITHHELD))


def test_keys_that_are_of_no_use_are_left_out() -> None:
    """Unknown kinds, checkpoint keys and damaged entries are no reason to refuse a whole set; a set that is none is."""
    good = ed25519()
    entries = [
        *jwks(good)["keys"],
        *jwks(ed25519(), purpose="checkpoint")["keys"],
        *jwks(ed25519(), nbf="soon")["keys"],
        *jwks(ed25519(), kid="mine")["keys"],
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
    ]
    assert list(KeySet.read({"keys": entries}).keys) == [good.kid]
    for none in ({}, {"keys": {}}, {"keys": [7]}, []):
        with pytest.raises(MalformedError):
            KeySet.read(none)


def test_an_unknown_key_is_looked_for_again_but_not_at_once(
    gateway: Gateway, recipient: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys roll over while a client runs; whoever makes up a hundred of them causes one call."""
    client, time = recipient(), Ticking()
    monkeypatch.setattr("gateway.client.time", time)

    async def story() -> None:
        async with client:
            for number in range(100):
                with pytest.raises(KeyRefusedError):
                    await client.find_key(SENDER, f"made-up-{number}", int(NOW.timestamp()))
            assert fetched() == 2
            gateway.sender, old = ed25519(), gateway.sender
            await client.find_key(SENDER, old.kid, int(NOW.timestamp()))
            time.seconds += 2.5
            await client.find_key(SENDER, gateway.sender.kid, int(NOW.timestamp()))
            assert fetched() == 3
            # As long as the gateway says that a set may be kept, and no longer.
            time.seconds += 61
            await client.find_key(SENDER, gateway.sender.kid, int(NOW.timestamp()))
            assert fetched() == 4

    def fetched() -> int:
        return sum(f"/agencies/{SENDER}/" in str(request.url) for request in gateway.requests)

    asyncio.run(story())


class Ticking:
    """A monotonic clock that moves when it is told to."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


def test_a_stranger_cannot_choose_what_is_fetched(gateway: Gateway, recipient: Clients) -> None:
    """An agency id that could be a path is refused before anything is asked for."""
    client = recipient()

    async def story() -> None:
        async with client:
            with pytest.raises(KeyRefusedError):
                await client.find_key("../../healthz", "kid", 0)

    asyncio.run(story())
    assert claims().iss == SENDER
    assert not any("healthz" in str(request.url) for request in gateway.requests)
