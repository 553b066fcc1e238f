"""What corrects, recalls, erases or warns of a breach: whoever sent a message, to whom it was sent, and nobody else."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway.agreement.terms import Links
from gateway.decision.decide import Facts, decide
from gateway.message.envelope import parse, release, verify
from tests.agreement.making import EARLIER, IMIGRASI, KEY, POLDA, earlier
from tests.agreement.sending import AGREEMENT, MESSAGES, NOW, REPLY, Sent, carried, example

CONTROL = {"correction/1", "recall/1", "erasure.request/1", "erasure.confirmation/1", "breach.notice/1"}
OTHER = "019a3b7c-2d10-7c44-9b1e-5f0a6c7d8e90"  # the transfer that the examples name


def own(type_: str = "overstay.notice/1", **changes: Any) -> Facts:
    """What immigration sent to the police, and still stands; and the transfer that the examples name."""
    sent = {"type": type_, "sender": IMIGRASI, "recipient": POLDA}
    return Facts(earlier(**{**sent, **changes}), linked={OTHER: earlier(**sent, transfer=OTHER)})


def theirs(type_: str, **changes: Any) -> Facts:
    """The same for what immigration received."""
    return own(type_, **{"sender": POLDA, "recipient": IMIGRASI, **changes})


def linked(type_: str) -> Facts:
    return Facts(linked=own(type_).linked)


REPLACED = Sent("correction/1", example("correction/1", "replaced"), purpose="INVESTIGATION", claims=REPLY, facts=own())
RECALLED = Sent("recall/1", example("recall/1", "wrong-person"), purpose="INVESTIGATION", claims=REPLY, facts=own())
ERASE = Sent(
    "erasure.request/1",
    example("erasure.request/1", "subject"),
    purpose="INVESTIGATION",
    claims={},
    facts=linked("victim.referral/1"),
)
ERASED = Sent(
    "erasure.confirmation/1",
    example("erasure.confirmation/1", "done"),
    purpose="INVESTIGATION",
    claims=REPLY,
    facts=theirs("erasure.request/1", view=carried(example("erasure.request/1", "subject"))),
)
BREACH = Sent(
    "breach.notice/1",
    example("breach.notice/1", "lost-device"),
    purpose="INVESTIGATION",
    claims={},
    facts=linked("border-crossing.response/1"),
)
ON_HOLD = replace(ERASED, body=example("erasure.confirmation/1", "on-hold"))
PERMITTED: dict[str, Sent] = {
    "correction/1 replaced": REPLACED,
    "correction/1 on-request": replace(REPLACED, body=example("correction/1", "on-request")),
    "recall/1 wrong-person": RECALLED,
    "recall/1 superseded": replace(RECALLED, body=example("recall/1", "superseded")),
    "erasure.request/1 subject": ERASE,
    "erasure.request/1 identity-after-services": replace(
        ERASE, body=example("erasure.request/1", "identity-after-services")
    ),
    "erasure.confirmation/1 done": ERASED,
    "erasure.confirmation/1 partly": replace(ERASED, body=example("erasure.confirmation/1", "partly")),
    "erasure.confirmation/1 on-hold": ON_HOLD,
    "breach.notice/1 lost-device": BREACH,
    "breach.notice/1 suspected-key": replace(BREACH, body=example("breach.notice/1", "suspected-key")),
}


@pytest.mark.parametrize("name", PERMITTED)
def test_every_good_example_may_be_sent(name: str) -> None:
    """Valid under its schema, permitted, and released whole: there is nothing in it to withhold."""
    sent = PERMITTED[name]
    assert sent.body == example(*name.split(" "))
    verified = sent.message()
    assert MESSAGES.violations(sent.type, verified.body) == ()
    decision = decide(AGREEMENT, verified, sent.facts, sent.at)
    assert (decision.permitted, decision.reasons, decision.flags, decision.withheld) == (True, (), (), ())
    released = verify(parse(release(verified, decision.withheld).encode()), KEY.public, complete=False)
    assert MESSAGES.release_violations(sent.type, released.body) == ()


def test_control_messages_hold_no_personal_data() -> None:
    """No field is sensitive, and no text is free: pointers, codes, counts, times and identifiers alone."""

    def texts(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        while "$ref" in schema:
            schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
        below = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
        here = [schema] if schema.get("type") == "string" else []
        return [*here, *(text for entry in below for text in texts(entry, definitions))]

    for type_ in CONTROL:
        kind = MESSAGES.get(type_)
        assert kind is not None
        assert kind.sensitive == set()
        for text in texts(kind.schema, kind.schema["$defs"]):
            assert {"enum", "format", "pattern"} & set(text), text
            assert text is not kind.schema["$defs"].get("Line")


def test_a_replaced_message_stands_no_longer() -> None:
    """With a replacement the wrong one ends, so that a hit cannot refer to it; without one it stands, corrected."""
    assert REPLACED.decided().reply_as == "ends"
    assert PERMITTED["correction/1 on-request"].decided().reply_as == "amends"


def test_a_recall_ends_any_message() -> None:
    """Every type of the catalogue may be recalled by whoever sent it, and stands no longer."""
    for kind in MESSAGES.types():
        assert replace(RECALLED, facts=own(kind.type)).decided().reply_as == "ends"
        assert (
            replace(REPLACED, body=PERMITTED["correction/1 on-request"].body, facts=own(kind.type)).decided().permitted
        )


@pytest.mark.parametrize("name", ["correction/1 replaced", "correction/1 on-request", "recall/1 wrong-person"])
def test_what_stands_no_longer_is_corrected_and_recalled_all_the_same(name: str) -> None:
    """A lapsed notice may have been about the wrong person, and the first recall may never have arrived."""
    assert replace(PERMITTED[name], facts=own("wanted-person.notice/1", live=False)).decided().permitted


REFUSED: list[tuple[str, Sent, dict[str, Any], str, str]] = [
    ("corrects nothing", replace(REPLACED, claims={}), {}, "replaces-own-message", "/in_reply_to"),
    (
        "corrects what it received",
        replace(REPLACED, facts=theirs("overstay.notice/1")),
        {},
        "replaces-own-message",
        "/in_reply_to",
    ),
    (
        "corrects what was refused",
        replace(REPLACED, facts=own(accepted=False)),
        {},
        "replaces-own-message",
        "/in_reply_to",
    ),
    (
        "corrects a stranger's",
        replace(REPLACED, facts=own(recipient="polda-jabar")),
        {},
        "replaces-own-message",
        "/in_reply_to",
    ),
    (
        "a replacement that nobody sent",
        replace(REPLACED, facts=Facts(own().in_reply_to)),
        {},
        "replacement-was-sent",
        "/body/replacement",
    ),
    (
        "replaced by itself",
        replace(REPLACED, facts=Facts(own().in_reply_to, linked={EARLIER: own().linked[OTHER]})),
        {"replacement": EARLIER},
        "replacement-was-sent",
        "/body/replacement",
    ),
    ("recalls nothing", replace(RECALLED, claims={}), {}, "ends-own-message", "/in_reply_to"),
    (
        "recalls what it received",
        replace(RECALLED, facts=theirs("overstay.notice/1")),
        {},
        "ends-own-message",
        "/in_reply_to",
    ),
    ("erases what is not known", replace(ERASE, facts=Facts()), {}, "transfer-between-the-two", "/body/transfer"),
    (
        "erases between others",
        replace(ERASE, facts=Facts(linked={OTHER: replace(own().linked[OTHER], recipient="polda-jabar")})),
        {},
        "transfer-between-the-two",
        "/body/transfer",
    ),
    (
        "erases a control message",
        replace(ERASE, facts=linked("recall/1")),
        {},
        "transfer-between-the-two",
        "/body/transfer",
    ),
    (
        "asked for tomorrow",
        ERASE,
        {"requested_at": "2026-11-05T09:00:00+07:00"},
        "requested-before-sent",
        "/iat",
    ),
    (
        "confirms what nobody asked",
        replace(ERASED, facts=theirs("recall/1", view=carried(ERASE.body))),
        {},
        "answers-erasure-request",
        "/in_reply_to",
    ),
    (
        "confirms its own request",
        replace(ERASED, facts=own("erasure.request/1", view=carried(ERASE.body))),
        {},
        "answers-erasure-request",
        "/in_reply_to",
    ),
    (
        "confirms twice",
        replace(
            ERASED,
            facts=theirs("erasure.request/1", open=False, view=carried(ERASE.body)),
        ),
        {},
        "answers-erasure-request",
        "/in_reply_to",
    ),
    (
        "confirms another transfer",
        ERASED,
        {"transfer": EARLIER},
        "the-transfer-of-the-request",
        "/body/transfer",
    ),
    ("done tomorrow", ERASED, {"done_at": "2026-11-05T15:00:00+07:00"}, "done-before-sent", "/iat"),
    (
        "found before it began",
        BREACH,
        {"occurred_from": "2026-11-02T00:00:00+07:00"},
        "began-before-it-was-found",
        "/body/discovered_at",
    ),
    (
        "a breach of transfers between others",
        replace(BREACH, facts=Facts()),
        {},
        "transfers-between-the-two",
        "/body/transfers/0",
    ),
    (
        "follows no notice",
        BREACH,
        {"transfers": None, "follows": OTHER},
        "follows-a-notice",
        "/body/follows",
    ),
]


@pytest.mark.parametrize(
    ("sent", "changes", "name", "pointer"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_the_rule_forbids_is_refused(sent: Sent, changes: dict[str, Any], name: str, pointer: str) -> None:
    """Each relation, broken alone, is the one reason that is told."""
    decision = sent.decided(**changes)
    assert not decision.permitted
    assert [(reason.code, reason.detail, reason.pointer) for reason in decision.reasons] == [
        ("rule.condition", name, pointer)
    ]


def test_a_late_notice_passes_and_is_flagged() -> None:
    """3×24 hours to the second; a late notice or correction is still better than none."""
    found = datetime(2026, 11, 1, 15, 10, tzinfo=UTC)  # 22:10 in Banten
    limit = timedelta(hours=72)
    assert replace(BREACH, at=found + limit).decided().flags == ()
    [flag] = replace(BREACH, at=found + limit + timedelta(seconds=1)).decided().flags
    assert flag.detail == "within-3x24-hours"
    correction = replace(PERMITTED["correction/1 on-request"], at=datetime(2026, 11, 4, 2, 0, tzinfo=UTC))
    assert correction.decided().flags == ()
    [flag] = replace(correction, at=correction.at + timedelta(seconds=1)).decided().flags
    assert flag.detail == "within-3x24-hours-of-the-request"


def test_a_second_notice_of_a_breach_is_not_late() -> None:
    """What follows a notice says more of the same incident; the clock ran for the first."""
    follow = replace(BREACH, at=NOW + timedelta(days=30), facts=linked("breach.notice/1"))
    assert follow.decided(transfers=None, follows=OTHER).flags == ()


def test_an_erasure_on_hold_is_not_answered_yet() -> None:
    """The request stays open until the data are gone or the erasure is refused."""
    assert ON_HOLD.decided().reply_as == "refers"
    assert ERASED.decided().reply_as == "answers"


def test_what_lapsed_or_was_recalled_can_still_be_erased() -> None:
    """An erasure is asked for by identifier: that the message stands no longer does not keep its data."""
    facts = Facts(linked={OTHER: replace(own("wanted-person.notice/1").linked[OTHER], live=False, open=False)})
    assert replace(ERASE, facts=facts).decided().permitted
    received = Facts(linked={OTHER: earlier(type="victim.referral/1", transfer=OTHER)})
    assert replace(ERASE, facts=received).decided().permitted


def test_every_type_can_be_replaced_erased_and_breached() -> None:
    """The rules' lists of types hold the whole catalogue but the control messages, so that none is forgotten."""
    data = {kind.type for kind in MESSAGES.types()} - CONTROL
    found = [
        (rule.type, relation.name, set(relation.types))
        for rule in AGREEMENT.rules
        if rule.type in CONTROL
        for relation in rule.relations
        if isinstance(relation, Links) and relation.name != "follows-a-notice"
    ]
    assert {(type_, name) for type_, name, _ in found} == {
        ("correction/1", "replacement-was-sent"),
        ("recall/1", "replacement-was-sent"),
        ("erasure.request/1", "transfer-between-the-two"),
        ("breach.notice/1", "transfers-between-the-two"),
    }
    for type_, _, types in found:
        assert types == data, type_


def test_every_purpose_and_both_directions() -> None:
    """A message sent for any purpose can be corrected and recalled, by either agency."""
    for rule in AGREEMENT.rules:
        if rule.type in CONTROL:
            assert set(rule.purposes) == MESSAGES.codes("purpose")
            assert set(rule.routes()) == {(IMIGRASI, POLDA), (POLDA, IMIGRASI)}


def test_deadlines_and_retention() -> None:
    """Corrections, recalls and breaches are acknowledged in 24 hours, erasures in 3×24; all are kept five years."""
    for sent in (REPLACED, RECALLED, BREACH):
        assert sent.decided().acknowledge_by == NOW + timedelta(days=1)
        assert sent.decided().priority == "urgent"
    assert ERASE.decided().acknowledge_by == NOW + timedelta(days=3)
    assert ON_HOLD.decided().acknowledge_by is None
    assert {sent.decided().retain_until for sent in (REPLACED, RECALLED, BREACH, ERASE, ON_HOLD)} == {date(2031, 11, 4)}
