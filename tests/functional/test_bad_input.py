"""What bad input gets, over real HTTP: status, stable code, and whether the ledger hears of it."""

import pytest

from gateway.jose import public_key_from_jwk
from gateway.statements.receipt import read_gateway_receipt
from tests.functional.bad_messages import BAD_MESSAGES, BadMessage
from tests.province import Province


@pytest.mark.parametrize("bad", BAD_MESSAGES, ids=lambda bad: bad.name)
def test_a_bad_message_gets_its_code(province: Province, bad: BadMessage) -> None:
    """Each bad message gets exactly its status and code, and is recorded exactly when its sender is proven."""
    message = bad.make(province)
    before = province.sizes()
    response = province.imigrasi.post(message, **{"content-type": bad.content_type})
    after = province.sizes()
    body = response.json()
    assert (response.status_code, body["code"]) == (bad.status, bad.code), body
    assert response.headers["content-type"] == "application/problem+json"
    assert sum(after.values()) - sum(before.values()) == int(bad.recorded)
    assert ("receipt" in body) == bad.recorded
    if bad.recorded:
        key = public_key_from_jwk(province.settings and _gateway_key(province))
        receipt = read_gateway_receipt(body["receipt"], key)
        assert receipt.event == "refused"
        assert receipt.reasons[0].code == bad.code
        again = province.imigrasi.post(message)
        assert (again.status_code, again.json()["receipt"]) == (bad.status, body["receipt"])
        assert province.sizes() == after


def _gateway_key(province: Province) -> dict[str, str]:
    import httpx

    keys = httpx.get(f"{province.base}/.well-known/jwks.json", timeout=10).json()["keys"]
    return next({name: key[name] for name in ("kty", "crv", "x")} for key in keys if key["purpose"] == "sign")
