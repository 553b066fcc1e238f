"""`render` and `matrix`: a page that says everything, in two languages, and obeys nobody's text."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway.agreement.conditions import Fragment, Pointer
from gateway.agreement.figures import Sourced
from gateway.message_types.catalogue import load
from gateway.resources import schemas_dir
from gateway.review.matrix import matrix
from gateway.review.page import render
from gateway.review.wording import Language, Speech
from tests.agreement.making import IMIGRASI, POLDA, agreement, document, real, rule
from tests.review.world import catalogue, notice, query, secrecy, withheld

LANGUAGES: tuple[Language, Language] = ("en", "id")
FULL = load(schemas_dir())
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> &"


class Reader(HTMLParser):
    """What a browser would make of the page: elements, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + " "


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hostile_text_is_shown_and_never_obeyed(language: Language) -> None:
    """Titles, names, citations, codes of the document: each could hold markup, none becomes any."""
    both = {"en": HOSTILE, "id": HOSTILE}
    source = {"provenance": "public", "citation": HOSTILE}
    value: dict[str, Any] = document(
        rule(
            title=both,
            where=[{"name": "c", "field": "/body/open", "must": {"const": HOSTILE}, **source}],
            withhold=[{"field": "/body/narrative", "unless": [{"/body/open": {"enum": [HOSTILE]}}], **source}],
            **source,
        ),
        title=both,
        description=both,
    )
    value["parties"][POLDA]["name"] = both
    value["parties"][POLDA]["liaisons"][0]["title"] = both
    value["clauses"]["1"] = {"title": both, **source}
    value["jurisdictions"][POLDA]["name"] = both
    page = Reader(render(agreement(**value), catalogue(), language))
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "object", "form", "a", "svg"} & set(page.seen)
    assert {name for name, _ in page.attributes} <= {"lang", "charset", "name", "content", "class", "scope"}
    assert page.text.count("<script>alert('x')</script>") >= 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_loads_nothing_and_says_its_language(language: Language) -> None:
    """One file: no address, no import, no font from elsewhere; every element is closed."""
    text = render(real(), FULL, language)
    page = Reader(text)
    assert page.open == []
    assert ("lang", language) in page.attributes
    assert not re.search(r"(?i)https?:|//[a-z]|url\(|@import|src=|href=", text)
    assert text.count("<h1>") == 1
    assert "<th scope=" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_that_the_agreement_says_stands_on_the_page(language: Language) -> None:
    """Rules, types, fields, codes, periods, sources and the digest: what is signed is what is read."""
    one = real()
    text = " ".join(Reader(render(one, FULL, language)).text.split())
    assert one.digest in text
    for rule_ in one.rules:
        words = [rule_.id, rule_.type, *rule_.purposes, *rule_.senders, *rule_.recipients, rule_.handling]
        words += [entry.field.text for entry in (*rule_.where, *rule_.withhold, *rule_.jurisdiction)]
        words += [
            own if language == "id" and (own := getattr(entry, "citation_id", None)) else entry.citation
            for entry in cited(rule_)
        ]
        if rule_.stands_until is not None:
            words.append(rule_.stands_until.text)
        for word in words:
            assert " ".join(word.split()) in text, (rule_.id, word)
    for party in one.parties.values():
        assert all(liaison.role in text for liaison in party.liaisons)


def cited(term: Any) -> list[Sourced]:
    """Every term of a rule that names a source."""
    found = [term] if getattr(term, "citation", None) else []
    for name in type(term).model_fields:
        value = getattr(term, name)
        for member in value if isinstance(value, tuple) else (value,):
            if hasattr(type(member), "model_fields"):
                found += cited(member)
    return found


def test_each_figure_is_marked_public_or_to_be_confirmed() -> None:
    """As often as the document says so, in both languages."""
    import json

    from gateway.review.findings import terms

    one = real()
    marks = [term["provenance"] for _, term in terms(json.loads(one.canonical())) if "provenance" in term]
    for language, public, open_ in (
        ("en", "Public source", "To be confirmed"),
        ("id", "Sumber terbuka", "Perlu dikonfirmasi"),
    ):
        text = render(one, FULL, language)  # type: ignore[arg-type]
        assert text.count(f"<span>{public}</span>") == marks.count("public")
        assert text.count(f'<span class="open">{open_}</span>') == marks.count("to-be-confirmed")


def test_the_two_languages_differ_and_say_the_same_facts() -> None:
    """No English sentence is left in the Indonesian page but what the document itself says in one language."""
    english, indonesian = (Reader(render(agreement(notice(), query()), catalogue(), one)).text for one in LANGUAGES)
    for words in ("always withheld", "Kept for", "Signatures", "Parties", "whichever"):
        assert words not in indonesian
    assert "selalu ditahan" in indonesian
    assert "always withheld" in english


@pytest.mark.parametrize(
    ("schema", "en", "id_"),
    [
        ({"type": "integer", "minimum": 3}, "is at least 3", "paling sedikit 3"),
        ({"const": 1}, "is 1", "adalah 1"),
        ({"const": True}, "is yes", "adalah ya"),
        ({"enum": ["LP", "LI"]}, "is LP or LI", "adalah LP atau LI"),
        ({"type": "boolean"}, "is yes or no", "bernilai ya atau tidak"),
        ({"type": "array", "minItems": 1}, "has at least 1 element(s)", "memuat sekurang-kurangnya 1 unsur"),
        (
            {"type": "string", "not": {"const": "IDN"}},
            "not so that it is IDN",
            "bukan yang adalah IDN",
        ),
    ],
)
def test_a_condition_has_words_in_both_languages(schema: dict[str, Any], en: str, id_: str) -> None:
    """The fragments that agreements use most."""
    assert [Speech(language, catalogue()).must(schema) for language in LANGUAGES] == [en, id_]


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"const": 1}, {"const": 2}]},
        {"type": "integer", "allOf": [{"type": "integer", "oneOf": [{"const": 1}]}]},
        {"type": "object", "required": ["a"], "properties": {"a": {"oneOf": [{"const": 1}]}}},
    ],
)
def test_what_has_no_words_is_shown_as_it_is(schema: dict[str, Any]) -> None:
    """A condition that nobody put into words is read as JSON, whole: half of it would be another condition."""
    import json

    assert Fragment.parse(schema)
    for language in LANGUAGES:
        assert json.dumps(schema) in Speech(language, catalogue()).must(schema)


def test_zero_is_not_said_to_be_false() -> None:
    """0 equals False in Python; a condition on a count is no condition on absence."""
    speech = Speech("en", catalogue())
    told = speech.demand(Pointer.parse("/body/person"), {"const": 0}, "notice/1", optional=True)
    assert told.endswith("is 0")
    assert speech.demand(Pointer.parse("/body/person"), {"const": False}, "notice/1", optional=True).endswith(
        "is not given"
    )


def test_every_relation_has_its_sentence() -> None:
    """Each kind, in both languages, with its situation and what a failure means."""
    when = {"/body/severity": {"const": 4}}
    reply = {"when": {"/classification": {"const": "R"}}}
    one = agreement(
        notice(
            relations=[
                {"kind": "ordered", "name": "r1", "first": "/body/from", "last": "/body/to", "optional": True},
                {
                    "kind": "period_at_most", "name": "r2", "first": "/body/from", "last": "/body/to", "limit": "P1Y2M3D",
                    "otherwise": "flag", "when": when, "provenance": "public", "citation": "a test",
                },
                {"kind": "answers", "name": "r3", "types": ["query/1"], **reply},
                {"kind": "refers_to", "name": "r4", "types": ["secrecy/1"], **reply},
                {"kind": "amends", "name": "r5", "ends": True, **reply},
                {"kind": "earlier", "name": "r6", "field": "/body/reference", "must": {"const": "R-1"}},
                {"kind": "same", "name": "r7", "here": "/body/reference", "there": "/body/reference"},
                {"kind": "links", "name": "r8", "field": "/body/link", "types": ["query/1"]},
                {"kind": "at_most", "name": "r9", "count": 3},
            ]
        ),
        query(),
        secrecy(),
    )  # fmt: skip
    said = {
        language: [Speech(language, catalogue()).relation(entry, one.rules[0]) for entry in one.rules[0].relations]
        for language in LANGUAGES
    }
    assert len(set(said["en"] + said["id"])) == 2 * len(one.rules[0].relations)
    assert "1 year(s), 2 month(s) and 3 day(s)" in said["en"][1]
    assert "recorded as a flag" in said["en"][1]
    assert said["en"][1].startswith("Where ")
    assert "mengakhirinya" in said["id"][4]
    assert "paling banyak 3" in said["id"][8]


def test_the_matrix_shows_each_rule_where_it_permits_something() -> None:
    """A cell for each exchange, none for what no rule names."""
    one = agreement(notice(senders=[IMIGRASI, POLDA], recipients=[IMIGRASI, POLDA]), query())
    found = matrix(one)
    assert found.types == ("notice/1", "query/1")
    assert set(found.routes) == {(IMIGRASI, POLDA), (POLDA, IMIGRASI)}
    assert [cell.rule for cell in found.cells["query/1", (POLDA, IMIGRASI)]] == ["query"]
    assert ("query/1", (IMIGRASI, POLDA)) not in found.cells
    told = {(entry["type"], entry["sender"], entry["recipient"]) for entry in found.as_json()}
    assert told == {("notice/1", IMIGRASI, POLDA), ("notice/1", POLDA, IMIGRASI), ("query/1", POLDA, IMIGRASI)}


def test_withheld_fields_of_the_page_are_those_of_the_rule() -> None:
    """With approvals and notice in words, where a rule asks for them."""
    confidential = {
        "approvals": 3,
        "roles": ["SUPERVISOR"],
        "notice": ["secrecy/1"],
        "matching": {"/body/reference": "/body/reference"},
    }
    one = agreement(
        notice(withhold=withheld("/body/victim", unless=[{"/case": {"type": "object"}}], confidential=confidential)),
        secrecy(),
    )
    text = Reader(render(one, catalogue(), "en")).text
    assert "3 different officers of the sending agency" in text
    assert "secrecy/1" in text
    assert "SUPERVISOR" in text
