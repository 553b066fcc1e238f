"""Clients at a running gateway: one written from the protocol page alone, our SDK pulling, our endpoint being pushed to."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey

from gateway.client import GatewayClient, RefusedError
from gateway.endpoint import AgencyEndpoint
from gateway.keys.directory import parse_endpoint
from gateway.operations.agencies import change_agency
from gateway.operations.agency_keys import import_key
from gateway.wiring import open_store
from tests.client import independent_client as independent
from tests.functional.servers import app_served, eventually
from tests.province import AGREEMENT, GATEWAY, IMIGRASI, POLDA, QUERY, WARNING, Province, example, free_port

FIELDS = ("/body/reporter", "/body/recruiter", "/body/narrative")


def test_a_client_without_our_sdk_sends_and_receives(new_province: Callable[..., Province]) -> None:
    """With docs/reference/protocol.md, a JOSE library and an HTTP library, both sides of an exchange work."""
    province = new_province()
    sender, recipient = OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")
    with open_store(province.settings) as store:
        for agency, key in ((IMIGRASI, sender), (POLDA, recipient)):
            import_key(store, agency, key.as_dict(private=False), why="T-1", who="tester")
    province.start()
    claims = {
        "iss": IMIGRASI,
        "aud": POLDA,
        "type": WARNING,
        "agreement": AGREEMENT,
        "purpose": "EARLY_WARNING",
        "classification": "T",
    }
    with httpx.Client(base_url=province.base, timeout=30) as http:
        message = independent.compose_message(
            sender, claims, example(WARNING, "valid-pulo-panjang"), ("reporter", "recruiter", "narrative")
        )
        receipt = independent.send(http, message)
        assert receipt["event"] == "accepted"
        assert independent.send(http, message) == receipt
        (item,) = independent.receive(http, recipient, POLDA)
        assert item["transfer"] == receipt["transfer"]
        assert item["body"]["severity"] == 3
        assert not {"reporter", "recruiter", "narrative"} & item["body"].keys()
        (result,) = independent.acknowledge(http, recipient, POLDA, [item])
        assert result["status"] == "recorded"
        with pytest.raises(independent.ProtocolError, match=r"rule\.purpose"):
            independent.send(
                http,
                independent.compose_message(
                    sender,
                    claims | {"purpose": "CAPACITY_BUILDING"},
                    example(WARNING, "valid-pulo-panjang"),
                    ("reporter", "recruiter", "narrative"),
                ),
            )


def test_the_sdk_sends_receives_and_proves(province: Province) -> None:
    """The SDK verifies everything on the way: receipt, proof, release, commitment; refusals are errors with reasons."""
    province.drain()

    async def story() -> None:
        async with (
            GatewayClient(province.base, IMIGRASI, province.imigrasi.signer, gateway_id=GATEWAY) as imigrasi,
            GatewayClient(province.base, POLDA, province.polda.signer, gateway_id=GATEWAY) as polda,
        ):
            message = imigrasi.compose(
                POLDA,
                WARNING,
                example(WARNING, "valid-pulo-panjang"),
                agreement=AGREEMENT,
                purpose="EARLY_WARNING",
                classification="T",
                disclosable=FIELDS,
            )
            assert (await imigrasi.preview(message))["permitted"]
            sent = await imigrasi.send(message)
            assert not sent.retried
            assert (await imigrasi.send(message)).retried
            entry = await imigrasi.entry(sent.receipt, message.text)
            assert entry["transfer"] == sent.transfer
            page = await polda.receive()
            (received,) = page.received
            assert not page.faults
            assert set(received.withheld) == set(FIELDS)
            (recorded,) = await polda.acknowledge(received, "processed")
            assert recorded.status == "recorded"
            assert (await imigrasi.transfer(sent.transfer))["status"] == "processed"
            with pytest.raises(RefusedError) as refused:
                await polda.send(
                    polda.compose(
                        IMIGRASI,
                        QUERY,
                        example(QUERY, "valid-by-passport"),
                        agreement=AGREEMENT,
                        purpose="INVESTIGATION",
                        classification="T",
                        disclosable=("/body/subject",),
                    )
                )
            assert (refused.value.code, refused.value.clause) == ("rule.case-required", "1")

    asyncio.run(story())


def test_messages_are_pushed_to_an_endpoint(new_province: Callable[..., Province]) -> None:
    """A down recipient gets its messages, each handled once, when it is back; its signed receipts are recorded."""
    province, port = new_province(), free_port()
    url = f"http://127.0.0.1:{port}/push"
    with open_store(province.settings) as store:
        endpoint = parse_endpoint(url, ["127.0.0.0/8"])
        change_agency(store, POLDA, endpoint=endpoint, why="T-1", who="tester")
    province.start()
    transfers = [province.imigrasi.post(province.imigrasi.message()).json()["transfer"] for _ in range(5)]
    handled: list[str] = []

    async def handle(received: Any) -> None:
        handled.append(received.transfer)

    app = AgencyEndpoint(
        POLDA,
        province.polda.signer,
        public_url=url,
        gateway_id=GATEWAY,
        gateway_keys=httpx.get(f"{province.base}/.well-known/jwks.json", timeout=10).json(),
        sender_keys={IMIGRASI: httpx.get(f"{province.base}/v1/agencies/{IMIGRASI}/jwks.json", timeout=10).json()},
        handler=handle,
    )

    def status(transfer: str) -> str:
        return str(province.imigrasi.get(f"/v1/transfers/{transfer}").json()["status"])

    time.sleep(0.5)
    assert {status(transfer) for transfer in transfers} == {"waiting"}
    with app_served(app, port):
        eventually(lambda: set(transfers) <= set(handled), 60)
        eventually(lambda: {status(transfer) for transfer in transfers} == {"delivered"})
        transfers.append(province.imigrasi.post(province.imigrasi.message()).json()["transfer"])
        eventually(lambda: status(transfers[-1]) == "delivered")
    assert sorted(handled) == sorted(transfers)
    followed = province.imigrasi.get(f"/v1/transfers/{transfers[0]}").json()
    assert [receipt["event"] for receipt in followed["receipts"]] == ["accepted", "delivered"]
    # A stranger who finds the endpoint's URL gets nothing: only the gateway's token opens it.
    with app_served(app, port):
        assert httpx.post(url, json={"items": [], "more": False}, timeout=10).status_code == 401
