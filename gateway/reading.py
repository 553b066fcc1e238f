"""A message as the rule that could permit it reads it: one view, in which every pointer of the rule finds its value.

Decides which rule that is, and whether a situation is given in a message. Leaves what follows to `decide.py` and to the
modules that it asks.
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from gateway.agreement import Agreement
from gateway.conditions import CLAIMS, MISSING
from gateway.envelope import Claims, VerifiedMessage
from gateway.errors import Reason
from gateway.terms import Rule
from gateway.vocabulary import Situation


@dataclass(frozen=True, slots=True)
class Reading:
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


def rules_in_force(agreement: Agreement, claims: Claims, now: datetime) -> list[Rule]:
    """The rules for this type and these parties on this day, whatever their purposes."""
    day = agreement.day(now)
    return [rule for rule in agreement.rules_for(claims.type, claims.iss, claims.aud) if rule.valid_on(day)]


def rule_for(rules: list[Rule], purpose: str) -> Rule | None:
    """The parser refuses a second rule for the same purpose, so there is one or none."""
    return next((rule for rule in rules if purpose in rule.purposes), None)


def view_of(message: VerifiedMessage) -> dict[str, Any]:
    """What `message.view()` gives, without copying: the copies cost as much as all conditions together."""
    claims = message.claims
    view = {name: value for name in CLAIMS if (value := getattr(claims, name)) not in (None, ())}
    if claims.case is not None:
        view["case"] = {"type": claims.case.type, "number": claims.case.number}
    if claims.officer is not None:
        view["officer"] = {"id": claims.officer.id, "role": claims.officer.role}
    if claims.legal_basis:
        view["legal_basis"] = list(claims.legal_basis)
    view["body"] = message.body
    return view
