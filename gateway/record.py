"""What is written down of a judged message: ledger entry, stored row, outbox row, receipt and release.

Decides which facts go where: the ledger gets codes and a commitment, the row gets the message sealed, the sender the
receipt, the recipient the release. Leaves the judgement to `transfer.py` and the writing to the recorder.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic_core import to_json

from gateway.agreement.document import Agreement
from gateway.decision.decide import Decision
from gateway.decision.subjects import identifiers
from gateway.early_warning import follow_up
from gateway.errors import ErasedError, Reason
from gateway.jose import Signer, b64encode
from gateway.keys.keychain import OwnKey
from gateway.ledger.entry import Entry, TransferAccepted, TransferRefused, commitment
from gateway.message.envelope import UnverifiedMessage, VerifiedMessage, release, sd_hash, serialise
from gateway.message_types.catalogue import Catalogue
from gateway.statements.receipt import GatewayReceipt, Release, sign_gateway_receipt, sign_release
from gateway.statements.restatement import receipt_now
from gateway.store.append import Placed
from gateway.store.configuration import Snapshot
from gateway.store.identity import new_transfer_id
from gateway.store.jobs.deadlines import Follow
from gateway.store.jobs.transfers import CONTENT_PART, RECEIPT_PART, RecordTransfer, reasons_json
from gateway.store.past import AMENDS, ENDS
from gateway.store.randomness import random_bytes, random_id
from gateway.store.reliance import Reliance
from gateway.store.sealing import Seal, Sealer, SubjectTokens
from gateway.store.tables import ACCEPTED, REFUSED, URGENT, WAITING, TransferRow, micros

OWN_LEDGER: Final = "gateway"
PRIORITIES: Final = {"urgent": URGENT, "normal": 1, "bulk": 2}


@dataclass(frozen=True, slots=True)
class Judged:
    """Everything that is known of a proven message before it is recorded. No reasons: it may pass."""

    message: VerifiedMessage
    snapshot: Snapshot
    received_at: datetime
    reasons: tuple[Reason, ...]
    decision: Decision | None
    known_type: bool
    relies_on: tuple[Reliance, ...] = ()

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
    def clause(self) -> str | None:
        """The deciding rule's clause, or the first one that a reason names."""
        if self.decision is not None and self.decision.clause is not None:
            return self.decision.clause
        return next((reason.clause for reason in self.reasons if reason.clause is not None), None)

    @property
    def ledger(self) -> str:
        """The agreement's ledger, or the gateway's own when the message names none that we know."""
        return OWN_LEDGER if self.agreement is None else self.agreement.id


@dataclass(frozen=True, slots=True)
class RecordWriter:
    """Makes the recorder's job for a judged message (steps 8 to 10)."""

    gateway_id: str
    catalogue: Catalogue
    sealer: Sealer
    tokens: SubjectTokens
    # Asked for each signature: keys are rotated while messages flow.
    signer: Callable[[], Signer]

    def job(self, judged: Judged) -> RecordTransfer:
        transfer, key = new_transfer_id(judged.received_at), random_bytes(32)
        seal, wrapped = self.sealer.new(transfer)
        message, decision = judged.message, judged.decision
        committed = commitment(key, message.jwt)
        flags = () if decision is None else decision.flags
        reply_as = decision.reply_as if judged.permitted and decision is not None else None
        return RecordTransfer(
            ledger=judged.ledger,
            entry=self._entry(judged, transfer, committed),
            row=self._row(judged, transfer, key, seal, wrapped) | {"commitment": committed},
            seal=seal,
            sign_receipt=lambda placed: self._receipt(judged, transfer, key, placed),
            judged_at_version=judged.snapshot.version,
            # A refused replay has no message id of its own: the first message keeps it, and it is known by its text.
            known_as=self.tokens.identities(message.jwt) if judged.replayed else (),
            claims_message_id=not judged.replayed,
            codes=sorted({reason.code for reason in (*judged.reasons, *flags)}),
            subjects=sorted(
                (kind, token, key_id)
                for kind, value in identifiers(message.claims, message.body)
                for key_id, token in self.tokens.written(kind, value)
            ),
            outbox=self._outbox(judged, transfer),
            relies_on=judged.relies_on if judged.permitted else (),
            ends=message.claims.in_reply_to if reply_as == ENDS else None,
            amends=message.claims.in_reply_to if reply_as == AMENDS else None,
            effects=self._effects(judged, transfer),
        )

    def _entry(self, judged: Judged, transfer: str, committed: str) -> Entry:
        """What everyone may read for ever: codes and pseudonyms of record, the message only as a commitment."""
        claims, decision = judged.message.claims, judged.decision
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
                commitment=committed,
                exp=claims.exp,
                retain_until=decision.retain_until,
                withheld=decision.withheld,
                # Only what was looked up: another id would be a word of the sender's, for ever.
                in_reply_to=None if decision.reply_as is None else claims.in_reply_to,
                reply_as=decision.reply_as,
                acknowledge_by=decision.acknowledge_by,
                flags=decision.flags,
                approvals=decision.approved_by,
                notice=decision.notice,
            )
        agreement = judged.agreement
        known_agency = claims.aud in judged.snapshot.directory.agencies
        return TransferRefused(
            time=judged.received_at,
            transfer=transfer,
            sender=claims.iss,
            key=judged.message.kid,
            commitment=committed,
            reasons=judged.reasons,
            # What a refused message claims is a stranger's text unless it is one of our own codes.
            recipient=claims.aud if known_agency else None,
            type=claims.type if judged.known_type else None,
            purpose=claims.purpose if claims.purpose in self.catalogue.codes("purpose") else None,
            classification=claims.classification,
            agreement=None if agreement is None else agreement.id,
            agreement_version=None if agreement is None else agreement.version,
            rule=None if decision is None else decision.rule,
            clause=judged.clause,
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
                    jti=random_id(),
                    transfer=transfer,
                    sd_hash=sd_hash(released),
                    withheld=tuple(withheld),
                    commitment_key=key.hex(),
                ),
                self.signer(),
            )
        index_key, identity = self.tokens.identity(message.jwt)
        acknowledge_by = None if decision is None else decision.acknowledge_by
        stands_until = None if decision is None else decision.stands_until
        # Of a refused message no rule says how long it is kept: a setting does.
        retain_until = decision.retain_until if judged.permitted and decision is not None else None
        return {
            "id": transfer,
            "ledger": judged.ledger,
            "sender": claims.iss,
            "recipient": claims.aud,
            "jti": claims.jti,
            "identity": identity,
            "index_key": index_key,
            "type": claims.type,
            "purpose": claims.purpose,
            "classification": claims.classification,
            "agreement": claims.agreement,
            "agreement_version": None if judged.agreement is None else judged.agreement.version,
            "rule": None if decision is None else decision.rule,
            "clause": judged.clause,
            "decision": ACCEPTED if judged.permitted else REFUSED,
            "reasons": reasons_json(judged.reasons),
            "withheld": json.dumps(list(withheld)),
            "flags": reasons_json(() if decision is None else decision.flags),
            "kid": message.kid,
            "in_reply_to": claims.in_reply_to,
            "reply_as": None if decision is None else decision.reply_as,
            "stands_until": None if stands_until is None else micros(stands_until),
            "received_at": micros(judged.received_at),
            "expires_at": claims.exp * 1_000_000,
            "acknowledge_by": None if acknowledge_by is None else micros(acknowledge_by),
            "retain_until": None if retain_until is None else str(retain_until),
            "storage_key": seal.storage_key,
            "wrapped_key": wrapped,
            "sealed_content": seal.close(CONTENT_PART, to_json(content)),
        }

    def receipt_again(self, row: TransferRow, message: UnverifiedMessage, placed: Placed, now: datetime) -> str:
        """Of an erased message, for whoever holds its bytes still: all that the first receipt said, but for the key."""
        assert row.erased_at is not None
        return sign_gateway_receipt(
            GatewayReceipt(
                iss=self.gateway_id,
                aud=row.sender,
                iat=int(now.timestamp()),
                jti=random_id(),
                transfer=row.id,
                event=row.decision,
                sd_hash=sd_hash(serialise(message.jwt, (disclosure.encoded for disclosure in message.disclosures))),
                origin=placed.origin,
                index=placed.index,
                leaf_hash=b64encode(placed.leaf_hash),
                commitment_key="",
                rule=row.rule,
                clause=row.clause,
                reasons=tuple(Reason(**reason) for reason in json.loads(row.reasons)),
                erased_at=row.erased_at // 1_000_000,
            ),
            self.signer(),
        )

    def _receipt(self, judged: Judged, transfer: str, key: bytes, placed: Placed) -> str:
        decision = judged.decision
        return sign_gateway_receipt(
            GatewayReceipt(
                iss=self.gateway_id,
                aud=judged.message.claims.iss,
                iat=int(judged.received_at.timestamp()),
                jti=random_id(),
                transfer=transfer,
                event=ACCEPTED if judged.permitted else REFUSED,
                sd_hash=sd_hash(judged.message.text()),
                origin=placed.origin,
                index=placed.index,
                leaf_hash=b64encode(placed.leaf_hash),
                commitment_key=key.hex(),
                rule=None if decision is None else decision.rule,
                clause=judged.clause,
                reasons=judged.reasons,
            ),
            self.signer(),
        )

    def _effects(self, judged: Judged, transfer: str) -> tuple[Follow, ...]:
        decision = judged.decision
        if not judged.permitted or decision is None:
            return ()
        found = follow_up(
            transfer=transfer,
            ledger=judged.ledger,
            claims=judged.message.claims,
            body=judged.message.body,
            withheld=decision.withheld,
            received_at=judged.received_at,
            acknowledge_by=decision.acknowledge_by,
            reply_as=decision.reply_as,
        )
        return (Follow(found),)

    def _outbox(self, judged: Judged, transfer: str) -> dict[str, Any] | None:
        if not judged.permitted or judged.decision is None:
            return None
        return {
            "transfer": transfer,
            "recipient": judged.message.claims.aud,
            "priority": PRIORITIES[judged.decision.priority or "normal"],
            "state": WAITING,
            "due_at": micros(judged.received_at),
            "attempts": 0,
            "expires_at": judged.message.claims.exp * 1_000_000,
        }


def kept_mask(message: VerifiedMessage, released: str) -> str:
    """Which of the message's disclosures are in `released`: a 1 or a 0 for each, in the sender's order."""
    kept = set(released.split("~")[1:-1])
    return "".join("1" if disclosure.encoded in kept else "0" for disclosure in message.disclosures)


def released_text(content: dict[str, Any]) -> str:
    """The released message again, from the stored one and its mask: a pure split, nothing is decoded."""
    jwt, *disclosures = str(content["message"]).split("~")[:-1]
    return serialise(jwt, (text for text, mark in zip(disclosures, content["released"], strict=True) if mark == "1"))


def require_kept(row: TransferRow) -> None:
    """Raises ErasedError."""
    if row.erased_at is not None:
        raise ErasedError("the message has been erased")


def open_content(sealer: Sealer, row: TransferRow) -> dict[str, Any]:
    """What is stored of a message: `message`, `commitment_key` and, if accepted, `released` and `release`.

    Raises ErasedError when it is stored no more, KeyringError when it does not open.
    """
    return _content(_seal(sealer, row), row)


@dataclass(frozen=True, slots=True)
class Opened:
    """What is stored of a message: its content, as `open_content` gives it, and the gateway's receipt as it was signed."""

    row: TransferRow
    content: dict[str, Any]
    receipt: str

    def receipt_now(self, own: Sequence[OwnKey], signer: Signer, *, origin: str, leaf: bytes) -> str:
        """The receipt as it counts now; `leaf` is the entry of the message. Raises as `restatement.receipt_now` does."""
        index, message = self.row.position, str(self.content["message"])
        return receipt_now(self.receipt, own, signer, origin=origin, index=index, leaf=leaf, message=message)


def open_with_receipt(sealer: Sealer, row: TransferRow) -> Opened:
    """Content and receipt, which are sealed under one key. Raises as `open_content` does."""
    seal = _seal(sealer, row)
    return Opened(row, _content(seal, row), seal.open(RECEIPT_PART, row.sealed_receipt).decode("ascii"))


def _seal(sealer: Sealer, row: TransferRow) -> Seal:
    require_kept(row)
    return sealer.unwrap(row.id, row.storage_key, row.wrapped_key)


def _content(seal: Seal, row: TransferRow) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(seal.open(CONTENT_PART, row.sealed_content))
    return content
