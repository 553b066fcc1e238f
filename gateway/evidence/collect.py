"""What the gateway knows of one transfer, as the files of a bundle.

Decides which files: the message, the receipts, and every ledger entry that `checks.py` needs, each with its proof under a
checkpoint that the witnesses saw where there are any. Judges nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlmodel import Session, col, select

from gateway.agreement import AGREEMENT_TYP
from gateway.attestation.policy import Policies
from gateway.evidence import checks
from gateway.evidence.bundle import pack, unpack
from gateway.evidence.report import reports
from gateway.jose import Signer, parse_jws, public_key_from_jwk
from gateway.ledger.cosignature import Quorum
from gateway.ledger.cosignature import Trust as LedgerTrust
from gateway.ledger.entry import decode, instant
from gateway.ledger.merkle import inclusion_proof
from gateway.ledger.note import NoteVerifier
from gateway.ledger.proof import format_proof, parse_proof
from gateway.ledger.tiles import TILE_WIDTH, TileReader
from gateway.receipt import parse_acknowledgement
from gateway.record import OWN_LEDGER, open_content, released_text
from gateway.store import attested, queries
from gateway.store.jobs.transfers import RECEIPT_PART
from gateway.store.published import published_at
from gateway.store.sealing import Sealer
from gateway.store.tables import (
    ACCEPTED,
    AgencyKeyRow,
    AgreementRow,
    CheckpointTimestamp,
    TransferRow,
    moment,
)

_BATCH: Final = 16
_JWK: Final = ("kty", "crv", "x", "y")
_EVENTS: Final = tuple(
    f'"kind":"{kind}"'.encode()
    for kind in ("key.added", "key.revoked", "key.retired", "schema.published", "agreement.activated")
)


@dataclass(slots=True)
class Collector:
    """`policies` say which witnesses a checkpoint should have; where none is asked for, any published one will do.

    `vkey` gives a ledger's key by its origin, for the gateway's own report.
    """

    session: Session
    sealer: Sealer
    policies: Policies
    gateway: str
    signer: Signer
    vkey: Callable[[str], str]
    files: dict[str, bytes] = field(default_factory=dict)

    def bundle(self, transfer: str, now: datetime, *, as_released: bool = False) -> bytes:
        """The zip; `as_released` is the recipient's: the message as it got it, and nothing of what was withheld.

        Of a message that was erased there are the entries and their proofs. Raises NotFoundError for no such transfer.
        """
        row = queries.transfer(self.session, transfer)
        self.entry("decision", row.ledger, row.position)
        if row.erased_position is None:
            self.message(row, whole=not as_released)
            self.acknowledgements(row)
        else:  # what was destroyed proves nothing more; that it was there, and that it is gone, is in the ledger
            self.entry("erased", row.ledger, row.erased_position)
        self.configuration(row)
        self.timestamp(row)
        plain = unpack(self.packed(transfer, now))
        trust = self.trust()
        self.files |= reports(plain, checks.check(plain, trust), trust, "gateway")
        return self.packed(transfer, now)

    def packed(self, transfer: str, now: datetime) -> bytes:
        return pack(self.files, gateway=self.gateway, transfer=transfer, made_at=now, signer=self.signer)

    def trust(self) -> checks.Trust:
        """The gateway's own keys, for its own report. Witnesses are named in it, and none is required."""
        own = {}
        for key in queries.own_keys(self.session):
            if key.jwk is not None:
                own[key.kid] = public_key_from_jwk({name: key.jwk[name] for name in _JWK if name in key.jwk})
        ledgers = {}
        for name, text in self.files.items():
            if name.endswith(".tlog-proof"):
                origin = parse_proof(text.decode()).checkpoint.partition(b"\n")[0].decode()
                quorum = Quorum(self.policies.of(origin.rpartition("/")[2]).quorum.witnesses, 0)
                ledgers[origin] = LedgerTrust(origin, (NoteVerifier.parse(self.vkey(origin)),), quorum)
        return checks.Trust(own, ledgers)

    def message(self, row: TransferRow, *, whole: bool) -> None:
        content = open_content(self.sealer, row)
        if whole:
            seal = self.sealer.unwrap(row.id, row.storage_key, row.wrapped_key)
            self.files[checks.MESSAGE] = str(content["message"]).encode()
            self.files[checks.RECEIPT] = seal.open(RECEIPT_PART, row.sealed_receipt)
        if row.decision == ACCEPTED:
            self.files[checks.RELEASED] = released_text(content).encode()
            self.files[checks.RELEASE] = str(content["release"]).encode()

    def acknowledgements(self, row: TransferRow) -> None:
        for one in queries.acknowledgements(self.session, row.id):
            self.files[f"{checks.ACKNOWLEDGEMENTS}/{one.event}.jws"] = one.jws.encode()
            self.entry(f"acknowledged-{one.event}", one.ledger, one.position)

    def configuration(self, row: TransferRow) -> None:
        """Keys, schema and agreement, and the entries of the gateway's own ledger that let them count."""
        kids = {row.kid, *self.agreement(row), *self.signers()}
        for key in self.session.exec(select(AgencyKeyRow).where(col(AgencyKeyRow.kid).in_(sorted(kids)))):
            self.files[f"{checks.KEYS}/{key.kid}.jwk"] = key.jwk.encode()
        published = published_at(self.session, row.type, row.received_at)
        if published is not None:
            self.files[checks.SCHEMA] = published.document
        for position, entry in self.events():
            match entry["kind"]:
                case "key.added" | "key.revoked" | "key.retired":
                    wanted = entry["key"] in kids
                case "schema.published":
                    wanted = entry["type"] == row.type and instant(entry["time"]) <= moment(row.received_at)
                case _:
                    wanted = (entry["agreement"], entry["version"]) == (row.agreement, row.agreement_version)
            if wanted:
                self.entry(f"gateway-{position}", OWN_LEDGER, position)

    def agreement(self, row: TransferRow) -> Iterator[str]:
        """Encloses the version that was in force; gives the key ids of its signatures."""
        held = self.session.get(AgreementRow, (row.agreement, row.agreement_version or 0))
        if held is None:
            return
        self.files[checks.AGREEMENT] = held.document
        for number, text in enumerate(json.loads(held.signatures), 1):
            self.files[f"{checks.SIGNATURES}/{number}.jws"] = text.encode()
            yield parse_jws(text, AGREEMENT_TYP, 1).kid

    def signers(self) -> Iterator[str]:
        """The key ids of the acknowledgements."""
        for name, text in self.files.items():
            if name.startswith(f"{checks.ACKNOWLEDGEMENTS}/"):
                yield parse_acknowledgement(text.decode()).jws.kid

    def events(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Entries about keys, schemas and agreements; most of the ledger is something else and is not read as JSON."""
        bundle = 0
        while leaves := queries.leaves(self.session, OWN_LEDGER, bundle, _BATCH * TILE_WIDTH):
            for offset, leaf in enumerate(leaves):
                if any(kind in leaf for kind in _EVENTS):
                    yield bundle * TILE_WIDTH + offset, decode(leaf)
            bundle += _BATCH

    def entry(self, name: str, ledger: str, position: int) -> None:
        quorum = self.policies.of(ledger).quorum
        proof = attested.witnessed_proof(self.session, ledger, position, quorum) if quorum.count else None
        self.files[f"{checks.ENTRIES}/{name}.json"] = queries.leaf(self.session, ledger, position)
        self.files[f"{checks.ENTRIES}/{name}.tlog-proof"] = (
            proof or queries.proof(self.session, ledger, position)
        ).encode()

    def timestamp(self, row: TransferRow) -> None:
        """The earliest one that has the entry; the entry is then proved under the very checkpoint that was stamped."""
        found = self.session.exec(
            select(CheckpointTimestamp)
            .where(CheckpointTimestamp.ledger == row.ledger, CheckpointTimestamp.size > row.position)
            .order_by(col(CheckpointTimestamp.size))
            .limit(1)
        ).first()
        if found is None:
            return
        self.files[f"{checks.TIMESTAMPS}/1.tsr"] = found.token
        self.files[f"{checks.TIMESTAMPS}/1.checkpoint"] = found.note
        name = f"{checks.ENTRIES}/decision.tlog-proof"
        if parse_proof(self.files[name].decode()).checkpoint.partition(b"\n\n")[0] != found.note.partition(b"\n\n")[0]:
            reader = TileReader(found.size, attested.reading_tiles(self.session, row.ledger))
            hashes = inclusion_proof(row.position, found.size, reader.node)
            self.files[name] = format_proof(row.position, hashes, found.note).encode()
