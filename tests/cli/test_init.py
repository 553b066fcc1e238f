"""`sinergi init` and `migrate`: everything is made explicitly, once, or not at all."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from gateway.cli import output
from gateway.ledger.note import ML_DSA_44, NoteVerifier
from gateway.wiring import connect
from tests.cli.office import entries
from tests.cli.shell import Shell, new_shell

SINERGI = Path(sys.executable).with_name("sinergi")


def test_init_makes_settings_keys_database_and_ledger(fresh: Shell, tmp_path: Path) -> None:
    """Everything is there, secrets are their owner's alone, and the ledger begins with who made it from what."""
    home = tmp_path / "gw"
    assert {path.name for path in (home / "keys").iterdir()} == {
        "sign.pem", "request.pem", "checkpoint.pem", "storage.pem", "index.pem", "passphrase"
    }  # fmt: skip
    for path in [*(home / "keys").iterdir(), home / "sinergi.db", home / "sinergi.toml"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((home / "keys").stat().st_mode) == 0o700
    for path in (home / "keys").glob("*.pem"):
        assert "ENCRYPTED PRIVATE KEY" in path.read_text()
    kinds = [entry["kind"] for entry in entries(fresh)]
    types = fresh.ok("schemas", "list", "--json").json
    assert kinds == [
        "gateway.initialised",
        *["key.added"] * 3,
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


def test_a_file_system_without_second_names_is_no_obstacle(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT on a stick, some network shares: the settings are moved into place, and nothing of the attempt is left."""
    monkeypatch.setattr("gateway.founding.beginning.os.link", failing(errno.EPERM))
    shell.ok("init", tmp_path / "gw")
    assert not (tmp_path / "gw" / "keys" / "sinergi.toml.new").exists()
    assert shell.ok("doctor", "--json").json["ok"]


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_what_the_first_commit_was_signed_by_is_never_taken_back(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step fails: keys and database stay, the command says what is left to do, and that done it is a gateway."""
    with monkeypatch.context() as patched:
        patched.setattr("gateway.founding.beginning.os.link", failing(errno.EPERM))
        patched.setattr(Path, "rename", failing(errno.EROFS))
        result = shell("init", tmp_path / "gw")
    draft = tmp_path / "gw" / "keys" / "sinergi.toml.new"
    assert f"move {draft} there" in result.err
    draft.rename(tmp_path / "gw" / "sinergi.toml")
    assert shell.ok("doctor", "--json").json["ok"]


def test_a_first_commit_of_unknown_outcome_takes_no_key_with_it(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks at COMMIT: were the ledger there and its keys gone, no ledger could go on."""

    def broken(*given: Any) -> Any:
        database = connect(*given)
        event.listen(database.write, "commit", cut)
        return database

    def cut(_connection: Any) -> None:
        raise OperationalError("COMMIT", {}, OSError())

    opened = [broken, connect]  # the last one first: to make the tables

    def one(*given: Any) -> Any:
        return opened.pop()(*given)

    monkeypatch.setattr("gateway.founding.database.connect", one)
    result = shell("init", tmp_path / "gw")
    assert (result.code, (tmp_path / "gw" / "keys" / "sign.pem").exists()) == (output.UNASKED, True)
    assert "it is not known" in result.err


def test_a_key_in_the_folder_of_whoever_types_is_kept_as_the_whole_path(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--key sign=file:mine.pem`: the server runs in another folder."""
    passphrase = shell.secret("mine.pass", "correct horse battery staple\n")
    shell.ok("keys", "generate", tmp_path / "mine.pem", "--passphrase-file", passphrase)
    monkeypatch.chdir(tmp_path)
    shell.ok("init", tmp_path / "gw", "--passphrase-file", passphrase, "--key", "sign=file:mine.pem")
    monkeypatch.chdir("/")
    assert shell.ok("doctor", "--json").json["ok"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_is_misuse_and_not_a_fault_of_the_program(shell: Shell, tmp_path: Path, place: str) -> None:
    """It says which place cannot be made, and why."""
    (tmp_path / "file").touch()
    result = shell("init", tmp_path / place)
    assert (result.code, "cannot be made" in result.err) == (output.MISUSE, True)


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


def test_init_refuses_a_long_lived_key_in_a_token(shell: Shell, tmp_path: Path) -> None:
    """No token is asked, nothing is left behind, and the message says where such a key lies."""
    for uri in (
        "pkcs11:token=gateway;object=long?module-path=/nowhere/module.so&pin-source=file:/nowhere/pin",
        "kms:x",
    ):
        refused = shell("init", tmp_path / "gw", "--ml-dsa", "--key", f"checkpoint_mldsa={uri}")
        assert refused.code == output.MISUSE
        assert "checkpoint_mldsa must be a file: or a credential:" in refused.err
        assert not (tmp_path / "gw" / "sinergi.toml").exists()
