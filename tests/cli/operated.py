"""A gateway with operators of its own, each with a key, for tests: who types a command, and what two of them do."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from gateway.cli.output import NO
from tests.cli.office import entries
from tests.cli.shell import Result, Shell, new_shell

GATEWAY = "gw-test"
POLDA, IMIGRASI = "polda-banten", "imigrasi-banten"


def passphrase_of(name: str) -> str:
    """As random ones look: their files open a hundred times faster than those of words, and there are many of them."""
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode().rstrip("=")


def key_of(shell: Shell, name: str, what: str = "key") -> tuple[str, str, str, str]:
    """The options that name a private key and its passphrase's file."""
    if not (shell.home / f"{name}.pem").exists():
        passphrase = shell.secret(f"{name}.pass", passphrase_of(name))
        made = ("--passphrase-file", passphrase, "--out", shell.home / f"{name}.jwk")
        shell.ok("keys", "generate", shell.home / f"{name}.pem", *made)
    given = f"file:{shell.home / name}.pem", str(shell.home / f"{name}.pass")
    prefix = what.removesuffix("key")
    return (f"--{what}", given[0], f"--{prefix}passphrase-file", given[1])


def by(shell: Shell, name: str, *words: object) -> Result:
    """One command, with this operator's key."""
    return shell(*words, *key_of(shell, name, "operator-key"))


def statement_of(shell: Shell, name: str, *, operator: str | None = None, gateway: str = GATEWAY) -> Path:
    """An operator's own statement, made anew."""
    out = shell.home / f"{name}-{len(list(shell.home.glob('*.operator')))}.operator"
    shell.ok(
        "operators", "enrol", "--id", operator or name, "--gateway-id", gateway, *key_of(shell, name), "--out", out
    )
    return out


def operated(home: Path, *operators: str) -> Shell:
    """A gateway that was founded with these operators, and the agency Polda in it."""
    shell = new_shell(home)
    given = [word for name in operators for word in ("--operator-statement", statement_of(shell, name))]
    shell.ok("init", home / "gw", "--id", GATEWAY, "--public-url", "http://gw.test", *given)
    added = by(shell, operators[0], "agencies", "add", "--why", "T-1", POLDA, "--name", "Polda Banten")
    assert added.code == 0, added.err
    return shell


def stated(
    shell: Shell, name: str, *, endorser: str | None = None, agency: str = POLDA, use: str = "sign", **more: str
) -> Path:
    """An agency's statement of a new key."""
    out = shell.home / f"{name}-{len(list(shell.home.glob('*.statement')))}.statement"
    endorsed = () if endorser is None else key_of(shell, endorser, "endorse-key")
    options = [word for option, value in more.items() for word in (f"--{option.replace('_', '-')}", value)]
    shell.ok(
        "keys", "statement", "--as", agency, "--gateway-id", GATEWAY, "--use", use, *key_of(shell, name), *endorsed,
        *options, "--out", out,
    )  # fmt: skip
    return out


def proposed(shell: Shell, name: str, *words: object) -> str:
    """The id of what this operator proposed."""
    made = by(shell, name, *words)
    assert made.code == 0, made.err
    return made.out.strip()


def admitted(
    shell: Shell, statement: Path, *, agency: str = POLDA, first: str = "sari", second: str = "budi"
) -> Result:
    """An agency's key, by two operators."""
    id_ = proposed(shell, first, "agencies", "keys", "propose", agency, statement, "--why", "T-1")
    return by(shell, second, "agencies", "keys", "approve", id_)


def acts(shell: Shell) -> list[dict[str, Any]]:
    return [entry for entry in entries(shell) if entry["kind"] == "operator.act"]


def refused(result: Result, *words: str) -> None:
    assert result.code == NO, result.err
    for word in words:
        assert word in result.err
