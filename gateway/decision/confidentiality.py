"""Confidential fields: a release needs named officers of the sender and a recipient who acknowledged the notice.

Decides whether both are there for one field of one message. Leaves the signatures to `approval.py`, the situation in
which a release is thinkable at all to `decide.py`, and what else would reveal the field to `consistency.py`.
UU 21/2007 Art 24 and 44: identities of victims and witnesses; UU 11/2012 Art 19: of children.
"""

from dataclasses import dataclass

from gateway.agreement.conditions import MISSING, identical
from gateway.agreement.terms import Confidential
from gateway.decision.facts import Facts
from gateway.decision.reading import Reading
from gateway.decision.relations import received, replied_to
from gateway.statements.approval import digests_of


@dataclass(frozen=True, slots=True)
class Release:
    """By whom a field's release is carried; both empty where neither approvals nor notice are needed."""

    officers: frozenset[str] = frozenset()
    notice: str | None = None


def release(confidential: Confidential, pointer: str, reading: Reading, facts: Facts) -> Release | None:
    """What carries the release of the field at `pointer`; None while anything is missing."""
    if not reading.given(confidential.when):
        return Release()
    notice = _acknowledged(confidential, reading, facts)
    officers = _approvers(confidential, pointer, reading, facts)
    if notice is None or len(officers) < confidential.approvals:
        return None
    return Release(officers, notice)


def _approvers(confidential: Confidential, pointer: str, reading: Reading, facts: Facts) -> frozenset[str]:
    """Different officers, each of whom saw the field's disclosure and every one below it."""
    digests = digests_of(reading.message, pointer)
    if not digests:  # an empty set would be in every approval
        return frozenset()
    return frozenset(
        approval.officer
        for approval in facts.approvals
        if approval.role in confidential.roles and digests <= approval.disclosures
    )


def _acknowledged(confidential: Confidential, reading: Reading, facts: Facts) -> str | None:
    """The recipient's own acknowledgement, still standing, of just what this message is about."""
    earlier = replied_to(reading, facts)
    if earlier is None or not earlier.live or earlier.type not in confidential.notice:
        return None
    if not received(earlier, reading):
        return None
    for here, there in confidential.matching.items():
        if earlier.view is None:
            return None
        mine, theirs = here.read(reading.view), there.read(dict(earlier.view))
        if mine is MISSING or theirs is MISSING or not identical(mine, theirs):
            return None
    return earlier.transfer
