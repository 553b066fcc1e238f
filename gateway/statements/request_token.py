"""Request tokens: one signed JWT for one HTTP request, after the proofs of RFC 9449.

Decides whether a token was made for this request, now, by this key. Leaves to the caller which key the issuer had at
this moment, and that each `jti` of an issuer is used once (until `exp` plus the leeway). An agency signs one for each
call to the gateway; the gateway signs one for each push to an agency.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.errors import MalformedError, SignatureInvalidError, TokenError, TooLargeError
from gateway.jose import PublicKey, Signer, UnverifiedJws, b64encode, parse_jws, sign_jws, verify_jws
from gateway.message.envelope import AGENCY_ID, JTI

TOKEN_TYP: Final = "request+jwt"
TOKEN_LIMIT: Final = 4096
LIFETIME: Final = 60
_REQUIRED: Final = frozenset({"iss", "aud", "iat", "exp", "jti", "htm", "htu"})
_METHOD: Final = re.compile(r"[A-Z]{3,16}")
_DIGEST: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can hold


@dataclass(frozen=True, slots=True)
class RequestToken:
    """What a verified token says. `iss` made the request; `exp` in whole seconds; `kid` is the key that signed."""

    iss: str
    aud: str
    iat: int
    exp: int
    jti: str
    htm: str
    htu: str
    body_hash: str | None
    kid: str


@dataclass(frozen=True, slots=True)
class UnverifiedRequestToken:
    """Well-formed. `claims` say whose key to look up and are good for nothing else."""

    jws: UnverifiedJws
    claims: RequestToken


def sign_request_token(  # noqa: PLR0917 - the order of a request line: who, to whom, method, URL
    signer: Signer, iss: str, aud: str, method: str, url: str, now: datetime, body: bytes | None = None
) -> str:
    """A token for one request to `url` (its query and fragment are left out), valid for 60 s from `now`.

    With `body` the token names its SHA-256, so that it is good for these bytes only.
    """
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": iss,
        "aud": aud,
        "iat": issued,
        "exp": issued + LIFETIME,
        "jti": secrets.token_urlsafe(16),
        "htm": method,
        "htu": target(url),
    }
    return sign_jws(claims | ({} if body is None else {"body_hash": hash_body(body)}), TOKEN_TYP, signer)


def parse_request_token(text: str) -> UnverifiedRequestToken:
    """Exactly the members above. Raises TokenError (`token.invalid`)."""
    if len(text) > TOKEN_LIMIT:
        raise TokenError(f"a request token may have {TOKEN_LIMIT} bytes")
    try:
        jws = parse_jws(text, TOKEN_TYP, 1)
    except (MalformedError, TooLargeError) as error:
        raise TokenError(error.detail) from error
    payload = jws.payload
    if not _REQUIRED <= payload.keys() <= _REQUIRED | {"body_hash"}:
        raise TokenError("a request token has exactly iss, aud, iat, exp, jti, htm, htu and perhaps body_hash")
    patterns = {"iss": AGENCY_ID, "aud": AGENCY_ID, "jti": JTI, "htm": _METHOD, "body_hash": _DIGEST}
    for name, pattern in patterns.items():
        value = payload.get(name)
        if name in payload and not (isinstance(value, str) and pattern.fullmatch(value)):
            raise TokenError(f"a request token's {name} has the wrong form")
    issued, expires, htu = payload["iat"], payload["exp"], payload["htu"]
    # JSON true is an int to Python.
    if type(issued) is not int or type(expires) is not int or not 0 <= issued < expires <= _LATEST:
        raise TokenError("a request token's iat and exp are whole seconds, exp after iat")
    if expires - issued > LIFETIME:
        raise TokenError(f"a request token is valid for at most {LIFETIME} seconds")
    if not isinstance(htu, str) or "?" in htu or "#" in htu:
        raise TokenError("a request token's htu is a URL without query and fragment")
    return UnverifiedRequestToken(jws, RequestToken(kid=jws.kid, **({"body_hash": None} | dict(payload))))


def verify_request_token(
    token: UnverifiedRequestToken,
    key: PublicKey,
    *,
    audience: str,
    method: str,
    url: str,
    now: datetime,
    leeway: timedelta,
    body: bytes | None = None,
) -> RequestToken:
    """The token's claims, if `key` signed them for this request.

    `url` is the configured public URL of what was called, never one made from the Host header. With `body` the token must
    carry its hash; without, a hash that it carries is not looked at.
    Raises TokenError: `token.invalid` (signature, audience, issued in the future), `token.expired`, or
    `token.wrong-request` (method, URL, body).
    """
    try:
        verify_jws(token.jws, key)
    except SignatureInvalidError as error:
        raise TokenError(error.detail) from error
    claims = token.claims
    if claims.aud != audience:
        raise TokenError("the token is for another audience")
    if datetime.fromtimestamp(claims.iat, UTC) > now + leeway:
        raise TokenError("the token is dated in the future")
    if datetime.fromtimestamp(claims.exp, UTC) <= now - leeway:
        raise TokenError("the token has expired", code="token.expired")
    if claims.htm != method or _normal(claims.htu) != _normal(target(url)):
        raise TokenError("the token is for another method or URL", code="token.wrong-request")
    if body is not None and claims.body_hash != hash_body(body):
        raise TokenError("the token is for another body", code="token.wrong-request")
    return claims


def target(url: str) -> str:
    """The `htu` of a URL: without query and fragment (RFC 9449 §4.2)."""
    return url.partition("#")[0].partition("?")[0]


def hash_body(body: bytes) -> str:
    """SHA-256 in base64url: what `body_hash` holds."""
    return b64encode(hashlib.sha256(body).digest())


def _normal(url: str) -> tuple[str, str, int | None, str]:
    """The parts that must agree, in the normal form of RFC 3986 §6.2.2.1 and §6.2.3, as RFC 9449 §4.3 asks."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TokenError("a request token's htu is not a URL", code="token.wrong-request") from error
    if "@" in parts.netloc:
        raise TokenError("a request token's htu names no user", code="token.wrong-request")
    return parts.scheme, parts.hostname or "", port or _DEFAULT_PORTS.get(parts.scheme), parts.path or "/"
