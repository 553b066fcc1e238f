"""`sinergi keys withdraw`: an announced key of the gateway never begins."""

from typing import Annotated

import typer

from gateway.cli.context import command, invocation
from gateway.cli.output import as_json, line, message, when
from gateway.cli.reason import WhyOption


def register(app: typer.Typer) -> None:
    """Puts the command into the group `keys`."""
    command(
        app,
        "withdraw",
        example="sinergi keys withdraw --role sign --why INC-2026-41 --dry-run\n"
        "sinergi keys withdraw --role sign --why INC-2026-41",
    )(withdraw_)


def withdraw_(
    context: typer.Context,
    *,
    role: Annotated[str, typer.Option(metavar="sign|request|storage|index", help="Which of the gateway's keys.")],
    why: WhyOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which key it is.")] = False,
) -> None:
    """Withdraw a key that `keys rotate` announced and that has not begun: the key in use goes on, without an end.

    The key need not open here. If somebody else may have it, use `keys compromised`.
    """
    from gateway.key_management.withdrawal import plan, withdraw

    with invocation(context).store() as store:
        found = plan(store, role) if dry_run else withdraw(store, role, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json({"role": role, "withdrawn": found.key.kid, "goes_on": found.goes_on.kid, "dry_run": dry_run})
        return
    line(found.key.kid)
    state = "would be withdrawn; nothing was changed" if dry_run else "is withdrawn; its file can be destroyed"
    message(
        f"The {role} key that would have begun at {when(found.key.not_before)} {state}. {found.goes_on.kid} goes on."
    )
