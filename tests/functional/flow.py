"""The real flow on a real database with a small agreement and a clock that tests move: no HTTP, no other process."""

import asyncio
import json
import secrets
import threading
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event, insert, update
from sqlmodel import col

from gateway.agreement.document import agreement_from_json, signing_payload
from gateway.delivery.page import Page, Shelf
from gateway.jose import Signer, sign_jws
from gateway.keyring import KeyringSigner, Secret, signer_for
from gateway.keys.directory import ACTIVE
from gateway.keys.keychain import Ring
from gateway.ledger.entry import AgencyAdded, AgreementActivated, decode
from gateway.lookup import Lookup
from gateway.message.disclosure import close_payload, digest_of
from gateway.message.envelope import DEFAULT_LIMITS, MESSAGE_TYP, Case, Claims, issue, parse, serialise
from gateway.message_types.catalogue import Catalogue
from gateway.record import RecordWriter
from gateway.statements.approval import ApprovalRequest, content_digest, sign_approval
from gateway.store import queries
from gateway.store.append import Memory, create_ledger, open_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.configuration import Configuration
from gateway.store.described import description
from gateway.store.recorder import Recorder, Transaction
from gateway.store.sealing import Sealer, SubjectTokens
from gateway.store.session import Database
from gateway.store.tables import (
    AgencyKeyRow,
    AgencyRow,
    AgreementRow,
    ConfigVersion,
    OfficerRow,
    OutboxRow,
    TransferRow,
    micros,
)
from gateway.transfer import Exchange, Outcome
from tests.agreement.making import document, rule, source

IMIGRASI, POLDA = "imigrasi-banten", "polda-banten"
TYPES = (
    "notice", "hit", "cancel", "extend", "query", "answer", "count", "asked", "case", "paper", "report", "plain",
    "secret",
)  # fmt: skip
OFFICER = "VICTIM_PROTECTION_OFFICER"
T = TypeVar("T")


def catalogue() -> Catalogue:
    """Types whose bodies are any object: what this agreement demands is in its rules."""
    documents: dict[str, Any] = {
        f"{name}/1/schema.json": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:sinergi:schema:{name}:1",
            "title": name,
            "x-title-id": name,
            "description": name,
            "x-description-id": name,
            "type": "object",
        }
        for name in TYPES
    }
    documents["codes/purpose.json"] = {
        "$id": "urn:sinergi:codes:purpose",
        "title": "Purpose",
        "x-title-id": "Tujuan",
        "source": "a test",
        "provenance": "proposed",
        "codes": [{"code": "PREVENTION", "en": "Prevention", "id": "Pencegahan"}],
    }
    return Catalogue(documents)


def _to_polda(name: str, *relations: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return rule(id=name, type=f"{name}/1", relations=list(relations) or None, **changes)


def _to_imigrasi(name: str, *relations: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return _to_polda(name, *relations, senders=[POLDA], recipients=[IMIGRASI], **changes)


def rules() -> list[dict[str, Any]]:
    fishing = {
        "subject": "/body/subject",
        "at_most": 2,
        "within": "P30D",
        "named_by": ["case/1", "paper/1", "notice/1"],
        **source(),
    }
    always = {"/purpose": {"const": "PREVENTION"}}
    two = {"approvals": 2, "roles": [OFFICER], "notice": ["hit/1"], "matching": {"/body/name": "/body/about"}}
    return [
        _to_polda("notice", stands_until="/body/until", priority="bulk"),
        _to_imigrasi("hit", {"kind": "refers_to", "name": "of-a-notice", "types": ["notice/1"]}),
        _to_polda("cancel", {"kind": "amends", "name": "own-notice", "types": ["notice/1", "case/1"], "ends": True}),
        _to_polda(
            "extend",
            {"kind": "amends", "name": "own-notice", "types": ["notice/1"]},
            {"kind": "at_most", "name": "once", "count": 1},
            {"kind": "earlier", "name": "extendable", "field": "/body/extendable", "must": {"const": True}},
            {"kind": "same", "name": "same-person", "here": "/body/name", "there": "/body/name"},
        ),
        _to_imigrasi("query", repeats=fishing),
        _to_polda("answer", {"kind": "answers", "name": "open-query", "types": ["query/1"]}),
        _to_imigrasi("count", quota={"per_hour": 2, "per_day": 3, **source()}),
        _to_imigrasi("asked", repeats=fishing | {"otherwise": "flag"}),
        _to_polda("case"),
        _to_imigrasi("paper"),
        _to_polda("report", {"kind": "links", "name": "double", "field": "/body/duplicate_of", "types": ["report/1"]}),
        _to_polda("plain"),
        _to_polda("secret", withhold=[{"field": "/body/name", "unless": [always], "confidential": two, **source()}]),
    ]


class Clock:
    """The time of the machine, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, **duration: float) -> None:
        self.ahead += timedelta(**duration)


@dataclass
class Flow:
    """One node, and two agencies that sign."""

    database: Database
    recorder: Recorder
    exchange: Exchange
    clock: Clock
    keys: Mapping[str, KeyringSigner]

    def message(
        self,
        name: str,
        body: Mapping[str, Any] | None = None,
        *,
        disclosable: Sequence[str] = (),
        case: Case | None = None,
        **changes: Any,
    ) -> bytes:
        sender = (
            IMIGRASI if name in ("notice", "cancel", "extend", "answer", "case", "report", "plain", "secret") else POLDA
        )
        now = int(self.clock().timestamp())
        members: dict[str, Any] = {
            "iss": sender,
            "aud": POLDA if sender == IMIGRASI else IMIGRASI,
            "iat": now,
            "exp": now + 3600,
            "jti": secrets.token_urlsafe(12),
            "type": f"{name}/1",
            "agreement": "test",
            "purpose": "PREVENTION",
            "classification": "T",
            "case": case,
        }
        claims = Claims(**(members | changes))
        return issue(claims, body or {}, disclosable, self.keys[claims.iss]).encode()

    def notice(self, **changes: Any) -> Outcome:
        until = (self.clock() + timedelta(days=90)).date().isoformat()
        return self.accepted("notice", {"until": until, "extendable": True, "name": "X", **changes})

    def approved(self, name: str, body: Mapping[str, Any], officers: Sequence[Signer], in_reply_to: str) -> bytes:
        """A message with everything behind one digest a field, approved by these officers before it is signed."""
        claims = parse(self.message(name, in_reply_to=in_reply_to)).claims
        closed, disclosures = close_payload(body, [f"/{field}" for field in body])
        content = content_digest(claims.as_json() | {"_sd_alg": "sha-256", "body": closed})
        digests = tuple(map(digest_of, disclosures))
        request = ApprovalRequest(claims.iss, claims.aud, claims.jti, claims.type, claims.purpose, content, digests)
        closed = {**closed, "approvals": [sign_approval(request, officer, self.clock()) for officer in officers]}
        payload = claims.as_json() | {"_sd_alg": "sha-256", "body": closed}
        return serialise(sign_jws(payload, MESSAGE_TYP, self.keys[claims.iss]), disclosures).encode()

    def add_officer(self, agency: str, signer: KeyringSigner) -> None:
        now = self.clock()
        row = OfficerRow(
            kid=signer.kid,
            agency=agency,
            person=signer.kid,
            role=OFFICER,
            unit="PPA",
            jwk=json.dumps(dict(signer.public.jwk)),
            not_before=micros(now - timedelta(days=1)),
            not_after=micros(now + timedelta(days=365)),
            status=ACTIVE,
            changed_at=micros(now),
            storage_key="none",
            wrapped_key=b"",
            sealed_identity=b"",
        )
        with self.database.write.begin() as connection:
            connection.execute(insert(OfficerRow), [row.model_dump()])
            connection.execute(update(ConfigVersion).values(version=col(ConfigVersion.version) + 1))
        self.exchange.configuration.reload()

    def send(self, *messages: bytes) -> list[Outcome]:
        """All at once; their outcomes in order."""
        return list(run(self._all(messages)))

    async def _all(self, messages: Sequence[bytes]) -> list[Outcome]:
        return await asyncio.gather(*(self.exchange.transfer(message) for message in messages))

    def post(self, name: str, body: Mapping[str, Any] | None = None, **changes: Any) -> Outcome:
        return self.send(self.message(name, body, **changes))[0]

    def accepted(self, name: str, body: Mapping[str, Any] | None = None, **changes: Any) -> Outcome:
        outcome = self.post(name, body, **changes)
        assert outcome.decision == "accepted", outcome.reasons
        return outcome

    def race(self, *messages: bytes, nodes: Sequence["Flow"] = ()) -> list[Outcome]:
        """All are judged before any of them is recorded; then in this order, each at its node (here, if none is given)."""
        flows = list(nodes) or [self] * len(messages)
        return list(run(self._race(messages, flows)))

    async def _race(self, messages: Sequence[bytes], flows: Sequence["Flow"]) -> list[Outcome]:
        recorders = {id(flow.recorder): flow.recorder for flow in flows}
        # One that holds the writer up is enough where all nodes write through one lock.
        with held(self.recorder):
            tasks, here = [], 0
            for message, flow in zip(messages, flows, strict=True):
                tasks.append(asyncio.create_task(flow.exchange.transfer(message)))
                here += flow.recorder is self.recorder
                while self.recorder.waiting < here:  # noqa: ASYNC110 - a thread's queue rings no bell
                    await asyncio.sleep(0.01)
            if len(recorders) > 1:
                await asyncio.sleep(0.3)
        return await asyncio.gather(*tasks)

    def row(self, transfer: str) -> TransferRow:
        with self.database.reading() as session:
            return queries.transfer(session, transfer)

    def outbox(self, transfer: str) -> OutboxRow:
        with self.database.reading() as session:
            found = queries.outbox(session, transfer)
        assert found is not None
        return found

    def entries(self, ledger: str = "test") -> list[dict[str, Any]]:
        with self.database.reading() as session:
            size = queries.ledger_head(session, ledger).size
            every = (decode(queries.leaf(session, ledger, position)) for position in range(size))
            return [entry for entry in every if entry["kind"] != AgencyAdded.kind]  # those of the start

    def hand_out(self, agency: str) -> Page:
        shelf = Shelf(self.database, self.recorder, self.exchange.sealer, self.clock, timedelta(seconds=60))
        return run(shelf.take(agency, 100))

    @contextmanager
    def counting(self) -> Iterator[list[str]]:
        """The statements of the reading side."""
        seen: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        engine = self.database.read
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", note)


def run(awaitable: Awaitable[T]) -> T:
    async def wait() -> T:
        return await awaitable

    return asyncio.run(wait())


class _Hold:
    """A job that keeps the recorder's thread, and on SQLite everybody's lock, until it is let go."""

    ledgers: Sequence[str] = ()
    message_id = None

    def __init__(self) -> None:
        self.taken, self.let_go = threading.Event(), threading.Event()

    def stage(self, _transaction: Transaction) -> None:
        self.taken.set()
        assert self.let_go.wait(4)


@contextmanager
def held(recorder: Recorder) -> Iterator[None]:
    hold = _Hold()
    future = recorder.submit(hold)
    assert hold.taken.wait(10)
    try:
        yield
    finally:
        hold.let_go.set()
        future.result(10)


def found(database: Database, checkpoint_keys: CheckpointKeys) -> dict[str, KeyringSigner]:
    """Both agencies, their keys, and the agreement in force with its ledger."""
    keys = {agency: signer_for(Ed25519PrivateKey.generate()) for agency in (IMIGRASI, POLDA)}
    now = datetime.now(UTC)
    valid = {"date": "2099-12-31", **source()}
    agreement = agreement_from_json(rfc8785.dumps(document(*rules(), valid_until=valid)))
    with database.write.begin() as connection:
        create_ledger(connection, agreement.id, f"gateway.test/ledger/{agreement.id}", checkpoint_keys)
        own = open_ledger(connection, "gateway", checkpoint_keys, Memory())
        for agency, signer in keys.items():
            connection.execute(
                insert(AgencyRow).values((row := AgencyRow(id=agency, name=agency, status=ACTIVE)).model_dump())
            )
            own.append(AgencyAdded(time=now, agency=agency, status=ACTIVE, digest=description(row)))
            connection.execute(
                insert(AgencyKeyRow).values(
                    agency=agency,
                    kid=signer.kid,
                    jwk=json.dumps(dict(signer.public.jwk)),
                    not_before=micros(now - timedelta(days=1)),
                    not_after=micros(now + timedelta(days=365)),
                    status=ACTIVE,
                    changed_at=micros(now),
                )
            )
        activated = AgreementActivated(
            time=now,
            agreement=agreement.id,
            version=agreement.version,
            digest=agreement.digest,
            signers=tuple(agreement.parties),
        )
        append = open_ledger(connection, agreement.id, checkpoint_keys, Memory())
        signatures = [
            sign_jws(signing_payload(agreement, agency, now), "agreement+jwt", keys[agency])
            for agency in agreement.parties
        ]
        connection.execute(
            insert(AgreementRow).values(
                id=agreement.id,
                version=agreement.version,
                digest=agreement.digest,
                document=agreement.canonical(),
                signatures=json.dumps(signatures),
                activated_at=micros(now),
                position=append.append(activated).index,
                active=True,
            )
        )
        append.flush()
        own.flush()
    return keys


@dataclass(frozen=True)
class Secrets:
    """What all nodes share."""

    checkpoint: CheckpointKeys
    sign: KeyringSigner
    storage: Secret
    index: Secret


@contextmanager
def node(database: Database, shared: Secrets, clock: Clock, keys: Mapping[str, KeyringSigner]) -> Iterator[Flow]:
    """A gateway as `wiring.py` makes it, with the types of this agreement."""
    sealer, tokens, known = Sealer(Ring(shared.storage)), SubjectTokens(Ring(shared.index)), catalogue()
    recorder = Recorder(database, shared.checkpoint)
    exchange = Exchange(
        limits=DEFAULT_LIMITS,
        catalogue=known,
        configuration=Configuration(database),
        database=database,
        recorder=recorder,
        writer=RecordWriter("sinergi-test", known, sealer, tokens, lambda: shared.sign),
        sealer=sealer,
        lookup=Lookup(database, sealer, tokens, DEFAULT_LIMITS),
        clock=clock,
    )
    recorder.start()
    try:
        yield Flow(database, recorder, exchange, clock, keys)
    finally:
        recorder.stop()
