"""A certification authority for tests: roots, intermediates, keys' certificates, revocation lists and OCSP answers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
POLDA_ID = "NTRID-POLDA-BANTEN"


@cache
def rsa_private(number: int = 0, bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """Made once a process: making one takes as long as a hundred signatures."""
    return rsa.generate_private_key(exponent, bits)  # type: ignore[arg-type]


def ec_private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def usage(*, signs: bool = True, authority: bool = False, lists: bool | None = None) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=not signs and not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority if lists is None else lists,
        encipher_only=False,
        decipher_only=False,
    )


def name(common: str, *attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in ((NameOID.COMMON_NAME, common), *attributes)])


@dataclass
class Authority:
    """One authority with its own certificate, valid from a year before `NOW` for ten; `above` made it, None for a root."""

    common: str
    key: Any = field(default_factory=ec_private)
    above: "Authority | None" = None
    begins: datetime = NOW - 365 * DAY
    ends: datetime = NOW + 3650 * DAY
    constraints: x509.BasicConstraints = field(default_factory=lambda: x509.BasicConstraints(ca=True, path_length=None))
    key_usage: x509.KeyUsage = field(default_factory=lambda: usage(signs=False, authority=True))

    def __post_init__(self) -> None:
        issuer = self if self.above is None else self.above
        self.certificate = self.sign(
            issuer,
            _builder(issuer.subject, self.subject, self.key.public_key(), self.begins, self.ends)
            .add_extension(self.constraints, critical=True)
            .add_extension(self.key_usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False),
        )

    @property
    def subject(self) -> x509.Name:
        return name(self.common)

    @staticmethod
    def sign(issuer: "Authority", builder: x509.CertificateBuilder) -> x509.Certificate:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
        )
        return builder.sign(issuer.key, hashes.SHA256())

    def certify(
        self,
        public: Any,
        *,
        subject: x509.Name | None = None,
        begins: datetime = NOW - DAY,
        ends: datetime = NOW + 200 * DAY,
        key_usage: x509.KeyUsage | None = None,
        uris: Iterable[str] = (),
        extra: Iterable[tuple[x509.ExtensionType, bool]] = (),
        without_usage: bool = False,
    ) -> x509.Certificate:
        """A certificate of a key that signs."""
        builder = _builder(self.subject, subject or polda(), public, begins, ends)
        if not without_usage:
            builder = builder.add_extension(key_usage or usage(), critical=True)
        if uris:
            names = [x509.UniformResourceIdentifier(uri) for uri in uris]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical=critical)
        return self.sign(self, builder)

    def crl(
        self,
        *revoked: x509.Certificate,
        number: int = 1,
        at: datetime = NOW,
        until: datetime = NOW + DAY,
        since: datetime = NOW - timedelta(hours=1),
        reason: x509.ReasonFlags = x509.ReasonFlags.key_compromise,
        algorithm: hashes.HashAlgorithm | None = None,
        extra: Iterable[tuple[x509.ExtensionType, bool]] = (),
        key: Any = None,
    ) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject).last_update(at).next_update(until)
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical=critical)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(since)
            builder = builder.add_revoked_certificate(
                entry.add_extension(x509.CRLReason(reason), critical=False).build()
            )
        return builder.sign(key or self.key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)

    def answer(
        self,
        certificate: x509.Certificate,
        *,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        at: datetime = NOW,
        until: datetime | None = NOW + DAY,
        since: datetime | None = None,
        signer: "tuple[x509.Certificate, Any] | None" = None,
        algorithm: hashes.HashAlgorithm | None = None,
        digest: hashes.HashAlgorithm | None = None,
        enclose: bool = True,
        nonce: x509.OCSPNonce | None = None,
    ) -> bytes:
        """An OCSP answer by the authority itself, or by `signer` (certificate and key)."""
        revoked = status == ocsp.OCSPCertStatus.REVOKED
        by, key = signer or (self.certificate, self.key)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=self.certificate,
            algorithm=digest or hashes.SHA1(),  # noqa: S303 - as responders do
            cert_status=status,
            this_update=at,
            next_update=until,
            revocation_time=(since or NOW - timedelta(hours=1)) if revoked else None,
            revocation_reason=x509.ReasonFlags.superseded if revoked else None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, by)
        if signer is not None and enclose:
            builder = builder.certificates([by])
        if nonce is not None:
            builder = builder.add_extension(nonce, critical=False)
        return builder.sign(key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)

    def delegate(self, **changes: Any) -> tuple[x509.Certificate, Any]:
        """A responder that this authority names for OCSP alone."""
        key = ec_private()
        for_ocsp = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
        told = {"extra": [for_ocsp, (x509.OCSPNoCheck(), False)]} | changes
        return self.certify(key.public_key(), subject=name("responder"), **told), key


def polda(identifier: str = POLDA_ID) -> x509.Name:
    return name("Polda Banten", (NameOID.ORGANIZATION_IDENTIFIER, identifier), (NameOID.SERIAL_NUMBER, "19870611"))


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _builder(
    issuer: x509.Name, subject: x509.Name, public: Any, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
