"""A running gateway and its operators: what two sign counts at once on a real server, and nothing that one alone did."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from gateway.client import GatewayClient
from gateway.keyring import KeyringSigner, signer_for
from gateway.statements.key_statement import sign_statement
from tests.certificates.authority import POLDA_ID, Authority, pem, rsa_private
from tests.certificates.responder import SETTINGS, Responder, serving
from tests.cli.office import entries
from tests.cli.operated import POLDA, admitted, by, operated, proposed, stated, statement_of
from tests.cli.shell import Shell
from tests.province import GATEWAY, IMIGRASI, WARNING, Province


def answer(province: Province, signer: KeyringSigner) -> str:
    """The code of what the running gateway says to a message that is signed so; `accepted` where it takes it."""
    response = province.imigrasi.post(province.imigrasi.message(WARNING, signer=signer))
    return "accepted" if response.status_code == 202 else str(response.json()["code"])


def until(province: Province, signer: KeyringSigner, code: str, seconds: float = 15) -> float:
    begun = time.monotonic()
    while (found := answer(province, signer)) != code:
        assert time.monotonic() < begun + seconds, found
        time.sleep(0.05)
    return time.monotonic() - begun


def statement(shell: Shell, new: KeyringSigner, endorser: KeyringSigner) -> Path:
    now = datetime.now(UTC)
    text = sign_statement(
        IMIGRASI, GATEWAY, "sign", key=new.public, signer=new, not_before=now, not_after=now + timedelta(days=9), now=now,
        endorser=endorser,
    )  # fmt: skip
    return shell.secret(f"{new.kid}-{endorser.kid[:4]}.statement.json", text)


def test_a_running_gateway_does_what_two_operators_signed(new_province: Callable[..., Province]) -> None:
    """A key counts from the second signature on, not from the first; so does its compromise. Nothing is restarted."""
    province = new_province()
    shell = Shell(province.directory, province.directory / "sinergi.toml")
    founders = [statement_of(shell, name, gateway=GATEWAY) for name in ("sari", "budi")]
    shell.ok("operators", "found", *founders, "--why", "SK-1")
    province.start()
    old, new = province.imigrasi.signer, signer_for(Ed25519PrivateKey.generate())
    propose = ("agencies", "keys", "propose", IMIGRASI, statement(shell, new, old), "--why", "T-1")
    waiting = proposed(shell, "sari", *propose)
    assert answer(province, new) == "key.unknown"
    assert by(shell, "budi", "agencies", "keys", "approve", waiting).code == 0
    assert until(province, new, "accepted") < 10
    assert answer(province, old) == "accepted"
    shown = httpx.get(f"{province.base}/v1/agencies/{IMIGRASI}/jwks.json", timeout=10).json()["keys"]
    assert {key["kid"] for key in shown} == {old.kid, new.kid}

    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    waiting = proposed(shell, "budi", "keys", "compromised", IMIGRASI, new.kid, "--since", since, "--why", "INC-1")
    assert answer(province, new) == "accepted"
    assert by(shell, "sari", "operators", "approve", waiting).code == 0
    # From the commit on, on every node: no waiting.
    assert answer(province, new) == "key.revoked"
    assert answer(province, old) == "accepted"


def test_an_agency_hands_its_next_key_in_itself(new_province: Callable[..., Province]) -> None:
    """By the client, over HTTP, for itself alone; it counts for nothing before two operators take it up."""
    province = new_province()
    shell = Shell(province.directory, province.directory / "sinergi.toml")
    founders = [statement_of(shell, name, gateway=GATEWAY) for name in ("sari", "budi")]
    shell.ok("operators", "found", *founders, "--why", "SK-1")
    province.start()
    old, (first, new) = province.imigrasi.signer, (signer_for(Ed25519PrivateKey.generate()) for _ in range(2))
    assert by(shell, "sari", "agencies", "keys", "propose", IMIGRASI, "--why", "T-1").code == 1

    async def hands_in(text: str) -> dict[str, str]:
        async with GatewayClient(province.base, IMIGRASI, old) as client:
            return await client.hand_in_key(text)

    for key in (first, new):  # the second takes the first one's place
        told = asyncio.run(hands_in(statement(shell, key, old).read_text()))
        assert (told["kid"], told["status"]) == (key.kid, "waiting")
    path = f"/v1/agencies/{IMIGRASI}/keys"
    true = statement(shell, new, old).read_text()
    for who, text, status, code in (
        (province.polda, true, 403, "access.denied"),
        (province.imigrasi, statement(shell, first, province.polda.signer).read_text(), 401, "key.unknown"),
        (province.imigrasi, statement(shell, first, first).read_text(), 401, "key.unknown"),
        (province.imigrasi, json.dumps({"statement": json.loads(true)["statement"]}), 403, "access.denied"),
        (province.imigrasi, "{}", 400, "envelope.malformed"),
        (province.imigrasi, "[" * 60_000, 413, "envelope.too-large"),
    ):
        headers = who.token("POST", path) | {"content-type": "application/json"}
        refused = httpx.post(province.base + path, content=text, headers=headers, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    unsigned = httpx.post(province.base + path, content=true, headers={"content-type": "application/json"}, timeout=30)
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "token.missing")

    (held,) = shell.ok("agencies", "keys", "waiting", "--json").json
    assert (held["agency"], held["kid"]) == (IMIGRASI, new.kid)
    assert answer(province, new) == "key.unknown"
    waiting = proposed(shell, "sari", "agencies", "keys", "propose", IMIGRASI, "--why", "T-1")
    assert by(shell, "budi", "agencies", "keys", "approve", waiting).code == 0
    until(province, new, "accepted")
    assert shell.ok("agencies", "keys", "waiting", "--json").json == []


@pytest.fixture
def authority() -> Iterator[Responder]:
    """A root that certifies RSA keys, and says whether they still count."""
    now = datetime.now(UTC)
    root = Authority("Root CA", begins=now - timedelta(days=9), ends=now + timedelta(days=900))
    with serving(Responder(root, root)) as responder:
        yield responder


def test_a_certified_rsa_key_is_admitted_by_two(tmp_path: Path, authority: Responder) -> None:
    """The chain travels in the statement; the authority is asked at both signatures, and what it took back is not admitted."""
    shell = operated(tmp_path, "sari", "budi")
    now = datetime.now(UTC)
    (shell.home / "roots.pem").write_bytes(pem(authority.lists.certificate))
    with shell.config.open("a") as file:
        file.write(SETTINGS.format(roots=shell.home / "roots.pem", subject=POLDA_ID, url=authority.url))
    for number, name in ((2, "polda"), (3, "next")):
        private = rsa_private(number)
        leaf = authority.answers.certify(
            private.public_key(), begins=now - timedelta(days=1), ends=now + timedelta(days=20)
        )
        authority.issued.append(leaf)
        (shell.home / f"{name}-chain.pem").write_bytes(pem(leaf))
        sealed = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"rsa"))
        shell.secret(f"{name}.pem", sealed.decode()), shell.secret(f"{name}.pass", "rsa")
    first = stated(shell, "polda", certificate=str(shell.home / "polda-chain.pem"))
    assert admitted(shell, first).code == 0
    (held,) = shell.ok("agencies", "keys", "list", POLDA, "--json").json
    assert (held["alg"], held["status"]) == ("PS256", "active")
    (added,) = [entry for entry in entries(shell) if entry["kind"] == "key.added" and entry["agency"] == POLDA]
    assert "certificate" in added
    # The RSA key in use endorses the next one; its certificate is taken back between the two signatures.
    following = stated(shell, "next", endorser="polda", certificate=str(shell.home / "next-chain.pem"))
    waiting = proposed(shell, "sari", "agencies", "keys", "propose", POLDA, following, "--why", "T-2")
    authority.revoked[authority.issued[1].serial_number] = now
    refused = by(shell, "budi", "agencies", "keys", "approve", waiting)
    assert (refused.code, len(shell.ok("agencies", "keys", "list", POLDA, "--json").json)) == (1, 1), refused.err
