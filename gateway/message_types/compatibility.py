"""Whether a new version of a message type's schema still takes everything that the old one took.

Decides YES, NO or UNKNOWN, for bodies as sent and as released, and shows a body that was good and is no longer. What is
protected less (`protections.py`) is a NO, whatever bodies are taken. Leaves to `operations` what may be published: only YES
keeps a major version. Other annotations say nothing about a body and are ignored. A format is a name here: one that is added or
changed is not proven to take what went before, and a format whose code changed under the same name is not seen. A code that is
in force on fewer days than before (`x-code-days`) is a NO.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain, islice
from typing import Any, Final

import jsonschema_rs
from jsonschema_rs import canonical

from gateway.errors import SchemaInvalidError
from gateway.message_types.protections import asked_less, asked_more, weakened
from gateway.message_types.schema import LISTED_SCHEMAS, NAMED_SCHEMAS, ONE_SCHEMA, Judge, released
from gateway.message_types.specimens import specimens, variations
from gateway.message_types.validity import (
    CODE_DAYS,
    VALID_ON,
    checks,
    list_of,
    published_days,
    violations,
)

CANDIDATES: Final = 20_000
"""How many bodies are tried at most in the search for a witness."""

_SILENT: Final = frozenset({"$id", "$comment", "title", "description"})
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
    `newly_rejected`: a schema of all such bodies, where the algebra can state it. `weakened`: what is protected less;
    `asked_more` and `asked_less`: checks beside the schema that came or went.
    """

    verdict: Verdict
    form: str | None = None
    witness: Any = None
    newly_rejected: Any = None
    weakened: tuple[str, ...] = ()
    asked_more: tuple[str, ...] = ()
    asked_less: tuple[str, ...] = ()


def compare(old: Mapping[str, Any], new: Mapping[str, Any], examples: Iterable[Any] = ()) -> Compatibility:
    """Two self-contained schemas of one type; `examples` are bodies that the old one takes. Never raises for a valid schema.

    Raises SchemaInvalidError for a schema that no validator can be made of.
    """
    found = _of_bodies(old, new, tuple(examples))
    lost = weakened(old, new, all_taken=found.verdict is Verdict.YES)
    return replace(
        found,
        verdict=Verdict.NO if lost else found.verdict,
        weakened=lost,
        asked_more=asked_more(old, new),
        asked_less=asked_less(old, new),
    )


def _of_bodies(old: Mapping[str, Any], new: Mapping[str, Any], bodies: tuple[Any, ...]) -> Compatibility:
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
    # A set of bodies cannot say what is asked beside the schema: nothing is newly rejected by the schema itself then.
    rest = None if verdict is Verdict.YES else _newly_rejected(before, after)
    if verdict is Verdict.YES and asked_more(old, new):
        verdict = Verdict.UNKNOWN
    # Even a YES is asked about the examples: the validators have the last word.
    candidates = examples if verdict is Verdict.YES else _candidates(old, rest, examples)
    witness = _witness(Judge(old), Judge(new), candidates)
    if witness is not _NOTHING:
        return Compatibility(Verdict.NO, form, witness, rest)
    if verdict is Verdict.YES:
        return Compatibility(Verdict.YES)
    return Compatibility(verdict, form, None, rest)


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
        elif keyword in ONE_SCHEMA:
            copy[keyword] = _bare(value)
        elif keyword in LISTED_SCHEMAS:
            copy[keyword] = [_bare(entry) for entry in value]
        elif keyword in NAMED_SCHEMAS:
            copy[keyword] = {name: _bare(entry) for name, entry in value.items()}
        else:
            copy[keyword] = value
    return copy
