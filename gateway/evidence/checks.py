"""What is checked in a bundle, offline, by somebody who trusts a few public keys and nothing else.

Decides, check by check, what the files prove. Each check stands alone and says what it found, or which file failed it.
Uses no database, network, schema or agreement engine, so that it runs where only Python and `cryptography` are.

 1. every file is the one that the gateway listed and signed
 2. every ledger entry is in a ledger that its key signed, and enough witnesses saw it
 3. the message is signed by its sender, and nothing in it is hidden
 4. the sender's key was the sender's, and valid, when the gateway received the message
 5. the ledger's entry is about this very message
 6. the gateway's receipt says the same
 7. the message type was published, and is the one that is enclosed
 8. the agreement was signed by all its parties and in force, and has the rule
 9. what was released is part of the message, and what was withheld is named
10. the recipient's acknowledgements are signed by the recipient, and in the ledger
11. an authority's clock saw the ledger
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from gateway.disclosure import digest_of
from gateway.envelope import VerifiedMessage, parse, sd_hash, verify
from gateway.errors import EvidenceInvalidError, GatewayError, NotFoundError
from gateway.evidence.bundle import Bundle, manifest
from gateway.jose import PublicKey, b64encode, parse_jws, public_key_from_jwk, strict_json, verify_jws
from gateway.ledger.cosignature import Trust as LedgerTrust
from gateway.ledger.entry import commitment, decode, instant
from gateway.ledger.merkle import leaf_hash, verify_inclusion
from gateway.ledger.proof import parse_proof
from gateway.receipt import GatewayReceipt, Release, parse_acknowledgement, read_gateway_receipt, read_release
from gateway.receipt import verify_acknowledgement as verify_receipt_signature

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
_AGREEMENT_TYP: Final = "agreement+jwt"

Stamped = Callable[[bytes, bytes], datetime]
"""(token, data) to the authority's moment; raises a GatewayError where the token does not verify."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the verifier believes beforehand: the gateway's signing keys by key id, and each ledger by its origin.

    `stamped` verifies a timestamp under the roots that are trusted; None where there are none.
    """

    gateway: Mapping[str, PublicKey]
    ledgers: Mapping[str, LedgerTrust]
    stamped: Stamped | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one numbered check; `ok` None: there was nothing to check it with, or nothing to check."""

    number: int
    title: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a bundle proves. `transfer`, `decision` and the entry are None where it does not get so far."""

    transfer: str | None
    decision: str | None
    checks: tuple[Check, ...]
    subject: "Proven | None" = None
    acknowledged: "tuple[Proven, ...]" = ()

    @property
    def ok(self) -> bool:
        return all(check.ok is not False for check in self.checks)


TITLES: Final = {
    1: "every file is the one that the gateway listed and signed",
    2: "every entry is in a ledger that its key signed",
    3: "the message is signed by its sender, and nothing in it is hidden",
    4: "the key was the sender's, and valid, when the message was received",
    5: "the ledger's entry is about this very message",
    6: "the gateway's receipt says the same",
    7: "the message type is the published one",
    8: "the agreement was signed by all parties, in force, and has the rule",
    9: "what was released is part of the message; what was withheld is named",
    10: "the recipient signed for it, and the ledger has that",
    11: "an authority's clock saw the ledger",
}


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


class Unchecked(Exception):  # noqa: N818 - no error
    """There is nothing to check, or nothing to check it with."""


def check(bundle: Bundle, trust: Trust) -> Report:
    """Every check, whatever became of those before it. Never raises for what a bundle says."""
    court = _Court(bundle, trust)
    steps = (
        court.listed, court.proven, court.signed, court.keyed, court.committed, court.receipted, court.typed,
        court.agreed, court.released, court.acknowledged, court.timed,
    )  # fmt: skip
    checks = []
    for number, step in enumerate(steps, 1):
        try:
            ok, detail = True, step()
        except Unchecked as nothing:
            ok, detail = None, str(nothing)
        except GatewayError as error:
            ok, detail = False, error.detail or error.code
        except (KeyError, TypeError, ValueError, LookupError) as error:
            # A file of another form than the gateway writes: what cannot be read proves nothing.
            ok, detail = False, f"a file has another form than a bundle's: {type(error).__name__}"
        checks.append(Check(number, TITLES[number], ok, detail))
    subject = court.subject
    return Report(
        transfer=None if subject is None else subject.entry["transfer"],
        decision=None if subject is None else str(subject.entry["kind"]).removeprefix("transfer."),
        checks=tuple(checks),
        subject=subject,
        acknowledged=tuple(court.of("transfer.acknowledged")) if checks[9].ok else (),
    )


@dataclass(slots=True)
class _Court:
    bundle: Bundle
    trust: Trust
    entries: list[Proven] = field(default_factory=list)
    subject: Proven | None = None
    message: VerifiedMessage | None = None
    receipt: GatewayReceipt | None = None

    # 1
    def listed(self) -> str:
        found = manifest(self.bundle, self.trust.gateway)
        return f"{len(found.digests)} files of transfer {found.transfer}, put together {_shown(found.made_at)}"

    # 2
    def proven(self) -> str:
        names = [name for name in self.bundle.below(ENTRIES) if name.endswith(".json")]
        witnesses: set[str] = set()
        for name in names:
            found, names_of = self._proven(name)
            self.entries.append(found)
            witnesses |= names_of
        subjects = [one for one in self.entries if one.entry["kind"] in ("transfer.accepted", "transfer.refused")]
        if len(subjects) != 1:
            raise EvidenceInvalidError(f"{len(subjects)} entries say what was decided; one is expected")
        self.subject = subjects[0]
        seen = f", cosigned by {', '.join(sorted(witnesses))}" if witnesses else "; no witness was asked for"
        return f"{len(self.entries)} entries{seen}"

    def _proven(self, name: str) -> tuple[Proven, frozenset[str]]:
        leaf = self.bundle.read(name)
        proof = parse_proof(self.bundle.text(f"{name.removesuffix('.json')}.tlog-proof"))
        origin = proof.checkpoint.partition(b"\n")[0].decode()
        if origin not in self.trust.ledgers:
            raise EvidenceInvalidError(f"{name}: no key of the ledger {origin} is trusted")
        try:
            trust = self.trust.ledgers[origin]
            checkpoint = trust.open(proof.checkpoint)
            verify_inclusion(proof.index, checkpoint.size, leaf_hash(leaf), proof.hashes, checkpoint.root)
            entry = decode(leaf)
        except GatewayError as error:
            raise EvidenceInvalidError(f"{name}: {error.detail}") from error
        seen = trust.quorum.among(checkpoint.note.signatures)
        return Proven(name, origin, proof.index, leaf, entry, proof.checkpoint), seen

    # 3
    def signed(self) -> str:
        if gone := self._erased():
            raise Unchecked(gone)
        name = RELEASED if self._as_released() else MESSAGE
        parsed = parse(self.bundle.read(name))
        self.message = verify(parsed, self._key(parsed.jws.kid), complete=name == MESSAGE)
        claims = self.message.claims
        rest = "" if name == MESSAGE else "; as its recipient got it: what was withheld is not here"
        return f"{claims.type} from {claims.iss} to {claims.aud}, key {self.message.kid}{rest}"

    def _as_released(self) -> bool:
        """Whether it is a recipient's bundle. That nobody has taken the whole message out of another one is check 1's."""
        return MESSAGE not in self.bundle.files and RELEASED in self.bundle.files

    def _key(self, kid: str) -> PublicKey:
        name = f"{KEYS}/{kid}.jwk"
        jwk = strict_json(self.bundle.read(name), name)
        key = public_key_from_jwk(jwk)
        if key.kid != kid:
            raise EvidenceInvalidError(f"{name} holds another key than its name says")
        return key

    # 4
    def keyed(self) -> str:
        subject = self._subject()
        if self._erased():
            return self._held(str(subject.entry["sender"]), str(subject.entry["key"]), subject.time)
        message = self._message()
        return self._held(message.claims.iss, message.kid, subject.time)

    def _held(self, agency: str, kid: str, at: datetime) -> str:
        """That the gateway's own ledger let this key speak for the agency at that time."""
        events = [one for one in self.entries if one.entry.get("key") == kid and one.entry.get("agency") == agency]
        added = [one for one in events if one.entry["kind"] == "key.added"]
        if not added or not any(instant(one.entry["not_before"]) <= at for one in added):
            raise EvidenceInvalidError(f"no entry says that {kid} spoke for {agency} by {_shown(at)}")
        told = f"{agency}'s since {_shown(added[0].time)} (entry {added[0].index})"
        for one in events:
            if one.entry["kind"] not in ("key.revoked", "key.retired"):
                continue
            until = instant(one.entry["not_after"]) if "not_after" in one.entry else one.time
            if until <= at:
                raise EvidenceInvalidError(f"{kid} was {one.entry['kind'].removeprefix('key.')} on {_shown(until)}")
            told += f"; {one.entry['kind'].removeprefix('key.')} later, on {_shown(until)}"
        return told

    # 5
    def committed(self) -> str:
        message, subject, claims = self._message(), self._subject(), self._message().claims
        opening = self._release() if self._as_released() else self._receipt()
        key = bytes.fromhex(opening.commitment_key)
        if not hmac.compare_digest(commitment(key, message.jwt), str(subject.entry["commitment"])):
            raise EvidenceInvalidError(f"{subject.file} is about another message than {MESSAGE}")
        said = {"sender": claims.iss, "key": message.kid}
        stated = {
            "recipient": claims.aud,
            "type": claims.type,
            "purpose": claims.purpose,
            "agreement": claims.agreement,
        }
        said |= {name: value for name, value in stated.items() if name in subject.entry}
        for name, value in said.items():
            if subject.entry.get(name) != value:
                raise EvidenceInvalidError(f"{subject.file}: {name} is not the message's")
        return f"entry {subject.index} of {subject.origin}, {_shown(subject.time)}: {subject.entry['kind']}"

    # 6
    def receipted(self) -> str:
        message, subject = self._message(), self._subject()
        if self._as_released() and RECEIPT not in self.bundle.files:
            raise Unchecked("the receipt is the sender's, and in no recipient's bundle")
        receipt = self._receipt()
        expected = (
            subject.entry["transfer"], str(subject.entry["kind"]).removeprefix("transfer."), message.claims.iss,
            subject.origin, subject.index, b64encode(leaf_hash(subject.leaf)),
        )  # fmt: skip
        actual = (
            receipt.transfer, receipt.event, receipt.aud, receipt.origin, receipt.index, receipt.leaf_hash,
        )  # fmt: skip
        if actual != expected or receipt.sd_hash != sd_hash(self.bundle.text(MESSAGE)):
            raise EvidenceInvalidError(f"{RECEIPT} is about something else than {MESSAGE} and {subject.file}")
        return f"signed by {receipt.iss}: {receipt.event}"

    # 7
    def typed(self) -> str:
        until = self._subject().time
        type_ = self._subject().entry.get("type") if self._erased() else self._message().claims.type
        published = sorted(
            (one for one in self.of("schema.published") if one.entry["type"] == type_ and one.time <= until),
            key=lambda one: one.index,
        )
        if not published and SCHEMA not in self.bundle.files:
            raise Unchecked("the type was not known to the gateway")
        digest = hashlib.sha256(self.bundle.read(SCHEMA)).hexdigest()
        if not published or published[-1].entry["digest"] != digest:
            raise EvidenceInvalidError(f"{SCHEMA} is not the schema that was published then")
        return f"{type_}, digest {digest[:16]}…"

    # 8
    def agreed(self) -> str:
        subject = self._subject()
        if "agreement_version" not in subject.entry:
            raise Unchecked("no agreement was in question")
        data = self.bundle.read(AGREEMENT)
        document = strict_json(data, AGREEMENT)
        digest = hashlib.sha256(data).hexdigest()
        said = (document["id"], document["version"])
        if said != (subject.entry["agreement"], subject.entry["agreement_version"]):
            raise EvidenceInvalidError(f"{AGREEMENT} is another version than the entry names")
        activated = [
            one for one in self.of("agreement.activated")
            if (one.entry["agreement"], one.entry["version"], one.entry["digest"]) == (*said, digest)
        ]  # fmt: skip
        if not activated or activated[0].time > subject.time:
            raise EvidenceInvalidError(f"no entry brought {AGREEMENT} into force by then")
        signers = {self._signer(name, said, digest, activated[0].time) for name in self.bundle.below(SIGNATURES)}
        if missing := sorted(document["parties"].keys() - signers):
            raise EvidenceInvalidError(f"{', '.join(missing)} did not sign {AGREEMENT}")
        return f"{said[0]} version {said[1]}, signed by {', '.join(sorted(signers))}{self._ruled(document, subject)}"

    def _signer(self, name: str, said: tuple[str, int], digest: str, at: datetime) -> str:
        try:
            jws = parse_jws(self.bundle.text(name), _AGREEMENT_TYP, 1)
            agency = str(jws.payload["iss"])
            claims = verify_jws(jws, self._key(jws.kid)).payload
            self._held(agency, jws.kid, at)
        except GatewayError as error:
            raise EvidenceInvalidError(f"{name}: {error.detail}") from error
        if (claims["agreement"], claims["version"], claims["digest"]) != (*said, digest):
            raise EvidenceInvalidError(f"{name} is a signature of another document")
        return agency

    def _ruled(self, document: Mapping[str, Any], subject: Proven) -> str:
        named = subject.entry.get("rule")
        if named is None:
            return "; no rule permits it"
        rules = [rule for rule in document["rules"] if rule["id"] == named]
        if not rules or rules[0]["clause"] != subject.entry["clause"]:
            raise EvidenceInvalidError(f"{AGREEMENT} has no rule {named} in that clause")
        return f"; clause {rules[0]['clause']}, rule {named}"

    # 9
    def released(self) -> str:
        message, subject = self._message(), self._subject()
        if subject.entry["kind"] != "transfer.accepted":
            raise Unchecked("a refused message is released to nobody")
        text = self.bundle.text(RELEASED)
        release = self._release()
        jwt, *disclosures = text.split("~")
        sent = {disclosure.encoded for disclosure in message.disclosures}
        if jwt != message.jwt or disclosures[-1:] != [""] or not set(disclosures[:-1]) <= sent:
            raise EvidenceInvalidError(f"{RELEASED} is not a part of {MESSAGE}")
        if (release.transfer, release.aud, release.sd_hash) != (
            subject.entry["transfer"], message.claims.aud, sd_hash(text),
        ):  # fmt: skip
            raise EvidenceInvalidError(f"{RELEASE} is about something else than {RELEASED}")
        if list(release.withheld) != list(subject.entry.get("withheld", ())):
            raise EvidenceInvalidError(f"{RELEASE} names other fields as withheld than {subject.file}")
        kept = {digest_of(encoded) for encoded in disclosures[:-1]}
        shown = {place.pointer for place in message.placed if place.disclosure.digest in kept}
        if wrong := [one for one in shown if _within(one, release.withheld)]:
            raise EvidenceInvalidError(f"{RELEASED} holds {wrong[0]}, which was to be withheld")
        return f"withheld: {', '.join(release.withheld) or 'nothing'}"

    # 10
    def acknowledged(self) -> str:
        message, subject = self._message(), self._subject()
        names = self.bundle.below(ACKNOWLEDGEMENTS)
        recorded = {one.entry["receipt_digest"]: one for one in self.of("transfer.acknowledged")}
        if not names and not recorded:
            raise Unchecked("the recipient has signed for nothing")
        told = []
        for name in names:
            text = self.bundle.text(name)
            entry = recorded.pop(hashlib.sha256(text.encode()).hexdigest(), None)
            if entry is None:
                raise EvidenceInvalidError(f"{name} is in no entry of the ledger")
            parsed = parse_acknowledgement(text)
            said = verify_receipt_signature(parsed, self._key(parsed.jws.kid))
            self._held(message.claims.aud, parsed.jws.kid, entry.time)
            about = (said.iss, said.transfer, said.event, said.sd_hash)
            expected = (message.claims.aud, subject.entry["transfer"], entry.entry["event"])
            if about != (*expected, sd_hash(self.bundle.text(RELEASED))):
                raise EvidenceInvalidError(f"{name} is about something else than {RELEASED}")
            told.append(f"{said.event} {_shown(entry.time)}")
        if recorded:
            raise EvidenceInvalidError("an acknowledgement that the ledger has is not in the bundle")
        return ", ".join(told)

    # 11
    def timed(self) -> str:
        tokens = [name for name in self.bundle.below(TIMESTAMPS) if name.endswith(".tsr")]
        if not tokens:
            raise Unchecked("the bundle has no timestamp")
        if self.trust.stamped is None:
            raise Unchecked("no authority is trusted")
        told = []
        for name in tokens:
            data = self.bundle.read(f"{name.removesuffix('.tsr')}.checkpoint")
            told.append(_shown(self.trust.stamped(self.bundle.read(name), data)))
            self._covers(name, data)
        return f"no later than {', '.join(told)}"

    def _covers(self, name: str, note: bytes) -> None:
        """That the stamped checkpoint is of the ledger, and has the entry."""
        subject = self._subject()
        checkpoint = self.trust.ledgers[subject.origin].open(note)
        if checkpoint.size <= subject.index:
            raise EvidenceInvalidError(f"{name} is of a checkpoint before the entry")
        if note.partition(b"\n\n")[0] != subject.checkpoint.partition(b"\n\n")[0]:
            raise EvidenceInvalidError(f"{name} is of another checkpoint than the entry's proof")

    # What several checks need.

    def _subject(self) -> Proven:
        if self.subject is None:
            raise EvidenceInvalidError("without a proven entry this cannot be checked")
        return self.subject

    def _erased(self) -> str | None:
        """When and on what ground the content was destroyed, if a proven entry says so and the content is not here."""
        if {MESSAGE, RELEASED} & self.bundle.files.keys():
            return None
        gone = [one for one in self.of("transfer.erased") if one.entry["transfer"] == self._subject().entry["transfer"]]
        if not gone:
            return None
        return f"the content was destroyed on {_shown(gone[0].time)}, on the ground {gone[0].entry['erased_for']}"

    def _message(self) -> VerifiedMessage:
        if self.message is None:
            if gone := self._erased():
                raise Unchecked(gone)
            raise EvidenceInvalidError("without a verified message this cannot be checked")
        return self.message

    def _receipt(self) -> GatewayReceipt:
        if self.receipt is None:
            self.receipt = read_gateway_receipt(self.bundle.text(RECEIPT), self._gateway_key(RECEIPT))
        return self.receipt

    def _release(self) -> Release:
        return read_release(self.bundle.text(RELEASE), self._gateway_key(RELEASE))

    def _gateway_key(self, name: str) -> PublicKey:
        kid = parse_jws(self.bundle.text(name), f"{'receipt' if name == RECEIPT else 'release'}+jwt", 4).kid
        if kid not in self.trust.gateway:
            raise NotFoundError(f"{name} is signed with a key that is not trusted")
        return self.trust.gateway[kid]

    def of(self, kind: str) -> Iterator[Proven]:
        return (one for one in self.entries if one.entry["kind"] == kind)


def _within(pointer: str, others: Sequence[str] | Iterable[str]) -> bool:
    return any(pointer == other or pointer.startswith(f"{other}/") for other in others)


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
