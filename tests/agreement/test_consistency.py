"""Attacks on what is withheld: the same thing said by another field, in other words, or by a number made from it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.message.envelope import Case, Officer
from gateway.withholding.consistency import consistent
from tests.agreement.making import Draft, agreement, judged, rule, source

NIK = "3604084508900001"  # 5 August 1990, a woman
NIP = "199008052015032001"
ARABIC_DIGITS = {ord(str(digit)): 0x660 + digit for digit in range(10)}


def held_back(*fields: str) -> Any:
    return agreement(rule(withhold=[{"field": field, **source()} for field in fields]))


def withheld(body: dict[str, Any], field: str, *disclosable: str, **claims: Any) -> tuple[str, ...]:
    """What stays behind of a permitted message."""
    decision = judged(held_back(field), Draft(body=body, disclosable=[field, *disclosable], claims=claims))
    assert decision.permitted, decision.reasons
    return decision.withheld


def revealing(body: dict[str, Any], field: str, *disclosable: str, **claims: Any) -> list[str | None]:
    """Where a refused message reveals in clear what is withheld."""
    decision = judged(held_back(field), Draft(body=body, disclosable=[field, *disclosable], claims=claims))
    assert {(reason.code, reason.detail) for reason in decision.reasons} == {
        ("rule.field-not-disclosable", "reveals what is withheld")
    }
    return [reason.pointer for reason in decision.reasons]


# Numbers made from what is withheld


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("birth_date", "nik"),
        ("sex", "nik"),
        ("birth_date", "nip"),
        ("sex", "nip"),
        ("birth_date", "nrp"),
        ("birth_date", "mrz"),
        ("number", "mrz_number"),
        ("mrz_number", "number"),
    ],
)
def test_a_number_goes_with_what_it_is_made_from(field: str, number: str) -> None:
    """NIK, NIP, NRP and machine-readable zones say the birth date or sex again; so does one document number the other."""
    person = {field: "M", number: "90081234", "nationality": "IDN"}
    one, other = f"/body/person/{field}", f"/body/person/{number}"
    assert withheld({"person": person}, one, other) == tuple(sorted((one, other)))
    assert revealing({"person": person}, one) == [other]


def test_a_police_number_says_nothing_of_the_sex() -> None:
    """An NRP begins with year and month of birth: it goes with the date and stays with the sex."""
    body = {"person": {"sex": "F", "nrp": "90081234"}}
    assert withheld(body, "/body/person/sex", "/body/person/nrp") == ("/body/person/sex",)


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ({"person": {"birth_date": "1990", "papers": {"nik": "1"}}}, "/body/person/papers/nik"),
        ({"person": {"birth_date": "1990"}, "nik": "1"}, "/body/nik"),
        ({"person": {"birth_date": "1990", "papers": [{"mrz": ["1", "2"]}]}}, "/body/person/papers/0/mrz"),
    ],
)
def test_a_number_is_found_below_and_directly_above(body: dict[str, Any], number: str) -> None:
    """The same person is often described by an object inside another."""
    assert withheld(body, "/body/person/birth_date", number) == tuple(sorted(("/body/person/birth_date", number)))


def test_another_persons_number_stays() -> None:
    """What is said of one person of a list says nothing of the next."""
    people = [{"birth_date": "1990-08-05", "nik": NIK}, {"nik": "3604081203850002"}]
    fields = ["/body/people/0/nik", "/body/people/1/nik"]
    gone, clear = consistent({"body": {"people": people}}, set(fields), {"/body/people/0/birth_date"})
    assert (gone, clear) == ({"/body/people/0/birth_date", fields[0]}, set())


@pytest.mark.parametrize("number", [NIK, NIP])
def test_a_withheld_birth_date_is_read_from_a_number_anywhere(number: str) -> None:
    """Under another name or in the middle of a text: the digits of the date are in it."""
    body = {"person": {"birth_date": "1990-08-05"}, "remark": f"Nomor {number}."}
    assert revealing(body, "/body/person/birth_date") == ["/body/remark"]
    assert withheld(body, "/body/person/birth_date", "/body/remark") == ("/body/person/birth_date", "/body/remark")


def test_a_number_of_another_day_is_left_alone() -> None:
    """Sixteen digits that say another date reveal nothing."""
    body = {"person": {"birth_date": "1990-08-06"}, "remark": f"Nomor {NIK}."}
    assert withheld(body, "/body/person/birth_date") == ("/body/person/birth_date",)


def test_what_follows_from_what_follows_is_withheld_too() -> None:
    """The date takes the number with it, and the number takes the text that repeats it."""
    body = {"person": {"birth_date": "1990", "nik": NIK}, "remark": f"KTP {NIK}"}
    fields = ("/body/person/birth_date", "/body/person/nik", "/body/remark")
    assert withheld(body, fields[0], *fields[1:]) == fields
    assert revealing(body, fields[0], fields[1]) == ["/body/remark"]


# The same words elsewhere


@pytest.mark.parametrize(
    "text",
    [
        "Siti Aminah",
        "Dijemput oleh Siti Aminah, malam hari",
        "SITI AMINAH",
        "siti  aminah",
        "(Siti\nAminah)",
        "Siti\u00a0Aminah",
        "Siti\u200b Aminah",
        "\uff33\uff49\uff54\uff49 Aminah",  # full-width letters
    ],
)
def test_a_name_in_clear_elsewhere_is_refused(text: str) -> None:
    """Whatever its case, spacing and letters' width: a reader reads the name."""
    body = {"person": {"full_name": "Siti Aminah"}, "narrative": text}
    assert revealing(body, "/body/person") == ["/body/narrative"]


@pytest.mark.parametrize(
    ("person", "text"),
    [
        ({"full_name": "Ani"}, "Ani, umur 15, pulang"),
        ({"full_name": "Siti Aminah"}, "a.n. Aminah, Siti"),
        ({"full_name": "Siti Aminah"}, "Siti-Aminah"),
        ({"full_name": "Siti Aminah"}, "Siti binti Ahmad, yaitu Aminah"),
        ({"full_name": "Nur'aini"}, "Nur\u2019aini"),
        ({"full_name": "Ani"}, "Ani\u2800pulang"),  # a blank of Braille is a blank
        ({"full_name": "Budi"}, "Bu\ufff9di \u17b5pulang"),
        ({"full_name": "Siti Aminah"}, "S\ufe0fiti\u034f Aminah"),
        ({"number": "X1234567"}, "paspor X 1234567"),
        ({"number": "X1234567"}, "paspor x-1234567"),
        ({"nik": "3604085203100001"}, "NIK 3604:0852:0310:0001"),
        ({"narrative": "LP/" + "sebuah cerita yang panjang " * 5}, "LP/" + "sebuah cerita yang panjang " * 5),
    ],
)
def test_what_a_reader_takes_for_the_same_is_refused(person: dict[str, str], text: str) -> None:
    """In another order, spelling or grouping, among other words."""
    body = {"person": person, "narrative": text}
    decision = judged(held_back("/body/person"), Draft(body=body, disclosable=["/body/person"]))
    assert ("rule.field-not-disclosable", "/body/narrative") in {(one.code, one.pointer) for one in decision.reasons}


@pytest.mark.parametrize("text", ["Siti Rahma dan ibu Aminuddin", "Jalan Siti", "AMIN"])
def test_one_word_of_a_longer_name_reveals_nobody(text: str) -> None:
    """Many people are called Siti."""
    body = {"person": {"full_name": "Siti Aminah"}, "narrative": text}
    assert withheld(body, "/body/person") == ("/body/person",)


def test_a_grouped_number_tells_a_withheld_birth_date_as_well() -> None:
    """A NIK in groups is a NIK."""
    body = {"person": {"birth_date": "2010-03-12"}, "narrative": "NIK 3604 0852 0310 0001"}
    decision = judged(held_back("/body/person"), Draft(body=body, disclosable=["/body/person"]))
    assert ("rule.field-not-disclosable", "/body/narrative") in {(one.code, one.pointer) for one in decision.reasons}


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("full_name", "Andr\u00e9 M\u00fcller", "a.n. Andre Muller"),
        ("full_name", "Muller", "a.n. M\u00fcller"),
        ("full_name", "Budi", "a.n. Bu\u200bdi"),
        ("full_name", "Andre Muller", "a.n. ANDRE\u0301 Mu\u0308ller"),
        ("full_name", "Siti Aminah", "S\u0456ti \u0410m\u0456n\u0430h"),  # Cyrillic letters
        ("full_name", "Nurhasan", "NUR\u0397\u0391S\u0391N"),  # Greek capitals
        ("full_name", "Lukasz", "\u0141ukasz dan keluarga"),
        ("full_name", "Nur'aini", "Nuraini"),
        ("full_name", "Abdul Rahman", "abdulrahman"),
        ("full_name", "\u5f20\u4f1f\u660e", "\u6211\u540d\u53eb\u5f20\u4f1f\u660e\u7684\u4eba"),  # no spaces between words
        ("social_handle", "@kerja.luar_negeri", "akun Kerja Luar Negeri"),
        ("address", "Jl. Raya Anyar No. 12, RT 03/RW 01", "di Jl Raya Anyar No.12 RT.03 RW.01"),
        ("address", "Jl. Raya Anyar No. 12, Kec. Anyar, Serang", "jl raya anyar no-12"),
        ("nik", "3604085203100001", "NIK " + "3604085203100001".translate(ARABIC_DIGITS)),
        ("number", "X1234567", "paspor \u0425 1234567"),  # a Cyrillic letter
        ("full_name", "Siti Aminah", "S\ua4f2ti \u13aamin\ua4eeh"),  # Lisu, Cherokee
        ("full_name", "Sucipto", "\u03f9ucipto".replace("\u03f9", "\u054f", 1)),  # Armenian
        ("full_name", "Cahyo", "\u03f9ahyo"),  # a lunate sigma
        ("nik", "3604085203100001", "NIK " + "3604085203100001".translate({ord(str(n)): 0x0BE6 + n for n in range(10)})),  # Tamil
    ],
)  # fmt: skip
def test_accents_other_alphabets_and_punctuation_hide_nothing(member: str, value: str, text: str) -> None:
    """What looks the same reads the same, and a street is no other for its dots."""
    assert revealing({"person": {member: value}, "narrative": text}, "/body/person") == ["/body/narrative"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Budi", "Ibu di rumah, bu di pasar"),
        ("Jl. Raya Anyar No. 12, Kec. Anyar, Serang", "di Kec. Anyar, Serang"),
        ("Jl. Raya Anyar No. 12", "Jl. Raya Anyar No. 120"),
        ("Siti Aminah", "Nursiti Aminah"),
        ("\u5f20\u4f1f\u660e", "\u6211\u540d\u53eb\u5f20\u4f1f"),
    ],
)
def test_what_only_begins_or_sounds_like_it_reveals_nothing(value: str, text: str) -> None:
    """A village is no address, number 12 is not 120, and two words in a row are not a third."""
    body = {"person": {"address" if value.startswith("Jl") else "full_name": value}, "narrative": text}
    assert withheld(body, "/body/person") == ("/body/person",)


@pytest.mark.parametrize(
    "text",
    [
        "lahir 1990-08-05", "lahir 05-08-1990 di Serang", "lahir 5 Agustus 1990", "born August 5th, 1990",
        "NIK 3604 0845 0890 0001, 12 Maret", "NIP 19900805 201503 2 001",
    ],
)  # fmt: skip
def test_a_withheld_birth_date_is_read_in_a_text(text: str) -> None:
    """As a day in figures or words, and in a grouped number with another number behind it."""
    body = {"person": {"birth_date": "1990-08-05"}, "remark": text}
    assert revealing(body, "/body/person/birth_date") == ["/body/remark"]


@pytest.mark.parametrize("text", ["1990-08-05", "lahir 15 Agustus 1990", "lahir 1990", "NIK 3604080608900001"])
def test_another_day_and_a_day_of_its_own_tell_no_birth_date(text: str) -> None:
    """A field that is a date says when something happened; the day before the fifteenth is not the fifth."""
    body = {"person": {"birth_date": "1990-08-05"}, "remark": text}
    assert withheld(body, "/body/person/birth_date") == ("/body/person/birth_date",)


@pytest.mark.parametrize(
    ("person", "text"),
    [
        ({"nik": NIK}, "lahir 5 Agustus 1990"),
        ({"nik": NIK}, "lahir 05-08-90"),
        ({"nik": "3604080508100001"}, "lahir 5 Agustus 2010"),
        ({"nik": "3604080508100001"}, "lahir 1910-08-05 di Serang"),
        ({"nik": "3604080508100001", "birth_date": "2010"}, "lahir 5 Agustus 2010"),
        ({"nip": NIP}, "lahir 5 Agustus 1990"),
        ({"nip": NIP}, "NIK 3604084508900001"),
        ({"nik": NIK}, "NIK 360408450890xxxx"),
        ({"nik": NIK}, "TPI-MRK-360408 450890"),
        ({"nik": NIK}, "UU 21/2007, 360408450890"),
        ({"birth_date": "1990-08-05"}, "NIK 360408450890xxxx"),
        ({"birth_date": "1990-08-05"}, "lahir 5 Augustus 1990"),
    ],
)
def test_a_day_of_birth_that_a_withheld_number_says_is_looked_for(person: dict[str, str], text: str) -> None:
    """Nobody who hides a NIK gives away its middle: nor by its beginning, without the number of the person in it."""
    assert revealing({"person": person, "narrative": text}, "/body/person") == ["/body/narrative"]


@pytest.mark.parametrize(
    ("person", "text"),
    [
        ({"nik": NIK}, "5 Agustus 2091, dan Agustus 1990"),
        ({"nik": "3604080508100001", "birth_date": "2010"}, "sejak 5 Agustus 1910"),
        ({"nrp": "90081234"}, "5 Agustus 1990"),
        ({"nik": "3604089913900001"}, "99 13 1990"),
    ],
)
def test_a_day_that_no_withheld_number_says_is_another_day(person: dict[str, str], text: str) -> None:
    """Another century than the year beside the number, and a police number, which says no day."""
    assert withheld({"person": person, "narrative": text}, "/body/person") == ("/body/person",)


def test_a_day_of_birth_that_goes_out_is_hidden_by_no_number_beside_it() -> None:
    """A rule that withholds the NIK and lets the date pass means it so."""
    person = {"birth_date": "1990-08-05", "nik": NIK}
    body = {"person": person, "remark": "lahir 5 Agustus 1990"}
    assert withheld(body, "/body/person/nik") == ("/body/person/nik",)
    person["birth_date"] = "1990"
    assert revealing(body, "/body/person/nik") == ["/body/remark"]


@pytest.mark.parametrize("name", ["victim_refs", "child_suspect_refs"])
def test_a_withheld_token_of_a_person_stands_nowhere(name: str) -> None:
    """A token made up for a victim joins messages as a name does: it is released with its field or not at all."""
    token = "KRB-K7X2-M4QZ-T9WD"
    said = {"legal_basis": (f"korban {token}",), "correlation_id": token}
    assert revealing({name: [token], "narrative": f"{token} dijemput"}, f"/body/{name}", **said) == [
        "/body/narrative", "/correlation_id", "/legal_basis/0",
    ]  # fmt: skip


def test_a_name_in_a_disclosable_text_takes_the_text_with_it() -> None:
    """Nothing is refused where the sender let the gateway withhold."""
    body = {"person": {"full_name": "Siti Aminah"}, "narrative": "Siti Aminah dijemput"}
    assert withheld(body, "/body/person", "/body/narrative") == ("/body/narrative", "/body/person")


def test_the_nearest_disclosure_around_the_text_goes() -> None:
    """Its list goes where the element itself cannot; what is disclosable further out stays."""
    body = {"person": {"full_name": "Siti Aminah"}, "more": {"names": ["x", "Siti Aminah"], "kept": "y"}}
    assert withheld(body, "/body/person", "/body/more", "/body/more/names") == ("/body/more/names", "/body/person")


@pytest.mark.parametrize("text", ["Sarinah", "Rosari", "Sari2", "Sar i"])
def test_a_part_of_another_word_is_not_the_name(text: str) -> None:
    """Sari is not told by Sarinah."""
    body = {"person": {"full_name": "Sari"}, "narrative": f"Toko {text} di pasar"}
    assert withheld(body, "/body/person") == ("/body/person",)


@pytest.mark.parametrize("text", ["Sari", "Toko-Sari.", "Sarinah dan Sari"])
def test_the_name_as_a_word_of_its_own_is(text: str) -> None:
    """Punctuation parts words, and a longer word before does not hide the name after it."""
    body = {"person": {"full_name": "Sari"}, "narrative": text}
    assert revealing(body, "/body/person") == ["/body/narrative"]


@pytest.mark.parametrize("text", ["+6281234567890", "0812-3456-7890", "+62 812 3456 7890", "hub. 081234567890 malam"])
def test_a_phone_number_is_the_same_however_it_is_grouped(text: str) -> None:
    """With +62 or 0, with hyphens, spaces or none."""
    body = {"person": {"phone": "+6281234567890"}, "narrative": text}
    assert revealing(body, "/body/person") == ["/body/narrative"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("offence", "TPPO"),
        ("purpose", "VICTIM_PROTECTION"),
        ("region_code", "36.04.08.2009"),
        ("at", "2026-03-01T10:00:00+07:00"),
        ("full_name", "Al"),
        ("police_report_no", "LP/A/12/III/2026/SPKT"),
        ("rank", "Komisaris Besar"),
    ],
)
def test_what_many_messages_share_reveals_nobody(member: str, value: str) -> None:
    """Codes, regions, dates, case numbers, ranks and names of two letters may stand elsewhere."""
    body = {"person": {member: value}, "narrative": f"Tercatat {value} di sini"}
    assert withheld(body, "/body/person") == ("/body/person",)


@pytest.mark.parametrize(("member", "value"), [("full_name", "SUKARNO"), ("number", "X1234567")])
def test_a_name_that_looks_like_a_code_is_a_name(member: str, value: str) -> None:
    """A passport writes names in capitals."""
    body = {"person": {member: value}, "narrative": f"Tercatat {value} di sini"}
    assert revealing(body, "/body/person") == ["/body/narrative"]


def test_a_claim_may_not_say_it_either() -> None:
    """The message's own claims are in clear for everyone who handles it."""
    body = {"person": {"full_name": "Siti Aminah", "nip": NIP}}
    said = {
        "legal_basis": ("UU 21/2007", "about Siti Aminah"),
        "officer": Officer(NIP, "INVESTIGATOR"),
        "correlation_id": f"thread-{NIP}",
    }
    assert revealing(body, "/body/person", **said) == ["/correlation_id", "/legal_basis/1", "/officer/id"]


def test_the_case_is_named_openly() -> None:
    """A withheld block may repeat the case that the claims name: a case number is no person's."""
    number = "LP/A/12/III/2026/SPKT"
    body = {"person": {"remark": number}}
    assert withheld(body, "/body/person", case=Case("LP", number)) == ("/body/person",)


def test_a_released_field_reveals_nothing() -> None:
    """Where nothing stays behind, everything may repeat everything."""
    body = {"person": {"full_name": "Siti Aminah", "birth_date": "1990", "nik": NIK}, "narrative": "Siti Aminah"}
    assert judged(agreement(), Draft(body=body)).withheld == ()


def test_every_place_that_reveals_is_told_without_the_words() -> None:
    """All places together; the reasons repeat nothing of the message."""
    body = {"person": {"full_name": "Siti Aminah"}, "a": "Siti Aminah", "b": [{"c": "oleh Siti Aminah"}]}
    decision = judged(held_back("/body/person"), Draft(body=body, disclosable=["/body/person"]))
    assert [reason.pointer for reason in decision.reasons] == ["/body/a", "/body/b/0/c"]
    assert "Siti" not in repr(decision)


words = st.sampled_from(["Siti Aminah", "Budi", "x", "SUKARNO", "+6281234567890", NIK, "TPPO", "1990-08-05"])
texts = st.lists(words, min_size=1, max_size=3).map(" ".join)
names = st.sampled_from(["full_name", "nik", "birth_date", "sex", "remark", "number"])
bodies = st.recursive(
    texts | st.integers(), lambda inner: st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=3)
)


def places(value: Any, pointer: str) -> list[str]:
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inner = [(f"{pointer}/{name}", member) for name, member in value.items()]
    elif isinstance(value, list):
        inner = [(f"{pointer}/{index}", item) for index, item in enumerate(value)]
    return [pointer, *(place for below, member in inner for place in places(member, below))]


def under(place: str, others: frozenset[str]) -> bool:
    return any(place == other or place.startswith(f"{other}/") for other in others)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, bodies, min_size=1, max_size=4), st.data())
def test_withholding_more_never_releases_or_permits_more(body: dict[str, Any], data: st.DataObject) -> None:
    """Monotone: with one more field withheld no other comes back, and no place in clear stops revealing but by going."""
    everywhere = places(body, "/body")[1:]
    disclosable = data.draw(st.sets(st.sampled_from(everywhere)))
    if not disclosable:
        return
    less = data.draw(st.sets(st.sampled_from(sorted(disclosable)), min_size=1))
    more = less | data.draw(st.sets(st.sampled_from(sorted(disclosable))))
    (gone, clear), (gone_more, clear_more) = (consistent({"body": body}, disclosable, one) for one in (less, more))
    assert less <= gone
    assert gone <= disclosable
    assert all(under(place, gone_more) for place in gone)
    assert all(place in clear_more or under(place, gone_more) for place in clear)
    assert not any(under(place, frozenset(disclosable)) for place in clear)
    assert consistent({"body": body}, disclosable, gone) == (gone, clear)
