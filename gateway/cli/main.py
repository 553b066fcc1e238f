"""The program: its groups, its one way of failing.

Decides what a person sees of an error. Starting must be quick: every import of weight stands in a command's body.
"""

import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Final, NoReturn

import typer

from gateway.cli import (
    agencies,
    auditors,
    diagnosis,
    drafts,
    evidence,
    exchange,
    holds,
    key_compromise,
    key_making,
    key_rotation,
    key_state,
    key_statements,
    key_withdrawal,
    keys,
    ledger_fsck,
    ledger_proofs,
    ledger_report,
    ledgers,
    operators,
    proposals,
    retention,
    review,
    schemas,
    starting,
    subjects,
    takeover,
    transfers,
    witness,
)
from gateway.cli.context import Invocation, group
from gateway.cli.output import DONE, MISUSE, UNASKED, exit_code, fail, line, message
from gateway.errors import GatewayError

_PR_SET_DUMPABLE: Final = 4  # prctl(2)

app = group(
    "sinergi",
    "Inter-agency data exchange gateway: signed messages, agreed sharing rules, an append-only ledger.",
    commands="sinergi demo\nsinergi init var\nsinergi --config var/sinergi.toml doctor",
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        line(version("sinergi"))
        raise typer.Exit


@app.callback()
def root(
    *,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Inter-agency data exchange gateway: signed messages, agreed sharing rules, an append-only ledger."""


starting.register(app)
takeover.register(app)
diagnosis.register(app)
exchange.register(app)
drafts.register(app)
ledger_proofs.register(ledgers.app)
ledger_fsck.register(ledgers.app)
ledger_report.register(ledgers.app)
proposals.register(operators.app)
for keyed in (key_making, key_state, key_rotation, key_compromise, key_statements, key_withdrawal):
    keyed.register(keys.app)
for part in (
    agencies,
    operators,
    keys,
    schemas,
    review,
    auditors,
    transfers,
    ledgers,
    witness,
    evidence,
    retention,
    holds,
    subjects,
):
    app.add_typer(part.app)


@cache
def _program() -> Any:
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """One invocation; its exit code (`output.EXIT_CODES`)."""
    invocation = Invocation()
    try:
        _program().main(list(arguments), prog_name="sinergi", obj=invocation)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else DONE if ended.code is None else MISUSE
    except GatewayError as error:
        if invocation.debug:
            raise
        fail(error, json_=invocation.json)
        return exit_code(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if invocation.debug:
            raise
        message(f"sinergi: gateway.internal: {type(error).__name__} (a fault in the program: --debug shows where)")
        return UNASKED
    return DONE


def main() -> NoReturn:
    """The entry point. A process that holds keys leaves no image of its memory behind."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        # The limit does not bind a kernel that pipes its dumps to a program (core(5)); nobody of this user may read the
        # memory either (ptrace(2)).
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    sys.exit(run(sys.argv[1:]))
