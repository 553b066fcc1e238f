"""Whom a client believes: what a gateway publishes, what is pinned, and what happens when the two differ."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.client import AnswerError, GatewayClient
from gateway.ledger.note import Ed25519NoteSigner
from gateway.ledger.succession import Succession
from tests.client.agencies import Clients, composed, sent
from tests.client.simulator import NOW, ORIGIN, SENDER, Gateway, ed25519, jwks, note_signer


def test_a_gateway_key_that_rolls_over_is_followed(gateway: Gateway, sender: Clients) -> None:
    """A client that runs for months learns the gateway's new key when it meets it."""
    client = sender()

    async def story() -> Any:
        async with client:
            await client.send(composed(client))
            gateway.signer = ed25519()
            return await client.send(composed(client))

    assert asyncio.run(story()).decision == "accepted"


def test_a_pinned_gateway_key_keeps_others_out(gateway: Gateway, sender: Clients) -> None:
    """With a pin, a new key is not learnt, however well it is published."""
    client = sender(gateway_keys=jwks(gateway.signer))

    async def story() -> None:
        async with client:
            gateway.signer = ed25519()
            with pytest.raises(AnswerError) as refused:
                await client.send(composed(client))
            assert refused.value.code == "key.unknown"

    asyncio.run(story())


@pytest.mark.parametrize(
    "pins",
    [
        {"gateway_id": "another-gateway"},
        {"gateway_keys": jwks(ed25519())},
        {"ledger_vkeys": [note_signer(ORIGIN).vkey]},
        {"public_url": "https://elsewhere.example"},
    ],
    ids=lambda pins: next(iter(pins)),
)
def test_a_gateway_that_is_not_the_pinned_one_is_refused(
    gateway: Gateway, sender: Clients, pins: dict[str, Any]
) -> None:
    """Another id, key, ledger key or URL than the pinned one ends the connection before anything is sent."""
    with pytest.raises(AnswerError):
        sent(sender(**pins))
    assert all(request.url.path.startswith("/.well-known/") for request in gateway.requests)


def test_only_pinned_ledgers_are_believed(gateway: Gateway, sender: Clients) -> None:
    """Pinned ledger keys are all there are: evidence in another ledger is no evidence."""
    with pytest.raises(AnswerError, match="not a trusted one"):
        sent(sender(ledger_vkeys=[note_signer("gateway.example/ledger/another").vkey]))
    assert sent(sender(ledger_vkeys=[gateway.ledger.signer.vkey])).decision == "accepted"


def test_a_ledger_that_changes_its_key_is_refused(gateway: Gateway, sender: Clients) -> None:
    """Another key without the word of the one before is a new ledger, under a new origin; under the same one it is a fork."""
    client = sender()

    async def story() -> None:
        async with client:
            gateway.ledger.signer = note_signer(ORIGIN)
            with pytest.raises(AnswerError) as refused:
                await client.connect()
            assert refused.value.code == "ledger.forked"

    asyncio.run(story())


@pytest.mark.parametrize("pinned", [True, False])
def test_a_ledger_key_that_the_one_before_vouches_for_is_followed(
    gateway: Gateway, sender: Clients, pinned: bool
) -> None:
    """While the client runs, and by a client that has the old key pinned; not where a stranger vouches."""
    old, new = Noted(), Noted()
    gateway.ledger.signer = old.note
    client = sender(**({"ledger_vkeys": [old.note.vkey]} if pinned else {}))

    async def story() -> None:
        async with client:
            assert (await client.send(composed(client))).decision == "accepted"
            gateway.ledger.signer = new.note
            publish(gateway, Succession.sign(Noted(), new, NOW))
            with pytest.raises(AnswerError) as refused:
                await client.send(composed(client))
            assert refused.value.code == "ledger.forked"
            publish(gateway, Succession.sign(old, new, NOW))
            sent = await client.send(composed(client))
            assert sent.decision == "accepted"
            assert await client.entry(sent.receipt, sent.message.text)

    asyncio.run(story())


class Noted:
    """A checkpoint key of the simulated ledger."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public_key = self._key.public_key().public_bytes_raw()
        self.sign = self._key.sign
        self.note = Ed25519NoteSigner(ORIGIN, self.sign, self.public_key)


def publish(gateway: Gateway, said: Succession) -> None:
    def with_statement(about: Any) -> Any:
        return about | {"ledgers": [about["ledgers"][0] | {"succession": [said.members(ORIGIN)]}]}

    gateway.lies["/.well-known/sinergi-gateway"] = with_statement


@pytest.mark.parametrize(
    "lie",
    [
        lambda _: {"gateway": 7},
        lambda about: about | {"ledgers": None},
        lambda about: about | {"ledgers": [7]},
        lambda about: about | {"ledgers": [about["ledgers"][0] | {"origin": "gateway.example/ledger/another"}]},
    ],
)
def test_a_gateway_that_does_not_say_who_it_is_is_refused(
    gateway: Gateway, sender: Clients, lie: Callable[[Any], Any]
) -> None:
    """What is published at `connect` is read as strictly as anything else."""
    gateway.lies["/.well-known/sinergi-gateway"] = lie
    with pytest.raises(AnswerError):
        sent(sender())


def test_nothing_is_called_before_the_connection() -> None:
    """Without `connect` there is no gateway id to sign a token for."""
    client = GatewayClient("https://gateway.example", SENDER, ed25519())
    with pytest.raises(RuntimeError, match="connect first"):
        _ = client.gateway_id
    asyncio.run(client.aclose())
