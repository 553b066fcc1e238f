"""`sinergi holds`: what must not be erased, placed by one operator, ended by the signatures of two officers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_object, read_text
from gateway.cli.output import as_json, line, message, table
from gateway.cli.reason import WhyOption
from gateway.cli.side import PassphraseOption
from gateway.cli.statement import GatewayIdOption, OfficerAgencyOption, OfficerKeyOption, StatementOption, sign_matter
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.store.tables import HoldRow

app = group(
    "holds",
    "Legal holds: what no retention and no request erases.",
    commands="sinergi holds add --transfer 0193a1b2-… --why PERKARA-7 --citation 'Penetapan PN Serang 12/2026'\n"
    "sinergi holds list\n"
    "sinergi holds release 0193c3d4-… --why SELESAI-7 --statement sari.jws --statement budi.jws",
)
HoldArgument = Annotated[str, typer.Argument(metavar="HOLD", help="The hold's number.")]


@command(
    app,
    "add",
    example="sinergi holds add --transfer 0193a1b2-… --why PERKARA-7 --citation 'Penetapan PN Serang 12/2026'\n"
    'echo \'{"kind": "case", "value": "LP/A/12/III/2026/SPKT"}\' |'
    " sinergi holds add --subject-file - --why PERKARA-7 --citation 'Penetapan PN Serang 12/2026'",
)
def add(
    context: typer.Context,
    *,
    transfer: Annotated[str | None, typer.Option(metavar="ID", help="One transfer.")] = None,
    subject_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON {kind, value} of a case or a person's identifier, or - for standard input; covers what comes later too."
            " Kinds: case, officer, nik, nip, nrp, phone, travel-document, person-token.",
        ),
    ] = None,
    why: WhyOption,
    citation: Annotated[
        str, typer.Option(metavar="TEXT", help="The order or law it rests on; kept by the gateway alone.")
    ],
) -> None:
    """Place a hold. It is in force at once, and only two officers' signatures end it."""
    if (transfer is None) == (subject_file is None):
        raise OperatorError("give either --transfer or --subject-file")
    from gateway.data_protection.data_subjects import read_subject
    from gateway.data_protection.holds import TRANSFER, add_hold

    scope, value = TRANSFER, transfer or ""
    if subject_file is not None:
        subject = read_subject(read_object(subject_file))
        scope, value = subject.kind, subject.value
    with invocation(context).store() as store:
        held = add_hold(store, scope, value, why=why, citation=citation, who=invocation(context).who)
    if invocation(context).json:
        as_json({"hold": held.id, "scope": held.scope, "covers": held.covers})
        return
    line(held.id)
    message(f"The hold is in force. It covers {held.covers} stored transfers now.")


@command(app, "list", example="sinergi holds list\nsinergi holds list --all --json")
def list_(
    context: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that were released.")] = False,
) -> None:
    """The holds in force with their reasons. Of an identifier only its kind is known."""
    from gateway.store import erasures

    with invocation(context).store() as store, store.database.reading() as session:
        holds = [
            _members(row, erasures.covered(session, row.scope, row.target))
            for row in erasures.holds(session, released=every)
        ]
    if invocation(context).json:
        as_json(holds)
        return
    columns = ["hold", "scope", "transfer", "covers", "why", "citation", "added_by", "added_at", "released_at"]
    table(columns, [[hold.get(column) for column in columns] for hold in holds])


def _members(row: "HoldRow", covers: int) -> dict[str, Any]:
    import json

    from gateway.data_protection.holds import TRANSFER
    from gateway.store.tables import moment

    members = {
        "hold": row.id,
        "scope": row.scope,
        "transfer": row.target if row.scope == TRANSFER else None,
        "covers": covers,
        "why": row.why,
        "citation": row.citation,
        "added_by": row.added_by,
        "added_at": moment(row.added_at).isoformat(timespec="seconds"),
        "released_at": None if row.released_at is None else moment(row.released_at).isoformat(timespec="seconds"),
        "released_by": row.released_by,
        "released_why": row.released_why,
        "approvals": json.loads(row.approvals) or None,
    }
    return {name: value for name, value in members.items() if value is not None}


@command(
    app,
    "approve",
    example="sinergi holds approve 0193c3d4-… --as polda-banten --gateway-id sinergi-banten --why SELESAI-7"
    " --key file:sari.pem --passphrase-file sari.pass --out sari.jws",
)
def approve(
    context: typer.Context,
    hold: HoldArgument,
    *,
    agency: OfficerAgencyOption,
    gateway_id: GatewayIdOption,
    why: Annotated[str, typer.Option(metavar="CODE", help="Why it may end; the code that the operator will give.")],
    key: OfficerKeyOption,
    passphrase_file: PassphraseOption = None,
    out: StatementOption,
) -> None:
    """At the officer's machine: sign that a hold may end.

    Needs no gateway. It counts for 7 days, and only for an officer whose role is SUPERVISOR, DATA_PROTECTION_OFFICER or
    KORWAS_PPNS.
    """
    from gateway.statements.hold_release import HoldRelease

    matter = HoldRelease(gateway_id, hold, why)
    sign_matter(context, matter, agency=agency, key=key, passphrase_file=passphrase_file, out=out, told={"hold": hold})


@command(
    app,
    "release",
    example="sinergi holds release 0193c3d4-… --why SELESAI-7 --statement sari.jws --statement budi.jws",
)
def release(
    context: typer.Context,
    hold: HoldArgument,
    *,
    why: Annotated[str, typer.Option(metavar="CODE", help="The code that the officers signed.")],
    statements: Annotated[
        list[Path], typer.Option("--statement", metavar="FILE", help="What `approve` wrote; once for each officer.")
    ],
) -> None:
    """End a hold, on the signed word of two officers who are two persons."""
    from gateway.data_protection.holds import release_hold

    texts = [read_text(path).strip() for path in statements]
    with invocation(context).store() as store:
        keys = release_hold(store, hold, texts, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json({"hold": hold, "status": "released", "approvals": list(keys)})
    else:
        line(hold)
        message("The hold is released. What it covered is erased when its retention ends, or is asked for.")
