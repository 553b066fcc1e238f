"""What a ledger adds up to in a period, and what is never added up."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.evaluation.figures import COLUMNS, Figures
from gateway.evaluation.page import _COLUMNS, _TABLES, render
from gateway.ledger.entry import KINDS, SubjectRequest
from gateway.ledger.verify import audit
from tests.cli.shell import Shell
from tests.ledger.entries import ACCEPTED, NOW, ONE_OF_EACH, REFUSED, REPLY, TRANSFER
from tests.ledger.published import publish, signer

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def reckoned(
    *entries: object, since: str | None = None, until: str | None = None
) -> dict[str, list[dict[str, str | int]]]:
    figures = Figures(since, until)
    figures.read([entry.leaf() for entry in entries])  # type: ignore[attr-defined]
    return dict(figures.tables())


def test_every_kind_is_counted_somewhere() -> None:
    """Each kind of entry but the ledger's own first one is in a table beside the count of kinds, under named columns."""
    for entry in ONE_OF_EACH:
        tables = reckoned(entry)
        assert tables.pop("entries") == [{"kind": entry.kind, "entries": 1}]
        assert bool(tables) is (entry.kind != "gateway.initialised"), entry.kind
        for name, rows in tables.items():
            assert [tuple(row) for row in rows] == [COLUMNS[name]] * len(rows)
    assert {entry.kind for entry in ONE_OF_EACH} == set(KINDS)


def test_volumes_and_refusals() -> None:
    """Messages by clause and route, with how many were partly withheld, flagged and approved; refusals by each reason."""
    tables = reckoned(ACCEPTED, REPLY, replace(ACCEPTED, time=DECEMBER), REFUSED)
    route = {name: getattr(ACCEPTED, name) for name in ("clause", "type", "sender", "recipient")}
    assert tables["volumes"] == [route | {"accepted": 3, "withheld": 2, "flagged": 1, "approved": 1}]
    assert tables["months"] == [
        {"month": "2026-11", "accepted": 2, "refused": 1, "overdue": 0},
        {"month": "2026-12", "accepted": 1, "refused": 0, "overdue": 0},
    ]
    assert [(row["code"], row["messages"]) for row in tables["refusals"]] == [
        ("rule.case-required", 1),
        ("schema.violated", 1),
    ]
    assert [(row["transfer"], row["notice"]) for row in tables["releases"]] == [(TRANSFER, TRANSFER)]


def test_an_erasure_on_request_is_one_request() -> None:
    """It has two entries, before it begins and with what was erased: one request, its transfers once, what was erased once."""
    begun = SubjectRequest(time=NOW, request=TRANSFER, what="erase", who="op-3", why="T-1", results=3)
    refused = replace(begun, request=TRANSFER[:-1] + "c", erased=0)
    rows = reckoned(begun, replace(begun, erased=2), refused)["requests"]
    assert rows == [{"what": "erase", "requests": 2, "transfers": 6, "erased": 2}]


def test_acts_of_two() -> None:
    """An act counts as signed by two only with two operators' keys; one of them is not enough."""
    act = next(entry for entry in ONE_OF_EACH if entry.kind == "operator.act" and getattr(entry, "approvals", ()))
    (key,) = act.approvals  # type: ignore[attr-defined]
    two = replace(act, approvals=(key, key[::-1]))
    (row,) = reckoned(act, two)["acts"]
    assert (row["acts"], row["by_two"]) == (2, 1)


def test_the_period_has_its_first_moment_and_not_its_last() -> None:
    """`[since, until)`: what was recorded at the first moment counts, what was at the last does not."""
    moment = "2026-12-01T00:00:00.000000Z"
    entries = (ACCEPTED, replace(ACCEPTED, time=DECEMBER))
    (since,) = reckoned(*entries, since=moment)["months"]
    (until,) = reckoned(*entries, until=moment)["months"]
    assert (since["month"], until["month"]) == ("2026-12", "2026-11")


def test_every_entry_is_read_once() -> None:
    """The audit hands over each leaf once and in order, over several bundles."""
    leaves = [replace(ACCEPTED, transfer=f"transfer-{number:08d}").leaf() for number in range(600)]
    read: list[bytes] = []
    assert audit(publish(leaves), signer().name, [signer().verifier], reader=read.extend).ok
    assert read == leaves


def test_the_page_has_words_for_every_table_and_column() -> None:
    """Nothing that can be counted is without Indonesian and English words, and no text enters the page as markup."""
    assert set(COLUMNS) == set(_TABLES)
    assert {column for columns in COLUMNS.values() for column in columns} == set(_COLUMNS)
    tables = reckoned(*ONE_OF_EACH)
    told = {"origin": "<b>", "size": 1, "root": "00", "since": None, "until": None, "first": "x", "last": "y"}
    page = render(told | {"tables": tables}, {ACCEPTED.type: ("Laporan dini", "Early report")})
    for words in ("Laporan dini (early-warning.report/1)", "Early report (early-warning.report/1)", "&lt;b&gt;"):
        assert words in page
    assert "<b>" not in page


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    source = publish([entry.leaf() for entry in ONE_OF_EACH])
    for path, content in source.items():
        file = tmp_path / "export" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "export"


def test_the_command(exported: Path, tmp_path: Path) -> None:
    """An export with its key gives the figures as JSON, as text and as a page, of the asked period alone."""
    shell, key, page = Shell(tmp_path, tmp_path / "none.toml"), signer().verifier.vkey, tmp_path / "report.html"
    told = shell.ok("ledger", "report", exported, "--vkey", key, "--html", page, "--json").json
    assert (told["size"], told["origin"]) == (len(ONE_OF_EACH), signer().name)
    assert told["tables"]["months"] == [{"month": "2026-11", "accepted": 2, "refused": 1, "overdue": 1}]
    assert "Evaluasi buku catatan" in page.read_text()
    assert "volumes" in shell.ok("ledger", "report", exported, "--vkey", key).out
    later = shell.ok("ledger", "report", exported, "--vkey", key, "--from", "2026-11-21", "--json").json
    assert (later["tables"], later["since"]) == ({}, "2026-11-21T00:00:00.000000Z")
    assert shell("ledger", "report", exported, "--vkey", key, "--html", page).code == 2


def test_a_ledger_that_does_not_verify_is_not_added_up(exported: Path, tmp_path: Path) -> None:
    """One altered entry, or another key: the command says what failed, ends with 1 and gives no figure."""
    shell = Shell(tmp_path, tmp_path / "none.toml")
    other = shell("ledger", "report", exported, "--vkey", signer(seed=2).verifier.vkey, "--json")
    (bundle,) = (exported / "tile" / "entries").rglob("*.p/*")
    bundle.write_bytes(bundle.read_bytes().replace(b"polda-banten", b"polda-bandit", 1))
    altered = shell("ledger", "report", exported, "--vkey", signer().verifier.vkey, "--json")
    for ended in (other, altered):
        assert (ended.code, ended.out) == (1, "")
        assert "does not verify" in ended.err
    assert "root follows from the entries" in altered.err
