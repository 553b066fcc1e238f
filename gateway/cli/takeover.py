"""`sinergi takeover`: a new gateway goes on where one ended whose database cannot be continued."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.context import command, invocation
from gateway.cli.output import as_json, line, message
from gateway.cli.reason import WhyOption


def register(app: typer.Typer) -> None:
    """Puts the command on the program itself."""
    command(
        app,
        "takeover",
        example="sinergi takeover /var/lib/sinergi/sinergi.toml --why INSIDEN-3 --config /var/lib/sinergi-2/sinergi.toml",
    )(takeover)


def takeover(
    context: typer.Context,
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="The old gateway's settings file; its database is only read.")
    ],
    *,
    why: WhyOption,
) -> None:
    """Take over agencies, their keys and the agreements in force from a gateway whose database cannot be continued.

    For a new gateway (`init --origin` of its own), before it has agencies or operators. The first entries say where each old
    ledger ended. Messages are not taken over: what waited for delivery, and what was lost, is its sender's to send again.
    """
    from gateway.settings import load_settings
    from gateway.takeover import take_over

    settings = load_settings(old)
    with invocation(context).store() as store:
        taken = take_over(store, settings, why=why, who=invocation(context).who)
    if invocation(context).json:
        ledgers = [
            {"ledger": one.ledger, "origin": one.origin, "size": one.size, "root": one.root.hex(), "lost": one.lost}
            for one in taken.ledgers
        ]
        as_json(
            {
                "ledgers": ledgers,
                "agencies": list(taken.agencies),
                "keys": taken.keys,
                "agreements": list(taken.agreements),
                "used_ids": taken.used_ids,
                "undelivered": list(taken.undelivered),
                "holds": list(taken.holds),
                "again": [asdict(one) for one in taken.again],
            }
        )
        return
    for one in taken.ledgers:
        line(f"{one.origin} ended with {one.size} entries; {one.lost} more were signed and are lost")
    line(f"{len(taken.agencies)} agencies with {taken.keys} keys; {', '.join(taken.agreements) or 'no agreement'}")
    for transfer in taken.undelivered:
        line(f"not delivered: {transfer}")
    for hold in taken.holds:
        line(f"hold: {hold}")
    for owing in taken.again:
        key = f", key {owing.key}" if owing.key else ""
        line(f"not known here: {owing.what} {owing.who}{key}: {owing.command}")
    message("Next: operators found, agencies officers add, auditors issue; place the holds again; tell both agencies.")
