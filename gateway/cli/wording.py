"""The words of a message: what `send` and `draft` are both told of it, and the body's file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.message.envelope import Case, Officer
    from gateway.sdk.draft import MessageOptions

ToOption = Annotated[str | None, typer.Option("--to", metavar="AGENCY", help="The recipient.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="The message type with its version.")]
AgreementOption = Annotated[str | None, typer.Option("--agreement", help="The agreement it is sent under.")]
PurposeOption = Annotated[str | None, typer.Option("--purpose", metavar="CODE", help="What it is for.")]
ClassificationOption = Annotated[
    str | None, typer.Option("--classification", metavar="B|T|R|SR", help="Its security classification.")
]
CaseOption = Annotated[str | None, typer.Option("--case", metavar="TYPE:NUMBER", help="The case it belongs to.")]
OfficerOption = Annotated[
    str | None, typer.Option("--officer", metavar="ROLE:ID", help="The officer who asks or tells.")
]
LegalBasisOption = Annotated[list[str] | None, typer.Option("--legal-basis", metavar="TEXT", help="May be repeated.")]
InReplyToOption = Annotated[
    str | None, typer.Option("--in-reply-to", metavar="TRANSFER", help="The transfer it answers.")
]
CorrelationOption = Annotated[str | None, typer.Option("--correlation-id", metavar="ID", help="Your own reference.")]
HandlingOption = Annotated[
    str | None, typer.Option("--handling", metavar="TLP", help="CLEAR, GREEN, AMBER, AMBER+STRICT or RED.")
]
DiscloseOption = Annotated[
    list[str] | None,
    typer.Option("--disclose", metavar="POINTER", help="A field that the gateway may withhold, as in /body/reporter."),
]


@dataclass(frozen=True, slots=True)
class Wording:
    """What the options said of a message; None and empty where they said nothing."""

    to: str | None = None
    type: str | None = None
    agreement: str | None = None
    purpose: str | None = None
    classification: str | None = None
    case: str | None = None
    officer: str | None = None
    legal_basis: list[str] | None = None
    in_reply_to: str | None = None
    correlation_id: str | None = None
    handling: str | None = None
    disclose: list[str] | None = None

    @property
    def given(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)

    def required(self) -> tuple[str, str]:
        """Recipient and type. Raises OperatorError, naming every option that a body needs and that is missing."""
        needed = ("to", "type", "agreement", "purpose", "classification")
        if missing := [f"--{name}" for name in needed if getattr(self, name) is None]:
            raise OperatorError(f"a body needs {', '.join(missing)}")
        return str(self.to), str(self.type)

    def options(self) -> "MessageOptions":
        """For `GatewayClient.compose` and `draft`."""
        return {
            "agreement": str(self.agreement),
            "purpose": str(self.purpose),
            "classification": str(self.classification),
            "case": self._case(),
            "officer": self._officer(),
            "legal_basis": self.legal_basis or (),
            "in_reply_to": self.in_reply_to,
            "correlation_id": self.correlation_id,
            "handling": self.handling,
            "disclosable": self.disclose or (),
        }

    def _case(self) -> "Case | None":
        from gateway.message.envelope import Case

        pair = _pair(self.case, "--case")
        return None if pair is None else Case(type=pair[0], number=pair[1])

    def _officer(self) -> "Officer | None":
        from gateway.message.envelope import Officer

        pair = _pair(self.officer, "--officer")
        return None if pair is None else Officer(role=pair[0], id=pair[1])


def read_body(text: str, file: Path) -> dict[str, Any]:
    """The body; no member twice, numbers as JSON means them. Raises OperatorError."""
    from gateway.errors import GatewayError
    from gateway.jose import strict_json

    try:
        body = strict_json(text.encode(), str(file))
    except GatewayError as error:
        raise OperatorError(error.detail) from error
    if not isinstance(body, dict):
        raise OperatorError(f"{file} is not a JSON object")
    return body


def _pair(text: str | None, name: str) -> tuple[str, str] | None:
    if text is None:
        return None
    first, colon, second = text.partition(":")
    if not colon or not first or not second:
        raise OperatorError(f"{name} is written as two parts with a colon between")
    return first, second
