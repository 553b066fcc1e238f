"""docs/howto/rotate-keys.md and compromised-key.md are run, command by command; and what these commands refuse."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from gateway.cli import output
from gateway.jose import parse_jws
from gateway.record import open_content
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.sealing import Sealer
from gateway.store.tables import AlertRow
from gateway.wiring import open_store
from tests.cli.office import IMIGRASI, POLDA, entries, exchanged, query
from tests.cli.shell import Shell, founded, peopled
from tests.docs.pages import ROOT, shown, sinergi_words, steps

PAGES = ROOT / "docs" / "howto"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A gateway in service with one stored message."""
    shell = peopled(founded(tmp_path_factory.mktemp("kept")))
    exchanged(shell, query(), ago=timedelta(0))
    return shell


def typed(shell: Shell, page: str, **values: str) -> int:
    """Types every command of the page, with these words in the place of the page's; how many there were."""
    done = 0
    for line, expected in steps(PAGES / page):
        words = [values.get(word.split("-")[0], word) for word in sinergi_words(line) or ()]
        result = shell.ok(*words)
        printed = result.out + result.err
        assert [text for text in expected if not shown(text, printed)] == [], line
        done += 1
    return done


def test_the_gateways_keys_are_rotated_as_the_page_says(kept: Shell) -> None:
    """Afterwards the message that was stored before still opens, and the old storage key is over."""
    before = {row["role"]: row["kid"] for row in kept.ok("keys", "status", "--json").json if row["owner"] == "gw-test"}
    assert typed(kept, "rotate-keys.md") == 8
    after = [row for row in kept.ok("keys", "status", "--json").json if row["owner"] == "gw-test"]
    assert {row["state"] for row in after if row["role"] == "sign"} == {"active", "pending"}
    (storage,) = [row["kid"] for row in after if row["role"] == "storage"]
    assert storage != before["storage"]
    subject = json.dumps({"kind": "travel-document", "value": "BGDA00000123"})
    trail = ("subjects", "trail", "--subject-file", "-", "--why", "DSR-1", "--out", kept.home / "trail.json")
    kept.ok(*trail, stdin=subject)
    assert json.loads((kept.home / "trail.json").read_text())["transfers"]
    kinds = [(one["kind"], one.get("what") or one.get("use")) for one in entries(kept)]
    for entry in (("key.added", "sign"), ("key.retired", "sign"), ("operator.act", "keys.retire/storage")):
        assert entry in kinds


def test_what_cannot_be_rotated_is_said_and_changes_nothing(fresh: Shell) -> None:
    """A role without rotation and a reason in words are misuse; a second rotation under way is refused; a dry run is dry."""
    size = len(entries(fresh))
    keys = sorted(path.name for path in (fresh.config.parent / "keys").iterdir())
    for role in ("checkpoint_mldsa", "all"):
        assert fresh("keys", "rotate", "--role", role, "--why", "T-1").code == output.MISUSE
    assert fresh("keys", "rotate", "--role", "sign", "--why", "it is old").code == output.MISUSE
    missing = fresh("keys", "rotate", "--role", "sign", "--why", "T-1", "--key", f"file:{fresh.home / 'none.pem'}")
    assert missing.code == output.MISUSE
    told = fresh.ok("keys", "rotate", "--role", "sign", "--why", "T-1", "--dry-run", "--json").json
    assert (told["new"], told["dry_run"]) == (None, True)
    assert len(entries(fresh)) == size
    assert sorted(path.name for path in (fresh.config.parent / "keys").iterdir()) == keys
    fresh.ok("keys", "rotate", "--role", "sign", "--why", "T-1", "--lead", "3600")
    assert fresh("keys", "rotate", "--role", "sign", "--why", "T-2").code == output.NO
    fresh.ok("keys", "rotate", "--role", "storage", "--why", "T-3", "--lead", "3600")
    assert fresh("keys", "rewrap", "--why", "T-1").code == output.NO


def test_status_ends_with_1_where_an_agency_s_last_key_ends_soon(fresh: Shell) -> None:
    """The warning names the thresholds of 30, 7 and 1 days; the next key silences it."""
    fresh.ok("agencies", "add", "--why", "T-1", POLDA, "--name", "Polda")
    assert fresh("keys", "status").code == output.NO
    from datetime import UTC, datetime

    soon = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    fresh.ok("keys", "import", "--why", "T-1", POLDA, fresh.key("one"), "--not-after", soon)
    warned = fresh("keys", "status", "--json")
    assert warned.code == output.NO
    assert [row["warning"] for row in warned.json if row["warning"]] == [
        "the agency's last key ends within 7 days: import the next one"
    ]
    fresh.ok("keys", "import", "--why", "T-1", POLDA, fresh.key("two"))
    fresh.ok("keys", "status")


def test_the_history_of_keys_is_what_the_directory_says(fresh: Shell) -> None:
    """Added, retired, revoked, lost earlier, rotated: the replay agrees; a row that was changed in the database is named."""
    fresh.ok("agencies", "add", "--why", "T-1", POLDA, "--name", "Polda")
    kids = []
    for name in ("one", "two", "three", "four"):
        fresh.ok("keys", "import", "--why", "T-1", POLDA, fresh.key(name), "--not-before", "2026-01-01")
        kids.append(fresh.kid(name))
    fresh.ok("keys", "retire", "--why", "T-1", POLDA, kids[0])
    fresh.ok("keys", "revoke", POLDA, kids[1], "--why", "T-1")
    fresh.ok("keys", "revoke", POLDA, kids[2], "--why", "T-2", "--since", "2026-11-20")
    fresh.ok("keys", "rotate", "--role", "sign", "--why", "T-3")
    told = fresh.ok("keys", "history", "--json").json
    assert told["differences"] == []
    statuses = {one["kid"]: one["status"] for one in told["keys"] if one["owner"] == POLDA}
    assert statuses == dict(zip(kids, ("retired", "revoked", "revoked", "active"), strict=True))
    with closing(sqlite3.connect(fresh.config.parent / "sinergi.db")) as database:
        database.execute("UPDATE agency_key SET status = 'active' WHERE kid = ?", (kids[1],))
        database.execute("UPDATE agency_key SET not_before = 0 WHERE kid = ?", (kids[3],))
        database.execute("DELETE FROM agency_key WHERE kid = ?", (kids[0],))
        database.commit()
    wrong = fresh("keys", "history", "--json")
    assert wrong.code == output.NO
    assert sorted(wrong.json["differences"]) == sorted(
        [
            f"{POLDA} {kids[0]}: the ledger has it, the directory has not",
            f"{POLDA} {kids[1]}: another end and status than in the ledger",
            f"{POLDA} {kids[3]}: another begin than in the ledger",
        ]
    )


def test_a_compromised_key_is_dealt_with_as_the_page_says(tmp_path: Path) -> None:
    """The dry run and the act name the same transfer; what was stopped is started again. Then the gateway's own key."""
    kept = peopled(founded(tmp_path))
    (sent,) = exchanged(kept, query(jti="another-letter"), ago=timedelta(0))
    own = next(row["kid"] for row in kept.ok("keys", "list", "gw-test", "--json").json if row["use"] == "sign")
    words = {"KID": kept.kid(POLDA), "019a9c5e": sent.transfer, "OWN_KID": own}
    assert typed(kept, "compromised-key.md", **words) == 5
    acts = [one["what"] for one in entries(kept) if one["kind"] == "operator.act"]
    assert {"keys.revoke", "keys.revoke/sign"} <= set(acts)
    # What still waits was signed anew, and its recipient is told of both keys.
    again = kept.ok(
        "keys", "compromised", "gw-test", own, "--since", "2026-11-20T08:00:00+07:00", "--why", "X", "--json"
    ).json
    assert ([row["transfer"] for row in again["in_doubt"]], again["signed_anew"]) == ([sent.transfer], 0)
    with open_store(load_settings(kept.config)) as store, store.database.reading() as session:
        release = open_content(Sealer(store.keys.storage), queries.transfer(session, sent.transfer))["release"]
        assert parse_jws(release, "release+jwt").kid == store.keys.sign.kid != own
        alerts = session.execute(select(AlertRow).order_by(col(AlertRow.id))).scalars().all()
        assert [(row.recipient, row.kid) for row in alerts] == [(IMIGRASI, kept.kid(POLDA)), (IMIGRASI, own)]
    kept.ok("keys", "history")
    wrong = kept("keys", "compromised", IMIGRASI, kept.kid(POLDA), "--since", "2026-11-20", "--why", "X-1")
    assert wrong.code == output.NO
    future = kept("keys", "compromised", POLDA, kept.kid(POLDA), "--since", "2099-01-01", "--why", "X-1")
    assert future.code == output.MISUSE
