"""What the checks of one bundle share: the bundle, what is trusted, and what earlier checks have proved.

Decides who may speak for whom at a time, by the entries that were proved. Leaves each check to its own function.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography.x509 import Certificate

from gateway.evidence.bundle import Bundle
from gateway.evidence.findings import found, joined, refuted, unchecked
from gateway.jose import PublicKey, parse_jws, public_key_from_jwk, strict_json
from gateway.keys.certificate import chain_of, digest, verify_chain
from gateway.ledger.cosignature import Trust as LedgerTrust
from gateway.ledger.entry import instant
from gateway.message.envelope import VerifiedMessage
from gateway.review.words import Words
from gateway.statements.receipt import GatewayReceipt, Release, read_gateway_receipt, read_release

MESSAGE: Final = "message.sd-jwt"
RECEIPT: Final = "receipt.jws"
RELEASED: Final = "released.sd-jwt"
RELEASE: Final = "release.jws"
SCHEMA: Final = "schema.json"
AGREEMENT: Final = "agreement.json"
SIGNATURES: Final = "agreement-signatures"
ENTRIES: Final = "entries"
KEYS: Final = "keys"
ACKNOWLEDGEMENTS: Final = "acknowledgements"
TIMESTAMPS: Final = "timestamps"

Stamped = Callable[[bytes, bytes], datetime]
"""(token, data) to the authority's moment; raises a GatewayError where the token does not verify."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the verifier believes beforehand: the gateway's signing keys by key id, and each ledger by its origin.

    `stamped` verifies a timestamp under the roots that are trusted; None where there are none. `authorities` are the roots that
    may certify an agency's key.
    """

    gateway: Mapping[str, PublicKey]
    ledgers: Mapping[str, LedgerTrust]
    stamped: Stamped | None = None
    authorities: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry that is in its ledger. `file` is its name in the bundle."""

    file: str
    origin: str
    index: int
    leaf: bytes
    entry: Mapping[str, Any]
    checkpoint: bytes

    @property
    def time(self) -> datetime:
        return instant(self.entry["time"])


@dataclass(slots=True)
class Court:
    """Filled by the checks in their order; what one of them did not prove is None for those after it."""

    bundle: Bundle
    trust: Trust
    entries: list[Proven] = field(default_factory=list)
    decided: Proven | None = None
    sent: VerifiedMessage | None = None
    _receipt: GatewayReceipt | None = field(default=None, init=False)

    @property
    def as_released(self) -> bool:
        """Whether it is a recipient's bundle. That nobody has taken the whole message out of another one is check 1's."""
        return MESSAGE not in self.bundle.files and RELEASED in self.bundle.files

    def of(self, kind: str) -> Iterator[Proven]:
        return (one for one in self.entries if one.entry["kind"] == kind)

    def subject(self) -> Proven:
        """The entry of the decision. Raises Refuted where it was not proved."""
        if self.decided is None:
            raise refuted("unproven")
        return self.decided

    def message(self) -> VerifiedMessage:
        """Raises Refuted where it was not verified, Unchecked where it was erased."""
        if self.sent is None:
            if gone := self.erased():
                raise unchecked("erased", **gone)
            raise refuted("unverified")
        return self.sent

    def erased(self) -> dict[str, object] | None:
        """When and on what ground the content was destroyed, if a proven entry says so and the content is not here."""
        if {MESSAGE, RELEASED} & self.bundle.files.keys():
            return None
        gone = [one for one in self.of("transfer.erased") if one.entry["transfer"] == self.subject().entry["transfer"]]
        return {"moment": gone[0].time, "ground": gone[0].entry["erased_for"]} if gone else None

    def receipt(self) -> GatewayReceipt:
        if self._receipt is None:
            self._receipt = read_gateway_receipt(self.bundle.text(RECEIPT), self._gateway_key(RECEIPT, "receipt+jwt"))
        return self._receipt

    def release(self) -> Release:
        return read_release(self.bundle.text(RELEASE), self._gateway_key(RELEASE, "release+jwt"))

    def _gateway_key(self, name: str, typ: str) -> PublicKey:
        kid = parse_jws(self.bundle.text(name), typ, 4).kid
        if kid not in self.trust.gateway:
            raise refuted("untrusted", name=name)
        return self.trust.gateway[kid]

    def key(self, kid: str) -> PublicKey:
        """An agency's key as the bundle encloses it: the name of the file is its thumbprint."""
        name = f"{KEYS}/{kid}.jwk"
        key = public_key_from_jwk(strict_json(self.bundle.read(name), name), certified=True)
        if key.kid != kid:
            raise refuted("other-key", name=name)
        return key

    def held(self, agency: str, kid: str, at: datetime) -> Words:
        """That the gateway's own ledger let this key speak for the agency at that time. Raises Refuted."""
        events = [one for one in self.entries if one.entry.get("key") == kid and one.entry.get("agency") == agency]
        added = [one for one in events if one.entry["kind"] == "key.added"]
        if not added or not any(instant(one.entry["not_before"]) <= at for one in added):
            raise refuted("key-unknown", key=kid, agency=agency, moment=at)
        told = [found("key-since", agency=agency, moment=added[0].time, index=added[0].index)]
        if "certificate" in added[0].entry:
            told.append(self._certified(kid, str(added[0].entry["certificate"]), at))
        for one in events:
            kind = one.entry["kind"]
            if kind not in ("key.revoked", "key.retired"):
                continue
            until = instant(one.entry["not_after"]) if "not_after" in one.entry else one.time
            if until <= at:
                raise refuted("key-over", key=kid, event=found(kind), moment=until)
            told.append(found("key-later", event=found(kind), moment=until))
        return joined(told, "")

    def _certified(self, kid: str, certificate: str, at: datetime) -> Words:
        """That the enclosed chain is what the ledger names, and leads to a trusted authority, if any is. Raises Refuted."""
        key = self.key(kid)
        if not key.x5c or digest(key) != certificate:
            raise refuted("other-certificate", name=f"{KEYS}/{kid}.jwk")
        chain = chain_of(key)
        if not self.trust.authorities:
            return found("uncertified", authority=chain[-1].issuer.rfc4514_string())
        path = verify_chain(chain, self.trust.authorities, at).path
        return found("certified", authority=path[-1].subject.rfc4514_string())
