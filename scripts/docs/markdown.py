"""What all made pages share: the line that says so, tables, code."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

MADE: Final = "<!-- Made by scripts/make_docs.py. Change the code, then run it; never edit this page. -->"


def cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(map(cell, row))} |"


def code(value: object) -> str:
    """A text as it is, anything else as JSON, between backticks."""
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=dict)}`"


def listed(words: Sequence[Any], last: str = "or") -> str:
    """`a`, `b` or `c`."""
    named = [code(word) for word in words]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} {last} {named[-1]}"


def joined(parts: Sequence[str], last: str = "and") -> str:
    """The same for parts that are words already."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"
