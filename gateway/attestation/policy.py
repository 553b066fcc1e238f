"""What a ledger needs of others before it counts as attested, and what to do while that is missing.

Decides, from settings and from how long something has been missing: which checkpoint is published, whether a receipt is
held, whether messages are still accepted (docs/adr/0009-who-must-have-seen-a-checkpoint.md). Asks nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.keys.directory import Endpoint
from gateway.ledger.cosignature import Quorum
from gateway.ledger.note import NoteVerifier

PUBLISH: Final = "publish"
HOLD: Final = "hold-receipts"
STOP: Final = "stop"


@dataclass(frozen=True, slots=True)
class WitnessPlace:
    """A witness and where it is asked. Everything about it is of its own operator's word: only the key counts."""

    verifier: NoteVerifier
    endpoint: Endpoint

    @property
    def name(self) -> str:
        return self.verifier.name


@dataclass(frozen=True, slots=True)
class Policy:
    """What one ledger needs. `budget` is how long an entry may wait for its witnesses."""

    quorum: Quorum
    when_missing: str = PUBLISH
    budget: timedelta = timedelta()

    @property
    def witnessed(self) -> bool:
        """Whether this ledger has to be witnessed at all."""
        return self.quorum.count > 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one ledger is attested: of `size` entries, `witnessed` are under a checkpoint with its quorum.

    `waiting_since` is when the first entry beyond was recorded. The stamps are likewise of the newest timestamp.
    """

    ledger: str
    size: int
    witnessed: int
    waiting_since: datetime | None
    witnessed_at: datetime | None
    stamped: int = 0
    unstamped_since: datetime | None = None
    stamped_at: datetime | None = None

    def waited(self, now: datetime) -> timedelta:
        return timedelta() if self.waiting_since is None else max(now - self.waiting_since, timedelta())

    def unstamped(self, now: datetime) -> timedelta:
        return timedelta() if self.unstamped_since is None else max(now - self.unstamped_since, timedelta())


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of every ledger: its own, or the one for all."""

    every: Policy
    own: Mapping[str, Policy]
    places: tuple[WitnessPlace, ...]
    stamp_period: timedelta | None
    stamp_stops: bool
    stamp_budget: timedelta

    def of(self, ledger: str) -> Policy:
        return self.own.get(ledger, self.every)

    def places_of(self, ledger: str) -> tuple[WitnessPlace, ...]:
        wanted = {witness.name for witness in self.of(ledger).quorum.witnesses}
        return tuple(place for place in self.places if place.name in wanted)

    def overdue(self, standing: Standing, now: datetime) -> bool:
        """Whether witnesses have been missing for longer than the budget allows."""
        policy = self.of(standing.ledger)
        return policy.witnessed and standing.waited(now) > policy.budget

    def stamp_overdue(self, standing: Standing, now: datetime) -> bool:
        period = self.stamp_period
        return period is not None and standing.unstamped(now) > period + self.stamp_budget

    def stops(self, standing: Standing, now: datetime) -> bool:
        """Whether no more messages are to be accepted for this ledger."""
        unwitnessed = self.of(standing.ledger).when_missing == STOP and self.overdue(standing, now)
        return unwitnessed or (self.stamp_stops and self.stamp_overdue(standing, now))
