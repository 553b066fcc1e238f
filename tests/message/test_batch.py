"""A batch of messages: one line is one message, and nothing else is."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError, TooLargeError
from gateway.message import batch
from gateway.message.batch import BYTES_LIMIT, MESSAGES_LIMIT, join, portions, split

TEXTS = st.lists(st.text("abc~.-_\r \t", max_size=8), min_size=1, max_size=20)


@given(TEXTS)
def test_what_was_joined_comes_apart_again(texts: list[str]) -> None:
    """Every line comes back byte for byte, an empty one and one with a carriage return too."""
    assert split(join(texts)) == [text.encode() for text in texts]


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"a\nb", [b"a", b"b"]),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\n\nb\n\n", [b"a", b"", b"b", b""]),
        (b"\n", [b""]),
        (b"a\r\nb\r\n", [b"a\r", b"b\r"]),
        (b"a\x0bb\x0cc\xe2\x80\xa8d", [b"a\x0bb\x0cc\xe2\x80\xa8d"]),
    ],
)
def test_only_a_newline_ends_a_line(raw: bytes, lines: list[bytes]) -> None:
    """The last newline may be absent; an empty line is a line, and no other character separates anything."""
    assert split(raw) == lines


def test_nothing_at_all_is_no_batch() -> None:
    """An empty body is a mistake and not a batch without messages."""
    with pytest.raises(CallerError):
        split(b"")


def test_a_batch_beyond_its_limits_is_refused_whole() -> None:
    """One line or one byte too many: nothing of it is looked at."""
    assert len(split(b"a\n" * MESSAGES_LIMIT)) == MESSAGES_LIMIT
    assert len(split(b"a" * BYTES_LIMIT)) == 1
    for raw in (b"a\n" * MESSAGES_LIMIT + b"a", b"\n" * (MESSAGES_LIMIT + 1), b"a" * (BYTES_LIMIT + 1)):
        with pytest.raises(TooLargeError):
            split(raw)


@given(st.lists(st.integers(1, 40), max_size=60))
def test_portions_keep_the_order_and_fit(sizes: list[int]) -> None:
    """A sender's many messages go in batches that the gateway takes, none left out, none twice, none too small."""
    texts = [str(number % 10) * size for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batch, "BYTES_LIMIT", 64)
        patched.setattr(batch, "MESSAGES_LIMIT", 5)
        made = list(portions(texts))
        assert [text for portion in made for text in portion] == texts
        for portion in made:
            assert split(join(portion)) == [text.encode() for text in portion]
        for portion, after in itertools.pairwise(made):
            assert len(portion) == 5 or len(join([*portion, after[0]])) > 64


def test_a_text_that_fits_nowhere_goes_alone() -> None:
    """Its neighbours are not refused with it."""
    long = "a" * (BYTES_LIMIT + 1)
    assert list(portions(["x", long, "y"])) == [["x"], [long], ["y"]]
