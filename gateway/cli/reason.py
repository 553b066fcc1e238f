"""Why an act is done: the option of every command that changes something."""

from typing import Annotated

import typer

WhyOption = Annotated[
    str,
    typer.Option(
        metavar="CODE",
        help="A ticket number, and nothing about a person: it stays in the ledger.",
    ),
]
