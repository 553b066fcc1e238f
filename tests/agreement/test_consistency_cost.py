"""Attacks on time: messages made to be compared for long, at a size and at four times that size.

What is counted is the interpreter's calls, which no other program on the machine changes; the few calls that read a whole
text each are bounded in number.
"""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from gateway.message_types.places import UNKNOWN
from gateway.withholding.consistency import consistent


def work(act: Callable[[], object]) -> int:
    """So many calls; each reads at most one text or one entry of a table, or a text's letters in C."""
    counted = 0

    def count(_frame: Any, _event: str, _argument: Any) -> None:
        nonlocal counted
        counted += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return counted


Message = tuple[dict[str, Any], set[str], set[str]]


def names(size: int) -> Message:
    """Everybody shares a name, and every text has one of its words."""
    people = [{"full_name": f"Siti Rahman Nama{number}"} for number in range(size)]
    return {"people": people, "told": [f"Rahman dan kawan{number}" for number in range(size)]}, set(), {"/body/people"}


def beginnings(size: int) -> Message:
    """All begin alike, and almost stand there."""
    lost = ["a" * (8 + number % 50) + f" b{number}" for number in range(size)]
    return {"lost": lost, "told": ["a " * size]}, set(), {"/body/lost"}


def one_letter(size: int) -> Message:
    """One letter again and again, as words, and many words that begin with it to be looked for."""
    lost = ["a" * (3 + number % 40) + "bcdefghij"[number % 9] for number in range(100)]
    return {"lost": lost, "told": ["a " * size]}, set(), {"/body/lost"}


def dates(size: int) -> Message:
    """Many days, and many texts full of figures."""
    people = [{"birth_date": f"20{number % 28:02}-{number % 12 + 1:02}-{number % 28 + 1:02}"} for number in range(size)]
    return (
        {"people": people, "told": [f"31.12.{number % 28:02} 1 2 3" for number in range(size)]},
        set(),
        {"/body/people"},
    )


def digits(size: int) -> Message:
    """Numbers that stay behind, and one endless number."""
    lost = [{"nik": f"36040852{number:08}"} for number in range(size)]
    return {"people": lost, "told": ["36040852" * size]}, set(), {"/body/people"}


def objects(size: int) -> Message:
    """Many objects with what a number is made from, and many numbers elsewhere."""
    return {
        "people": [{"birth_date": "1990", "sex": "M"} for _ in range(size)],
        "others": [{"nik": "1", "full_name": "x"} for _ in range(size)],
    }, set(), {"/body/people"}  # fmt: skip


def letters(size: int) -> Message:
    """A script without spaces."""
    lost = [chr(0x4E00 + number % 5000) * 3 + chr(0x4E00 + number // 7) for number in range(size)]
    return {"lost": lost, "told": ["\u4e00" * (size * 3)]}, set(), {"/body/lost"}


def chain(size: int) -> Message:
    """Each text that stays behind takes the next along, as far as the 256 disclosures of a message go."""
    body = linked(256, " isi" * (size // 16))
    return body, {f"/body/{name}" for name in body}, {"/body/f0"}


def linked(steps: int, more: str = "") -> dict[str, Any]:
    """Fields that each say what stands in the one before."""
    return {f"f{step}": {"said": f"kata kunci {step}{more}", "next": f"kata kunci {step + 1}"} for step in range(steps)}


@pytest.mark.parametrize("made", [names, beginnings, one_letter, dates, digits, objects, letters, chain])
def test_four_times_the_message_takes_about_four_times_the_work(made: Callable[[int], Message]) -> None:
    """No message is worth sending for the time that it takes to compare."""

    def taken(size: int) -> int:
        body, disclosable, gone = made(size)
        return work(lambda: consistent({"body": body}, disclosable, gone, UNKNOWN))

    assert taken(1200) < 5 * taken(300) + 20_000


def test_what_chains_without_end_goes_whole() -> None:
    """After a few steps everything that may stay behind does: more is withheld than had to be, and never less."""
    body = linked(20)
    everything = {f"/body/{name}" for name in body}
    assert consistent({"body": body}, everything, {"/body/f0"}) == (everything, set())
    assert consistent({"body": body}, everything - {"/body/f19"}, {"/body/f0"})[1] == {"/body/f19/said"}
    assert consistent({"body": linked(5)}, everything, {"/body/f2"})[0] == {f"/body/f{step}" for step in range(5)}
