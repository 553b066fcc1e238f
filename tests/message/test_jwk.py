"""Public keys as JWK: what a key may say of itself, and keys that hold nobody to a signature."""

from itertools import product
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from gateway.errors import MalformedError
from gateway.jose import (
    b64encode,
    public_key,
    public_key_from_jwk,
)
from gateway.keyring import KeyringSigner
from tests.message.making import (
    EC,
    ED25519_ORDER,
    OTHER,
    RFC8037_JWK,
    SIGNERS,
    often,
)

ED25519_FIELD = 2**255 - 19


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
def test_a_jwk_may_say_what_it_is(signer: KeyringSigner) -> None:
    """`kid`, `alg` and members that name no key change nothing, if they fit."""
    jwk = dict(signer.public.jwk)
    for more in ({}, {"kid": signer.kid}, {"alg": signer.alg}, {"use": "sig", "nbf": 1, "exp": 2}):
        read = public_key_from_jwk(jwk | more)
        assert (read.kid, read.alg, dict(read.jwk)) == (signer.kid, signer.alg, jwk)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
@pytest.mark.parametrize(
    "change",
    [
        {"d": "AA"},
        {"d": None},
        {"kid": "AA"},
        {"kid": None},
        {"kid": 7},
        {"kid": OTHER.kid},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": None},
        {"kty": "oct"},
        {"kty": "RSA"},
        {"kty": None},
        {"kty": ["OKP"]},
        {"crv": "Ed448"},
        {"crv": "X25519"},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": None},
        {"x": None},
        {"x": 1},
        {"x": ""},
        {"x": "AA"},
        {"x": b64encode(bytes(33))},
        {"x": b64encode(bytes(31))},
        {"x": b64encode(bytes(32)) + "="},
        {"x": "é" * 43},
    ],
    ids=str,
)
def test_a_jwk_that_is_anything_else_is_refused(signer: KeyringSigner, change: dict[str, Any]) -> None:
    """A private member, a name that is not the thumbprint, another kind or curve, and coordinates of any other form."""
    with pytest.raises(MalformedError):
        public_key_from_jwk(dict(signer.public.jwk) | change)


def test_a_jwk_without_a_member_is_refused() -> None:
    """Every required member is required."""
    for signer in SIGNERS:
        for name in signer.public.jwk:
            with pytest.raises(MalformedError):
                public_key_from_jwk({key: value for key, value in signer.public.jwk.items() if key != name})


def test_a_point_off_the_p256_curve_is_refused() -> None:
    """The invalid-curve attack: coordinates that fit no point, zero and the field's own size among them."""
    jwk = dict(EC.public.jwk)
    for x, y in ((jwk["x"], jwk["x"]), (jwk["y"], jwk["x"]), (b64encode(bytes(32)), b64encode(bytes(32)))):
        with pytest.raises(MalformedError):
            public_key_from_jwk(jwk | {"x": x, "y": y})
    with pytest.raises(MalformedError):
        public_key_from_jwk(jwk | {"x": b64encode(b"\xff" * 32)})


def _edwards_add(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """Addition on edwards25519, transcribed from RFC 8032 §5.1.4 in affine coordinates."""
    p, d = ED25519_FIELD, -121665 * pow(121666, -1, ED25519_FIELD)
    (x1, y1), (x2, y2) = left, right
    product = d * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, p) % p,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, p) % p,
    )


def _torsion() -> list[tuple[int, int]]:
    """The eight points of small order: the multiples of one of order 8, found as L times points of the curve."""
    p, d = ED25519_FIELD, -121665 * pow(121666, -1, ED25519_FIELD)
    for y in range(2, 100):
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(square, (p + 3) // 8, p)
        if x * x % p != square:
            x = x * pow(2, (p - 1) // 4, p) % p
        if x * x % p != square:
            continue
        point, result = (x, y), (0, 1)
        for bit in f"{ED25519_ORDER:b}":
            result = _edwards_add(result, result)
            if bit == "1":
                result = _edwards_add(result, point)
        multiples = [(0, 1)]
        while (following := _edwards_add(multiples[-1], result)) != (0, 1):
            multiples.append(following)
        if len(multiples) == 8:
            return multiples
    raise AssertionError("no point of order 8 found")


def test_an_ed25519_key_of_small_order_is_refused() -> None:
    """Under such a key one signature fits every message. All eight points, in each spelling a lenient reader takes."""
    points = _torsion()
    assert len(set(points)) == 8
    encodings = {
        (y + again * ED25519_FIELD | sign << 255).to_bytes(32, "little")
        for (_, y), again, sign in product(points, (0, 1), (0, 1))
        if y + again * ED25519_FIELD < 2**255
    }
    assert len(encodings) >= 14
    for encoding in encodings:
        with pytest.raises(MalformedError):
            public_key_from_jwk(RFC8037_JWK | {"x": b64encode(encoding)})
    # This is what the refusal is for: `cryptography` takes the identity and a signature without any private key.
    identity = (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"any message at all")


@pytest.mark.parametrize("y", [2, ED25519_FIELD - 2, ED25519_FIELD, ED25519_FIELD + 2, 2**255 - 1], ids=hex)
def test_an_ed25519_key_that_is_no_point_or_a_second_spelling_is_refused(y: int) -> None:
    """A y that no x belongs to, and a y beyond the field (RFC 8032 §5.1.3)."""
    for sign_bit in (0, 1):
        with pytest.raises(MalformedError):
            public_key_from_jwk(RFC8037_JWK | {"x": b64encode((y | sign_bit << 255).to_bytes(32, "little"))})


@often
@given(st.binary(min_size=32, max_size=32))
def test_every_ed25519_key_that_can_sign_is_taken(seed: bytes) -> None:
    """The check of the point refuses no key that anyone made from a seed."""
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    assert public_key(key).jwk["x"] == b64encode(key.public_bytes_raw())


def test_keys_of_other_kinds_are_refused() -> None:
    """P-384, X25519 and Ed448, as JWKs of their own making."""
    p384 = ECKey.import_key(generate_ec(SECP384R1())).as_dict(private=False)
    x25519 = {
        "kty": "OKP",
        "crv": "X25519",
        "x": b64encode(X25519PrivateKey.generate().public_key().public_bytes_raw()),
    }
    ed448 = {"kty": "OKP", "crv": "Ed448", "x": b64encode(Ed448PrivateKey.generate().public_key().public_bytes_raw())}
    for jwk in (p384, x25519, ed448):
        with pytest.raises(MalformedError, match="only Ed25519 and P-256"):
            public_key_from_jwk(jwk)


def test_a_coordinate_with_leading_zeros_keeps_them() -> None:
    """A coordinate is 32 bytes even where the number is smaller (RFC 7518 §6.2.1.2)."""
    small = next(
        key
        for number in range(1, 2000)
        if (key := derive_private_key(number, SECP256R1()).public_key()).public_numbers().x < 2**248
    )
    jwk = public_key(small).jwk
    assert len(jwk["x"]) == 43
    assert public_key_from_jwk(jwk).kid == ECKey.import_key(dict(jwk)).thumbprint()
