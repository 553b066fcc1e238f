"""docs/howto/onboard-an-agency.md is run, command by command, and prints what the page shows."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import DOCUMENT, Shell, founded
from tests.docs.pages import ROOT, shown, sinergi_words, steps

PAGE = ROOT / "docs" / "howto" / "onboard-an-agency.md"


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who types the page onboards an agency; no step needs something that no earlier step made."""
    monkeypatch.chdir(tmp_path)
    shell: Shell = founded(tmp_path, "sinergi-banten")
    shell.ok("agencies", "add", "--why", "T-1", "imigrasi-banten", "--name", "Imigrasi")
    shell.ok("keys", "import", "--why", "T-1", "imigrasi-banten", shell.key("imigrasi"))
    shutil.copy(DOCUMENT, tmp_path)
    shell.signed(tmp_path / DOCUMENT.name, "imigrasi-banten", "imigrasi").rename("imigrasi.jws")
    done = 0
    for line, expected in steps(PAGE):
        words = sinergi_words(line)
        if words is None:
            subprocess.run(["bash", "-ec", line], check=True)
            continue
        if "KID" in words:
            # The retired key is revoked as well: a revocation says more.
            words[words.index("KID")] = json.loads(Path("polda/sign.jwk").read_text())["kid"]
        result = shell.ok(*words)
        printed = result.out + result.err
        assert [text for text in expected if not shown(text, printed)] == [], line
        done += 1
    assert done > 15
