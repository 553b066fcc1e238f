"""What a lost key of the gateway signed is said again under the key in use: no more, no earlier, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import GatewayError, KeyRefusedError
from gateway.jose import parse_jws
from gateway.keyring import signer_for
from gateway.keys.keychain import RETIRED, REVOKED, OwnKey
from gateway.sdk.reception import KeySet
from gateway.statements.receipt import (
    RECEIPT_TYP,
    Release,
    read_gateway_receipt,
    read_release,
    sign_gateway_receipt,
    sign_release,
)
from gateway.statements.restatement import receipt_now, release_now
from tests.message.making import DIGEST
from tests.message.test_receipt import RECEIPT

LOST, USED = (signer_for(Ed25519PrivateKey.generate()) for _ in range(2))
NOW = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
SINCE = NOW - timedelta(days=2)
PLACE: dict[str, Any] = {"origin": RECEIPT.origin, "index": RECEIPT.index, "leaf_hash": RECEIPT.leaf_hash}
RELEASE = Release(
    "sinergi-banten", "polda-banten", 0, "release-0001", RECEIPT.transfer, DIGEST, ("/body/name",), "0f" * 32
)


def own(status: str = REVOKED, since: datetime | None = SINCE) -> tuple[OwnKey, ...]:
    began = NOW - timedelta(days=300)
    jwk = [dict(signer.public.jwk) for signer in (LOST, USED)]
    return (
        OwnKey(LOST.kid, "sign", jwk[0], "file:/old", began, NOW - timedelta(minutes=55), status, since),
        OwnKey(USED.kid, "sign", jwk[1], "file:/new", NOW - timedelta(hours=1)),
    )


def at(moment: datetime) -> int:
    return int(moment.timestamp())


def test_a_receipt_by_a_lost_key_is_said_again() -> None:
    """All that it says stays, but for its time, a retry gets the same again; the key set that refuses the old one takes it."""
    old = sign_gateway_receipt(replace(RECEIPT, iat=at(SINCE)), LOST)
    new = receipt_now(old, own(), USED, **PLACE)
    said = read_gateway_receipt(new, USED.public)
    assert said == replace(RECEIPT, iat=at(NOW - timedelta(hours=1)))
    assert receipt_now(old, own(), USED, **PLACE) == new
    keys = KeySet.read({"keys": [key.as_jwk(NOW, own()) for key in own()]})
    assert keys.require(parse_jws(new, RECEIPT_TYP, 4).kid, said.iat) == USED.public
    with pytest.raises(KeyRefusedError, match="revoked"):
        keys.require(LOST.kid, at(SINCE))


@pytest.mark.parametrize(
    ("issued", "keys"),
    [
        (SINCE - timedelta(seconds=1), own()),
        (SINCE, own(RETIRED, None)),
        (SINCE, own(REVOKED, None)),
        (SINCE, own()[1:]),
    ],
    ids=["before it was lost", "retired", "revoked without a moment", "unknown"],
)
def test_what_still_stands_stays_as_it_is(issued: datetime, keys: tuple[OwnKey, ...]) -> None:
    """To the byte: the same bytes sent again get the same receipt."""
    receipt = sign_gateway_receipt(replace(RECEIPT, iat=at(issued)), LOST)
    release = sign_release(replace(RELEASE, iat=at(issued)), LOST)
    assert receipt_now(receipt, keys, USED, **PLACE) == receipt
    assert release_now(release, keys, USED) == release


@pytest.mark.parametrize("other", [{"index": 8}, {"origin": "gateway.example/ledger/other"}, {"leaf_hash": "A" * 43}])
def test_a_receipt_that_the_ledger_does_not_bear_out_is_not_vouched_for(other: dict[str, Any]) -> None:
    """The entry proves and the receipt points to it: what a thief made up under the lost key gets no new signature."""
    forged = sign_gateway_receipt(replace(RECEIPT, iat=at(SINCE)), LOST)
    with pytest.raises(GatewayError, match="not about the ledger's entry"):
        receipt_now(forged, own(), USED, **(PLACE | other))
    with pytest.raises(GatewayError, match=r"does not fit|signature"):
        receipt_now(f"{forged[:-6]}AAAAAA", own(), USED, **PLACE)


def test_a_release_is_of_the_moment_at_which_the_key_in_use_began() -> None:
    """The key in use had not begun when the message came: dated back, every recipient would refuse it."""
    new = release_now(sign_release(replace(RELEASE, iat=at(SINCE)), LOST), own(), USED)
    said = read_release(new, USED.public)
    assert said == replace(RELEASE, iat=at(NOW - timedelta(hours=1)))
    keys = KeySet.read({"keys": [key.as_jwk(NOW, own()) for key in own()]})
    assert keys.require(USED.kid, said.iat) == USED.public
    with pytest.raises(KeyRefusedError):
        keys.require(USED.kid, at(SINCE))
