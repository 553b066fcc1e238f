"""`sinergi schemas`: the message types this program knows, what a new version changes, and their publication."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.output import NO, as_json, line, message, table
from gateway.cli.reason import WhyOption
from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from gateway.message_types.compatibility import Compatibility

app = group(
    "schemas",
    "Message types and their JSON Schemas.",
    commands="sinergi schemas list\nsinergi schemas show early-warning.report/1\nsinergi schemas diff old-schemas schemas",
)
_LONG = 400


@command(app, "list", example="sinergi schemas list")
def list_(context: typer.Context) -> None:
    """Every message type with its digest and how many of its fields may be withheld. Needs no gateway."""
    from gateway import resources
    from gateway.message_types import catalogue

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
    """The JSON Schema of a message type, complete in itself. Needs no gateway."""
    from gateway import resources
    from gateway.message_types import catalogue

    found = catalogue.load(resources.schemas_dir()).get(type_)
    if found is None:
        raise NotFoundError("no such message type; sinergi schemas list shows them", code="schema.unknown")
    as_json(found.release_schema if released else found.schema)


@command(app, "check", example="sinergi schemas check\nsinergi schemas check ./schemas")
def check(
    context: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A folder of schemas [default: this program's].")
    ] = None,
) -> None:
    """Check that every file is pinned, every example behaves as it says, and every text is in both languages. Needs no gateway.

    Exit code 1 for a fault.
    """
    from gateway import resources
    from gateway.cli.schema_checks import examine

    catalogue, faults = examine(directory or resources.schemas_dir())
    if invocation(context).json:
        told = [{"file": fault.file, "detail": fault.detail} for fault in faults]
        as_json({"ok": not faults, "types": len(catalogue.types()), "faults": told})
    else:
        for fault in faults:
            line(f"{fault.file}: {fault.detail}")
    message(f"{len(faults)} faults in {len(catalogue.types())} message types.")
    if faults:
        raise typer.Exit(NO)


@command(
    app,
    "diff",
    example="sinergi schemas diff ./schemas-of-last-year ./schemas\nsinergi schemas diff old.json new.json",
)
def diff(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A folder of schemas, or one schema as `show` prints it.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The same, afterwards.")],
) -> None:
    """Check type by type whether all that the old version accepted is still accepted; if not, show a body that is newly refused.

    A field that may be withheld no more, or protects fewer people, is an incompatible change as well. Exit code 1 if a type
    under the same major version is incompatible, not proven compatible, or gone. Needs no gateway.
    """
    from gateway.message_types import catalogue
    from gateway.message_types.compatibility import Verdict, compare

    before, after = _schemas(old), _schemas(new)
    examples = catalogue.examples(old) if old.is_dir() else {}
    changes: list[tuple[str, str, Compatibility | None]] = []
    for type_ in sorted(before.keys() | after.keys()):
        if type_ not in before or type_ not in after:
            changes.append((type_, "new" if type_ in after else "gone", None))
        elif before[type_] != after[type_]:
            found = compare(before[type_], after[type_], examples.get(type_, ()))
            changes.append((type_, _VERDICTS[found.verdict.value], found))
    bad = [type_ for type_, _, found in changes if found is not None and found.verdict is not Verdict.YES]
    bad += [type_ for type_, state, _ in changes if state == "gone"]
    if invocation(context).json:
        as_json(
            {
                "compatible": not bad,
                "types": [{"type": type_, "change": state, **_told(found)} for type_, state, found in changes],
            }
        )
    else:
        table(
            ("type", "change", "of bodies", "newly refused", "beside the schema"), [_row(*change) for change in changes]
        )
    message(f"{len(changes)} types differ, {len(bad)} of them need a new major version.")
    if bad:
        raise typer.Exit(NO)


_VERDICTS = {"yes": "compatible", "no": "incompatible", "unknown": "not proven compatible"}


def _told(found: "Compatibility | None") -> dict[str, Any]:
    if found is None:
        return {}
    told = {
        "form": found.form,
        "witness": found.witness,
        "newly_rejected": found.newly_rejected,
        "weakened": found.weakened or None,
        "asked_more": found.asked_more or None,
        "asked_less": found.asked_less or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _row(type_: str, state: str, found: "Compatibility | None") -> tuple[str, ...]:
    if found is None:
        return type_, state, "", "", ""
    shown = found.witness if found.witness is not None else found.newly_rejected
    text = "" if shown is None else json.dumps(shown, ensure_ascii=False)
    beside = [
        *(f"weakened: {one}" for one in found.weakened),
        *(f"asked now: {one}" for one in found.asked_more),
        *(f"asked no more: {one}" for one in found.asked_less),
    ]
    return type_, state, found.form or "", text if len(text) <= _LONG else text[:_LONG] + "…", "; ".join(beside)


def _schemas(place: Path) -> dict[str, Any]:
    """Self-contained schemas by type, of a folder or of one file."""
    from gateway.message_types import catalogue

    if place.is_dir():
        return {entry.type: entry.schema for entry in catalogue.Catalogue(catalogue.read(place)).types()}
    return catalogue.read_one(place)


@command(
    app,
    "publish",
    example="sinergi schemas publish --why RILIS-0.1 --dry-run\nsinergi schemas publish --why RILIS-0.1",
)
def publish(
    context: typer.Context,
    *,
    why: WhyOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be published, change nothing.")] = False,
) -> None:
    """Make this program's message types the ones that agencies are judged by. The gateway does not start without this.

    A changed type is published only if it is proven to take every body that the published one took; anything else needs
    a new major version. All types are published, or none. Recorded in the gateway's own ledger.
    """
    from gateway import resources
    from gateway.message_types import catalogue
    from gateway.operations.publishing import plan
    from gateway.operations.publishing import publish as place

    types = catalogue.load(resources.schemas_dir())
    examples = catalogue.examples(resources.schemas_dir())
    with invocation(context).store() as store:
        publications = plan(store, types, examples)
        refused = [one for one in publications if not one.may_pass]
        if invocation(context).json:
            as_json(
                {
                    "published": not dry_run and not refused,
                    "types": [
                        {
                            "type": one.type,
                            "change": _state(one.entry is None, one.replaces, one.compatibility),
                            "digest": one.entry and one.entry.digest,
                            "replaces": one.replaces,
                            **_told(one.compatibility),
                        }
                        for one in publications
                    ],
                }
            )
        elif publications:
            rows = [
                _row(one.type, _state(one.entry is None, one.replaces, one.compatibility), one.compatibility)
                for one in publications
            ]
            table(("type", "change", "of bodies", "newly refused", "beside the schema"), rows)
        if not dry_run:
            place(store, types, examples, why=why, who=invocation(context).who)
    if dry_run:
        message(f"{len(publications)} types would be published, {len(refused)} refused. Nothing was changed.")
    else:
        message(f"{len(publications)} types published." if publications else "Everything is published already.")
    if refused:
        raise typer.Exit(NO)


def _state(gone: bool, replaces: str | None, found: "Compatibility | None") -> str:
    if gone:
        return "gone"
    return "new" if replaces is None or found is None else _VERDICTS[found.verdict.value]
