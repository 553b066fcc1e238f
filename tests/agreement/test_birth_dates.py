"""Attacks with a withheld day of birth: every way to write it, in every text that a sender writes itself."""

from typing import Any

import pytest

from gateway import resources
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from gateway.spelling import plain
from gateway.withholding.birth_dates import BirthDates
from gateway.withholding.consistency import consistent

TYPES = Catalogue(catalogue.read(resources.schemas_dir()))
DEFERRAL = TYPES.get("departure-deferral.notice/1")
BORN = "2011-08-09"


def told(text: str, *days: str) -> bool:
    return BirthDates(days or (BORN,)).told_by(plain(text))


@pytest.mark.parametrize(
    "text",
    [
        "9/8/2011", "9-8-2011", "09.08.2011", "2011-8-9", "2011/08/09", "09.08.11", "9/8/11", "8/9/2011", "08-09-11", "11-08-09",
        "9 8 2011", "9 - 8 - 2011", "20110809", "09082011", "08092011", "090811", "110809", "TGL-09-08-2011", "TGL090811",
        "9 Agustus 2011", "9 agustus tahun 2011", "tanggal 9 bulan Agustus tahun 2011", "tanggal 9 bulan 8 tahun 2011",
        "9Agustus2011", "9 Agt 2011", "9 Ags. 2011", "09-Agu-2011", "9 AGST 2011", "9 Aug 11", "9th of August 2011",
        "9th August, 2011", "August 9, 2011", "Aug 9 '11", "2011 Agustus 9", "Agustus 2011, tanggal 9", "9-VIII-2011",
        "9.viii.11", "2011\u5e748\u67089\u65e5", "\u0669/\u0668/\u0662\u0660\u0661\u0661",
        "lahir di Serang, 9 Agustus 2011 pukul 10.00",
        "NIK3601014908110009", "NIK 3601 0149 0811 0009", "3601014908110009", "3601010908110009", "NIP 20110809 203503 2 001",
        "LI/2011-08-09/X", "thread-2011-08-09-1", "ref_9_8_2011_a", "0 9 0 8 2 0 1 1",
    ],
)  # fmt: skip
def test_a_day_is_read_however_it_is_written(text: str) -> None:
    """Figures, words, Roman months, two languages, either order, and the digits of a NIK or NIP."""
    assert told(text)
    assert told(f"Korban ({text}), perempuan.")


@pytest.mark.parametrize(
    ("day", "text"),
    [
        ("1990-05-12", "12 Mei 1990"), ("1990-10-05", "5 Okt 90"), ("1990-12-05", "5-Des-1990"), ("1990-02-05", "5 Peb 1990"),
        ("1990-11-05", "5 Nop 1990"), ("1990-03-05", "5 Mrt 1990"), ("1990-08-05", "5th of August 1990"),
        ("1990-08-05", "August 5, 1990"), ("1990-08-05", "5 agustus tahun 1990"), ("1990-09-21", "Sept 21st, 1990"),
        ("1990-01-01", "1/1/90"), ("1990-07-31", "31 juli 1990"),
    ],
)  # fmt: skip
def test_months_are_known_by_their_names_and_abbreviations(day: str, text: str) -> None:
    """Indonesian as it is spoken and written, and English."""
    assert told(text, day)


@pytest.mark.parametrize(
    "text",
    [
        "", "2011", "Agustus 2011", "19 Agustus 2011", "9 Agustus 2012", "9 Agustus", "10/8/2011", "9/8/2010", "29-8-2011",
        "2011-08-19", "LP/A/9/VII/2011/SPKT", "UU 21/2007, Pasal 9 ayat 8", "3601014808110009", "umur 9, 8 teman, tahun 2012",
        "09.30 sampai 11.08", "+6281209081234",
    ],
)  # fmt: skip
def test_another_day_is_no_such_day(text: str) -> None:
    """What shares some of the figures says something else."""
    assert not told(text)


def test_a_year_or_a_month_alone_is_no_day() -> None:
    """Many are born in one month, and messages are full of years."""
    assert not BirthDates(["2011", "2011-08", "", "9 Agustus 2011"])
    assert not told("Agustus 2011", "2011-08")


def test_figures_of_scripts_that_have_no_tens_are_no_figures() -> None:
    """They neither say a day nor stop the reading."""
    assert told("\u1369/\u136a/2011 dan 9/8/2011")
    assert not told("\u1371/\u1370/2011")


def notice(**changes: Any) -> dict[str, Any]:
    return {
        "deferral_no": "TPI-MRK-2026-0031",
        "deferred_at": "2026-11-02T04:35:00+07:00",
        "checkpoint": "MERAK",
        "voyage": "FR-12",
        "persons": [
            {"age_band": "AGE_12_17", "is_minor": True, "identity": {"full_name": "Putri", "birth_date": BORN}}
        ],
        **changes,
    }


def clear(body: dict[str, Any], **claims: Any) -> set[str]:
    """The places in clear that reveal the identity of the first person."""
    assert DEFERRAL is not None
    return set(consistent({**claims, "body": body}, (), {"/body/persons/0/identity"}, DEFERRAL.places)[1])


@pytest.mark.parametrize("number", ["TGL-09-08-2011", "NIK3601014908110009", "DPP/090811", "9-VIII-2011"])
def test_a_number_of_the_senders_own_may_not_say_it(number: str) -> None:
    """A number may be made up as freely as a text."""
    assert clear(notice(deferral_no=number)) == {"/body/deferral_no"}
    assert clear(notice(voyage=number)) == {"/body/voyage"}


@pytest.mark.parametrize(
    ("claims", "place"),
    [
        ({"case": {"type": "LI", "number": "LI/2011-08-09/X"}}, "/case/number"),
        ({"case": {"type": "LI_09082011", "number": "LI/1/2026/X"}}, "/case/type"),
        ({"jti": "msg-20110809-1"}, "/jti"),
        ({"correlation_id": "thread.9.8.2011"}, "/correlation_id"),
        ({"in_reply_to": "20110809-0000-7000-8000-000000000001"}, "/in_reply_to"),
        ({"officer": {"id": "3601014908110009", "role": "LIAISON"}}, "/officer/id"),
        ({"officer": {"id": "OFFICER-1", "role": "R_2011_8_9"}}, "/officer/role"),
        ({"legal_basis": ["UU 21/2007", "Akta 9 Agustus 2011"]}, "/legal_basis/1"),
    ],
)
def test_no_claim_may_say_it(claims: dict[str, Any], place: str) -> None:
    """Whatever a sender writes itself is in clear for everyone."""
    assert clear(notice(), **claims) == {place}


@pytest.mark.parametrize(
    "text", ["lahir 9 Agustus 2001", "09-08-2001", "2001-08-09", "NIK 360101090801xxxx", "TPI-360101490801"]
)
def test_a_day_that_only_a_number_tells_may_not_be_said(text: str) -> None:
    """A NIK that stays behind takes the birth date with it that it is made of, and so does a NIP."""
    for name, number in (("nik", "3601010908010002"), ("nik", "3601014908010002"), ("nip", "200108092026031001")):
        body = notice(persons=[{"identity": {"full_name": "Rizky Hidayat", name: number}}])
        assert clear(body, legal_basis=[text]) == {"/legal_basis/0"}, number
        assert clear(body, correlation_id=text) == {"/correlation_id"}, number


@pytest.mark.parametrize(
    "text",
    ["lahir 9 Agustus 2002", "NIK 360101100801xxxx", "081234567890", "UU 21/2007", "3601010908", "RES.1.24/2026"],
)
def test_what_a_number_does_not_tell_may_be_said(text: str) -> None:
    """Another day, a telephone number, a law."""
    body = notice(persons=[{"identity": {"full_name": "Rizky Hidayat", "nik": "3601010908010002"}}])
    assert clear(body, legal_basis=[text]) == set()


def test_what_happened_on_that_day_of_the_year_tells_no_birth() -> None:
    """A moment is a moment: it stands where the schema wants one."""
    assert clear(notice(deferred_at="2011-08-09T04:35:00+07:00")) == set()


def test_a_region_is_no_day() -> None:
    """36.09.08.2011 is a village."""
    kind = TYPES.get("victim.referral/1")
    assert kind is not None
    body = {
        "identity": {"person": {"birth_date": BORN}},
        "service_provider": {"name": "P2TP2A", "address": {"region_code": "36.09.08.2011"}},
    }
    assert consistent({"body": body}, (), {"/body/identity"}, kind.places)[1] == set()


def test_the_birth_date_of_somebody_else_may_be_used_to_say_it() -> None:
    """The field can hold any day of birth: a twin's is withheld as well, or the message refused."""
    other = {"age_band": "AGE_12_17", "is_minor": True, "identity": {"full_name": "Agus", "birth_date": BORN}}
    body = notice()
    body["persons"].append(other)
    assert clear(body) == {"/body/persons/1/identity/birth_date"}
