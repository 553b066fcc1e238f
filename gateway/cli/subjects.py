"""`sinergi subjects`: what a person may ask of the gateway about their data (UU 27/2022). No identifier in an argument."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_moment, read_object, read_text
from gateway.cli.output import as_json, line, message, table
from gateway.cli.statement import GatewayIdOption, OfficerAgencyOption, OfficerKeyOption, StatementOption, sign_matter
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.data_protection.data_subjects import Request, Subject

app = group(
    "subjects",
    "A person's requests: find, trail, correct, erase; and the register of them. Each is recorded, without the identifier.",
    commands='echo \'{"kind": "nik", "value": "…"}\' | sinergi subjects find --subject-file -\n'
    "sinergi subjects trail --subject-file subject.json --why DSR-12 --out trail.json --html trail.html",
)
SubjectOption = Annotated[
    Path,
    typer.Option(
        "--subject-file",
        metavar="FILE",
        help="JSON {kind, value} of the person's identifier, or - for standard input."
        " Kinds: nik, nip, nrp, phone, travel-document, person-token, case, officer.",
    ),
]
WhyOption = Annotated[str, typer.Option(metavar="CODE", help="The request's own number; it stays in the ledger.")]
SinceOption = Annotated[
    str | None, typer.Option("--requested-at", metavar="TIME", help="When the person asked [default: now].")
]


def _subject(path: Path) -> "Subject":
    from gateway.data_protection.data_subjects import read_subject

    return read_subject(read_object(path))


def _request(context: typer.Context, path: Path, why: str, requested_at: str | None) -> "Request":
    from gateway.data_protection.data_subjects import Request
    from gateway.founding import require_code
    from gateway.wiring import now

    asked = read_moment(requested_at, "--requested-at") or now()
    if asked > now():
        raise OperatorError("--requested-at is in the future")
    who = require_code(invocation(context).who, "the operator")
    return Request(_subject(path), require_code(why, "the request's number"), who, asked)


@command(
    app,
    "find",
    example='echo \'{"kind": "nik", "value": "…"}\' | sinergi subjects find --subject-file -',
)
def find(context: typer.Context, *, subject_file: SubjectOption) -> None:
    """The stored transfers that name the person, the newest first. An erased one is found no more."""
    from gateway.data_protection.data_subjects import find as found_by
    from gateway.store.tables import moment

    subject = _subject(subject_file)
    with invocation(context).store() as store:
        found = [
            {
                "transfer": row.id,
                "received_at": moment(row.received_at).isoformat(timespec="seconds"),
                "sender": row.sender,
                "recipient": row.recipient,
                "type": row.type,
                "decision": row.decision,
                "kept_through": row.retain_until,
            }
            for row in found_by(store, subject, invocation(context).who)
        ]
    if invocation(context).json:
        as_json(found)
        return
    columns = ["received_at", "transfer", "sender", "recipient", "type", "decision", "kept_through"]
    table(columns, [[one[column] for column in columns] for one in found])
    message(f"{len(found)} transfers. The search is recorded.")


@command(
    app,
    "trail",
    example="sinergi subjects trail --subject-file subject.json --why DSR-12 --requested-at 2026-11-23T09:00:00+07:00"
    " --out trail.json --html trail.html",
)
def trail(
    context: typer.Context,
    *,
    subject_file: SubjectOption,
    why: WhyOption,
    requested_at: SinceOption = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The trail as JSON, for you alone (mode 0600).")],
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same as a page, in Indonesian and English (mode 0600).")
    ] = None,
) -> None:
    """The trail of processing, for the person's answer within 3×24 hours: who sent what to whom, why, and who looked.

    It holds no content and not the identifier. Read it before you hand it out: it can touch a running case.
    """
    import json

    from gateway.data_protection.data_subjects import trail as trail_of
    from gateway.data_protection.trail_page import render
    from gateway.keyring import write_private

    request = _request(context, subject_file, why, requested_at)
    if taken := [path for path in (out, html) if path is not None and path.exists()]:
        raise OperatorError(f"{taken[0]} exists already")
    with invocation(context).store() as store:
        found = trail_of(store, request)
    write_private(out, json.dumps(found, indent=2, ensure_ascii=False).encode() + b"\n")
    if html is not None:
        write_private(html, render(found).encode())
    if invocation(context).json:
        told = {"request": found["request"], "transfers": len(found["transfers"]), "due_by": found["due_by"]}
        as_json(told | {"file": str(out)} | ({} if html is None else {"page": str(html)}))
        return
    line(found["request"])
    message(f"{len(found['transfers'])} transfers in {out}. To be answered by {found['due_by']}.")


@command(
    app,
    "correct",
    example="sinergi subjects correct --subject-file subject.json --why DSR-13 --requested-at 2026-11-23T09:00:00+07:00",
)
def correct(
    context: typer.Context, *, subject_file: SubjectOption, why: WhyOption, requested_at: SinceOption = None
) -> None:
    """Record a request for correction, and list for each sender the messages that it must correct if they are wrong.

    The gateway changes no message: the sender sends a `correction` (UU 27/2022 Art 30, within 3×24 hours).
    """
    from gateway.data_protection.data_subjects import correct as tasks_of

    request = _request(context, subject_file, why, requested_at)
    with invocation(context).store() as store:
        found = tasks_of(store, request)
    if invocation(context).json:
        as_json(found)
        return
    rows = [
        [sender, task["transfer"], task["type"], task["recipient"], " ".join(one["type"] for one in task["changed_by"])]
        for sender, tasks in found["senders"].items()
        for task in tasks
    ]
    table(["sender", "transfer", "type", "recipient", "changed by"], rows)
    message(f"Request {found['request']}: each sender decides, and sends `correction` by {found['due_by']}.")


@command(
    app,
    "erase",
    example="sinergi subjects erase --subject-file subject.json --why DSR-14 --dry-run\n"
    "sinergi subjects erase --subject-file subject.json --why DSR-14\n"
    "sinergi subjects erase --subject-file subject.json --why DSR-14 --before-retention UU27-2022-43-1-d"
    " --statement sari.jws --statement budi.jws\n"
    "sinergi subjects erase --subject-file subject.json --why DSR-14 --refuse UU27-2022-15-1-b",
)
def erase(
    context: typer.Context,
    *,
    subject_file: SubjectOption,
    why: WhyOption,
    requested_at: SinceOption = None,
    before_retention: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="The ground for erasing before the end of retention; it stays in the ledger. Two officers must sign for it.",
        ),
    ] = None,
    statements: Annotated[
        list[Path] | None,
        typer.Option("--statement", metavar="FILE", help="What `approve` wrote; once for each officer."),
    ] = None,
    refuse: Annotated[
        str | None, typer.Option(metavar="CODE", help="The law by which the request is refused; nothing is erased.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be erased, and what is kept.")
    ] = False,
) -> None:
    """Erase every message that names the person, unless a legal hold or a duty to keep it stands against it.

    A message is erased whole, with what it says of others. Ends with 1 when anything was kept, and says why.
    """
    from gateway.cli.retention import of, outcome, scrubbed
    from gateway.data_protection import subject_erasure

    if before_retention is not None and refuse is not None:
        raise OperatorError("a request is refused or granted, not both")
    request = _request(context, subject_file, why, requested_at)
    texts = [read_text(path).strip() for path in statements or ()]
    with invocation(context).store() as store:
        retention, clean = of(store), True
        found: dict[str, Any]
        if dry_run:
            found = subject_erasure.preview(store, retention, request, before_retention=before_retention)
            if before_retention is not None:
                found["subject"] = subject_erasure.early_erasure(store, request, before_retention).subject
        elif refuse is not None:
            found = subject_erasure.refuse(store, request, refuse)
        else:
            found = subject_erasure.erase(
                store, retention, request, before_retention=before_retention, statements=texts
            )
            clean = scrubbed(store) if found["erased"] else True
        gateway_id = store.settings.gateway.id
    if dry_run and not invocation(context).json:
        message("Nothing was changed.")
        if "subject" in found:
            message("Two officers sign, each with their own key:")
            message(
                f"  sinergi subjects approve {found['subject']} --as AGENCY --gateway-id {gateway_id} --why {why}"
                f" --ground {before_retention} --key file:NAME.pem --passphrase-file NAME.pass --out NAME.jws"
            )
    outcome(context, found, clean=clean)


@command(
    app,
    "approve",
    example="sinergi subjects approve 5d41…c1 --as polda-banten --gateway-id sinergi-banten --why DSR-14"
    " --ground UU27-2022-43-1-d --key file:sari.pem --passphrase-file sari.pass --out sari.jws",
)
def approve(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="The token that the operator's dry run shows.")],
    *,
    agency: OfficerAgencyOption,
    gateway_id: GatewayIdOption,
    why: Annotated[str, typer.Option(metavar="CODE", help="The request's number, as the operator will give it.")],
    ground: Annotated[str, typer.Option(metavar="CODE", help="The ground for erasing it before its day.")],
    key: OfficerKeyOption,
    passphrase_file: Annotated[Path, typer.Option(metavar="FILE", help="The key's passphrase.")],
    out: StatementOption,
) -> None:
    """At the officer's machine: sign that what names a person may be erased before its retention ends.

    Needs no gateway. It counts for 7 days, and only for an officer whose role is SUPERVISOR, DATA_PROTECTION_OFFICER or
    KORWAS_PPNS.
    """
    from gateway.statements.early_erasure import EarlyErasure

    matter = EarlyErasure(gateway_id, subject, why, ground)
    sign_matter(
        context, matter, agency=agency, key=key, passphrase_file=passphrase_file, out=out, told={"subject": subject}
    )


@command(app, "list", example="sinergi subjects list --why DSR-14")
def list_(
    context: typer.Context,
    *,
    why: Annotated[str | None, typer.Option(metavar="CODE", help="Only the requests with this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 100,
) -> None:
    """The register of requests: what was asked, by when an answer was due, and whether the gateway was asked in time.

    An erasure is registered when it begins; `show` says what came of it. Nobody is named, so this is not recorded.
    """
    from gateway.data_protection.request_register import listed

    with invocation(context).store() as store:
        found = listed(store, why=why, limit=limit)
    if invocation(context).json:
        as_json(found)
        return
    columns = ["recorded_at", "request", "what", "why", "who", "requested_at", "due_by"]
    table(
        [*columns, "in_time"],
        [[*(one[column] for column in columns), "yes" if one["in_time"] else "NO"] for one in found],
    )


@command(app, "show", example="sinergi subjects show 0193d5e6-…")
def show(
    context: typer.Context,
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="The number of the register.")],
) -> None:
    """One request with the transfers it was about, as JSON. They are all of one person, so this is recorded."""
    from gateway.data_protection.request_register import shown

    with invocation(context).store() as store:
        found = shown(store, request, invocation(context).who)
    as_json(found)
