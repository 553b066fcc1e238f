"""`draft` and `approve`: a message that officers at other machines approve before it is signed."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.context import command, invocation
from gateway.cli.given import read_text
from gateway.cli.output import NO, as_json, line, message, plain, raw
from gateway.cli.side import AgencyOption, PassphraseOption
from gateway.cli.statement import OfficerKeyOption
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
from gateway.errors import MalformedError, OperatorError

if TYPE_CHECKING:
    from gateway.sdk.draft import Draft
    from gateway.statements.approval import ApprovalRequest

DAYS: Final = 7


def register(app: typer.Typer) -> None:
    """Puts the commands on the program itself."""
    command(
        app,
        "draft",
        example="sinergi draft referral.json --to polda-banten --type victim.referral/1 --agreement pks-banten-2025"
        " --purpose VICTIM_PROTECTION --classification R --disclose /body/identity --in-reply-to 019a9c5e-…"
        " --as imigrasi-banten --out referral.draft",
    )(draft)
    command(
        app,
        "approve",
        example="sinergi approve referral.draft --key file:sari.pem --passphrase-file sari.pass"
        " --field /body/identity --out sari.approval",
    )(approve)


def draft(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The body as JSON; - for standard input.")],
    *,
    agency: AgencyOption,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The draft's new file, for you alone (mode 0600).")],
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
    days: Annotated[int, typer.Option(min=1, max=DAYS, help="How long the message will be valid, from now.")] = DAYS,
) -> None:
    """Fix every word of a message without signing it, so that officers can approve it: sinergi approve, then send.

    Needs no key and no gateway. The file holds everything in plain: it is as confidential as the message.
    """
    from datetime import timedelta

    from gateway.keyring import write_private
    from gateway.sdk.draft import Draft
    from gateway.sdk.reception import new_jti
    from gateway.wiring import now

    wording = Wording(
        to, type_, agreement, purpose, classification, case, officer, legal_basis, in_reply_to, correlation_id,
        handling, disclose,
    )  # fmt: skip
    recipient, name = wording.required()
    body = read_body(read_text(file), file)
    try:
        made = Draft.write(
            agency, recipient, name, body, now(),
            {**wording.options(), "jti": new_jti(), "valid_for": timedelta(days=days)},
        )  # fmt: skip
    except MalformedError as error:
        raise OperatorError(f"{file}: {error.detail}") from error
    write_private(out, made.text().encode())
    fields = [place.pointer for place in made.placed]
    if invocation(context).json:
        as_json({"file": str(out), "jti": made.claims.jti, "exp": made.claims.exp, "disclosable": fields})
        return
    line(str(out))
    message(f"To be approved and sent within {days} days. Disclosable: {', '.join(fields) or 'nothing'}.")


def read_draft(path: Path) -> "Draft":
    """Raises OperatorError, which never quotes the file."""
    from gateway.errors import CallerError
    from gateway.sdk.draft import Draft

    try:
        return Draft.read(read_text(path))
    except CallerError as error:
        raise OperatorError(f"{path} is not a draft: {error.detail}") from error


def approve(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `sinergi draft` wrote.")],
    *,
    key: OfficerKeyOption,
    passphrase_file: PassphraseOption = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POINTER", help="Approve only this field; may be repeated [default: every disclosable one]."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The approval's new file [default: standard output].")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: it was read and is approved.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask; without --yes nothing is signed.")] = False,
) -> None:
    """As an officer: read what would be released, why and to whom, and sign for it with your own key.

    Needs no gateway. The approval is good for this one draft, for 7 days. Exit code 1: not approved.
    """
    held = read_draft(file)
    try:
        request = held.approval_request(field)
    except MalformedError as error:
        pointer = error.reasons[0].pointer
        raise OperatorError(f"{pointer}: {error.detail}" if pointer else error.detail) from error
    if not request.disclosures:
        raise OperatorError(f"{file} has no disclosable field: there is nothing to approve")
    _show(held, request)
    if not yes and not _confirmed(request.aud, no_input=no_input):
        message("Not approved: nothing was signed.")
        raise typer.Exit(NO)
    from gateway.cli.given import write_new
    from gateway.keyring import load_signer, read_passphrase
    from gateway.statements.approval import sign_approval
    from gateway.wiring import now

    signer = load_signer(key, read_passphrase(passphrase_file))
    text = sign_approval(request, signer, now())
    if out is not None:
        write_new(out, text.encode() + b"\n")
    if invocation(context).json:
        told = {"kid": signer.kid, "jti": request.jti, "fields": list(request.fields), "approval": text}
        as_json(told | ({} if out is None else {"file": str(out)}))
    elif out is None:
        raw(f"{text}\n")
    else:
        line(str(out))


def _show(held: "Draft", request: "ApprovalRequest") -> None:
    """On stderr: standard output is the approval's. Control characters are shown as such, whatever a field holds."""
    from gateway.message.disclosure import SD

    claims = held.claims
    told = {
        "from": claims.iss,
        "to": claims.aud,
        "type": claims.type,
        "purpose": claims.purpose,
        "agreement": claims.agreement,
        "case": None if claims.case is None else f"{claims.case.type} {claims.case.number}",
        "answers": claims.in_reply_to,
        "message": claims.jti,
    }
    for name, value in told.items():
        if value is not None:
            message(f"{name:9}  {value}")
    clear = {name: value for name, value in held.closed.items() if name != SD}
    if clear:
        # Part of what is approved: the receiving unit, for instance.
        message("\nin clear")
        for shown in json.dumps(clear, ensure_ascii=False, indent=2).split("\n"):
            message(f"  {plain(shown)}")
    for pointer, value in request.fields.items():
        message(f"\n{plain(pointer)}")
        for shown in json.dumps(value, ensure_ascii=False, indent=2).split("\n"):
            message(f"  {plain(shown)}")


def somebody_there() -> bool:
    return sys.stdin.isatty()


def _confirmed(recipient: str, *, no_input: bool) -> bool:
    if no_input or not somebody_there():
        raise OperatorError("nobody can be asked here: read the draft, then approve it with --yes")
    message(f"\nTo approve the release of the fields above, type the recipient's id ({recipient}):")
    return sys.stdin.readline().strip() == recipient
