"""Consistent withholding: when a field stays behind, nothing else in the released message may reveal it.

Decides which further fields have to stay behind, and which places in clear reveal what is withheld. Two ways of
revealing are known: an identity number is made from birth date and sex (NIK; NIP and NRP from the birth date), and the
same identifying text stands somewhere else, alone or among other words. Leaves to `decide.py` what is withheld in the
first place. What is neither a text nor made from one (a count, a code, a date, a region) identifies nobody here.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from unicodedata import normalize

from gateway.disclosure import escape, unescape

_BIRTH: Final = frozenset({"birth_date", "sex"})
_MACHINE_READABLE: Final = frozenset({*_BIRTH, "number", "full_name", "family_name", "given_names"})
# What each of these is made from, by the names of the fields. A machine-readable zone repeats its page (ICAO 9303-4), and
# its number has one digit more than the page's.
_MADE_FROM: Final[Mapping[str, frozenset[str]]] = {
    "nik": _BIRTH,
    "nip": _BIRTH,
    "nrp": frozenset({"birth_date"}),
    "mrz": _MACHINE_READABLE,
    "mrz_lines": _MACHINE_READABLE,
    "mrz_number": frozenset({"number"}),
    "number": frozenset({"mrz_number"}),
}
_SOURCES: Final = frozenset[str]().union(*_MADE_FROM.values())
# Claims that a sender writes itself; the others are words of the agreement, or times.
_WRITTEN: Final = ("jti", "case", "officer", "legal_basis", "in_reply_to", "correlation_id")
# Names of fields whose texts name a person or a thing of a person even where they look like a code: SUKARNO, X1234567.
_NAMING: Final = frozenset(
    {
        "full_name", "family_name", "given_names", "name", "alias", "aliases", "nickname", "pseudonym", "number",
        "mrz_number", "nik", "nip", "nrp", "phone", "contact", "social_handle", "handle", "address", "photo_ref",
        "serial_no", "card_no", "licence_no", "registration_no", "certificate_no",
    }
)  # fmt: skip
# Names of fields whose texts describe, and do not name: two people may well share a rank or a birth place.
_DESCRIBING: Final = frozenset(
    {
        "rank", "position", "office", "unit", "role", "birth_place", "carrier", "voyage", "visa_class", "index", "course_title",
        "course_code", "facility_id", "venue", "venue_name", "checkpoint_name", "stated_purpose", "victim_token", "victim_ref",
        "victim_refs", "case_reference", "case_references", "application_ref", "sprindik_ref", "police_report_no", "dpo_no",
    }
)  # fmt: skip
_SHORTEST: Final = 4
_SHORTEST_NAME: Final = 3
# Names of fields with the name of a person: two of its words in one text tell it, in whatever order they stand.
_PERSONAL: Final = frozenset({"full_name", "name", "alias", "aliases"})
# So many digits are a number of their own, however they are grouped; +62 and the leading 0 say the same.
_LONG_NUMBER: Final = 8
_LONGEST_NUMBER: Final = 40
_DOCUMENT_DIGITS: Final = 6
_BEGINNING: Final = 64
_GROUPING: Final = b" +-./():_,"
# Marks without a width: they part a word for a program and for no reader.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\U000e0000-\U000e01ef]"
)
# One apostrophe to a reader.
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u02b9\u02bb\u02bc\u00b4`", "'"))
_WORD: Final = re.compile(r"\w+")
# Codes, dates and times, regions, and numbers of cases: what many messages share.
_COMMON: Final = re.compile(
    r"[A-Z][A-Z0-9_+-]*|[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2}(?:T[0-9:.]+(?:Z|[+-][0-9:]+))?)?)?"
    r"|[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{4})?)?)?|(?:LP|LK|LI|SPDP|SPRINDIK|DPO)/.{1,80}"
)
_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_IDENTITY_NUMBERS: Final = re.compile(r"(?<![0-9])(?:[0-9]{18}|[0-9]{16})(?![0-9])")
_BREAK: Final = " | "
# What stays behind, by name, and what of it by name below; an empty branch is withheld whole.
_Branches = dict[str, "_Branches"]


@dataclass(slots=True)
class _Scene:
    """One look at a message: what stays behind in it, and what would go out.

    What goes out is kept as it stands, each part with its holder's pointer and its name: its texts get pointers only where
    something was found in them, for this runs for every message that is thinned out.
    """

    outgoing: list[tuple[str, str, Any]] = field(default_factory=list)
    lost_texts: set[str] = field(default_factory=set)
    lost_names: set[str] = field(default_factory=set)
    lost_dates: set[str] = field(default_factory=set)
    # What other fields are made from and stays behind: the object's pointer, the names.
    lost_members: dict[str, set[str]] = field(default_factory=dict)

    def divide(self, value: Any, gone: "_Branches", pointer: str) -> None:
        """`gone` is what stays behind below `pointer`: only beside it does a look at the parts tell them apart."""
        members = value.items() if isinstance(value, dict) else zip(map(str, count()), value, strict=False)
        for name, member in members:
            if name not in gone:
                self.outgoing.append((pointer, name, member))
                continue
            place = _place(pointer, name)
            below = gone[name]
            if below:
                self.divide(member, below, place)
            else:
                for inner, text in _texts_at(place, member):
                    self.lose(text, inner)

    def lose(self, text: str, pointer: str) -> None:
        holder, _, name = pointer.rpartition("/")
        if name.isdigit():
            name = holder.rpartition("/")[2]
        if name in _SOURCES:
            self.lost_members.setdefault(holder, set()).add(name)
        if name == "birth_date":
            self.lost_dates.add(text)
        elif name in _NAMING:
            if len(text) >= _SHORTEST_NAME:
                self.lost_texts.add(text)
            if name in _PERSONAL:
                self.lost_names.add(text)
        elif len(text) >= _SHORTEST and not (name in _DESCRIBING or _COMMON.fullmatch(text)):
            self.lost_texts.add(text)

    def kept(self) -> Iterator[tuple[str, str]]:
        """Every text that goes out, with its pointer."""
        for pointer, name, member in self.outgoing:
            yield from _texts_at(_place(pointer, name), member)


def consistent(
    view: dict[str, Any], disclosable: Collection[str], withheld: Iterable[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """`withheld` with every disclosure that would reveal it, and the places in clear that do.

    Pointers start at the message, `/body/…`. A text reveals through the disclosure that holds it, itself or the nearest
    one above it; where there is none, its own place is told.
    """
    gone = set(withheld)
    if not gone:
        return frozenset(), frozenset()
    while True:
        scene = _Scene([("", name, view[name]) for name in _WRITTEN if name in view])
        scene.divide(view["body"], _branches(gone), "/body")
        further: set[str] = set()
        in_clear: set[str] = set()
        for pointer in (*_made(scene), *_repeated(scene)):
            cover = _cover(pointer, disclosable)
            (in_clear if cover is None else further).add(cover or pointer)
        if further <= gone:
            return frozenset(gone), frozenset(in_clear)
        gone |= further


def _branches(pointers: Collection[str]) -> _Branches:
    """The names below the body that lead to these; whatever lies in one of them is withheld with it."""
    top: _Branches = {}
    for pointer in sorted(pointers):
        here, name = top, ""
        for step in pointer.split("/")[2:]:
            if name:
                here = here[name]
            name = unescape(step)
            if here.get(name) == {}:
                break
            here.setdefault(name, {})
    return top


def _place(holder: str, name: str) -> str:
    return f"{holder}/{escape(name)}"


def _texts_at(pointer: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _texts_at(f"{pointer}/{escape(name)}", member)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts_at(f"{pointer}/{index}", item)


def _texts(values: Iterable[Any], texts: list[str]) -> None:
    for value in values:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            _texts(value.values(), texts)
        elif isinstance(value, list):
            _texts(value, texts)


def _cover(pointer: str, disclosable: Collection[str]) -> str | None:
    while pointer and pointer not in disclosable:
        pointer = pointer.rpartition("/")[0]
    return pointer or None


def _made(scene: _Scene) -> Iterator[str]:
    """Numbers made from what stays behind: in the same object, below it, directly above it, and by their digits anywhere."""
    if not scene.lost_members:
        return
    kept = list(scene.kept())
    for place, lost in scene.lost_members.items():
        above = place.rpartition("/")[0]
        for pointer, _ in kept:
            parent, _, name = pointer.rpartition("/")
            if name.isdigit():  # one of several machine-readable lines
                parent, _, name = parent.rpartition("/")
            about = parent in (place, above) or pointer.startswith(f"{place}/")
            if about and not lost.isdisjoint(_MADE_FROM.get(name, ())):
                yield pointer
    if ends := {end for text in scene.lost_dates for end in _digits(text)}:
        for pointer, text in kept:
            spellings = (text, _ungrouped(text).decode("ascii"))
            numbers = {number for spelling in spellings for number in _IDENTITY_NUMBERS.findall(spelling)}
            if any(number[6:12] in ends or number[:8] in ends for number in numbers):
                yield pointer


def _digits(birth_date: str) -> Iterator[str]:
    """How a whole date stands in a NIK (a woman's day is 40 higher) and in a NIP."""
    if match := _DAY.fullmatch(birth_date):
        year, month, day = match.groups()
        yield f"{day}{month}{year[2:]}"
        yield f"{int(day) + 40}{month}{year[2:]}"
        yield f"{year}{month}{day}"


def _repeated(scene: _Scene) -> Iterator[str]:
    if not scene.lost_texts:
        return
    texts: list[str] = []
    _texts([member for _, _, member in scene.outgoing], texts)
    # One search through everything that goes out: only where it finds something is each text looked at.
    folded = _folded(_BREAK.join(texts))
    words = [word for text in scene.lost_texts if (word := _found(text, folded))]
    numbers = {bare for text in scene.lost_texts if (bare := _bare_number(text))}
    if numbers:
        ungrouped = _ungrouped(folded)
        numbers = {number for number in numbers if number in ungrouped}
    names = [name for text in scene.lost_names if len(name := _name_words(text) & _words(folded)) > 1]
    if not words and not numbers and not names:
        return
    for pointer, text in scene.kept():
        here = _folded(text)
        bare = _ungrouped(here) if numbers else b""
        if (
            any(_stands_in(needle, here) for needle in words)
            or any(number in bare for number in numbers)
            or any(len(name & _words(here)) > 1 for name in names)
        ):
            yield pointer


def _found(text: str, folded: str) -> str | None:
    """The text, folded, if it may stand in `folded`. A long one is folded whole only if its beginning stands there."""
    if len(text) > _BEGINNING and text.isascii() and _folded(text[:_BEGINNING]) not in folded:
        return None
    word = _folded(text)
    return word if len(word) >= _SHORTEST_NAME and word in folded else None


def _words(folded: str) -> frozenset[str]:
    return frozenset(_WORD.findall(folded))


def _name_words(text: str) -> frozenset[str]:
    """The words of a person's name that are longer than an initial or a particle."""
    return frozenset(word for word in _WORD.findall(_folded(text)) if len(word) >= _SHORTEST_NAME)


def _bare_number(text: str) -> bytes | None:
    if not (_LONG_NUMBER <= len(text) <= _LONGEST_NUMBER and text[-1].isdigit()):
        return None
    bare = _ungrouped(text.casefold())
    if not bare.isdigit():
        # The number of a document: X1234567 is X 1234567 to a reader.
        return bare if bare.isalnum() and sum(map(str.isdigit, bare.decode())) >= _DOCUMENT_DIGITS else None
    bare = bare.removeprefix(b"62") if text.startswith("+") else bare.removeprefix(b"0")
    return bare if len(bare) >= _LONG_NUMBER else None


def _ungrouped(text: str) -> bytes:
    return text.encode("ascii", "ignore").translate(None, _GROUPING)


def _stands_in(needle: str, text: str) -> bool:
    """Whether it stands there as words of its own: Sari is not told by Sarinah."""
    start = text.find(needle)
    while start >= 0:
        before, after = text[:start][-1:], text[start + len(needle) :][:1]
        if not (needle[0].isalnum() and before.isalnum()) and not (needle[-1].isalnum() and after.isalnum()):
            return True
        start = text.find(needle, start + 1)
    return False


def _folded(text: str) -> str:
    """Without case, width and layout: what a reader takes for the same words."""
    if not text.isascii():
        text = _INVISIBLE.sub("", normalize("NFKC", text)).translate(_APOSTROPHES)
    text = text.casefold().strip()
    return " ".join(text.split()) if "  " in text or not text.isprintable() else text
