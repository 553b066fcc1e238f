"""Consistent withholding: when a field stays behind, nothing else in the released message may reveal it.

Decides which further fields have to stay behind, and which places in clear reveal what is withheld. Two ways of
revealing are known: an identity number is made from birth date and sex (NIK; NIP and NRP from the birth date), and the
same identifying text stands somewhere else, alone or among other words. Leaves to `decide.py` what is withheld in the
first place. What is neither a text nor made from one (a count, a code, a date, a region) identifies nobody here.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from unicodedata import normalize

from gateway.conditions import MISSING
from gateway.disclosure import escape

# What each identity number is made from. A machine-readable zone repeats birth date and sex of its page (ICAO 9303-4).
_MADE_FROM: Final = {
    "nik": frozenset({"birth_date", "sex"}),
    "nip": frozenset({"birth_date", "sex"}),
    "nrp": frozenset({"birth_date"}),
    "mrz": frozenset({"birth_date", "sex"}),
    "mrz_line_2": frozenset({"birth_date", "sex"}),
    "mrz_lines": frozenset({"birth_date", "sex"}),
}
_MADE: Final = frozenset({"birth_date", "sex"})
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
# So many digits are a number of their own, however they are grouped; +62 and the leading 0 say the same.
_LONG_NUMBER: Final = 8
_GROUPING: Final = dict.fromkeys(map(ord, " +-./()"))
# Marks without a width: they part a word for a program and for no reader.
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
# Codes, dates and times, regions, and numbers of cases: what many messages share.
_COMMON: Final = re.compile(
    r"[A-Z][A-Z0-9_+-]*|[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2}(?:T[0-9:.]+(?:Z|[+-][0-9:]+))?)?)?"
    r"|[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{4})?)?)?|(?:LP|LK|LI|SPDP|SPRINDIK|DPO)/.*"
)
_BIRTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_IDENTITY_NUMBERS: Final = re.compile(r"(?<![0-9])(?:[0-9]{18}|[0-9]{16})(?![0-9])")
_BREAK: Final = "\n\x00\n"


@dataclass(slots=True)
class _Scene:
    """One look at a message: what stays behind in it, and the texts that would go out."""

    gone: set[str]
    lost_texts: set[str] = field(default_factory=set)
    lost_dates: set[str] = field(default_factory=set)
    # The objects of which a birth date or a sex stays behind, by pointer.
    lost_members: dict[str, set[str]] = field(default_factory=dict)
    kept: list[tuple[str, str]] = field(default_factory=list)

    def walk(self, value: Any, pointer: str, name: str, *, lost: bool) -> None:
        lost = lost or pointer in self.gone
        if isinstance(value, dict):
            for key, member in value.items():
                self.walk(member, f"{pointer}/{escape(key)}", key, lost=lost)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.walk(item, f"{pointer}/{index}", name, lost=lost)
        elif isinstance(value, str):
            if lost:
                self.lose(value, pointer, name)
            else:
                self.kept.append((pointer, value))

    def lose(self, text: str, pointer: str, name: str) -> None:
        if name in _MADE:
            self.lost_members.setdefault(pointer.rpartition("/")[0], set()).add(name)
            if name == "birth_date":
                self.lost_dates.add(text)
        elif name in _NAMING or not (name in _DESCRIBING or _COMMON.fullmatch(text)):
            folded = _folded(text)
            if len(folded) >= _SHORTEST:
                self.lost_texts.add(folded)


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
        scene = _Scene(gone)
        scene.walk(view["body"], "/body", "body", lost=False)
        if not (scene.lost_texts or scene.lost_members):
            return frozenset(gone), frozenset()
        in_clear, further = set(), set()
        for pointer in (*_made(scene, view), *_repeated(scene, view)):
            cover = _cover(pointer, disclosable)
            if cover is None:
                in_clear.add(pointer)
            else:
                further.add(cover)
        if further <= gone:
            return frozenset(gone), frozenset(in_clear)
        gone |= further


def _cover(pointer: str, disclosable: Collection[str]) -> str | None:
    while pointer and pointer not in disclosable:
        pointer = pointer.rpartition("/")[0]
    return pointer or None


def _made(scene: _Scene, view: dict[str, Any]) -> Iterator[str]:
    """Numbers made from what stays behind: in the same object, below it, directly above it, and by their digits anywhere."""
    if not scene.lost_members:
        return
    for place, lost in scene.lost_members.items():
        above = place.rpartition("/")[0]
        for pointer, _ in scene.kept:
            parent, _, name = pointer.rpartition("/")
            if name.isdigit():  # one of several machine-readable lines
                parent, _, name = parent.rpartition("/")
            about = parent in (place, above) or pointer.startswith(f"{place}/")
            if about and not lost.isdisjoint(_MADE_FROM.get(name, ())):
                yield pointer
    if ends := {end for text in scene.lost_dates for end in _digits(text)}:
        for pointer, text in (*scene.kept, *_claims(view)):
            if any(number[6:12] in ends or number[:8] in ends for number in _IDENTITY_NUMBERS.findall(text)):
                yield pointer


def _digits(birth_date: str) -> Iterator[str]:
    """How a whole date stands in a NIK (a woman's day is 40 higher) and in a NIP."""
    if match := _BIRTH.fullmatch(birth_date):
        year, month, day = match.groups()
        yield f"{day}{month}{year[2:]}"
        yield f"{int(day) + 40}{month}{year[2:]}"
        yield f"{year}{month}{day}"


def _repeated(scene: _Scene, view: dict[str, Any]) -> Iterator[str]:
    if not scene.lost_texts:
        return
    kept = [*scene.kept, *_claims(view)]
    numbers = {bare for text in scene.lost_texts if (bare := _bare_number(text))}
    # One search through everything that goes out: only where it finds something is each text looked at.
    folded = _folded(_BREAK.join(text for _, text in kept))
    ungrouped = folded.translate(_GROUPING) if numbers else ""
    words = [text for text in scene.lost_texts if text in folded]
    numbers = {number for number in numbers if number in ungrouped}
    if not words and not numbers:
        return
    for pointer, text in kept:
        here = _folded(text)
        bare = here.translate(_GROUPING) if numbers else ""
        if any(_stands_in(needle, here) for needle in words) or any(number in bare for number in numbers):
            yield pointer


def _bare_number(text: str) -> str | None:
    bare = text.translate(_GROUPING)
    if not (bare.isascii() and bare.isdigit()):
        return None
    bare = bare.removeprefix("62") if text.startswith("+") else bare.removeprefix("0")
    return bare if len(bare) >= _LONG_NUMBER else None


def _stands_in(needle: str, text: str) -> bool:
    """Whether it stands there as words of its own: Sari is not told by Sarinah."""
    start = text.find(needle)
    while start >= 0:
        before, after = text[:start][-1:], text[start + len(needle) :][:1]
        if not (needle[0].isalnum() and before.isalnum()) and not (needle[-1].isalnum() and after.isalnum()):
            return True
        start = text.find(needle, start + 1)
    return False


def _claims(view: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _WRITTEN:
        value = view.get(name, MISSING)
        if isinstance(value, str):
            yield f"/{name}", value
        elif isinstance(value, dict):
            yield from ((f"/{name}/{key}", text) for key, text in value.items())
        elif isinstance(value, list):
            yield from ((f"/{name}/{index}", text) for index, text in enumerate(value))


def _folded(text: str) -> str:
    """Without case, width and layout: what a reader takes for the same words."""
    if not text.isascii():
        text = _INVISIBLE.sub("", normalize("NFKC", text))
    return " ".join(text.casefold().split())
