"""The ledgers that benchmarks write straight to disk are sound ones: what is measured on them is measured on real rows."""

from datetime import UTC, datetime
from pathlib import Path

from benchmarks import ledger_store as made
from benchmarks.ledger_measures import opened
from gateway.ledger.entry import TransferAccepted, TransferAcknowledged
from gateway.store.fsck import examine

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)


def test_a_generated_ledger_passes_fsck(tmp_path: Path) -> None:
    """Every table as it is today, every row beside its entry."""
    accepted = TransferAccepted(
        time=NOW, transfer="transfer-1", sender="imigrasi", recipient="polda", type="a.report/1", purpose="PREVENTION",
        classification="T", agreement="pks", agreement_version=1, rule="r-1", clause="1", key="k" * 43,
        commitment="c" * 64, exp=1, retain_until="2030-01-01", withheld=("/body/name",),
    )  # fmt: skip
    acknowledged = TransferAcknowledged(
        time=NOW, transfer="transfer-1", event="processed", recipient="polda", key="k" * 43, receipt_digest="d" * 64
    )
    sample = made.Sample(40, 40, 40, 40, accepted.leaf().decode(), acknowledged.leaf().decode(), 0.0)
    file = tmp_path / "large.db"
    assert made.generate(file, 600, sample)["entries"] == 672
    database = opened(file)
    found = examine(database, made.keys(), made.LEDGER, None, now=NOW)
    database.close()
    assert found.ok, found.report.checks
