"""What a check found, in English and in Indonesian: one sentence a code.

Decides the words. A finding quotes names of files, keys, agencies, codes and moments, and no value of a message. What a
lower part of the program refused is told by its own sentence in English, and by the title of its code in Indonesian.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.errors import CODES, EvidenceInvalidError, GatewayError
from gateway.review.words import Words


class Refuted(EvidenceInvalidError):  # noqa: N818 - what was found, not what went wrong
    """A file does not prove what it should. `said` is why, in both languages."""

    def __init__(self, said: Words) -> None:
        super().__init__(said.en)
        self.said = said


class Unchecked(Exception):  # noqa: N818 - no error
    """There is nothing to check, or nothing to check it with. `said` is why, in both languages."""

    def __init__(self, said: Words) -> None:
        super().__init__(said.en)
        self.said = said


def found(code: str, **named: object) -> Words:
    """The sentence of this code. A part that is `Words` itself is put in by its language; a moment as UTC."""
    words = FINDINGS[code]
    return Words(
        words.en.format(**{name: _part(value, "en") for name, value in named.items()}),
        words.id.format(**{name: _part(value, "id") for name, value in named.items()}),
    )


def refuted(code: str, **named: object) -> Refuted:
    return Refuted(found(code, **named))


def unchecked(code: str, **named: object) -> Unchecked:
    return Unchecked(found(code, **named))


def of(error: GatewayError, file: str = "") -> Words:
    """What another part of the program refused, behind the name of the file it is about."""
    before = f"{file}: " if file else ""
    if isinstance(error, Refuted):
        return Words(before + error.said.en, before + error.said.id)
    code = CODES[error.code]
    return Words(f"{before}{error.detail or code.en}", f"{before}{code.id} ({error.code})")


def joined(parts: Iterable[Words], separator: str = ", ") -> Words:
    listed = list(parts)
    return Words(separator.join(one.en for one in listed), separator.join(one.id for one in listed))


def shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _part(value: object, language: str) -> object:
    if isinstance(value, Words):
        return value.en if language == "en" else value.id
    return shown(value) if isinstance(value, datetime) else value


FINDINGS: Final[Mapping[str, Words]] = {
    # 1
    "listed": Words(
        "{count} files of transfer {transfer}, put together {moment}",
        "{count} berkas kiriman {transfer}, disusun {moment}",
    ),
    "altered": Words("{name} was altered", "{name} telah diubah"),
    "missing": Words("{name} is missing", "{name} tidak ada"),
    "added": Words("{name} was added", "{name} telah ditambahkan"),
    "untrusted": Words(
        "{name} is signed with a key that is not trusted", "{name} ditandatangani dengan kunci yang tidak dipercaya"
    ),
    "no-list": Words("{name} is no list of this format", "{name} bukan daftar dalam format ini"),
    "no-text": Words("{name} is no UTF-8 text", "{name} bukan teks UTF-8"),
    "no-form": Words(
        "a file has another form than a bundle's: {kind}",
        "bentuk suatu berkas tidak seperti dalam berkas bukti: {kind}",
    ),
    # 2
    "proven": Words("{count} entries{seen}", "{count} catatan{seen}"),
    "seen": Words(", cosigned by {names}", ", ditandatangani juga oleh {names}"),
    "unseen": Words(
        "; none of the {known} known witnesses cosigned",
        "; tidak satu pun dari {known} saksi yang dikenal ikut menandatangani",
    ),
    "unasked": Words("; no witness was asked for", "; saksi tidak disyaratkan"),
    "no-subject": Words(
        "{count} entries say what was decided; one is expected",
        "{count} catatan menyebut keputusan; seharusnya satu",
    ),
    "no-ledger-key": Words(
        "{file}: no key of the ledger {origin} is trusted", "{file}: tidak ada kunci buku besar {origin} yang dipercaya"
    ),
    # 3 and 4
    "signed": Words(
        "{type} from {sender} to {recipient}, key {key}{rest}",
        "{type} dari {sender} kepada {recipient}, kunci {key}{rest}",
    ),
    "as-released": Words(
        "; as its recipient got it: what was withheld is not here",
        "; sebagaimana diterima penerimanya: yang ditahan tidak ada di sini",
    ),
    "other-key": Words(
        "{name} holds another key than its name says", "kunci di dalam {name} bukan kunci yang disebut namanya"
    ),
    "key-since": Words("{agency}'s since {moment} (entry {index})", "milik {agency} sejak {moment} (catatan {index})"),
    "key-unknown": Words(
        "no entry says that {key} spoke for {agency} by {moment}",
        "tidak ada catatan bahwa {key} mewakili {agency} pada {moment}",
    ),
    "key-over": Words("{key} was {event} on {moment}", "{key} {event} pada {moment}"),
    "key-later": Words("; {event} later, on {moment}", "; kemudian {event}, pada {moment}"),
    "certified": Words("; certified by {authority}", "; disahkan oleh {authority}"),
    "uncertified": Words(
        "; certified by {authority}, but no authority was given to hold that against",
        "; disahkan oleh {authority}, tetapi tidak ada otoritas yang diberikan sebagai pembanding",
    ),
    "other-certificate": Words(
        "{name} has another certificate than the ledger names",
        "sertifikat dalam {name} bukan yang disebut buku besar",
    ),
    "key.revoked": Words("revoked", "dicabut"),
    "key.retired": Words("retired", "diakhiri"),
    # 5 and 6
    "committed": Words(
        "entry {index} of {origin}, {moment}: {kind}", "catatan {index} dari {origin}, {moment}: {kind}"
    ),
    "other-message": Words(
        "{file} is about another message than {name}", "{file} adalah tentang pesan lain daripada {name}"
    ),
    "other-claim": Words("{file}: {name} is not the message's", "{file}: {name} berbeda dengan pesan"),
    "no-receipt": Words(
        "the receipt is the sender's, and in no recipient's bundle",
        "tanda terima adalah milik pengirim, dan tidak ada dalam berkas bukti penerima",
    ),
    "other-subject": Words(
        "{name} is about something else than {others}", "{name} adalah tentang hal lain daripada {others}"
    ),
    "receipted": Words("signed by {issuer}: {event}", "ditandatangani oleh {issuer}: {event}"),
    # 7 and 8
    "unknown-type": Words("the type was not known to the gateway", "jenis pesan tidak dikenal gerbang"),
    "other-schema": Words(
        "{name} is not the schema that was published then", "{name} bukan skema yang terbit pada waktu itu"
    ),
    "typed": Words("{type}, digest {digest}…", "{type}, sidik {digest}…"),
    "no-agreement": Words("no agreement was in question", "tidak ada perjanjian yang berkaitan"),
    "other-version": Words(
        "{name} is another version than the entry names", "{name} adalah versi lain daripada yang disebut catatan"
    ),
    "not-in-force": Words(
        "no entry brought {name} into force by then", "tidak ada catatan yang memberlakukan {name} pada waktu itu"
    ),
    "not-signed": Words("{names} did not sign {name}", "{names} tidak menandatangani {name}"),
    "other-document": Words(
        "{name} is a signature of another document", "{name} adalah tanda tangan atas dokumen lain"
    ),
    "agreed": Words(
        "{agreement} version {version}, signed by {names}{rule}",
        "{agreement} versi {version}, ditandatangani oleh {names}{rule}",
    ),
    "no-rule": Words("; no rule permits it", "; tidak ada aturan yang mengizinkannya"),
    "rule": Words("; clause {clause}, rule {rule}", "; klausul {clause}, aturan {rule}"),
    "other-rule": Words(
        "{name} has no rule {rule} in that clause", "{name} tidak memuat aturan {rule} dalam klausul itu"
    ),
    # 9 and 10
    "released": Words("withheld: {fields}", "ditahan: {fields}"),
    "nothing": Words("nothing", "tidak ada"),
    "not-released": Words(
        "a refused message is released to nobody", "pesan yang ditolak tidak diberikan kepada siapa pun"
    ),
    "no-part": Words("{name} is not a part of {whole}", "{name} bukan bagian dari {whole}"),
    "other-withheld": Words(
        "{name} names other fields as withheld than {file}", "{name} menyebut bagian tertahan yang lain daripada {file}"
    ),
    "not-withheld": Words(
        "{name} holds {field}, which was to be withheld", "{name} memuat {field}, yang seharusnya ditahan"
    ),
    "acknowledged": Words("{event} {moment}", "{event} {moment}"),
    "delivered": Words("delivered", "telah diterima"),
    "processed": Words("processed", "telah diproses"),
    "rejected": Words("rejected", "ditolak"),
    "unacknowledged": Words("the recipient has signed for nothing", "penerima belum menandatangani apa pun"),
    "not-recorded": Words("{name} is in no entry of the ledger", "{name} tidak ada dalam catatan buku besar"),
    "left-out": Words(
        "an acknowledgement that the ledger has is not in the bundle",
        "suatu tanda terima yang ada dalam buku besar tidak ada dalam berkas bukti",
    ),
    # 11
    "timed": Words("no later than {moments}", "selambat-lambatnya {moments}"),
    "no-timestamp": Words("the bundle has no timestamp", "berkas bukti tidak memuat stempel waktu"),
    "no-authority": Words("no authority is trusted", "tidak ada otoritas yang dipercaya"),
    "stamped-before": Words(
        "{name} is of a checkpoint before the entry", "{name} adalah atas titik periksa sebelum catatan itu"
    ),
    "stamped-other": Words(
        "{name} is of another checkpoint than the entry's proof",
        "{name} adalah atas titik periksa lain daripada bukti catatan itu",
    ),
    # several
    "unproven": Words(
        "without a proven entry this cannot be checked", "tanpa catatan yang terbukti, ini tidak dapat diperiksa"
    ),
    "unverified": Words(
        "without a verified message this cannot be checked", "tanpa pesan yang terverifikasi, ini tidak dapat diperiksa"
    ),
    "erased": Words(
        "the content was destroyed on {moment}, on the ground {ground}",
        "isi telah dimusnahkan pada {moment}, atas dasar {ground}",
    ),
}
