"""base64url and JSON as they are signed: each value has one spelling, and what has two is refused."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedError, TooLargeError
from gateway.jose import (
    b64decode,
    b64encode,
    compact_json,
    strict_json,
)
from tests.message.making import (
    canonical,
    often,
    values,
)

# --- base64url


@pytest.mark.parametrize(
    "text",
    [
        "QQ==",
        "QQ=",
        "QUI=",
        "Q",
        "QUJDR",
        "QR",
        "QUJ",
        "-_+/",
        "+_--",
        "/_--",
        " QUJD",
        "QUJD ",
        "QU JD",
        "QUJD\n",
        "QU\tJD",
        "\r\nQUJD",
        "QUJD\x00",
        "QUJDé",
        "QUJ\u0414",
        "ＱＵＪＤ",
        "=",
        "====",
        "QUJD====",
        "QUJ\ud800",
        "QUJ.",
        "QUJ~",
        "%51%51",
    ],
)
def test_base64url_has_one_spelling(text: str) -> None:
    """No padding, no `+` or `/`, no blank or line end, no trailing bits, nothing but its 64 characters."""
    with pytest.raises(MalformedError):
        b64decode(text, "it")


@often
@given(st.binary(max_size=70))
def test_base64url_comes_back(data: bytes) -> None:
    """Decoding undoes encoding, and the encoding is RFC 4648's without padding."""
    text = b64encode(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert b64decode(text, "it") == data


@often
@given(st.text("ABCwxyz0189-_", max_size=12))
def test_two_texts_never_decode_to_the_same_bytes(text: str) -> None:
    """Whatever decodes is the encoding of what it decodes to."""
    try:
        data = b64decode(text, "it")
    except MalformedError:
        return
    assert b64encode(data) == text


# --- JSON


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{,}",
        "{'a':1}",
        "{a:1}",
        "[1 2]",
        '"a',
        "nul",
        "True",
        "undefined",
        "// x\n1",
        "[1]x",
        "{}{}",
        "{} {}",
        "1 2",
        "01",
        "+1",
        "1.",
        ".5",
        "0x10",
        "1e",
        "--1",
        "1_000",
        "\u0661",
        '"\n"',
        '"\t"',
        '"\x00"',
        '"\\x41"',
        '"\\u12"',
        '"\\u00g0"',
        "NaN",
        "Infinity",
        "-Infinity",
        "[NaN]",
        '{"a":Infinity}',
        "1e999",
        "-1e999",
        "[1e400]",
        "9007199254740992",
        "-9007199254740992",
        "123456789012345678901234567890",
        "1" * 5000,
        "-" + "9" * 18,
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_is_not_i_json_is_refused(text: str) -> None:
    """Broken JSON, what Python reads beyond JSON, and numbers that readers disagree about (RFC 7493 §2.2)."""
    with pytest.raises(MalformedError):
        strict_json(text.encode(), "it")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{\x00}\x00",
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'"\xf4\x90\x80\x80"',
        b"{}\x00",
        b"\x00{}",
        b"{}\xc2\xa0",
    ],
    ids=repr,
)
def test_what_is_not_utf_8_without_a_mark_is_refused(data: bytes) -> None:
    """A byte order mark, UTF-16, overlong forms, coded surrogates and blanks that are not JSON's."""
    with pytest.raises(MalformedError):
        strict_json(data, "it")


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800"',
        '"a\\udfffb"',
        '["\\ud83d"]',
        '{"\\ud800":1}',
        '{"a":{"\\udc00":1}}',
        '"\\ude00\\ud83d"',
        '[["\\uD800x"]]',
    ],
)
def test_a_lone_surrogate_is_refused_wherever_it_stands(text: str) -> None:
    """Half a character has no UTF-8: the next writer of this text would fail or change it (RFC 7493 §2.1)."""
    with pytest.raises(MalformedError, match="surrogate"):
        strict_json(text.encode(), "it")


def test_a_pair_of_surrogates_is_a_character() -> None:
    """The escaped form of a character beyond the first plane is JSON as it should be."""
    assert strict_json(b'{"\\ud83d\\udea8":"\\ud83d\\udea8"}', "it") == {"\U0001f6a8": "\U0001f6a8"}


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":2}',
        '{"":1,"":2}',
        '[{"a":1,"a":1}]',
        '{"x":{"y":[{"z":1,"z":2}]}}',
        '{"a":{},"b":1,"a":{}}',
    ],
)
def test_a_member_stands_once_at_any_depth(text: str) -> None:
    """Of two equal names readers take the first, the last or both; escapes do not make them different."""
    with pytest.raises(MalformedError, match="twice"):
        strict_json(text.encode(), "it")


def test_the_largest_safe_integers_are_read() -> None:
    """2^53 - 1 and its negative are integers to every reader."""
    assert strict_json(b"[9007199254740991,-9007199254740991,0]", "it") == [2**53 - 1, -(2**53) + 1, 0]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.timeout(5)
def test_deep_nesting_is_refused_at_once(opening: str, closing: str) -> None:
    """100,000 levels end in TooLargeError: no crash, no RecursionError, no second of work."""
    text = opening * 100_000 + "1" + closing * 100_000
    with pytest.raises(TooLargeError):
        strict_json(text.encode(), "it")
    with pytest.raises(TooLargeError):
        strict_json((opening * 100_000).encode(), "it")


@pytest.mark.parametrize("depth", [1, 2, 32])
def test_depth_is_counted_exactly(depth: int) -> None:
    """A value at the limit is read, one level further is refused."""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        assert strict_json((opening * depth + "1" + closing * depth).encode(), "it", depth)
        with pytest.raises(TooLargeError):
            strict_json((opening * (depth + 1) + "1" + closing * (depth + 1)).encode(), "it", depth)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("digits", ["1" * 1_000_000, "0." + "1" * 1_000_000, "1" * 500_000 + "e-500000"], ids=len)
def test_a_megabyte_of_digits_costs_little(digits: str) -> None:
    """Long numbers are bounded before they are converted, or convert in linear time."""
    if "." in digits or "e" in digits:
        assert isinstance(strict_json(digits.encode(), "it"), float)
    else:
        with pytest.raises(MalformedError):
            strict_json(digits.encode(), "it")


@often
@given(values)
def test_what_we_write_we_read(value: Any) -> None:
    """Parsing undoes formatting for every JSON value."""
    assert canonical(strict_json(compact_json(value), "it", 64)) == canonical(value)


@often
@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_the_json_parser_fails_in_two_ways_only(data: bytes) -> None:
    """Arbitrary bytes give a value, MalformedError or TooLargeError."""
    try:
        strict_json(data, "it")
    except (MalformedError, TooLargeError):
        return
