"""What a finding says, in English and Indonesian: one sentence a code."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Words:
    """The same words in English and in Indonesian."""

    en: str
    id: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. `rule` is None where it is about the agreement; `pointer` is a place in its document."""

    severity: Severity
    code: str
    rule: str | None
    pointer: str
    text: Words

    def below(self, place: str, rule: str | None) -> "Finding":
        """The same finding, its place below another one."""
        return replace(self, pointer=place + self.pointer, rule=rule)

    def as_json(self) -> dict[str, Any]:
        told = {"severity": self.severity, "code": self.code, "rule": self.rule, "pointer": self.pointer}
        return told | {"text": {"en": self.text.en, "id": self.text.id}}


def finding(severity: Severity, code: str, at: str = "", **named: Any) -> Finding:
    """A finding in the words of its code; KeyError for a code without words, or words without what they name."""
    words = SENTENCES[code]
    return Finding(severity, code, None, at, Words(words.en.format(**named), words.id.format(**named)))


SENTENCES: Final = {
    "type-unknown": Words(
        "{type} is not a message type of this catalogue: nothing is ever accepted under the rule",
        "{type} bukan jenis pesan dalam katalog ini: tidak ada pesan yang dapat diterima menurut aturan ini",
    ),
    "purpose-unknown": Words(
        "the purpose {named} is not in the code list", "tujuan {named} tidak ada dalam daftar kode"
    ),
    "case-type-unknown": Words(
        "the case type {named} is not in the code list", "jenis perkara {named} tidak ada dalam daftar kode"
    ),
    "condition-impossible": Words(
        "no message of this type can meet the condition {named} at {field}: the rule permits nothing",
        "tidak ada pesan jenis ini yang dapat memenuhi syarat {named} pada {field}: aturan ini tidak mengizinkan apa pun",
    ),
    "condition-forbids": Words(
        "in its situation no message can meet the condition {named} at {field}: the situation is refused whole",
        "dalam keadaan itu tidak ada pesan yang dapat memenuhi syarat {named} pada {field}: keadaan itu selalu ditolak",
    ),
    "conditions-contradict": Words(
        "no message can meet these conditions together: {named}; the rule permits nothing",
        "tidak ada pesan yang dapat memenuhi syarat-syarat ini sekaligus: {named}; aturan ini tidak mengizinkan apa pun",
    ),
    "situation-never": Words(
        "this situation can never be given in a message that the rule permits: the term never counts",
        "keadaan ini tidak mungkin terjadi dalam pesan yang diizinkan aturan: ketentuan ini tidak pernah berlaku",
    ),
    "place-unknown": Words(
        "a message of type {type} has no value at {field}", "pesan jenis {type} tidak mempunyai isian pada {field}"
    ),
    "field-unknown": Words(
        "{field} is withheld, and {type} has no such field", "{field} ditahan, padahal {type} tidak mempunyai ruas itu"
    ),
    "field-in-clear": Words(
        "{field} is withheld, and the schema of {type} does not mark it as sensitive: what is released would not be valid",
        "{field} ditahan, padahal skema {type} tidak menandainya sebagai sensitif: pesan yang dilepas menjadi tidak sah",
    ),
    "field-released": Words(
        "{field} of {type} is marked as sensitive, and the rule always releases it",
        "{field} pada {type} ditandai sensitif, tetapi aturan ini selalu melepasnya",
    ),
    "protected-released": Words(
        "{field} of {type} may identify a protected person ({named}); the rule releases it without two officers' approval"
        " and an acknowledged notice",
        "{field} pada {type} dapat mengungkap orang yang dilindungi ({named}); aturan ini melepasnya tanpa persetujuan dua"
        " pejabat dan tanpa pemberitahuan kerahasiaan yang telah diterima",
    ),
    "relation-impossible": Words(
        "nobody may send what the relation {named} asks for ({type}): the rule permits nothing from {sender} to {recipient}",
        "tidak ada yang boleh mengirim pesan yang diminta hubungan {named} ({type}): aturan ini tidak mengizinkan apa pun"
        " dari {sender} kepada {recipient}",
    ),
    "relation-never": Words(
        "nobody may send {type}, which the relation {named} names, in the direction that it asks for",
        "tidak ada yang boleh mengirim {type}, yang disebut hubungan {named}, ke arah yang dimintanya",
    ),
    "relation-type-unknown": Words(
        "{type}, which {named} names, is not a message type of this catalogue",
        "{type}, yang disebut {named}, bukan jenis pesan dalam katalog ini",
    ),
    "replies-disjoint": Words(
        "nothing keeps one message out of the situations of {named} at once, and no transfer is of the types of both",
        "tidak ada yang mencegah satu pesan berada dalam keadaan {named} sekaligus, padahal tidak ada kiriman yang memenuhi"
        " kedua jenisnya",
    ),
    "earlier-impossible": Words(
        "no message replied to can hold at {field} what {named} asks for",
        "tidak ada pesan yang dibalas yang pada {field} dapat memuat apa yang diminta {named}",
    ),
    "compares-withheld": Words(
        "{named} compares with {field}, which rule {rule} may withhold from this sender: trying would tell it",
        "{named} membandingkan dengan {field}, yang menurut aturan {rule} dapat ditahan dari pengirim ini: dapat ditebak",
    ),
    "same-impossible": Words(
        "{here} here and {there} of the message replied to can never be equal, as {named} asks",
        "{here} di sini dan {there} pada pesan yang dibalas tidak mungkin sama seperti diminta {named}",
    ),
    "deadline-too-long": Words(
        "the deadline of {within} is longer than the rule is in force",
        "tenggat {within} lebih lama daripada masa berlaku aturan ini",
    ),
    "type-without-rule": Words(
        "no rule permits {type}: it can never be sent",
        "tidak ada aturan yang mengizinkan {type}: jenis ini tidak pernah dapat dikirim",
    ),
    "jurisdiction-unused": Words(
        "no rule asks for the territory of {named}", "tidak ada aturan yang memakai wilayah hukum {named}"
    ),
    "figures-unconfirmed": Words(
        "{count} terms await confirmation by the agencies", "{count} ketentuan menunggu konfirmasi kedua instansi"
    ),
}
