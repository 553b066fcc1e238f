"""RFC 3161 timestamps over checkpoints: asking for one, and whether one is worth anything.

Decides with bytes alone: the question, the answer, the roots that whoever verifies trusts. A timestamp says that a
checkpoint, with the signatures it then had, existed at a moment, by the word of an authority that is neither the gateway
nor its operator. The certificate has to be valid at the timestamp's own moment, not today.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from gateway.errors import LedgerInvalidError

TOKEN_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A verified one. `token` is the authority's whole answer (DER), `time` its own moment."""

    token: bytes
    time: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """A request (DER) for the SHA-256 of `data`, with its certificate and a number used once."""

    data: bytes
    nonce: int
    body: bytes


def question(data: bytes) -> Question:
    request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True).build()
    assert request.nonce is not None
    return Question(data, request.nonce, request.as_bytes())


def read_roots(pem: bytes) -> Sequence[x509.Certificate]:
    """The certificates that are trusted as issuers of an authority. Raises LedgerInvalidError where there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise LedgerInvalidError("there is no certificate in the file of roots") from error


def verify_timestamp(
    token: bytes, data: bytes, roots: Sequence[x509.Certificate], *, nonce: int | None = None
) -> Timestamp:
    """Returns when the token is a timestamp over `data` by an authority under `roots`; else LedgerInvalidError."""
    if len(token) > TOKEN_LIMIT:
        raise LedgerInvalidError(f"a timestamp is at most {TOKEN_LIMIT} bytes")
    try:
        response: TimeStampResponse = decode_timestamp_response(token)
        builder = VerifierBuilder(roots=list(roots))
        if nonce is not None:
            builder = builder.nonce(nonce)
        builder.build().verify_message(response, data)
        time = response.tst_info.gen_time
    except (VerificationError, ValueError, OverflowError) as error:
        raise LedgerInvalidError("the timestamp does not verify") from error
    return Timestamp(token, time if time.tzinfo is not None else time.replace(tzinfo=UTC))


def stamped_under(roots: Sequence[x509.Certificate]) -> Callable[[bytes, bytes], datetime]:
    """(token, data) to the authority's moment, for who trusts these roots; the function raises LedgerInvalidError."""
    return lambda token, data: verify_timestamp(token, data, roots).time
