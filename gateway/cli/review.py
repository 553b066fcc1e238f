"""`sinergi agreement check | diff | render | matrix`: an agreement read as a whole, before anyone signs it. No gateway needed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.agreement import FileArgument, app, identity, read_agreement
from gateway.cli.context import command, invocation
from gateway.cli.given import write_new
from gateway.cli.output import NO, as_json, line, message, raw, table
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.message_types.catalogue import Catalogue
    from gateway.review.difference import Change

__all__ = ["app"]  # the group with these commands in it

_MARKS = {"refused": "-", "withheld": "-"}
_LONG = 200


def _catalogue() -> "Catalogue":
    from gateway import resources
    from gateway.message_types import catalogue

    return catalogue.load(resources.schemas_dir())


@command(
    app,
    "check",
    example="sinergi agreement check agreements/pks-banten-2025.yaml\n"
    "sinergi agreement check agreements/pks-banten-2025.yaml --strict",
)
def check(
    context: typer.Context,
    file: FileArgument,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings as well.")] = False,
) -> None:
    """Read a document and print its digest, or every fault with its line; then hold its rules against the message types.

    Exit code 1 for an error: a rule that can permit nothing, an unknown type or code, a field that cannot be withheld, a
    protected person who is not. Warnings are told on stderr and fail only with --strict. Needs no gateway.
    """
    from gateway.review.findings import check as examine

    agreement = read_agreement(file)
    findings = examine(agreement, _catalogue())
    errors = [found for found in findings if found.severity == "error"]
    about = identity(agreement)
    if invocation(context).json:
        as_json(about | {"findings": [found.as_json() for found in findings]})
    else:
        line(about["digest"])
        message(f"{about['agreement']} version {about['version']} is well-formed: {about['rules']} rules,")
        message(f"between {' and '.join(about['parties'])}, {about['valid_from']} to {about['valid_until']}.")
        for found in findings:
            where = f"rule {found.rule}, {found.pointer}" if found.rule else found.pointer or "the agreement"
            message(f"{found.severity}: {found.code}: {where}: {found.text.en}")
        message(f"{len(errors)} errors, {len(findings) - len(errors)} warnings.")
    if errors or (strict and findings):
        raise typer.Exit(NO)


@command(
    app,
    "diff",
    example="sinergi agreement diff pks-v1.yaml pks-v2.yaml\n"
    "sinergi agreement diff pks-v1.yaml pks-v2.yaml --show-witness",
)
def diff(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The version before.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The version after.")],
    *,
    show_witness: Annotated[
        bool,
        typer.Option("--show-witness", help="Print each witness: a synthetic message that the two judge differently."),
    ] = False,
) -> None:
    """What a new version newly permits, refuses, releases and withholds, and every figure that changed.

    Each permission or release is shown by a message that the two versions judge differently; where none was found and
    none is excluded, the change is called undecided. Exit code 1 if anything is, or may be, newly permitted or released.
    Needs no gateway.
    """
    from gateway import resources
    from gateway.message_types import catalogue
    from gateway.review.difference import diff as compare

    found = compare(read_agreement(old), read_agreement(new), _catalogue(), catalogue.examples(resources.schemas_dir()))
    if invocation(context).json:
        as_json({"widens": bool(found.widening), "changes": [change.as_json() for change in found.changes]})
    elif found.changes:
        table(("", "what", "rule", "exchange", "purposes", "detail"), [_row(change) for change in found.changes])
        if show_witness:
            for change in found.changes:
                _tell(change)
    undecided = sum(not change.proven for change in found.changes)
    message(
        f"{len(found.changes)} changes, {len(found.widening)} of them permit or release more; {undecided} undecided."
    )
    if found.widening:
        raise typer.Exit(NO)


def _row(change: "Change") -> tuple[str, ...]:
    rules = " → ".join(dict.fromkeys(rule or "none" for rule in (change.old_rule, change.new_rule)))
    route = change.routes[0] if change.routes else None
    detail = change.subject
    if change.before is not None or change.after is not None:
        detail = f"{change.subject}: {_short(change.before)} → {_short(change.after)}"
    if change.since and change.until and (change.old_rule is None or change.new_rule is None):
        detail = f"{detail} {change.since} to {change.until}".strip()
    return (
        "?" if not change.proven else "+" if change.widens else _MARKS.get(change.kind, "~"),
        change.kind,
        "" if change.kind == "agreement" else rules,
        f"{route.type} {route.sender} → {route.recipient}" if route else "",
        " ".join(one.purpose for one in change.routes),
        detail,
    )


def _short(value: Any) -> str:
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _LONG else text[:_LONG] + "…"


def _tell(change: "Change") -> None:
    import json

    if change.witness is None:
        return
    line("")
    line(f"{change.kind}: {change.new_rule or change.old_rule} {change.subject}".rstrip())
    for text in json.dumps(change.witness.as_json(), indent=2, ensure_ascii=False, default=str).split("\n"):
        line(f"  {text}")


@command(
    app,
    "render",
    example="sinergi agreement render agreements/pks-banten-2025.yaml --lang id --out pks.html",
)
def render(
    context: typer.Context,
    file: FileArgument,
    *,
    lang: Annotated[str, typer.Option("--lang", metavar="id|en", help="Indonesian or English.")] = "id",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A new file [default: standard output].")] = None,
) -> None:
    """A page that a legal officer can read and sign: every rule in plain words, with its source. Needs no gateway."""
    from gateway.review.page import render as page

    if lang not in ("id", "en"):
        raise OperatorError("--lang is id or en")
    agreement = read_agreement(file)
    text = page(agreement, _catalogue(), "id" if lang == "id" else "en")
    if out is not None:
        write_new(out, text.encode())
    if invocation(context).json:
        as_json({**identity(agreement), "language": lang, "page": None if out else text, "file": out and str(out)})
    elif out is None:
        raw(text)
    message(f"{agreement.id} version {agreement.version}, digest {agreement.digest}.")


@command(app, "matrix", example="sinergi agreement matrix agreements/pks-banten-2025.yaml")
def matrix(context: typer.Context, file: FileArgument) -> None:
    """Who may send what to whom: a row a message type, a column a direction, in each cell the purposes. Needs no gateway."""
    from gateway.review.matrix import matrix as table_of

    found = table_of(read_agreement(file))
    if invocation(context).json:
        as_json(found.as_json())
        return
    table(
        ("type", *(f"{sender} → {recipient}" for sender, recipient in found.routes)),
        [
            (
                type_,
                *(
                    "; ".join(f"{cell.rule}: {' '.join(cell.purposes)}" for cell in found.cells.get((type_, route), ()))
                    for route in found.routes
                ),
            )
            for type_ in found.types
        ],
    )
