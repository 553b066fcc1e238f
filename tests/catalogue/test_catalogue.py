"""The catalogue refuses what is not pinned, not known or not JSON, and says so without reading anything else."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway import resources
from gateway.errors import SchemaInvalidError
from gateway.message_types.catalogue import Catalogue, digest, load, read
from gateway.message_types.schema import MAX_REASONS, Judge, released, self_contained

DRAFT = "https://json-schema.org/draft/2020-12/schema"
IDENTIFIER = "urn:sinergi:schema:t:1"


@pytest.fixture
def copied(schemas: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(schemas, tmp_path / "schemas", ignore=shutil.ignore_patterns("examples")))


def contained(root: dict[str, Any], **definitions: Any) -> dict[str, Any]:
    """A self-contained schema out of a root and the definitions of `urn:sinergi:common:c:1`."""
    common = {"$schema": DRAFT, "$id": "urn:sinergi:common:c:1", "$defs": definitions}
    return self_contained(
        IDENTIFIER, {IDENTIFIER: {"$schema": DRAFT, "$id": IDENTIFIER, **root}, common["$id"]: common}
    )


def test_generated_files_are_what_the_script_writes(schemas: Path) -> None:
    """The definitions of codes and regions and the digests regenerate byte for byte."""
    script = schemas.parent / "scripts" / "pin_schemas.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], cwd=schemas.parent, check=False, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_every_file_is_pinned(schemas: Path) -> None:
    """The digests name each schema, definition and code list, and nothing else."""
    assert set(json.loads((schemas / "digests.json").read_text("utf-8"))["files"]) == set(read(schemas))


@pytest.mark.parametrize("name", ["early-warning.report/1/schema.json", "common/person.json", "codes/offence.json"])
def test_an_altered_file_is_refused(copied: Path, name: str) -> None:
    """One character of a title is enough."""
    path = copied / name
    document = json.loads(path.read_text("utf-8"))
    document["title"] += "."
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SchemaInvalidError, match=r"is not what digests\.json pins"):
        load(copied)


def test_an_unlisted_file_is_refused(copied: Path) -> None:
    """A code list dropped into the folder does not become part of the catalogue."""
    document = {**json.loads((copied / "codes/tlp.json").read_text("utf-8")), "$id": "urn:sinergi:codes:tlp-2"}
    (copied / "codes/tlp-2.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SchemaInvalidError, match=r"codes/tlp-2.json is not what"):
        load(copied)


def test_a_missing_file_is_refused(copied: Path) -> None:
    """A pinned file that is gone is noticed even if no schema refers to it."""
    (copied / "codes/means.json").unlink()
    with pytest.raises(SchemaInvalidError, match=r"codes/means.json is not what"):
        load(copied)


def test_layout_does_not_matter_to_a_digest(copied: Path) -> None:
    """The digest is of the canonical form: spaces and the order of members are free."""
    path = copied / "common/person.json"
    document = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(dict(reversed(document.items())), indent=8), encoding="utf-8")
    assert load(copied).types()


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "{", "\ufeff{}"])
def test_a_file_that_is_not_exactly_json_is_refused(copied: Path, text: str) -> None:
    """A repeated member, a cut file and a byte order mark end loading with our own error."""
    (copied / "codes/tlp.json").write_text(text, encoding="utf-8")
    with pytest.raises(SchemaInvalidError):
        load(copied)


def test_a_folder_without_pins_is_refused(copied: Path) -> None:
    """Without digests there is nothing to trust the files by."""
    (copied / "digests.json").unlink()
    with pytest.raises(SchemaInvalidError):
        load(copied)


@pytest.mark.parametrize(
    "reference",
    ["https://example.com/schema.json", "file:///etc/passwd", "urn:sinergi:common:other:1#/$defs/A", "#/$defs/Missing"],
)
def test_a_reference_outside_the_catalogue_is_refused_and_never_fetched(reference: str) -> None:
    """A `$ref` to the network, to a file or to nothing ends loading; no retriever is ever asked."""
    with pytest.raises(SchemaInvalidError, match="is not in the catalogue"):
        contained({"$ref": reference})


def test_a_compiled_schema_cannot_fetch() -> None:
    """Even a schema that never passed the catalogue's own check cannot make the validator open a connection."""
    with pytest.raises(SchemaInvalidError):
        Judge({"$schema": DRAFT, "$id": IDENTIFIER, "$ref": "http://127.0.0.1:9/schema.json"})


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"requierd": ["a"]}, "unknown keywords"),
        ({"format": "nikk"}, "unknown format"),
        ({"properties": {"a": {"items": {"maxItem": 3}}}}, "unknown keywords"),
        ({"unevaluatedProperties": False}, "unknown keywords"),
        ({"$ref": "urn:sinergi:common:c:1#/$defs/Loop"}, "refers back to itself"),
    ],
)
def test_a_slip_in_a_schema_is_refused(schema: dict[str, Any], message: str) -> None:
    """JSON Schema ignores a misspelt keyword and checks nothing; the catalogue does not."""
    with pytest.raises(SchemaInvalidError, match=message):
        contained(schema, Loop={"items": {"$ref": "#/$defs/Loop"}})


def test_an_invalid_schema_is_refused() -> None:
    """A value that the meta-schema forbids ends loading."""
    with pytest.raises(SchemaInvalidError, match="not a valid schema"):
        Judge(contained({"type": "strng"}))


def test_an_unknown_type_is_a_reason(catalogue: Catalogue) -> None:
    """An unknown type, and an unknown version of a known one, are refused as such."""
    for type_ in ("early-warning.report/2", "early-warning.report", "nothing/1", ""):
        assert catalogue.get(type_) is None
        for reasons in (catalogue.violations(type_, {}), catalogue.release_violations(type_, {})):
            assert [(reason.code, reason.pointer) for reason in reasons] == [("schema.unknown", "/type")]


def test_a_type_is_self_contained(catalogue: Catalogue) -> None:
    """What `GET /v1/message-types/…` returns is valid for any validator, alone, and hashes to the pinned digest."""
    for entry in catalogue.types():
        for schema in (entry.schema, entry.release_schema):
            assert jsonschema_rs.meta.is_valid(dict(schema))
            jsonschema_rs.Draft202012Validator(json.loads(json.dumps(schema)), offline=True)
        assert entry.digest == digest(json.loads(json.dumps(entry.schema)))


def test_at_most_64_reasons(catalogue: Catalogue) -> None:
    """The number of reasons is bounded, whatever is sent."""
    body = {"match_status": "MATCHED", "crossings": [{"direction": n} for n in range(190)]}
    assert len(catalogue.violations("border-crossing.response/1", body)) == MAX_REASONS


def test_a_flood_of_wrong_elements_is_cheap_to_refuse(catalogue: Catalogue) -> None:
    """A megabyte of wrong elements costs milliseconds to explain, not the seconds that naming each would."""
    body = {"match_status": "MATCHED", "crossings": [1] * 300_000}
    started = time.perf_counter()
    reasons = catalogue.violations("border-crossing.response/1", body)
    assert time.perf_counter() - started < 1
    assert ("/body/crossings", "expected at most 200 element(s)") in {
        (reason.pointer, reason.detail) for reason in reasons
    }


def test_text_that_is_not_unicode_is_refused(catalogue: Catalogue) -> None:
    """A lone surrogate, which no UTF-8 can carry, is a violation and not a crash."""
    reasons = catalogue.violations("early-warning.report/1", {"narrative": "\ud800"})
    assert [(reason.code, reason.pointer) for reason in reasons] == [("schema.violated", "/body")]


def test_a_body_nested_without_end_is_refused(catalogue: Catalogue) -> None:
    """Depth is the parser's limit; should it fail, judging still answers."""
    body: dict[str, Any] = {}
    for _ in range(50_000):
        body = {"a": body}
    assert {reason.code for reason in catalogue.violations("early-warning.report/1", body)} == {"schema.violated"}


def test_release_relaxes_lists_whose_elements_may_vanish() -> None:
    """Withheld elements shorten a list, and what differs only in withheld members may look alike."""
    element = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 1}}, "x-sensitive": True}
    schema = contained(
        {
            "type": "object",
            "properties": {
                "gone": {
                    "type": "array",
                    "items": element,
                    "minItems": 1,
                    "contains": {"required": ["a"]},
                    "maxItems": 2,
                },
                "alike": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"s": {"x-sensitive": True}}, "required": ["s"]},
                    "uniqueItems": True,
                },
            },
        }
    )
    assert Judge(schema).violations({"gone": [], "alike": [{"s": 1}, {"s": 2}]})
    assert not Judge(released(schema)).violations({"gone": [], "alike": [{}, {}]})


def test_release_drops_conditions_on_what_may_be_withheld() -> None:
    """A condition that asks for a sensitive member cannot be asked of a released body; the others still are."""
    schema = contained(
        {
            "type": "object",
            "properties": {"s": {"$ref": "urn:sinergi:common:c:1#/$defs/S"}, "a": {}, "b": {}},
            "required": ["a", "s"],
            "minProperties": 2,
            "anyOf": [{"required": ["s"]}, {"required": ["b"]}],
            "dependentRequired": {"a": ["s"]},
            "if": {"required": ["a"]},
            "then": {"required": ["s"]},
            "allOf": [{"if": {"required": ["b"]}, "then": {"properties": {"a": {"const": 1}}}}],
        },
        S={"type": "string", "maxLength": 1, "x-sensitive": True},
    )
    assert not Judge(released(schema)).violations({"a": 1})
    assert [reason.pointer for reason in Judge(released(schema)).violations({"a": 2, "b": 1})] == ["/body/a"]
    assert [reason.detail for reason in Judge(released(schema)).violations({})] == ['"a" is required']


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        (
            "purpose",
            "PREVENTION EARLY_WARNING INVESTIGATION BORDER_CONTROL VICTIM_PROTECTION SUPERVISION CAPACITY_BUILDING",
        ),
        ("classification", "B T R SR"),
        ("tlp", "CLEAR GREEN AMBER AMBER+STRICT RED"),
        ("case-type", "LP LK LI SPDP SPRINDIK DPO"),
    ],
)
def test_code_lists_of_the_claims(catalogue: Catalogue, name: str, codes: str) -> None:
    """The lists that claims are checked against, in the order of their rank."""
    assert catalogue.codes(name) == frozenset(codes.split())
    assert list(catalogue.code_list(name).entries) == codes.split()


def test_all_of_banten_is_there(catalogue: Catalogue) -> None:
    """155 districts, 314 kelurahan, 1,238 desa; each region's parent is listed too."""
    regions = catalogue.code_list("region").entries
    levels = [entry.more["level"] for entry in regions.values()]
    assert {level: levels.count(level) for level in set(levels)} == {
        "province": 1,
        "regency": 4,
        "city": 4,
        "district": 155,
        "kelurahan": 314,
        "desa": 1238,
    }
    assert all(code.rpartition(".")[0] in regions for code in regions if code != "36")
    assert regions["36.04.08.2009"].id == "Pulo Panjang"
    assert "MIT" in catalogue.code_list("region").source


@pytest.mark.parametrize("code", ["36", "36.04", "36.04.08", "36.04.08.2099", "36.04.08.2009 ", "31.74.01.1001"])
def test_a_region_at_the_wrong_level_is_refused(catalogue: Catalogue, code: str) -> None:
    """An early warning is about a village of Banten: neither its district nor a village of another province will do."""
    reasons = catalogue.violations("early-warning.report/1", {"region_code": code})
    assert "/body/region_code" in {reason.pointer for reason in reasons}


def test_schemas_and_agreements_are_found() -> None:
    """In a checkout both folders are at the top; in a wheel they would be inside the package."""
    assert (resources.schemas_dir() / "digests.json").is_file()
    assert resources.agreements_dir().name == "agreements"


def test_an_installed_wheel_reads_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder inside the package is preferred, so an installed gateway never reads a checkout beside it."""
    (tmp_path / "gateway/_data/schemas").mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "gateway")
    assert resources.schemas_dir() == tmp_path / "gateway/_data/schemas"
    assert resources.agreements_dir() == tmp_path / "agreements"
