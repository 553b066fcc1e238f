"""Many messages in one request: the sender has one verified outcome for each, whatever the gateway does."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.client import GatewayClient
from gateway.message import batch
from gateway.sdk.answers import AnswerError, Composed, ProblemError, RefusedError, Sent, UnreachableError
from tests.client.simulator import AGREEMENT, BODY, NO_CASE, RECIPIENT, Gateway

Clients = Callable[..., GatewayClient]


def many(client: GatewayClient, count: int) -> list[Composed]:
    return [
        client.compose(
            RECIPIENT,
            "early-warning.report/1",
            BODY,
            agreement=AGREEMENT,
            purpose="TPPO_PREVENTION",
            classification="T",
        )
        for _ in range(count)
    ]


def sent(client: GatewayClient, messages: list[Composed]) -> tuple[Any, ...]:
    async def story() -> tuple[Any, ...]:
        async with client:
            return await client.send_batch(messages)

    return asyncio.run(story())


def results(gateway: Gateway, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """What the gateway answers to a batch, changed by a liar."""
    gateway.lies["/v1/messages:batch"] = lambda honest: {"results": change(honest["results"])}


def test_each_message_has_its_own_verified_outcome(gateway: Gateway, sender: Clients) -> None:
    """Three messages, one request, three receipts that are about these bytes and proved."""
    client = sender()
    messages = many(client, 3)
    outcomes = sent(client, messages)
    assert [outcome.message for outcome in outcomes] == messages
    assert all(isinstance(outcome, Sent) and not outcome.retried for outcome in outcomes)
    assert len({outcome.transfer for outcome in outcomes}) == 3
    assert [request.url.path for request in gateway.requests].count("/v1/messages:batch") == 1


def test_a_refusal_stands_in_its_place(gateway: Gateway, sender: Clients) -> None:
    """A recorded no is a RefusedError with a verified receipt, not an exception that hides the rest."""
    gateway.reasons = NO_CASE
    client = sender()
    outcomes = sent(client, many(client, 2))
    assert all(isinstance(outcome, RefusedError) for outcome in outcomes)
    assert outcomes[0].receipt.reasons[0].code == "rule.case-required"


def test_a_lie_about_one_message_spoils_no_other(gateway: Gateway, sender: Clients) -> None:
    """Receipts exchanged, a status alone, a refusal without a receipt: those are faults, the others are evidence."""

    def lie(honest: list[dict[str, Any]]) -> list[Any]:
        unsigned = {"status": 403, "code": "rule.none", "title": "no"}
        return [honest[1], honest[1], {"status": 202}, unsigned, "no object", {"status": "202"}, honest[6]]

    results(gateway, lie)
    client = sender()
    outcomes = sent(client, many(client, 7))
    assert [type(outcome) for outcome in outcomes] == [AnswerError, Sent, *[AnswerError] * 4, Sent]


@pytest.mark.parametrize("change", [lambda honest: honest[:-1], lambda honest: [*honest, honest[0]], lambda _: None])
def test_results_that_cannot_be_told_apart_are_none(gateway: Gateway, sender: Clients, change: Any) -> None:
    """One result too few or too many: nobody can say which is whose, so none is believed."""
    results(gateway, change)
    client = sender()
    assert all(isinstance(outcome, AnswerError) for outcome in sent(client, many(client, 3)))


def test_what_failed_at_the_store_is_sent_again(gateway: Gateway, sender: Clients) -> None:
    """A 503 in the place of one result: the same bytes go again, and what was recorded gets its first receipt."""
    seen = []

    def once(honest: list[dict[str, Any]]) -> list[dict[str, Any]]:
        seen.append(len(honest))
        busy = {"status": 503, "code": "store.unavailable"}
        return [honest[0], busy] if len(seen) == 1 else honest

    results(gateway, once)
    client = sender()
    outcomes = sent(client, many(client, 2))
    assert seen == [2, 2]
    assert all(isinstance(outcome, Sent) and outcome.retried for outcome in outcomes)


def test_what_stays_unknown_is_said_to_be(gateway: Gateway, sender: Clients) -> None:
    """After the last retry: UnreachableError where nobody knows, and the receipts that there are."""
    results(gateway, lambda honest: [honest[0], {"status": 500, "code": "gateway.internal"}])
    client = sender(retries=1, patience=5)
    first, second = sent(client, many(client, 2))
    assert isinstance(first, Sent)
    assert isinstance(second, UnreachableError)


def test_a_request_that_fails_is_every_messages_outcome(gateway: Gateway, sender: Clients) -> None:
    """A broken connection leaves all of them unknown; an older gateway's 404 leaves all of them unsent."""
    client = sender(retries=0)
    messages = many(client, 2)
    asyncio.run(client.connect())
    gateway.failures = [httpx.ConnectError("gone")]
    broken = asyncio.run(client.send_batch(messages))
    assert [type(outcome) for outcome in broken] == [UnreachableError] * 2
    gateway.failures = [httpx.Response(404, json={"code": "request.not-found", "status": 404})]
    unknown = asyncio.run(client.send_batch(messages))
    assert [type(outcome) for outcome in unknown] == [ProblemError] * 2
    asyncio.run(client.aclose())


def test_more_than_fits_goes_in_several_requests(
    gateway: Gateway, sender: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits are kept, and the outcomes are in the order of the messages."""
    monkeypatch.setattr(batch, "MESSAGES_LIMIT", 2)
    client = sender()
    messages = many(client, 5)
    outcomes = sent(client, [*messages, replace(messages[0])])
    assert [outcome.message for outcome in outcomes] == [*messages, messages[0]]
    assert outcomes[-1].retried
    assert [request.url.path for request in gateway.requests].count("/v1/messages:batch") == 3
