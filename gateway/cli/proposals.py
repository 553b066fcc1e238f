"""`sinergi operators proposals|show|sign|approve|withdraw`: what one operator proposed and another must sign."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.context import command, invocation
from gateway.cli.given import read_text, write_new
from gateway.cli.operators import KeyOption
from gateway.cli.output import as_json, line, message, raw, table
from gateway.cli.reason import WhyOption
from gateway.cli.side import PassphraseOption
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.operations.proposals import Kept
    from gateway.statements.proposal import Proposal

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id, or its first eight digits or more.")]
SignatureOption = Annotated[
    Path | None,
    typer.Option("--signature", metavar="FILE", help="What `operators sign` wrote elsewhere [default: signs here]."),
]
LostOption = Annotated[
    str | None,
    typer.Option(
        "--lost",
        metavar="sign|request|index",
        help="As in `keys rotate --lost`: that key of the gateway is gone, and is to be replaced.",
    ),
]


def register(app: typer.Typer) -> None:
    """Puts the commands into the group `operators`."""
    command(app, "proposals", example="sinergi operators proposals\nsinergi operators proposals --all --json")(
        proposals
    )
    command(app, "show", example="sinergi operators show 3f9a1c77 > proposal.json")(show)
    command(
        app,
        "sign",
        example="sinergi operators sign proposal.json --key file:budi.pem --passphrase-file budi.pass --out budi.jws",
    )(sign)
    command(app, "approve", example="sinergi operators approve 3f9a1c77 --operator-key file:budi.pem")(approve)
    command(app, "withdraw", example="sinergi operators withdraw 3f9a1c77 --why TIKET-92 --operator-key file:sari.pem")(
        withdraw
    )


def proposals(
    context: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--all", help="Also what was done, withdrawn, or has expired.")] = False,
    lost: LostOption = None,
) -> None:
    """What waits for a second operator's signature."""
    from gateway.operations.acts import PENDING
    from gateway.operations.proposals import proposals as kept
    from gateway.wiring import now

    with invocation(context).store(lost=_lost(lost)) as store:
        rows = [
            _members(one) for one in kept(store) if every or (one.state == PENDING and now() < one.proposal.expires)
        ]
    if invocation(context).json:
        as_json(rows)
        return
    columns = ("id", "what", "about", "why", "state", "expires")
    table(columns, [[row[name][:12] if name == "id" else row[name] for name in columns] for row in rows])


def _members(one: "Kept") -> dict[str, Any]:
    said = one.proposal
    return {
        "id": one.id,
        "what": said.what,
        "about": said.about,
        "parameters": dict(said.parameters),
        "why": said.why,
        "state": one.state,
        "expires": said.expires.isoformat(),
        "proposed_by": one.proposed_by,
        "approved_by": one.approved_by,
        "signatures": [text for text in (one.signature, one.approval) if text is not None],
    }


def show(context: typer.Context, id_: IdArgument, *, lost: LostOption = None) -> None:
    """The document itself, byte for byte: what both operators sign, and what can be taken to another machine."""
    from gateway.operations.proposals import find

    with invocation(context).store(lost=_lost(lost)) as store:
        raw(find(store, id_, pending=False).proposal.canonical().decode() + "\n")


def sign(
    context: typer.Context,
    document: Annotated[Path, typer.Argument(metavar="FILE", help="What `operators show` printed.")],
    *,
    key: KeyOption,
    passphrase_file: PassphraseOption = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The signature's new file.")],
) -> None:
    """At your own machine: read what would be done, and sign for it. Needs no gateway."""
    from gateway.cli.acting import open_key
    from gateway.errors import MalformedError
    from gateway.statements.proposal import parse_proposal, sign_proposal

    try:
        proposal = parse_proposal(read_text(document).strip().encode())
    except MalformedError as error:
        raise OperatorError(f"{document}: {error.detail}") from error
    _tell(proposal)
    signer = open_key(key, passphrase_file)
    write_new(out, sign_proposal(proposal, signer).encode() + b"\n")
    if invocation(context).json:
        as_json({"file": str(out), "proposal": proposal.digest, "kid": signer.kid})
    else:
        line(proposal.digest)


def approve(
    context: typer.Context,
    id_: IdArgument,
    *,
    signature: SignatureOption = None,
    lost: LostOption = None,
) -> None:
    """Sign as the second operator: what the proposal says is done at once, and once."""
    approved(context, id_, signature, lost=lost)


def approved(
    context: typer.Context,
    id_: str,
    signature: Path | None,
    *,
    only: str | None = None,
    attachment: str | None = None,
    lost: str | None = None,
) -> None:
    """`only`: the one kind of act that the command is about; `attachment`: what is not kept with the proposal."""
    text = None if signature is None else read_text(signature).strip()
    from gateway.countersigning import approve as countersign
    from gateway.founding import RefusedError
    from gateway.operations.proposals import find
    from gateway.statements.proposal import sign_proposal

    with invocation(context).store(lost=_lost(lost)) as store:
        who = invocation(context).acting
        if who is None:
            raise RefusedError("the gateway has no operators: nobody can propose or approve")
        kept = find(store, id_)
        if only not in (None, kept.proposal.what):
            raise RefusedError(f"the proposal is about {kept.proposal.what}, not {only}")
        if not invocation(context).json:
            _tell(kept.proposal)
        done = countersign(store, kept, text or sign_proposal(kept.proposal, who.signer), attachment=attachment)
    if invocation(context).json:
        as_json({"proposal": kept.id, "what": kept.proposal.what, "about": kept.proposal.about, "result": done})
    else:
        line(kept.id)
        message(f"Done: {done}.")


def _lost(role: str | None) -> str | None:
    if role not in (None, "sign", "request", "index"):
        raise OperatorError("--lost is for sign, request and index: docs/howto/lost-key.md")
    return role


def _tell(proposal: "Proposal") -> None:
    message(f"{proposal.what} of {proposal.about}, because of {proposal.why}:")
    for name, value in proposal.parameters.items():
        message(f"  {name}: {value}")


def withdraw(context: typer.Context, id_: IdArgument, *, why: WhyOption) -> None:
    """End a proposal: nobody can approve it any more. Any operator may."""
    from gateway.operations.proposals import find
    from gateway.operations.proposals import withdraw as end

    with invocation(context).store() as store:
        kept = find(store, id_)
        end(store, kept, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json({"proposal": kept.id, "state": "withdrawn"})
    else:
        line(kept.id)
        message("The proposal is withdrawn.")
