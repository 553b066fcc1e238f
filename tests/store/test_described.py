"""Attacks on the rows of agencies: whoever sends their pushes somewhere else, or lets a stranger in, is found by the audit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlmodel import col

from gateway.errors import LedgerForkedError
from gateway.keys.directory import parse_endpoint
from gateway.ledger.entry import AgencyAdded, AgencyChanged, OperatorAct
from gateway.operations.agencies import add_agency, change_agency
from gateway.settings import load_settings
from gateway.store.append import Memory
from gateway.store.described import PAUSED, Described, description
from gateway.store.fsck import examine
from gateway.store.jobs.events import RecordEvent
from gateway.store.patrol import require_whole
from gateway.store.tables import AgencyRow
from gateway.takeover import take_over
from gateway.wiring import Store, now, open_store
from tests.cli.shell import founded, new_shell
from tests.store.ledgers import NOW

POLDA, KANIM = "polda-banten", "imigrasi-banten"
OURS, THEIRS = (parse_endpoint(f"https://{host}.example/in", ["203.0.113.0/28"]) for host in ("a", "b"))
BY: dict[str, Any] = {"why": "T-1", "who": "tester"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A gateway on SQLite with two agencies, one of which is called at an endpoint."""
    with open_store(load_settings(founded(tmp_path_factory.mktemp("described")).config)) as store:
        add_agency(store, POLDA, "Polda Banten", endpoint=OURS, liaison=OURS, **BY)
        add_agency(store, KANIM, "Imigrasi Banten", **BY)
        yield store


@pytest.fixture
def store(gate: Store) -> Iterator[Store]:
    """Whose rows are afterwards as they were."""
    with gate.database.write.begin() as connection:
        kept = [dict(row) for row in connection.execute(select(AgencyRow.__table__)).mappings()]  # type: ignore[attr-defined]
    yield gate
    with gate.database.write.begin() as connection:
        connection.execute(delete(AgencyRow))
        connection.execute(insert(AgencyRow), kept)


def checked(store: Store) -> str:
    """What check 16 finds, and no other check; nothing where the ledger is sound."""
    found = examine(store.database, store.keys.checkpoint, "gateway", None, now=now())
    faults = {check.number: check.detail for check in found.report.checks if not check.ok}
    assert set(faults) <= {16}, faults
    assert [one.startswith("16: Stop every node") for one in found.advice] == [True] * len(faults)
    return faults.get(16, "")


def put(connection: Connection, agency: str, **values: object) -> None:
    connection.execute(update(AgencyRow).where(col(AgencyRow.id) == agency).values(**values))


ATTACKS: dict[str, tuple[Any, str]] = {
    "pushed elsewhere": (
        lambda connection: put(connection, POLDA, endpoint_url=THEIRS.url),
        "polda-banten differs from entry N in name, endpoint or liaison",
    ),
    "pushed for the first time": (
        lambda connection: put(connection, KANIM, endpoint_url=THEIRS.url, endpoint_networks="0.0.0.0/0"),
        "imigrasi-banten differs from entry N in name, endpoint or liaison",
    ),
    "into another network": (
        lambda connection: put(connection, POLDA, endpoint_networks="0.0.0.0/0"),
        "polda-banten differs from entry N in name, endpoint or liaison",
    ),
    "notices elsewhere": (
        lambda connection: put(connection, POLDA, liaison_url=THEIRS.url),
        "polda-banten differs from entry N in name, endpoint or liaison",
    ),
    "renamed": (
        lambda connection: put(connection, POLDA, name="Polda Jabar"),
        "polda-banten differs from entry N in name, endpoint or liaison",
    ),
    "suspended": (
        lambda connection: put(connection, POLDA, status="suspended"),
        "polda-banten differs from entry N in status",
    ),
    "paused": (
        lambda connection: put(connection, POLDA, paused_reason="gone"),
        "polda-banten differs from entry N in the pause of its endpoint",
    ),
    "no text": (
        lambda connection: connection.execute(text("UPDATE agency SET name = x'00' WHERE id = 'polda-banten'")),
        "polda-banten differs from entry N in name, endpoint or liaison",
    ),
    "removed": (
        lambda connection: connection.execute(delete(AgencyRow).where(col(AgencyRow.id) == KANIM)),
        "the agency imigrasi-banten is gone",
    ),
    "let in": (
        lambda connection: connection.execute(insert(AgencyRow).values(id="straw", name="Straw", status="active")),
        "the agency straw was added by no entry",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_agency_that_was_changed_past_the_gateway_is_found(store: Store, attack: str) -> None:
    """The check names agency and entry and says what to do; no node starts, or goes on, over such a row."""
    change, told = ATTACKS[attack]
    assert checked(store) == ""
    with store.database.write.begin() as connection:
        change(connection)
    assert "N".join(_without_number(checked(store))) == told
    with pytest.raises(LedgerForkedError, match=r"gateway was altered .*16\."):
        require_whole(store.database, store.keys.checkpoint, Memory(), 100_000, now())


def _without_number(finding: str) -> list[str]:
    before, entry, behind = finding.partition("entry ")
    return [before + entry, behind.lstrip("0123456789")] if behind else [finding]


def test_what_operators_and_deliveries_do_is_no_fault(gate: Store) -> None:
    """Each step has an entry that says the same as the row, also of a pause that outlasts another change."""
    steps: list[dict[str, Any]] = [
        {"status": "suspended"},
        {"status": "active", "name": "Polda Banten, Ditreskrimum"},
        {"remove_endpoint": True},
        {"endpoint": THEIRS},
        {"liaison": THEIRS},
        {"remove_liaison": True},
    ]
    for step in steps:
        change_agency(gate, POLDA, **step, **BY)
        assert checked(gate) == "", step
    entry = AgencyChanged(time=now(), agency=POLDA, status=PAUSED)
    paused = RecordEvent(
        "gateway", [entry], lambda transaction: put(transaction.connection, POLDA, paused_reason="gone")
    )
    gate.recorder.submit(paused).result(30)
    assert checked(gate) == ""
    change_agency(gate, POLDA, name="Polda Banten", **BY)
    assert checked(gate) == ""
    with gate.database.write.begin() as connection:
        put(connection, POLDA, paused_reason=None)
    assert "the pause of its endpoint" in checked(gate)
    with gate.database.write.begin() as connection:
        put(connection, POLDA, paused_reason="gone")
    change_agency(gate, POLDA, resume=True, **BY)
    assert checked(gate) == ""


def test_a_takeover_says_how_each_agency_stands(gate: Store, tmp_path: Path) -> None:
    """Suspended, paused or neither: the new gateway's entries say the same as the rows that it took."""
    entry = AgencyChanged(time=now(), agency=POLDA, status=PAUSED)
    paused = RecordEvent(
        "gateway", [entry], lambda transaction: put(transaction.connection, POLDA, paused_reason="gone")
    )
    gate.recorder.submit(paused).result(30)
    change_agency(gate, KANIM, status="suspended", **BY)
    shell = new_shell(tmp_path)
    shell.ok("init", tmp_path / "gw", "--id", "gw-next", "--public-url", "http://next.test")
    with open_store(load_settings(shell.config)) as new:
        take_over(new, gate.settings, **BY)
        assert checked(new) == ""
        with new.database.write.begin() as connection:
            put(connection, POLDA, paused_reason=None)
        assert "the pause of its endpoint" in checked(new)


def test_a_change_while_the_audit_reads_is_no_fault() -> None:
    """Rows are of some moment after the walk: of before or after an entry that came since, and of nothing else."""
    row = AgencyRow(id=POLDA, name="Polda Banten", status="active", endpoint_url=OURS.url)
    moved = AgencyRow(**row.model_dump() | {"endpoint_url": THEIRS.url})
    stranger = AgencyRow(**row.model_dump() | {"endpoint_url": "https://c.example/in"})
    new = AgencyRow(id=KANIM, name="Imigrasi Banten", status="active")
    added = AgencyAdded(time=NOW, agency=POLDA, status="active", digest=description(row))
    later = [
        AgencyChanged(time=NOW, agency=POLDA, status="active", digest=description(moved)),
        OperatorAct(time=NOW, who="tester", what="agencies.set/endpoint_url", why="T-1", about=POLDA),
        replace(added, agency=KANIM, digest=description(new)),
    ]
    for rows, told in (([row], ""), ([moved], ""), ([moved, new], ""), ([stranger], "endpoint"), ([], "is gone")):
        described = Described()
        described.note(0, added.leaf())
        described.compare(rows, [(at, one.leaf()) for at, one in enumerate(later, 1)])
        assert (told in str(described.findings), bool(told)) == (True, bool(str(described.findings)))
