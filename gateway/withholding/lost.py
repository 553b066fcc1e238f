"""What stays behind of one message, and which texts that go out say it.

Decides which of what is lost identifies somebody, and what says it at which kind of place: a story says a person's name by
two words of it; the name of somebody else, of an office, a ship or a street only by all of them. What is neither a text
nor made from one (a count, a code, a region) identifies nobody here. Leaves to `consistency.py` where things stand.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Final

from gateway.message_types.places import Place, guessed, is_code
from gateway.spelling import bare, plain, words
from gateway.withholding.birth_dates import NO_DATES, TELLING_DAYS, BirthDates, days_in
from gateway.withholding.names import (
    ORGANISATIONS,
    Names,
    is_common,
    is_organisation,
    is_story,
    same,
    significant,
    tells,
)
from gateway.withholding.wording import Joined, Numbers, Phrases, Text, is_joined, number_of

# Names of fields whose texts name a person or a thing of a person even where they look like a code: SUKARNO, X1234567.
_NAMING: Final = frozenset(
    {
        "full_name", "family_name", "given_names", "name", "alias", "aliases", "nickname", "pseudonym", "number",
        "mrz_number", "nik", "nip", "nrp", "phone", "contact", "social_handle", "handle", "address", "photo_ref",
        "serial_no", "card_no", "licence_no", "registration_no", "certificate_no", "victim_token", "victim_ref",
        "victim_refs", "child_suspect_refs",
    }
)  # fmt: skip
# Names of fields whose texts describe, and do not name: two people may well share a rank or a birth place.
_DESCRIBING: Final = frozenset(
    {
        "rank", "position", "office", "unit", "role", "birth_place", "carrier", "voyage", "visa_class", "index", "course_title",
        "course_code", "facility_id", "venue", "venue_name", "checkpoint_name", "stated_purpose", "case_reference",
        "case_references", "application_ref", "sprindik_ref", "police_report_no", "dpo_no",
    }
)  # fmt: skip
# Words of which orders, laws and their numbers are made (SP.HAN/12, UU 21/2007 tentang …), and names of people too: in a
# number or an item of the law alone they name nobody.
_OFFICIAL: Final = frozenset(
    {
        "sp", "han", "kap", "sita", "gas", "dik", "lidik", "sidik", "dit", "res", "imi", "spkt", "sprin", "sprindik",
        "spdp", "lp", "lk", "li", "dpo", "reskrim", "reskrimum", "undang", "hakim", "jaksa", "pasal", "ayat", "huruf",
        "penetapan", "putusan", "pengadilan", "negeri", "tinggi", "agung", "mahkamah", "kejaksaan", "negara",
        "republik", "indonesia", "peraturan", "pemerintah", "presiden", "menteri", "kepala", "kepolisian", "tahun",
        "nomor", "tanggal", "tentang", "pemberantasan", "tindak", "pidana", "perdagangan", "penyelundupan", "orang",
        "manusia", "korban", "saksi", "anak", "perlindungan", "keimigrasian", "imigrasi", "paspor", "dan", "atas",
        "dalam", "dari", "januari", "februari", "maret", "april", "mei", "juni", "juli", "agustus", "september",
        "oktober", "november", "desember", "january", "march", "may", "june", "july", "august",
        "uu", "pp", "perpol", "perkap", "permenkumham", "kuhp", "kuhap", "sosial", "aman", "perempuan", "kesehatan",
        "pemberdayaan", "umum", "sakit", "provinsi", "kabupaten", "kota", "daerah", "desa", "singgah", "rehabilitasi",
    }
)  # fmt: skip
# So many words beyond the law's own make a description one that stands nowhere else by chance.
_TELLING: Final = 3
_SHORT_NUMBER: Final = 4
_PERSONAL: Final = frozenset({"full_name", "name", "alias", "aliases"})
_PARTS: Final = ("given_names", "family_name")
_SHORTEST: Final = 4
_SHORTEST_NAME: Final = 3
# So many letters in a row are a name even over the end of a text.
_LONG_NAME: Final = 8
_WHOLE_DAY: Final = len("2011-08-09")
# The number of a case in the forms of the police: no person's, and named openly.
_CASE: Final = re.compile(
    r"(?:LP|LK|LI|SPDP|SPRINDIK|DPO)(?:/[A-Z0-9.-]{1,12})*/(?:19|20)[0-9]{2}(?:/[A-Z0-9 .-]{1,40})*"
)
# Street and number, which find the house without the village behind them.
_STREET: Final = re.compile(r"[^,;\n]{8,}?[0-9][^,;\n]*(?=[,;\n])")
# A text cannot stand where its beginning does not.
_BEGINNING: Final = 64
_STREET_BEGINNING: Final = 8
_FEW: Final = 64
_DIGITS: Final = re.compile(r"[0-9]+")
_SHORT_YEAR: Final = slice(2, 4)
_DIGIT: Final = re.compile(r"[0-9]")


class _Kind(Enum):
    """What a lost text is, which decides how it is looked for."""

    NAMING = "naming"
    ADDRESS = "address"
    PSEUDONYM = "pseudonym"
    ORGANISATION = "organisation"
    DESCRIBING = "describing"
    TELLING = "telling"  # a description in the sender's own words


_KINDS: Final = {"address": _Kind.ADDRESS, "pseudonym": _Kind.PSEUDONYM}

# Every text that goes out, with its pointer and what stands there.
Kept = Callable[[], Iterable[tuple[str, str, Place]]]


class Lost:
    """What stays behind. `offices` are words of which offices are called, `case` the number of the case, in clear."""

    __slots__ = (
        "_born",
        "_case",
        "_days",
        "_kept_days",
        "_named",
        "_names",
        "_numbers",
        "_offices",
        "_parts",
        "_texts",
    )

    def __init__(self, offices: frozenset[str], case: str | None) -> None:
        self._offices = offices
        self._case = case
        self._days: list[str] = []
        # By object: what is lost of a day of birth, and what goes out of it; and the numbers that tell one.
        self._born: dict[str, str] = {}
        self._kept_days: dict[str, str] = {}
        self._numbers: list[tuple[str, str, str]] = []
        self._names: list[str] = []
        self._named: set[str] = set()
        # Of each object with a person's names, those that are a part of one.
        self._parts: dict[str, dict[str, str]] = {}
        self._texts: list[tuple[str, _Kind]] = []

    def add(self, text: str, name: str, holder: str, place: Place | None) -> None:
        """`text`, which is `name` of `holder`; nothing is looked at that may never be looked for."""
        if place is None:
            place = guessed(name, text)
            if name not in _NAMING and is_code(text):
                return
        if name == "birth_date":
            self._days.append(text)
            self._born[holder] = text
        elif name in _PARTS:
            self._parts.setdefault(holder, {})[name] = text
        elif place is Place.PERSON or name in _PERSONAL:
            if place is not Place.PERSON and self._is_organisation(words(plain(text))):
                self._texts.append((text, _Kind.ORGANISATION))
                return
            self._names.append(text)
            self._named.add(holder)
        elif name in _NAMING:
            self._texts.append((text, _KINDS.get(name, _Kind.NAMING)))
            if name in TELLING_DAYS:
                self._numbers.append((name, text, holder))
        elif (
            len(text) >= _SHORTEST
            and place is not Place.DAY
            and place is not Place.FIXED
            and not (name in _DESCRIBING or text == self._case or _CASE.fullmatch(text))
        ):
            self._texts.append((text, _Kind.TELLING if place is Place.TEXT else _Kind.DESCRIBING))

    def _is_of_the_law(self, text: str, kind: _Kind) -> bool:
        """Whether what looks like a number is an article: `Pasal 2 UU 21/2007`."""
        in_order = words(plain(text)) if kind is _Kind.TELLING else []
        return not _OFFICIAL.isdisjoint(in_order) and not _own_words(in_order, self._offices)

    def _is_organisation(self, in_order: list[str]) -> bool:
        return is_organisation(in_order) or not _own_words(in_order, self._offices)

    def keep_day(self, day: str, holder: str) -> None:
        """`day`, the `birth_date` of `holder`, goes out: where it is a whole one, no number beside it hides it."""
        self._kept_days[holder] = day

    def _days_of_numbers(self) -> Iterator[str]:
        for name, number, holder in self._numbers:
            kept = self._kept_days.get(holder, "")
            if len(kept) < _WHOLE_DAY:
                yield from days_in(name, number, self._born.get(holder, kept))

    def told_by(self, outgoing: list[str], kept: Kept) -> Iterator[str]:
        """The pointers of what says it. One search through everything that goes out; each text only where it finds something."""
        if not (self._days or self._names or self._parts or self._texts):
            return
        said = self._said(plain(" ".join(outgoing)))
        if said is None:
            return
        texts: list[tuple[str, Text]] = []
        groups: dict[tuple[str, Place], list[tuple[str, Text]]] = {}
        for pointer, written, place in kept():
            text = Text(written)
            texts.append((pointer, text))
            if said.by(text, place):
                yield pointer
                continue
            holder, _, name = pointer.rpartition("/")
            if name.isdigit() or name in _PARTS:
                groups.setdefault((holder, place), []).append((pointer, text))
        for index in said.numbers.stand_across([text.row for _, text in texts]):
            yield texts[index][0]
        # The elements of an array are read as one text, and so are the parts of a name.
        for (_, place), found in groups.items():
            if len(found) > 1 and said.by(Text(" ".join(text.plain for _, text in found)), place):
                yield from (pointer for pointer, _ in found)

    def _said(self, everything: str) -> "_Said | None":
        row = bare(everything)
        # Each search reads everything: where there are many to look for, all of them are taken for possible.
        many = len(self._texts) + len(self._names) + len(self._parts) > _FEW
        numbers: list[str] = []
        texts: list[tuple[str, _Kind]] = []
        for text, kind in self._texts:
            letters = bare(plain(text[:_BEGINNING]))
            number = number_of(text, letters)
            if number and (many or number in row) and not self._is_of_the_law(text, kind):
                numbers.append(number)
            beginning = bare(plain(text[:_STREET_BEGINNING])) if kind is _Kind.ADDRESS else letters
            if many or beginning in row:
                texts.append((text, kind))
        days = [*self._days, *self._days_of_numbers()]
        if not (numbers or texts or self._names or self._parts or days):
            return None
        said = _Said(everything, None if many else row, self._offices, names=bool(self._names or self._parts))
        for number in numbers:
            said.numbers.add(number)
        for text, kind in texts:
            said.add_text(text, kind)
        for name in self._names:
            said.add_name(name)
        for holder, parts in self._parts.items():
            said.add_parts([parts[name] for name in _PARTS if name in parts], alone=holder not in self._named)
        said.add_days(days)
        return said if said.anything else None


def _own_words(in_order: list[str], offices: frozenset[str]) -> list[str]:
    """Those that are no words of laws, offices and organisations, and no short numbers: articles, years, counts."""
    return [
        word
        for word in in_order
        if word not in _OFFICIAL
        and word not in offices
        and word not in ORGANISATIONS
        and not (len(word) <= _SHORT_NUMBER and word.isdigit())
    ]


class _Said:
    """What of the lost `everything` that goes out may say at all, and so is looked for text by text."""

    __slots__ = (
        "_everything",
        "_offices",
        "_row",
        "_words",
        "anywhere",
        "chosen",
        "dates",
        "names",
        "numbers",
        "pseudonyms",
        "story",
    )

    def __init__(self, everything: str, row: str | None, offices: frozenset[str], *, names: bool) -> None:
        """`row` is its letters and digits, in which to look before; None for not to look."""
        self._everything = everything
        self._words = frozenset(same(words(everything))) if names else frozenset[str]()
        self._row = row
        self._offices = offices
        self.dates = NO_DATES
        self.names = Names()
        self.numbers = Numbers()
        self.pseudonyms = Joined()
        # By where a text says something: at any place; where its words are the sender's choice; in a story.
        self.anywhere, self.chosen, self.story = Phrases(), Phrases(), Phrases()

    @property
    def anything(self) -> bool:
        found = (self.dates, self.names, self.numbers, self.pseudonyms, self.anywhere, self.chosen, self.story)
        return any(found)

    def _may_hold(self, letters: str) -> bool:
        return self._row is None or letters in self._row

    def add_days(self, days: list[str]) -> None:
        # Most days go out nowhere, not even their year.
        digits = "".join(_DIGITS.findall(self._everything)) if days else ""
        possible = [day for day in days if day[_SHORT_YEAR] in digits]
        if possible and (dates := BirthDates(possible)).told_by(self._everything):
            self.dates = dates

    def add_text(self, text: str, kind: _Kind) -> None:
        written = plain(text)
        if kind is _Kind.PSEUDONYM and is_joined(written):
            if written in self._everything:
                self.pseudonyms.add(written)
            return
        in_order = words(written)
        if kind is _Kind.ADDRESS and (street := _STREET.match(text)):
            self.anywhere.add(words(plain(street.group())))
        if self._stands_for_itself(in_order, kind):
            self.anywhere.add(in_order)
        elif len(in_order) == 1 and (kind is _Kind.NAMING or kind is _Kind.PSEUDONYM):
            self._add_word(in_order[0])
        else:
            self.story.add(in_order)

    def _stands_for_itself(self, in_order: list[str], kind: _Kind) -> bool:
        """Whether the law, an office or another description does not say the same by chance."""
        if kind is _Kind.TELLING:
            return len(_own_words(in_order, self._offices)) >= _TELLING
        if any(map(_DIGIT.search, in_order)):
            return True
        if kind is _Kind.DESCRIBING:
            return len(_own_words(in_order, self._offices)) >= _TELLING
        if kind is _Kind.ORGANISATION:
            return bool(_own_words(in_order, self._offices))
        return len(in_order) > 1 and kind is not _Kind.ADDRESS

    def _add_word(self, word: str) -> None:
        if self._may_hold(word) and (len(word) >= _SHORTEST_NAME or not word.isascii()):
            (self.story if word in self._offices or word in _OFFICIAL else self.chosen).add([word])

    def add_name(self, name: str) -> None:
        in_order = words(plain(name))
        counting = self.names.add(in_order, self._words)
        if len(counting) == 1:
            self._add_word(counting[0])
        letters = "".join(in_order)
        if len(in_order) > 1 and self._may_hold(letters):
            if len(letters) >= _LONG_NAME:
                self.numbers.add_apart(letters)
            (self.anywhere if len(counting) > 1 else self.chosen).add(in_order)
        if len(counting) > 1 and self._may_hold(backwards := "".join(reversed(counting))):
            self.anywhere.add([backwards])

    def add_parts(self, parts: list[str], *, alone: bool) -> None:
        """Parts of one name; `alone` where the whole name does not stand beside them."""
        if alone or len(parts) > 1:
            self.add_name(" ".join(parts))
        for part in parts:
            if len(counting := significant(words(plain(part)))) == 1 and not is_common(counting[0]):
                self._add_word(counting[0])

    def by(self, text: Text, place: Place) -> bool:
        if self.dates and self.dates.told_by(text.plain):
            return True
        if place is Place.DAY:
            return False
        if self.pseudonyms and self.pseudonyms.stand_in(text):
            return True
        if (place is Place.PERSON or place is Place.LABEL) and not tells(text.words):
            if self.anywhere.stand_in(text) or self.numbers.stand_in(text):
                return True
            if place is Place.LABEL:
                return self.names.stand_in(text.in_order)
            if not is_story(text.in_order):
                return self.names.are(text.in_order)
        return (
            self.anywhere.stand_in(text)
            or self.chosen.stand_in(text)
            or (place is not Place.REFERENCE and self.story.stand_in(text))
            or self.numbers.stand_in(text)
            or self.names.told_by(text.in_order)
        )
