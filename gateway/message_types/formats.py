"""The string formats that JSON Schema does not know: Indonesian identifiers, ICAO 9303, E.164, dates.

Decides whether a text has the form of what it claims to be: digits, check digits, dates that exist. Whether it *is* so
(a NIK that was issued, a region that is on the list) is for code lists and for the agencies' own registers.
Every check takes any text and answers; none raises. `date` and `date-time` are narrower than the JSON Schema ones:
what passes can be read by `datetime.fromisoformat`, and has an offset.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, datetime
from types import MappingProxyType
from typing import Final

_MONTH: Final = "I|II|III|IV|V|VI|VII|VIII|IX|X|XI|XII"
_NIK: Final = re.compile(r"[1-9][0-9]{5}([0-9]{2})([0-9]{2})([0-9]{2})[0-9]{4}")
_NIP: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{4})([0-9]{2})[12][0-9]{3}")
_NRP: Final = re.compile(r"[0-9]{2}(?:0[1-9]|1[0-2])[0-9]{4}")
_DOCUMENT_NUMBER: Final = re.compile(r"[A-Z0-9]{1,9}")
_MRZ_NUMBER: Final = re.compile(r"(?=.{9}[0-9]\Z)([A-Z0-9]{1,9}<*)([0-9])")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_PARTIAL_DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_POLICE_REPORT: Final = re.compile(
    rf"LP/[AB]/[1-9][0-9]{{0,5}}/(?:{_MONTH})/(?:19|20)[0-9]{{2}}(?:/[A-Z0-9][A-Z0-9 .-]*)+"
)
_REGION: Final = re.compile(r"[1-9][0-9](?:\.[0-9]{2}(?:\.[0-9]{2}(?:\.[12][0-9]{3})?)?)?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_MRZ_WEIGHTS: Final = (7, 3, 1)
_MRZ_FIELD: Final = 9
_FEMALE_DAY: Final = 40
_POLICE_REPORT_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Format:
    """A named check, and in words what it expects; the words may be shown to anyone, the text never is."""

    name: str
    expected: str
    check: Callable[[str], bool]


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def is_nik(text: str) -> bool:
    """Sixteen digits: six of area (unchecked: where registered), DDMMYY with day + 40 for women, four of serial.

    The century is unknown, so a date passes if it exists in 19YY or in 20YY.
    """
    match = _NIK.fullmatch(text)
    if match is None:
        return False
    day, month, year = (int(part) for part in match.groups())
    day = day - _FEMALE_DAY if day > _FEMALE_DAY else day
    return _is_date(1900 + year, month, day) or _is_date(2000 + year, month, day)


def nik_birth_dates(nik: str) -> tuple[date, ...]:
    """Every day of birth that a NIK can stand for, the earlier century first; none for what is no NIK."""
    match = _NIK.fullmatch(nik)
    if match is None:
        return ()
    day, month, year = (int(part) for part in match.groups())
    day = day - _FEMALE_DAY if day > _FEMALE_DAY else day
    return tuple(date(century + year, month, day) for century in (1900, 2000) if _is_date(century + year, month, day))


def is_nip(text: str) -> bool:
    """Civil servant: birth date YYYYMMDD, appointment YYYYMM, sex 1 or 2, three of sequence."""
    match = _NIP.fullmatch(text)
    if match is None:
        return False
    year, month, day, appointed_year, appointed_month = (int(part) for part in match.groups())
    return _is_date(year, month, day) and year < appointed_year and _is_date(appointed_year, appointed_month, 1)


def is_nrp(text: str) -> bool:
    """Police officer: birth YYMM and four of sequence."""
    return _NRP.fullmatch(text) is not None


def is_travel_document_number(text: str) -> bool:
    """ICAO 9303-3: at most nine capitals and digits, without the filler."""
    return _DOCUMENT_NUMBER.fullmatch(text) is not None


def mrz_check_digit(field: str) -> int | None:
    """ICAO 9303-3 §4.9: characters valued 0-9, A=10 … Z=35, `<`=0, weighted 7-3-1, modulo 10; None for other characters."""
    total = 0
    for position, character in enumerate(field):
        if character == "<":
            continue
        if not (character.isascii() and (character.isdigit() or character.isupper())):
            return None
        total += int(character, 36) * _MRZ_WEIGHTS[position % 3]
    return total % 10


def is_mrz_number(text: str) -> bool:
    """The number field of a passport's MRZ: nine characters filled up with `<`, and their check digit."""
    match = _MRZ_NUMBER.fullmatch(text)
    return match is not None and mrz_check_digit(match.group(1)) == int(match.group(2))


def mrz_form(number: str) -> str | None:
    """How a document's number stands in the machine readable zone, its check digit included; None for what is no number."""
    if not is_travel_document_number(number):
        return None
    field = number.ljust(_MRZ_FIELD, "<")
    return f"{field}{mrz_check_digit(field)}"


def is_e164(text: str) -> bool:
    """ITU-T E.164 with the plus sign: seven to fifteen digits, the first one not zero."""
    return _E164.fullmatch(text) is not None


def is_partial_date(text: str) -> bool:
    """`YYYY`, `YYYY-MM` or `YYYY-MM-DD`: as much of a date as is known, and one that exists."""
    match = _PARTIAL_DATE.fullmatch(text)
    return match is not None and _is_date(int(match.group(1)), int(match.group(2) or 1), int(match.group(3) or 1))


def is_police_report_number(text: str) -> bool:
    """`LP/{A|B}/{n}/{month in Roman numerals}/{year}/{unit…}`; A: found by the police, B: a complaint."""
    return len(text) <= _POLICE_REPORT_LENGTH and _POLICE_REPORT.fullmatch(text) is not None


def is_region_code(text: str) -> bool:
    """A Kemendagri code of any level, dotted; whether the region exists is for the code list."""
    return _REGION.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """RFC 3339 full-date of a day that exists."""
    return _DATE.fullmatch(text) is not None and _is_date(int(text[:4]), int(text[5:7]), int(text[8:]))


def is_date_time(text: str) -> bool:
    """RFC 3339 with `T`, an offset that is known (not `-00:00`), at most microseconds, no leap second.

    Of the years 0001 and 9999 there are moments that other time zones have no date for: neither is taken.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None or text.endswith("-00:00"):
        return False
    try:
        moment = datetime.fromisoformat(match.group(1))
    except ValueError:
        return False
    return MINYEAR < moment.year < MAXYEAR


def _table(*formats: Format) -> Mapping[str, Format]:
    return MappingProxyType({entry.name: entry for entry in formats})


FORMATS: Final = _table(
    Format("nik", "a NIK: 16 digits with a date that exists", is_nik),
    Format("nip", "a NIP: 18 digits with dates that exist", is_nip),
    Format("nrp", "an NRP: 8 digits beginning with year and month", is_nrp),
    Format(
        "travel-document-number", "a document number of ICAO 9303: 1 to 9 of A-Z and 0-9", is_travel_document_number
    ),
    Format("mrz-number", "an MRZ number field: 9 characters and a check digit that fits", is_mrz_number),
    Format("e164", "a telephone number in E.164 form: + and 7 to 15 digits", is_e164),
    Format("partial-date", "a date as YYYY, YYYY-MM or YYYY-MM-DD", is_partial_date),
    Format(
        "police-report-no", "a police report number: LP/A or B/number/Roman month/year/unit", is_police_report_number
    ),
    Format("region-code", "a Kemendagri region code such as 36.04.08.2009", is_region_code),
    Format("date", "a date as YYYY-MM-DD", is_date),
    Format("date-time", "an RFC 3339 date-time with offset", is_date_time),
)
