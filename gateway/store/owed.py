"""What is still owed to a recipient, held against the outbox: a delivery that somebody took away is missed by nobody else.

Decides whether each accepted message that has not expired will be delivered, or was ended as its ledger says, and whether
what expired in the last month had its place. A row that
is gone, goes to somebody else, or calls itself delivered or ended without a receipt or an entry, delivers nothing. The same of
the gateway's own alerts, which their entries name: each is signed by a key of ours, and is the text that its newest entry names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlmodel import Session, col

from gateway.errors import GatewayError, LedgerInvalidError
from gateway.jose import PublicKey, parse_jws, public_key_from_jwk, strict_json
from gateway.keys.keychain import SIGN
from gateway.ledger.entry import (
    AlertAcknowledged,
    AlertIssued,
    TransferDead,
    TransferRedelivered,
    TransferWithdrawn,
    decode,
    instant,
)
from gateway.ledger.verify import Findings
from gateway.statements.alert import ALERT_TYP, read_alert
from gateway.store.jobs.alerts import LASTS, digest
from gateway.store.tables import (
    ACCEPTED,
    DEAD,
    DELIVERED,
    WAITING,
    WITHDRAWN,
    AcknowledgementRow,
    AlertRow,
    GatewayKeyRow,
    LedgerEntry,
    OutboxRow,
    TransferRow,
    micros,
)

# Another node's clock may be a little ahead, and end what is about to expire.
_MARGIN: Final = timedelta(minutes=1)
# Whoever takes a delivery away may hope that it expires before anybody looks.
_LOOKED_BACK: Final = timedelta(days=30)
# No attempt, and nothing that is handed out, waits for so long.
_LONGEST: Final = timedelta(days=1)
_PAGE: Final = 1_000
_ENDS: Final = {DEAD: TransferDead.kind, WITHDRAWN: TransferWithdrawn.kind}
_KINDS: Final = frozenset(kind.encode() for kind in (*_ENDS.values(), TransferRedelivered.kind))
_OF_ALERTS: Final = b'"kind":"alert.'
_KEYS: Final = 16
_About = tuple[str, str, str]
"""Whom an alert tells, and which agency's key it is about."""
_ALERT_KINDS: Final = frozenset(kind.encode() for kind in (AlertIssued.kind, AlertAcknowledged.kind))


class Owed:
    """Of one ledger, at one moment. Memory holds what was ended before its time, and which alerts there are, and no more."""

    def __init__(self, ledger: str, now: datetime) -> None:
        self._ledger = ledger
        self._alive = micros(now + _MARGIN)
        self._after = micros(now - _LOOKED_BACK)
        self._soon = micros(now + _LONGEST)
        self._ended: dict[str, str] = {}
        self._said: dict[str, str] = {}
        # Of each alert what its first entry says: to whom, about whose key, until when; the digest of its text, by its newest
        # entry or, while it is looked at, another one; and that of its receipt.
        self._issued: dict[str, tuple[_About, int]] = {}
        self._signed: dict[str, set[str]] = {}
        self._answered: dict[str, str] = {}
        self.findings = Findings()
        self.looked = 0

    def look(
        self,
        session: Session,
        span: dict[str, Any],
        rows: Sequence[Any],
        leaves: Sequence[bytes],
        kinds: Sequence[bytes],
    ) -> None:
        """The messages of some entries in a row, and what these entries say of deliveries."""
        if any(type(row.expires_at) is int and row.expires_at > self._after for row in rows):
            # One statement: message, delivery and receipt are of one moment, whoever delivers meanwhile.
            for row in session.connection().execute(_OWED, span | {"after": self._after}):
                self._delivery(row)
        if self._ended and not _KINDS.isdisjoint(kinds):
            for leaf, kind in zip(leaves, kinds, strict=True):
                if kind in _KINDS:
                    self._note(leaf)

        if not _ALERT_KINDS.isdisjoint(kinds):
            for leaf, kind in zip(leaves, kinds, strict=True):
                if kind in _ALERT_KINDS:
                    self._note_alert(leaf)

    def finish(self, session: Session, size: int, *, whole: bool) -> None:
        """After the entries up to `size`, with `whole` from the first one on: whether what was ended was ended by an entry; and
        the gateway's own alerts.
        """
        # Before the entries of the meantime: each of these rows has one by now, and each entry so far its row.
        alerts = self._alerts(session)
        for gone in sorted(self._issued.keys() - alerts.keys()):
            self.findings.add(f"the alert {gone} is gone")
        if self._ended or alerts:
            later = select(col(LedgerEntry.leaf)).where(
                col(LedgerEntry.ledger) == self._ledger, col(LedgerEntry.position) >= size
            )
            for leaf in session.connection().execute(later, execution_options={"yield_per": _PAGE}).scalars():
                self._note(bytes(leaf))
                if _OF_ALERTS in leaf:
                    # Signed anew before its text was read, or after that.
                    self._note_alert(bytes(leaf), meanwhile=True)
        for transfer, state in self._ended.items():
            if self._said.get(transfer) != _ENDS[state]:
                self.findings.add(f"{transfer} is marked {state}, but no entry says so")
        for alert, told in alerts.values():
            if (fault := self._alert(alert, told, whole=whole)) is not None:
                self.findings.add(f"the alert {alert.id} {fault}")

    def _alerts(self, session: Session) -> dict[str, "tuple[Any, _Told | None]"]:
        """The rows, and what the text of each says; None where no key of the gateway signed it. The texts are not kept."""
        rows = session.connection().execute(_ALERTS, {"ledger": self._ledger}).all()
        # After the rows, and the keys after that: whoever alerts meanwhile has every row its text, and every text its key.
        texts = select(col(AlertRow.id), col(AlertRow.jws)).where(col(AlertRow.ledger) == self._ledger)
        key = lru_cache(_KEYS)(partial(_own_key, session))
        told = {
            id_: _told(text, id_, key)
            for id_, text in session.connection().execute(texts, execution_options={"yield_per": _PAGE})
        }
        return {row.id: (row, told.get(row.id)) for row in rows}

    def _alert(self, row: Any, told: "_Told | None", *, whole: bool) -> str | None:
        """What is wrong with it. Where not all entries were read, its own may have been among the others."""
        self.looked += 1
        issued = self._issued.get(row.id)
        if whole and issued is None:
            return "was issued by no entry"
        if told is None or (issued is not None and told.about != issued[0]):
            return "says something else than its entry, or is not signed by us"
        # Who has a key that the gateway lost can sign it once more, with other transfers in it, and date it as he likes.
        if whole and told.digest not in self._signed[row.id]:
            return "is another text than its newest entry names"
        until = issued[1] if whole and issued is not None else row.expires_at
        if type(until) is not int or row.expires_at != until or row.until not in (until, None):
            return "ends at another time"
        if whole and row.acknowledgement is not None and self._answered.get(row.id) != digest(row.acknowledgement):
            return "is marked as signed for, but no entry says so"
        wanted = WAITING if row.acknowledgement is None else DELIVERED
        if row.state != wanted and until > self._alive:
            return f"is {row.state or 'gone from the outbox'}, not {wanted}"
        if row.to not in (row.recipient, None) or row.recipient != told.about[0]:
            return "is to somebody else"
        if row.state == WAITING and self._held_back(row.due):
            return "is held back for more than a day"
        return None

    def _held_back(self, due: object) -> bool:
        """Also where it is no moment: SQLite keeps whatever type somebody wrote, and compares a text as later than any number."""
        return type(due) is not int or due > self._soon

    def _delivery(self, row: Any) -> None:
        if type(row.expires_at) is not int:
            return  # no moment: check 12 has found it
        self.looked += 1
        alive = row.expires_at > self._alive
        if row.state is None:
            self.findings.add(f"the delivery of {row.id} is gone{'' if alive else ', and it has expired'}")
        elif (row.to, row.until) != (row.recipient, row.expires_at):
            self.findings.add(f"the delivery of {row.id} is to somebody else, or ends at another time")
        elif row.state == DELIVERED:
            if row.signed is None:
                self.findings.add(f"{row.id} is marked delivered, but its recipient signed nothing")
        elif not alive:
            return  # expired, or about to be called so
        elif row.state in _ENDS:
            self._ended[row.id] = row.state
        elif row.state != WAITING:
            self.findings.add(f"{row.id} is marked {row.state} before its time")
        elif self._held_back(row.due):
            self.findings.add(f"the delivery of {row.id} is held back for more than a day")

    def _note(self, leaf: bytes) -> None:
        try:
            entry = decode(leaf)
        except LedgerInvalidError:
            return  # check 3 has found it, or will
        transfer = str(entry.get("transfer"))
        if transfer in self._ended and entry["kind"].encode() in _KINDS:
            self._said[transfer] = entry["kind"]

    def _note_alert(self, leaf: bytes, *, meanwhile: bool = False) -> None:
        try:
            entry = decode(leaf)
        except LedgerInvalidError:
            return  # check 3 has found it, or will
        if entry["kind"] == AlertIssued.kind:
            time, alert = instant(entry["time"]), entry["alert"]
            about = (entry["recipient"], entry["agency"], entry["key"])
            self._issued.setdefault(alert, (about, micros(time + LASTS)))
            before = self._signed.get(alert, set()) if meanwhile else set()
            self._signed[alert] = before | {entry["digest"]}
        elif entry["kind"] == AlertAcknowledged.kind:
            self._answered[entry["alert"]] = entry["receipt_digest"]


def _own_key(session: Session, kid: str) -> PublicKey:
    """One that signs, or did. Raises MalformedError where there is none."""
    own = select(col(GatewayKeyRow.jwk)).where(col(GatewayKeyRow.kid) == kid, col(GatewayKeyRow.use) == SIGN)
    jwk = session.connection().execute(own).scalar()
    return public_key_from_jwk(strict_json((jwk or "{}").encode(), "the key", 2))


@dataclass(frozen=True, slots=True)
class _Told:
    """What the text of an alert says, and its digest."""

    about: _About
    digest: str


def _told(text: object, alert: str, key: Callable[[str], PublicKey]) -> _Told | None:
    """None where this alert is no word of the gateway."""
    if not isinstance(text, str):
        return None
    try:
        told = read_alert(text, key(parse_jws(text, ALERT_TYP, 2).kid))
    except GatewayError:
        return None
    return _Told((told.aud, told.agency, told.kid), digest(text)) if told.jti == alert else None


_SIGNED: Final = (
    select(col(AcknowledgementRow.event))
    .where(
        col(AcknowledgementRow.transfer) == col(TransferRow.id),
        # Among the entries behind this one, where check 12 meets it.
        col(AcknowledgementRow.ledger) == col(TransferRow.ledger),
        col(AcknowledgementRow.position) > col(TransferRow.position),
    )
    .limit(1)
    .scalar_subquery()
)
_OWED: Final = (
    select(
        col(TransferRow.id),
        col(TransferRow.recipient),
        col(TransferRow.expires_at),
        col(OutboxRow.state),
        col(OutboxRow.recipient).label("to"),
        col(OutboxRow.expires_at).label("until"),
        col(OutboxRow.due_at).label("due"),
        _SIGNED.label("signed"),
    )
    .outerjoin(OutboxRow, col(OutboxRow.transfer) == col(TransferRow.id))
    .where(
        col(TransferRow.ledger) == bindparam("ledger"),
        col(TransferRow.position) >= bindparam("first"),
        col(TransferRow.position) < bindparam("end"),
        col(TransferRow.decision) == ACCEPTED,
        col(TransferRow.erased_at).is_(None),
        col(TransferRow.expires_at) > bindparam("after"),
    )
)
_ALERTS: Final[Any] = (
    select(
        col(AlertRow.id),
        col(AlertRow.recipient),
        col(AlertRow.acknowledgement),
        col(AlertRow.expires_at),
        col(OutboxRow.state),
        col(OutboxRow.recipient).label("to"),
        col(OutboxRow.expires_at).label("until"),
        col(OutboxRow.due_at).label("due"),
    )
    .outerjoin(OutboxRow, col(OutboxRow.transfer) == col(AlertRow.id))
    .where(col(AlertRow.ledger) == bindparam("ledger"))
)
