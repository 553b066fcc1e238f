"""Texts that stay behind, looked for in texts that go out.

Decides whether one stands in another: from the beginning of a word to the end of one, however the words between are
parted; a short one as words of its own; a number in any grouping. Leaves to `spelling.py` what reads alike, and to
`consistency.py` which texts are compared. Every search takes time by what is searched, not by that times what for.
"""

import re
from collections.abc import Iterator
from itertools import accumulate, groupby
from typing import Final

from gateway.spelling import plain, words

# A text of so many letters and digits is found however its words are parted: Jl.Raya 5 is Jl. Raya 5. A shorter one has to
# stand there as words of its own, for "bu di rumah" does not tell Budi. With a digit fewer are enough: C 12345.
_LONG_TEXT: Final = 8
_LONG_WITH_DIGITS: Final = 5
_LONG_AS_ONE: Final = 6  # Nur Aini is NurAini; Li Ma is not lima, five
_SHORTEST: Final = 3
_SHORTEST_FOREIGN: Final = 2  # of a script, perhaps, that writes a name in two characters and parts no words
# So many digits are a number of their own, however they are grouped; +62 and the leading 0 say the same.
_LONG_NUMBER: Final = 8
_LONGEST_NUMBER: Final = 40
_DOCUMENT_DIGITS: Final = 6
_SHORTEST_NUMBER: Final = 6
_DIGITS: Final = re.compile(r"[0-9]")
_HYPHENED: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)+")
_LETTERS_BEGIN: Final = re.compile(r"(?<=[0-9])(?=[^\W\d_])")
_LETTERS_END: Final = re.compile(r"(?<=[^\W\d_])(?=[0-9])")


class Text:
    """One text that goes out, as a reader reads it."""

    __slots__ = ("ends", "in_order", "plain", "row", "starts", "words")

    def __init__(self, text: str) -> None:
        self.plain = plain(text)
        self.in_order = words(self.plain)
        self.words = frozenset(self.in_order)
        self.row = "".join(self.in_order)
        edges = (0, *accumulate(map(len, self.in_order)))
        # Letters end where digits begin, SITIAMINAH15; a number with letters before it is another number.
        self.starts = sorted({*edges, *(match.start() for match in _LETTERS_BEGIN.finditer(self.row))})
        self.ends = frozenset((*edges, *(match.start() for match in _LETTERS_END.finditer(self.row))))

    def spelt(self) -> Iterator[str]:
        """What stands there letter by letter: S-a-r-i."""
        for alone, run in groupby(self.in_order, lambda word: len(word) == 1):
            if alone and len(letters := "".join(run)) >= _SHORTEST:
                yield letters


class Needles:
    """Rows of letters, found at a place of a longer row by their beginning and then by their length."""

    __slots__ = ("_all", "_lengths")

    _BEGINNINGS: Final = (64, 8, 2)

    def __init__(self) -> None:
        self._all: set[str] = set()
        self._lengths: dict[int, dict[str, set[int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, letters: str) -> None:
        self._all.add(letters)
        beginning = next(size for size in self._BEGINNINGS if size <= len(letters))
        self._lengths.setdefault(beginning, {}).setdefault(letters[:beginning], set()).add(len(letters))

    def ends(self, row: str, start: int) -> Iterator[int]:
        """Where those end that stand in `row` at `start`."""
        for beginning, lengths in self._lengths.items():
            for length in lengths.get(row[start : start + beginning], ()):
                if row[start : start + length] in self._all:
                    yield start + length


class Phrases:
    """Texts that stay behind, by how they are found."""

    __slots__ = ("_anywhere", "_edged", "_in_a_row", "_short", "_sizes")

    def __init__(self) -> None:
        self._short: set[str] = set()
        self._sizes: set[int] = set()
        self._in_a_row: set[str] = set()
        self._edged = Needles()
        self._anywhere = Needles()

    def __bool__(self) -> bool:
        return bool(self._short or self._edged or self._anywhere)

    def add(self, in_order: list[str]) -> None:
        letters = "".join(in_order)
        if not letters.isascii():
            if len(letters) >= _SHORTEST_FOREIGN:
                self._anywhere.add(letters)
        elif len(letters) >= _LONG_TEXT or (len(letters) >= _LONG_WITH_DIGITS and _DIGITS.search(letters)):
            self._edged.add(letters)
        elif len(letters) >= _SHORTEST:
            self._short.add(" ".join(in_order))
            self._sizes.add(len(in_order))
            self._in_a_row.add(letters)
            if len(letters) >= _LONG_AS_ONE:
                self._short.add(letters)
                self._sizes.add(1)

    def stand_in(self, text: Text) -> bool:
        for size in self._sizes:
            for start in range(len(text.in_order) - size + 1):
                if " ".join(text.in_order[start : start + size]) in self._short:
                    return True
        if self._short and any(
            letters[start : start + length] in self._in_a_row
            for letters in text.spelt()
            for start in range(len(letters))
            for length in range(_SHORTEST, _LONG_TEXT)
        ):
            return True
        if self._edged and any(end in text.ends for start in text.starts for end in self._edged.ends(text.row, start)):
            return True
        return bool(self._anywhere) and any(
            True for start in range(len(text.row)) for _ in self._anywhere.ends(text.row, start)
        )


class Joined:
    """Texts that stay behind whose hyphens belong to them: RT-05 stands for somebody, RT 05 is a part of a village."""

    __slots__ = ("_parts", "_sizes")

    def __init__(self) -> None:
        self._parts: set[tuple[str, ...]] = set()
        self._sizes: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, plain_text: str) -> None:
        parts = tuple(plain_text.split("-"))
        self._parts.add(parts)
        self._sizes.add(len(parts))

    def stand_in(self, text: Text) -> bool:
        """Also between further hyphens: whoever reports as KADES-PP-07 is told by `thread-KADES-PP-07`."""
        return any(
            tuple(parts[start : start + size]) in self._parts
            for row in _HYPHENED.findall(text.plain)
            for parts in (row.split("-"),)
            for size in self._sizes
            for start in range(len(parts) - size + 1)
        )


def is_joined(plain_text: str) -> bool:
    """Whether words or figures are joined to one by hyphens."""
    return _HYPHENED.fullmatch(plain_text) is not None


class Numbers:
    """Numbers that stay behind, found anywhere in a row of digits and letters; and in several texts that follow each other."""

    __slots__ = ("_apart", "_whole")

    def __init__(self) -> None:
        self._whole = Needles()
        self._apart = Needles()

    def __bool__(self) -> bool:
        return bool(self._whole or self._apart)

    def add(self, number: str) -> None:
        """`number` as `number_of` gives it."""
        if len(number) >= _LONG_NUMBER:
            self._whole.add(number)
        self._apart.add(number)

    def add_apart(self, letters: str) -> None:
        """A name, which is looked for only over the end of a text: within one it has to begin with a word."""
        self._apart.add(letters)

    def stand_in(self, text: Text) -> bool:
        return bool(self._whole) and any(
            True for start in range(len(text.row)) for _ in self._whole.ends(text.row, start)
        )

    def stand_across(self, rows: list[str]) -> Iterator[int]:
        """Which of `rows` hold a part of one that begins in one of them and ends in a later one."""
        if not self._apart:
            return
        ends = [*accumulate(map(len, rows))]
        row, here = "".join(rows), 0
        for start in range(len(row)):
            while start >= ends[here]:
                here += 1
            for end in self._apart.ends(row, start):
                if end > ends[here]:
                    last = here
                    while end > ends[last]:
                        last += 1
                    yield from range(here, last + 1)


def number_of(text: str, letters: str) -> str | None:
    """The digits, or digits and letters, that make a text a number however they are grouped; None for any other text.

    `letters` are its letters and digits in a row, as `bare` gives them.
    """
    if not (_SHORTEST_NUMBER <= len(text) <= _LONGEST_NUMBER and _DIGITS.search(letters)):
        return None
    number = letters
    if number.isdigit():
        number = number.removeprefix("62") if text.startswith("+") else number.removeprefix("0")
    elif not number[-1:].isdigit() or len(_DIGITS.findall(number)) < min(_DOCUMENT_DIGITS, len(number) - 2):
        # The number of a document: X1234567 is X 1234567 to a reader.
        return None
    return number if len(number) >= _SHORTEST_NUMBER else None
