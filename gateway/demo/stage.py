"""What a scene has at hand, and how it says what must be true."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from gateway.demo.desk import Arrived, Desk, Outcome
from gateway.demo.presentation import Screen
from gateway.demo.processes import Processes
from gateway.demo.province import IMIGRASI, POLDA, Ledger, Province
from gateway.jose import b64decode
from gateway.ledger.checkpoint import VerifiedCheckpoint, open_checkpoint
from gateway.ledger.merkle import leaf_hash
from gateway.ledger.proof import verify_proof
from gateway.ledger.source import HttpSource
from gateway.ledger.tiles import CHECKPOINT_PATH, TILE_WIDTH, entries_path, split_bundle, tile_width
from gateway.message.envelope import sd_hash
from gateway.statements.receipt import GatewayReceipt, read_gateway_receipt

T = TypeVar("T")
PATIENCE: Final = 30.0


class DifferenceError(Exception):
    """A scene found something else than it was to find."""


def words_in(message: str, words: Iterable[str]) -> list[str]:
    """Which of the words can be read in a message, signed part and disclosures decoded."""
    parts = message.replace("~", ".").split(".")
    readable = b"".join(b64decode(part, "part") for part in parts if part)
    return [word for word in words if word.encode() in readable]


@dataclass(slots=True)
class Stage:
    folder: Path
    province: Province
    processes: Processes
    screen: Screen
    http: httpx.Client
    opening: dict[str, VerifiedCheckpoint] = field(default_factory=dict)
    """Checkpoints of the ledgers before the first scene, as an auditor would have kept them."""
    checks: int = 0
    warning: Outcome | None = None
    """The early warning of the first scene; later scenes return to it."""
    wanted: str | None = None
    """The transfer of the notice of a wanted person; a later scene finds him, and ends it."""

    @property
    def imigrasi(self) -> Desk:
        return self.province.desks[IMIGRASI]

    @property
    def polda(self) -> Desk:
        return self.province.desks[POLDA]

    def expect(self, what: str, found: object, expected: object = True) -> None:
        """Raises DifferenceError unless both are equal."""
        if found != expected:
            raise DifferenceError(f"{what}: expected {expected!r}, found {found!r}")
        self.checks += 1
        self.screen.check(what)

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """The first thing that `look` finds. Raises DifferenceError when it has found nothing for long."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if (found := look()) is not None:
                return found
            time.sleep(0.05)
        raise DifferenceError(f"{what}: nothing after {PATIENCE:.0f} s")

    def arrival(self, desk: Desk, transfer: str) -> Arrived:
        """The message of that transfer, once it has been pushed to the agency."""
        return self.until(
            f"transfer {transfer} arrives",
            lambda: next((item for item in desk.received() if item.transfer == transfer), None),
        )

    def answer(self, desk: Desk, transfer: str) -> Arrived:
        """The other agency's answer to that transfer."""
        return self.until(
            f"an answer to {transfer} arrives",
            lambda: next((item for item in desk.received() if item.in_reply_to == transfer), None),
        )

    def receipt(self, outcome: Outcome, recipient: str) -> GatewayReceipt:
        """The gateway's receipt, verified here once more: nobody has to believe a backend about its own receipts.

        Raises DifferenceError for none, and a GatewayError for one that does not verify.
        """
        if outcome.receipt is None or outcome.proof is None:
            raise DifferenceError(f"a signed receipt: there is none, the answer was {outcome.code}")
        receipt = read_gateway_receipt(outcome.receipt, self.province.gateway_key)
        about = (receipt.aud, receipt.event, receipt.sd_hash)
        if about != (recipient, outcome.decision, sd_hash(outcome.message)):
            raise DifferenceError(f"a receipt about this message: it is about {about!r}")
        ledger = next(held for held in self.province.ledgers.values() if held.origin == receipt.origin)
        proof = verify_proof(outcome.proof, b64decode(receipt.leaf_hash, "leaf_hash"), ledger.origin, [ledger.verifier])
        if proof.index != receipt.index:
            raise DifferenceError(f"a proof of entry {receipt.index}: it is of entry {proof.index}")
        return receipt

    def entry(self, receipt: GatewayReceipt) -> dict[str, Any]:
        """The published ledger entry that a receipt names. Raises DifferenceError for one with another hash."""
        ledger = next(held for held in self.province.ledgers.values() if held.origin == receipt.origin)
        leaf = self.leaves(ledger)[receipt.index]
        if leaf_hash(leaf) != b64decode(receipt.leaf_hash, "leaf_hash"):
            raise DifferenceError(f"entry {receipt.index} as the receipt says: it is another one")
        entry: dict[str, Any] = json.loads(leaf)
        return entry

    def expect_accepted(self, what: str, outcome: Outcome, sender: str, clause: str) -> GatewayReceipt:
        """Accepted under this clause, and signed for."""
        if outcome.decision != "accepted":
            self.screen.refusal(outcome)
        receipt = self.receipt(outcome, sender)
        self.expect(
            f"{what}: accepted under clause {clause}, rule {receipt.rule}",
            (outcome.decision, receipt.clause),
            ("accepted", clause),
        )
        return receipt

    def expect_refusal(self, outcome: Outcome, sender: str, code: str, clause: str | None) -> None:
        """Refused with this code and clause, recorded, and signed for."""
        self.screen.refusal(outcome)
        self.expect(f"refused with {code}", (outcome.decision, outcome.code), ("refused", code))
        receipt = self.receipt(outcome, sender)
        named = f", clause {clause} of the agreement" if clause else ""
        self.expect(
            f"the refusal is signed by the gateway and is entry {receipt.index} of the ledger{named}",
            (receipt.clause, receipt.reasons[0].code),
            (clause, code),
        )

    def expect_nothing_of(self, secrets: Iterable[str], message: str) -> None:
        """None of these words stands in a message as it arrived, its signed part and disclosures decoded."""
        found = words_in(message, secrets)
        self.expect("nothing of what is withheld stands in the bytes that were pushed", found, [])

    def checkpoint(self, ledger: Ledger) -> VerifiedCheckpoint:
        """The newest published one. Raises LedgerInvalidError."""
        source = HttpSource(self.http, ledger.url)
        return open_checkpoint(source.fetch(CHECKPOINT_PATH), ledger.origin, [ledger.verifier])

    def leaves(self, ledger: Ledger) -> list[bytes]:
        """Every published entry, byte for byte."""
        size = self.checkpoint(ledger).size
        source = HttpSource(self.http, ledger.url)
        found: list[bytes] = []
        for index in range(-(-size // TILE_WIDTH)):
            width = tile_width(size, 0, index)
            found += split_bundle(source.fetch(entries_path(index, width)), width)
        return found
