"""The pages of message types leave nothing out: every type, field, rule, source and code is there."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import resources
from gateway.agreement.document import parse_agreement
from gateway.agreement.figures import Sourced, Term
from gateway.agreement.terms import Attributed, Rule
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue, MessageType
from scripts.docs.fields import COLUMNS
from tests.docs.pages import ROOT, blocks

FOLDER = ROOT / "docs/reference/catalogue"
CATALOGUE = Catalogue(catalogue.read(resources.schemas_dir()))
TYPES = CATALOGUE.types()
AGREEMENT = parse_agreement((ROOT / "agreements/pks-banten-2025.yaml").read_text(encoding="utf-8"))
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")


def page(entry: MessageType) -> str:
    return (FOLDER / f"{entry.name}-{entry.version}.md").read_text(encoding="utf-8")


def paths(pattern: str) -> str:
    """A field's path as the pages write it."""
    return pattern.removeprefix("/body/").replace("/*", "[]").replace("/", ".")


def terms(value: Any) -> Iterator[Term]:
    """Every term of a rule, itself included."""
    if isinstance(value, Term):
        yield value
        for name in type(value).model_fields:
            yield from terms(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from terms(item)


@pytest.mark.parametrize("entry", TYPES, ids=lambda entry: entry.type)
def test_a_type_is_in_the_index_and_has_a_page(entry: MessageType) -> None:
    """Titles and descriptions in both languages, and the digest that agencies compare."""
    assert f"[`{entry.type}`]({entry.name}-{entry.version}.md) | {entry.title_en} | {entry.title_id} |" in INDEX
    text = page(entry)
    assert text.startswith(f"# {entry.title_en} – *{entry.title_id}*\n")
    assert all(words in text for words in (entry.description_en, entry.description_id, entry.digest))


@pytest.mark.parametrize("entry", TYPES, ids=lambda entry: entry.type)
def test_every_field_has_a_row(entry: MessageType) -> None:
    """Each property of the type, and each sensitive field wherever it stands, with its mark."""
    lines = [line.split(" | ") for line in page(entry).splitlines() if line.startswith("| `")]
    rows = {cells[0].strip("| `"): cells for cells in lines if len(cells) == len(COLUMNS)}
    for name in entry.schema["properties"]:
        assert rows[name][2] == ("yes" if name in entry.schema["required"] else "no")
    assert {path for path, cells in rows.items() if "sensitive" in cells[3]} == {paths(one) for one in entry.sensitive}


@pytest.mark.parametrize("rule", AGREEMENT.rules, ids=lambda rule: rule.id)
def test_every_rule_is_told_with_its_sources(rule: Rule) -> None:
    """Each condition and relation by name, each withheld field, and each citation with its provenance."""
    entry = CATALOGUE.get(rule.type)
    assert entry is not None
    _, _, section = page(entry).partition(f"### Rule {rule.id}\n")
    assert f"]({entry.name}-{entry.version}.md#rule-{rule.id})" in INDEX
    for named in (*rule.where, *rule.relations):
        assert f"| `{named.name}`: " in section
    for withholding in rule.withhold:
        assert f"| `{withholding.field.text}` | " in section
    for term in terms(rule):
        if isinstance(term, Sourced | Attributed) and term.provenance is not None:
            assert term.citation is not None
            words = "public" if term.provenance == "public" else "to be confirmed"
            assert f"**{words}**: {term.citation}".replace("|", "\\|").replace("\n", " ") in section


@pytest.mark.parametrize("entry", TYPES, ids=lambda entry: entry.type)
def test_the_example_is_a_message_that_conforms(entry: MessageType) -> None:
    """What the page shows can be sent."""
    (shown,) = blocks(FOLDER / f"{entry.name}-{entry.version}.md", "json")
    assert CATALOGUE.violations(entry.type, json.loads(shown)) == ()


def test_every_code_list_is_told() -> None:
    """Short lists in full with both labels, long ones by their number."""
    text = (FOLDER / "codes.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    assert set(sections) == {one.name for one in CATALOGUE.code_lists()}
    for one in CATALOGUE.code_lists():
        section = sections[one.name]
        assert one.source in section
        shown = [entry for entry in one.entries.values() if f"| `{entry.code}` | {entry.en} | {entry.id} |" in section]
        assert len(shown) == len(one.entries) or f"{len(one.entries)} codes, " in section
