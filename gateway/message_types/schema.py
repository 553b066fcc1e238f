"""One JSON Schema: made self-contained, relaxed for release, and turned into reasons when a body violates it.

Decides what a released body must still have, and the words of every violation. Leaves to `catalogue` which schemas there
are and where they come from. Pure; a reference to anything but the given documents is an error, so nothing is fetched.

A `Reason` names places and expectations, never values: its pointer stops at the parent of a member that the schema does
not know, because a name can be a NIK as well as a value can.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import jsonschema_rs
from jsonschema_rs import ValidationErrorKind as Kind

from gateway.errors import Reason, SchemaInvalidError
from gateway.message_types.formats import FORMATS

MAX_REASONS: Final = 64
_SHORT_LIST: Final = 20

# Draft 2020-12 as far as this catalogue uses it. A word outside these (a misspelt "requierd") is refused when the
# catalogue is loaded: JSON Schema itself would ignore it and check nothing.
ONE_SCHEMA: Final = frozenset({"items", "additionalProperties", "contains", "not", "if", "then", "else"})
LISTED_SCHEMAS: Final = frozenset({"allOf", "anyOf", "oneOf"})
NAMED_SCHEMAS: Final = frozenset({"properties", "$defs"})
_ASSERTIONS: Final = frozenset({
    "type", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "required", "dependentRequired", "minProperties", "maxProperties",
    "minItems", "maxItems", "uniqueItems", "minContains", "maxContains",
})  # fmt: skip
_ANNOTATIONS: Final = frozenset({
    "$schema", "$id", "$ref", "$comment", "title", "description", "x-title-id", "x-description-id",
    "x-sensitive", "x-protects", "x-unit", "x-code-list", "x-level", "x-labels",
    "x-valid-on", "x-minor-on", "x-mrz-of", "x-code-days",
})  # fmt: skip
_KNOWN: Final = ONE_SCHEMA | LISTED_SCHEMAS | NAMED_SCHEMAS | _ASSERTIONS | _ANNOTATIONS
# What may make one member's presence depend on another's.
_CONDITIONAL: Final = ("allOf", "anyOf", "oneOf", "not", "dependentRequired")
_UNJUDGED: Final = Reason("schema.violated", pointer="/body", detail="expected JSON of Unicode text")
_IF: Final = ("if", "then", "else")


def _rebuilt(schema: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a schema with every direct subschema changed."""
    if not isinstance(schema, dict):
        return schema
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ONE_SCHEMA:
            copy[keyword] = change(value)
        elif keyword in LISTED_SCHEMAS:
            copy[keyword] = [change(entry) for entry in value]
        elif keyword in NAMED_SCHEMAS:
            copy[keyword] = {name: change(entry) for name, entry in value.items()}
        else:
            copy[keyword] = value
    return copy


def self_contained(identifier: str, by_id: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with all it refers to in its own `$defs`, under the names they have in `common/`."""
    definitions: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def local(schema: Any, base: str) -> Any:
        if not isinstance(schema, dict):
            return schema
        if not schema.keys() <= _KNOWN:
            raise SchemaInvalidError(f"{base}: unknown keywords {sorted(schema.keys() - _KNOWN)}")
        if "format" in schema and schema["format"] not in FORMATS:
            raise SchemaInvalidError(f"{base}: unknown format {schema['format']}")
        copy: dict[str, Any] = _rebuilt(schema, lambda entry: local(entry, base))
        if "$ref" in copy:
            copy["$ref"] = f"#/$defs/{define(copy['$ref'], base)}"
        return copy

    def define(reference: str, base: str) -> str:
        document, _, fragment = reference.partition("#/$defs/")
        document = document or base
        if fragment not in by_id.get(document, {}).get("$defs", {}):
            raise SchemaInvalidError(f"{base}: {reference} is not in the catalogue")
        if origins.setdefault(fragment, document) != document:
            raise SchemaInvalidError(f"{identifier}: two definitions are called {fragment}")
        if definitions.get(fragment) is None:
            if fragment in definitions:
                raise SchemaInvalidError(f"{identifier}: {fragment} refers back to itself")
            definitions[fragment] = None
            definitions[fragment] = local(by_id[document]["$defs"][fragment], document)
        return fragment

    root: dict[str, Any] = local(by_id[identifier], identifier)
    return {**root, "$defs": dict(sorted(definitions.items()))}


def chain(schema: Any, definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema, and what it refers to, in turn."""
    while isinstance(schema, dict):
        yield schema
        reference = schema.get("$ref")
        schema = definitions[reference.removeprefix("#/$defs/")] if reference else None


def _is_sensitive(schema: Any, definitions: Mapping[str, Any]) -> bool:
    return any(part.get("x-sensitive") is True for part in chain(schema, definitions))


def _sensitive(schema: Any, definitions: Mapping[str, Any], at: str) -> Iterator[str]:
    for part in chain(schema, definitions):
        parts = {name: entry for name, entry in part.get("properties", {}).items() if isinstance(entry, dict)}
        if "items" in part:
            parts["*"] = part["items"]
        for name, entry in parts.items():
            if _is_sensitive(entry, definitions):
                yield f"{at}/{name}"
            yield from _sensitive(entry, definitions, f"{at}/{name}")


def sensitive_pointers(schema: Mapping[str, Any]) -> frozenset[str]:
    """Where sensitive fields are, as pointer patterns: `/body/crossings/*/document`, `*` being any array index."""
    return frozenset(_sensitive(schema, schema["$defs"], "/body"))


def absent_pointers(schema: Mapping[str, Any]) -> frozenset[str]:
    """Where a member may be missing from a body as released, as pointer patterns: sensitive ones and optional ones.

    `schema` is a release schema. A member that some condition of the schema names is left out: it may be needed.
    """
    definitions = schema["$defs"]
    conditions: list[Any] = []

    def look(part: Any) -> Any:
        if isinstance(part, dict):
            conditions.extend(part[keyword] for keyword in (*_CONDITIONAL, *_IF) if keyword in part)
        return _rebuilt(part, look)

    look(dict(schema))

    def optional(node: Any, at: str) -> Iterator[str]:
        links = [*chain(node, definitions)]
        needed = {name for link in links for name in link.get("required", ())}
        counted = any(link.keys() & {"minProperties", "minItems", "contains"} for link in links)
        for link in links:
            parts = {**link.get("properties", {}), **({"*": link["items"]} if "items" in link else {})}
            for name, entry in parts.items():
                free = not counted and name not in needed and not _mentions(conditions, {name})
                if free or _is_sensitive(entry, definitions):
                    yield f"{at}/{name}"
                yield from optional(entry, f"{at}/{name}")

    return frozenset(optional(schema, "/body"))


def released(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with every sensitive field optional; a condition that mentions one of their names is dropped whole.

    Dropping may permit a little more than necessary. That is harmless: what is released was checked in full before.
    """
    definitions = schema["$defs"]
    names = {pointer.rpartition("/")[2] for pointer in sensitive_pointers(schema)}

    def relax(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        withheld = {
            name
            for link in chain(part, definitions)
            for name, entry in link.get("properties", {}).items()
            if _is_sensitive(entry, definitions)
        }
        dropped = {keyword for keyword in _CONDITIONAL if _mentions(part.get(keyword), names)}
        if any(_mentions(part.get(keyword), names) for keyword in _IF):
            dropped.update(_IF)
        if withheld:
            dropped.add("minProperties")
        if _is_sensitive(part.get("items"), definitions):
            dropped.update(("minItems", "contains", "minContains", "maxContains"))
        if any(_sensitive(part.get("items"), definitions, "")):
            dropped.add("uniqueItems")  # two elements may differ only in what is withheld
        kept = {keyword: value for keyword, value in _rebuilt(part, relax).items() if keyword not in dropped}
        if "required" in kept:
            kept["required"] = [name for name in kept["required"] if name not in withheld]
        return kept

    relaxed: dict[str, Any] = relax(dict(schema))
    return relaxed


def _mentions(value: Any, names: set[str]) -> bool:
    if isinstance(value, dict):
        return not names.isdisjoint(value) or any(_mentions(entry, names) for entry in value.values())
    if isinstance(value, list):
        return any(_mentions(entry, names) for entry in value)
    return value in names


class Judge:
    """A compiled schema. Immutable, and safe to use from many threads."""

    __slots__ = ("_longest", "_schema", "_validator")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """From a self-contained schema; SchemaInvalidError if it is not valid draft 2020-12."""
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                dict(schema),
                formats={name: entry.check for name, entry in FORMATS.items()},
                validate_formats=True,
                ignore_unknown_formats=False,
                registry=jsonschema_rs.Registry([]),
                offline=True,
                mask="…",
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise SchemaInvalidError(f"{schema.get('$id')} is not a valid schema") from error
        self._schema = schema
        self._longest = _longest_array(schema)

    def violations(self, body: Any) -> tuple[Reason, ...]:
        """Every violation, at most 64, by pointer; empty if the body conforms. Never raises: an error is a violation."""
        try:
            if self._validator.is_valid(body):
                return ()
            errors = self._validator.iter_errors(_shortened(body, self._longest + 1))
            found = {_reason(error, self._schema) for error in errors}
        except (ValueError, RecursionError):
            # Not JSON (a lone surrogate, a key that is no text) or nested too deep: what cannot be judged is refused.
            found = set()
        ordered = sorted(found, key=lambda reason: (reason.pointer or "", reason.detail or ""))
        return tuple(ordered[:MAX_REASONS]) or (_UNJUDGED,)


def _longest_array(schema: Any) -> int:
    longest = 0

    def look(entry: Any) -> Any:
        nonlocal longest
        longest = max(longest, entry.get("maxItems", 0) if isinstance(entry, dict) else 0)
        return _rebuilt(entry, look)

    look(dict(schema))
    return longest


def _shortened(value: Any, length: int) -> Any:
    """Arrays cut just beyond what any schema allows: explaining 200,000 wrong elements one by one takes seconds."""
    if isinstance(value, dict):
        return {name: _shortened(entry, length) for name, entry in value.items()}
    if isinstance(value, list):
        return [_shortened(entry, length) for entry in value[:length]]
    return value


def _reason(error: jsonschema_rs.ValidationError, schema: Mapping[str, Any]) -> Reason:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path)
    return Reason("schema.violated", pointer="/".join(("/body", *steps)), detail=_expected(error, schema))


def _expected(error: jsonschema_rs.ValidationError, schema: Mapping[str, Any]) -> str:
    """What the schema wanted, in words; nothing in it comes from the message."""
    match error.kind:
        case Kind.Required():
            return f'"{error.kind.property}" is required'
        case Kind.AdditionalProperties() | Kind.UnevaluatedProperties() | Kind.PropertyNames():
            return "expected only members that the schema names"
        case Kind.Type():
            return f"expected {' or '.join(error.kind.types)}"
        case Kind.Format():
            return f"expected {FORMATS[error.kind.format].expected}"
        case Kind.Pattern():
            return f"expected to match {error.kind.pattern}"
        case Kind.Enum():
            return _expected_code(error, schema)
        case Kind.Constant():
            return f"expected {json.dumps(error.kind.expected_value)}"
        case Kind.MinLength() | Kind.MinItems() | Kind.MinProperties() | Kind.Minimum():
            return f"expected at least {error.kind.limit}{_unit(error.kind)}"
        case Kind.MaxLength() | Kind.MaxItems() | Kind.MaxProperties() | Kind.Maximum():
            return f"expected at most {error.kind.limit}{_unit(error.kind)}"
        case Kind.UniqueItems():
            return "expected no element twice"
        case Kind.AnyOf() | Kind.OneOfNotValid() | Kind.OneOfMultipleValid():
            return _expected_alternative(error.kind, schema)
        case Kind.Not():
            return f"expected anything but {json.dumps(error.kind.schema)}"
        case Kind.FalseSchema():
            return "expected nothing here, given the other members"
        case _:
            return f'the keyword "{error.kind.name}" of the schema is not met'


def _unit(kind: Kind) -> str:
    if isinstance(kind, Kind.MinLength | Kind.MaxLength):
        return " character(s)"
    if isinstance(kind, Kind.MinItems | Kind.MaxItems):
        return " element(s)"
    return " member(s)" if isinstance(kind, Kind.MinProperties | Kind.MaxProperties) else ""


def _expected_code(error: jsonschema_rs.ValidationError, schema: Mapping[str, Any]) -> str:
    assert isinstance(error.kind, Kind.Enum)
    if len(error.kind.options) <= _SHORT_LIST:
        return f"expected one of {', '.join(str(option) for option in error.kind.options)}"
    node: Any = schema
    for step in error.schema_path[:-1]:
        node = node[step]
    level = f" ({node['x-level']})" if "x-level" in node else ""
    return f"expected a code of the list {node.get('x-code-list', 'in the schema')}{level}"


def _expected_alternative(
    kind: Kind.AnyOf | Kind.OneOfNotValid | Kind.OneOfMultipleValid, schema: Mapping[str, Any]
) -> str:
    if isinstance(kind, Kind.OneOfMultipleValid):
        return "expected exactly one of the alternatives"
    return " or ".join(dict.fromkeys(_expected(branch[0], schema) for branch in kind.context if branch))
