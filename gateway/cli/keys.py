"""`sinergi keys`: the public keys of agencies."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import ceremony
from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_object
from gateway.cli.output import as_json, line, message, table, when
from gateway.cli.reason import WhyOption
from gateway.cli.validity import NotAfterOption, NotBeforeOption, read_validity
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from gateway.jose import PublicKey
    from gateway.keys.keychain import OwnKey

app = group(
    "keys",
    "Key pairs, and which public key may speak for which agency when.",
    commands="sinergi keys generate polda.pem --passphrase-file polda.pass --out polda.jwk\n"
    "sinergi keys import polda-banten polda.jwk --not-after 2027-11-23 --why TIKET-91",
)
app.add_typer(ceremony.app)
AgencyArgument = Annotated[str, typer.Argument(metavar="AGENCY", help="The agency's id.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KID", help="The key's whole RFC 7638 thumbprint.")]


@command(
    app,
    "import",
    example="sinergi keys import polda-banten polda.jwk --not-before 2026-12-01 --not-after 2027-12-01 --why TIKET-91\n"
    "sinergi keys import polda-banten --certificate polda-chain.pem --why TIKET-91",
)
def import_(
    context: typer.Context,
    agency: AgencyArgument,
    jwk_file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[JWK_FILE]", help="A public JWK, or - for standard input; not needed with --certificate."
        ),
    ] = None,
    *,
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM chain that certifies the key, its own certificate first; see certificates.roots_file.",
        ),
    ] = None,
    not_before: NotBeforeOption = None,
    not_after: NotAfterOption = None,
    overlap_days: Annotated[
        int, typer.Option(min=0, max=90, metavar="DAYS", help="How long older keys count beside the new one.")
    ] = 7,
    why: WhyOption,
) -> None:
    """Let a public key speak for an agency. To change keys, import the next one before the last one ends.

    With --certificate the key counts for as long as its chain is valid, and while no authority takes a certificate back; such
    a key may be RSA (PS256).
    """
    first, last = read_validity(not_before, not_after)
    jwk = None if jwk_file is None else read_object(jwk_file)
    chain = () if certificate is None else read_chain(certificate)
    from gateway.errors import MalformedError
    from gateway.operations.agency_keys import import_key
    from gateway.wiring import now

    if last is not None and last <= now():
        raise OperatorError("--not-after has passed already")
    with invocation(context).store() as store:
        try:
            key = import_key(
                store,
                agency,
                jwk,
                chain=chain,
                not_before=first,
                not_after=last,
                overlap=timedelta(days=overlap_days),
                why=why,
                who=invocation(context).who,
            )
        except MalformedError as error:
            raise OperatorError(f"{jwk_file}: {error.detail}") from error
    if invocation(context).json:
        as_json({"agency": agency, "kid": key.kid, "alg": key.alg})
    else:
        line(key.kid)
        message(f"The key speaks for {agency}. Compare its thumbprint with the agency over another channel.")


@command(app, "list", example="sinergi keys list\nsinergi keys list polda-banten --json")
def list_(
    context: typer.Context,
    agency: Annotated[str | None, typer.Argument(metavar="[AGENCY]", help="Only this agency's.")] = None,
) -> None:
    """Public keys with their validity: the gateway's own and the agencies'."""
    from gateway.store import queries

    with invocation(context).store() as store, store.database.reading() as session:
        directory = queries.load_directory(session, 0)
        own = store.settings.gateway.id
        keys: list[dict[str, Any]] = [
            {
                "owner": own,
                "use": key.role,
                **_public_of(key),
                "status": key.status,
                "not_before": when(key.not_before),
                "not_after": None if key.not_after is None else when(key.not_after),
            }
            for key in queries.own_keys(session)
            if key.jwk is not None
        ]
    keys += [
        {
            "owner": key.agency,
            "use": "sign",
            **_public(key.public),
            "status": key.status,
            "not_before": when(key.not_before),
            "not_after": when(key.not_after),
        }
        for key in directory.keys.values()
    ]
    keys = [key for key in keys if agency in (None, key["owner"])]
    if invocation(context).json:
        as_json(keys)
        return
    columns = ("owner", "use", "alg", "kid", "status", "not_before", "not_after")
    table(columns, [[key[column] for column in columns] for key in keys])


@command(
    app,
    "retire",
    example="sinergi keys retire polda-banten 4kXv…the-whole-thumbprint --why TIKET-91",
    takes_thumbprint=True,
)
def retire(context: typer.Context, agency: AgencyArgument, kid: KeyArgument, *, why: WhyOption) -> None:
    """End the use of a key that was replaced. What it signed before stays valid."""
    from gateway.operations.agency_keys import retire_key

    with invocation(context).store() as store:
        retire_key(store, agency, kid, why=why, who=invocation(context).who)
    ended(context, agency, kid, "retired")


def ended(context: typer.Context, agency: str, kid: str, status: str) -> None:
    if invocation(context).json:
        as_json({"agency": agency, "kid": kid, "status": status})
    else:
        line(kid)
        message(f"The key of {agency} is {status}.")


def read_chain(file: Path) -> "tuple[Certificate, ...]":
    from gateway.keys.certificate import read_certificates

    try:
        return read_certificates(file.read_bytes(), str(file))
    except OSError as error:
        raise OperatorError(f"{file} cannot be read: {error.strerror}") from error


def _public_of(key: "OwnKey") -> dict[str, Any]:
    """Of the gateway's own: an ML-DSA-44 key is none that verifies a JWS."""
    from gateway.jose import public_key_from_jwk
    from gateway.keys.keychain import LONG_LIVED

    jwk = dict(key.jwk or {})
    return (
        {"kid": key.kid, "alg": jwk["alg"], "jwk": jwk} if key.role == LONG_LIVED else _public(public_key_from_jwk(jwk))
    )


def _public(key: "PublicKey") -> dict[str, Any]:
    return {"kid": key.kid, "alg": key.alg, "jwk": dict(key.jwk)}
