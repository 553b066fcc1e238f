"""What is signed at somebody's own machine, without a gateway: the options, and the statement of one of two officers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.context import invocation
from gateway.cli.given import write_new
from gateway.cli.output import as_json, line, message
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.statements.two_officers import Matter

GatewayIdOption = Annotated[str, typer.Option(metavar="ID", help="The gateway's id; the statement is for it alone.")]
OfficerAgencyOption = Annotated[str, typer.Option("--as", metavar="AGENCY", help="The officer's agency.")]
OfficerKeyOption = Annotated[
    str, typer.Option(metavar="URI", help="The officer's own private key, as in file:sari.pem.")
]
StatementOption = Annotated[Path, typer.Option(metavar="FILE", help="The statement's new file.")]


def sign_matter(
    context: typer.Context,
    matter: "Matter",
    *,
    agency: str,
    key: str,
    passphrase_file: Path | None,
    out: Path,
    told: dict[str, str],
) -> None:
    """An officer of `agency` signs for the matter, into the file `out`; `told` is what the answer says it is about."""
    from gateway.errors import MalformedError
    from gateway.keyring import load_signer, read_passphrase
    from gateway.statements.two_officers import sign_statement
    from gateway.wiring import now

    signer = load_signer(key, read_passphrase(passphrase_file))
    try:
        statement = sign_statement(matter, agency, signer, now())
    except MalformedError as error:
        raise OperatorError(error.detail) from error
    write_new(out, statement.encode() + b"\n")
    if invocation(context).json:
        as_json({"file": str(out), **told, "kid": signer.kid})
    else:
        line(signer.kid)
        message(f"{out} holds the statement. It names no person; another officer must sign as well.")
