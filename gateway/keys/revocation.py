"""Whether an authority has taken a certificate back: revocation lists (RFC 5280 §5) and OCSP answers (RFC 6960).

Decides what a list or an answer is worth: it must be signed by the authority itself, or for OCSP by whom the authority named
for that, fresh, and about this certificate. What it does not understand it does not believe. Pure: bytes and `now` in; asking
is `confirmation.py`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import (
    AuthorityKeyIdentifier,
    Certificate,
    CertificateRevocationList,
    CRLDistributionPoints,
    CRLNumber,
    CRLReason,
    DuplicateExtension,
    ExtendedKeyUsage,
    ExtensionNotFound,
    IssuingDistributionPoint,
    KeyUsage,
    OCSPNoCheck,
    OCSPNonce,
    RevokedCertificate,
    UniformResourceIdentifier,
    load_der_x509_crl,
    load_pem_x509_crl,
)
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPRequestBuilder,
    OCSPResponse,
    OCSPResponseStatus,
    OCSPSingleResponse,
    load_der_ocsp_response,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from gateway.errors import CertificateError

LEEWAY: Final = timedelta(minutes=5)
# An answer that names no end of its own counts for so long.
UNBOUNDED: Final = timedelta(hours=24)
LEAST_DIGEST: Final = 32  # SHA-256: a list or an answer under SHA-1 or MD5 could be a collision
# Which one an RSA-PSS answer has stands in parameters that `cryptography` does not show; nobody signed them anyway.
_PSS: Final = (SHA256(), SHA384(), SHA512())
_UNDERSTOOD: Final = (AuthorityKeyIdentifier, CRLNumber, IssuingDistributionPoint)
_OUT_OF_REACH: Final = "the revocation list is for some certificates only"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the authority says of one certificate; `revoked_at` is None where it still counts."""

    revoked_at: datetime | None = None
    reason: str = "unspecified"


GOOD: Final = Standing()


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list that `issuer` signed and that is fresh. `number` grows with each that the authority makes.

    `place`: it is for the certificates alone that name one of these addresses for it (RFC 5280 §5.2.5); None, for all.
    """

    issuer: Certificate
    held: CertificateRevocationList
    number: int
    until: datetime
    place: frozenset[str] | None = None

    def covers(self, certificate: Certificate) -> bool:
        return self.place is None or not self.place.isdisjoint(_places(certificate))

    def fresh(self, now: datetime) -> bool:
        return now < self.until

    def standing(self, certificate: Certificate) -> Standing:
        found = self.held.get_revoked_certificate_by_serial_number(certificate.serial_number)
        return GOOD if found is None else Standing(found.revocation_date_utc, _reason(found))


def _reason(entry: RevokedCertificate) -> str:
    try:
        return str(entry.extensions.get_extension_for_class(CRLReason).value.reason.value)
    except (ExtensionNotFound, ValueError, DuplicateExtension):
        return "unspecified"


def read_list(data: bytes, issuers: tuple[Certificate, ...], now: datetime) -> RevocationList:
    """A list in DER or PEM, by one of these authorities. Raises CertificateError.

    A list of some reasons, of others' certificates or of changes alone is refused: what it does not say would be taken for good.
    """
    try:
        held = load_pem_x509_crl(data) if data.lstrip().startswith(b"-----") else load_der_x509_crl(data)
        issuer = next(
            (one for one in issuers if one.subject == held.issuer and held.is_signature_valid(_key(one))), None
        )
        extensions = list(held.extensions)
        updated, next_update = held.last_update_utc, held.next_update_utc
    except (ValueError, TypeError, UnsupportedAlgorithm, DuplicateExtension):
        raise CertificateError("a revocation list cannot be read") from None
    if issuer is None or not _may_sign_lists(issuer):
        raise CertificateError("no authority of the key's chain signed the revocation list")
    if any(extension.critical and not isinstance(extension.value, _UNDERSTOOD) for extension in extensions):
        # A list of changes alone (§5.2.4) among them.
        raise CertificateError(_OUT_OF_REACH)
    algorithm = held.signature_hash_algorithm
    if algorithm is None or algorithm.digest_size < LEAST_DIGEST:
        raise CertificateError("the revocation list is signed over a digest that is no longer good enough")
    _require_fresh(updated, next_update, now, "the revocation list")
    number = next((one.value.crl_number for one in extensions if isinstance(one.value, CRLNumber)), 0)
    point = next((one.value for one in extensions if isinstance(one.value, IssuingDistributionPoint)), None)
    place = None if point is None else _place(point)
    return RevocationList(issuer, held, number, (next_update or updated + UNBOUNDED) + LEEWAY, place)


def _place(point: IssuingDistributionPoint) -> frozenset[str]:
    some = (
        point.only_contains_user_certs, point.only_contains_ca_certs, point.only_contains_attribute_certs,
        point.indirect_crl, point.only_some_reasons, point.full_name is None,
    )  # fmt: skip
    if any(some):
        raise CertificateError(_OUT_OF_REACH)
    return frozenset(str(one.value) for one in point.full_name or () if isinstance(one, UniformResourceIdentifier))


def _places(certificate: Certificate) -> frozenset[str]:
    """Where a certificate says that its list is. Only compared, never called."""
    try:
        points = certificate.extensions.get_extension_for_class(CRLDistributionPoints).value
    except (ExtensionNotFound, ValueError, DuplicateExtension):
        return frozenset()
    names = (one for point in points for one in point.full_name or ())
    return frozenset(str(one.value) for one in names if isinstance(one, UniformResourceIdentifier))


def _may_sign_lists(issuer: Certificate) -> bool:
    try:
        return bool(issuer.extensions.get_extension_for_class(KeyUsage).value.crl_sign)
    except ExtensionNotFound:
        return True
    except (ValueError, DuplicateExtension):
        return False


def _require_fresh(updated: datetime, until: datetime | None, now: datetime, what: str) -> None:
    if not updated - LEEWAY <= now < (until or updated + UNBOUNDED) + LEEWAY:
        raise CertificateError(f"{what} is out of date")


def ocsp_request(certificate: Certificate, issuer: Certificate, nonce: bytes | None = None) -> bytes:
    """DER. SHA-1 names the certificate, as every responder understands (RFC 5019 §2.1.1); it protects nothing."""
    builder = OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1())  # noqa: S303
    if nonce is not None:
        builder = builder.add_extension(OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def ocsp_standing(
    answer: bytes, certificate: Certificate, issuer: Certificate, now: datetime, lists: Sequence[RevocationList] = (),
    *, nonce: bytes | None = None,
) -> Standing:  # fmt: skip
    """Raises CertificateError for an answer that is none, not signed by whom it must be, stale, or that does not know.

    `lists` are the issuer's own, fresh: whether a responder that it certified still counts is asked of them. Where a `nonce` was
    sent the answer must have it (RFC 9654); else none is looked at, and an answer counts for its own time (RFC 5019 §4).
    """
    try:
        response = load_der_ocsp_response(answer)
        if response.response_status != OCSPResponseStatus.SUCCESSFUL:
            raise CertificateError("the OCSP responder gives no answer")
        _require_signed(response, issuer, now, lists)
        if nonce is not None and not _has(response, nonce):
            raise CertificateError("the OCSP answer does not have the nonce of the question")
        # The signed name of the certificate: its serial number, and hashes of its issuer's name and key.
        asked = OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1()).build()  # noqa: S303
        single = next(
            (one for one in response.responses if _is_about(one, certificate, issuer, asked.issuer_key_hash)), None
        )
        if single is None:
            raise CertificateError("the OCSP answer is about another certificate")
        _require_fresh(single.this_update_utc, single.next_update_utc, now, "the OCSP answer")
        status, revoked_at, reason = single.certificate_status, single.revocation_time_utc, single.revocation_reason
    except (ValueError, TypeError, UnsupportedAlgorithm, DuplicateExtension):
        raise CertificateError("the OCSP answer cannot be read") from None
    if status == OCSPCertStatus.UNKNOWN:
        raise CertificateError("the OCSP responder does not know the certificate")
    if status == OCSPCertStatus.REVOKED:
        return Standing(revoked_at, "unspecified" if reason is None else str(reason.value))
    return GOOD


def _has(response: OCSPResponse, nonce: bytes) -> bool:
    try:
        return response.extensions.get_extension_for_class(OCSPNonce).value.nonce == nonce
    except ExtensionNotFound:
        return False


def _is_about(single: OCSPSingleResponse, certificate: Certificate, issuer: Certificate, key_hash: bytes) -> bool:
    if single.serial_number != certificate.serial_number:
        return False
    if single.hash_algorithm.name == "sha1":
        return single.issuer_key_hash == key_hash
    built = OCSPRequestBuilder().add_certificate(certificate, issuer, single.hash_algorithm).build()
    return single.issuer_key_hash == built.issuer_key_hash and single.issuer_name_hash == built.issuer_name_hash


def _require_signed(
    response: OCSPResponse, issuer: Certificate, now: datetime, lists: Sequence[RevocationList]
) -> None:
    """By the authority itself, or by one that it certified for this alone (RFC 6960 §4.2.2.2), and has not taken back."""
    delegates = (one for one in response.certificates if _is_delegate(one, issuer, now))
    signers = [issuer, *(one for one in delegates if _counts_still(one, lists))]
    pss = response.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS
    algorithms = _PSS if pss else (response.signature_hash_algorithm,)
    for signer in signers:
        key = _key(signer)
        if any(one is not None and _signed(key, response, one, pss=pss) for one in algorithms):
            return
    raise CertificateError("no responder of the authority signed the OCSP answer")


def _is_delegate(certificate: Certificate, issuer: Certificate, now: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm, ExtensionNotFound, DuplicateExtension):
        return False
    return (
        ExtendedKeyUsageOID.OCSP_SIGNING in usage
        and certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
    )


def _counts_still(delegate: Certificate, lists: Sequence[RevocationList]) -> bool:
    """Whether a list of its authority says so; or the authority said that nobody need ask (§4.2.2.2.1), and no list says no."""
    said = [one.standing(delegate) for one in lists if one.covers(delegate)]
    if said:
        return all(one.revoked_at is None for one in said)
    try:
        delegate.extensions.get_extension_for_class(OCSPNoCheck)
    except (ExtensionNotFound, ValueError, DuplicateExtension):
        return False
    return True


def _key(certificate: Certificate) -> RSAPublicKey | EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        raise CertificateError("an authority's key is RSA or on a NIST curve")
    return key


def _signed(
    key: RSAPublicKey | EllipticCurvePublicKey, response: OCSPResponse, algorithm: HashAlgorithm, *, pss: bool
) -> bool:
    if algorithm.digest_size < LEAST_DIGEST:
        return False
    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ECDSA(algorithm))
        else:
            padding = PSS(MGF1(algorithm), PSS.AUTO) if pss else PKCS1v15()
            key.verify(response.signature, response.tbs_response_bytes, padding, algorithm)
    except InvalidSignature:
        return False
    return True
