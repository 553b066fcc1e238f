"""The fields of a message type as rows, and what its schema says beyond single fields."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.message_types.formats import FORMATS
from scripts.docs.conditions import must
from scripts.docs.markdown import code, joined, listed

_UNICODE: Final = re.compile(r"\\[pux]")
COLUMNS: Final = ("field", "kind", "required", "marks", "meaning", "Indonesian")


def rows(schema: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Every field by its path, an array's element as `[]`; what a shared definition holds is told where it is used."""
    return _below(schema, schema["$defs"], "")


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """What holds at a place: its own keywords over those of what it refers to."""
    if "$ref" not in schema:
        return dict(schema)
    return {**_resolved(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions), **schema}


def _below(schema: Mapping[str, Any], definitions: Mapping[str, Any], at: str) -> Iterator[tuple[str, ...]]:
    required = schema.get("required", ())
    for name, entry in schema.get("properties", {}).items():
        here = _resolved(entry, definitions)
        path = f"{at}{name}"
        meaning = f"{here['title']}. {here['description']}"
        kind, marks = _kind(here, definitions), ", ".join(_marks(here))
        yield code(path), kind, "yes" if name in required else "no", marks, meaning, here["x-title-id"]
        while here.get("type") == "array":
            path += "[]"
            here = _resolved(here["items"], definitions)
        yield from _below(_with_base(here, definitions), definitions, f"{path}.")


def _with_base(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """An object that narrows a shared one by `$ref` has the shared one's properties, and both lists of what is required."""
    if "$ref" not in schema:
        return schema
    base = definitions[schema["$ref"].removeprefix("#/$defs/")]
    base = _with_base(dict(base), definitions)
    properties = {**schema.get("properties", {}), **base.get("properties", {})}
    return {"properties": properties, "required": [*base.get("required", ()), *schema.get("required", ())]}


def _marks(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("x-sensitive"):
        yield "sensitive"
    if protected := schema.get("x-protects"):
        yield f"protects {joined(list(protected))}"


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "x-code-list" in schema:
        name = schema["x-code-list"]
        return f"code of [{name}](codes.md#{name}){_level(schema)}"
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(_kind(_resolved(branch, definitions), definitions) for branch in schema["anyOf"])
    match schema.get("type"):
        case "string":
            return _text(schema)
        case "array":
            element = _kind(_resolved(schema["items"], definitions), definitions)
            return f"list of {schema.get('minItems', 0)} to {schema['maxItems']}: {element}"
        case "integer" | "number" as kind:
            unit = f", {schema['x-unit']}s" if "x-unit" in schema else ""
            return (
                f"{'whole number' if kind == 'integer' else 'number'}, {schema['minimum']} to {schema['maximum']}{unit}"
            )
        case None:
            return "see the schema"
        case kind:
            return str(kind)


def _level(schema: Mapping[str, Any]) -> str:
    return f", {schema['x-level']}" if "x-level" in schema else ""


def _text(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return listed(schema["enum"])
    if "format" in schema:
        return f"{code(schema['format'])}: {FORMATS[schema['format']].expected}"
    bounds = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    pattern = schema.get("pattern", "")
    # Classes of Unicode characters tell a reader nothing; the schema has them.
    return f"text{bounds}" + (f", {code(pattern)}" if pattern and not _UNICODE.search(pattern) else "")


def conditions(schema: Mapping[str, Any]) -> Iterator[str]:
    """What the type asks beyond its fields, a sentence each; what a part asks begins with the part's path."""
    yield from _asked(schema)
    if check := schema.get("x-valid-on"):
        until = f" to {code(check['to'])}" if "to" in check else ""
        yield f"Each code of {code(check['codes'])} was in force at the time of {code(check['from'])}{until}."
    if check := schema.get("x-minor-on"):
        who = f"Whoever may be under 18 on the day at {code(check['on'])}, by {code(check['born'])},"
        yield f"{who} {'makes ' + code(check['flag']) + ' true' if 'flag' in check else 'must not be named'}."
        if "band" in check:
            yield f"{code(check['band'])} makes nobody older than {code(check['born'])} allows."
    yield from _within(schema, schema["$defs"], "")


def _within(schema: Mapping[str, Any], definitions: Mapping[str, Any], at: str) -> Iterator[str]:
    for name, entry in schema.get("properties", {}).items():
        here, path = _resolved(entry, definitions), f"{at}{name}"
        while here.get("type") == "array":
            path += "[]"
            here = _resolved(here["items"], definitions)
        if here.get("type") == "object":
            yield from (f"In {code(path)}: {sentence[0].lower()}{sentence[1:]}" for sentence in _asked(here))
            yield from _within(_with_base(here, definitions), definitions, f"{path}.")


def _asked(schema: Mapping[str, Any]) -> Iterator[str]:
    if "if" in schema:
        yield from _branches(schema)
    for part in schema.get("allOf", ()):
        if "if" in part:
            yield from _branches(part)
        else:
            yield f"It {must(part)}."
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            yield f"It {must({keyword: schema[keyword]})}."
    if "minProperties" in schema:
        yield f"It {must({'minProperties': schema['minProperties']})}."
    for name, others in schema.get("dependentRequired", {}).items():
        yield f"With {code(name)} comes {listed(others, 'and')}."


def _branches(schema: Mapping[str, Any]) -> Iterator[str]:
    situation = must(_bare(schema["if"])).removeprefix("its ").replace("has `", "there is `", 1)
    if then := _consequence(schema.get("then", {})):
        yield f"If {situation}: {then}."
    if other := _consequence(schema.get("else", {})):
        yield f"Unless {situation}: {other}."


def _bare(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Without saying twice that what is looked at must be there."""
    named = schema.get("properties", {})
    required = [name for name in schema.get("required", ()) if name not in named]
    rest = {key: value for key, value in schema.items() if key != "required"}
    return rest | ({"required": required} if required else {})


def _consequence(schema: Mapping[str, Any]) -> str:
    parts = [f"{listed(schema['required'], 'and')} must be there"] if schema.get("required") else []
    named = schema.get("properties", {})
    if absent := [name for name, part in named.items() if part is False]:
        parts.append(f"{listed(absent, 'and')} must not be there")
    parts += [f"{code(name)} {must(part)}" for name, part in named.items() if isinstance(part, dict)]
    rest = {key: value for key, value in schema.items() if key not in {"required", "properties"}}
    return "; ".join([*parts, *([f"the body {must(rest)}"] if rest else [])])
