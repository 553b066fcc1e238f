"""What the tests of rules are made from: a small agreement as a document, and real signed messages."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.agreement.document import Agreement, agreement_from_json, parse_agreement
from gateway.decision.decide import Decision, Facts, RelatedTransfer, decide
from gateway.jose import public_key
from gateway.message.envelope import Case, Claims, VerifiedMessage, issue, parse, verify

ROOT = Path(__file__).resolve().parents[2]
IMIGRASI, POLDA = "imigrasi-banten", "polda-banten"
NOW = datetime(2026, 3, 10, 3, 0, tzinfo=UTC)  # 10:00 in Banten
EARLIER = "01960000-0000-7000-8000-000000000001"
LP = Case("LP", "LP/A/12/III/2026/SPKT")


class Key:
    """A throwaway Ed25519 key behind the Signer protocol."""

    alg = "EdDSA"

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.public = public_key(self._private.public_key())
        self.kid = self.public.kid

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


KEY = Key()


@dataclass(frozen=True)
class Draft:
    """A message before it is signed: what a test changes, it changes here."""

    type: str = "notice/1"
    sender: str = IMIGRASI
    recipient: str = POLDA
    purpose: str = "PREVENTION"
    agreement: str = "test"
    classification: str = "T"
    body: Mapping[str, Any] = field(default_factory=dict)
    disclosable: Iterable[str] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = NOW


def message(draft: Draft) -> VerifiedMessage:
    """Issued, parsed and verified as the gateway does it."""
    issued = int(draft.at.timestamp())
    claims = Claims(
        iss=draft.sender,
        aud=draft.recipient,
        iat=issued,
        exp=issued + 3600,
        jti="test-0001",
        type=draft.type,
        agreement=draft.agreement,
        purpose=draft.purpose,
        classification=draft.classification,
        **draft.claims,
    )
    text = issue(claims, draft.body, draft.disclosable, KEY)
    return verify(parse(text.encode()), KEY.public)


def source() -> dict[str, str]:
    return {"provenance": "public", "citation": "a test"}


def rule(**changes: Any) -> dict[str, Any]:
    """The smallest rule; `None` takes a key away."""
    members: dict[str, Any] = {
        "id": "notice",
        "title": {"en": "Notice", "id": "Pemberitahuan"},
        "clause": "1",
        "type": "notice/1",
        "senders": [IMIGRASI],
        "recipients": [POLDA],
        "purposes": ["PREVENTION"],
        **source(),
        "retention": {"keep": "P2Y", **source()},
        "handling": "AMBER",
        "priority": "normal",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


def document(*rules: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The smallest agreement with these rules."""
    party = {
        "name": {"en": "A party", "id": "Pihak"},
        "liaisons": [{"role": "LIAISON", "title": {"en": "Liaison", "id": "Penghubung"}}],
    }
    members: dict[str, Any] = {
        "format": 1,
        "id": "test",
        "version": 1,
        "title": {"en": "Test", "id": "Uji"},
        "description": {"en": "For tests", "id": "Untuk uji"},
        "timezone": "+07:00",
        "valid_from": {"date": "2026-01-01", **source()},
        "valid_until": {"date": "2026-12-31", **source()},
        "onward_transfer": False,
        "parties": {IMIGRASI: party, POLDA: party},
        "clauses": {
            "1": {"title": {"en": "Data", "id": "Data"}, **source()},
            "2": {"title": {"en": "Crime", "id": "Kejahatan"}, **source()},
        },
        "jurisdictions": {
            POLDA: {
                "name": {"en": "Territory", "id": "Wilayah"},
                "regions": {"codes": ["36.01", "36.03.08"], **source()},
                "checkpoints": {"codes": ["MERAK"], **source()},
            }
        },
        "rules": list(rules) or [rule()],
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


def agreement(*rules: Mapping[str, Any], **changes: Any) -> Agreement:
    return agreement_from_json(rfc8785.dumps(document(*rules, **changes)))


def yaml(value: object) -> str:
    """JSON is YAML; one line a member, so that faults have lines."""
    return json.dumps(value, indent=1, ensure_ascii=False)


def real() -> Agreement:
    """The agreement that the product ships."""
    return parse_agreement((ROOT / "agreements" / "pks-banten-2025.yaml").read_text(encoding="utf-8"))


def judged(one: Agreement | None, draft: Draft, facts: Facts | None = None, now: datetime = NOW) -> Decision:
    return decide(one, message(draft), facts or Facts(), now)


def earlier(**changes: Any) -> RelatedTransfer:
    """A transfer from the police to immigration, accepted, open and live."""
    members: dict[str, Any] = {
        "transfer": EARLIER,
        "type": "query/1",
        "sender": POLDA,
        "recipient": IMIGRASI,
        "accepted": True,
        "open": True,
        "live": True,
        **changes,
    }
    return RelatedTransfer(**members)
