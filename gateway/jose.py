"""JOSE as this gateway speaks it: compact JWS (RFC 7515) with exactly three header members and two algorithms.

Decides what a well-formed signature container is; every reader of signed text (messages, receipts, releases, request
tokens, agreement signatures) starts here. Leaves the meaning of the claims to the caller. Parsing is exact: what we
would not emit is refused, because a second spelling of one token is a second identity. The split and the parse are
ours; `pyjwt` and `cryptography` verify the bytes.
"""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from jwt.exceptions import PyJWTError

from gateway.errors import MalformedError, SignatureInvalidError, TooLargeError

ED25519: Final = "EdDSA"
ES256: Final = "ES256"
MAX_SAFE_INTEGER: Final = 2**53 - 1
HEADER_LIMIT: Final = 512
_SIGNATURE_BYTES: Final = 64
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
# 32 bytes in canonical base64url. A freely chosen name would be a second one for the same key, and can be anything at all.
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
# The field of Ed25519 and the d of its curve (RFC 8032 §5.1).
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_eddsa: Final = OKPAlgorithm()
_es256: Final = ECAlgorithm(ECAlgorithm.SHA256, SECP256R1)

RawPublicKey = Ed25519PublicKey | EllipticCurvePublicKey


class Signer(Protocol):
    """A private key behind whatever holds it. It only ever signs."""

    @property
    def kid(self) -> str: ...

    @property
    def alg(self) -> str: ...

    def sign(self, message: bytes) -> bytes:
        """The raw JWS signature: 64 bytes for both algorithms (RFC 7518 §3.4, RFC 8037 §3.1)."""
        ...


def b64encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64decode(text: str, what: str) -> bytes:
    """Base64url without padding (RFC 7515 §2), in its one canonical spelling; anything else is `envelope.malformed`."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise MalformedError(f"{what} is not base64url") from error
    # Unused trailing bits must be zero and '=', '+', '/' absent: only then does encoding give the text back.
    if b64encode(data) != text:
        raise MalformedError(f"{what} is not canonical base64url")
    return data


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedError("a JSON object names a member twice")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(value := int(digits)) > MAX_SAFE_INTEGER:  # noqa: PLR2004 - digits of 2**53, and a sign
        raise MalformedError("a JSON integer is beyond 2^53 (RFC 7493 §2.2)")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise MalformedError("a JSON number is not finite")
    return value


def _constant(_: str) -> Any:
    raise MalformedError("NaN and Infinity are not JSON")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def strict_json(data: bytes, what: str, depth: int = 32) -> Any:
    """I-JSON (RFC 7493): UTF-8, no member twice, finite numbers, integers below 2^53, no lone surrogate, no BOM.

    Raises MalformedError, or TooLargeError when arrays and objects nest deeper than `depth`.
    """
    try:
        text = data.decode("utf-8")
        value = _decoder.decode(text)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MalformedError(f"{what} is not JSON") from error
    except RecursionError as error:
        raise TooLargeError(f"{what} nests too deeply") from error
    _walk(value, what, depth, escapes="\\u" in text)
    return value


def _walk(root: Any, what: str, depth: int, *, escapes: bool) -> None:
    level = [root]
    for _ in range(depth + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
                if escapes:
                    below.extend(value.keys())
            elif isinstance(value, list):
                below.extend(value)
            elif escapes and isinstance(value, str) and not _encodable(value):
                raise MalformedError(f"{what} has a lone surrogate (RFC 7493 §2.1)")
        if not below:
            return
        level = below
    raise TooLargeError(f"{what} nests deeper than {depth}")


def _encodable(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A verification key. Its `kid` is its RFC 7638 thumbprint, its algorithm is part of what it is."""

    kid: str
    alg: str
    jwk: Mapping[str, str]
    key: RawPublicKey


def _require_ed25519_point(encoded: bytes) -> None:
    """Refuses what `cryptography` lets in: a key of small order, of a second spelling, or on no curve.

    Under a key of small order one signature fits every message: its owner could deny them all, and anyone could forge.
    """
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    if y >= _P:
        raise MalformedError("the JWK spells its point in a second way")
    yy = y * y % _P
    xx = (yy - 1) * pow(_D * yy + 1, -1, _P) % _P
    # x = 0 has order 1 or 2, y = 0 order 4, and doubling a point with x² = -y² gives y = 0: order 8.
    if xx == 0 or y == 0 or (xx + yy) % _P == 0:
        raise MalformedError("the JWK is a point of small order")
    if pow(xx, (_P - 1) // 2, _P) != 1:
        raise MalformedError("the JWK is not a point on its curve")


def public_key_from_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    """Reads the required members of an Ed25519 (RFC 8037) or P-256 (RFC 7518 §6.2) public JWK.

    Raises MalformedError for any other key, for a private one, for an Ed25519 point of small order, and for a `kid` or
    `alg` that does not fit.
    """
    if "d" in jwk:
        raise MalformedError("a private key where a public one is expected")
    names: tuple[str, ...]
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            alg, names = ED25519, ("crv", "kty", "x")
        case "EC", "P-256":
            alg, names = ES256, ("crv", "kty", "x", "y")
        case _:
            raise MalformedError("only Ed25519 and P-256 keys are accepted")
    if not all(isinstance(jwk.get(name), str) for name in names):
        raise MalformedError("the JWK lacks a member")
    required = {name: str(jwk[name]) for name in names}
    for name in names[2:]:
        if len(b64decode(required[name], f"JWK member {name}")) != 32:  # noqa: PLR2004 - both curves: 32 bytes a coordinate
            raise MalformedError("the JWK has a coordinate of the wrong length")
    if alg == ED25519:
        _require_ed25519_point(b64decode(required["x"], "JWK member x"))
    try:
        key = (_eddsa if alg == ED25519 else _es256).from_jwk(required)
    except (PyJWTError, ValueError) as error:
        raise MalformedError("the JWK is not a point on its curve") from error
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise MalformedError("the JWK is not a public key")
    kid = b64encode(hashlib.sha256(rfc8785.dumps(required)).digest())
    if jwk.get("kid", kid) != kid or jwk.get("alg", alg) != alg:
        raise MalformedError("the JWK's kid must be its RFC 7638 thumbprint, its alg the one of its curve")
    return PublicKey(kid, alg, required, key)


def public_key(key: RawPublicKey) -> PublicKey:
    """The same, from a `cryptography` public key object."""
    if isinstance(key, Ed25519PublicKey):
        return public_key_from_jwk(dict(OKPAlgorithm.to_jwk(key, as_dict=True)))
    return public_key_from_jwk(dict(ECAlgorithm.to_jwk(key, as_dict=True)))


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """Well-formed, and nothing more: not one of its claims may be acted upon."""

    text: str
    kid: str
    alg: str
    payload: Mapping[str, Any]
    signing_input: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class VerifiedJws:
    """Signed by `kid`. Whether that key may sign this, and now, was the caller's question before."""

    text: str
    kid: str
    payload: Mapping[str, Any]


def parse_jws(text: str, typ: str, depth: int = 32) -> UnverifiedJws:
    """Splits and reads a compact JWS whose header is exactly `alg`, `kid` and this `typ` (RFC 7515 §7.1, RFC 8725 §3.11)."""
    parts = text.split(".")
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - header, payload, signature
        raise MalformedError("not a compact JWS of three parts")
    if len(parts[0]) > HEADER_LIMIT:
        raise TooLargeError("the JOSE header is too long")
    header = strict_json(b64decode(parts[0], "the JOSE header"), "the JOSE header", 4)
    if not isinstance(header, dict) or header.keys() != _HEADER_MEMBERS:
        raise MalformedError("the JOSE header must have exactly the members alg, kid and typ")
    if header["typ"] != typ:
        raise MalformedError(f"the JOSE header's typ must be {typ}")
    alg, kid = header["alg"], header["kid"]
    if alg not in (ED25519, ES256):
        raise MalformedError("the JOSE header's alg must be EdDSA or ES256")
    if not isinstance(kid, str) or not _THUMBPRINT.fullmatch(kid):
        raise MalformedError("the JOSE header's kid must be an RFC 7638 thumbprint")
    payload = strict_json(b64decode(parts[1], "the JWS payload"), "the JWS payload", depth)
    if not isinstance(payload, dict):
        raise MalformedError("the JWS payload must be a JSON object")
    signature = b64decode(parts[2], "the JWS signature")
    return UnverifiedJws(text, kid, alg, payload, f"{parts[0]}.{parts[1]}".encode("ascii"), signature)


def verify_jws(jws: UnverifiedJws, key: PublicKey) -> VerifiedJws:
    """Raises SignatureInvalidError unless `key`, by its own algorithm, made the signature over these very bytes."""
    if jws.kid != key.kid or jws.alg != key.alg:
        raise SignatureInvalidError("the header does not fit the key")
    # Checked here because Ed448 signatures and DER-coded ECDSA would otherwise reach the library.
    if len(jws.signature) != _SIGNATURE_BYTES:
        raise SignatureInvalidError("the signature has the wrong length")
    if isinstance(key.key, Ed25519PublicKey):
        valid = _eddsa.verify(jws.signing_input, key.key, jws.signature)
    else:
        valid = _es256.verify(jws.signing_input, key.key, jws.signature)
    if not valid:
        raise SignatureInvalidError("the signature does not verify")
    return VerifiedJws(jws.text, jws.kid, jws.payload)


def sign_jws(payload: Mapping[str, Any], typ: str, signer: Signer) -> str:
    """A compact JWS over the compact JSON of `payload`, in the members' own order."""
    header = b64encode(compact_json({"alg": signer.alg, "kid": signer.kid, "typ": typ}))
    signing_input = f"{header}.{b64encode(compact_json(payload))}"
    return f"{signing_input}.{b64encode(signer.sign(signing_input.encode('ascii')))}"


def compact_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
