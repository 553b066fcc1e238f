"""A request token is good for one request, made now, by one agency."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.errors import TokenError
from gateway.jose import sign_jws
from gateway.keyring import KeyringSigner
from gateway.statements.request_token import TOKEN_TYP, parse_request_token, sign_request_token, verify_request_token
from tests.client.simulator import GATEWAY, NOW, SENDER, ed25519, p256

INBOX = "https://gateway.example/v1/inbox"
SIGNER = ed25519()


def token(signer: KeyringSigner = SIGNER, method: str = "GET", url: str = INBOX, body: bytes | None = None) -> str:
    return sign_request_token(signer, SENDER, GATEWAY, method, url, NOW, body)


def checked(text: str, signer: KeyringSigner = SIGNER, **changes: Any) -> str:
    """The verified `jti`, or the code of the refusal."""
    request = {"audience": GATEWAY, "method": "GET", "url": INBOX, "now": NOW, "leeway": timedelta(seconds=60)}
    try:
        return verify_request_token(parse_request_token(text), signer.public, **(request | changes)).jti
    except TokenError as error:
        return error.code


@pytest.mark.parametrize("make", [ed25519, p256])
def test_a_token_is_good_for_its_request(make: Any) -> None:
    """Both algorithms sign and verify; the claims say who asks."""
    signer = make()
    parsed = parse_request_token(token(signer))
    assert checked(token(signer), signer) not in {"token.invalid", "token.wrong-request"}
    assert (parsed.claims.iss, parsed.claims.kid) == (SENDER, signer.kid)
    assert parsed.claims.exp - parsed.claims.iat == 60


def test_every_token_has_its_own_jti() -> None:
    """Two tokens for the same request at the same moment are two tokens."""
    assert checked(token()) != checked(token())


def test_query_and_fragment_are_not_part_of_the_url() -> None:
    """RFC 9449 §4.2: `htu` is the URL without query and fragment, so a page's parameters do not matter."""
    parsed = parse_request_token(token(url=f"{INBOX}?limit=3#top"))
    assert parsed.claims.htu == INBOX


@pytest.mark.parametrize("url", ["HTTPS://Gateway.Example/v1/inbox", "https://gateway.example:443/v1/inbox"])
def test_spellings_of_one_url_agree(url: str) -> None:
    """RFC 9449 §4.3: scheme and host are compared without case, a default port is no difference."""
    assert not checked(token(url=url)).startswith("token.")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience": "another-gateway"}, "token.invalid"),
        ({"method": "POST"}, "token.wrong-request"),
        ({"url": "https://gateway.example/v1/transfers"}, "token.wrong-request"),
        ({"url": "https://gateway.example:8443/v1/inbox"}, "token.wrong-request"),
        ({"url": "http://gateway.example/v1/inbox"}, "token.wrong-request"),
        ({"now": NOW + timedelta(seconds=121)}, "token.expired"),
        ({"now": NOW - timedelta(seconds=61)}, "token.invalid"),
        ({"body": b""}, "token.wrong-request"),
    ],
)
def test_a_token_is_good_for_nothing_else(changes: dict[str, Any], code: str) -> None:
    """Another gateway, method, URL, port, time or body: each has its code."""
    assert checked(token(), **changes) == code


def test_a_token_within_the_leeway_is_accepted() -> None:
    """Clocks may differ by the leeway on both sides."""
    assert not checked(token(), now=NOW + timedelta(seconds=119)).startswith("token.")
    assert not checked(token(), now=NOW - timedelta(seconds=59)).startswith("token.")


def test_a_token_is_good_for_its_body_only() -> None:
    """The same token with other bytes is refused; where nobody compares, its hash does no harm."""
    bound = token(body=b"one")
    assert not checked(bound, body=b"one").startswith("token.")
    assert checked(bound, body=b"two") == "token.wrong-request"
    assert not checked(bound).startswith("token.")


def test_another_key_of_the_same_name_does_not_verify() -> None:
    """A token says who signed it; only the key says whether that is true."""
    assert checked(token(ed25519())) == "token.invalid"


def test_a_user_in_the_url_is_refused() -> None:
    """`https://gateway.example@elsewhere/` reads like one host and means another."""
    assert checked(token(url="https://user@gateway.example/v1/inbox")) == "token.wrong-request"


GOOD = {
    "iss": SENDER,
    "aud": GATEWAY,
    "iat": 1_000,
    "exp": 1_060,
    "jti": "0123456789abcdef",
    "htm": "GET",
    "htu": INBOX,
}


@pytest.mark.parametrize(
    "claims",
    [
        {name: value for name, value in GOOD.items() if name != "jti"},
        GOOD | {"sub": "someone"},
        GOOD | {"iss": "UPPER"},
        GOOD | {"aud": ["sinergi-banten"]},
        GOOD | {"iat": "1000"},
        GOOD | {"iat": True},
        GOOD | {"exp": 1_060.0},
        GOOD | {"exp": 1_061},
        GOOD | {"exp": 1_000},
        GOOD | {"exp": 10**12, "iat": 10**12 - 1},
        GOOD | {"jti": "short"},
        GOOD | {"htm": "get"},
        GOOD | {"htu": f"{INBOX}?limit=1"},
        GOOD | {"htu": 7},
        GOOD | {"body_hash": "short"},
        GOOD | {"body_hash": None},
    ],
)
def test_claims_that_we_would_not_emit_are_refused(claims: dict[str, Any]) -> None:
    """Missing, unknown or wrongly formed claims and a life over 60 s are `token.invalid`, whoever signed."""
    with pytest.raises(TokenError) as refused:
        parse_request_token(sign_jws(claims, TOKEN_TYP, SIGNER))
    assert refused.value.code == "token.invalid"


@pytest.mark.parametrize("text", ["", "a.b.c", "....", "x" * 5_000, sign_jws(GOOD, "receipt+jwt", SIGNER)])
def test_what_is_no_token_is_refused(text: str) -> None:
    """Noise, a text too long, and a signed statement of another kind are all `token.invalid`."""
    with pytest.raises(TokenError) as refused:
        parse_request_token(text)
    assert refused.value.code == "token.invalid"


@pytest.mark.parametrize("htu", ["https://gateway.example:port/v1/inbox", "https://[::1/v1/inbox"])
def test_a_url_that_is_none_is_another_request(htu: str) -> None:
    """An `htu` that cannot be split is refused, not raised through."""
    issued = int(NOW.timestamp())
    claims = GOOD | {"iat": issued, "exp": issued + 60, "htu": htu}
    assert checked(sign_jws(claims, TOKEN_TYP, SIGNER)) == "token.wrong-request"
