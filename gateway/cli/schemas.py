"""`sinergi schemas`: the message types this program knows. Needs no gateway."""

from typing import Annotated

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.output import as_json, table
from gateway.errors import NotFoundError

app = group(
    "schemas",
    "Message types and their JSON Schemas.",
    commands="sinergi schemas list\nsinergi schemas show early-warning.report/1",
)


@command(app, "list", example="sinergi schemas list")
def list_(context: typer.Context) -> None:
    """Every message type with its digest and how many of its fields may be withheld."""
    from gateway import catalogue, resources

    types = [
        {
            "type": entry.type,
            "title": entry.title_en,
            "title_id": entry.title_id,
            "digest": entry.digest,
            "sensitive": sorted(entry.sensitive),
        }
        for entry in catalogue.load(resources.schemas_dir()).types()
    ]
    if invocation(context).json:
        as_json(types)
        return
    rows = [(entry["type"], entry["title"], len(entry["sensitive"]), entry["digest"]) for entry in types]
    table(("type", "title", "sensitive", "digest"), rows)


@command(app, "show", example="sinergi schemas show early-warning.report/1 --released")
def show(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="A type with its version.")],
    *,
    released: Annotated[
        bool, typer.Option("--released", help="As recipients see it: sensitive fields may be missing.")
    ] = False,
) -> None:
    """The JSON Schema of a message type, complete in itself."""
    from gateway import catalogue, resources

    found = catalogue.load(resources.schemas_dir()).get(type_)
    if found is None:
        raise NotFoundError("no such message type; sinergi schemas list shows them", code="schema.unknown")
    as_json(found.release_schema if released else found.schema)
