"""What the gateway knows of one transfer, as the files of a bundle.

Decides which files: the message, the receipts, and every ledger entry that `checks.py` needs, each with its proof under a
checkpoint that the witnesses saw where there are any. Judges nothing.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlmodel import Session, col, select

from gateway.agreement.document import AGREEMENT_TYP
from gateway.attestation.policy import Policies
from gateway.evidence import checks, court
from gateway.evidence.bundle import pack, unpack
from gateway.evidence.report import reports
from gateway.jose import Signer, parse_jws, public_key_from_jwk
from gateway.keys.keychain import SIGN
from gateway.ledger.cosignature import Trust as LedgerTrust
from gateway.ledger.entry import decode, instant
from gateway.ledger.merkle import inclusion_proof
from gateway.ledger.note import NoteVerifier, parse_note
from gateway.ledger.proof import format_proof, parse_proof
from gateway.record import OWN_LEDGER, open_content, open_with_receipt, released_text
from gateway.statements.receipt import parse_acknowledgement
from gateway.statements.restatement import release_now
from gateway.store import attested, mentions, queries
from gateway.store.published import published_at
from gateway.store.sealing import Sealer
from gateway.store.tables import (
    ACCEPTED,
    AgencyKeyRow,
    AgreementRow,
    TransferRow,
    moment,
)

_JWK: Final = ("kty", "crv", "x", "y")


@dataclass(slots=True)
class Collector:
    """`policies` say which witnesses a checkpoint should have; where none is asked for, any published one will do.

    For the gateway's own report, `vkeys` gives a ledger's keys by its origin, and `stamped` verifies timestamps under the
    configured roots, where there are any.
    """

    session: Session
    sealer: Sealer
    policies: Policies
    gateway: str
    signer: Signer
    vkeys: Callable[[str], Iterable[str]]
    stamped: court.Stamped | None = None
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

    def trust(self) -> court.Trust:
        """The gateway's own keys, for its own report. Of the witnesses as many are required as the ledger's policy does,
        once they have seen every entry in here: what is still published without them is reported without them.
        """
        own = {}
        for key in queries.own_keys(self.session):
            if key.jwk is not None and key.role == SIGN:
                own[key.kid] = public_key_from_jwk({name: key.jwk[name] for name in _JWK if name in key.jwk})
        notes: dict[str, list[bytes]] = {}
        for name, text in self.files.items():
            if name.endswith(".tlog-proof"):
                note = parse_proof(text.decode()).checkpoint
                notes.setdefault(note.partition(b"\n")[0].decode(), []).append(note)
        ledgers = {}
        for origin, shown in notes.items():
            quorum = self.policies.of(origin.rpartition("/")[2]).quorum
            if not all(quorum.met_by(parse_note(note).signatures) for note in shown):
                quorum = replace(quorum, count=0)
            ledgers[origin] = LedgerTrust(origin, tuple(map(NoteVerifier.parse, self.vkeys(origin))), quorum)
        return court.Trust(own, ledgers, self.stamped)

    def message(self, row: TransferRow, *, whole: bool) -> None:
        own = queries.own_keys(self.session)
        if whole:
            opened = open_with_receipt(self.sealer, row)
            content = opened.content
            origin = queries.ledger_head(self.session, row.ledger).origin
            leaf = self.files[f"{court.ENTRIES}/decision.json"]
            self.files[court.MESSAGE] = str(content["message"]).encode()
            self.files[court.RECEIPT] = opened.receipt_now(own, self.signer, origin=origin, leaf=leaf).encode()
        else:
            content = open_content(self.sealer, row)
        if row.decision == ACCEPTED:
            released = released_text(content)
            self.files[court.RELEASED] = released.encode()
            self.files[court.RELEASE] = release_now(
                str(content["release"]), own, self.signer, transfer=row.id, released=released
            ).encode()

    def acknowledgements(self, row: TransferRow) -> None:
        for one in queries.acknowledgements(self.session, row.id):
            self.files[f"{court.ACKNOWLEDGEMENTS}/{one.event}.jws"] = one.jws.encode()
            self.entry(f"acknowledged-{one.event}", one.ledger, one.position)

    def configuration(self, row: TransferRow) -> None:
        """Keys, schema and agreement, and the entries of the gateway's own ledger that let them count."""
        kids = {row.kid, *self.agreement(row), *self.signers()}
        for key in self.session.exec(select(AgencyKeyRow).where(col(AgencyKeyRow.kid).in_(sorted(kids)))):
            self.files[f"{court.KEYS}/{key.kid}.jwk"] = key.jwk.encode()
        published = published_at(self.session, row.type, row.received_at)
        if published is not None:
            self.files[court.SCHEMA] = published.document
        for position, entry in self.events(row, kids):
            match entry["kind"]:
                case "schema.published":
                    wanted = instant(entry["time"]) <= moment(row.received_at)
                case "agreement.activated":
                    wanted = entry["version"] == row.agreement_version
                case _:
                    wanted = True
            if wanted:
                self.entry(f"gateway-{position}", OWN_LEDGER, position)

    def agreement(self, row: TransferRow) -> Iterator[str]:
        """Encloses the version that was in force; gives the key ids of its signatures."""
        held = self.session.get(AgreementRow, (row.agreement, row.agreement_version or 0))
        if held is None:
            return
        self.files[court.AGREEMENT] = held.document
        for number, text in enumerate(json.loads(held.signatures), 1):
            self.files[f"{court.SIGNATURES}/{number}.jws"] = text.encode()
            yield parse_jws(text, AGREEMENT_TYP, 1).kid

    def signers(self) -> Iterator[str]:
        """The key ids of the acknowledgements."""
        for name, text in self.files.items():
            if name.startswith(f"{court.ACKNOWLEDGEMENTS}/"):
                yield parse_acknowledgement(text.decode()).jws.kid

    def events(self, row: TransferRow, kids: Collection[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The entries of the gateway's own ledger about these keys, the type, the agreement, and its own checkpoint keys."""
        found = mentions.positions(self.session, OWN_LEDGER, keys=kids, type_=row.type, agreement=row.agreement)
        for position in found:
            yield position, decode(queries.leaf(self.session, OWN_LEDGER, position))

    def entry(self, name: str, ledger: str, position: int) -> None:
        quorum = self.policies.of(ledger).quorum
        if quorum.count:
            proof = attested.witnessed_proof(self.session, ledger, position, quorum)
        else:
            proof = attested.proof_by_all(self.session, ledger, position)
        self.files[f"{court.ENTRIES}/{name}.json"] = queries.leaf(self.session, ledger, position)
        self.files[f"{court.ENTRIES}/{name}.tlog-proof"] = (
            proof or queries.proof(self.session, ledger, position)
        ).encode()

    def timestamp(self, row: TransferRow) -> None:
        """The earliest one that has the entry, under the very checkpoint that was stamped, with what witnesses added since.

        On a ledger with witnesses the first stamped checkpoint that they saw is taken before an earlier one that they did not.
        """
        stamps = attested.timestamps_covering(self.session, row.ledger, row.position)
        notes = [attested.with_later_signatures(self.session, one) for one in stamps]
        if not notes:
            return
        quorum = self.policies.of(row.ledger).quorum
        chosen = next((n for n, note in enumerate(notes) if quorum.met_by(parse_note(note).signatures)), 0)
        stamp, note = stamps[chosen], notes[chosen]
        self.files[f"{court.TIMESTAMPS}/1.tsr"] = stamp.token
        self.files[f"{court.TIMESTAMPS}/1.checkpoint"] = stamp.note
        node = queries.tile_reader(self.session, row.ledger, stamp.size).node
        hashes = inclusion_proof(row.position, stamp.size, node)
        self.files[f"{court.ENTRIES}/decision.tlog-proof"] = format_proof(row.position, hashes, note).encode()
