"""`draft`, `approve`, `send --draft`: a message that officers approve at their own machines, from three shells."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.statements.approval import parse_approval
from tests.cli.office import enrol
from tests.cli.served import REFERRAL, Served
from tests.cli.shell import AGENCIES, Result, Shell

IMIGRASI, POLDA = AGENCIES
FIELDS = tuple(name for name in json.loads(REFERRAL.read_text()) if name not in {
    "victim_token", "is_minor", "receiving_unit", "notice",
})  # fmt: skip


def draft(shell: Shell, name: str = "referral.draft", *more: object) -> Path:
    out = shell.home / name
    disclose = [word for field in FIELDS for word in ("--disclose", f"/body/{field}")]
    shell.ok(
        "draft", REFERRAL, "--as", IMIGRASI, "--to", POLDA, "--type", "victim.referral/1", "--agreement",
        "pks-banten-2025", "--purpose", "VICTIM_PROTECTION", "--classification", "R", *disclose, "--out", out, *more,
    )  # fmt: skip
    return out


def approve(shell: Shell, file: Path, name: str, *more: object, stdin: str = "") -> Result:
    if not (shell.home / f"{name}.pem").exists():
        shell.key(name)
    key = ("--key", f"file:{shell.home / name}.pem", "--passphrase-file", shell.home / f"{name}.pass")
    return shell("approve", file, *key, *more, stdin=stdin)


def test_an_officer_sees_what_is_released_and_to_whom(shell: Shell) -> None:
    """On stderr, in plain; standard output has the approval alone."""
    file = draft(shell)
    assert file.stat().st_mode & 0o777 == 0o600
    result = approve(shell, file, "sari", "--yes", "--field", "/body/identity")
    assert result.code == 0, result.err
    for word in ("Siti Rekaan", "3604084107990001", POLDA, IMIGRASI, "VICTIM_PROTECTION", "victim.referral/1"):
        assert word in result.err
    assert "UPTD PPA Rekaan" not in result.err
    approval = parse_approval(result.out.strip())
    assert (approval.jws.kid, approval.aud) == (shell.kid("sari"), POLDA)
    assert len(approval.disclosures) == 1


def test_nothing_is_signed_without_a_person_who_says_so(shell: Shell) -> None:
    """No terminal and no --yes, or --no-input: misuse, and no file is written."""
    file, out = draft(shell), shell.home / "sari.approval"
    for more in ((), ("--no-input",)):
        result = approve(shell, file, "sari", "--out", out, *more, stdin=f"{POLDA}\n")
        assert (result.code, result.out) == (2, "")
        assert not out.exists()


@pytest.mark.parametrize(("typed", "code"), [(POLDA, 0), ("yes", 1), ("", 1)])
def test_an_officer_types_the_recipient(shell: Shell, monkeypatch: pytest.MonkeyPatch, typed: str, code: int) -> None:
    """At a terminal: only the recipient's own id is a yes."""
    file = draft(shell)
    monkeypatch.setattr("gateway.cli.drafts.somebody_there", lambda: True)
    result = approve(shell, file, "sari", stdin=f"{typed}\n")
    assert result.code == code
    assert bool(result.out) is (code == 0)


def test_a_field_s_text_cannot_command_the_terminal(shell: Shell) -> None:
    """Escape sequences and line ends in a field are shown as text: an officer sees what there is."""
    body = json.loads(REFERRAL.read_text()) | {"health_summary": "a\u001b[2Jb\u202ec\nto         kejati-banten"}
    source = shell.secret("body.json", json.dumps(body))
    out = shell.home / "odd.draft"
    shell.ok(
        "draft", source, "--as", IMIGRASI, "--to", POLDA, "--type", "victim.referral/1", "--agreement", "a",
        "--purpose", "P", "--classification", "R", "--disclose", "/body/health_summary", "--out", out,
    )  # fmt: skip
    shown = approve(shell, out, "sari", "--yes").err
    assert "\u001b" not in shown
    assert "\u202e" not in shown
    assert "\nto         kejati-banten" not in shown


def test_what_cannot_be_approved_is_misuse(shell: Shell) -> None:
    """A field that is not disclosable, a file that is no draft, a draft without disclosures."""
    file = draft(shell)
    assert approve(shell, file, "sari", "--yes", "--field", "/body/victim_token").code == 2
    assert approve(shell, REFERRAL, "sari", "--yes").code == 2
    wrong = shell.secret("wrong.draft", file.read_text()[:-10])
    result = approve(shell, wrong, "sari", "--yes")
    assert (result.code, "Siti" in result.err) == (2, False)


def test_a_draft_is_complete_and_is_never_overwritten(shell: Shell) -> None:
    """Every missing option is named; a second draft needs a second file."""
    missing = shell("draft", REFERRAL, "--as", IMIGRASI, "--out", shell.home / "x.draft")
    assert missing.code == 2
    for option in ("--to", "--type", "--agreement", "--purpose", "--classification"):
        assert option in missing.err
    file = draft(shell)
    before = file.read_text()
    again = shell(
        "draft", REFERRAL, "--as", IMIGRASI, "--to", POLDA, "--type", "a/1", "--agreement", "a", "--purpose", "P",
        "--classification", "R", "--out", file,
    )  # fmt: skip
    assert (again.code, file.read_text()) == (2, before)


def test_three_shells_release_what_two_officers_approved(served: Served) -> None:
    """Draft, two approvals, send: the gateway finds both; a third shell's key is refused with a receipt."""
    for name in ("sari", "budi"):
        role = {"sari": "VICTIM_PROTECTION_OFFICER", "budi": "SUPERVISOR"}[name]
        gateway = json.loads(_well_known(served))["gateway"]
        served.ok("agencies", "officers", "add", "--why", "T-1", enrol(
            served, name, agency=IMIGRASI, gateway=gateway, id=f"NIP-{name}", role=role,
        ))  # fmt: skip
    file = draft(served)
    approvals = []
    for name in ("sari", "budi", "guest"):
        out = served.home / f"{name}.approval"
        assert approve(served, file, name, "--yes", "--out", out).code == 0
        approvals.append(out)
    side = served.side(IMIGRASI)
    good = [word for path in approvals[:2] for word in ("--approval", path)]
    preview: Any = served.ok("send", "--draft", file, *good, "--dry-run", "--json", *side).json
    assert preview["permitted"] is True
    # No notice was acknowledged yet: the approvals alone release nothing.
    assert "/body/identity" in preview["withheld"]
    sent = served.ok("send", "--draft", file, *good, "--json", *side).json
    assert sent["decision"] == "accepted"
    other = draft(served, "other.draft")
    stale = served("send", "--draft", other, *good, *side)
    assert (stale.code, "jti" in stale.err) == (2, True)
    out = served.home / "other.approval"
    assert approve(served, other, "guest", "--yes", "--out", out).code == 0
    refused = served("send", "--draft", other, "--approval", out, "--json", *side)
    assert refused.code == 1
    assert refused.json["reasons"][0]["code"] == "rule.approval"


def test_send_takes_a_file_or_a_draft(served: Served) -> None:
    """Never both, never neither; what was approved cannot be changed on the way."""
    file, side = draft(served, "third.draft"), served.side(IMIGRASI)
    for arguments in (
        (),
        (REFERRAL, "--draft", file),
        ("--draft", file, "--purpose", "INVESTIGATION"),
        (REFERRAL, "--approval", file),
    ):
        assert served("send", *arguments, *side).code == 2


def _well_known(served: Served) -> str:
    return httpx.get(f"{served.url}/.well-known/sinergi-gateway", timeout=10).text
