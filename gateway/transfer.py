"""A message's life: `Exchange.transfer`, read top to bottom, is what happens to every message.

Decides the order of the steps and what each failure means; every step is decided elsewhere. Two questions go to the
database and both wait in a thread; the one write goes through the recorder.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlmodel import Session

from gateway.decision.decide import decide
from gateway.decision.facts import Needs, needs
from gateway.errors import (
    AccessDeniedError,
    CallerError,
    MalformedError,
    Reason,
    StoreUnavailableError,
    UnconfirmedKeyError,
    UnwitnessedError,
)
from gateway.ledger.merkle import leaf_hash
from gateway.lookup import NOTHING, Found, Lookup, asks
from gateway.message.envelope import (
    Claims,
    Limits,
    UnverifiedMessage,
    VerifiedMessage,
    open_message,
    parse,
    staleness,
    verify,
)
from gateway.message_types.catalogue import Catalogue
from gateway.record import Judged, RecordWriter, open_content, open_with_receipt
from gateway.store import queries
from gateway.store.append import Placed
from gateway.store.configuration import Configuration, Snapshot
from gateway.store.jobs.transfers import MessageIdUsedError
from gateway.store.recorder import DecidedBeforeError, Recorder
from gateway.store.sealing import Sealer
from gateway.store.session import Database
from gateway.store.tables import TransferRow

_ATTEMPTS: Final = 5
GATE_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sender is told. `again` marks the answer to a retry: the original one, word for word, until it is erased."""

    transfer: str
    decision: str
    receipt: str
    origin: str
    index: int
    proof: str
    reasons: tuple[Reason, ...]
    clause: str | None
    again: bool
    sender: str
    recipient: str
    type: str


class Gate:
    """Ledgers that take no new message for now, because what they hold already lacks its witnesses (`attestation`)."""

    def __init__(self) -> None:
        self.ledgers: frozenset[str] = frozenset()

    def shut(self, ledgers: Iterable[str]) -> None:
        """From now on these, and no others."""
        self.ledgers = frozenset(ledgers)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The collaborators of the flow; made once a process by `wiring.py`."""

    limits: Limits
    catalogue: Catalogue
    configuration: Configuration
    database: Database
    recorder: Recorder
    writer: RecordWriter
    sealer: Sealer
    lookup: Lookup
    clock: Callable[[], datetime]
    gate: Gate = field(default_factory=Gate)

    async def transfer(self, raw: bytes) -> Outcome:
        """Takes one message through all ten steps.

        Raises MalformedError, TooLargeError, KeyRefusedError or SignatureInvalidError for an unproven sender, of whom
        nothing is recorded, and StoreUnavailableError when nothing could be. A refusal is an Outcome with reasons.
        """
        message = parse(raw, self.limits)  # 1 bound, 2 parse
        message_id_used = False
        for _ in range(_ATTEMPTS):
            snapshot = await self.configuration.knowing(message.claims.iss, message.jws.kid)
            now = self.clock()
            # A retry gets its first answer, whatever has changed since. Asked only where the answer would differ: the
            # recorder finds a used `jti` under its lock, so a message that may pass costs no look-up here.
            try:
                key = snapshot.directory.key_for(message.claims.iss, message.jws.kid, now)  # 3 key
                verified = verify(message, key, self.limits)  # 4 verify
            except (CallerError, UnconfirmedKeyError):
                if (original := await self._seen(message, proven=False)) is not None:
                    return original
                raise
            judged = await self.judge(verified, snapshot, now, message_id_used=message_id_used)  # 5 fresh … 7 decide
            if not judged.permitted and (original := await self._seen(message, proven=True)) is not None:
                return original
            if judged.ledger in self.gate.ledgers:
                if (original := await self._seen(message, proven=True)) is not None:
                    return original
                raise UnwitnessedError("the ledger's witnesses are missing", retry_after=GATE_SECONDS)
            try:
                return await self._record(judged)  # 8 release, 9 record, 10 receipt
            except MessageIdUsedError:
                if (original := await self._seen(message, proven=True)) is not None:
                    return original
                message_id_used = True
            except DecidedBeforeError:
                await asyncio.to_thread(self.configuration.reload)
        raise StoreUnavailableError("the facts of the decision keep changing")

    async def preview(self, raw: bytes, asker: str) -> Judged:
        """The same checks as `transfer`, recorded nowhere. Only a message's own sender may ask about it."""
        message = parse(raw, self.limits)
        if message.claims.iss != asker:
            raise AccessDeniedError("only the sender of a message may ask about it")
        snapshot = await self.configuration.knowing(asker, message.jws.kid)
        now = self.clock()
        verified = verify(message, snapshot.directory.key_for(asker, message.jws.kid, now), self.limits)
        used = await asyncio.to_thread(self._used, message.claims)
        return await self.judge(verified, snapshot, now, message_id_used=used)

    async def judge(
        self, message: VerifiedMessage, snapshot: Snapshot, now: datetime, *, message_id_used: bool
    ) -> Judged:
        """Steps 5 to 7. Each step reports all its faults together; a faulty step ends the judgement."""
        claims = message.claims
        kind = self.catalogue.get(claims.type)
        judged = Judged(message, snapshot, now, (), None, kind is not None)
        reasons = staleness(claims, now, snapshot.directory.agencies.keys(), self.limits)  # 5 fresh
        if message_id_used:
            reasons = (Reason("envelope.replayed", pointer="/jti"), *reasons)
        if reasons:
            return replace(judged, reasons=reasons)
        if kind is None:  # 6 schema
            return replace(judged, reasons=(Reason("schema.unknown", pointer="/type"),))
        if violations := self.catalogue.violations(claims.type, message.body):
            return replace(judged, reasons=violations)
        found = await self._found(needs(judged.agreement, message, now), message, snapshot, now)
        facts = replace(found.facts, may_be_absent=kind.may_be_absent, places=kind.places)
        decision = decide(judged.agreement, message, facts, now)  # 7 decide
        return replace(judged, reasons=decision.reasons, decision=decision, relies_on=found.relies_on)

    async def _found(self, asked: Needs, message: VerifiedMessage, snapshot: Snapshot, now: datetime) -> Found:
        if not asks(asked):
            return NOTHING
        return await asyncio.to_thread(self.lookup.find, asked, message, snapshot, now)

    async def _record(self, judged: Judged) -> Outcome:
        """Steps 8 to 10: what is released is fixed, recorded and answered for."""
        job = self.writer.job(judged)
        # The commit point is inside: once this returns, the message is the recipient's.
        committed = await self.recorder.record(job)
        recorded = committed.result
        return Outcome(
            transfer=recorded.transfer,
            decision=recorded.decision,
            receipt=recorded.receipt,
            origin=recorded.placed.origin,
            index=recorded.placed.index,
            proof=committed.proof(recorded.placed),
            reasons=judged.reasons,
            clause=judged.clause,
            again=False,
            sender=judged.message.claims.iss,
            recipient=judged.message.claims.aud,
            type=judged.message.claims.type,
        )

    async def _seen(self, message: UnverifiedMessage, *, proven: bool) -> Outcome | None:
        """The original answer, if these very signed bytes were recorded before.

        Whoever asks must hold every disclosure: a recipient, who has the JWT and some of them, gets no receipt this way.
        An ECDSA signature has a valid twin, which anybody can make from it: once `proven`, what was signed is compared,
        so that a twin is the message again and not a replay in the sender's name.
        """
        row = await self._recorded(message)
        if row is None:
            return None
        if not proven and not self._is_same(message, row):
            return None
        try:
            open_message(message, self.limits)
        except MalformedError:
            return None
        return await asyncio.to_thread(self._original, row, message)

    def _is_same(self, message: UnverifiedMessage, row: TransferRow) -> bool:
        """Whether an unproven text is the one that was proven once. When it is stored no more, the signature must say so."""
        if row.erased_at is None:
            return str(open_content(self.sealer, row)["message"]).startswith(f"{message.jwt}~")
        key = self.configuration.current().directory.keys.get((row.sender, row.kid))
        if key is None:
            return False
        try:
            verify(message, key.public, self.limits)
        except CallerError:
            return False
        return True

    async def _recorded(self, message: UnverifiedMessage) -> TransferRow | None:
        identities, lost = self.writer.tokens.identities(message.jwt), self.writer.tokens.index.lost()

        def look() -> TransferRow | None:
            with self.database.reading() as session:
                row = queries.recorded(session, message.claims.iss, identities)
                if row is None and lost:
                    return self._under_lost(session, message, lost)
                return row

        return await asyncio.to_thread(look)

    def _under_lost(self, session: Session, message: UnverifiedMessage, lost: Sequence[str]) -> TransferRow | None:
        """By its id and its stored text, until the next index key finds it."""
        row = queries.recorded_under(session, message.claims.iss, message.claims.jti, lost)
        signed = message.jwt.rpartition(".")[0]  # as the digest: an ECDSA signature has a twin
        same = row is not None and str(open_content(self.sealer, row)["message"]).startswith(f"{signed}.")
        return row if same else None

    def _used(self, claims: Claims) -> bool:
        with self.database.reading() as session:
            return queries.message_id_used(session, claims.iss, claims.jti)

    def _original(self, row: TransferRow, message: UnverifiedMessage) -> Outcome:
        with self.database.reading() as session:
            origin = queries.ledger_head(session, row.ledger).origin
            proof = queries.proof(session, row.ledger, row.position)
            leaf = queries.leaf(session, row.ledger, row.position)
        if row.erased_at is None:
            own = self.configuration.current().own_keys
            opened = open_with_receipt(self.sealer, row)
            receipt = opened.receipt_now(own, self.writer.signer(), origin=origin, leaf=leaf)
        else:
            placed = Placed(row.ledger, origin, row.position, leaf_hash(leaf))
            receipt = self.writer.receipt_again(row, message, placed, self.clock())
        return Outcome(
            transfer=row.id,
            decision=row.decision,
            receipt=receipt,
            origin=origin,
            index=row.position,
            proof=proof,
            reasons=tuple(Reason(**reason) for reason in json.loads(row.reasons)),
            clause=row.clause,
            again=True,
            sender=row.sender,
            recipient=row.recipient,
            type=row.type,
        )
