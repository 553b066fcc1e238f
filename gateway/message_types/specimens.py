"""Specimens: synthetic values that a JSON Schema is likely to accept, and small changes of a value that it accepts.

Decides which values are worth trying when two schemas, or two agreements, are compared: bounds, codes, optional members
with and without. Promises nothing about them: who tries a specimen asks the real validators. Pure and deterministic;
nothing in a specimen is about a real person.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

import jsonschema_rs

_DEPTH: Final = 12
_CODES: Final = 60
_LONG: Final = 5000
_CHARACTERS: Final = "A0a1-./ _:z"
_UNBOUNDED: Final = frozenset({"*", "+", "{"})

FORMATS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "nik": ("3604081503900001", "3604085503900001"),
        "nip": ("199003152015031001",),
        "nrp": ("90031234",),
        "travel-document-number": ("X0000001", "X1"),
        "mrz-number": ("X0000001<4", "L898902C36"),
        "e164": ("+6281200000001", "+621200000"),
        "partial-date": ("1990-03-15", "1990-03", "1990"),
        "police-report-no": ("LP/A/1/I/2026/SPKT",),
        "region-code": ("36.04.08.2009", "36.04.08", "36.04", "36"),
        "date": ("2026-03-10", "2026-01-01"),
        "date-time": ("2026-03-10T10:00:00+07:00", "2026-01-01T00:00:00Z"),
    }
)
"""Synthetic texts of each format of `gateway.message_types.formats`."""


def specimens(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Values for a self-contained schema: the least and the most that it asks for, bounds, every code of a short list."""
    yield from _values(schema, root or schema, _DEPTH)


def variations(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """`value` with one place changed: a member left out or added, a value put in its place."""
    yield from _changed(schema, value, root or schema, _DEPTH)


def flat(schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with what it refers to, and every branch of `allOf`, as keywords of one object; nearer ones win."""
    if not isinstance(schema, dict | Mapping):
        return {}
    members: dict[str, Any] = {key: value for key, value in schema.items() if key not in {"$ref", "allOf"}}
    parts = list(schema.get("allOf", ()))
    if "$ref" in schema:
        parts.append(resolved(schema["$ref"], root))
    for part in parts:
        for key, value in flat(part, root).items():
            if key == "properties":
                members[key] = {**value, **members.get(key, {})}
            elif key == "required":
                members[key] = [*dict.fromkeys([*members.get(key, ()), *value])]
            else:
                members.setdefault(key, value)
    return members


def resolved(reference: str, root: Mapping[str, Any]) -> Any:
    """What `#/$defs/Name` names in `root`; an empty schema for any other reference."""
    return root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})


def _values(schema: Any, root: Mapping[str, Any], depth: int) -> Iterator[Any]:
    node = flat(schema, root)
    if depth == 0 or not node:
        return
    if "const" in node:
        yield node["const"]
        return
    if "enum" in node:
        yield from _coded(node)
        return
    for keyword in ("anyOf", "oneOf"):
        rest = {key: value for key, value in node.items() if key != keyword}
        for branch in node.get(keyword, ()):
            yield from islice(_values({**rest, "allOf": [branch]}, root, depth - 1), _CODES)
    kinds = node.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        match kind:
            case "string":
                yield from _texts(node)
            case "integer" | "number":
                yield from _numbers(node)
            case "boolean":
                yield from (True, False)
            case "null":
                yield None
            case "array":
                yield from _arrays(node, root, depth)
            case "object":
                yield from _objects(node, root, depth)


def _coded(node: Mapping[str, Any]) -> Iterator[Any]:
    pattern = node.get("pattern")
    fits = _pattern(pattern) if isinstance(pattern, str) else None
    fitting = [code for code in node["enum"] if fits is None or fits.is_valid(code)]
    # Of a long list its two ends are as good as all of it.
    yield from fitting if len(fitting) <= _CODES else [*fitting[: _CODES // 2], *fitting[-_CODES // 2 :]]


def _numbers(node: Mapping[str, Any]) -> Iterator[Any]:
    low, high = node.get("minimum"), node.get("maximum")
    for number in dict.fromkeys((low, high, 0, 1, 2, 3, 10)):
        if number is not None and (low is None or number >= low) and (high is None or number <= high):
            yield number


def _texts(node: Mapping[str, Any]) -> Iterator[str]:
    shortest, longest = node.get("minLength", 0), min(node.get("maxLength", _LONG), _LONG)
    if "format" in node:
        yield from FORMATS.get(node["format"], ())
        return
    if "pattern" not in node:
        yield from dict.fromkeys(("A" * max(shortest, 1), "A" * longest, "Contoh".ljust(shortest, "o")[:longest]))
        return
    text = matching(node["pattern"])
    if text is None:
        return
    yield text
    # A bound on the length is met by repeating a character where the pattern allows it.
    for length in dict.fromkeys((shortest, longest)):
        if len(text) < length:
            for place in range(len(text), 0, -1):
                yield text[:place] + text[place - 1] * (length - len(text)) + text[place:]


def _arrays(node: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Iterator[Any]:
    wanted = [*islice(_values(node.get("contains"), root, depth - 1), 1)]
    items = [*wanted, *islice(_values(node.get("items", {}), root, depth - 1), _CODES)]
    distinct = [item for number, item in enumerate(items) if item not in items[:number]]
    for length in dict.fromkeys((node.get("minItems", 0), 1, 2, min(node.get("maxItems", 2), 200))):
        if length <= len(distinct):
            yield distinct[:length]
        elif items and not node.get("uniqueItems"):
            yield (distinct * (length // len(distinct) + 1))[:length]
    if distinct and not node.get("uniqueItems") and node.get("maxItems", 2) > 1:
        yield distinct[:1] * max(2, min(node.get("minItems", 2), 200))


def _objects(node: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Iterator[Any]:
    members: dict[str, Any] = {}
    for name, member in node.get("properties", {}).items():
        for value in islice(_values(member, root, depth - 1), 1):
            members[name] = value
    required = set(node.get("required", ()))
    least = {name: value for name, value in members.items() if name in required}
    yield least
    if len(members) > len(least):
        yield members
        for name in members.keys() - required:
            yield {**least, name: members[name]}


def _changed(schema: Any, value: Any, root: Mapping[str, Any], depth: int) -> Iterator[Any]:
    node = flat(schema, root)
    if depth == 0 or not node:
        return
    yield from (other for other in _values(schema, root, 4) if other != value)
    for branch in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _changed(branch, value, root, depth - 1)
    if isinstance(value, dict):
        for name, member in node.get("properties", {}).items():
            if name in value:
                yield {key: entry for key, entry in value.items() if key != name}
                for other in _changed(member, value[name], root, depth - 1):
                    yield {**value, name: other}
            else:
                for added in islice(_values(member, root, depth - 1), _CODES):
                    yield {**value, name: added}
    elif isinstance(value, list):
        for place, item in enumerate(value[:3]):
            for other in _changed(node.get("items", {}), item, root, depth - 1):
                yield [*value[:place], other, *value[place + 1 :]]
        if value:
            yield value[:-1]
            yield [*value, value[-1]]


def _pattern(pattern: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"type": "string", "pattern": pattern}, offline=True)


def matching(pattern: str) -> str | None:
    """A short text that matches, None where this small reader of regular expressions does not find one."""
    try:
        text = _Reader(pattern).alternatives()
        return text if _pattern(pattern).is_valid(text) else None
    except (IndexError, ValueError, StopIteration):
        return None


class _Reader:
    """Reads a pattern from left to right and writes the least that it asks for, the first alternative each time."""

    def __init__(self, pattern: str) -> None:
        self.rest = pattern

    def take(self, length: int) -> str:
        taken, self.rest = self.rest[:length], self.rest[length:]
        return taken

    def alternatives(self) -> str:
        first = self.sequence()
        while self.rest.startswith("|"):
            self.take(1)
            self.sequence()
        return first

    def sequence(self) -> str:
        made = ""
        while self.rest and self.rest[0] not in "|)":
            atom = self.atom()
            made += atom * self.times()
        return made

    def atom(self) -> str:
        if self.rest[0] in "^$":
            self.take(1)
            return ""
        if self.rest[0] == "(":
            self.take(3 if self.rest.startswith("(?:") else 1)
            inner = self.alternatives()
            self.take(1)
            return inner
        if self.rest[0] == "[":
            end = next(i for i in range(2, len(self.rest)) if self.rest[i] == "]" and self.rest[i - 1] != "\\")
            return self.one_of(self.take(end + 1))
        if self.rest[0] == "\\":
            end = self.rest.index("}") + 1 if self.rest[1] in "pP" else 6 if self.rest[1] == "u" else 2
            escaped = self.take(end)
            return escaped[1] if end == 2 and not escaped[1].isalnum() else self.one_of(escaped)  # noqa: PLR2004
        return "A" if self.rest[0] == "." and self.take(1) else self.take(1)

    def one_of(self, characters: str) -> str:
        fits = _pattern(f"^{characters}$")
        candidates = _CHARACTERS + "".join(map(chr, range(33, 127)))
        return next(character for character in candidates if fits.is_valid(character))

    def times(self) -> int:
        if not self.rest or self.rest[0] not in _UNBOUNDED | {"?"}:
            return 1
        if self.rest[0] == "{":
            found = re.match(r"\{([0-9]+)(?:,[0-9]*)?\}", self.rest)
            if found is None:
                raise ValueError(self.rest)
            self.take(found.end())
            return int(found.group(1))
        return 1 if self.take(1) == "+" else 0
