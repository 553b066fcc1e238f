"""JOSE as this gateway speaks it: compact JWS (RFC 7515) with exactly three header members and two algorithms.

A third, PS256, is that of an RSA key which an authority certified, and of no other key: `public_key_from_jwk(…, certified=True)`.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import rfc8785
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_der_x509_certificate
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, RSAPSSAlgorithm
from jwt.exceptions import PyJWTError

from gateway.errors import MalformedError, SignatureInvalidError, TooLargeError

ED25519: Final = "EdDSA"
ES256: Final = "ES256"
PS256: Final = "PS256"
RSA_BITS: Final = (2048, 4096)
CHAIN_LIMIT: Final = 8  # certificates of one key
MAX_SAFE_INTEGER: Final = 2**53 - 1
HEADER_LIMIT: Final = 512
_SIGNATURE_BYTES: Final = 64
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
# 32 bytes in canonical base64url. A freely chosen name would be a second one for the same key, and can be anything at all.
THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
# The field of Ed25519 and the d of its curve (RFC 8032 §5.1).
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_eddsa: Final = OKPAlgorithm()
_es256: Final = ECAlgorithm(ECAlgorithm.SHA256, SECP256R1)
_ps256: Final = RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256)

RawPublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey


class Signer(Protocol):
    """A private key behind whatever holds it. It only ever signs."""

    @property
    def kid(self) -> str: ...

    @property
    def alg(self) -> str: ...

    def sign(self, message: bytes) -> bytes:
        """The raw JWS signature: 64 bytes (RFC 7518 §3.4, RFC 8037 §3.1); for PS256 as many as the modulus has (§3.5)."""
        ...


# RFC 4648 §5 beside §4, and back. `+` and `/` become what no alphabet has.
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/", b"+/!!")


def b64encode(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode("ascii")


def b64decode(text: str, what: str) -> bytes:
    """Base64url without padding (RFC 7515 §2), in its one canonical spelling; anything else is `envelope.malformed`."""
    try:
        encoded = (text + "=" * (-len(text) % 4)).encode("ascii").translate(_FROM_URL)
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError as error:  # binascii.Error and UnicodeEncodeError are both
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
    escapes = "\\u" in text
    # What opens no more brackets than this cannot nest deeper, and a lone surrogate is always written as an escape.
    if escapes or text.count("{") + text.count("[") > depth:
        _walk(value, what, depth, escapes=escapes)
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
    """A verification key. Its `kid` is its RFC 7638 thumbprint, its algorithm is part of what it is.

    `x5c` is the chain that certifies it (RFC 7517 §4.7), its own certificate first; whether to believe it is `certificate.py`'s.
    """

    kid: str
    alg: str
    jwk: Mapping[str, str]
    key: RawPublicKey
    x5c: tuple[str, ...] = ()

    def members(self) -> dict[str, Any]:
        """What has to be kept to have the key again."""
        return {**self.jwk, **({"x5c": list(self.x5c)} if self.x5c else {})}

    def as_jwk(self) -> dict[str, Any]:
        return {**self.members(), "kid": self.kid, "alg": self.alg}


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


_MEMBERS: Final[Mapping[tuple[str, str | None], tuple[str, tuple[str, ...]]]] = {
    ("OKP", "Ed25519"): (ED25519, ("crv", "kty", "x")),
    ("EC", "P-256"): (ES256, ("crv", "kty", "x", "y")),
    ("RSA", None): (PS256, ("e", "kty", "n")),
}


def public_key_from_jwk(jwk: Mapping[str, Any], *, certified: bool = False) -> PublicKey:
    """Reads the required members of an Ed25519 (RFC 8037) or P-256 (RFC 7518 §6.2) public JWK.

    `certified`: the caller asks for keys with a chain of certificates too, and only a key with one may be RSA.
    Raises MalformedError for any other key, for a private one, for an Ed25519 point of small order, and for a `kid`, `alg`
    or first certificate that does not fit.
    """
    if "d" in jwk:
        raise MalformedError("a private key where a public one is expected")
    x5c = _x5c(jwk) if certified and "x5c" in jwk else ()
    kind, curve = jwk.get("kty"), jwk.get("crv")
    known = _MEMBERS.get((kind, curve)) if isinstance(kind, str) and isinstance(curve, str | None) else None
    if known is None or (known[0] == PS256 and not x5c):
        raise MalformedError("only Ed25519 and P-256 keys are accepted")
    alg, names = known
    if not all(isinstance(jwk.get(name), str) for name in names):
        raise MalformedError("the JWK lacks a member")
    required = {name: str(jwk[name]) for name in names}
    key = _rsa_key(required) if alg == PS256 else _curve_key(alg, required, names[2:])
    kid = thumbprint(required)
    if jwk.get("kid", kid) != kid or jwk.get("alg", alg) != alg:
        raise MalformedError("the JWK's kid must be its RFC 7638 thumbprint, its alg the one of its curve")
    if x5c and certificate_key(base64.b64decode(x5c[0])) != key:
        raise MalformedError("the JWK's first certificate is for another key")
    return PublicKey(kid, alg, required, key, x5c)


def thumbprint(required: Mapping[str, str]) -> str:
    """RFC 7638, over a JWK's required members; of a kind that signs no JWS here as well."""
    return b64encode(hashlib.sha256(rfc8785.dumps(dict(required))).digest())


def _curve_key(alg: str, required: dict[str, str], coordinates: tuple[str, ...]) -> RawPublicKey:
    for name in coordinates:
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
    return key


def _rsa_key(required: dict[str, str]) -> RSAPublicKey:
    """Bounds before mathematics: a huge modulus makes each verification as dear as its owner likes."""
    modulus, exponent = (b64decode(required[name], f"JWK member {name}") for name in ("n", "e"))
    n = int.from_bytes(modulus, "big")
    if not RSA_BITS[0] <= n.bit_length() <= RSA_BITS[1] or n % 2 == 0 or modulus[:1] == b"\x00":
        raise MalformedError(f"an RSA modulus is odd and has {RSA_BITS[0]} to {RSA_BITS[1]} bits")
    if exponent != b"\x01\x00\x01":
        raise MalformedError("an RSA exponent is 65537")
    try:
        key = RSAAlgorithm.from_jwk(required)
    except (PyJWTError, ValueError) as error:
        raise MalformedError("the JWK is no RSA key") from error
    if not isinstance(key, RSAPublicKey):
        raise MalformedError("the JWK is not a public key")
    return key


def _x5c(jwk: Mapping[str, Any]) -> tuple[str, ...]:
    """The chain in its one spelling: standard base64 of DER, with padding (RFC 7517 §4.7)."""
    held = jwk["x5c"]
    if not isinstance(held, list) or not 0 < len(held) <= CHAIN_LIMIT:
        raise MalformedError(f"x5c is a list of 1 to {CHAIN_LIMIT} certificates")
    for text in held:
        try:
            same = isinstance(text, str) and base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
        except (ValueError, binascii.Error):
            same = False
        if not same:
            raise MalformedError("a certificate in x5c is not base64")
    return tuple(held)


def certificate_key(der: bytes) -> object:
    """The public key in a certificate, whatever kind it is. Raises MalformedError."""
    try:
        return load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError("a certificate cannot be read") from error


def public_key(key: Ed25519PublicKey | EllipticCurvePublicKey) -> PublicKey:
    """The same, from a `cryptography` public key object."""
    if isinstance(key, Ed25519PublicKey):
        return public_key_from_jwk(dict(OKPAlgorithm.to_jwk(key, as_dict=True)))
    return public_key_from_jwk(dict(ECAlgorithm.to_jwk(key, as_dict=True)))


def rsa_key(key: RSAPublicKey) -> PublicKey:
    """For the owner of an RSA key, who signs. Whoever verifies reads it with the chain that certifies it, or not at all."""
    required = {
        name: str(value) for name, value in RSAAlgorithm.to_jwk(key, as_dict=True).items() if name in {"kty", "n", "e"}
    }
    return PublicKey(thumbprint(required), PS256, required, _rsa_key(required))


def certified_key(chain: Sequence[bytes]) -> PublicKey:
    """The key of the first of these certificates (DER), with them as its chain. Raises MalformedError."""
    key = certificate_key(chain[0])
    if isinstance(key, RSAPublicKey):
        public = rsa_key(key)
    elif isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    ):
        public = public_key(key)
    else:
        raise MalformedError("a certified key is P-256, RSA or Ed25519")
    x5c = [base64.b64encode(der).decode() for der in chain]
    return public_key_from_jwk({**public.jwk, "x5c": x5c}, certified=True)


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
    if alg not in (ED25519, ES256, PS256):
        raise MalformedError("the JOSE header's alg must be EdDSA or ES256, or PS256 of a certified key")
    if not isinstance(kid, str) or not THUMBPRINT.fullmatch(kid):
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
    if len(jws.signature) != (-(-key.key.key_size // 8) if isinstance(key.key, RSAPublicKey) else _SIGNATURE_BYTES):
        raise SignatureInvalidError("the signature has the wrong length")
    if isinstance(key.key, RSAPublicKey):
        valid = _ps256.verify(jws.signing_input, key.key, jws.signature)
    elif isinstance(key.key, Ed25519PublicKey):
        valid = _eddsa.verify(jws.signing_input, key.key, jws.signature)
    else:
        valid = _es256.verify(jws.signing_input, key.key, jws.signature)
    if not valid:
        raise SignatureInvalidError("the signature does not verify")
    return VerifiedJws(jws.text, jws.kid, jws.payload)


def sign_jws(payload: Mapping[str, Any], typ: str, signer: Signer) -> str:
    """A compact JWS over the compact JSON of `payload`, in the members' own order."""
    signing_input = f"{_header(signer.alg, signer.kid, typ)}.{b64encode(compact_json(payload))}"
    return f"{signing_input}.{b64encode(signer.sign(signing_input.encode('ascii')))}"


@lru_cache(64)
def _header(alg: str, kid: str, typ: str) -> str:
    return b64encode(compact_json({"alg": alg, "kid": kid, "typ": typ}))


def compact_json(value: Any) -> bytes:
    return _encoder.encode(value).encode("utf-8")


_encoder: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
