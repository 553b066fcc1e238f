"""`send --batch`: many signed messages from one file, a line each, and what became of every one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from gateway.cli.context import invocation
from gateway.cli.given import STDIN
from gateway.cli.output import DONE, NO, UNASKED, as_json, line, message, reason_line
from gateway.cli.side import Side
from gateway.errors import GatewayError, OperatorError

if TYPE_CHECKING:
    from gateway.client import ClientError, Composed, GatewayClient, Sent

FILE_LIMIT: Final = 256 * 1_048_576


def send_lines(context: typer.Context, file: Path, side: Side) -> None:
    """Sends every line that is a message, tells each line's outcome in order, and ends with the worst of them."""
    composed: list[Composed] = []
    outcomes: dict[int, Sent | GatewayError] = {}
    places: list[int] = []
    for number, text in _lines(file):
        try:
            composed.append(_read(text))
        except GatewayError as error:
            outcomes[number] = error
        else:
            places.append(number)

    async def act(client: "GatewayClient") -> "tuple[Sent | ClientError, ...]":
        return await client.send_batch(composed)

    if composed:
        outcomes |= dict(zip(places, side.run(act), strict=True))
    told = [_told(number, outcomes[number]) for number in sorted(outcomes)]
    if invocation(context).json:
        as_json(told)
    else:
        for one in told:
            line(f"{one['line']}: {one['decision']} {one.get('transfer', '')}".rstrip())
            for reason in one["reasons"]:
                line(f"  {reason}")
    counts = {decision: sum(one["decision"] == decision for one in told) for decision in _WORST}
    message(", ".join(f"{count} {decision}" for decision, count in counts.items() if count) or "no message")
    if counts["unknown"]:
        message("It is not known whether all were recorded. The same file can be sent again safely:")
        message(f"  sinergi send --batch {file} …")
    code = max(_WORST[one["decision"]] for one in told) if told else NO
    if code != DONE:
        raise typer.Exit(code)


# `not recorded`: nobody has a receipt for it; `unknown`: nobody knows.
_WORST: Final = {"accepted": DONE, "refused": NO, "not recorded": NO, "unknown": UNASKED}


def _told(number: int, outcome: "Sent | GatewayError") -> dict[str, Any]:
    from gateway.client import RefusedError, Sent, UnreachableError

    if isinstance(outcome, Sent):
        return {"line": number, "decision": "accepted", "reasons": [], **_evidence(outcome)}
    reasons = [reason_line(reason) for reason in outcome.reasons]
    if isinstance(outcome, RefusedError):
        return {"line": number, "decision": "refused", "reasons": reasons, **_evidence(outcome.sent)}
    decision = "unknown" if isinstance(outcome, UnreachableError) else "not recorded"
    return {"line": number, "decision": decision, "reasons": reasons}


def _evidence(sent: "Sent") -> dict[str, Any]:
    receipt = sent.receipt
    place = {"origin": receipt.origin, "index": receipt.index, "proof": sent.proof_text}
    return {"transfer": sent.transfer, "retried": sent.retried, "receipt": sent.receipt_text, "ledger": place}


def _read(text: str) -> "Composed":
    from gateway.client import Composed

    return Composed.read(text)


def _lines(file: Path) -> list[tuple[int, str]]:
    """Number and text of each line that is not empty."""
    if str(file) == STDIN:
        import sys

        data = sys.stdin.buffer.read(FILE_LIMIT + 1)
    else:
        try:
            with file.open("rb") as opened:
                data = opened.read(FILE_LIMIT + 1)
        except OSError as error:
            raise OperatorError(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > FILE_LIMIT:
        raise OperatorError(f"{file} is larger than {FILE_LIMIT} bytes")
    found = [(number, text.strip()) for number, text in enumerate(data.decode("ascii", "replace").split("\n"), 1)]
    return [(number, text) for number, text in found if text]
