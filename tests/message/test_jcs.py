"""Canonical JSON (RFC 8785): the fast way and the reference write the same bytes, or refuse alike."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import jcs

TEXTS = st.text(st.characters(codec=None), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.floats(allow_nan=True) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def outcome(dumps: Any, value: Any) -> Any:
    try:
        return dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        return type(error)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_both_ways_write_the_same(value: Any) -> None:
    """Whatever the value: the same bytes, or the same error."""
    assert outcome(jcs.dumps, value) == outcome(rfc8785.dumps, value)


@pytest.mark.parametrize(
    "value",
    [
        {"\ue000": 1, "\U00010000": 2},  # in UTF-16 the second comes first
        {"ö": 1, "z": 2, "€": 3, "\r": 4, "1": 5},
        "".join(map(chr, range(0x100))),
        [2**53 - 1, -(2**53) + 1, 1.0, 1e21, 0.1, -0.0],
        {"a": [], "b": {}, "": None},
    ],
)
def test_known_traps(value: Any) -> None:
    """Order of names, escapes and numbers, where a plain encoder and RFC 8785 part."""
    assert jcs.dumps(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [2**53, float("nan"), {1: "a"}, {"a": "\ud800"}, {"a": object()}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    """As the reference does."""
    expected = outcome(rfc8785.dumps, value)
    assert isinstance(expected, type)
    assert outcome(jcs.dumps, value) == expected
