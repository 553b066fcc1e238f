"""What a text tells of a field: its value, and what may be made from its value."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.decision.decide import Decision
from gateway.message.envelope import VerifiedMessage
from gateway.message_types.specimens import flat
from tests.properties.exchanges import (
    MESSAGES,
    at,
    leaves,
)

DATES = frozenset({"date", "date-time", "partial-date", "region-code", "police-report-no"})


# Texts that many people share, and tokens made up to stand for somebody: they say of nobody who it is.
SHARED = frozenset({
    "birth_place", "unit", "rank", "position", "office", "carrier", "venue", "venue_name", "course_title", "course_code",
    "facility_id", "victim_token", "reference",
})  # fmt: skip


NAMES = frozenset({"full_name", "family_name", "given_names", "name", "alias", "aliases"})


STORIES = frozenset({
    "narrative", "summary", "reason", "explanation", "grounds", "objective", "health_summary", "remarks", "description",
    "next_action",
})  # fmt: skip


def declared(type_: str, pointer: str) -> list[dict[str, Any]]:
    """What the schema of the type says of the value at a pointer from `/body` on, in every branch of it."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    root: Any = kind.schema
    nodes = [*_branches(root, root)]
    for step in pointer.split("/")[2:]:
        below = [node["items"] if step.isdigit() else node["properties"][step] for node in nodes if _has(node, step)]
        nodes = [branch for node in below for branch in _branches(node, root)]
    return nodes


def _has(node: dict[str, Any], step: str) -> bool:
    return "items" in node if step.isdigit() else step in node.get("properties", {})


def _branches(node: Any, root: Any) -> Iterator[dict[str, Any]]:
    flattened = flat(node, root)
    yield flattened
    for branch in (*flattened.get("anyOf", ()), *flattened.get("oneOf", ())):
        yield from _branches(branch, root)


def tells(type_: str, pointer: str, value: Any) -> bool:
    """Whether a value is somebody's or something's own: free words or a number, and no code, date or region."""
    name = _called(pointer)
    if not isinstance(value, str) or len(value) < 4 or name in SHARED:
        return False
    nodes = declared(type_, pointer)
    return not any("enum" in node or "const" in node or node.get("format") in DATES for node in nodes)


def held(pointer: str, withheld: tuple[str, ...]) -> bool:
    return any(pointer == entry or pointer.startswith(f"{entry}/") for entry in withheld)


def decoded(text: str) -> list[bytes]:
    """Every byte that a recipient can read in a message: header, payload and disclosures, out of their base64."""
    jwt, *disclosures = text.split("~")
    parts = [*jwt.split(".")[:2], *disclosures[:-1]]
    return [urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]


def words_in(parts: Iterable[bytes]) -> str:
    """All that can be read, as one text, without case: the bytes as they are, and each text of what is JSON."""
    texts: list[str] = []
    for raw in parts:
        texts.append(raw.decode())
        try:
            texts += _strings(json.loads(raw))
        except ValueError:
            continue
    return "\n".join(texts).casefold()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from (name, *_strings(member))
    elif isinstance(value, list):
        for member in value:
            yield from _strings(member)
    elif isinstance(value, str):
        yield value


def said(needle: str, words: str) -> bool:
    """Whether it stands there as a word of its own: Sari is not told by Sarinah."""
    needle = needle.casefold()
    before, after = (r"(?<!\w)" if needle[0].isalnum() else ""), (r"(?!\w)" if needle[-1].isalnum() else "")
    return re.search(before + re.escape(needle) + after, words) is not None


def leaks(type_: str, message: VerifiedMessage, decision: Decision, text: str) -> list[str]:
    """Every way in which the released text tells something that the decision withholds, in words for the failure."""
    view, words, sent = {"body": message.body}, words_in(decoded(text)), text.split("~")
    gone = [(pointer + below, value) for pointer in decision.withheld for below, value in leaves(at(view, pointer))]
    stories = "\n".join(
        value for pointer, value in leaves(view) if _called(pointer) in STORIES and not held(pointer, decision.withheld)
    ).casefold()
    found = [
        f"{pointer} is told"
        for pointer, value in gone
        if tells(type_, pointer, value) and said(value, stories if _is_shared(pointer, value) else words)
    ]
    found += [
        f"{place.pointer} is there"
        for place in message.placed
        if held(place.pointer, decision.withheld) and place.disclosure.encoded in sent
    ]
    for pointer, value in gone:
        found += [f"{pointer} is told by {number}" for number in _made_from(pointer, value, view, words)]
    return found


def _called(pointer: str) -> str:
    return re.sub(r"/[0-9]+", "", pointer).rpartition("/")[2]


def _is_shared(pointer: str, value: str) -> bool:
    """One word of a person's name: relatives have it, offices and ships as well, and only a story says by it who is meant."""
    return _called(pointer) in NAMES and len(value.split()) == 1


def _made_from(pointer: str, value: Any, view: dict[str, Any], words: str) -> Iterator[str]:
    """Numbers among the words that are made from a withheld value: by their digits anywhere, or as the same one's."""
    holder, _, name = pointer.rpartition("/")
    if name == "birth_date" and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        year, month, day = value.split("-")
        for number in re.findall(r"(?<!\d)\d{16}(?!\d)", words):
            if number[8:12] == month + year[2:] and int(number[6:8]) % 40 == int(day):
                yield number
        for number in re.findall(r"(?<!\d)\d{18}(?!\d)", words):
            if number[:8] == year + month + day:
                yield number
    made = {
        "birth_date": ("nik", "nip", "nrp"),
        "sex": ("nik", "nip"),
        "number": ("mrz_number",),
        "mrz_number": ("number",),
    }
    own = at(view, holder) if name in made else {}
    for other in made.get(name, ()):
        if other in own and said(own[other], words):
            yield other
