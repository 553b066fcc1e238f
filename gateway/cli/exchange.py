"""`send` and `receive`: an agency's side of the exchange from a shell, through the same SDK that a backend uses."""

import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.batches import send_lines
from gateway.cli.context import command, invocation
from gateway.cli.given import read_text
from gateway.cli.output import NO, as_json, line, message, raw, reason_line
from gateway.cli.side import (
    AgencyOption,
    AuthorityOption,
    GatewayKeysOption,
    GatewayOption,
    KeyOption,
    LedgerKeyOption,
    PassphraseOption,
    PatienceOption,
    Side,
)
from gateway.cli.wording import (
    AgreementOption,
    CaseOption,
    ClassificationOption,
    CorrelationOption,
    DiscloseOption,
    HandlingOption,
    InReplyToOption,
    LegalBasisOption,
    OfficerOption,
    PurposeOption,
    ToOption,
    TypeOption,
    Wording,
    read_body,
)
from gateway.errors import MalformedError, OperatorError, Reason

if TYPE_CHECKING:
    from gateway.client import Acknowledged, Composed, GatewayClient, Page, Sent
    from gateway.endpoint import Received

EVENTS: Final = ("delivered", "processed", "rejected")


def register(app: typer.Typer) -> None:
    """Puts the commands on the program itself."""
    common = "--key file:imigrasi.pem --passphrase-file imigrasi.pass --gateway https://sinergi.example.id"
    command(
        app,
        "send",
        example="sinergi send warning.json --to polda-banten --type early-warning.report/1 --agreement pks-banten-2025"
        " --purpose EARLY_WARNING --classification R --disclose /body/reporter --disclose /body/recruiter"
        f" --disclose /body/narrative --keep warning.sd-jwt --as imigrasi-banten {common}\n"
        f"sinergi send warning.sd-jwt --as imigrasi-banten {common}\n"
        f"sinergi send --batch anomalies.sd-jwts --as imigrasi-banten {common}",
    )(send)
    command(
        app,
        "receive",
        example=f"sinergi receive --out inbox --acknowledge delivered --as imigrasi-banten {common}",
    )(receive)


def send(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="The body as JSON, or a message that --keep wrote; - for standard input."
        ),
    ] = None,
    *,
    agency: AgencyOption,
    key: KeyOption,
    passphrase_file: PassphraseOption = None,
    gateway: GatewayOption,
    draft: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sign and send what `sinergi draft` wrote, in place of a FILE.")
    ] = None,
    approval: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="What `sinergi approve` wrote for it; may be repeated.")
    ] = None,
    to: ToOption = None,
    type_: TypeOption = None,
    agreement: AgreementOption = None,
    purpose: PurposeOption = None,
    classification: ClassificationOption = None,
    case: CaseOption = None,
    officer: OfficerOption = None,
    legal_basis: LegalBasisOption = None,
    in_reply_to: InReplyToOption = None,
    correlation_id: CorrelationOption = None,
    handling: HandlingOption = None,
    disclose: DiscloseOption = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the signed message here first: only the same bytes can be sent again safely."
        ),
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="FILE has many signed messages, one a line; each is judged alone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask what would be decided. Nothing is sent or recorded.")
    ] = False,
    vkey: LedgerKeyOption = None,
    gateway_keys: GatewayKeysOption = None,
    ca_file: AuthorityOption = None,
    patience: PatienceOption = 30,
) -> None:
    """Sign and send one message, or with --batch many signed ones, and verify the gateway's receipts and proofs.

    Exit code 0: accepted; 1: refused, with every reason; 3: not known, send the kept message again. Of many, the worst.
    """
    wording = Wording(
        to, type_, agreement, purpose, classification, case, officer, legal_basis, in_reply_to, correlation_id,
        handling, disclose,
    )  # fmt: skip
    side = Side(agency, key, passphrase_file, gateway, vkey, gateway_keys, ca_file, patience)
    if batch:
        if file is None or draft is not None or approval or wording.given or keep is not None or dry_run:
            raise OperatorError("--batch takes a FILE of signed messages, and nothing of them can be changed")
        send_lines(context, file, side)
        return
    compose, kept = _source(file, draft, approval or [], wording, keep)
    if dry_run:
        _previewed(context, side.run(lambda client: client.preview(_written(compose(client), keep))))
    else:
        _tell(context, _sent(context, side, lambda client: client.send(_written(compose(client), keep)), kept))


Compose = Callable[["GatewayClient"], "Composed"]


def _source(
    file: Path | None, draft: Path | None, approvals: list[Path], wording: Wording, keep: Path | None
) -> tuple[Compose, Path | None]:
    """How the message is made, and the file that will hold its bytes."""
    if (file is None) == (draft is None):
        raise OperatorError("give either a FILE or --draft")
    if draft is not None:
        if wording.given:
            raise OperatorError(f"{draft} is fixed: nothing of it can be changed")
        return _approved(draft, approvals), keep
    if approvals:
        raise OperatorError("--approval needs --draft")
    assert file is not None
    text = read_text(file).strip()
    if text.startswith("{"):
        to, type_ = wording.required()
        body, options = read_body(text, file), wording.options()
        return lambda client: client.compose(to, type_, body, **options), keep
    if wording.given or keep is not None:
        raise OperatorError(f"{file} is a signed message already: nothing of it can be changed")
    return lambda _client: _kept(text), file


def _approved(draft: Path, approvals: list[Path]) -> Compose:
    from gateway.cli.drafts import read_draft

    held, texts = read_draft(draft), [read_text(path).strip() for path in approvals]

    def compose(client: "GatewayClient") -> "Composed":
        try:
            return client.compose_draft(held, texts)
        except MalformedError as error:
            raise OperatorError(f"{draft}: {error.detail}") from error

    return compose


def _kept(text: str) -> "Composed":
    from gateway.client import Composed

    return Composed.read(text)


def _written(composed: "Composed", keep: Path | None) -> "Composed":
    """Before it is sent: only the same bytes can be sent again."""
    from gateway.keyring import write_private

    if keep is not None:
        write_private(keep, composed.text.encode())
    return composed


def _sent(
    context: typer.Context,
    side: Side,
    act: Callable[["GatewayClient"], Coroutine[Any, Any, "Sent"]],
    kept: Path | None,
) -> "Sent":
    from gateway.client import RefusedError, UnreachableError

    try:
        return side.run(act)
    except RefusedError as refused:
        # Printed as an answer, for it is one: signed, recorded, and provable.
        _tell(context, refused.sent)
        raise typer.Exit(NO) from None
    except UnreachableError:
        message("It is not known whether the message was recorded. The same bytes can be sent again safely:")
        message(f"  sinergi send {kept} …" if kept else "  they were not kept; next time name a file with --keep.")
        raise


def _previewed(context: typer.Context, answer: dict[str, Any]) -> None:
    permitted = answer.get("permitted") is True
    if invocation(context).json:
        as_json(answer)
    else:
        line("permitted" if permitted else "refused")
        for reason in answer.get("reasons", []):
            line(f"  {reason_line(Reason(**reason))}")
    if not permitted:
        raise typer.Exit(NO)


def _tell(context: typer.Context, sent: "Sent") -> None:
    receipt = sent.receipt
    if invocation(context).json:
        as_json(
            {
                "transfer": sent.transfer,
                "decision": sent.decision,
                "rule": receipt.rule,
                "clause": receipt.clause,
                "reasons": [reason.as_json() for reason in receipt.reasons],
                "retried": sent.retried,
                "receipt": sent.receipt_text,
                "ledger": {"origin": receipt.origin, "index": receipt.index, "proof": sent.proof_text},
            }
        )
        return
    line(f"{sent.decision} {sent.transfer}")
    for reason in receipt.reasons:
        line(f"  {reason_line(reason)}")
    message(f"The receipt is signed, and proved to be entry {receipt.index} of {receipt.origin}.")
    if sent.retried:
        message("These bytes were recorded before; this is the first answer again.")


def receive(
    *,
    agency: AgencyOption,
    key: KeyOption,
    passphrase_file: PassphraseOption = None,
    gateway: GatewayOption,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many messages.")] = 100,
    wait: Annotated[int, typer.Option(min=0, max=30, help="Seconds to wait for the first.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Store each message as DIR/TRANSFER.json [default: print, one a line]."),
    ] = None,
    acknowledge: Annotated[
        str | None,
        typer.Option(
            metavar="delivered|processed|rejected",
            help="Sign this receipt for each, once it is stored or printed. Without one they come again.",
        ),
    ] = None,
    reason: Annotated[list[str] | None, typer.Option(metavar="CODE", help="Why it was rejected.")] = None,
    vkey: LedgerKeyOption = None,
    gateway_keys: GatewayKeysOption = None,
    ca_file: AuthorityOption = None,
    patience: PatienceOption = 30,
) -> None:
    """Take what is waiting, verify it, and hand it over as JSON: claims, body, what was withheld, the signed texts.

    Exit code 1 if an item did not verify; it is not handed over.
    """
    if acknowledge not in (None, *EVENTS):
        raise OperatorError(f"--acknowledge is {', '.join(EVENTS)}")
    if reason and acknowledge != "rejected":
        raise OperatorError("--reason needs --acknowledge rejected")
    if out is not None:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def act(client: "GatewayClient") -> "Page":
        page = await client.receive(limit, wait)
        # First kept, then acknowledged: a crash in between brings the message again.
        for item in page.received:
            _hand_over(item, out)
        for alert in page.alerts:
            _keep(f"{alert.jti}.alert", {"alert": alert.as_json(), "text": alert.text}, out)
        if acknowledge is not None:
            await _acknowledge(client, page, acknowledge, reason or [])
        return page

    _received(Side(agency, key, passphrase_file, gateway, vkey, gateway_keys, ca_file, patience).run(act))


async def _acknowledge(client: "GatewayClient", page: "Page", event: str, reasons: list[str]) -> None:
    results: list[Acknowledged] = []
    if page.received:
        results += await client.acknowledge(page.received, event, reasons)  # type: ignore[arg-type]
    if page.alerts:
        results += await client.acknowledge(page.alerts)
    for result in results:
        if result.status == "refused":
            message(f"{result.transfer}: the gateway refused the receipt ({result.code})")


def _received(page: "Page") -> None:
    for fault in page.faults:
        message(f"{fault.transfer or 'an item'} does not verify: {fault.code}: {fault.detail}")
    for alert in page.alerts:
        message(f"ALERT {alert.event}: a key of {alert.agency}, in doubt are {', '.join(alert.transfers)}")
    more = ", and more are waiting" if page.more else ""
    message(f"{len(page.received)} received{more}.")
    if page.faults:
        raise typer.Exit(NO)


def _hand_over(item: "Received", out: Path | None) -> None:
    content = {
        "transfer": item.transfer,
        "attempt": item.attempt,
        "claims": item.claims.as_json(),
        "body": item.body,
        "withheld": list(item.withheld),
        "message": item.text,
        "release": item.release_text,
    }
    _keep(item.transfer, content, out)


def _keep(name: str, content: dict[str, Any], out: Path | None) -> None:
    if out is None:
        raw(json.dumps(content) + "\n")
        return
    from gateway.keyring import write_private
    from gateway.message.envelope import TRANSFER_ID

    # The name comes from outside: nothing but a transfer id becomes a path.
    if not TRANSFER_ID.fullmatch(name.removesuffix(".alert")):
        raise OperatorError("an item has no transfer id")
    path = out / f"{name}.json"
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    write_private(fresh, json.dumps(content, ensure_ascii=False, indent=1).encode())
    fresh.replace(path)
    line(str(path))
