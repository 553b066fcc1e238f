"""JSON Schema fragments, durations and situations in words.

Says everything that the fragment says: what has no words here is shown as the JSON that it is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.agreement.conditions import Duration
from gateway.agreement.vocabulary import Situation
from scripts.docs.markdown import code, joined, listed

_UNITS: Final = ("year", "month", "day", "hour", "minute", "second")
_BOUNDS: Final = {
    "minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
}  # fmt: skip
_LENGTHS: Final = {
    "minItems": "at least {} element(s)", "maxItems": "at most {} element(s)", "minLength": "at least {} character(s)",
    "maxLength": "at most {} character(s)", "minProperties": "at least {} member(s)", "maxProperties": "at most {} member(s)",
}  # fmt: skip
_WORDED: Final = frozenset(
    {"type", "const", "enum", "not", "anyOf", "oneOf", "allOf", "pattern", "format", "items", "contains", "uniqueItems",
     "properties", "required", "additionalProperties", *_BOUNDS, *_LENGTHS}
)  # fmt: skip


def period(duration: Duration) -> str:
    """`2 years`, `15 minutes`."""
    years, months = divmod(duration.months, 12)
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{count} {unit}{'' if count == 1 else 's'}"
        for count, unit in zip((years, months, duration.days, hours, minutes, seconds), _UNITS, strict=True)
        if count
    ]
    return joined(parts)


def given(situation: Situation) -> str:
    """All that must hold at once."""
    return " and ".join(f"{code(pointer.text)} {must(fragment.schema)}" for pointer, fragment in situation.items())


def must(schema: Mapping[str, Any]) -> str:
    """What a value must be: `is one of A, B`, to be read after the name of the place."""
    if set(schema) == {"$ref"}:
        return f"is a {code(schema['$ref'].rpartition('/')[2])}"
    if set(schema) - _WORDED:
        return f"meets {code(schema)}"
    parts = list(_parts(schema))
    return " and ".join(parts) if parts else "is there"


def _parts(schema: Mapping[str, Any]) -> Iterator[str]:
    if "const" in schema:
        yield f"is {code(schema['const'])}"
    if "enum" in schema:
        yield f"is {listed(schema['enum'])}"
    if "type" in schema and not {"const", "enum"} & set(schema):
        yield f"is {_a(schema['type'])}"
    for keyword, words in _BOUNDS.items():
        if keyword in schema:
            yield f"is {words} {schema[keyword]}"
    for keyword, words in _LENGTHS.items():
        if keyword in schema:
            yield f"has {words.format(schema[keyword])}"
    if "pattern" in schema:
        yield f"matches {code(schema['pattern'])}"
    if "format" in schema:
        yield f"has the form {code(schema['format'])}"
    yield from _of_elements(schema)
    yield from _of_members(schema)
    if "not" in schema:
        yield f"is not such that it {must(schema['not'])}"
    for keyword, word in (("anyOf", "or"), ("oneOf", "or, and not both,"), ("allOf", "and")):
        if keyword in schema:
            yield f" {word} ".join(f"({must(branch)})" for branch in schema[keyword])


def _of_elements(schema: Mapping[str, Any]) -> Iterator[str]:
    if "items" in schema:
        yield f"each element {must(schema['items'])}"
    if "contains" in schema:
        yield f"some element {must(schema['contains'])}"
    if schema.get("uniqueItems"):
        yield "has no element twice"


def _of_members(schema: Mapping[str, Any]) -> Iterator[str]:
    bare = [name for name in schema.get("required", ()) if name not in schema.get("properties", {})]
    if bare:
        yield f"has {listed(bare, 'and')}"
    for name, part in schema.get("properties", {}).items():
        yield f"its {code(name)} {must(part)}"
    if schema.get("additionalProperties") is False:
        yield "has no other member"


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {'text' if kind == 'string' else kind}"
