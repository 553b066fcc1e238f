"""What passes, what does not, and what a refusal says: the table of every rule failure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.decision.decide import REASONS_LIMIT, Facts, decide, needs
from gateway.decision.reading import view_of
from gateway.message.envelope import Case, Officer
from tests.agreement.making import (
    EARLIER,
    IMIGRASI,
    LP,
    NOW,
    POLDA,
    Draft,
    agreement,
    earlier,
    judged,
    message,
    rule,
    source,
)

SECRET = "3604081234567890"  # stands for any value of a payload
WITHHOLD = {"field": "/body/reporter", **source()}


def condition(field: str, must: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "the-condition", "field": field, "must": must, **more}


def reasons(changes: dict[str, Any], draft: Draft, facts: Facts | None = None) -> list[tuple[str, str | None, Any]]:
    decision = judged(agreement(rule(**changes)), draft, facts)
    assert decision.permitted is (not decision.reasons)
    return [(reason.code, reason.pointer, reason.detail) for reason in decision.reasons]


def test_a_permission_names_its_rule_and_what_follows() -> None:
    """Everything the later steps need is in the decision: rule, clause, retention, deadline, order, handling."""
    acknowledge = {"deadlines": [{"within": "PT4H"}], **source()}
    decision = judged(agreement(rule(acknowledge_within=acknowledge)), Draft())
    assert decision.as_json() == {
        "permitted": True,
        "reasons": [],
        "withheld": [],
        "rule": "notice",
        "clause": "1",
        "agreement": "test",
        "agreement_version": 1,
        "retain_until": "2028-03-10",
        "acknowledge_by": "2026-03-10T07:00:00Z",
        "priority": "normal",
        "handling": "AMBER",
    }


NO_RULE: dict[str, tuple[Draft, str, str]] = {
    "another type": (Draft(type="other/1"), "rule.none", "/type"),
    "another version of the type": (Draft(type="notice/2"), "rule.none", "/type"),
    "the other direction": (Draft(sender=POLDA, recipient=IMIGRASI), "rule.none", "/type"),
    "a stranger as recipient": (Draft(recipient="stranger"), "rule.none", "/type"),
    "a stranger as sender": (Draft(sender="stranger"), "rule.none", "/type"),
    "another purpose": (Draft(purpose="INVESTIGATION"), "rule.purpose", "/purpose"),
    "another agreement": (Draft(agreement="other"), "agreement.unknown", "/agreement"),
}


@pytest.mark.parametrize("case", NO_RULE)
def test_what_no_rule_permits_is_refused(case: str) -> None:
    """Default deny: type, version, direction, parties and purpose must all be those of one rule."""
    draft, code, pointer = NO_RULE[case]
    decision = judged(agreement(), draft)
    assert not decision.permitted
    assert [(reason.code, reason.pointer) for reason in decision.reasons] == [(code, pointer)]


def test_without_an_agreement_nothing_passes() -> None:
    """The gateway knows no agreement of that name."""
    assert judged(None, Draft()).reasons[0].code == "agreement.unknown"


def test_a_refused_purpose_names_the_clauses_that_allow_others() -> None:
    """The sender learns which purposes the agreement has for this exchange."""
    both = agreement(rule(), rule(id="crime", clause="2", purposes=["INVESTIGATION", "BORDER_CONTROL"]))
    decision = judged(both, Draft(purpose="SUPERVISION"))
    assert [(reason.clause, reason.detail) for reason in decision.reasons] == [
        ("1", "rule notice allows PREVENTION"),
        ("2", "rule crime allows INVESTIGATION, BORDER_CONTROL"),
    ]


@pytest.mark.parametrize(
    ("now", "permitted"),
    [
        (datetime(2025, 12, 31, 16, 59, 59, tzinfo=UTC), False),
        (datetime(2025, 12, 31, 17, tzinfo=UTC), True),
        (datetime(2026, 12, 31, 16, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 12, 31, 17, tzinfo=UTC), False),
    ],
)
def test_outside_its_term_an_agreement_permits_nothing(now: datetime, permitted: bool) -> None:
    """The last second of the last day in Banten, and not one more."""
    decision = judged(agreement(), Draft(), now=now)
    assert decision.permitted is permitted
    assert permitted or decision.reasons[0].code == "agreement.inactive"


def test_a_rule_has_its_own_days_too() -> None:
    """An expired rule is no rule, although the agreement is in force."""
    one = agreement(rule(valid_until="2026-03-09"))
    assert judged(one, Draft()).reasons[0].code == "rule.none"
    assert judged(one, Draft(), now=NOW - timedelta(days=1)).permitted


A = "/body/a"
TABLE: dict[str, tuple[dict[str, Any], Draft, list[tuple[str, str, str | None]]]] = {
    "a condition is not met": (
        {"where": [condition(A, {"const": 1})]},
        Draft(body={"a": 2}),
        [("rule.condition", A, "the-condition")],
    ),
    "a condition's field is missing": (
        {"where": [condition(A, {"const": 1})]},
        Draft(),
        [("rule.condition", A, "the-condition")],
    ),
    "an optional field is there and wrong": (
        {"where": [condition(A, {"const": 1}, optional=True)]},
        Draft(body={"a": None}),
        [("rule.condition", A, "the-condition")],
    ),
    "a condition on a claim": (
        {"where": [condition("/officer/role", {"const": "INVESTIGATOR"})]},
        Draft(),
        [("rule.condition", "/officer/role", "the-condition")],
    ),
    "no case": ({"requires": {"case": ["LP", "LK"]}}, Draft(), [("rule.case-required", "/case", "one of LP, LK")]),
    "another kind of case": (
        {"requires": {"case": ["LP"]}},
        Draft(claims={"case": Case("LI", "LI/1")}),
        [("rule.case-required", "/case/type", "one of LP")],
    ),
    "a field in clear": (
        {"withhold": [WITHHOLD]},
        Draft(body={"reporter": {"name": SECRET}}),
        [("rule.field-not-disclosable", "/body/reporter", None)],
    ),
    "only its children are disclosable": (
        {"withhold": [WITHHOLD]},
        Draft(body={"reporter": {"name": SECRET}}, disclosable=["/body/reporter/name"]),
        [("rule.field-not-disclosable", "/body/reporter", None)],
    ),
    "only its parent is disclosable": (
        {"withhold": [{"field": "/body/person/nik", **source()}]},
        Draft(body={"person": {"nik": SECRET, "sex": "F"}}, disclosable=["/body/person"]),
        [("rule.field-not-disclosable", "/body/person/nik", None)],
    ),
    "one of several elements in clear": (
        {"withhold": [{"field": "/body/list/*/document", **source()}]},
        Draft(body={"list": [{"document": SECRET}, {}, {"document": SECRET}]}, disclosable=["/body/list/0/document"]),
        [("rule.field-not-disclosable", "/body/list/2/document", None)],
    ),
    "a field in clear that would be released": (
        {"withhold": [{**WITHHOLD, "unless": [{"/purpose": {"const": "PREVENTION"}}]}]},
        Draft(body={"reporter": SECRET}),
        [("rule.field-not-disclosable", "/body/reporter", None)],
    ),
    "a village elsewhere": (
        {"jurisdiction": [{"field": A, "of": "recipient"}]},
        Draft(body={"a": "36.71.01.1001"}),
        [("rule.out-of-jurisdiction", A, "not in the territory of polda-banten")],
    ),
    "a regency of which only a part is listed": (
        {"jurisdiction": [{"field": A, "of": "recipient"}]},
        Draft(body={"a": "36.03"}),
        [("rule.out-of-jurisdiction", A, "not in the territory of polda-banten")],
    ),
    "a neighbour that begins with the same digits": (
        {"jurisdiction": [{"field": A, "of": "recipient"}]},
        Draft(body={"a": "36.011"}),
        [("rule.out-of-jurisdiction", A, "not in the territory of polda-banten")],
    ),
    "no village at all": (
        {"jurisdiction": [{"field": A, "of": POLDA}]},
        Draft(),
        [("rule.out-of-jurisdiction", A, "not in the territory of polda-banten")],
    ),
    "something else than a code": (
        {"jurisdiction": [{"field": A, "of": POLDA}]},
        Draft(body={"a": 36.01}),
        [("rule.out-of-jurisdiction", A, "not in the territory of polda-banten")],
    ),
    "one of several checkpoints": (
        {"jurisdiction": [{"field": "/body/list/*", "of": POLDA}]},
        Draft(body={"list": ["MERAK", "CGK"]}),
        [("rule.out-of-jurisdiction", "/body/list/1", "not in the territory of polda-banten")],
    ),
    "an end before the beginning": (
        {"relations": [{"kind": "ordered", "name": "in-order", "first": A, "last": "/body/b"}]},
        Draft(body={"a": "2026-02-01", "b": "2026-01-01"}),
        [("rule.condition", "/body/b", "in-order")],
    ),
    "an end that is not there": (
        {"relations": [{"kind": "ordered", "name": "in-order", "first": A, "last": "/body/b"}]},
        Draft(body={"a": "2026-02-01"}),
        [("rule.condition", "/body/b", "in-order")],
    ),
    "an optional end that is no time": (
        {"relations": [{"kind": "ordered", "name": "in-order", "first": A, "last": "/body/b", "optional": True}]},
        Draft(body={"a": "2026-02-01", "b": "soon"}),
        [("rule.condition", "/body/b", "in-order")],
    ),
    "too long a period": (
        {
            "relations": [
                {"kind": "period_at_most", "name": "long", "first": A, "last": "/body/b", "limit": "P1M", **source()}
            ]
        },
        Draft(body={"a": "2026-01-01", "b": "2026-02-02"}),
        [("rule.condition", "/body/b", "long")],
    ),
    "a retention past the end of the calendar": (
        {"retention": {"keep": "P5Y", "counted_from": A, **source()}},
        Draft(body={"a": "9995-01-01"}),
        [("rule.condition", A, "retention: would end past the year 9999")],
    ),
    "nothing to count the retention from": (
        {"retention": {"keep": "P1Y", "counted_from": A, **source()}},
        Draft(),
        [("rule.condition", "/body", "retention")],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_each_failure_has_its_code_place_and_name(case: str) -> None:
    """The table of docs/reference/agreement: what fails, with which code, where."""
    changes, draft, expected = TABLE[case]
    assert reasons(changes, draft) == expected


def test_every_reason_is_told_at_once_with_its_clause() -> None:
    """A sender mends a message in one go."""
    decision = judged(
        agreement(
            rule(
                clause="2",
                where=[condition(A, {"const": 1}), {**condition("/body/b", {"const": 1}), "name": "other"}],
                requires={"case": ["LP"]},
                jurisdiction=[{"field": "/body/at", "of": POLDA}],
                withhold=[WITHHOLD],
            )
        ),
        Draft(body={"reporter": SECRET, "at": "36.71"}),
    )
    assert [reason.code for reason in decision.reasons] == [
        "rule.case-required",
        "rule.condition",
        "rule.condition",
        "rule.out-of-jurisdiction",
        "rule.field-not-disclosable",
    ]
    assert {reason.clause for reason in decision.reasons} == {"2"}
    assert (decision.rule, decision.clause, decision.withheld) == ("notice", "2", ())


def test_a_refusal_has_at_most_64_reasons() -> None:
    """A message with hundreds of faults cannot blow up its own ledger entry."""
    one = agreement(rule(withhold=[{"field": "/body/list/*", **source()}]))
    assert len(judged(one, Draft(body={"list": [SECRET] * 200})).reasons) == REASONS_LIMIT


@pytest.mark.parametrize(
    ("body", "claims", "withheld"),
    [
        ({"reporter": SECRET}, {}, ("/body/reporter",)),
        ({}, {}, ()),
        ({"reporter": SECRET, "severity": 3}, {}, ("/body/reporter",)),
        ({"reporter": SECRET, "severity": 3, "minors": True}, {}, ()),
        ({"reporter": SECRET}, {"case": LP}, ()),
    ],
)
def test_a_field_stays_behind_unless_one_whole_alternative_is_given(
    body: dict[str, Any], claims: dict[str, Any], withheld: tuple[str, ...]
) -> None:
    """Any of the alternatives releases, and each needs all of its conditions; a missing value meets none."""
    unless = [{"/case/type": {"const": "LP"}}, {"/body/severity": {"const": 3}, "/body/minors": {"const": True}}]
    decision = judged(
        agreement(rule(withhold=[{**WITHHOLD, "unless": unless}])),
        Draft(body=body, claims=claims, disclosable=["/body/reporter"]),
    )
    assert decision.permitted
    assert decision.withheld == withheld


def test_a_withheld_parent_covers_its_children() -> None:
    """The child is not named again: it goes with its parent."""
    withhold = [{"field": "/body/person", **source()}, {"field": "/body/person/nik", **source()}]
    decision = judged(
        agreement(rule(withhold=withhold)),
        Draft(
            body={"person": {"nik": SECRET}, "personal": 1},
            disclosable=["/body/person", "/body/person/nik", "/body/personal"],
        ),
    )
    assert decision.withheld == ("/body/person",)


ANSWERS = {"relations": [{"kind": "answers", "name": "answers-query", "types": ["query/1"]}]}
ONCE_MORE = {"relations": [{"kind": "answers", "name": "answers-query", "types": ["query/1"], "open": False}]}
REFERS = {"relations": [{"kind": "refers_to", "name": "refers-to-query", "types": ["query/1"]}]}
REPLY = Draft(claims={"in_reply_to": EARLIER})


@pytest.mark.parametrize(
    ("changes", "permitted"),
    [
        ({}, True),
        ({"open": False}, False),
        ({"accepted": False}, False),
        ({"type": "notice/1"}, False),
        ({"type": "query/2"}, False),
        ({"transfer": "01960000-0000-7000-8000-000000000002"}, False),
        ({"sender": "stranger"}, False),
        ({"recipient": "stranger"}, False),
        ({"sender": IMIGRASI, "recipient": POLDA}, False),
    ],
)
def test_an_answer_needs_an_open_question_from_its_recipient(changes: dict[str, Any], permitted: bool) -> None:
    """Of that type, accepted, asked by the recipient, addressed to the sender, not answered yet, and the very one named."""
    expected = [] if permitted else [("rule.condition", "/in_reply_to", "answers-query")]
    assert reasons(ANSWERS, REPLY, Facts(earlier(**changes))) == expected


def test_an_answer_to_nothing_is_refused() -> None:
    """No claim, an unknown transfer, or one that was looked up though the message does not name it: all alike."""
    expected = [("rule.condition", "/in_reply_to", "answers-query")]
    assert reasons(ANSWERS, REPLY, Facts()) == reasons(ANSWERS, Draft(), Facts(earlier())) == expected


def test_an_answer_may_follow_another_where_the_rule_says_so() -> None:
    """`open: false` lets a second triage follow the first."""
    assert reasons(ONCE_MORE, REPLY, Facts(earlier(open=False))) == []


@pytest.mark.parametrize(
    ("changes", "permitted"),
    [
        ({"open": False}, True),
        ({"sender": IMIGRASI, "recipient": POLDA}, True),
        ({"live": False}, False),
        ({"accepted": False}, False),
        ({"type": "notice/1"}, False),
        ({"sender": "stranger"}, False),
    ],
)
def test_a_reference_needs_a_live_transfer_between_the_two(changes: dict[str, Any], permitted: bool) -> None:
    """In either direction, answered or not, but not cancelled, and not somebody else's."""
    expected = [] if permitted else [("rule.condition", "/in_reply_to", "refers-to-query")]
    assert reasons(REFERS, REPLY, Facts(earlier(**changes))) == expected


def test_what_to_look_up_is_told_beforehand() -> None:
    """The flow asks the store only where a rule will ask the flow."""
    asking, plain = agreement(rule(**ANSWERS)), agreement()
    assert needs(asking, message(REPLY), NOW).related == EARLIER
    for one, draft in ((plain, REPLY), (None, REPLY), (asking, Draft()), (asking, replace(REPLY, type="other/1"))):
        assert needs(one, message(draft), NOW).related is None


def test_conditions_see_the_message_as_it_is_published() -> None:
    """The view that is judged is the one that `VerifiedMessage.view` documents, with every claim and with none."""
    claims = {
        "case": LP,
        "officer": Officer("1234", "INVESTIGATOR"),
        "legal_basis": ("UU 6/2011 Art 89",),
        "in_reply_to": EARLIER,
        "correlation_id": "thread-0001",
        "handling": "RED",
    }
    for draft in (Draft(body={"a": [1]}), Draft(body={"a": {"b": None}}, claims=claims)):
        sent = message(draft)
        assert view_of(sent) == sent.view()


@pytest.mark.parametrize("error", [ValueError, RecursionError, KeyError, MemoryError, AssertionError])
def test_an_error_while_judging_denies(error: type[Exception]) -> None:
    """Whatever breaks inside, nothing passes, and the reason says no more than that."""

    def explode(_: object) -> bool:
        raise error(SECRET)

    one = agreement(rule(where=[condition(A, {"const": 1})]))
    object.__setattr__(one.rules[0].where[0].must, "is_met_by", explode)
    decision = judged(one, Draft(body={"a": SECRET}))
    assert not decision.permitted
    assert (decision.rule, decision.clause) == ("notice", "1")
    assert [reason.as_json() for reason in decision.reasons] == [
        {"code": "rule.condition", "clause": "1", "detail": "evaluation failed"}
    ]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"now": datetime(2026, 3, 10, 3, 0)},  # noqa: DTZ001
        {"message": SimpleNamespace(claims=SimpleNamespace(agreement="test"))},
        {"facts": None},
    ],
    ids=["a moment without zone", "a message without body", "no facts"],
)
def test_nonsense_from_the_caller_denies(spoilt: dict[str, Any]) -> None:
    """A programming error upstream becomes a refusal, never a permission and never a crash."""
    one = agreement(rule(**ANSWERS))
    arguments: dict[str, Any] = {"message": message(REPLY), "facts": Facts(earlier()), "now": NOW, **spoilt}
    assert decide(one, **{**arguments, "message": message(REPLY), "facts": Facts(earlier()), "now": NOW}).permitted
    assert not decide(one, **arguments).permitted
