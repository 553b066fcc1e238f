"""What is checked in a bundle, offline, by somebody who trusts a few public keys and nothing else.

Decides which checks there are, and what becomes of one that fails: each stands alone and says what it found, or which file
failed it. Uses no database, network, schema or agreement engine, so that it runs where only Python and `cryptography` are.

 1. every file is the one that the gateway listed and signed                        ledger_checks.py
 2. every ledger entry is in a ledger that its key signed, and enough witnesses saw it
 3. the message is signed by its sender, and nothing in it is hidden                message_checks.py
 4. the sender's key was the sender's, and valid, when the gateway received the message
 5. the ledger's entry is about this very message
 6. the gateway's receipt says the same
 7. the message type was published, and is the one that is enclosed                 agreement_checks.py
 8. the agreement was signed by all its parties and in force, and has the rule
 9. what was released is part of the message, and what was withheld is named        delivery_checks.py
10. the recipient's acknowledgements are signed by the recipient, and in the ledger
11. an authority's clock saw the ledger                                             ledger_checks.py
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gateway.errors import GatewayError
from gateway.evidence import agreement_checks, delivery_checks, ledger_checks, message_checks
from gateway.evidence.bundle import Bundle
from gateway.evidence.court import Court, Proven, Trust
from gateway.evidence.findings import Unchecked, found, of
from gateway.message.envelope import Claims
from gateway.review.words import Words

CHECKS: Final[Mapping[int, Callable[[Court], Words]]] = MappingProxyType({
    1: ledger_checks.listed,
    2: ledger_checks.proven,
    3: message_checks.signed,
    4: message_checks.keyed,
    5: message_checks.committed,
    6: message_checks.receipted,
    7: agreement_checks.typed,
    8: agreement_checks.agreed,
    9: delivery_checks.released,
    10: delivery_checks.acknowledged,
    11: ledger_checks.timed,
})  # fmt: skip
TITLES: Final = {
    1: "every file is the one that the gateway listed and signed",
    2: "every entry is in a ledger that its key signed",
    3: "the message is signed by its sender, and nothing in it is hidden",
    4: "the key was the sender's, and valid, when the message was received",
    5: "the ledger's entry is about this very message",
    6: "the gateway's receipt says the same",
    7: "the message type is the published one",
    8: "the agreement was signed by all parties, in force, and has the rule",
    9: "what was released is part of the message; what was withheld is named",
    10: "the recipient signed for it, and the ledger has that",
    11: "an authority's clock saw the ledger",
}
_SIGNED, _COMMITTED, _ACKNOWLEDGED = 3, 5, 10


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one numbered check; `ok` None: there was nothing to check it with, or nothing to check."""

    number: int
    ok: bool | None
    detail: Words

    @property
    def title(self) -> str:
        return TITLES[self.number]


@dataclass(frozen=True, slots=True)
class Report:
    """What a bundle proves; whatever it does not get as far as is None or empty.

    `claims` are the sender's own in clear, where its signature and the ledger's entry both fit the message.
    """

    transfer: str | None
    decision: str | None
    checks: tuple[Check, ...]
    subject: Proven | None = None
    acknowledged: tuple[Proven, ...] = ()
    claims: Claims | None = None

    @property
    def ok(self) -> bool:
        return all(check.ok is not False for check in self.checks)


def check(bundle: Bundle, trust: Trust) -> Report:
    """Every check, whatever became of those before it. Never raises for what a bundle says."""
    court = Court(bundle, trust)
    checks = tuple(_result(number, step, court) for number, step in CHECKS.items())
    passed = {one.number for one in checks if one.ok}
    subject = court.decided
    return Report(
        transfer=None if subject is None else subject.entry["transfer"],
        decision=None if subject is None else str(subject.entry["kind"]).removeprefix("transfer."),
        checks=checks,
        subject=subject,
        acknowledged=tuple(court.of("transfer.acknowledged")) if _ACKNOWLEDGED in passed else (),
        claims=court.message().claims if {_SIGNED, _COMMITTED} <= passed else None,
    )


def _result(number: int, step: Callable[[Court], Words], court: Court) -> Check:
    try:
        return Check(number, ok=True, detail=step(court))
    except Unchecked as nothing:
        return Check(number, ok=None, detail=nothing.said)
    except GatewayError as error:
        return Check(number, ok=False, detail=of(error))
    except (KeyError, TypeError, ValueError, LookupError) as error:
        # A file of another form than the gateway writes: what cannot be read proves nothing.
        return Check(number, ok=False, detail=found("no-form", kind=type(error).__name__))
