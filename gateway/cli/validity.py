"""From when until when: the two options of whatever counts for a time, and how they are read."""

from datetime import datetime
from typing import Annotated

import typer

from gateway.cli.given import read_moment

NotBeforeOption = Annotated[str | None, typer.Option(metavar="TIME", help="First moment [default: now].")]
NotAfterOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="First moment after it [default: a year later].")
]


def read_validity(not_before: str | None, not_after: str | None) -> tuple[datetime | None, datetime | None]:
    """What was said of the two. Raises OperatorError."""
    return read_moment(not_before, "--not-before"), read_moment(not_after, "--not-after")
