"""Where a server listens: the options of `init`, which writes it down, and of `serve`, which may say otherwise."""

from typing import Annotated

import typer

HostOption = Annotated[str, typer.Option(help="Address to listen on.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")]
OtherHostOption = Annotated[str | None, typer.Option(help="Address to listen on, instead of the setting.")]
OtherPortOption = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on, instead of the setting.")
]
