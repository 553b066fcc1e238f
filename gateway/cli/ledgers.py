"""`sinergi ledger`: what there is, a full audit of any published ledger, and a static copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_text
from gateway.cli.output import NO, UnreachableError, as_json, line, message, progress, table
from gateway.cli.verifier import read_trust
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ledger.checkpoint import Checkpoint
    from gateway.ledger.cosignature import Trust
    from gateway.ledger.note import NoteVerifier
    from gateway.ledger.verify import AuditReport, Reader, Source

app = group(
    "ledger",
    "Append-only ledgers: list, verify, prove, export.",
    commands="sinergi ledger list\nsinergi ledger verify https://sinergi.example.id/ledger/pks-banten-2025 --vkey VKEY",
)

SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="A ledger's URL, or the directory of an export.")]
KeyOption = Annotated[
    list[str],
    typer.Option(
        metavar="VKEY",
        help="The ledger's public key, as it was handed over, never from where it is served; repeated, all must have signed.",
    ),
]
WitnessOption = Annotated[
    list[str] | None, typer.Option(metavar="VKEY", help="A witness whose cosignature counts; may be repeated.")
]
QuorumOption = Annotated[
    int | None, typer.Option(min=0, metavar="K", help="How many of the witnesses must have cosigned [default: all].")
]


@command(app, "list", example="sinergi ledger list")
def list_(context: typer.Context) -> None:
    """Every ledger with its size and the key that verifies it. Give the key to whoever should be able to check."""
    from gateway.store import queries
    from gateway.store.append import verified_head

    with invocation(context).store() as store, store.database.reading() as session:
        ledgers = [
            {
                "ledger": head.ledger,
                "origin": head.origin,
                "size": head.size,
                "root": verified_head(head, store.keys.checkpoint).root.hex(),
                "vkey": store.keys.checkpoint.note_signer(head.origin).vkey,
            }
            | ({} if (own := store.keys.long_lived(head.origin)) is None else {"mldsa_vkey": own.verifier.vkey})
            for head in queries.ledgers(session)
        ]
    if invocation(context).json:
        as_json(ledgers)
        return
    columns = ("ledger", "size", "vkey")
    table(columns, [[ledger[column] for column in columns] for ledger in ledgers])


@command(
    app,
    "verify",
    example="sinergi ledger verify https://sinergi.example.id/ledger/pks-banten-2025"
    " --vkey 'sinergi.example.id/ledger/pks-banten-2025+4f3c…'"
    " --witness 'witness.polda-banten.example/w1+9a1b…' --witness 'witness.ombudsman.example/w7+77c0…' --quorum 2\n"
    'sinergi ledger verify ./export --vkey "$(cat ledger.vkey)" --old-checkpoint last-year.checkpoint',
)
def verify(
    context: typer.Context,
    source: SourceArgument,
    *,
    vkey: KeyOption,
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    origin: Annotated[
        str | None, typer.Option(metavar="ORIGIN", help="The ledger's name [default: the name in VKEY].")
    ] = None,
    old_checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An earlier checkpoint that the ledger must extend.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM authorities of the server's certificate.")
    ] = None,
) -> None:
    """Check a whole ledger: every signature, entry, tile and root. Believes nothing but VKEY, needs no gateway's files."""
    trust = read_trust(vkey, witness, quorum)
    name = origin or trust.origin
    trusted = None if old_checkpoint is None else _trusted(old_checkpoint, name, trust.keys)
    report = audited(source, ca_file, name, trust, trusted=trusted)
    if invocation(context).json:
        size = None if report.checkpoint is None else report.checkpoint.size
        later = [key.vkey for key in report.later]
        checks = [asdict(check) for check in report.checks]
        as_json({"origin": name, "ok": report.ok, "size": size, "checks": checks, "later_vkeys": later})
    else:
        for check in report.checks:
            verdict = "warning" if check.warning else "ok" if check.ok else "FAILED"
            line(f"{check.number}. {check.title}: {verdict} ({check.detail})")
        line(f"{name}: {'verified' if report.ok else 'NOT verified'}")
        for key in report.later:
            message(f"The ledger has a newer key, and the key that you trust confirms it: {key.vkey}")
    if not report.ok:
        raise typer.Exit(NO)


def audited(
    source: str,
    ca_file: Path | None,
    name: str,
    trust: "Trust",
    *,
    trusted: "Checkpoint | None" = None,
    reader: "Reader | None" = None,
) -> "AuditReport":
    """The audit of the whole ledger `name` at `source`. Raises UnreachableError where that cannot be asked."""
    from gateway.ledger.verify import SourceUnavailableError, audit

    asked = trust if len(trust.keys) > 1 or trust.quorum.witnesses else None
    every = (*trust.keys, *trust.quorum.witnesses)
    try:
        with open_source(source, ca_file) as place, progress("entries") as advance:
            return audit(place, name, every, trusted=trusted, asked=asked, progress=advance, reader=reader)
    except SourceUnavailableError as error:
        raise UnreachableError(error.detail) from error


def _trusted(file: Path, origin: str, keys: "Sequence[NoteVerifier]") -> "Checkpoint":
    from gateway.errors import LedgerInvalidError
    from gateway.ledger.checkpoint import open_checkpoint

    try:
        return open_checkpoint(read_text(file).encode(), origin, keys).checkpoint
    except LedgerInvalidError as error:
        raise OperatorError(f"{file} is not a checkpoint of this ledger: {error.detail}") from error


@contextmanager
def open_source(text: str, ca_file: Path | None) -> "Iterator[Source]":
    from gateway.ledger.source import DirectorySource, HttpSource

    if not text.startswith(("http://", "https://")):
        directory = Path(text)
        if not directory.is_dir():
            raise OperatorError(f"{text} is neither a URL nor a directory")
        yield DirectorySource(directory)
        return
    import httpx

    from gateway.cli.remote import authorities

    limits = httpx.Limits(max_keepalive_connections=1)
    # A redirect would let the asked server choose another one to answer for it.
    with httpx.Client(verify=authorities(ca_file), timeout=30, follow_redirects=False, limits=limits) as client:
        yield HttpSource(client, text.rstrip("/") + "/")


@command(
    app,
    "export",
    example="sinergi ledger export /srv/www/ledger\nsinergi ledger export ./export --ledger pks-banten-2025",
)
def export(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made if need be; an older export is extended.")],
    *,
    ledger: Annotated[
        list[str] | None,
        typer.Option(metavar="LEDGER", help="An agreement's id, or gateway; may be repeated [default: every ledger]."),
    ] = None,
) -> None:
    """Write ledgers as the static files that a web server would serve: anyone can verify them there, without a gateway.

    Each is in a folder of its name. Only what is new is written, the checkpoint last: an interrupted export is the
    older one, and the next goes on from there.
    """
    from datetime import UTC, datetime

    from gateway.attestation.standing import published
    from gateway.attestation.wiring import read_policies
    from gateway.store import queries
    from gateway.store.export import export_ledger

    told: list[dict[str, Any]] = []
    with invocation(context).store() as store:
        with store.database.reading() as session:
            policies = read_policies(store.settings)
            names = ledger or [head.ledger for head in queries.ledgers(session)]
            for name in names:
                queries.ledger_head(session, name)  # all or nothing for a name that is not known
        for name in dict.fromkeys(names):
            with progress(name, shown=not invocation(context).json) as advance:
                with store.database.reading() as session:
                    note = published(session, name, policies, datetime.now(UTC))
                keys = store.keys.checkpoint
                done = export_ledger(store.database, keys, name, directory / name, advance, note=note)
            vkey = store.keys.checkpoint.note_signer(done.origin).vkey
            told.append(asdict(done) | {"new": done.size - done.old_size, "vkey": vkey})
    if invocation(context).json:
        as_json(told)
        return
    for one in told:
        line(one["vkey"])
        place = directory / one["ledger"]
        message(f"{one['size']} entries of {one['origin']} are in {place}, {one['new']} of them new. Next:")
        message(f"  sinergi ledger verify {place} --vkey '{one['vkey']}'")
