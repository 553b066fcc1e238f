"""What a sender may rely on, and what a gateway that lies to a sender gets."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from gateway.client import (
    AnswerError,
    Composed,
    ProblemError,
    RefusedError,
    UnreachableError,
    open_commitment,
)
from gateway.errors import KeyRefusedError, MalformedError, TooLargeError
from gateway.message.envelope import Case
from tests.client.agencies import Clients, composed, sent
from tests.client.simulator import (
    AGREEMENT,
    NO_CASE,
    ORIGIN,
    RECIPIENT,
    SENDER,
    Gateway,
    Ledger,
    ed25519,
    new_transfer,
    note_signer,
)

BUSY = httpx.Response(503, headers={"Retry-After": "0"}, json={"code": "store.unavailable"})


def test_a_sent_message_comes_back_with_verified_evidence(gateway: Gateway, sender: Clients) -> None:
    """The receipt, its ledger entry and the proof belong to exactly what was sent."""
    result = sent(sender())
    assert (result.decision, result.receipt.origin, result.proof.index) == ("accepted", ORIGIN, 5)
    assert result.transfer == result.receipt.transfer
    assert not result.retried


def test_the_entry_in_the_public_ledger_opens_to_the_message(gateway: Gateway, sender: Clients) -> None:
    """With its receipt a sender finds its own entry, proves it included and opens the commitment."""
    client = sender()
    message = composed(client)

    async def story() -> dict[str, Any]:
        async with client:
            result = await client.send(message)
            return await client.entry(result.receipt, message.text)

    entry = asyncio.run(story())
    assert (entry["kind"], entry["sender"]) == ("transfer.accepted", SENDER)
    with pytest.raises(AnswerError):
        open_commitment(entry, bytes(32).hex(), message.text)
    with pytest.raises(AnswerError):
        open_commitment(entry, "not hex", message.text)


def test_an_entry_about_another_message_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """A gateway that shows the entry of another message is found out by the commitment."""
    client = sender()
    first, second = composed(client), composed(client)

    async def story() -> None:
        async with client:
            result = await client.send(first)
            with pytest.raises(AnswerError, match="another message"):
                await client.entry(result.receipt, second.text)
            with pytest.raises(AnswerError, match="the receipt names"):
                await client.entry(replace(result.receipt, index=result.receipt.index - 1), first.text)
            with pytest.raises(AnswerError, match="does not reach"):
                await client.entry(replace(result.receipt, index=999), first.text)
            with pytest.raises(AnswerError, match="another transfer"):
                await client.entry(replace(result.receipt, transfer=new_transfer()), first.text)

    asyncio.run(story())


def test_an_entry_that_is_not_in_the_tree_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """The right leaf beside a signed tree that does not hold it: shown to the sender, and hidden from everyone else."""
    client = sender()
    message = composed(client)

    async def story() -> None:
        async with client:
            result = await client.send(message)
            honest = Ledger(ORIGIN)
            honest.leaves = list(gateway.ledger.leaves)
            gateway.ledger.leaves[-1] = b"what everyone else is shown"
            altered = gateway.ledger.resource
            gateway.ledger.resource = lambda path: (honest.resource if "entries" in path else altered)(path)
            with pytest.raises(AnswerError, match="does not verify"):
                await client.entry(result.receipt, message.text)

    asyncio.run(story())


def test_a_retry_sends_the_same_bytes(gateway: Gateway, sender: Clients) -> None:
    """503 and a broken connection are answered with the very same bytes, so nothing can be recorded twice."""
    client = sender()
    message = composed(client)

    async def story() -> Any:
        async with client:
            gateway.failures = [BUSY, httpx.Response(502, headers={"Retry-After": "0"})]
            gateway.requests.clear()
            return await client.send(message)

    result = asyncio.run(story())
    assert [request.content for request in gateway.requests] == [message.text.encode()] * 3
    assert result.decision == "accepted"


def test_a_lost_answer_is_asked_for_again(gateway: Gateway, sender: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the answer is lost on the way, the retry gets the original receipt, marked as retried."""
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("gateway.sdk.calling.asyncio.sleep", pause)
    client = sender()
    message = composed(client)

    async def story() -> Any:
        async with client:
            first = await client.send(message)
            gateway.failures = [httpx.ReadError("cut"), httpx.ConnectTimeout("slow")]
            return first, await client.send(Composed.read(message.text))

    first, again = asyncio.run(story())
    assert again.retried
    assert again.receipt == first.receipt
    assert len(waits) == 2


def test_retry_after_is_honoured_and_bounded(
    gateway: Gateway, sender: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds and dates are both understood, a wish for an hour is cut to a minute, and patience ends."""
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("gateway.sdk.calling.asyncio.sleep", pause)
    client = sender(patience=70.0)

    async def story() -> None:
        async with client:
            gateway.failures = [
                httpx.Response(503, headers={"Retry-After": "3"}),
                httpx.Response(503, headers={"Retry-After": "Mon, 23 Nov 2026 08:15:05 GMT"}),
                httpx.Response(503, headers={"Retry-After": "3600"}),
                httpx.Response(503, headers={"Retry-After": "whenever"}),
                BUSY,
                BUSY,
            ]
            with pytest.raises(UnreachableError) as failed:
                await client.send(composed(client))
            assert failed.value.code == "store.unavailable"

    asyncio.run(story())
    assert waits[:3] == [3.0, 5.0, 60.0]
    assert sum(waits) <= 70.0


def test_a_refusal_is_raised_with_its_verified_receipt(gateway: Gateway, sender: Clients) -> None:
    """Every reason and the clause come from the signed receipt, and the refusal's entry is proved as well."""
    gateway.reasons = NO_CASE
    with pytest.raises(RefusedError) as refused:
        sent(sender())
    error = refused.value
    assert (error.code, error.clause, error.http_status) == ("rule.case-required", "1", 403)
    assert error.reasons[0].pointer == "/case"
    assert error.receipt.event == "refused"
    assert error.transfer == error.sent.transfer


def test_an_unproven_message_is_a_problem_without_receipt(gateway: Gateway, sender: Clients) -> None:
    """400 and 401 are recorded nowhere: the code and the pointers are all there is."""
    problem = {"code": "key.revoked", "title": "The key has been revoked", "errors": [{"code": "key.revoked"}, 7]}
    client = sender()

    async def story() -> None:
        async with client:
            gateway.failures = [httpx.Response(401, json=problem)]
            with pytest.raises(ProblemError) as refused:
                await client.send(composed(client))
            assert (refused.value.code, refused.value.http_status) == ("key.revoked", 401)
            gateway.failures = [httpx.Response(418, content=b"<html>")]
            with pytest.raises(ProblemError) as refused:
                await client.send(composed(client))
            assert refused.value.http_status == 418
            gateway.failures = [httpx.Response(400, json={"code": "envelope.brand-new"})]
            with pytest.raises(ProblemError) as refused:
                await client.send(composed(client))
            assert (refused.value.code, refused.value.status) == ("envelope.brand-new", 502)

    asyncio.run(story())


def test_a_refusal_without_receipt_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """Whoever refuses by the agreement signs for it; a mere word of refusal may come from anyone on the way."""
    gateway.reasons = NO_CASE
    gateway.lies["/v1/messages"] = lambda answer: {key: answer[key] for key in answer if key != "receipt"}
    with pytest.raises(AnswerError, match="no receipt"):
        sent(sender())


RECEIPT_LIES: dict[str, Callable[[Any], Any]] = {
    "of another message": lambda receipt: replace(receipt, sd_hash="A" * 43),
    "for another agency": lambda receipt: replace(receipt, aud=RECIPIENT),
    "of another gateway": lambda receipt: replace(receipt, iss="another-gateway"),
    "of another transfer": lambda receipt: replace(receipt, transfer="019a9c5e-7a10-7cc3-8a2e-000000000000"),
    "of a refusal": lambda receipt: replace(receipt, event="refused", reasons=NO_CASE),
    "in another ledger": lambda receipt: replace(receipt, origin="gateway.example/ledger/another"),
    "in the gateway's ledger": lambda receipt: replace(receipt, origin="gateway.example/ledger/gateway"),
    "at another index": lambda receipt: replace(receipt, index=0),
    "about another leaf": lambda receipt: replace(receipt, leaf_hash="A" * 43),
    "about no leaf": lambda receipt: replace(receipt, leaf_hash=7),
    "without a time": lambda receipt: replace(receipt, iat="now"),
    "with a strange event": lambda receipt: replace(receipt, event="delivered"),
}


@pytest.mark.parametrize("lie", RECEIPT_LIES.values(), ids=RECEIPT_LIES.keys())
def test_a_receipt_that_does_not_fit_is_not_believed(
    gateway: Gateway, sender: Clients, lie: Callable[[Any], Any]
) -> None:
    """Well signed and about something else: the answer is an error, never a `Sent`."""
    gateway.lies["receipt"] = lie
    with pytest.raises(AnswerError):
        sent(sender())


def test_a_receipt_signed_by_a_stranger_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """A key that the gateway does not publish signs nothing for it."""
    gateway.lies["receipt key"] = lambda _: ed25519()
    with pytest.raises((AnswerError, KeyRefusedError)):
        sent(sender())


def test_a_receipt_of_an_earlier_message_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """A gateway that answers with an old receipt instead of recording is found out."""
    client = sender()

    async def story() -> None:
        async with client:
            first = composed(client)
            await client.send(first)
            status, old = gateway.answers[first.text]
            gateway.failures = [httpx.Response(status, json=old)]
            with pytest.raises(AnswerError, match="another message"):
                await client.send(composed(client))

    asyncio.run(story())


def test_a_proof_of_another_leaf_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """The proof must lead from the receipt's own leaf to the signed root."""
    gateway.lies["proof"] = lambda _: gateway.ledger.proof(2)
    with pytest.raises(AnswerError, match="does not verify"):
        sent(sender())


def test_a_proof_of_the_same_leaf_elsewhere_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """The receipt says which entry it is; a copy of the leaf at another index is another entry."""

    def copied(_: str) -> str:
        return gateway.ledger.proof(gateway.ledger.append(gateway.ledger.leaves[-1]))

    gateway.lies["proof"] = copied
    with pytest.raises(AnswerError, match="another entry"):
        sent(sender())


def in_the_own_ledger(gateway: Gateway) -> None:
    """Everything that the gateway answers is recorded in, and proved from, its own ledger."""
    own = Ledger("gateway.example/ledger/gateway")
    published = {"agreement": "gateway", "origin": own.origin, "vkey": own.signer.vkey}
    gateway.lies["/.well-known/sinergi-gateway"] = lambda about: about | {"ledgers": [*about["ledgers"], published]}
    gateway.lies["receipt"] = lambda receipt: replace(
        receipt, origin=own.origin, index=own.append(gateway.ledger.leaves[receipt.index])
    )
    gateway.lies["/v1/messages"] = lambda answer: (
        answer | {"ledger": {"origin": own.origin, "index": 0, "proof": own.proof(0)}}
    )


def test_an_acceptance_in_another_trusted_ledger_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """An acceptance hidden from the agreement's auditors, in a ledger that they do not read, is found out."""
    in_the_own_ledger(gateway)
    with pytest.raises(AnswerError, match="another ledger"):
        sent(sender())


def test_a_refusal_may_stand_in_the_gateways_own_ledger(gateway: Gateway, sender: Clients) -> None:
    """A message that names no known agreement is refused there: there is no other ledger for it."""
    gateway.reasons = NO_CASE
    in_the_own_ledger(gateway)
    with pytest.raises(RefusedError) as refused:
        sent(sender())
    assert refused.value.receipt.origin == "gateway.example/ledger/gateway"


def test_a_refusal_without_a_reason_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """Every refusal says why, and signs for it."""
    gateway.reasons = NO_CASE
    gateway.lies["receipt"] = lambda receipt: replace(receipt, reasons=())
    with pytest.raises(AnswerError, match="no reason"):
        sent(sender())


def test_a_checkpoint_of_a_foreign_key_is_not_believed(gateway: Gateway, sender: Clients) -> None:
    """A tree that the ledger's key did not sign proves nothing, under whatever name it was signed."""
    gateway.lies["proof"] = lambda _: gateway.ledger.proof(5, note_signer(ORIGIN))
    with pytest.raises(AnswerError, match="does not verify"):
        sent(sender())


@pytest.mark.parametrize(
    "lie",
    [
        lambda answer: answer | {"decision": "refused"},
        lambda answer: answer | {"ledger": None},
        lambda answer: answer | {"ledger": answer["ledger"] | {"index": 4}},
        lambda answer: answer | {"ledger": answer["ledger"] | {"proof": "c2sp.org/tlog-proof@v1"}},
        lambda answer: answer | {"receipt": "a.b.c"},
        lambda _: [],
    ],
)
def test_an_answer_that_is_no_evidence_is_not_believed(
    gateway: Gateway, sender: Clients, lie: Callable[[Any], Any]
) -> None:
    """Missing, contradictory or unreadable parts of an answer are an error of the gateway."""
    gateway.lies["/v1/messages"] = lie
    with pytest.raises(AnswerError):
        sent(sender())


def test_what_the_gateway_would_call_malformed_is_found_before_sending(sender: Clients) -> None:
    """A claim of the wrong form or a message over the limits never leaves the house."""
    client = sender()
    with pytest.raises(MalformedError):
        composed(client, purpose="lower case")
    with pytest.raises(TooLargeError):
        client.compose(RECIPIENT, "a/1", {"x": "y" * 1_048_576}, agreement=AGREEMENT, purpose="P", classification="T")
    message = composed(client, case=Case("LP", "LP/B/12/XI/2026"), valid_for=timedelta(hours=1), handling="AMBER")
    assert message.claims.exp - message.claims.iat == 3600
    assert Composed.read(message.text) == message
    asyncio.run(client.aclose())


def test_a_preview_is_asked_with_a_token_and_records_nothing(gateway: Gateway, sender: Clients) -> None:
    """The answer is what would be decided; the token binds the message's bytes."""
    client = sender()

    async def story() -> dict[str, Any]:
        async with client:
            gateway.reasons = NO_CASE
            return await client.preview(composed(client))

    answer = asyncio.run(story())
    assert answer["permitted"] is False
    assert answer["reasons"] == [NO_CASE[0].as_json()]
    assert len(gateway.ledger.leaves) == 5


def test_an_answer_without_end_is_cut_off(gateway: Gateway, sender: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that answers more than any page can hold does not fill the agency's memory."""
    monkeypatch.setattr("gateway.sdk.calling.ANSWER_LIMIT", 10_000)
    gateway.lies["/v1/messages"] = lambda answer: answer | {"padding": "x" * 20_000}
    with pytest.raises(AnswerError, match="larger"):
        sent(sender())


def test_an_answer_that_names_a_member_twice_is_not_read(gateway: Gateway, sender: Clients) -> None:
    """Two readers of one text must not see two answers."""
    client = sender()

    async def story() -> None:
        async with client:
            gateway.failures = [httpx.Response(200, content=json.dumps({"a": 1})[:-1] + ', "a": 2}')]
            with pytest.raises(AnswerError, match="twice"):
                await client.transfer("019a9c5e-7a10-7cc3-8a2e-0d6f6f1b2c3d")

    asyncio.run(story())
