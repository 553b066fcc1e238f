"""The authorities that certify agencies' keys: whose certificates count here, and what they say of one today.

Decides from the settings which roots are trusted, what a certificate must call its agency, and which places are asked about
revocation: only configured ones, never what a certificate names, under the rules of `delivery/outbound.py`.
Leaves the reading of what they answer to `revocation.py`, and the asking again to `confirmation.py`.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate

from gateway.delivery import outbound
from gateway.delivery.outbound import Call, DeliveryFailed, Outbound, Resolve
from gateway.errors import CertificateError, EndpointForbiddenError, GatewayError, OperatorError
from gateway.keys.certificate import Certified, read_certificates, require_subject, verify_chain
from gateway.keys.directory import Endpoint, parse_endpoint
from gateway.keys.revocation import GOOD, RevocationList, Standing, ocsp_request, ocsp_standing, read_list
from gateway.settings import CertificateSettings, CertificateSource

LIST_LIMIT: Final = 16 * 1_048_576
_OCSP: Final = "application/ocsp-request"
_NONCE: Final = 32  # RFC 9654 §2.1
_SPKI: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class Authorities:
    """Whose certificates count here, and where they are asked about."""

    roots: tuple[Certificate, ...]
    attribute: str
    subjects: Mapping[str, str]
    lists: tuple[Path | Endpoint, ...]
    responders: tuple[Endpoint, ...]
    timeout: float
    refuse: bool
    nonce: bool = False

    def certify(self, agency: str, chain: Sequence[Certificate], now: datetime) -> Certified:
        """A key that an authority of these certifies for this agency. Raises CertificateError."""
        if agency not in self.subjects:
            raise CertificateError(f"certificates.subjects has no entry for {agency}")
        certified = verify_chain(chain, self.roots, now)
        require_subject(certified.path[0], self.attribute, self.subjects[agency])
        return certified


def read_authorities(settings: CertificateSettings) -> Authorities | None:
    """None where no roots are configured. Raises OperatorError for a file or a place that cannot be used."""
    if settings.roots_file is None:
        return None
    try:
        roots = read_certificates(settings.roots_file.read_bytes(), "certificates.roots_file")
    except OSError as error:
        raise OperatorError(f"certificates.roots_file cannot be read: {error.strerror}") from error
    lists = tuple(_place(source, "certificates.lists") for source in settings.lists)
    responders = tuple(_place(source, "certificates.responders") for source in settings.responders)
    return Authorities(
        roots,
        settings.subject,
        settings.subjects,
        lists,
        tuple(place for place in responders if isinstance(place, Endpoint)),
        settings.timeout,
        settings.when_silent == "refuse",
        settings.nonce,
    )


def _place(source: CertificateSource, where: str) -> Path | Endpoint:
    if source.file is not None and source.url is None and where.endswith("lists"):
        return source.file
    if source.url is None or source.file is not None:
        raise OperatorError(f"{where}: each names one place, a url{' or a file' if where.endswith('lists') else ''}")
    return parse_endpoint(source.url, source.networks, source.ca_file)


class SilentError(GatewayError):
    """Nobody who may say so has said whether a certificate still counts."""

    default_code = "key.unconfirmed"


@dataclass(slots=True)
class Asking:
    """One process's questions to the authorities, and the newest list of each: an older one is not believed again."""

    authorities: Authorities
    outbound: Outbound
    failures: list[str] = field(default_factory=list)
    _newest: dict[tuple[bytes, frozenset[str] | None], RevocationList] = field(default_factory=dict)

    async def fetch(self, issuers: tuple[Certificate, ...], now: datetime) -> None:
        """Reads every list anew. One that cannot be had or believed is left out, and stands in `failures`."""
        self.failures = []
        for place in self.authorities.lists:
            try:
                data = await self._data(place)
                found = await asyncio.to_thread(read_list, data, issuers, now)
            except (CertificateError, SilentError) as error:
                self.failures.append(error.detail)
                continue
            part = (identity(found.issuer), found.place)
            held = self._newest.get(part)
            if held is None or found.number >= held.number:
                self._newest[part] = found
            else:
                self.failures.append("a revocation list older than the one before")

    async def standing(self, path: Sequence[Certificate], now: datetime) -> Standing:
        """Of a whole path: taken back if one of its certificates is, else good. Raises SilentError where one is not known."""
        silent = False
        for certificate, issuer in pairwise(path):
            said = await self._said(certificate, issuer, now)
            for standing in said:
                if standing.revoked_at is not None:
                    return standing
            silent = silent or not said
        if silent:
            raise SilentError("no authority says whether a certificate of the chain is still valid")
        return GOOD

    async def _said(self, certificate: Certificate, issuer: Certificate, now: datetime) -> list[Standing]:
        by = identity(issuer)
        lists = [held for (signer, _), held in self._newest.items() if signer == by and held.fresh(now)]
        said = [held.standing(certificate) for held in lists if held.covers(certificate)]
        faults = []
        for responder in self.authorities.responders:
            nonce = secrets.token_bytes(_NONCE) if self.authorities.nonce else None
            call = Call("POST", ocsp_request(certificate, issuer, nonce), {"Content-Type": _OCSP})
            try:
                answer = await self._asked(responder, call)
                said.append(ocsp_standing(answer, certificate, issuer, now, lists, nonce=nonce))
            except (CertificateError, SilentError) as error:
                faults.append(error.detail)
        # A responder need not know what a list answers for.
        self.failures += [] if said else faults
        return said

    async def _data(self, place: Path | Endpoint) -> bytes:
        if isinstance(place, Endpoint):
            return await self._asked(place, Call("GET", b"", {}, limit=LIST_LIMIT))
        try:
            return await asyncio.to_thread(_read_bounded, place)
        except OSError as error:
            raise SilentError("a revocation list's file cannot be read") from error

    async def _asked(self, endpoint: Endpoint, call: Call) -> bytes:
        try:
            reply = await self.outbound.call(endpoint, call)
        except EndpointForbiddenError as error:
            raise SilentError(error.detail) from error
        if isinstance(reply, DeliveryFailed):
            raise SilentError(f"an authority does not answer: {reply.code}")
        return reply.body


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LIST_LIMIT)


def identity(certificate: Certificate) -> bytes:
    return certificate.subject.public_bytes() + certificate.public_key().public_bytes(*_SPKI)


def admit(
    settings: CertificateSettings,
    agency: str,
    chain: Sequence[Certificate],
    now: datetime,
    resolve: Resolve = outbound.resolve,
) -> tuple[Certified, datetime | None]:
    """A key that is to be admitted on a certificate, and when it was confirmed: None where nobody says and that is accepted.

    Asks the authorities, and blocks for as long. Raises CertificateError for a chain that does not certify this agency's key,
    or that was taken back; SilentError where the settings want an authority's word and there is none.
    """
    authorities = read_authorities(settings)
    if authorities is None:
        raise OperatorError("no authority is trusted here: set certificates.roots_file")
    certified = authorities.certify(agency, chain, now)

    async def ask() -> Standing:
        out = Outbound(timeout=authorities.timeout, clock=lambda: now, resolve=resolve)
        try:
            asking = Asking(authorities, out)
            await asking.fetch(certified.path[1:], now)
            return await asking.standing(certified.path, now)
        finally:
            await out.close()

    try:
        standing = asyncio.run(ask())
    except SilentError:
        if authorities.refuse:
            raise
        return certified, None
    if standing.revoked_at is not None:
        raise CertificateError("the authority has revoked the certificate")
    return certified, now
