"""`send` and `receive`: an agency's side of the exchange from a shell, through the same SDK that a backend uses."""

import json
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from gateway.cli.context import command, invocation
from gateway.cli.given import read_object, read_text, write_new
from gateway.cli.output import NO, as_json, line, message, raw, reason_line
from gateway.errors import OperatorError, Reason

if TYPE_CHECKING:
    from gateway.client import Composed, GatewayClient, Page, Sent
    from gateway.endpoint import Received

T = TypeVar("T")
EVENTS: Final = ("delivered", "processed", "rejected")

AgencyOption = Annotated[str, typer.Option("--as", metavar="AGENCY", help="The agency that acts.")]
KeyOption = Annotated[str, typer.Option(metavar="URI", help="Its private key, as in file:/secure/polda.pem.")]
PassphraseOption = Annotated[Path, typer.Option(metavar="FILE", help="The key's passphrase.")]
GatewayOption = Annotated[str, typer.Option(metavar="URL", help="The gateway's public URL.")]
LedgerKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey", metavar="VKEY", help="Trust only this ledger key; may be repeated [default: the published]."
    ),
]
GatewayKeysOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Trust only this JWKS of the gateway [default: the published one].")
]
AuthorityOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="PEM authorities of the gateway's certificate.")
]
PatienceOption = Annotated[
    int, typer.Option(metavar="SECONDS", min=0, help="How long to keep asking a gateway that does not answer.")
]


def register(app: typer.Typer) -> None:
    """Puts the commands on the program itself."""
    common = "--key file:imigrasi.pem --passphrase-file imigrasi.pass --gateway https://sinergi.example.id"
    command(
        app,
        "send",
        example="sinergi send warning.json --to polda-banten --type early-warning.report/1 --agreement pks-banten-2025"
        " --purpose EARLY_WARNING --classification R --disclose /body/reporter --disclose /body/recruiter"
        f" --disclose /body/narrative --keep warning.sd-jwt --as imigrasi-banten {common}\n"
        f"sinergi send warning.sd-jwt --as imigrasi-banten {common}",
    )(send)
    command(
        app,
        "receive",
        example=f"sinergi receive --out inbox --acknowledge delivered --as imigrasi-banten {common}",
    )(receive)


def send(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The body as JSON, or a message that --keep wrote; - for standard input."),
    ],
    *,
    agency: AgencyOption,
    key: KeyOption,
    passphrase_file: PassphraseOption,
    gateway: GatewayOption,
    to: Annotated[str | None, typer.Option(metavar="AGENCY", help="The recipient.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="The message type with its version.")] = None,
    agreement: Annotated[str | None, typer.Option(help="The agreement it is sent under.")] = None,
    purpose: Annotated[str | None, typer.Option(metavar="CODE", help="What it is for.")] = None,
    classification: Annotated[str | None, typer.Option(metavar="B|T|R|SR", help="Its security classification.")] = None,
    case: Annotated[str | None, typer.Option(metavar="TYPE:NUMBER", help="The case it belongs to.")] = None,
    officer: Annotated[str | None, typer.Option(metavar="ROLE:ID", help="The officer who asks or tells.")] = None,
    legal_basis: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="May be repeated.")] = None,
    in_reply_to: Annotated[str | None, typer.Option(metavar="TRANSFER", help="The transfer it answers.")] = None,
    correlation_id: Annotated[str | None, typer.Option(metavar="ID", help="Your own reference.")] = None,
    handling: Annotated[
        str | None, typer.Option(metavar="TLP", help="CLEAR, GREEN, AMBER, AMBER+STRICT or RED.")
    ] = None,
    disclose: Annotated[
        list[str] | None,
        typer.Option(metavar="POINTER", help="A field that the gateway may withhold, as in /body/reporter."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the signed message here first: only the same bytes can be sent again safely."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask what would be decided. Nothing is sent or recorded.")
    ] = False,
    vkey: LedgerKeyOption = None,
    gateway_keys: GatewayKeysOption = None,
    ca_file: AuthorityOption = None,
    patience: PatienceOption = 30,
) -> None:
    """Sign and send one message, and verify the gateway's receipt and proof.

    Exit code 0: accepted; 1: refused, with every reason; 3: not known, send the kept message again.
    """
    text = read_text(file).strip()
    claims = {
        "to": to,
        "type": type_,
        "agreement": agreement,
        "purpose": purpose,
        "classification": classification,
    }
    ready = not text.startswith("{")
    others = (case, officer, legal_basis, in_reply_to, correlation_id, handling, disclose, keep)
    if ready and any((*claims.values(), *others)):
        raise OperatorError(f"{file} is a signed message already: nothing of it can be changed")
    if not ready and (missing := [f"--{name}" for name, value in claims.items() if value is None]):
        raise OperatorError(f"a body needs {', '.join(missing)}")
    optional = {
        "case": case,
        "officer": officer,
        "legal_basis": legal_basis or (),
        "in_reply_to": in_reply_to,
        "correlation_id": correlation_id,
        "handling": handling,
        "disclosable": disclose or (),
    }

    async def act(client: "GatewayClient") -> "Sent | dict[str, Any]":
        composed = _kept(text) if ready else _composed(client, read_body(text, file), claims, optional)
        if keep is not None:
            write_new(keep, composed.text.encode())
        return await client.preview(composed) if dry_run else await client.send(composed)

    from gateway.client import RefusedError, UnreachableError

    try:
        answer = _Side(agency, key, passphrase_file, gateway, vkey, gateway_keys, ca_file, patience).run(act)
    except RefusedError as refused:
        # Printed as an answer, for it is one: signed, recorded, and provable.
        _tell(context, refused.sent)
        raise typer.Exit(NO) from None
    except UnreachableError:
        if not dry_run:
            kept = keep or (file if ready else None)
            message("It is not known whether the message was recorded. The same bytes can be sent again safely:")
            message(f"  sinergi send {kept} …" if kept else "  they were not kept; next time name a file with --keep.")
        raise
    if not isinstance(answer, dict):
        _tell(context, answer)
        return
    permitted = answer.get("permitted") is True
    if invocation(context).json:
        as_json(answer)
    else:
        line("permitted" if permitted else "refused")
        for reason in answer.get("reasons", []):
            line(f"  {reason_line(Reason(**reason))}")
    if not permitted:
        raise typer.Exit(NO)


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


def _kept(text: str) -> "Composed":
    from gateway.client import Composed

    return Composed.read(text)


def _composed(
    client: "GatewayClient", body: dict[str, Any], claims: dict[str, Any], optional: dict[str, Any]
) -> "Composed":
    from gateway.envelope import Case, Officer

    case, officer = _pair(optional.pop("case"), "--case"), _pair(optional.pop("officer"), "--officer")
    return client.compose(
        body=body,
        case=None if case is None else Case(type=case[0], number=case[1]),
        officer=None if officer is None else Officer(role=officer[0], id=officer[1]),
        **claims,
        **optional,
    )


def _pair(text: str | None, name: str) -> tuple[str, str] | None:
    if text is None:
        return None
    first, colon, second = text.partition(":")
    if not colon or not first or not second:
        raise OperatorError(f"{name} is written as two parts with a colon between")
    return first, second


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
    passphrase_file: PassphraseOption,
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
        raise OperatorError("--reason goes with --acknowledge rejected")
    if out is not None:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def act(client: "GatewayClient") -> "Page":
        page = await client.receive(limit, wait)
        # First kept, then acknowledged: a crash in between brings the message again.
        for item in page.received:
            _hand_over(item, out)
        if acknowledge is not None and page.received:
            for result in await client.acknowledge(page.received, acknowledge, reason or ()):  # type: ignore[arg-type]
                if result.status == "refused":
                    message(f"{result.transfer}: the gateway refused the receipt ({result.code})")
        return page

    page = _Side(agency, key, passphrase_file, gateway, vkey, gateway_keys, ca_file, patience).run(act)
    for fault in page.faults:
        message(f"{fault.transfer or 'an item'} does not verify: {fault.code}: {fault.detail}")
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
    if out is None:
        raw(json.dumps(content) + "\n")
        return
    from gateway.envelope import TRANSFER_ID
    from gateway.keyring import write_private

    # The name comes from outside: nothing but a transfer id becomes a path.
    if not TRANSFER_ID.fullmatch(item.transfer):
        raise OperatorError("an item has no transfer id")
    path = out / f"{item.transfer}.json"
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    write_private(fresh, json.dumps(content, ensure_ascii=False, indent=1).encode())
    fresh.replace(path)
    line(str(path))


@dataclass(frozen=True, slots=True)
class _Side:
    """One agency at one gateway, with what it trusts."""

    agency: str
    key: str
    passphrase_file: Path
    gateway: str
    vkeys: list[str] | None
    gateway_keys: Path | None
    ca_file: Path | None
    patience: int

    def run(self, act: Callable[["GatewayClient"], Coroutine[Any, Any, T]]) -> T:
        """Opens the key and the connection, acts, closes."""
        if not self.gateway.startswith(("http://", "https://")):
            raise OperatorError("--gateway must be an http(s) URL")
        import asyncio

        from gateway.cli.remote import authorities
        from gateway.client import GatewayClient
        from gateway.keyring import load_signer, read_passphrase

        signer = load_signer(self.key, read_passphrase(self.passphrase_file))
        published = None if self.gateway_keys is None else read_object(self.gateway_keys)

        async def connected() -> T:
            async with GatewayClient(
                self.gateway,
                self.agency,
                signer,
                gateway_keys=published,
                ledger_vkeys=self.vkeys or (),
                tls=authorities(self.ca_file) if self.gateway.startswith("https://") else None,
                patience=self.patience,
            ) as client:
                return await act(client)

        return asyncio.run(connected())
