"""Certified keys in a running gateway: whether their authorities still vouch for each.

    1 look       which certified keys an agency may use, and which no node has asked about lately
    2 fetch      the revocation lists, from files or the configured URLs
    3 judge      each certificate of the key's path, by the lists and by OCSP; one that is taken back is enough
    4 record     a key that is taken back is revoked for all nodes in one commit; the others are confirmed at this moment

Every node runs it; what one finds counts for all, because it stands in the database. Leaves to `directory.py` what silence means.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from cryptography.x509 import Certificate
from sqlalchemy import update
from sqlmodel import col

from gateway.authorities import Asking, Authorities, SilentError, identity, read_authorities
from gateway.delivery import outbound
from gateway.delivery.outbound import Outbound, Resolve
from gateway.errors import CertificateError
from gateway.founding import RefusedError
from gateway.key_management.compromise import compromise
from gateway.keys.certificate import chain_of
from gateway.keys.directory import ACTIVE, REVOKED, AgencyKey
from gateway.keys.keychain import SIGN
from gateway.keys.revocation import Standing
from gateway.ledger.entry import KeyRevoked
from gateway.operations.acts import ConflictError, record
from gateway.record import OWN_LEDGER
from gateway.store import queries
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.tables import AgencyKeyRow, micros
from gateway.telemetry import Metrics
from gateway.wiring import Gateway, Store

AUTHORITY: Final = "certificate-authority"
_GRACE_SECONDS: Final = 2.0
_log: Final = structlog.get_logger("sinergi.certificates")


@dataclass(frozen=True, slots=True)
class _Known:
    key: AgencyKey
    path: tuple[Certificate, ...]


@dataclass(slots=True)
class Confirmation:
    """Belongs to one event loop, from `start` to `stop`. Does nothing where no roots are configured."""

    gateway: Gateway
    metrics: Metrics
    authorities: Authorities | None
    every: timedelta
    resolve: Resolve = outbound.resolve
    asking: Asking | None = None
    _task: asyncio.Task[None] | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        if self.authorities is None:
            return
        out = Outbound(timeout=self.authorities.timeout, clock=self.gateway.clock, resolve=self.resolve)
        self.asking = Asking(self.authorities, out)
        self._task = asyncio.create_task(self._run(), name="certificates")

    async def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_GRACE_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.asking is not None:
            await self.asking.outbound.close()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the loop goes on
                _log.warning("loop_fault", loop="certificates", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self.every.total_seconds())

    async def round(self) -> None:
        """Steps 1 to 4 once."""
        assert self.authorities is not None
        assert self.asking is not None
        now = self.gateway.clock()
        known = self._known(now)  # 1 look
        due = [one for one in known if one.key.confirmed_at is None or now - one.key.confirmed_at > self.every / 2]
        if due:
            issuers = {identity(issuer): issuer for one in due for issuer in one.path[1:]}
            await self.asking.fetch(tuple(issuers.values()), now)  # 2 fetch
            confirmed = [one.key for one in due if await self._counts(one, now)]  # 3 judge, 4 record
            if confirmed:
                await asyncio.to_thread(confirm, self.gateway.store, confirmed, now)
        for failure in self.asking.failures:
            self.metrics.certificate_failures.labels("list-or-answer").inc()
            _log.warning("certificate_unconfirmed", detail=failure)
        self.asking.failures = []
        self._show(known)

    def _known(self, now: datetime) -> list[_Known]:
        """The certified keys that may be used, each with its path to a root that counts today."""
        assert self.authorities is not None
        found = []
        for key in self.gateway.configuration.current().directory.keys.values():
            if not key.public.x5c or key.status != ACTIVE or key.not_after <= now:
                continue
            try:
                certified = self.authorities.certify(key.agency, chain_of(key.public), now)
            except CertificateError as error:  # the roots or the subjects were changed since: nobody confirms it now
                _log.warning("certificate_unconfirmed", agency=key.agency, key=key.public.kid, detail=error.detail)
                continue
            found.append(_Known(key, certified.path))
        return found

    async def _counts(self, one: _Known, now: datetime) -> bool:
        assert self.asking is not None
        try:
            standing = await self.asking.standing(one.path, now)
        except SilentError as error:
            _log.warning("certificate_unconfirmed", agency=one.key.agency, key=one.key.public.kid, detail=error.detail)
            return False
        if standing.revoked_at is None:
            return True
        await asyncio.to_thread(take_back, self.gateway.store, one.key, standing, now)
        _log.error("certificate_revoked", agency=one.key.agency, key=one.key.public.kid, reason=standing.reason)
        return False

    def _show(self, known: Sequence[_Known]) -> None:
        oldest: dict[str, float] = {}
        for one in known:
            at = 0.0 if one.key.confirmed_at is None else one.key.confirmed_at.timestamp()
            oldest[one.key.agency] = min(oldest.get(one.key.agency, at), at)
        for agency, at in oldest.items():
            self.metrics.certificate_confirmed.labels(agency).set(at)


def confirmation(gateway: Gateway, metrics: Metrics) -> Confirmation:
    """From the settings. Raises OperatorError, before anything is served."""
    settings = gateway.settings.certificates
    return Confirmation(gateway, metrics, read_authorities(settings), timedelta(seconds=settings.every_seconds))


def confirm(store: Store, keys: Sequence[AgencyKey], now: datetime) -> None:
    """The authorities' word of this moment, for all nodes. It is no event of the ledger: it is renewed every few minutes."""

    def apply(transaction: Transaction) -> None:
        for key in keys:
            here = (col(AgencyKeyRow.agency) == key.agency, col(AgencyKeyRow.kid) == key.public.kid)
            transaction.connection.execute(update(AgencyKeyRow).where(*here).values(confirmed_at=micros(now)))

    record(store, RecordEvent(OWN_LEDGER, (), apply, changes_config=True))


def take_back(store: Store, key: AgencyKey, standing: Standing, now: datetime) -> None:
    """Revokes the key for all nodes, as of the authority's own date: what came since is in doubt, and is stopped where it waits.

    By the authority's signature, not by an operator's word: two operators could not undo it, and none is needed.
    """
    assert standing.revoked_at is not None
    since = max(key.not_before, min(standing.revoked_at, now))

    def apply(transaction: Transaction) -> None:
        here = (col(AgencyKeyRow.agency) == key.agency, col(AgencyKeyRow.kid) == key.public.kid)
        ended = transaction.connection.execute(
            update(AgencyKeyRow)
            .where(*here, col(AgencyKeyRow.status) != REVOKED)
            .values(status=REVOKED, changed_at=micros(now), untrusted_since=micros(since))
        )
        if ended.rowcount != 1:
            raise ConflictError("another node has revoked it already")

    entry = KeyRevoked(
        time=now,
        agency=key.agency,
        key=key.public.kid,
        use=SIGN,
        not_before=key.not_before,
        not_after=since,
        why=f"{AUTHORITY}/{standing.reason}",
    )
    with contextlib.suppress(RefusedError):
        record(store, RecordEvent(OWN_LEDGER, (entry,), apply, changes_config=True))
    with store.database.reading() as session:
        stands = queries.load_directory(session, 0).keys[key.agency, key.public.kid]
    compromise(store, key.agency, key.public.kid, stands.untrusted_since or since, why=AUTHORITY, who=AUTHORITY)
