"""The sender's side of selective disclosure, where nothing is lost on the way; and pointers, which name the fields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedError
from gateway.message.disclosure import (
    Placed,
    close_payload,
    escape,
    keep,
    open_payload,
    parse_disclosure,
    pointers_matching,
    unescape,
)
from tests.message.making import (
    bodies,
    bodies_with_places,
    canonical,
    hidden,
    look_up,
    names,
    pointers,
    salt,
    seldom,
    without,
)

# --- The sender's side


@seldom
@given(bodies_with_places())
def test_closing_and_opening_gives_the_payload_back(case: tuple[dict[str, Any], list[str]]) -> None:
    """Whatever is made disclosable, wherever it stands, the payload opens to what it was; and each place is known."""
    body, places = case
    closed, encoded = close_payload(body, places)
    opened = open_payload(closed, [parse_disclosure(one) for one in encoded], complete=True, depth=64)
    assert canonical(opened.payload) == canonical(body)
    assert {place.pointer for place in opened.placed} == set(places)
    for place in opened.placed:
        inner = look_up(body, place.pointer)
        assert place.disclosure.name is None or escape(place.disclosure.name) == place.pointer.rpartition("/")[2]
        assert not isinstance(inner, str | int | float | None) or canonical(inner) == canonical(place.disclosure.value)


@seldom
@given(bodies_with_places(), st.randoms(use_true_random=False))
def test_the_order_of_disclosures_means_nothing(case: tuple[dict[str, Any], list[str]], random: Any) -> None:
    """Any order of the same disclosures opens to the same payload."""
    body, places = case
    closed, encoded = close_payload(body, places)
    shuffled = list(encoded)
    random.shuffle(shuffled)
    opened = open_payload(closed, [parse_disclosure(one) for one in shuffled], complete=True, depth=64)
    assert canonical(opened.payload) == canonical(body)


@seldom
@given(bodies_with_places(), st.data())
def test_what_is_kept_opens_to_the_payload_without_what_is_withheld(
    case: tuple[dict[str, Any], list[str]], data: st.DataObject
) -> None:
    """`keep` against a reference: withheld members and elements are gone with all they contain, and nothing else is."""
    body, places = case
    withheld = data.draw(st.lists(st.sampled_from(places), unique=True)) if places else []
    closed, encoded = close_payload(body, places)
    disclosures = [parse_disclosure(one) for one in encoded]
    placed = open_payload(closed, disclosures, complete=True, depth=64).placed
    kept = keep(placed, withheld)
    opened = open_payload(closed, [one for one in disclosures if one.digest in kept], complete=False, depth=64)
    assert canonical(opened.payload) == canonical(without(body, frozenset(withheld)))
    assert kept == {place.disclosure.digest for place in opened.placed}


def test_a_child_goes_with_its_parent() -> None:
    """Dropping a parent drops what is inside it, at any depth; dropping a child leaves the parent."""
    one, two, three = (parse_disclosure(hidden(salt(n), f"n{n}", n)) for n in range(3))
    placed = (Placed("/a", one, None), Placed("/a/b", two, one), Placed("/a/b/c", three, two))
    assert keep(placed, ["/a"]) == frozenset()
    assert keep(placed, ["/a/b"]) == {one.digest}
    assert keep(placed, ["/a/b/c"]) == {one.digest, two.digest}
    assert keep(placed, ["/other", ""]) == {one.digest, two.digest, three.digest}


def test_a_star_is_every_element() -> None:
    """`*` names all elements of an array, a number one of them, and neither a member of an object."""
    body = {"a": [{"b": 1}, {"b": 2, "c": 3}, "x"], "o": {"b": 4, "*": 5}}
    for pattern, expected in (
        ("/a/*", {"/a/0", "/a/1", "/a/2"}),
        ("/a/*/b", {"/a/0/b", "/a/1/b"}),
        ("/a/1", {"/a/1"}),
        ("/o/*", {"/o/*"}),
        ("/o/b/*", set()),
        ("/absent", set()),
        ("/a/9", set()),
    ):
        closed, encoded = close_payload(body, [pattern])
        opened = open_payload(closed, [parse_disclosure(one) for one in encoded], complete=True, depth=32)
        assert {place.pointer for place in opened.placed} == expected
        assert opened.payload == body


def test_digests_are_sorted_and_salts_fresh() -> None:
    """The order of digests says nothing of the order of claims, and the same body twice has no digest in common."""
    body = {f"n{number}": 1 for number in range(20)}
    first, disclosures = close_payload(body, [f"/{name}" for name in body])
    second, _ = close_payload(body, [f"/{name}" for name in body])
    assert first["_sd"] == sorted(first["_sd"])
    assert not set(first["_sd"]) & set(second["_sd"])
    salts = {parse_disclosure(one).salt for one in disclosures}
    assert len(salts) == 20
    assert all(len(one) == 22 for one in salts)


@pytest.mark.parametrize("name", ["_sd", "_sd_alg", "..."])
def test_a_sender_cannot_lose_a_member_to_a_reserved_name(name: str) -> None:
    """A body that uses the RFC's own names is refused before it is signed, at any depth."""
    for body in ({name: 1, "a": 2}, {"a": [{"b": {name: []}}]}):
        with pytest.raises(MalformedError, match="_sd"):
            close_payload(body, ["/a"])


# --- Pointers


@seldom
@given(names)
def test_a_name_survives_being_a_reference_token(name: str) -> None:
    """RFC 6901 §3 and §4: unescaping undoes escaping, and an escaped token has no `/` left."""
    token = escape(name)
    assert unescape(token) == name
    assert "/" not in token
    assert token.replace("~0", "").replace("~1", "").count("~") == 0


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/foo", ["bar", "baz"]),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_pointers_of_rfc_6901_name_what_the_rfc_says(pointer: str, value: Any) -> None:
    """The document of RFC 6901 §5, each member made disclosable and placed again."""
    document = {
        "foo": ["bar", "baz"],
        "": 0,
        "a/b": 1,
        "c%d": 2,
        "e^f": 3,
        "g|h": 4,
        "i\\j": 5,
        'k"l': 6,
        " ": 7,
        "m~n": 8,
    }
    assert pointers_matching(document, pointer) == [pointer]
    closed, encoded = close_payload(document, [pointer])
    placed = open_payload(closed, [parse_disclosure(one) for one in encoded], complete=True, depth=8).placed
    assert [(place.pointer, place.disclosure.value) for place in placed] == [(pointer, value)]


@seldom
@given(bodies)
def test_every_pointer_matches_itself(body: dict[str, Any]) -> None:
    """A pattern without `*` or an index is a pointer, whatever characters its names have."""
    for pointer in pointers(body):
        value: Any = body
        plain = True
        for token in pointer.split("/")[1:]:
            plain = plain and isinstance(value, dict)
            value = look_up(value, f"/{token}")
        assert pointers_matching(body, pointer) == ([pointer] if plain else [])


@seldom
@given(st.text("~01/ab", min_size=1, max_size=5).filter(lambda name: "/" not in name))
def test_a_pattern_in_loose_escapes_still_names_the_pointer(token: str) -> None:
    """`~` may stand for itself in a hand-written pattern; what it matches is the one pointer that `keep` knows."""
    body = {unescape(token): "secret"}
    closed, encoded = close_payload(body, [f"/{token}"])
    placed = open_payload(closed, [parse_disclosure(one) for one in encoded], complete=True, depth=8).placed
    assert [place.pointer for place in placed] == pointers_matching(body, f"/{token}")
    assert keep(placed, pointers_matching(body, f"/{token}")) == frozenset()
