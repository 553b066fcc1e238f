"""What the demo shows: legible at 100 columns, in colour on a terminal, plain in a pipe or with NO_COLOR.

Decides the look only. Whatever came over the network is shown as text, never as markup.
"""

import io
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gateway.demo.desk import Outcome
from gateway.errors import CODES
from gateway.ledger.verify import Check

WIDTH: Final = 100
_LONG: Final = 64
_HASH: Final = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{48}\b")
_INDENT: Final = (0, 0, 0, 3)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one scene. `ok` None: it was not played, because an earlier one failed."""

    title: str
    ok: bool | None
    checks: int = 0
    seconds: float = 0.0
    difference: str | None = None

    def as_json(self) -> dict[str, Any]:
        members = {"title": self.title, "ok": self.ok, "checks": self.checks, "seconds": round(self.seconds, 2)}
        return members | ({} if self.difference is None else {"difference": self.difference})


class Screen:
    """The one place that prints. `aside` sends everything to stderr, for those who want JSON on stdout."""

    def __init__(self, *, aside: bool = False) -> None:
        stream = sys.stderr if aside else sys.stdout
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a sign gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
        drawn = stream.isatty() and os.environ.get("TERM") != "dumb"
        width = None if drawn or "COLUMNS" in os.environ else WIDTH
        self._console = Console(file=stream, highlight=False, width=width, emoji=False, markup=False)
        self._console.width = min(self._console.width, WIDTH)
        narrow = not self._console.encoding.lower().startswith("utf")
        self._good, self._bad, self._unplayed = ("ok", "FAILED", "-") if narrow else ("✓", "✗", "–")

    def line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style=style, overflow="fold"))

    def command(self, text: str) -> None:
        """A command to copy: never broken into lines by us."""
        self._console.print(Text(f"  {text}", style="cyan"), soft_wrap=True)

    def working(self, what: str) -> AbstractContextManager[object]:
        """Shown while it lasts, on a terminal only."""
        return self._console.status(what) if self._console.is_terminal else nullcontext()

    def opening(self, facts: Mapping[str, str]) -> None:
        self._console.print(Rule(Text("SINERGI · demonstration", style="bold"), characters="═", style="blue"))
        self.facts(facts)

    def scene(self, number: int, title: str, lead: str) -> None:
        self.line()
        self._console.print(Rule(Text(f"{number}  {title}", style="bold"), align="left", style="blue"))
        self.line(lead, "dim")

    def check(self, what: str) -> None:
        self._mark(self._good, what, "green")

    def difference(self, text: str) -> None:
        self._mark(self._bad, text, "bold red")

    def note(self, text: str) -> None:
        self._mark("·", text, "dim", style="dim")

    def _mark(self, mark: str, text: str, colour: str, *, style: str = "") -> None:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(Text(f" {mark}", style=colour), Text(text, style=style, overflow="fold"))
        self._console.print(grid)

    def facts(self, facts: Mapping[str, str]) -> None:
        grid = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            grid.add_row(Text(f"   {name}", style="dim"), Text(value, overflow="fold"))
        self._console.print(grid)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        drawn = Table(*columns, box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
        for row in rows:
            drawn.add_row(*(Text(cell, overflow="fold") if isinstance(cell, str) else cell for cell in row))
        grid = Table.grid(padding=_INDENT)
        grid.add_row(drawn)
        self.line()
        self._console.print(grid)
        self.line()

    def side_by_side(self, sent: Mapping[str, Any], received: Mapping[str, Any], titles: tuple[str, str]) -> None:
        """Every field of the payload as it was sent, and as it arrived."""
        withheld = Text("▒▒▒ withheld (ditahan)", style="bold red")
        rows: list[tuple[str | Text, ...]] = [
            (name, _short(value), _short(received[name]) if name in received else withheld)
            for name, value in sent.items()
        ]
        self.table(("field", *titles), rows)

    def refusal(self, outcome: Outcome) -> None:
        """The status, and every reason with its clause."""
        rows = [
            (
                f"{outcome.status} {reason.code}",
                reason.clause or "",
                reason.pointer or "",
                f"{CODES[reason.code].en}\n{CODES[reason.code].id}",
            )
            for reason in outcome.reasons
        ]
        self.table(("answer", "clause", "pointer", "reason (alasan)"), rows)

    def audit(self, checks: Sequence[Check]) -> None:
        """The numbered checks of a ledger."""
        marks = {True: Text(self._good, style="green"), False: Text(self._bad, style="bold red")}
        rows = [(str(check.number), marks[check.ok], check.title, _HASH.sub(r"\1…", check.detail)) for check in checks]
        self.table(("", "", "check", "found"), rows)

    def tails(self, logs: Mapping[str, Sequence[str]]) -> None:
        for name, lines in logs.items():
            self.line(f"the last lines of {name}.log:", "bold")
            for line in lines:
                self.line(f"   {line}", "dim")

    def summary(self, results: Sequence[Result]) -> None:
        marks = {
            True: Text(self._good, style="bold green"),
            False: Text(self._bad, style="bold red"),
            None: Text(self._unplayed, style="dim"),
        }
        drawn = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, expand=True)
        drawn.add_column("", justify="right")
        drawn.add_column("")
        drawn.add_column("scene", ratio=1)
        drawn.add_column("checks", justify="right")
        drawn.add_column("seconds", justify="right")
        for number, result in enumerate(results, 1):
            played = result.ok is not None
            figures = (str(result.checks), f"{result.seconds:.1f}") if played else ("", "not played")
            drawn.add_row(str(number), marks[result.ok], Text(result.title), *figures)
        self.line()
        self._console.print(Rule(Text("Ringkasan · summary", style="bold"), characters="═", style="blue"))
        self._console.print(drawn)

    def verdict(self, ok: bool, text: str) -> None:
        self._mark(self._good if ok else self._bad, text, "bold green" if ok else "bold red", style="bold")


def shown_path(path: Path) -> str:
    """From here, where that is shorter."""
    here = Path.cwd()
    return f"./{path.relative_to(here)}" if path != here and path.is_relative_to(here) else str(path)


def _short(value: Any) -> str:
    """A JSON value in few words: `alias: Bang Ucok, phone: +62…`."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{name}: {_short(held)}" for name, held in value.items())
    elif isinstance(value, list):
        text = ", ".join(map(_short, value))
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = str(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
