"""`sinergi evidence`: fetch the evidence of a transfer, and check it offline."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.ledgers import QuorumOption, WitnessOption
from gateway.cli.output import NO, as_json, line, message
from gateway.cli.side import AuthorityOption, GatewayOption
from gateway.cli.transfers import TokenOption

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
    from gateway.keyring import write_private

    with Auditor(gateway, token_file, ca_file) as auditor:
        data = auditor.fetch(f"/v1/transfers/{transfer}/evidence")
    files = unpack(data).files
    write_private(out, data)
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
    authorities: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM roots that may certify agencies' keys.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the report here, HTML and PDF, in both languages.")
    ] = None,
) -> None:
    """Check a bundle offline: eleven numbered checks, believing nothing but the keys that are given."""
    from gateway.cli.verifier import bundle_trust, verdict

    trust = bundle_trust(gateway_key, vkey, witness, quorum, tsa_roots, authorities=authorities)
    if verdict(bundle, trust, json_=invocation(context).json, report_to=report) == NO:
        raise typer.Exit(NO)
