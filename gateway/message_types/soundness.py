"""Whether files are schemas, definitions and code lists at all, before anything is read out of them.

Decides the form alone: members that are there, keywords that hold what JSON Schema (draft 2020-12) and this catalogue's own
words want, references that lead somewhere and never back, nothing deeper or larger than anybody needs. Leaves to `schema`
which keywords are known, and to `validity` whether a path in one leads somewhere.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from gateway import jcs
from gateway.errors import SchemaInvalidError
from gateway.message_types.schema import LISTED_SCHEMAS, NAMED_SCHEMAS, ONE_SCHEMA

DEPTH: Final = 64
PLACES: Final = 20_000
"""Schemas in one with its references followed: this program's largest has some 200. Without a limit, ten definitions that each
name the next ten times would be 10^10."""
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
    require_references({path: document for path, document in documents.items() if not path.startswith("codes/")})


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
        if not _compiles(schema.get("pattern", "")):
            raise SchemaInvalidError(f"{path}: {place}/pattern is no regular expression")


@lru_cache(maxsize=512)
def _compiles(pattern: str) -> bool:
    try:
        _validator({"pattern": pattern})
    except ValueError:
        return False
    return True


def require_references(schemas: Mapping[str, Any]) -> None:
    """Sound schemas by path. Raises SchemaInvalidError for a reference that leads nowhere, or back, or to too much."""
    _References(schemas).require()


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


class _References:
    """Where each `$ref` leads, whether a type uses it or not, and how much a schema grows by what it refers to."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self.documents = {document["$id"]: (path, document) for path, document in documents.items()}
        # Schemas and levels of each definition, by $id and name, "" being the root; None while it is measured.
        self.known: dict[tuple[str, str], tuple[int, int] | None] = {}

    def require(self) -> None:
        """Raises SchemaInvalidError."""
        for identifier, (_, document) in self.documents.items():
            for name in ("", *document.get("$defs", {})):
                self._measured(identifier, name)

    def _measured(self, identifier: str, name: str) -> tuple[int, int] | None:
        if (identifier, name) in self.known:
            return self.known[identifier, name]
        self.known[identifier, name] = None
        path, document = self.documents[identifier]
        place = f"/$defs/{name}" if name else ""
        inside = document["$defs"][name] if name else {key: value for key, value in document.items() if key != "$defs"}
        places, levels = 0, 0
        for at, schema in _parts(inside, place):
            places, levels = places + 1, max(levels, at.count("/"))
            if "$ref" in schema:
                more, deeper = self._followed(schema["$ref"], identifier, f"{path}: {at}/$ref")
                places, levels = places + more, max(levels, at.count("/") + deeper)
            if places > PLACES or levels > 4 * DEPTH:
                raise SchemaInvalidError(f"{path}: {at or '/'} grows too large with what it refers to")
        self.known[identifier, name] = places, levels
        return places, levels

    def _followed(self, reference: str, identifier: str, place: str) -> tuple[int, int]:
        document, _, name = reference.partition("#/$defs/")
        target = document or identifier
        if target not in self.documents or name not in self.documents[target][1].get("$defs", {}):
            raise SchemaInvalidError(f"{place}: {reference} is not in the catalogue")
        size = self._measured(target, name)
        if size is None:
            raise SchemaInvalidError(f"{place}: {name} refers back to itself")
        return size


def _pointer(error: jsonschema_rs.ValidationError) -> str:
    steps = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path)
    return steps or "/"


def _parts(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema that has the form of one, itself first."""
    if not isinstance(schema, dict):
        return
    yield place, schema
    for keyword, value in schema.items():
        if keyword in NAMED_SCHEMAS:
            for name, entry in value.items():
                step = name.replace("~", "~0").replace("/", "~1")
                yield from _parts(entry, f"{place}/{keyword}/{step}")
        elif keyword in LISTED_SCHEMAS:
            for number, entry in enumerate(value):
                yield from _parts(entry, f"{place}/{keyword}/{number}")
        elif keyword in ONE_SCHEMA:
            yield from _parts(value, f"{place}/{keyword}")
