"""A client written from the protocol page alone and our own functions understand each other."""

import ast
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey

from gateway.jose import public_key_from_jwk
from gateway.keyring import KeyringSigner, signer_for
from gateway.message.envelope import parse, verify
from gateway.statements.receipt import parse_acknowledgement
from tests.client import independent_client, simulator
from tests.client.independent_client import ProtocolError, acknowledge, compose_message, receive, send
from tests.client.simulator import BODY, NO_CASE, RECIPIENT, SENDER, URL, Gateway, ed25519, note_signer

CLAIMS = {
    "iss": SENDER,
    "aud": RECIPIENT,
    "type": "early-warning.report/1",
    "agreement": simulator.AGREEMENT,
    "purpose": "TPPO_PREVENTION",
    "classification": "T",
}
MAKERS: list[Callable[[], Any]] = [lambda: OKPKey.generate_key("Ed25519"), lambda: ECKey.generate_key("P-256")]


def signer_of(key: Any) -> KeyringSigner:
    return signer_for(key.private_key)


@pytest.fixture
def keys() -> tuple[Any, Any]:
    return OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")


@pytest.fixture
def gateway(keys: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> Gateway:
    # The independent client has no clock to set.
    monkeypatch.setattr(simulator, "NOW", datetime.now(UTC).replace(microsecond=0))
    sender, recipient = keys
    return Gateway(sender=signer_of(sender), recipient=signer_of(recipient))


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=URL, transport=httpx.MockTransport(gateway)) as client:
        yield client


def test_it_uses_nothing_of_ours() -> None:
    """It imports joserfc, httpx and the standard library: what it knows of the gateway it knows from the page."""
    source = Path(independent_client.__file__).read_text()
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {
        name.split(".")[0]
        for node in imports
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert named - sys.stdlib_module_names == {"httpx", "joserfc"}


@pytest.mark.parametrize("make", MAKERS, ids=["EdDSA", "ES256"])
def test_its_message_passes_our_parser(make: Callable[[], Any]) -> None:
    """Byte by byte what the gateway accepts, by both algorithms, with the body as it was given."""
    key = make()
    text = compose_message(key, CLAIMS | {"case": {"type": "LP", "number": "LP/B/12/XI/2026"}}, BODY, ["reporter"])
    public = public_key_from_jwk(key.as_dict(private=False))
    message = verify(parse(text.encode()), public)
    assert message.body == BODY
    assert message.disclosable == {"/body/reporter"}
    assert message.claims.case is not None
    assert message.kid == key.thumbprint()


def test_a_message_without_disclosures_is_a_jwt_and_a_tilde() -> None:
    """Nothing disclosable: one part, one `~`, no `_sd_alg`."""
    key = OKPKey.generate_key("Ed25519")
    text = compose_message(key, CLAIMS, {"severity": 3}, ["reporter"])
    assert text.count("~") == 1
    assert verify(parse(text.encode()), public_key_from_jwk(key.as_dict(private=False))).body == {"severity": 3}


def test_it_sends_and_verifies_the_evidence(gateway: Gateway, http: httpx.Client, keys: tuple[Any, Any]) -> None:
    """Receipt and proof made by the gateway's functions verify with nothing of ours, at every size of the tree."""
    for size in range(6, 20):
        receipt = send(http, compose_message(keys[0], CLAIMS, BODY, ["reporter"]))
        assert (receipt["event"], receipt["index"]) == ("accepted", size - 1)


def test_it_receives_and_signs_for_what_it_received(
    gateway: Gateway, http: httpx.Client, keys: tuple[Any, Any]
) -> None:
    """Release and message verify; the receipt it signs is one that the gateway records."""
    gateway.withheld = ("/body/reporter", "/body/indicators/0")
    gateway.waiting = [gateway.deliverable(disclosable=("/body/reporter", "/body/indicators/*"))]
    items = receive(http, keys[1], RECIPIENT)
    assert items[0]["body"] == {"region_code": "36.04.08.2009", "severity": 3, "indicators": ["UNREALISTIC_SALARY"]}
    assert items[0]["claims"]["iss"] == SENDER
    results = acknowledge(http, keys[1], RECIPIENT, items)
    assert results[0]["status"] == "recorded"
    assert gateway.acknowledged == [(items[0]["transfer"], "delivered")]


def test_it_sends_the_same_bytes_again(gateway: Gateway, http: httpx.Client, keys: tuple[Any, Any]) -> None:
    """On 503 it waits as long as it is told and posts the very same message."""
    message = compose_message(keys[0], CLAIMS, BODY)
    responses = [httpx.Response(503, headers={"Retry-After": "0"}, json={"code": "store.unavailable"})]
    honest = gateway.route

    def busy(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/messages" and responses:
            return responses.pop()
        status, content = honest(request, request.url.path)
        return httpx.Response(status, json=content)

    with httpx.Client(base_url=URL, transport=httpx.MockTransport(busy)) as client:
        assert send(client, message)["event"] == "accepted"


def test_it_learns_why_it_was_refused(gateway: Gateway, http: httpx.Client, keys: tuple[Any, Any]) -> None:
    """A refusal is a problem document whose receipt and proof were verified first."""
    gateway.reasons = NO_CASE
    with pytest.raises(ProtocolError) as refused:
        send(http, compose_message(keys[0], CLAIMS, BODY))
    assert refused.value.problem is not None
    assert refused.value.problem["errors"][0]["pointer"] == "/case"


def test_it_learns_that_its_message_was_malformed(gateway: Gateway, http: httpx.Client, keys: tuple[Any, Any]) -> None:
    """What is not recorded has a code and no receipt."""
    gateway.failures = []
    refusal = httpx.Response(400, json={"code": "envelope.malformed"})
    with (
        httpx.Client(
            base_url=URL,
            transport=httpx.MockTransport(
                lambda request: refusal if request.url.path == "/v1/messages" else gateway(request)
            ),
        ) as client,
        pytest.raises(ProtocolError, match=r"envelope\.malformed"),
    ):
        send(client, compose_message(keys[0], CLAIMS, BODY))


@pytest.mark.parametrize(
    ("what", "lie"),
    [
        ("receipt", lambda receipt: replace(receipt, sd_hash="A" * 43)),
        ("receipt", lambda receipt: replace(receipt, leaf_hash="A" * 43)),
        ("receipt", lambda receipt: replace(receipt, index=1)),
        ("receipt key", lambda _: ed25519()),
    ],
)
def test_it_believes_no_lie_about_its_message(
    gateway: Gateway, http: httpx.Client, keys: tuple[Any, Any], what: str, lie: Callable[[Any], Any]
) -> None:
    """The page tells enough to find out a gateway that lies to a sender."""
    gateway.lies[what] = lie
    with pytest.raises(ProtocolError):
        send(http, compose_message(keys[0], CLAIMS, BODY))


def test_it_believes_no_foreign_checkpoint(gateway: Gateway, http: httpx.Client, keys: tuple[Any, Any]) -> None:
    """A tree signed by another key under the ledger's name is refused."""
    gateway.lies["proof"] = lambda _: gateway.ledger.proof(5, note_signer(simulator.ORIGIN))
    with pytest.raises(ProtocolError):
        send(http, compose_message(keys[0], CLAIMS, BODY))


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item | {"message": item["message"].split("~")[0] + "~"},
        lambda item: item | {"transfer": "019a9c5e-7a10-7cc3-8a2e-000000000000"},
        lambda item: item | {"release": item["release"][:-4] + "AAAA"},
    ],
)
def test_it_believes_no_lie_about_a_delivery(
    gateway: Gateway, http: httpx.Client, keys: tuple[Any, Any], change: Callable[[Any], Any]
) -> None:
    """The page tells enough to find out a gateway that lies to a recipient."""
    gateway.waiting = [change(gateway.deliverable())]
    with pytest.raises(ProtocolError):
        receive(http, keys[1], RECIPIENT)


def test_its_receipts_are_ours(gateway: Gateway, keys: tuple[Any, Any]) -> None:
    """A receipt it signs is read by our strict reader."""
    text = independent_client.sign(
        {
            "iss": RECIPIENT,
            "aud": simulator.GATEWAY,
            "iat": int(time.time()),
            "jti": "0123456789abcdef",
            "transfer": "019a9c5e-7a10-7cc3-8a2e-000000000000",
            "event": "processed",
            "sd_hash": "A" * 43,
        },
        "receipt+jwt",
        keys[1],
    )
    assert parse_acknowledgement(text).claims.event == "processed"
