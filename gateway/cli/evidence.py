"""`sinergi evidence`: fetch the evidence of a transfer, and check it offline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.given import write_new
from gateway.cli.ledgers import QuorumOption, WitnessOption, read_trust
from gateway.cli.output import NO, as_json, line, message
from gateway.cli.transfers import AuthorityOption, GatewayOption, TokenOption
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.evidence.checks import Stamped, Trust
    from gateway.jose import PublicKey

app = group(
    "evidence",
    "What proves one transfer: export, verify.",
    commands="sinergi evidence export 01a20bb4-… --gateway https://sinergi.example.id --token-file dpo.token --out case.zip\n"
    "sinergi evidence verify case.zip --gateway-key gateway.jwk --vkey 'sinergi.example.id/ledger/pks-banten-2025+4f3c…'"
    " --vkey 'sinergi.example.id/ledger/gateway+11aa…'",
)


@command(
    app,
    "export",
    example="sinergi evidence export 01a20bb4-cff2-7758-80b1-f3f6f4112afd --gateway https://sinergi.example.id"
    " --token-file dpo.token --out case.zip",
)
def export(
    context: typer.Context,
    transfer: Annotated[str, typer.Argument(metavar="TRANSFER", help="A transfer's id.")],
    *,
    gateway: GatewayOption,
    token_file: TokenOption,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The bundle; a file that is there is not overwritten.")],
    ca_file: AuthorityOption = None,
) -> None:
    """Fetch the evidence of one transfer, with the role dpo. It holds the whole message: keep it as the message itself."""
    from gateway.cli.remote import Auditor
    from gateway.evidence.bundle import unpack

    with Auditor(gateway, token_file, ca_file) as auditor:
        data = auditor.fetch(f"/v1/transfers/{transfer}/evidence")
    files = unpack(data).files
    write_new(out, data)
    if invocation(context).json:
        as_json({"file": str(out), "bytes": len(data), "files": sorted(files)})
        return
    line(str(out))
    message(f"{len(files)} files. Next: sinergi evidence verify {out} --gateway-key … --vkey …")


@command(
    app,
    "verify",
    example="sinergi evidence verify case.zip --gateway-key gateway.jwk"
    " --vkey 'sinergi.example.id/ledger/pks-banten-2025+4f3c…' --vkey 'sinergi.example.id/ledger/gateway+11aa…'"
    " --witness 'witness.polda-banten.example/w1+9a1b…' --tsa-roots authority.pem",
)
def verify(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle of evidence.")],
    *,
    gateway_key: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="The gateway's public key or keys (JWK or JWKS), as they were handed over."),
    ],
    vkey: Annotated[
        list[str], typer.Option(metavar="VKEY", help="A ledger's key, as it was handed over; once for each ledger.")
    ],
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    tsa_roots: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM roots of the timestamp authority.")
    ] = None,
) -> None:
    """Check a bundle offline: eleven numbered checks, believing nothing but the keys that are given."""
    from gateway.evidence.bundle import BYTES_LIMIT, unpack
    from gateway.evidence.checks import check

    trust = _trust(gateway_key, vkey, witness, quorum, tsa_roots)
    try:
        with bundle.open("rb") as file:
            data = file.read(BYTES_LIMIT + 1)
    except OSError as error:
        raise OperatorError(f"{bundle} cannot be read: {error.strerror}") from error
    report = check(unpack(data), trust)
    if invocation(context).json:
        checks = [
            {"number": one.number, "title": one.title, "ok": one.ok, "detail": one.detail} for one in report.checks
        ]
        as_json({"ok": report.ok, "transfer": report.transfer, "decision": report.decision, "checks": checks})
    else:
        for one in report.checks:
            verdict = {True: "ok", False: "FAILED", None: "not checked"}[one.ok]
            line(f"{one.number}. {one.title}: {verdict} ({one.detail})")
        said = f"transfer {report.transfer}, {report.decision}" if report.transfer else "no transfer"
        line(f"{said}: {'verified' if report.ok else 'NOT verified'}")
    if not report.ok:
        raise typer.Exit(NO)


def _trust(
    keys: list[Path], vkeys: list[str], witness: list[str] | None, quorum: int | None, roots: Path | None
) -> "Trust":
    from gateway.errors import LedgerInvalidError
    from gateway.evidence.checks import Trust
    from gateway.ledger.note import NoteVerifier

    own: dict[str, list[str]] = {}
    try:
        for text in vkeys:
            own.setdefault(NoteVerifier.parse(text.strip()).name, []).append(text)
    except LedgerInvalidError as error:
        raise OperatorError(f"--vkey: {error.detail}") from error
    ledgers = {origin: read_trust(texts, witness, quorum) for origin, texts in own.items()}
    gateway = {key.kid: key for file in keys for key in _keys(file)}
    return Trust(gateway, ledgers, None if roots is None else _stamped(roots))


def _keys(file: Path) -> "list[PublicKey]":
    """The keys of a JWK or of a set of them; members that say nothing of the key itself are passed over."""
    from gateway.cli.given import read_object
    from gateway.errors import GatewayError
    from gateway.jose import public_key_from_jwk

    held = read_object(file)
    members = held.get("keys", [held])
    try:
        return [
            public_key_from_jwk({name: one[name] for name in ("kty", "crv", "x", "y") if name in one})
            for one in members
        ]
    except (GatewayError, TypeError, AttributeError) as error:
        raise OperatorError(f"{file} holds no public key (JWK or JWKS)") from error


def _stamped(roots: Path) -> "Stamped":
    from datetime import datetime

    from gateway.ledger.timestamp import read_roots, verify_timestamp

    try:
        certificates = read_roots(roots.read_bytes())
    except OSError as error:
        raise OperatorError(f"{roots} cannot be read: {error.strerror}") from error

    def verified(token: bytes, data: bytes) -> datetime:
        return verify_timestamp(token, data, certificates).time

    return verified
