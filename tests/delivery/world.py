"""A gateway's store with two agencies, and a recipient's HTTP server, small enough to see through."""

import asyncio
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, update
from sqlmodel import col

from gateway.delivery.acknowledge import Acknowledgements
from gateway.delivery.inbox import Inbox
from gateway.delivery.outbound import Resolve, resolve
from gateway.delivery.worker import Worker
from gateway.keyring import KeyringSigner, Secret, signer_for
from gateway.keys.directory import ACTIVE
from gateway.keys.keychain import Ring
from gateway.ledger.entry import TransferAccepted, commitment, decode
from gateway.message.envelope import DEFAULT_LIMITS, Claims, VerifiedMessage, issue, parse, release, sd_hash, verify
from gateway.record import kept_mask
from gateway.retention import Retention
from gateway.settings import DeliverySettings
from gateway.statements.receipt import Acknowledgement, Release, sign_acknowledgement, sign_release
from gateway.store import queries
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.configuration import Configuration
from gateway.store.identity import new_transfer_id
from gateway.store.jobs.transfers import CONTENT_PART, RecordTransfer
from gateway.store.recorder import Recorder
from gateway.store.sealing import Sealer
from gateway.store.session import Database
from gateway.store.tables import ACCEPTED, WAITING, AgencyKeyRow, AgencyRow, ConfigVersion, OutboxRow, micros
from gateway.telemetry import Metrics

GATEWAY = "sinergi-test"
SENDER = "bnn-banten"
RECIPIENT = "polda-banten"
LEDGER = "pks"
START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
URGENT, NORMAL, BULK = 0, 1, 2
WITHHELD = "/body/reporter"


class Clock:
    """Stands still until somebody moves it."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> None:
        self.moment += timedelta(**duration)


class World:
    """One database, one recorder, and the keys of everybody."""

    def __init__(self, database: Database, checkpoint_keys: CheckpointKeys, folder: Path) -> None:
        self.database = database
        self.clock = Clock()
        self.recorder = Recorder(database, checkpoint_keys)
        self.checkpoints = CheckpointFiles(folder / "checkpoints", checkpoint_keys)
        self.sealer = Sealer(Ring(Secret("storage", os.urandom(32))))
        self.signer = signer_for(Ed25519PrivateKey.generate())
        self.metrics = Metrics()
        self.keys: dict[str, KeyringSigner] = {}
        for agency in (SENDER, RECIPIENT, "imigrasi"):
            self.add_agency(agency)
        self.recorder.start()

    def close(self) -> None:
        self.recorder.stop()

    def add_agency(self, agency: str) -> None:
        self.keys[agency] = signer_for(Ed25519PrivateKey.generate())
        with self.database.write.begin() as connection:
            connection.execute(insert(AgencyRow), [{"id": agency, "name": agency, "status": ACTIVE}])
        self.add_key(agency, self.keys[agency])

    def add_key(self, agency: str, signer: KeyringSigner, status: str = ACTIVE) -> None:
        row = {
            "agency": agency,
            "kid": signer.kid,
            "jwk": json.dumps(dict(signer.public.jwk)),
            "not_before": micros(START - timedelta(days=1)),
            "not_after": micros(START + timedelta(days=365)),
            "status": status,
            "changed_at": micros(START),
        }
        with self.database.write.begin() as connection:
            connection.execute(insert(AgencyKeyRow), [row])

    def set_endpoint(
        self, agency: str, url: str | None, networks: str = "127.0.0.1/32", ca_file: Path | None = None
    ) -> None:
        self.change_agency(
            agency,
            endpoint_url=url,
            endpoint_networks=networks,
            endpoint_ca_file=None if ca_file is None else str(ca_file),
        )

    def set_liaison(self, agency: str, url: str | None, networks: str = "127.0.0.1/32") -> None:
        self.change_agency(agency, liaison_url=url, liaison_networks=networks)

    def change_agency(self, agency: str, **values: Any) -> None:
        with self.database.write.begin() as connection:
            connection.execute(update(AgencyRow).where(col(AgencyRow.id) == agency).values(**values))
            connection.execute(update(ConfigVersion).values(version=col(ConfigVersion.version) + 1))

    def change_key(self, kid: str, **values: Any) -> None:
        with self.database.write.begin() as connection:
            connection.execute(update(AgencyKeyRow).where(col(AgencyKeyRow.kid) == kid).values(**values))
            connection.execute(update(ConfigVersion).values(version=col(ConfigVersion.version) + 1))

    @cached_property
    def configuration(self) -> Configuration:
        return Configuration(self.database)

    @cached_property
    def acknowledgements(self) -> Acknowledgements:
        return Acknowledgements(
            gateway_id=GATEWAY,
            configuration=self.configuration,
            database=self.database,
            recorder=self.recorder,
            sealer=self.sealer,
            clock=self.clock,
            limits=DEFAULT_LIMITS,
            metrics=self.metrics,
        )

    def inbox(self, **settings: Any) -> Inbox:
        return Inbox(
            database=self.database,
            recorder=self.recorder,
            sealer=self.sealer,
            clock=self.clock,
            settings=DeliverySettings(**{"poll_seconds": 0.05} | settings),
        )

    def worker(
        self,
        *,
        resolve: Resolve = resolve,
        retention: Retention | None = None,
        metrics: Metrics | None = None,
        **settings: Any,
    ) -> Worker:
        return Worker(
            gateway_id=GATEWAY,
            configuration=self.configuration,
            database=self.database,
            recorder=self.recorder,
            sealer=self.sealer,
            signer=lambda: self.signer,
            requests=lambda: self.signer,
            acknowledgements=self.acknowledgements,
            checkpoints=self.checkpoints,
            settings=DeliverySettings(**{"poll_seconds": 0.02, "timeout": 5.0} | settings),
            clock=self.clock,
            metrics=metrics,
            retention=retention,
            resolve=resolve,
        )

    def send(
        self,
        recipient: str = RECIPIENT,
        *,
        priority: int = NORMAL,
        valid: timedelta = timedelta(days=7),
        filler: int = 0,
        ledger: str = LEDGER,
    ) -> str:
        """An accepted transfer in ledger and outbox, its field `/body/reporter` withheld; its id."""
        return self.send_many([self.job(recipient, priority=priority, valid=valid, filler=filler, ledger=ledger)])[0]

    def send_many(self, jobs: Sequence[RecordTransfer]) -> list[str]:
        futures = [self.recorder.submit(job) for job in jobs]
        return [future.result(10).result.transfer for future in futures]

    def job(
        self,
        recipient: str = RECIPIENT,
        *,
        priority: int = NORMAL,
        valid: timedelta = timedelta(days=7),
        filler: int = 0,
        ledger: str = LEDGER,
    ) -> RecordTransfer:
        now = self.clock()
        message = self._message(recipient, valid, filler)
        transfer, key = new_transfer_id(now), os.urandom(32)
        seal, wrapped = self.sealer.new(transfer)
        content = json.dumps(self._content(message, transfer, key)).encode()
        judged: dict[str, Any] = {
            "sender": SENDER,
            "recipient": recipient,
            "type": message.claims.type,
            "purpose": message.claims.purpose,
            "classification": message.claims.classification,
            "agreement": LEDGER,
            "agreement_version": 1,
            "rule": "notice",
            "clause": "Pasal 1",
            "commitment": commitment(key, message.jwt),
        }
        entry = TransferAccepted(
            time=now, transfer=transfer, key=message.kid, exp=message.claims.exp, withheld=(WITHHELD,), **judged
        )
        row = judged | {
            "id": transfer,
            "ledger": ledger,
            "jti": message.claims.jti,
            "identity": secrets.token_hex(32),
            "decision": ACCEPTED,
            "withheld": json.dumps([WITHHELD]),
            "reasons": "[]",
            "kid": message.kid,
            "flags": "[]",
            "received_at": micros(now),
            "expires_at": message.claims.exp * 1_000_000,
            "storage_key": seal.storage_key,
            "wrapped_key": wrapped,
            "sealed_content": seal.close(CONTENT_PART, content),
        }
        row |= dict.fromkeys(("in_reply_to", "reply_as", "stands_until", "acknowledge_by", "retain_until"))
        outbox = {
            "transfer": transfer,
            "recipient": recipient,
            "priority": priority,
            "state": WAITING,
            "due_at": micros(now),
            "attempts": 0,
            "expires_at": row["expires_at"],
        }
        with self.database.reading() as session:
            version = queries.config_version(session)
        return RecordTransfer(
            ledger, entry, row, seal, lambda _placed: "receipt", version, claims_message_id=True, outbox=outbox
        )

    def _message(self, recipient: str, valid: timedelta, filler: int) -> VerifiedMessage:
        now, signer = self.clock(), self.keys[SENDER]
        claims = Claims(
            iss=SENDER,
            aud=recipient,
            iat=int(now.timestamp()),
            exp=int((now + valid).timestamp()),
            jti=secrets.token_urlsafe(16),
            type="test.notice/1",
            agreement=LEDGER,
            purpose="TEST",
            classification="B",
        )
        body = {"text": "x" * filler, "reporter": "somebody"}
        return verify(parse(issue(claims, body, [WITHHELD], signer).encode()), signer.public)

    def _content(self, message: VerifiedMessage, transfer: str, key: bytes) -> dict[str, Any]:
        """What is sealed of a message, and with it what the recipient gets."""
        released = release(message, [WITHHELD])
        statement = Release(
            iss=GATEWAY,
            aud=message.claims.aud,
            iat=message.claims.iat,
            jti=secrets.token_urlsafe(16),
            transfer=transfer,
            sd_hash=sd_hash(released),
            withheld=(WITHHELD,),
            commitment_key=key.hex(),
        )
        return {
            "message": message.text(),
            "commitment_key": key.hex(),
            "released": kept_mask(message, released),
            "release": sign_release(statement, self.signer),
        }

    def acknowledge(self, item: Mapping[str, Any], event: str = "delivered", **other: Any) -> str:
        """The recipient's signed receipt for an item that it holds; `other` members make it lie, `by` signs."""
        by = other.pop("by", self.keys[RECIPIENT])
        claims: dict[str, Any] = {
            "iss": RECIPIENT,
            "aud": GATEWAY,
            "iat": int(self.clock().timestamp()),
            "jti": secrets.token_urlsafe(16),
            "transfer": item["transfer"],
            "event": event,
            "sd_hash": sd_hash(item["message"]),
        }
        return sign_acknowledgement(Acknowledgement(**claims | other), by)

    def outbox(self, transfer: str) -> OutboxRow:
        with self.database.reading() as session:
            row = queries.outbox(session, transfer)
        assert row is not None
        return row

    def entries(self, kind: str, ledger: str = LEDGER) -> list[dict[str, Any]]:
        with self.database.reading() as session:
            size = queries.ledger_head(session, ledger).size
            leaves = [
                leaf for bundle in range(size // 256 + 1) for leaf in queries.leaves(session, ledger, bundle, 256)
            ]
        return [entry for entry in map(decode, leaves) if entry["kind"] == kind]


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Waits for something that a thread or another task brings about."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for lives in the database
            await asyncio.sleep(0.01)
