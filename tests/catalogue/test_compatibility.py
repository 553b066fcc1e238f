"""`compare`: only what is proven to take everything is called compatible, and a witness is asked, not believed."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.message_types.catalogue import Catalogue, digest, examples
from gateway.message_types.compatibility import Verdict, compare, possible
from gateway.message_types.formats import FORMATS
from gateway.message_types.schema import Judge
from gateway.message_types.specimens import FORMATS as SPECIMENS
from gateway.message_types.specimens import matching, specimens
from gateway.resources import schemas_dir
from tests.catalogue.conftest import VALID

WORDS = {"title": "T", "x-title-id": "J", "description": "D", "x-description-id": "K"}


def schema(properties: dict[str, Any], required: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:sinergi:schema:thing:1",
        **WORDS,
        "type": "object",
        "properties": properties,
        "required": required or [],
        "additionalProperties": False,
        "$defs": {"short": {**WORDS, "type": "string", "maxLength": 4}},
        **more,
    }


def text(**more: Any) -> dict[str, Any]:
    return {**WORDS, "type": "string", "maxLength": 20, **more}


INTEGER = {**WORDS, "type": "integer", "minimum": 0, "maximum": 9}

COMPATIBLE = {
    "a new optional member": (schema({"a": text()}), schema({"a": text(), "b": text()})),
    "no longer required": (schema({"a": text()}, ["a"]), schema({"a": text()})),
    "a longer text": (schema({"a": text()}), schema({"a": text(maxLength=30)})),
    "a new code": (schema({"a": text(enum=["X"])}), schema({"a": text(enum=["X", "Y"])})),
    "other words": (schema({"a": text()}), schema({"a": text(title="Other", **{"x-title-id": "Lain"})})),
    "a format less": (schema({"a": text(format="nik")}), schema({"a": text()})),
    "a wider range": (schema({"a": INTEGER}), schema({"a": {**INTEGER, "maximum": 99}})),
    "by another name": (
        schema({"a": {"$ref": "#/$defs/short"}}),
        schema({"a": {**WORDS, "type": "string", "maxLength": 5}}),
    ),
}

INCOMPATIBLE = {
    "a new required member": (schema({"a": text()}), schema({"a": text(), "b": text()}, ["b"])),
    "a shorter text": (schema({"a": text()}), schema({"a": text(maxLength=10)})),
    "a code less": (schema({"a": text(enum=["X", "Y"])}), schema({"a": text(enum=["X"])})),
    "a member gone": (schema({"a": text(), "b": text()}), schema({"a": text()})),
    "a new format": (schema({"a": text()}), schema({"a": text(format="nik")})),
    "another format": (schema({"a": text(format="nik")}), schema({"a": text(format="nip")})),
    "our date is narrower": (
        schema({"a": text(enum=["2026-01-01t00:00:00z"])}),
        schema({"a": text(format="date-time")}),
    ),
    "a new pattern": (schema({"a": text()}), schema({"a": text(pattern="^[A-Z]+$")})),
    "another type": (schema({"a": text()}), schema({"a": INTEGER})),
    "a narrower range": (schema({"a": INTEGER}), schema({"a": {**INTEGER, "maximum": 5}})),
    "a shorter list": (
        schema({"a": {**WORDS, "type": "array", "items": text(), "maxItems": 5}}),
        schema({"a": {**WORDS, "type": "array", "items": text(), "maxItems": 2}}),
    ),
    "deeper down": (
        schema({"a": {"$ref": "#/$defs/short"}}),
        schema({"a": {"$ref": "#/$defs/short"}}, **{"$defs": {"short": {**WORDS, "type": "string", "maxLength": 3}}}),
    ),
    "one depends on the other": (
        schema({"a": text(), "b": text()}),
        schema({"a": text(), "b": text()}, dependentRequired={"a": ["b"]}),
    ),
    "to be withheld no more": (
        schema({"a": text(**{"x-sensitive": True})}, ["a"]),
        schema({"a": text()}, ["a"]),
    ),
}


@pytest.mark.parametrize("name", COMPATIBLE)
def test_what_takes_everything_is_compatible(name: str) -> None:
    """Proven by the algebra; no witness can exist."""
    found = compare(*COMPATIBLE[name])
    assert (found.verdict, found.witness) == (Verdict.YES, None)


@pytest.mark.parametrize("name", INCOMPATIBLE)
def test_what_refuses_something_is_incompatible_and_shows_it(name: str) -> None:
    """The witness is taken by the old schema and refused by the new one, by the validators of the gateway itself."""
    old, new = INCOMPATIBLE[name]
    found = compare(old, new)
    assert found.verdict is Verdict.NO
    if found.form == "sent":
        assert Judge(old).violations(found.witness) == ()
        assert Judge(new).violations(found.witness)


def test_what_is_withheld_counts_as_well() -> None:
    """A field that could be withheld and no longer can: every body passes as sent, and some no more as released."""
    found = compare(*INCOMPATIBLE["to be withheld no more"])
    assert (found.form, found.witness) == ("released", {})


def test_what_nobody_can_decide_is_unknown() -> None:
    """Two ways of writing one pattern: neither proven nor refuted, so never published under the same version."""
    old, new = (schema({"a": text(pattern=pattern)}) for pattern in ("^(?:a|b){1,9}$", "^[ab]{1,9}$"))
    assert compare(old, new).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("keyword", ["x-valid-on", "x-minor-on"])
def test_a_new_check_of_dates_is_not_proven(keyword: str) -> None:
    """What stands beside the schema refuses bodies too."""
    old = schema({"a": text()})
    assert compare(old, {**old, keyword: {"codes": "a", "from": "a"}}).verdict is Verdict.UNKNOWN
    less = compare({**old, keyword: {"codes": "a", "from": "a"}}, old)
    assert (less.verdict, less.weakened, less.asked_less) == (
        (Verdict.NO, ("x-minor-on",), ()) if keyword == "x-minor-on" else (Verdict.YES, (), ("x-valid-on",))
    )
    # By its schema nothing is refused: no set of bodies is shown, only what is asked.
    more = compare(old, {**old, keyword: {"codes": "a", "from": "a"}})
    assert (more.asked_more, more.witness, more.newly_rejected) == ((keyword,), None, None)


PROTECTED = text(**{"x-sensitive": True, "x-protects": ["victim", "child"]})
INSIDE = {**WORDS, "type": "object", "properties": {"a": PROTECTED}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        (PROTECTED, text(**{"x-protects": ["victim", "child"]}), ("x-sensitive at /body/f",)),
        (PROTECTED, text(**{"x-sensitive": True}), ("x-protects (child, victim) at /body/f",)),
        (PROTECTED, text(**{"x-sensitive": True, "x-protects": ["child"]}), ("x-protects (victim) at /body/f",)),
        (PROTECTED, text(), ("x-sensitive at /body/f", "x-protects (child, victim) at /body/f")),
        (
            {**WORDS, "type": "array", "items": INSIDE},
            {**WORDS, "type": "array", "items": {**INSIDE, "properties": {"a": text()}}},
            ("x-sensitive at /body/f/*/a", "x-protects (child, victim) at /body/f/*/a"),
        ),
        ({"anyOf": [PROTECTED, INTEGER]}, {"anyOf": [text(), INTEGER]}, ("x-sensitive at /body/f",)),
        (text(**{"x-protects": ["child"]}), PROTECTED, ()),
        (text(), PROTECTED, ()),
    ],
    ids=["withheld", "whom", "one of two", "both", "in an array", "in a branch", "more people", "more"],
)
def test_what_is_protected_less_needs_another_major_version(
    old: dict[str, Any], new: dict[str, Any], lost: tuple[str, ...]
) -> None:
    """The very same bodies are taken, and what kept a victim's name from being released is gone."""
    found = compare(schema({"f": old}), schema({"f": new}))
    assert found.weakened[:1] == lost[:1]
    assert set(lost) <= set(found.weakened)
    assert (found.verdict is Verdict.NO) is bool(lost)


def test_a_field_that_is_gone_protects_nobody() -> None:
    """What is not there any more cannot be released; that its bodies are refused is told as for any other field."""
    found = compare(schema({"a": text(), "f": PROTECTED}), schema({"a": text()}))
    assert (found.verdict, found.weakened) == (Verdict.NO, ())
    assert found.witness is not None


def test_a_field_that_is_declared_no_more_and_may_still_be_sent_is_protected_less() -> None:
    """An open object takes the victim's name as before, and nothing says any more that it may be withheld."""
    opened = {"additionalProperties": True}
    found = compare(schema({"f": PROTECTED}, **opened), schema({}, **opened))
    assert found.verdict is Verdict.NO
    assert found.weakened == ("x-sensitive at /body/f", "x-protects (child, victim) at /body/f")


def test_a_new_check_of_numbers_is_not_proven() -> None:
    """That a number is now compared with its other form refuses bodies, wherever in the schema it is asked."""
    old = schema({"a": text(), "b": text()})
    new = schema({"a": text(), "b": text(**{"x-mrz-of": "a"})})
    assert compare(old, new).verdict is Verdict.UNKNOWN
    assert compare(new, old).verdict is Verdict.YES


def test_a_code_that_is_in_force_on_fewer_days_is_no_compatible_change(catalogue: Catalogue) -> None:
    """The days are part of what is published; a message about the days that are gone is the witness."""
    kind = catalogue.get("case.referral/1")
    assert kind is not None
    bodies = examples(schemas_dir())["case.referral/1"]
    code, limits = next((code, days) for code, days in kind.schema["x-code-days"].items() if "valid_to" in days)
    for days, verdict in (
        (limits | {"valid_to": "2020-01-01"}, Verdict.NO),
        (limits | {"valid_to": "2099-01-01"}, Verdict.YES),
        ({}, Verdict.YES),
    ):
        new = {**kind.schema, "x-code-days": kind.schema["x-code-days"] | {code: days}}
        assert digest(new) != kind.digest
        found = compare(kind.schema, new, bodies)
        assert found.verdict is verdict
        if verdict is Verdict.NO:
            assert found.newly_rejected == {"x-code-days": {code: days}}
            assert found.witness is None or code in found.witness["offence_codes"]


@pytest.mark.parametrize("case", VALID[::8])
def test_an_example_is_tried_first(case: Any, catalogue: Catalogue) -> None:
    """Published bodies are the witnesses that people understand."""
    entry = catalogue.get(case.type)
    assert entry is not None
    name = next(iter(entry.schema["properties"]))
    narrowed = deepcopy(dict(entry.schema))
    narrowed["properties"] = {key: value for key, value in narrowed["properties"].items() if key != name}
    narrowed["required"] = [key for key in narrowed.get("required", ()) if key != name]
    found = compare(entry.schema, narrowed, [case.document])
    assert found.verdict is Verdict.NO
    assert found.witness == case.document


@pytest.mark.parametrize("type_", sorted({case.type for case in VALID}))
def test_every_type_is_compatible_with_itself(type_: str, catalogue: Catalogue) -> None:
    """Conditions, patterns and shared definitions included: otherwise nothing could ever be published again."""
    entry = catalogue.get(type_)
    assert entry is not None
    examples = [case.document for case in VALID if case.type == type_]
    copy = json.loads(json.dumps(entry.schema))
    copy["title"] = "Other words"
    assert compare(entry.schema, copy, examples).verdict is Verdict.YES


small = st.fixed_dictionaries(
    {
        "a": st.sampled_from([text(), text(maxLength=3), text(enum=["X", "Y"]), text(format="date"), INTEGER]),
        "b": st.sampled_from([text(minLength=2), text(pattern="^[a-c]+$"), {**INTEGER, "minimum": 3}]),
    },
    optional={"c": st.sampled_from([text(), {**WORDS, "type": "boolean"}])},
)
values = st.fixed_dictionaries(
    {},
    optional={
        "a": st.sampled_from(["X", "Y", "Z", "long text", "2026-01-01", 3, 11]),
        "b": st.sampled_from(["a", "ab", "abc", "xyz", 2, 5]),
        "c": st.sampled_from(["", "x", True, 1]),
    },
)


@settings(max_examples=150, deadline=None)
@given(
    small, small, st.lists(st.sampled_from("abc"), unique=True), st.lists(st.sampled_from("abc"), unique=True), values
)
def test_a_yes_is_never_refuted(one: Any, other: Any, required: list[str], wanted: list[str], body: Any) -> None:
    """Whatever the old schema takes, a compatible one takes; and each witness is one."""
    old = schema(one, [name for name in required if name in one])
    new = schema(other, [name for name in wanted if name in other])
    found = compare(old, new)
    if found.verdict is Verdict.YES and not Judge(old).violations(body):
        assert not Judge(new).violations(body)
    if found.form == "sent" and found.witness is not None:
        assert not Judge(old).violations(found.witness)
        assert Judge(new).violations(found.witness)


def test_each_format_has_specimens_that_pass() -> None:
    """A format without any could never be shown to refuse something."""
    assert SPECIMENS.keys() == FORMATS.keys()
    for name, texts in SPECIMENS.items():
        assert texts
        assert all(FORMATS[name].check(one) for one in texts)


@pytest.mark.parametrize(
    "pattern",
    ["^DPO/[A-Za-z0-9][A-Za-z0-9 ./-]*$", "^[0-9a-f]{64}$", "^(?:ab|c)+x?$", r"^36\.[0-9]{2}$", r"^[\p{L}][\p{L} -]*$"],
)
def test_a_pattern_has_a_text_that_matches(pattern: str) -> None:
    """Found by reading the pattern, checked by the validator."""
    found = matching(pattern)
    assert found is not None
    assert Judge(schema({"a": text(pattern=pattern, maxLength=99)})).violations({"a": found}) == ()


def test_specimens_reach_both_ends_of_what_a_schema_asks() -> None:
    """The least and the most: that is where two versions differ."""
    made = list(specimens(schema({"a": INTEGER, "b": text()}, ["a"])))
    assert {"a": 0} in made
    assert any("b" in one for one in made)


def test_possible_claims_only_what_it_can_prove() -> None:
    """A proof, a refutation and an honest unknown."""
    assert possible({"const": 1}, {"type": "string"}) is Verdict.NO
    assert possible({"type": "integer"}, {"const": 1}) is Verdict.YES
    assert possible({"type": "string", "pattern": "^a+$"}, {"type": "string", "pattern": "^b+$"}) is Verdict.UNKNOWN
