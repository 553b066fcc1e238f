"""`sinergi retention`: what is past its day is erased, and what was erased is proved to be gone."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.output import NO, as_json, line, message, progress, table
from gateway.cli.reason import WhyOption

if TYPE_CHECKING:
    from gateway.retention import Report, Retention
    from gateway.wiring import Store

app = group(
    "retention",
    "Erasure: what is past its day, what the agencies agreed to erase, and the proof of it.",
    commands="sinergi retention run --why TIKET-98 --dry-run\nsinergi retention run --why TIKET-98\nsinergi retention verify",
)


@command(
    app,
    "run",
    example="sinergi retention run --why TIKET-98 --dry-run\nsinergi retention run --why TIKET-98 --limit 10000",
)
def run(
    context: typer.Context,
    *,
    why: WhyOption,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be erased, and what is kept.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Erase so many at most.")] = None,
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite", help="Then rewrite the tables' files; nothing else can be recorded meanwhile."),
    ] = False,
) -> None:
    """Erase every message whose retention has ended, in small commits; each erasure is a ledger entry.

    The entry says who ran it and why. A run that is interrupted is continued by the next one. `serve` does the same by itself
    (retention.every_hours).
    """
    from gateway.founding import require_code

    who, code = require_code(invocation(context).who, "the operator"), require_code(why, "the reason")
    with invocation(context).store() as store:
        retention = of(store)
        if dry_run:
            _show(context, retention.preview(limit=limit), dry_run=True, clean=None)
            return
        with progress("erasing", shown=not invocation(context).json) as show:
            report = retention.run(who, why=code, limit=limit, progress=show)
        clean = scrubbed(store, rewrite=rewrite) if report.erased or rewrite else True
    _show(context, report, dry_run=False, clean=clean)


def of(store: "Store") -> "Retention":
    """The retention of a store, as its settings say."""
    from gateway.record import OWN_LEDGER
    from gateway.retention import Retention
    from gateway.wiring import now

    return Retention.of(store.settings.retention, store.database, store.recorder, OWN_LEDGER, now)


def scrubbed(store: "Store", *, rewrite: bool = False) -> bool:
    """Overwrites what erasures left on the disk; on PostgreSQL as the tables' owner, where the settings name one."""
    from gateway.retention import scrub
    from gateway.wiring import connect

    owner = store.settings.database.owner_url
    if store.database.is_sqlite or owner is None:
        return scrub(store.database, rewrite=rewrite)
    database = connect(owner, store.settings.database.owner_password_file)
    try:
        return scrub(database, rewrite=rewrite)
    finally:
        database.close()


def told_clean(*, clean: bool) -> None:
    if not clean:
        message(
            "Erased data may still be in the database's files: another process was using them, or this role does not own the"
            " tables. Run it again, or see docs/howto/retention.md."
        )


def _show(context: typer.Context, report: "Report", *, dry_run: bool, clean: bool | None) -> None:
    if invocation(context).json:
        told: dict[str, Any] = {"dry_run": dry_run, "erased": report.erased, "kept": dict(report.kept), "clean": clean}
        if dry_run:
            told["items"] = [{"transfer": transfer, "kept": list(against)} for transfer, against in report.items]
        as_json(told)
        return
    if dry_run and report.items:
        table(["transfer", "kept"], [[transfer, " ".join(against)] for transfer, against in report.items])
    line(f"{report.erased} {'would be' if dry_run else ''} erased".replace("  ", " "))
    for reason, count in sorted(report.kept.items()):
        line(f"{count} kept: {reason}")
    told_clean(clean=clean is not False)


@command(app, "verify", example="sinergi retention verify --json")
def verify(context: typer.Context) -> None:
    """Check every erasure: nothing is left in the row or an index, and both of its ledger entries are proved.

    Also says how many messages are past their day and still there. Ends with 1 when an erasure is not what it says.
    """
    from gateway.retention import check, overdue
    from gateway.wiring import now

    with invocation(context).store() as store:
        with progress("checking", shown=not invocation(context).json) as show:
            erased, flaws = check(store.database, store.keys.checkpoint, show)
        late = overdue(store.database, now(), store.settings.retention.refused_days)
    if invocation(context).json:
        found = [{"transfer": flaw.transfer, "what": flaw.what} for flaw in flaws]
        as_json({"erased": erased, "past_retention": late, "flaws": found})
    else:
        line(f"{erased} erased, {len(flaws)} flaws")
        line(f"{late} past retention and still there (sinergi retention run --why CODE --dry-run says what keeps them)")
        if flaws:
            table(["transfer", "flaw"], [[flaw.transfer, flaw.what] for flaw in flaws])
    if flaws:
        raise typer.Exit(NO)


@command(app, "repeat", example="sinergi retention repeat --why INSIDEN-3")
def repeat(context: typer.Context, *, why: WhyOption) -> None:
    """Erase again what the ledgers call erased and what is stored again because a table was restored.

    Adds no second entry of the erasure, but one of this act. A hold that was placed since keeps what it covers. Ends with 1
    when anything was kept.
    """
    from gateway.founding import require_code

    who, code = require_code(invocation(context).who, "the operator"), require_code(why, "the reason")
    with invocation(context).store() as store:
        done = of(store).repeat(code, who)
        clean = scrubbed(store) if done.erased else True
    told = {"erased": list(done.erased), "kept": {one: list(reasons) for one, reasons in done.kept.items()}}
    outcome(context, told, clean=clean)


@command(app, "agreed", example="sinergi retention agreed 0193a1b2-… --why TIKET-88")
def agreed(
    context: typer.Context,
    confirmation: Annotated[
        str, typer.Argument(metavar="ID", help="The accepted erasure.confirmation whose outcome is DONE.")
    ],
    *,
    why: WhyOption,
) -> None:
    """Erase here as well what the two agencies agreed to erase, before the end of its retention if need be."""
    from gateway.data_protection.subject_erasure import erase_agreed

    with invocation(context).store() as store:
        found = erase_agreed(store, of(store), confirmation, why=why, who=invocation(context).who)
        clean = scrubbed(store) if found["erased"] else True
    outcome(context, found, clean=clean)


def outcome(context: typer.Context, found: dict[str, Any], *, clean: bool) -> None:
    """What an erasure on request came to. Ends with 1 when anything was kept."""
    if invocation(context).json:
        as_json(found | {"clean": clean})
    else:
        for transfer in found["erased"]:
            line(f"{transfer}  erased")
        for transfer, reasons in found["kept"].items():
            line(f"{transfer}  kept: {' '.join(reasons)}")
        message(f"{len(found['erased'])} erased, {len(found['kept'])} kept.")
        told_clean(clean=clean)
    if found["kept"]:
        raise typer.Exit(NO)
