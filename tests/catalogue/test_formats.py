"""Every format against what it must take and what it must not."""

import string
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.message_types.formats import (
    FORMATS,
    is_date,
    is_date_time,
    is_mrz_number,
    is_nik,
    is_partial_date,
    mrz_check_digit,
)

ACCEPTED = {
    "nik": [
        "3604080107990001",  # a man born on 1 July
        "3604084107990001",  # a woman born on the same day: 1 + 40
        "3604087112990001",  # 31 December + 40
        "3604082902000001",  # 29 February 2000
        "3604086902960001",  # 29 February 1996, a woman
    ],
    "nip": ["198804122012032001", "196001311985101999"],
    "nrp": ["85031234", "99120001"],
    "travel-document-number": ["X0000017", "A", "123456789", "EA0000001"],
    "mrz-number": ["L898902C36", "D231458907", "AB2134<<<5"],  # ICAO 9303-4, 9303-5 and 9303-3 examples
    "e164": ["+6281200000001", "+12025550", "+999999999999999"],
    "partial-date": ["1990", "1990-02", "2000-02-29", "0001"],
    "police-report-no": [
        "LP/B/214/IX/2026/SPKT/POLDA BANTEN",
        "LP/A/9/XII/2026/SPKT.DITPOLAIRUD/POLDA BANTEN",
        "LP/A/1/I/1999/X",
    ],
    "region-code": ["36", "36.04", "36.04.08", "36.04.08.2009", "36.71.01.1001", "31.74.01"],
    "date": ["2026-11-02", "2024-02-29"],
    "date-time": ["2026-11-02T09:15:00+07:00", "2026-11-02T02:15:00Z", "2026-11-02T09:15:00.123456-03:30"],
}
REFUSED = {
    "nik": [
        "3604083202990001",  # day 32
        "3604087202990001",  # day 72
        "3604084002990001",  # day 40: neither a man's nor a woman's
        "3604080002990001",  # day 0
        "3604083102990001",  # 31 February
        "3604087102990001",  # 31 February, a woman
        "3604082902010001",  # 2001 and 1901 had no 29 February
        "3604080113990001",  # month 13
        "3604080100990001",  # month 0
        "0604080107990001",  # no province begins with 0
        "360408010799000",
        "36040801079900011",
        "3604080107990001\n",
        " 3604080107990001",
        "36.04.08.010799.0001",
        "٣٦٠٤٠٨٠١٠٧٩٩٠٠٠١",  # digits, but not ASCII
        "360408010799000X",
    ],
    "nip": [
        "198813122012032001",  # month 13
        "198804312012032001",  # 31 April
        "198804122012132001",  # appointed in month 13
        "198804121985032001",  # appointed before birth
        "198804122012033001",  # sex 3
        "19880412201203200",
    ],
    "nrp": ["85131234", "85001234", "8503123", "850312345", "8503123A"],
    "travel-document-number": ["", "x0000017", "X00*", "X000 017", "X00000000X", "AB2134<<<", "Ä1234567", "X0000017\n"],
    "mrz-number": ["L898902C37", "L898902C3", "L898902C3<6", "<<<<<<<<<0", "AB<134<<<5", "l898902c36", "AB2134<<<<"],
    "e164": [
        "081200000001",
        "6281200000001",
        "+0281200000001",
        "+62812",
        "+62 812 0000 0001",
        "+6281200000001234",
        "+٦٢٨١٢٠٠٠٠٠",
    ],
    "partial-date": [
        "",
        "0000",
        "90",
        "1990-13",
        "1990-00",
        "2001-02-29",
        "1990-2",
        "1990-02-",
        "1990/02/01",
        "1990-W05",
    ],
    "police-report-no": [
        "LP/C/214/IX/2026/SPKT/POLDA BANTEN",
        "LP/B/214/XIII/2026/SPKT",
        "LP/B/214/IIII/2026/SPKT",
        "LP/B/214/9/2026/SPKT",
        "LP/B/0/IX/2026/SPKT",
        "LP/B/214/IX/26/SPKT",
        "LP/B/214/IX/2026",
        "LP/B/214/IX/2026/",
        "LP/B/214/IX/2026/SPKT//X",
        "lp/b/214/IX/2026/spkt",
        "LP/B/214/IX/2026/SPKT\n",
        "LP/B/214/IX/2026/" + "A" * 100,
    ],
    "region-code": ["", "06", "36.4", "36.04.08.3001", "36.04.08.209", "360408", "36.04.08.2009.1", "36.", "36.04 "],
    "date": ["2026-02-29", "2026-2-1", "20260201", "0000-01-01", "2026-01-01T00:00:00Z", "2026-W01-1"],
    "date-time": [
        "2026-11-02T09:15:00",  # whose time?
        "2026-11-02T09:15:00-00:00",  # RFC 3339: the offset is not known
        "2026-11-02 09:15:00+07:00",
        "2026-11-02t09:15:00z",
        "2026-02-30T09:15:00+07:00",
        "2026-11-02T24:00:00+07:00",
        "2026-12-31T23:59:60Z",
        "2026-11-02T09:15+07:00",
        "2026-11-02T09:15:00+0700",
        "2026-11-02T09:15:00+24:00",
        "2026-11-02T09:15:00.1234567Z",
        "2026-11-02T09:15:00.Z",
        "2026-11-02T09:15:00Z\n",
        "0000-11-02T09:15:00Z",
    ],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in ACCEPTED.items() for text in texts])
def test_a_format_takes_what_is_real(name: str, text: str) -> None:
    """Each form that an agency writes today passes."""
    assert FORMATS[name].check(text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in REFUSED.items() for text in texts])
def test_a_format_refuses_what_cannot_be(name: str, text: str) -> None:
    """Impossible dates, wrong check digits, foreign digits, trailing line feeds and the like are refused."""
    assert not FORMATS[name].check(text)


def test_every_format_has_both_tables() -> None:
    """A new format does not arrive without its attacks."""
    assert set(ACCEPTED) == set(REFUSED) == set(FORMATS)


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(text=st.text(max_size=40) | st.text("0123456789-+:.TZ/LPABIX<", max_size=40))
def test_a_format_never_raises(name: str, text: str) -> None:
    """Whatever the text, the answer is yes or no: an exception would leave the validator with neither."""
    assert FORMATS[name].check(text) in {True, False}


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)), st.booleans())
def test_every_birthday_has_a_nik(born: date, female: bool) -> None:
    """No day of two centuries is refused, for women or men."""
    day = born.day + 40 if female else born.day
    assert is_nik(f"360408{day:02d}{born.month:02d}{born.year % 100:02d}0001")


@given(st.dates())
def test_every_day_is_a_date_in_full_and_in_part(day: date) -> None:
    """What `date` prints passes whole, and cut after month and year."""
    text = day.isoformat()
    assert is_date(text)
    assert all(is_partial_date(text[:length]) for length in (4, 7, 10))


@given(st.text("0123456789-+:.TZ", min_size=20, max_size=32) | st.datetimes(timezones=st.timezones()).map(str))
def test_what_passes_as_a_date_time_can_be_read(text: str) -> None:
    """Nothing passes that `datetime.fromisoformat` would refuse or read as a local time."""
    if is_date_time(text):
        assert datetime.fromisoformat(text).utcoffset() is not None


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"])
def test_a_moment_without_a_date_elsewhere_is_no_date_time(text: str) -> None:
    """It would be read, and then fail where its day in Banten is asked for."""
    assert not is_date_time(text)


def test_the_check_digits_of_icao_9303() -> None:
    """The worked examples of ICAO 9303: document number, birth, expiry, and the whole of a line."""
    for field, digit in [
        ("AB2134<<<", 5),
        ("520727", 3),
        ("L898902C3", 6),
        ("740812", 2),
        ("120415", 9),
        ("ZE184226B<<<<<", 1),
        ("L898902C3674081221204159ZE184226B<<<<<1", 0),
    ]:
        assert mrz_check_digit(field) == digit


@given(st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=9), st.integers(1, 9))
def test_a_wrong_check_digit_never_passes(number: str, error: int) -> None:
    """Of ten digits exactly one fits."""
    field = number.ljust(9, "<")
    digit = mrz_check_digit(field)
    assert digit is not None
    assert is_mrz_number(f"{field}{digit}")
    assert not is_mrz_number(f"{field}{(digit + error) % 10}")


@pytest.mark.parametrize("field", ["a", "Ä", "٣", "-", " ", "²"])
def test_a_check_digit_is_of_mrz_characters_only(field: str) -> None:
    """Other characters have no value in ICAO 9303, so there is no digit to compare with."""
    assert mrz_check_digit(field) is None
