"""`check`: each kind of finding has a document that produces it, and only what is wrong produces one."""

from typing import Any

import pytest

from gateway.agreement.document import Agreement
from gateway.message_types.catalogue import Catalogue, load
from gateway.resources import schemas_dir
from gateway.review.findings import Finding, check
from gateway.review.words import SENTENCES
from tests.agreement.making import IMIGRASI, POLDA, agreement, real, source
from tests.review.world import SENSITIVE, WORDS, catalogue, notice, query, schema, secrecy, text, withheld

NO_TERRITORIES = {"jurisdictions": None}
CONDITION: dict[str, Any] = {"name": "one", "field": "/body/severity", "must": {"type": "integer", "minimum": 3}}
MINOR = {"/body/is_minor": {"const": True}}


def small(*rules: Any, **changes: Any) -> Agreement:
    """An agreement without territories, in which the other types have rules too."""
    names = {one["type"] for one in rules}
    rest = [one for one in (query(), secrecy()) if one["type"] not in names]
    return agreement(*rules, *rest, **{**NO_TERRITORIES, **changes})


def found(one: Agreement, types: Catalogue | None = None) -> list[tuple[str, str, str | None]]:
    return [(entry.severity, entry.code, entry.rule) for entry in check(one, types or catalogue())]


def test_a_sound_agreement_has_no_findings() -> None:
    """Otherwise nobody would read them."""
    assert check(small(notice()), catalogue()) == ()


def conditional(**changes: Any) -> dict[str, Any]:
    return {"kind": "answers", "name": "answers", "types": ["query/1"], **changes}


FROM_IMIGRASI = secrecy(senders=[IMIGRASI], recipients=[POLDA])


CASES: dict[str, tuple[str, Any]] = {
    "type-unknown": ("error", lambda: small(notice(), notice(id="other", type="other/1", withhold=None))),
    "purpose-unknown": ("error", lambda: small(notice(purposes=["PLEASURE"]))),
    "case-type-unknown": ("error", lambda: small(notice(requires={"case": ["XX"]}))),
    "condition-impossible": ("error", lambda: small(notice(where=[{**CONDITION, "must": {"const": 9}}]))),
    "condition-forbids": (
        "warning",
        lambda: small(notice(where=[{**CONDITION, "must": {"const": 9}, "when": {"/body/region": {"const": "36.01.01"}}}])),
    ),
    "conditions-contradict": (
        "error",
        lambda: small(notice(where=[CONDITION, {**CONDITION, "name": "two", "must": {"enum": [1, 2]}}])),
    ),
    "situation-never": (
        "warning",
        lambda: small(
            notice(
                where=[CONDITION],
                withhold=withheld(*SENSITIVE[1:])
                + withheld("/body/narrative", unless=[{"/body/severity": {"const": 1}}]),
            )
        ),
    ),
    "place-unknown": (
        "error",
        lambda: small(notice(relations=[{"kind": "ordered", "name": "o", "first": "/body/nowhere", "last": "/iat"}])),
    ),
    "field-unknown": ("error", lambda: small(notice(withhold=withheld(*SENSITIVE, "/body/nowhere")))),
    "field-in-clear": ("error", lambda: small(notice(withhold=withheld(*SENSITIVE, "/body/open")))),
    "field-released": ("warning", lambda: small(notice(withhold=withheld(*SENSITIVE[1:])))),
    "protected-released": (
        "error",
        lambda: small(
            notice(withhold=withheld(*SENSITIVE[:3]) + withheld("/body/victim", unless=[{"/case": {"type": "object"}}]))
        ),
    ),
    "relation-impossible": (
        "error",
        lambda: small(notice(relations=[conditional(types=["secrecy/1"])]), FROM_IMIGRASI),
    ),
    "relation-never": (
        "warning",
        lambda: small(notice(relations=[conditional(types=["query/1", "secrecy/1"])]), FROM_IMIGRASI),
    ),
    "relation-type-unknown": (
        "error",
        lambda: small(notice(relations=[{"kind": "answers", "name": "a", "types": ["query/1", "other/1"]}])),
    ),
    "replies-disjoint": (
        "warning",
        lambda: small(
            notice(
                relations=[
                    {"kind": "answers", "name": "a", "types": ["query/1"], "when": {"/classification": {"const": "R"}}},
                    {"kind": "answers", "name": "b", "types": ["secrecy/1"], "when": {"/body/severity": {"const": 1}}},
                ]
            )
        ),
    ),
    "earlier-impossible": (
        "error",
        lambda: small(
            notice(
                relations=[
                    {"kind": "answers", "name": "a", "types": ["query/1"]},
                    {"kind": "earlier", "name": "e", "field": "/body/reference", "must": {"type": "integer"}},
                ]
            )
        ),
    ),
    "compares-withheld": (
        "warning",
        lambda: small(
            notice(
                relations=[
                    {"kind": "answers", "name": "a", "types": ["query/1"]},
                    {"kind": "same", "name": "s", "here": "/body/reference", "there": "/body/subject"},
                ]
            )
        ),
    ),
    "same-impossible": (
        "error",
        lambda: small(
            notice(
                relations=[
                    {"kind": "answers", "name": "a", "types": ["query/1"]},
                    {"kind": "same", "name": "s", "here": "/body/severity", "there": "/body/reference"},
                ]
            )
        ),
    ),
    "deadline-too-long": (
        "warning",
        lambda: small(notice(acknowledge_within={"deadlines": [{"within": "P2Y"}], **source()})),
    ),
    "type-without-rule": ("warning", lambda: agreement(notice(), query(), **NO_TERRITORIES)),
    "jurisdiction-unused": ("warning", lambda: agreement(notice(), query(), secrecy())),
    "figures-unconfirmed": (
        "warning",
        lambda: small(notice(provenance="to-be-confirmed")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", SENTENCES)
def test_each_kind_of_finding_has_a_document_that_produces_it(code: str) -> None:
    """The finding stands alone, with its severity: nothing else is said of a document with one fault."""
    severity, make = CASES[code]
    codes = {(entry.severity, entry.code) for entry in check(make(), catalogue())}
    assert codes == {(severity, code)}


def test_no_case_is_left_without_words() -> None:
    """Every code has its sentence in both languages, and both name the same things."""
    assert CASES.keys() == SENTENCES.keys()
    for words in SENTENCES.values():
        names = [sorted(part.split("}")[0] for part in text_.split("{")[1:]) for text_ in (words.en, words.id)]
        assert names[0] == names[1]
        assert words.en != words.id


def test_a_finding_names_its_place_in_the_document() -> None:
    """The pointer leads to the term, the rule is named, and the words name what is wrong."""
    (one,) = check(small(notice(withhold=withheld(*SENSITIVE, "/body/open"))), catalogue())
    assert isinstance(one, Finding)
    assert (one.rule, one.pointer) == ("notice", "/rules/0/withhold/4/field")
    assert "/body/open" in one.text.en
    assert "/body/open" in one.text.id
    assert one.as_json()["text"]["id"] == one.text.id


def test_errors_come_before_warnings() -> None:
    """Who reads the first line reads the gravest one."""
    severities = [entry.severity for entry in check(agreement(notice(purposes=["PLEASURE"])), catalogue())]
    assert severities == sorted(severities)
    assert severities[0] == "error"
    assert severities[-1] == "warning"


CONFIDENTIAL: dict[str, Any] = {"approvals": 2, "roles": ["SUPERVISOR"], "notice": ["secrecy/1"]}


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"unless": [{"/case": {"type": "object"}}], "confidential": CONFIDENTIAL},
    ],
    ids=["never", "confidential"],
)
def test_a_victim_is_shown_never_or_with_approvals_and_a_notice(entry: dict[str, Any]) -> None:
    """Either satisfies the check; a plain situation does not (see `protected-released`)."""
    assert not found(small(notice(withhold=withheld(*SENSITIVE[:3]) + withheld("/body/victim", **entry))))


@pytest.mark.parametrize(
    ("unless", "protected"),
    [
        ({"/body/is_minor": {"const": False}}, True),
        ({"/body/severity": {"const": 4}}, False),
        ({"/body/is_minor": {"const": True}}, False),
    ],
)
def test_what_protects_a_child_may_be_shown_where_there_is_none(unless: dict[str, Any], protected: bool) -> None:
    """A situation that says that the person is no minor is enough for a field that protects children alone."""
    one = small(notice(withhold=withheld(*SENSITIVE[:2], "/body/victim") + withheld("/body/child", unless=[unless])))
    assert (("error", "protected-released", "notice") in found(one)) is not protected


def test_a_condition_may_say_that_there_is_no_child() -> None:
    """What every permitted message shows counts for each of its fields."""
    child = withheld("/body/child", unless=[{"/case": {"type": "object"}}])
    where = [{"name": "adult", "field": "/body/is_minor", "must": {"const": False}}]
    rest = withheld(*SENSITIVE[:2], "/body/victim")
    assert not found(small(notice(where=where, withhold=rest + child)))
    assert found(small(notice(where=[{**where[0], "otherwise": "flag"}], withhold=rest + child)))


def naming(*ways: str, marked: str = "people", flag: bool = False) -> Catalogue:
    """notice/1 with people, each of whom has a name and one of these members."""
    dated = {**WORDS, "type": "string", "format": "partial-date", "maxLength": 10}
    members = {"name": text(), "born": dated, "nik": text(format="nik"), "is_minor": {**WORDS, "const": False}}
    person = {**WORDS, "type": "object", "properties": members, "additionalProperties": False}
    if ways:
        person["anyOf"] = [{"required": [way]} for way in ways]
    named: dict[str, Any] = {"people": {**WORDS, "type": "array", "items": person, "maxItems": 3}, "other": text()}
    named[marked] |= {"x-sensitive": True, "x-protects": ["child"]}
    minority = {"born": "people/*/born", "on": "day", **({"flag": "is_minor"} if flag else {})}
    flags = {"is_minor": {**WORDS, "type": "boolean"}} if flag else {}
    return catalogue(notice=schema("notice", {**named, **flags, "day": dated}, ("day",), **{"x-minor-on": minority}))


@pytest.mark.parametrize(
    ("named", "protected"),
    [
        (naming("born", "nik", "is_minor"), True),
        (naming("born"), True),
        (naming("born", "nik", "name"), False),
        (naming(), False),
        # Beside the people, or under a flag that nothing asks for, the members of a person prove nothing.
        (naming("born", "nik", "is_minor", marked="other"), False),
        (naming("born", "nik", "is_minor", flag=True), False),
    ],
    ids=["either of three", "a date", "a name will do", "nothing", "another field", "a flag"],
)
def test_a_type_that_names_adults_alone_may_be_shown(named: Catalogue, protected: bool) -> None:
    """Only where its schema asks of each person there what shows that it is no child, or says so."""
    shown = small(notice(withhold=[]))
    assert (("error", "protected-released", "notice") in found(shown, named)) is not protected
    always = withheld("/body/people", "/body/other")
    assert ("error", "protected-released", "notice") not in found(small(notice(withhold=always)), named)


def test_what_cannot_be_decided_is_no_finding() -> None:
    """Two patterns without a common text: the algebra does not know it, so nothing is claimed."""
    patterned = schema("notice", {"a": text(pattern="^a+$")}, ("a",))
    one = agreement(
        notice(
            withhold=None, where=[{"name": "b", "field": "/body/a", "must": {"type": "string", "pattern": "^[b]+$"}}]
        ),
        **NO_TERRITORIES,
    )
    assert {entry.code for entry in check(one, catalogue(notice=patterned))} == {"type-without-rule"}


def test_the_shipped_agreement_has_no_errors() -> None:
    """Everything that the product ships can be sent, withheld and answered."""
    findings = check(real(), load(schemas_dir()))
    assert [entry for entry in findings if entry.severity == "error"] == []
    assert {entry.code for entry in findings} <= {"figures-unconfirmed", "jurisdiction-unused", "field-released"}
