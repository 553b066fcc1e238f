"""Which keys and tokens end of themselves, and when: before that somebody has to see to the next one.

Decides whose end matters: of several keys of one agency or officer the last, of the gateway's own those with no successor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlmodel import Session

from gateway.keys.directory import ACTIVE, Directory, Officer, ends_within, last_end
from gateway.keys.keychain import OwnKey, in_use
from gateway.store import queries
from gateway.store.tables import moment

AGENCY: Final = "agency"
GATEWAY: Final = "gateway"
OFFICER: Final = "officer"
AUDITOR: Final = "auditor"
RECOVERY: Final = "recovery"


@dataclass(frozen=True, slots=True)
class Ending:
    """`name` is a key id or an auditor's; `ends` is None for an agency that has no key at all."""

    kind: str
    owner: str
    name: str
    begins: datetime | None
    ends: datetime | None

    def within(self, now: datetime) -> int | None:
        """The smallest of 30, 7 and 1 days in which it ends; None for later."""
        return None if self.ends is None else ends_within(self.ends, now)


def endings(
    session: Session, own: Sequence[OwnKey], directory: Directory, gateway: str, now: datetime
) -> Iterator[Ending]:
    """Of what counts now, or will."""
    for agency in sorted(directory.agencies):
        last = last_end(directory, agency, now)
        keys = [key for key in directory.keys_of(agency) if key.status == ACTIVE and key.not_after == last]
        name, begins = (keys[0].public.kid, keys[0].not_before) if keys else ("-", None)
        yield Ending(AGENCY, agency, name, begins, last)
        for spare in directory.spares_of(agency, now):
            yield Ending(RECOVERY, agency, spare.key.kid, spare.not_before, spare.not_after)
    for role in sorted({key.role for key in own}):
        used = in_use(own, role, now)
        if used is not None and used.not_after is not None and not _followed(used, own):
            yield Ending(GATEWAY, gateway, used.kid, used.not_before, used.not_after)
    heads: dict[str, Officer] = {}
    for officer in directory.officers.values():
        held = heads.get(officer.person)
        counts = officer.status == ACTIVE and officer.not_after > now
        if counts and (held is None or held.not_after < officer.not_after):
            heads[officer.person] = officer
    for officer in heads.values():
        yield Ending(OFFICER, officer.agency, officer.key.kid, officer.not_before, officer.not_after)
    for row in queries.auditors(session):
        ends = moment(row.expires_at)
        if row.revoked_at is None and ends > now:
            yield Ending(AUDITOR, gateway, row.id, None, ends)


def _followed(key: OwnKey, own: Sequence[OwnKey]) -> bool:
    return any(one.role == key.role and one.not_before > key.not_before and one.status == ACTIVE for one in own)
