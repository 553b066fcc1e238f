"""What a running gateway publishes, as anybody reads it: its key, its ledgers and their entries."""

from typing import Any

import httpx

from gateway.evidence.court import Trust
from gateway.jose import PublicKey, public_key_from_jwk
from gateway.ledger.cosignature import Trust as LedgerTrust
from gateway.ledger.entry import decode
from gateway.ledger.note import NoteVerifier
from gateway.ledger.source import HttpSource
from gateway.ledger.tiles import split_bundle
from gateway.ledger.verify import audit
from tests.province import AGREEMENT, Province


def gateway_key(province: Province) -> PublicKey:
    keys = httpx.get(f"{province.base}/.well-known/jwks.json", timeout=10).json()["keys"]
    return next(
        public_key_from_jwk({name: key[name] for name in ("kty", "crv", "x")})
        for key in keys
        if key["purpose"] == "sign"
    )


def ledger_verifier(province: Province, ledger: str = AGREEMENT) -> tuple[str, NoteVerifier]:
    ledgers = httpx.get(f"{province.base}/.well-known/sinergi-gateway", timeout=10).json()["ledgers"]
    found = next(entry for entry in ledgers if entry["agreement"] == ledger)
    return found["origin"], NoteVerifier.parse(found["vkey"])


def trusted(province: Province) -> Trust:
    """What a verifier was handed over before: the gateway's key, and the keys of its two ledgers."""
    told = httpx.get(f"{province.base}/.well-known/sinergi-gateway", timeout=10).json()
    keys = httpx.get(f"{province.base}/.well-known/jwks.json", timeout=10).json()["keys"]
    signing = [public_key_from_jwk({name: key[name] for name in ("kty", "crv", "x")}) for key in keys]
    ledgers = {one["origin"]: LedgerTrust(one["origin"], (NoteVerifier.parse(one["vkey"]),)) for one in told["ledgers"]}
    return Trust({key.kid: key for key in signing}, ledgers)


def entries(province: Province) -> list[dict[str, Any]]:
    size = province.sizes()[AGREEMENT]
    found: list[dict[str, Any]] = []
    for first in range(0, size, 256):
        width = min(256, size - first)
        path = f"tile/entries/{first // 256:03d}" + ("" if width == 256 else f".p/{width}")
        data = httpx.get(f"{province.base}/ledger/{AGREEMENT}/{path}", timeout=10).content
        found += [decode(leaf) for leaf in split_bundle(data, width)]
    return found


def require_verified(province: Province) -> None:
    origin, verifier = ledger_verifier(province)
    with httpx.Client(base_url=f"{province.base}/ledger/{AGREEMENT}/") as client:
        report = audit(HttpSource(client), origin, [verifier])
    assert report.ok, report
