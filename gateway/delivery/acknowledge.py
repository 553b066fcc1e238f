"""Signed acknowledgements: whether a recipient's receipt is true of a transfer, and its place in the ledger.

Used for `POST /v1/acknowledgements` and for the answers to pushes alike. Each receipt is judged alone:

    1 parse      exactly the members of a receipt
    2 parties    `iss` is the agency that hands it in, `aud` this gateway
    3 key        the agency's key that is valid at this moment
    4 verify     the signature
    5 date       `iat` is not in the future
    6 transfer   it was accepted for this very agency, and `sd_hash` is of exactly what was released to it
    7 record     entry, receipt and the end of the delivery in one commit

A transfer that does not exist and one that is somebody else's give the same answer.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from gateway.envelope import Limits, sd_hash
from gateway.errors import CallerError, ErasedError, KeyringError, ReceiptError, StoreUnavailableError
from gateway.receipt import Acknowledgement, parse_acknowledgement, verify_acknowledgement
from gateway.record import open_content, released_text
from gateway.store import queries
from gateway.store.append import Placed
from gateway.store.configuration import Configuration, Snapshot
from gateway.store.jobs.transfers import RecordAcknowledgement
from gateway.store.recorder import Committed, DecidedBeforeError, Recorder
from gateway.store.sealing import Sealer
from gateway.store.session import Database
from gateway.store.tables import ACCEPTED, TransferRow

RECORDED: Final = "recorded"
DUPLICATE: Final = "duplicate"
REFUSED: Final = "refused"
_ROUNDS: Final = 5
_log: Final = structlog.get_logger("sinergi.delivery")


@dataclass(frozen=True, slots=True)
class AckResult:
    """What became of one receipt. `transfer` is what it said it was about; None when it could not be read."""

    transfer: str | None
    status: str
    index: int | None = None
    code: str | None = None

    def as_json(self) -> dict[str, Any]:
        """`transfer` and `status`; `index` when recorded, `code` when refused."""
        members: dict[str, Any] = {"transfer": self.transfer, "status": self.status}
        if self.index is not None:
            members["index"] = self.index
        if self.code is not None:
            members["code"] = self.code
        return members


@dataclass(frozen=True, slots=True)
class _Signed:
    """Proven to be the agency's own; whether it is true is not yet known."""

    claims: Acknowledgement
    kid: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgements:
    """The collaborators of the flow; made once a process."""

    gateway_id: str
    configuration: Configuration
    database: Database
    recorder: Recorder
    sealer: Sealer
    clock: Callable[[], datetime]
    limits: Limits

    async def record(self, texts: Sequence[str], agency: str) -> tuple[AckResult, ...]:
        """One result a text, in their order.

        The caller bounds the number of texts. Raises StoreUnavailableError for the whole call; the same texts may then
        be handed in again, and what was recorded after all is a duplicate.
        """
        results: list[AckResult | None] = [None] * len(texts)
        for _ in range(_ROUNDS):
            open_ = [place for place, result in enumerate(results) if result is None]
            if not open_:
                break
            # Parsing, signatures and every look into the database in one thread, for all of them.
            judged = await asyncio.to_thread(self._judge, [texts[place] for place in open_], agency)
            for place, result in zip(open_, await self._commit(judged), strict=True):
                results[place] = result
            if None in results:
                # An operator changed keys or agencies meanwhile: what was judged before is judged again.
                await asyncio.to_thread(self.configuration.reload)
        if None in results:
            raise StoreUnavailableError("the configuration keeps changing")
        return tuple(result for result in results if result is not None)

    async def _commit(self, judged: Sequence[RecordAcknowledgement | AckResult]) -> list[AckResult | None]:
        """Submits all, then awaits all: they share a commit. None is what must be judged again."""
        jobs = [item for item in judged if isinstance(item, RecordAcknowledgement)]
        futures = [asyncio.wrap_future(self.recorder.submit(job)) for job in jobs]
        outcomes = iter(await asyncio.gather(*futures, return_exceptions=True))
        return [item if isinstance(item, AckResult) else _result(item, next(outcomes)) for item in judged]

    def _judge(self, texts: Sequence[str], agency: str) -> list[RecordAcknowledgement | AckResult]:
        now, snapshot = self.clock(), self.configuration.current()
        read = [self._read(text, agency, snapshot, now) for text in texts]
        with self.database.reading() as session:
            rows = queries.transfers(session, {item.claims.transfer for item in read if isinstance(item, _Signed)})
        return [
            item if isinstance(item, AckResult) else self._match(item, rows, snapshot.version, now) for item in read
        ]

    def _read(self, text: str, agency: str, snapshot: Snapshot, now: datetime) -> _Signed | AckResult:
        """Steps 1 to 5."""
        transfer = None
        try:
            receipt = parse_acknowledgement(text)  # 1 parse
            claims = receipt.claims
            transfer = claims.transfer
            if claims.iss != agency or claims.aud != self.gateway_id:  # 2 parties
                raise ReceiptError("the receipt is between other parties", code="receipt.mismatch")
            key = snapshot.directory.key_for(agency, receipt.jws.kid, now)  # 3 key
            verify_acknowledgement(receipt, key)  # 4 verify
            if claims.iat > int((now + self.limits.leeway).astimezone(UTC).timestamp()):  # 5 date
                raise ReceiptError("the receipt is dated in the future", code="envelope.not-yet-valid")
        except CallerError as error:
            return AckResult(transfer, REFUSED, code=error.code)
        return _Signed(claims, receipt.jws.kid, text)

    def _match(
        self, signed: _Signed, rows: dict[str, TransferRow], version: int, now: datetime
    ) -> RecordAcknowledgement | AckResult:
        """Step 6, and the job of step 7."""
        claims = signed.claims
        row = rows.get(claims.transfer)
        if row is None or row.decision != ACCEPTED or row.recipient != claims.iss:
            return AckResult(claims.transfer, REFUSED, code="receipt.mismatch")
        try:
            released = released_text(open_content(self.sealer, row))
        except ErasedError as error:
            return AckResult(claims.transfer, REFUSED, code=error.code)
        except KeyringError as error:
            _log.error("message_does_not_open", transfer=row.id, detail=error.detail)
            return AckResult(claims.transfer, REFUSED, code="gateway.internal")
        if sd_hash(released) != claims.sd_hash:
            return AckResult(claims.transfer, REFUSED, code="receipt.mismatch")
        return RecordAcknowledgement(
            ledger=row.ledger,
            transfer=row.id,
            event=claims.event,
            recipient=row.recipient,
            kid=signed.kid,
            jws=signed.text,
            now=now,
            judged_at_version=version,
        )


def _result(job: RecordAcknowledgement, outcome: Committed[Placed | None] | BaseException) -> AckResult | None:
    if isinstance(outcome, DecidedBeforeError):
        return None
    if isinstance(outcome, BaseException):
        raise outcome
    if outcome.result is None:
        return AckResult(job.transfer, DUPLICATE)
    return AckResult(job.transfer, RECORDED, outcome.result.index)
