"""The shapes of requests and answers, for `/openapi.json` alone: nothing on the hot path is built from them."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.api.problems import PROBLEM_TYPE
from gateway.errors import CODES

TRANSFER: Final = "019a9c5e-7a10-7cc3-8a2e-0d6f6f1b2c3d"
MESSAGE_EXAMPLE: Final = "eyJhbGciOiJFZERTQSIs….eyJpc3MiOiJpbWlncmFzaS1iYW50ZW4iLA….c2lnbmF0dXJl~WyJzYWx0Iiwg…~"
PROOF_EXAMPLE: Final = "c2sp.org/tlog-proof@v1\nindex 41\n…\n\ngateway.example/ledger/pks-banten-2025\n42\n…\n\n— …\n"
ACKNOWLEDGEMENTS: Final = {
    "type": "object",
    "required": ["acknowledgements"],
    "additionalProperties": False,
    "properties": {"acknowledgements": {"type": "array", "minItems": 1, "maxItems": 100, "items": {"type": "string"}}},
}
ACKNOWLEDGEMENTS_EXAMPLE: Final = {"acknowledgements": ["eyJhbGciOiJFZERTQSIs….eyJpc3MiOiJwb2xkYS1iYW50ZW4iLA….c2ln"]}


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LedgerPlace(_Shape):
    origin: str = Field(examples=["gateway.example/ledger/pks-banten-2025"])
    index: int = Field(examples=[41])
    proof: str = Field(description="C2SP tlog-proof", examples=[PROOF_EXAMPLE])


class StampedCheckpoint(_Shape):
    size: int = Field(examples=[42])
    time: str = Field(description="The authority's", examples=["2026-11-23T08:15:00.000000Z"])
    checkpoint: str = Field(description="The bytes that the timestamp is over, a signed note")
    token: str = Field(description="The authority's answer (DER), base64")


class Accepted(_Shape):
    transfer: str = Field(examples=[TRANSFER])
    decision: Literal["accepted"]
    receipt: str = Field(description="JWS, typ receipt+jwt, signed by the gateway")
    ledger: LedgerPlace


class ReasonShape(_Shape):
    code: str = Field(examples=["rule.case-required"])
    clause: str | None = Field(None, examples=["1"])
    pointer: str | None = Field(None, description="JSON Pointer into the message", examples=["/case"])
    detail: str | None = None


class Problem(_Shape):
    """RFC 9457, with the gateway's members."""

    type: str = Field(examples=["urn:sinergi:problem:rule.case-required"])
    title: str = Field(examples=["The rule requires a case reference"])
    status: int = Field(examples=[403])
    code: str = Field(examples=["rule.case-required"])
    detail: str | None = None
    errors: list[ReasonShape]
    clause: str | None = Field(None, examples=["1"])
    transfer: str | None = Field(None, examples=[TRANSFER])
    decision: Literal["refused"] | None = None
    receipt: str | None = Field(None, description="JWS, typ receipt+jwt: refusals are signed for, too")
    ledger: LedgerPlace | None = None


class AcceptedLine(Accepted):
    status: Literal[200, 202] = Field(description="200: these bytes were recorded before", examples=[202])


class Batched(_Shape):
    """A result a line, in their order: what a single message would have been answered, with that answer's status."""

    results: list[AcceptedLine | Problem]


class Decided(_Shape):
    decision: Literal["accepted", "refused"]
    permitted: bool
    reasons: list[ReasonShape]
    withheld: list[str] = Field(default_factory=list, examples=[["/body/reporter"]])
    rule: str | None = None
    clause: str | None = None
    agreement: str | None = None
    agreement_version: int | None = None
    retain_until: str | None = Field(None, examples=["2028-11-23"])
    acknowledge_by: str | None = Field(None, examples=["2026-11-23T09:15:00Z"])
    priority: str | None = Field(None, examples=["urgent"])
    handling: str | None = Field(None, examples=["AMBER"])
    flags: list[ReasonShape] | None = Field(None, description="What would be recorded without being a reason to refuse")
    reply_as: Literal["answers", "ends", "amends", "refers"] | None = None
    stands_until: str | None = Field(None, examples=["2027-05-23T17:00:00Z"])
    approved_by: list[str] | None = Field(None, description="Key ids of the officers who approved a release")
    notice: str | None = Field(None, description="The transfer that acknowledged the notice", examples=[TRANSFER])


class InboxItem(_Shape):
    transfer: str = Field(examples=[TRANSFER])
    message: str = Field(description="The released SD-JWT", examples=[MESSAGE_EXAMPLE])
    release: str = Field(description="JWS, typ release+jwt, signed by the gateway")
    attempt: int = Field(examples=[1])


class InboxAlert(_Shape):
    transfer: str = Field(description="The alert's own id", examples=[TRANSFER])
    alert: str = Field(description="JWS, typ alert+jwt, signed by the gateway")
    attempt: int = Field(examples=[1])


class Inbox(_Shape):
    items: list[InboxItem]
    more: bool
    alerts: list[InboxAlert] = Field(
        [], description="What the gateway itself has to say; absent where there is nothing"
    )


class AcknowledgementResult(_Shape):
    transfer: str | None
    status: Literal["recorded", "duplicate", "refused"]
    index: int | None = None
    code: str | None = None


class Acknowledged(_Shape):
    results: list[AcknowledgementResult]


class LedgerIndex(_Shape):
    origin: str
    index: int


class Transfer(_Shape):
    transfer: str = Field(examples=[TRANSFER])
    received_at: str = Field(examples=["2026-11-23T08:15:00.000000Z"])
    sender: str
    recipient: str
    type: str = Field(examples=["early-warning.report/1"])
    purpose: str
    classification: str
    agreement: str
    agreement_version: int | None = None
    rule: str | None = None
    clause: str | None = None
    decision: Literal["accepted", "refused"]
    status: Literal["refused", "waiting", "delivered", "processed", "rejected", "expired", "dead", "withdrawn"]
    reasons: list[ReasonShape]
    flags: list[ReasonShape] | None = Field(None, description="What was wrong with an accepted message")
    withheld: list[str]
    in_reply_to: str | None = Field(None, examples=[TRANSFER])
    reply_as: Literal["answers", "ends", "amends", "refers"] | None = None
    stands_until: str | None = Field(None, examples=["2027-05-23T17:00:00.000000Z"])
    expires_at: str
    acknowledge_by: str | None = None
    retain_until: str | None = None
    ledger: LedgerIndex


class TransferPage(_Shape):
    items: list[Transfer]
    next: str | None = Field(description="Cursor of the next page; null ends")


class ResponseSeconds(_Shape):
    average: float = Field(examples=[512.4])
    median: float = Field(examples=[300.0])
    max: float = Field(examples=[1820.7])


class EarlyWarningFigures(_Shape):
    count: int
    by_severity: dict[str, int] = Field(examples=[{"2": 5, "4": 1}])
    by_outcome: dict[str, int] = Field(description="The latest triage", examples=[{"ACCEPTED": 4, "DUPLICATE": 1}])
    acknowledged_in_time: int
    acknowledged_late: int
    open_past_deadline: int
    without_outcome: int = Field(description="No triage was reported yet")
    duplicates: int
    response_seconds: ResponseSeconds | None = Field(description="From acceptance to the first answer; null: none yet")


class VillageFigures(EarlyWarningFigures):
    region_code: str | None = Field(examples=["36.04.08.2009"])


class UnitFigures(EarlyWarningFigures):
    assigned_unit: str | None = Field(description="As the recipient named it; null: none yet")


class EarlyWarningSummary(_Shape):
    """`from` and `to` are what was asked for, or the last 90 days."""

    from_: str = Field(alias="from", examples=["2026-11-01T00:00:00.000000Z"])
    to: str = Field(examples=["2026-12-01T00:00:00.000000Z"])
    total: EarlyWarningFigures
    villages: list[VillageFigures]
    units: list[UnitFigures]


class JsonWebKeySet(_Shape):
    keys: list[dict[str, Any]]


class Described(BaseModel):
    """A document whose members the reference describes."""

    model_config = ConfigDict(extra="allow")


_DESCRIPTIONS: Final = {200: "Done", 202: "Accepted, recorded, and the recipient's from now on"}


def answers(*statuses: int, of: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": of, "description": _DESCRIPTIONS[status]} for status in statuses}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses, each with the codes that have this status."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        codes = [code for code in CODES.values() if code.status == status]
        example = codes[0]
        found[status] = {
            "description": ", ".join(f"`{code.code}`" for code in codes) or "Refused",
            "content": {
                PROBLEM_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {
                        "type": f"urn:sinergi:problem:{example.code}",
                        "title": example.en,
                        "status": status,
                        "code": example.code,
                        "errors": [{"code": example.code}],
                    },
                }
            },
        }
    return found
