"""What a bundle proves, as a page that a judge can follow: in Indonesian or in English, one self-contained file.

Decides order and words. Tells what the checks established and nothing that they did not: facts come from the entry that
check 2 proved, names from the schema and the agreement only where checks 7 and 8 passed. No value of the message's body is
printed: fields are named by their places. The page itself proves nothing; whoever doubts it checks the bundle again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from gateway.evidence.bundle import Bundle
from gateway.evidence.checks import AGREEMENT, SCHEMA, Check, Report, Trust
from gateway.review.markup import STYLE, Html, element, items

Language = Literal["id", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("id", "en")
_TYPED, _AGREED = 7, 8

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Laporan pemeriksaan bukti kiriman", "Report on the evidence of a transfer"),
    "holds": (
        "Bukti ini terverifikasi: tidak ada pemeriksaan yang gagal.",
        "This evidence is verified: no check failed.",
    ),
    "fails": (
        "Bukti ini TIDAK terverifikasi. Pemeriksaan yang gagal ditandai di bawah; jangan mengandalkan isinya.",
        "This evidence is NOT verified. The checks that failed are marked below; do not rely on it.",
    ),
    "itself": (
        "Halaman ini sendiri bukan bukti. Yang membuktikan adalah berkas bukti dan pemeriksaan ulang atasnya.",
        "This page itself is no evidence. What proves is the bundle, and checking it again.",
    ),
    "what": ("Apa yang terjadi", "What happened"),
    "unknown": (
        "Tidak dapat dipastikan: catatan buku besar dalam berkas ini tidak terbukti.",
        "It cannot be established: the ledger's entry in this bundle is not proved.",
    ),
    "transfer": ("Nomor kiriman", "Number of the transfer"),
    "decision": ("Keputusan gerbang", "Decision of the gateway"),
    "accepted": ("diteruskan kepada penerima", "passed on to the recipient"),
    "refused": ("ditolak", "refused"),
    "sender": ("Pengirim", "Sender"),
    "recipient": ("Penerima", "Recipient"),
    "time": ("Diterima gerbang pada (UTC)", "Received by the gateway at (UTC)"),
    "type": ("Jenis pesan", "Kind of message"),
    "purpose": ("Tujuan", "Purpose"),
    "agreement": ("Perjanjian", "Agreement"),
    "rule": ("Aturan", "Rule"),
    "clause": ("Pasal atau butir perjanjian", "Clause of the agreement"),
    "withheld": ("Tidak dibuka kepada penerima", "Not shown to the recipient"),
    "why-withheld": (
        "Aturan itu menahan bidang-bidang ini; penerima melihat bahwa ada yang ditahan, bukan isinya.",
        "The rule withholds these fields; the recipient sees that something is withheld, not what it says.",
    ),
    "reasons": ("Alasan penolakan", "Reasons of the refusal"),
    "retain": ("Disimpan sampai dengan", "Kept through"),
    "key": ("Kunci pengirim", "The sender's key"),
    "checks": ("Pemeriksaan", "The checks"),
    "passed": ("TERBUKTI", "PROVED"),
    "failed": ("GAGAL", "FAILED"),
    "nothing": ("TIDAK DIPERIKSA", "NOT CHECKED"),
    "found": ("Ditemukan", "Found"),
    "beyond": ("Yang tidak dibuktikan", "What is not proved"),
    "trusted": ("Kunci yang dipercaya pemeriksa", "Keys that the verifier trusted"),
    "trusted-why": (
        "Seluruh pembuktian bertumpu pada kunci-kunci ini. Bandingkan dengan yang diserahkan para instansi secara langsung.",
        "All of the proof rests on these keys. Compare them with those that the agencies handed over in person.",
    ),
    "made": ("Diperiksa pada (UTC)", "Checked at (UTC)"),
}
# What each check says to somebody who knows nothing of signatures: heading, meaning.
_MEANINGS: Final[Mapping[int, tuple[tuple[str, str], tuple[str, str]]]] = {
    1: (
        ("Berkas utuh", "The bundle is whole"),
        (
            "Setiap berkas persis seperti yang didaftar dan ditandatangani gerbang; tak ada yang diubah, hilang, atau ditambah.",
            "Every file is exactly the one that the gateway listed and signed; none was altered, is missing or was added.",
        ),
    ),
    2: (
        ("Tercatat di buku besar", "It is in the ledger"),
        (
            "Catatan tentang kiriman ini ada dalam buku besar yang tidak dapat diubah tanpa ketahuan.",
            "The entries about this transfer are in a ledger that cannot be changed unnoticed.",
        ),
    ),
    3: (
        ("Ditandatangani pengirim", "The sender signed it"),
        (
            "Pesan itu ditandatangani dengan kunci pengirim, dan tidak ada bagiannya yang disembunyikan dari gerbang.",
            "The message was signed with the sender's key, and no part of it was hidden from the gateway.",
        ),
    ),
    4: (
        ("Kunci itu sah saat itu", "The key was valid then"),
        (
            "Ketika pesan diterima, kunci itu milik pengirim dan belum berakhir atau dicabut.",
            "When the message was received, the key was the sender's and had neither ended nor been revoked.",
        ),
    ),
    5: (
        ("Catatan itu tentang pesan ini", "The entry is about this message"),
        (
            "Catatan buku besar terikat pada pesan ini dan bukan pada pesan lain.",
            "The ledger's entry is bound to this very message and to no other.",
        ),
    ),
    6: (
        ("Tanda terima gerbang cocok", "The gateway's receipt agrees"),
        (
            "Tanda terima yang diberikan kepada pengirim mengatakan hal yang sama dengan buku besar.",
            "The receipt that the sender got says the same as the ledger.",
        ),
    ),
    7: (
        ("Jenis pesan yang diumumkan", "A published kind of message"),
        (
            "Bentuk pesan itu adalah bentuk yang telah diumumkan kepada para pihak.",
            "The message's form is the one that was published to the parties.",
        ),
    ),
    8: (
        ("Perjanjian yang berlaku", "The agreement in force"),
        (
            "Perjanjian ditandatangani semua pihak, berlaku saat itu, dan memuat aturan yang dipakai.",
            "The agreement was signed by all parties, was in force, and has the rule that was applied.",
        ),
    ),
    9: (
        ("Apa yang dibuka", "What was shown"),
        (
            "Yang dibuka kepada penerima adalah bagian dari pesan itu; yang ditahan disebutkan satu per satu.",
            "What the recipient was given is part of the message; what was withheld is named, field by field.",
        ),
    ),
    10: (
        ("Penerima menandatanganinya", "The recipient signed for it"),
        (
            "Penerima menandatangani tanda terimanya sendiri, dan itu tercatat.",
            "The recipient signed a receipt of its own, and that is recorded.",
        ),
    ),
    11: (
        ("Waktu dari pihak lain", "Somebody else's clock"),
        (
            "Otoritas penanda waktu menyaksikan buku besar itu, tidak bergantung pada jam gerbang.",
            "A timestamp authority saw the ledger, independently of the gateway's clock.",
        ),
    ),
}
_BEYOND: Final[tuple[tuple[str, str], ...]] = (
    ("Bahwa isi pesan itu benar.", "That what the message says is true."),
    ("Siapa orangnya yang memakai kunci instansi.", "Which person used the agency's key."),
    (
        "Bahwa tidak ada kunci yang dicabut setelah berkas ini dibuat.",
        "That no key was revoked after this bundle was made.",
    ),
    (
        "Apa yang dilakukan penerima dengan pesan itu setelah menandatanganinya.",
        "What the recipient did with the message after signing for it.",
    ),
)


def render(report: Report, bundle: Bundle, trust: Trust, language: Language, checked_at: datetime) -> str:
    """The page in one language; deterministic. Every text of the bundle is escaped where it enters."""
    page = _Page(report, bundle, trust, language, checked_at)
    head = element(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", page.say("title")),
        element("style", Html(STYLE)),
    )
    body = element("body", element("main", *page.parts()))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang=language)}\n"


class _Page:
    def __init__(self, report: Report, bundle: Bundle, trust: Trust, language: Language, checked_at: datetime) -> None:
        self.report, self.bundle, self.trust = report, bundle, trust
        self.number = 0 if language == "id" else 1
        self.language = language
        self.checked_at = checked_at

    def say(self, word: str) -> str:
        return _WORDS[word][self.number]

    def parts(self) -> Iterator[Html]:
        yield element("h1", self.say("title"))
        yield element("p", self.say("holds" if self.report.ok else "fails"), class_="open")
        yield element("p", self.say("itself"), class_="source")
        yield self.facts([("made", f"{self.checked_at:%Y-%m-%d %H:%M:%S}")])
        yield element("h2", self.say("what"))
        yield element("p", self.say("unknown")) if self.report.entry is None else self.facts(self.story())
        yield element("h2", self.say("checks"))
        yield from map(self.check, self.report.checks)
        yield element("h2", self.say("beyond"))
        yield items(words[self.number] for words in _BEYOND)
        yield element("h2", self.say("trusted"))
        yield element("p", self.say("trusted-why"))
        yield items(element("code", key) for key in self.keys())

    def story(self) -> Iterator[tuple[str, object]]:
        entry = self.report.entry or {}
        names = self.names(entry)
        yield "transfer", entry.get("transfer")
        yield "decision", self.say(self.report.decision or "refused")
        for name in ("sender", "recipient"):
            yield name, entry.get(name)
        yield "time", entry.get("time")
        yield "type", self.named(names.get("type"), entry.get("type"))
        yield "purpose", entry.get("purpose")
        version = entry.get("agreement_version")
        yield "agreement", None if version is None else f"{entry.get('agreement')}, {version}"
        yield "rule", self.named(names.get("rule"), entry.get("rule"))
        yield "clause", entry.get("clause")
        if withheld := entry.get("withheld"):
            yield "withheld", element("div", items(map(_code, withheld)), element("p", self.say("why-withheld")))
        if reasons := entry.get("reasons"):
            told = (
                " ".join(str(one[name]) for name in ("code", "clause", "pointer") if name in one) for one in reasons
            )
            yield "reasons", items(told)
        yield "retain", entry.get("retain_until")
        yield "key", None if "key" not in entry else _code(entry["key"])

    def names(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """Titles in this language, out of documents that a check has proved."""
        passed = {one.number for one in self.report.checks if one.ok}
        found: dict[str, str] = {}
        if _TYPED in passed:
            title = json.loads(self.bundle.text(SCHEMA)).get("x-title-id" if self.language == "id" else "title")
            found |= {"type": str(title)} if title else {}
        if _AGREED in passed and "rule" in entry:
            rules = json.loads(self.bundle.text(AGREEMENT)).get("rules", ())
            titles = [one.get("title", {}).get(self.language) for one in rules if one.get("id") == entry["rule"]]
            found |= {"rule": str(titles[0])} if titles and titles[0] else {}
        return found

    def named(self, title: str | None, code: object) -> object:
        return code if title is None else f"{title} ({code})"

    def check(self, one: Check) -> Html:
        heading, meaning = (words[self.number] for words in _MEANINGS[one.number])
        result = self.say({True: "passed", False: "failed", None: "nothing"}[one.ok])
        return element(
            "section",
            element("h3", f"{one.number}. {heading}: {result}"),
            element("p", meaning),
            element("p", f"{self.say('found')}: ", element("code", one.detail), class_="source"),
            class_="rule",
        )

    def keys(self) -> Iterator[str]:
        yield from sorted(self.trust.gateway)
        for origin in sorted(self.trust.ledgers):
            yield from (key.vkey for key in self.trust.ledgers[origin].keys)

    def facts(self, pairs: Iterable[tuple[str, object]]) -> Html:
        rows: Sequence[tuple[Html, Html]] = [
            (element("dt", self.say(word)), element("dd", value)) for word, value in pairs if value is not None
        ]
        return element("dl", *(part for row in rows for part in row))


def _code(text: object) -> Html:
    return element("code", text)
