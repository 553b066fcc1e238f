"""A shell for tests: runs commands in this process and keeps every word they print; gateways set up by commands."""

import io
import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from gateway.cli.main import run
from tests.standing import standing

AGENCIES = ("imigrasi-banten", "polda-banten")
DOCUMENT = standing()


@dataclass(frozen=True)
class Result:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Shell:
    """A working directory with a settings file, an operator, and a transcript."""

    home: Path
    config: Path
    transcript: list[str] = field(default_factory=list)

    def __call__(self, *arguments: object, stdin: str = "") -> Result:
        """One command, as typed; `--config` is given unless the command is about none."""
        words = [str(argument) for argument in arguments]
        before = {name: os.environ.get(name) for name in ("SINERGI_CONFIG", "SINERGI_OPERATOR")}
        os.environ |= {"SINERGI_CONFIG": str(self.config), "SINERGI_OPERATOR": "tester"}
        out, err = io.StringIO(), io.StringIO()
        typed, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin.encode()))
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = run(words)
        finally:
            sys.stdin = typed
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        self.transcript += [out.getvalue(), err.getvalue()]
        return Result(code, out.getvalue(), err.getvalue())

    def ok(self, *arguments: object, stdin: str = "") -> Result:
        """A command that must succeed."""
        result = self(*arguments, stdin=stdin)
        assert result.code == 0, result.err
        return result

    def secret(self, name: str, content: str) -> Path:
        """A file that only its owner may read."""
        path = self.home / name
        path.write_text(content)
        path.chmod(0o600)
        return path

    def key(self, name: str, *, algorithm: str = "EdDSA") -> Path:
        """A key pair `name.pem` with `name.pass` and `name.jwk`; gives the JWK's path."""
        passphrase = self.secret(f"{name}.pass", f"passphrase-of-{name}\n")
        jwk = self.home / f"{name}.jwk"
        self.ok(
            "keys", "generate", self.home / f"{name}.pem", "--algorithm", algorithm,
            "--passphrase-file", passphrase, "--out", jwk,
        )  # fmt: skip
        return jwk

    def signed(self, document: Path, agency: str, name: str | None = None) -> Path:
        """The file of an agency's signature over a document."""
        out = self.home / f"{document.stem}-{name or agency}.jws"
        self.ok(
            "agreement", "sign", document, "--as", agency, "--key", f"file:{self.home / (name or agency)}.pem",
            "--passphrase-file", self.home / f"{name or agency}.pass", "--out", out,
        )  # fmt: skip
        return out

    def activate(self, document: Path, signatures: Sequence[Path]) -> Result:
        given = [word for signature in signatures for word in ("--signature", signature)]
        return self("agreement", "activate", "--why", "T-1", document, *given)

    def kid(self, name: str) -> str:
        return str(json.loads((self.home / f"{name}.jwk").read_text())["kid"])


def new_shell(home: Path) -> Shell:
    return Shell(home, home / "gw" / "sinergi.toml")


def founded(home: Path, name: str = "gw-test", database_url: str | None = None) -> Shell:
    """A gateway without agencies."""
    shell = new_shell(home)
    database: list[object] = []
    if database_url is not None:
        url = make_url(database_url)
        database = ["--database-url", url._replace(password=None).render_as_string()]
        if url.password:
            database += ["--database-password-file", shell.secret("database.pass", str(url.password))]
    shell.ok("init", home / "gw", "--id", name, "--public-url", "http://gw.test", *database)
    return shell


def peopled(shell: Shell) -> Shell:
    """Two agencies with a key each, and the agreement in force."""
    for agency in AGENCIES:
        shell.ok("agencies", "add", "--why", "T-1", agency, "--name", agency.title())
        shell.ok("keys", "import", "--why", "T-1", agency, shell.key(agency))
    activated = shell.activate(DOCUMENT, [shell.signed(DOCUMENT, agency) for agency in AGENCIES])
    assert activated.code == 0, activated.err
    return shell
