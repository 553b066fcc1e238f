"""`sinergi keys rotate` and `keys rewrap`: the gateway's own keys are replaced while it runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.acting import propose
from gateway.cli.context import command, invocation
from gateway.cli.output import as_json, line, message, progress, when
from gateway.cli.reason import WhyOption
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.key_management.announcement import Rotation
    from gateway.key_management.rotation import Choices

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say how much there is to do.")]


def register(app: typer.Typer) -> None:
    """Puts the commands into the group `keys`."""
    command(
        app,
        "rotate",
        example="sinergi keys rotate --role sign --why TIKET-91 --dry-run\n"
        "sinergi keys rotate --role storage --why TIKET-92",
    )(rotate_)
    command(app, "rewrap", example="sinergi keys rewrap --why TIKET-92 --dry-run\nsinergi keys rewrap --why TIKET-92")(
        rewrap_
    )
    command(
        app,
        "reindex",
        example="sinergi keys reindex --why TIKET-93 --dry-run\nsinergi keys reindex --why TIKET-93\n"
        "sinergi keys reindex --forget-erased --why TIKET-95",
    )(reindex_)


def rotate_(
    context: typer.Context,
    *,
    role: Annotated[
        str,
        typer.Option(
            metavar="sign|request|checkpoint|checkpoint_mldsa|storage|index", help="Which of the gateway's keys."
        ),
    ],
    why: WhyOption,
    key: Annotated[
        str | None, typer.Option(metavar="URI", help="Use this existing key [default: make one beside the old].")
    ] = None,
    lead: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long the new key is known before it is used [default: sign and request 300, others 5; 900 where a node on"
            " PostgreSQL cannot open it yet].",
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long the old key counts on [default: sign and request 300, of a checkpoint 2592000, 30 days].",
        ),
    ] = None,
    lost: Annotated[
        bool,
        typer.Option(
            "--lost", help="sign, request, index: the key in use is gone. The next one, at --key, begins at once."
        ),
    ] = False,
    instead: Annotated[
        bool,
        typer.Option(
            "--instead",
            help="Not of a checkpoint: the key that was announced never begins, this one is needed earlier.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and when.")] = False,
) -> None:
    """Replace one of the gateway's own keys while it runs: no message is refused or lost by it.

    `sign`, `request`: the new public key is published at once and signs after the lead; the old one counts a while more.
    `checkpoint`, `checkpoint_mldsa`: both keys sign during the overlap, and every ledger says which key comes after which.
    `storage`, `index`: after the lead the new key is used for what comes; then run `keys rewrap` or `keys reindex`.
    In a gateway with operators this only proposes it: another operator approves, and the lead begins then.
    """
    from gateway.countersigning import wanted_rotation
    from gateway.key_management.index_loss import forgotten
    from gateway.key_management.rotation import plan, rotate

    choices = _choices(role, key, lead, overlap, instead=instead, lost=lost)
    with invocation(context).store(lost=role if lost else None) as store:
        if dry_run:
            done = plan(store, role, **choices)
        elif (who := invocation(context).acting) is not None:
            wanted = wanted_rotation(store, role, why=why, **choices)
            propose(store, who, wanted, json=invocation(context).json)
            if lost:
                message(f"The old key is lost: the other operator adds --lost {role}.")
            return
        else:
            done = rotate(store, role, why=why, who=invocation(context).who, **choices)
        unknown = forgotten(store, done.lost)
    _tell(done, unknown, json=invocation(context).json, dry_run=dry_run)


def _choices(
    role: str, key: str | None, lead: int | None, overlap: int | None, *, instead: bool, lost: bool
) -> "Choices":
    """What the options say. For a lost key nobody waits; only of the index key `rotate` must know that it is lost."""
    from datetime import timedelta

    from gateway.keyring import absolute

    uri = None if key is None else absolute(key)
    waits, both = (None if given is None else timedelta(seconds=given) for given in (lead, overlap))
    if lost:
        if role not in ("sign", "request", "index") or uri is None or waits is not None or both is not None:
            raise OperatorError(
                "--lost is for sign, request and index. It needs --key, and takes no --lead or --overlap: docs/howto/lost-key.md"
            )
        waits, both = timedelta(), None if role == "index" else timedelta()
    return {"uri": uri, "lead": waits, "overlap": both, "instead": instead, "lost": lost and role == "index"}


def _tell(done: "Rotation", unknown: int, *, json: bool, dry_run: bool) -> None:
    """`unknown`: how many erased messages are recognised no more."""
    if json:
        as_json(
            {
                "role": done.role,
                "old": done.old,
                "old_ends": None if done.old_ends is None else when(done.old_ends),
                "new": done.new,
                "begins": when(done.begins),
                "instead_of": done.instead_of,
                "lost": list(done.lost),
                "forgotten": unknown,
                "lacking": list(done.lacking),
                "uri": done.uri,
                "dry_run": dry_run,
            }
        )
        return
    line(done.new or "nothing was changed")
    message(f"The new {done.role} key is {done.uri}; it is used from {when(done.begins)} on.")
    if done.role == "storage":
        message("After that moment wrap the stored keys again: sinergi keys rewrap --why CODE")
    elif done.role == "index":
        message("After that moment build the index again: sinergi keys reindex --why CODE")
        if done.lost:
            message("Until that is done, searches, quotas over persons and new holds on persons are answered 503.")
            message(f"{unknown} erased messages can no longer be recognised: whoever sends one again gets no receipt.")
    elif done.old_ends is not None:
        message(f"The old key, {done.old}, is valid until {when(done.old_ends)}; what it signed stays valid.")
    if done.lacking:
        message(
            f"These nodes cannot open it yet: {', '.join(done.lacking)}. Give them the file in time, or withdraw the key."
        )
    message(f"Every node must be able to read that file. Then set keys.{done.role} to it; the restart can wait.")


def rewrap_(context: typer.Context, *, why: WhyOption, dry_run: DryRunOption = False) -> None:
    """After `rotate --role storage`: wrap every stored message's key by the new storage key, while the gateway runs.

    It waits for a key that begins in a moment. In small commits; a run that is interrupted is continued by the next one. At
    its end the old storage key is not needed.
    """
    from gateway.key_management.rewrapping import rewrap, to_rewrap

    with invocation(context).store() as store:
        if dry_run:
            count = to_rewrap(store)
        else:
            with progress("wrapping", shown=not invocation(context).json) as show:
                count = rewrap(store, why=why, who=invocation(context).who, progress=show)
        current = store.keys.storage.current().id
    if invocation(context).json:
        as_json({"rewrapped": count, "storage_key": current, "dry_run": dry_run})
    elif dry_run:
        line(f"{count} keys of stored messages would be wrapped by {current}")
        message("Nothing was changed.")
    else:
        line(f"{count} keys of stored messages are now wrapped by {current}")


def reindex_(
    context: typer.Context,
    *,
    forget_erased: Annotated[
        bool,
        typer.Option("--forget-erased", help="Also end older keys that are kept to recognise erased messages alone."),
    ] = False,
    why: WhyOption,
    dry_run: DryRunOption = False,
) -> None:
    """After `rotate --role index`: build the index of persons, cases and messages again with the new key, while the gateway runs.

    It waits for a key that begins in a moment. In small commits; a run that is interrupted is continued by the next one. No
    search, no quota and no retry misses anything meanwhile. At its end the old index key finds nothing any more.
    """
    from gateway.key_management.reindexing import forget_erased as forget
    from gateway.key_management.reindexing import reindex, to_forget, to_reindex

    # An older key may be gone: what is stored is found anew by its own text, and what is erased is to be forgotten.
    with invocation(context).store(lost="index" if forget_erased else None) as store:
        if dry_run:
            count, ended = to_reindex(store), to_forget(store) if forget_erased else ()
        else:
            with progress("indexing", shown=not invocation(context).json) as show:
                count = reindex(store, why=why, who=invocation(context).who, progress=show)
            ended = forget(store, why=why, who=invocation(context).who) if forget_erased else ()
        current = store.keys.index.current().id
    if invocation(context).json:
        as_json({"reindexed": count, "index_key": current, "forgotten": list(ended), "dry_run": dry_run})
    elif dry_run:
        line(f"{count} messages would be found by {current}")
        if forget_erased:
            message(f"Erased messages would not be recognised any more by {len(ended)} keys.")
        message("Nothing was changed.")
    else:
        line(f"{count} messages are now found by {current}")
