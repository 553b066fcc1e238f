"""`sinergi init` and `migrate`: everything is made explicitly, once, or not at all."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import output
from gateway.ledger.entry import decode
from gateway.ledger.note import ML_DSA_44, NoteVerifier
from gateway.ledger.source import DirectorySource
from gateway.ledger.tiles import entries_path, split_bundle
from tests.cli.shell import Shell, new_shell

SINERGI = Path(sys.executable).with_name("sinergi")


def entries(shell: Shell, ledger: str, directory: Path) -> list[dict[str, object]]:
    """Every entry of a short ledger, read from an export."""
    (exported,) = shell.ok("ledger", "export", directory, "--ledger", ledger, "--json").json
    size, source = exported["size"], DirectorySource(directory / ledger)
    return [decode(leaf) for leaf in split_bundle(source.fetch(entries_path(0, size)), size)]


def test_init_makes_settings_keys_database_and_ledger(fresh: Shell, tmp_path: Path) -> None:
    """Everything is there, secrets are their owner's alone, and the ledger begins with who made it from what."""
    home = tmp_path / "gw"
    assert {path.name for path in (home / "keys").iterdir()} == {
        "sign.pem", "checkpoint.pem", "storage.pem", "index.pem", "passphrase"
    }  # fmt: skip
    for path in [*(home / "keys").iterdir(), home / "sinergi.db", home / "sinergi.toml"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((home / "keys").stat().st_mode) == 0o700
    for path in (home / "keys").glob("*.pem"):
        assert "ENCRYPTED PRIVATE KEY" in path.read_text()
    kinds = [entry["kind"] for entry in entries(fresh, "gateway", tmp_path / "out")]
    types = fresh.ok("schemas", "list", "--json").json
    assert kinds == [
        "gateway.initialised",
        "key.added",
        "key.added",
        *["schema.published"] * len(types),
        "operator.act",
    ]


def test_init_twice_is_refused_and_changes_nothing(fresh: Shell, tmp_path: Path) -> None:
    """A second init must not touch the keys that the first one's ledger was signed with."""
    before = {path: path.read_bytes() for path in (tmp_path / "gw").rglob("*") if path.is_file()}
    again = fresh("init", tmp_path / "gw")
    assert again.code == output.NO
    assert "exists already" in again.err
    assert {path: path.read_bytes() for path in (tmp_path / "gw").rglob("*") if path.is_file()} == before


def test_init_refuses_the_database_of_another_gateway(fresh: Shell, tmp_path: Path) -> None:
    """Another folder with the same database is refused, and neither the database nor the first gateway suffers."""
    database = tmp_path / "gw" / "sinergi.db"
    other = fresh("init", tmp_path / "other", "--database-url", f"sqlite:///{database}")
    assert other.code == output.NO
    assert list((tmp_path / "other").iterdir()) == []
    assert fresh.ok("doctor", "--json").json["ok"]


def test_of_two_inits_at_once_one_wins(tmp_path: Path) -> None:
    """Two operators, one folder: one gateway comes of it, whole."""
    racers = [
        subprocess.Popen([SINERGI, "init", tmp_path / "gw"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for racer in racers:
        racer.communicate()
    assert sorted(racer.returncode for racer in racers) == [output.DONE, output.NO]
    assert new_shell(tmp_path).ok("doctor", "--json").json["ok"]


def test_an_init_that_fails_leaves_nothing_behind(shell: Shell, tmp_path: Path) -> None:
    """An unreachable database is exit 3, and the same command can be typed again."""
    result = shell("init", tmp_path / "gw", "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert result.code == output.UNASKED
    assert list((tmp_path / "gw").iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [("--id", "Not An Id"), ("--public-url", "ftp://x"), ("--database-url", "mysql://x/y")], ids=str
)
def test_a_wrong_setting_is_misuse_and_leaves_nothing(shell: Shell, tmp_path: Path, wrong: tuple[str, str]) -> None:
    """What could never be read back is never written."""
    assert shell("init", tmp_path / "gw", *wrong).code == output.MISUSE
    assert list((tmp_path / "gw").iterdir()) == []


def test_a_password_in_a_url_is_refused_and_not_repeated(shell: Shell, tmp_path: Path) -> None:
    """Secrets come from files; one on the command line is in every process list already."""
    result = shell("init", tmp_path / "gw", "--database-url", "postgresql://u:hunter2secret@h/d")
    assert result.code == output.MISUSE
    assert "hunter2secret" not in result.err + result.out
    assert not (tmp_path / "gw").exists()


def test_a_passphrase_file_that_others_can_read_is_refused(shell: Shell, tmp_path: Path) -> None:
    """Keys under a passphrase that everybody knows are keys without one."""
    passphrase = shell.secret("shared.pass", "everybody knows\n")
    passphrase.chmod(0o644)
    result = shell("init", tmp_path / "gw", "--passphrase-file", passphrase)
    assert result.code == output.MISUSE
    assert "chmod 600" in result.err
    assert list((tmp_path / "gw").iterdir()) == []


def test_init_with_a_passphrase_file_writes_no_other(shell: Shell, tmp_path: Path) -> None:
    """The passphrase stays where its owner put it, and the gateway works with it."""
    passphrase = shell.secret("mine.pass", "correct horse battery staple\n")
    shell.ok("init", tmp_path / "gw", "--passphrase-file", passphrase)
    assert not (tmp_path / "gw" / "keys" / "passphrase").exists()
    checks = shell.ok("doctor", "--json").json["checks"]
    assert [check["status"] for check in checks if check["check"] == "keys"] == ["ok"]


def test_the_environment_stands_over_the_file_from_the_start(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that sets the database by environment initialises that one, not the default."""
    monkeypatch.setenv("SINERGI_DATABASE__URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    shell.ok("init", tmp_path / "gw")
    assert (tmp_path / "elsewhere.db").is_file()
    assert not (tmp_path / "gw" / "sinergi.db").exists()


def test_migrate_leaves_a_current_database_as_it_is(fresh: Shell) -> None:
    """Typed twice, it does nothing twice."""
    assert fresh.ok("migrate", "--json").json == fresh.ok("migrate", "--json").json
    assert fresh.ok("doctor", "--json").json["ok"]


def test_migrate_creates_no_database(fresh: Shell, tmp_path: Path) -> None:
    """Only init creates; a mistyped path must not become an empty gateway."""
    (tmp_path / "gw" / "sinergi.db").unlink()
    result = fresh("migrate")
    assert result.code == output.MISUSE
    assert not (tmp_path / "gw" / "sinergi.db").exists()


def test_init_says_what_to_do_next_and_how_to_verify(shell: Shell, tmp_path: Path) -> None:
    """The ledger's public key is printed, for whoever should be able to check; --json gives the same."""
    told = shell.ok("init", tmp_path / "gw", "--public-url", "https://sinergi.example.id", "--json").json
    assert told["ledger"]["origin"] == "sinergi.example.id/ledger/gateway"
    assert told["ledger"]["vkey"].startswith("sinergi.example.id/ledger/gateway+")
    ledgers = json.loads(shell.ok("ledger", "list", "--json").out)
    assert [ledger["vkey"] for ledger in ledgers] == [told["ledger"]["vkey"]]


def test_init_makes_a_key_that_outlives_ed25519_when_asked(shell: Shell, tmp_path: Path) -> None:
    """Its verifier key is shown for each ledger, doctor opens it, and without being asked for there is none."""
    shell.ok("init", tmp_path / "gw", "--ml-dsa")
    assert (tmp_path / "gw" / "keys" / "checkpoint_mldsa.pem").is_file()
    [ledger] = shell.ok("ledger", "list", "--json").json
    key = NoteVerifier.parse(ledger["mldsa_vkey"])
    assert (key.name, key.type) == (ledger["origin"], ML_DSA_44)
    checks = {check["check"]: check["status"] for check in shell.ok("doctor", "--json").json["checks"]}
    assert checks["witnesses"] == "ok"
