"""Recognising leaves quickly: never a leaf that `decode` refuses, whatever was done to its members or its bytes."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerInvalidError
from gateway.ledger import entry, leaf
from tests.ledger.entries import DIGEST, KEY, NIK, ONE_OF_EACH, TRANSFER

POINTER = "/" + "a" * 511
VALUES: list[Any] = [
    None, True, False, 0, 1, 2, -1, 10**15 - 1, 10**15, 2**53 - 1, "", "1", "x", "x" * 128, "x" * 129, "-x", "a+b", "a#b", "a b",
    "a\n", 'a"b', "a\\b", "é", "\u2028", "٣" * 8, NIK, f"x{NIK}", f"{NIK}x", NIK + "ab" * 24,
    NIK[:15], "T" + NIK[:15] + "-" + NIK[:15], TRANSFER,
    "short", KEY, KEY[:-1], KEY + "=", DIGEST, DIGEST.upper(), DIGEST[:-1], "delivered", "deliveredprocessed", "read", "ends",
    "ENDS", "2026-11-20", "2026-02-28", "2026-02-29", "2024-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-12-00",
    "0000-01-01", "0001-01-01", "9999-12-31", "20261120", "٢٠٢٦-11-20", "2026-11-20T08:30:15.000042Z",
    "2026-02-29T08:30:15.000042Z", "2024-02-29T08:30:15.000042Z", "0000-11-20T08:30:15.000042Z", "2026-11-20T24:00:00.000000Z",
    "2026-11-20T23:60:00.000000Z", "2026-11-20T23:59:60.000000Z", "2026-11-20T08:30:15Z", "2026-11-20T08:30:15.000042+00:00",
    "2026-11-20T08:30:15.000042Z\n", "Pasal 5 ayat (2) huruf a", "Pasal é", "Pasal\t5", "p" * 200, "p" * 201, "p\x7f",
    [], {}, [[]], [None], [""], ["/"], ["//"], ["/a", "/a"], ["body"], ["/a~1b"], ["/a~2"], ["/a~"], ["/a b"], ["/é"], ['/"'],
    ["/\\"], ["/" * 64], ["/" * 65], [POINTER], [POINTER + "a"], ["/a"] * 256, ["/a"] * 257, [KEY], [KEY, KEY], [KEY, KEY[::-1]],
    [KEY] * 17, ["a", "b"], ["a", "a"], [1], [{"code": "a"}], [{"code": "a"}] * 64, [{"code": "a"}] * 65, [{"clause": "x"}],
    [{"code": "a", "clause": "x", "pointer": "/x"}], [{"code": "a", "pointer": "x"}], [{"code": "a", "clause": ""}],
    [{"code": "a", "detail": "x"}], [{"code": "a b"}], [{"code": "a"}, "b"], [{"code": "a", "pointer": POINTER + "a"}],
    {"type": None}, {"type": "x"}, {"type": NIK}, {"a b": "x"}, {"type": 1}, {"a": "x", "b": None}, {"a": {}},
]  # fmt: skip


def require_alike(data: bytes) -> None:
    """Both refuse, or both find the same time; what is recognised at a glance is never refused."""
    try:
        decoded = str(entry.decode(data)["time"])
    except LedgerInvalidError:
        assert leaf.recognised(data) is None, data
        with pytest.raises(LedgerInvalidError):
            leaf.recorded_at(data)
        return
    assert leaf.recorded_at(data) == decoded
    assert leaf.recognised(data) in {None, decoded}


@pytest.mark.parametrize("one", ONE_OF_EACH, ids=lambda one: str(one.kind))
def test_a_leaf_is_recognised_exactly_as_it_is_decoded(one: entry.Entry) -> None:
    """Each member of each kind with each odd value, one member less or more: the same answer both ways."""
    members = one.as_json()
    require_alike(one.leaf())
    for name in entry.KINDS[one.kind].forms:
        for value in VALUES:
            require_alike(rfc8785.dumps({**members, name: value}))
        require_alike(rfc8785.dumps({other: value for other, value in members.items() if other != name}))
    require_alike(rfc8785.dumps({**members, "note": "x"}))


def test_nearly_every_kind_is_recognised_without_taking_it_apart() -> None:
    """Speed is the reason for it: only lists of names and sets of filters need the long way."""
    slow = {one.kind for one in ONE_OF_EACH if leaf.recognised(one.leaf()) is None}
    assert slow == {"agreement.activated", "audit.read"}


@given(
    st.sampled_from([one.leaf() for one in ONE_OF_EACH]),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3),
)
@settings(max_examples=600, deadline=None)
def test_bytes_that_were_tampered_with_are_recognised_exactly_as_they_are_decoded(
    data: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    """Bytes replaced, removed, put in or doubled anywhere: the same answer both ways."""
    for place, removed, put in changes:
        start = place % (len(data) + 1)
        data = data[:start] + put + data[start + removed :]
    require_alike(data)


@pytest.mark.parametrize("one", ONE_OF_EACH, ids=lambda one: str(one.kind))
def test_another_spelling_is_not_recognised(one: entry.Entry) -> None:
    """White space, escapes, a doubled member, a newline at the end, other bytes around it."""
    data = one.leaf()
    first = data[1 : data.index(b",") + 1]
    for other in (
        data + b"\n", b" " + data, data.replace(b":", b": ", 1), data.replace(b"e", b"\\u0065", 1), b"{" + first + data[1:],
        data[:-1] + b"," + first[:-1] + b"}", data[:-1], data + data, b"\xef\xbb\xbf" + data, b"[" + data + b"]",
        data.replace(b'"v":1', b'"v":1.0'), data.replace(b'"v":1', b'"v":01'), data.replace(b'"v":1', b'"v":true'),
    ):  # fmt: skip
        assert leaf.recognised(other) is None
        require_alike(other)
