"""`sinergi ledger` and `doctor`: a copy that anyone can verify, and what is found when something was touched."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.cli import output
from gateway.ledger.source import DirectorySource
from gateway.ledger.tiles import entries_path, tile_path
from gateway.settings import load_settings
from tests.cli.shell import AGENCIES, Shell


def vkey(shell: Shell, ledger: str = "gateway") -> str:
    return next(str(row["vkey"]) for row in shell.ok("ledger", "list", "--json").json if row["ledger"] == ledger)


def statuses(shell: Shell, check: str) -> list[str]:
    return [found["status"] for found in shell("doctor", "--json").json["checks"] if found["check"] == check]


def test_an_export_verifies_with_nothing_but_the_public_key(house: Shell, shell: Shell, tmp_path: Path) -> None:
    """Each numbered check is told; the one who checks has no settings, no database, no private key."""
    told = house.ok("ledger", "export", tmp_path, "--json").json
    assert [exported["ledger"] for exported in told] == ["gateway", "pks-banten-2025"]
    for exported in told:
        out = tmp_path / exported["ledger"]
        report = shell.ok("ledger", "verify", out, "--vkey", exported["vkey"], "--json").json
        assert (report["ok"], report["size"]) == (True, exported["size"])
        assert [check["number"] for check in report["checks"]] == [1, 2, 3, 4, 5, 6]
    told = shell.ok("ledger", "verify", out, "--vkey", exported["vkey"]).out
    assert told.splitlines()[-1].endswith("pks-banten-2025: verified")


def test_a_longer_ledger_exports_over_full_tiles(fresh: Shell, tmp_path: Path) -> None:
    """More than one bundle, more than one level; an older export is extended in place and proves to be its beginning."""
    from datetime import UTC, datetime

    from gateway.ledger.entry import OperatorAct
    from gateway.store.jobs.events import RecordEvent
    from gateway.wiring import open_store

    out = tmp_path / "out" / "gateway"
    fresh.ok("ledger", "export", tmp_path / "out")
    old = tmp_path / "old.checkpoint"
    shutil.copy(out / "checkpoint", old)
    acts = [
        OperatorAct(time=datetime.now(UTC), who="t", what="drill", why="T-1", about=str(number))
        for number in range(300)
    ]
    with open_store(load_settings(fresh.config)) as store:
        store.recorder.submit(RecordEvent("gateway", acts)).result(30)
    told = fresh.ok("ledger", "export", tmp_path / "out", "--ledger", "gateway", "--json").json
    assert [(one["new"], one["size"]) for one in told] == [(300, one["old_size"] + 300) for one in told]
    key = vkey(fresh)
    report = fresh.ok("ledger", "verify", out, "--vkey", key, "--old-checkpoint", old, "--json").json
    assert [check["number"] for check in report["checks"]] == [1, 2, 3, 4, 5, 6, 7]
    assert DirectorySource(out).fetch(tile_path(1, 0, 1))


def test_a_plain_web_server_publishes_an_export(house: Shell, shell: Shell, tmp_path: Path) -> None:
    """The folder behind `python -m http.server` is a ledger that anyone verifies by its URL."""
    told = house.ok("ledger", "export", tmp_path, "--json").json
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for one in told:
            url = f"http://127.0.0.1:{server.server_port}/{one['ledger']}"
            report = shell.ok("ledger", "verify", url, "--vkey", one["vkey"], "--json").json
            assert (report["ok"], report["size"]) == (True, one["size"])
        server.shutdown()


@pytest.mark.parametrize("path", [entries_path(0, 1), "checkpoint"])
def test_one_changed_byte_in_an_export_is_found(house: Shell, tmp_path: Path, path: str) -> None:
    """The answer is no, exit 1, and says which check failed."""
    out = tmp_path / "pks-banten-2025"
    house.ok("ledger", "export", tmp_path, "--ledger", "pks-banten-2025")
    file = out / path
    if not file.exists():
        file = next(iter((out / "tile" / "entries").rglob("*.p/*")))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    result = house("ledger", "verify", out, "--vkey", vkey(house, "pks-banten-2025"))
    assert result.code == output.NO
    assert "FAILED" in result.out
    assert result.out.splitlines()[-1].endswith("NOT verified")


def test_another_ledgers_key_or_checkpoint_verifies_nothing(house: Shell, tmp_path: Path) -> None:
    """A key is bound to its ledger's name: one ledger cannot stand in for another."""
    out, other = tmp_path / "gateway", tmp_path / "pks-banten-2025"
    house.ok("ledger", "export", tmp_path)
    assert house("ledger", "verify", out, "--vkey", vkey(house, "pks-banten-2025")).code == output.NO
    assert house("ledger", "verify", out, "--vkey", "nonsense").code == output.MISUSE
    assert house("ledger", "verify", tmp_path / "nowhere", "--vkey", vkey(house)).code == output.MISUSE
    wrong = house("ledger", "verify", out, "--vkey", vkey(house), "--old-checkpoint", other / "checkpoint")
    assert wrong.code == output.MISUSE


def test_a_server_that_does_not_answer_proves_nothing(house: Shell) -> None:
    """Exit 3: neither verified nor refuted."""
    result = house("ledger", "verify", "http://127.0.0.1:1/ledger/gateway", "--vkey", vkey(house))
    assert (result.code, result.out) == (output.UNASKED, "")


def test_exporting_what_is_not_there_is_refused(house: Shell, tmp_path: Path) -> None:
    """And makes no folder."""
    named = ("--ledger", "gateway", "--ledger", "nothing")
    assert house("ledger", "export", tmp_path / "out", *named).code == output.NO
    assert not (tmp_path / "out").exists()


def test_doctor_finds_a_sound_gateway_fit(house: Shell) -> None:
    """Every subject is looked at, nothing fails, and looking changes nothing."""
    before = house.ok("ledger", "list").out
    report = house.ok("doctor", "--json").json
    assert report["ok"]
    subjects = {"settings", "keys", "disk", "database", "guards"}
    subjects |= {"own keys", "schemas", "ledgers", "witnesses", "operators", "agreements", "agencies", "clock"}
    assert {check["check"] for check in report["checks"]} == subjects
    assert house.ok("ledger", "list").out == before


def test_doctor_notices_that_nothing_can_be_exchanged_yet(fresh: Shell) -> None:
    """No agency, no agreement: worth a word, and no failure."""
    assert statuses(fresh, "agreements") == ["warning"]
    assert statuses(fresh, "agencies") == ["warning"]
    fresh.ok("agencies", "add", "--why", "T-1", AGENCIES[0], "--name", "x")
    assert statuses(fresh, "agencies") == ["warning"]
    fresh.ok("keys", "import", "--why", "T-1", AGENCIES[0], fresh.key("soon"), "--not-after", "2099-01-01")
    assert statuses(fresh, "agencies") == ["ok"]


def test_doctor_warns_of_a_key_that_ends_soon(fresh: Shell) -> None:
    """A month is time enough to bring in the next one."""
    from datetime import UTC, datetime, timedelta

    fresh.ok("agencies", "add", "--why", "T-1", AGENCIES[0], "--name", "x")
    end = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    fresh.ok("keys", "import", "--why", "T-1", AGENCIES[0], fresh.key("soon"), "--not-after", end)
    assert statuses(fresh, "agencies") == ["warning"]


def test_doctor_looks_at_the_keys_that_are_used(fresh: Shell) -> None:
    """Not only at what the settings name: a key that nobody announced, and a file in use that is gone, are failures."""
    home = fresh.home / "gw"
    given = ("--passphrase-file", home / "keys" / "passphrase")
    fresh.ok("keys", "generate", home / "keys" / "x.pem", *given)
    settings = fresh.config.read_text()
    fresh.config.write_text(settings.replace("keys/sign.pem", "keys/x.pem"))
    assert statuses(fresh, "own keys") == ["failed", "ok"]
    (home / "keys" / "sign.pem").rename(home / "keys" / "elsewhere")
    assert statuses(fresh, "own keys") == ["failed", "failed"]
    (home / "keys" / "elsewhere").rename(home / "keys" / "sign.pem")
    fresh.config.write_text(settings)
    fresh.ok("keys", "rotate", "--role", "request", "--lead", "0", "--overlap", "0", "--why", "T-1")
    assert statuses(fresh, "own keys") == ["warning", "ok"]


def test_an_id_is_never_changed(fresh: Shell) -> None:
    """Every receipt names the gateway: one that is called otherwise by its settings neither serves nor acts."""
    fresh.config.write_text(fresh.config.read_text().replace('"gw-test"', '"gw-other"'))
    assert statuses(fresh, "own keys") == ["failed"]
    for words in (("serve", "--port", "0"), ("keys", "list")):
        refused = fresh(*words)
        assert (refused.code, "gateway.id is gw-other, but the database belongs to gw-test" in refused.err) == (
            output.MISUSE,
            True,
        )


def test_a_node_that_remembers_nothing_says_so(fresh: Shell) -> None:
    """An emptied state directory would take a rolled-back database for the whole: doctor and commands warn, until one records."""
    shutil.rmtree(fresh.home / "gw" / "checkpoints")
    assert statuses(fresh, "ledgers") == ["warning", "ok"]
    assert "holds no checkpoint" in fresh.ok("keys", "list").err
    fresh.ok("agencies", "add", "--why", "T-1", AGENCIES[0], "--name", "x")
    assert "holds no checkpoint" not in fresh.ok("keys", "list").err


def test_doctor_finds_a_dropped_guard(fresh: Shell) -> None:
    """Without its trigger the table could be rewritten; the attempt itself is rolled back."""
    database = fresh.home / "gw" / "sinergi.db"
    connection = sqlite3.connect(database)
    connection.execute("DROP TRIGGER ledger_entry_kept")
    connection.commit()
    count = connection.execute("SELECT count(*) FROM ledger_entry").fetchone()
    result = fresh("doctor", "--json")
    assert result.code == output.NO
    (guards,) = [check for check in result.json["checks"] if check["check"] == "guards"]
    assert guards["status"] == "failed"
    assert "DELETE on ledger_entry" in guards["detail"]
    assert connection.execute("SELECT count(*) FROM ledger_entry").fetchone() == count
    connection.close()


def test_doctor_and_every_act_refuse_a_rolled_back_database(fresh: Shell, tmp_path: Path) -> None:
    """A database from a backup is shorter than what was signed; nothing more is signed over it."""
    database = fresh.home / "gw" / "sinergi.db"
    with sqlite3.connect(database) as connection, sqlite3.connect(tmp_path / "backup.db") as backup:
        connection.backup(backup)
    connection.close()
    backup.close()
    fresh.ok("agencies", "add", "--why", "T-1", AGENCIES[0], "--name", "x")
    for path in database.parent.glob("sinergi.db*"):
        path.unlink()
    shutil.copy(tmp_path / "backup.db", database)
    assert statuses(fresh, "ledgers") == ["failed"]
    result = fresh("agencies", "add", "--why", "T-1", AGENCIES[1], "--name", "y")
    assert result.code == output.NO
    assert "ledger.forked" in result.err


def test_doctor_reports_what_it_can_without_a_database(fresh: Shell) -> None:
    """A missing file is a failed check, not a crash, and looking does not make it."""
    for path in (fresh.home / "gw").glob("sinergi.db*"):
        path.unlink()
    result = fresh("doctor", "--json")
    assert result.code == output.NO
    found = {check["check"]: check["status"] for check in result.json["checks"]}
    assert found["database"] == "failed"
    assert found["settings"] == "ok"
    assert not (fresh.home / "gw" / "sinergi.db").exists()


def test_a_clock_behind_the_ledger_stops_the_start_until_somebody_answers_for_it(fresh: Shell) -> None:
    """An entry from a clock that ran an hour ahead: `serve` says what to do, and starts again after `accept-clock`."""
    from gateway.ledger.entry import OperatorAct
    from gateway.store.clocks import require_clock
    from gateway.store.jobs.events import RecordEvent
    from gateway.wiring import now, open_store

    with open_store(load_settings(fresh.config)) as store:
        ahead = OperatorAct(time=now() + timedelta(hours=1), who="op", what="early", why="T-1")
        store.recorder.submit(RecordEvent("gateway", [ahead])).result(10)
    words = [sys.executable, "-m", "gateway", "--config", str(fresh.config), "--json", "serve"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode != 0
    assert "clock.wrong" in ended.stderr
    assert "sinergi ledger accept-clock" in ended.stderr
    assert statuses(fresh, "clock") == ["ok", "failed"]
    assert fresh.ok("ledger", "accept-clock", "--why", "TIKET-12", "--json").json == {"ledgers": ["gateway"]}
    assert fresh("ledger", "accept-clock", "--why", "TIKET-12").code == 1
    with open_store(load_settings(fresh.config)) as store:
        require_clock(store.database, now())


def test_fsck_works_where_the_gateway_refuses_to_start(fresh: Shell) -> None:
    """Sound: yes, with every check. A row taken out past the guards: no, named, with what to do, for machines too."""
    told = fresh.ok("ledger", "fsck", "--json").json
    assert told["ok"] is True
    assert [check["number"] for check in told["ledgers"][0]["checks"]][-6:] == [11, 12, 13, 14, 15, 16]
    assert "there is no ledger nothing" in fresh("ledger", "fsck", "--ledger", "nothing").err
    with sqlite3.connect(fresh.config.parent / "sinergi.db") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        last = "SELECT max(position) FROM ledger_entry WHERE ledger = 'gateway'"
        connection.execute(f"DELETE FROM ledger_entry WHERE ledger = 'gateway' AND position = ({last})")
    connection.close()
    assert "LEDGER" in fresh("ledger", "list").err.upper()
    found = fresh("ledger", "fsck")
    assert found.code == 1
    assert "gateway 2. every entry present: FAILED" in found.out
    assert "gateway: what to do about 2: Stop every node" in found.out
