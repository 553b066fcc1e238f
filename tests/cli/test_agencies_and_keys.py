"""`sinergi agencies`, `keys`, `auditors`: who takes part, whose key counts, who may read."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.cli import output
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.jobs.events import RecordEvent
from gateway.store.tables import AgencyRow
from gateway.wiring import open_store
from tests.cli.office import entries
from tests.cli.shell import Shell


def listed(shell: Shell, group: str, name: str) -> dict[str, object]:
    """The one row of a group's list with this id."""
    rows = shell.ok(group, "list", "--json").json
    found = [row for row in rows if row["id"] == name]
    assert len(found) == 1
    return dict(found[0])


def test_an_agency_is_added_once(fresh: Shell, tmp_path: Path) -> None:
    """Its first entry says that it takes part, the next who let it in; a second one of its id is refused."""
    fresh.ok("agencies", "add", "--why", "T-1", "polda-banten", "--name", "Polda Banten")
    again = fresh("agencies", "add", "--why", "T-1", "polda-banten", "--name", "Somebody Else")
    assert (again.code, again.out) == (output.NO, "")
    assert listed(fresh, "agencies", "polda-banten")["name"] == "Polda Banten"
    added, act = entries(fresh)[-2:]
    assert (added["kind"], added["agency"], added["status"]) == ("agency.added", "polda-banten", "active")
    assert (act["kind"], act["who"], act["what"]) == ("operator.act", "tester", "agencies.add")


@pytest.mark.parametrize("name", ["Polda", "polda banten", "../etc", "a" * 64, ""])
def test_an_id_that_could_not_be_a_claim_or_a_path_is_misuse(house: Shell, name: str) -> None:
    """Ids stand in `iss`, in paths and in file names."""
    assert house("agencies", "add", "--why", "T-1", name, "--name", "x").code == output.MISUSE


def test_the_gateways_own_id_cannot_be_an_agency(house: Shell) -> None:
    """Else an agency's key could sign receipts."""
    assert house("agencies", "add", "--why", "T-1", "gw-test", "--name", "x").code == output.NO


def test_an_endpoint_needs_an_allow_list(house: Shell) -> None:
    """Without one the gateway could be sent anywhere; a URL with credentials is refused as well."""
    assert (
        house("agencies", "add", "--why", "T-1", "new", "--name", "x", "--endpoint", "https://a.example/in").code
        == output.MISUSE
    )
    wrong = ("--endpoint", "https://u:p@a.example/in", "--allow-network", "203.0.113.0/28")
    assert house("agencies", "add", "--why", "T-1", "new", "--name", "x", *wrong).code == output.MISUSE
    lonely = house("agencies", "set", "--why", "T-1", "polda-banten", "--allow-network", "0.0.0.0/0")
    assert lonely.code == output.MISUSE


def test_an_endpoint_is_set_paused_and_resumed(fresh: Shell) -> None:
    """What delivery paused, an operator resumes; what would change nothing is refused."""
    place = (
        "--endpoint",
        "https://a.example/in",
        "--allow-network",
        "203.0.113.0/28",
        "--allow-network",
        "2001:db8::/64",
    )
    fresh.ok("agencies", "add", "--why", "T-1", "new", "--name", "x", *place)
    row = listed(fresh, "agencies", "new")
    assert (row["endpoint"], row["networks"]) == ("https://a.example/in", ["203.0.113.0/28", "2001:db8::/64"])
    assert fresh("agencies", "set", "--why", "T-1", "new", "--resume").code == output.NO
    with open_store(load_settings(fresh.config)) as store:

        def pause(transaction: object) -> None:
            from sqlalchemy import update

            transaction.connection.execute(update(AgencyRow).values(paused_reason="gone"))  # type: ignore[attr-defined]

        store.recorder.submit(RecordEvent("gateway", (), pause)).result(30)
    assert listed(fresh, "agencies", "new")["paused"] == "gone"
    fresh.ok("agencies", "set", "--why", "T-1", "new", "--resume")
    assert listed(fresh, "agencies", "new")["paused"] is None
    fresh.ok("agencies", "set", "--why", "T-1", "new", "--no-endpoint", "--status", "suspended")
    row = listed(fresh, "agencies", "new")
    assert (row["endpoint"], row["networks"], row["status"]) == (None, [], "suspended")


def test_a_liaison_endpoint_is_part_of_the_ledgered_description(fresh: Shell, tmp_path: Path) -> None:
    """Where notices go is as accountable as where messages go: set and removed, the digest moves, deliveries do not."""
    fresh.ok("agencies", "add", "--why", "T-1", "new", "--name", "x")
    place = ("--liaison-endpoint", "https://a.example/notices", "--liaison-allow-network", "203.0.113.0/28")
    assert fresh("agencies", "set", "--why", "T-1", "new", *place[:2]).code == output.MISUSE
    assert fresh("agencies", "set", "--why", "T-1", "new", *place[2:]).code == output.MISUSE
    fresh.ok("agencies", "set", "--why", "T-1", "new", *place)
    row = listed(fresh, "agencies", "new")
    assert (row["liaison_endpoint"], row["liaison_networks"]) == ("https://a.example/notices", ["203.0.113.0/28"])
    assert (row["endpoint"], row["liaison_ca_file"]) == (None, None)
    fresh.ok("agencies", "set", "--why", "T-1", "new", "--no-liaison-endpoint")
    assert listed(fresh, "agencies", "new")["liaison_endpoint"] is None
    told = entries(fresh)
    without, with_liaison, removed = [entry["digest"] for entry in told if entry.get("agency") == "new"]
    assert without == removed != with_liaison


@pytest.mark.parametrize("words", [("nobody", "--resume"), ("polda-banten", "--name", "Polda-Banten")])
def test_setting_nothing_or_nobody_is_refused(house: Shell, words: tuple[str, ...]) -> None:
    """An act that changes nothing leaves no entry."""
    assert house("agencies", "set", "--why", "T-1", *words).code == output.NO


def test_a_key_file_of_the_wrong_mode_is_refused(fresh: Shell, tmp_path: Path) -> None:
    """A private key that others can read is no longer private, and the command says what to do."""
    (tmp_path / "gw" / "keys" / "sign.pem").chmod(0o640)
    result = fresh("agencies", "list")
    assert result.code == output.MISUSE
    assert "chmod 600" in result.err
    checks = fresh("doctor", "--json").json["checks"]
    assert [check["status"] for check in checks if check["check"] == "keys"] == ["failed"]


def test_a_wrong_passphrase_is_refused(fresh: Shell, tmp_path: Path) -> None:
    """And nothing of the attempt is repeated."""
    (tmp_path / "gw" / "keys" / "passphrase").write_text("not-the-passphrase\n")
    result = fresh("agencies", "add", "--why", "T-1", "a", "--name", "a")
    assert result.code == output.MISUSE
    assert "not-the-passphrase" not in result.err


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_a_generated_key_is_imported_and_listed(house: Shell, algorithm: str) -> None:
    """What one command prints the next one takes; only the public half travels."""
    jwk = json.loads(house.key(f"gen-{algorithm}", algorithm=algorithm).read_text())
    assert jwk["alg"] == algorithm
    assert "d" not in jwk
    done = house.ok("keys", "import", "--why", "T-1", "polda-banten", "-", "--json", stdin=json.dumps(jwk)).json
    assert done == {"agency": "polda-banten", "kid": jwk["kid"], "alg": algorithm}
    keys = house.ok("keys", "list", "polda-banten", "--json").json
    assert jwk["kid"] in [key["kid"] for key in keys]
    assert {key["owner"] for key in keys} == {"polda-banten"}


def test_a_storage_key_has_no_public_half(shell: Shell, tmp_path: Path) -> None:
    """Nothing is printed that anyone could mistake for one."""
    passphrase = shell.secret("s.pass", "s3cret-words\n")
    made = shell.ok("keys", "generate", tmp_path / "s.pem", "--algorithm", "X25519", "--passphrase-file", passphrase)
    assert made.out == ""


def test_generate_overwrites_nothing(shell: Shell, tmp_path: Path) -> None:
    """A key that is overwritten is a ledger that nobody can continue."""
    jwk = shell.key("one")
    before = (tmp_path / "one.pem").read_bytes()
    passphrase = tmp_path / "one.pass"
    assert shell("keys", "generate", tmp_path / "one.pem", "--passphrase-file", passphrase).code == output.MISUSE
    assert shell("keys", "generate", tmp_path / "two.pem", "--passphrase-file", passphrase, "--out", jwk).code != 0
    assert (tmp_path / "one.pem").read_bytes() == before
    assert not (tmp_path / "two.pem").exists()
    empty = shell.secret("empty.pass", "\n")
    assert shell("keys", "generate", tmp_path / "three.pem", "--passphrase-file", empty).code == output.MISUSE


def test_a_key_belongs_to_one_party_for_ever(house: Shell, fresh: Shell) -> None:
    """The same key for a second agency, the gateway's own, and a revoked one again: all refused."""
    jwk = house.key("shared")
    house.ok("keys", "import", "--why", "T-1", "polda-banten", jwk)
    assert house("keys", "import", "--why", "T-1", "polda-banten", jwk).code == output.NO
    assert house("keys", "import", "--why", "T-1", "imigrasi-banten", jwk).code == output.NO
    house.ok("keys", "revoke", "polda-banten", house.kid("shared"), "--why", "INC-1")
    assert house("keys", "import", "--why", "T-1", "polda-banten", jwk).code == output.NO
    own = next(key for key in house.ok("keys", "list", "gw-test", "--json").json if key["use"] == "sign")
    assert house("keys", "import", "--why", "T-1", "polda-banten", "-", stdin=json.dumps(own["jwk"])).code == output.NO


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"kty": "RSA", "n": "AQ", "e": "AQAB"}', '{"kty": "OKP", "crv": "Ed25519", "x": "AQ"}']
)
def test_what_is_no_public_key_is_misuse(house: Shell, text: str) -> None:
    """No traceback, whatever the file holds."""
    assert house("keys", "import", "--why", "T-1", "polda-banten", "-", stdin=text).code == output.MISUSE


def test_a_private_key_in_a_jwk_file_is_refused_and_not_repeated(house: Shell) -> None:
    """The worst mistake at onboarding: sending the private half."""
    jwk = json.loads(house.key("leak").read_text()) | {"d": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}
    result = house("keys", "import", "--why", "T-1", "polda-banten", "-", stdin=json.dumps(jwk))
    assert result.code == output.MISUSE
    assert "private key" in result.err
    assert jwk["d"] not in result.err


def test_a_validity_window_must_lie_ahead_and_in_order(house: Shell) -> None:
    """Times need an offset or are whole days; what is over or ends before it begins is a mistake."""
    jwk = house.key("window")
    wrong = [
        ("--not-after", "2020-01-01"),
        ("--not-before", "2031-01-01", "--not-after", "2030-01-01"),
        ("--not-before", "tomorrow"),
        ("--not-before", "2030-01-01T00:00:00"),
    ]
    for words in wrong:
        assert house("keys", "import", "--why", "T-1", "polda-banten", jwk, *words).code == output.MISUSE
    house.ok(
        "keys",
        "import",
        "--why",
        "T-1",
        "polda-banten",
        jwk,
        "--not-before",
        "2030-01-01T07:00:00+07:00",
        "--not-after",
        "2031-01-01",
    )
    kid = house.kid("window")
    key = next(key for key in house.ok("keys", "list", "--json").json if key["kid"] == kid)
    assert (key["not_before"], key["not_after"]) == ("2030-01-01T00:00:00+00:00", "2031-01-01T00:00:00+00:00")


def test_a_key_of_an_unknown_agency_is_refused(house: Shell) -> None:
    """Keys do not make agencies."""
    assert house("keys", "import", "--why", "T-1", "nobody", house.key("orphan")).code == output.NO


def test_revoking_wants_a_reason_that_may_stand_for_ever(fresh: Shell, tmp_path: Path) -> None:
    """A ticket number is recorded; a sentence, or what looks like a NIK, never reaches the ledger."""
    fresh.ok("agencies", "add", "--why", "T-1", "polda-banten", "--name", "Polda")
    fresh.ok("keys", "import", "--why", "T-1", "polda-banten", fresh.key("k"))
    kid = fresh.kid("k")
    for why in ("the laptop was stolen", "3604080101900001"):
        assert fresh("keys", "revoke", "polda-banten", kid, "--why", why).code == output.MISUSE
    assert fresh("keys", "revoke", "polda-banten", kid).code == output.MISUSE
    fresh.ok("keys", "revoke", "polda-banten", kid, "--why", "INC-2026-014", "--dry-run")
    fresh.ok("keys", "retire", "--why", "T-1", "polda-banten", kid)
    assert fresh("keys", "retire", "--why", "T-1", "polda-banten", kid).code == output.NO
    fresh.ok("keys", "revoke", "polda-banten", kid, "--why", "INC-2026-014")
    again = fresh("keys", "revoke", "polda-banten", kid, "--why", "INC-2026-014")
    assert again.code == output.NO
    assert "revoked already" in again.err
    assert fresh("keys", "revoke", "polda-banten", kid[:-1], "--why", "INC-1").code == output.NO
    recorded = entries(fresh)
    assert [entry["kind"] for entry in recorded[-4:]] == ["key.retired", "operator.act", "key.revoked", "operator.act"]
    assert recorded[-2]["why"] == "INC-2026-014"


def test_an_operator_must_have_a_recordable_name(house: Shell) -> None:
    """Who acts stands in the ledger; a NIK must not."""
    for who in ("3604080101900001", "Budi Santoso"):
        result = house("--operator", who, "agencies", "set", "--why", "T-1", "polda-banten", "--name", "Other")
        assert result.code == output.MISUSE
    assert listed(house, "agencies", "polda-banten")["name"] == "Polda-Banten"


def test_an_auditors_token_is_shown_once_and_kept_as_a_digest(fresh: Shell) -> None:
    """The database of the gateway lets nobody read."""
    issued = fresh.ok(
        "auditors", "issue", "--why", "T-1", "bpk-01", "--name", "BPK", "--role", "auditor", "--days", "30"
    )
    token = issued.out.strip()
    assert len(token) >= 43
    assert token not in issued.err
    assert token not in fresh.ok("auditors", "list").out
    database = fresh.home / "gw" / "sinergi.db"
    stored = b"".join(path.read_bytes() for path in database.parent.glob("sinergi.db*"))
    assert token.encode() not in stored
    with open_store(load_settings(fresh.config)) as store, store.database.reading() as session:
        row = queries.auditor_by_token(session, sha256(token.encode()).hexdigest())
        assert row is not None
        assert (row.id, row.role) == ("bpk-01", "auditor")
        days = datetime.fromtimestamp(row.expires_at / 1e6, UTC) - datetime.now(UTC)
    assert timedelta(days=29) < days <= timedelta(days=30)


def test_an_auditor_is_revoked_and_issued_anew(house: Shell) -> None:
    """One valid token an id; what was revoked or has expired may be followed by a new one."""
    words = ("auditors", "issue", "--why", "T-1", "dpo-1", "--name", "DPO", "--role", "dpo", "--days", "1")
    first = house.ok(*words).out
    assert house(*words).code == output.NO
    house.ok("auditors", "revoke", "dpo-1", "--why", "MANDATE-ENDED")
    assert house("auditors", "revoke", "dpo-1", "--why", "MANDATE-ENDED").code == output.NO
    assert listed(house, "auditors", "dpo-1")["status"] == "revoked"
    second = house.ok(*words, "--json").json["token"]
    assert second != first.strip()
    assert listed(house, "auditors", "dpo-1")["status"] == "valid"


@pytest.mark.parametrize(
    "words", [("--role", "admin", "--days", "3"), ("--role", "dpo", "--days", "0"), ("--role", "dpo", "--days", "366")]
)
def test_an_auditor_has_a_known_role_and_an_end(house: Shell, words: tuple[str, ...]) -> None:
    """No role opens everything, no token lasts for ever."""
    assert house("auditors", "issue", "--why", "T-1", "x-1", "--name", "X", *words).code == output.MISUSE


def test_an_unknown_setting_is_refused_and_its_value_not_repeated(house: Shell, tmp_path: Path) -> None:
    """A misspelt setting is a setting that does not work; its value may be a secret in the wrong line."""
    text = house.config.read_text().replace("[server]", '[server]\npasword = "hunter2secret"')
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text)
    result = house("agencies", "list", "--config", wrong)
    assert result.code == output.MISUSE
    assert "server.pasword" in result.err
    assert "hunter2secret" not in result.err


def test_a_thumbprint_that_begins_with_a_hyphen_is_no_option(house: Shell) -> None:
    """One key in 64 has such a thumbprint: it can be named like any other, and a misspelt option is still refused."""
    kid = "-nr85FYKFhnWDNxNsqBH_l4EStvURj1TQ7hWd3_uvp8"
    for act in ("revoke", "retire"):
        why = ("--why", "INC-1")
        result = house("keys", act, "polda-banten", kid, *why)
        assert (result.code, kid in result.err) == (output.NO, True)
        assert house("keys", act, "polda-banten", kid, *why, "--misspelt", "x").code == output.MISUSE
