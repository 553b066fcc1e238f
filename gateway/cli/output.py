"""What commands print, and how they end: data on stdout, messages on stderr, one exit code for one kind of answer.

Decides the form for people, for pipes and for machines (`--json`). Rich is imported only where there is a terminal to
draw on; `NO_COLOR` and `TERM=dumb` are honoured.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from gateway.errors import CODES, GatewayError, Reason

DONE: Final = 0
NO: Final = 1
MISUSE: Final = 2
UNASKED: Final = 3

EXIT_CODES: Final[Mapping[int, str]] = {
    DONE: "done; or the answer is yes",
    NO: "the answer is no: refused, not found, not valid, a check failed",
    MISUSE: "misuse: a wrong argument, setting, key file or passphrase; nothing was tried",
    UNASKED: "could not ask: the database, a token, the gateway or the network did not answer; try again",
}
"""The one table of exit codes; docs/reference/cli.md is made from it."""

_MISUSE_CODES: Final = frozenset({"config.invalid", "keyring.refused", "schema.invalid"})
_UNASKED_CODES: Final = frozenset({"store.unavailable", "gateway.busy", "gateway.internal", "keyring.away"})


class UnreachableError(GatewayError):
    """A server could not be asked: nothing is known."""

    default_code = "store.unavailable"


def exit_code(error: GatewayError) -> int:
    """How a command ends that raised `error`."""
    if getattr(error, "answers_no", False):
        return NO
    if error.code in _UNASKED_CODES:
        return UNASKED
    return MISUSE if error.code in _MISUSE_CODES else NO


def plain(text: str) -> str:
    """Without what a terminal would obey: names and answers come from outside."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def when(moment: datetime) -> str:
    """A moment for people and machines: RFC 3339, to the second."""
    return moment.isoformat(timespec="seconds")


def message(text: str) -> None:
    """To the person, on stderr. Lines are kept, other control characters are not."""
    for line in text.split("\n"):
        print(plain(line), file=sys.stderr)  # noqa: T201 - this is where messages go


def line(text: str) -> None:
    """One line of data, on stdout."""
    print(plain(text))  # noqa: T201 - this is where data goes


def raw(text: str) -> None:
    """Data in a format of its own, byte for byte, on stdout."""
    sys.stdout.write(text)
    sys.stdout.flush()


_CONTROL: Final = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def as_json(value: Any) -> None:
    """A JSON document on stdout. Control characters beyond JSON's own are escaped: some terminals obey them."""
    # They can only stand inside strings, where the escape means the same.
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str).translate(_CONTROL))  # noqa: T201


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows for people: drawn on a terminal; aligned columns, one row a line, in a pipe."""
    texts = [[plain("" if cell is None else str(cell)) for cell in row] for row in rows]
    if fancy(sys.stdout):
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(*columns, header_style="bold")
        for row in texts:
            drawn.add_row(*(Text(cell, overflow="fold") for cell in row))
        Console(file=sys.stdout, highlight=False).print(drawn)
        return
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    for row in ([name.upper() for name in columns], *texts):
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def fancy(stream: Any) -> bool:
    """Whether to draw: a terminal that is not dumb."""
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


@contextmanager
def progress(what: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while a long work runs; nothing where stderr is not a terminal."""
    if not (shown and fancy(sys.stderr)):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def reason_line(reason: Reason) -> str:
    """`rule.condition  Pasal 5 ayat (1)  /body/severity  severity-known`."""
    return "  ".join(part for part in (reason.code, reason.clause, reason.pointer, reason.detail) if part)


def fail(error: GatewayError, *, json_: bool = False) -> None:
    """One clear line and a line for each further reason; with `json_`, one JSON line. On stderr either way."""
    if json_:
        told = {"code": error.code, "detail": error.detail, "reasons": [reason.as_json() for reason in error.reasons]}
        message(json.dumps({"error": told}))
        return
    message(f"sinergi: {error.code}: {error.detail or _title(error.code)}")
    # One reason may say more than the line: "the hold stays", because "1 of 2 persons signed".
    if len(error.reasons) > 1 or not error.detail or (error.reasons[0].detail or "") not in error.detail:
        for reason in error.reasons:
            message(f"  {reason_line(reason)}")


def _title(code: str) -> str:
    return CODES[code].en if code in CODES else "refused"
