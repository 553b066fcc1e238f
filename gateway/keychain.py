"""The gateway's own keys over time: which one a role uses now, and which it still has to open what is older.

Decides by the rows that rotation wrote (`OwnKey`) and by the clock. A key signs from its first moment until the next one
begins; one whose time is over signs nothing more. Leaves opening of key files to `keyring.py`, the act of rotating to
`rotation.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from gateway.errors import KeyringError

SIGN: Final = "sign"
CHECKPOINT: Final = "checkpoint"
STORAGE: Final = "storage"
INDEX: Final = "index"
_ACTIVE: Final = "active"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key of the gateway with its validity `[not_before, not_after)`; `jwk` is None for a secret, `uri` says where it lies."""

    kid: str
    role: str
    jwk: dict[str, Any] | None
    uri: str | None
    not_before: datetime
    not_after: datetime | None = None
    status: str = _ACTIVE

    def over(self, now: datetime) -> bool:
        return self.status != _ACTIVE or (self.not_after is not None and self.not_after <= now)


def in_use(keys: Iterable[OwnKey], role: str, now: datetime) -> OwnKey | None:
    """The one key of `role` that signs or wraps at `now`: the newest that has begun and is not over."""
    begun = [key for key in keys if key.role == role and key.not_before <= now and not key.over(now)]
    return max(begun, key=lambda key: (key.not_before, key.kid), default=None)


def state(key: OwnKey, keys: Iterable[OwnKey], now: datetime) -> str:
    """`pending`, `active`, `retiring` (the next one is used, what it signed a moment ago still counts), `retired`, `revoked`."""
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
        self._role = role
        self._load = load
        self._clock = clock
        self._held: dict[str, K] = {first.kid: first}
        self._known: tuple[OwnKey, ...] = ()
        self.faults: tuple[str, ...] = ()

    def learn(self, known: Sequence[OwnKey]) -> None:
        """Opens what is needed now or soon. What does not open is in `faults`, and raises when it is asked for."""
        now, faults = self._clock(), []
        mine = tuple(key for key in known if key.role == self._role)
        for key in mine:
            if key.kid in self._held or key.over(now) or key.uri is None or self._load is None:
                continue
            try:
                held = self._load(key.uri)
            except KeyringError as error:
                faults.append(f"the {self._role} key {key.kid} does not open here: {error.detail}")
                continue
            if held.kid == key.kid:
                self._held[key.kid] = held
            else:
                faults.append(f"{key.uri} does not hold the {self._role} key {key.kid}")
        self._known, self.faults = mine, tuple(faults)

    def current(self) -> K:
        """The key to use now. Raises KeyringError where this process could not open it: an older one is never used instead."""
        used = in_use(self._known, self._role, self._clock())
        return self._first if used is None else self.named(used.kid)

    def named(self, kid: str) -> K:
        """The key of this id, whatever its state. Raises KeyringError."""
        held = self._held.get(kid)
        if held is None:
            # What is over is not opened beforehand: it may still be asked for by what is old.
            uri = next((key.uri for key in self._known if key.kid == kid), None)
            held = self._load(uri) if uri is not None and self._load is not None else None
            if held is None or held.kid != kid:
                raise KeyringError(f"the {self._role or 'stored'} key {kid} is not at hand in this process")
            self._held[kid] = held
        return held
