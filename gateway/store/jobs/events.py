"""What is not a message: used request tokens, acts of operators and auditors, new ledgers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlmodel import SQLModel, col

from gateway.errors import GatewayError
from gateway.ledger.entry import Entry
from gateway.store.append import Placed, create_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.recorder import Transaction
from gateway.store.tables import KeyStatementRow, LedgerHead, UsedToken


class TokenUsedError(GatewayError):
    default_code = "token.replayed"


@dataclass(frozen=True, slots=True)
class UseToken:
    """A request token's `jti` counts once on all nodes together."""

    agency: str
    jti: str
    expires_at: int
    judged_at_version: int
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        transaction.require_version(self.judged_at_version)
        staged = any(
            row["agency"] == self.agency and row["jti"] == self.jti for row in transaction.rows.get(UsedToken, ())
        )
        known = transaction.connection.execute(
            select(col(UsedToken.expires_at)).where(
                col(UsedToken.agency) == self.agency, col(UsedToken.jti) == self.jti
            )
        ).one_or_none()
        if staged or known is not None:
            raise TokenUsedError("the token was used before")
        transaction.insert(UsedToken, {"agency": self.agency, "jti": self.jti, "expires_at": self.expires_at})


@dataclass(frozen=True, slots=True)
class ForgetTokens:
    """Drops the ids of tokens that have expired and can no longer be replayed."""

    before: int
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        transaction.connection.execute(delete(UsedToken).where(col(UsedToken.expires_at) < self.before))


@dataclass(frozen=True, slots=True)
class HandInStatement:
    """An agency's statement of its next key, in the place of an older one. Nothing counts by it."""

    row: Mapping[str, Any]
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        # At once and not with the batch's other rows: a second one in the same batch must see it.
        agency = col(KeyStatementRow.agency) == self.row["agency"]
        held = transaction.connection.execute(update(KeyStatementRow).where(agency).values(**self.row))
        if held.rowcount == 0:
            transaction.connection.execute(insert(KeyStatementRow), [dict(self.row)])


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """An operator's or auditor's act: entries in one ledger or more, and rows that change with them."""

    ledger: str
    entries: Sequence[Entry]
    apply: Callable[[Transaction], None] | None = None
    rows: Sequence[tuple[type[SQLModel], dict[str, Any]]] = field(default_factory=tuple)
    changes_config: bool = False
    also: Sequence[tuple[str, Entry]] = ()
    message_id: None = None

    @property
    def ledgers(self) -> Sequence[str]:
        return (self.ledger, *(ledger for ledger, _ in self.also))

    def stage(self, transaction: Transaction) -> tuple[Placed, ...]:
        if self.apply is not None:
            # Refused after its first change, it leaves none of them to the other jobs' commit.
            with transaction.connection.begin_nested():
                self.apply(transaction)
        for table, row in self.rows:
            transaction.insert(table, row)
        if self.changes_config:
            transaction.config_changes()
        every = [(self.ledger, entry) for entry in self.entries] + [*self.also]
        return tuple(transaction.append(ledger, entry) for ledger, entry in every)


@dataclass(frozen=True, slots=True)
class CreateLedger:
    """A new, empty ledger. One that is there already stays as it is."""

    ledger: str
    origin: str
    keys: CheckpointKeys
    ledgers: Sequence[str] = ()
    message_id: None = None

    def stage(self, transaction: Transaction) -> None:
        known = transaction.connection.execute(
            select(col(LedgerHead.size)).where(col(LedgerHead.ledger) == self.ledger)
        ).one_or_none()
        if known is None:
            create_ledger(transaction.connection, self.ledger, self.origin, self.keys)
