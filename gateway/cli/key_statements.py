"""`sinergi keys statement` and `submit`: at the agency, the statement by which its next key is admitted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.context import command, invocation
from gateway.cli.given import read_text, write_new
from gateway.cli.keys import read_chain
from gateway.cli.output import as_json, line, message
from gateway.cli.side import (
    AgencyOption,
    AuthorityOption,
    GatewayKeysOption,
    GatewayOption,
    KeyOption,
    PassphraseOption,
    PatienceOption,
    Side,
)
from gateway.cli.statement import GatewayIdOption
from gateway.cli.validity import NotAfterOption, NotBeforeOption, read_validity
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.jose import PublicKey
    from gateway.keyring import KeyringSigner


def register(app: typer.Typer) -> None:
    """Puts the commands into the group `keys`."""
    command(
        app,
        "submit",
        example="sinergi keys submit next.statement.json --as polda-banten --key file:polda.pem"
        " --passphrase-file polda.pass --gateway https://sinergi.example.id",
    )(submit)
    command(
        app,
        "statement",
        example="sinergi keys statement --as polda-banten --gateway-id sinergi-banten --key file:next.pem"
        " --passphrase-file next.pass --endorse-key file:polda.pem --endorse-passphrase-file polda.pass"
        " --out polda.statement.json\n"
        "sinergi keys statement --as polda-banten --gateway-id sinergi-banten --use recovery --key file:spare.pem"
        " --passphrase-file spare.pass --endorse-key file:polda.pem --endorse-passphrase-file polda.pass"
        " --out spare.statement.json",
    )(statement)


def submit(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `keys statement` wrote.")],
    *,
    agency: AgencyOption,
    key: KeyOption,
    passphrase_file: PassphraseOption = None,
    gateway: GatewayOption,
    gateway_keys: GatewayKeysOption = None,
    ca_file: AuthorityOption = None,
    patience: PatienceOption = 0,
) -> None:
    """Hand a statement to the gateway over HTTP, signed with the key in use. Where that is lost, send the file instead."""
    text = read_text(file).strip()
    side = Side(agency, key, passphrase_file, gateway, None, gateway_keys, ca_file, patience)
    answer = side.run(lambda client: client.hand_in_key(text))
    if invocation(context).json:
        as_json(answer)
    else:
        line(str(answer["kid"]))
        message("It waits for two of the gateway's operators. Tell them the thumbprint above over another channel.")


def statement(
    context: typer.Context,
    *,
    agency: Annotated[str, typer.Option("--as", metavar="AGENCY", help="The agency whose key it is to be.")],
    gateway_id: GatewayIdOption,
    key: Annotated[str, typer.Option(metavar="URI", help="The new private key: it signs, and so proves possession.")],
    passphrase_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The passphrase of its file.")] = None,
    endorse_key: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="The key in use, or the recovery key where that is lost; a first key has none."
        ),
    ] = None,
    endorse_passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The passphrase of that key's file.")
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="PEM chain that certifies the new key, its own certificate first; it may be RSA then."
        ),
    ] = None,
    use: Annotated[
        str,
        typer.Option(
            metavar="sign|recovery", help="recovery: an offline key that signs nothing but the next statement."
        ),
    ] = "sign",
    not_before: NotBeforeOption = None,
    not_after: NotAfterOption = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The statement's new file; it holds no secret.")],
) -> None:
    """At the agency: state which key comes next, signed by it and by the key in use. Needs no gateway.

    The gateway's operators admit it (`sinergi agencies keys propose`). It is good for 7 days.
    """
    first, last = read_validity(not_before, not_after)
    from gateway.errors import MalformedError
    from gateway.keyring import load_signer, read_passphrase
    from gateway.statements.key_statement import sign_statement
    from gateway.wiring import now

    if certificate is not None and use != "sign":
        raise OperatorError("a recovery key has no certificate: no authority would be asked about it for years")
    signer, public, end = _next_key(key, passphrase_file, certificate)
    endorser = None
    if endorse_key is not None:
        endorser = load_signer(endorse_key, read_passphrase(endorse_passphrase_file), certified=True)
    time = now()
    begins = first or time
    try:
        text = sign_statement(
            agency,
            gateway_id,
            use,
            key=public,
            signer=signer,
            not_before=begins,
            not_after=last or min(begins + timedelta(days=365), end),
            now=time,
            endorser=endorser,
        )
    except MalformedError as error:
        raise OperatorError(error.detail) from error
    write_new(out, text.encode() + b"\n")
    if invocation(context).json:
        as_json({"file": str(out), "agency": agency, "use": use, "kid": signer.kid})
    else:
        line(signer.kid)
        message(f"{out} holds the statement. Tell the gateway's operators the thumbprint above over another channel.")


def _next_key(
    uri: str, passphrase_file: Path | None, certificate: Path | None
) -> tuple["KeyringSigner", "PublicKey", datetime]:
    """The new private key, its public half with its chain where it is certified, and until when it can count at most."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from gateway.jose import certified_key
    from gateway.keyring import load_signer, read_passphrase

    signer = load_signer(uri, read_passphrase(passphrase_file), certified=certificate is not None)
    if certificate is None:
        return signer, signer.public, datetime.max.replace(tzinfo=UTC)
    chain = read_chain(certificate)
    public = certified_key([one.public_bytes(Encoding.DER) for one in chain])
    if public.kid != signer.kid:
        raise OperatorError(f"{certificate} is for another key")
    return signer, public, min(one.not_valid_after_utc for one in chain)
