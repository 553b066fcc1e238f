"""The table of bad messages: what is sent, and the answer it must get. docs/reference/errors.md shows the same table."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.jose import b64encode
from gateway.keyring import signer_for
from gateway.message.disclosure import close_payload, digest_of
from gateway.message.envelope import MESSAGE_TYP, Case, issue, serialise
from tests.province import IMIGRASI, POLDA, QUERY, WARNING, Province, example

Make = Callable[[Province], str | bytes]


@dataclass(frozen=True)
class BadMessage:
    """`recorded`: the refusal is a ledger entry and carries a signed receipt."""

    name: str
    make: Make
    status: int
    code: str
    recorded: bool = False
    content_type: str = "application/sd-jwt"


def _parts(province: Province, **changes: Any) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Header, payload and disclosures of a good message, for taking apart."""
    agency = province.imigrasi
    closed, disclosures = close_payload(
        example(WARNING, "valid-pulo-panjang"), ("/reporter", "/recruiter", "/narrative")
    )
    header = {"alg": agency.signer.alg, "kid": agency.signer.kid, "typ": MESSAGE_TYP}
    payload = agency.claims(**changes).as_json() | {"_sd_alg": "sha-256", "body": closed}
    return header, payload, list(disclosures)


def _sign(province: Province, header: Any, payload: Any, disclosures: list[str]) -> str:
    """Signs any header and payload, texts included, with the agency's real key."""
    parts = [value if isinstance(value, str) else json.dumps(value) for value in (header, payload)]
    signing_input = ".".join(b64encode(part.encode("utf-8", "surrogatepass")) for part in parts)
    signature = b64encode(province.imigrasi.signer.sign(signing_input.encode()))
    return serialise(f"{signing_input}.{signature}", disclosures)


def _header(**changes: Any) -> Make:
    def make(province: Province) -> str:
        header, payload, disclosures = _parts(province)
        merged = {name: value for name, value in (header | changes).items() if value is not None}
        return _sign(province, merged, payload, disclosures)

    return make


def _payload(change: Callable[[dict[str, Any]], Any]) -> Make:
    def make(province: Province) -> str:
        header, payload, disclosures = _parts(province)
        changed = change(payload)
        return _sign(province, header, payload if changed is None else changed, disclosures)

    return make


def _claims(**changes: Any) -> Make:
    return lambda province: province.imigrasi.message(**changes)


def _disclosures(change: Callable[[list[str]], list[str]]) -> Make:
    def make(province: Province) -> str:
        jwt, *disclosures = province.imigrasi.message().split("~")[:-1]
        return serialise(jwt, change(disclosures))

    return make


def _hs256(province: Province) -> str:
    """The classic: the public key as an HMAC secret."""
    header, payload, disclosures = _parts(province)
    public = base64.urlsafe_b64decode(province.imigrasi.signer.public.jwk["x"] + "=")
    signing_input = ".".join(b64encode(json.dumps(part).encode()) for part in (header | {"alg": "HS256"}, payload))
    signature = hmac.new(public, signing_input.encode(), hashlib.sha256).digest()
    return serialise(f"{signing_input}.{b64encode(signature)}", disclosures)


def _none(province: Province) -> str:
    header, payload, disclosures = _parts(province)
    signing_input = ".".join(b64encode(json.dumps(part).encode()) for part in (header | {"alg": "none"}, payload))
    return serialise(f"{signing_input}.", disclosures)


def _ed448(province: Province) -> str:
    header, payload, disclosures = _parts(province)
    signing_input = ".".join(b64encode(json.dumps(part).encode()) for part in (header, payload))
    signature = Ed448PrivateKey.generate().sign(signing_input.encode())
    return serialise(f"{signing_input}.{b64encode(signature)}", disclosures)


def _other_key(province: Province) -> str:
    return province.imigrasi.message(signer=province.polda.signer)


def _stranger(province: Province) -> str:
    return province.imigrasi.message(signer=signer_for(Ed25519PrivateKey.generate()))


def _wrong_signature(province: Province) -> str:
    """Right `kid`, another key's signature."""

    @dataclass
    class Liar:
        kid: str = province.imigrasi.signer.kid
        alg: str = province.imigrasi.signer.alg

        def sign(self, message: bytes) -> bytes:
            return Ed25519PrivateKey.generate().sign(message)

    return province.imigrasi.message(signer=Liar())


def _wrong_alg(province: Province) -> str:
    """An ES256 signature under a `kid` whose key is Ed25519."""
    other = signer_for(generate_private_key(SECP256R1()))

    @dataclass
    class Liar:
        kid: str = province.imigrasi.signer.kid
        alg: str = "ES256"

        def sign(self, message: bytes) -> bytes:
            return other.sign(message)

    return province.imigrasi.message(signer=Liar())


def _altered(province: Province) -> str:
    """One claim changed after signing."""
    header, payload, signature = province.imigrasi.message(disclosable=()).split("~")[0].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["body"]["severity"] = 1
    return f"{header}.{b64encode(json.dumps(claims).encode())}.{signature}~"


def _tampered_disclosure(disclosures: list[str]) -> list[str]:
    salt, name, _ = json.loads(base64.urlsafe_b64decode(disclosures[0] + "=="))
    return [b64encode(json.dumps([salt, name, "changed"]).encode()), *disclosures[1:]]


def _extra_disclosure(disclosures: list[str]) -> list[str]:
    return [*disclosures, b64encode(json.dumps([secrets.token_urlsafe(16), "severity", 1]).encode())]


def _decoy(payload: dict[str, Any]) -> None:
    payload["body"]["_sd"].append(digest_of("decoy"))


def _replayed(province: Province) -> str:
    """The `jti` of an accepted message, over other content."""
    first = province.imigrasi.claims()
    body = example(WARNING, "valid-pulo-panjang")
    assert (
        province.imigrasi.post(
            issue(first, body, ("/body/reporter", "/body/recruiter", "/body/narrative"), province.imigrasi.signer)
        ).status_code
        == 202
    )
    return issue(
        replace(first, classification="B"),
        body,
        ("/body/reporter", "/body/recruiter", "/body/narrative"),
        province.imigrasi.signer,
    )


def _deep(payload: dict[str, Any]) -> str:
    return json.dumps(payload)[:-1] + ',"x":' + "[" * 40_000 + "]" * 40_000 + "}"


def _body(message_type: str = WARNING, name: str = "valid-pulo-panjang", **changes: Any) -> dict[str, Any]:
    return example(message_type, name) | changes


def _query(**changes: Any) -> Make:
    return lambda province: province.polda.query(**changes)


def _seconds(**offsets: int) -> Callable[[], dict[str, int]]:
    return lambda: {name: int(time.time()) + offset for name, offset in offsets.items()}


def _dated(**offsets: int) -> Make:
    return lambda province: province.imigrasi.message(**_seconds(**offsets)())


def _wildcard_b64(province: Province) -> str:
    """The last character of the signature carries unused bits: set, it is a second spelling of the same bytes."""
    text = province.imigrasi.message(disclosable=()).removesuffix("~")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1] + "~"


BAD_MESSAGES: tuple[BadMessage, ...] = (
    # Form. Nothing is recorded: anybody may have sent it.
    BadMessage("nothing at all", lambda _: b"", 400, "envelope.malformed"),
    BadMessage("not ASCII", lambda _: "é~".encode(), 400, "envelope.malformed"),
    BadMessage("no trailing ~", lambda p: p.imigrasi.message().removesuffix("~"), 400, "envelope.malformed"),
    BadMessage("key binding attached", lambda p: p.imigrasi.message() + "e30.e30.e30", 400, "envelope.malformed"),
    BadMessage("alg none", _none, 400, "envelope.malformed"),
    BadMessage("HS256 with the public key as secret", _hs256, 400, "envelope.malformed"),
    BadMessage("Ed448 signature", _ed448, 401, "envelope.signature-invalid"),
    BadMessage("unknown header member", _header(jku="https://evil.example/keys"), 400, "envelope.malformed"),
    BadMessage("header without kid", _header(kid=None), 400, "envelope.malformed"),
    BadMessage("critical header member", _header(crit=["exp"]), 400, "envelope.malformed"),
    BadMessage("wrong typ", _header(typ="JWT"), 400, "envelope.malformed"),
    BadMessage(
        "header member twice",
        lambda p: _sign(p, json.dumps(_parts(p)[0])[:-1] + ',"alg":"EdDSA"}', _parts(p)[1], _parts(p)[2]),
        400,
        "envelope.malformed",
    ),
    BadMessage("unknown claim", _payload(lambda p: p.update(nbf=1)), 400, "envelope.malformed"),
    BadMessage("claim missing", _payload(lambda p: p.pop("purpose") and None), 400, "envelope.malformed"),
    BadMessage(
        "claim twice", _payload(lambda p: json.dumps(p)[:-1] + ',"iss":"polda-banten"}'), 400, "envelope.malformed"
    ),
    BadMessage("exp without iat order", _dated(iat=10, exp=5), 400, "envelope.malformed"),
    BadMessage("jti too short", _payload(lambda p: p.update(jti="short")), 400, "envelope.malformed"),
    BadMessage("exp as text", _payload(lambda p: p.update(exp="9999999999")), 400, "envelope.malformed"),
    BadMessage("unknown classification", _payload(lambda p: p.update(classification="X")), 400, "envelope.malformed"),
    BadMessage(
        "NaN in the body",
        _payload(lambda p: json.dumps(p).replace('"severity": 3', '"severity": NaN')),
        400,
        "envelope.malformed",
    ),
    BadMessage(
        "padded base64",
        lambda p: p.imigrasi.message(disclosable=()).removesuffix("~") + "=~",
        400,
        "envelope.malformed",
    ),
    BadMessage("non-canonical base64", _wildcard_b64, 400, "envelope.malformed"),
    BadMessage("disclosure that no digest names", _disclosures(_extra_disclosure), 400, "envelope.malformed"),
    BadMessage("tampered disclosure", _disclosures(_tampered_disclosure), 400, "envelope.malformed"),
    BadMessage("disclosure missing", _disclosures(lambda d: d[1:]), 400, "envelope.malformed"),
    BadMessage("disclosure twice", _disclosures(lambda d: [*d, d[0]]), 400, "envelope.malformed"),
    BadMessage("decoy digest", _payload(_decoy), 400, "envelope.malformed"),
    BadMessage("other digest algorithm", _payload(lambda p: p.update(_sd_alg="sha-512")), 400, "envelope.malformed"),
    BadMessage("257 disclosures", _disclosures(lambda d: d + ["x"] * 257), 413, "envelope.too-large"),
    BadMessage("more than 1 MiB", lambda _: b"e" * 1_048_577, 413, "envelope.too-large"),
    BadMessage("40,000 levels deep", _payload(_deep), 413, "envelope.too-large"),
    BadMessage(
        "unsupported media type",
        lambda p: p.imigrasi.message(),
        415,
        "request.media-type",
        content_type="application/json",
    ),
    # Key and signature. Still unproven, still not recorded.
    BadMessage("unknown key", _stranger, 401, "key.unknown"),
    BadMessage("another agency's key", _other_key, 401, "key.unknown"),
    BadMessage("unknown agency", _claims(iss="imigrasi-jabar"), 401, "key.unknown"),
    BadMessage("another key's signature", _wrong_signature, 401, "envelope.signature-invalid"),
    BadMessage("another algorithm than the key's", _wrong_alg, 401, "envelope.signature-invalid"),
    BadMessage("claim altered after signing", _altered, 401, "envelope.signature-invalid"),
    # Proven from here on: every refusal is an entry and gets a signed receipt.
    BadMessage("expired", _dated(iat=-7200, exp=-3600), 422, "envelope.expired", recorded=True),
    BadMessage("dated in the future", _dated(iat=3600, exp=7200), 422, "envelope.not-yet-valid", recorded=True),
    BadMessage("valid for eight days", _dated(iat=0, exp=8 * 86_400), 422, "envelope.validity-too-long", recorded=True),
    BadMessage(
        "recipient not served here", _claims(aud="polda-metro-jaya"), 422, "envelope.wrong-audience", recorded=True
    ),
    BadMessage("recipient is the sender", _claims(aud=IMIGRASI), 422, "envelope.wrong-audience", recorded=True),
    BadMessage("jti used for other content", _replayed, 409, "envelope.replayed", recorded=True),
    BadMessage("unknown type", _claims(type="early-warning.rumour/1"), 422, "schema.unknown", recorded=True),
    BadMessage("unknown version", _claims(type="early-warning.report/9"), 422, "schema.unknown", recorded=True),
    BadMessage(
        "schema violated in two places",
        _claims(body=_body(severity=9, region_code="36.04.08")),
        422,
        "schema.violated",
        recorded=True,
    ),
    BadMessage("unknown agreement", _claims(agreement="pks-jabar-2025"), 403, "agreement.unknown", recorded=True),
    BadMessage(
        "no rule for this direction",
        lambda p: p.imigrasi.message(QUERY, aud=POLDA, case=Case("LP", "LP/B/17/XI/2026/SPKT")),
        403,
        "rule.none",
        recorded=True,
    ),
    BadMessage("no rule for this purpose", _claims(purpose="CAPACITY_BUILDING"), 403, "rule.purpose", recorded=True),
    BadMessage("no case reference", _query(case=None), 403, "rule.case-required", recorded=True),
    BadMessage("wrong kind of case", _query(case=Case("LI", "LI/3/XI/2026")), 403, "rule.case-required", recorded=True),
    BadMessage(
        "period of more than twelve months",
        _query(body=_body(QUERY, "valid-by-passport", period_from="2024-01-01")),
        403,
        "rule.condition",
        recorded=True,
    ),
    BadMessage(
        "a field in clear that must be disclosable",
        _claims(disclosable=("/body/recruiter", "/body/narrative")),
        403,
        "rule.field-not-disclosable",
        recorded=True,
    ),
    BadMessage(
        "only the children of a field disclosable",
        _claims(
            disclosable=("/body/reporter/pseudonym", "/body/reporter/contact", "/body/recruiter", "/body/narrative")
        ),
        403,
        "rule.field-not-disclosable",
        recorded=True,
    ),
    BadMessage(
        "village outside the jurisdiction",
        _claims(body=_body(region_code="36.03.13.2001")),
        403,
        "rule.out-of-jurisdiction",
        recorded=True,
    ),
    BadMessage(
        "answer to nothing",
        lambda p: p.polda.message("early-warning.acknowledgement/1", in_reply_to=None),
        403,
        "rule.condition",
        recorded=True,
    ),
)
EXPECTED: Mapping[str, BadMessage] = {case.name: case for case in BAD_MESSAGES}
assert len(EXPECTED) == len(BAD_MESSAGES)
