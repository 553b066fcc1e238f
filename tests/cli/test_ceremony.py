"""Ceremonies: two operators make the keys, a record says so, shares rebuild the storage key; and attacks on each of the three."""

import contextlib
import errno
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.output import DONE, MISUSE, NO
from gateway.errors import GatewayError, KeyringError
from gateway.key_management import recovery
from gateway.key_management.ceremony import read_record
from gateway.key_management.recovery import record_recovery
from gateway.keyring import SECRET, generate, load_secret
from gateway.keyring.shares import rebuild, split
from gateway.settings import load_settings
from gateway.wiring import open_store
from tests.cli.office import entries
from tests.cli.operated import GATEWAY, POLDA, by, key_of
from tests.cli.shell import Shell, new_shell
from tests.keys.runs import overtaken

PASSPHRASE = b"a passphrase for the tests"


def present(shell: Shell, name: str, operator: str | None = None) -> dict[str, str]:
    key_of(shell, name)
    key = f"file:{shell.home / name}.pem"
    return {"id": operator or name, "key": key, "passphrase_file": str(shell.home / f"{name}.pass")}


def script(shell: Shell, **changes: Any) -> Path:
    answers = {
        "gateway": GATEWAY, "directory": str(shell.home / "stick"), "threshold": 2,
        "shares": [str(shell.home / f"{one}.share") for one in "abc"],
        "first": present(shell, "sari"), "second": present(shell, "budi"),
    } | changes  # fmt: skip
    return shell.secret(f"script-{len(list(shell.home.glob('script-*')))}.json", json.dumps(answers))


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A ceremony that was held, and the gateway that was founded with its record."""
    shell = new_shell(tmp_path_factory.mktemp("held"))
    record = shell.home / "record.json"
    shell.ok("keys", "ceremony", "create", "--script", script(shell), "--out", record)
    shell.ok("keys", "ceremony", "verify", record, "--keys")
    shell.ok("init", shell.home / "gw", "--ceremony", record, "--public-url", "http://gw.test")
    return shell


def test_a_gateway_is_founded_by_a_ceremony(held: Shell) -> None:
    """Its keys, both operators, and in the ledger both keys with the digest of the record that they signed."""
    record = json.loads((held.home / "record.json").read_text())["record"]
    by_role = {key["use"]: key["kid"] for key in held.ok("keys", "list", "--json").json}
    assert {role: record["keys"][role]["hash"] for role in by_role} == by_role
    assert [one["operator"] for one in held.ok("operators", "list", "--json").json] == ["sari", "budi"]
    (act,) = [entry for entry in entries(held) if entry.get("what") == "keys.ceremony/created"]
    assert (act["who"], act["approvals"]) == ("sari+budi", [held.kid("sari"), held.kid("budi")])
    assert held("agencies", "add", "--why", "T-1", POLDA, "--name", "Polda").code == MISUSE
    assert by(held, "sari", "agencies", "add", "--why", "T-1", POLDA, "--name", "Polda").code == DONE


def test_shares_are_for_their_holders_alone(held: Shell) -> None:
    """Mode 0600; no word of one is printed, logged, or stands in the record or the database."""
    shares = [(held.home / f"{one}.share").read_text().split() for one in "abc"]
    assert {len(share) for share in shares} == {33}
    assert all((held.home / f"{one}.share").stat().st_mode & 0o777 == 0o600 for one in "abc")
    printed = "".join(held.transcript) + (held.home / "record.json").read_text()
    for share in shares:
        assert " ".join(share[4:10]) not in printed
    assert b" ".join(word.encode() for word in shares[0][4:10]) not in (held.config.parent / "sinergi.db").read_bytes()


def read_only(*_: Any, **__: Any) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_two_of_three_shares_rebuild_the_storage_key(held: Shell, tmp_path: Path) -> None:
    """The file is lost: the gateway does not open; rebuilt from shares it is the same key, and a record is signed."""
    stick, kept = held.home / "stick", tmp_path / "kept.pem"
    (stick / "storage.pem").rename(kept)
    assert held("keys", "list").code == MISUSE
    answers = {
        "key": str(stick / "storage.pem"), "passphrase_file": str(stick / "passphrase"),
        "record": str(held.home / "record.json"), "why": "INC-34",
    }  # fmt: skip
    for wrong in (["a"], ["a", "a"]):
        shares = [str(held.home / f"{one}.share") for one in wrong]
        refused = held("keys", "ceremony", "recover", "--script", script(held, **answers, shares=shares), "--out",
                       tmp_path / "no.json")  # fmt: skip
        assert (refused.code, (stick / "storage.pem").exists()) == (MISUSE, False), refused.err
    shares = [str(held.home / f"{one}.share") for one in "cba"]
    out = tmp_path / "recovered.json"
    strangers = {"first": present(held, "mala"), "second": present(held, "lupo")}
    refused = held(
        "keys", "ceremony", "recover", "--script", script(held, **answers, **strangers, shares=shares), "--out", out
    )
    assert (refused.code, "sari and budi" in refused.err, (stick / "storage.pem").exists()) == (MISUSE, True, False)
    said = script(held, **answers, **strangers, shares=shares, operators_changed="yes")
    held.ok("keys", "ceremony", "recover", "--script", said, "--out", tmp_path / "others.json")
    (stick / "storage.pem").unlink()
    assert [mode & 0o777 for mode in (copy.stat().st_mode for copy in stick.glob("*.recovered-*"))] == [0o600]
    held.ok("keys", "ceremony", "recover", "--script", script(held, **answers, shares=shares), "--out", out)
    assert held.ok("keys", "ceremony", "verify", out, "--json").json["what"] == "recovered"
    sentence = script(held, **answers | {"why": "it was lost"}, shares=shares)
    assert held("keys", "ceremony", "recover", "--script", sentence, "--out", tmp_path / "no.json").code == MISUSE
    # Whoever opens the store next tells the ledger of both, once, and whose keys were no operators'; of two nodes that start
    # at the same time one.
    recovered = read_record(out.read_text())
    assert overtaken(held, lambda store: record_recovery(store, recovered), 1) is False
    with pytest.MonkeyPatch.context() as mounted:
        mounted.setattr(Path, "unlink", read_only)
        assert (
            held.ok("keys", "list").err.count("is recorded in the ledger, but this program cannot delete the file") == 2
        )
    held.ok("keys", "list")
    assert list(stick.glob("*.recovered-*")) == []
    assert "has it already" in by(held, "sari", "keys", "ceremony", "record", out).err
    told = [one for one in held.ok("keys", "history", "--json").json["acts"] if "ceremony/rec" in one["what"]]
    storage = f"storage-key:{json.loads((held.home / 'record.json').read_text())['record']['keys']['storage']['hash']}"
    assert {(one["who"], one["what"], one["why"], one["about"]) for one in told} == {
        ("mala+lupo", "keys.ceremony/recovered-by-others", "INC-34", storage),
        ("sari+budi", "keys.ceremony/recovered", "INC-34", storage),
    }
    assert len(told) == 2
    # One that says nothing of the kind stops no command, and stays to be looked at.
    odd = stick / "storage.pem.recovered-odd.json"
    odd.write_text((held.home / "record.json").read_text())
    assert "but it could not be recorded: it is not the record of a recovery" in held.ok("keys", "list").err
    odd.unlink()
    again = held("keys", "ceremony", "recover", "--script", script(held, **answers, shares=shares), "--out",
                 tmp_path / "again.json")  # fmt: skip
    assert (again.code, (stick / "storage.pem").is_file()) == (MISUSE, True)


def test_another_key_is_not_taken_for_it(held: Shell, tmp_path: Path) -> None:
    """Shares of some other key give another one: with the first record at hand it is refused, and its file is gone."""
    other = tmp_path / "other.pem"
    passphrase = held.secret("other.pass", PASSPHRASE.decode())
    generate(other, SECRET, PASSPHRASE)
    files = [tmp_path / "x.share", tmp_path / "y.share"]
    held.ok("keys", "ceremony", "split", "--key", f"file:{other}", "--passphrase-file", passphrase, "--threshold", "2",
            *[word for file in files for word in ("--share", file)])  # fmt: skip
    answers = {
        "key": str(tmp_path / "new.pem"), "passphrase_file": str(passphrase), "shares": [str(file) for file in files],
        "record": str(held.home / "record.json"),
    }  # fmt: skip
    refused = held("keys", "ceremony", "recover", "--script", script(held, **answers), "--out", tmp_path / "r.json")
    assert (refused.code, (tmp_path / "new.pem").exists(), (tmp_path / "r.json").exists()) == (MISUSE, False, False)


def test_a_ceremony_whose_record_cannot_be_written_leaves_neither_keys_nor_shares(tmp_path: Path) -> None:
    """Keys that no record speaks of found no gateway; held again at the same places, the ceremony comes off."""
    shell = new_shell(tmp_path)
    file = script(shell)
    refused = shell("keys", "ceremony", "create", "--script", file, "--out", tmp_path / "nowhere" / "record.json")
    assert (refused.code, list(tmp_path.glob("*.share")), list((tmp_path / "stick").iterdir())) == (MISUSE, [], [])
    shell.ok("keys", "ceremony", "create", "--script", file, "--out", tmp_path / "record.json")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(lambda shell: {"second": present(shell, "sari")}, id="one person twice"),
        pytest.param(lambda shell: {"second": present(shell, "sari2", "sari")}, id="one person with two keys"),
        pytest.param(lambda shell: {"second": present(shell, "sari", "budi")}, id="one key for two"),
        pytest.param(lambda _: {"threshold": 1}, id="one share is enough"),
        pytest.param(lambda _: {"threshold": 4}, id="more than there are"),
        pytest.param(lambda shell: {"shares": [str(shell.home / "a.share"), "terminal"]}, id="no terminal"),
        pytest.param(lambda shell: {"shares": [str(shell.home / "sari.pem")] * 2}, id="a file that is there"),
        pytest.param(lambda _: {"given": {"nothing": "file:/x"}}, id="an unknown role"),
        pytest.param(lambda _: {"first": "sari"}, id="no answer"),
    ],
)
def test_a_ceremony_that_cannot_be_held_leaves_nothing(
    tmp_path: Path, changes: Callable[[Shell], dict[str, Any]]
) -> None:
    """One person is not two, one share is no secret; whatever was made until then is gone, and what was there stays."""
    shell = new_shell(tmp_path)
    file = script(shell, **changes(shell))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    refused = shell("keys", "ceremony", "create", "--script", file, "--out", tmp_path / "record.json")
    assert refused.code == MISUSE, refused.err
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_nothing_is_asked_where_nobody_can_answer(tmp_path: Path) -> None:
    """Without a terminal and without a script: misuse, and no prompt that waits for ever."""
    refused = new_shell(tmp_path)("keys", "ceremony", "create", "--out", tmp_path / "record.json")
    assert (refused.code, "--script" in refused.err) == (MISUSE, True)


def test_the_terminal_asks_and_shows_each_share_once(tmp_path: Path) -> None:
    """Two operators at a terminal: every answer is asked for, the shares stand on the other screen and nowhere else."""
    shell = new_shell(tmp_path)
    who = [present(shell, name) for name in ("sari", "budi")]
    typed = [
        GATEWAY, str(tmp_path / "stick"), *[answer for one in who for answer in one.values()],
        "2", "2", "terminal", "", "", "", "", "", "", "",
    ]  # fmt: skip
    ours, theirs = pty.openpty()
    out = tmp_path / "record.json"
    words = [sys.executable, "-m", "gateway", "keys", "ceremony", "create", "--out", str(out)]
    with subprocess.Popen(words, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE) as running:
        os.close(theirs)
        os.write(ours, "".join(f"{answer}\n" for answer in typed).encode())
        screen = b""
        with contextlib.suppress(OSError):  # the end of a pseudo-terminal
            while chunk := os.read(ours, 4096):
                screen += chunk
        assert running.stdout is not None
        printed = running.stdout.read().decode()
    os.close(ours)
    shown = re.findall(r"\x1b\[\?1049h\x1b\[H((?:[a-z]+ ){32}[a-z]+)\r?\n", screen.decode())
    assert (running.returncode, len(shown)) == (0, 2), screen.decode()
    assert not any(" ".join(share.split()[4:8]) in printed + out.read_text() for share in shown)
    rebuild(tmp_path / "again.pem", shown, PASSPHRASE)
    assert read_record(out.read_text()).members["shares"]["places"] == ["terminal", "terminal"]


def altered(held: Shell, change: Callable[[dict[str, Any]], Any]) -> str:
    members = json.loads((held.home / "record.json").read_text())
    change(members)
    return json.dumps(members)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["record"].update(gateway="gw-other"),
        lambda one: one["record"]["keys"]["sign"].update(hash="x" * 43),
        lambda one: one["record"]["keys"]["storage"].update(uri="file:/elsewhere.pem"),
        lambda one: one["record"].update(time="2026-01-01T00:00:00+00:00"),
        lambda one: one["record"]["operators"].update(gani="x" * 43),
        lambda one: one["signatures"].pop(),
        lambda one: one["signatures"].reverse(),
        lambda one: one["statements"].pop(),
        lambda one: one.update(statements=one["statements"][:1] * 2, signatures=one["signatures"][:1] * 2),
        lambda one: one.update(more=1),
        lambda one: one.update(record=[]),
        lambda one: one["record"].pop("shares"),
    ],
)
def test_a_record_is_what_both_signed(held: Shell, change: Callable[[dict[str, Any]], Any]) -> None:
    """Any altered member, a signature fewer, or one person's twice: it is no record, and founds no gateway."""
    text = altered(held, change)
    with pytest.raises(GatewayError):
        read_record(text)
    file = held.secret(f"altered-{abs(hash(text))}.json", text)
    assert held("init", held.home / "gw2", "--ceremony", file).code in (NO, MISUSE)
    assert not (held.home / "gw2").exists()


def test_a_key_that_was_exchanged_founds_no_gateway(held: Shell, tmp_path: Path) -> None:
    """The record is true, the file beside it is another key: `init` and `verify --keys` name the role."""
    record = tmp_path / "record.json"
    held.ok("keys", "ceremony", "create", "--out", record, "--script", script(
        held, directory=str(tmp_path / "stick"), shares=[str(tmp_path / "1"), str(tmp_path / "2")],
    ))  # fmt: skip
    path = tmp_path / "stick" / "sign.pem"
    path.unlink()
    generate(path, "EdDSA", (tmp_path / "stick" / "passphrase").read_bytes().strip())
    for words in (("keys", "ceremony", "verify", record, "--keys"), ("init", tmp_path / "gw", "--ceremony", record)):
        refused = held(*words)
        assert (refused.code, "the sign key is not" in refused.err) == (MISUSE, True)
    assert not (tmp_path / "gw").exists()


@pytest.mark.parametrize(("threshold", "count"), [(2, 2), (3, 5)])
def test_any_of_the_shares_that_suffice_give_the_key(tmp_path: Path, threshold: int, count: int) -> None:
    """The last ones as well as the first; one fewer gives nothing, and no word of a share is told."""
    path = tmp_path / "storage.pem"
    generate(path, SECRET, PASSPHRASE)
    shares = split(f"file:{path}", PASSPHRASE, threshold, count)
    for number, some in enumerate((shares[:threshold], shares[-threshold:])):
        new = tmp_path / f"new-{number}.pem"
        rebuild(new, some, PASSPHRASE)
        one, other = (load_secret(f"file:{file}", PASSPHRASE, "storage") for file in (path, new))
        assert (one.id, one.value) == (other.id, other.value)
    *words, last = shares[-1].split()
    misread = " ".join([*words, "academic" if last == "acid" else "acid"])
    rebuild(tmp_path / "all.pem", [*shares, shares[0]], PASSPHRASE)  # and more do no harm
    assert load_secret(f"file:{tmp_path / 'all.pem'}", PASSPHRASE, "storage").id == one.id
    with pytest.raises(KeyringError, match=f"too few shares: 1, and {threshold} are needed"):
        rebuild(tmp_path / "never.pem", [shares[0], shares[0]], PASSPHRASE)
    with pytest.raises(KeyringError, match="not of one splitting"):
        rebuild(tmp_path / "never.pem", [*shares, *split(f"file:{path}", PASSPHRASE, threshold, count)], PASSPHRASE)
    for wrong in (
        shares[: threshold - 1],
        [*shares[: threshold - 1], misread],
        ["no words at all"],
        [],
    ):
        with pytest.raises(KeyringError) as refused:
            rebuild(tmp_path / "never.pem", wrong, PASSPHRASE)
        assert not set(shares[0].split()) & set(str(refused.value).split())
    assert not (tmp_path / "never.pem").exists()


def test_only_a_secret_in_a_file_is_split(tmp_path: Path) -> None:
    """A signing key is replaced, not rebuilt: it has no share."""
    path = tmp_path / "sign.pem"
    generate(path, "EdDSA", PASSPHRASE)
    with pytest.raises(KeyringError, match="X25519"):
        split(f"file:{path}", PASSPHRASE, 2, 3)


def test_of_two_nodes_that_find_one_copy_neither_complains(fresh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other has told the ledger and removed it: before this one read it, or just before it would remove it itself."""
    copy = fresh.home / "storage.pem.recovered-1.json"
    monkeypatch.setattr(recovery, "copies", lambda _place: [copy])
    with open_store(load_settings(fresh.config)) as store:
        assert recovery.tell_of_recoveries(store) == ()
        copy.write_text("{}")
        monkeypatch.setattr(recovery, "read_record", lambda text: text)
        monkeypatch.setattr(recovery, "record_recovery", lambda _store, _record: copy.unlink())
        assert recovery.tell_of_recoveries(store) == ()
    assert not copy.exists()
