"""`init`, `migrate`, `serve`, `demo`: what begins something."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.context import Invocation, command, invocation, quiet
from gateway.cli.given import read_text
from gateway.cli.listening import HostOption, OtherHostOption, OtherPortOption, PortOption
from gateway.cli.output import as_json, line, message
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.founding.charter import Charter
    from gateway.settings import Settings


def register(app: typer.Typer) -> None:
    """Puts the commands on the program itself."""
    command(
        app,
        "init",
        example="sinergi init var\n"
        "sinergi init /etc/sinergi --id sinergi-banten --public-url https://sinergi.example.id"
        " --passphrase-file /run/secrets/sinergi"
        " --database-url postgresql://sinergi@db/sinergi --database-owner-url postgresql://sinergi_owner@db/sinergi\n"
        "sinergi init /etc/sinergi --ceremony ceremony.record.json --public-url https://sinergi.example.id",
    )(init)
    command(app, "migrate", example="sinergi migrate --config /etc/sinergi/sinergi.toml")(migrate)
    command(app, "serve", example="sinergi serve --config var/sinergi.toml --port 8080")(serve)
    command(app, "demo", example="sinergi demo\nsinergi demo --keep --dir /tmp/sinergi-demo")(demo)


def _role_and_uri(text: str) -> tuple[str, str]:
    role, equals, uri = text.partition("=")
    if not equals:
        raise OperatorError("--key looks like sign=pkcs11:token=…")
    return role, uri


def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where settings, keys and state will be.")],
    *,
    gateway_id: Annotated[str, typer.Option("--id", help="The gateway's own id.")] = "sinergi-banten",
    public_url: Annotated[
        str | None, typer.Option(help="What clients call [default: http:// and the address to listen on].")
    ] = None,
    origin: Annotated[
        str | None, typer.Option(help="First part of the ledgers' origins [default: the host of --public-url].")
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    database_url: Annotated[
        str | None, typer.Option(help="postgresql://user@host/name [default: DIR/sinergi.db].")
    ] = None,
    database_password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the database password.")
    ] = None,
    database_owner_url: Annotated[
        str | None, typer.Option(help="The role that will own the tables; it is not used by the running gateway.")
    ] = None,
    database_owner_password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the owner's password.")
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Passphrase for the keys [default: a random one in DIR/keys/passphrase]."),
    ] = None,
    operator_statement: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="The statements of the first operators (`operators enrol`): two or more, or none."
        ),
    ] = None,
    ceremony: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The record of `keys ceremony create`: its keys, its two operators, its gateway's id.",
        ),
    ] = None,
    ml_dsa: Annotated[
        bool, typer.Option("--ml-dsa", help="Sign checkpoints with ML-DSA-44 as well, so that they outlive Ed25519.")
    ] = False,
    keys_given: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="ROLE=URI",
            help="An existing key for a role, in a token for instance, instead of a new file; may be repeated.",
        ),
    ] = None,
) -> None:
    """Make a new gateway: settings, encrypted keys, database, and the first entries of its ledger.

    Refuses if any of it exists. Nothing else ever creates a key or a database.
    """
    for url in (database_url, database_owner_url):
        require_no_password(url)
    quiet()
    from gateway.founding.beginning import initialise
    from gateway.founding.charter import Charter

    charter = Charter(
        gateway_id=gateway_id,
        public_url=public_url,
        origin=origin,
        host=host,
        port=port,
        database_url=database_url,
        database_password_file=database_password_file,
        owner_url=database_owner_url,
        owner_password_file=database_owner_password_file,
        passphrase_file=passphrase_file,
        ml_dsa=ml_dsa,
        operators=[read_text(file) for file in operator_statement or ()],
        given=dict(_role_and_uri(text) for text in keys_given or ()),
    )
    if ceremony is not None:
        charter = _of_ceremony(charter, ceremony)
    settings = initialise(directory, charter, who=invocation(context).who)
    _tell(invocation(context), settings, directory.absolute() / "sinergi.toml", operated=bool(charter.operators))


def _tell(asked: Invocation, settings: "Settings", config: Path, *, operated: bool) -> None:
    """What was made, how its ledger is verified, and what to do next."""
    from gateway.wiring import load_keys

    ledger = settings.gateway.ledger_origin("gateway")
    keys = load_keys(settings)
    vkey = keys.checkpoint.note_signer(ledger).vkey
    if asked.json:
        as_json(
            {
                "config": str(config),
                "gateway": settings.gateway.id,
                "public_url": settings.gateway.public_url,
                "ledger": {"origin": ledger, "vkey": vkey},
                "key": keys.sign.kid,
            }
        )
        return
    line(str(config))
    message(f"{settings.gateway.id} is initialised; its ledger is {ledger}, verified with")
    message(f"  {vkey}")
    if (long_lived := keys.long_lived(ledger)) is not None:
        message("and, for as long as evidence must last, with")
        message(f"  {long_lived.verifier.vkey}")
    message("Keep a copy of the keys and of their passphrase in two places: without them no stored message opens.")
    if not operated:
        message(
            "It has no operators of its own: whoever has its files can act under any name. For trying things out only;"
        )
        message("in service: sinergi operators enrol, then sinergi operators found.")
    message("Next:")
    message(f"  sinergi doctor --config {config}")
    message(f"  sinergi agencies add polda-banten --name 'Polda Banten' --why PKS-2025 --config {config}")
    message(f"  sinergi serve --config {config}")


def _of_ceremony(charter: "Charter", file: Path) -> "Charter":
    """The charter with what the ceremony's record says, of which the command line says nothing."""
    from gateway.errors import CallerError
    from gateway.key_management.ceremony import read_record, require_keys
    from gateway.wiring import now

    if charter.given or charter.operators or charter.passphrase_file is not None:
        raise OperatorError("a ceremony's record names the keys, their passphrase and the operators itself")
    try:
        record = read_record(read_text(file), now())
    except CallerError as error:
        raise OperatorError(f"the ceremony's record is not valid: {error.detail}") from error
    require_keys(record)
    return replace(
        charter,
        gateway_id=record.gateway,
        given=record.uris,
        operators=record.statements,
        passphrase_file=record.passphrase_file,
        ml_dsa="checkpoint_mldsa" in record.uris,
        ceremony=record.entry(),
    )


def require_no_password(url: str | None) -> None:
    """A URL on the command line stands in the shell's history and in everybody's process list."""
    from urllib.parse import urlsplit

    try:
        password = None if url is None else urlsplit(url).password
    except ValueError as error:
        raise OperatorError("the database URL is not valid") from error
    if password is not None:
        raise OperatorError("a password must not be in a URL: put it into a file and name that file")


def migrate(context: typer.Context) -> None:
    """Bring the database to the shape that this program needs; an up-to-date one stays as it is.

    On PostgreSQL it runs as the owner and grants the gateway's role what it needs, no more.
    """
    settings = invocation(context).settings()
    quiet()
    from gateway.founding.database import bring_up_to_date

    shape = bring_up_to_date(settings)
    if invocation(context).json:
        as_json({"shape": shape})
        return
    line(shape)
    message("Check every ledger after a migration: sinergi doctor; sinergi ledger list; sinergi ledger verify.")


def serve(
    context: typer.Context,
    *,
    host: OtherHostOption = None,
    port: OtherPortOption = None,
) -> None:
    """Run the gateway until it is told to stop (SIGINT or SIGTERM).

    More processes are more nodes: start this on each, with one PostgreSQL behind them.
    """
    server = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = invocation(context).settings(**({"server": server} if server else {}))
    from gateway.api.server import serve as run

    run(settings)


def demo(
    context: typer.Context,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end.")] = False,
    directory: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where everything is made.")] = Path(
        "sinergi-demo"
    ),
) -> None:
    """Two simulated agencies exchange messages through a real gateway, over HTTP, on this machine."""
    from gateway.demo import run

    if code := run(directory, keep, as_json=invocation(context).json):
        raise typer.Exit(code)
