"""Whether files are schemas, definitions and code lists at all, before anything is read out of them.

Decides the form alone: members that are there, keywords that hold what JSON Schema (draft 2020-12) and this catalogue's own
words want, nothing deeper than anybody needs. Leaves to `schema` which keywords are known and where references lead, and to
`validity` whether a path in one leads somewhere.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema_rs

from gateway import jcs
from gateway.errors import SchemaInvalidError

DEPTH: Final = 64
_PATH: Final = re.compile(r"[a-z0-9.-]+/[1-9][0-9]{0,3}/schema\.json")
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_DAYS: Final = {"type": "object", "additionalProperties": {"type": "string", "format": "date"}}
_WORDS: Final = ("title", "x-title-id", "description", "x-description-id")


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, offline=True)


_OWN_WORDS: Final = _validator({
    "type": "object",
    "properties": {
        "$id": _TEXT, "$ref": {"type": "string", "pattern": "#/\\$defs/[^/]+$"},
        **dict.fromkeys(_WORDS, _TEXT),
        "x-sensitive": {"type": "boolean"}, "x-protects": _TEXTS, "x-unit": _TEXT, "x-code-list": _TEXT, "x-level": _TEXT,
        "x-labels": {"type": "object"}, "x-mrz-of": _TEXT,
        "x-valid-on": {"type": "object", "additionalProperties": _TEXT},
        "x-minor-on": {"type": "object", "additionalProperties": _TEXT},
        "x-code-days": {"type": "object", "additionalProperties": _DAYS},
    },
})  # fmt: skip
_TYPE: Final = _validator({"required": ["type", *_WORDS]})
_CODES: Final = _validator({
    "type": "object",
    "required": ["$id", "title", "x-title-id", "source", "provenance", "codes"],
    "properties": {
        **dict.fromkeys(("$id", "title", "x-title-id", "source", "provenance"), _TEXT),
        "codes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "en", "id"],
                "properties": {"valid_from": _DAYS["additionalProperties"], "valid_to": _DAYS["additionalProperties"]},
                "additionalProperties": _TEXT,
            },
        },
    },
})  # fmt: skip
_DIGESTS: Final = {"type": "object", "additionalProperties": _TEXT}
_PINS: Final = _validator({
    "type": "object",
    "required": ["files", "types"],
    "properties": {"$comment": _TEXT, "files": _DIGESTS, "types": _DIGESTS},
    "additionalProperties": False,
})  # fmt: skip
_SHOWN: Final = 200


def require_sound(documents: Mapping[str, Any]) -> None:
    """Documents by path inside the schemas folder. Raises SchemaInvalidError, naming file and pointer."""
    for path, document in documents.items():
        require_plain(path, document)
        if path.startswith("codes/"):
            _require(_CODES, path, document)
        else:
            require_schema(path, document)
        if path.endswith("/schema.json"):
            if not _PATH.fullmatch(path):
                raise SchemaInvalidError(f"{path}: a message type lies at NAME/VERSION/schema.json")
            _require(_TYPE, path, document)


def require_schema(path: str, document: Any) -> None:
    """One schema, or a document of shared definitions. Raises SchemaInvalidError."""
    if not isinstance(document, dict) or not isinstance(document.get("$id"), str):
        raise SchemaInvalidError(f"{path}: it is no object with an $id")
    try:
        jsonschema_rs.meta.validate({name: value for name, value in document.items() if name != "$schema"})
    except jsonschema_rs.ValidationError as error:
        raise SchemaInvalidError(f"{path}: {_pointer(error)} is not what JSON Schema wants there") from error
    for place, schema in _parts(document, ""):
        _require(_OWN_WORDS, path, schema, place)


def require_pins(path: str, document: Any) -> None:
    """Digests by name, by what they are of. Raises SchemaInvalidError."""
    require_plain(path, document)
    _require(_PINS, path, document)


def require_plain(path: str, document: Any) -> None:
    """Raises SchemaInvalidError for more levels than DEPTH, and for what has no digest."""
    level = [document]
    for _ in range(DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            break
    else:
        raise SchemaInvalidError(f"{path}: it is nested more than {DEPTH} levels deep")
    try:
        jcs.dumps(document)
    except ValueError as error:
        raise SchemaInvalidError(f"{path}: it has no canonical form (RFC 8785): a number or a text is none") from error


def _require(validator: jsonschema_rs.Draft202012Validator, path: str, value: Any, place: str = "") -> None:
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        raise SchemaInvalidError(f"{path}: {place}{_pointer(error)}: {error.message[:_SHOWN]}") from error


def _pointer(error: jsonschema_rs.ValidationError) -> str:
    steps = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path)
    return steps or "/"


def _parts(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema that has the form of one, itself first."""
    if not isinstance(schema, dict):
        return
    yield place, schema
    for keyword, value in schema.items():
        if keyword in {"properties", "$defs"}:
            for name, entry in value.items():
                yield from _parts(entry, f"{place}/{keyword}/{name}")
        elif keyword in {"allOf", "anyOf", "oneOf"}:
            for number, entry in enumerate(value):
                yield from _parts(entry, f"{place}/{keyword}/{number}")
        elif keyword in {"items", "additionalProperties", "contains", "not", "if", "then", "else"}:
            yield from _parts(value, f"{place}/{keyword}")
