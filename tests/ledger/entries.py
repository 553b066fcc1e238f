"""One entry of each kind."""

from dataclasses import replace
from datetime import UTC, date, datetime

from gateway.errors import Reason
from gateway.ledger import entry

NOW = datetime(2026, 11, 20, 8, 30, 15, 42, tzinfo=UTC)


KEY = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


TRANSFER = "0193478a-51f0-7bcd-8e2f-0123456789ab"


DIGEST = "5f" * 32


ACCEPTED = entry.TransferAccepted(
    time=NOW,
    transfer=TRANSFER,
    sender="pemprov-banten",
    recipient="polda-banten",
    type="early-warning.report/1",
    purpose="public-safety",
    classification="T",
    agreement="pks-banten-2025",
    agreement_version=3,
    rule="early-warning",
    clause="Pasal 5 ayat (2) huruf a",
    key=KEY,
    commitment=DIGEST,
    exp=1_795_000_000,
    retain_until=date(2031, 11, 20),
    withheld=("/body/reporter/name", "/body/a~1b"),
)


REPLY = replace(
    ACCEPTED,
    withheld=(),
    in_reply_to=TRANSFER,
    reply_as="answers",
    acknowledge_by=NOW,
    flags=(Reason("rule.repeated-subject", "Pasal 7", "/body/subject", "not for the ledger"),),
    approvals=(KEY,),
    notice=TRANSFER,
)


REFUSED = entry.TransferRefused(
    time=NOW,
    transfer=TRANSFER,
    sender="pemprov-banten",
    key=KEY,
    commitment=DIGEST,
    reasons=(Reason("rule.case-required", "Pasal 7", "/case", "not for the ledger"), Reason("schema.violated")),
)


ONE_OF_EACH: list[entry.Entry] = [
    ACCEPTED,
    REPLY,
    REFUSED,
    entry.TransferAcknowledged(
        time=NOW, transfer=TRANSFER, event="delivered", recipient="polda-banten", key=KEY, receipt_digest=DIGEST
    ),
    entry.TransferExpired(time=NOW, transfer=TRANSFER),
    entry.TransferDead(time=NOW, transfer=TRANSFER, recipient="polda-banten", attempts=14),
    entry.TransferWithdrawn(time=NOW, transfer=TRANSFER, ended_by=TRANSFER, recipient="polda-banten", attempts=0),
    entry.TransferOverdue(time=NOW, transfer=TRANSFER, recipient="polda-banten", due_at=NOW),
    entry.TransferRedelivered(time=NOW, transfer=TRANSFER, who="op-3", why="INC-2041"),
    entry.TransferErased(time=NOW, transfer=TRANSFER, erased_for="request", who="op-3", why="T-1", request=TRANSFER),
    entry.HoldAdded(time=NOW, hold=TRANSFER, scope="transfer", who="op-3", why="PERKARA-7", commitment=DIGEST),
    entry.HoldReleased(time=NOW, hold=TRANSFER, who="op-3", why="PERKARA-7", approvals=(KEY,)),
    entry.SubjectRequest(time=NOW, request=TRANSFER, what="erase", who="op-3", why="T-1", results=3, erased=2),
    entry.KeyAdded(time=NOW, agency="polda-banten", key=KEY, use="sig", not_before=NOW, not_after=NOW),
    entry.KeyRevoked(time=NOW, agency="polda-banten", key=KEY, use="sig", not_after=NOW, why="compromised"),
    entry.KeyRetired(time=NOW, agency="polda-banten", key=KEY, use="sig", not_after=NOW),
    entry.OfficerAdded(time=NOW, agency="polda-banten", key=KEY, role="PPA_OFFICER", not_before=NOW, not_after=NOW),
    entry.OfficerRevoked(time=NOW, agency="polda-banten", key=KEY, why="INC-2041"),
    entry.AgencyAdded(time=NOW, agency="polda-banten", status="active", digest=DIGEST),
    entry.AgencyChanged(time=NOW, agency="polda-banten", status="paused"),
    entry.AgreementActivated(
        time=NOW, agreement="pks-banten-2025", version=3, digest=DIGEST, signers=("pemprov-banten", "polda-banten")
    ),
    entry.SchemaPublished(time=NOW, type="early-warning.report/1", digest=DIGEST),
    entry.AuditRead(
        time=NOW,
        auditor="auditor-7",
        role="internal-auditor",
        what="transfers.search",
        filters={"type": "early-warning.report/1", "from": "2026-11-01T00:00:00+07:00", "subject": None},
        results=12,
    ),
    entry.OperatorAct(time=NOW, who="op-3", what="agencies.add", why="INC-2041", about="polda-banten"),
    entry.OperatorAct(
        time=NOW, who="sari+budi", what="keys.admit", why="T-1", about="polda-banten", approvals=(KEY,), digest=DIGEST
    ),
    entry.OperatorAdded(time=NOW, operator="sari", key=KEY),
    entry.OperatorRevoked(time=NOW, operator="sari", key=KEY, why="INC-2041"),
    entry.AlertIssued(
        time=NOW,
        alert=TRANSFER,
        recipient="polda-banten",
        agency="imigrasi-banten",
        key=KEY,
        not_after=NOW,
        digest=DIGEST,
    ),
    entry.AlertAcknowledged(
        time=NOW, alert=TRANSFER, event="delivered", recipient="polda-banten", key=KEY, receipt_digest=DIGEST
    ),
    entry.CheckpointKey(
        time=NOW,
        old_vkey=f"sinergi.example/ledger/pks+0123abcd+{'A' * 44}",
        vkey=f"sinergi.example/ledger/pks+89abcdef+{'B' * 44}",
        not_before=NOW,
        old_signature="C" * 86 + "==",
        new_signature="D" * 86 + "==",
    ),
    entry.GatewayInitialised(time=NOW, gateway="gateway.banten.example", key=KEY),
]


NIK = "3604011501900001"
