"""What a text can say at its place in a message, by the schema of its type.

Decides of every place whether its sender chooses the words there at all, and if so whether it names a person, labels a
thing, numbers something or tells a story. Leaves to `consistency.py` what follows for withholding. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Union

from gateway.message_types.schema import chain
from gateway.spelling import plain, words


class Place(Enum):
    """What stands there."""

    FIXED = "fixed"  # a code, a region, an officer's signed approval: none of the sender's own words
    DAY = "day"  # a date or a moment
    PERSON = "person"  # the name of a person
    LABEL = "label"  # what an office, a ship, a street, a rank is called
    REFERENCE = "reference"  # a number or an identifier
    TEXT = "text"  # whatever the sender writes


Tree = Mapping[str, Union[Place, "Tree"]]


@dataclass(frozen=True, slots=True)
class Places:
    """The body's places by name, `*` for the elements of an array, and words of which offices and ports are called."""

    body: Tree
    offices: frozenset[str] = frozenset()


# Of a body without a known schema nothing is known: each of its texts is taken for what it looks like.
UNKNOWN: Final = Places({})

_FIXED: Final = frozenset({"Approval", "RegionAnywhere", "DistrictAnywhere"})
_PERSON: Final = frozenset({"PersonName", "Alias"})
_DAYS: Final = frozenset({"date", "date-time", "partial-date"})
# One line of text that says more than what something is called.
_TELLING: Final = frozenset({"description", "next_action", "remarks"})
_PERSONAL: Final = frozenset({"full_name", "family_name", "given_names"})
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_+-]*|[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{4})?)?)?")
_DATE: Final = re.compile(r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2}(?:T[0-9:.]+(?:Z|[+-][0-9:]+))?)?)?")


def guessed(name: str, text: str) -> Place:
    """Where no schema says it: by the member's name and by what the text looks like."""
    if name in _PERSONAL:
        return Place.PERSON
    return Place.DAY if _DATE.fullmatch(text) else Place.TEXT


def is_code(text: str) -> bool:
    """Whether it looks like one, or like the code of a region."""
    return _CODE.fullmatch(text) is not None


def places_of(schema: Mapping[str, Any]) -> Tree:
    """Of a self-contained schema. What is no text (a number, a truth value) has no place."""
    tree = _tree(schema, schema["$defs"], "")
    return tree if isinstance(tree, dict) else {}


def office_words(labels: Iterator[str]) -> frozenset[str]:
    return frozenset(word for label in labels for word in words(plain(label)))


def _tree(node: Any, definitions: Mapping[str, Any], name: str) -> Union[Place, "dict[str, Place | Tree]", None]:
    links = [*chain(node, definitions)]
    below: dict[str, Place | Tree] = {}
    for link in reversed(links):  # what refers has the last word on what it refers to
        parts = {**link.get("properties", {}), **({"*": link["items"]} if "items" in link else {})}
        for inner, entry in parts.items():
            found = _tree(entry, definitions, name if inner == "*" else inner)
            if found is not None:
                below[inner] = found
    if below:
        return below
    return _place(links, definitions, name)


def _place(links: list[Mapping[str, Any]], definitions: Mapping[str, Any], name: str) -> Place | None:
    called = {link["$ref"].removeprefix("#/$defs/") for link in links if "$ref" in link}
    if called & _FIXED or _enumerated(links, definitions):
        return Place.FIXED
    if not any(link.get("type") == "string" for link in links):
        return None
    formats = {link["format"] for link in links if "format" in link}
    if formats & _DAYS:
        return Place.DAY
    if called & _PERSON:
        return Place.PERSON
    if "Line" in called:
        return Place.TEXT if name in _TELLING else Place.REFERENCE if name.endswith("_no") else Place.LABEL
    return Place.TEXT if "Text" in called else Place.REFERENCE


def _enumerated(links: list[Mapping[str, Any]], definitions: Mapping[str, Any]) -> bool:
    return any(
        "enum" in link
        or "const" in link
        or ("anyOf" in link and all(_enumerated([*chain(one, definitions)], definitions) for one in link["anyOf"]))
        for link in links
    )
