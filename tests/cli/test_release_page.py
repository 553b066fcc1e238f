"""docs/howto/release-a-victims-identity.md is run, command by command, and ends with the identity at its unit."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.served import REFERRAL, Served
from tests.docs.pages import ROOT, blocks, shown, sinergi_words, steps

PAGE = ROOT / "docs" / "howto" / "release-a-victims-identity.md"


def test_the_page_does_what_it_says(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Withheld after the first step, released after the last; no step needs something that no earlier step made."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REFERRAL, "referral.json")
    (noted,) = blocks(PAGE, "json")
    Path("noted.json").write_text(noted)
    for agency in ("imigrasi-banten", "polda-banten"):
        for suffix in ("pem", "pass"):
            shutil.copy(served.home / f"{agency}.{suffix}", ".")
    given = {"https://sinergi.example.id": served.url}
    for line, expected in steps(PAGE):
        words = sinergi_words(line)
        if words is None:
            subprocess.run(["bash", "-ec", line], check=True)
            continue
        result = served.ok(*[given.get(word, word) for word in words])
        printed = result.out + result.err
        assert [text for text in expected if not shown(text, printed)] == [], line
        if words[:2] == ["keys", "generate"] and words[2] == "sari.pem":
            given["KID"] = json.loads(result.out)["kid"]
        if words[0] == "send" and "--dry-run" not in words:
            given["NOTED" if "REFERRAL" in given else "REFERRAL"] = result.out.split()[1]
        if words[0] == "receive" and "NOTED" not in given:
            first = json.loads(Path(result.out.split()[0]).read_text())
            assert {"/body/identity", "/body/service_provider", "/body/health_summary"} == set(first["withheld"])
            assert "Siti Rekaan" not in json.dumps(first)
    (released,) = [held for held in map(_read, Path("inbox").iterdir()) if not held["withheld"]]
    assert released["body"]["identity"] == json.loads(REFERRAL.read_text())["identity"]


def _read(path: Path) -> dict[str, object]:
    held: dict[str, object] = json.loads(path.read_text())
    return held
