"""`sinergi ledger fsck`: every ledger checked whole where it lies, and what to do about each finding.

And `accept-clock`: the operator's word that entries dated ahead are somebody's wrong clock of then, and that it is right now.
"""

import gc
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.context import command, invocation
from gateway.cli.output import NO, as_json, line, progress
from gateway.cli.reason import WhyOption
from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store.fsck import Examination

_COLLECT_AFTER: Final = (20_000, 20, 50)


def collect_seldom() -> None:
    """For a process that reads millions of rows and does nothing else: none of them is part of a cycle, and to look for cycles
    as often as usual costs a tenth of the time.
    """
    gc.set_threshold(*_COLLECT_AFTER)


def register(app: typer.Typer) -> None:
    """Puts the command into the group `ledger`."""
    command(app, "fsck", example="sinergi ledger fsck\nsinergi ledger fsck --ledger pks-banten-2025 --json")(fsck)
    command(app, "accept-clock", example="sinergi ledger accept-clock --why TIKET-12")(accept_clock)


def fsck(
    context: typer.Context,
    *,
    ledger: Annotated[
        list[str] | None,
        typer.Option(metavar="LEDGER", help="An agreement's id, or gateway; may be repeated [default: every ledger]."),
    ] = None,
) -> None:
    """Check ledgers in the database: every entry, tile, checkpoint and edge, and the messages beside them.

    Changes nothing, and works where the gateway refuses to start, or while it runs. It believes this node's checkpoint
    key and checkpoint files, nothing else.
    """
    collect_seldom()
    found, gone = _examined(invocation(context).settings(), ledger, shown=not invocation(context).json)
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
        _show(found, gone)
    if not sound:
        raise typer.Exit(NO)


def _examined(settings: "Settings", asked: list[str] | None, *, shown: bool) -> tuple[list["Examination"], list[str]]:
    """Every ledger that is `asked` for, or every one; and those that this node signed for and the database has no more."""
    from gateway.store import queries
    from gateway.store.checkpoint_files import CheckpointFiles
    from gateway.store.fsck import examine
    from gateway.store.migrations import require_current
    from gateway.wiring import connect, load_keys

    keys = load_keys(settings).checkpoint
    memory = CheckpointFiles(settings.gateway.state_dir / "checkpoints", keys).load()
    database = connect(settings.database.url, settings.database.password_file)
    found = []
    try:
        require_current(database)
        with database.reading() as session:
            present = {head.ledger for head in queries.ledgers(session)}
        names = dict.fromkeys(asked or sorted(present | memory.ledgers()))
        for name in names:
            if name not in present and name not in memory.ledgers():
                raise NotFoundError(f"there is no ledger {name}")
        gone = [name for name in names if name not in present]
        for name in names:
            if name in present:
                with progress(name, shown=shown) as advance:
                    found.append(examine(database, keys, name, memory.newest(name), advance, now=datetime.now(UTC)))
    finally:
        database.close()
    return found, gone


def _show(found: list["Examination"], gone: list[str]) -> None:
    for one in found:
        for check in one.report.checks:
            verdict = "warning" if check.warning else "ok" if check.ok else "FAILED"
            line(f"{one.ledger} {check.number}. {check.title}: {verdict} ({check.detail})")
        for advice in one.advice:
            line(f"{one.ledger}: what to do about {advice}")
        line(f"{one.ledger}: {'sound' if one.ok else 'NOT sound'}")
    for name in gone:
        line(f"{name}: NOT sound: this node knows its checkpoint, but it is missing from the database")


def accept_clock(
    context: typer.Context,
    *,
    why: WhyOption,
) -> None:
    """Say that this machine's clock is right although a ledger's newest entry is dated after it.

    For entries that were written while some clock was ahead: each such ledger gets an entry with the time of now, and
    `serve` starts again. Look at the clock first: keys, deadlines and retention are judged by it.
    """
    from gateway.operations.clock import accept_clock as accept

    with invocation(context).store() as store:
        ledgers = accept(store, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json({"ledgers": ledgers})
        return
    for ledger in ledgers:
        line(ledger)
