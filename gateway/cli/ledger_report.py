"""`sinergi ledger report`: what a verified ledger says of a period, added up."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, invocation
from gateway.cli.given import read_moment, write_new
from gateway.cli.ledgers import KeyOption, QuorumOption, SourceArgument, WitnessOption, audited
from gateway.cli.output import NO, as_json, line, message, table
from gateway.cli.side import AuthorityOption
from gateway.cli.verifier import read_trust
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.evaluation.page import Titles


def register(app: typer.Typer) -> None:
    """Puts the command into the group `ledger`."""
    command(
        app,
        "report",
        example='sinergi ledger report ./export/pks-banten-2025 --vkey "$(cat pks-banten-2025.vkey)"'
        " --from 2026-01-01T00:00:00+07:00 --to 2027-01-01T00:00:00+07:00 --html 2026.html",
    )(report)


def report(
    context: typer.Context,
    source: SourceArgument,
    *,
    vkey: KeyOption,
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Recorded then or later.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Recorded before then.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same as a page, in Indonesian and English.")
    ] = None,
    ca_file: AuthorityOption = None,
) -> None:
    """Verify a ledger and add up what it says of a period: volumes by clause, refusals, deliveries, acts, readings.

    Believes nothing but VKEY, as `ledger verify` does, and tells nothing of a ledger that does not verify. Each agreement has a
    ledger of its own; `gateway` has the acts of operators and the readings of auditors.
    """
    from gateway.evaluation.figures import Figures

    if html is not None and html.exists():
        raise OperatorError(f"{html} exists already")
    trust = read_trust(vkey, witness, quorum)
    figures = Figures(_bound(since, "--from"), _bound(until, "--to"))
    found = audited(source, ca_file, trust.origin, trust, reader=figures.read)
    if not found.ok or found.checkpoint is None:
        for check in found.checks:
            if not check.ok:
                message(f"{check.number}. {check.title}: FAILED ({check.detail})")
        message(f"{trust.origin} does not verify, so nothing is added up.")
        raise typer.Exit(NO)
    told: dict[str, Any] = {
        "origin": trust.origin,
        "size": found.checkpoint.size,
        "root": found.checkpoint.root.hex(),
        "since": figures.since,
        "until": figures.until,
        "first": figures.first,
        "last": figures.last,
        "tables": dict(figures.tables()),
    }
    if html is not None:
        from gateway.evaluation.page import render

        write_new(html, render(told, _titles()).encode())
    if invocation(context).json:
        as_json(told)
        return
    line(f"{told['origin']}: {told['size']} entries, verified; root {told['root']}")
    for name, rows in told["tables"].items():
        line("")
        line(name)
        table(list(rows[0]), [list(row.values()) for row in rows])


def _bound(text: str | None, option: str) -> str | None:
    from gateway.ledger.entry import timestamp

    moment: datetime | None = read_moment(text, option)
    return None if moment is None else timestamp(moment.astimezone(UTC))


def _titles() -> "Titles":
    from gateway import resources
    from gateway.message_types import catalogue

    known = catalogue.load(resources.schemas_dir())
    return {f"{one.name}/{one.version}": (one.title_id, one.title_en) for one in known.types()}
