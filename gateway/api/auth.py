"""Who calls: an agency by a signed request token, an auditor by a bearer token that `sinergi auditors issue` printed."""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.requests import Request

from gateway.errors import AccessDeniedError, StoreUnavailableError, TokenError
from gateway.statements.request_token import parse_request_token, verify_request_token
from gateway.store import queries
from gateway.store.jobs.events import UseToken
from gateway.store.recorder import DecidedBeforeError
from gateway.store.tables import micros
from gateway.wiring import Gateway

DPO: Final = "dpo"
_JWS_DOTS: Final = 2
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Auditor:
    """`dpo`, the data-protection officer (UU 27/2022 Art 53), may also search by a person's identifier."""

    id: str
    role: str


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenError("an Authorization header with a bearer token is required", code="token.missing")
    return token.strip()


async def agency(request: Request, gateway: Gateway) -> str:
    """The agency that signed this very request, now. Uses the token up, on all nodes together.

    Raises TokenError or KeyRefusedError; StoreUnavailableError when the use cannot be recorded.
    """
    token = parse_request_token(_bearer(request))
    # The configured URL, never the Host header: whoever sends the request chooses that.
    url = gateway.settings.gateway.public_url + request.url.path
    leeway = gateway.exchange.limits.leeway
    for _ in range(_ATTEMPTS):
        snapshot = await gateway.configuration.knowing(token.claims.iss, token.jws.kid)
        now = gateway.clock()
        claims = verify_request_token(
            token,
            snapshot.directory.key_for(token.claims.iss, token.jws.kid, now),
            audience=gateway.settings.gateway.id,
            method=request.method,
            url=url,
            now=now,
            leeway=leeway,
        )
        # Kept a little beyond the moment from which the token is refused as expired.
        forget_at = claims.exp * 1_000_000 + 2 * leeway // timedelta(microseconds=1)
        try:
            await gateway.store.recorder.record(UseToken(claims.iss, claims.jti, forget_at, snapshot.version))
        except DecidedBeforeError:
            # A key may have been revoked since: look at it again, as it is now.
            await asyncio.to_thread(gateway.configuration.reload)
        else:
            return claims.iss
    raise StoreUnavailableError("the configuration keeps changing")


async def auditor(request: Request, gateway: Gateway) -> Auditor:
    """Raises TokenError; an unknown and a revoked token look the same."""
    digest = hashlib.sha256(_bearer(request).encode()).hexdigest()

    def look() -> Auditor | None:
        with gateway.store.database.reading() as session:
            row = queries.auditor_by_token(session, digest)
        if row is None or row.revoked_at is not None or not hmac.compare_digest(row.token_hash, digest):
            return None
        if row.expires_at <= micros(gateway.clock()):
            raise TokenError("the token has expired", code="token.expired")
        return Auditor(row.id, row.role)

    found = await asyncio.to_thread(look)
    if found is None:
        raise TokenError("the token is not valid")
    return found


async def agency_or_auditor(request: Request, gateway: Gateway) -> str | Auditor:
    """A request token has the two dots of a JWS, an auditor's token none."""
    if _bearer(request).count(".") == _JWS_DOTS:
        return await agency(request, gateway)
    return await auditor(request, gateway)


def require_dpo(who: Auditor) -> None:
    if who.role != DPO:
        raise AccessDeniedError("this needs the role dpo")
