"""Alerts: what the gateway itself tells a recipient, and how the SDK takes it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.jose import sign_jws
from gateway.statements.alert import Alert, read_alert, sign_alert
from gateway.statements.receipt import parse_acknowledgement, verify_acknowledgement
from tests.client.agencies import Agency, Clients
from tests.client.simulator import GATEWAY, NOW, RECIPIENT, SENDER, Gateway, ed25519, new_transfer

SIGNER = ed25519()
ALERT = Alert(
    iss=GATEWAY,
    aud=RECIPIENT,
    iat=int(NOW.timestamp()),
    jti=new_transfer(),
    event="key-compromised",
    agency=SENDER,
    kid=SIGNER.kid,
    since=int(NOW.timestamp()) - 3600,
    transfers=(new_transfer(), new_transfer()),
)


def item(gateway: Gateway, alert: Alert = ALERT) -> dict[str, Any]:
    return {"transfer": alert.jti, "alert": sign_alert(alert, gateway.signer), "attempt": 1}


def test_what_is_signed_is_what_is_read() -> None:
    """All of it, and the text that was signed for."""
    text = sign_alert(ALERT, SIGNER)
    read = read_alert(text, SIGNER.public)
    assert (read, read.text) == (ALERT, text)


@pytest.mark.parametrize(
    "change",
    [
        {"event": "hello"},
        {"kid": "short"},
        {"since": "yesterday"},
        {"transfers": []},
        {"transfers": ["7"]},
        {"transfers": [ALERT.transfers[0]] * 2},
        {"transfers": [new_transfer() for _ in range(101)]},
        {"transfers": 7},
        {"note": "more"},
        {"iss": 7},
    ],
    ids=["event", "kid", "since", "none", "no-id", "twice", "too-many", "no-list", "more", "iss"],
)
def test_what_is_no_alert_is_refused(change: dict[str, Any]) -> None:
    """Members, forms and counts are exactly those of a gateway's alert."""
    with pytest.raises(GatewayError):
        read_alert(sign_jws(ALERT.as_json() | change, "alert+jwt", SIGNER), SIGNER.public)


def test_a_client_takes_alerts_beside_messages_and_signs_for_them(gateway: Gateway, recipient: Clients) -> None:
    """A good one is handed over, one for somebody else is a fault, and neither is taken for a message."""
    client = recipient()
    other = replace(ALERT, aud=SENDER)
    gateway.lies["/v1/inbox"] = lambda page: page | {"alerts": [item(gateway), item(gateway, other), 7]}
    recorded: list[str] = []
    gateway.lies["/v1/acknowledgements"] = lambda _: {"results": [{"transfer": ALERT.jti, "status": "recorded"}]}
    gateway.record = lambda text: recorded.append(text) or {}  # type: ignore[method-assign,func-returns-value]

    async def story() -> Any:
        async with client:
            page = await client.receive()
            return page, await client.acknowledge(page.alerts)

    page, results = asyncio.run(story())
    assert page.received == ()
    assert page.alerts == (ALERT,)
    assert len(page.faults) == 2
    assert [result.status for result in results] == ["recorded"]
    said = verify_acknowledgement(parse_acknowledgement(recorded[0]), gateway.recipient.public)
    assert (said.transfer, said.event, said.iss) == (ALERT.jti, "delivered", RECIPIENT)


def test_an_endpoint_tells_its_agency_and_signs_only_then(gateway: Gateway) -> None:
    """Where the agency could not take it, there is no receipt, and it comes again."""
    told: list[Alert] = []

    async def take(alert: Alert) -> None:
        told.append(alert)

    async def fail(_alert: Alert) -> None:
        raise RuntimeError("the database is away")

    handlers: list[tuple[Callable[[Alert], Any] | None, int]] = [(take, 1), (fail, 0), (None, 1)]
    for handler, receipts in handlers:
        agency = Agency(gateway, **({} if handler is None else {"on_alert": handler}))
        content, headers = gateway.push(body=_page(gateway))
        response = agency.take(content, headers)
        assert len(response.json()["acknowledgements"]) == receipts
    assert told == [ALERT]


def _page(gateway: Gateway) -> bytes:
    import json

    return json.dumps({"items": [], "more": False, "alerts": [item(gateway)]}).encode()
