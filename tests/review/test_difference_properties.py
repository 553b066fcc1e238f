"""`diff` on agreements drawn by chance: what it tells is so, and what it does not tell does not happen."""

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.agreement.document import agreement_from_json
from gateway.decision.decide import decide
from gateway.review.difference import PERMITTED, RELEASED
from gateway.review.draft import Draft, facts_of, message_of
from tests.agreement.making import IMIGRASI, POLDA, agreement, document, source
from tests.review.comparison import BODIES, PERIOD, changed, truly_differs
from tests.review.world import SENSITIVE, notice, query, withheld

some = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

situations = st.sampled_from(
    [
        {"/body/severity": {"type": "integer", "minimum": 3}},
        {"/body/severity": {"const": 4}},
        {"/case": {"type": "object"}},
        {"/case/type": {"enum": ["LP", "LI"]}},
        {"/body/is_minor": {"const": False}, "/body/severity": {"const": 4}},
    ]
)
conditions = st.sampled_from(
    [
        {"name": "one", "field": "/body/severity", "must": {"type": "integer", "minimum": 2}},
        {"name": "two", "field": "/body/reference", "must": {"type": "string", "minLength": 2}, "optional": True},
        {"name": "three", "field": "/classification", "must": {"enum": ["R", "SR"]}},
        {"name": "four", "field": "/body/is_minor", "must": {"const": False}, "when": {"/body/severity": {"const": 4}}},
    ]
)
relations = st.sampled_from(
    [
        PERIOD,
        {"kind": "ordered", "name": "o", "first": "/body/from", "last": "/body/to", "optional": True},
        {"kind": "links", "name": "l", "field": "/body/link", "types": ["query/1"]},
    ]
)
fields = st.sampled_from([*SENSITIVE, "/body/person/nik"])


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    hidden = draw(st.lists(fields, unique=True, max_size=4))
    return notice(
        senders=draw(st.sampled_from([[IMIGRASI], [POLDA], [IMIGRASI, POLDA]])),
        recipients=[IMIGRASI, POLDA],
        purposes=draw(st.sampled_from([["PREVENTION"], ["PREVENTION", "INVESTIGATION"]])),
        requires=draw(st.sampled_from([None, None, {"case": ["LP", "LI"]}])),
        where=draw(st.lists(conditions, max_size=2, unique_by=lambda one: one["name"])),
        relations=draw(st.lists(relations, max_size=1)),
        jurisdiction=draw(st.sampled_from([[], [{"field": "/body/region", "of": POLDA, "optional": True}]])),
        withhold=[*withheld_with(draw, hidden)],
        quota=draw(st.sampled_from([None, {"per_hour": 5, "per_day": 20, **source()}])),
    )


def withheld_with(draw: st.DrawFn, names: list[str]) -> Any:
    for name in names:
        yield from withheld(name, unless=draw(st.lists(situations, max_size=2)))


def _without(name: str, rule: dict[str, Any], data: st.DataObject) -> None:
    if len(rule[name]) > 1:
        rule[name].pop(data.draw(st.integers(0, len(rule[name]) - 1)))


def narrowed(rule: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """The rule with one or two things taken away or asked for in addition."""
    rule = deepcopy(rule)
    for _ in range(data.draw(st.integers(1, 2))):
        match data.draw(st.integers(0, 9)):
            case 0:
                _without("purposes", rule, data)
            case 1:
                _without("senders", rule, data) if len(rule["senders"]) == 2 else None
            case 2:
                more = data.draw(conditions)
                rule["where"] = [*(one for one in rule["where"] if one["name"] != more["name"]), more]
            case 3:
                more = data.draw(relations)
                rule["relations"] = [*(one for one in rule["relations"] if one["name"] != more["name"]), more]
            case 4:
                rule["requires"] = {"case": ["LP"]}
            case 5:
                rule["jurisdiction"] = [{"field": "/body/region", "of": POLDA}]
            case 6:
                held = {entry["field"] for entry in rule["withhold"]}
                rule["withhold"] += withheld(*({data.draw(fields)} - held))
            case 7:
                for entry in rule["withhold"]:
                    if entry.get("unless"):
                        entry["unless"].pop()
                        entry.pop("confidential", None)
                        break
            case 8:
                rule["quota"] = {"per_hour": 2, "per_day": 10, **source()}
            case 9:
                rule["valid_until"] = "2026-06-30"
    return rule


@some
@given(rules(), st.data())
def test_a_narrower_agreement_is_never_said_to_permit_or_release_more(
    rule: dict[str, Any], data: st.DataObject
) -> None:
    """Not proven and not undecided either: what only takes away needs no second look."""
    wide, narrow = agreement(rule, query()), agreement(narrowed(rule, data), query())
    assert [change.as_json() for change in changed(wide, narrow).widening] == []


@some
@given(rules(), rules())
def test_each_witness_is_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Between any two versions: the message conforms to its type, and the two agreements judge it as told."""
    old, new = agreement(one, query()), agreement(other, query())
    for change in changed(old, new).changes:
        if change.witness is not None:
            truly_differs(change, old, new)
            assert change.proven


@some
@given(rules(), rules())
def test_what_is_not_told_does_not_happen(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The published bodies, in every case and purpose: none passes newly, or is shown newly, where nothing was told.

    What was refused only because it shows a withheld value passes newly where that value is told as newly released.
    """
    old, new = (agreement_from_json(rfc8785.dumps(document(rule, query()))) for rule in (one, other))
    told = {
        (change.kind, route.sender, route.purpose) for change in changed(old, new).widening for route in change.routes
    }
    for sender, recipient in ((IMIGRASI, POLDA), (POLDA, IMIGRASI)):
        for purpose in ("PREVENTION", "INVESTIGATION"):
            for draft in drafts(sender, recipient, purpose):
                message = message_of(draft, SENSITIVE)
                before, after = (decide(side, message, facts_of(draft, message, ()), draft.at) for side in (old, new))
                if after.permitted and not before.permitted:
                    revealing = {reason.code for reason in before.reasons} == {"rule.field-not-disclosable"}
                    kinds = {PERMITTED, RELEASED} if revealing else {PERMITTED}
                    assert any((kind, sender, purpose) in told for kind in kinds)
                elif after.permitted and not set(before.withheld) <= set(after.withheld):
                    assert (RELEASED, sender, purpose) in told


def drafts(sender: str, recipient: str, purpose: str) -> Iterator[Draft]:
    """The published body, more or less severe, with and without a case."""
    for severity in (1, 3, 4):
        for case in ({}, {"case": {"type": "LP", "number": "LP/1"}}, {"case": {"type": "SPDP", "number": "SPDP/1"}}):
            yield Draft(
                {
                    "iss": sender,
                    "aud": recipient,
                    "jti": "draft-0001",
                    "type": "notice/1",
                    "agreement": "test",
                    "purpose": purpose,
                    "classification": "R",
                    **case,
                    "body": {**BODIES["notice/1"][0], "severity": severity},
                },
                datetime(2026, 3, 10, tzinfo=UTC),
            )
