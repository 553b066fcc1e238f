"""`sinergi agencies officers`: who may approve the release of confidential fields for an agency."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.acting import propose
from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_text
from gateway.cli.keys import AgencyArgument, KeyArgument
from gateway.cli.output import as_json, line, message, table
from gateway.cli.proposals import IdArgument, SignatureOption, approved
from gateway.cli.reason import WhyOption
from gateway.cli.side import PassphraseOption
from gateway.cli.statement import GatewayIdOption, OfficerAgencyOption, OfficerKeyOption
from gateway.cli.validity import NotAfterOption, NotBeforeOption, read_validity
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.operations.officers import Listed

app = group(
    "officers",
    "Named officers of an agency, who approve with keys of their own.",
    commands="sinergi agencies officers enrol --as polda-banten --gateway-id sinergi-banten --id 78010203"
    " --name 'Ipda Sari' --role PPA_OFFICER --unit 'Unit PPA' --key file:sari.pem --passphrase-file sari.pass"
    " --out sari.jws\n"
    "sinergi agencies officers add sari.jws --why SPRIN-7\n"
    "sinergi agencies officers list polda-banten",
)


@command(
    app,
    "enrol",
    example="sinergi agencies officers enrol --as polda-banten --gateway-id sinergi-banten --id 78010203"
    " --name 'Ipda Sari' --role PPA_OFFICER --unit 'Unit PPA' --key file:sari.pem --passphrase-file sari.pass"
    " --out sari.jws",
)
def enrol(
    context: typer.Context,
    *,
    agency: OfficerAgencyOption,
    gateway_id: GatewayIdOption,
    number: Annotated[str, typer.Option("--id", metavar="NUMBER", help="NIP, NRP or the agency's own number.")],
    name: Annotated[str, typer.Option(help="Name with rank and titles.")],
    role: Annotated[str, typer.Option(metavar="CODE", help="The office, from the code list officer-role.")],
    unit: Annotated[str, typer.Option(help="Unit or office.")],
    key: OfficerKeyOption,
    passphrase_file: PassphraseOption = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The statement's new file, for you alone (mode 0600).")],
) -> None:
    """At the officer's machine: sign the statement with which an operator admits the officer.

    Needs no gateway. It proves that the key is in the officer's hands, and is good for 7 days.
    """
    from gateway.errors import MalformedError
    from gateway.keyring import load_signer, read_passphrase, write_private
    from gateway.statements.enrolment import Person, sign_enrolment
    from gateway.wiring import now

    signer = load_signer(key, read_passphrase(passphrase_file))
    person = Person(id=number, name=name, role=role, unit=unit)
    try:
        statement = sign_enrolment(person, agency, gateway_id, key=signer.public, signer=signer, now=now())
    except MalformedError as error:
        raise OperatorError(error.detail) from error
    write_private(out, statement.encode() + b"\n")
    if invocation(context).json:
        as_json({"file": str(out), "agency": agency, "kid": signer.kid, "role": role})
    else:
        line(signer.kid)
        message(f"{out} holds the statement. Give the operator the thumbprint above over another channel.")


@command(app, "add", example="sinergi agencies officers add sari.jws --not-after 2027-11-23 --why SK-2026-17")
def add(
    context: typer.Context,
    statement: Annotated[Path, typer.Argument(metavar="FILE", help="What `enrol` wrote, or - for standard input.")],
    *,
    not_before: NotBeforeOption = None,
    not_after: NotAfterOption = None,
    why: WhyOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what the statement says.")] = False,
) -> None:
    """Admit an officer: check the statement against the agency's letter of appointment first.

    The ledger gets the key's id and the role. Name and number are kept sealed. In a gateway with operators this only
    proposes it: another operator approves, with the statement's file at hand.
    """
    first, last = read_validity(not_before, not_after)
    text = read_text(statement).strip()
    from gateway.countersigning import wanted_officer
    from gateway.errors import CallerError
    from gateway.operations.officers import add_officer, read_enrolment
    from gateway.wiring import now

    if last is not None and last <= now():
        raise OperatorError("--not-after has passed already")
    with invocation(context).store() as store:
        try:
            if dry_run:
                enrolment = read_enrolment(store, text)
            elif (who := invocation(context).acting) is not None:
                wanted = wanted_officer(store, text, not_before=first, not_after=last, why=why)
                propose(store, who, wanted, json=invocation(context).json)
                return
            else:
                enrolment = add_officer(
                    store, text, not_before=first, not_after=last, why=why, who=invocation(context).who
                )
        except CallerError as error:
            raise OperatorError(f"{statement}: {error.detail}") from error
    person, kid = enrolment.person, enrolment.key.kid
    if invocation(context).json:
        told = {"agency": enrolment.agency, "kid": kid, "role": person.role, "unit": person.unit}
        as_json(told | {"result": "not added" if dry_run else "added"})
        return
    line(kid)
    message(f"{person.name}, {person.unit}: {person.role} of {enrolment.agency}.")
    message("Nothing was changed." if dry_run else "The officer may approve. Compare the thumbprint with the officer.")


@command(app, "approve", example="sinergi agencies officers approve 3f9a1c77 sari.jws --operator-key file:budi.pem")
def approve(
    context: typer.Context,
    id_: IdArgument,
    statement: Annotated[Path, typer.Argument(metavar="FILE", help="The same statement, or - for standard input.")],
    *,
    signature: SignatureOption = None,
) -> None:
    """Sign as the second operator: the officer is admitted. The statement is not kept while it waits, so it is given again."""
    from gateway.statements.parameters import ADD_OFFICER

    approved(context, id_, signature, only=ADD_OFFICER, attachment=read_text(statement).strip())


@command(app, "list", example="sinergi agencies officers list\nsinergi agencies officers list polda-banten --json")
def list_(
    context: typer.Context,
    agency: Annotated[str | None, typer.Argument(metavar="[AGENCY]", help="Only this agency's.")] = None,
    *,
    names: Annotated[bool, typer.Option("--names", help="Open the sealed names and numbers.")] = False,
) -> None:
    """Officers with role and validity; without names, unless they are asked for."""
    from gateway.operations.officers import listed

    with invocation(context).store() as store:
        officers = [_members(entry, names=names) for entry in listed(store, agency)]
    if invocation(context).json:
        as_json(officers)
        return
    columns = ["agency", *(["id", "name"] if names else []), "role", "unit", "kid", "status", "not_before", "not_after"]
    table(columns, [[officer[column] for column in columns] for officer in officers])


def _members(entry: "Listed", *, names: bool) -> dict[str, str]:
    officer = entry.officer
    return {
        "agency": officer.agency,
        **({"id": entry.id, "name": entry.name} if names else {}),
        "role": officer.role,
        "unit": officer.unit,
        "kid": officer.key.kid,
        "status": officer.status,
        "not_before": officer.not_before.isoformat(timespec="seconds"),
        "not_after": officer.not_after.isoformat(timespec="seconds"),
    }


@command(
    app,
    "revoke",
    example="sinergi agencies officers revoke polda-banten 4kXv…the-whole-thumbprint --why MUTASI-2026-07",
    takes_thumbprint=True,
)
def revoke(
    context: typer.Context,
    agency: AgencyArgument,
    kid: KeyArgument,
    *,
    why: WhyOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Let an officer's key approve nothing more: the officer left, or somebody else may have the key."""
    from gateway.operations.officers import find_officer, revoke_officer

    with invocation(context).store() as store:
        if dry_run:
            status = find_officer(store, agency, kid).status
            message(f"The officer's key is {status}; it would be revoked. Nothing was changed.")
            return
        revoke_officer(store, agency, kid, why=why, who=invocation(context).who)
    if invocation(context).json:
        as_json({"agency": agency, "kid": kid, "status": "revoked"})
    else:
        line(kid)
        message(f"The officer's key of {agency} is revoked.")
