"""Every key of a gateway and an agency's own in a token: a real gateway process, a real SoftHSM2, and no key file anywhere."""

import asyncio
import json
import tomllib
from pathlib import Path

from gateway.cli.main import run
from gateway.client import GatewayClient
from gateway.keyring import generate_in_token, load_signer
from gateway.record import open_content
from gateway.store import queries
from gateway.store.sealing import Sealer
from gateway.wiring import open_store
from tests.hsm import PIN, soft_token
from tests.province import DISCLOSABLE, IMIGRASI, POLDA, WARNING, Province, example

ROLES = {"sign": "ES256", "request": "EdDSA", "checkpoint": "EdDSA", "storage": "HMAC", "index": "HMAC"}


def test_a_gateway_without_a_key_file(tmp_path: Path) -> None:
    """Founded, served, a message sent by an agency that signs in its token, read by the other one, and the ledger verified."""
    token = soft_token()
    given = {role: token.uri(f"gateway-{role}", 0x40 + number) for number, role in enumerate(ROLES)}
    for role, algorithm in ROLES.items():
        generate_in_token(given[role], algorithm)
    own = token.uri(IMIGRASI, 0x50)
    generate_in_token(own, "ES256")
    province = Province(tmp_path / "gw", given=given)
    province.imigrasi.signer = load_signer(own, b"")
    province.found()
    settings = tomllib.loads((tmp_path / "gw" / "sinergi.toml").read_text())
    assert "passphrase_file" not in settings["keys"]
    assert list((tmp_path / "gw" / "keys").iterdir()) == []
    province.start()
    try:

        async def sends() -> str:
            async with GatewayClient(province.base, IMIGRASI, province.imigrasi.signer) as client:
                body = example(WARNING, "valid-pulo-panjang")
                message = client.compose(
                    POLDA,
                    WARNING,
                    body,
                    agreement="pks-banten-2025",
                    purpose="EARLY_WARNING",
                    classification="T",
                    disclosable=DISCLOSABLE[WARNING],
                )
                return (await client.send(message)).receipt.transfer

        async def receives() -> list[str]:
            async with GatewayClient(province.base, POLDA, province.polda.signer) as client:
                page = await client.receive()
                assert not page.faults
                await client.acknowledge(page.received)
                return [item.transfer for item in page.received]

        transfer = asyncio.run(sends())
        assert asyncio.run(receives()) == [transfer]
        assert province.audit(f"/v1/transfers/{transfer}").json()["decision"] == "accepted"
    finally:
        assert province.stop() == [0]
    # A later process finds the same storage secret: what was sealed before opens.
    with open_store(province.settings) as store, store.database.reading() as session:
        assert open_content(Sealer(store.keys.storage), queries.transfer(session, transfer))["message"]
    assert PIN not in province.log() + (tmp_path / "gw" / "sinergi.toml").read_text()
    assert PIN.encode() not in (tmp_path / "gw" / "sinergi.db").read_bytes()


def test_the_commands_take_a_token_s_uri(tmp_path: Path) -> None:
    """A key is made and shown; nothing but its public half comes out."""
    token = soft_token()
    uri, out = token.uri("shown", 0x60), tmp_path / "shown.jwk"
    assert run(["keys", "generate", uri, "--algorithm", "ES256", "--out", str(out)]) == 0
    assert run(["keys", "public", uri]) == 0
    assert run(["keys", "generate", uri]) == 2
    assert json.loads(out.read_text())["kid"] == load_signer(uri, b"").kid
