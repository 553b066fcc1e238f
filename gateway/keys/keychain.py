"""The gateway's own keys over time: which one a role uses now, and which it still has to open what is older.

Decides by the rows that rotation wrote (`OwnKey`) and by the clock. A key signs from its first moment until the next one
begins; one whose time is over signs nothing more. Leaves opening of keys to `keyring/`, the act of rotating to
`rotation.py`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from gateway.errors import KeyAwayError, KeyringError

SIGN: Final = "sign"
REQUEST: Final = "request"
CHECKPOINT: Final = "checkpoint"
# Its ML-DSA-44 signature stands beside the other one, so that checkpoints outlive Ed25519.
LONG_LIVED: Final = "checkpoint_mldsa"
STORAGE: Final = "storage"
INDEX: Final = "index"
_ACTIVE: Final = "active"
RETIRED: Final = "retired"
REVOKED: Final = "revoked"
# Used for nothing new; erased messages can be recognised with it alone.
KEPT: Final = "kept"
# Of an index key alone: nobody has it, and what was stored is not yet found by the next one.
LOST: Final = "lost"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key of the gateway with its validity `[not_before, not_after)`; `jwk` is None for a secret, `uri` says where it lies.

    `untrusted_since`: a revoked key was in other hands from then on. `succession` is what the key before a checkpoint key
    said of it (`ledger/succession.py`).
    """

    kid: str
    role: str
    jwk: dict[str, Any] | None
    uri: str | None
    not_before: datetime
    not_after: datetime | None = None
    status: str = _ACTIVE
    untrusted_since: datetime | None = None
    succession: Mapping[str, Any] | None = None

    def over(self, now: datetime) -> bool:
        return self.status != _ACTIVE or (self.not_after is not None and self.not_after <= now)

    def as_jwk(self, now: datetime, own: Iterable["OwnKey"]) -> dict[str, Any]:
        """The public JWK with its validity, as `/.well-known/jwks.json` shows it; of a key that is no secret."""
        return {
            **(self.jwk or {}),
            "kid": self.kid,
            "use": "sig",
            "purpose": self.role,
            "status": self.status,
            "stage": state(self, own, now),
            "nbf": int(self.not_before.timestamp()),
            **({} if self.not_after is None else {"exp": math.ceil(self.not_after.timestamp())}),
            **({} if self.untrusted_since is None else {"revoked_since": math.floor(self.untrusted_since.timestamp())}),
        }


def in_use(keys: Iterable[OwnKey], role: str, now: datetime) -> OwnKey | None:
    """The one key of `role` that signs or wraps at `now`: the newest that has begun and is not over."""
    begun = [key for key in keys if key.role == role and key.not_before <= now and not key.over(now)]
    return max(begun, key=lambda key: (key.not_before, key.kid), default=None)


def state(key: OwnKey, keys: Iterable[OwnKey], now: datetime) -> str:
    """`pending`, `active`, `retiring` (the next one is used, what this one did still counts), `retired`; else its status."""
    if key.status != _ACTIVE:
        return key.status
    if now < key.not_before:
        return "pending"
    if key.over(now):
        return "retired"
    used = in_use(keys, key.role, now)
    return "active" if used is not None and used.kid == key.kid else "retiring"


class Named(Protocol):
    @property
    def kid(self) -> str: ...


K = TypeVar("K", bound=Named)


@dataclass(frozen=True, slots=True)
class _Standing(Generic[K]):
    """Which keys are used and count, from one moment until the next at which a key begins or is over."""

    known: tuple[OwnKey, ...]
    held: int
    since: datetime
    until: datetime | None
    current: K
    counting: tuple[K, ...]

    def holds(self, known: tuple[OwnKey, ...], held: int, now: datetime) -> bool:
        """A clock that was set back is asked anew, as is everything after a key was learnt or opened."""
        until = self.until
        return self.known is known and self.held == held and self.since <= now and (until is None or now < until)


class Ring(Generic[K]):
    """One role's private keys: the one that the settings name, and those that rotation added since."""

    def __init__(
        self,
        first: K,
        role: str = "",
        load: Callable[[str], K] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._first = first
        self.role = role
        self._load = load
        self._clock = clock
        self._held: dict[str, K] = {first.kid: first}
        self._known: tuple[OwnKey, ...] = ()
        self._standing: _Standing[K] | None = None
        self.faults: tuple[str, ...] = ()
        # Those of them that are about a key that has not begun: it may still come, or be withdrawn.
        self.coming: tuple[str, ...] = ()
        # Whether that is all because a token or a service does not answer.
        self.away = False

    def learn(self, known: Sequence[OwnKey]) -> None:
        """Opens what is needed now or soon. What does not open is in `faults`, and raises when it is asked for."""
        now, faults, away, coming = self._clock(), [], True, []
        mine = tuple(key for key in known if key.role == self.role)
        for key in mine:
            over = key.over(now) and key.status != KEPT
            if key.kid in self._held or over or key.uri is None or self._load is None:
                continue
            try:
                held = self._load(key.uri)
            except KeyringError as error:
                told = f"the {self.role} key {key.kid} does not open here: {error.detail}"
                if key.not_before > now:
                    coming.append(told)
                    continue
                faults.append(told)
                away = away and isinstance(error, KeyAwayError)
                continue
            if held.kid == key.kid:
                self._held[key.kid] = held
            else:
                told = f"{key.uri} does not hold the {self.role} key {key.kid}"
                (coming if key.not_before > now else faults).append(told)
                away = False
        self._known, self.faults, self.away = mine, (*faults, *coming), away and bool(faults)
        self.coming = tuple(coming)

    @property
    def needed(self) -> tuple[str, ...]:
        """The faults about keys that have begun."""
        return tuple(fault for fault in self.faults if fault not in self.coming)

    def opens(self, uri: str) -> str | None:
        """The id of the key there, which is not kept; None where it does not open in this process."""
        try:
            return None if self._load is None else self._load(uri).kid
        except KeyringError:
            return None

    def current(self) -> K:
        """The key to use now. Raises KeyringError where this process could not open it: an older one is never used instead."""
        return self._now().current

    def counting(self) -> tuple[K, ...]:
        """The key to use now, and behind it those that are at hand and not over: the one before it, and the next."""
        return self._now().counting

    def _now(self) -> _Standing[K]:
        """Asked several times a message, and the same until a key begins or is over."""
        now, known, held = self._clock(), self._known, len(self._held)
        standing = self._standing
        if standing is None or not standing.holds(known, held, now):
            used = in_use(known, self.role, now)
            first = self._first if used is None else self._used(used.kid)
            others = (self._held.get(key.kid) for key in known if not key.over(now))
            counting = (first, *(key for key in others if key is not None and key.kid != first.kid))
            turns = [
                turn for key in known for turn in (key.not_before, key.not_after) if turn is not None and turn > now
            ]
            standing = _Standing(known, held, now, min(turns, default=None), first, counting)
            self._standing = standing
        return standing

    def _used(self, kid: str) -> K:
        try:
            return self.named(kid)
        except KeyAwayError:
            raise
        except KeyringError as error:
            # On this node, and for now: its file is on its way, or another node answers.
            raise KeyAwayError(error.detail, retry_after=5) from error

    def lost(self) -> tuple[str, ...]:
        """The ids of lost keys under which something still lies that the next key does not find."""
        return tuple(key.kid for key in self._known if key.status == LOST)

    def eldest(self) -> K:
        """The oldest that is in use and not over: what was made with it is still the whole.

        Raises KeyAwayError while nothing is the whole, because the key that was is lost.
        """
        if self.lost():
            raise KeyAwayError(
                "the index key is lost: stored messages are not found until `sinergi keys reindex` is done",
                retry_after=60,
            )
        now = self._clock()
        begun = [key for key in self._known if key.not_before <= now and not key.over(now)]
        return self.named(min(begun, key=lambda key: (key.not_before, key.kid)).kid) if begun else self.current()

    def kept(self) -> tuple[K, ...]:
        return tuple(self.named(key.kid) for key in self._known if key.status == KEPT)

    def held(self) -> tuple[K, ...]:
        """Every key that this process has opened, whatever became of it."""
        return tuple(self._held.values())

    def named(self, kid: str) -> K:
        """The key of this id, whatever its state. Raises KeyringError; of one that is not here, KeyAwayError."""
        held = self._held.get(kid)
        if held is None:
            # What is over is not opened beforehand: it may still be asked for by what is old.
            uri = next((key.uri for key in self._known if key.kid == kid), None)
            held = self._load(uri) if uri is not None and self._load is not None else None
            if held is None or held.kid != kid:
                raise KeyAwayError(f"this process does not have the {self.role or 'stored'} key {kid}", retry_after=5)
            self._held[kid] = held
        return held
