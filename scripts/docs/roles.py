"""The page of roles: for each command whose key it takes, and of how many persons."""

from collections.abc import Iterator
from typing import Any

import typer

from gateway.cli.duties import DUTIES, ROLES
from gateway.cli.main import app
from scripts.docs.commands import commands
from scripts.docs.markdown import MADE, table


def roles_page() -> Iterator[str]:
    """Ends the program for a command of which `gateway/cli/duties.py` does not say who may run it."""
    root: Any = typer.main.get_command(app)
    yield "# Who may run what"
    yield ""
    yield MADE
    yield ""
    yield (
        "In a gateway that has operators of its own ([operators](../howto/operators.md)). One without them is for trying things"
        " out: whoever has its files can act under any name."
    )
    yield ""
    yield from table(("role", "who it is"), [(f"`{role}`", who) for role, who in ROLES.items()])
    yield ""
    yield (
        "`persons` is how many must act with a key or token of their own. Where it is 2, the command only proposes:"
        " the second operator's signature does it, and nothing else does."
    )
    yield ""
    rows = []
    for path, command in commands(root):
        if not hasattr(command, "commands"):
            duty = DUTIES.get(" ".join(path))
            if duty is None:
                raise SystemExit(f"who may run `sinergi {' '.join(path)}`? say it in gateway/cli/duties.py")
            rows.append((f"`sinergi {' '.join(path)}`", duty.role, str(duty.persons or "–"), duty.how))
    yield from table(("command", "role", "persons", "and"), rows)
