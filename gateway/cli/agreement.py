"""`sinergi agreement`: reading, signing and activating what was agreed, and asking what it would decide."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_moment, read_object, read_text, write_new
from gateway.cli.output import NO, as_json, line, message, raw, reason_line, table
from gateway.cli.reason import WhyOption
from gateway.cli.side import PassphraseOption

if TYPE_CHECKING:
    from gateway.agreement.document import Agreement

app = group(
    "agreement",
    "Sharing rules: check, explain, sign and activate them.",
    commands="sinergi agreement check pks-banten-2025.yaml\n"
    "sinergi agreement activate pks-banten-2025.yaml --signature polda.jws --signature imigrasi.jws --why PKS-2025",
)
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The agreement's YAML document.")]


def read_agreement(file: Path) -> "Agreement":
    """Raises AgreementInvalidError with every fault, OperatorError for a file that cannot be read."""
    from gateway.agreement.document import parse_agreement

    return parse_agreement(read_text(file))


def identity(agreement: "Agreement") -> dict[str, Any]:
    """What an agreement is, for machines."""
    return {
        "agreement": agreement.id,
        "version": agreement.version,
        "digest": agreement.digest,
        "parties": list(agreement.parties),
        "valid_from": agreement.valid_from.isoformat(),
        "valid_until": agreement.valid_until.isoformat(),
        "rules": len(agreement.rules),
    }


@command(app, "show", example="sinergi agreement show agreements/pks-banten-2025.yaml")
def show(context: typer.Context, file: FileArgument) -> None:
    """The rules of a document as a table; with --json its canonical JSON, which is what the parties sign."""
    agreement = read_agreement(file)
    if invocation(context).json:
        # Not pretty-printed: these bytes are the ones that the digest is over.
        raw(agreement.canonical().decode() + "\n")
        return
    message(f"{agreement.title.en} ({agreement.title.id})")
    message(f"{agreement.id} version {agreement.version}, {agreement.valid_from} to {agreement.valid_until}")
    table(
        ("rule", "clause", "type", "from", "to", "purposes", "withheld"),
        [
            (
                rule.id,
                rule.clause,
                rule.type,
                " ".join(rule.senders),
                " ".join(rule.recipients),
                " ".join(rule.purposes),
                " ".join(withholding.field.text for withholding in rule.withhold),
            )
            for rule in agreement.rules
        ],
    )


@command(
    app,
    "sign",
    example="sinergi agreement sign pks-banten-2025.yaml --as polda-banten --key file:polda.pem"
    " --passphrase-file polda.pass --out polda.jws",
)
def sign(
    context: typer.Context,
    file: FileArgument,
    *,
    agency: Annotated[str, typer.Option("--as", metavar="AGENCY", help="The party that signs.")],
    key: Annotated[str, typer.Option(metavar="URI", help="Its private key, as in file:/secure/polda.pem.")],
    passphrase_file: PassphraseOption = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A new file [default: standard output].")] = None,
) -> None:
    """Sign an agreement's digest as one of its parties. Read the document first: this is the signature. Needs no gateway."""
    from gateway.agreement.document import AGREEMENT_TYP, signing_payload
    from gateway.jose import sign_jws
    from gateway.keyring import load_signer, read_passphrase
    from gateway.wiring import now

    agreement = read_agreement(file)
    payload = signing_payload(agreement, agency, now())
    signed = sign_jws(payload, AGREEMENT_TYP, load_signer(key, read_passphrase(passphrase_file), certified=True))
    if out is not None:
        write_new(out, (signed + "\n").encode())
    if invocation(context).json:
        as_json({**payload, "signature": signed})
    elif out is None:
        raw(signed + "\n")
    message(f"{agency} signed {agreement.id} version {agreement.version}, digest {agreement.digest}.")


@command(
    app,
    "activate",
    example="sinergi agreement activate pks-banten-2025.yaml --signature polda.jws --signature imigrasi.jws"
    " --why PKS-2025",
)
def activate(
    context: typer.Context,
    file: FileArgument,
    *,
    signature: Annotated[list[Path], typer.Option(metavar="FILE", help="A party's signature; one of each party.")],
    why: WhyOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")] = False,
) -> None:
    """Bring a signed version into force, in place of the one before.

    Every party must have signed this very document with a key that is valid now, and the version must be higher than
    any before. The first version also gets the agreement's ledger.
    """
    from gateway.operations.activation import activate_agreement, check_activation

    agreement = read_agreement(file)
    texts = [read_text(path).strip() for path in signature]
    with invocation(context).store() as store:
        if dry_run:
            done = check_activation(store, agreement, texts)
        else:
            done = activate_agreement(store, agreement, texts, why=why, who=invocation(context).who)
    if invocation(context).json:
        told = {"signers": list(done.signers), "replaces": done.replaces, "activated": not dry_run}
        as_json(identity(agreement) | told)
        return
    line(agreement.digest)
    signers = " and ".join(done.signers)
    if dry_run:
        message(
            f"{agreement.id} version {agreement.version}, signed by {signers}, can be activated. Nothing was changed."
        )
    else:
        message(f"{agreement.id} version {agreement.version}, signed by {signers}, is in force.")


@command(app, "list", example="sinergi agreement list")
def list_(context: typer.Context) -> None:
    """Every version that was activated, and which one is in force."""
    from gateway.agreement.document import agreement_from_json
    from gateway.store import queries
    from gateway.store.tables import moment

    with invocation(context).store() as store, store.database.reading() as session:
        versions = [
            {
                **identity(agreement_from_json(row.document)),
                "active": row.active,
                "activated_at": moment(row.activated_at).isoformat(timespec="seconds"),
            }
            for row in queries.agreements(session)
        ]
    if invocation(context).json:
        as_json(versions)
        return
    columns = ("agreement", "version", "active", "activated_at", "valid_from", "valid_until", "digest")
    table(columns, [[version[column] for column in columns] for version in versions])


@command(
    app,
    "explain",
    example="sinergi agreement explain pks-banten-2025.yaml\n"
    "sinergi agreement explain pks-banten-2025.yaml --message warning.json",
)
def explain(
    context: typer.Context,
    file: FileArgument,
    *,
    message_file: Annotated[
        Path | None,
        typer.Option(
            "--message",
            metavar="FILE",
            help="An SD-JWT, or a JSON object of the claims, body, and disclosable (a list of pointers).",
        ),
    ] = None,
    related: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON of the transfer that in_reply_to names: transfer, type, sender, recipient, accepted, open, live.",
        ),
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="As if it were then [default: now].")] = None,
) -> None:
    """What the rules say; or, with --message, what would be decided about it and why. Recorded nowhere.

    Needs no gateway. The decision's exit code is 0 for permitted, 1 for refused.
    """
    from gateway.cli.explanation import judge, rule_lines
    from gateway.wiring import now

    agreement = read_agreement(file)
    if message_file is None:
        if invocation(context).json:
            raw(agreement.canonical().decode() + "\n")
            return
        for rule in agreement.rules:
            for text in rule_lines(agreement, rule):
                line(text)
        return
    moment = read_moment(at, "--at") or now()
    decision = judge(agreement, read_text(message_file), None if related is None else read_object(related), moment)
    if invocation(context).json:
        as_json(decision.as_json())
    else:
        line("permitted" if decision.permitted else "refused")
        facts = (
            ("rule", decision.rule),
            ("clause", decision.clause),
            ("withheld", " ".join(decision.withheld)),
            ("keep until", decision.retain_until),
            ("acknowledge by", decision.acknowledge_by),
            ("handling", decision.handling),
            ("priority", decision.priority),
        )
        for name, value in facts:
            if value:
                line(f"  {name}: {value}")
        for reason in decision.reasons:
            line(f"  {reason_line(reason)}")
    if not decision.permitted:
        raise typer.Exit(NO)
