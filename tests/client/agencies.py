"""Both agencies: what one sends with its client, and the endpoint where the other takes pushes."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from gateway.client import (
    Composed,
    GatewayClient,
)
from gateway.endpoint import AgencyEndpoint, Fault, Received
from gateway.statements.receipt import parse_acknowledgement, verify_acknowledgement
from tests.client.simulator import (
    AGREEMENT,
    BODY,
    GATEWAY,
    NOW,
    PUSH_URL,
    RECIPIENT,
    SENDER,
    Gateway,
    jwks,
)

Clients = Callable[..., GatewayClient]


def composed(client: GatewayClient, **changes: Any) -> Composed:
    given: dict[str, Any] = {
        "agreement": AGREEMENT,
        "purpose": "TPPO_PREVENTION",
        "classification": "T",
        "disclosable": ["/body/reporter"],
    }
    return client.compose(RECIPIENT, "early-warning.report/1", BODY, **(given | changes))


def sent(client: GatewayClient, *messages: Composed) -> Any:
    """The last result of sending, in a connection of its own."""

    async def story() -> Any:
        async with client:
            return [await client.send(message) for message in messages or (composed(client),)][-1]

    return asyncio.run(story())


class Agency:
    """An endpoint whose handler writes down what it was given and answers as it is told."""

    def __init__(self, gateway: Gateway, **options: Any) -> None:
        self.gateway = gateway
        self.handled: list[str] = []
        self.faults: list[Fault] = []
        self.answer: Callable[[Received], Any] = lambda _: None
        given: dict[str, Any] = {
            "public_url": PUSH_URL,
            "gateway_id": GATEWAY,
            "gateway_keys": jwks(gateway.signer),
            "sender_keys": {SENDER: jwks(gateway.sender)},
            "on_fault": self.faults.append,
            "clock": lambda: NOW,
        }
        self.app = AgencyEndpoint(RECIPIENT, gateway.recipient, handler=self.handle, **(given | options))

    async def handle(self, received: Received) -> Any:
        self.handled.append(received.transfer)
        answer = self.answer(received)
        return await answer if asyncio.iscoroutine(answer) else answer

    async def post(self, content: Any, headers: dict[str, str], method: str = "POST") -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app)) as http:
            # Behind a proxy the app sees another host and path than the gateway called.
            return await http.request(method, "http://127.0.0.1:9000/inbox", content=content, headers=headers)

    def take(self, content: Any, headers: dict[str, str], method: str = "POST") -> httpx.Response:
        return asyncio.run(self.post(content, headers, method))

    def push(self, *items: dict[str, Any], **changes: Any) -> httpx.Response:
        return self.take(*self.gateway.push(*items, **changes))

    def receipts(self, response: httpx.Response) -> list[tuple[str, str]]:
        assert response.status_code == 200, response.text
        texts = response.json()["acknowledgements"]
        said = [verify_acknowledgement(parse_acknowledgement(text), self.gateway.recipient.public) for text in texts]
        assert all((receipt.iss, receipt.aud) == (RECIPIENT, GATEWAY) for receipt in said)
        return [(receipt.transfer, receipt.event) for receipt in said]
