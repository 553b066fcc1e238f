"""The trail of processing as a page that a person can read, in Indonesian and in English, in one self-contained file.

Decides order and words; leaves what is told to `data_subjects.py`. Every text is escaped where it enters the page.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from gateway.review.markup import Html, document, element, items

Language = Literal["id", "en"]

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Jejak pemrosesan data pribadi", "Trail of the processing of personal data"),
    "law": ("UU 27/2022 Pasal 32", "Law 27/2022 Article 32"),
    "request": ("Nomor permintaan", "Number of the request"),
    "requested": ("Diminta pada", "Requested at"),
    "due": ("Harus dijawab paling lambat", "To be answered by"),
    "made": ("Dibuat pada", "Made at"),
    "kind": ("Dicari berdasarkan", "Searched by"),
    "none": ("Tidak ada kiriman yang memuat data ini.", "No message holds these data."),
    "from": ("Pengirim", "Sender"),
    "to": ("Penerima", "Recipient"),
    "at": ("Diterima gerbang pada", "Received by the gateway at"),
    "purpose": ("Tujuan", "Purpose"),
    "basis": ("Dasar hukum menurut pengirim", "Legal basis, as the sender names it"),
    "rule": ("Perjanjian dan pasal", "Agreement and clause"),
    "decision": ("Keputusan", "Decision"),
    "accepted": ("diteruskan kepada penerima", "passed on to the recipient"),
    "refused": ("ditolak, tidak sampai kepada penerima", "refused, and never given to the recipient"),
    "withheld": ("Tidak dibuka kepada penerima", "Withheld from the recipient"),
    "nothing": ("tidak ada", "nothing"),
    "delivery": ("Penyampaian", "Delivery"),
    "changed": ("Diperbaiki, dibatalkan atau ditarik oleh", "Corrected, cancelled or recalled by"),
    "reads": ("Dibaca oleh", "Read by"),
    "kept": ("Disimpan sampai dengan", "Kept through"),
    "waiting": ("menunggu", "waiting"),
    "delivered": ("diterima", "delivered"),
    "processed": ("diproses", "processed"),
    "rejected": ("ditolak penerima", "rejected by the recipient"),
    "expired": ("kedaluwarsa sebelum sampai", "expired before it arrived"),
    "withdrawn": ("ditarik sebelum sampai", "withdrawn before it arrived"),
    "dead": ("tidak dapat disampaikan", "could not be delivered"),
}


def render(trail: Mapping[str, Any]) -> str:
    """The page of what `data_subjects.trail` gives."""
    languages: tuple[Language, ...] = ("id", "en")
    parts = [element("section", *_Page(trail, language).parts(), lang=language) for language in languages]
    return document(" / ".join(_WORDS["title"]), "id", *parts)


class _Page:
    def __init__(self, trail: Mapping[str, Any], language: Language) -> None:
        self.trail = trail
        self.language = language

    def say(self, word: str) -> str:
        """The word in this language; a code that has none stands for itself."""
        texts = _WORDS.get(word)
        return word if texts is None else texts[0 if self.language == "id" else 1]

    def party(self, agency: str) -> str:
        name = self.trail["agencies"].get(agency)
        return agency if name is None else f"{name} ({agency})"

    def parts(self) -> Iterator[Html]:
        trail = self.trail
        yield element("h1", self.say("title"))
        yield element("p", self.say("law"), class_="source")
        yield self.facts(
            ("request", trail["request"]),
            ("requested", trail["requested_at"]),
            ("due", trail["due_by"]),
            ("made", trail["made_at"]),
            ("kind", trail["subject"]["kind"]),
        )
        if not trail["transfers"]:
            yield element("p", self.say("none"))
        for number, transfer in enumerate(trail["transfers"], 1):
            title = transfer["title"][self.language] if "title" in transfer else transfer["type"]
            yield element("h2", f"{number}. {title}")
            yield self.transfer(transfer)

    def transfer(self, transfer: Mapping[str, Any]) -> Html:
        purpose = transfer["purpose"]
        rule = " ".join(str(transfer[name]) for name in ("agreement", "clause") if transfer.get(name))
        delivery = [f"{self.say(one['event'])}: {one['at']}" for one in transfer["delivery"]["receipts"]]
        state = transfer["delivery"]["state"]
        return self.facts(
            ("from", self.party(transfer["sender"])),
            ("to", self.party(transfer["recipient"])),
            ("at", transfer["received_at"]),
            ("purpose", purpose.get(self.language, purpose["code"])),
            ("basis", items(transfer["legal_basis"]) if transfer["legal_basis"] else self.say("nothing")),
            ("rule", rule),
            ("decision", self.say(transfer["decision"])),
            ("withheld", items(transfer["withheld"]) if transfer["withheld"] else self.say("nothing")),
            ("delivery", items(delivery) if delivery else self.say(state) if state else self.say("nothing")),
            ("changed", items(f"{one['type']} {one['at']}" for one in transfer["changed_by"])),
            ("reads", items(f"{one['who']} ({one['role']}) {one['at']}" for one in transfer["reads"])),
            ("kept", transfer.get("kept_through", "")),
        )

    def facts(self, *pairs: tuple[str, object]) -> Html:
        rows = (
            (element("dt", self.say(word)), element("dd", value))
            for word, value in pairs
            if value not in ("", "<ul></ul>")
        )
        return element("dl", *(part for row in rows for part in row))
