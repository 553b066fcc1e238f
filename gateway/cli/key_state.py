"""`sinergi keys status` and `keys history`: how every key stands, and how it came to be so."""

import typer

from gateway.cli.context import command, invocation
from gateway.cli.output import NO, as_json, message, table, when


def register(app: typer.Typer) -> None:
    """Puts the commands into the group `keys`."""
    command(app, "status", example="sinergi keys status\nsinergi keys status --json")(status)
    command(app, "nodes", example="sinergi keys nodes\nsinergi keys nodes --json")(nodes)
    command(app, "history", example="sinergi keys history\nsinergi keys history --json")(history)


def status(context: typer.Context) -> None:
    """Every key in use or to come: how old it is, what happens next, and what to do.

    Ends with 1 where there is a warning, or a node that cannot open a key.
    """
    from gateway.key_management.standing import standings
    from gateway.store.nodes import live
    from gateway.wiring import now

    time = now()
    with invocation(context).store() as store:
        found = standings(store, time)
        with store.database.reading() as session:
            poor = [node for node in live(session) if node.unopened]
    if invocation(context).json:
        as_json(
            [
                {
                    "owner": one.owner,
                    "role": one.role,
                    "kid": one.kid,
                    "state": one.state,
                    "since": when(one.since),
                    "until": None if one.until is None else when(one.until),
                    "warning": one.warning,
                }
                for one in found
            ]
        )
    else:
        table(
            ("owner", "role", "kid", "state", "days", "until", "warning"),
            [
                [
                    one.owner,
                    one.role,
                    one.kid,
                    one.state,
                    max(0, (time - one.since).days),
                    "-" if one.until is None else when(one.until),
                    one.warning or "",
                ]
                for one in found
            ],
        )
    for node in poor:
        message(f"{node.name} cannot open {node.unopened} keys that it needs now or soon: sinergi keys nodes")
    if poor or any(one.warning for one in found):
        raise typer.Exit(NO)


def nodes(context: typer.Context) -> None:
    """Which processes serve, and what each knows of the keys, as they say every two seconds. On PostgreSQL alone.

    `behind`: it has not read the newest change of agencies and keys. `unopened`: so many keys that it needs now or soon do not
    open there; its `/readyz` says so. Ends with 1 if there is any.
    """
    from gateway.store import queries
    from gateway.store.clocks import database_time
    from gateway.store.nodes import live

    with invocation(context).store() as store, store.database.reading() as session:
        version, time = queries.config_version(session), database_time(session)
        rows = [
            {
                "node": one.name,
                "seen_seconds_ago": round((time - one.seen_at).total_seconds(), 1),
                "behind": one.config_version < version,
                "unopened": one.unopened,
            }
            for one in live(session)
        ]
        alone = store.database.is_sqlite
    if invocation(context).json:
        as_json(rows)
    else:
        columns = ("node", "seen_seconds_ago", "behind", "unopened")
        table(columns, [[row[name] for name in columns] for row in rows])
        if alone:
            message("On SQLite one machine serves, and no register of nodes is kept.")
    if any(row["behind"] or row["unopened"] for row in rows):
        raise typer.Exit(NO)


def history(context: typer.Context) -> None:
    """What became of every key, replayed from the ledger. Ends with 1 where the directory says something else.

    A row that was changed in the database, and not by a command, shows here. Below it what was done with keys, by whom and why.
    """
    from gateway.key_management.standing import acts
    from gateway.key_management.standing import history as replayed

    with invocation(context).store() as store:
        lives, wrong = replayed(store)
        done = acts(store)
    if invocation(context).json:
        told = [
            {
                "owner": one.owner,
                "kid": one.kid,
                "use": one.use,
                "begins": when(one.begins),
                "ends": None if one.ends is None else when(one.ends),
                "status": one.status,
                "entries": list(one.entries),
            }
            for one in lives
        ]
        members = ("time", "who", "what", "about", "why")
        acted = [{"entry": index, **{name: entry.get(name) for name in members}} for index, entry in done]
        as_json({"keys": told, "acts": acted, "differences": wrong})
    else:
        columns = ("owner", "use", "kid", "begins", "ends", "status", "entries")
        rows = [
            [
                one.owner,
                one.use,
                one.kid,
                when(one.begins),
                "-" if one.ends is None else when(one.ends),
                one.status,
                " ".join(map(str, one.entries)),
            ]
            for one in lives
        ]
        table(columns, rows)
        table(
            ("entry", "time", "who", "what", "about", "why"),
            [
                [index, entry["time"], entry["who"], entry["what"], entry.get("about", "-"), entry["why"]]
                for index, entry in done
            ],
        )
        for difference in wrong:
            message(difference)
    if wrong:
        raise typer.Exit(NO)
