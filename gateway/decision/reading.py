"""A message as the rule that could permit it reads it: one view, in which every pointer of the rule finds its value.

Decides which rule that is, and whether a situation is given in a message. Leaves what follows to `decide.py` and to the
modules that it asks.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from gateway.agreement.conditions import MISSING
from gateway.agreement.document import Agreement
from gateway.agreement.terms import Rule
from gateway.agreement.vocabulary import Situation
from gateway.errors import Reason
from gateway.message.envelope import Claims, VerifiedMessage


class Reading(NamedTuple):
    """`view` is what `VerifiedMessage.view` gives; `zone` is the agreement's, in which days are days."""

    message: VerifiedMessage
    rule: Rule
    zone: tzinfo
    view: dict[str, Any]

    @property
    def claims(self) -> Claims:
        return self.message.claims

    def given(self, situation: Situation | None) -> bool:
        """Whether all of it holds; None is every situation, and a missing value holds none."""
        if situation is None:
            return True
        for pointer, fragment in situation.items():
            value = pointer.read(self.view)
            if value is MISSING or not fragment.is_met_by(value):
                return False
        return True

    def reason(self, code: str, pointer: str, detail: str | None = None) -> Reason:
        return Reason(code, self.rule.clause, pointer, detail)


def rules_in_force(agreement: Agreement, claims: Claims, now: datetime) -> list[Rule] | None:
    """The rules for this type and these parties, whatever their purposes; None on a day when the agreement is not in force."""
    day = agreement.day(now)
    if not agreement.valid_from <= day <= agreement.valid_until:
        return None
    return [rule for rule in agreement.rules_for(claims.type, claims.iss, claims.aud) if rule.valid_on(day)]


def rule_for(rules: Iterable[Rule], purpose: str) -> Rule | None:
    """The parser refuses a second rule for the same purpose, so there is one or none."""
    return next((rule for rule in rules if purpose in rule.purposes), None)


def view_of(message: VerifiedMessage) -> dict[str, Any]:
    """What `message.view()` gives, without copying: the copies cost as much as all conditions together."""
    claims = message.claims
    view: dict[str, Any] = {
        "iss": claims.iss,
        "aud": claims.aud,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "type": claims.type,
        "agreement": claims.agreement,
        "purpose": claims.purpose,
        "classification": claims.classification,
        "body": message.body,
    }
    if claims.case is not None:
        view["case"] = {"type": claims.case.type, "number": claims.case.number}
    if claims.officer is not None:
        view["officer"] = {"id": claims.officer.id, "role": claims.officer.role}
    if claims.legal_basis:
        view["legal_basis"] = list(claims.legal_basis)
    if claims.in_reply_to is not None:
        view["in_reply_to"] = claims.in_reply_to
    if claims.correlation_id is not None:
        view["correlation_id"] = claims.correlation_id
    if claims.handling is not None:
        view["handling"] = claims.handling
    return view
