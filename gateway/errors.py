"""Every way a call can fail: one tree of exceptions, split by whose fault it is, and one table of stable codes.

Decides the code, the HTTP status, the two titles and whether the ledger hears of it. Leaves the wire form to
`api/problems.py`. Nothing here, and nothing put into a `detail` or a `pointer`, may carry a value from a payload.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Code:
    """One stable code: its HTTP status, whether such a refusal is a ledger entry, and its titles."""

    code: str
    status: int
    recorded: bool
    en: str
    id: str


def _table(*codes: Code) -> Mapping[str, Code]:
    return MappingProxyType({entry.code: entry for entry in codes})


CODES: Final = _table(
    # The sender is unproven: answered, counted, logged, never recorded.
    Code("envelope.malformed", 400, False, "The message is malformed", "Pesan tidak sesuai bentuk baku"),
    Code("envelope.too-large", 413, False, "The message exceeds a limit", "Pesan melebihi batas"),
    Code("envelope.signature-invalid", 401, False, "The signature does not verify", "Tanda tangan tidak sah"),
    Code("key.unknown", 401, False, "The key is not one of this agency's", "Kunci tidak dikenal untuk instansi ini"),
    Code("key.not-valid", 401, False, "The key is not valid at this moment", "Kunci tidak berlaku pada saat ini"),
    Code("key.revoked", 401, False, "The key has been revoked", "Kunci telah dicabut"),
    Code(
        "key.unconfirmed",
        503,
        False,
        "It is not known whether the key's certificate is still valid: try again",
        "Belum diketahui apakah sertifikat kunci masih berlaku: coba lagi",
    ),
    # The sender is proven: the refusal is recorded and answered with a signed receipt.
    Code("envelope.expired", 422, True, "The message has expired", "Pesan telah kedaluwarsa"),
    Code("envelope.not-yet-valid", 422, True, "The message is dated in the future", "Pesan bertanggal di masa depan"),
    Code(
        "envelope.validity-too-long", 422, True, "The message is valid for too long", "Masa berlaku pesan terlalu lama"
    ),
    Code("envelope.wrong-audience", 422, True, "The recipient is not served here", "Penerima tidak dilayani di sini"),
    Code("envelope.replayed", 409, True, "The jti was used for another message", "jti sudah dipakai untuk pesan lain"),
    Code("schema.unknown", 422, True, "The message type or version is unknown", "Jenis atau versi pesan tidak dikenal"),
    Code("schema.violated", 422, True, "The payload violates its schema", "Isi pesan melanggar skemanya"),
    Code("agreement.unknown", 403, True, "No such agreement", "Perjanjian tidak dikenal"),
    Code("agreement.inactive", 403, True, "The agreement is not in force", "Perjanjian tidak sedang berlaku"),
    Code("rule.none", 403, True, "No rule permits this exchange", "Tidak ada aturan yang mengizinkan pertukaran ini"),
    Code("rule.purpose", 403, True, "No rule permits this purpose", "Tujuan ini tidak diizinkan aturan mana pun"),
    Code("rule.condition", 403, True, "A condition of the rule is not met", "Syarat aturan tidak terpenuhi"),
    Code("rule.case-required", 403, True, "The rule requires a case reference", "Aturan mensyaratkan nomor perkara"),
    Code(
        "rule.field-not-disclosable",
        403,
        True,
        "A field that must be disclosable is in clear",
        "Ruas yang wajib dapat ditutup dikirim terbuka",
    ),
    Code("rule.out-of-jurisdiction", 403, True, "Outside the jurisdiction", "Di luar wilayah hukum"),
    Code("rule.approval", 403, True, "An approval does not verify", "Persetujuan petugas tidak sah"),
    Code("rule.quota", 429, True, "The quota of the rule is used up", "Kuota aturan telah habis"),
    Code(
        "rule.repeated-subject",
        403,
        True,
        "One subject is asked about too often without a case that names it",
        "Satu subjek terlalu sering ditanyakan tanpa perkara yang menyebutnya",
    ),
    # Calls of agencies and auditors.
    Code("token.missing", 401, False, "A token is required", "Token diperlukan"),
    Code("token.invalid", 401, False, "The token is not valid", "Token tidak sah"),
    Code("token.expired", 401, False, "The token has expired", "Token telah kedaluwarsa"),
    Code("token.replayed", 401, False, "The token was used before", "Token sudah pernah dipakai"),
    Code("token.wrong-request", 401, False, "The token is for another request", "Token untuk permintaan lain"),
    Code("access.denied", 403, False, "Not allowed", "Tidak diizinkan"),
    Code("request.malformed", 400, False, "The request is malformed", "Permintaan tidak sesuai bentuk baku"),
    Code("request.media-type", 415, False, "The media type is not supported", "Jenis media tidak didukung"),
    Code("request.not-found", 404, False, "Not found", "Tidak ditemukan"),
    Code("request.method", 405, False, "The method is not allowed here", "Metode tidak diizinkan di sini"),
    Code("request.timeout", 408, False, "The request came too slowly", "Permintaan terlalu lambat"),
    # Acknowledgements: the reason inside a result of `POST /v1/acknowledgements`.
    Code("receipt.malformed", 400, False, "The receipt is malformed", "Tanda terima tidak sesuai bentuk baku"),
    Code(
        "receipt.mismatch", 422, False, "The receipt is not about this transfer", "Tanda terima bukan untuk kiriman ini"
    ),
    Code("transfer.erased", 410, False, "The message has been erased", "Pesan telah dimusnahkan"),
    # The gateway or its operator.
    Code("store.unavailable", 503, False, "Nothing was accepted: try again", "Tidak ada yang diterima: coba lagi"),
    Code(
        "ledger.unwitnessed",
        503,
        False,
        "The ledger lacks its witnesses: try again",
        "Saksi buku besar belum lengkap: coba lagi",
    ),
    Code("gateway.busy", 503, False, "The gateway is busy: try again", "Gerbang sedang sibuk: coba lagi"),
    Code("gateway.internal", 500, False, "The gateway failed", "Gerbang mengalami kegagalan"),
    Code("config.invalid", 500, False, "The configuration is not valid", "Konfigurasi tidak sah"),
    Code("keyring.refused", 500, False, "The private key cannot be used", "Kunci privat tidak dapat dipakai"),
    Code(
        "keyring.away", 503, False, "A private key does not answer: try again", "Kunci privat belum menjawab: coba lagi"
    ),
    Code(
        "certificate.invalid",
        422,
        False,
        "The certificate does not certify the key",
        "Sertifikat tidak mengesahkan kunci",
    ),
    Code("agreement.invalid", 422, False, "The agreement document is not valid", "Dokumen perjanjian tidak sah"),
    Code("schema.invalid", 422, False, "The schema is not valid", "Skema tidak sah"),
    Code("ledger.invalid", 422, False, "The ledger does not verify", "Buku besar tidak lolos pemeriksaan"),
    Code(
        "ledger.forked", 500, False, "The ledger disagrees with its past", "Buku besar bertentangan dengan riwayatnya"
    ),
    Code("clock.wrong", 500, False, "The clock is wrong", "Jam sistem salah"),
    Code("evidence.invalid", 422, False, "The evidence does not verify", "Bukti tidak lolos pemeriksaan"),
    Code("endpoint.forbidden", 422, False, "The endpoint may not be called", "Alamat tujuan tidak boleh dipanggil"),
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was refused: a code of `CODES`, the agreement's clause, a JSON Pointer into the message.

    `detail` says in words what was expected, for instance the name of a condition; never what was sent.
    """

    code: str
    clause: str | None = None
    pointer: str | None = None
    detail: str | None = None

    def as_json(self) -> dict[str, str]:
        members = {"code": self.code, "clause": self.clause, "pointer": self.pointer, "detail": self.detail}
        return {name: value for name, value in members.items() if value is not None}


class GatewayError(Exception):
    """Base of all. `reasons` is never empty; the first one's code is the error's."""

    default_code = "gateway.internal"

    def __init__(
        self, detail: str = "", *, code: str | None = None, pointer: str | None = None, reasons: Iterable[Reason] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reasons = tuple(reasons) or (Reason(code or self.default_code, pointer=pointer, detail=detail or None),)

    @property
    def code(self) -> str:
        return self.reasons[0].code

    @property
    def status(self) -> int:
        return CODES[self.code].status


class CallerError(GatewayError):
    """The one who called is at fault; sending the same again will fail again."""

    default_code = "request.malformed"


class MalformedError(CallerError):
    """The message is not exactly what RFC 9901 and docs/reference/protocol allow."""

    default_code = "envelope.malformed"


class TooLargeError(CallerError):
    """A published limit is exceeded."""

    default_code = "envelope.too-large"


class SignatureInvalidError(CallerError):
    """The signature does not verify under the key that the header names."""

    default_code = "envelope.signature-invalid"


class KeyRefusedError(CallerError):
    """The key is unknown, not valid now, or revoked."""

    default_code = "key.unknown"


class TokenError(CallerError):
    """A request token is missing, wrong, late, used, or for another request."""

    default_code = "token.invalid"


class AccessDeniedError(CallerError):
    """The caller is known and may not do this."""

    default_code = "access.denied"


class NotFoundError(CallerError):
    default_code = "request.not-found"


class ReceiptError(CallerError):
    """An acknowledgement that cannot be recorded."""

    default_code = "receipt.malformed"


class OperatorError(GatewayError):
    """Configuration, key files or documents need an operator's hand."""

    default_code = "config.invalid"


class KeyringError(OperatorError):
    default_code = "keyring.refused"


class CertificateError(OperatorError):
    """A chain of certificates, a revocation list or an OCSP answer does not verify."""

    default_code = "certificate.invalid"


class ErasedError(KeyringError):
    """The message was erased, by law or at its time: its entry in the ledger and this answer are what is left."""

    default_code = "transfer.erased"


class AgreementInvalidError(OperatorError):
    default_code = "agreement.invalid"


class SchemaInvalidError(OperatorError):
    default_code = "schema.invalid"


class EndpointForbiddenError(OperatorError):
    """An outbound address that the endpoint's allow-list does not name."""

    default_code = "endpoint.forbidden"


class LedgerInvalidError(OperatorError):
    """A checkpoint, tile, entry or proof does not verify."""

    default_code = "ledger.invalid"


class EvidenceInvalidError(OperatorError):
    """A bundle of evidence is none, or a file in it proves something else than it should."""

    default_code = "evidence.invalid"


class LedgerForkedError(OperatorError):
    """The ledger in the database is not an extension of what was signed before: nothing may be signed over it."""

    default_code = "ledger.forked"


class ClockError(OperatorError):
    """The clock here is not one to judge or sign by."""

    default_code = "clock.wrong"


class StoreUnavailableError(GatewayError):
    """Nothing was recorded, or it is not known whether it was: the caller sends the same bytes again."""

    default_code = "store.unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 2) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class KeyAwayError(KeyringError, StoreUnavailableError):
    """A key that is somewhere else does not answer, or is not here yet: nothing was signed, and what hung on it was not done."""

    default_code = "keyring.away"


class BusyError(StoreUnavailableError):
    """There is no room for one more request: nothing was done for this one."""

    default_code = "gateway.busy"


class UnwitnessedError(StoreUnavailableError):
    """The ledger's policy wants more witnesses, or a timestamp, than there are: nothing is accepted or answered for."""

    default_code = "ledger.unwitnessed"


class UnconfirmedKeyError(StoreUnavailableError):
    """The authority of a certified key could not be asked for too long: nothing that it signs is accepted meanwhile."""

    default_code = "key.unconfirmed"
