"""Signed acknowledgements: whether a recipient's receipt is true of a transfer, and its place in the ledger.

Used for `POST /v1/acknowledgements` and for the answers to pushes alike. Each receipt is judged alone:

    1 parse      exactly the members of a receipt
    2 parties    `iss` is the agency that hands it in, `aud` this gateway
    3 key        the agency's key that is valid at this moment
    4 verify     the signature
    5 date       `iat` is not in the future
    6 transfer   it was accepted for this very agency, and `sd_hash` is of exactly what was released to it; or it is an alert
    7 record     entry, receipt and the end of the delivery in one commit

A transfer that does not exist and one that is somebody else's give the same answer.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import structlog

from gateway.errors import (
    CallerError,
    ErasedError,
    KeyringError,
    ReceiptError,
    StoreUnavailableError,
    UnconfirmedKeyError,
)
from gateway.message.envelope import Limits, sd_hash
from gateway.record import open_content, released_text
from gateway.statements.receipt import (
    Acknowledgement,
    UnverifiedAcknowledgement,
    parse_acknowledgement,
    verify_acknowledgement,
)
from gateway.store import queries
from gateway.store.append import Placed
from gateway.store.configuration import Configuration, Snapshot
from gateway.store.jobs.acknowledgements import RecordAcknowledgements, VerifiedReceipt
from gateway.store.jobs.alerts import AcknowledgeAlert
from gateway.store.recorder import DecidedBeforeError, Job, Recorder
from gateway.store.sealing import Sealer
from gateway.store.session import Database
from gateway.store.tables import ACCEPTED, AlertRow, TransferRow
from gateway.telemetry import Metrics

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
class HandedOut:
    """An accepted transfer as its recipient has it: `sd_hash` is of exactly what was released to it."""

    ledger: str
    recipient: str
    sd_hash: str


_NOTHING: Final[Mapping[str, HandedOut]] = MappingProxyType({})


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
    metrics: Metrics | None = None

    async def record(
        self, texts: Sequence[str], agency: str, handed_out: Mapping[str, HandedOut] = _NOTHING
    ) -> tuple[AckResult, ...]:
        """One result a text, in their order. Of `handed_out`, by transfer, the caller knows itself what was released.

        The caller bounds the number of texts. Raises StoreUnavailableError for the whole call; the same texts may then
        be handed in again, and what was recorded after all is a duplicate.
        """
        results: list[AckResult | None] = [None] * len(texts)
        for _ in range(_ROUNDS):
            open_ = [place for place, result in enumerate(results) if result is None]
            if not open_:
                break
            # Parsing, signatures and every look into the database in one thread, for all of them.
            judged = await asyncio.to_thread(self._judge, [texts[place] for place in open_], agency, handed_out)
            for place, result in zip(open_, await self._commit(judged), strict=True):
                results[place] = result
            if None in results:
                # An operator changed keys or agencies meanwhile: what was judged before is judged again.
                await asyncio.to_thread(self.configuration.reload)
        if None in results:
            raise StoreUnavailableError("the configuration keeps changing")
        told = tuple(result for result in results if result is not None)
        if self.metrics is not None:
            for result in told:
                self.metrics.acknowledgements.labels(result.status).inc()
        return told

    async def _commit(self, judged: "_Judged") -> list[AckResult | None]:
        """All true ones together, and so in one commit. None is what must be judged again."""
        receipts = [item for item in judged.items if isinstance(item, VerifiedReceipt)]
        alerts = [item for item in judged.items if isinstance(item, AcknowledgeAlert)]
        page = [RecordAcknowledgements(receipts, judged.at, judged.version)] if receipts else []
        jobs: list[Job[Any]] = [*page, *alerts]
        outcomes = await asyncio.gather(*(self.recorder.record(job) for job in jobs), return_exceptions=True)
        told: list[Placed | BaseException | None] = []
        for outcome in outcomes[: len(page)]:
            told += [outcome] * len(receipts) if isinstance(outcome, BaseException) else outcome.result
        of_receipts = iter(told)
        of_alerts = (one if isinstance(one, BaseException) else one.result for one in outcomes[len(page) :])
        return [
            item
            if isinstance(item, AckResult)
            else _result(item.transfer, next(of_receipts if isinstance(item, VerifiedReceipt) else of_alerts))
            for item in judged.items
        ]

    def _judge(self, texts: Sequence[str], agency: str, handed_out: Mapping[str, HandedOut]) -> "_Judged":
        parsed = [_parsed(text) for text in texts]
        kids = {item.jws.kid for item in parsed if not isinstance(item, AckResult)}
        snapshot = (
            self.configuration.current() if self.configuration.knows(agency, kids) else self.configuration.reload()
        )
        now = self.clock()
        read = [self._read(item, text, agency, snapshot, now) for item, text in zip(parsed, texts, strict=True)]
        wanted = {item.claims.transfer for item in read if isinstance(item, _Signed)} - handed_out.keys()
        rows, alerts = self._stored(wanted) if wanted else ({}, {})
        items = [
            item
            if isinstance(item, AckResult)
            else _match_alert(item, alerts[item.claims.transfer], snapshot.version, now)
            if item.claims.transfer in alerts
            else self._match(item, rows, handed_out)
            for item in read
        ]
        return _Judged(items, now, snapshot.version)

    def _stored(self, wanted: set[str]) -> tuple[dict[str, TransferRow], dict[str, AlertRow]]:
        with self.database.reading() as session:
            rows = queries.transfers(session, wanted)
            return rows, queries.alerts(session, wanted - rows.keys())

    def _read(
        self, receipt: UnverifiedAcknowledgement | AckResult, text: str, agency: str, snapshot: Snapshot, now: datetime
    ) -> _Signed | AckResult:
        """Steps 2 to 5."""
        if isinstance(receipt, AckResult):
            return receipt
        claims = receipt.claims
        try:
            if claims.iss != agency or claims.aud != self.gateway_id:  # 2 parties
                raise ReceiptError("the receipt is between other parties", code="receipt.mismatch")
            key = snapshot.directory.key_for(agency, receipt.jws.kid, now)  # 3 key
            verify_acknowledgement(receipt, key)  # 4 verify
            if claims.iat > int((now + self.limits.leeway).astimezone(UTC).timestamp()):  # 5 date
                raise ReceiptError("the receipt is dated in the future", code="envelope.not-yet-valid")
        except (CallerError, UnconfirmedKeyError) as error:
            return AckResult(claims.transfer, REFUSED, code=error.code)
        return _Signed(claims, receipt.jws.kid, text)

    def _match(
        self, signed: _Signed, rows: Mapping[str, TransferRow], handed_out: Mapping[str, HandedOut]
    ) -> VerifiedReceipt | AckResult:
        """Step 6."""
        claims = signed.claims
        known = handed_out.get(claims.transfer)
        if known is None:
            row = rows.get(claims.transfer)
            if row is None or row.decision != ACCEPTED or row.recipient != claims.iss:
                return AckResult(claims.transfer, REFUSED, code="receipt.mismatch")
            try:
                known = HandedOut(row.ledger, row.recipient, sd_hash(released_text(open_content(self.sealer, row))))
            except ErasedError as error:
                return AckResult(claims.transfer, REFUSED, code=error.code)
            except KeyringError as error:
                _log.error("message_does_not_open", transfer=row.id, detail=error.detail)
                return AckResult(claims.transfer, REFUSED, code="gateway.internal")
        if known.recipient != claims.iss or known.sd_hash != claims.sd_hash:
            return AckResult(claims.transfer, REFUSED, code="receipt.mismatch")
        return VerifiedReceipt(known.ledger, claims.transfer, claims.event, known.recipient, signed.kid, signed.text)


def _parsed(text: str) -> UnverifiedAcknowledgement | AckResult:
    """Step 1."""
    try:
        return parse_acknowledgement(text)
    except CallerError as error:
        return AckResult(None, REFUSED, code=error.code)


def _match_alert(signed: _Signed, row: AlertRow, version: int, now: datetime) -> AcknowledgeAlert | AckResult:
    claims = signed.claims
    if row.recipient != claims.iss or sd_hash(row.jws) != claims.sd_hash:
        return AckResult(claims.transfer, REFUSED, code="receipt.mismatch")
    return AcknowledgeAlert(
        ledger=row.ledger,
        alert=row.id,
        event=claims.event,
        recipient=row.recipient,
        kid=signed.kid,
        jws=signed.text,
        now=now,
        judged_at_version=version,
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """Results of what is not true, receipts of what is: as of this moment and this version of the configuration."""

    items: Sequence[VerifiedReceipt | AcknowledgeAlert | AckResult]
    at: datetime
    version: int


def _result(transfer: str, outcome: Placed | BaseException | None) -> AckResult | None:
    if isinstance(outcome, DecidedBeforeError):
        return None
    if isinstance(outcome, BaseException):
        raise outcome
    if outcome is None:
        return AckResult(transfer, DUPLICATE)
    return AckResult(transfer, RECORDED, outcome.index)
