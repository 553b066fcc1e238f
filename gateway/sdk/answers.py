"""What the SDK gives back: verified values, and one small tree of errors that says who is at fault."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from gateway.errors import CODES, GatewayError, Reason
from gateway.jose import strict_json
from gateway.ledger.proof import VerifiedProof
from gateway.message.envelope import Claims, parse
from gateway.sdk.reception import Fault, Received
from gateway.statements.alert import Alert
from gateway.statements.receipt import GatewayReceipt


class ClientError(GatewayError):
    """Base of what the SDK raises."""

    @property
    def status(self) -> int:
        """502 for a code that a newer gateway knows and this SDK does not."""
        return CODES[self.code].status if self.code in CODES else 502


class UnreachableError(ClientError):
    """No usable answer after every retry. Whether the message was recorded is not known: send the same bytes again."""

    default_code = "store.unavailable"


class AnswerError(ClientError):
    """The gateway's answer is not what a gateway that keeps its promises would say. Keep it: it is evidence."""

    default_code = "receipt.mismatch"


class ProblemError(ClientError):
    """The gateway said no, and recorded nothing. `members` is the problem document, `reasons` are what it lists."""

    def __init__(self, http_status: int, members: Mapping[str, Any]) -> None:
        code, detail = members.get("code"), members.get("detail") or members.get("title")
        super().__init__(
            str(detail or f"the gateway answered with status {http_status}"),
            code=code if isinstance(code, str) else None,
            reasons=reasons_of(members.get("errors")),
        )
        self.http_status = http_status
        self.members = members


class RefusedError(ProblemError):
    """The gateway refused a message and signed for it. `reasons`, with their clauses, are the verified receipt's."""

    def __init__(self, sent: "Sent", problem: ProblemError) -> None:
        super().__init__(problem.http_status, problem.members)
        self.reasons = sent.receipt.reasons
        self.receipt = sent.receipt
        self.sent = sent

    @property
    def clause(self) -> str | None:
        return self.receipt.clause

    @property
    def transfer(self) -> str:
        return self.receipt.transfer


@dataclass(frozen=True, slots=True)
class Composed:
    """A signed message. Keep `text` until it is answered: only the very same bytes are the same message."""

    text: str
    claims: Claims

    @classmethod
    def read(cls, text: str) -> Self:
        """One that was kept. Raises MalformedError or TooLargeError."""
        return cls(text, parse(text.encode()).claims)

    @property
    def jwt(self) -> str:
        return self.text.partition("~")[0]


@dataclass(frozen=True, slots=True)
class Sent:
    """The verified answer to one message. `retried`: the gateway had recorded these bytes before."""

    message: Composed
    receipt: GatewayReceipt
    receipt_text: str
    proof: VerifiedProof
    proof_text: str
    retried: bool = False

    @property
    def transfer(self) -> str:
        return self.receipt.transfer

    @property
    def decision(self) -> str:
        return self.receipt.event


@dataclass(frozen=True, slots=True)
class Page:
    """What one `receive` gave. Each item of the gateway's answer is in `received` or in `faults`.

    `alerts` are the gateway's own word about messages that it handed out before: see to them, and acknowledge them.
    """

    received: tuple[Received, ...]
    faults: tuple[Fault, ...]
    more: bool
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What became of one receipt: `recorded` (with its ledger index), `duplicate`, or `refused` (with a code)."""

    transfer: str
    status: str
    index: int | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            value = strict_json(self.body, "the answer")
        except GatewayError as error:
            raise AnswerError(error.detail, code=error.code) from error
        if not isinstance(value, dict):
            raise AnswerError("the answer is not a JSON object")
        return value

    def problem(self) -> ProblemError:
        """What another status means, as far as the answer says it in our own form."""
        try:
            return ProblemError(self.status, self.json())
        except AnswerError:
            return ProblemError(self.status, {})


def reasons_of(value: Any) -> tuple[Reason, ...]:
    """As far as they have the form of reasons: a problem is words, and words are not worth an exception."""
    names = ("clause", "pointer", "detail")
    return tuple(
        Reason(item["code"], **{name: item[name] for name in names if isinstance(item.get(name), str)})
        for item in (value if isinstance(value, list) else ())
        if isinstance(item, dict) and isinstance(item.get("code"), str)
    )
