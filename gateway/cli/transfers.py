"""`sinergi transfers`: an auditor's questions to a gateway, and an operator's redelivery."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_moment, read_object
from gateway.cli.output import NO, as_json, line, message, raw, reason_line, table
from gateway.cli.reason import WhyOption
from gateway.cli.side import AuthorityOption, GatewayOption
from gateway.errors import OperatorError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.remote import Auditor

app = group(
    "transfers",
    "What crossed the gateway: search, overdue, show, redeliver.",
    commands="sinergi transfers search --gateway https://sinergi.example.id --token-file bpk-01.token"
    " --decision refused --from 2026-11-01",
)

TokenOption = Annotated[
    Path, typer.Option(metavar="FILE", help="The auditor's token, in a file that only its holder may read.")
]
TransferArgument = Annotated[str, typer.Argument(metavar="ID", help="A transfer's id.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="early-warning.report/1")]
PartyOption = Annotated[str | None, typer.Option(help="An agency's id.")]
_COLUMNS: Final = ("received_at", "transfer", "sender", "recipient", "type", "decision", "status", "clause", "codes")
_OVERDUE: Final = ("acknowledge_by", "transfer", "sender", "recipient", "type", "status", "received_at")


@command(
    app,
    "search",
    example="sinergi transfers search --gateway https://sinergi.example.id --token-file bpk-01.token"
    " --from 2026-11-01 --decision refused --all\n"
    'echo \'{"kind": "case", "value": "LP LP/B/1/XI/2026"}\' |'
    " sinergi transfers search --gateway https://sinergi.example.id --token-file dpo.token --subject-file -",
)
def search(
    context: typer.Context,
    *,
    gateway: GatewayOption,
    token_file: TokenOption,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Received then or later.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Received before then.")] = None,
    type_: TypeOption = None,
    sender: PartyOption = None,
    recipient: PartyOption = None,
    decision: Annotated[str | None, typer.Option(metavar="accepted|refused")] = None,
    code: Annotated[str | None, typer.Option(help="A reason of refusal, such as rule.case-required.")] = None,
    clause: Annotated[str | None, typer.Option(help="A clause of the agreement.")] = None,
    case: Annotated[
        str | None, typer.Option(metavar="[TYPE:]NUMBER", help="A case number; its type is not compared.")
    ] = None,
    subject_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON {kind, value} of a person's identifier, or - for standard input; needs the role dpo."
            " Kinds: nik, nip, nrp, phone, travel-document, document-number, person-token, case, officer.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Transfers on one page.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="Every page, not only the first.")] = False,
    ca_file: AuthorityOption = None,
) -> None:
    """Search transfers, the newest first. The search is itself recorded, by whom and for what.

    With --json and --all, one JSON object a line.
    """
    times = {"from": read_moment(since, "--from"), "to": read_moment(until, "--to")}
    filters = {
        **{name: None if moment is None else moment.isoformat() for name, moment in times.items()},
        "type": type_,
        "sender": sender,
        "recipient": recipient,
        "decision": decision,
        "code": code,
        "clause": clause,
        # As `send` takes it; a number has no colon, and the index holds the number alone.
        "case": None if case is None else case.rpartition(":")[2],
    }
    question: dict[str, Any] = {name: value for name, value in filters.items() if value is not None} | {"limit": limit}
    if subject_file is not None:
        question["subject"] = read_object(subject_file)
    from gateway.cli.remote import Auditor

    with Auditor(gateway, token_file, ca_file) as auditor:
        _show_found(_pages(auditor, question, every=every), every=every, json=invocation(context).json)


def _show_found(pages: "Iterator[dict[str, Any]]", *, every: bool, json: bool) -> None:
    """Every page is shown as it comes where it can be: as lines of JSON."""
    items: list[dict[str, Any]] = []
    following = None
    for page in pages:
        following = page.get("next")
        if every and json:
            _print_lines(page["items"])
        else:
            items += page["items"]
    if json:
        if not every:
            as_json({"items": items, "next": following})
        return
    table(_COLUMNS, [[_cell(item, column) for column in _COLUMNS] for item in items])
    if following is not None:
        message(f"{len(items)} transfers, and there are more: --all shows them.")


def _pages(auditor: "Auditor", question: dict[str, Any], *, every: bool) -> "Iterator[dict[str, Any]]":
    """One page, or with `every` each until `next` is null."""
    cursor: str | None = None
    while True:
        asked = question if cursor is None else question | {"cursor": cursor}
        # A person's identifier or a case number never stands in a URL, where servers on the way would log it.
        private = "subject" in asked or "case" in asked
        page = auditor.post("/v1/transfers/search", asked) if private else auditor.get("/v1/transfers", asked)
        if not isinstance(page.get("items"), list):
            raise OperatorError("the answer has no items: is --gateway a Sinergi gateway?")
        yield page
        cursor = page.get("next")
        if cursor is None or not every:
            return


def _print_lines(items: list[dict[str, Any]]) -> None:
    import json

    for item in items:
        raw(json.dumps(item) + "\n")


def _cell(item: dict[str, Any], column: str) -> str:
    if column == "codes":
        found = (*item.get("reasons", []), *item.get("flags", []))
        return " ".join(dict.fromkeys(str(reason.get("code")) for reason in found))
    value = item.get(column)
    return "" if value is None else str(value)


@command(
    app,
    "overdue",
    example="sinergi transfers overdue --gateway https://sinergi.example.id --token-file bpk-01.token\n"
    "sinergi transfers overdue --gateway https://sinergi.example.id --token-file bpk-01.token"
    " --type early-warning.report/1 --json || page-the-officer-on-duty",
)
def overdue(
    context: typer.Context,
    *,
    gateway: GatewayOption,
    token_file: TokenOption,
    type_: TypeOption = None,
    recipient: PartyOption = None,
    ca_file: AuthorityOption = None,
) -> None:
    """What should have been answered by now and was not, the newest first. Ends with 1 when there is anything.

    A transfer is open until its recipient has answered it or signed that it was processed or rejected.
    """
    question: dict[str, Any] = {"overdue": "true", "limit": 200}
    question |= {name: value for name, value in {"type": type_, "recipient": recipient}.items() if value is not None}
    from gateway.cli.remote import Auditor

    with Auditor(gateway, token_file, ca_file) as auditor:
        items = [item for page in _pages(auditor, question, every=True) for item in page["items"]]
    if invocation(context).json:
        as_json({"items": items})
    elif items:
        table(_OVERDUE, [[_cell(item, column) for column in _OVERDUE] for item in items])
        message(f"{len(items)} transfers are overdue.")
    else:
        message("Nothing is overdue.")
    if items:
        raise typer.Exit(NO)


@command(
    app,
    "show",
    example="sinergi transfers show 0193a1b2-… --gateway https://sinergi.example.id --token-file bpk-01.token",
)
def show(
    context: typer.Context,
    transfer: TransferArgument,
    *,
    gateway: GatewayOption,
    token_file: TokenOption,
    ca_file: AuthorityOption = None,
) -> None:
    """One transfer with its receipts and its place in the ledger. Reading it is itself recorded."""
    from urllib.parse import quote

    from gateway.cli.remote import Auditor

    with Auditor(gateway, token_file, ca_file) as auditor:
        found = auditor.get(f"/v1/transfers/{quote(transfer, safe='')}")
    if invocation(context).json:
        as_json(found)
        return
    for name, value in found.items():
        if isinstance(value, str | int):
            line(f"{name}: {value}")
    for reason in found.get("reasons", []):
        line(f"reason: {reason_line(Reason(**reason))}")
    for flag in found.get("flags", []):
        line(f"flag: {reason_line(Reason(**flag))}")
    if found.get("withheld"):
        line(f"withheld: {' '.join(found['withheld'])}")
    ledger = found.get("ledger", {})
    line(f"ledger: {ledger.get('origin')} entry {ledger.get('index')}")
    for receipt in found.get("receipts", []):
        line(f"receipt: {receipt.get('event')}, entry {receipt.get('index')}")
    for name, value in found.get("claims", {}).items():
        line(f"claim {name}: {value}")
    message("--json shows the signed receipts and the inclusion proof as well.")


@command(app, "redeliver", example="sinergi transfers redeliver 0193a1b2-… --why OPS-341")
def redeliver(
    context: typer.Context,
    transfer: TransferArgument,
    *,
    why: WhyOption,
) -> None:
    """Start the delivery of a dead transfer again, from the gateway's own machine."""
    from gateway.delivery.redeliver import redeliver as again
    from gateway.founding import RefusedError, require_code

    who = require_code(invocation(context).who, "the operator")
    with invocation(context).store() as store:
        try:
            again(store.recorder, store.database, transfer, who, require_code(why, "the reason"))
        except OperatorError as error:
            if error.code != "config.invalid":
                raise
            # Both codes were checked above: what is left is a transfer that cannot be delivered again.
            raise RefusedError(error.detail) from error
    if invocation(context).json:
        as_json({"transfer": transfer, "status": "waiting"})
    else:
        line(transfer)
        message("It waits for delivery again.")
