"""The pages of this repository, taken apart: links, code spans, console blocks, and how a command line is parsed."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from gateway.cli.context import Invocation
from gateway.cli.main import app

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "keys/README.md", ROOT / "schemas/README.md"]
)
# Made from the code: held against it by regenerating them.
GENERATED: Final = {
    *(ROOT / "docs/reference" / name for name in ("errors.md", "settings.md", "cli.md", "roles.md")),
    *(ROOT / "docs/reference/catalogue").glob("*.md"),
}
WRITTEN: Final = [page for page in PAGES if page not in GENERATED]
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK: Final = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^()\s]+)\)")
_SHELL: Final = {">", ">>", "<", "|", "&", "&&", ";", ")"}


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in _FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> list[str]:
    """What stands between single backticks."""
    return _SPAN.findall(prose(page))


def links(page: Path) -> list[str]:
    return _LINK.findall(_SPAN.sub("", prose(page)))


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """Each command of the console blocks, with the lines that the page shows below it. A backslash goes on."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks(page, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
    return found


def anchors(page: Path) -> set[str]:
    """The fragments that headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def sinergi_words(line: str) -> list[str] | None:
    """The words after `sinergi` in a shell line, up to a redirection or pipe; None if it runs something else."""
    words = shlex.split(line.replace("(umask 077; ", "").removesuffix(")"))
    if "sinergi" not in words:
        return None
    rest = words[words.index("sinergi") + 1 :]
    end = next((number for number, word in enumerate(rest) if word in _SHELL), len(rest))
    return rest[:end]


def parse(words: Sequence[str]) -> None:
    """Parses a whole command line and runs nothing. Raises what the program would answer a misuse with."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("sinergi", list(words), obj=Invocation())
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        found, command, rest = command.resolve_command(context, rest)
        context = command.make_context(found, rest, parent=context)


def resolve(words: Sequence[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after them."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    return command, rest


def options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    yield "--help"


def shown(line: str, printed: str) -> bool:
    """Whether a line of the page, with … for anything, is the beginning of one that was printed."""
    pattern = ".*".join(map(re.escape, line.strip().split("…")))
    return re.search(rf"^\s*{pattern}", printed, flags=re.MULTILINE) is not None
