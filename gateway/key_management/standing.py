"""How every key stands: what an operator should know of it, and what the ledger says of its past."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import Session

from gateway.key_management.rotation import ROLES, WALKS
from gateway.keys.directory import ACTIVE, AgencyKey, Directory, ends_within, last_end, stage
from gateway.keys.history import Life, differences, replay
from gateway.keys.keychain import LOST, SIGN, OwnKey, state
from gateway.ledger.entry import OperatorAct, decode
from gateway.ledger.tiles import TILE_WIDTH
from gateway.record import OWN_LEDGER
from gateway.settings import CertificateSettings
from gateway.store import queries
from gateway.store.endings import AUDITOR, OFFICER, RECOVERY, endings
from gateway.wiring import Store


@dataclass(frozen=True, slots=True)
class Standing:
    """One key as `keys status` shows it; `warning` is None where there is nothing to do."""

    owner: str
    role: str
    kid: str
    state: str
    since: datetime
    until: datetime | None
    warning: str | None = None


OLD: Final = timedelta(days=365)


def standings(store: Store, time: datetime) -> list[Standing]:
    """Every key that is not over: the gateway's, the agencies' with their recovery keys, officers' keys and auditors' tokens."""
    with store.database.reading() as session:
        own, directory = queries.own_keys(session), queries.load_directory(session, 0)
    gateway = store.settings.gateway.id
    found = [
        Standing(
            gateway, key.role, key.kid, state(key, own, time), key.not_before, key.not_after, _aged(key, own, time)
        )
        for key in own
        if key.status == LOST or not key.over(time)
    ]
    for agency in sorted(directory.agencies):
        keys = [key for key in directory.keys_of(agency) if key.status == ACTIVE and key.not_after > time]
        last = last_end(directory, agency, time)
        for key in keys:
            ending = ends_within(key.not_after, time) if key.not_after == last else None
            warning = (
                _unconfirmed(key, time, store.settings.certificates)
                if ending is None
                else f"the agency's last key ends within {ending} days: import the next one"
            )
            told = stage(key, directory, time)
            found.append(Standing(agency, SIGN, key.public.kid, told, key.not_before, key.not_after, warning))
        if not keys:
            found.append(Standing(agency, SIGN, "-", "missing", time, None, "the agency has no key: it cannot send"))
    return [*found, *_others(store, own, directory, time)]


def _unconfirmed(key: AgencyKey, time: datetime, settings: CertificateSettings) -> str | None:
    """Of a certified key: whether its authorities have been silent for longer than the budget."""
    if not key.public.x5c:
        return None
    if settings.roots_file is None:
        return "the key is certified, and no authority is trusted here: set certificates.roots_file"
    if key.confirmed_at is None:
        return "no authority has confirmed the key's certificate"
    if time - key.confirmed_at > timedelta(seconds=settings.budget_seconds):
        return (
            f"no authority has confirmed the key's certificate since {key.confirmed_at.isoformat(timespec='seconds')}"
        )
    return None


def _others(store: Store, own: Sequence[OwnKey], directory: Directory, time: datetime) -> Iterator[Standing]:
    """Officers' keys, agencies' recovery keys and auditors' tokens."""
    with store.database.reading() as session:
        for one in endings(session, own, directory, store.settings.gateway.id, time):
            if one.kind in (OFFICER, AUDITOR, RECOVERY) and one.ends is not None:
                days = one.within(time)
                warning = None if days is None else f"ends within {days} days: the next one is needed"
                yield Standing(one.owner, one.kind, one.name, "active", one.begins or time, one.ends, warning)


def _aged(key: OwnKey, own: Sequence[OwnKey], time: datetime) -> str | None:
    if state(key, own, time) == "active" and key.role in ROLES and time - key.not_before > OLD:
        return "in use for more than a year: rotate it"
    if key.role in WALKS and state(key, own, time) in ("retiring", LOST):
        return f"what is stored waits for `sinergi keys {WALKS[key.role]}`"
    return None


def history(store: Store) -> tuple[list[Life], list[str]]:
    """Every key as the ledger's entries made it, and where the directory differs."""
    with store.database.reading() as session:
        lives = replay(_entries(session, b'"kind":"key.'))
        directory, own = queries.load_directory(session, 0), queries.own_keys(session)
    return list(lives.values()), list(differences(lives, directory, own, store.settings.gateway.id))


def acts(store: Store) -> list[tuple[int, dict[str, Any]]]:
    """What was done with keys, by whom and why: the acts of operators, ceremonies included, each with its place in the ledger."""
    with store.database.reading() as session:
        found = list(_entries(session, b'"what":"keys.'))
    return [(index, entry) for index, entry in found if entry["kind"] == OperatorAct.kind]


def _entries(session: Session, about: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of a long ledger most entries are something else: they are not read as JSON."""
    bundle = 0
    while leaves := queries.leaves(session, OWN_LEDGER, bundle, TILE_WIDTH):
        for offset, leaf in enumerate(leaves):
            if about in leaf:
                yield bundle * TILE_WIDTH + offset, decode(leaf)
        bundle += 1
