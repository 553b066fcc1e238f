"""The figures of a ledger as a page that a person can read, in Indonesian and in English, in one self-contained file.

Decides order and words; leaves what is counted to `figures.py`. Every text is escaped where it enters the page.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from gateway.errors import CODES
from gateway.evaluation.figures import COLUMNS
from gateway.review.markup import Html, document, element

Language = Literal["id", "en"]
Titles = Mapping[str, tuple[str, str]]
"""Message types, to their titles in Indonesian and in English."""

_TABLES: Final[Mapping[str, tuple[str, str]]] = {
    "months": ("Kiriman per bulan (UTC)", "Messages by month (UTC)"),
    "volumes": ("Kiriman yang diteruskan, menurut pasal", "Messages passed on, by clause"),
    "refusals": ("Kiriman yang ditolak, menurut alasan", "Messages refused, by reason"),
    "flags": ("Kiriman yang diteruskan dengan catatan", "Messages passed on with a flag"),
    "deliveries": ("Penyampaian", "Deliveries"),
    "releases": ("Pembukaan yang disetujui petugas", "Releases that officers approved"),
    "erasures": ("Pemusnahan", "Erasures"),
    "holds": ("Penahanan hukum", "Legal holds"),
    "requests": ("Permintaan subjek data", "Persons' requests"),
    "changes": ("Perubahan pihak, kunci, aturan dan skema", "Changes of parties, keys, rules and schemas"),
    "acts": ("Tindakan operator", "Acts of operators"),
    "readings": ("Pembacaan oleh auditor", "Readings by auditors"),
    "alerts": ("Pemberitahuan tentang kunci yang jatuh ke tangan lain", "Alerts about keys in other hands"),
    "entries": ("Catatan menurut jenis", "Entries by kind"),
}
_COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "month": ("Bulan", "Month"),
    "clause": ("Pasal", "Clause"),
    "type": ("Jenis kiriman", "Message type"),
    "sender": ("Pengirim", "Sender"),
    "recipient": ("Penerima", "Recipient"),
    "accepted": ("Diteruskan", "Passed on"),
    "refused": ("Ditolak", "Refused"),
    "overdue": ("Lewat tenggat", "Past the deadline"),
    "withheld": ("Sebagian tidak dibuka", "Partly withheld"),
    "flagged": ("Dengan catatan", "With a flag"),
    "approved": ("Disetujui petugas", "Approved by officers"),
    "code": ("Alasan", "Reason"),
    "messages": ("Kiriman", "Messages"),
    "event": ("Peristiwa", "Event"),
    "transfers": ("Kiriman", "Transfers"),
    "time": ("Waktu", "Time"),
    "transfer": ("Nomor kiriman", "Transfer"),
    "officers": ("Kunci petugas", "Officers' keys"),
    "notice": ("Peringatan kerahasiaan", "Notice of secrecy"),
    "ground": ("Dasar", "Ground"),
    "by_officers": ("Ditandatangani petugas", "Signed by officers"),
    "scope": ("Lingkup", "Scope"),
    "holds": ("Penahanan", "Holds"),
    "what": ("Tindakan", "What"),
    "requests": ("Permintaan", "Requests"),
    "erased": ("Dimusnahkan", "Erased"),
    "about": ("Tentang", "About"),
    "detail": ("Rincian", "Detail"),
    "who": ("Oleh", "By"),
    "acts": ("Tindakan", "Acts"),
    "by_two": ("Ditandatangani dua orang", "Signed by two"),
    "auditor": ("Auditor", "Auditor"),
    "role": ("Peran", "Role"),
    "readings": ("Pembacaan", "Readings"),
    "results": ("Hasil", "Results"),
    "alerts": ("Pemberitahuan", "Alerts"),
    "kind": ("Jenis", "Kind"),
    "entries": ("Catatan", "Entries"),
}
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Evaluasi buku catatan", "Evaluation of a ledger"),
    "trust": (
        "Semua catatan diperiksa terhadap kunci buku catatan sebelum dihitung. Tidak ada nama orang di dalamnya.",
        "Every entry was checked against the ledger's key before it was counted. No person is named.",
    ),
    "ledger": ("Buku catatan", "Ledger"),
    "checkpoint": ("Banyaknya catatan dan akar pohon", "Entries and root of the tree"),
    "since": ("Sejak", "Since"),
    "until": ("Sebelum", "Before"),
    "open": ("tidak dibatasi", "not bounded"),
    "first": ("Catatan pertama", "First entry"),
    "last": ("Catatan terakhir", "Last entry"),
    "none": ("Tidak ada catatan dalam masa ini.", "There is no entry in this period."),
    "several": (
        "Kiriman dengan beberapa alasan dihitung pada setiap alasan.",
        "A message with several reasons is counted with each.",
    ),
}
_SEVERAL: Final = ("refusals", "flags")


def render(evaluation: Mapping[str, Any], titles: Titles) -> str:
    """The page of what `sinergi ledger report --json` prints."""
    languages: tuple[Language, ...] = ("id", "en")
    parts = [element("section", *_Page(evaluation, titles, language).parts(), lang=language) for language in languages]
    return document(" / ".join(_WORDS["title"]), "id", *parts)


class _Page:
    def __init__(self, evaluation: Mapping[str, Any], titles: Titles, language: Language) -> None:
        self.evaluation = evaluation
        self.titles = titles
        self.language = language

    def say(self, words: tuple[str, str]) -> str:
        return words[0 if self.language == "id" else 1]

    def parts(self) -> Iterator[Html]:
        told = self.evaluation
        yield element("h1", self.say(_WORDS["title"]))
        yield element("p", self.say(_WORDS["trust"]), class_="source")
        facts = {"ledger": told["origin"], "checkpoint": f"{told['size']}, {told['root']}"}
        facts |= {name: told[name] or self.say(_WORDS["open"]) for name in ("since", "until")}
        facts |= {name: told[name] for name in ("first", "last") if told[name]}
        pairs = ((element("dt", self.say(_WORDS[name])), element("dd", fact)) for name, fact in facts.items())
        yield element("dl", *(part for pair in pairs for part in pair))
        if not told["tables"]:
            yield element("p", self.say(_WORDS["none"]))
        for name, rows in told["tables"].items():
            yield element("h2", self.say(_TABLES[name]))
            if name in _SEVERAL:
                yield element("p", self.say(_WORDS["several"]), class_="source")
            yield self.table(COLUMNS[name], rows)

    def table(self, columns: tuple[str, ...], rows: list[Mapping[str, object]]) -> Html:
        head = element("tr", *(element("th", self.say(_COLUMNS[column]), scope="col") for column in columns))
        body = (element("tr", *(element("td", self.cell(column, row[column])) for column in columns)) for row in rows)
        return element("table", element("thead", head), element("tbody", *body))

    def cell(self, column: str, value: object) -> str:
        """A code with its words, where it has some."""
        code = str(value)
        if column == "type" and code in self.titles:
            return f"{self.say(self.titles[code])} ({code})"
        if column == "code" and code in CODES:
            return f"{self.say((CODES[code].id, CODES[code].en))} ({code})"
        return code
