"""The flow of one message in this process, without a store: what was looked up is given, what is recorded is kept."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway import transfer
from gateway.agreement.document import Agreement
from gateway.api.problems import problem_body
from gateway.jose import Signer
from gateway.keyring import Secret
from gateway.keys.directory import Agency, AgencyKey, directory
from gateway.keys.keychain import Ring
from gateway.lookup import Found
from gateway.message.envelope import DEFAULT_LIMITS
from gateway.record import Judged, RecordWriter
from gateway.store.append import Placed
from gateway.store.configuration import Snapshot
from gateway.store.jobs.transfers import RecordTransfer
from gateway.store.sealing import Sealer, SubjectTokens
from tests.agreement.making import KEY
from tests.properties.exchanges import AGENCIES, AGREEMENT, MESSAGES, Exchange

SEALER, TOKENS = Sealer(Ring(Secret("storage", bytes(32)))), SubjectTokens(Ring(Secret("index", bytes(range(32)))))
_WRITER = RecordWriter("sinergi-test", MESSAGES, SEALER, TOKENS, lambda: cast("Signer", KEY))
_ALWAYS, _NEVER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
_DIRECTORY = directory(
    [Agency(name, name) for name in AGENCIES],
    [AgencyKey(name, KEY.public, _ALWAYS, _NEVER) for name in AGENCIES],
)


@dataclass
class Kept:
    """What the flow made of a message: the judgements, the recorder's job, and what the sender is told."""

    judged: list[Judged] = field(default_factory=list)
    jobs: list[RecordTransfer] = field(default_factory=list)
    shown: dict[str, Any] = field(default_factory=dict)
    outcome: transfer.Outcome | None = None

    @property
    def job(self) -> RecordTransfer:
        (job,) = self.jobs
        return job

    @property
    def content(self) -> dict[str, Any]:
        """What is stored of the message, unsealed."""
        row = self.job.row
        seal = SEALER.unwrap(row["id"], row["storage_key"], row["wrapped_key"])
        return cast("dict[str, Any]", json.loads(seal.open("content", row["sealed_content"])))


def sent(exchange: Exchange, patch: pytest.MonkeyPatch, under: Agreement = AGREEMENT) -> Kept:
    """The message asked about (`POST /v1/decisions`) and then sent (`POST /v1/messages`), both with the same facts."""
    message, facts = exchange.sent()
    kept = Kept()

    async def record(job: RecordTransfer) -> Any:
        kept.jobs.append(job)
        placed = Placed(job.ledger, "gateway.test/ledger", 7, bytes(32))
        receipt = job.sign_receipt(placed)
        result = SimpleNamespace(transfer=job.row["id"], decision=job.row["decision"], receipt=receipt, placed=placed)
        return SimpleNamespace(result=result, proof=lambda _: "proof")

    def job(judged: Judged) -> RecordTransfer:
        kept.judged.append(judged)
        return _WRITER.job(judged)

    snapshot = Snapshot(1, _DIRECTORY, {under.id: under})

    async def knowing(_agency: str, _kid: str) -> Snapshot:
        return snapshot

    parts: dict[str, Any] = {
        "limits": DEFAULT_LIMITS,
        "catalogue": MESSAGES,
        "configuration": SimpleNamespace(current=lambda: snapshot, knowing=knowing),
        "database": SimpleNamespace(reading=_no_session),
        "recorder": SimpleNamespace(record=record),
        "writer": SimpleNamespace(job=job, tokens=TOKENS),
        "sealer": SEALER,
        "lookup": SimpleNamespace(find=lambda *_: Found(facts)),
        "clock": lambda: exchange.at,
    }
    flow = transfer.Exchange(**parts)
    patch.setattr(transfer, "asks", lambda _: True)
    patch.setattr(transfer.queries, "recorded", lambda *_: None)
    patch.setattr(transfer.queries, "message_id_used", lambda *_: False)

    async def both() -> None:
        raw = message.text().encode()
        kept.judged.append(await flow.preview(raw, message.claims.iss))
        kept.outcome = await flow.transfer(raw)

    asyncio.run(both())
    return kept


@contextmanager
def _no_session() -> Iterator[None]:
    yield None


def told(kept: Kept) -> list[bytes]:
    """All that the gateway writes about a message in clear, to anybody: nothing of it may say what the message says.

    The leaf of the ledger, the receipt, the problem in both languages, the decision, the row without what is sealed, the
    rows that follow, and the release statement.
    """
    job, outcome = kept.job, kept.outcome
    assert outcome is not None
    row = {name: value for name, value in job.row.items() if not isinstance(value, bytes)}
    rest = [row, job.outbox, job.codes, job.subjects, job.ends, job.amends, repr(job.effects), repr(job.relies_on)]
    texts = [
        job.entry.leaf(),
        json.dumps(rest, ensure_ascii=False, default=str).encode(),
        repr(kept.judged[0].decision).encode(),
    ]
    texts += [_read(jws) for jws in (outcome.receipt, kept.content.get("release")) if jws]
    texts += [json.dumps(problem_body(outcome.reasons, lang)).encode() for lang in ("id", "en") if outcome.reasons]
    return texts


def _read(jws: str) -> bytes:
    part = jws.split(".")[1]
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
