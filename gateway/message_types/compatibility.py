"""Whether a new version of a message type's schema still takes everything that the old one took.

Decides YES, NO or UNKNOWN, for bodies as sent and as released, and shows a body that was good and is no longer. Leaves
to `operations` what may be published: only YES keeps a major version. Annotations say nothing about a body and are
ignored, but for `x-sensitive`, which makes the release schema. A format is a name here: one that is added or changed is
not proven to take what went before, and a format whose code changed under the same name is not seen. A
code that is in force on fewer days than before (`x-code-days`) is a NO.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import chain, islice
from typing import Any, Final

import jsonschema_rs
from jsonschema_rs import canonical

from gateway.errors import SchemaInvalidError
from gateway.message_types.schema import Judge, released
from gateway.message_types.specimens import specimens, variations
from gateway.message_types.validity import (
    CODE_DAYS,
    MINOR_ON,
    VALID_ON,
    checks,
    list_of,
    mrz_places,
    published_days,
    violations,
)

CANDIDATES: Final = 20_000
"""How many bodies are tried at most in the search for a witness."""

_SCHEMAS: Final = frozenset({"items", "additionalProperties", "contains", "not", "if", "then", "else"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf"})
_NAMED: Final = frozenset({"properties", "$defs"})
_SILENT: Final = frozenset({"$id", "$comment", "title", "description"})
# What `validity` asks beside the schema: a set of values cannot say it.
_BESIDE: Final = (VALID_ON, MINOR_ON)
_NOTHING: Final = object()


class Verdict(Enum):
    """Only YES is a proof; UNKNOWN is treated as NO by everyone who must be sure."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Compatibility:
    """`form`: whether bodies as `sent` or as `released` are what the verdict turns on; None where both are taken.

    `witness`: a body that the old schema takes and the new one rejects, both asked; None where none was found.
    `newly_rejected`: a schema of all such bodies, where the algebra can state it.
    """

    verdict: Verdict
    form: str | None = None
    witness: Any = None
    newly_rejected: Any = None


def compare(old: Mapping[str, Any], new: Mapping[str, Any], examples: Iterable[Any] = ()) -> Compatibility:
    """Two self-contained schemas of one type; `examples` are bodies that the old one takes. Never raises for a valid schema.

    Raises SchemaInvalidError for a schema that no validator can be made of.
    """
    bodies = tuple(examples)
    if shortened := _shortened(old, new):
        return _fewer_days(old, new, bodies, shortened)
    sent = _compare(old, new, bodies, "sent")
    return _compare(released(old), released(new), bodies, "released") if sent.verdict is Verdict.YES else sent


def algebra(schema: Mapping[str, Any] | bool) -> jsonschema_rs.CanonicalSchema:
    """The schema as a set of values: without annotations, every format an opaque name.

    JSON Schema's own `date` takes more than this program's: under its own name the algebra would reason about the wrong one.
    Raises SchemaInvalidError.
    """
    try:
        return jsonschema_rs.canonicalize(
            _bare(schema), draft=jsonschema_rs.Draft202012, validate_formats=True, offline=True
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise SchemaInvalidError("not a schema that can be compared") from error


def covers(wide: jsonschema_rs.CanonicalSchema, narrow: jsonschema_rs.CanonicalSchema) -> Verdict:
    """Whether `wide` takes every value that `narrow` takes."""
    try:
        return Verdict(wide.covers(narrow).value)
    except canonical.CanonicalizationError:
        return Verdict.UNKNOWN


Schema = Mapping[str, Any] | bool | jsonschema_rs.CanonicalSchema


def both(one: Schema, *others: Schema) -> jsonschema_rs.CanonicalSchema | None:
    """The values that meet all of the schemas; None where the algebra cannot say which."""
    met = _set(one)
    try:
        for other in others:
            met = met.intersect(_set(other))
    except canonical.CanonicalizationError:
        return None
    return met


def possible(one: Schema, *others: Schema) -> Verdict:
    """Whether some value meets all of the schemas."""
    met = both(one, *others)
    return Verdict.UNKNOWN if met is None else Verdict(met.satisfiability().value)


def _set(schema: Schema) -> jsonschema_rs.CanonicalSchema:
    return schema if isinstance(schema, jsonschema_rs.CanonicalSchema) else algebra(schema)


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], examples: tuple[Any, ...], form: str) -> Compatibility:
    before, after = algebra(old), algebra(new)
    verdict = Verdict.YES if before == after else covers(after, before)
    if verdict is Verdict.YES and _asks_more(old, new):
        verdict = Verdict.UNKNOWN
    rest = None if verdict is Verdict.YES else _newly_rejected(before, after)
    # Even a YES is asked about the examples: the validators have the last word.
    candidates = examples if verdict is Verdict.YES else _candidates(old, rest, examples)
    witness = _witness(Judge(old), Judge(new), candidates)
    if witness is not _NOTHING:
        return Compatibility(Verdict.NO, form, witness, rest)
    if verdict is Verdict.YES:
        return Compatibility(Verdict.YES)
    return Compatibility(verdict, form, None, rest)


def _asks_more(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether there is a check of `validity` in the new schema that may not be in the old one."""
    if not mrz_places(new) <= mrz_places(old):
        return True
    return any(keyword in new and new[keyword] != old.get(keyword) for keyword in _BESIDE)


def _shortened(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Codes that are in force on fewer days than before."""
    if VALID_ON not in old or new.get(VALID_ON) != old[VALID_ON]:
        return ()
    before, after = published_days(old), published_days(new)
    named = sorted({*before, *after})
    return tuple(code for code in named if before[code][0] < after[code][0] or after[code][1] < before[code][1])


def _fewer_days(
    old: Mapping[str, Any], new: Mapping[str, Any], examples: tuple[Any, ...], shortened: tuple[str, ...]
) -> Compatibility:
    name = str(list_of(old))
    before, after = (checks(schema, {name: published_days(schema)}) for schema in (old, new))
    judge = Judge(old)
    taken = (body for body in examples if not judge.violations(body) and not violations(before, body))
    witness = next((body for body in taken if violations(after, body)), None)
    return Compatibility(
        Verdict.NO, "sent", witness, {CODE_DAYS: {code: new[CODE_DAYS].get(code) for code in shortened}}
    )


def _newly_rejected(before: jsonschema_rs.CanonicalSchema, after: jsonschema_rs.CanonicalSchema) -> Any:
    try:
        return before.subtract(after).to_json_schema()
    except canonical.CanonicalizationError:
        return None


def _candidates(old: Mapping[str, Any], rest: Any, examples: tuple[Any, ...]) -> Iterator[Any]:
    made = [*islice(specimens(old), 200)]
    narrowed = specimens(rest) if isinstance(rest, dict) else iter(())
    varied = chain.from_iterable(variations(old, body) for body in (*examples, *made))
    return islice(chain(examples, narrowed, made, varied), CANDIDATES)


def _witness(old: Judge, new: Judge, candidates: Iterable[Any]) -> Any:
    return next((body for body in candidates if not old.violations(body) and new.violations(body)), _NOTHING)


def _bare(schema: Any) -> Any:
    if not isinstance(schema, dict | Mapping):
        return schema
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _SILENT or keyword.startswith("x-"):
            continue
        if keyword == "format":
            copy[keyword] = f"sinergi-{value}"
        elif keyword in _SCHEMAS:
            copy[keyword] = _bare(value)
        elif keyword in _LISTS:
            copy[keyword] = [_bare(entry) for entry in value]
        elif keyword in _NAMED:
            copy[keyword] = {name: _bare(entry) for name, entry in value.items()}
        else:
            copy[keyword] = value
    return copy
