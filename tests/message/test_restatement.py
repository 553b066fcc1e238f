"""What a lost key of the gateway signed is said again under the key in use: no more, no earlier, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import GatewayError, KeyRefusedError, Reason
from gateway.jose import b64encode, parse_jws
from gateway.keyring import signer_for
from gateway.keys.keychain import RETIRED, REVOKED, OwnKey
from gateway.ledger.entry import TransferRefused, commitment
from gateway.ledger.merkle import leaf_hash
from gateway.message.envelope import sd_hash
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
from tests.message.making import DIGEST, RECEIPT

LOST, USED = (signer_for(Ed25519PrivateKey.generate()) for _ in range(2))
NOW = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
SINCE = NOW - timedelta(days=2)
MESSAGE = "eyJh.eyJi.c2ln~WyJz~"
RELEASED = "eyJh.eyJi.c2ln~"
KEY = "0f" * 32
ENTRY = TransferRefused(
    time=SINCE,
    transfer=RECEIPT.transfer,
    sender=RECEIPT.aud,
    key=LOST.kid,
    commitment=commitment(bytes.fromhex(KEY), "eyJh.eyJi.c2ln"),
    # The words for a caller are in neither.
    reasons=(Reason("rule.condition", clause="Pasal 5", pointer="", detail="in words"),),
    rule=RECEIPT.rule,
    clause=RECEIPT.clause,
)
SAID = replace(
    RECEIPT,
    event="refused",
    reasons=(Reason("rule.condition", clause="Pasal 5", pointer=""),),
    sd_hash=sd_hash(MESSAGE),
    leaf_hash=b64encode(leaf_hash(ENTRY.leaf())),
    commitment_key=KEY,
)
PLACE: dict[str, Any] = {"origin": SAID.origin, "index": SAID.index, "leaf": ENTRY.leaf(), "message": MESSAGE}
RELEASE = Release(
    "sinergi-banten", "polda-banten", 0, "release-0001", SAID.transfer, sd_hash(RELEASED), ("/body/name",), KEY
)
OF: dict[str, Any] = {"transfer": SAID.transfer, "released": RELEASED}


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
    old = sign_gateway_receipt(replace(SAID, iat=at(SINCE)), LOST)
    new = receipt_now(old, own(), USED, **PLACE)
    said = read_gateway_receipt(new, USED.public)
    assert said == replace(SAID, iat=at(NOW - timedelta(hours=1)))
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
    receipt = sign_gateway_receipt(replace(SAID, iat=at(issued)), LOST)
    release = sign_release(replace(RELEASE, iat=at(issued)), LOST)
    assert receipt_now(receipt, keys, USED, **PLACE) == receipt
    assert release_now(release, keys, USED, **OF) == release


@pytest.mark.parametrize(
    "other",
    [
        {"index": 8},
        {"origin": "gateway.example/ledger/other"},
        {"leaf": replace(ENTRY, key=USED.kid).leaf()},
        {"message": RELEASED},
    ],
    ids=["another place", "another ledger", "another entry", "other disclosures"],
)
def test_a_receipt_that_the_ledger_does_not_bear_out_is_not_vouched_for(other: dict[str, Any]) -> None:
    """The entry proves and the receipt points to it: what a thief made up under the lost key gets no new signature."""
    forged = sign_gateway_receipt(replace(SAID, iat=at(SINCE)), LOST)
    with pytest.raises(GatewayError, match="not about the ledger's entry"):
        receipt_now(forged, own(), USED, **(PLACE | other))
    with pytest.raises(GatewayError, match=r"does not fit|signature"):
        receipt_now(f"{forged[:-6]}AAAAAA", own(), USED, **PLACE)


@pytest.mark.parametrize(
    "lie",
    [
        {"event": "accepted", "reasons": ()},
        {"transfer": "019a9c5e-7a10-7cc3-8a2e-0d6f6f1b2c3d"},
        {"aud": "somebody-else"},
        {"sd_hash": DIGEST},
        {"commitment_key": "1f" * 32},
        {"rule": "r2"},
        {"clause": None},
        {"reasons": (Reason("rule.case-required"),)},
    ],
    ids=[
        "another decision",
        "another transfer",
        "another sender",
        "another message",
        "another opening",
        "another rule",
        "no clause",
        "other reasons",
    ],
)
def test_a_lie_that_points_to_a_true_entry_is_not_vouched_for(lie: dict[str, Any]) -> None:
    """A thief of all keys of the gateway may store a receipt that names the right place and says something else of it."""
    forged = sign_gateway_receipt(replace(SAID, iat=at(SINCE), **lie), LOST)
    with pytest.raises(GatewayError, match="not about the ledger's entry"):
        receipt_now(forged, own(), USED, **PLACE)


@pytest.mark.parametrize("lie", [{"transfer": "019a9c5e-7a10-7cc3-8a2e-0d6f6f1b2c3d"}, {"sd_hash": DIGEST}])
def test_a_release_of_something_else_is_not_vouched_for(lie: dict[str, Any]) -> None:
    """It is of this transfer and of the very bytes that its recipient is handed."""
    with pytest.raises(GatewayError, match="not about what was released"):
        release_now(sign_release(replace(RELEASE, iat=at(SINCE), **lie), LOST), own(), USED, **OF)


def test_a_release_is_of_the_moment_at_which_the_key_in_use_began() -> None:
    """The key in use had not begun when the message came: dated back, every recipient would refuse it."""
    new = release_now(sign_release(replace(RELEASE, iat=at(SINCE)), LOST), own(), USED, **OF)
    said = read_release(new, USED.public)
    assert said == replace(RELEASE, iat=at(NOW - timedelta(hours=1)))
    keys = KeySet.read({"keys": [key.as_jwk(NOW, own()) for key in own()]})
    assert keys.require(USED.kid, said.iat) == USED.public
    with pytest.raises(KeyRefusedError):
        keys.require(USED.kid, at(SINCE))
