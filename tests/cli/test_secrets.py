"""No command prints a private value, whatever goes wrong; `auditors issue` prints one, once."""

import base64
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.cli.main import _program, run
from gateway.errors import KeyringError
from gateway.keyring import load_secret
from gateway.keys.keychain import INDEX, STORAGE
from gateway.settings import load_settings
from gateway.wiring import load_keys
from tests.cli.shell import AGENCIES, DOCUMENT, Shell, founded, peopled

SINERGI = Path(sys.executable).with_name("sinergi")
# What would run until it is stopped is given settings that it cannot read.
ENDLESS = frozenset({("serve",), ("demo",), ("witness", "serve")})


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the program by its words: a new one is in here without anybody's doing."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if not hasattr(command, "commands"):
            yield words, command
            return
        for name, part in command.commands.items():
            yield from below(part, (*words, name))

    return below(_program(), ())


def private_values(home: Path) -> list[str]:
    """Every passphrase, every line of every private key file in any folder below, and the keys in them in three spellings."""
    values = []
    passphrases = [
        path.read_text().strip() for path in home.rglob("*") if path.suffix == ".pass" or path.name == "passphrase"
    ]
    for path in home.rglob("*.pem"):
        values += [line for line in path.read_text().splitlines() if not line.startswith("-----")]
        raw = raw_key(path, passphrases)
        values += [
            raw.hex(),
            base64.b64encode(raw).decode().rstrip("="),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
        ]
    return values + passphrases


def raw_key(path: Path, passphrases: list[str]) -> bytes:
    for passphrase in passphrases:
        try:
            key: Any = load_pem_private_key(path.read_bytes(), passphrase.encode())
        except ValueError:
            continue
        return (
            key.private_bytes_raw()
            if hasattr(key, "private_bytes_raw")
            else key.private_numbers().private_value.to_bytes(32)
        )
    raise AssertionError(path)


@dataclass
class Typed:
    """One command with something private in every place where it takes anything at all."""

    words: tuple[str, ...]
    arguments: list[str] = field(default_factory=list)

    @classmethod
    def hostile(cls, words: tuple[str, ...], command: Any, home: Path, file: Path) -> "Typed":
        typed, given = cls(words), []
        for parameter in command.params:
            value = cls.value(parameter, home, file)
            if value is None:
                continue
            if parameter.param_type_name == "argument":
                given.append(value)
            elif parameter.is_flag:
                typed.arguments.append(parameter.opts[0])
            else:
                typed.arguments += [parameter.opts[0], value]
        typed.arguments += given
        return typed

    @staticmethod
    def value(parameter: Any, home: Path, file: Path) -> str | None:
        kind, name = getattr(parameter.type, "name", ""), parameter.name
        if name in {"help", "config", "json", "debug", "operator", "operator_key", "operator_passphrase_file"}:
            return None
        if "passphrase_file" in name:
            return str(home / f"{AGENCIES[0]}.pass")
        if name in {"key", "uri", "endorse_key"}:
            return f"file:{home / AGENCIES[1]}.pem"
        if "path" in str(kind).lower() or name in {"path", "source"}:
            return str(file)
        if "int" in kind or "float" in kind:
            return "2"
        return {"gateway": "http://127.0.0.1:1", "patience": "0"}.get(name, "x")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return peopled(founded(tmp_path_factory.mktemp("secrets")))


@pytest.fixture(scope="module")
def values(shell: Shell) -> list[str]:
    found = private_values(shell.home)
    assert len(found) > 40
    assert min(map(len, found)) > 8
    return found


def leaks(values: list[str], text: str) -> list[str]:
    return [value for value in values if value in text] + re.findall(r'"d"\s*:|BEGIN [A-Z ]*PRIVATE', text)


def test_the_walk_finds_every_command() -> None:
    """As many as the program has groups for, the newest among them."""
    found = {" ".join(words) for words, _ in commands()}
    assert len(found) > 60
    assert {
        "init",
        "keys generate",
        "keys public",
        "agencies keys propose",
        "keys ceremony create",
        "witness serve",
    } <= found


@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_no_command_shows_or_changes_what_is_private(
    words: tuple[str, ...], command: Any, shell: Shell, values: list[str]
) -> None:
    """Help, words and JSON, with a traceback too: a private key or a passphrase where the command wants something else."""
    home = shell.home
    files = [home / f"{AGENCIES[0]}.pem", home / f"{AGENCIES[1]}.pass"]
    before = {path: path.read_bytes() for path in home.rglob("*") if path.suffix in {".pem", ".pass"}}
    start = len(shell.transcript)
    shell(*words, "--help")
    for file, manner in zip(files, ("--json", "--debug"), strict=True):
        arguments = Typed.hostile(words, command, home, file).arguments
        if words in ENDLESS:
            arguments = ["--config", str(file)] if words != ("demo",) else ["--dir", str(file)]
        try:
            shell(*words, *arguments, manner, stdin=file.read_text())
        except Exception as error:  # noqa: BLE001 - what --debug shows
            shell.transcript.append("".join(traceback.format_exception(error)))
    printed = "".join(shell.transcript[start:])
    assert leaks(values, printed) == []
    assert "gateway.internal" not in printed
    assert {path: path.read_bytes() for path in before} == before


def test_nothing_private_is_printed_by_mistakes_that_people_make(shell: Shell, values: list[str]) -> None:
    """The wrong file in the wrong place, the wrong passphrase, settings that are a key."""
    home, first = shell.home, AGENCIES[0]
    wrong, key = home / f"{AGENCIES[1]}.pass", f"file:{home / first}.pem"
    attempts: list[tuple[object, ...]] = [
        ("init", home / "gw"),
        ("doctor",),
        ("doctor", "--json"),
        ("keys", "list", "--json"),
        ("keys", "public", key, "--passphrase-file", wrong),
        ("keys", "public", key),
        ("keys", "import", "--why", "T-1", first, wrong),
        ("keys", "import", "--why", "T-1", first, "--certificate", home / f"{first}.pem"),
        ("agreement", "sign", DOCUMENT, "--as", first, "--key", key, "--passphrase-file", wrong),
        ("doctor", "--config", home / f"{first}.pem"),
        ("doctor", "--config", home / "gw" / "keys" / "passphrase"),
        ("ledger", "verify", home, "--vkey", "x", "--old-checkpoint", wrong),
        ("transfers", "search", "--gateway", "http://127.0.0.1:1", "--token-file", wrong, "--subject-file", wrong),
    ]
    start = len(shell.transcript)
    for words in attempts:
        shell(*words)
    assert leaks(values, "".join(shell.transcript[start:])) == []


def test_a_backup_of_the_database_holds_no_key(shell: Shell, values: list[str]) -> None:
    """Nor a passphrase, nor the secrets that are derived from key files; of a file they lie beside, it knows the name."""
    folder = shell.home / "gw"
    settings = load_settings(shell.config)
    passphrase = (folder / "keys" / "passphrase").read_bytes().strip()
    secrets = [
        load_secret(uri, passphrase, purpose).value
        for uri, purpose in ((settings.keys.storage, STORAGE), (settings.keys.index, INDEX))
    ]
    found = b"".join(path.read_bytes() for path in folder.glob("sinergi.db*")) + shell.config.read_bytes()
    assert len(found) > 100_000
    needles = [value.encode() for value in values] + secrets + [value.hex().encode() for value in secrets]
    needles += [bytes.fromhex(value) for value in values if re.fullmatch("[0-9a-f]{64}", value)]
    assert [needle for needle in needles if needle in found] == []


@pytest.mark.parametrize(
    "name", ["passphrase", "sign.pem", "request.pem", "checkpoint.pem", "storage.pem", "index.pem"]
)
def test_a_gateway_does_not_start_on_keys_that_others_may_read(name: str, shell: Shell) -> None:
    """Each file by itself, and what is said is how to mend it."""
    path = shell.home / "gw" / "keys" / name
    path.chmod(0o640)
    try:
        with pytest.raises(KeyringError, match=f"chmod 600 .*{name}"):
            load_keys(load_settings(shell.config))
        assert shell("doctor").code != 0
    finally:
        path.chmod(0o600)


def test_a_pin_and_a_passphrase_are_never_words_of_a_command() -> None:
    """No option takes one: what is typed stands in the shell's history and in the list of processes."""
    named = {
        (" ".join(words), option)
        for words, command in commands()
        for parameter in command.params
        for option in parameter.opts
        if re.search(r"pass(word|phrase)|\bpin\b|secret", option) and not option.endswith("-file")
    }
    assert named == set()
    assert run(["keys", "public", "pkcs11:token=a;object=b?module-path=/m.so&pin-value=1234"]) == 2


def test_the_whole_story_through_the_installed_program(tmp_path: Path) -> None:
    """Real processes, as an operator types them, from nothing to a verified ledger; nothing private on the way."""
    shell = Shell(tmp_path, tmp_path / "gw" / "sinergi.toml")
    printed: list[str] = []

    def typed(*words: object) -> str:
        done = subprocess.run(
            [SINERGI, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            env={"SINERGI_CONFIG": str(shell.config), "SINERGI_OPERATOR": "tester", "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout + done.stderr)
        return done.stdout.strip()

    typed("init", tmp_path / "gw")
    signatures: list[object] = []
    for agency in AGENCIES:
        # In this process, to save the start of eight.
        shell.ok("agencies", "add", "--why", "T-1", agency, "--name", agency)
        shell.ok("keys", "import", "--why", "T-1", agency, shell.key(agency))
        signatures += ["--signature", shell.signed(DOCUMENT, agency)]
    typed("agreement", "activate", "--why", "T-1", DOCUMENT, *signatures)
    token = shell.ok(
        "auditors", "issue", "--why", "T-1", "bpk-01", "--name", "BPK", "--role", "auditor", "--days", "30"
    ).out.strip()
    typed("doctor")
    key = shell.ok("ledger", "export", tmp_path / "out", "--ledger", "pks-banten-2025").out
    typed("ledger", "verify", tmp_path / "out" / "pks-banten-2025", "--vkey", key)
    every = "".join([*printed, *shell.transcript])
    assert [value for value in private_values(tmp_path) if value in every] == []
    assert every.count(token) == 1
