"""`sinergi agreement check | diff | render | matrix`: what a person and a machine are told, and how each ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import output
from tests.cli.shell import DOCUMENT, Shell


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The shipped agreement with one text in place of another."""
    text = DOCUMENT.read_text()
    assert old in text
    path = tmp_path / "changed.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_check_tells_findings_and_fails_on_errors_alone(shell: Shell, tmp_path: Path) -> None:
    """The digest stays on stdout; warnings are for the person, errors end with the answer no, --strict with both."""
    sound = shell.ok("agreement", "check", DOCUMENT)
    assert len(sound.out.split()) == 1
    assert "warning: figures-unconfirmed" in sound.err
    assert shell("agreement", "check", DOCUMENT, "--strict").code == output.NO
    wrong = changed(tmp_path, "field: /body/narrative", "field: /body/nowhere")
    result = shell("agreement", "check", wrong)
    assert result.code == output.NO
    assert "error: field-unknown: rule early-warning-report, /rules/0/withhold/2/field: " in result.err
    told = json.loads(shell("agreement", "check", wrong, "--json").out)["findings"]
    error = next(one for one in told if one["severity"] == "error")
    assert (error["code"], error["rule"]) == ("field-unknown", "early-warning-report")
    assert error["text"]["en"] != error["text"]["id"]


@pytest.fixture
def wider(tmp_path: Path) -> Path:
    return changed(tmp_path, "limit: P12M", "limit: P24M")


def test_diff_answers_no_where_more_is_permitted(shell: Shell, wider: Path) -> None:
    """A table for people; the other way round the answer is yes."""
    result = shell("agreement", "diff", DOCUMENT, wider)
    assert result.code == output.NO
    assert "permitted" in result.out
    assert "period-at-most-12-months" in result.out
    assert "witness-0001" not in result.out
    back = shell.ok("agreement", "diff", wider, DOCUMENT)
    assert "refused" in back.out
    assert "0 of them permit or release more" in back.err
    assert shell.ok("agreement", "diff", DOCUMENT, DOCUMENT).out == ""


def test_the_witness_of_diff_can_be_tried(shell: Shell, wider: Path, tmp_path: Path) -> None:
    """`explain` judges it under the old document and under the new one, and answers as `diff` said."""
    told = shell("agreement", "diff", DOCUMENT, wider, "--json").json
    assert told["widens"] is True
    (change,) = (one for one in told["changes"] if one["kind"] == "permitted")
    witness: dict[str, Any] = change["witness"]
    assert (witness["before"]["permitted"], witness["after"]["permitted"]) == (False, True)
    path = tmp_path / "witness.json"
    path.write_text(json.dumps({**witness["message"], "disclosable": ["/body/subject"]}))
    given = ("--message", path, "--at", witness["at"])
    assert shell("agreement", "explain", DOCUMENT, *given).code == output.NO
    assert shell("agreement", "explain", wider, *given).code == output.DONE
    shown = shell("agreement", "diff", DOCUMENT, wider, "--show-witness").out
    assert '"jti": "witness-0001"' in shown


@pytest.mark.parametrize("language", ["id", "en"])
def test_render_writes_one_page(shell: Shell, tmp_path: Path, language: str) -> None:
    """To a new file or to stdout, in the language asked for; an old file is not written over."""
    out = tmp_path / "page.html"
    result = shell.ok("agreement", "render", DOCUMENT, "--lang", language, "--out", out)
    assert result.out == ""
    assert out.read_text().startswith("<!DOCTYPE html>\n")
    assert f'<html lang="{language}">' in out.read_text()
    assert shell.ok("agreement", "render", DOCUMENT, "--lang", language).out == out.read_text()
    assert shell("agreement", "render", DOCUMENT, "--lang", language, "--out", out).code != output.DONE
    assert shell.ok("agreement", "render", DOCUMENT, "--lang", language, "--json").json["page"] == out.read_text()


def test_render_speaks_two_languages_and_no_third(shell: Shell) -> None:
    """A misspelt language is misuse, not English."""
    assert shell("agreement", "render", DOCUMENT, "--lang", "fr").code == output.MISUSE


def test_matrix_has_a_row_a_type_and_a_column_a_direction(shell: Shell) -> None:
    """The same for people and for machines."""
    shown = shell.ok("agreement", "matrix", DOCUMENT).out.splitlines()
    told = shell.ok("agreement", "matrix", DOCUMENT, "--json").json
    assert "IMIGRASI-BANTEN → POLDA-BANTEN" in shown[0]
    assert len(shown) == 1 + len({entry["type"] for entry in told})
    assert any(
        entry["type"] == "wanted-person.notice/1"
        and entry["sender"] == "polda-banten"
        and entry["rules"][0]["purposes"] == ["INVESTIGATION", "BORDER_CONTROL"]
        for entry in told
    )


@pytest.mark.parametrize("name", ["check", "diff", "render", "matrix"])
def test_each_tool_has_help_with_an_example_and_needs_no_gateway(shell: Shell, name: str) -> None:
    """`shell` has no settings file at all."""
    told = shell.ok("agreement", name, "--help").out
    assert f"sinergi agreement {name}" in told
    assert "Example" in told
    assert not shell.config.exists()
