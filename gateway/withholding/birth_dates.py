"""A withheld day of birth, and the ways in which a text can say it.

Decides whether a text says one of some days: in figures with the day or the month first or the year first, in words of
Indonesian or English, with a Roman month, and as the digits that a NIK or a NIP is made of. Leaves to `consistency.py`
which texts are asked. Not read: a year or a month alone, and numbers written in words.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DIGIT_RUNS: Final = re.compile(r"[0-9]+")
_PARTS: Final = re.compile(r"[0-9]+|[^\W\d_]+")
# Digits that only punctuation and spaces part: a number in groups.
_GROUPED: Final = re.compile(r"[0-9]+(?:[\W_]+[0-9]+)*")
_MONTHS: Final = {
    word: month
    for month, names in enumerate(
        (
            "januari january jan", "februari february pebruari feb peb", "maret march mar mrt", "april apr", "mei may",
            "juni june jun", "juli july jul", "agustus august augustus agust agu agus ags agt agst aug",
            "september sept sep", "oktober october okt oct", "november nopember nov nop", "desember december des dec",
        ),
        start=1,
    )
    for word in names.split()
}  # fmt: skip
_ROMAN: Final = {
    "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10, "xi": 11, "xii": 12,
}  # fmt: skip
# What stands between the parts of a date and says nothing.
_FILLING: Final = frozenset(
    {
        "st", "nd", "rd", "th", "of", "the", "tahun", "thn", "year", "bulan", "bln", "month", "tanggal", "tgl",
        "date", "\u5e74", "\u6708", "\u65e5",
    }
)  # fmt: skip
_YEAR, _PACKED, _SIX = 4, 8, 6
# A NIK without its serial: where it was given out, and the day.
_BEGINNING: Final = 12
_FEW: Final = 64
_WOMAN: Final = 40
_MADE: Final = {
    "nik": re.compile(r"[0-9]{6}([0-9]{2})([0-9]{2})([0-9]{2})[0-9]{4}"),
    "nip": re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})[0-9]{10}"),
}


# Names of fields whose numbers tell a day of birth. An NRP has its year and month, which is no day.
TELLING_DAYS: Final = frozenset(_MADE)


def days_in(name: str, number: str, known: str) -> list[str]:
    """The days of birth, `YYYY-MM-DD`, that a NIK or NIP tells: a NIK one of each century, for it has two digits of the year.

    `known` is the birth date beside it, whole, in part or empty: a day that it excludes is left out, unless it excludes all.
    """
    if (form := _MADE.get(name)) is None or (match := form.fullmatch(number)) is None:
        return []
    first, month, last = match.groups()
    if name == "nip":
        return [f"{first}-{month}-{last}"]
    days = [f"{century}{last}-{month}-{int(first) % _WOMAN:02}" for century in ("19", "20")]
    return [day for day in days if day.startswith(known)] or days


class BirthDates:
    """Whole days, `YYYY-MM-DD`; what is less than a day is no day of birth to be found."""

    __slots__ = ("_days", "_nik", "_packed", "_short_years", "_six", "_years")

    def __init__(self, days: Iterable[str]) -> None:
        self._days: set[tuple[str, int, int]] = set()
        self._packed: set[str] = set()
        self._six: set[str] = set()
        self._nik: set[str] = set()
        for match in filter(None, map(_DAY.fullmatch, days)):
            year, month, day = match.groups()
            short = year[2:]
            self._days |= {(year, int(month), int(day)), (short, int(month), int(day))}
            self._packed |= {f"{year}{month}{day}", f"{day}{month}{year}", f"{month}{day}{year}"}
            self._six |= {f"{day}{month}{short}", f"{month}{day}{short}", f"{short}{month}{day}"}
            self._nik |= {f"{day}{month}{short}", f"{int(day) + _WOMAN}{month}{short}"}
        self._years = frozenset(year for year, _, _ in self._days)
        self._short_years = tuple({year for year in self._years if len(year) < _YEAR})

    def __bool__(self) -> bool:
        return bool(self._days)

    def told_by(self, text: str) -> bool:
        """Whether `text`, as `spelling.plain` gives it, says one of the days."""
        digits = "".join(_DIGIT_RUNS.findall(text))
        if not any(year in digits for year in self._short_years):
            return False
        return (self._may_be_in(digits) and self._in_a_number(text)) or self._says_in(_parts(text))

    def _may_be_in(self, digits: str) -> bool:
        """Whether a number with one of the days is among all the digits; of many days that is taken for possible."""
        if len(self._packed) > _FEW:
            return True
        return any(number in digits for numbers in (self._packed, self._nik, self._six) for number in numbers)

    def _in_a_number(self, text: str) -> bool:
        for group in _GROUPED.findall(text):
            number = "".join(_DIGIT_RUNS.findall(group))
            if len(number) == _SIX and number in self._six:
                return True
            for start in range(len(number) - _PACKED + 1):
                if number[start : start + _PACKED] in self._packed:
                    return True
                if number[start + _SIX : start + _BEGINNING] in self._nik:
                    return True
        return any(len(run) == _SIX and run in self._six for run in _DIGIT_RUNS.findall(text))

    def _says_in(self, parts: list[str]) -> bool:
        """Looked at are the threes with one of the years in them, which most texts have not."""
        return any(
            self._says(*parts[start : start + 3])
            for place, part in enumerate(parts)
            if part in self._years
            for start in range(max(0, place - 2), min(place + 1, len(parts) - 2))
        )

    def _says(self, one: str, two: str, three: str) -> bool:
        return any((year, month, day) in self._days for year, month, day in _readings(one, two, three))


NO_DATES: Final = BirthDates(())


def _parts(text: str) -> list[str]:
    return [part for part in _PARTS.findall(text) if part not in _FILLING]


def _readings(one: str, two: str, three: str) -> Iterator[tuple[str, int, int]]:
    """Year as it is written, month, day."""
    months = [_MONTHS.get(part) for part in (one, two, three)]
    months[1] = months[1] or _ROMAN.get(two)
    for place, month in enumerate(months):
        if month is not None:
            first, last = [part for other, part in enumerate((one, two, three)) if other != place]
            for year, day in ((last, first), (first, last)):
                if _is_small(day):
                    yield year, month, int(day)
            return
    for year, month_part, day_part in ((three, two, one), (three, one, two), (one, two, three)):
        if _is_small(month_part) and _is_small(day_part):
            yield year, int(month_part), int(day_part)


def _is_small(part: str) -> bool:
    """Whether it has the digits of a day or a month."""
    return len(part) <= 2 and part.isascii() and part.isdigit()  # noqa: PLR2004
