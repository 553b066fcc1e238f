"""`sinergi agencies`: who takes part."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import agency_keys, officers
from gateway.cli.acting import propose
from gateway.cli.context import command, group, invocation
from gateway.cli.output import as_json, line, message, table
from gateway.cli.reason import WhyOption
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.keys.directory import Endpoint

app = group(
    "agencies",
    "The agencies that take part, and where messages are pushed to them.",
    commands="sinergi agencies add polda-banten --name 'Polda Banten' --why PKS-2025\nsinergi agencies list",
)

app.add_typer(officers.app)
app.add_typer(agency_keys.app)

EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", metavar="URL", help="Where it takes pushes; without one it pulls.")
]
NetworkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-network", metavar="CIDR", help="Addresses the endpoint's name may resolve to; may be repeated."
    ),
]
AuthorityOption = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="PEM authorities of the endpoint's certificate.")
]
LiaisonOption = Annotated[
    str | None,
    typer.Option("--liaison-endpoint", metavar="URL", help="Where notices of overdue messages go; optional."),
]
LiaisonNetworkOption = Annotated[
    list[str] | None,
    typer.Option("--liaison-allow-network", metavar="CIDR", help="As --allow-network, of the liaison endpoint."),
]
LiaisonAuthorityOption = Annotated[
    Path | None, typer.Option("--liaison-ca-file", metavar="FILE", help="As --ca-file, of the liaison endpoint.")
]


@command(
    app,
    "add",
    example="sinergi agencies add imigrasi-banten --name 'Kanwil Ditjen Imigrasi Banten' --why PKS-2025"
    " --endpoint https://api.imigrasi.example.id/sinergi --allow-network 203.0.113.0/28",
)
def add(
    context: typer.Context,
    agency: Annotated[str, typer.Argument(metavar="ID", help="Small letters, digits and inner hyphens.")],
    *,
    name: Annotated[str, typer.Option(help="The agency's full name.")],
    why: WhyOption,
    endpoint: EndpointOption = None,
    allow_network: NetworkOption = None,
    ca_file: AuthorityOption = None,
    liaison_endpoint: LiaisonOption = None,
    liaison_allow_network: LiaisonNetworkOption = None,
    liaison_ca_file: LiaisonAuthorityOption = None,
) -> None:
    """Admit an agency. Its keys come next: sinergi keys import.

    In a gateway with operators an endpoint takes two of them: `agencies set` proposes it afterwards.
    """
    place = _endpoint(endpoint, allow_network or [], ca_file)
    liaison = _endpoint(liaison_endpoint, liaison_allow_network or [], liaison_ca_file, "liaison-")
    from gateway.founding import RefusedError
    from gateway.operations.agencies import add_agency

    with invocation(context).store() as store:
        if invocation(context).acting is not None and (place is not None or liaison is not None):
            raise RefusedError(
                "an endpoint takes two operators: add the agency without it, then use sinergi agencies set"
            )
        add_agency(store, agency, name, endpoint=place, liaison=liaison, why=why, who=invocation(context).who)
    _told(context, agency, "added")
    message(f"Next, its key: sinergi keys import {agency} KEY.jwk --why CODE")
    message(f"or, where the gateway has operators: sinergi agencies keys propose {agency} STATEMENT.json --why CODE")


@command(app, "list", example="sinergi agencies list --json")
def list_(context: typer.Context) -> None:
    """Every agency with its status and endpoint."""
    from gateway.store import queries

    with invocation(context).store() as store, store.database.reading() as session:
        rows = [row.model_dump() for row in queries.agencies(session)]
    if invocation(context).json:
        as_json(
            [
                {
                    "id": row["id"],
                    "name": row["name"],
                    "status": row["status"],
                    "endpoint": row["endpoint_url"],
                    "networks": row["endpoint_networks"].split(),
                    "ca_file": row["endpoint_ca_file"],
                    "paused": row["paused_reason"],
                    "liaison_endpoint": row["liaison_url"],
                    "liaison_networks": row["liaison_networks"].split(),
                    "liaison_ca_file": row["liaison_ca_file"],
                }
                for row in rows
            ]
        )
        return
    columns = ("id", "name", "status", "endpoint_url", "endpoint_networks", "paused_reason")
    table(("id", "name", "status", "endpoint", "networks", "paused"), [[row[name] for name in columns] for row in rows])


@command(
    app,
    "set",
    example="sinergi agencies set imigrasi-banten --status suspended --why INC-2026-14\n"
    "sinergi agencies set imigrasi-banten --resume --why TIKET-91\n"
    "sinergi agencies set imigrasi-banten --liaison-endpoint https://piket.imigrasi.example.id/notices"
    " --liaison-allow-network 203.0.113.0/28 --why TIKET-92",
)
def set_(
    context: typer.Context,
    agency: Annotated[str, typer.Argument(metavar="ID")],
    *,
    why: WhyOption,
    name: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    status: Annotated[
        str | None, typer.Option(metavar="active|suspended", help="A suspended agency can neither send nor receive.")
    ] = None,
    endpoint: EndpointOption = None,
    allow_network: NetworkOption = None,
    ca_file: AuthorityOption = None,
    no_endpoint: Annotated[bool, typer.Option("--no-endpoint", help="Push no more; the agency pulls.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Push again to an endpoint that was paused.")] = False,
    liaison_endpoint: LiaisonOption = None,
    liaison_allow_network: LiaisonNetworkOption = None,
    liaison_ca_file: LiaisonAuthorityOption = None,
    no_liaison_endpoint: Annotated[
        bool, typer.Option("--no-liaison-endpoint", help="Send it no more notices of overdue messages.")
    ] = False,
) -> None:
    """Change an agency: its name, its status, its endpoints; or resume a paused endpoint.

    In a gateway with operators a new endpoint, and the end of a suspension, are only proposed by this: another operator approves
    (`operators approve`). To suspend, or to push no more, one is enough.
    """
    place = _endpoint(endpoint, allow_network or [], ca_file)
    liaison = _endpoint(liaison_endpoint, liaison_allow_network or [], liaison_ca_file, "liaison-")
    from gateway.countersigning import wanted_agency
    from gateway.operations.agencies import change_agency

    with invocation(context).store() as store:
        acting = invocation(context).acting
        if acting is not None and (place is not None or liaison is not None or status == "active"):
            if name is not None or resume or no_endpoint or no_liaison_endpoint or status == "suspended":
                raise OperatorError(
                    "endpoints and the end of a suspension take two operators: change the rest in a command of its own"
                )
            wanted = wanted_agency(store, agency, endpoint=place, liaison=liaison, status=status, why=why)
            propose(store, acting, wanted, json=invocation(context).json)
            return
        change_agency(
            store,
            agency,
            why=why,
            who=invocation(context).who,
            name=name,
            status=status,
            endpoint=place,
            remove_endpoint=no_endpoint,
            resume=resume,
            liaison=liaison,
            remove_liaison=no_liaison_endpoint,
        )
    _told(context, agency, "changed")


def _endpoint(url: str | None, networks: list[str], ca_file: Path | None, which: str = "") -> "Endpoint | None":
    """`which` is empty, or the prefix of the options of the liaison endpoint."""
    if url is None:
        if networks or ca_file is not None:
            raise OperatorError(f"--{which}allow-network and --{which}ca-file need --{which}endpoint")
        return None
    if not networks:
        raise OperatorError(f"an endpoint needs --{which}allow-network: without one no address may be called")
    if ca_file is not None and not ca_file.is_file():
        raise OperatorError(f"{ca_file} does not exist")
    from gateway.keys.directory import parse_endpoint

    return parse_endpoint(url, networks, None if ca_file is None else str(ca_file.absolute()))


def _told(context: typer.Context, agency: str, what: str) -> None:
    if invocation(context).json:
        as_json({"agency": agency, "result": what})
    else:
        line(agency)
        message(f"{agency} was {what}.")
