"""What anyone may know: who takes part, with which keys, which messages there are and which rules are in force."""

import json
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import shapes
from gateway.api.context import Context, context, json_response
from gateway.errors import NotFoundError
from gateway.keys.directory import ACTIVE, stage
from gateway.keys.keychain import LONG_LIVED
from gateway.message import batch
from gateway.store import queries
from gateway.store.tables import LedgerHead
from gateway.wiring import Gateway

router: Final = APIRouter(tags=["registry"])
# How long a client may keep a key set; docs/reference/protocol.md says the same.
KEYS_MAX_AGE: Final = 60
AKP: Final = "AKP"


def _cached(content: Any) -> Response:
    return json_response(content, Cache_Control=f"public, max-age={KEYS_MAX_AGE}")


@router.get(
    "/.well-known/sinergi-gateway", summary="What this gateway is", responses=shapes.answers(200, of=shapes.Described)
)
def well_known(request: Request) -> Response:
    gateway = context(request).gateway
    settings = gateway.settings
    limits = settings.limits
    with gateway.store.database.reading() as session:
        heads = queries.ledgers(session)
    return _cached(
        {
            "gateway": settings.gateway.id,
            "public_url": settings.gateway.public_url,
            "jwks": f"{settings.gateway.public_url}/.well-known/jwks.json",
            "ledgers": [
                {
                    "agreement": head.ledger,
                    "origin": head.origin,
                    "vkey": gateway.store.keys.checkpoint.note_signer(head.origin).vkey,
                    "vkeys": [key.vkey for key in gateway.store.keys.checkpoint.verifiers(head.origin)],
                    "succession": [
                        one.members(head.origin)
                        for one in (*gateway.store.keys.checkpoint.said, *gateway.store.keys.long_lived_keys.said)
                    ],
                }
                | _attested(context(request), head)
                for head in heads
            ],
            "limits": {
                "message_bytes": limits.message_bytes,
                "batch_messages": batch.MESSAGES_LIMIT,
                "batch_bytes": batch.BYTES_LIMIT,
                "disclosures": limits.disclosures,
                "depth": limits.depth,
                "reasons": 64,
                "validity_seconds": limits.validity_days * 86_400,
                "leeway_seconds": limits.leeway_seconds,
                "page": 100,
                "keys_max_age_seconds": KEYS_MAX_AGE,
            },
        }
    )


def _attested(here: Context, head: LedgerHead) -> dict[str, Any]:
    """The long-lived key, and whose cosignatures to expect. Whoever relies on them has the keys from their owners."""
    long_lived = here.gateway.store.keys.long_lived(head.origin)
    quorum = here.attestations.policies.of(head.ledger).quorum
    told: dict[str, Any] = {} if long_lived is None else {"mldsa_vkey": long_lived.verifier.vkey}
    if quorum.witnesses:
        told |= {"witnesses": [witness.vkey for witness in quorum.witnesses], "quorum": quorum.count}
    return told


@router.get(
    "/.well-known/jwks.json", summary="The gateway's keys", responses=shapes.answers(200, of=shapes.JsonWebKeySet)
)
def gateway_keys(request: Request) -> Response:
    """Past keys included: a receipt is verified with the key that signed it then.

    `stage` is what a key is at this moment: pending, active, retiring, retired or revoked. The ML-DSA-44 keys of checkpoints are
    in `/v1/agencies/{gateway}/jwks.json` alone.
    """
    # Several JOSE libraries refuse a whole set over one `kty` that they do not know, though RFC 7517 §5 says to skip it.
    return _cached({"keys": [jwk for jwk in _own_jwks(context(request).gateway) if jwk["kty"] != AKP]})


def _own_jwks(gateway: Gateway) -> list[dict[str, Any]]:
    now = gateway.clock()
    with gateway.store.database.reading() as session:
        own = queries.own_keys(session)
    keys = [key.as_jwk(now, own) for key in own if key.jwk is not None]
    # One that the settings name since the gateway was founded signs as well; since when, its first rotation writes down.
    ring, known = gateway.store.keys.long_lived_keys.ring, {key.kid for key in own}
    unwritten = [] if ring is None else [key for key in ring.held() if key.kid not in known]
    told = {"use": "sig", "purpose": LONG_LIVED, "status": ACTIVE, "stage": ACTIVE}
    return [*keys, *({**key.jwk, "kid": key.kid, **told} for key in unwritten)]


@router.get(
    "/v1/agencies/{agency}/jwks.json",
    summary="An agency's keys, with validity",
    responses=shapes.answers(200, of=shapes.JsonWebKeySet) | shapes.problems(404),
)
def agency_keys(request: Request, agency: str) -> Response:
    """`stage` is what a key is at this moment: pending, active, retiring, retired or revoked.

    Of the gateway's own id: every key of its own that has a public half, those of kind AKP (RFC 9964) included.
    """
    gateway = context(request).gateway
    if agency == gateway.settings.gateway.id:
        return _cached({"keys": _own_jwks(gateway)})
    directory, now = gateway.configuration.current().directory, gateway.clock()
    if agency not in directory.agencies:
        raise NotFoundError("no such agency")
    return _cached({"keys": [key.as_jwk(stage(key, directory, now)) for key in directory.keys_of(agency)]})


@router.get("/v1/message-types", summary="Message types", responses=shapes.answers(200, of=shapes.Described))
def message_types(request: Request) -> Response:
    gateway = context(request).gateway
    return _cached(
        {
            "items": [
                {
                    "type": kind.type,
                    "title": {"en": kind.title_en, "id": kind.title_id},
                    "digest": kind.digest,
                    "sensitive": sorted(kind.sensitive),
                }
                for kind in gateway.catalogue.types()
            ]
        }
    )


@router.get(
    "/v1/message-types/{name}/{version}",
    summary="One message type: its schema and release schema",
    responses=shapes.answers(200, of=shapes.Described) | shapes.problems(404),
)
def message_type(request: Request, name: str, version: str) -> Response:
    kind = context(request).gateway.catalogue.get(f"{name}/{version}")
    if kind is None:
        raise NotFoundError("no such message type")
    return _cached(
        {
            "type": kind.type,
            "title": {"en": kind.title_en, "id": kind.title_id},
            "digest": kind.digest,
            "sensitive": sorted(kind.sensitive),
            "schema": kind.schema,
            "release_schema": kind.release_schema,
        }
    )


@router.get(
    "/v1/agreements/{agreement}",
    summary="The rules in force",
    responses=shapes.answers(200, of=shapes.Described) | shapes.problems(404),
)
def agreement(request: Request, agreement: str) -> Response:
    """The canonical document, its digest, and the signatures of the parties over that digest."""
    gateway: Gateway = context(request).gateway
    if agreement not in gateway.configuration.current().agreements:
        raise NotFoundError("no such agreement")
    with gateway.store.database.reading() as session:
        row = next(row for row in queries.active_agreements(session) if row.id == agreement)
    return _cached(
        {
            "agreement": row.id,
            "version": row.version,
            "digest": row.digest,
            "document": json.loads(row.document),
            "signatures": json.loads(row.signatures),
        }
    )
