"""`sinergi operators`: who runs the gateway, each by a key of their own."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.acting import propose
from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_text
from gateway.cli.keys import KeyArgument
from gateway.cli.output import as_json, line, message, table
from gateway.cli.reason import WhyOption
from gateway.cli.side import AgencyOption, PassphraseOption
from gateway.cli.statement import GatewayIdOption, StatementOption
from gateway.errors import OperatorError

app = group(
    "operators",
    "Who runs the gateway, each by a key of their own; and what two of them must sign.",
    commands="sinergi operators enrol --id sari --gateway-id sinergi-banten --key file:sari.pem"
    " --passphrase-file sari.pass --out sari.jws\n"
    "sinergi operators found sari.jws budi.jws --why SK-2026-17\n"
    "sinergi operators proposals",
)
KeyOption = Annotated[str, typer.Option(metavar="URI", help="Your own private key, as in file:sari.pem or pkcs11:….")]


@command(
    app,
    "enrol",
    example="sinergi operators enrol --id sari --gateway-id sinergi-banten --key file:sari.pem"
    " --passphrase-file sari.pass --out sari.jws",
)
def enrol(
    context: typer.Context,
    *,
    operator: Annotated[
        str,
        typer.Option(
            "--id", metavar="CODE", help="How the ledger will always name you: an account, no personal number."
        ),
    ],
    gateway_id: GatewayIdOption,
    key: KeyOption,
    passphrase_file: PassphraseOption = None,
    out: StatementOption,
) -> None:
    """At your own machine: sign the statement with which you are enrolled as an operator. Needs no gateway.

    It proves that the key is in your hands, and is good for 7 days.
    """
    from gateway.cli.acting import open_key
    from gateway.cli.given import write_new
    from gateway.errors import MalformedError
    from gateway.statements.appointment import sign_appointment
    from gateway.wiring import now

    signer = open_key(key, passphrase_file)
    try:
        statement = sign_appointment(operator, gateway_id, key=signer.public, signer=signer, now=now())
    except MalformedError as error:
        raise OperatorError(error.detail) from error
    write_new(out, statement.encode() + b"\n")
    if invocation(context).json:
        as_json({"file": str(out), "operator": operator, "kid": signer.kid})
    else:
        line(signer.kid)
        message(f"{out} holds the statement. Tell the thumbprint above to the others over another channel.")


@command(app, "found", example="sinergi operators found sari.jws budi.jws --why SK-2026-17")
def found(
    context: typer.Context,
    statements: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="The statements of the first operators: two or more.")
    ],
    *,
    why: WhyOption,
    consent: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An agency's consent (`operators consent`), where fewer than two are left."),
    ] = None,
) -> None:
    """Enrol the first operators together. There is no way back: from then on keys act and names do not.

    `sinergi init --operator-statement` does the same from the first moment on. Where fewer than two operators are left, so
    that nobody could add one, new ones are enrolled by the consent of every agency that has keys here.
    """
    texts = [read_text(file) for file in statements]
    consents = [read_text(file) for file in consent or ()]
    from gateway.errors import AccessDeniedError, CallerError
    from gateway.operations.operators import found_operators

    with invocation(context).store() as store:
        try:
            founders = found_operators(store, texts, consents=consents, why=why, who=invocation(context).who)
        except AccessDeniedError:
            raise
        except CallerError as error:
            raise OperatorError(f"a statement is not valid: {error.detail}") from error
    if invocation(context).json:
        as_json([{"operator": one.operator, "kid": one.key.kid} for one in founders])
        return
    for one in founders:
        line(f"{one.operator}  {one.key.kid}")
    message("From now on each command that changes something needs one of these keys; some need two.")
    message("Add a third operator: with two, the loss of one key blocks everything that needs two.")


@command(
    app,
    "consent",
    example="sinergi operators consent dewi.jws eko.jws --as polda-banten --gateway-id sinergi-banten --key file:polda.pem"
    " --passphrase-file polda.pass --out polda.consent.jws",
)
def consent(
    context: typer.Context,
    statements: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="The new operators' statements, all of them.")
    ],
    *,
    agency: AgencyOption,
    gateway_id: Annotated[str, typer.Option(metavar="ID", help="The gateway's id.")],
    key: Annotated[str, typer.Option(metavar="URI", help="The agency's key, or its recovery key.")],
    passphrase_file: PassphraseOption = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The consent's new file.")],
) -> None:
    """At an agency: consent to new operators, where fewer than two are left. Needs no gateway; good for 7 days."""
    from gateway.cli.given import write_new
    from gateway.errors import CallerError
    from gateway.keyring import load_signer, read_passphrase
    from gateway.statements.appointment import verify_founders
    from gateway.statements.consent import sign_consent
    from gateway.wiring import now

    time = now()
    try:
        founders = verify_founders([read_text(file) for file in statements], gateway_id, time)
    except CallerError as error:
        raise OperatorError(f"a statement is not valid: {error.detail}") from error
    for one in founders:
        message(f"{one.operator}  {one.key.kid}")
    signer = load_signer(key, read_passphrase(passphrase_file), certified=True)
    write_new(out, sign_consent(agency, gateway_id, founders, signer, time).encode() + b"\n")
    if invocation(context).json:
        as_json({"file": str(out), "agency": agency, "operators": {one.operator: one.key.kid for one in founders}})
    else:
        line(str(out))


@command(app, "add", example="sinergi operators add dewi.jws --why SK-2026-31 --operator-key file:sari.pem")
def add(
    context: typer.Context,
    statement: Annotated[Path, typer.Argument(metavar="FILE", help="What `enrol` wrote, or - for standard input.")],
    *,
    why: WhyOption,
) -> None:
    """Propose one more operator, or a further key of one. Another operator approves it."""
    text = read_text(statement).strip()
    from gateway.countersigning import wanted_operator
    from gateway.errors import CallerError
    from gateway.founding import RefusedError

    with invocation(context).store() as store:
        who = invocation(context).acting
        if who is None:
            raise RefusedError(
                "the gateway has no operators: the first ones are enrolled together, by `operators found`"
            )
        try:
            wanted = wanted_operator(store, text, why=why)
        except CallerError as error:
            raise OperatorError(f"{statement}: {error.detail}") from error
        propose(store, who, wanted, json=invocation(context).json)


@command(app, "list", example="sinergi operators list\nsinergi operators list --json")
def list_(context: typer.Context) -> None:
    """Every operator's key, past ones included."""
    from gateway.operations.operators import operators

    with invocation(context).store() as store:
        rows = [
            {"operator": one.id, "kid": one.key.kid, "status": one.status, "jwk": dict(one.key.jwk)}
            for one in operators(store)
        ]
    if invocation(context).json:
        as_json(rows)
        return
    columns = ("operator", "kid", "status")
    table(columns, [[row[name] for name in columns] for row in rows])
    if not rows:
        message("This gateway has no operators of its own: whoever has its files can act under any name.")


@command(
    app,
    "revoke",
    example="sinergi operators revoke 4kXv…the-whole-thumbprint --why INC-2026-20 --operator-key file:budi.pem",
    takes_thumbprint=True,
)
def revoke(
    context: typer.Context,
    kid: KeyArgument,
    *,
    why: WhyOption,
) -> None:
    """End an operator's key at once: one operator is enough. What it signed and nobody approved yet no longer counts."""
    from gateway.operations.operators import revoke_operator

    with invocation(context).store() as store:
        left = revoke_operator(store, kid, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json({"kid": kid, "status": "revoked", "operators_left": left})
        return
    line(kid)
    message(f"The key is revoked; operators left: {left}.")
