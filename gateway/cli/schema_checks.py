"""What `sinergi schemas check` looks at: pins, examples and languages of a folder of schemas. Changes nothing.

Decides what is wrong with a folder before anyone publishes it. Leaves the schema language itself to `schema`, which
refuses what it does not know when the folder is loaded.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.errors import SchemaInvalidError
from gateway.message_types.catalogue import Catalogue, load, read

WORDS: Final = ("title", "x-title-id", "description", "x-description-id")
VALID: Final = 2
INVALID: Final = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, in a file of the folder."""

    file: str
    detail: str


def examine(directory: Path) -> tuple[Catalogue, tuple[Fault, ...]]:
    """Every fault of a folder. Raises SchemaInvalidError for one that does not load: not JSON, not pinned, no schema."""
    catalogue = load(directory)
    documents = {path: document for path, document in read(directory).items() if not path.startswith("codes/")}
    by_id = {document["$id"]: document for document in documents.values()}
    faults = [fault for path, document in documents.items() for fault in _languages(path, document, by_id)]
    return catalogue, (*faults, *_examples(directory, catalogue), *_labels(catalogue))


def _labels(catalogue: Catalogue) -> Iterator[Fault]:
    for codes in catalogue.code_lists():
        for entry in codes.entries.values():
            if not (entry.en and entry.id):
                yield Fault(f"codes/{codes.name}.json", f"{entry.code} has no label in both languages")


def _languages(path: str, document: Mapping[str, Any], by_id: Mapping[str, Any]) -> Iterator[Fault]:
    for place, schema in _declared(document, ""):
        here = _merged(schema, document["$id"], by_id)
        missing = [word for word in WORDS if not here.get(word)]
        # A condition on a property that is declared elsewhere says nothing to people.
        if missing and set(schema) != {"not"}:
            yield Fault(path, f"{place or '/'} has no {' and no '.join(missing)}")


def _declared(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema that declares a value: roots, definitions, properties, elements; not the branches of conditions."""
    if not isinstance(schema, dict):
        return
    if place or "type" in schema:
        yield place, schema
    for keyword in ("$defs", "properties"):
        for name, entry in schema.get(keyword, {}).items():
            yield from _declared(entry, f"{place}/{keyword}/{name}")
    yield from _declared(schema.get("items"), f"{place}/items")


def _merged(schema: Mapping[str, Any], base: str, by_id: Mapping[str, Any]) -> dict[str, Any]:
    """What holds at a place: its own keywords over those of what it refers to."""
    if "$ref" not in schema:
        return dict(schema)
    document, _, name = schema["$ref"].partition("#/$defs/")
    target = by_id[document or base]["$defs"][name]
    return {**_merged(target, document or base, by_id), **schema}


def _examples(directory: Path, catalogue: Catalogue) -> Iterator[Fault]:
    for entry in catalogue.types():
        folder = directory / entry.name / str(entry.version) / "examples"
        valid, invalid = sorted(folder.glob("valid-*.json")), sorted(folder.glob("invalid-*.json"))
        place = folder.relative_to(directory).as_posix()
        if len(valid) < VALID or len(invalid) < INVALID:
            yield Fault(
                place, f"{len(valid)} valid and {len(invalid)} invalid examples; {VALID} and {INVALID} are needed"
            )
        for path in valid:
            body = _json(path)
            for reasons in (catalogue.violations(entry.type, body), catalogue.release_violations(entry.type, body)):
                for reason in reasons[:1]:
                    yield Fault(
                        f"{place}/{path.name}", f"should be valid, and is not: {reason.pointer} {reason.detail}"
                    )
        for path in invalid:
            yield from _invalid(catalogue, entry.type, f"{place}/{path.name}", _json(path))


def _invalid(catalogue: Catalogue, type_: str, place: str, told: Any) -> Iterator[Fault]:
    try:
        expected = Counter((error["code"], error["pointer"]) for error in told["errors"])
        found = Counter((one.code, one.pointer) for one in catalogue.violations(type_, told["body"]))
    except (KeyError, TypeError):
        yield Fault(place, "an invalid example has why, errors (code and pointer) and body")
        return
    for code, pointer in expected - found:
        yield Fault(place, f"says that {pointer} is refused with {code}; it is not")
    for code, pointer in found - expected:
        yield Fault(place, f"does not say that {pointer} is refused with {code}")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaInvalidError(f"{path} cannot be read as JSON") from error
