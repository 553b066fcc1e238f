"""The tables, one file a subject. Everything personal is in `sealed_*` columns, encrypted under a key of its own message."""

from typing import Final

from sqlalchemy import text
from sqlmodel import SQLModel

from gateway.store.tables.column import EPOCH, micros, moment
from gateway.store.tables.custody import ChoreRow, HoldRow, NodeRow, SubjectRequestRow
from gateway.store.tables.deliveries import AcknowledgementRow, AlertRow, DeadlineRow, LiaisonNoticeRow, OutboxRow
from gateway.store.tables.ledgers import (
    AttestedCheckpoint,
    CheckpointTimestamp,
    LedgerCheckpoint,
    LedgerEntry,
    LedgerHead,
    LedgerMention,
    LedgerTile,
)
from gateway.store.tables.parties import (
    AgencyKeyRow,
    AgencyRow,
    AgreementRow,
    AuditorRow,
    ConfigVersion,
    GatewayKeyRow,
    KeyStatementRow,
    OfficerRow,
    OperatorRow,
    ProposalRow,
    PublishedSchemaRow,
    RecoveryKeyRow,
    UsedToken,
)
from gateway.store.tables.transfers import EarlyWarningRow, SubjectIndex, TransferCode, TransferRow, UsedMessageId

__all__ = [
    "ACCEPTED",
    "DEAD",
    "DELIVERED",
    "EPOCH",
    "EXPIRED",
    "IS_KEPT",
    "IS_UNMET",
    "IS_WAITING",
    "METADATA",
    "REFUSED",
    "TABLES",
    "URGENT",
    "WAITING",
    "WITHDRAWN",
    "AcknowledgementRow",
    "AgencyKeyRow",
    "AgencyRow",
    "AgreementRow",
    "AlertRow",
    "AttestedCheckpoint",
    "AuditorRow",
    "CheckpointTimestamp",
    "ChoreRow",
    "ConfigVersion",
    "DeadlineRow",
    "EarlyWarningRow",
    "GatewayKeyRow",
    "HoldRow",
    "KeyStatementRow",
    "LedgerCheckpoint",
    "LedgerEntry",
    "LedgerHead",
    "LedgerMention",
    "LedgerTile",
    "LiaisonNoticeRow",
    "NodeRow",
    "OfficerRow",
    "OperatorRow",
    "OutboxRow",
    "ProposalRow",
    "PublishedSchemaRow",
    "RecoveryKeyRow",
    "SubjectIndex",
    "SubjectRequestRow",
    "TransferCode",
    "TransferRow",
    "UsedMessageId",
    "UsedToken",
    "micros",
    "moment",
]

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
EXPIRED: Final = "expired"
DEAD: Final = "dead"
WITHDRAWN: Final = "withdrawn"
# Priorities: the lower goes first.
URGENT: Final = 0
# Written out, not bound: a partial index is used only where the planner sees its constant.
IS_WAITING: Final = text("outbox.state = 'waiting'")
IS_UNMET: Final = text("deadline.met_at IS NULL")
IS_KEPT: Final = text("transfer.erased_at IS NULL")

TABLES: Final = (
    LedgerHead,
    LedgerEntry,
    LedgerTile,
    LedgerMention,
    LedgerCheckpoint,
    AttestedCheckpoint,
    CheckpointTimestamp,
    ConfigVersion,
    AgencyRow,
    AgencyKeyRow,
    OfficerRow,
    OperatorRow,
    ProposalRow,
    RecoveryKeyRow,
    KeyStatementRow,
    GatewayKeyRow,
    AgreementRow,
    TransferRow,
    UsedMessageId,
    TransferCode,
    SubjectIndex,
    OutboxRow,
    AlertRow,
    AcknowledgementRow,
    DeadlineRow,
    EarlyWarningRow,
    LiaisonNoticeRow,
    PublishedSchemaRow,
    HoldRow,
    SubjectRequestRow,
    ChoreRow,
    NodeRow,
    UsedToken,
    AuditorRow,
)
METADATA: Final = SQLModel.metadata
