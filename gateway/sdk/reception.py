"""What must be true of every item that reaches an agency, pulled or pushed.

Decides whether an item is what its sender signed and what the gateway let through for this agency. Leaves fetching to
`client.py`, being called to `endpoint.py`, and what to do with a message to the agency.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol, get_args

from gateway.errors import (
    GatewayError,
    KeyRefusedError,
    MalformedError,
    ReceiptError,
)
from gateway.jose import PublicKey, Signer, parse_jws, public_key_from_jwk
from gateway.message.disclosure import ELEMENT, SD
from gateway.message.envelope import DEFAULT_LIMITS, Claims, Limits, VerifiedMessage, parse, sd_hash, staleness, verify
from gateway.statements.alert import ALERT_TYP, Alert, read_alert
from gateway.statements.receipt import RELEASE_TYP, Acknowledgement, Release, read_release, sign_acknowledgement

PAGE_LIMIT: Final = 100
LEEWAY: Final = timedelta(seconds=60)
_FOREVER: Final = 253_402_300_799

Event = Literal["delivered", "processed", "rejected"]
Purpose = Literal["sign", "request"]


class FindKey(Protocol):
    """The key of an agency, or of the gateway, that could sign for `purpose` at a moment (whole seconds).

    The gateway's tokens are signed by another key than its releases: neither stands in for the other.
    """

    async def __call__(self, agency: str, kid: str, at: int, purpose: Purpose = "sign") -> PublicKey:
        """Raises KeyRefusedError."""
        ...


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key of a published set, with the seconds between which it may sign; `purpose` is None where the set names none."""

    public: PublicKey
    not_before: int
    not_after: int
    status: str
    revoked_since: int | None = None
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class KeySet:
    """A JWKS by `kid`. Keys of a kind, or for a purpose, that is unknown here are left out (RFC 7517 §5)."""

    keys: Mapping[str, PublishedKey]

    @classmethod
    def read(cls, jwks: Any) -> "KeySet":
        """Raises MalformedError when this is no JWKS at all."""
        entries = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            raise MalformedError("a JWKS is an object with an array of keys")
        found: dict[str, PublishedKey] = {}
        for entry in entries:
            begins, ends = entry.get("nbf", 0), entry.get("exp", _FOREVER)
            # The gateway's set also shows the keys of its checkpoints: they sign no statement about a transfer.
            purpose = entry.get("purpose")
            if purpose not in (None, *get_args(Purpose)) or type(begins) is not int or type(ends) is not int:
                continue
            try:
                public = public_key_from_jwk(entry, certified=True)
            except MalformedError:
                continue
            since = entry.get("revoked_since")
            found[public.kid] = PublishedKey(
                public,
                begins,
                ends,
                str(entry.get("status", "active")),
                since if type(since) is int else None,
                purpose,
            )
        return cls(found)

    def require(self, kid: str, at: int, purpose: Purpose = "sign") -> PublicKey:
        """The key for this purpose, if it could sign at that moment, which must be the gateway's word and not the signer's own.

        A retired key still verifies what was received before; a revoked one what was received before `revoked_since`, or
        nothing where the set does not say since when.
        """
        key = self.keys.get(kid)
        if key is None or key.purpose not in (None, purpose):
            raise KeyRefusedError("no such key is published", code="key.unknown")
        lost = key.status not in ("active", "retired")
        if lost and (key.status != "revoked" or key.revoked_since is None or at >= key.revoked_since):
            raise KeyRefusedError("the key has been revoked", code="key.revoked")
        leeway = LEEWAY.seconds
        if not key.not_before - leeway <= at < key.not_after + leeway:
            raise KeyRefusedError("the key was outside its validity", code="key.not-valid")
        return key.public


def pinned_keys(sets: Mapping[str, KeySet]) -> FindKey:
    """Only these keys, whatever anyone publishes."""

    async def find(agency: str, kid: str, at: int, purpose: Purpose = "sign") -> PublicKey:
        return sets.get(agency, KeySet({})).require(kid, at, purpose)

    return find


@dataclass(frozen=True, slots=True)
class Received:
    """One verified message, as the gateway let it through. `text` is exactly what `release.sd_hash` covers.

    Keep `text` and `release_text`: together they prove what was sent, and what was let through.
    """

    transfer: str
    attempt: int
    text: str
    message: VerifiedMessage
    release: Release
    release_text: str

    @property
    def claims(self) -> Claims:
        return self.message.claims

    @property
    def body(self) -> dict[str, Any]:
        """The payload without what was withheld."""
        return self.message.body

    @property
    def withheld(self) -> tuple[str, ...]:
        """Pointers of what the sender sent and this agency may not have."""
        return self.release.withheld

    def acknowledgement(
        self, signer: Signer, jti: str, now: datetime, event: Event, reasons: Iterable[str] = ()
    ) -> str:
        """The signed receipt that this agency gives for it. `reasons` are codes, and only for `rejected`."""
        statement = Acknowledgement(
            iss=self.release.aud,
            aud=self.release.iss,
            iat=int(now.timestamp()),
            jti=jti,
            transfer=self.transfer,
            event=event,
            sd_hash=self.release.sd_hash,
            reasons=tuple(reasons),
        )
        return sign_acknowledgement(statement, signer)


@dataclass(frozen=True, slots=True)
class Fault:
    """An item that must not be used: a code of `errors.CODES` and what was wrong. The gateway will hand it out again."""

    transfer: str | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """What one agency checks of every item, pulled or pushed."""

    agency_id: str
    gateway_id: str
    find_key: FindKey
    limits: Limits = DEFAULT_LIMITS

    async def open_page(self, page: Any, now: datetime) -> tuple[tuple[Received, ...], tuple[Fault, ...]]:
        """Every item of `{items, more}` is in one of the two. Raises MalformedError when there is no page at all."""
        items = page.get("items") if isinstance(page, Mapping) else None
        if not isinstance(items, list) or len(items) > PAGE_LIMIT:
            raise MalformedError(f"a page has at most {PAGE_LIMIT} items")
        received: list[Received] = []
        faults: list[Fault] = []
        for item in items:
            try:
                received.append(await self.open_item(item, now))
            except GatewayError as error:
                transfer = item.get("transfer") if isinstance(item, Mapping) else None
                faults.append(Fault(transfer if isinstance(transfer, str) else None, error.code, error.detail))
        return tuple(received), tuple(faults)

    async def open_alerts(self, page: Any) -> tuple[tuple[Alert, ...], tuple[Fault, ...]]:
        """What the gateway itself has to say on this page. Raises MalformedError when its alerts are no list."""
        items = page.get("alerts", []) if isinstance(page, Mapping) else None
        if not isinstance(items, list) or len(items) > PAGE_LIMIT:
            raise MalformedError(f"a page has at most {PAGE_LIMIT} alerts")
        told: list[Alert] = []
        faults: list[Fault] = []
        for item in items:
            try:
                told.append(await self._open_alert(item))
            except GatewayError as error:
                transfer = item.get("transfer") if isinstance(item, Mapping) else None
                faults.append(Fault(transfer if isinstance(transfer, str) else None, error.code, error.detail))
        return tuple(told), tuple(faults)

    async def _open_alert(self, item: Any) -> Alert:
        text, transfer = (item.get(name) if isinstance(item, Mapping) else None for name in ("alert", "transfer"))
        if not isinstance(text, str):
            raise MalformedError("an alert is a string")
        unverified = parse_jws(text, ALERT_TYP, 2)
        issued = unverified.payload.get("iat")
        if type(issued) is not int:
            raise MalformedError("an alert's iat is whole seconds")
        alert = read_alert(text, await self.find_key(self.gateway_id, unverified.kid, issued))
        if (alert.iss, alert.aud, alert.jti) != (self.gateway_id, self.agency_id, transfer):
            raise ReceiptError("the alert is for another recipient", code="receipt.mismatch")
        return alert

    async def open_item(self, item: Any, now: datetime) -> Received:
        """One item, in numbered steps. Raises a GatewayError with the code of the first that fails.

        1. the gateway signed the release, with a key it had then
        2. the release is for this agency and about this transfer
        3. the release covers exactly these bytes
        4. the message is well formed, and its sender had this key when the gateway received it
        5. the sender signed it, and every disclosure belongs to a digest
        6. it is addressed to this agency, and its time has not passed
        7. nothing is withheld that the release does not name
        """
        transfer, text, release_text, attempt = _members(item)
        # 1
        unverified = parse_jws(release_text, RELEASE_TYP, 4)
        issued = unverified.payload.get("iat")
        withheld = unverified.payload.get("withheld")
        if type(issued) is not int or not isinstance(withheld, list) or not all(isinstance(p, str) for p in withheld):
            raise MalformedError("a release's iat is whole seconds, its withheld an array of pointers")
        release = read_release(release_text, await self.find_key(self.gateway_id, unverified.kid, issued))
        # 2
        expected = (self.gateway_id, self.agency_id, transfer)
        if (release.iss, release.aud, release.transfer) != expected:
            raise ReceiptError("the release is for another recipient or transfer", code="receipt.mismatch")
        # 3
        if release.sd_hash != sd_hash(text):
            raise ReceiptError("the release is about another message", code="receipt.mismatch")
        # 4
        message = parse(text.encode("ascii"), self.limits)
        key = await self.find_key(message.claims.iss, message.jws.kid, issued)
        # 5
        verified = verify(message, key, self.limits, complete=False)
        # 6
        for reason in staleness(verified.claims, now, {self.agency_id}, self.limits):
            # How long a validity may be is the gateway's question, and it was asked there.
            if reason.code != "envelope.validity-too-long":
                raise MalformedError("the message is not for this agency, now", code=reason.code)
        # 7
        contents = (message.closed_body, *(disclosure.value for disclosure in verified.disclosures))
        if not release.withheld and sum(map(_digests, contents)) > len(verified.disclosures):
            raise ReceiptError("fields are withheld that the release does not name", code="receipt.mismatch")
        return Received(transfer, attempt, text, verified, release, release_text)


def _members(item: Any) -> tuple[str, str, str, int]:
    if not isinstance(item, Mapping):
        raise MalformedError("an item is an object")
    texts = [item.get(name) for name in ("transfer", "message", "release")]
    attempt = item.get("attempt", 1)
    if not all(isinstance(text, str) and text.isascii() for text in texts) or type(attempt) is not int:
        raise MalformedError("an item has a transfer, a message, a release and an attempt")
    transfer, message, release = map(str, texts)
    return transfer, message, release, attempt


def _digests(value: Any) -> int:
    """How many digests stand in `value`, opened or not."""
    if isinstance(value, Mapping):
        here = len(value.get(SD, ())) + (ELEMENT in value)
        return here + sum(_digests(item) for name, item in value.items() if name != SD)
    return sum(map(_digests, value)) if isinstance(value, list) else 0


def new_jti() -> str:
    return secrets.token_urlsafe(16)
