"""Retention, holds and a person's requests at an operator's shell, on the shipped agreement and its messages."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlmodel import col

from gateway import resources
from gateway.api.app import create_app
from gateway.evidence.bundle import unpack
from gateway.settings import load_settings
from gateway.store.tables import TransferRow
from gateway.wiring import Store, open_gateway, open_store
from tests.cli.office import IMIGRASI, LAST_SPRING, PKS, POLDA, SUBJECT, enrol, entries, exchanged, in_service, query
from tests.cli.shell import Shell


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return in_service(tmp_path_factory.mktemp("office"))


def a_trail_tells(office: Shell, ask: Sequence[str], folder: Path) -> None:
    """Who sent what to whom, on what ground, in two languages; not the identifier; for the operator's eyes."""
    out, page = folder / "trail.json", folder / "trail.html"
    office.ok("subjects", "trail", *ask, "--out", out, "--html", page, stdin=SUBJECT)
    told = json.loads(out.read_text())
    assert out.stat().st_mode & 0o777 == page.stat().st_mode & 0o777 == 0o600
    assert told["due_by"] > told["requested_at"]
    first = told["transfers"][0]
    assert (first["sender"], first["recipient"], first["decision"]) == (POLDA, IMIGRASI, "accepted")
    assert first["legal_basis"] == ["UU 6/2011 Pasal 89 ayat (2) huruf a"]
    assert first["delivery"] == {"state": "expired", "receipts": []}
    text = page.read_text()
    for words in ("Jejak pemrosesan data pribadi", "Trail of the processing", "Pencegahan", "Prevention"):
        assert words in text
    assert "A00000123" not in text + out.read_text()


def register(office: Shell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = office.ok("subjects", "list", "--why", "DSR-12", "--json").json
    return found


def the_register_tells(office: Shell, sent: str, refused: str) -> None:
    """Of each request, the oldest first: what was asked, whether in time, and (recorded) what came of it."""
    listed = list(reversed(register(office)))
    assert [one["what"] for one in listed] == ["trail", "correct", "erase", "erase", "erase"]
    assert {one["in_time"] for one in listed} == {True}
    assert sent not in json.dumps(listed)
    shown = [office.ok("subjects", "show", one["request"]).json for one in listed]
    assert [{**one, **before} for one, before in zip(shown, listed, strict=True)] == shown
    trail, correct, held, by_law, erased = shown
    assert {one["kind"] for one in shown} == {"travel-document"}
    assert (set(trail["transfers"]), set(correct["senders"])) == ({sent, refused}, {POLDA})
    assert (held["erased"], set(held["kept"])) == ([], {sent, refused})
    assert by_law["refused"] == "UU27-2022-15-1-b"
    assert (set(erased["erased"]), erased["kept"]) == ({sent, refused}, {})
    assert office("subjects", "show", "0193d5e6-0000-7000-8000-000000000000").code == 1


def signed_by_two(office: Shell, hold: str, subject: str) -> tuple[list[object], list[object]]:
    """The options with what two officers signed: that the hold may end, and that the subject may be erased before its day."""
    releases: list[object] = []
    erasures: list[object] = []
    for name, number in (("sari", "198001152005011001"), ("budi", "198001152005011002")):
        office.ok("agencies", "officers", "add", "--why", "T-1", enrol(office, name, id=number, role="SUPERVISOR"))
        officer = (
            "--as", POLDA, "--gateway-id", "gw-test",
            "--key", f"file:{office.home / name}.pem", "--passphrase-file", office.home / f"{name}.pass",
        )  # fmt: skip
        releases += ["--statement", office.home / f"{name}.release"]
        office.ok("holds", "approve", hold, *officer, "--why", "SELESAI-7", "--out", releases[-1])
        erasures += ["--statement", office.home / f"{name}.early"]
        ground = ("--why", "DSR-12", "--ground", "UU27-2022-43-1-d")
        office.ok("subjects", "approve", subject, *officer, *ground, "--out", erasures[-1])
    return releases, erasures


def test_a_persons_requests_from_the_search_to_the_erasure(office: Shell, tmp_path: Path) -> None:
    """Found, told, to be corrected, held, freed by two, erased: each step recorded, the identifier in none of it."""
    sent, refused = exchanged(office, query(), query(purpose="SUPERVISION"), ago=LAST_SPRING)
    assert (sent.decision, refused.decision) == ("accepted", "refused")
    found = office.ok("subjects", "find", "--subject-file", "-", "--json", stdin=SUBJECT).json
    assert [one["transfer"] for one in found] == [refused.transfer, sent.transfer]
    ask = ("--subject-file", "-", "--why", "DSR-12")
    a_trail_tells(office, ask, tmp_path)
    tasks = office.ok("subjects", "correct", *ask, "--json", stdin=SUBJECT).json
    assert [task["transfer"] for task in tasks["senders"][POLDA]] == [sent.transfer]

    held = office.ok(
        "holds", "add", "--subject-file", "-", "--why", "PERKARA-7", "--citation", "Penetapan PN Serang 12/2026", "--json",
        stdin=SUBJECT,
    ).json  # fmt: skip
    assert held["covers"] == 2
    erase = ("subjects", "erase", *ask, "--before-retention", "UU27-2022-43-1-d", "--json")
    planned = office(*erase, "--dry-run", stdin=SUBJECT)
    assert (planned.code, planned.json["erased"], set(planned.json["kept"])) == (
        1,
        [],
        {sent.transfer, refused.transfer},
    )
    assert office.ok("retention", "run", "--why", "T-1", "--json").json["kept"] == {"hold": 1}
    statements, early_statements = signed_by_two(office, held["hold"], planned.json["subject"])
    kept = office(*erase, *early_statements, stdin=SUBJECT)
    assert (kept.code, kept.json["erased"], set(kept.json["kept"])) == (1, [], {sent.transfer, refused.transfer})
    assert office("holds", "release", held["hold"], "--why", "SELESAI-7", *statements[:2]).code == 1
    office.ok("holds", "release", held["hold"], "--why", "SELESAI-7", *statements)
    assert office.ok("holds", "list", "--json").json == []
    assert len(office.ok("holds", "list", "--all", "--json").json[0]["approvals"]) == 2

    early = office("subjects", "erase", *ask, "--json", "--dry-run", stdin=SUBJECT)
    assert (early.code, early.json["kept"]) == (1, {sent.transfer: ["retention-duty"]})
    by_law = office("subjects", "erase", *ask, "--refuse", "UU27-2022-15-1-b", "--json", stdin=SUBJECT)
    assert set(by_law.json["kept"]) == {sent.transfer, refused.transfer}
    assert "nothing is erased before its day" in office(*erase, *early_statements[:2], stdin=SUBJECT).err
    gone = office.ok(*erase, *early_statements, stdin=SUBJECT).json
    assert (set(gone["erased"]), gone["clean"]) == ({sent.transfer, refused.transfer}, True)
    assert office.ok("subjects", "find", "--subject-file", "-", "--json", stdin=SUBJECT).json == []
    proved = office.ok("retention", "verify", "--json").json
    assert (proved["erased"], proved["past_retention"], proved["flaws"]) == (2, 0, [])

    the_register_tells(office, sent.transfer, refused.transfer)
    own = entries(office)
    requests = [(one["what"], one["results"], one.get("erased")) for one in own if one["kind"] == "subject.request"]
    assert requests == [
        ("trail", 2, None), ("correct", 1, None), ("erase", 2, None), ("erase", 2, 0), ("erase", 2, 0),
        ("erase", 2, None), ("erase", 2, 2),
    ]  # fmt: skip
    assert [len(one["approvals"]) for one in own if one["kind"] == "subject.request" and "approvals" in one] == [2] * 4
    assert {"hold.added", "hold.released"} <= {one["kind"] for one in own}
    searched = [one for one in own if one["kind"] == "audit.read"]
    asked = [{"subject": "travel-document"}] * 2 + [{"request": one["request"]} for one in reversed(register(office))]
    assert [(one["role"], one["filters"]) for one in searched] == [("operator", filters) for filters in asked]
    assert "A00000123" not in json.dumps([*own, *entries(office, PKS)]) + "".join(office.transcript)


def test_what_the_agencies_agreed_to_erase_goes_and_nothing_else(office: Shell) -> None:
    """A confirmation with the outcome DONE answers a request about that very transfer; ON_HOLD erases nothing."""
    (sent,) = exchanged(office, query(), ago=timedelta(days=-100))
    about = {"transfer": sent.transfer}
    examples = resources.schemas_dir()
    asking, done, on_hold = (
        json.loads((examples / folder / "1" / "examples" / f"{name}.json").read_text()) | about
        for folder, name in (
            ("erasure.request", "valid-subject"), ("erasure.confirmation", "valid-done"),
            ("erasure.confirmation", "valid-on-hold"),
        )
    )  # fmt: skip
    then = datetime.now(UTC) - timedelta(days=90)
    asking["requested_at"] = (then - timedelta(hours=1)).isoformat(timespec="seconds")
    done["done_at"] = then.isoformat(timespec="seconds")
    done["backups_gone_on"] = (then + timedelta(days=90)).date().isoformat()
    (asked,) = exchanged(office, ("erasure.request/1", asking, {"iss": IMIGRASI}), ago=timedelta(days=-90))
    assert asked.decision == "accepted", asked.reasons
    replies = [("erasure.confirmation/1", body, {"in_reply_to": asked.transfer}) for body in (on_hold, done)]
    waits, agreed = exchanged(office, *replies, ago=timedelta(days=-89))
    assert (waits.decision, agreed.decision) == ("accepted", "accepted"), agreed.reasons
    for wrong in (sent.transfer, asked.transfer, waits.transfer):
        assert office("retention", "agreed", wrong, "--why", "TIKET-88").code == 1
    found = office.ok("retention", "agreed", agreed.transfer, "--why", "TIKET-88", "--json").json
    assert found["erased"] == [sent.transfer]
    entry = entries(office, PKS)[-1]
    assert (entry["kind"], entry["erased_for"], entry["request"]) == ("transfer.erased", "request", agreed.transfer)
    shown, evidence = asked_for(office, f"/v1/transfers/{sent.transfer}", f"/v1/transfers/{sent.transfer}/evidence")
    told = shown.json()
    assert (told["erased"]["for"], told["receipts"], "claims" in told) == ("request", [], False)
    # Entries and proofs are left, and nothing of the message.
    assert evidence.status_code == 200
    assert {"message.sd-jwt", "released.sd-jwt", "receipt.jws"}.isdisjoint(unpack(evidence.content).files)


def test_a_run_that_is_killed_is_continued_by_the_next(tmp_path: Path, database_url: str) -> None:
    """Killed with -9 between its commits: what is gone has its entry, what is left is whole, and the next run takes it."""
    office = in_service(tmp_path, database_url)
    outcomes = exchanged(office, *(query(purpose="SUPERVISION") for _ in range(40)), ago=timedelta(days=-190))
    due = {one.transfer for one in outcomes}
    assert office.ok("retention", "verify", "--json").json["past_retention"] == len(due)
    words = [
        sys.executable,
        "-m",
        "gateway",
        "--config",
        str(office.config),
        "--operator",
        "tester",
        "retention",
        "run",
        "--why",
        "T-0",
    ]
    with open_store(load_settings(office.config)) as store:
        started = subprocess.Popen(
            words,
            env=os.environ | {"SINERGI_RETENTION__BATCH": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while _erased(store) < 3:
                assert started.poll() is None, "it ended before it could be killed"
        finally:
            started.send_signal(signal.SIGKILL)
            started.wait()
    after = office.ok("retention", "verify", "--json").json
    assert 0 < after["past_retention"] < len(due)
    assert after["erased"] == len(due) - after["past_retention"]
    assert after["flaws"] == []
    assert office.ok("ledger", "fsck", "--json").json["ok"] is True
    assert office.ok("retention", "run", "--why", "T-1", "--json").json["erased"] == after["past_retention"]
    erased = [one for one in entries(office, PKS) if one["kind"] == "transfer.erased"]
    done = [one["transfer"] for one in erased]
    assert (due == set(done), len(done)) == (True, len(due))
    assert [(one["who"], one["why"]) for one in (erased[0], erased[-1])] == [("tester", "T-0"), ("tester", "T-1")]


def _erased(store: Store) -> int:
    with store.database.reading() as session:
        return session.scalar(select(func.count()).where(col(TransferRow.erased_for) == "retention")) or 0


def asked_for(shell: Shell, *paths: str) -> list[httpx.Response]:
    """What the data-protection officer is answered."""
    token = shell.ok(
        "auditors", "issue", "--why", "T-1", "dpo-1", "--name", "DPO", "--role", "dpo", "--days", "1"
    ).out.strip()

    async def ask(app: Any) -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gw.test") as client:
            return [await client.get(path, headers={"Authorization": f"Bearer {token}"}) for path in paths]

    with open_gateway(load_settings(shell.config)) as gateway:
        return asyncio.run(ask(create_app(gateway)))
