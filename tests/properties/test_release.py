"""What is released of a message of any type: it satisfies its release schema, and tells nothing of what stays behind.

What tells something is worked out here from the schemas and from how identity numbers are made, not as the gateway does.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.document import Agreement
from gateway.decision.decide import Decision, decide
from gateway.message.disclosure import pointers_matching
from gateway.message.envelope import VerifiedMessage, parse, release, verify
from gateway.message_types.specimens import flat
from tests.agreement.making import KEY
from tests.properties.changes import near
from tests.properties.exchanges import (
    AGREEMENT,
    EXAMPLES,
    MESSAGES,
    TYPES,
    Exchange,
    agreement,
    at,
    leaves,
    permitted,
    rules_of,
    sensitive,
    some,
)

each_type = pytest.mark.parametrize("type_", TYPES)
SOURCE = {"provenance": "public", "citation": "a test"}
DATES = frozenset({"date", "date-time", "partial-date", "region-code", "police-report-no"})
# Texts that many people share, and tokens made up to stand for somebody: they say of nobody who it is.
SHARED = frozenset({
    "birth_place", "unit", "rank", "position", "office", "carrier", "venue", "venue_name", "course_title", "course_code",
    "facility_id", "victim_token", "reference",
})  # fmt: skip
NAMES = frozenset({"full_name", "family_name", "given_names", "name", "alias", "aliases"})
STORIES = frozenset({
    "narrative", "summary", "reason", "explanation", "grounds", "objective", "health_summary", "remarks", "description",
    "next_action",
})  # fmt: skip


def declared(type_: str, pointer: str) -> list[dict[str, Any]]:
    """What the schema of the type says of the value at a pointer from `/body` on, in every branch of it."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    root: Any = kind.schema
    nodes = [*_branches(root, root)]
    for step in pointer.split("/")[2:]:
        below = [node["items"] if step.isdigit() else node["properties"][step] for node in nodes if _has(node, step)]
        nodes = [branch for node in below for branch in _branches(node, root)]
    return nodes


def _has(node: dict[str, Any], step: str) -> bool:
    return "items" in node if step.isdigit() else step in node.get("properties", {})


def _branches(node: Any, root: Any) -> Iterator[dict[str, Any]]:
    flattened = flat(node, root)
    yield flattened
    for branch in (*flattened.get("anyOf", ()), *flattened.get("oneOf", ())):
        yield from _branches(branch, root)


def tells(type_: str, pointer: str, value: Any) -> bool:
    """Whether a value is somebody's or something's own: free words or a number, and no code, date or region."""
    name = _called(pointer)
    if not isinstance(value, str) or len(value) < 4 or name in SHARED:
        return False
    nodes = declared(type_, pointer)
    return not any("enum" in node or "const" in node or node.get("format") in DATES for node in nodes)


def held(pointer: str, withheld: tuple[str, ...]) -> bool:
    return any(pointer == entry or pointer.startswith(f"{entry}/") for entry in withheld)


def decoded(text: str) -> list[bytes]:
    """Every byte that a recipient can read in a message: header, payload and disclosures, out of their base64."""
    jwt, *disclosures = text.split("~")
    parts = [*jwt.split(".")[:2], *disclosures[:-1]]
    return [urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]


def words_in(parts: Iterable[bytes]) -> str:
    """All that can be read, as one text, without case: the bytes as they are, and each text of what is JSON."""
    texts: list[str] = []
    for raw in parts:
        texts.append(raw.decode())
        try:
            texts += _strings(json.loads(raw))
        except ValueError:
            continue
    return "\n".join(texts).casefold()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from (name, *_strings(member))
    elif isinstance(value, list):
        for member in value:
            yield from _strings(member)
    elif isinstance(value, str):
        yield value


def said(needle: str, words: str) -> bool:
    """Whether it stands there as a word of its own: Sari is not told by Sarinah."""
    needle = needle.casefold()
    before, after = (r"(?<!\w)" if needle[0].isalnum() else ""), (r"(?!\w)" if needle[-1].isalnum() else "")
    return re.search(before + re.escape(needle) + after, words) is not None


def leaks(type_: str, message: VerifiedMessage, decision: Decision, text: str) -> list[str]:
    """Every way in which the released text tells something that the decision withholds, in words for the failure."""
    view, words, sent = {"body": message.body}, words_in(decoded(text)), text.split("~")
    gone = [(pointer + below, value) for pointer in decision.withheld for below, value in leaves(at(view, pointer))]
    stories = "\n".join(
        value for pointer, value in leaves(view) if _called(pointer) in STORIES and not held(pointer, decision.withheld)
    ).casefold()
    found = [
        f"{pointer} is told"
        for pointer, value in gone
        if tells(type_, pointer, value) and said(value, stories if _is_shared(pointer, value) else words)
    ]
    found += [
        f"{place.pointer} is there"
        for place in message.placed
        if held(place.pointer, decision.withheld) and place.disclosure.encoded in sent
    ]
    for pointer, value in gone:
        found += [f"{pointer} is told by {number}" for number in _made_from(pointer, value, view, words)]
    return found


def _called(pointer: str) -> str:
    return re.sub(r"/[0-9]+", "", pointer).rpartition("/")[2]


def _is_shared(pointer: str, value: str) -> bool:
    """One word of a person's name: relatives have it, offices and ships as well, and only a story says by it who is meant."""
    return _called(pointer) in NAMES and len(value.split()) == 1


def _made_from(pointer: str, value: Any, view: dict[str, Any], words: str) -> Iterator[str]:
    """Numbers among the words that are made from a withheld value: by their digits anywhere, or as the same one's."""
    holder, _, name = pointer.rpartition("/")
    if name == "birth_date" and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        year, month, day = value.split("-")
        for number in re.findall(r"(?<!\d)\d{16}(?!\d)", words):
            if number[8:12] == month + year[2:] and int(number[6:8]) % 40 == int(day):
                yield number
        for number in re.findall(r"(?<!\d)\d{18}(?!\d)", words):
            if number[:8] == year + month + day:
                yield number
    made = {
        "birth_date": ("nik", "nip", "nrp"),
        "sex": ("nik", "nip"),
        "number": ("mrz_number",),
        "mrz_number": ("number",),
    }
    own = at(view, holder) if name in made else {}
    for other in made.get(name, ()):
        if other in own and said(own[other], words):
            yield other


_agreements: dict[tuple[str, ...], Agreement] = {}


def stricter(type_: str, fields: tuple[str, ...]) -> Agreement:
    """The rules of the type, which withhold these fields as well, always."""
    key = (type_, *fields)
    if key not in _agreements:
        rules = deepcopy(rules_of(type_))
        for rule in rules:
            others = [entry for entry in rule.get("withhold", ()) if entry["field"] not in fields]
            rule["withhold"] = [*others, *({"field": field, "unless": [], **SOURCE} for field in fields)]
        _agreements[key] = agreement(rules)
    return _agreements[key]


def patterns(type_: str) -> list[str]:
    """Every place of the examples' bodies, as a rule names it."""
    found = {
        re.sub(r"/[0-9]+", "/*", f"/body{pointer}")
        for body in EXAMPLES[type_]
        for leaf, _ in leaves(body)
        for pointer in (leaf, leaf.rpartition("/")[0])
        if pointer
    }
    return sorted(pattern for pattern in found if not pattern.endswith("/*"))


def finely(exchange: Exchange) -> Exchange:
    """Every leaf of the body and every object in it disclosable by itself."""
    return exchange.with_draft(disclosable=sorted({*exchange.draft.disclosable, *patterns(exchange.draft.type)}))


def released(exchange: Exchange, under: Agreement) -> tuple[VerifiedMessage, Decision, str]:
    """The message, the decision and what goes out; nothing where it is refused."""
    message, facts = exchange.sent()
    decision = decide(under, message, facts, exchange.at)
    return message, decision, release(message, decision.withheld) if decision.permitted else ""


@each_type
@some(10)
@given(st.data())
def test_what_is_released_satisfies_its_release_schema(type_: str, data: st.DataObject) -> None:
    """Of every message that the schema and a rule let pass, what goes out is what the recipient's schema asks for.

    However the sender cut it into disclosures, and whatever stays behind for what it would tell.
    """
    exchange = data.draw(near(type_))
    if data.draw(st.booleans()):
        exchange = finely(exchange)
    _, decision, text = released(exchange, AGREEMENT)
    if decision.permitted:
        opened = verify(parse(text.encode()), KEY.public, complete=False)
        assert MESSAGES.release_violations(type_, opened.body) == ()


@each_type
@some(16)
@given(st.data())
def test_nothing_released_tells_what_is_withheld(type_: str, data: st.DataObject) -> None:
    """Not a word of a withheld field stands in what goes out, nor a number made from it; under any stricter rule too."""
    exchange = data.draw(near(type_))
    under, fields = AGREEMENT, []
    if data.draw(st.booleans()):
        exchange = finely(exchange)
        fields = sorted(data.draw(st.sets(st.sampled_from(patterns(type_)), min_size=1, max_size=2)))
        under = stricter(type_, tuple(fields))
    message, decision, text = released(exchange, under)
    if decision.permitted:
        named = [pointer for field in fields for pointer in pointers_matching({"body": message.body}, field)]
        assert all(held(pointer, decision.withheld) for pointer in named)
        assert leaks(type_, message, decision, text) == []


def test_what_a_recipient_needs_is_refused_rather_than_left_out() -> None:
    """A field that the release schema requires, told apart by its sender and repeating a withheld number: refused.

    It once stayed behind with the number, and the recipient got a message that its own schema does not take.
    """
    (exchange, *_) = permitted("facility-use.request/1")
    body = deepcopy(dict(exchange.draft.body))
    officer = {**body["contact_officer"], "nrp": "85031234", "unit": "Ditreskrimum 85031234"}
    fields = [*sensitive("facility-use.request/1"), "/body/contact_officer/unit", "/body/contact_officer/phone"]
    told = exchange.with_draft(body={**body, "contact_officer": officer}, disclosable=fields)
    refused = told.decided()
    assert [(reason.code, reason.pointer) for reason in refused.reasons] == [
        ("rule.field-not-disclosable", "/body/contact_officer/unit")
    ]
    # What the schema can do without goes along instead.
    officer = {**officer, "unit": "Ditreskrimum", "phone": "+6285031234"}
    optional = exchange.with_draft(body={**body, "contact_officer": officer}, disclosable=fields).decided()
    assert set(optional.withheld) >= {"/body/contact_officer/nrp", "/body/contact_officer/phone"}
