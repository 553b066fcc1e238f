"""Asking a timestamp authority (RFC 3161) for a timestamp over one checkpoint.

Decides what counts as an answer: verified with the configured roots, over exactly what was asked, and not of another
day. Leaves when to ask, and what its absence means, to the collector and to the policy.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from gateway.delivery.outbound import Call, DeliveryFailed, Outbound
from gateway.errors import EndpointForbiddenError, LedgerInvalidError
from gateway.keys.directory import Endpoint
from gateway.ledger.timestamp import Timestamp, question, verify_timestamp

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_LONGEST_PAUSE: Final = 300.0


class NoTimestampError(Exception):
    """`kind` is a short code that quotes nothing: of outbound.py, `invalid`, or `clock`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(slots=True)
class Stamper:
    """One authority, for as long as this process runs."""

    endpoint: Endpoint
    roots: Sequence[x509.Certificate]
    timeout: float
    faults: int = 0
    _paused: dict[str, float] = field(default_factory=dict)

    def paused(self, ledger: str) -> bool:
        """After a failure a ledger is left for a while, longer each time, up to five minutes."""
        return time.monotonic() < self._paused.get(ledger, 0)

    async def ask(self, outbound: Outbound, ledger: str, note: bytes, now: datetime) -> Timestamp:
        """A verified timestamp over these bytes. Raises NoTimestampError."""
        try:
            stamp = await self._ask(outbound, note, now)
        except NoTimestampError:
            self.faults += 1
            self._paused[ledger] = time.monotonic() + min(2.0 ** min(self.faults, 9), _LONGEST_PAUSE)
            raise
        self.faults = 0
        return stamp

    async def _ask(self, outbound: Outbound, note: bytes, now: datetime) -> Timestamp:
        asked = question(note)
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        try:
            reply = await outbound.call(self.endpoint, Call("POST", asked.body, headers))
        except EndpointForbiddenError as error:
            raise NoTimestampError(error.code) from error
        if isinstance(reply, DeliveryFailed):
            raise NoTimestampError(reply.code)
        try:
            stamp = verify_timestamp(reply.body, note, self.roots, nonce=asked.nonce)
        except LedgerInvalidError as error:
            raise NoTimestampError("invalid") from error
        if abs(stamp.time - now) > CLOCK_TOLERANCE:
            raise NoTimestampError("clock")
        return stamp
