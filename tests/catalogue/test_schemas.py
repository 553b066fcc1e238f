"""House rules of the schema files, held by walking every one of them."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import jsonschema_rs
import pytest

from gateway.message_types.catalogue import read
from gateway.message_types.formats import FORMATS
from gateway.resources import schemas_dir

DOCUMENTS = read(schemas_dir())
SCHEMAS = {path: document for path, document in DOCUMENTS.items() if not path.startswith("codes/")}
CODE_LISTS = {path: document for path, document in DOCUMENTS.items() if path.startswith("codes/")}
BY_ID = {document["$id"]: document for document in SCHEMAS.values()}
WORDS = ("title", "x-title-id", "description", "x-description-id")


def target(schema: dict[str, Any], base: str) -> tuple[dict[str, Any], str]:
    document, _, name = schema["$ref"].partition("#/$defs/")
    return BY_ID[document or base]["$defs"][name], document or base


def merged(schema: dict[str, Any], base: str) -> dict[str, Any]:
    """What holds at a place: its own keywords over those of what it refers to."""
    if "$ref" not in schema:
        return schema
    return {**merged(*target(schema, base)), **schema}


def declared(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema that declares a value: roots, definitions, properties, elements; not the branches of conditions."""
    if not isinstance(schema, dict):
        return
    yield schema
    for entry in (*schema.get("$defs", {}).values(), *schema.get("properties", {}).values(), schema.get("items")):
        yield from declared(entry)


def parametrized() -> Any:
    return pytest.mark.parametrize("path", sorted(SCHEMAS))


@parametrized()
def test_a_schema_is_valid_draft_2020_12(path: str) -> None:
    """Each file names its draft and conforms to the meta-schema."""
    assert SCHEMAS[path]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMAS[path])


@parametrized()
def test_every_object_is_closed(path: str) -> None:
    """A member that no schema names is refused everywhere; a condition beside a `$ref` opens nothing."""
    for schema in declared(SCHEMAS[path]):
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False, schema["title"]
        elif "properties" in schema:
            assert "$ref" in schema, schema


@parametrized()
def test_everything_a_person_reads_is_in_both_languages(path: str) -> None:
    """Types, definitions and properties have a title and a description in English and Indonesian."""
    document = SCHEMAS[path]
    for schema in declared(document):
        here = merged(schema, document["$id"])
        if set(schema) != {"not"}:  # a condition on a property that is declared elsewhere
            assert all(here.get(word) for word in WORDS), schema


@parametrized()
def test_everything_is_bounded(path: str) -> None:
    """Each text has a greatest length or a closed form, each list a greatest size, each number both ends."""
    document = SCHEMAS[path]
    for schema in declared(document):
        here = merged(schema, document["$id"])
        match here.get("type"):
            case "string":
                closed = "pattern" in here and not set("*+{") & set(here["pattern"].replace("{2}", ""))
                assert "enum" in here or "maxLength" in here or closed, schema
            case "array":
                assert "maxItems" in here, schema
                assert "items" in here, schema
            case "integer" | "number":
                assert {"minimum", "maximum"} <= set(here), schema
            case "object" | "boolean":
                pass
            case None:
                assert "anyOf" in here or "not" in here or "$defs" in here, schema
            case other:
                pytest.fail(f"unexpected type {other}")


def test_every_format_is_used_or_kept_for_the_types_to_come() -> None:
    """Each custom format is wired to a definition: one that nothing names would check nothing."""
    used = {schema["format"] for document in SCHEMAS.values() for schema in declared(document) if "format" in schema}
    assert used == set(FORMATS)


@pytest.mark.parametrize("path", sorted(CODE_LISTS))
def test_a_code_list_is_labelled_and_sourced(path: str) -> None:
    """Each code once, with both labels; each list with both titles, its source and how sure we are of it."""
    document = CODE_LISTS[path]
    assert all(document[word] for word in (*WORDS, "source"))
    codes = [entry["code"] for entry in document["codes"]]
    assert len(codes) == len(set(codes))
    for entry in document["codes"]:
        assert entry["en"]
        assert entry["id"]
        assert entry.get("provenance", document["provenance"]) in {"public", "general-knowledge", "proposed"}


def test_provisions_of_one_offence_follow_each_other() -> None:
    """The old articles end on the day before the new code (KUHP) begins, and no provision ends before it starts."""
    offences = {entry["code"]: entry for entry in CODE_LISTS["codes/offence.json"]["codes"]}
    for entry in offences.values():
        begins = date.fromisoformat(entry["valid_from"])
        assert begins <= date.fromisoformat(entry.get("valid_to", "9999-12-31"))
    for old, new in (("UU21-2007-2", "UU1-2023-455"), ("UU6-2011-120", "UU1-2023-457")):
        gap = date.fromisoformat(offences[new]["valid_from"]) - date.fromisoformat(offences[old]["valid_to"])
        assert gap.days == 1


def test_emergency_travel_documents_are_not_called_splp() -> None:
    """SPLP also names the government API bus, so no code or member uses it."""
    assert not any("SPLP" in entry["code"] for document in CODE_LISTS.values() for entry in document["codes"])


@parametrized()
def test_only_sensitive_fields_protect_someone(path: str) -> None:
    """`x-protects` names a victim, a child or a reporter, each once, and only where the field can be withheld."""
    document = SCHEMAS[path]
    for schema in declared(document):
        if "x-protects" in schema:
            assert merged(schema, document["$id"]).get("x-sensitive") is True, schema
            whom = schema["x-protects"]
            assert whom
            assert sorted(set(whom), key=whom.index) == whom
            assert set(whom) <= {"victim", "child", "reporter"}


def test_victims_children_and_reporters_are_protected_somewhere() -> None:
    """The annotation is in use for each of the three, so that the rules can be held against it."""
    words = (
        word for document in SCHEMAS.values() for schema in declared(document) for word in schema.get("x-protects", ())
    )
    assert set(words) == {"victim", "child", "reporter"}
