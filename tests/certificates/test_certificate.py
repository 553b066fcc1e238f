"""Chains: what makes a key an agency's by an authority's word, and what does not."""

import base64
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.errors import CertificateError, MalformedError, SignatureInvalidError
from gateway.jose import certified_key, parse_jws, public_key_from_jwk, rsa_key, sign_jws, verify_jws
from gateway.keyring import signer_for
from gateway.keys.certificate import (
    ORGANIZATION,
    PEM_LIMIT,
    SERIAL_NUMBER,
    URI,
    chain_of,
    digest,
    read_certificates,
    require_subject,
    verify_chain,
)
from tests.certificates.authority import (
    DAY,
    NOW,
    POLDA_ID,
    Authority,
    ec_private,
    name,
    pem,
    polda,
    rsa_private,
    usage,
)

ROOT = Authority("Root", key=rsa_private(1))
BELOW = Authority("Sub", above=ROOT)
KEY = ec_private()
LEAF = BELOW.certify(KEY.public_key())
CHAIN = (LEAF, BELOW.certificate)


def refused(call: Callable[[], Any], match: str = "does not lead") -> None:
    with pytest.raises(CertificateError, match=match):
        call()


@pytest.mark.parametrize("private", [KEY, rsa_private()], ids=["ES256", "PS256"])
def test_a_chain_certifies_its_first_key(private: Any) -> None:
    """To a trusted root through an intermediate: the key, its chain, and how long all of it is valid."""
    leaf = BELOW.certify(private.public_key(), ends=NOW + 30 * DAY)
    certified = verify_chain([leaf, BELOW.certificate], [ROOT.certificate], NOW)
    assert certified.key.key == private.public_key()
    assert certified.path == (leaf, BELOW.certificate, ROOT.certificate)
    assert (certified.not_before, certified.not_after) == (NOW - DAY, NOW + 30 * DAY)
    assert chain_of(certified.key) == (leaf, BELOW.certificate)
    signer = signer_for(private, certified=True)
    assert signer.kid == certified.key.kid
    text = sign_jws({"a": 1}, "x+jwt", signer)
    assert verify_jws(parse_jws(text, "x+jwt", 4), certified.key).payload == {"a": 1}


def test_the_root_may_be_enclosed_and_the_order_of_intermediates_is_free() -> None:
    """Authorities hand chains over as they like; the first certificate alone is the key's."""
    third = Authority("Third", above=BELOW)
    leaf = third.certify(KEY.public_key())
    for rest in (
        (third.certificate, BELOW.certificate),
        (BELOW.certificate, third.certificate),
        (ROOT.certificate, BELOW.certificate, third.certificate),
    ):
        certified = verify_chain([leaf, *rest], [ROOT.certificate], NOW)
        assert certified.path == (leaf, third.certificate, BELOW.certificate, ROOT.certificate)
    assert chain_of(certified.key) == certified.path


def test_a_chain_to_another_root_certifies_nothing() -> None:
    """A root of the same name, no root, a root that only the chain brings, and a key's own certificate as its root."""
    twin = Authority("Root")
    refused(lambda: verify_chain(CHAIN, [twin.certificate], NOW))
    refused(lambda: verify_chain((*CHAIN, ROOT.certificate), [twin.certificate], NOW))
    refused(lambda: verify_chain(CHAIN, [], NOW), "must be a trusted root")
    refused(lambda: verify_chain((LEAF,), [ROOT.certificate], NOW))
    refused(lambda: verify_chain((LEAF,), [LEAF], NOW), "no authority")
    refused(lambda: verify_chain((), [ROOT.certificate], NOW), "1 to 8")
    refused(lambda: verify_chain((LEAF, *[BELOW.certificate] * 8), [ROOT.certificate], NOW), "1 to 8")


@pytest.mark.parametrize(
    ("begins", "ends"), [(NOW + DAY, NOW + 2 * DAY), (NOW - 2 * DAY, NOW - timedelta(seconds=1))], ids=["early", "late"]
)
@pytest.mark.parametrize("which", ["key", "intermediate", "root"])
def test_every_certificate_of_the_path_is_valid_at_the_moment(which: str, begins: Any, ends: Any) -> None:
    """One that is not yet, or no longer, breaks the chain, wherever it stands."""
    window = {"begins": begins, "ends": ends}
    root = Authority("R", **(window if which == "root" else {}))
    below = Authority("S", above=root, **(window if which == "intermediate" else {}))
    leaf = below.certify(KEY.public_key(), **(window if which == "key" else {}))
    refused(lambda: verify_chain([leaf, below.certificate], [root.certificate], NOW))
    while_valid = begins + timedelta(minutes=1) if begins > NOW else NOW - timedelta(hours=1)
    assert verify_chain([leaf, below.certificate], [root.certificate], while_valid).key


def test_only_an_authority_certifies() -> None:
    """An agency with a certificate of its own certifies no second key, and a path may be no longer than it was allowed to be."""
    agency = Authority("A", above=ROOT, constraints=x509.BasicConstraints(ca=False, path_length=None))
    refused(lambda: verify_chain([agency.certify(KEY.public_key()), agency.certificate], [ROOT.certificate], NOW))
    encrypts = Authority("E", above=ROOT, key_usage=usage())
    refused(lambda: verify_chain([encrypts.certify(KEY.public_key()), encrypts.certificate], [ROOT.certificate], NOW))
    short = Authority("Short", above=ROOT, constraints=x509.BasicConstraints(ca=True, path_length=0))
    longer = Authority("Longer", above=short)
    chain = [longer.certify(KEY.public_key()), longer.certificate, short.certificate]
    refused(lambda: verify_chain(chain, [ROOT.certificate], NOW))


@pytest.mark.parametrize(
    "changes",
    [
        {"key_usage": usage(signs=False)},
        {"without_usage": True},
        {"extra": [(x509.BasicConstraints(ca=True, path_length=None), True)]},
        {"extra": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]},
    ],
    ids=["no digitalSignature", "no key usage", "an authority", "an unknown critical extension"],
)
def test_a_certificate_that_is_not_for_signing_certifies_no_key(changes: dict[str, Any]) -> None:
    """The key usage must say so, and what is marked critical must be understood."""
    refused(
        lambda: verify_chain([BELOW.certify(KEY.public_key(), **changes), BELOW.certificate], [ROOT.certificate], NOW)
    )


@pytest.mark.parametrize(
    "public",
    [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        rsa_private(2, bits=1024).public_key(),
        rsa_private(3, exponent=3).public_key(),
    ],
    ids=["P-384", "RSA 1024", "exponent 3"],
)
def test_a_key_that_signs_nothing_here_is_not_certified(public: Any) -> None:
    """Another curve, a short modulus, a small exponent."""
    leaf = BELOW.certify(public)
    refused(lambda: verify_chain([leaf, BELOW.certificate], [ROOT.certificate], NOW), "P-256, RSA|modulus|exponent")


def test_an_altered_certificate_breaks_the_chain() -> None:
    """Any byte of the intermediate's public key or of the leaf's name."""
    der = bytearray(LEAF.public_bytes(Encoding.DER))
    place = der.index(b"Polda")
    der[place] ^= 1
    altered = x509.load_der_x509_certificate(bytes(der))
    refused(lambda: verify_chain([altered, BELOW.certificate], [ROOT.certificate], NOW))


# --- Whose it is


def test_a_certificate_names_its_agency() -> None:
    """By the attribute of the settings, once and exactly."""
    uri = "urn:sinergi:agency:polda-banten"
    leaf = BELOW.certify(KEY.public_key(), uris=[uri])
    require_subject(leaf, ORGANIZATION, POLDA_ID)
    require_subject(leaf, SERIAL_NUMBER, "19870611")
    require_subject(leaf, URI, uri)


@pytest.mark.parametrize(
    ("attribute", "leaf"),
    [
        (ORGANIZATION, BELOW.certify(KEY.public_key(), subject=polda("NTRID-IMIGRASI"))),
        (ORGANIZATION, BELOW.certify(KEY.public_key(), subject=polda(POLDA_ID.lower()))),
        (ORGANIZATION, BELOW.certify(KEY.public_key(), subject=name(POLDA_ID))),
        (
            ORGANIZATION,
            BELOW.certify(
                KEY.public_key(),
                subject=name("x", *[(NameOID.ORGANIZATION_IDENTIFIER, value) for value in (POLDA_ID, "NTRID-OTHER")]),
            ),
        ),
        (SERIAL_NUMBER, LEAF),
        (URI, LEAF),
        (URI, BELOW.certify(KEY.public_key(), uris=[POLDA_ID, "urn:x"])),
    ],
    ids=["another's", "another spelling", "in the name only", "two of them", "another number", "no names", "two names"],
)
def test_another_s_certificate_is_no_agency_s(attribute: str, leaf: x509.Certificate) -> None:
    """Another value, none, or one of two: then another reader might take the other."""
    refused(lambda: require_subject(leaf, attribute, POLDA_ID), "not the one that the settings name")


# --- RSA is for certified keys


RSA = rsa_private()
RSA_CHAIN = [one.public_bytes(Encoding.DER) for one in (BELOW.certify(RSA.public_key()), BELOW.certificate)]


def test_an_rsa_key_without_its_chain_is_no_key() -> None:
    """As a JWK alone, with a chain where none is asked for, and with another key's chain."""
    public = certified_key(RSA_CHAIN)
    assert public.alg == "PS256"
    assert public_key_from_jwk(public.as_jwk(), certified=True) == public
    bare = rsa_key(RSA.public_key()).as_jwk()
    other = certified_key([LEAF.public_bytes(Encoding.DER)])
    for jwk, certified in (
        (bare, True),
        (bare, False),
        (public.as_jwk(), False),
        ({**bare, "x5c": list(other.x5c)}, True),
        ({**bare, "x5c": []}, True),
        ({**bare, "x5c": [public.x5c[0] + "="]}, True),
        ({**bare, "x5c": [base64.b64encode(RSA_CHAIN[0][:-1]).decode()]}, True),
        ({**bare, "x5c": ["AAAA"]}, True),
        ({**bare, "x5c": list(public.x5c) * 5}, True),
        ({**bare, "x5c": "AAAA"}, True),
        ({**public.as_jwk(), "alg": "ES256"}, True),
        ({**public.as_jwk(), "alg": "RS256"}, True),
        ({**public.as_jwk(), "e": "Aw"}, True),
        ({**public.as_jwk(), "d": "AAAA"}, True),
    ):
        with pytest.raises(MalformedError):
            public_key_from_jwk(jwk, certified=certified)


def test_a_chain_where_none_is_asked_for_is_not_kept() -> None:
    """An officer's or an operator's key is its own; a chain beside it says nothing."""
    public = certified_key([LEAF.public_bytes(Encoding.DER)])
    assert public_key_from_jwk(public.as_jwk()).x5c == ()
    assert public_key_from_jwk(public.as_jwk(), certified=True).x5c == public.x5c


def test_the_algorithm_is_the_key_s() -> None:
    """A PS256 header under a P-256 key, and the other way round, verify nothing; nor does a cut signature."""
    rsa_public, ec_public = certified_key(RSA_CHAIN), certified_key([LEAF.public_bytes(Encoding.DER)])
    text = sign_jws({"a": 1}, "x+jwt", signer_for(RSA, certified=True))
    jws = parse_jws(text, "x+jwt", 4)
    verify_jws(jws, rsa_public)
    with pytest.raises(SignatureInvalidError):
        verify_jws(jws, ec_public)
    for changed in (
        dataclasses.replace(jws, alg="ES256"),
        dataclasses.replace(jws, signature=jws.signature[:-1]),
        dataclasses.replace(jws, signature=jws.signature[:64]),
        dataclasses.replace(jws, signature=jws.signature[:-1] + bytes([jws.signature[-1] ^ 1])),
        dataclasses.replace(jws, signing_input=jws.signing_input + b"x"),
    ):
        with pytest.raises(SignatureInvalidError):
            verify_jws(changed, rsa_public)


# --- Files


def test_certificates_are_read_from_pem_alone() -> None:
    """In their order; nothing, something else and too much are refused."""
    assert read_certificates(pem(*CHAIN), "x") == CHAIN
    for content in (b"", b"x", LEAF.public_bytes(Encoding.DER), pem(LEAF).replace(b"MII", b"MIJ", 1)):
        refused(lambda content=content: read_certificates(content, "x"), "no certificates in PEM")  # type: ignore[misc]
    refused(lambda: read_certificates(b" " * (PEM_LIMIT + 1), "x"), "more than")


def test_the_ledger_names_a_certificate_by_its_digest() -> None:
    """SHA-256 of the key's own certificate; another certificate of the same key is another one."""
    one, two = (certified_key([BELOW.certify(KEY.public_key()).public_bytes(Encoding.DER)]) for _ in range(2))
    assert one.kid == two.kid
    assert digest(one) != digest(two)
    assert len(digest(one)) == 64


def test_ed25519_keys_may_be_certified_too() -> None:
    """Where an authority issues them."""
    key = ed25519.Ed25519PrivateKey.generate()
    certified = verify_chain([BELOW.certify(key.public_key()), BELOW.certificate], [ROOT.certificate], NOW)
    assert certified.key.alg == "EdDSA"
