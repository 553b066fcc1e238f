"""Which documents are agreements, and what their identity is."""

from contextlib import suppress
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agreement.document import agreement_from_json, parse_agreement
from gateway.agreement.vocabulary import WEEKDAYS
from gateway.errors import AgreementInvalidError
from tests.agreement.making import ROOT, agreement, document, real, rule, source, yaml

# The head of the shipped document: block layout, quoted and plain texts, comments.
LAID_OUT = "\n".join((ROOT / "agreements" / "pks-banten-2025.yaml").read_text(encoding="utf-8").splitlines()[9:60])


def faults(text: str) -> dict[str | None, str]:
    with pytest.raises(AgreementInvalidError) as caught:
        parse_agreement(text)
    assert {reason.code for reason in caught.value.reasons} == {"agreement.invalid"}
    return {reason.pointer: reason.detail or "" for reason in caught.value.reasons}


def test_identity_is_what_the_document_says_not_how_it_is_laid_out() -> None:
    """Order of keys, comments and layout change nothing; one changed word changes the digest."""
    plain = document()
    turned = "# a comment\n" + yaml(dict(reversed(plain.items())))
    other = document(title={"en": "Test", "id": "Ujian"})
    assert parse_agreement(turned).digest == parse_agreement(yaml(plain)).digest == agreement().digest
    assert parse_agreement(yaml(other)).digest != agreement().digest


def test_canonical_json_reads_back_to_the_same_agreement() -> None:
    """What both parties sign is what a gateway loads again, byte for byte."""
    shipped = real()
    again = agreement_from_json(shipped.canonical())
    assert (again.digest, again.canonical(), again.id) == (shipped.digest, shipped.canonical(), shipped.id)
    assert [entry.id for entry in again.rules] == [entry.id for entry in shipped.rules]


@pytest.mark.parametrize("spoil", [b" %s", b"%s\n", b'{"id":"test",%s'], ids=["space", "newline", "duplicate"])
def test_other_bytes_for_the_same_values_are_refused(spoil: bytes) -> None:
    """A second spelling would be a second digest of one agreement."""
    canonical = agreement().canonical()
    spoilt = spoil % (canonical[1:] if b"{" in spoil else canonical)
    with pytest.raises(AgreementInvalidError):
        agreement_from_json(spoilt)


def test_an_agreement_does_not_change_after_it_was_read() -> None:
    """A frozen value: neither the agreement, nor a rule, nor a mapping inside can be written to."""
    one = agreement()
    with pytest.raises(AttributeError):
        one.version = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        one.rules[0].clause = "2"
    with pytest.raises(TypeError):
        one.parties["stranger"] = one.parties["polda-banten"]  # type: ignore[index]


def test_days_are_days_of_the_agreements_own_zone() -> None:
    """In force from the first second of the first day in Banten to the last second of the last."""
    one = agreement()
    assert one.valid_from == date(2026, 1, 1)
    inside = [datetime(2025, 12, 31, 17, tzinfo=UTC), datetime(2026, 12, 31, 16, 59, 59, tzinfo=UTC)]
    outside = [datetime(2025, 12, 31, 16, 59, 59, tzinfo=UTC), datetime(2026, 12, 31, 17, tzinfo=UTC)]
    assert [one.in_force(now) for now in inside + outside] == [True, True, False, False]


def test_a_moment_without_a_time_zone_is_never_guessed() -> None:
    """A machine's local time could put an expired agreement back in force."""
    with pytest.raises(ValueError, match="time zone"):
        agreement().in_force(datetime(2026, 5, 1))  # noqa: DTZ001


def test_every_fault_is_told_with_its_place_and_line() -> None:
    """An author mends a document in one go."""
    spoilt = document(rule(priority="soon", purposes=[], hadling="RED"), version="1", surprise=True)
    found = faults(yaml(spoilt))
    assert set(found) == {
        "/version",
        "/surprise",
        "/rules/0/priority",
        "/rules/0/purposes",
        "/rules/0/hadling",
    }
    assert all(detail.startswith("line ") for detail in found.values())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: 1\na: 2\n", "twice"),
        ("a: &x 1\nb: *x\n", "anchors"),
        ("a: !!str 1\n", "tags"),
        ("a: !python/object:os.system x\n", "tags"),
        ("a: yes\n", "in quotes"),
        ("a: NO\n", "in quotes"),
        ("a: 0x10\n", "in quotes"),
        ("a: 010\n", "in quotes"),
        ("a: 1_000\n", "in quotes"),
        ("a: 12:30\n", "in quotes"),
        ("a:\n", "in quotes"),
        ("36.04: x\n", "in quotes"),
        ("a: [1\n", "line "),
        ("a: 1\n---\nb: 2\n", "one document"),
        ("%YAML 1.1\n---\na: 1\n", "directives"),
        ("", "empty"),
        ("a: \x00\n", "not YAML"),
        ("[" * 100 + "]" * 100, "nested deeper"),
        ("a: 9007199254740993\n", "canonical form"),
        ("x" * 1_048_577, "characters"),
        ('a: "\\UFFFFFFFF"\n', "Unicode"),
        ("a: " + "9" * 5000, "not YAML"),
        ('a: "\\ud800"\n', "Unicode"),
        ("a: 1e999\n", "canonical form"),
        ("? [a]\n: b\n", "a key must be a text"),
        ("[]\n", "object"),
    ],
)
def test_a_text_that_two_readers_could_read_differently_is_refused(text: str, what: str) -> None:
    """Both parties sign what they read, so there is one way to read it."""
    assert what in " ".join(faults(text).values())


def test_dates_and_codes_stay_texts() -> None:
    """YAML 1.1 would make a date object of the first, and cut the zero off the second."""
    one = parse_agreement(yaml(document()).replace('"2026-01-01"', "2026-01-01"))
    assert one.digest == agreement().digest


def test_an_agreement_without_territories_needs_none() -> None:
    """Where no rule looks at a place, `jurisdictions` may be left out; the mapping is there, empty and sealed."""
    one = agreement(jurisdictions=None)
    assert dict(one.jurisdictions) == {}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_text_makes_the_parser_fail_otherwise(data: st.DataObject) -> None:
    """Whatever is cut out of a document or put into it, the answer is an agreement or AgreementInvalidError."""
    text = data.draw(st.sampled_from([LAID_OUT, yaml(document())]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 5, len(text))))
    inserted = data.draw(st.text(st.sampled_from("\"':-{}[]\n&*!#|>?%@`~,0a \t\x85\ud800"), max_size=4))
    with suppress(AgreementInvalidError):
        parse_agreement(text[:start] + inserted + text[end:])


@given(st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b"null", b'{"rules":[]}', b'{"a":"\\ud800"}']))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    """The stored form is read as strictly."""
    with pytest.raises(AgreementInvalidError):
        agreement_from_json(data)


def broken(**changes: Any) -> dict[str, Any]:
    return document(rule(**changes))


def within(period: str, **more: Any) -> dict[str, Any]:
    return {"deadlines": [{"within": period, **more}], **source()}


EVERY_DAY = [f"{date(2024, 1, 1) + timedelta(days=number):%m-%d}" for number in range(366)]
CALENDAR = {"rest": ["SATURDAY", "SUNDAY"], **source()}
WORKING = within("P3D", working=True)


ANSWER = {"kind": "answers", "name": "a", "types": ["q/1"]}
SAME = {"kind": "same", "here": "/body/a", "there": "/body/b"}
EARLIER_SAYS = {"kind": "earlier", "field": "/body/a", "must": {"const": 1}}
PERIOD = {"kind": "period_at_most", "name": "a", "first": "/body/a", "last": "/body/b", "limit": "P1M"}
LINKS = {"kind": "links", "name": "a", "field": "/body/a", "types": ["q/1"]}
ASKING = {"subject": "/body/nik", "at_most": 1, "within": "P1M"}
SITUATION = {"/purpose": {"const": "PREVENTION"}}


def secret(unless: list[Any] | None = None, **changes: Any) -> dict[str, Any]:
    confidential = {"approvals": 2, "roles": ["HEAD"], "notice": ["ack/1"], **changes}
    given = [SITUATION] if unless is None else unless
    return {"field": "/body/a", "unless": given, "confidential": confidential, **source()}


OVERLAP = document(rule(), rule(id="again", clause="2"))
APART = document(rule(valid_until="2026-06-30"), rule(id="again", valid_from="2026-07-01"))


@pytest.mark.parametrize(
    ("spoilt", "pointer", "what"),
    [
        (OVERLAP, "/rules/1", "already in rule notice"),
        (document(rule(), rule(purposes=["INVESTIGATION"])), "/rules/1/id", "twice"),
        (broken(clause="9"), "/rules/0/clause", "no such clause"),
        (broken(senders=["stranger"]), "/rules/0/senders/0", "not a party"),
        (broken(recipients=["imigrasi-banten"]), "/rules/0/recipients", "nobody"),
        (broken(valid_from="2027-01-01"), "/rules/0/valid_until", "never in force"),
        (broken(jurisdiction=[{"field": "/body/at", "of": "elsewhere"}]), "/rules/0/jurisdiction/0/of", "elsewhere"),
        (broken(jurisdiction=[{"field": "/body/at", "of": "sender"}]), "/rules/0/jurisdiction/0/of", "imigrasi"),
        (broken(retention={"keep": "PT1H", **source()}), "/rules/0/retention", "days"),
        (broken(retention={"keep": "P0D", **source()}), "/rules/0/retention/keep", "longer than zero"),
        (broken(retention={"keep": "P2Y"}), "/rules/0/retention/provenance", "required"),
        (broken(where=[{"name": "a", "field": "/body/*", "must": {"const": 1}}]), "/rules/0/where/0/field", "one place"),
        (broken(where=[{"name": "a", "field": "/nik", "must": {"const": 1}}]), "/rules/0/where/0/field", "claim"),
        (broken(withhold=[{"field": "/purpose", **source()}]), "/rules/0/withhold/0/field", "payload"),
        (broken(withhold=[{"field": "/body/*", **source()}]), "/rules/0/withhold/0/field", "payload"),
        (broken(withhold=[{"field": "/body/list/0", **source()}]), "/rules/0/withhold/0/field", "index"),
        (broken(withhold=[{"field": "/body/a", "unless": [{}], **source()}]), "/rules/0/withhold/0/unless/0", "at least one"),
        (broken(withhold=[{"field": "/body/a", **source()}] * 2), "/rules/0/withhold/1", "twice"),
        (broken(relations=[{"kind": "sounds_like", "name": "a"}]), "/rules/0/relations/0", "sounds_like"),
        (
            broken(relations=[{"kind": "answers", "name": "a", "types": ["q/1"]}] * 2),
            "/rules/0/relations/1",
            "twice",
        ),
        (broken(relations=[{**ANSWER, "name": "b", "when": SITUATION}, ANSWER]), "/rules/0/relations", "each has a when"),
        (broken(relations=[ANSWER, {"kind": "amends", "name": "b"}]), "/rules/0/relations", "stands once"),
        (broken(relations=[{"kind": "at_most", "name": "b", "count": 1}]), "/rules/0/relations/0", "needs answers"),
        (broken(relations=[{**SAME, "name": "b"}]), "/rules/0/relations/0", "needs answers"),
        (broken(relations=[{**EARLIER_SAYS, "name": "b"}]), "/rules/0/relations/0", "needs answers"),
        (broken(relations=[ANSWER, {"kind": "at_most", "name": "b", "count": 0}]), "/rules/0/relations/1/count", "greater"),
        (broken(relations=[{**LINKS, "field": "/in_reply_to"}]), "/rules/0/relations/0/field", "payload"),
        (broken(relations=[{**ANSWER, "otherwise": "ignore"}]), "/rules/0/relations/0/otherwise", "flag"),
        (broken(relations=[{**ANSWER, "when": {}}]), "/rules/0/relations/0/when", "at least one"),
        (broken(relations=[{**ANSWER, "when": {"/body/*": {"const": 1}}}]), "/rules/0/relations/0/when/~1body~1*", "one place"),
        (broken(relations=[PERIOD]), "/rules/0/relations/0/provenance", "required"),
        (broken(stands_until="/exp"), "/rules/0/stands_until", "payload"),
        (broken(stands_until="/body/list/*"), "/rules/0/stands_until", "without *"),
        (broken(withhold=[secret(unless=[])]), "/rules/0/withhold/0", "needs unless"),
        (broken(withhold=[secret(approvals=1)]), "/rules/0/withhold/0/confidential/approvals", "greater"),
        (broken(withhold=[secret(approvals=5)]), "/rules/0/withhold/0/confidential/approvals", "less"),
        (broken(withhold=[secret(roles=[])]), "/rules/0/withhold/0/confidential/roles", "at least one"),
        (broken(withhold=[secret(notice=[])]), "/rules/0/withhold/0/confidential/notice", "at least one"),
        (broken(withhold=[secret(matching={"/iss": "nik"})]), "/rules/0/withhold/0/confidential/matching/~1iss", "Pointer"),
        (broken(withhold=[secret()], relations=[ANSWER]), "/rules/0/withhold/0/confidential/notice", "relation a lets"),
        (
            broken(withhold=[secret()], relations=[{"kind": "amends", "name": "mine"}]),
            "/rules/0/withhold/0/confidential/notice",
            "sender sent itself",
        ),
        (broken(quota=source()), "/rules/0/quota", "per_hour, per_day or both"),
        (broken(quota={"per_hour": 1}), "/rules/0/quota/provenance", "required"),
        (broken(quota={"per_hour": 5, "per_day": 4, **source()}), "/rules/0/quota/per_day", "less than per_hour"),
        (broken(repeats={**ASKING, "at_most": 0, **source()}), "/rules/0/repeats/at_most", "greater"),
        (broken(repeats=ASKING), "/rules/0/repeats/citation", "required"),
        (
            broken(acknowledge_within={"deadlines": [{"within": "P1D", "when": {"/purpose": {"const": "X"}}}], **source()}),
            "/rules/0/acknowledge_within",
            "no when",
        ),
        (broken(acknowledge_within=WORKING), "/rules/0/acknowledge_within", "no working_days"),
        (broken(acknowledge_within=within("PT3H", working=True)), "/rules/0/acknowledge_within/deadlines/0", "working days"),
        (broken(acknowledge_within=within("P251D", working=True)), "/rules/0/acknowledge_within/deadlines/0", "P250D"),
        (document(working_days={**CALENDAR, "rest": list(WEEKDAYS)}), "/working_days", "at least one working day"),
        (document(working_days={**CALENDAR, "rest": ["SABTU"]}), "/working_days/rest/0", "day of the week"),
        (document(working_days={**CALENDAR, "every_year": ["02-30"]}), "/working_days/every_year/0", "no such day"),
        (document(working_days={**CALENDAR, "every_year": EVERY_DAY}), "/working_days", "fixed holidays at most"),
        (document(working_days={"rest": ["SUNDAY"]}), "/working_days/provenance", "required"),
        (document(valid_until={"date": "2025-01-01", **source()}), "/valid_until/date", "before the first"),
        (document(valid_until={"date": "2026-02-30", **source()}), "/valid_until/date", "no such day"),
        (document(timezone="Asia/Jakarta"), "/timezone", "offset"),
        (document(jurisdictions={"sender": document()["jurisdictions"]["polda-banten"]}), "/jurisdictions/sender", "words"),
    ],
)  # fmt: skip
def test_a_document_that_contradicts_itself_is_refused(spoilt: dict[str, Any], pointer: str, what: str) -> None:
    """Each slip that could be seen before signing is seen, where it stands."""
    found = faults(yaml(spoilt))
    assert pointer in found
    assert what in found[pointer]


@pytest.mark.parametrize(
    "sound",
    [
        broken(relations=[{**ANSWER, "when": SITUATION}, {"kind": "amends", "name": "b", "when": SITUATION}]),
        broken(relations=[ANSWER, {**SAME, "name": "b"}, {**EARLIER_SAYS, "name": "c"}]),
        broken(withhold=[secret()], relations=[{**ANSWER, "types": ["ack/1"]}]),
        broken(withhold=[secret()], relations=[{**ANSWER, "when": SITUATION}]),
        broken(withhold=[secret()], relations=[{**ANSWER, "otherwise": "flag"}]),
        document(rule(acknowledge_within=WORKING), working_days=CALENDAR),
        broken(quota={"per_day": 1, **source()}, repeats={"subject": "/body/a", "at_most": 1, "within": "P1M", **source()}),
    ],
)  # fmt: skip
def test_a_document_without_a_contradiction_is_read(sound: dict[str, Any]) -> None:
    """The checks refuse what cannot hold, and nothing beside it."""
    assert parse_agreement(yaml(sound)).rules


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\u0085", "\u2028", "\U000e0041"])
def test_what_a_reader_does_not_see_is_in_no_agreement(mark: str) -> None:
    """Turned around or invisible, a text would be signed as something else than what is read; codes in fragments as well."""
    hidden = rule(
        title={"en": f"Notice{mark}", "id": "Pemberitahuan"},
        where=[{"name": "c", "field": "/body/a", "must": {"const": f"A{mark}B"}}],
    )
    with pytest.raises(AgreementInvalidError) as caught:
        agreement_from_json(rfc8785.dumps(document(hidden)))
    assert {reason.pointer for reason in caught.value.reasons} == {"/rules/0/title/en", "/rules/0/where/0/must/const"}
    assert not any(mark in str(reason.detail) for reason in caught.value.reasons)


def test_one_rule_may_follow_another_in_time() -> None:
    """Two rules for one exchange are fine as long as never both are in force."""
    assert [entry.id for entry in parse_agreement(yaml(APART)).rules] == ["notice", "again"]


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({}, "type, const or enum"),
        (True, "object"),
        ({"minimum": 3}, "type, const or enum"),
        ({"type": "integer", "minimun": 3}, "minimun"),
        ({"type": "integer", "pattern": "^a$"}, "pattern"),
        ({"type": ["integer", "string"]}, "type must be"),
        ({"type": "string", "pattern": "36"}, "anchored"),
        ({"type": "string", "pattern": "^(36$"}, "not a JSON Schema"),
        ({"type": "string", "format": "no-such-format"}, "not a JSON Schema"),
        ({"type": "string", "minLength": "3"}, "not a JSON Schema"),
        ({"$ref": "https://example.org/schema"}, "type, const or enum"),
        ({"type": "string", "$ref": "#/$defs/a"}, "$ref"),
        ({"type": "array", "items": {"const": 1}}, "minItems"),
        ({"type": "array", "minItems": 1, "items": {"minimum": 1}}, "/items must say"),
        ({"type": "object", "properties": {"a": {"const": 1}}}, "required"),
        ({"type": "object", "additionalProperties": True}, "additionalProperties"),
        ({"anyOf": [{"const": 1}, {"minimum": 2}]}, "type, const or enum"),
        ({"anyOf": []}, "type, const or enum"),
        ({"type": "object", "if": {"type": "object"}}, "if is not a keyword"),
    ],
)
def test_a_condition_that_could_pass_unawares_is_refused(schema: object, what: str) -> None:
    """JSON Schema ignores what it does not know and what does not apply; an agreement may not."""
    spoilt = broken(where=[{"name": "a", "field": "/body/a", "must": schema}])
    assert what in faults(yaml(spoilt))["/rules/0/where/0/must"]


def test_reading_leaves_the_callers_value_alone() -> None:
    """A document in memory is not changed by being read."""
    value = document(rule(where=[{"name": "a", "field": "/body/a", "must": {"enum": [1, 2]}}]))
    copy = deepcopy(value)
    agreement_from_json(rfc8785.dumps(value))
    assert value == copy
