"""An agreement stands once every party has signed this very digest."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.agreement.document import AGREEMENT_TYP, signing_payload, verify_signatures
from gateway.errors import AgreementInvalidError, KeyRefusedError
from gateway.jose import PublicKey, sign_jws
from tests.agreement.making import IMIGRASI, POLDA, Key, agreement, document

KEYS = {IMIGRASI: Key(), POLDA: Key()}
SIGNED_AT = datetime(2026, 1, 2, tzinfo=UTC)
ONE = agreement()


def key_for(agency: str, kid: str) -> PublicKey:
    if KEYS[agency].kid != kid:
        raise KeyRefusedError("the key is unknown")
    return KEYS[agency].public


def signature(agency: str, key: Key | None = None, typ: str = AGREEMENT_TYP, **claims: Any) -> str:
    return sign_jws({**signing_payload(ONE, agency, SIGNED_AT), **claims}, typ, key or KEYS[agency])


def test_every_party_signs_once() -> None:
    """In any order; the answer names the signers in the agreement's order."""
    assert verify_signatures(ONE, [signature(POLDA), signature(IMIGRASI)], key_for) == (IMIGRASI, POLDA)


ATTACKS: dict[str, tuple[Callable[[], list[str]], str]] = {
    "nobody signed": (list, "has not signed"),
    "only one party signed": (lambda: [signature(IMIGRASI)], "polda-banten has not signed"),
    "one party signed twice": (lambda: [signature(IMIGRASI), signature(IMIGRASI), signature(POLDA)], "signed twice"),
    "a party signed in another's name": (
        lambda: [signature(IMIGRASI), signature(POLDA, KEYS[IMIGRASI])],
        "key is unknown",
    ),
    "a stranger signed as well": (
        lambda: [signature(IMIGRASI), signature(POLDA), signature(POLDA, iss="stranger")],
        "not a party",
    ),
    "another document's digest": (lambda: [signature(IMIGRASI), signature(POLDA, digest="0" * 64)], "another document"),
    "an earlier version": (lambda: [signature(IMIGRASI), signature(POLDA, version=2)], "another document"),
    "true passes for version 1": (lambda: [signature(IMIGRASI), signature(POLDA, version=True)], "another document"),
    "another agreement": (lambda: [signature(IMIGRASI), signature(POLDA, agreement="other")], "another document"),
    "a receipt passed off as a signature": (
        lambda: [signature(IMIGRASI), signature(POLDA, typ="receipt+jwt")],
        "typ must be",
    ),
    "an extra claim": (lambda: [signature(IMIGRASI), signature(POLDA, exp=1)], "exactly the claims"),
    "a date that is no number": (lambda: [signature(IMIGRASI), signature(POLDA, iat="now")], "exactly the claims"),
    "not a JWS": (lambda: [signature(IMIGRASI), "x"], "not a compact JWS"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_anything_less_is_no_agreement(attack: str) -> None:
    """Each attack is named, and the parties that are missing are named with it."""
    texts, what = ATTACKS[attack]
    with pytest.raises(AgreementInvalidError) as caught:
        verify_signatures(ONE, texts(), key_for)
    assert any(what in (reason.detail or "") for reason in caught.value.reasons)
    assert {reason.code for reason in caught.value.reasons} == {"agreement.invalid"}


def test_a_changed_signature_does_not_hold() -> None:
    """One flipped character and the party has not signed."""
    text = signature(POLDA)
    flipped = text[:-10] + ("A" if text[-10] != "A" else "B") + text[-9:]
    with pytest.raises(AgreementInvalidError) as caught:
        verify_signatures(ONE, [signature(IMIGRASI), flipped], key_for)
    assert [reason.pointer for reason in caught.value.reasons] == ["/1", None]


def test_a_stranger_has_nothing_to_sign() -> None:
    """Only a party gets a payload, so a command cannot sign for someone else by mistake."""
    with pytest.raises(AgreementInvalidError):
        signing_payload(ONE, "stranger", SIGNED_AT)


def test_three_parties_sign_three_times() -> None:
    """Nothing counts to two."""
    party = document()["parties"][POLDA]
    three = agreement(parties={IMIGRASI: party, POLDA: party, "bp3mi-banten": party})
    with pytest.raises(AgreementInvalidError, match="bp3mi-banten has not signed") as caught:
        verify_signatures(
            three,
            [sign_jws(signing_payload(three, agency, SIGNED_AT), AGREEMENT_TYP, KEYS[agency]) for agency in KEYS],
            key_for,
        )
    assert [reason.detail for reason in caught.value.reasons] == ["bp3mi-banten has not signed this version"]
