"""`sinergi witness`: running a witness, for logs that the one who runs it was given the keys of."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.listening import HostOption, OtherHostOption, OtherPortOption, PortOption
from gateway.cli.output import NO, as_json, line, message, table
from gateway.errors import GatewayError, OperatorError

if TYPE_CHECKING:
    from gateway.witness.settings import WitnessSettings

# The same as gateway.witness.settings.CONFIG_VARIABLE; importing it would load pydantic.
CONFIG_VARIABLE: Final = "SINERGI_WITNESS_CONFIG"
CONFIG_PLACES: Final = (Path("witness/witness.toml"), Path("/etc/sinergi-witness/witness.toml"))

app = group(
    "witness",
    "Cosign the checkpoints of ledgers: whoever runs a witness has seen that nothing was taken back.",
    commands="sinergi witness init witness --name witness.polda-banten.example/w1\n"
    "sinergi witness add-log VKEY\n"
    "sinergi witness serve",
)


def _file(context: typer.Context) -> Path:
    """--config, else $SINERGI_WITNESS_CONFIG, else witness/witness.toml, else /etc/sinergi-witness/witness.toml."""
    given = invocation(context).config
    if given is not None:
        return given
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    found = next((place for place in CONFIG_PLACES if place.is_file()), None)
    if found is None:
        raise OperatorError(
            f"no settings file of a witness: neither {' nor '.join(map(str, CONFIG_PLACES))} exists; "
            f"run `sinergi witness init DIR`, or name a file with --config or ${CONFIG_VARIABLE}"
        )
    return found


@command(
    app,
    "init",
    example="sinergi witness init witness --name witness.polda-banten.example/w1\n"
    "sinergi witness init /etc/sinergi-witness --name witness.polda-banten.example/w2 --algorithm ML-DSA-44"
    " --passphrase-file /run/secrets/witness --host 0.0.0.0",
)
def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where settings, key and memory will be.")],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="A URL without scheme, different for each key.")],
    algorithm: Annotated[
        str, typer.Option(metavar="EdDSA|ML-DSA-44", help="ML-DSA-44 outlives Ed25519, in lines of 3 kB.")
    ] = "EdDSA",
    host: HostOption = "127.0.0.1",
    port: PortOption = 8090,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Passphrase of the key [default: a random one in DIR/keys/passphrase]."),
    ] = None,
) -> None:
    """Make a new witness: settings, an encrypted key, and an empty memory. Refuses where there is one."""
    import secrets

    from gateway import keyring
    from gateway.ledger.note import check_name
    from gateway.witness.memory import create
    from gateway.witness.settings import load, written

    try:
        check_name(name)
    except GatewayError as error:
        raise OperatorError("--name has 1 to 255 bytes, and no space or plus") from error
    if algorithm not in ("EdDSA", "ML-DSA-44"):
        raise OperatorError("--algorithm is EdDSA or ML-DSA-44")
    home = directory.absolute()
    file, keys = home / "witness.toml", home / "keys"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        keys.mkdir(mode=0o700)
    except FileExistsError:
        raise OperatorError(f"{keys} exists already: a witness is made once, and a new one needs a new name") from None
    if passphrase_file is None:
        passphrase_file = keys / "passphrase"
        keyring.write_private(passphrase_file, secrets.token_urlsafe(32).encode() + b"\n")
    keyring.generate(keys / "witness.pem", algorithm, keyring.read_passphrase(passphrase_file))
    create(home / "witness.db")
    keyring.write_private(file, written(name, home, passphrase_file.absolute(), host, port))
    vkey = _vkey(load(file))
    if invocation(context).json:
        as_json({"config": str(file), "name": name, "vkey": vkey})
        return
    line(vkey)
    message(f"{name} is made. Hand the verifier key above to whoever runs a ledger, and to whoever verifies one. Next:")
    message(f"  sinergi witness add-log VKEY --config {file}")
    message(f"  sinergi witness serve --config {file}")


def _vkey(settings: "WitnessSettings") -> str:
    from gateway import keyring

    own = settings.witness
    return keyring.load_cosigner(own.key, keyring.read_passphrase(own.passphrase_file), own.name).verifier.vkey


@command(
    app,
    "add-log",
    example="sinergi witness add-log 'sinergi.example.id/ledger/pks-banten-2025+4f3c…'\n"
    "sinergi witness add-log VKEY OTHER-VKEY --origin sinergi.example.id/ledger/pks-banten-2025\n"
    "sinergi witness add-log NEXT-VKEY --beside",
)
def add_log(
    context: typer.Context,
    vkeys: Annotated[list[str], typer.Argument(metavar="VKEY...", help="The log's keys: any of them signs for it.")],
    *,
    origin: Annotated[
        str | None, typer.Option(metavar="ORIGIN", help="The log's origin [default: the name in VKEY].")
    ] = None,
    beside: Annotated[
        bool,
        typer.Option(
            "--beside", help="A next key of a log that is known, while its checkpoint key is rotated: both count."
        ),
    ] = False,
) -> None:
    """Cosign this log from now on. Get the key from whoever runs it, never from its server. A running witness sees it."""
    from gateway.witness.settings import add_keys, log_key
    from gateway.witness.settings import add_log as add

    try:
        name = origin or log_key(vkeys[0]).name
        for vkey in vkeys:
            log_key(vkey)
    except ValueError as error:
        raise OperatorError(str(error)) from error
    if beside:
        vkeys = list(add_keys(_file(context), name, tuple(vkeys)))
    else:
        add(_file(context), name, tuple(vkeys))
    if invocation(context).json:
        as_json({"origin": name, "vkeys": vkeys})
    else:
        line(name)


@command(app, "serve", example="sinergi witness serve --config witness/witness.toml --port 8090")
def serve(
    context: typer.Context,
    *,
    host: OtherHostOption = None,
    port: OtherPortOption = None,
) -> None:
    """Run the witness until it is told to stop (SIGINT or SIGTERM)."""
    import uvicorn

    from gateway import keyring
    from gateway.settings import LogSettings
    from gateway.telemetry import configure_logging
    from gateway.witness.memory import Memory
    from gateway.witness.service import Known, Witness, options
    from gateway.witness.settings import load

    file = _file(context)
    own = load(file).witness
    cosigner = keyring.load_cosigner(own.key, keyring.read_passphrase(own.passphrase_file), own.name)
    memory = Memory(own.memory)
    configure_logging(LogSettings())
    app_ = Witness(cosigner, memory, Known(file))
    given = options(host or own.host, own.port if port is None else port, own.tls_certificate, own.tls_key)
    try:
        uvicorn.run(app_, **given)
    finally:
        memory.close()


@command(app, "status", example="sinergi witness status\nsinergi witness status --json")
def status(context: typer.Context) -> None:
    """What the witness cosigned last for each log. Exit code 1 where a log was caught signing two roots for one size."""
    from datetime import UTC, datetime

    from gateway.witness.memory import Memory
    from gateway.witness.settings import load

    settings = load(_file(context))
    memory = Memory(settings.witness.memory)
    try:
        held = {origin: memory.held(origin) for origin in settings.logs}
        caught = memory.contradictions()
    finally:
        memory.close()
    logs: list[dict[str, Any]] = [
        {
            "origin": origin,
            "size": None if one is None else one.size,
            "root": None if one is None else one.root.hex(),
            "cosigned_at": None if one is None else datetime.fromtimestamp(one.time, UTC).isoformat(),
        }
        for origin, one in held.items()
    ]
    if invocation(context).json:
        proofs = [
            {"origin": one.origin, "size": one.size, "cosigned": one.cosigned.decode(), "refused": one.note.decode()}
            for one in caught
        ]
        name, vkey = settings.witness.name, _vkey_or_none(settings)
        as_json({"name": name, "vkey": vkey, "logs": logs, "contradictions": proofs})
    else:
        columns = ("origin", "size", "cosigned_at")
        table(columns, [[log[column] for column in columns] for log in logs])
        for one in caught:
            message(
                f"{one.origin} signed two roots for {one.size} entries: --json shows both notes. Tell its auditors."
            )
    if caught:
        raise typer.Exit(NO)


def _vkey_or_none(settings: "WitnessSettings") -> str | None:
    try:
        return _vkey(settings)
    except GatewayError:
        return None
