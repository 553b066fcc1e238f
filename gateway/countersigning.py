"""The second signature: another operator approves a proposal, and at once what it says is done.

Decides which acts can be proposed and what each one's parameters mean. One commit uses the signatures up and does the act; what
is not possible any more leaves the proposal as it was. Leaves to the acts themselves that nobody does them with fewer than two.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Unpack

from gateway.errors import OperatorError
from gateway.founding import RefusedError
from gateway.key_management.compromise import compromise
from gateway.key_management.own_compromise import compromise_own, find_own, require_replaced
from gateway.key_management.rotation import Choices, Expected, key_at, rotate
from gateway.key_management.rotation import plan as plan_rotation
from gateway.keys.directory import Endpoint, parse_endpoint
from gateway.operations.acts import Authority
from gateway.operations.admission import Admission, admit
from gateway.operations.admission import plan as plan_admission
from gateway.operations.agencies import change_agency
from gateway.operations.agency_keys import OVERLAP, find_key
from gateway.operations.officers import add_officer, read_enrolment
from gateway.operations.operators import admit_operator
from gateway.operations.proposals import Kept, judge
from gateway.statements.appointment import verify_appointment
from gateway.statements.key_statement import digest_of
from gateway.statements.parameters import (
    ADD_OFFICER,
    ADD_OPERATOR,
    ADMIT_KEY,
    COMPROMISED,
    ROTATE,
    SET_AGENCY,
    duration,
    moment,
    require_parameters,
)
from gateway.statements.proposal import LIFETIME, Proposal, draft
from gateway.store.tables import AgencyRow
from gateway.wiring import Store, now


@dataclass(frozen=True, slots=True)
class Wanted:
    """An act in the form in which it is proposed. `attachment` is what the parameters name by its digest."""

    proposal: Proposal
    attachment: str | None = None


def wanted_key(store: Store, text: str, *, why: str, overlap: timedelta = OVERLAP) -> tuple[Wanted, Admission]:
    """An agency's statement, to be admitted by two operators; and what would come of it."""
    planned = plan_admission(store, text, overlap=overlap)
    proposal = _draft(store, ADMIT_KEY, planned.statement.agency, planned.parameters(), why)
    return Wanted(proposal, text), planned


def wanted_compromise(store: Store, agency: str, kid: str, since: datetime, *, why: str) -> Wanted:
    """A key that was in other hands since a past moment. Raises RefusedError for an unknown key.

    `agency` is the gateway itself for a key of its own, which must have been replaced.
    """
    if since > now():
        raise OperatorError("a key cannot have been lost in the future")
    if agency == store.settings.gateway.id:
        require_replaced(store, find_own(store, kid), now())
    else:
        find_key(store, agency, kid)
    return Wanted(_draft(store, COMPROMISED, agency, {"kid": kid, "since": since.isoformat()}, why))


def wanted_rotation(store: Store, role: str, *, why: str, **choices: Unpack[Choices]) -> Wanted:
    """The next one of the gateway's own keys. The lead begins with the second signature. Raises as `rotation.plan` does."""
    planned, uri = plan_rotation(store, role, **choices), choices.get("uri")
    spans = {"lead_seconds": choices.get("lead"), "overlap_seconds": choices.get("overlap")}
    also = {"uri": uri, "kid": key_at(store, role, uri), "instead_of": planned.instead_of}
    also["lost"] = "yes" if choices.get("lost") else None
    parameters = {
        "role": role,
        "replaces": planned.old,
        **{name: str(int(span.total_seconds())) for name, span in spans.items() if span is not None},
        **{name: value for name, value in also.items() if value is not None},
    }
    return Wanted(_draft(store, ROTATE, f"{role}-key", parameters, why))


def wanted_agency(
    store: Store,
    agency: str,
    *,
    endpoint: Endpoint | None = None,
    liaison: Endpoint | None = None,
    status: str | None = None,
    why: str,
) -> Wanted:
    """Where the gateway calls an agency, or that it is suspended no more. The file of an authority is named with its digest."""
    parameters: dict[str, str] = {} if status is None else {"status": status}
    for which, place in (("endpoint", endpoint), ("liaison", liaison)):
        if place is None:
            continue
        parameters |= {which: place.url, f"{which}_networks": ",".join(map(str, place.networks))}
        if place.ca_file is not None:
            parameters |= {f"{which}_ca_file": place.ca_file, f"{which}_ca_sha256": _sha256(place.ca_file)}
    with store.database.reading() as session:
        if session.get(AgencyRow, agency) is None:
            raise RefusedError(f"there is no agency {agency}")
    return Wanted(_draft(store, SET_AGENCY, agency, parameters, why))


def _sha256(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError as error:
        raise OperatorError(f"{file} cannot be read: {error.strerror}") from error


def wanted_operator(store: Store, statement: str, *, why: str) -> Wanted:
    """One more operator, by their own statement."""
    appointment = verify_appointment(statement, store.settings.gateway.id, now())
    return Wanted(_draft(store, ADD_OPERATOR, appointment.operator, {"kid": appointment.key.kid}, why), statement)


def wanted_officer(
    store: Store, text: str, *, not_before: datetime | None, not_after: datetime | None, why: str
) -> Wanted:
    """An officer's statement, named by its digest alone: it holds a name and a number, and is not kept while it waits."""
    enrolment = read_enrolment(store, text)
    window = {"not_before": not_before, "not_after": not_after}
    parameters = {
        "statement": digest_of(text),
        "kid": enrolment.key.kid,
        "role": enrolment.person.role,
        **{name: moment.isoformat() for name, moment in window.items() if moment is not None},
    }
    return Wanted(_draft(store, ADD_OFFICER, enrolment.agency, parameters, why))


def _draft(store: Store, what: str, about: str, parameters: Mapping[str, str], why: str) -> Proposal:
    made = draft(store.settings.gateway.id, what, about, parameters, why=why, now=now(), lifetime=LIFETIME)
    require_parameters(made)
    return made


def approve(store: Store, kept: Kept, signature: str, *, attachment: str | None = None) -> str:
    """Judges both signatures and does the act; a line that says what was done. `attachment` is what was not kept.

    Raises MalformedError for what is no proposal of any act, AccessDeniedError with every fault of the signatures, and what the
    act raises.
    """
    require_parameters(kept.proposal)
    by = judge(store, kept, signature)
    return _ACTS[kept.proposal.what](store, kept if attachment is None else replace(kept, attachment=attachment), by)


def _admit_key(store: Store, kept: Kept, by: Authority) -> str:
    done = admit(store, kept.attachment or "", kept.proposal.parameters, why=kept.proposal.why, who=by)
    said = done.statement
    return f"the {said.use} key {said.key.kid} of {said.agency} is admitted"


def _compromise(store: Store, kept: Kept, by: Authority) -> str:
    said = kept.proposal
    kid, since = said.parameters["kid"], moment(said.parameters["since"])
    if said.about == store.settings.gateway.id:
        done = compromise_own(store, kid, since, why=said.why, who=by)
        left = (
            f"; not signed again, because they differ from what was recorded: {', '.join(done.left)}"
            if done.left
            else ""
        )
        return f"the gateway's {done.role} key {kid} is revoked; {len(done.transfers)} transfers since then depend on it{left}"
    found = compromise(store, said.about, kid, since, why=said.why, who=by)
    return f"the key {kid} of {said.about} is revoked; in doubt: {len(found)} transfers"


def _rotate(store: Store, kept: Kept, by: Authority) -> str:
    said = kept.proposal.parameters
    done = rotate(
        store,
        said["role"],
        uri=said.get("uri"),
        lead=duration(said["lead_seconds"]) if "lead_seconds" in said else None,
        overlap=duration(said["overlap_seconds"]) if "overlap_seconds" in said else None,
        instead="instead_of" in said,
        lost="lost" in said,
        expected=Expected(said["replaces"], said.get("instead_of"), said.get("kid")),
        why=kept.proposal.why,
        who=by,
    )
    begins = done.begins.isoformat(timespec="seconds")
    told = f"the new {done.role} key {done.new} is {done.uri}; it is used from {begins} on"
    return told if not done.lacking else f"{told}, and these nodes do not have it yet: {', '.join(done.lacking)}"


def _set_agency(store: Store, kept: Kept, by: Authority) -> str:
    said = kept.proposal
    change_agency(
        store,
        said.about,
        status=said.parameters.get("status"),
        endpoint=_endpoint(said.parameters, "endpoint"),
        liaison=_endpoint(said.parameters, "liaison"),
        why=said.why,
        who=by,
    )
    return f"{said.about} was changed"


def _endpoint(said: Mapping[str, str], which: str) -> Endpoint | None:
    url, networks, file = said.get(which), said.get(f"{which}_networks"), said.get(f"{which}_ca_file")
    if url is None or networks is None:
        if any(name.startswith(which) for name in said):
            raise OperatorError(f"the {which} is named by a URL and its networks together")
        return None
    if file is not None and _sha256(file) != said.get(f"{which}_ca_sha256"):
        raise RefusedError(f"{file} is not the file that was proposed")
    return parse_endpoint(url, networks.split(","), file)


def _add_operator(store: Store, kept: Kept, by: Authority) -> str:
    said = kept.proposal
    added = admit_operator(store, kept.attachment or "", said.about, said.parameters["kid"], why=said.why, who=by)
    return f"{added.operator} is an operator, with the key {added.key.kid}"


def _add_officer(store: Store, kept: Kept, by: Authority) -> str:
    said, text = kept.proposal, kept.attachment
    if text is None:
        raise OperatorError(
            "the officer's statement is not kept here: `sinergi agencies officers approve` wants its file"
        )
    if digest_of(text) != said.parameters["statement"]:
        raise RefusedError("the statement is not the one that was proposed")
    first, last = (
        moment(said.parameters[name]) if name in said.parameters else None for name in ("not_before", "not_after")
    )
    added = add_officer(store, text, not_before=first, not_after=last, why=said.why, who=by)
    return f"the key {added.key.kid} is an officer's of {added.agency}, {added.person.role}"


_ACTS: Final[Mapping[str, Callable[[Store, Kept, Authority], str]]] = {
    ADMIT_KEY: _admit_key,
    COMPROMISED: _compromise,
    ROTATE: _rotate,
    SET_AGENCY: _set_agency,
    ADD_OPERATOR: _add_operator,
    ADD_OFFICER: _add_officer,
}
