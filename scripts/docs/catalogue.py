"""The catalogue's reference: an index, a page a message type, a page of code lists. Made from schemas and agreement."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.agreement.document import Agreement, parse_agreement
from gateway.agreement.terms import Rule
from gateway.message_types import catalogue as folder
from gateway.message_types.catalogue import Catalogue, CodeList, MessageType
from scripts.docs.fields import COLUMNS, conditions, rows
from scripts.docs.markdown import MADE, code, table
from scripts.docs.rules import deadline, retention, rule_section, source

FOLDER: Final = "catalogue"
IN_FULL: Final = 60  # longer lists are counted


class Reference:
    """The pages, from the schemas and one agreement of a checkout."""

    def __init__(self, root: Path) -> None:
        self.schemas = root / "schemas"
        self.catalogue = Catalogue(folder.read(self.schemas))
        self.document = "pks-banten-2025.yaml"
        text = (root / "agreements" / self.document).read_text(encoding="utf-8")
        self.agreement: Agreement = parse_agreement(text)

    def pages(self) -> dict[str, Callable[[], Iterator[str]]]:
        """Each page by its path below docs/reference."""
        made: dict[str, Callable[[], Iterator[str]]] = {
            f"{FOLDER}/README.md": self.index,
            f"{FOLDER}/codes.md": self.codes,
        }
        for entry in self.catalogue.types():
            made[f"{FOLDER}/{file_of(entry.type)}"] = lambda entry=entry: self.type_page(entry)  # type: ignore[misc]
        return made

    def rules_of(self, type_: str) -> list[Rule]:
        return [rule for rule in self.agreement.rules if rule.type == type_]

    def index(self) -> Iterator[str]:
        yield "# Message types – *Jenis pesan*"
        yield ""
        yield MADE
        yield ""
        yield (
            f"Every message type, by the clause of `agreements/{self.document}` under whose rule it is sent. I is the immigration"
            " regional office (`imigrasi-banten`), P the regional police (`polda-banten`). A type without a rule is refused."
            " [The agreement's reference](../agreement.md) explains rules, [the schemas](../../../schemas/README.md) explain"
            " types, and [code lists](codes.md) have a page of their own."
        )
        for number, clause in self.agreement.clauses.items():
            yield ""
            yield f"## Clause {number}: {clause.title.en} – *{clause.title.id}*"
            yield ""
            yield source(clause)
            yield ""
            found = [rule for rule in self.agreement.rules if rule.clause == number]
            yield from table(
                ("type", "title", "Indonesian", "direction", "rule", "acknowledged within", "kept"),
                [self.index_row(rule) for rule in found],
            )
        ruled = {rule.type for rule in self.agreement.rules}
        if missing := [entry for entry in self.catalogue.types() if entry.type not in ruled]:
            yield ""
            yield "## Without a rule"
            yield ""
            yield from table(
                ("type", "title", "Indonesian"), [(linked(one.type), one.title_en, one.title_id) for one in missing]
            )

    def index_row(self, rule: Rule) -> tuple[str, ...]:
        entry = self.catalogue.get(rule.type)
        title, title_id = (entry.title_en, entry.title_id) if entry else ("not in the catalogue", "tidak ada")
        anchor = f"{file_of(rule.type)}#rule-{rule.id}"
        wait = deadline(rule)
        return linked(rule.type), title, title_id, direction(rule), f"[{rule.id}]({anchor})", wait, retention(rule)

    def type_page(self, entry: MessageType) -> Iterator[str]:
        yield f"# {entry.title_en} – *{entry.title_id}*"
        yield ""
        yield MADE
        yield ""
        yield f"`{entry.type}` · `{entry.digest}`"
        yield ""
        yield entry.description_en
        yield ""
        yield f"*{entry.description_id}*"
        yield ""
        yield "## Fields"
        yield ""
        yield (
            "*Sensitive*: an agreement may withhold it, so it is sent as a disclosure of its own. *Protects*: whose identity the"
            " field could tell. *Required* is meant where what holds the field is there."
        )
        yield ""
        yield from table(COLUMNS, [*rows(entry.schema)])
        if said := [*conditions(entry.schema)]:
            yield ""
            yield "Beyond single fields:"
            yield ""
            yield from (f"- {sentence}" for sentence in said)
        yield ""
        yield "## Rules"
        found = self.rules_of(entry.type)
        if not found:
            yield ""
            yield "No rule permits this type: it is refused (`rule.none`)."
        for rule in found:
            yield ""
            yield from rule_section(self.agreement, self.catalogue, rule)
        yield ""
        yield "## Example"
        yield ""
        yield "```json"
        yield self.example(entry)
        yield "```"

    def example(self, entry: MessageType) -> str:
        """The longest valid one: it shows the most fields."""
        files = sorted((self.schemas / entry.name / str(entry.version) / "examples").glob("valid-*.json"))
        texts = [
            json.dumps(json.loads(file.read_text(encoding="utf-8")), ensure_ascii=False, indent=2) for file in files
        ]
        return max(texts, key=len)

    def codes(self) -> Iterator[str]:
        yield "# Code lists – *Daftar kode*"
        yield ""
        yield MADE
        yield ""
        yield (
            "Each list names its source. `public` was read there; `general-knowledge` and `proposed` are for the agencies to"
            " confirm. The files are in `schemas/codes`."
        )
        for one in self.catalogue.code_lists():
            yield ""
            yield from code_list(one)


def code_list(one: CodeList) -> Iterator[str]:
    yield f"## {one.name}"
    yield ""
    yield f"{one.title_en} – *{one.title_id}*. Source: {one.source}."
    yield ""
    entries = [*one.entries.values()]
    if len(entries) > IN_FULL:
        yield from counted(one)
        return
    more = sorted({key for entry in entries for key in entry.more})
    yield from table(
        ("code", "English", "Indonesian", *(key.replace("_", " ") for key in more), "provenance"),
        [
            (code(entry.code), entry.en, entry.id, *(entry.more.get(key, "") for key in more), entry.provenance)
            for entry in entries
        ],
    )


def counted(one: CodeList) -> Iterator[str]:
    entries = [*one.entries.values()]
    yield f"{len(entries)} codes, from {code(entries[0].code)} ({entries[0].id}) to {code(entries[-1].code)} ({entries[-1].id})."
    for key in ("level", "group"):
        counts = Counter(entry.more[key] for entry in entries if key in entry.more)
        if counts:
            yield ""
            yield from table((key, "codes"), [*counts.items()])


def file_of(type_: str) -> str:
    return f"{type_.replace('/', '-')}.md"


def linked(type_: str) -> str:
    return f"[`{type_}`]({file_of(type_)})"


def direction(rule: Rule) -> str:
    """I → P, P → I, or I ↔ P; other parties by their ids."""
    letters = {"imigrasi-banten": "I", "polda-banten": "P"}
    routes: Sequence[tuple[str, str]] = [
        (letters.get(one, one), letters.get(other, other)) for one, other in rule.routes()
    ]
    if sorted(routes) == [("I", "P"), ("P", "I")]:
        return "I ↔ P"
    return "; ".join(f"{one} → {other}" for one, other in routes)
