"""What a message has to do with earlier ones, with time and with how often was asked: each key, kept and broken."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.decision.decide import Facts, RelatedTransfer, needs
from tests.agreement.making import (
    EARLIER,
    IMIGRASI,
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

OTHER = "01960000-0000-7000-8000-000000000002"
NIK = "3604081708900001"
REPLY = Draft(claims={"in_reply_to": EARLIER})
ASKED = {"kind": "answers", "name": "answers-query", "types": ["query/1"]}
SENT: dict[str, Any] = {"sender": IMIGRASI, "recipient": POLDA, "type": "notice/1"}
SEVERE = {"/body/severity": {"const": 4}}


def told(changes: dict[str, Any], draft: Draft, facts: Facts | None = None) -> list[tuple[str, str | None, str | None]]:
    """The reasons of a refusal; none where it is permitted."""
    decision = judged(agreement(rule(**changes)), draft, facts)
    assert decision.permitted is (not decision.reasons)
    return [(reason.code, reason.pointer, reason.detail) for reason in decision.reasons]


def relation(kind: str, **members: Any) -> dict[str, Any]:
    return {"relations": [{"kind": kind, "name": "the-relation", **members}]}


def beside_an_answer(kind: str, **members: Any) -> dict[str, Any]:
    return {"relations": [ASKED, {"kind": kind, "name": "the-relation", **members}]}


BROKEN = ("rule.condition", "/in_reply_to", "the-relation")


# `when` and `otherwise`


CONDITIONAL = {"name": "the-condition", "field": "/body/a", "must": {"const": 1}}


@pytest.mark.parametrize(
    ("body", "permitted"),
    [({"severity": 4}, False), ({"severity": 4, "a": 1}, True), ({"severity": 3}, True), ({}, True)],
)
def test_a_condition_counts_only_in_its_situation(body: dict[str, Any], permitted: bool) -> None:
    """Outside it nothing is asked; inside, everything."""
    assert (told({"where": [{**CONDITIONAL, "when": SEVERE}]}, Draft(body=body)) == []) is permitted


@pytest.mark.parametrize(("severity", "permitted"), [(4, False), (3, True)])
def test_a_relation_counts_only_in_its_situation(severity: int, permitted: bool) -> None:
    """A message that replies to nothing passes where nothing has to be replied to."""
    rules = {"relations": [{**ASKED, "when": SEVERE}]}
    assert (told(rules, Draft(body={"severity": severity})) == []) is permitted


def test_a_flag_is_told_and_does_not_refuse() -> None:
    """What fails as a flag stands beside the acceptance, with its clause, place and name, and in the preview."""
    flagging = {
        "where": [{**CONDITIONAL, "otherwise": "flag"}],
        "relations": [
            {"kind": "ordered", "name": "in-order", "first": "/body/b", "last": "/body/c", "otherwise": "flag"}
        ],
    }
    decision = judged(agreement(rule(**flagging)), Draft(body={"a": 2, "b": "2026-02", "c": "2026-01"}))
    assert decision.permitted
    assert [(flag.code, flag.clause, flag.pointer, flag.detail) for flag in decision.flags] == [
        ("rule.condition", "1", "/body/a", "the-condition"),
        ("rule.condition", "1", "/body/c", "in-order"),
    ]
    assert decision.as_json()["flags"] == [flag.as_json() for flag in decision.flags]


def test_a_refusal_has_no_flags() -> None:
    """A refused message is not accepted with remarks."""
    both = [{**CONDITIONAL, "otherwise": "flag"}, {**CONDITIONAL, "name": "hard"}]
    decision = judged(agreement(rule(where=both)), Draft())
    assert (decision.flags, [reason.detail for reason in decision.reasons]) == ((), ["hard"])


@pytest.mark.parametrize("body", [{}, {"b": "2026-01-01"}, {"b": "soon"}])
def test_a_period_may_be_left_open_where_the_rule_says_so(body: dict[str, Any]) -> None:
    """`optional`: one end missing is no period; two ends still have to keep the limit."""
    rules = relation("period_at_most", first="/body/a", last="/body/b", limit="P1M", optional=True, **source())
    assert told(rules, Draft(body=body)) == []
    assert told(rules, Draft(body={"a": "2026-01-01", "b": "2026-03-01"})) == [
        ("rule.condition", "/body/b", "the-relation")
    ]


@pytest.mark.parametrize(
    ("body", "permitted"),
    [
        ({"a": "2026-01-01", "b": "2026-02-01"}, True),
        ({"a": "2026-01-01", "b": "2026-01-31"}, False),
        ({"a": "2026-02-01", "b": "2026-01-01"}, False),
        ({"a": "2026-01-01"}, False),
    ],
)
def test_a_period_may_have_to_be_so_long(body: dict[str, Any], permitted: bool) -> None:
    """The notice that somebody is given before something happens; a missing end gives none."""
    rules = relation("period_at_least", first="/body/a", last="/body/b", limit="P1M", **source())
    assert told(rules, Draft(body=body)) == ([] if permitted else [("rule.condition", "/body/b", "the-relation")])


# Answers


@pytest.mark.parametrize("still_open", [True, False])
def test_what_was_recalled_is_answered_no_more(still_open: bool) -> None:
    """Whoever takes a query back wants no answer, and data that nobody asks for any more do not flow."""
    rules = {"relations": [ASKED | {"open": still_open}]}
    assert told(rules, REPLY, Facts(earlier())) == []
    broken = [("rule.condition", "/in_reply_to", "answers-query")]
    assert told(rules, REPLY, Facts(earlier(live=False))) == broken


# Amendments


@pytest.mark.parametrize(
    ("changes", "permitted"),
    [
        ({}, True),
        ({"open": False}, True),
        ({"live": False}, False),
        ({"accepted": False}, False),
        ({"type": "query/1"}, False),
        ({"sender": POLDA, "recipient": IMIGRASI}, False),
        ({"sender": "stranger"}, False),
        ({"recipient": "stranger"}, False),
        ({"transfer": OTHER}, False),
    ],
)
def test_only_its_sender_amends_what_still_stands(changes: dict[str, Any], permitted: bool) -> None:
    """Of that type, accepted, standing, sent by this sender to this recipient, and the very one named."""
    facts = Facts(earlier(**{**SENT, **changes}))
    assert told(relation("amends", types=["notice/1"]), REPLY, facts) == ([] if permitted else [BROKEN])


def test_an_amendment_without_types_is_of_any_type() -> None:
    """A correction or recall is one type for all."""
    assert told(relation("amends"), REPLY, Facts(earlier(**{**SENT, "type": "whatever/3"}))) == []
    assert told(relation("amends"), REPLY, Facts(earlier())) == [BROKEN]


@pytest.mark.parametrize(
    ("members", "related", "expected"),
    [
        ({"kind": "answers", "types": ["query/1"]}, {}, "answers"),
        ({"kind": "refers_to", "types": ["query/1"]}, {}, "refers"),
        ({"kind": "amends"}, SENT, "amends"),
        ({"kind": "amends", "ends": True}, SENT, "ends"),
        ({"kind": "amends", "otherwise": "flag"}, {}, None),
        ({"kind": "answers", "types": ["query/1"], "when": SEVERE}, {}, None),
    ],
)
def test_a_decision_says_how_the_message_replies(
    members: dict[str, Any], related: dict[str, Any], expected: str | None
) -> None:
    """Only a relation that applies and holds makes a reply: it is what closes or ends the earlier transfer."""
    decision = judged(agreement(rule(relations=[{"name": "a", **members}])), REPLY, Facts(earlier(**related)))
    assert decision.permitted
    assert decision.reply_as == expected


def test_each_situation_has_its_own_reply() -> None:
    """Several ways of replying in one rule: the one of the situation counts."""
    ways = [
        {**ASKED, "when": {"/body/severity": {"const": 1}}},
        {"kind": "amends", "name": "amends", "ends": True, "when": SEVERE},
    ]
    one = agreement(rule(relations=ways))
    ending = replace(REPLY, body={"severity": 4})
    assert judged(one, ending, Facts(earlier(**SENT))).reply_as == "ends"
    assert not judged(one, ending, Facts(earlier())).permitted
    assert judged(one, replace(REPLY, body={"severity": 1}), Facts(earlier())).reply_as == "answers"


# What the earlier message says


@pytest.mark.parametrize(
    ("view", "permitted"),
    [
        ({"body": {"status": "OPEN"}}, True),
        ({"body": {"status": "CLOSED"}}, False),
        ({"body": {}}, False),
        (None, False),
    ],
)
def test_the_earlier_message_must_say_so(view: dict[str, Any] | None, permitted: bool) -> None:
    """A missing value fails, and so does a message that was not looked up."""
    rules = beside_an_answer("earlier", field="/body/status", must={"const": "OPEN"})
    assert told(rules, REPLY, Facts(earlier(view=view))) == ([] if permitted else [BROKEN])


@pytest.mark.parametrize(
    ("here", "there", "permitted"),
    [
        ({"a": "x"}, {"b": "x"}, True),
        ({"a": "x"}, {"b": "X"}, False),
        ({"a": [1, {"c": None}]}, {"b": [1, {"c": None}]}, True),
        ({"a": 1}, {"b": True}, False),
        ({"a": [0]}, {"b": [False]}, False),
        ({}, {"b": "x"}, False),
        ({"a": "x"}, {}, False),
        ({}, {}, False),
    ],
)
def test_two_messages_must_say_the_same(here: dict[str, Any], there: dict[str, Any], permitted: bool) -> None:
    """Equal as JSON values, and both there: `true` is not 1."""
    rules = beside_an_answer("same", here="/body/a", there="/body/b")
    expected = [] if permitted else [("rule.condition", "/body/a", "the-relation")]
    assert told(rules, replace(REPLY, body=here), Facts(earlier(view={"body": there}))) == expected


def test_one_side_may_be_silent_where_the_rule_says_so() -> None:
    """`optional`: a missing value agrees with anything; two different ones still do not, nor an earlier one nobody read."""
    rules = beside_an_answer("same", here="/body/a", there="/body/b", optional=True)
    for here, there in (({}, {"b": 1}), ({"a": 1}, {}), ({}, {})):
        assert told(rules, replace(REPLY, body=here), Facts(earlier(view={"body": there}))) == []
    broken = [("rule.condition", "/body/a", "the-relation")]
    assert told(rules, replace(REPLY, body={"a": 1}), Facts(earlier(view={"body": {"b": 2}}))) == broken
    assert told(rules, replace(REPLY, body={"a": 1}), Facts(earlier())) == broken


@pytest.mark.parametrize("guess", ["right", "wrong"])
def test_values_of_a_transfer_between_others_cannot_be_guessed(guess: str) -> None:
    """A stranger who names somebody else's transfer hears the same whether its guess is right or wrong."""
    rules = beside_an_answer("same", here="/body/a", there="/body/b")
    theirs = earlier(sender=POLDA, recipient="stranger", view={"body": {"b": "right"}})
    assert told(rules, replace(REPLY, body={"a": guess}), Facts(theirs)) == [
        ("rule.condition", "/in_reply_to", "answers-query"),
        ("rule.condition", "/body/a", "the-relation"),
    ]


# Links and counts


@pytest.mark.parametrize(
    ("changes", "permitted"),
    [
        ({}, True),
        ({"live": False, "open": False}, True),
        ({"sender": IMIGRASI, "recipient": POLDA}, True),
        ({"type": "notice/1"}, False),
        ({"accepted": False}, False),
        ({"recipient": "stranger"}, False),
        ({"transfer": EARLIER}, False),
    ],
)
def test_a_link_names_an_accepted_transfer_between_the_two(changes: dict[str, Any], permitted: bool) -> None:
    """Of these types, in either direction, standing or not; not somebody else's, and not another than it says."""
    rules = relation("links", field="/body/duplicate_of", types=["query/1"])
    facts = Facts(linked={OTHER: earlier(**{"transfer": OTHER, **changes})})
    expected = [] if permitted else [("rule.condition", "/body/duplicate_of", "the-relation")]
    assert told(rules, Draft(body={"duplicate_of": OTHER}), facts) == expected


def test_a_link_is_to_another_transfer_than_the_one_replied_to() -> None:
    """A warning cannot be the duplicate of itself."""
    rules = relation("links", field="/body/duplicate_of", types=["query/1"])
    facts = Facts(earlier(), linked={EARLIER: earlier()})
    broken = [("rule.condition", "/body/duplicate_of", "the-relation")]
    assert told(rules, replace(REPLY, body={"duplicate_of": EARLIER}), facts) == broken


def test_a_link_may_be_absent_unless_the_rule_asks_for_it() -> None:
    """`optional` is the default here; what is there but names nothing fails either way."""
    rules = relation("links", field="/body/links/*", types=["query/1"])
    required = relation("links", field="/body/links/*", types=["query/1"], optional=False)
    known = Facts(linked={OTHER: earlier(transfer=OTHER)})
    assert told(rules, Draft()) == []
    assert told(required, Draft()) == [("rule.condition", "/body/links/*", "the-relation")]
    assert told(required, Draft(body={"links": [OTHER, 7]}), known) == [
        ("rule.condition", "/body/links/1", "the-relation")
    ]


@pytest.mark.parametrize(("replies", "permitted"), [(0, True), (1, True), (2, False), (3, False)])
def test_only_so_many_replies_to_one_transfer(replies: int, permitted: bool) -> None:
    """The message itself is one of them."""
    rules = beside_an_answer("at_most", count=2)
    assert told(rules, REPLY, Facts(earlier(), replies=replies)) == ([] if permitted else [BROKEN])


# What stands, and until when


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2026-09-01", datetime(2026, 9, 1, 17, tzinfo=UTC)),
        ("2026-09", datetime(2026, 9, 30, 17, tzinfo=UTC)),
        ("2026-09-01T10:00:00+07:00", datetime(2026, 9, 1, 3, tzinfo=UTC)),
    ],
)
def test_a_message_stands_to_the_end_of_its_day(until: str, expected: datetime) -> None:
    """The first moment at which it stands no longer: after the day in Banten, or the moment itself."""
    decision = judged(agreement(rule(stands_until="/body/valid_until")), Draft(body={"valid_until": until}))
    assert decision.stands_until == expected
    assert decision.as_json()["stands_until"] == expected.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("body", [{}, {"valid_until": "soon"}, {"valid_until": None}])
def test_a_message_that_does_not_say_until_when_it_stands_is_refused(body: dict[str, Any]) -> None:
    """Else it would stand for ever."""
    expected = [("rule.condition", "/body/valid_until", "stands-until")]
    assert told({"stands_until": "/body/valid_until"}, Draft(body=body)) == expected


# Quotas and repeated subjects


@pytest.mark.parametrize(
    ("hour", "day", "details"),
    [
        (1, 9, []),
        (2, 9, ["at most 2 an hour"]),
        (1, 10, ["at most 10 in 24 hours"]),
        (5, 50, ["at most 2 an hour", "at most 10 in 24 hours"]),
    ],
)
def test_a_quota_counts_what_was_accepted_before(hour: int, day: int, details: list[str]) -> None:
    """The message that would be one too many is refused, and told which limit it meets."""
    rules = {"quota": {"per_hour": 2, "per_day": 10, **source()}}
    expected = [("rule.quota", "/type", detail) for detail in details]
    assert told(rules, Draft(), Facts(last_hour=hour, last_day=day)) == expected


REPEATS = {"subject": "/body/subject", "at_most": 2, "within": "P30D", "named_by": ["notice/1"], **source()}


@pytest.mark.parametrize(("otherwise", "permitted"), [("refuse", False), ("flag", True)])
def test_one_person_is_not_asked_about_again_and_again(otherwise: str, permitted: bool) -> None:
    """The third query of two allowed is refused or flagged, as the rule says; the second one passes."""
    one = agreement(rule(repeats={**REPEATS, "otherwise": otherwise}))
    assert judged(one, Draft(), Facts(repeated=1)).as_json().keys().isdisjoint({"flags"})
    decision = judged(one, Draft(), Facts(repeated=2))
    assert decision.permitted is permitted
    told_of = decision.flags if permitted else decision.reasons
    assert [(reason.code, reason.pointer, reason.detail) for reason in told_of] == [
        (
            "rule.repeated-subject",
            "/body/subject",
            "at most 2 about one person in P30D, unless the case names the person",
        )
    ]


def test_a_case_that_names_the_person_ends_the_limit() -> None:
    """An investigation of this very person may ask as often as it needs: whom a case names is not counted."""
    assert told({"repeats": REPEATS}, Draft(), Facts()) == []


@pytest.mark.parametrize(
    ("terms", "permitted"),
    [({}, False), ({"own_papers": "flag"}, True), ({"otherwise": "flag", "own_papers": "refuse"}, True)],
)
def test_an_agency_is_no_witness_for_itself(terms: dict[str, str], permitted: bool) -> None:
    """Whom only the asking agency's own papers name is refused by default, flagged where the rule says so, never passed over."""
    one = agreement(rule(repeats={**REPEATS, **terms}))
    assert judged(one, Draft(), Facts(repeated_on_own_papers=1)).as_json().keys().isdisjoint({"flags"})
    decision = judged(one, Draft(), Facts(repeated_on_own_papers=2))
    assert decision.permitted is permitted
    (reason,) = decision.flags if permitted else decision.reasons
    assert (reason.code, reason.detail) == (
        "rule.repeated-subject",
        "at most 2 about one person in P30D, unless the case names the person in more than the sender's own papers",
    )


# What to look up


def test_what_is_counted_is_asked_for_and_nothing_else() -> None:
    """A rule without such terms costs the flow no look-up at all."""
    plain = needs(agreement(), message(REPLY), NOW)
    assert (plain.related, plain.linked, plain.replies, plain.quota, plain.persons) == (
        None,
        (),
        False,
        False,
        frozenset(),
    )
    assert not plain.earlier_view
    assert not plain.approvals
    assert needs(None, message(REPLY), NOW) == needs(agreement(), message(replace(REPLY, purpose="OTHER")), NOW)
    late = datetime(2027, 1, 1, tzinfo=UTC)
    assert needs(agreement(rule(relations=[ASKED])), message(REPLY), late).related is None


def test_everything_a_rule_counts_is_named_beforehand() -> None:
    """Links by id, replies, the quota's rule, persons with the window, the earlier message where its words count."""
    one = agreement(
        rule(
            relations=[
                ASKED,
                {"kind": "links", "name": "linked", "field": "/body/links/*", "types": ["query/1"]},
                {"kind": "same", "name": "same", "here": "/body/a", "there": "/body/b"},
                {"kind": "at_most", "name": "once", "count": 1},
            ],
            quota={"per_day": 5, **source()},
            repeats=REPEATS,
        )
    )
    body = {
        "links": [OTHER, "no id", OTHER, 3],
        "subject": {"nik": NIK, "document": {"issuing_state": "IDN", "number": "X1234567"}},
    }
    asked = needs(one, message(replace(REPLY, body=body)), NOW)
    assert (asked.related, asked.linked, asked.rule) == (EARLIER, (OTHER,), "notice")
    assert asked.earlier_view
    assert asked.replies
    assert asked.quota
    document = (("travel-document", "IDNX1234567"), ("document-number", "X1234567"))
    assert asked.persons == {(("nik", NIK), ("nik", NIK)), document}
    assert (asked.named_by, asked.since) == (("notice/1",), datetime(2026, 2, 8, 3, tzinfo=UTC))
    assert NIK not in repr(asked)
    nothing = needs(one, message(Draft()), NOW)
    assert (nothing.related, nothing.earlier_view, nothing.replies) == (None, False, False)


def test_a_person_named_by_one_field_is_found() -> None:
    """`subject` may point at the number itself; its name says what it is."""
    one = agreement(rule(repeats={**REPEATS, "subject": "/body/nik"}))
    assert needs(one, message(Draft(body={"nik": NIK})), NOW).persons == {(("nik", NIK), ("nik", NIK))}


def test_an_earlier_message_does_not_print_its_view() -> None:
    """A log line of a related transfer cannot hold what was sent."""
    related: RelatedTransfer = earlier(view={"body": {"nik": NIK}})
    assert NIK not in repr(Facts(related))
