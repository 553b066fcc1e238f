"""Messages as agencies send them under the shipped agreement, from the good examples of the catalogue."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from gateway import resources
from gateway.decision.decide import Decision, Facts, decide
from gateway.message.envelope import VerifiedMessage
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from tests.agreement.making import EARLIER, IMIGRASI, POLDA, Draft, earlier, message, real

AGREEMENT = real()
MESSAGES = Catalogue(catalogue.read(resources.schemas_dir()))
NOW = datetime(2026, 11, 4, 0, 0, tzinfo=UTC)  # 07:00 in Banten, after every example
REPLY = {"in_reply_to": EARLIER}
REFERRAL, DETENTION, ACKNOWLEDGED = (
    "victim.referral/1",
    "foreigner.detention-notice/1",
    "confidentiality.acknowledgement/1",
)


def example(type_: str, name: str) -> dict[str, Any]:
    path = resources.schemas_dir() / type_ / "examples" / f"valid-{name}.json"
    body: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return body


@dataclass(frozen=True)
class Sent:
    """One message as it is sent; what a test changes, it changes here."""

    type: str
    body: Mapping[str, Any]
    police: bool = False
    purpose: str = "VICTIM_PROTECTION"
    claims: Mapping[str, Any] | None = None
    facts: Facts = field(default_factory=Facts)
    at: datetime = NOW

    def message(self) -> VerifiedMessage:
        kind = MESSAGES.get(self.type)
        assert kind is not None
        sender, recipient = (POLDA, IMIGRASI) if self.police else (IMIGRASI, POLDA)
        return message(
            Draft(
                type=self.type,
                sender=sender,
                recipient=recipient,
                purpose=self.purpose,
                agreement="pks-banten-2025",
                body=self.body,
                disclosable=sorted(kind.sensitive),
                claims=self.claims or {},
                at=self.at,
            )
        )

    def decided(self, **changes: Any) -> Decision:
        """With fields of the body changed; None takes one away."""
        body = {name: value for name, value in {**self.body, **changes}.items() if value is not None}
        sent = replace(self, body=body)
        verified = sent.message()
        assert MESSAGES.violations(self.type, verified.body) == ()
        return decide(AGREEMENT, verified, self.facts, self.at)


def reply(type_: str, *, police: bool = False, **changes: Any) -> Facts:
    """What the sender of the reply received: `police` says who replies."""
    sender, recipient = (IMIGRASI, POLDA) if police else (POLDA, IMIGRASI)
    return Facts(earlier(type=type_, sender=sender, recipient=recipient, **changes))


def carried(body: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier message as its sender sent it."""
    return {"body": dict(body)}


def fields(decision: Decision) -> set[str]:
    assert decision.permitted, decision.reasons
    return {pointer.removeprefix("/body/") for pointer in decision.withheld}
