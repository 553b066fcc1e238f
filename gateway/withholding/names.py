"""Names of persons that stay behind, and what of them a text tells.

Decides which words of a name tell the person: two of them together, in whatever order and among whatever other words of a
story; all of them in the name of somebody else, who may well share one. Particles (`binti`, `van`, `haji`) and the
commonest forenames are no such words. Leaves to `wording.py` texts that are looked for as they stand.
"""

from collections.abc import Iterable
from itertools import combinations
from typing import Final

# Of many names, and of nobody's alone: particles, titles, forms of address.
_PARTICLES: Final = frozenset(
    {
        "bin", "binti", "bt", "bte", "ibn", "ibnu", "ibnatu", "abu", "umm", "ummu", "al", "el", "ad", "an", "ar",
        "as", "at", "ash", "van", "von", "der", "den", "ter", "ten", "de", "del", "della", "di", "da", "das", "dos",
        "do", "du", "la", "le", "los", "y", "e", "zu", "zum", "haji", "hajah", "hajjah", "hj", "kh", "kyai", "gus",
        "raden", "rr", "rd", "tengku", "teuku", "cut", "dr", "drs", "dra", "ir", "prof", "st", "sh", "se", "mm", "mh",
        "mr", "mrs", "ms", "tn", "ny", "nn", "sdr", "sdri", "bapak", "ibu", "pak", "bu", "alias", "als",
        "bang", "abang", "mbak", "mas", "kak", "kakak", "adik", "om", "tante", "teh", "teteh", "aa", "kang", "akang",
        "mang", "nyonya", "tuan", "nona", "saudara", "saudari", "pakde", "bude", "ustad", "ustadz", "ustadzah", "habib",
    }
)  # fmt: skip
_COMMON: Final = frozenset(
    {
        "siti", "sitti", "akhmad", "muhammad", "muhamad", "mohammad", "mohamad", "mohammed", "mohamed", "muhammed", "muh",
        "mohd", "moh", "ahmad", "achmad", "nur", "nurul", "sri", "dewi", "abdul", "abd", "abdullah", "tri", "dwi",
        "eka", "putra", "putri", "maria", "nguyen", "thi",
    }
)  # fmt: skip
# Of these the forms are one word: Moh. Ali is Muhammad Ali.
_SAME: Final = {
    **dict.fromkeys(
        ("muhamad", "mohammad", "mohamad", "mohammed", "mohamed", "muhammed", "muh", "mohd", "moh"), "muhammad"
    ),
    "sitti": "siti",
    "achmad": "ahmad",
    "akhmad": "ahmad",
    "abd": "abdul",
}
# In a name or a label they say that somebody is meant who is not called so.
_TELLING: Final = frozenset(
    {
        "korban", "victim", "bernama", "nama", "named", "called", "yaitu", "yakni", "ialah", "aka", "atas",
        "identitas", "milik", "keluarga", "rumah", "kontrakan", "kediaman", "warung",
    }
)  # fmt: skip
# Words that an organisation is called by, and no person.
ORGANISATIONS: Final = frozenset(
    {
        "pt", "cv", "ud", "pd", "fa", "firma", "tbk", "persero", "perseroan", "yayasan", "koperasi", "lpk", "lembaga",
        "dinas", "kantor", "kementerian", "kedutaan", "hotel", "wisma", "losmen", "penginapan", "mess", "kost", "kos",
        "rumah", "panti", "pondok", "pesantren", "universitas", "sekolah", "toko", "travel", "agency", "tour",
        "tours", "ltd", "limited", "inc", "llc", "corp", "co", "company", "gmbh", "bv", "sdn", "bhd", "klinik",
        "puskesmas", "rsud", "balai", "uptd", "upt", "p2tp2a",
    }
)  # fmt: skip
_SHORTEST_WORD: Final = 3
# Nobody has more: what goes on tells a story.
_LONGEST_NAME: Final = 6
_MOST_WORDS: Final = 16


def significant(in_order: Iterable[str]) -> list[str]:
    """Without particles, titles and initials; all of them where nothing else is left."""
    in_order = list(in_order)
    return [word for word in in_order if len(word) > 1 and word not in _PARTICLES] or in_order


def same(in_order: Iterable[str]) -> list[str]:
    """Each word in the form that stands for all forms of it."""
    return [_SAME.get(word, word) for word in in_order]


def is_common(word: str) -> bool:
    return word in _COMMON


def tells(in_text: frozenset[str]) -> bool:
    """Whether what should be a name or a label says more than that."""
    return not _TELLING.isdisjoint(in_text)


class Names:
    """Names that stay behind, whole."""

    __slots__ = ("_beside", "_sizes", "_wholes")

    def __init__(self) -> None:
        # Which words tell the person together with this one.
        self._beside: dict[str, set[str]] = {}
        self._wholes: set[tuple[str, ...]] = set()
        self._sizes: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._wholes or self._beside)

    def add(self, in_order: list[str], there: frozenset[str]) -> list[str]:
        """The words that count of it; kept is what of it may be told by texts that have the words `there`, as of `same`."""
        written = significant(in_order)
        counting = same(written)
        if not 0 < len(counting) <= _MOST_WORDS:
            return written
        if there.issuperset(counting):
            self._wholes.add(tuple(sorted(counting)))
            self._sizes.add(len(counting))
        long = {word for word in counting if len(word) >= _SHORTEST_WORD and word in there}
        if len(long) > 1:
            # Of a longer name two of the commonest tell nobody: half of a village is called Siti Nur.
            for word in long if len(counting) == 2 else long - _COMMON:  # noqa: PLR2004
                self._beside.setdefault(word, set()).update(long - {word})
        return written

    def told_by(self, in_order: list[str]) -> bool:
        """By a story: two words of a name, or a whole one of short or common words in one go."""
        there = frozenset(same(in_order))
        together = any(word in self._beside and not self._beside[word].isdisjoint(there) for word in there)
        return together or self.stand_in(in_order)

    def stand_in(self, in_order: list[str]) -> bool:
        """By a label: all the words of a name in one go, in any order; one word alone is no name there."""
        row = same(significant(in_order))
        return any(
            tuple(sorted(row[start : start + size])) in self._wholes
            for size in self._sizes
            if size > 1
            for start in range(len(row) - size + 1)
        )

    def are(self, in_order: Iterable[str]) -> bool:
        """By the name of a person: it is one of them, or it has all the words of one that has several."""
        row = sorted(same(significant(in_order)))
        if len(row) > _LONGEST_NAME:
            return False
        return tuple(row) in self._wholes or any(
            some in self._wholes for size in self._sizes if 1 < size < len(row) for some in combinations(row, size)
        )


def is_organisation(in_order: list[str]) -> bool:
    return not ORGANISATIONS.isdisjoint(in_order)


def is_story(in_order: list[str]) -> bool:
    return len(significant(in_order)) > _LONGEST_NAME
