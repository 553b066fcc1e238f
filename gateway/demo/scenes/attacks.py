"""What somebody on the network can try with a message that is not theirs, and what each attempt is answered."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.demo import story
from gateway.demo.province import AGREEMENT, IMIGRASI, POLDA
from gateway.demo.scenes.exchange import the_warning
from gateway.demo.stage import Stage
from gateway.jose import b64decode, b64encode
from gateway.keyring import KeyringSigner, signer_for
from gateway.message.envelope import MEDIA_TYPE, issue, parse


@dataclass(frozen=True, slots=True)
class _Impostor:
    """Signs with a key of its own and claims to be another."""

    kid: str
    alg: str
    own: KeyringSigner

    def sign(self, message: bytes) -> bytes:
        return self.own.sign(message)


def attacks(stage: Stage) -> None:
    """Five attempts on the warning of the first scene; exactly one of them is an agency's own and recorded."""
    transfer, message = the_warning(stage)
    before = _transfers(stage)
    parsed = parse(message.encode())
    disclosable = story.DISCLOSABLE[story.WARNING]
    stranger = signer_for(Ed25519PrivateKey.generate())
    impostor = _Impostor(parsed.jws.kid, "EdDSA", stranger)
    attempts = [
        ("forged: signed by a stranger", issue(parsed.claims, story.warning(), disclosable, stranger)),
        ("forged: a stranger under the agency's key id", issue(parsed.claims, story.warning(), disclosable, impostor)),
        ("altered: severity 3 made 1 after signing", _altered(message)),
        ("replayed: the very same bytes", message),
    ]
    answers = [(what, _post(stage, text)) for what, text in attempts]
    reused = stage.imigrasi.send(
        to=POLDA,
        type=story.WARNING,
        body=story.warning(severity=1),
        disclosable=disclosable,
        purpose="EARLY_WARNING",
        classification="T",
        jti=parsed.claims.jti,
    )
    rows = [[what, str(answer.status_code), _code(answer), "no"] for what, answer in answers]
    rows.append(["replayed: the same jti over other content", str(reused.status), str(reused.code), "refusal"])
    stage.screen.table(("attempt", "status", "answer", "recorded"), rows)

    found = [(answer.status_code, answer.json().get("code")) for _, answer in answers]
    stage.expect("a stranger's key is unknown", found[0], (401, "key.unknown"))
    stage.expect("a stranger's signature does not verify", found[1], (401, "envelope.signature-invalid"))
    stage.expect("one claim changed, and the signature does not verify", found[2], (401, "envelope.signature-invalid"))
    again = answers[3][1]
    original = stage.warning.receipt if stage.warning else None
    stage.expect(
        "identical bytes get the original receipt again, whoever sends them: an honest retry loses nothing",
        (again.status_code, again.json().get("transfer"), again.json().get("receipt")),
        (200, transfer, original),
    )
    stage.expect("a jti is used once, for ever", (reused.status, reused.code), (409, "envelope.replayed"))
    receipt = stage.receipt(reused, IMIGRASI)
    stage.expect(f"that refusal is signed for, entry {receipt.index}", receipt.event, "refused")
    stage.expect("of five attempts one is recorded: the one that its agency signed", _transfers(stage) - before, 1)


def _post(stage: Stage, message: str) -> httpx.Response:
    return stage.http.post(
        f"{stage.province.base}/v1/messages", content=message.encode(), headers={"Content-Type": MEDIA_TYPE}
    )


def _code(answer: httpx.Response) -> str:
    return str(answer.json().get("code") or "original receipt")


def _altered(message: str) -> str:
    """The same message with one claim changed; signature and disclosures are the original ones."""
    jwt, _, disclosures = message.partition("~")
    header, payload, signature = jwt.split(".")
    claims: dict[str, Any] = json.loads(b64decode(payload, "payload"))
    claims["body"]["severity"] = 1
    return f"{header}.{b64encode(json.dumps(claims).encode())}.{signature}~{disclosures}"


def _transfers(stage: Stage) -> int:
    """Accepted and refused messages in the ledger of the agreement."""
    leaves = stage.leaves(stage.province.ledgers[AGREEMENT])
    kinds = [json.loads(leaf)["kind"] for leaf in leaves]
    return kinds.count("transfer.accepted") + kinds.count("transfer.refused")
