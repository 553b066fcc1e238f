"""`sinergi keys`: making key pairs, and the public keys of agencies."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_moment, read_object, write_new
from gateway.cli.output import NO, as_json, line, message, progress, table
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.jose import PublicKey

app = group(
    "keys",
    "Key pairs, and which public key may speak for which agency when.",
    commands="sinergi keys generate polda.pem --passphrase-file polda.pass --out polda.jwk\n"
    "sinergi keys import polda-banten polda.jwk --not-after 2027-11-23",
)
AgencyArgument = Annotated[str, typer.Argument(metavar="AGENCY", help="The agency's id.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KID", help="The key's whole RFC 7638 thumbprint.")]


@command(
    app,
    "generate",
    example="sinergi keys generate polda.pem --passphrase-file polda.pass --out polda.jwk",
)
def generate(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The private key's new file, encrypted PKCS#8.")],
    *,
    algorithm: Annotated[
        str,
        typer.Option(
            metavar="EdDSA|ES256|X25519|ML-DSA-44",
            help="X25519 is for storage and index keys, ML-DSA-44 for checkpoints.",
        ),
    ] = "EdDSA",
    passphrase_file: Annotated[Path, typer.Option(metavar="FILE", help="A file that only you may read (mode 0600).")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the public JWK here as well.")] = None,
) -> None:
    """Make a key pair. The private half stays in PATH; the public JWK is printed.

    Needs no gateway: an agency makes its own keys and hands over the JWK.
    """
    from gateway.keyring import LONG_LIVED, read_passphrase
    from gateway.keyring import generate as make

    if out is not None and out.exists():
        raise OperatorError(f"{out} exists already")
    public = make(path, algorithm, read_passphrase(passphrase_file))
    if public is None:
        if algorithm == LONG_LIVED:
            message(f"{path} holds a new {algorithm} key. Once keys.checkpoint_mldsa names it, its public half is in:")
            message("  sinergi ledger list")
        else:
            message(f"{path} holds a new {algorithm} key; it has no public half that anyone needs.")
        if invocation(context).json:
            as_json({"file": str(path)})
        return
    jwk = {**public.jwk, "kid": public.kid, "alg": public.alg, "use": "sig"}
    if out is not None:
        write_new(out, (json.dumps(jwk) + "\n").encode())
    line(json.dumps(jwk))
    message(f"{path} holds the private key. Hand over the JWK above, and never that file.")


@command(
    app,
    "import",
    example="sinergi keys import polda-banten polda.jwk --not-before 2026-12-01 --not-after 2027-12-01",
)
def import_(
    context: typer.Context,
    agency: AgencyArgument,
    jwk_file: Annotated[Path, typer.Argument(metavar="JWK_FILE", help="A public JWK, or - for standard input.")],
    *,
    not_before: Annotated[str | None, typer.Option(metavar="TIME", help="First moment [default: now].")] = None,
    not_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="First moment after it [default: a year later].")
    ] = None,
) -> None:
    """Let a public key speak for an agency. To change keys, import the next one before the last one ends."""
    first, last = read_moment(not_before, "--not-before"), read_moment(not_after, "--not-after")
    jwk = read_object(jwk_file)
    from gateway.errors import MalformedError
    from gateway.operations import import_key
    from gateway.wiring import now

    if last is not None and last <= now():
        raise OperatorError("--not-after has passed already")
    with invocation(context).store() as store:
        try:
            key = import_key(store, agency, jwk, not_before=first, not_after=last, who=invocation(context).who)
        except MalformedError as error:
            raise OperatorError(f"{jwk_file}: {error.detail}") from error
    if invocation(context).json:
        as_json({"agency": agency, "kid": key.kid, "alg": key.alg})
    else:
        line(key.kid)
        message(f"The key speaks for {agency}. Compare its thumbprint with the agency over another channel.")


@command(app, "list", example="sinergi keys list\nsinergi keys list polda-banten --json")
def list_(
    context: typer.Context,
    agency: Annotated[str | None, typer.Argument(metavar="[AGENCY]", help="Only this agency's.")] = None,
) -> None:
    """Public keys with their validity: the gateway's own and the agencies'."""
    from gateway.jose import public_key_from_jwk
    from gateway.store import queries

    with invocation(context).store() as store, store.database.reading() as session:
        directory = queries.load_directory(session, 0)
        own = store.settings.gateway.id
        keys: list[dict[str, Any]] = [
            {
                "owner": own,
                "use": key.role,
                **_public(public_key_from_jwk(key.jwk)),
                "status": key.status,
                "not_before": _time(key.not_before),
                "not_after": None if key.not_after is None else _time(key.not_after),
            }
            for key in queries.own_keys(session)
            if key.jwk is not None
        ]
    keys += [
        {
            "owner": key.agency,
            "use": "sign",
            **_public(key.public),
            "status": key.status,
            "not_before": _time(key.not_before),
            "not_after": _time(key.not_after),
        }
        for key in directory.keys.values()
    ]
    keys = [key for key in keys if agency in (None, key["owner"])]
    if invocation(context).json:
        as_json(keys)
        return
    columns = ("owner", "use", "alg", "kid", "status", "not_before", "not_after")
    table(columns, [[key[column] for column in columns] for key in keys])


@command(app, "status", example="sinergi keys status\nsinergi keys status --json")
def status(context: typer.Context) -> None:
    """Every key in use or to come: how old it is, what happens next, and what to do. Ends with 1 where there is a warning."""
    from gateway.rotation import standings
    from gateway.wiring import now

    time = now()
    with invocation(context).store() as store:
        found = standings(store, time)
    if invocation(context).json:
        as_json(
            [
                {
                    "owner": one.owner,
                    "role": one.role,
                    "kid": one.kid,
                    "state": one.state,
                    "since": _time(one.since),
                    "until": None if one.until is None else _time(one.until),
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
                    "-" if one.until is None else _time(one.until),
                    one.warning or "",
                ]
                for one in found
            ],
        )
    if any(one.warning for one in found):
        raise typer.Exit(NO)


@command(app, "history", example="sinergi keys history\nsinergi keys history --json")
def history(context: typer.Context) -> None:
    """What became of every key, replayed from the ledger. Ends with 1 where the directory says something else.

    A row that was changed in the database, and not by a command, shows here.
    """
    from gateway.rotation import history as replayed

    with invocation(context).store() as store:
        lives, wrong = replayed(store)
    if invocation(context).json:
        told = [
            {
                "owner": one.owner,
                "kid": one.kid,
                "use": one.use,
                "begins": _time(one.begins),
                "ends": None if one.ends is None else _time(one.ends),
                "status": one.status,
                "entries": list(one.entries),
            }
            for one in lives
        ]
        as_json({"keys": told, "differences": wrong})
    else:
        columns = ("owner", "use", "kid", "begins", "ends", "status", "entries")
        rows = [
            [
                one.owner,
                one.use,
                one.kid,
                _time(one.begins),
                "-" if one.ends is None else _time(one.ends),
                one.status,
                " ".join(map(str, one.entries)),
            ]
            for one in lives
        ]
        table(columns, rows)
        for difference in wrong:
            message(difference)
    if wrong:
        raise typer.Exit(NO)


@command(
    app,
    "rotate",
    example="sinergi keys rotate --role sign --why TIKET-91 --dry-run\n"
    "sinergi keys rotate --role storage --why TIKET-92",
)
def rotate_(
    context: typer.Context,
    *,
    role: Annotated[str, typer.Option(metavar="sign|storage", help="Which of the gateway's keys.")],
    why: Annotated[str, typer.Option(metavar="CODE", help="A ticket number; it stands in the ledger for ever.")],
    key: Annotated[
        str | None, typer.Option(metavar="URI", help="Use this existing key [default: make one beside the old].")
    ] = None,
    lead: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long the new key is known before it is used [default: sign 300, storage 5].",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and when.")] = False,
) -> None:
    """Replace one of the gateway's own keys while it runs: no message is refused or lost by it.

    `sign`: the new public key is published at once and signs after the lead; the old one counts for five minutes more.
    `storage`: after the lead the new key wraps what comes; then every stored message's key is wrapped anew (`keys rewrap`).
    """
    from datetime import timedelta

    from gateway.rotation import plan, rotate

    waits = None if lead is None else timedelta(seconds=lead)
    with invocation(context).store() as store:
        if dry_run:
            done = plan(store, role, uri=key, lead=waits)
        else:
            done = rotate(store, role, uri=key, lead=waits, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json(
            {
                "role": done.role,
                "old": done.old,
                "old_ends": None if done.old_ends is None else _time(done.old_ends),
                "new": done.new,
                "begins": _time(done.begins),
                "uri": done.uri,
                "dry_run": dry_run,
            }
        )
        return
    line(done.new or "nothing was changed")
    message(f"The new {done.role} key is {done.uri}; it is used from {_time(done.begins)} on.")
    if done.old_ends is not None:
        message(f"What the old one, {done.old}, signs counts until {_time(done.old_ends)}; what it signed stays valid.")
    else:
        message("After that moment wrap anew what is stored: sinergi keys rewrap")
    message(f"Every node must be able to read that file. Then let keys.{done.role} name it, and restart at leisure.")


@command(app, "rewrap", example="sinergi keys rewrap")
def rewrap_(context: typer.Context) -> None:
    """After `rotate --role storage`: wrap every stored message's key by the new storage key, while the gateway runs.

    It waits for a key that begins in a moment. In small commits; a run that is interrupted is continued by the next one. At
    its end the old storage key is not needed.
    """
    from gateway.rotation import rewrap

    with invocation(context).store() as store:
        with progress("wrapping", shown=not invocation(context).json) as show:
            count = rewrap(store, who=invocation(context).who, progress=show)
        current = store.keys.storage.current().id
    if invocation(context).json:
        as_json({"rewrapped": count, "storage_key": current})
    else:
        line(f"{count} keys of stored messages are now wrapped by {current}")


def _public(key: "PublicKey") -> dict[str, Any]:
    return {"kid": key.kid, "alg": key.alg, "jwk": dict(key.jwk)}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


SinceOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Since when it is in other hands: what came from then on is in doubt."),
]
WhyOption = Annotated[str, typer.Option(metavar="CODE", help="A ticket number; it stands in the ledger for ever.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@command(
    app,
    "revoke",
    example="sinergi keys revoke polda-banten 4kXv…the-whole-thumbprint --why INC-2026-014\n"
    "sinergi keys revoke polda-banten 4kXv…the-whole-thumbprint --why INC-2026-014 --since 2026-11-20T08:00:00+07:00",
    takes_thumbprint=True,
)
def revoke(
    context: typer.Context,
    agency: AgencyArgument,
    kid: KeyArgument,
    *,
    why: WhyOption,
    since: SinceOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Trust a key no more, for good: it is, or may be, in other hands. With --since, as `keys compromised`."""
    from gateway.operations import find_key, revoke_key

    if since is not None:
        compromised(context, agency, kid, since=since, why=why, dry_run=dry_run)
        return
    with invocation(context).store() as store:
        if dry_run:
            status = find_key(store, agency, kid).status
            message(f"The key of {agency} is {status}; it would be revoked. Nothing was changed.")
            return
        revoke_key(store, agency, kid, why=why, who=invocation(context).who)
    _ended(context, agency, kid, "revoked")


@command(
    app,
    "compromised",
    example="sinergi keys compromised polda-banten 4kXv…the-whole-thumbprint --since 2026-11-20T08:00:00+07:00"
    " --why INC-2026-014 --dry-run",
    takes_thumbprint=True,
)
def compromised(
    context: typer.Context,
    agency: AgencyArgument,
    kid: KeyArgument,
    *,
    since: Annotated[str, typer.Option(metavar="TIME", help="Since when it was in other hands, as far as is known.")],
    why: WhyOption,
    dry_run: DryRunOption = False,
) -> None:
    """Revoke a key as of a past moment, and list every transfer that it signed since.

    On every node from the commit on. What waits of them is stopped (`transfers redeliver` starts it again), both agencies'
    liaisons are told of each, their evidence fails its check of the key. What came before that moment stays as it is.
    """
    from gateway.compromise import compromise, doubtful
    from gateway.operations import find_key

    moment = read_moment(since, "--since")
    assert moment is not None
    with invocation(context).store() as store:
        if dry_run:
            find_key(store, agency, kid)
            found = doubtful(store, agency, kid, moment)
        else:
            found = compromise(store, agency, kid, moment, why=why, who=invocation(context).who)
    rows = [
        {
            "transfer": one.transfer,
            "received_at": _time(one.received_at),
            "recipient": one.recipient,
            "type": one.type,
            "decision": one.decision,
        }
        for one in found
    ]
    if invocation(context).json:
        as_json({"agency": agency, "kid": kid, "since": _time(moment), "dry_run": dry_run, "in_doubt": rows})
        return
    if rows:
        table(tuple(rows[0]), [list(row.values()) for row in rows])
    state = "would be revoked; nothing was changed" if dry_run else "is revoked"
    message(f"The key of {agency} {state}. In doubt since {_time(moment)}: {len(rows)} transfers.")


@command(app, "retire", example="sinergi keys retire polda-banten 4kXv…the-whole-thumbprint", takes_thumbprint=True)
def retire(context: typer.Context, agency: AgencyArgument, kid: KeyArgument) -> None:
    """End the use of a key that was replaced. What it signed before stays valid."""
    from gateway.operations import retire_key

    with invocation(context).store() as store:
        retire_key(store, agency, kid, who=invocation(context).who)
    _ended(context, agency, kid, "retired")


def _ended(context: typer.Context, agency: str, kid: str, status: str) -> None:
    if invocation(context).json:
        as_json({"agency": agency, "kid": kid, "status": status})
    else:
        line(kid)
        message(f"The key of {agency} is {status}.")
