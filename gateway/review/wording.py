"""Terms of an agreement in plain words, English or Indonesian, for people who sign it.

Decides the sentence for each condition, situation, relation and period. A fragment without words is shown as the JSON
that it is: nothing that counts is left out because nobody put it into words. Leaves layout and escaping to `page`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.agreement.conditions import Duration, Pointer
from gateway.agreement.figures import Deadline, WorkingDays
from gateway.agreement.terms import (
    Amends,
    Answers,
    AtMost,
    Conditional,
    Earlier,
    Links,
    Ordered,
    PeriodAtLeast,
    PeriodAtMost,
    RefersTo,
    Relation,
    Rule,
    Same,
)
from gateway.agreement.vocabulary import Situation
from gateway.message_types.catalogue import Catalogue
from gateway.message_types.specimens import flat
from gateway.review.shape import nodes
from gateway.review.words import Words

Language = Literal["en", "id"]

CLAIMS: Final[Mapping[str, Words]] = {
    "/iss": Words("Sender", "Pengirim"),
    "/aud": Words("Recipient", "Penerima"),
    "/iat": Words("Time of sending", "Waktu pengiriman"),
    "/exp": Words("End of the message's validity", "Akhir masa berlaku pesan"),
    "/type": Words("Message type", "Jenis pesan"),
    "/purpose": Words("Purpose", "Tujuan"),
    "/classification": Words("Classification", "Klasifikasi"),
    "/case": Words("Case reference", "Rujukan perkara"),
    "/case/type": Words("Kind of case reference", "Jenis rujukan perkara"),
    "/case/number": Words("Case number", "Nomor perkara"),
    "/officer": Words("Officer", "Petugas"),
    "/officer/role": Words("Role of the officer", "Peran petugas"),
    "/legal_basis": Words("Legal basis", "Dasar hukum"),
    "/in_reply_to": Words("Transfer replied to", "Kiriman yang dibalas"),
    "/handling": Words("Handling caveat", "Ketentuan penanganan"),
}
_UNITS: Final = (
    ("years", Words("year(s)", "tahun")),
    ("months", Words("month(s)", "bulan")),
    ("days", Words("day(s)", "hari")),
    ("hours", Words("hour(s)", "jam")),
    ("minutes", Words("minute(s)", "menit")),
    ("seconds", Words("second(s)", "detik")),
)
_WEEKDAYS: Final = {
    "MONDAY": Words("Monday", "Senin"),
    "TUESDAY": Words("Tuesday", "Selasa"),
    "WEDNESDAY": Words("Wednesday", "Rabu"),
    "THURSDAY": Words("Thursday", "Kamis"),
    "FRIDAY": Words("Friday", "Jumat"),
    "SATURDAY": Words("Saturday", "Sabtu"),
    "SUNDAY": Words("Sunday", "Minggu"),
}
_KINDS: Final = {
    "boolean": Words("is yes or no", "bernilai ya atau tidak"),
    "integer": Words("is a whole number", "berupa bilangan bulat"),
    "number": Words("is a number", "berupa bilangan"),
    "string": Words("is given", "diisi"),
    "array": Words("is a list", "berupa daftar"),
    "object": Words("is given", "diisi"),
}
_PLAIN: Final[Mapping[str, Words]] = {
    "minimum": Words("is at least {0}", "paling sedikit {0}"),
    "maximum": Words("is at most {0}", "paling banyak {0}"),
    "exclusiveMinimum": Words("is more than {0}", "lebih dari {0}"),
    "exclusiveMaximum": Words("is less than {0}", "kurang dari {0}"),
    "multipleOf": Words("is a multiple of {0}", "merupakan kelipatan {0}"),
    "minLength": Words("has at least {0} characters", "terdiri atas sekurang-kurangnya {0} karakter"),
    "maxLength": Words("has at most {0} characters", "terdiri atas paling banyak {0} karakter"),
    "pattern": Words("has the form {0}", "berbentuk {0}"),
    "format": Words("has the format {0}", "berformat {0}"),
    "minItems": Words("has at least {0} element(s)", "memuat sekurang-kurangnya {0} unsur"),
    "maxItems": Words("has at most {0} element(s)", "memuat paling banyak {0} unsur"),
    "minProperties": Words("has at least {0} member(s)", "memuat sekurang-kurangnya {0} isian"),
    "maxProperties": Words("has at most {0} member(s)", "memuat paling banyak {0} isian"),
}


@dataclass(frozen=True, slots=True)
class Speech:
    """One language, and the catalogue whose titles and labels it speaks with."""

    language: Language
    catalogue: Catalogue

    def say(self, en: str, id_: str) -> str:
        return en if self.language == "en" else id_

    def pick(self, words: Any) -> str:
        """The language's side of anything that has both."""
        return str(getattr(words, self.language))

    def listed(self, words: Sequence[str], *, last: tuple[str, str] = ("or", "atau")) -> str:
        if len(words) <= 1:
            return "".join(words)
        return f"{', '.join(words[:-1])} {self.say(*last)} {words[-1]}"

    # Names.

    def field(self, pointer: Pointer, type_: str) -> str:
        """`Severity (/body/severity)`: the title that the schema gives, and the place itself."""
        title = self.title(pointer, type_)
        return f"{title} ({pointer.text})" if title else pointer.text

    def title(self, pointer: Pointer, type_: str) -> str:
        if pointer.text in CLAIMS:
            return self.pick(CLAIMS[pointer.text])
        found = self.catalogue.get(type_)
        if found is None:
            return ""
        root = {"properties": {"body": found.schema}, "$defs": found.schema["$defs"]}
        named = (node.get("title" if self.language == "en" else "x-title-id") for node in nodes(root, pointer.steps))
        return next((str(name) for name in named if name), "")

    def type(self, type_: str) -> str:
        found = self.catalogue.get(type_)
        if found is None:
            return type_
        return f"{found.title_en if self.language == 'en' else found.title_id} ({type_})"

    def types(self, types: Sequence[str]) -> str:
        return self.listed([self.type(type_) for type_ in types])

    def code(self, list_: str, code: str) -> str:
        """`TPPO (trafficking in persons)`: a code with its label, as far as the list has it."""
        entry = self.catalogue.code_list(list_).entries.get(code) if self.catalogue.codes(list_) else None
        return code if entry is None else f"{code} ({self.pick(entry)})"

    def value(self, value: Any, list_: str | None = None) -> str:
        if value is True or value is False:
            return self.say("yes", "ya") if value else self.say("no", "tidak")
        if isinstance(value, str):
            return self.code(list_, value) if list_ else value
        return json.dumps(value, ensure_ascii=False)

    def list_at(self, pointer: Pointer, type_: str) -> str | None:
        """The code list whose codes stand at the place."""
        if pointer.text in ("/purpose", "/case/type"):
            return {"/purpose": "purpose", "/case/type": "case-type"}[pointer.text]
        found = self.catalogue.get(type_)
        if found is None:
            return None
        root = {"properties": {"body": found.schema}, "$defs": found.schema["$defs"]}
        for node in nodes(root, pointer.steps):
            for part in (node, flat(node.get("items", {}), root)):
                if isinstance(part.get("x-code-list"), str):
                    return str(part["x-code-list"])
        return None

    def period(self, duration: Duration) -> str:
        years, months = divmod(duration.months, 12)
        hours, rest = divmod(duration.seconds, 3600)
        minutes, seconds = divmod(rest, 60)
        numbers = (years, months, duration.days, hours, minutes, seconds)
        parts = [f"{number} {self.pick(unit)}" for number, (_, unit) in zip(numbers, _UNITS, strict=True) if number]
        return self.listed(parts, last=("and", "dan"))

    def within(self, deadline: Deadline) -> str:
        days = deadline.within.days
        return (
            self.say(f"{days} working day(s)", f"{days} hari kerja")
            if deadline.working
            else self.period(deadline.within)
        )

    def working_days(self, calendar: WorkingDays) -> Iterator[str]:
        rest = self.listed([self.pick(_WEEKDAYS[day]) for day in calendar.rest], last=("and", "dan"))
        yield self.say(f"Days of rest in each week: {rest}", f"Hari libur setiap minggu: {rest}")
        if calendar.every_year:
            days = ", ".join(f"{day[3:]}-{day[:2]}" for day in calendar.every_year)
            yield self.say(
                f"Holidays of every year (day-month): {days}", f"Hari libur setiap tahun (tanggal-bulan): {days}"
            )
        if calendar.holidays:
            days = ", ".join(day.isoformat() for day in calendar.holidays)
            yield self.say(f"Further holidays: {days}", f"Hari libur lainnya: {days}")

    # Conditions.

    def must(self, schema: Mapping[str, Any], list_: str | None = None) -> str:
        """What a fragment asks of a value, as the rest of a sentence; as JSON where there are no words for all of it."""
        said = self._said(schema, list_)
        if said is None:
            return self.say("meets", "memenuhi") + " " + json.dumps(schema, ensure_ascii=False)
        return said

    def _said(self, schema: Mapping[str, Any], list_: str | None) -> str | None:
        parts: list[str | None] = []
        for keyword, value in schema.items():
            if keyword == "type":
                if len(schema) == 1 or value == "boolean":
                    parts.append(self.pick(_KINDS[value]) if value in _KINDS else None)
            elif keyword in _PLAIN:
                parts.append(self.pick(_PLAIN[keyword]).format(value))
            else:
                parts.append(self._compound(keyword, value, schema, list_))
        known = [part for part in parts if part is not None]
        return self.listed(known, last=("and", "dan")) if known and len(known) == len(parts) else None

    def _compound(self, keyword: str, value: Any, schema: Mapping[str, Any], list_: str | None) -> str | None:
        match keyword:
            case "const":
                return self.say("is", "adalah") + " " + self.value(value, list_)
            case "enum":
                codes = self.listed([self.value(one, list_) for one in value])
                return self.say("is", "adalah") + " " + codes
            case "not":
                inner = self._said(value, list_)
                return None if inner is None else self.say("not so that it ", "bukan yang ") + inner
            case "anyOf" | "allOf":
                branches = [self._said(branch, list_) for branch in value]
                whole = [branch for branch in branches if branch is not None]
                last = ("or", "atau") if keyword == "anyOf" else ("and", "dan")
                return self.listed(whole, last=last) if len(whole) == len(branches) else None
            case "items":
                inner = self._said(value, list_)
                return None if inner is None else self.say("each element ", "setiap unsur ") + inner
            case "contains":
                inner = self._said(value, list_)
                return None if inner is None else self.say("some element ", "salah satu unsur ") + inner
            case "uniqueItems":
                return self.say("no element stands twice", "tidak ada unsur yang berulang") if value is True else None
            case "required":
                rest = [name for name in value if name not in schema.get("properties", {})]
                return self.say("has ", "memuat ") + ", ".join(rest) if rest else self.say("is given", "diisi")
            case "properties":
                members = [(name, self._said(member, None)) for name, member in value.items()]
                if any(said is None for _, said in members):
                    return None
                return self.listed([f"{name} {said}" for name, said in members], last=("and", "dan"))
            case "additionalProperties":
                return self.say("has no other member", "tidak memuat isian lain") if value is False else None
        return None

    def demand(self, pointer: Pointer, schema: Mapping[str, Any], type_: str, *, optional: bool = False) -> str:
        # `0 == False` in Python, and zero is a value like any other.
        if optional and len(schema) == 1 and schema.get("const") is False and self._is_object(pointer, type_):
            return self.field(pointer, type_) + " " + self.say("is not given", "tidak diisi")
        given = self.say(", where it is given,", ", bila diisi,") if optional else ""
        return f"{self.field(pointer, type_)}{given} {self.must(schema, self.list_at(pointer, type_))}"

    def _is_object(self, pointer: Pointer, type_: str) -> bool:
        if pointer.text in ("/case", "/officer"):
            return True
        found = self.catalogue.get(type_)
        root = {"properties": {"body": found.schema}, "$defs": found.schema["$defs"]} if found else {}
        return any(node.get("type") == "object" for node in nodes(root, pointer.steps))

    def situation(self, situation: Situation, type_: str) -> str:
        parts = [self.demand(pointer, fragment.schema, type_) for pointer, fragment in situation.items()]
        return self.listed(parts, last=("and", "dan"))

    def conditional(self, term: Conditional, words: str, type_: str) -> str:
        """A condition or relation with its situation, and what a failure means."""
        when = "" if term.when is None else self.say("Where ", "Bila ") + self.situation(term.when, type_) + ": "
        flag = self.say(
            " A failure does not refuse the message; it is recorded as a flag.",
            " Bila tidak terpenuhi, pesan tidak ditolak, tetapi diberi catatan.",
        )
        return f"{when}{words}.{flag if term.otherwise == 'flag' else ''}"

    # Relations.

    def relation(self, relation: Relation, rule: Rule) -> str:
        words = self.relation_words(relation, rule.type)
        return self.conditional(relation, words, rule.type)

    def relation_words(self, relation: Relation, type_: str) -> str:
        """What a relation asks for, without its situation."""
        match relation:
            case Ordered() | PeriodAtMost() | PeriodAtLeast():
                return self._timed(relation, type_)
            case Answers():
                which = self.say("an open", "yang masih terbuka") if relation.open else self.say("a", "")
                return self.say(
                    f"the message answers {which} {self.types(relation.types)} that its sender received from its recipient",
                    f"pesan ini menjawab {self.types(relation.types)} {which} yang diterima pengirimnya dari penerimanya",
                ).replace("  ", " ")
            case RefersTo():
                return self.say(
                    f"the message refers to a {self.types(relation.types)} between the two that still stands",
                    f"pesan ini merujuk pada {self.types(relation.types)} di antara keduanya yang masih berlaku",
                )
            case Amends():
                what = self.types(relation.types) if relation.types else self.say("a message", "pesan")
                ends = self.say(", and ends it", ", dan mengakhirinya") if relation.ends else ""
                stands = (
                    self.say(" and that still stands", " dan masih berlaku")
                    if relation.standing
                    else self.say(", even if it stands no longer", ", sekalipun tidak berlaku lagi")
                )
                return self.say(
                    f"the message is about {what} that its sender sent to its recipient{stands}{ends}",
                    f"pesan ini mengenai {what} yang dikirim pengirimnya kepada penerimanya{stands}{ends}",
                )
            case Earlier():
                asked = f"{relation.field.text} {self.must(relation.must.schema)}"
                return self.say(f"in the message replied to, {asked}", f"pada pesan yang dibalas, {asked}")
            case Same():
                here = self.field(relation.here, type_)
                there = relation.there.text
                given = self.say(", where both are given", ", bila keduanya diisi") if relation.optional else ""
                return self.say(
                    f"{here} is the same as {there} of the message replied to{given}",
                    f"{here} sama dengan {there} pada pesan yang dibalas{given}",
                )
            case Links():
                given = self.say(", where it is given,", ", bila diisi,") if relation.optional else ""
                return self.say(
                    f"{self.field(relation.field, type_)}{given} names a {self.types(relation.types)} between the two",
                    f"{self.field(relation.field, type_)}{given} menyebut {self.types(relation.types)} di antara keduanya",
                )
            case AtMost():
                return self.say(
                    f"at most {relation.count} such message(s) reply to the same transfer",
                    f"paling banyak {relation.count} pesan seperti ini membalas kiriman yang sama",
                )

    def _timed(self, relation: Ordered | PeriodAtMost | PeriodAtLeast, type_: str) -> str:
        first, last = self.field(relation.first, type_), self.field(relation.last, type_)
        given = self.say(", where both are given", ", bila keduanya diisi") if relation.optional else ""
        if isinstance(relation, Ordered):
            return self.say(
                f"{first} is not later than {last}{given}", f"{first} tidak lebih lambat dari {last}{given}"
            )
        limit = self.period(relation.limit)
        if isinstance(relation, PeriodAtLeast):
            return self.say(
                f"from {first} to {last} it is at least {limit}{given}",
                f"dari {first} sampai {last} paling sedikit {limit}{given}",
            )
        return self.say(
            f"from {first} to {last} it is at most {limit}{given}",
            f"dari {first} sampai {last} paling lama {limit}{given}",
        )
