"""Attacks on a confidential field: every missing piece leaves it withheld, and nothing but all pieces releases it."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.decision.decide import Decision, Facts, decide, needs
from gateway.errors import Reason
from gateway.statements.approval import Approval, digests_of
from tests.agreement.making import EARLIER, IMIGRASI, NOW, POLDA, Draft, agreement, earlier, message, rule, source

OFFICERS, ROLES = ("key-of-one", "key-of-another"), ["VICTIM_PROTECTION_OFFICER", "HEAD_OF_UNIT"]
CONFIDENTIAL: dict[str, Any] = {
    "approvals": 2,
    "roles": ROLES,
    "notice": ["confidentiality.acknowledgement/1"],
    "matching": {"/body/victim_token": "/body/reference"},
}
BODY = {
    "victim_token": "V-0001",
    "identity": {"full_name": "Siti Aminah", "nik": "3604084508900001"},
    "is_minor": False,
}
DISCLOSABLE = ["/body/identity", "/body/identity/nik", "/body/is_minor"]
SENT = message(Draft(purpose="VICTIM_PROTECTION", body=BODY, disclosable=DISCLOSABLE, claims={"in_reply_to": EARLIER}))
WHOLE = digests_of(SENT, "/body/identity")


def one(**changes: Any) -> Any:
    withhold = {
        "field": "/body/identity",
        "unless": [{"/purpose": {"const": "VICTIM_PROTECTION"}}],
        "confidential": {**CONFIDENTIAL, **changes},
        **source(),
    }
    return agreement(rule(purposes=["VICTIM_PROTECTION", "PREVENTION"], withhold=[withhold]))


def acknowledged(**changes: Any) -> Any:
    members = {
        "type": "confidentiality.acknowledgement/1",
        "view": {"body": {"reference": "V-0001"}},
        **changes,
    }
    return earlier(**members)


def approvals(*given: tuple[str, str, frozenset[str]]) -> tuple[Approval, ...]:
    return tuple(Approval(*entry) for entry in given)


BOTH = approvals((OFFICERS[0], ROLES[0], WHOLE), (OFFICERS[1], ROLES[1], WHOLE))
COMPLETE = Facts(acknowledged(), approvals=BOTH)


def judged(facts: Facts, **changes: Any) -> Decision:
    return decide(one(**changes), SENT, facts, NOW)


def test_with_every_piece_the_identity_is_released_and_it_is_told_by_whom() -> None:
    """Two officers and the acknowledged notice stand in the decision, and in what the preview shows."""
    decision = judged(COMPLETE)
    assert (decision.permitted, decision.withheld) == (True, ())
    assert decision.approved_by == tuple(sorted(OFFICERS))
    assert decision.notice == EARLIER
    shown = decision.as_json()
    assert (shown["approved_by"], shown["notice"]) == (sorted(OFFICERS), EARLIER)


STRANGERS = frozenset({"x" * 43})
MISSING: dict[str, Facts] = {
    "nothing at all": Facts(),
    "no approval": Facts(acknowledged()),
    "one approval": Facts(acknowledged(), approvals=BOTH[:1]),
    "the same officer twice": Facts(
        acknowledged(), approvals=approvals((OFFICERS[0], ROLES[0], WHOLE), (OFFICERS[0], ROLES[1], WHOLE))
    ),
    "a role that may not approve": Facts(
        acknowledged(), approvals=approvals((OFFICERS[0], ROLES[0], WHOLE), (OFFICERS[1], "CLERK", WHOLE))
    ),
    "an approval of another disclosure": Facts(
        acknowledged(), approvals=approvals((OFFICERS[0], ROLES[0], WHOLE), (OFFICERS[1], ROLES[1], STRANGERS))
    ),
    "an approval of nothing": Facts(
        acknowledged(), approvals=approvals((OFFICERS[0], ROLES[0], WHOLE), (OFFICERS[1], ROLES[1], frozenset()))
    ),
    "no notice": Facts(approvals=BOTH),
    "a notice that was refused": Facts(acknowledged(accepted=False), approvals=BOTH),
    "a notice that stands no longer": Facts(acknowledged(live=False), approvals=BOTH),
    "a notice of another type": Facts(acknowledged(type="query/1"), approvals=BOTH),
    "a notice that the sender itself sent": Facts(acknowledged(sender=IMIGRASI, recipient=POLDA), approvals=BOTH),
    "a notice of somebody else": Facts(acknowledged(sender="stranger"), approvals=BOTH),
    "a notice that the message does not name": Facts(
        acknowledged(transfer="01960000-0000-7000-8000-000000000009"), approvals=BOTH
    ),
    "a notice about another victim": Facts(acknowledged(view={"body": {"reference": "V-0002"}}), approvals=BOTH),
    "a notice that says of whom it is not": Facts(acknowledged(view={"body": {}}), approvals=BOTH),
    "a notice that nobody read": Facts(acknowledged(view=None), approvals=BOTH),
}


@pytest.mark.parametrize("missing", MISSING)
def test_each_missing_piece_leaves_the_identity_withheld(missing: str) -> None:
    """Withheld and not refused: the rest of the referral still reaches those who help."""
    decision = judged(MISSING[missing])
    assert (decision.permitted, decision.withheld) == (True, ("/body/identity",))
    assert (decision.approved_by, decision.notice) == ((), None)


def test_an_approval_must_be_of_everything_below_the_field() -> None:
    """An officer who did not see the number below the identity has not approved the identity."""
    outer = frozenset({place.disclosure.digest for place in SENT.placed if place.pointer == "/body/identity"})
    assert outer < WHOLE
    given = approvals((OFFICERS[0], ROLES[0], WHOLE), (OFFICERS[1], ROLES[1], outer))
    assert judged(Facts(acknowledged(), approvals=given)).withheld == ("/body/identity",)


def test_three_approvals_are_three_officers() -> None:
    """The rule says how many; two of three leave it withheld."""
    assert judged(COMPLETE, approvals=3).withheld == ("/body/identity",)
    third = (*BOTH, Approval("a-third-key", ROLES[0], WHOLE))
    assert judged(Facts(acknowledged(), approvals=third), approvals=3).withheld == ()


def test_all_pieces_without_the_situation_release_nothing() -> None:
    """Approvals and notice do not stand in for the purpose."""
    prevention = message(
        Draft(purpose="PREVENTION", body=BODY, disclosable=DISCLOSABLE, claims={"in_reply_to": EARLIER})
    )
    whole = digests_of(prevention, "/body/identity")
    given = approvals((OFFICERS[0], ROLES[0], whole), (OFFICERS[1], ROLES[1], whole))
    decision = decide(one(), prevention, Facts(acknowledged(), approvals=given), NOW)
    assert (decision.withheld, decision.approved_by) == (("/body/identity",), ())


@pytest.mark.parametrize(("minor", "withheld"), [(True, ("/body/identity",)), (False, ())])
def test_pieces_may_be_needed_in_one_situation_only(minor: bool, withheld: tuple[str, ...]) -> None:
    """`when`: a child's identity needs them; an adult's is then released by the situation alone."""
    body = {**BODY, "is_minor": minor}
    sent = message(Draft(purpose="VICTIM_PROTECTION", body=body, disclosable=DISCLOSABLE))
    decision = decide(one(when={"/body/is_minor": {"const": True}}), sent, Facts(), NOW)
    assert (decision.withheld, decision.approved_by, decision.notice) == (withheld, (), None)


def test_a_false_approval_refuses_the_message() -> None:
    """Even beside two good ones: the fault is told with its place and the rule's clause."""
    fault = Reason("rule.approval", pointer="/body/approvals/2", detail="signature")
    decision = judged(replace(COMPLETE, approval_faults=(fault,)))
    assert not decision.permitted
    assert decision.reasons == (replace(fault, clause="1"),)


def test_officers_are_told_only_for_what_is_released() -> None:
    """A field below one that stays behind is not released, whoever approved it."""
    inner = {
        "field": "/body/identity/nik",
        "unless": [{"/purpose": {"const": "VICTIM_PROTECTION"}}],
        "confidential": CONFIDENTIAL,
        **source(),
    }
    outer = {"field": "/body/identity", **source()}
    both = agreement(rule(purposes=["VICTIM_PROTECTION"], withhold=[outer, inner]))
    decision = decide(both, SENT, COMPLETE, NOW)
    assert (decision.withheld, decision.approved_by, decision.notice) == (("/body/identity",), (), None)


def test_a_confidential_field_must_be_disclosable_like_any_other() -> None:
    """In clear it would be released whatever is missing: refused."""
    sent = message(Draft(purpose="VICTIM_PROTECTION", body=BODY, claims={"in_reply_to": EARLIER}))
    decision = decide(one(), sent, COMPLETE, NOW)
    assert [(reason.code, reason.pointer) for reason in decision.reasons] == [
        ("rule.field-not-disclosable", "/body/identity")
    ]


def test_the_notice_and_the_approvals_are_asked_for() -> None:
    """The flow looks the acknowledgement up, reads it where values must match, and verifies what stands in the body."""
    asked = needs(one(), SENT, NOW)
    assert (asked.related, asked.earlier_view, asked.approvals) == (EARLIER, True, False)
    assert not needs(one(matching={}), SENT, NOW).earlier_view
    signed = message(Draft(purpose="VICTIM_PROTECTION", body={**BODY, "approvals": ["a.b.c"]}))
    assert needs(one(), signed, NOW).approvals
