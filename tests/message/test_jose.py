"""Compact JWS and JWK: one spelling, two algorithms, and keys that can hold someone to their signature."""

import base64
import hashlib
import hmac
import json
from itertools import product
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, SECP384R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey

from gateway.errors import MalformedError, SignatureInvalidError, TooLargeError
from gateway.jose import (
    UnverifiedJws,
    b64decode,
    b64encode,
    compact_json,
    parse_jws,
    public_key,
    public_key_from_jwk,
    sign_jws,
    strict_json,
    verify_jws,
)
from gateway.keyring import KeyringSigner
from tests.message.making import (
    EC,
    ED,
    ED25519_PRIVATE,
    OTHER,
    P256_PRIVATE,
    SIGNERS,
    canonical,
    encode,
    often,
    sign,
    values,
)

TYP = "test+jwt"
RFC8037_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC8037_SEED = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC7515_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
ED25519_FIELD = 2**255 - 19


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


# --- base64url


@pytest.mark.parametrize(
    "text",
    [
        "QQ==",
        "QQ=",
        "QUI=",
        "Q",
        "QUJDR",
        "QR",
        "QUJ",
        "-_+/",
        "+_--",
        "/_--",
        " QUJD",
        "QUJD ",
        "QU JD",
        "QUJD\n",
        "QU\tJD",
        "\r\nQUJD",
        "QUJD\x00",
        "QUJDé",
        "QUJ\u0414",
        "ＱＵＪＤ",
        "=",
        "====",
        "QUJD====",
        "QUJ\ud800",
        "QUJ.",
        "QUJ~",
        "%51%51",
    ],
)
def test_base64url_has_one_spelling(text: str) -> None:
    """No padding, no `+` or `/`, no blank or line end, no trailing bits, nothing but its 64 characters."""
    with pytest.raises(MalformedError):
        b64decode(text, "it")


@often
@given(st.binary(max_size=70))
def test_base64url_comes_back(data: bytes) -> None:
    """Decoding undoes encoding, and the encoding is RFC 4648's without padding."""
    text = b64encode(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert b64decode(text, "it") == data


@often
@given(st.text("ABCwxyz0189-_", max_size=12))
def test_two_texts_never_decode_to_the_same_bytes(text: str) -> None:
    """Whatever decodes is the encoding of what it decodes to."""
    try:
        data = b64decode(text, "it")
    except MalformedError:
        return
    assert b64encode(data) == text


# --- JSON


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{,}",
        "{'a':1}",
        "{a:1}",
        "[1 2]",
        '"a',
        "nul",
        "True",
        "undefined",
        "// x\n1",
        "[1]x",
        "{}{}",
        "{} {}",
        "1 2",
        "01",
        "+1",
        "1.",
        ".5",
        "0x10",
        "1e",
        "--1",
        "1_000",
        "\u0661",
        '"\n"',
        '"\t"',
        '"\x00"',
        '"\\x41"',
        '"\\u12"',
        '"\\u00g0"',
        "NaN",
        "Infinity",
        "-Infinity",
        "[NaN]",
        '{"a":Infinity}',
        "1e999",
        "-1e999",
        "[1e400]",
        "9007199254740992",
        "-9007199254740992",
        "123456789012345678901234567890",
        "1" * 5000,
        "-" + "9" * 18,
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_is_not_i_json_is_refused(text: str) -> None:
    """Broken JSON, what Python reads beyond JSON, and numbers that readers disagree about (RFC 7493 §2.2)."""
    with pytest.raises(MalformedError):
        strict_json(text.encode(), "it")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{\x00}\x00",
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'"\xf4\x90\x80\x80"',
        b"{}\x00",
        b"\x00{}",
        b"{}\xc2\xa0",
    ],
    ids=repr,
)
def test_what_is_not_utf_8_without_a_mark_is_refused(data: bytes) -> None:
    """A byte order mark, UTF-16, overlong forms, coded surrogates and blanks that are not JSON's."""
    with pytest.raises(MalformedError):
        strict_json(data, "it")


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800"',
        '"a\\udfffb"',
        '["\\ud83d"]',
        '{"\\ud800":1}',
        '{"a":{"\\udc00":1}}',
        '"\\ude00\\ud83d"',
        '[["\\uD800x"]]',
    ],
)
def test_a_lone_surrogate_is_refused_wherever_it_stands(text: str) -> None:
    """Half a character has no UTF-8: the next writer of this text would fail or change it (RFC 7493 §2.1)."""
    with pytest.raises(MalformedError, match="surrogate"):
        strict_json(text.encode(), "it")


def test_a_pair_of_surrogates_is_a_character() -> None:
    """The escaped form of a character beyond the first plane is JSON as it should be."""
    assert strict_json(b'{"\\ud83d\\udea8":"\\ud83d\\udea8"}', "it") == {"\U0001f6a8": "\U0001f6a8"}


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":2}',
        '{"":1,"":2}',
        '[{"a":1,"a":1}]',
        '{"x":{"y":[{"z":1,"z":2}]}}',
        '{"a":{},"b":1,"a":{}}',
    ],
)
def test_a_member_stands_once_at_any_depth(text: str) -> None:
    """Of two equal names readers take the first, the last or both; escapes do not make them different."""
    with pytest.raises(MalformedError, match="twice"):
        strict_json(text.encode(), "it")


def test_the_largest_safe_integers_are_read() -> None:
    """2^53 - 1 and its negative are integers to every reader."""
    assert strict_json(b"[9007199254740991,-9007199254740991,0]", "it") == [2**53 - 1, -(2**53) + 1, 0]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.timeout(5)
def test_deep_nesting_is_refused_at_once(opening: str, closing: str) -> None:
    """100,000 levels end in TooLargeError: no crash, no RecursionError, no second of work."""
    text = opening * 100_000 + "1" + closing * 100_000
    with pytest.raises(TooLargeError):
        strict_json(text.encode(), "it")
    with pytest.raises(TooLargeError):
        strict_json((opening * 100_000).encode(), "it")


@pytest.mark.parametrize("depth", [1, 2, 32])
def test_depth_is_counted_exactly(depth: int) -> None:
    """A value at the limit is read, one level further is refused."""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        assert strict_json((opening * depth + "1" + closing * depth).encode(), "it", depth)
        with pytest.raises(TooLargeError):
            strict_json((opening * (depth + 1) + "1" + closing * (depth + 1)).encode(), "it", depth)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("digits", ["1" * 1_000_000, "0." + "1" * 1_000_000, "1" * 500_000 + "e-500000"], ids=len)
def test_a_megabyte_of_digits_costs_little(digits: str) -> None:
    """Long numbers are bounded before they are converted, or convert in linear time."""
    if "." in digits or "e" in digits:
        assert isinstance(strict_json(digits.encode(), "it"), float)
    else:
        with pytest.raises(MalformedError):
            strict_json(digits.encode(), "it")


@often
@given(values)
def test_what_we_write_we_read(value: Any) -> None:
    """Parsing undoes formatting for every JSON value."""
    assert canonical(strict_json(compact_json(value), "it", 64)) == canonical(value)


@often
@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_the_json_parser_fails_in_two_ways_only(data: bytes) -> None:
    """Arbitrary bytes give a value, MalformedError or TooLargeError."""
    try:
        strict_json(data, "it")
    except (MalformedError, TooLargeError):
        return


# --- Keys


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
