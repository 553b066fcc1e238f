"""docs/howto/keys-in-an-hsm.md and certified-keys.md are run, command by command; the toml of the second is read."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.settings import CertificateSettings, load_settings
from tests.certificates.authority import POLDA_ID, Authority, pem
from tests.cli.shell import Shell, founded, new_shell
from tests.docs.pages import ROOT, blocks, shown, sinergi_words, steps
from tests.hsm import LABEL, PIN, soft_token

PAGES = ROOT / "docs" / "howto"


def typed(shell: Shell, page: str, places: Mapping[str, str]) -> int:
    """Types every command of the page, with these texts in the place of the page's; how many there were."""
    done = 0
    for line, expected in steps(PAGES / page):
        words = [_elsewhere(word, places) for word in sinergi_words(line) or ()]
        result = shell.ok(*words)
        printed = result.out + result.err
        assert [text for text in expected if not shown(text, printed)] == [], line
        done += 1
    return done


def _elsewhere(word: str, places: Mapping[str, str]) -> str:
    for here, there in places.items():
        word = word.replace(here, there)
    return word


def test_a_gateway_is_founded_on_a_token_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the token's place and the folder is another; afterwards the gateway is fit for service."""
    token = soft_token()
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "gw"
    places = {
        "token=gateway": f"token={quote(LABEL)}",
        "/usr/lib/softhsm/libsofthsm2.so": str(token.module),
        "file:/etc/sinergi/pin": f"file:{token.pin_file}",
        "/srv/sinergi": str(home),
        # Other tests made keys in this token.
        "object=": "object=page-",
        "id=%": "id=%AA%",
    }
    shell = new_shell(tmp_path)
    assert typed(shell, "keys-in-an-hsm.md", places) == 8
    assert list((home / "keys").iterdir()) == []
    checks = {check["check"]: check["status"] for check in shell("doctor", "--json").json["checks"]}
    assert checks["keys"] == "ok"
    for role, algorithm, number in (("sign", "EdDSA", "E6"), ("storage", "HMAC", "E7")):
        uri = token.uri(f"page-next-{role}", int(number, 16))
        shell.ok("keys", "generate", uri, "--algorithm", algorithm)
        shell.ok("keys", "rotate", "--role", role, "--why", "T-1", "--key", uri)
    shell.ok("keys", "rewrap", "--why", "T-1")
    states = {(row["role"], row["state"]) for row in shell("keys", "status", "--json").json}
    assert {("sign", "pending"), ("storage", "active")} <= states
    assert PIN not in "".join(shell.transcript)


def test_a_certified_key_is_imported_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the page's settings, but for the places where this authority answers."""
    monkeypatch.chdir(tmp_path)
    shell = founded(tmp_path)
    now = datetime.now(UTC)
    root = Authority("Root CA", begins=now - timedelta(days=9), ends=now + timedelta(days=900))
    shell.key("polda", algorithm="ES256")
    private = load_pem_private_key((tmp_path / "polda.pem").read_bytes(), b"passphrase-of-polda")
    window = {"begins": now - timedelta(days=1), "ends": now + timedelta(days=90)}
    (tmp_path / "polda-chain.pem").write_bytes(pem(root.certify(private.public_key(), **window)))
    (tmp_path / "roots.pem").write_bytes(pem(root.certificate))
    (tmp_path / "root.crl").write_bytes(root.crl(at=now - timedelta(minutes=1), until=now + timedelta(hours=1)))

    (text,) = blocks(PAGES / "certified-keys.md", "toml")
    page = tmp_path / "page.toml"
    page.write_text(text)
    told = load_settings(page).certificates
    assert (told.subjects, told.when_silent) == ({"polda-banten": POLDA_ID}, CertificateSettings().when_silent)
    here = text.replace("/etc/sinergi/roots.pem", str(tmp_path / "roots.pem")).partition("[[")[0]
    with shell.config.open("a") as file:
        file.write(f'\n{here}\n[[certificates.lists]]\nfile = "{tmp_path / "root.crl"}"\n')
    shell.ok("agencies", "add", "--why", "T-1", "polda-banten", "--name", "Polda Banten")
    assert typed(shell, "certified-keys.md", {}) == 2
    assert re.search(r"ok +CN=Root CA may certify agencies' keys, for 899 days more", shell("doctor").out)
