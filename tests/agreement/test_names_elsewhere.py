"""A withheld name beside other names: what a sincere officer may write, and what a hostile one may not."""

from typing import Any

import pytest

from gateway import resources
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from gateway.withholding.consistency import consistent

TYPES = Catalogue(catalogue.read(resources.schemas_dir()))
DEFERRAL, REFERRAL, REQUEST = "departure-deferral.notice/1", "case.referral/1", "travel-restriction.request/1"
OVERSTAY, ANOMALY = "overstay.notice/1", "passport-application.anomaly/1"


def clear(type_: str, body: dict[str, Any], gone: str, **claims: Any) -> set[str]:
    """The places in clear that reveal what is `gone`, where nothing else may stay behind."""
    kind = TYPES.get(type_)
    assert kind is not None
    return set(consistent({**claims, "body": body}, (), {gone}, kind.places)[1])


def deferral(lost: dict[str, str] | str, **changes: Any) -> set[str]:
    """What of a notice about one person reveals the person's names."""
    person = lost if isinstance(lost, dict) else {"full_name": lost}
    claims = changes.pop("claims", {})
    body = {
        "deferral_no": "TPI-MRK-2026-0031",
        "checkpoint": "MERAK",
        "carrier": "Feri Rekaan",
        "persons": [{"age_band": "AGE_18_24", "is_minor": False, "identity": person}],
        "contact_officer": {"name": "Rina Rekaan, S.H.", "unit": "TPI Merak", "rank": "Penata Muda"},
        **changes,
    }
    return clear(DEFERRAL, body, "/body/persons/0/identity", **claims)


def officer(name: str, unit: str = "TPI Merak") -> dict[str, str]:
    return {"name": name, "unit": unit}


OFFICER = {"/body/contact_officer/name"}

# What a sincere officer may write


@pytest.mark.parametrize(
    ("lost", "name"),
    [
        ("Siti binti Ahmad", "Nur binti Hasan"),
        ("Siti binti Ahmad", "Hj. Ahmad bin Yusuf"),
        ("Jan van den Berg", "Piet van den Broek"),
        ("Maria dos Santos", "Joana dos Reis"),
        ("Muhammad al Farisi", "Muhammad al Banjari"),
        ("Abu Hasan", "Abu Bakar"),
        ("Siti Nur Aminah", "Siti Nur Halimah"),
        ("Budi Rahman Hakim", "Dewi Rahman Hakim"),
        ("Muhammad Rizki Hidayat", "Muhammad Rizki Pratama"),
        ("Siti", "Siti Rahayu"),
        ("Sari", "Rina Sari Dewi, S.H."),
    ],
)
def test_who_shares_a_word_of_a_name_is_somebody_else(lost: str, name: str) -> None:
    """Siblings share a family name, many share a forename, and particles are nobody's."""
    assert deferral(lost, contact_officer=officer(name)) == set()


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ({"full_name": "Siti Aminah", "given_names": "Siti", "family_name": "Aminah"}, "Siti Rahayu"),
        ({"full_name": "Siti Aminah", "given_names": "Siti", "family_name": "Aminah"}, "Siti"),
        ({"full_name": "Budi Santoso", "given_names": "Budi", "family_name": "Santoso"}, "Dewi Santoso"),
        ({"given_names": "Muhammad", "family_name": "Fadli"}, "Muhammad Nasution"),
    ],
)
def test_a_part_of_a_name_is_not_the_name_of_another(person: dict[str, str], name: str) -> None:
    """A forename that somebody else has alone, a family name that relatives have."""
    assert deferral(person, contact_officer=officer(name)) == set()


@pytest.mark.parametrize(
    ("lost", "changes"),
    [
        ("Merak", {}),
        ("Merak", {"contact_officer": officer("Rina", "TPI Merak")}),
        ("Indah", {"carrier": "KM Indah Lestari"}),
        ("Bayu Samudra Wijaya", {"carrier": "KM Bayu Samudra"}),
        ("Mawar", {"contact_officer": officer("Rina", "Polsek Mawar")}),
        ("Merak", {"deferral_no": "TPI-MERAK-2026-1"}),
        ("Serang", {"claims": {"case": {"type": "LP", "number": "LP/A/12/III/2026/SPKT/POLRES SERANG"}}}),
    ],
)
def test_ports_offices_and_ships_are_called_like_people(lost: str, changes: dict[str, Any]) -> None:
    """One word of a label is a place, and a code of a list is a code."""
    assert deferral(lost, **changes) == set()


@pytest.mark.parametrize(
    ("sponsor", "officer_name", "subject"),
    [
        ("PT Siti Aminah Jaya", "Siti Nurhaliza Jaya", "Kim Min"),
        ("CV Karya Rahman Abadi", "Rahman Abadi", "Karya Wijaya"),
        ("Yayasan Nur Hidayat", "Nur Hidayat Santoso", "Nur Yayasan"),
    ],
)
def test_a_company_is_no_person(sponsor: str, officer_name: str, subject: str) -> None:
    """Two words of its name in the name of somebody tell nothing of it, unless its whole name stands there."""
    body = {"sponsor": {"kind": "COMPANY", "name": sponsor}, "applicant": {"full_name": officer_name}, "alias": subject}
    assert clear(ANOMALY, body, "/body/sponsor") == set()


def test_a_company_that_shares_a_word_with_a_withheld_person_stays() -> None:
    """The sponsor of an overstayer is known by a name of its own."""
    permit = {"number": "2C11", "sponsor": {"kind": "COMPANY", "name": "PT Kim Jaya Abadi"}}
    body = {"subject": {"full_name": "Kim Jaya Min"}, "permit": permit}
    assert clear(OVERSTAY, body, "/body/subject") == set()


def test_a_street_is_called_after_somebody() -> None:
    """Jalan Jenderal Sudirman runs through every town."""
    body = {
        "suspects": [{"full_name": "Sudirman"}, {"full_name": "Ahmad Yani Saputra"}],
        "places": [{"address": "Jl. Jenderal Sudirman No. 5"}, {"address": "Jl. Ahmad Yani, Serang"}],
        "contact_officer": officer("Rina", "Polres Serang"),
    }
    assert clear(REFERRAL, body, "/body/suspects") == set()


# What a hostile one may not


@pytest.mark.parametrize(
    ("lost", "name"),
    [
        ("Siti Aminah", "Siti Aminah"),
        ("Siti Aminah", "Aminah, Siti"),
        ("Siti binti Ahmad", "Ahmad Siti"),
        ("Siti Aminah", "Siti Nur Aminah"),
        ("Siti Aminah", "Rina atas nama Siti Aminah"),
        ("Sari", "Sari"),
        ("Sari", "Rina, korban Sari"),
        ("Sari", "Korban bernama Sari"),
        ("Li Wu", "Wu Li"),
        ("Abdul Rahman", "Abdulrahman"),
        ("Sari", "Rina Dewi Utami dari kantor serang menemui Sari kemarin"),
        ("\u5f20\u4f1f", "\u5f20\u4f1f"),
    ],
)
def test_a_name_that_holds_the_whole_name_says_it(lost: str, name: str) -> None:
    """All the words in any order, and what is longer than a name or says whom it means."""
    assert deferral(lost, contact_officer=officer(name)) == OFFICER


def test_a_name_in_two_fields_of_one_person_says_it() -> None:
    """Its forename here, its family name there."""
    body = {
        "holder": {"full_name": "Siti Aminah"},
        "subject": {"full_name": "Rina", "given_names": "Siti", "family_name": "Aminah"},
    }
    found = clear(REQUEST, body, "/body/holder")
    assert {"/body/subject/given_names", "/body/subject/family_name"} <= found


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        ("Siti binti Ahmad", "Ahmad melaporkan Siti"),
        ("Siti Nur Aminah", "si Aminah (Siti)"),
        ("Li Wu", "a.n. Wu Li"),
        ("Ng A Li", "Li Ng datang"),
        ("H. Sukarno", "Sukarno dijemput"),
        ("Muhammad Nur", "Nur Muhammad"),
        ("Muhammad Ali", "Moh. Ali dijemput"),
        ("Muh. Ali", "Mohammad Ali dijemput"),
        ("Abd. Rozak", "Abdul Rozak dijemput"),
        ("Siti Aminah", "akun AminahSiti"),
        ("Suharti", "S u h a r t i dijemput"),
        ("Bang Ucok", "Ucok dijemput"),
        ("Ucok", "Mbak Ucok dijemput"),
        ("Sari", "Sari dijemput"),
    ],
)
def test_a_story_says_it_by_less(lost: str, text: str) -> None:
    """Two words, a single name, and a short name turned round."""
    body = {"suspects": [{"full_name": lost}], "summary": text}
    assert clear(REFERRAL, body, "/body/suspects") == {"/body/summary"}
    assert deferral(lost, claims={"legal_basis": [text]}) == {"/legal_basis/0"}


@pytest.mark.parametrize(
    ("lost", "basis"),
    [
        ({"full_name": "Merak"}, "Izin TPI Merak"),
        ({"full_name": "Undang"}, "Undang-Undang Nomor 21 Tahun 2007"),
        ({"given_names": "Undang", "family_name": "Rekaan"}, "Undang-Undang Nomor 21 Tahun 2007"),
        ({"given_names": "Lukman", "family_name": "Hakim"}, "Penetapan Hakim PN Serang"),
        ({"given_names": "April", "family_name": "Rekaan"}, "Surat tanggal 3 April 2026"),
        ({"given_names": "Xin", "family_name": "Han"}, "SP.HAN/12/XI/2026"),
        ({"full_name": "Sita"}, "SP.SITA/3/XI/2026"),
    ],
)
def test_an_official_word_is_no_name_in_the_law_or_a_number(lost: dict[str, str], basis: str) -> None:
    """`SP.HAN` is a detention order and names nobody called Han; in a story the word is a name again."""
    assert deferral(lost, claims={"legal_basis": [basis]}, deferral_no="SP.HAN/SITA/MERAK/2026") == set()
    assert clear(REFERRAL, {"suspects": [lost], "summary": f"{basis} dijemput"}, "/body/suspects") == {"/body/summary"}


@pytest.mark.parametrize(
    ("field", "text", "basis"),
    [
        ("summary", "TPPO", "UU 21/2007 (TPPO)"),
        ("summary", "Tindak pidana perdagangan orang", "UU 21/2007 Pemberantasan Tindak Pidana Perdagangan Orang"),
        ("summary", "Penyelundupan manusia", "UU 6/2011 Pasal 120 (penyelundupan manusia)"),
        ("summary", "Paspor", "UU 6/2011 Pasal 126 (paspor)"),
        ("summary", "Pasal 2 UU 21/2007", "Pasal 2 UU 21/2007"),
        ("summary", "Hamil 5 bulan", "Pedoman tahanan hamil 5 bulan"),
    ],
)
def test_a_short_description_is_said_by_no_law(field: str, text: str, basis: str) -> None:
    """What half of all cases are about identifies none of them."""
    assert clear(REFERRAL, {field: text}, f"/body/{field}", legal_basis=[basis]) == set()


@pytest.mark.parametrize(
    ("provider", "basis", "found"),
    [
        ("Rumah Aman", "Permensos: rumah aman bagi korban", False),
        ("Dinas Sosial", "Rekomendasi Dinas Sosial Provinsi Banten", False),
        ("Perlindungan Anak", "UU 35/2014 tentang Perlindungan Anak", False),
        ("Rumah Aman Melati", "Rekomendasi Rumah Aman Melati", True),
    ],
)
def test_an_office_that_every_regency_has_is_said_by_no_law(provider: str, basis: str, found: bool) -> None:
    """Where a victim is looked after is hidden by its own words, and `Dinas Sosial` has none."""
    body = {"service_provider": {"name": provider}}
    assert bool(clear("victim.referral/1", body, "/body/service_provider", legal_basis=[basis])) is found


def test_the_pseudonym_of_a_reporter_stands_in_no_claim() -> None:
    """Not even as a part of a longer number."""
    body = {"reporter": {"pseudonym": "WARGA-PP-07"}}
    claims = {"correlation_id": "lapor_warga-pp-07-1", "legal_basis": ["laporan WARGA-PP-07"]}
    found = clear("early-warning.report/1", body, "/body/reporter", **claims)
    assert found == {"/correlation_id", "/legal_basis/0"}


def test_a_long_description_is_found_everywhere() -> None:
    """A sentence does not stand twice by chance."""
    text = "Enam perempuan muda dari Pulo Panjang dijemput mobil putih"
    assert clear(REFERRAL, {"summary": text}, "/body/summary", legal_basis=[text]) == {"/legal_basis/0"}


def test_a_token_that_stays_behind_stands_nowhere_else() -> None:
    """Who is meant by `KRB-…` may be known to a reader by other messages."""
    token = "KRB-K7X2-M4QZ-T9WD"
    for claims in ({"correlation_id": token}, {"legal_basis": [f"korban {token}"]}):
        assert clear(REFERRAL, {"victim_refs": [token]}, "/body/victim_refs", **claims)


@pytest.mark.parametrize(
    ("pseudonym", "narrative", "found"),
    [
        ("RT-05", "Warga RT 05 RW 02 melihat mobil", False),
        ("SAKSI-1", "Saksi 1 melihat mobil", False),
        ("KEPALA-DESA", "Kepala desa sudah tahu", False),
        ("RT-05", "menurut RT-05 mobil datang lagi", True),
        ("MELATI-7", "melati-7: mobil datang lagi", True),
        ("MELATI-7", "Melati\u20117, Melati 8", True),
        ("WARGA-PP-07", "lihat laporan 2026-WARGA-PP-07-2", True),
        ("PP-07", "Dermaga PP.07, PP-071 dan XPP-07", False),
    ],
)
def test_a_pseudonym_is_found_as_it_is_written(pseudonym: str, narrative: str, found: bool) -> None:
    """With its hyphens it stands for somebody; without them it is a part of a village."""
    body = {"reporter": {"pseudonym": pseudonym}, "narrative": narrative}
    assert bool(clear("early-warning.report/1", body, "/body/reporter")) is found


def test_a_family_name_in_a_story_says_it_and_the_commonest_forename_does_not() -> None:
    """`Muller` points at somebody; half of a village is called Siti."""
    person = {"full_name": "Siti Muller", "given_names": "Siti", "family_name": "Muller"}
    for text, found in (("Muller datang", {"/body/summary"}), ("Siti datang", set())):
        assert clear(REFERRAL, {"suspects": [person], "summary": text}, "/body/suspects") == found


@pytest.mark.parametrize("number", ["SITI-AMINAH-2026", "DPP/AMINAH/SITI", "AMINAH.SITI.1", "SITIAMINAH/2026"])
def test_a_number_of_the_senders_own_may_not_hold_it(number: str) -> None:
    """A register's number is whatever the sender says it is."""
    assert deferral("Siti Aminah", deferral_no=number) == {"/body/deferral_no"}
    claims = {
        "case": {"type": "LI", "number": number},
        "correlation_id": number,
        "officer": {"id": number, "role": "X"},
    }
    assert deferral("Siti Aminah", claims=claims) == {"/case/number", "/correlation_id", "/officer/id"}


def test_a_label_that_says_whose_is_a_story() -> None:
    """A house has no name of its own."""
    body = {"suspects": [{"full_name": "Suharti"}], "places": [{"address": "Rumah Suharti, Kp. Cikuya"}]}
    assert clear(REFERRAL, body, "/body/suspects") == {"/body/places/0/address"}


def test_the_parts_of_a_name_go_with_each_other() -> None:
    """Of one person the full name says the family name, and the other way round."""
    body = {"subject": {"full_name": "Budi Santoso", "family_name": "Santoso", "given_names": "Budi"}}
    assert clear(REQUEST, body, "/body/subject/family_name") == {"/body/subject/full_name"}
    assert clear(REQUEST, body, "/body/subject/full_name") == {"/body/subject/family_name", "/body/subject/given_names"}


# Numbers


@pytest.mark.parametrize("text", ["A 123456", "a-12.34.56", "paspor A123456.", "A1 2345 6"])
def test_a_short_passport_number_is_one_however_it_is_grouped(text: str) -> None:
    """ICAO 9303 numbers have up to nine characters, and many states use seven."""
    body = {"suspects": [{"travel_documents": [{"number": "A123456"}]}], "summary": text}
    assert clear(REFERRAL, body, "/body/suspects") == {"/body/summary"}


@pytest.mark.parametrize("text", ["BA123456", "A1234567", "A12345", "123456"])
def test_another_passport_number_is_another(text: str) -> None:
    """One character more or less is somebody else's."""
    body = {"suspects": [{"travel_documents": [{"number": "A123456"}]}], "summary": f"paspor {text}"}
    assert clear(REFERRAL, body, "/body/suspects") == set()


@pytest.mark.parametrize(
    ("person", "parts"),
    [
        ({"travel_documents": [{"number": "A123456"}]}, ["A123", "456"]),
        ({"nik": "3604085203100001"}, ["360408", "5203", "100001"]),
        ({"phone": "+6281234567890"}, ["0812 3456", "7890"]),
    ],
)
def test_a_number_in_parts_is_a_number(person: dict[str, Any], parts: list[str]) -> None:
    """A list goes whole, and so does what follows each other elsewhere."""
    body = {"suspects": [person], "status": "INVESTIGATION"}
    found = {f"/legal_basis/{index}" for index in range(1 + len(parts))}
    assert clear(REFERRAL, body, "/body/suspects", legal_basis=["UU 6/2011", *parts]) == found
    places = [{"address": part} for part in parts]
    found = {f"/body/places/{index}/address" for index in range(len(parts))}
    assert clear(REFERRAL, {**body, "places": places}, "/body/suspects") == found


def test_forename_and_family_name_alone_are_a_name() -> None:
    """Of an object without the full name, the parts are it."""
    for person in ({"given_names": "Siti Aminah"}, {"given_names": "Siti", "family_name": "Aminah"}):
        body = {"suspects": [person], "contact_officer": officer("Siti Aminah"), "summary": "Aminah, Siti"}
        assert clear(REFERRAL, body, "/body/suspects") == {"/body/contact_officer/name", "/body/summary"}


def test_who_is_called_like_a_company_is_a_person_where_the_schema_says_so() -> None:
    """Co is a family name in half of the south seas."""
    body = {"suspects": [{"full_name": "Co Tiong Lim"}], "summary": "Tiong, marga Lim"}
    assert clear(REFERRAL, body, "/body/suspects") == {"/body/summary"}


@pytest.mark.parametrize(
    ("lost", "found"),
    [("SARI DIPERKOSA", True), ("SARI", True), ("LP/SARI DI KAMAR 12", True), ("LP/A/12/III/2026/SPKT", False)],
)
def test_a_withheld_text_that_looks_like_a_code_is_a_text(lost: str, found: bool) -> None:
    """Capitals make no code of a story; the number of a case is no story."""
    body = {"summary": lost, "remark": f"Catatan: {lost}."}
    assert clear(REFERRAL, body, "/body/summary") == ({"/body/remark"} if found else set())


@pytest.mark.parametrize(
    ("lost", "items"),
    [
        ({"full_name": "Siti Aminah"}, ["Siti", "Aminah"]),
        ({"full_name": "Siti Nur Aminah"}, ["kepada Aminah", "dan Siti"]),
        ({"birth_date": "2011-08-09"}, ["9", "8", "2011"]),
        ({"birth_date": "2011-08-09"}, ["lahir 9", "Agustus", "2011, Serang"]),
    ],
)
def test_a_list_is_one_text(lost: dict[str, str], items: list[str]) -> None:
    """What its elements say together is said."""
    found = clear(REFERRAL, {"suspects": [lost]}, "/body/suspects", legal_basis=items)
    assert found == {f"/legal_basis/{index}" for index in range(len(items))}


def test_a_name_that_goes_on_in_the_next_field_is_said() -> None:
    """Letter by letter, as a number is."""
    assert deferral("Siti Aminah", deferral_no="SITI-AMI", checkpoint="MERAK", carrier="nah") == {
        "/body/deferral_no",
        "/body/carrier",
    }


@pytest.mark.parametrize(("lost", "text"), [("Nur Aini", "NurAini"), ("Al Amin", "korban AlAmin")])
def test_a_short_name_written_as_one_word_is_the_name(lost: str, text: str) -> None:
    """Six letters are enough; of fewer there is many an ordinary word."""
    assert clear(REFERRAL, {"suspects": [{"full_name": lost}], "summary": text}, "/body/suspects") == {"/body/summary"}
    body = {"suspects": [{"full_name": "Li Ma"}], "summary": "lima orang"}
    assert clear(REFERRAL, body, "/body/suspects") == set()


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        ("Siti Aminah", "SITIAMINAH15"),
        ("Siti Aminah", "15sitiaminah2011"),
        ("Suharti", "S-u-h-a-r-t-i"),
        ("Sari", "a.n. S A R I"),
        ("Siti Aminah", "S.I.T.I A.M.I.N.A.H"),
    ],
)
def test_figures_beside_a_name_and_letters_one_by_one_hide_nothing(lost: str, text: str) -> None:
    """A reader puts them together."""
    assert clear(REFERRAL, {"suspects": [{"full_name": lost}], "summary": text}, "/body/suspects") == {"/body/summary"}
