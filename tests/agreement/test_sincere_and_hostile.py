"""Many messages with invented people: a sincere officer's are never refused, and of a hostile one's none says who it is.

The draws are the same every time.
"""

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import pytest

from gateway import resources
from gateway.agreement.conditions import MISSING
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from gateway.withholding.consistency import consistent
from tests.agreement.making import real

MESSAGES = Catalogue(catalogue.read(resources.schemas_dir()))
EXAMPLES = catalogue.examples(resources.schemas_dir())
AGREEMENT = real()

Body = dict[str, Any]
ROUNDS: Final = 4
FORENAMES = [
    "Siti", "Muhammad", "Ahmad", "Nur", "Sri", "Dewi", "Budi", "Agus", "Rina", "Putri", "Andi", "Abdul", "Bayu",
    "Indah", "Melati", "Dwi", "Eka", "Rizki", "Fitri", "Wahyu", "Hendra", "Yusuf", "Maria",
]  # fmt: skip
MIDDLE = [
    "Nur", "Aminah", "Kartika", "Lestari", "Permata", "Fauzi", "Maulana", "Sudirman", "Merak", "Serang", "Ali",
    "Zahra",
]  # fmt: skip
FAMILIES = [
    "Rahman", "Hidayat", "Santoso", "Wijaya", "Saputra", "Hasanah", "Situmorang", "Nasution", "Kusuma", "Hakim",
    "Setiawan", "Purnama",
]  # fmt: skip
PARTICLES = ("bin", "binti", "bt.", "van", "de", "al", "abu", "Hj.")
WRITTEN: Final = {
    "unit": ("TPI Merak", "Kanim Serang", "Unit PPA Polres Serang", "Bidang Indah Kusuma"),
    "address": (
        "Jl. Jenderal Sudirman No. 5",
        "Jl. Ahmad Yani 12, Serang",
        "Kp. Melati RT 03/RW 01",
        "Pelabuhan Merak, dermaga 2",
    ),
    "checkpoint_name": ("Merak", "Pelabuhan Merak", "Indah"),
    "carrier": ("KM Bayu Samudra", "Feri Permata", "Indah Lestari"),
    "alias": ("Bang Ucok", "Bunda Siti", "Haji Maulana"),
}
COMPANIES = ("PT Karya Rahman Abadi", "CV Siti Jaya", "PT Merak Permata", "Yayasan Nur Hidayat", "Hotel Melati Indah")


class Cast:
    """People of one message: many are relatives, and no two are called the same or have all of another's names."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.family = draw.choice(FAMILIES)
        self.taken: list[set[str]] = []

    def name(self) -> str:
        while True:
            name = [self.draw.choice(FORENAMES)]
            if self.draw.random() > 0.2:
                name += self.draw.sample(MIDDLE, self.draw.randint(0, 1))
                name += self.draw.sample(PARTICLES, int(self.draw.random() < 0.25))
                name.append(self.family if self.draw.random() < 0.6 else self.draw.choice(FAMILIES))
            counting = {word for word in name if word not in PARTICLES}
            if not any(self._same(counting, one) for one in self.taken):
                self.taken.append(counting)
                return " ".join(name)

    @staticmethod
    def _same(one: set[str], other: set[str]) -> bool:
        return one == other or (len(one) > 1 and one <= other) or (len(other) > 1 and other <= one)

    def play(self, value: Any, name: str = "", holder: str = "") -> Any:
        """The same message about these people."""
        if isinstance(value, dict):
            played = {inner: self.play(member, inner, name) for inner, member in value.items()}
            if "full_name" in played and len(parts := played["full_name"].split()) > 1 and self.draw.random() < 0.4:
                played |= {"given_names": " ".join(parts[:-1]), "family_name": parts[-1]}
            return played
        if isinstance(value, list):
            return [self.play(item, name, holder) for item in value]
        if name == "full_name" or (name == "name" and holder not in ("sponsor", "lodging", "service_provider")):
            return self.name()
        if name == "name":
            return self.draw.choice(COMPANIES)
        return self.draw.choice(WRITTEN[name]) if name in WRITTEN and not str(value).isupper() else value


def withholdable(type_: str, body: Body) -> set[str]:
    """All that any rule of the type may withhold of this message."""
    rules = [rule for rule in AGREEMENT.rules if rule.type == type_]
    return {
        pointer
        for rule in rules
        for entry in rule.withhold
        if entry.field.read({"body": body}) is not MISSING or "*" in entry.field.text
        for pointer in entry.field.places({"body": body})
    }


@pytest.mark.parametrize("type_", sorted({rule.type for rule in AGREEMENT.rules if rule.withhold}))
def test_no_sincere_message_is_refused(type_: str) -> None:
    """With everything withheld that can be, no relative, officer, company, street or port of the same name reveals a thing."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    draw = random.Random(type_)
    for example in EXAMPLES[type_] * ROUNDS:
        body = Cast(draw).play(deepcopy(example))
        if MESSAGES.violations(type_, body):
            continue
        gone, in_clear = consistent({"body": body}, (), withholdable(type_, body), kind.places)
        assert in_clear == set(), [body, gone]


# What a hostile sender hides, and how

DAYS_OF = [
    "Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September", "Oktober", "November",
    "Desember",
]  # fmt: skip
SHORT = ["Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agt", "Sep", "Okt", "Nov", "Des"]
ENGLISH = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip
ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]
HIDDEN = (
    "Siti Aminah", "Muhammad Rizki Hidayat", "Suharti", "Ni Luh Sari", "H. Ahmad Fauzi bin Yusuf", "Maria dos Santos",
    "Nguyen Thi Lan", "Jan van den Berg", "Sri Wahyuni", "Ketut Merta", "Abdul Rahman", "Nur Aini",
    "Al Amin", "Cut Nyak Dien", "Nurul", "Abu Bakar",
)  # fmt: skip


def spelt(draw: random.Random, name: str) -> str:
    parts = name.split()
    back = parts[::-1]
    return draw.choice(
        [
            name, name.upper(), name.lower(), ", ".join(back), " ".join(back).upper(), "".join(parts),
            "-".join(parts), "_".join(parts),
            name.replace("i", "\u0456"), "\u200b".join(name), name.replace("a", "\u00e1"), name.replace("S", "\u0405"),
        ]
    )  # fmt: skip


def dated(draw: random.Random, born: str) -> str:
    year, month, day = (int(part) for part in born.split("-"))
    short = f"{year % 100:02}"
    return draw.choice(
        [
            f"{day}/{month}/{year}", f"{day}-{month}-{short}", f"{month}/{day}/{year}", f"{year}{month:02}{day:02}",
            f"{day:02}{month:02}{year}", f"{day:02}{month:02}{short}", f"{day} {DAYS_OF[month - 1]} {year}",
            f"{day} {SHORT[month - 1]} {short}", f"{ENGLISH[month - 1]} {day}, {year}", f"{day}th of {ENGLISH[month - 1]} {year}",
            f"{day}-{ROMAN[month - 1]}-{year}", f"{year}.{month}.{day}", f"{day} {DAYS_OF[month - 1]} tahun {year}",
            f"360104{day + 40:02}{month:02}{short}0009", f"tgl {day} bln {month} thn {year}",
        ]
    )  # fmt: skip


def grouped(draw: random.Random, number: str) -> str:
    return draw.choice(
        [
            number,
            number.lower(),
            " ".join(number),
            f"{number[:4]}-{number[4:]}",
            f"{number[:2]}.{number[2:5]}.{number[5:]}",
        ]
    )


def person(draw: random.Random) -> Body:
    return {
        "full_name": draw.choice(HIDDEN),
        "birth_date": f"{draw.randint(1960, 2016)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",
        "nik": f"360104{draw.randint(10**9, 10**10 - 1)}",
        "phone": f"+628{draw.randint(10**8, 10**9 - 1)}",
        "travel_documents": [{"number": f"{draw.choice('ABCX')}{draw.randint(100_000, 9_999_999)}"}],
    }


SAYING: Final[dict[str, Callable[[random.Random, Body], str]]] = {
    "name": lambda draw, one: spelt(draw, one["full_name"]),
    "date": lambda draw, one: dated(draw, one["birth_date"]),
    "nik": lambda draw, one: grouped(draw, one["nik"]),
    "phone": lambda draw, one: grouped(draw, "0" + one["phone"].removeprefix("+62")),
    "passport": lambda draw, one: grouped(draw, one["travel_documents"][0]["number"]),
}
AROUND = (("", ""), ("Korban ", ". Mohon bantuan"), ("(", ")"), ("a.n. ", " umur 15"), ("ref/", "/X"), ("\n", "\n"))


@pytest.mark.parametrize("what", sorted(SAYING))
def test_no_hostile_message_says_who_it_is(what: str) -> None:
    """In a story, a number, a case number, a thread or a legal basis, in every spelling."""
    kind = MESSAGES.get("case.referral/1")
    assert kind is not None
    draw = random.Random(what)
    for _ in range(80):
        one = person(draw)
        before, after = draw.choice(AROUND)
        said = f"{before}{SAYING[what](draw, one)}{after}"
        for place, view in {
            "/body/summary": {"body": {"suspects": [one], "summary": said}},
            "/case/number": {"body": {"suspects": [one]}, "case": {"type": "LI", "number": said}},
            "/correlation_id": {"body": {"suspects": [one]}, "correlation_id": said},
            "/legal_basis/1": {"body": {"suspects": [one]}, "legal_basis": ["UU 21/2007", said]},
        }.items():
            assert consistent(view, (), {"/body/suspects"}, kind.places)[1] == {place}, [one, said]
