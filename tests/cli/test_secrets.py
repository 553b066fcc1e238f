"""No command prints a private value, whatever goes wrong; `auditors issue` prints one, once."""

import re
import subprocess
import sys
from pathlib import Path

from tests.cli.shell import AGENCIES, DOCUMENT, Shell, founded, peopled

SINERGI = Path(sys.executable).with_name("sinergi")


def private_values(home: Path) -> list[str]:
    """Every passphrase, and every line of every private key, in any file below."""
    values = []
    for path in home.rglob("*"):
        if path.suffix == ".pass" or path.name == "passphrase":
            values.append(path.read_text().strip())
        elif path.suffix == ".pem":
            values += [line for line in path.read_text().splitlines() if not line.startswith("-----")]
    return values


def test_nothing_private_is_ever_printed(tmp_path: Path) -> None:
    """A whole set-up and a row of mistakes: no passphrase, no line of a key file, in any output."""
    shell = peopled(founded(tmp_path))
    wrong = tmp_path / f"{AGENCIES[1]}.pass"
    key = f"file:{tmp_path / AGENCIES[0]}.pem"
    attempts: list[tuple[object, ...]] = [
        ("init", tmp_path / "gw"),
        ("doctor",),
        ("doctor", "--json"),
        ("keys", "list", "--json"),
        ("keys", "import", AGENCIES[0], tmp_path / f"{AGENCIES[0]}.pem"),
        ("keys", "import", AGENCIES[0], wrong),
        ("agreement", "check", tmp_path / f"{AGENCIES[0]}.pem"),
        ("agreement", "sign", DOCUMENT, "--as", AGENCIES[0], "--key", key, "--passphrase-file", wrong),
        ("agreement", "explain", DOCUMENT, "--message", tmp_path / f"{AGENCIES[0]}.pem"),
        ("agreement", "activate", DOCUMENT, "--signature", tmp_path / f"{AGENCIES[0]}.pem"),
        ("doctor", "--config", tmp_path / f"{AGENCIES[0]}.pem"),
        ("doctor", "--config", tmp_path / "gw" / "keys" / "passphrase"),
        ("ledger", "verify", tmp_path, "--vkey", "x", "--old-checkpoint", wrong),
        ("transfers", "search", "--gateway", "http://127.0.0.1:1", "--token-file", wrong),
        ("transfers", "search", "--gateway", "http://127.0.0.1:1", "--token-file", wrong, "--subject-file", wrong),
        (
            "send",
            wrong,
            "--as",
            AGENCIES[0],
            "--key",
            key,
            "--passphrase-file",
            wrong,
            "--gateway",
            "http://127.0.0.1:1",
        ),
    ]
    for words in attempts:
        shell(*words)
    printed = "".join(shell.transcript)
    values = private_values(tmp_path)
    assert len(values) > 20
    assert [value for value in values if value in printed] == []
    assert "internal" not in printed
    assert not re.search(r'"d"\s*:', printed)


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
        shell.ok("agencies", "add", agency, "--name", agency)
        shell.ok("keys", "import", agency, shell.key(agency))
        signatures += ["--signature", shell.signed(DOCUMENT, agency)]
    typed("agreement", "activate", DOCUMENT, *signatures)
    token = shell.ok("auditors", "issue", "bpk-01", "--name", "BPK", "--role", "auditor", "--days", "30").out.strip()
    typed("doctor")
    key = shell.ok("ledger", "export", tmp_path / "out", "--ledger", "pks-banten-2025").out
    typed("ledger", "verify", tmp_path / "out" / "pks-banten-2025", "--vkey", key)
    every = "".join([*printed, *shell.transcript])
    assert [value for value in private_values(tmp_path) if value in every] == []
    assert every.count(token) == 1
