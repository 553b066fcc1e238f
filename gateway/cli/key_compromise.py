"""`sinergi keys revoke` and `keys compromised`: a key is trusted no more."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.acting import propose
from gateway.cli.context import command, invocation
from gateway.cli.given import read_moment
from gateway.cli.keys import AgencyArgument, KeyArgument, ended
from gateway.cli.output import as_json, message, table, when
from gateway.cli.reason import WhyOption

if TYPE_CHECKING:
    from gateway.key_management.compromise import Doubtful
    from gateway.wiring import Store

SinceOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Since when somebody else may have had it: what came from then on is in doubt."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def register(app: typer.Typer) -> None:
    """Puts the commands into the group `keys`."""
    command(
        app,
        "revoke",
        example="sinergi keys revoke polda-banten 4kXv…the-whole-thumbprint --why INC-2026-014\n"
        "sinergi keys revoke polda-banten 4kXv…the-whole-thumbprint --why INC-2026-014 --since 2026-11-20T08:00:00+07:00",
        takes_thumbprint=True,
    )(revoke)
    command(
        app,
        "compromised",
        example="sinergi keys compromised polda-banten 4kXv…the-whole-thumbprint --since 2026-11-20T08:00:00+07:00"
        " --why INC-2026-014 --dry-run",
        takes_thumbprint=True,
    )(compromised)


def revoke(
    context: typer.Context,
    agency: AgencyArgument,
    kid: KeyArgument,
    *,
    why: WhyOption,
    since: SinceOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Revoke a key for good: somebody else has it, or may have it. With --since, as `keys compromised`."""
    from gateway.operations.agency_keys import find_key, revoke_key
    from gateway.operations.recovery_keys import recovery_keys, revoke_recovery_key

    if since is not None:
        compromised(context, agency, kid, since=since, why=why, dry_run=dry_run)
        return
    with invocation(context).store() as store:
        spare = next((one for one in recovery_keys(store) if (one.agency, one.key.kid) == (agency, kid)), None)
        if dry_run:
            status = spare.status if spare is not None else find_key(store, agency, kid).status
            message(f"The key of {agency} is {status}; it would be revoked. Nothing was changed.")
            return
        if spare is not None:
            revoke_recovery_key(store, spare, why=why, who=invocation(context).who)
        else:
            revoke_key(store, agency, kid, why=why, who=invocation(context).who)
    ended(context, agency, kid, "revoked")


def compromised(
    context: typer.Context,
    agency: AgencyArgument,
    kid: KeyArgument,
    *,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Since when somebody else may have had it, as far as is known.")
    ],
    why: WhyOption,
    dry_run: DryRunOption = False,
) -> None:
    """Revoke a key as of a past moment, and list every transfer that it signed since.

    On every node from the commit on. What waits of them is stopped (`transfers redeliver` starts it again), both agencies'
    liaisons are told of each, their evidence fails its check of the key. What came before that moment stays as it is.
    In a gateway with operators this only proposes it: another operator approves. An interrupted run is continued by one.
    With the gateway's own id: a key of its own, which must have been rotated first.
    """
    from gateway.countersigning import wanted_compromise
    from gateway.key_management.compromise import compromise, doubtful
    from gateway.operations.agency_keys import find_key

    moment = read_moment(since, "--since")
    assert moment is not None
    with invocation(context).store() as store:
        if agency == store.settings.gateway.id:
            _own(context, store, kid, moment, why=why, dry_run=dry_run)
            return
        known = find_key(store, agency, kid)
        if dry_run:
            found = doubtful(store, agency, kid, moment)
        elif (who := invocation(context).acting) is not None and known.untrusted_since != moment:
            propose(store, who, wanted_compromise(store, agency, kid, moment, why=why), json=invocation(context).json)
            return
        else:
            found = compromise(store, agency, kid, moment, why=why, who=invocation(context).who)
    rows = _rows(found)
    if invocation(context).json:
        as_json({"agency": agency, "kid": kid, "since": when(moment), "dry_run": dry_run, "in_doubt": rows})
        return
    if rows:
        table(tuple(rows[0]), [list(row.values()) for row in rows])
    state = "would be revoked; nothing was changed" if dry_run else "is revoked"
    message(f"The key of {agency} {state}. In doubt since {when(moment)}: {len(rows)} transfers.")


def _own(context: typer.Context, store: "Store", kid: str, since: datetime, *, why: str, dry_run: bool) -> None:
    from gateway.countersigning import wanted_compromise
    from gateway.key_management.own_compromise import compromise_own, find_own, touched

    who, gateway = invocation(context).acting, store.settings.gateway.id
    if dry_run:
        done = touched(store, kid, since)
    elif who is not None and find_own(store, kid).untrusted_since != since:
        propose(store, who, wanted_compromise(store, gateway, kid, since, why=why), json=invocation(context).json)
        return
    else:
        done = compromise_own(store, kid, since, why=why, who=invocation(context).who)
    rows = _rows(done.transfers)
    if invocation(context).json:
        told = {"agency": gateway, "kid": kid, "role": done.role, "since": when(since)}
        as_json(
            told
            | {"dry_run": dry_run, "in_doubt": rows, "signed_anew": done.signed_anew, "alerts_anew": done.alerts_anew}
            | {"not_signed_anew": list(done.left)}
        )
        return
    if rows:
        table(tuple(rows[0]), [list(row.values()) for row in rows])
    state = "would be revoked; nothing was changed" if dry_run else "is revoked"
    message(f"The gateway's {done.role} key {state}. {len(rows)} transfers since {when(since)} depend on it.")
    if done.signed_anew:
        message(f"{done.signed_anew} releases that are not delivered were signed again.")
    if done.alerts_anew:
        message(f"{done.alerts_anew} alerts that nobody acknowledged yet were signed again.")
    for one in done.left:
        message(f"{one} was not signed again: it differs from what was recorded. Run `sinergi ledger fsck`.")


def _rows(found: "Sequence[Doubtful]") -> list[dict[str, str]]:
    return [
        {
            "transfer": one.transfer,
            "received_at": when(one.received_at),
            "recipient": one.recipient,
            "type": one.type,
            "decision": one.decision,
        }
        for one in found
    ]
