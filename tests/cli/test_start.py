"""The program before it does anything: its weight, its help, its errors, its settings file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli import output
from gateway.cli.main import app, run
from gateway.errors import (
    CODES,
    AccessDeniedError,
    AgreementInvalidError,
    KeyringError,
    NotFoundError,
    OperatorError,
    Reason,
)
from gateway.founding import RefusedError
from tests.cli.shell import Shell

SINERGI = Path(sys.executable).with_name("sinergi")


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command and group, by the words that name it."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *path, name)


EVERY = list(commands(typer.main.get_command(app)))


def test_help_loads_nothing_heavy() -> None:
    """The first word of help is on the screen before a web framework or a database layer could be imported."""
    program = (
        "import sys; from gateway.cli.main import run; run(['--help']);"
        " print([m for m in ('fastapi', 'sqlalchemy', 'pydantic', 'cryptography', 'httpx', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_help_has_an_example_that_names_the_command(shell: Shell, words: tuple[str, ...]) -> None:
    """Whoever asks a command for help sees how it is typed."""
    shown = shell.ok(*words, "--help").out
    assert "Example:" in shown
    assert " ".join(("sinergi", *words)) in shown.partition("Example:")[2]


@pytest.mark.parametrize("words", [words for words in EVERY if words], ids=" ".join)
def test_every_command_takes_the_common_options(shell: Shell, words: tuple[str, ...]) -> None:
    """--config, --operator, --json and --debug are everywhere the same."""
    shown = shell.ok(*words, "--help").out
    assert all(option in shown for option in ("--config FILE", "--operator NAME", "--json", "--debug"))


def test_a_misspelt_command_is_misuse_with_a_suggestion(shell: Shell) -> None:
    """A typo costs one more look, not a manual."""
    result = shell("agencie", "list")
    assert result.code == output.MISUSE
    assert "agencies" in result.err
    assert result.out == ""


def test_the_installed_program_says_its_version() -> None:
    """The entry point is the one that the package declares."""
    done = subprocess.run([SINERGI, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.1.0"


def test_an_error_is_one_line_and_a_traceback_only_on_demand(shell: Shell, tmp_path: Path) -> None:
    """An operator reads what to do; a developer asks for more with --debug."""
    missing = tmp_path / "none.toml"
    result = shell("agencies", "list", "--config", missing)
    assert (result.code, result.out, result.err.count("\n")) == (output.MISUSE, "", 1)
    assert "sinergi init" in result.err
    with pytest.raises(OperatorError, match=r"none\.toml does not exist"):
        shell("--debug", "agencies", "list", "--config", missing)


def test_a_fault_of_the_program_is_no_traceback_either(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw ends as "could not ask", and says how to see more; its words may hold anything, so they stay in."""

    def broken(_path: object) -> None:
        raise RuntimeError("a value from a payload")

    monkeypatch.setattr("gateway.message_types.catalogue.load", broken)
    result = shell("schemas", "list")
    assert (result.code, result.out) == (output.UNASKED, "")
    assert "--debug" in result.err
    assert "payload" not in result.err


def test_errors_are_json_for_machines(shell: Shell) -> None:
    """With --json, even a failure parses: code, detail and reasons."""
    result = shell("agencies", "list", "--json")
    assert result.code == output.MISUSE
    assert json.loads(result.err)["error"]["code"] == "config.invalid"


def test_the_settings_file_is_looked_for_where_the_help_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--config wins over the environment, the environment over var/sinergi.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SINERGI_CONFIG", raising=False)

    def asked(*words: str) -> str:
        assert run(["doctor", *words]) == output.MISUSE
        return capsys.readouterr().err

    assert "var/sinergi.toml" in asked()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "sinergi.toml").write_text("nonsense = [")
    assert "var/sinergi.toml is not valid TOML" in asked()
    monkeypatch.setenv("SINERGI_CONFIG", "b.toml")
    assert "b.toml does not exist" in asked()
    assert "a.toml does not exist" in asked("--config", "a.toml")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RefusedError("there already"), output.NO),
        (NotFoundError("no such thing"), output.NO),
        (AgreementInvalidError("not signed"), output.NO),
        (OperatorError("a wrong setting"), output.MISUSE),
        (KeyringError("a wrong passphrase"), output.MISUSE),
        (output.UnreachableError("no answer"), output.UNASKED),
    ],
)
def test_exit_codes_say_what_kind_of_end_it_was(error: Any, code: int) -> None:
    """A script can tell "no" from "you asked wrongly" and from "nobody answered"."""
    assert output.exit_code(error) == code
    assert code in output.EXIT_CODES


def test_every_reason_of_an_error_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """All faults together, each with its code and place."""
    reasons = [Reason("rule.condition", "5", "/body/severity", "severity"), Reason("rule.case-required", "5", "/case")]
    output.fail(AgreementInvalidError(reasons=reasons))
    told = capsys.readouterr()
    assert told.out == ""
    assert "rule.condition  5  /body/severity  severity" in told.err
    assert "rule.case-required  5  /case" in told.err


def test_a_single_reason_that_says_more_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """What happens is one line, why it is so another; what the line says already is not repeated."""
    output.fail(AccessDeniedError("the hold stays", reasons=[Reason("access.denied", detail="1 of 2 persons signed")]))
    assert capsys.readouterr().err.splitlines() == [
        "sinergi: access.denied: the hold stays",
        "  access.denied  1 of 2 persons signed",
    ]
    output.fail(AccessDeniedError("nothing is done: 1 of 2 operators signed it"))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_terminal_escapes_from_outside_are_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """A name cannot clear the screen, nor hide the line before it."""
    output.line("a\x1b[2Jb\rc\x9bd")
    output.as_json({"name": "\x1b[2J\x9b\x7f"})
    printed = capsys.readouterr().out
    assert not {"\x1b", "\r", "\x9b", "\x7f"} & set(printed)
    assert json.loads(printed.partition("\n")[2]) == {"name": "\x1b[2J\x9b\x7f"}


def test_a_piped_table_is_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """What goes into a pipe is for grep and awk: no frames, no wrapping."""
    output.table(("id", "name"), [("a", "x" * 300), ("b", None)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ID", "NAME"]
    assert [row.split()[0] for row in lines[1:]] == ["a", "b"]


@pytest.mark.parametrize("stream_is", ["dumb", "xterm"])
def test_a_dumb_terminal_gets_no_drawing(monkeypatch: pytest.MonkeyPatch, stream_is: str) -> None:
    """TERM=dumb is honoured though the stream is a terminal."""

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", stream_is)
    assert output.fancy(Terminal()) is (stream_is == "xterm")


def test_every_code_has_a_title_to_fall_back_on(capsys: pytest.CaptureFixture[str]) -> None:
    """An error without words of its own still says something."""
    for code in CODES:
        output.fail(OperatorError(code=code))
    assert "not possible" not in capsys.readouterr().err
