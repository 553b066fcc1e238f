"""A message's life: `Exchange.transfer`, read top to bottom, is what happens to every message.

Decides the order of the steps and what each failure means; every step is decided elsewhere. Two questions go to the
database and both wait in a thread; the one write goes through the recorder.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from gateway.agreement import Agreement
from gateway.catalogue import Catalogue
from gateway.decide import Decision, Facts, RelatedTransfer, decide
from gateway.envelope import (
    Limits,
    UnverifiedMessage,
    VerifiedMessage,
    open_message,
    parse,
    release,
    sd_hash,
    serialise,
    staleness,
    verify,
)
from gateway.errors import AccessDeniedError, CallerError, MalformedError, Reason, StoreUnavailableError
from gateway.jose import Signer, b64encode
from gateway.ledger.entry import Entry, TransferAccepted, TransferRefused, commitment
from gateway.receipt import GatewayReceipt, Release, sign_gateway_receipt, sign_release
from gateway.store import queries
from gateway.store.append import Placed
from gateway.store.configuration import Configuration, Snapshot
from gateway.store.identity import new_transfer_id
from gateway.store.jobs import (
    CONTENT_PART,
    RECEIPT_PART,
    DecidedBeforeError,
    MessageIdUsedError,
    RecordTransfer,
    reasons_json,
)
from gateway.store.recorder import Recorder
from gateway.store.sealing import Seal, Sealer, SubjectTokens
from gateway.store.session import Database
from gateway.store.tables import ACCEPTED, REFUSED, WAITING, TransferRow, micros
from gateway.subjects import identifiers

OWN_LEDGER: Final = "gateway"
PRIORITIES: Final = {"urgent": 0, "normal": 1, "bulk": 2}
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """Everything that is known of a proven message before it is recorded. No reasons: it may pass."""

    message: VerifiedMessage
    snapshot: Snapshot
    received_at: datetime
    reasons: tuple[Reason, ...]
    decision: Decision | None
    known_type: bool

    @property
    def permitted(self) -> bool:
        return not self.reasons

    @property
    def replayed(self) -> bool:
        return any(reason.code == "envelope.replayed" for reason in self.reasons)

    @property
    def agreement(self) -> Agreement | None:
        return self.snapshot.agreements.get(self.message.claims.agreement)

    @property
    def ledger(self) -> str:
        """The agreement's ledger, or the gateway's own when the message names none that we know."""
        return OWN_LEDGER if self.agreement is None else self.agreement.id


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sender is told. `again` marks the answer to a retry: the original one, word for word."""

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


@dataclass(frozen=True, slots=True)
class Exchange:
    """The collaborators of the flow; made once a process by `wiring.py`."""

    gateway_id: str
    limits: Limits
    catalogue: Catalogue
    configuration: Configuration
    database: Database
    recorder: Recorder
    sealer: Sealer
    tokens: SubjectTokens
    signer: Signer
    clock: Callable[[], datetime]

    async def transfer(self, raw: bytes) -> Outcome:
        """Takes one message through all ten steps.

        Raises MalformedError, TooLargeError, KeyRefusedError or SignatureInvalidError for an unproven sender, of whom
        nothing is recorded, and StoreUnavailableError when nothing could be. A refusal is an Outcome with reasons.
        """
        message = parse(raw, self.limits)  # 1 bound, 2 parse
        message_id_used = False
        for _ in range(_ATTEMPTS):
            now, snapshot = self.clock(), self.configuration.current()
            # A retry gets its first answer, whatever has changed since. Asked only where the answer would differ: the
            # recorder finds a used `jti` under its lock, so a message that may pass costs no look-up here.
            try:
                key = snapshot.directory.key_for(message.claims.iss, message.jws.kid, now)  # 3 key
                verified = verify(message, key, self.limits)  # 4 verify
            except CallerError:
                if (original := await self._seen(message)) is not None:
                    return original
                raise
            judged = await self.judge(verified, snapshot, now, message_id_used=message_id_used)  # 5 fresh … 7 decide
            if not judged.permitted and (original := await self._seen(message)) is not None:
                return original
            try:
                return await self._record(judged)  # 8 release, 9 record, 10 receipt
            except MessageIdUsedError:
                if (original := await self._seen(message)) is not None:
                    return original
                message_id_used = True
            except DecidedBeforeError:
                await asyncio.to_thread(self.configuration.reload)
        raise StoreUnavailableError("the configuration keeps changing")

    async def preview(self, raw: bytes, asker: str) -> Judged:
        """The same checks as `transfer`, recorded nowhere. Only a message's own sender may ask about it."""
        message = parse(raw, self.limits)
        if message.claims.iss != asker:
            raise AccessDeniedError("only the sender of a message may ask about it")
        now, snapshot = self.clock(), self.configuration.current()
        verified = verify(message, snapshot.directory.key_for(asker, message.jws.kid, now), self.limits)
        used = await self._rows(message)
        return await self.judge(verified, snapshot, now, message_id_used=bool(used))

    async def judge(
        self, message: VerifiedMessage, snapshot: Snapshot, now: datetime, *, message_id_used: bool
    ) -> Judged:
        """Steps 5 to 7. Each step reports all its faults together; a faulty step ends the judgement."""
        claims = message.claims
        known = self.catalogue.get(claims.type) is not None
        judged = Judged(message, snapshot, now, (), None, known)
        reasons = staleness(claims, now, snapshot.directory.agencies.keys(), self.limits)  # 5 fresh
        if message_id_used:
            reasons = (Reason("envelope.replayed", pointer="/jti"), *reasons)
        if reasons:
            return replace(judged, reasons=reasons)
        if not known:  # 6 schema
            return replace(judged, reasons=(Reason("schema.unknown", pointer="/type"),))
        if violations := self.catalogue.violations(claims.type, message.body):
            return replace(judged, reasons=violations)
        facts = Facts(in_reply_to=await self._related(claims.in_reply_to))
        decision = decide(judged.agreement, message, facts, now)  # 7 decide
        return replace(judged, reasons=decision.reasons, decision=decision)

    async def _record(self, judged: Judged) -> Outcome:
        """Steps 8 to 10: what is released is fixed, recorded and answered for."""
        transfer, key = new_transfer_id(judged.received_at), os.urandom(32)
        seal, wrapped = self.sealer.new(transfer)
        job = RecordTransfer(
            ledger=judged.ledger,
            entry=self._entry(judged, transfer, key),
            row=self._row(judged, transfer, key, seal, wrapped),
            seal=seal,
            sign_receipt=lambda placed: self._receipt(judged, transfer, key, placed),
            judged_at_version=judged.snapshot.version,
            # A refused replay has no message id of its own: the first message keeps it.
            claims_message_id=not judged.replayed,
            codes=sorted({reason.code for reason in judged.reasons}),
            subjects=[
                (kind, self.tokens.token(kind, value))
                for kind, value in sorted(identifiers(judged.message.claims, judged.message.body))
            ],
            outbox=self._outbox(judged, transfer),
        )
        # The commit point is inside: once this returns, the message is the recipient's.
        committed = await asyncio.wrap_future(self.recorder.submit(job))
        recorded = committed.result
        return Outcome(
            transfer=transfer,
            decision=recorded.decision,
            receipt=recorded.receipt,
            origin=recorded.placed.origin,
            index=recorded.placed.index,
            proof=committed.proof(recorded.placed),
            reasons=judged.reasons,
            clause=_clause(judged),
            again=False,
            sender=judged.message.claims.iss,
            recipient=judged.message.claims.aud,
            type=judged.message.claims.type,
        )

    def _entry(self, judged: Judged, transfer: str, key: bytes) -> Entry:
        """What everyone may read for ever: codes and pseudonyms of record, the message only as a commitment."""
        claims, decision = judged.message.claims, judged.decision
        sealed = commitment(key, judged.message.jwt)
        if judged.permitted and decision is not None and decision.rule is not None and decision.clause is not None:
            assert decision.agreement_version is not None
            return TransferAccepted(
                time=judged.received_at,
                transfer=transfer,
                sender=claims.iss,
                recipient=claims.aud,
                type=claims.type,
                purpose=claims.purpose,
                classification=claims.classification,
                agreement=claims.agreement,
                agreement_version=decision.agreement_version,
                rule=decision.rule,
                clause=decision.clause,
                key=judged.message.kid,
                commitment=sealed,
                exp=claims.exp,
                retain_until=decision.retain_until,
                withheld=decision.withheld,
            )
        agreement = judged.agreement
        known_agency = claims.aud in judged.snapshot.directory.agencies
        return TransferRefused(
            time=judged.received_at,
            transfer=transfer,
            sender=claims.iss,
            key=judged.message.kid,
            commitment=sealed,
            reasons=judged.reasons,
            # What a refused message claims is a stranger's text unless it is one of our own codes.
            recipient=claims.aud if known_agency else None,
            type=claims.type if judged.known_type else None,
            purpose=claims.purpose if claims.purpose in self.catalogue.codes("purpose") else None,
            classification=claims.classification,
            agreement=None if agreement is None else agreement.id,
            agreement_version=None if agreement is None else agreement.version,
            rule=None if decision is None else decision.rule,
            clause=_clause(judged),
            exp=claims.exp,
        )

    def _row(self, judged: Judged, transfer: str, key: bytes, seal: Seal, wrapped: bytes) -> dict[str, Any]:
        message, decision = judged.message, judged.decision
        claims = message.claims
        withheld = decision.withheld if judged.permitted and decision is not None else ()
        content: dict[str, Any] = {"message": message.text(), "commitment_key": key.hex()}
        if judged.permitted:
            released = release(message, withheld)  # 8 release
            content["released"] = kept_mask(message, released)
            content["release"] = sign_release(
                Release(
                    iss=self.gateway_id,
                    aud=claims.aud,
                    iat=int(judged.received_at.timestamp()),
                    jti=secrets.token_urlsafe(16),
                    transfer=transfer,
                    sd_hash=sd_hash(released),
                    withheld=tuple(withheld),
                    commitment_key=key.hex(),
                ),
                self.signer,
            )
        acknowledge_by = None if decision is None else decision.acknowledge_by
        return {
            "id": transfer,
            "ledger": judged.ledger,
            "sender": claims.iss,
            "recipient": claims.aud,
            "jti": claims.jti,
            "type": claims.type,
            "purpose": claims.purpose,
            "classification": claims.classification,
            "agreement": claims.agreement,
            "agreement_version": None if judged.agreement is None else judged.agreement.version,
            "rule": None if decision is None else decision.rule,
            "clause": _clause(judged),
            "decision": ACCEPTED if judged.permitted else REFUSED,
            "reasons": reasons_json(judged.reasons),
            "withheld": json.dumps(list(withheld)),
            "kid": message.kid,
            "in_reply_to": claims.in_reply_to,
            "received_at": micros(judged.received_at),
            "expires_at": claims.exp * 1_000_000,
            "acknowledge_by": None if acknowledge_by is None else micros(acknowledge_by),
            "retain_until": None if decision is None or decision.retain_until is None else str(decision.retain_until),
            "commitment": commitment(key, message.jwt),
            "storage_key": self.sealer.storage.id,
            "wrapped_key": wrapped,
            "sealed_content": seal.close(CONTENT_PART, json.dumps(content).encode()),
        }

    def _receipt(self, judged: Judged, transfer: str, key: bytes, placed: Placed) -> str:
        decision = judged.decision
        return sign_gateway_receipt(
            GatewayReceipt(
                iss=self.gateway_id,
                aud=judged.message.claims.iss,
                iat=int(judged.received_at.timestamp()),
                jti=secrets.token_urlsafe(16),
                transfer=transfer,
                event=ACCEPTED if judged.permitted else REFUSED,
                sd_hash=sd_hash(judged.message.text()),
                origin=placed.origin,
                index=placed.index,
                leaf_hash=b64encode(placed.leaf_hash),
                commitment_key=key.hex(),
                rule=None if decision is None else decision.rule,
                clause=_clause(judged),
                reasons=judged.reasons,
            ),
            self.signer,
        )

    def _outbox(self, judged: Judged, transfer: str) -> dict[str, Any] | None:
        if not judged.permitted or judged.decision is None:
            return None
        return {
            "transfer": transfer,
            "recipient": judged.message.claims.aud,
            "priority": PRIORITIES[judged.decision.priority],
            "state": WAITING,
            "due_at": micros(judged.received_at),
            "attempts": 0,
            "expires_at": judged.message.claims.exp * 1_000_000,
        }

    async def _seen(self, message: UnverifiedMessage) -> Outcome | None:
        """The original answer, if these very signed bytes were recorded before.

        Whoever asks must hold every disclosure: a recipient, who has the JWT and some of them, gets no receipt this way.
        """
        rows = await self._rows(message)
        for row in rows:
            content = open_content(self.sealer, row)
            if commitment(bytes.fromhex(content["commitment_key"]), message.jwt) != row.commitment:
                continue
            try:
                open_message(message, self.limits)
            except MalformedError:
                return None
            return await asyncio.to_thread(self._original, row)
        return None

    async def _rows(self, message: UnverifiedMessage) -> list[TransferRow]:
        def look() -> list[TransferRow]:
            with self.database.reading() as session:
                return list(queries.recorded(session, message.claims.iss, message.claims.jti))

        return await asyncio.to_thread(look)

    def _original(self, row: TransferRow) -> Outcome:
        seal = self.sealer.unwrap(row.id, row.storage_key, row.wrapped_key)
        with self.database.reading() as session:
            origin = queries.ledger_head(session, row.ledger).origin
            proof = queries.proof(session, row.ledger, row.position)
        return Outcome(
            transfer=row.id,
            decision=row.decision,
            receipt=seal.open(RECEIPT_PART, row.sealed_receipt).decode("ascii"),
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

    async def _related(self, transfer: str | None) -> RelatedTransfer | None:
        if transfer is None:
            return None

        def look() -> RelatedTransfer | None:
            with self.database.reading() as session:
                reply = queries.replied_to(session, transfer)
            if reply is None:
                return None
            row = reply.row
            return RelatedTransfer(
                transfer=row.id,
                type=row.type,
                sender=row.sender,
                recipient=row.recipient,
                accepted=row.decision == ACCEPTED,
                open=not reply.answered,
            )

        return await asyncio.to_thread(look)


def _clause(judged: Judged) -> str | None:
    """The deciding rule's clause, or the first one that a reason names."""
    if judged.decision is not None and judged.decision.clause is not None:
        return judged.decision.clause
    return next((reason.clause for reason in judged.reasons if reason.clause is not None), None)


def kept_mask(message: VerifiedMessage, released: str) -> str:
    """Which of the message's disclosures are in `released`: a 1 or a 0 for each, in the sender's order."""
    kept = set(released.split("~")[1:-1])
    return "".join("1" if disclosure.encoded in kept else "0" for disclosure in message.disclosures)


def released_text(content: dict[str, Any]) -> str:
    """The released message again, from the stored one and its mask: a pure split, nothing is decoded."""
    jwt, *disclosures = str(content["message"]).split("~")[:-1]
    return serialise(jwt, (text for text, mark in zip(disclosures, content["released"], strict=True) if mark == "1"))


def open_content(sealer: Sealer, row: TransferRow) -> dict[str, Any]:
    """What is stored of a message: `message`, `commitment_key` and, if accepted, `released` and `release`."""
    content = sealer.unwrap(row.id, row.storage_key, row.wrapped_key).open(CONTENT_PART, row.sealed_content)
    loaded: dict[str, Any] = json.loads(content)
    return loaded
