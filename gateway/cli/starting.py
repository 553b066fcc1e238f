"""`init`, `migrate`, `serve`, `demo`: what begins something."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.context import command, invocation, quiet
from gateway.cli.output import as_json, line, message
from gateway.errors import OperatorError

FileOption = Annotated[Path | None, typer.Option(metavar="FILE")]


def register(app: typer.Typer) -> None:
    """Puts the commands on the program itself."""
    command(
        app,
        "init",
        example="sinergi init var\n"
        "sinergi init /etc/sinergi --id sinergi-banten --public-url https://sinergi.example.id"
        " --passphrase-file /run/secrets/sinergi"
        " --database-url postgresql://sinergi@db/sinergi --database-owner-url postgresql://sinergi_owner@db/sinergi",
    )(init)
    command(app, "migrate", example="sinergi migrate --config /etc/sinergi/sinergi.toml")(migrate)
    command(app, "serve", example="sinergi serve --config var/sinergi.toml --port 8080")(serve)
    command(app, "demo", example="sinergi demo\nsinergi demo --keep --dir /tmp/sinergi-demo")(demo)


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
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8080,
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
    ml_dsa: Annotated[
        bool, typer.Option("--ml-dsa", help="Sign checkpoints with ML-DSA-44 as well, so that they outlive Ed25519.")
    ] = False,
) -> None:
    """Make a new gateway: settings, encrypted keys, database, and the first entries of its ledger.

    Refuses if any of it exists. Nothing else ever creates a key or a database.
    """
    for url in (database_url, database_owner_url):
        require_no_password(url)
    quiet()
    from gateway.operations import initialise
    from gateway.wiring import load_keys

    settings = initialise(
        directory,
        who=invocation(context).who,
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
    )
    config = directory.absolute() / "sinergi.toml"
    ledger = settings.gateway.ledger_origin("gateway")
    keys = load_keys(settings)
    vkey = keys.checkpoint.note_signer(ledger).vkey
    if invocation(context).json:
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
    message("Next:")
    message(f"  sinergi doctor --config {config}")
    message(f"  sinergi agencies add polda-banten --name 'Polda Banten' --config {config}")
    message(f"  sinergi serve --config {config}")


def require_no_password(url: str | None) -> None:
    """A URL on the command line stands in the shell's history and in everybody's process list."""
    from urllib.parse import urlsplit

    try:
        password = None if url is None else urlsplit(url).password
    except ValueError as error:
        raise OperatorError("the database URL is not valid") from error
    if password is not None:
        raise OperatorError("a password does not belong into a URL: put it into a file and name that")


def migrate(context: typer.Context) -> None:
    """Bring the database to the shape that this program needs; an up-to-date one stays as it is.

    On PostgreSQL it runs as the owner and grants the gateway's role what it needs, no more.
    """
    settings = invocation(context).settings()
    quiet()
    from gateway.founding import bring_up_to_date

    shape = bring_up_to_date(settings)
    if invocation(context).json:
        as_json({"shape": shape})
        return
    line(shape)
    message("Check every ledger after a migration: sinergi doctor; sinergi ledger list; sinergi ledger verify.")


def serve(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of the setting.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on, instead of the setting.")
    ] = None,
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
