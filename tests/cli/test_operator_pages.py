"""docs/howto/operators.md, and the pages about agencies' keys, are run command by command."""

import re
from pathlib import Path

import pytest

from gateway.cli.output import MISUSE
from tests.cli.operated import key_of, statement_of
from tests.cli.shell import Shell, founded, new_shell
from tests.docs.pages import ROOT, shown, sinergi_words, steps

GATEWAY = "sinergi-banten"
PAGES = ROOT / "docs" / "howto"


def typed(shell: Shell, page: Path, *, kid: str = "") -> int:
    """Types every command of the page: PROPOSAL is what waits, KID the key in `kid`.jwk. How many there were."""
    done = 0
    for line, expected in steps(page):
        words = sinergi_words(line)
        assert words is not None, line
        for place, word in enumerate(words):
            if word == "PROPOSAL":
                lost = words[words.index("--lost") :][:2] if "--lost" in words else ()
                (waiting,) = shell.ok("operators", "proposals", "--json", *lost).json
                words[place] = waiting["id"]
            elif word == "KID":
                words[place] = shell.kid(kid)
        result = shell.ok(*words)
        printed = result.out + result.err
        assert [text for text in expected if not shown(text, printed)] == [], (line, printed)
        done += 1
    return done


def test_operators_are_enrolled_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a gateway that knows no operators to three of them, an act of two, and the end of a key."""
    monkeypatch.chdir(tmp_path)
    shell = founded(tmp_path, "sinergi-banten")
    shell.secret("sari.pass", "passphrase-of-sari\n")
    for name in ("budi", "dewi"):
        statement_of(shell, name, gateway="sinergi-banten").rename(f"{name}.jws")
    assert typed(shell, PAGES / "operators.md", kid="sari") == 8
    held = shell.ok("operators", "list", "--json").json
    assert [(one["operator"], one["status"]) for one in held] == [
        ("sari", "revoked"), ("budi", "active"), ("dewi", "active"),
    ]  # fmt: skip


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A gateway that was founded by the ceremony of the page; whoever types is Sari unless another key is named."""
    monkeypatch.chdir(tmp_path)
    shell = new_shell(tmp_path)
    for name in ("sari", "budi"):
        key_of(shell, name)
    for name in ("polda", "next", "spare"):
        shell.secret(f"{name}.pass", f"passphrase-of-{name}\n")
    page = (PAGES / "lost-key.md").read_text()
    recovery, ceremony = re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    shell.secret("recovery.json", recovery), shell.secret("ceremony.json", ceremony)
    shell.ok("keys", "ceremony", "create", "--script", "ceremony.json", "--out", "ceremony.record.json")
    shell.ok("init", "gw", "--ceremony", "ceremony.record.json", "--public-url", "http://gw.test")
    monkeypatch.setenv("SINERGI_OPERATOR_KEY", "file:sari.pem")
    monkeypatch.setenv("SINERGI_OPERATOR_PASSPHRASE_FILE", "sari.pass")
    shell.ok("agencies", "add", "--why", "T-1", "polda-banten", "--name", "Polda Banten")
    return shell


def section(tmp_path: Path, title: str) -> Path:
    """One section of the page about lost keys, as a page."""
    text = (PAGES / "lost-key.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    (tmp_path / "section.md").write_text(text)
    return tmp_path / "section.md"


def test_keys_are_admitted_changed_and_lost_as_the_pages_say(office: Shell, tmp_path: Path) -> None:
    """First key, recovery key, next key; both lost in turn; then the gateway's own, each part as it is written."""
    assert typed(office, PAGES / "agency-keys.md") == 14
    for lost in ("polda.pem", "next.pem"):
        (tmp_path / lost).unlink()
    for name in ("third", "spare-2"):
        office.key(name)
    assert typed(office, section(tmp_path, "An agency lost its key")) == 3
    assert typed(office, section(tmp_path, "An agency lost its recovery key"), kid="spare") == 4
    (tmp_path / "keys" / "storage.pem").unlink()
    assert typed(office, section(tmp_path, "The gateway lost its storage key")) == 2
    (tmp_path / "keys" / "sign.pem").unlink()
    assert office("keys", "status").code == MISUSE
    settings = office.config.read_text()
    office.config.write_text(settings.replace("/keys/sign.pem", "/keys/sign-2.pem"))
    assert typed(office, section(tmp_path, "The gateway lost the key that signs receipts, or that signs pushes")) == 3
    (tmp_path / "keys" / "index.pem").unlink()
    assert office("keys", "status").code == MISUSE
    office.config.write_text(office.config.read_text().replace("/keys/index.pem", "/keys/index-2.pem"))
    assert typed(office, section(tmp_path, "The gateway lost its index key")) == 5
    office.ok("keys", "status")
    office.ok("keys", "history")
    for wrong in (
        ("--role", "storage", "--key", "file:x"),
        ("--role", "sign"),
        ("--role", "sign", "--key", "file:x", "--lead", "5"),
    ):
        assert office("keys", "rotate", "--lost", "--why", "T-1", *wrong).code == MISUSE
    (sign,) = [
        one for one in office.ok("keys", "status", "--json").json if (one["owner"], one["role"]) == (GATEWAY, "sign")
    ]
    assert (sign["kid"], sign["state"]) == (office.kid("sign-2"), "active")
