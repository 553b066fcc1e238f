"""A gateway in memory: it keeps its promises with the gateway's own functions, until a test tells it to lie.

Each lie replaces one step: `lies["receipt"]` is called with the honest receipt and gives another, and so on.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import CODES, Reason
from gateway.jose import b64encode
from gateway.keyring import KeyringSigner, signer_for
from gateway.ledger import tiles
from gateway.ledger.checkpoint import Checkpoint, sign_checkpoint
from gateway.ledger.entry import TransferAccepted, TransferRefused, commitment
from gateway.ledger.merkle import Frontier, inclusion_proof, leaf_hash, node_hash
from gateway.ledger.note import Ed25519NoteSigner
from gateway.ledger.proof import format_proof
from gateway.message import batch
from gateway.message.envelope import Claims, VerifiedMessage, issue, parse, release, sd_hash, verify
from gateway.statements.receipt import (
    GatewayReceipt,
    Release,
    parse_acknowledgement,
    sign_gateway_receipt,
    sign_release,
    verify_acknowledgement,
)
from gateway.statements.request_token import parse_request_token, sign_request_token, verify_request_token

NOW = datetime(2026, 11, 23, 8, 15, tzinfo=UTC)
URL = "https://gateway.example"
PUSH_URL = "https://polda.example/sinergi/inbox"
GATEWAY = "sinergi-banten"
SENDER = "imigrasi-banten"
RECIPIENT = "polda-banten"
AGREEMENT = "pks-banten-2025"
ORIGIN = f"gateway.example/ledger/{AGREEMENT}"
BODY: dict[str, Any] = {
    "region_code": "36.04.08.2009",
    "severity": 3,
    "indicators": ["SOCIAL_MEDIA_AD", "UNREALISTIC_SALARY"],
    "reporter": {"pseudonym": "WARGA-PP-07", "source_role": "FAMILY_MEMBER"},
}
NO_CASE = (Reason("rule.case-required", clause="1", pointer="/case"),)


def ed25519() -> KeyringSigner:
    return signer_for(Ed25519PrivateKey.generate())


def p256() -> KeyringSigner:
    return signer_for(generate_ec_key(SECP256R1()))


def jwks(*signers: KeyringSigner, **members: Any) -> dict[str, Any]:
    """As the gateway publishes the keys of an agency."""
    window = {
        "nbf": int((NOW - timedelta(days=1)).timestamp()),
        "exp": int((NOW + timedelta(days=365)).timestamp()),
        "status": "active",
    }
    return {
        "keys": [
            {**signer.public.jwk, "kid": signer.kid, "alg": signer.alg, "use": "sig"} | window | members
            for signer in signers
        ]
    }


def claims(**changes: Any) -> Claims:
    given: dict[str, Any] = {
        "iss": SENDER,
        "aud": RECIPIENT,
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + timedelta(hours=6)).timestamp()),
        "jti": uuid.uuid4().hex,
        "type": "early-warning.report/1",
        "agreement": AGREEMENT,
        "purpose": "TPPO_PREVENTION",
        "classification": "T",
    }
    return Claims(**(given | changes))


class Ledger:
    """Leaves, and everything that follows from them."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.signer = note_signer(origin)
        self.leaves: list[bytes] = []

    def append(self, leaf: bytes) -> int:
        self.leaves.append(leaf)
        return len(self.leaves) - 1

    def checkpoint(self, signer: Ed25519NoteSigner | None = None) -> bytes:
        tree = Frontier()
        tree.extend(map(leaf_hash, self.leaves))
        return sign_checkpoint(Checkpoint(self.origin, tree.size, tree.root()), [signer or self.signer])

    def proof(self, index: int, signer: Ed25519NoteSigner | None = None) -> str:
        def node(level: int, place: int) -> bytes:
            if level == 0:
                return leaf_hash(self.leaves[place])
            return node_hash(node(level - 1, 2 * place), node(level - 1, 2 * place + 1))

        return format_proof(index, inclusion_proof(index, len(self.leaves), node), self.checkpoint(signer))

    def resource(self, path: str) -> bytes:
        if path == "checkpoint":
            return self.checkpoint()
        wanted = tiles.TilePath.parse(path)
        start = wanted.index * tiles.TILE_WIDTH
        leaves = self.leaves[start : start + wanted.width]
        if wanted.level is None:
            return tiles.bundle(leaves)
        assert wanted.level == 0
        return b"".join(map(leaf_hash, leaves))


def note_signer(origin: str) -> Ed25519NoteSigner:
    key = Ed25519PrivateKey.generate()
    return Ed25519NoteSigner(origin, key.sign, key.public_key().public_bytes_raw())


@dataclass
class Gateway:
    """Serves one sender and one recipient. `reasons` refuses everything, `withheld` withholds."""

    signer: KeyringSigner = field(default_factory=ed25519)
    sender: KeyringSigner = field(default_factory=ed25519)
    recipient: KeyringSigner = field(default_factory=p256)
    ledger: Ledger = field(default_factory=lambda: Ledger(ORIGIN))
    reasons: tuple[Reason, ...] = ()
    withheld: tuple[str, ...] = ()
    lies: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    failures: list[httpx.Response | Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(5):
            self.ledger.append(f"an earlier entry {number}".encode())

    def lie(self, what: str, truth: Any) -> Any:
        return self.lies.get(what, lambda value: value)(truth)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        path = request.url.path
        if path.startswith("/ledger/"):
            return httpx.Response(200, content=self.ledger.resource(path.removeprefix(f"/ledger/{AGREEMENT}/")))
        status, content = self.route(request, path)
        return httpx.Response(status, json=self.lie(path, content))

    def route(self, request: httpx.Request, path: str) -> tuple[int, Any]:
        if path == "/.well-known/sinergi-gateway":
            ledger = {"agreement": AGREEMENT, "origin": ORIGIN, "vkey": self.ledger.signer.vkey}
            return 200, {"gateway": GATEWAY, "public_url": URL, "ledgers": [ledger], "limits": {}}
        if path == "/.well-known/jwks.json":
            return 200, jwks(self.signer, purpose="sign")
        if path.startswith("/v1/agencies/"):
            return 200, jwks(self.sender if SENDER in path else self.recipient)
        if path == "/v1/messages":
            return self.take(request.content.decode())
        if path == "/v1/messages:batch":
            taken = [self.take(line.decode()) for line in batch.split(request.content)]
            return 200, {"results": [{"status": status} | content for status, content in taken]}
        agency = self.caller(request)
        if path == "/v1/inbox":
            assert agency == RECIPIENT
            limit = int(request.url.params["limit"])
            return 200, {"items": self.waiting[:limit], "more": len(self.waiting) > limit}
        if path == "/v1/decisions":
            return 200, {"permitted": not self.reasons, "reasons": [r.as_json() for r in self.reasons], "withheld": []}
        if path == "/v1/acknowledgements":
            return 200, {"results": list(map(self.record, json.loads(request.content)["acknowledgements"]))}
        return 404, {"type": "urn:sinergi:problem:request.not-found", "code": "request.not-found", "status": 404}

    def caller(self, request: httpx.Request) -> str:
        token = parse_request_token(request.headers["authorization"].removeprefix("Bearer "))
        key = (self.sender if token.claims.iss == SENDER else self.recipient).public
        verified = verify_request_token(
            token,
            key,
            audience=GATEWAY,
            method=request.method,
            url=URL + request.url.path,
            now=NOW,
            leeway=timedelta(seconds=60),
            body=request.content if request.method == "POST" else None,
        )
        return verified.iss

    def record(self, text: str) -> dict[str, Any]:
        said = verify_acknowledgement(parse_acknowledgement(text), self.recipient.public)
        self.acknowledged.append((said.transfer, said.event))
        return {"transfer": said.transfer, "status": "recorded", "index": 7}

    def take(self, text: str) -> tuple[int, dict[str, Any]]:
        if text in self.answers:
            status, content = self.answers[text]
            return (200 if status == 202 else status), content
        message = verify(parse(text.encode()), self.sender.public)
        transfer = new_transfer()
        key = bytes(range(32))
        index = self.ledger.append(self.leaf(message, transfer, commitment(key, message.jwt)))
        event = "refused" if self.reasons else "accepted"
        receipt = GatewayReceipt(
            iss=GATEWAY,
            aud=message.claims.iss,
            iat=int(NOW.timestamp()),
            jti=uuid.uuid4().hex,
            transfer=transfer,
            event=event,
            sd_hash=sd_hash(text),
            origin=ORIGIN,
            index=index,
            leaf_hash=b64encode(leaf_hash(self.ledger.leaves[index])),
            commitment_key=key.hex(),
            rule="early-warning",
            clause="1",
            reasons=self.reasons,
        )
        evidence = {
            "transfer": transfer,
            "decision": event,
            "receipt": sign_gateway_receipt(self.lie("receipt", receipt), self.lie("receipt key", self.signer)),
            "ledger": {"origin": ORIGIN, "index": index, "proof": self.lie("proof", self.ledger.proof(index))},
        }
        if self.reasons:
            code = CODES[self.reasons[0].code]
            problem = {"type": f"urn:sinergi:problem:{code.code}", "title": code.en, "code": code.code}
            errors = {"errors": [reason.as_json() for reason in self.reasons], "clause": "1"}
            self.answers[text] = code.status, problem | {"status": code.status} | errors | evidence
        else:
            self.waiting.append(self.item(message, transfer))
            self.answers[text] = 202, evidence
        return self.answers[text]

    def leaf(self, message: VerifiedMessage, transfer: str, sealed: str) -> bytes:
        said = message.claims
        common: dict[str, Any] = {
            "time": NOW,
            "transfer": transfer,
            "sender": said.iss,
            "key": message.kid,
            "commitment": sealed,
        }
        if self.reasons:
            return TransferRefused(**common, reasons=self.reasons).leaf()
        return TransferAccepted(
            **common,
            recipient=said.aud,
            type=said.type,
            purpose=said.purpose,
            classification=said.classification,
            agreement=said.agreement,
            agreement_version=1,
            rule="early-warning",
            clause="1",
            exp=said.exp,
        ).leaf()

    def item(self, message: VerifiedMessage, transfer: str) -> dict[str, Any]:
        text = release(message, self.withheld)
        statement = Release(
            iss=GATEWAY,
            aud=message.claims.aud,
            iat=int(NOW.timestamp()),
            jti=uuid.uuid4().hex,
            transfer=transfer,
            sd_hash=sd_hash(text),
            withheld=self.withheld,
            commitment_key=bytes(range(32)).hex(),
        )
        signed = sign_release(self.lie("release", statement), self.lie("release key", self.signer))
        return {"transfer": transfer, "message": text, "release": signed, "attempt": 1}

    def deliverable(self, *, disclosable: tuple[str, ...] = ("/body/reporter",), **changes: Any) -> dict[str, Any]:
        """An item for the recipient, without anyone having sent it through this simulator."""
        text = issue(claims(**changes), BODY, disclosable, self.sender)
        return self.item(verify(parse(text.encode()), self.sender.public), new_transfer())

    def push(self, *items: dict[str, Any], body: bytes | None = None, **changes: Any) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a push, its token changed as asked."""
        content = json.dumps({"items": items, "more": False}).encode() if body is None else body
        given: dict[str, Any] = {
            "signer": self.signer,
            "iss": GATEWAY,
            "aud": RECIPIENT,
            "method": "POST",
            "url": PUSH_URL,
            "now": NOW,
            "body": content,
        }
        token = sign_request_token(**(given | changes))
        return content, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def new_transfer() -> str:
    return f"019a9c5e-7a10-7cc3-8a2e-{uuid.uuid4().hex[:12]}"
