"""Who an agency is, and which of its keys was valid when.

Decides whether a key may speak for an agency at a moment; the moment is always that of receipt, never a date that the
sender wrote. A `Directory` is a frozen picture; `store/` makes a new one when an operator changes anything.
"""

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.errors import KeyRefusedError, OperatorError, UnconfirmedKeyError
from gateway.jose import PublicKey
from gateway.message.envelope import AGENCY_ID

ACTIVE: Final = "active"
RETIRED: Final = "retired"
REVOKED: Final = "revoked"
# Stages of a key whose status is `active`.
PENDING: Final = "pending"
RETIRING: Final = "retiring"
SUSPENDED: Final = "suspended"
# So many days before its last key ends, an agency and its operator are warned.
WARN_DAYS: Final = (30, 7, 1)
# The whole URL is matched, because `urlsplit` leaves out tabs and line ends, takes `[::1]x` for `::1` and the Kelvin sign for
# a k: what another reader would call must be what is checked here.
_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)


@dataclass(frozen=True, slots=True)
class AgencyKey:
    """One key with its validity window `[not_before, not_after)` and its status since `changed_at`.

    `untrusted_since`: a revoked key was in other hands from then on, and not only from its revocation. `confirmed_at`: when
    the authority of a certified key said last that its certificates count.
    """

    agency: str
    public: PublicKey
    not_before: datetime
    not_after: datetime
    status: str = ACTIVE
    changed_at: datetime | None = None
    untrusted_since: datetime | None = None
    confirmed_at: datetime | None = None

    def require_valid(self, now: datetime) -> PublicKey:
        """Raises KeyRefusedError: `key.revoked` before `key.not-valid`, because revocation says more."""
        _require_valid(self, now)
        return self.public

    def require_confirmed(self, now: datetime, patience: timedelta) -> None:
        """Raises UnconfirmedKeyError for a certified key whose authority said nothing for so long."""
        if self.public.x5c and (self.confirmed_at is None or now >= self.confirmed_at + patience):
            raise UnconfirmedKeyError("the authority of the key's certificate could not be asked", retry_after=60)

    def as_jwk(self, stage: str | None = None) -> dict[str, Any]:
        """The public JWK with its validity, as `GET /v1/agencies/{id}/jwks.json` shows it."""
        return {
            **self.public.as_jwk(),
            "use": "sig",
            "nbf": int(self.not_before.timestamp()),
            "exp": int(self.not_after.timestamp()),
            "status": self.status,
            **({} if stage is None else {"stage": stage}),
            **self._revoked_since(),
        }

    def _revoked_since(self) -> dict[str, int]:
        """What the gateway received before this second stands. Revoked "now": all that it still accepted does."""
        if self.status != REVOKED or self.changed_at is None:
            return {}
        if self.untrusted_since is not None:
            return {"revoked_since": math.floor(self.untrusted_since.timestamp())}
        return {"revoked_since": math.ceil(self.changed_at.timestamp())}


@dataclass(frozen=True, slots=True)
class Officer:
    """A named officer of an agency, as the gateway knows one: by a key that approves, and never by name.

    `person` is a keyed digest of the agency's own number for the officer: two keys of one person have the same. Name and
    number stay sealed in the store, because a NIP or NRP tells a date of birth.
    """

    agency: str
    person: str
    role: str
    unit: str
    key: PublicKey
    not_before: datetime
    not_after: datetime
    status: str = ACTIVE
    changed_at: datetime | None = None


def _require_valid(key: "AgencyKey | Officer", now: datetime) -> None:
    if key.status == REVOKED:
        raise KeyRefusedError("the key has been revoked", code="key.revoked")
    if key.status != ACTIVE or not key.not_before <= now < key.not_after:
        raise KeyRefusedError("the key is outside its validity", code="key.not-valid")


@dataclass(frozen=True, slots=True)
class Operator:
    """One key of an operator of the gateway. `id` is the person's code: two keys with one `id` are one person."""

    id: str
    key: PublicKey
    status: str = ACTIVE


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """An agency's offline key, which speaks for it in one thing alone: which key comes next."""

    agency: str
    key: PublicKey
    not_before: datetime
    not_after: datetime
    status: str = ACTIVE
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an agency takes pushes, and the only addresses that its name may resolve to.

    `networks` is the allow-list: empty allows nothing. `ca_file` pins the authority of its certificate.
    """

    url: str
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    ca_file: str | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


def parse_endpoint(url: str, networks: Iterable[str], ca_file: str | None = None) -> Endpoint:
    """Raises OperatorError for anything but an absolute http(s) URL without credentials, query or fragment."""
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
        host = parts.hostname or ""
        if ":" in host:
            ipaddress.IPv6Address(host)
        allowed = tuple(ipaddress.ip_network(network) for network in networks)
    except ValueError as error:
        raise OperatorError("the endpoint's URL or one of its networks is not valid") from error
    if not _URL.fullmatch(url) or not port_ok:
        raise OperatorError("the endpoint must be an http(s) URL of a host and a path")
    return Endpoint(url, allowed, ca_file)


@dataclass(frozen=True, slots=True)
class Agency:
    id: str
    name: str
    status: str = ACTIVE
    endpoint: Endpoint | None = None
    liaison: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """Every agency, key and officer at one `version`; the version moves with every change an operator makes.

    `patience`: how long the authority of a certified key may be silent; None, and its silence changes nothing.
    """

    agencies: Mapping[str, Agency]
    keys: Mapping[tuple[str, str], AgencyKey]
    version: int = 0
    officers: Mapping[tuple[str, str], Officer] = field(default_factory=dict)
    operators: Mapping[str, Operator] = field(default_factory=dict)
    recovery: tuple[RecoveryKey, ...] = ()
    _by_agency: Mapping[str, tuple[AgencyKey, ...]] = field(default_factory=dict)
    patience: timedelta | None = None

    def key_for(self, agency: str, kid: str, now: datetime) -> PublicKey:
        """Step 3. Raises KeyRefusedError; a stranger and a stranger's key look the same from outside.

        UnconfirmedKeyError, which is the gateway's trouble and not the agency's, where the authority is silent for too long.
        """
        known = self.agencies.get(agency)
        key = self.keys.get((agency, kid))
        if known is None or key is None:
            raise KeyRefusedError("no such key of this agency", code="key.unknown")
        if known.status != ACTIVE:
            raise KeyRefusedError("the agency is suspended", code="key.not-valid")
        public = key.require_valid(now)
        if self.patience is not None:
            key.require_confirmed(now, self.patience)
        return public

    def officer_for(self, agency: str, kid: str, now: datetime) -> Officer:
        """The officer of this agency whose key it is. Raises KeyRefusedError; an agency's own key is no officer's."""
        officer = self.officers.get((agency, kid))
        if officer is None:
            raise KeyRefusedError("the key is not one of an officer of the sending agency")
        _require_valid(officer, now)
        return officer

    def operator_for(self, kid: str) -> Operator:
        """The operator whose active key it is. Raises KeyRefusedError."""
        operator = self.operators.get(kid)
        if operator is None:
            raise KeyRefusedError("the key is not an operator's")
        if operator.status != ACTIVE:
            raise KeyRefusedError("the operator's key has been revoked", code="key.revoked")
        return operator

    def acting(self) -> frozenset[str]:
        """The persons who can act as operators: two keys of one person are one."""
        return frozenset(one.id for one in self.operators.values() if one.status == ACTIVE)

    def recovery_key_of(self, agency: str, now: datetime) -> RecoveryKey | None:
        """The one that may endorse the agency's next key at `now`."""
        return next((key for key in self.spares_of(agency, now) if key.not_before <= now), None)

    def spares_of(self, agency: str, now: datetime) -> tuple[RecoveryKey, ...]:
        """The agency's recovery keys that count at `now`, or will."""
        return tuple(
            key for key in self.recovery if key.agency == agency and key.status == ACTIVE and now < key.not_after
        )

    def had_keys(self, agency: str) -> bool:
        """Whether any key was ever this agency's, whatever became of it."""
        return bool(self.keys_of(agency)) or any(key.agency == agency for key in self.recovery)

    def keys_of(self, agency: str) -> tuple[AgencyKey, ...]:
        return self._by_agency.get(agency, ())


def directory(
    agencies: Iterable[Agency],
    keys: Iterable[AgencyKey],
    version: int = 0,
    officers: Iterable[Officer] = (),
    *,
    operators: Iterable[Operator] = (),
    recovery: Iterable[RecoveryKey] = (),
) -> Directory:
    by_agency: dict[str, list[AgencyKey]] = {}
    every: dict[tuple[str, str], AgencyKey] = {}
    for key in keys:
        every[key.agency, key.public.kid] = key
        by_agency.setdefault(key.agency, []).append(key)
    return Directory(
        MappingProxyType({agency.id: agency for agency in agencies}),
        MappingProxyType(every),
        version,
        MappingProxyType({(officer.agency, officer.key.kid): officer for officer in officers}),
        MappingProxyType({operator.key.kid: operator for operator in operators}),
        tuple(recovery),
        MappingProxyType({agency: tuple(mine) for agency, mine in by_agency.items()}),
    )


def stage(key: AgencyKey, known: Directory, now: datetime) -> str:
    """`pending`, `active`, `retiring` (a newer one has begun; this one still counts, and ends first), `retired` or `revoked`."""
    if key.status != ACTIVE:
        return key.status
    if now < key.not_before:
        return PENDING
    if key.not_after <= now:
        return RETIRED
    newer = any(
        one.status == ACTIVE and key.not_before < one.not_before <= now and key.not_after < one.not_after
        for one in known.keys_of(key.agency)
    )
    return RETIRING if newer else ACTIVE


def last_end(known: Directory, agency: str, now: datetime) -> datetime | None:
    """When the last of an agency's keys ends that are or will be usable; None where there is none."""
    return max(
        (key.not_after for key in known.keys_of(agency) if key.status == ACTIVE and key.not_after > now), default=None
    )


def ends_within(moment: datetime, now: datetime) -> int | None:
    """The smallest of WARN_DAYS in which `moment` comes; None for later."""
    return min((days for days in WARN_DAYS if moment <= now + timedelta(days=days)), default=None)


def require_agency_id(text: str) -> str:
    """Raises OperatorError for an id that could not stand in `iss`, a path or a file name."""
    if not AGENCY_ID.fullmatch(text):
        raise OperatorError("an agency id is 1 to 63 lower-case letters, digits and inner hyphens")
    return text
