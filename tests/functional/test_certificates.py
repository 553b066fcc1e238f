"""An agency whose authority certifies RSA keys alone: two gateway processes, a real authority, real revocation."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.client import GatewayClient
from gateway.evidence.bundle import unpack
from gateway.evidence.checks import check
from gateway.evidence.court import KEYS
from gateway.jose import certified_key
from gateway.key_management.standing import history, standings
from gateway.keyring import signer_for
from gateway.operations.agency_keys import import_key
from gateway.wiring import open_store
from tests.certificates.authority import POLDA_ID, Authority, pem, rsa_private
from tests.certificates.responder import SETTINGS, Responder, serving
from tests.province import IMIGRASI, POLDA, Province
from tests.published import trusted


@pytest.fixture
def authority() -> Iterator[Responder]:
    """A root that publishes a list, and an RSA authority below it that answers OCSP."""
    now = datetime.now(UTC)
    window = {"begins": now - timedelta(days=9), "ends": now + timedelta(days=900)}
    root = Authority("Root CA", **window)
    with serving(Responder(root, Authority("Sub CA", key=rsa_private(1), above=root, **window))) as responder:
        yield responder


def posted(province: Province, base: str) -> httpx.Response:
    headers = {"content-type": "application/sd-jwt"}
    return httpx.post(f"{base}/v1/messages", content=province.polda.message(), headers=headers, timeout=30)


def until(province: Province, code: str | None, seconds: float = 90) -> float:
    """Asks both nodes until both answer with this code, None for acceptance; gives how long that took."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        if all(posted(province, base).json().get("code") == code for base in province.bases):
            return time.monotonic() - begun
        time.sleep(0.1)
    raise AssertionError(f"no {code} within {seconds} s: {posted(province, province.base).text}")


def test_a_certified_rsa_key_from_its_admission_to_its_end(
    new_province: Callable[..., Province], postgres_url: str, authority: Responder
) -> None:
    """It signs PS256 wherever a key is used; its evidence leads to the authority; silence stops it; revocation ends it."""
    province, private, now = new_province(postgres_url), rsa_private(2), datetime.now(UTC)
    sub = authority.answers
    leaf = sub.certify(private.public_key(), begins=now - timedelta(days=1), ends=now + timedelta(days=20))
    authority.issued.append(leaf)
    roots = province.directory / "roots.pem"
    roots.write_bytes(pem(authority.lists.certificate))
    with (province.directory / "sinergi.toml").open("a") as file:
        file.write(SETTINGS.format(roots=roots, subject=POLDA_ID, url=authority.url))
    with open_store(province.settings) as store:
        public = import_key(store, POLDA, None, chain=[leaf, sub.certificate], why="T-1", who="tester")
        mine = next(one for one in standings(store, now) if one.kid == public.kid)
    assert public.alg == "PS256"
    # The certificate ends before a year is over, and so does the key; it is warned of like any other.
    assert mine.until == leaf.not_valid_after_utc
    province.polda.signer = signer_for(private, certified=True)
    province.start(nodes=2)

    # Message, request token and receipt, all PS256; the other agency's client believes the published key.
    until(province, None)  # since the admission more than the budget may have passed
    sent = [posted(province, base).json()["transfer"] for base in province.bases]
    for item in (province.imigrasi.post(province.imigrasi.message()), *province.polda.inbox())[1:]:
        assert province.polda.acknowledge(province.polda.acknowledgement(item))[0]["status"] == "recorded"

    async def receives() -> set[str]:
        async with GatewayClient(province.base, IMIGRASI, province.imigrasi.signer) as client:
            page = await client.receive()
            assert not page.faults
            return {item.transfer for item in page.received}

    assert asyncio.run(receives()) >= set(sent)
    shown = httpx.get(f"{province.base}/v1/agencies/{POLDA}/jwks.json", timeout=10).json()["keys"]
    assert [key["alg"] for key in shown if "x5c" in key] == ["PS256"]

    bundle = unpack(province.polda.get(f"/v1/transfers/{sent[0]}/evidence").content)
    trust = trusted(province)
    for roots_given, ok, words in (
        ((authority.lists.certificate,), True, "certified by CN=Root CA"),
        ((), True, "no authority was given"),
        ((Authority("Root CA").certificate,), False, "does not lead to a trusted authority"),
    ):
        fourth = check(bundle, replace(trust, authorities=roots_given)).checks[3]
        assert (fourth.ok, words in fourth.detail.en) == (ok, True)

    # A second certificate of the same key, by the same authority, is not the one that it was admitted on.
    again = sub.certify(private.public_key(), begins=now - timedelta(days=1), ends=now + timedelta(days=20))
    other = certified_key([one.public_bytes(Encoding.DER) for one in (again, sub.certificate)])
    exchanged = {**bundle.files, f"{KEYS}/{public.kid}.jwk": json.dumps(other.members()).encode()}
    fourth = check(replace(bundle, files=exchanged), trust).checks[3]
    assert (fourth.ok, "another certificate than the ledger names" in fourth.detail.en) == (False, True)

    # Nobody answers: after the budget the agency is told to try again, and when somebody does, it goes on.
    authority.down = True
    until(province, "key.unconfirmed")
    answer = posted(province, province.base)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    authority.down = False
    until(province, None)

    authority.revoked[leaf.serial_number] = datetime.now(UTC).replace(microsecond=0)
    assert until(province, "key.revoked") < 10
    with open_store(province.settings) as store:
        lives, wrong = history(store)
    assert wrong == []
    assert [one.status for one in lives if one.kid == public.kid] == ["revoked"]
    assert province.stop() == [0, 0]
