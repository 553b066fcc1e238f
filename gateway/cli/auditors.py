"""`sinergi auditors`: who may read, and until when."""

from typing import Annotated

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.output import as_json, line, message, raw, table
from gateway.cli.reason import WhyOption

app = group(
    "auditors",
    "Who may search and read transfers. Every such read is itself a ledger entry.",
    commands="sinergi auditors issue bpk-01 --name 'Auditor BPK' --role auditor --days 30 --why SURAT-TUGAS-12 > token\n"
    "sinergi auditors list",
)


@command(
    app,
    "issue",
    example="(umask 077; sinergi auditors issue bpk-01 --name 'Auditor BPK' --role auditor --days 30"
    " --why SURAT-TUGAS-12 > bpk-01.token)",
)
def issue(
    context: typer.Context,
    auditor: Annotated[str, typer.Argument(metavar="ID", help="Small letters, digits and inner hyphens.")],
    *,
    name: Annotated[str, typer.Option(help="Who it is.")],
    role: Annotated[
        str,
        typer.Option(
            metavar="auditor|dpo",
            help="auditor: search and read metadata; dpo (data-protection officer): also search by a person's identifier.",
        ),
    ],
    days: Annotated[int, typer.Option(help="How long the token is valid: 1 to 365.")],
    why: WhyOption,
) -> None:
    """Print a new token, this once: only its SHA-256 is kept. Redirect it into a file that only its holder may read."""
    from gateway.operations.auditors import issue_auditor

    with invocation(context).store() as store:
        token = issue_auditor(store, auditor, name, role, days, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json({"auditor": auditor, "role": role, "days": days, "token": token})
    else:
        raw(f"{token}\n")
    message(f"This token lets {auditor} read for {days} days. It cannot be shown again.")


@command(app, "list", example="sinergi auditors list")
def list_(context: typer.Context) -> None:
    """Auditors and the state of their tokens."""
    from gateway.store import queries
    from gateway.store.tables import moment
    from gateway.wiring import now

    with invocation(context).store() as store, store.database.reading() as session:
        auditors = []
        for row in queries.auditors(session):
            expires = moment(row.expires_at)
            status = "revoked" if row.revoked_at is not None else "expired" if expires <= now() else "valid"
            auditors.append(
                {
                    "id": row.id,
                    "name": row.name,
                    "role": row.role,
                    "status": status,
                    "expires_at": expires.isoformat(timespec="seconds"),
                }
            )
    if invocation(context).json:
        as_json(auditors)
        return
    columns = ("id", "name", "role", "status", "expires_at")
    table(columns, [[auditor[column] for column in columns] for auditor in auditors])


@command(app, "revoke", example="sinergi auditors revoke bpk-01 --why MANDATE-ENDED")
def revoke(
    context: typer.Context,
    auditor: Annotated[str, typer.Argument(metavar="ID")],
    *,
    why: WhyOption,
) -> None:
    """End a token at once."""
    from gateway.operations.auditors import revoke_auditor

    with invocation(context).store() as store:
        revoke_auditor(store, auditor, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json({"auditor": auditor, "status": "revoked"})
    else:
        line(auditor)
        message(f"{auditor} can no longer read.")
