"""The history of every key, replayed from the ledger and held against what the gateway believes of it today.

Decides what the entries say became of each key, and where the directory says something else: a row that was changed without an
entry, or an entry without its row. Pure; leaves reading to the caller.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from gateway.keys.directory import ACTIVE, RETIRED, REVOKED, Directory
from gateway.keys.keychain import OwnKey
from gateway.ledger.entry import instant

ADDED: Final = "key.added"
_ENDS: Final = {"key.retired": RETIRED, "key.revoked": REVOKED}
EVENTS: Final = frozenset({ADDED, *_ENDS})


@dataclass(frozen=True, slots=True)
class Life:
    """One key: when it may be used, how it stands, and the ledger's entries that say so, by index.

    `ends` is the first moment at which it counts no more, None for no end; of a revoked key, since when it is not trusted.
    """

    owner: str
    kid: str
    use: str
    begins: datetime
    ends: datetime | None
    status: str
    entries: tuple[int, ...]


def replay(entries: Iterable[tuple[int, Mapping[str, Any]]]) -> dict[tuple[str, str], Life]:
    """Every key by owner and id, from the (index, entry) pairs of the gateway's own ledger, in their order."""
    lives: dict[tuple[str, str], Life] = {}
    for index, entry in entries:
        if entry["kind"] not in EVENTS:
            continue
        key = (entry["agency"], entry["key"])
        ends = instant(entry["not_after"]) if "not_after" in entry else None
        if entry["kind"] == ADDED:
            held = lives.get(key)
            life = Life(*key, entry["use"], instant(entry["not_before"]), ends, ACTIVE, (index,))
            if held is not None:  # it goes on, because the next one never begins; but never after a revocation
                life = replace(life, entries=(*held.entries, index)) if held.status != REVOKED else held
            lives[key] = life
        elif key in lives:
            held = lives[key]
            # A revocation says more than a retirement, whichever comes first.
            status = REVOKED if held.status == REVOKED else _ENDS[entry["kind"]]
            lives[key] = replace(held, ends=ends or held.ends, status=status, entries=(*held.entries, index))
    return lives


def differences(
    lives: Mapping[tuple[str, str], Life], directory: Directory, own: Iterable[OwnKey], gateway: str
) -> Iterator[str]:
    """Where the ledger and the directory disagree, a line each; none, and the directory is what the entries made it."""
    known: dict[tuple[str, str], tuple[datetime, datetime | None, str]] = {}
    for key in directory.keys.values():
        ends = key.not_after
        if key.status != ACTIVE and key.changed_at is not None:
            ends = key.untrusted_since or key.changed_at
        known[key.agency, key.public.kid] = (key.not_before, ends, key.status)
    for spare in directory.recovery:
        ends = spare.not_after if spare.status == ACTIVE or spare.changed_at is None else spare.changed_at
        known[spare.agency, spare.key.kid] = (spare.not_before, ends, spare.status)
    for mine in own:
        if mine.jwk is not None:
            status = RETIRED if mine.status == ACTIVE and mine.not_after is not None else mine.status
            known[gateway, mine.kid] = (mine.not_before, mine.untrusted_since or mine.not_after, status)
    for owner, kid in sorted(lives.keys() - known.keys()):
        yield f"{owner} {kid}: the ledger has it, the directory has not"
    for owner, kid in sorted(known.keys() - lives.keys()):
        yield f"{owner} {kid}: the directory has it, the ledger has not"
    for place in sorted(lives.keys() & known.keys()):
        life, found = lives[place], known[place]
        said = (life.begins, life.ends, life.status)
        if life.status == RETIRED and found[2] == ACTIVE and life.ends == found[1]:
            # Replaced by the next key: it still counts, until the end that its retirement set.
            said = found
        wrong = [name for name, one, other in zip(("begin", "end", "status"), said, found, strict=True) if one != other]
        if wrong:
            yield f"{life.owner} {life.kid}: another {' and '.join(wrong)} than in the ledger"
