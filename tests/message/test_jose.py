"""Compact JWS and JWK: one spelling, two algorithms, and keys that can hold someone to their signature."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey

from gateway.errors import MalformedError, SignatureInvalidError, TooLargeError
from gateway.jose import (
    UnverifiedJws,
    b64decode,
    b64encode,
    parse_jws,
    public_key_from_jwk,
    sign_jws,
    verify_jws,
)
from gateway.keyring import KeyringSigner
from tests.message.making import (
    EC,
    ED,
    ED25519_ORDER,
    ED25519_PRIVATE,
    OTHER,
    P256_PRIVATE,
    RFC8037_JWK,
    SIGNERS,
    encode,
    sign,
)

TYP = "test+jwt"
RFC8037_SEED = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC7515_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def head(signer: KeyringSigner = ED, **changes: Any) -> dict[str, Any]:
    return {"alg": signer.alg, "kid": signer.kid, "typ": TYP} | changes


def by_signature(signing_input: bytes, signature: bytes, signer: KeyringSigner) -> UnverifiedJws:
    return UnverifiedJws("", signer.kid, signer.alg, {}, signing_input, signature)


# --- Known answers


def test_the_ed25519_example_of_rfc_8037_verifies() -> None:
    """RFC 8037 A.4: the published signature over the published signing input, under the key of A.2."""
    signing_input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    signature = b64decode(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", "signature"
    )
    key = public_key_from_jwk(RFC8037_JWK)
    private = Ed25519PrivateKey.from_private_bytes(b64decode(RFC8037_SEED, "seed"))
    assert private.sign(signing_input) == signature
    verify_jws(UnverifiedJws("", key.kid, "EdDSA", {}, signing_input, signature), key)


def test_the_es256_example_of_rfc_7515_verifies() -> None:
    """RFC 7515 A.3: the published signature over the published signing input."""
    signing_input = (
        b"eyJhbGciOiJFUzI1NiJ9."
        b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = b64decode(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", "signature"
    )
    key = public_key_from_jwk(RFC7515_JWK)
    verify_jws(UnverifiedJws("", key.kid, "ES256", {}, signing_input, signature), key)


def test_the_kid_is_the_thumbprint_of_rfc_7638() -> None:
    """RFC 8037 A.3 publishes the thumbprint of its key; a P-256 key's is compared with another library's."""
    assert public_key_from_jwk(RFC8037_JWK).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert public_key_from_jwk(RFC7515_JWK).kid == ECKey.import_key(RFC7515_JWK).thumbprint()


@pytest.mark.filterwarnings(
    "ignore:EdDSA is deprecated"
)  # RFC 9864 has a new name for it, which this version does not use
def test_a_foreign_library_reads_and_writes_the_same_signatures() -> None:
    """What joserfc signs we verify, and what we sign joserfc verifies, under both algorithms."""
    for signer, key in (
        (ED, OKPKey.import_key(dict(ED.public.jwk))),
        (EC, ECKey.import_key(dict(EC.public.jwk))),
    ):
        ours = sign_jws({"a": 1}, TYP, signer)
        assert joserfc_jws.deserialize_compact(ours, key, algorithms=[signer.alg]).payload == b'{"a":1}'
    for private, signer in ((OKPKey.import_key(ED25519_PRIVATE), ED), (ECKey.import_key(P256_PRIVATE), EC)):
        theirs = joserfc_jws.serialize_compact(head(signer), b'{"a":1}', private, algorithms=[signer.alg])
        assert verify_jws(parse_jws(theirs, TYP), signer.public).payload == {"a": 1}


# --- Signatures


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
def test_what_is_signed_verifies_and_says_the_same(signer: KeyringSigner) -> None:
    """Signing, parsing and verifying gives the payload back, under each algorithm."""
    verified = verify_jws(parse_jws(sign_jws({"b": [1, "é"], "a": None}, TYP, signer), TYP), signer.public)
    assert verified.payload == {"b": [1, "é"], "a": None}
    assert verified.kid == signer.kid


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
def test_a_signature_of_another_key_is_refused(signer: KeyringSigner) -> None:
    """The header names one key and another one signed."""
    liar = KeyringSigner(signer.public, OTHER.sign)
    with pytest.raises(SignatureInvalidError):
        verify_jws(parse_jws(sign_jws({}, TYP, liar), TYP), signer.public)


def test_the_key_and_not_the_header_says_the_algorithm() -> None:
    """A header that names the key's kid and the other algorithm does not fit the key, whoever signed."""
    for own, other in ((ED, EC), (EC, ED)):
        text = sign({}, head(own, alg=other.alg), other)
        with pytest.raises(SignatureInvalidError, match="does not fit"):
            verify_jws(parse_jws(text, TYP), own.public)
        with pytest.raises(SignatureInvalidError, match="does not fit"):
            verify_jws(parse_jws(text, TYP), other.public)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
@pytest.mark.parametrize(
    "signature",
    [bytes(64), b"\xff" * 64, bytes(63), bytes(65), bytes(114), bytes(1), b"\x01" + bytes(63), bytes(63) + b"\x01"],
    ids=["zeros", "ones", "63", "65", "114", "1", "first", "last"],
)
def test_a_made_up_signature_is_refused(signer: KeyringSigner, signature: bytes) -> None:
    """All zero (CVE-2022-21449), all one, and every wrong length, Ed448's among them."""
    with pytest.raises(SignatureInvalidError):
        verify_jws(by_signature(b"a.b", signature, signer), signer.public)


def test_a_der_coded_ecdsa_signature_is_refused() -> None:
    """JWS has r and s side by side (RFC 7518 §3.4), even where the DER form happens to have 64 bytes."""
    checked = 0
    for number in range(4):
        der = P256_PRIVATE.sign(b"a.%d" % number, ECDSA(hashes.SHA256()))
        with pytest.raises(SignatureInvalidError):
            verify_jws(by_signature(b"a.%d" % number, der, EC), EC.public)
        r, s = decode_dss_signature(der)
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        checked += bool(verify_jws(by_signature(b"a.%d" % number, raw, EC), EC.public))
    assert checked == 4


def test_an_ed25519_signature_has_one_spelling() -> None:
    """S + L is the same number to the curve and another one on the wire (RFC 8032 §8.4)."""
    good = ED.sign(b"a.b")
    s = int.from_bytes(good[32:], "little") + ED25519_ORDER
    with pytest.raises(SignatureInvalidError):
        verify_jws(by_signature(b"a.b", good[:32] + s.to_bytes(32, "little"), ED), ED.public)


def test_an_ecdsa_signature_has_a_twin_over_the_same_bytes_only() -> None:
    """(r, n - s) verifies as well: RFC 7518 asks for no low s, so a message is known by iss and jti, not by its token."""
    good = EC.sign(b"a.b")
    twin = good[:32] + (P256_ORDER - int.from_bytes(good[32:], "big")).to_bytes(32, "big")
    assert twin != good
    assert verify_jws(by_signature(b"a.b", twin, EC), EC.public)
    with pytest.raises(SignatureInvalidError):
        verify_jws(by_signature(b"a.c", twin, EC), EC.public)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
def test_no_altered_character_leaves_a_valid_token(signer: KeyringSigner) -> None:
    """At every position of a token, a neighbouring, a foreign and a structural character are refused."""
    text = sign_jws({"a": 1}, TYP, signer)
    for position, character in enumerate(text):
        for other in {chr(ord(character) ^ 1), chr(ord(character) ^ 32), "A", ".", "=", "\n"} - {character}:
            with pytest.raises((MalformedError, SignatureInvalidError)):
                verify_jws(parse_jws(text[:position] + other + text[position + 1 :], TYP), signer.public)


# --- The header


@pytest.mark.parametrize(
    "alg",
    [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "ES384",
        "ES512",
        "ES256K",
        "Ed448",
        "Ed25519",
        "RS256",
        "PS384",
        "PS512",
        "eddsa",
        "EDDSA",
        "EdDsa",
        "es256",
        "ES256 ",
        " ES256",
        "EdDSA\x00",
        None,
        1,
        True,
        ["EdDSA"],
        {"EdDSA": 1},
    ],
    ids=repr,
)
def test_no_other_algorithm_is_read(alg: Any) -> None:
    """Exactly `EdDSA`, `ES256` and `PS256`, in this case, as strings; which of them is the key's own."""
    with pytest.raises(MalformedError):
        parse_jws(sign({}, head(alg=alg)), TYP)


def test_a_token_without_a_signature_is_refused() -> None:
    """Algorithm none with its empty signature is not a token of three parts."""
    for alg in ("none", "EdDSA"):
        with pytest.raises(MalformedError):
            parse_jws(f"{encode(head(alg=alg))}.{encode({})}.", TYP)


def test_a_public_key_is_not_an_hmac_secret() -> None:
    """HS256 under the raw, the JWK and the PEM form of the public key is refused, and so is calling it EdDSA."""
    raw = ED25519_PRIVATE.public_key().public_bytes_raw()
    for secret in (raw, json.dumps(dict(ED.public.jwk)).encode(), ED.public.jwk["x"].encode()):
        for alg in ("HS256", "EdDSA"):
            signing_input = f"{encode(head(alg=alg))}.{encode({})}"
            tag = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
            for signature in (tag, tag + bytes(32)):
                with pytest.raises((MalformedError, SignatureInvalidError)):
                    verify_jws(parse_jws(f"{signing_input}.{b64encode(signature)}", TYP), ED.public)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jwk", dict(OTHER.public.jwk)),
        ("jku", "https://attacker.example/jwks.json"),
        ("x5u", "https://attacker.example/chain.pem"),
        ("x5c", ["MIIB"]),
        ("x5t", "abc"),
        ("crit", ["b64"]),
        ("crit", []),
        ("cty", "JWT"),
        ("b64", False),
        ("zip", "DEF"),
        ("enc", "A128GCM"),
        ("ALG", "none"),
        ("", ""),
    ],
)
def test_no_further_header_member_is_read(name: str, value: Any) -> None:
    """A header that brings its own key, changes the encoding or is critical about anything is refused as a whole."""
    with pytest.raises(MalformedError, match="exactly the members"):
        parse_jws(sign({}, head() | {name: value}), TYP)


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_no_header_member_may_be_missing_or_doubled(name: str) -> None:
    """Each of the three stands exactly once; of two equal ones, readers take different ones."""
    with pytest.raises(MalformedError, match="exactly the members"):
        parse_jws(sign({}, {key: value for key, value in head().items() if key != name}), TYP)
    doubled = json.dumps(head())[:-1] + f', "{name}": {json.dumps(head()[name])}}}'
    with pytest.raises(MalformedError, match="twice"):
        parse_jws(sign({}, doubled), TYP)
    escaped = json.dumps(head())[:-1] + f', "\\u00{ord(name[0]):02x}{name[1:]}": {json.dumps(head()[name])}}}'
    with pytest.raises(MalformedError, match="twice"):
        parse_jws(sign({}, escaped), TYP)


@pytest.mark.parametrize("typ", ["jwt", "JWT", "receipt+jwt", "TEST+JWT", "application/test+jwt", "", None, 1, [TYP]])
def test_a_token_of_another_kind_is_refused(typ: Any) -> None:
    """A signature made for one purpose is good for no other (RFC 8725 §3.11)."""
    with pytest.raises(MalformedError, match="typ"):
        parse_jws(sign({}, head(typ=typ)), TYP)


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "x",
        ED.kid[:-1],
        ED.kid + "A",
        ED.kid[:-1] + "B",
        "k" * 64,
        "k" * 300,
        "../" * 14 + "a",
        "é" * 43,
        None,
        7,
        True,
        [ED.kid],
        {"kid": ED.kid},
    ],
)
def test_a_kid_is_a_thumbprint(kid: Any) -> None:
    """43 characters that are 32 bytes in their one spelling: nothing else could name a key here."""
    with pytest.raises(MalformedError, match="kid"):
        parse_jws(sign({}, head(kid=kid)), TYP)


def test_a_huge_header_is_refused_unread() -> None:
    """The bound counts encoded characters, before anything is decoded."""
    with pytest.raises(TooLargeError):
        parse_jws(sign({}, head(kid="k" * 1000)), TYP)
    with pytest.raises(TooLargeError):
        parse_jws("!" * 1000 + ".e30.AA", TYP)


@pytest.mark.parametrize(
    "header", [[], ["alg", "kid", "typ"], "EdDSA", 1, None, True, b"", b"{", b"\xff\xfe"], ids=repr
)
def test_a_header_that_is_no_object_is_refused(header: Any) -> None:
    """Arrays, scalars, nothing and non-JSON are not headers."""
    with pytest.raises(MalformedError):
        parse_jws(f"{encode(header) or 'AA'}.{encode({})}.{b64encode(bytes(64))}", TYP)


@pytest.mark.parametrize("payload", [[], "a", 1, None, True, 1.5], ids=repr)
def test_a_payload_that_is_no_object_is_refused(payload: Any) -> None:
    """A JWT's claims are an object (RFC 7519 §7.2)."""
    text = sign(json.dumps(payload), head())
    with pytest.raises(MalformedError, match="object"):
        parse_jws(text, TYP)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", "....", "a.b.c.d.e"])
def test_a_token_has_three_parts(text: str) -> None:
    """Not two, not the five of JWE, and none of them empty."""
    with pytest.raises(MalformedError, match="three parts"):
        parse_jws(text, TYP)
