"""Consent to new operators: only by keys that are held, for these persons, at this gateway, now."""

from datetime import timedelta

import pytest

from gateway.errors import AccessDeniedError
from gateway.jose import Signer
from gateway.statements.appointment import sign_appointment, verify_founders
from gateway.statements.consent import require_consent, sign_consent
from tests.operators.statements import GATEWAY, IMIGRASI, NEW, NEWEST, NOW, OLD, OTHERS, POLDA, SPARE, Pretender, known

FOUNDERS = verify_founders(
    [
        sign_appointment(name, GATEWAY, key=key.public, signer=key, now=NOW)
        for name, key in (("dewi", NEW), ("eko", NEWEST))
    ],
    GATEWAY,
    NOW,
)


def consents(polda: Signer = OLD, gateway: str = GATEWAY, age: int = 0) -> list[str]:
    now = NOW - timedelta(days=age)
    return [
        sign_consent(POLDA, gateway, FOUNDERS, polda, now),
        sign_consent(IMIGRASI, gateway, FOUNDERS, OTHERS, now),
    ]


@pytest.mark.parametrize("polda", [OLD, SPARE])
def test_every_agency_s_consent_is_enough(polda: Signer) -> None:
    """By the key in use or the recovery key."""
    assert require_consent(consents(polda), FOUNDERS, GATEWAY, known(), NOW) == (polda.kid, OTHERS.kid)


@pytest.mark.parametrize("kid", [OLD.kid, SPARE.kid], ids=["the key in use", "a spare key"])
def test_naming_an_agency_s_key_is_not_having_it(kid: str) -> None:
    """A consent that another key signed under that name counts for nobody."""
    with pytest.raises(AccessDeniedError, match="polda-banten has not consented"):
        require_consent(consents(Pretender(NEW, kid)), FOUNDERS, GATEWAY, known(), NOW)


@pytest.mark.parametrize(
    "texts", [consents(gateway="sinergi-lampung"), consents(age=8), consents(age=-1), consents()[:1]]
)
def test_a_consent_is_of_all_for_one_gateway_and_a_week(texts: list[str]) -> None:
    """For another gateway, too old, of the future, or without one of the agencies: nothing is done."""
    with pytest.raises(AccessDeniedError, match="nothing is done"):
        require_consent(texts, FOUNDERS, GATEWAY, known(), NOW)
