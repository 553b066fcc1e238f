"""`sinergi agencies keys`: an agency's next key, by its own statement and the word of two operators."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.acting import propose as propose_it
from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_text
from gateway.cli.output import as_json, message, table, when
from gateway.cli.proposals import IdArgument, SignatureOption, approved
from gateway.cli.reason import WhyOption
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.jose import PublicKey
    from gateway.keys.directory import AgencyKey, RecoveryKey
    from gateway.operations.admission import Admission
    from gateway.wiring import Store

app = group(
    "keys",
    "An agency's next key: its own statement, and the signatures of two operators.",
    commands="sinergi agencies keys propose polda-banten polda.statement.json --why TIKET-91 --dry-run\n"
    "sinergi agencies keys approve 3f9a1c77",
)


@command(
    app,
    "propose",
    example="sinergi agencies keys propose polda-banten polda.statement.json --why TIKET-91 --dry-run\n"
    "sinergi agencies keys propose polda-banten polda.statement.json --why TIKET-91 --operator-key file:sari.pem",
)
def propose(
    context: typer.Context,
    agency: Annotated[str, typer.Argument(metavar="AGENCY", help="The agency whose key it is to be.")],
    statement: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="What `keys statement` wrote [default: what the agency handed in itself]."
        ),
    ] = None,
    *,
    why: WhyOption,
    overlap_days: Annotated[
        int, typer.Option(min=0, max=90, metavar="DAYS", help="How long older keys count beside the new one.")
    ] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and when.")] = False,
) -> None:
    """Check the agency's statement and propose its key. Nothing counts until another operator approves it.

    Compare the thumbprint with the agency over another channel first: the statement proves who holds the keys, not who sent it.
    """
    given = None if statement is None else read_text(statement).strip()
    from gateway.countersigning import wanted_key
    from gateway.errors import CallerError
    from gateway.founding import RefusedError

    with invocation(context).store() as store:
        who = invocation(context).acting
        if who is None and not dry_run:
            raise RefusedError("the gateway has no operators to approve it: sinergi operators found")
        text, source = given or _handed_in(store, agency), statement or "the statement that was handed in"
        try:
            wanted, planned = wanted_key(store, text, why=why, overlap=timedelta(days=overlap_days))
        except CallerError as error:
            raise RefusedError(f"{source}: {error.detail}") from error
        if planned.statement.agency != agency:
            raise OperatorError(f"{source} is about {planned.statement.agency}")
        if dry_run or who is None:
            _planned(context, planned)
            return
        _tell(planned)
        propose_it(store, who, wanted, json=invocation(context).json)


def _handed_in(store: "Store", agency: str) -> str:
    """Raises RefusedError where the agency handed in nothing."""
    from gateway.founding import RefusedError
    from gateway.store.tables import KeyStatementRow

    with store.database.reading() as session:
        row = session.get(KeyStatementRow, agency)
    if row is None:
        raise RefusedError(f"{agency} handed in no statement: give its file")
    return row.statement


def _planned(context: typer.Context, planned: "Admission") -> None:
    if invocation(context).json:
        as_json(_members(planned) | {"dry_run": True})
        return
    _tell(planned)
    message("It needs one operator to propose it and another to approve it. Nothing was changed.")


def _members(planned: "Admission") -> dict[str, Any]:
    said = planned.statement
    return {
        "agency": said.agency,
        "kid": said.key.kid,
        "use": said.use,
        "begins": when(planned.begins),
        "ends": when(planned.ends),
        "endorsed_by": said.endorsed_by,
        "recovered": said.recovered,
        "old": list(planned.old),
        "old_end": None if planned.old_end is None else when(planned.old_end),
    }


def _tell(planned: "Admission") -> None:
    said = planned.statement
    message(
        f"The {said.use} key {said.key.kid} of {said.agency} would count from {when(planned.begins)} to {when(planned.ends)}."
    )
    if said.endorsed_by is None:
        message("It is the agency's first key: only the thumbprint shows that it is the agency's.")
    else:
        message(f"{'The recovery key' if said.recovered else 'The key in use'}, {said.endorsed_by}, endorsed it.")
    if planned.old_end is not None:
        message(
            f"Older keys ({', '.join(planned.old)}) would count until {when(planned.old_end)}; what they signed stays valid."
        )


@command(app, "approve", example="sinergi agencies keys approve 3f9a1c77 --operator-key file:budi.pem")
def approve(context: typer.Context, id_: IdArgument, *, signature: SignatureOption = None) -> None:
    """Sign as the second operator: the agency's key is admitted, on every node within a second."""
    from gateway.statements.parameters import ADMIT_KEY

    approved(context, id_, signature, only=ADMIT_KEY)


@command(app, "waiting", example="sinergi agencies keys waiting --json")
def waiting(context: typer.Context) -> None:
    """What agencies handed in themselves (`POST /v1/agencies/{id}/keys`), the newest of each. Nothing counts by it yet."""
    from gateway.store.queries import key_statements
    from gateway.store.tables import moment

    with invocation(context).store() as store, store.database.reading() as session:
        rows = [
            {"agency": row.agency, "use": row.use, "kid": row.kid, "received_at": when(moment(row.received_at))}
            for row in key_statements(session)
        ]
    if invocation(context).json:
        as_json(rows)
    else:
        table(("agency", "use", "kid", "received_at"), [list(row.values()) for row in rows])


@command(app, "list", example="sinergi agencies keys list polda-banten --json")
def list_(
    context: typer.Context,
    agency: Annotated[str | None, typer.Argument(metavar="[AGENCY]", help="Only this agency's.")] = None,
) -> None:
    """Agencies' keys, recovery keys included, with their validity."""
    from gateway.store import queries

    with invocation(context).store() as store, store.database.reading() as session:
        directory = queries.load_directory(session, 0)
    rows = [_row("sign", key.public, key) for key in directory.keys.values()]
    rows += [_row("recovery", key.key, key) for key in directory.recovery]
    rows = [row for row in rows if agency in (None, row["agency"])]
    if invocation(context).json:
        as_json(rows)
        return
    columns = ("agency", "use", "alg", "kid", "status", "not_before", "not_after")
    table(columns, [list(row.values()) for row in rows])


def _row(use: str, public: "PublicKey", key: "AgencyKey | RecoveryKey") -> dict[str, str]:
    return {
        "agency": key.agency,
        "use": use,
        "alg": public.alg,
        "kid": public.kid,
        "status": key.status,
        "not_before": when(key.not_before),
        "not_after": when(key.not_after),
    }
