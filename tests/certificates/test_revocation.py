"""Revocation lists and OCSP answers: what an authority's word is, and what only looks like it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.errors import CertificateError
from gateway.keys.revocation import GOOD, LEEWAY, UNBOUNDED, ocsp_request, ocsp_standing, read_list
from tests.certificates.authority import DAY, NOW, Authority, ec_private, rsa_private, usage

ISSUER = Authority("Sub", above=Authority("Root"))
RSA_ISSUER = Authority("RSA", key=rsa_private(1))
ISSUERS = (ISSUER.certificate, RSA_ISSUER.certificate)
LEAF = ISSUER.certify(ec_private().public_key())
OTHER = ISSUER.certify(ec_private().public_key())
REVOKED = ocsp.OCSPCertStatus.REVOKED
SECOND = timedelta(seconds=1)


def refused(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(CertificateError, match=match):
        call()


# --- Lists


@pytest.mark.parametrize("issuer", [ISSUER, RSA_ISSUER], ids=["EC", "RSA"])
def test_a_list_says_which_certificates_were_taken_back(issuer: Authority) -> None:
    """And since when, and why; of every other one, that it counts."""
    leaf, other = (issuer.certify(ec_private().public_key()) for _ in range(2))
    since = NOW - timedelta(days=3)
    held = read_list(issuer.crl(leaf, since=since, reason=x509.ReasonFlags.superseded, number=7), ISSUERS, NOW)
    assert (held.issuer, held.number) == (issuer.certificate, 7)
    standing = held.standing(leaf)
    assert (standing.revoked_at, standing.reason) == (since, "superseded")
    assert held.standing(other) == GOOD


def test_a_list_may_be_pem() -> None:
    """Both forms are handed out."""
    crl = x509.load_der_x509_crl(ISSUER.crl(LEAF))
    assert read_list(crl.public_bytes(Encoding.PEM), ISSUERS, NOW).standing(LEAF) != GOOD


def test_only_the_authority_s_own_list_counts() -> None:
    """Another key under its name, another authority's, an altered one, and one by an authority that may sign no lists."""
    twin = Authority("Sub", above=Authority("Root"))
    refused(lambda: read_list(twin.crl(), ISSUERS, NOW), "no authority of the key's chain")
    refused(lambda: read_list(ISSUER.crl(), (RSA_ISSUER.certificate,), NOW), "no authority of the key's chain")
    data = bytearray(ISSUER.crl(LEAF))
    data[data.index(LEAF.serial_number.to_bytes(20, "big").lstrip(b"\x00")) + 2] ^= 1
    refused(lambda: read_list(bytes(data), ISSUERS, NOW), "no authority of the key's chain|cannot be read")
    mute = Authority("Mute", key_usage=usage(signs=False, authority=True, lists=False))
    refused(lambda: read_list(mute.crl(), (mute.certificate,), NOW), "no authority of the key's chain")


def test_a_stale_list_is_not_believed() -> None:
    """Nor one of tomorrow; clocks may differ by the leeway."""
    crl = ISSUER.crl(at=NOW, until=NOW + DAY)
    for moment in (NOW - LEEWAY, NOW + DAY + LEEWAY - SECOND):
        assert read_list(crl, ISSUERS, moment).fresh(moment)
    for moment in (NOW - LEEWAY - SECOND, NOW + DAY + LEEWAY):
        refused(lambda moment=moment: read_list(crl, ISSUERS, moment), "out of date")  # type: ignore[misc]
    assert not read_list(crl, ISSUERS, NOW).fresh(NOW + DAY + LEEWAY)


@pytest.mark.parametrize(
    "extension",
    [
        x509.IssuingDistributionPoint(None, None, True, False, None, False, False),
        x509.IssuingDistributionPoint(
            None,
            None,
            False,
            False,
            frozenset({x509.ReasonFlags.key_compromise}),
            False,
            False,
        ),
        x509.DeltaCRLIndicator(1),
    ],
    ids=["of users alone", "of one reason", "of changes alone"],
)
def test_a_list_of_some_certificates_says_nothing_of_the_others(extension: Any) -> None:
    """What it leaves out would be taken for good."""
    refused(lambda: read_list(ISSUER.crl(extra=[(extension, True)]), ISSUERS, NOW), "for some certificates only")


def test_a_list_for_one_place_is_for_the_certificates_that_name_it() -> None:
    """Authorities split long lists; each certificate says where its own part is."""
    places = [x509.UniformResourceIdentifier(f"http://ca.example/{n}.crl") for n in (1, 2)]
    points = [
        [(x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)]), False)] for place in places
    ]
    here, there = (ISSUER.certify(ec_private().public_key(), extra=point) for point in points)
    scope = x509.IssuingDistributionPoint([places[0]], None, False, False, None, False, False)
    held = read_list(ISSUER.crl(here, extra=[(scope, True)]), ISSUERS, NOW)
    assert [held.covers(one) for one in (here, there, LEAF)] == [True, False, False]
    assert read_list(ISSUER.crl(), ISSUERS, NOW).covers(there)


def test_what_is_no_list_is_refused() -> None:
    """Nothing, noise, a certificate, a list cut short."""
    for data in (b"", b"x", LEAF.public_bytes(Encoding.DER), ISSUER.crl()[:-10], b"-----BEGIN X509 CRL-----\n"):
        refused(lambda data=data: read_list(data, ISSUERS, NOW), "cannot be read|no authority")  # type: ignore[misc]


# --- OCSP


def standing(answer: bytes, certificate: x509.Certificate = LEAF, moment: Any = NOW) -> Any:
    return ocsp_standing(answer, certificate, ISSUER.certificate, moment)


def test_an_answer_says_how_one_certificate_stands() -> None:
    """Good; or taken back, since when and why."""
    assert standing(ISSUER.answer(LEAF)) == GOOD
    since = NOW - timedelta(days=2)
    told = standing(ISSUER.answer(LEAF, status=REVOKED, since=since))
    assert (told.revoked_at, told.reason) == (since, "superseded")
    assert standing(ISSUER.answer(LEAF, digest=hashes.SHA256())) == GOOD
    rsa = RSA_ISSUER.certify(ec_private().public_key())
    assert ocsp_standing(RSA_ISSUER.answer(rsa), rsa, RSA_ISSUER.certificate, NOW) == GOOD


def test_the_question_names_the_certificate() -> None:
    """As a responder reads it."""
    asked = ocsp.load_der_ocsp_request(ocsp_request(LEAF, ISSUER.certificate))
    assert asked.serial_number == LEAF.serial_number


def test_a_delegate_answers_for_its_authority() -> None:
    """One that the authority certified for OCSP, while that certificate is valid."""
    assert standing(ISSUER.answer(LEAF, signer=ISSUER.delegate())) == GOOD


def test_a_delegate_is_asked_about_itself() -> None:
    """Without id-pkix-ocsp-nocheck it counts only if its authority's list says so; what a list takes back counts never."""
    for_ocsp = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
    unasked, asked = ISSUER.delegate(), ISSUER.delegate(extra=[for_ocsp])
    empty, full = (read_list(ISSUER.crl(*gone), ISSUERS, NOW) for gone in ((), (unasked[0], asked[0])))
    elsewhere = replace(empty, place=frozenset({"http://elsewhere.example/list.crl"}))
    for delegate, lists, counts in (
        (unasked, (), True),
        (unasked, (empty,), True),
        (unasked, (full,), False),
        (unasked, (empty, full), False),
        (asked, (), False),
        (asked, (elsewhere,), False),
        (asked, (empty,), True),
        (asked, (full,), False),
    ):
        answer = ISSUER.answer(LEAF, signer=delegate)
        if counts:
            assert ocsp_standing(answer, LEAF, ISSUER.certificate, NOW, lists) == GOOD
        else:
            refused(
                lambda answer=answer, lists=lists: ocsp_standing(answer, LEAF, ISSUER.certificate, NOW, lists),  # type: ignore[misc]
                "no responder of the authority",
            )


def tlv(tag: int, *content: bytes) -> bytes:
    """DER."""
    body = b"".join(content)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big") or b"\x00"
    return bytes([tag]) + (size if len(body) < 128 else bytes([0x80 | len(size)]) + size) + body


def pss_answer(plain: bytes, key: Any, digest: hashes.HashAlgorithm, salt: int, over: hashes.HashAlgorithm) -> bytes:
    """The same answer signed anew with RSA-PSS (RFC 4055 §3.1), which `cryptography` reads and does not make."""
    tbs = ocsp.load_der_ocsp_response(plain).tbs_response_bytes
    signature = key.sign(tbs, padding.PSS(padding.MGF1(over), salt), digest)
    hashed = {
        "sha1": "2b0e03021a",
        "sha224": "608648016503040204",
        "sha256": "608648016503040201",
        "sha384": "608648016503040202",
    }
    one, other = (tlv(0x30, tlv(6, bytes.fromhex(hashed[alg.name])), tlv(5)) for alg in (digest, over))
    mgf = tlv(0x30, tlv(6, bytes.fromhex("2a864886f70d010108")), other)
    parameters = tlv(0x30, tlv(0xA0, one), tlv(0xA1, mgf), tlv(0xA2, tlv(2, bytes([salt]))))
    algorithm = tlv(0x30, tlv(6, bytes.fromhex("2a864886f70d01010a")), parameters)
    basic = tlv(0x30, tbs, algorithm, tlv(3, b"\x00", signature))
    typed = tlv(0x30, tlv(6, bytes.fromhex("2b0601050507300101")), tlv(4, basic))
    return tlv(0x30, tlv(10, b"\x00"), tlv(0xA0, typed))


def test_an_answer_may_be_signed_with_rsa_pss() -> None:
    """With SHA-256 or better and any salt; not over less, not by another key, and not in the name of the older padding."""
    leaf = RSA_ISSUER.certify(ec_private().public_key())
    key, issuer = RSA_ISSUER.key, RSA_ISSUER.certificate
    good, gone = RSA_ISSUER.answer(leaf), RSA_ISSUER.answer(leaf, status=REVOKED)
    sha224, sha256, sha384 = hashes.SHA224(), hashes.SHA256(), hashes.SHA384()
    for digest, salt in ((sha256, 32), (sha256, 0), (sha384, 48), (sha384, 24)):
        assert ocsp_standing(pss_answer(good, key, digest, salt, digest), leaf, issuer, NOW) == GOOD
        assert ocsp_standing(pss_answer(gone, key, digest, salt, digest), leaf, issuer, NOW).revoked_at is not None
    signature = ocsp.load_der_ocsp_response(good).signature
    named = key.sign(
        ocsp.load_der_ocsp_response(good).tbs_response_bytes, padding.PSS(padding.MGF1(sha256), 32), sha256
    )
    for wrong in (
        pss_answer(good, key, sha224, 28, sha224),
        pss_answer(good, key, sha256, 32, sha384),
        pss_answer(good, rsa_private(2), sha256, 32, sha256),
        good.replace(signature, named),
    ):
        refused(lambda wrong=wrong: ocsp_standing(wrong, leaf, issuer, NOW), "no responder of the authority")  # type: ignore[misc]


def test_a_nonce_of_somebody_else_makes_no_answer_fresher() -> None:
    """Where none was sent none is looked at: an answer to another's question counts for its own time and no longer."""
    data = ISSUER.answer(LEAF, nonce=x509.OCSPNonce(b"n" * 16))
    assert standing(data) == GOOD
    refused(lambda: standing(data, moment=NOW + DAY + LEEWAY), "out of date")


def test_an_older_answer_played_again_has_not_the_nonce() -> None:
    """Where one was sent the answer must have it: a fresh answer to another question, and one without, say nothing."""
    mine, other = b"m" * 32, b"o" * 32
    asked = ocsp.load_der_ocsp_request(ocsp_request(LEAF, ISSUER.certificate, mine))
    assert asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == mine
    assert (
        ocsp_standing(ISSUER.answer(LEAF, nonce=x509.OCSPNonce(mine)), LEAF, ISSUER.certificate, NOW, nonce=mine)
        == GOOD
    )
    for answer in (ISSUER.answer(LEAF, nonce=x509.OCSPNonce(other)), ISSUER.answer(LEAF)):
        refused(
            lambda answer=answer: ocsp_standing(answer, LEAF, ISSUER.certificate, NOW, nonce=mine),  # type: ignore[misc]
            "does not have the nonce",
        )


def test_nobody_else_answers() -> None:
    """A stranger, an agency's own key, another authority's delegate, one whose time is over, and one that stays unnamed."""
    twin = Authority("Sub", above=Authority("Root"))
    over = {"begins": NOW - 2 * DAY, "ends": NOW - DAY}
    for signer, enclose in (
        ((twin.certificate, twin.key), True),
        (twin.delegate(), True),
        (ISSUER.delegate(extra=[]), True),
        (ISSUER.delegate(extra=[(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.2")]), False)]), True),
        (ISSUER.delegate(**over), True),
        (ISSUER.delegate(), False),
    ):
        answer = ISSUER.answer(LEAF, signer=signer, enclose=enclose)
        refused(lambda answer=answer: standing(answer), "no responder of the authority")  # type: ignore[misc]


def test_an_answer_about_another_certificate_says_nothing() -> None:
    """Another number, and the same number of another authority."""
    refused(lambda: standing(ISSUER.answer(OTHER)), "about another certificate")
    for digest in (hashes.SHA1(), hashes.SHA256()):  # noqa: S303
        twin = Authority("Sub", key=ec_private())
        answer = twin.answer(LEAF, signer=(ISSUER.certificate, ISSUER.key), digest=digest)
        refused(lambda answer=answer: standing(answer), "about another certificate")  # type: ignore[misc]


def test_a_stale_answer_is_not_believed() -> None:
    """One with an end of its own, and one without counts for a day."""
    for until, end in ((NOW + DAY, NOW + DAY), (None, NOW + UNBOUNDED), (NOW + 9 * DAY, NOW + 9 * DAY)):
        answer = ISSUER.answer(LEAF, until=until)
        assert standing(answer, moment=end + LEEWAY - SECOND) == GOOD
        for moment in (end + LEEWAY, NOW - LEEWAY - SECOND):
            refused(lambda answer=answer, moment=moment: standing(answer, moment=moment), "out of date")  # type: ignore[misc]


def test_a_responder_that_does_not_know_is_no_confirmation() -> None:
    """`unknown`, and every answer that is none."""
    refused(lambda: standing(ISSUER.answer(LEAF, status=ocsp.OCSPCertStatus.UNKNOWN)), "does not know")
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER)
    refused(lambda: standing(later), "gives no answer")
    for data in (b"", b"x", ISSUER.answer(LEAF)[:-5], ISSUER.crl()):
        refused(lambda data=data: standing(data), "cannot be read|no responder")  # type: ignore[misc]


def test_an_altered_answer_is_nobody_s() -> None:
    """From revoked to good is one byte; the signature finds it."""
    data = bytearray(ISSUER.answer(LEAF, status=REVOKED))
    place = data.index(LEAF.serial_number.to_bytes(20, "big").lstrip(b"\x00"))
    data[place + 1] ^= 1
    refused(lambda: standing(bytes(data)), "no responder of the authority|about another")


@pytest.mark.parametrize(
    "make",
    [
        lambda: read_list(ISSUER.crl(algorithm=hashes.SHA224()), ISSUERS, NOW),
        lambda: standing(ISSUER.answer(LEAF, algorithm=hashes.SHA224())),
    ],
)
def test_a_weak_digest_is_not_believed(make: Callable[[], Any]) -> None:
    """Under less than SHA-256 a second text might have the same signature."""
    refused(make, "no longer good enough|no responder")
