"""Files that are no schemas: whatever stands in them is said to be wrong with its file, and ends nothing in a fault."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import resources
from gateway.errors import SchemaInvalidError
from gateway.message_types.catalogue import PINS, Catalogue, load, read, read_one
from gateway.message_types.compatibility import compare
from gateway.message_types.soundness import DEPTH

TYPE = "overstay.notice"
SCHEMA = f"{TYPE}/1/schema.json"
REAL = read(resources.schemas_dir())
KEPT = {path: document for path, document in REAL.items() if path.startswith(("codes/", "common/")) or path == SCHEMA}
Change = Callable[[dict[str, Any]], None]


def steps(document: Any) -> list[tuple[Any, ...]]:
    """The way to every value of a document."""
    found: list[tuple[Any, ...]] = []

    def walk(value: Any, way: tuple[Any, ...]) -> None:
        found.append(way)
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for step, entry in inner:
            walk(entry, (*way, step))

    walk(document, ())
    return found


WAYS = {path: steps(KEPT[path]) for path in (SCHEMA, "codes/unit.json", "common/person.json") if path in KEPT}
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 70)
    | st.sampled_from(["", "x", "#/$defs/Person", "(", "date", "🙂", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "$ref", "properties", "items", "x-sensitive", "enum"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)


@pytest.mark.hypothesis
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_file_that_was_spoilt_is_a_schema_or_is_said_to_be_none(data: st.DataObject) -> None:
    """One value is exchanged for another, or a member taken out: the folder loads, or its fault is told; and it compares."""
    path = data.draw(st.sampled_from(sorted(WAYS)))
    documents = dict(KEPT) | {path: copy.deepcopy(KEPT[path])}
    *way, last = data.draw(st.sampled_from([way for way in WAYS[path] if way]))
    holder: Any = documents[path]
    for step in way:
        holder = holder[step]
    if data.draw(st.booleans()):
        holder[last] = data.draw(JUNK)
    else:
        del holder[last]
    try:
        spoilt = Catalogue(documents)
    except SchemaInvalidError:
        return
    for entry in spoilt.types():
        compare(ORIGINAL.get(entry.type).schema, entry.schema)  # type: ignore[union-attr]


ORIGINAL = Catalogue(KEPT)


def without(name: str) -> Change:
    return lambda document: document.pop(name)


def given_as(name: str, value: Any) -> Change:
    return lambda document: document.update({name: value})


def nested(document: dict[str, Any]) -> None:
    deep: Any = {"type": "string"}
    for _ in range(DEPTH):
        deep = {"not": deep}
    document["properties"]["reason"] = deep


def circular(document: dict[str, Any]) -> None:
    document["$defs"] = document.get("$defs", {}) | {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}
    document["properties"]["reason"] = {"$ref": "#/$defs/A"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("$id"), "no object with an \\$id"),
        (without("title"), '"title" is a required'),
        (without("type"), '"type" is a required'),
        (given_as("$id", "urn:sinergi:schema:other:1"), "its \\$id must be"),
        (given_as("properties", []), "/properties is not what JSON Schema wants"),
        (given_as("type", 7), "/type is not what JSON Schema wants"),
        (given_as("x-sensitive", "yes"), "/x-sensitive: "),
        (given_as("x-minor-on", []), "/x-minor-on: "),
        (given_as("properties", {"a": {"$ref": "#"}}), "/properties/a/\\$ref: "),
        (given_as("requierd", ["a"]), "unknown keywords"),
        (nested, f"more than {DEPTH} levels"),
        (circular, "refers back to itself"),
    ],
    ids=lambda value: value.replace("\\", "") if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told_with_its_file(change: Change, said: str) -> None:
    """Somebody who wrote a schema by hand finds the place, and no trace of this program's insides."""
    document = copy.deepcopy(KEPT[SCHEMA])
    change(document)
    with pytest.raises(SchemaInvalidError, match=said) as wrong:
        Catalogue(KEPT | {SCHEMA: document})
    assert TYPE in str(wrong.value)


WORDS = {"title": "T", "x-title-id": "J", "description": "D", "x-description-id": "K"}
GROWING = {
    f"A{step}": {**WORDS, "properties": {name: {"$ref": f"#/$defs/A{step + 1}"} for name in "abcdefghij"}}
    for step in range(10)
}


@pytest.mark.parametrize(
    ("definitions", "said"),
    [
        ({"A": {"$ref": "#/$defs/B"}, "B": {"items": {"$ref": "#/$defs/A"}}}, r"/\$defs/B/items/\$ref: A refers back"),
        ({"A": {"$ref": "#/$defs/Nowhere"}}, r"/\$defs/A/\$ref: #/\$defs/Nowhere is not in"),
        ({"A": {"$ref": "urn:x#/$defs/Nowhere"}}, r"/\$defs/A/\$ref: urn:x#/\$defs/Nowhere is not in"),
        ({"A": {"type": "string", "pattern": "("}}, r"/\$defs/A/pattern is no regular expression"),
        (GROWING | {"A10": WORDS}, r"/\$defs/A[0-9]/properties/[a-j] grows too large"),
    ],
    ids=["a circle", "nowhere", "no document", "a pattern", "ten times ten times ten"],
)
def test_what_no_type_uses_is_looked_at_as_well(definitions: dict[str, Any], said: str) -> None:
    """`schemas check` reads every definition, and a reference that never ends would never let it end."""
    document = copy.deepcopy(KEPT["common/person.json"])
    document["$defs"] |= definitions
    with pytest.raises(SchemaInvalidError, match=f"^common/person.json: {said}"):
        Catalogue(KEPT | {"common/person.json": document}, pinned=True)


def test_a_code_without_its_entry_in_the_list_is_refused_at_once() -> None:
    """Whether it was in force nobody could say, and the first message with it would be a fault of the program."""
    path = "case.referral/1/schema.json"
    offences = copy.deepcopy(KEPT["codes/offence.json"])
    gone = offences["codes"].pop(0)["code"]
    with pytest.raises(SchemaInvalidError, match=rf"^{path}: /x-valid-on: permits {gone}, "):
        Catalogue(KEPT | {path: REAL[path], "codes/offence.json": offences}, pinned=True)


@pytest.mark.parametrize(
    "octets",
    [b"", b"[" * 10_000 + b"]" * 10_000, b"\xff\xfe", b'{"a": 1, "a": 2}', b"7", b"[]", b'{"files": [], "types": {}}'],
    ids=["empty", "deep", "not UTF-8", "twice", "a number", "a list", "a list of files"],
)
def test_pins_of_any_form_are_refused(tmp_path: Path, octets: bytes) -> None:
    """What pins the digests is read with the same distrust as what it pins."""
    for path, document in KEPT.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(document))
    (tmp_path / PINS).write_bytes(octets)
    with pytest.raises(SchemaInvalidError, match=PINS):
        load(tmp_path)


def test_a_folder_is_one_of_message_types(tmp_path: Path) -> None:
    """An empty folder and a file are none, and what is at another place than its type's is told."""
    for place in (tmp_path, tmp_path / "nothing", Path(__file__)):
        with pytest.raises(SchemaInvalidError, match=r"no folder|no message type"):
            read(place)
    with pytest.raises(SchemaInvalidError, match=r"NAME/VERSION/schema\.json"):
        Catalogue(KEPT | {f"{TYPE}/one/schema.json": KEPT[SCHEMA] | {"$id": "urn:x"}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (circular, "refers back to itself"),
        (given_as("properties", []), "JSON Schema wants"),
        (given_as("$id", 7), "no object with an"),
        (given_as("$id", "urn:other"), "neither a folder"),
        (given_as("$defs", {"Unused": {"type": "string"}}), "is not in the catalogue|nothing refers to"),
    ],
    ids=["circular", "a list of properties", "a number", "of somebody else's", "other definitions"],
)
def test_one_printed_schema_is_read_with_the_same_distrust(tmp_path: Path, change: Change, said: str) -> None:
    """`schemas diff` takes a file that somebody sent."""
    schema = copy.deepcopy(dict(ORIGINAL.get(f"{TYPE}/1").schema))  # type: ignore[union-attr]
    place = tmp_path / "sent.json"
    place.write_text(json.dumps(schema))
    assert read_one(place) == {f"{TYPE}/1": schema}
    change(schema)
    place.write_text(json.dumps(schema))
    with pytest.raises(SchemaInvalidError, match=said):
        read_one(place)
