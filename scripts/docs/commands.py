"""The page of commands: every help text, as a terminal of 100 columns shows it."""

from collections.abc import Iterator
from typing import Any, Final

import typer

from gateway.cli.main import app
from gateway.cli.output import EXIT_CODES
from scripts.docs.markdown import MADE, table

COMMON: Final = frozenset({"config", "operator", "operator_key", "operator_passphrase_file", "json", "debug"})


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, groups before their commands."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


def is_common(parameter: Any) -> bool:
    return parameter.param_type_name == "option" and parameter.name in COMMON


def help_of(path: tuple[str, ...], command: Any) -> str:
    """As a terminal of 100 columns shows it, without the common options, which the page tells once."""
    kept = command.params
    command.params = [one for one in kept if not is_common(one)]
    try:
        context = command.context_class(
            command, info_name=" ".join(("sinergi", *path)), terminal_width=100, max_content_width=100
        )
        text: str = command.get_help(context)
    finally:
        command.params = kept
    return text


def cli_page() -> Iterator[str]:
    root: Any = typer.main.get_command(app)
    yield "# Commands"
    yield ""
    yield MADE
    yield ""
    yield (
        "Data goes to standard output, messages for people to standard error. No command asks a question, but for"
        " `sinergi keys ceremony` on a terminal and without `--script`. None prints a private value, but for"
        " `sinergi auditors issue`, which prints a token once, and that ceremony, where a holder asks for a share on the screen."
    )
    yield ""
    yield "These options may stand before or after any command's name:"
    yield ""
    shared = [one for one in root.params if is_common(one)]
    yield from table(("option", "meaning"), [(f"`{one.opts[0]}`", one.help) for one in shared])
    yield ""
    yield "A command ends with one of these:"
    yield ""
    yield from table(("exit code", "meaning"), list(EXIT_CODES.items()))
    for path, command in commands(root):
        yield ""
        yield f"{'#' * (len(path) + 1)} sinergi {' '.join(path)}"
        yield ""
        yield "```text"
        yield help_of(path, command).rstrip()
        yield "```"
