"""`sinergi keys generate | public`: making a key pair in a file or in a token, and showing its public half again."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.context import command, invocation
from gateway.cli.given import write_new
from gateway.cli.output import as_json, line, message
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.jose import PublicKey

_TOKEN = "pkcs11:"
PassphraseOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="For a key file: its passphrase, which only you may read (mode 0600)."),
]
OutOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the public JWK here as well.")]


def register(app: typer.Typer) -> None:
    command(
        app,
        "generate",
        example="sinergi keys generate polda.pem --passphrase-file polda.pass --out polda.jwk\n"
        "sinergi keys generate 'pkcs11:token=polda;object=sign;id=%01"
        "?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/secure/pin'",
    )(generate)
    command(app, "public", example="sinergi keys public file:/secure/polda.pem --passphrase-file polda.pass")(public)


def generate(
    context: typer.Context,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="The private key's new file, encrypted PKCS#8; or a pkcs11: URI of a new key."
        ),
    ],
    *,
    algorithm: Annotated[
        str,
        typer.Option(
            metavar="EdDSA|ES256|X25519|ML-DSA-44|PS256|HMAC",
            help="X25519 is for storage and index keys, ML-DSA-44 for checkpoints; in a token HMAC is for storage and index,"
            " PS256 for an agency whose authority certifies RSA keys alone.",
        ),
    ] = "EdDSA",
    passphrase_file: PassphraseOption = None,
    out: OutOption = None,
) -> None:
    """Make a key pair. The private half stays in PATH, or in the token; the public JWK is printed.

    Needs no gateway: an agency makes its own keys and hands over the JWK.
    """
    from gateway import keyring

    if out is not None and out.exists():
        raise OperatorError(f"{out} exists already")
    if path.startswith(_TOKEN):
        made = keyring.generate_in_token(path, algorithm)
        place, where = "The token", "the private key"
    else:
        made = keyring.generate(Path(path), algorithm, keyring.read_passphrase(passphrase_file))
        place, where = path, "that file"
    if made is None:
        if algorithm == keyring.LONG_LIVED:
            message(f"{place} holds a new {algorithm} key. Once keys.checkpoint_mldsa names it, its public half is in:")
            message("  sinergi ledger list")
        else:
            message(f"{place} holds a new {algorithm} key; nobody needs its public half.")
        if invocation(context).json:
            as_json({"file": path})
        return
    _show(made, out)
    message(f"{place} holds the private key. Hand over the JWK above, and never {where}.")


def public(
    context: typer.Context,  # noqa: ARG001 - every command takes the common options
    uri: Annotated[str, typer.Argument(metavar="URI", help="The private key: file:, credential: or pkcs11:.")],
    *,
    passphrase_file: PassphraseOption = None,
    out: OutOption = None,
) -> None:
    """Show the public JWK of a key that is there already, in a file or in a token. It signs once, as a check."""
    from gateway.keyring import load_signer, read_passphrase

    _show(load_signer(uri, read_passphrase(passphrase_file), certified=True).public, out)


def _show(key: "PublicKey", out: Path | None) -> None:
    jwk = {**key.as_jwk(), "use": "sig"}
    if out is not None:
        write_new(out, (json.dumps(jwk) + "\n").encode())
    line(json.dumps(jwk))
