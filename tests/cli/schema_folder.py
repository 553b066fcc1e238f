"""A folder of schemas that somebody changes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.message_types import catalogue

TYPE = "border-crossing.query"


Change = Callable[[dict[str, Any]], None]


def change(folder: Path, what: Change, name: str = TYPE) -> None:
    """Changes one type's schema file and pins the folder again."""
    path = folder / name / "1" / "schema.json"
    schema = json.loads(path.read_text())
    what(schema)
    path.write_text(json.dumps(schema))
    pin(folder)


def pin(folder: Path) -> None:
    documents = catalogue.read(folder)
    pins = catalogue.pins(documents, catalogue.Catalogue(documents))
    (folder / catalogue.PINS).write_text(json.dumps(pins))


def optional_member(schema: dict[str, Any]) -> None:
    words = {"title": "Note", "x-title-id": "Catatan", "description": "A note.", "x-description-id": "Catatan."}
    schema["properties"]["note"] = {**words, "type": "string", "maxLength": 10}


def required_member(schema: dict[str, Any]) -> None:
    optional_member(schema)
    schema["required"].append("note")


def undecidable(schema: dict[str, Any]) -> None:
    schema["properties"]["reason"]["pattern"] = "^(?:.|\\n)*$"
