"""`sinergi ledger fsck`: every ledger checked whole where it lies, and what to do about each finding."""

from dataclasses import asdict
from typing import Annotated

import typer

from gateway.cli.context import command, invocation
from gateway.cli.output import NO, as_json, line, progress
from gateway.errors import NotFoundError


def register(app: typer.Typer) -> None:
    """Puts the command into the group `ledger`."""
    command(app, "fsck", example="sinergi ledger fsck\nsinergi ledger fsck --ledger pks-banten-2025 --json")(fsck)


def fsck(
    context: typer.Context,
    *,
    ledger: Annotated[
        list[str] | None,
        typer.Option(metavar="LEDGER", help="An agreement's id, or gateway; may be repeated [default: every ledger]."),
    ] = None,
) -> None:
    """Check ledgers in the database: every entry, tile, checkpoint and edge. Changes nothing, and works where the
    gateway refuses to start. It believes this node's checkpoint key and checkpoint files, nothing else.
    """
    from gateway.store import queries
    from gateway.store.checkpoint_files import CheckpointFiles
    from gateway.store.fsck import examine
    from gateway.store.migrations import require_current
    from gateway.wiring import connect, load_keys

    settings = invocation(context).settings()
    keys = load_keys(settings).checkpoint
    memory = CheckpointFiles(settings.gateway.state_dir / "checkpoints", keys).load()
    database = connect(settings.database.url, settings.database.password_file)
    found = []
    try:
        require_current(database)
        with database.reading() as session:
            present = {head.ledger for head in queries.ledgers(session)}
        names = dict.fromkeys(ledger or sorted(present | memory.ledgers()))
        for name in names:
            if name not in present and name not in memory.ledgers():
                raise NotFoundError(f"there is no ledger {name}")
        gone = [name for name in names if name not in present]
        for name in names:
            if name in present:
                with progress(name, shown=not invocation(context).json) as advance:
                    found.append(examine(database, keys, name, memory.newest(name), advance))
    finally:
        database.close()
    sound = not gone and all(one.ok for one in found)
    if invocation(context).json:
        ledgers = [
            {
                "ledger": one.ledger,
                "ok": one.ok,
                "checks": [asdict(check) for check in one.report.checks],
                "do": one.advice,
            }
            for one in found
        ]
        as_json({"ok": sound, "ledgers": ledgers, "gone": gone})
    else:
        for one in found:
            for check in one.report.checks:
                verdict = "warning" if check.warning else "ok" if check.ok else "FAILED"
                line(f"{one.ledger} {check.number}. {check.title}: {verdict} ({check.detail})")
            for advice in one.advice:
                line(f"{one.ledger}: what to do about {advice}")
            line(f"{one.ledger}: {'sound' if one.ok else 'NOT sound'}")
        for name in gone:
            line(f"{name}: NOT sound: it was signed for, and is gone from the database")
    if not sound:
        raise typer.Exit(NO)
