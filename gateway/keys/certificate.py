"""Certified keys: an X.509 chain (RFC 5280) from a configured authority to one key, and to the agency that holds it.

Decides whether a chain leads to a trusted root at a moment, whether its key may sign, and whose it is. The path is built and
checked by `cryptography`'s verifier: signatures, validity, constraints, unknown critical extensions. Leaves to `revocation.py`
whether an authority has taken a certificate back since. Pure.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    DuplicateExtension,
    ExtensionNotFound,
    KeyUsage,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    load_der_x509_certificate,
    load_pem_x509_certificates,
)
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from gateway.errors import CertificateError, MalformedError
from gateway.jose import CHAIN_LIMIT, PublicKey, certified_key

ORGANIZATION: Final = "organizationIdentifier"
SERIAL_NUMBER: Final = "serialNumber"
URI: Final = "uri"
_NAMES: Final = {ORGANIZATION: NameOID.ORGANIZATION_IDENTIFIER, SERIAL_NUMBER: NameOID.SERIAL_NUMBER}
PEM_LIMIT: Final = 65_536


@dataclass(frozen=True, slots=True)
class Certified:
    """A key that an authority vouches for in `[not_before, not_after)`, the time in which every certificate of the path is valid.

    `path` begins with the key's own certificate and ends with the trusted root.
    """

    key: PublicKey
    path: tuple[Certificate, ...]
    not_before: datetime
    not_after: datetime


def read_certificates(pem: bytes, what: str) -> tuple[Certificate, ...]:
    """Every certificate of a PEM file, in its order. Raises CertificateError."""
    if len(pem) > PEM_LIMIT:
        raise CertificateError(f"{what} has more than {PEM_LIMIT} bytes")
    try:
        return tuple(load_pem_x509_certificates(pem))
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"{what} holds no certificates in PEM") from None


def chain_of(key: PublicKey) -> tuple[Certificate, ...]:
    """The certificates of a certified key, its own first; none of another one. Raises CertificateError."""
    try:
        return tuple(load_der_x509_certificate(base64.b64decode(text)) for text in key.x5c)
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("a certificate of the key cannot be read") from None


def digest(key: PublicKey) -> str:
    """What the ledger says of a certified key: SHA-256 of its own certificate, in hex."""
    return hashlib.sha256(base64.b64decode(key.x5c[0])).hexdigest()


def verify_chain(chain: Sequence[Certificate], roots: Sequence[Certificate], now: datetime) -> Certified:
    """`chain` begins with the key's certificate; intermediates follow in any order, the root may be left out.

    1. the lengths, before any mathematics
    2. a path to one of `roots`, each certificate valid at `now` and an authority where it must be one
    3. the key's own certificate is for signing, and no authority's
    4. the key is one that signs here

    Raises CertificateError.
    """
    if not 0 < len(chain) <= CHAIN_LIMIT or not roots:  # 1
        raise CertificateError(f"a chain has 1 to {CHAIN_LIMIT} certificates, and there must be a trusted root")
    own = ExtensionPolicy.permit_all().require_present(KeyUsage, Criticality.AGNOSTIC, _require_signing)
    own = own.may_be_present(BasicConstraints, Criticality.AGNOSTIC, _require_no_authority)
    try:
        verifier = (
            PolicyBuilder()
            .store(Store(list(roots)))
            .time(now)
            .max_chain_depth(CHAIN_LIMIT)
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=own)
            .build_client_verifier()
        )
        path = tuple(verifier.verify(chain[0], list(chain[1:])).chain)  # 2, 3
    except (VerificationError, ValueError, UnsupportedAlgorithm, DuplicateExtension) as error:
        raise CertificateError("the chain does not lead to a trusted authority, or not at this time") from error
    if len(path) < 2:  # noqa: PLR2004 - a root that is a key's own certificate vouches for nobody
        raise CertificateError("the key's own certificate is no authority")
    try:
        key = certified_key([certificate.public_bytes(Encoding.DER) for certificate in _enclosed(chain, path)])  # 4
    except MalformedError as error:
        raise CertificateError(error.detail) from error
    return Certified(
        key,
        path,
        max(certificate.not_valid_before_utc for certificate in path),
        min(certificate.not_valid_after_utc for certificate in path),
    )


def require_subject(certificate: Certificate, attribute: str, expected: str) -> None:
    """That the certificate is for the holder of `expected`. Raises CertificateError, without what it is for."""
    if attribute == URI:
        try:
            names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
            held = names.get_values_for_type(UniformResourceIdentifier)
        except (ExtensionNotFound, ValueError, DuplicateExtension):
            held = []
    else:
        held = [str(one.value) for one in certificate.subject.get_attributes_for_oid(_NAMES[attribute])]
    # One, exactly: of two, another reader might look at the other.
    if held != [expected]:
        raise CertificateError(f"the certificate's {attribute} is not the one that the settings name for this agency")


def _enclosed(chain: Sequence[Certificate], path: Sequence[Certificate]) -> Sequence[Certificate]:
    """The path without its root, which whoever checks must have already, unless the chain brought it."""
    return path if path[-1] in chain else path[:-1]


def _require_signing(_policy: Policy, _certificate: Certificate, usage: KeyUsage) -> None:
    if not usage.digital_signature:
        raise ValueError("the key is not for digital signatures")


def _require_no_authority(_policy: Policy, _certificate: Certificate, constraints: BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("an authority's certificate")
