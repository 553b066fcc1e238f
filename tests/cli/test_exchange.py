"""`sinergi serve`, `send`, `receive`, `transfers`: a served gateway, and both agencies at their shells."""

import json
from pathlib import Path

from gateway.cli import output
from gateway.jose import parse_jws
from gateway.message.envelope import sd_hash
from tests.cli.served import BODY, IMIGRASI, POLDA, Served


def test_a_message_goes_from_one_shell_to_the_other(served: Served, tmp_path: Path) -> None:
    """Sent and proved; received without what was withheld; acknowledged; found again by both and by an auditor."""
    sent = served.warn("--json")
    assert sent.code == output.DONE
    assert (sent.json["decision"], sent.json["ledger"]["origin"].partition("/")[2]) == (
        "accepted",
        "ledger/pks-banten-2025",
    )
    inbox = tmp_path / "inbox"
    received = served.ok("receive", "--out", inbox, "--acknowledge", "delivered", *served.side(POLDA))
    (path,) = map(Path, received.out.split())
    assert path == inbox / f"{sent.json['transfer']}.json"
    assert path.stat().st_mode & 0o077 == 0
    content = json.loads(path.read_text())
    assert content["withheld"] == ["/body/narrative", "/body/recruiter", "/body/reporter"]
    assert parse_jws(content["release"], "release+jwt").payload["sd_hash"] == sd_hash(content["message"])
    assert "reporter" not in content["body"]
    assert content["claims"]["iss"] == IMIGRASI
    again = served.ok("receive", *served.side(POLDA))
    assert (again.out, "0 received" in again.err) == ("", True)
    token = served.token("a-story", "auditor")
    shown = served.ok(
        "transfers", "show", sent.json["transfer"], "--gateway", served.url, "--token-file", token, "--json"
    )
    assert [receipt["event"] for receipt in shown.json["receipts"]] == ["accepted", "delivered"]
    refused = served("transfers", "redeliver", sent.json["transfer"], "--why", "OPS-1")
    assert (refused.code, "delivered" in refused.err) == (output.NO, True)


def test_a_refusal_is_an_answer_with_its_reasons(served: Served) -> None:
    """Exit 1; the receipt is signed and proved like any other."""
    refused = served.warn(purpose="PROFILING")
    assert refused.code == output.NO
    assert refused.out.startswith("refused ")
    assert "rule.purpose" in refused.out
    asked = served.warn("--dry-run", "--json", purpose="PROFILING")
    assert (asked.code, asked.json["permitted"]) == (output.NO, False)


def test_a_kept_message_is_the_same_message(served: Served, tmp_path: Path) -> None:
    """What --keep wrote can be sent until it is answered, and cannot be changed on the way."""
    kept = tmp_path / "kept.sd-jwt"
    first = served.warn("--keep", kept, "--json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert first.code == output.DONE
    second = served.ok("send", kept, "--json", *served.side(IMIGRASI)).json
    assert (second["transfer"], second["receipt"], second["retried"]) == (
        first.json["transfer"],
        first.json["receipt"],
        True,
    )
    assert served("send", kept, "--to", POLDA, *served.side(IMIGRASI)).code == output.MISUSE
    assert served.warn("--keep", kept).code == output.MISUSE


def test_many_messages_go_from_one_file(served: Served, tmp_path: Path) -> None:
    """One line a message: each has its outcome and its proved receipt, a line that is none harms no other, exit 1."""
    kept = [tmp_path / f"{number}.sd-jwt" for number in range(2)]
    first = served.warn("--keep", kept[0], "--json")
    assert served.warn("--keep", kept[1], purpose="PROFILING").code == output.NO
    lines = tmp_path / "many.sd-jwts"
    lines.write_text(f"{kept[0].read_text()}\n\nno message\n{kept[1].read_text()}\n")
    told = served("send", lines, "--batch", "--json", *served.side(IMIGRASI))
    assert told.code == output.NO
    assert [(one["line"], one["decision"]) for one in told.json] == [
        (1, "accepted"),
        (3, "not recorded"),
        (4, "refused"),
    ]
    assert (told.json[0]["receipt"], told.json[0]["retried"]) == (first.json["receipt"], True)
    assert "rule.purpose" in told.json[2]["reasons"][0]
    lines.write_text(kept[0].read_text())
    assert served.ok("send", lines, "--batch", *served.side(IMIGRASI)).out == f"1: accepted {first.json['transfer']}\n"
    assert served("send", lines, "--batch", "--to", POLDA, *served.side(IMIGRASI)).code == output.MISUSE
    assert served("send", tmp_path / "absent", "--batch", *served.side(IMIGRASI)).code == output.MISUSE


def test_an_unreachable_gateway_leaves_the_message_to_send_again(served: Served, tmp_path: Path) -> None:
    """Exit 3, and the command to type next."""
    kept = tmp_path / "kept.sd-jwt"
    served.warn("--keep", kept)
    side = [word if word != served.url else "http://127.0.0.1:1" for word in served.side(IMIGRASI)]
    result = served("send", kept, "--patience", "0", *side)
    assert (result.code, result.out) == (output.UNASKED, "")
    assert f"sinergi send {kept}" in result.err


def test_a_body_needs_its_claims_and_no_other_agencys_key_helps(served: Served) -> None:
    """Misuse is told before anything is signed; a stranger's key is a refusal that is recorded nowhere."""
    assert "--purpose" in served("send", BODY, "--to", POLDA, *served.side(IMIGRASI)).err
    assert served.warn("--case", "no-colon").code == output.MISUSE
    assert served("send", "-", *served.side(IMIGRASI), stdin="{").code == output.MISUSE
    served.key("stranger")
    side = [
        word if not str(word).endswith(".pem") else f"file:{served.home / 'stranger.pem'}"
        for word in served.side(IMIGRASI)
    ]
    side = [word if not str(word).endswith(".pass") else served.home / "stranger.pass" for word in side]
    result = served(
        "send", BODY, "--to", POLDA, "--type", "early-warning.report/1", "--agreement", "pks-banten-2025",
        "--purpose", "EARLY_WARNING", "--classification", "R", *side,
    )  # fmt: skip
    assert (result.code, result.out) == (output.NO, "")
    assert "key.unknown" in result.err


def test_rejecting_says_why(served: Served) -> None:
    """Reasons go with a rejection and with nothing else; printed messages are one JSON object a line."""
    served.warn()
    assert served("receive", "--acknowledge", "lost", *served.side(POLDA)).code == output.MISUSE
    assert served("receive", "--reason", "X", "--acknowledge", "delivered", *served.side(POLDA)).code == output.MISUSE
    result = served.ok("receive", "--acknowledge", "rejected", "--reason", "OUT-OF-SCOPE", *served.side(POLDA))
    assert all(json.loads(line)["claims"]["aud"] == POLDA for line in result.out.splitlines())


def test_an_auditor_searches_page_by_page(served: Served) -> None:
    """--all follows every cursor; filters filter; one JSON object a line for machines."""
    for purpose in ("EARLY_WARNING", "PROFILING", "PROFILING"):
        served.warn(purpose=purpose)
    ask = ("transfers", "search", "--gateway", served.url, "--token-file", served.token("a-pages", "auditor"))
    first = served.ok(*ask, "--limit", "1", "--json").json
    assert (len(first["items"]), first["next"]) == (1, first["items"][0]["transfer"])
    assert "--all" in served.ok(*ask, "--limit", "1").err
    every = [
        json.loads(line)["transfer"] for line in served.ok(*ask, "--limit", "1", "--all", "--json").out.splitlines()
    ]
    assert every == sorted(set(every), reverse=True)
    refused = served.ok(*ask, "--decision", "refused", "--code", "rule.purpose", "--all", "--json").out.splitlines()
    assert len(refused) >= 2
    assert {json.loads(line)["decision"] for line in refused} == {"refused"}
    assert served.ok(*ask, "--to", "2020-01-01", "--json").json == {"items": [], "next": None}
    assert served(*ask, "--decision", "maybe").code == output.NO
    assert served(*ask, "--from", "yesterday").code == output.MISUSE


def test_only_the_protection_officer_finds_a_person(served: Served, tmp_path: Path) -> None:
    """The identifier comes from standard input, never from the command line, and not every auditor may ask."""
    served.warn()
    subject = json.dumps({"kind": "phone", "value": "+62 812 0000 0117"})
    ask = ("transfers", "search", "--gateway", served.url, "--subject-file", "-", "--json", "--token-file")
    denied = served(*ask, served.token("a-nosy", "auditor"), stdin=subject)
    assert (denied.code, "access.denied" in denied.err) == (output.NO, True)
    officer = served.token("dpo-here", "dpo")
    assert served.ok(*ask, officer, stdin=subject).json["items"]
    nobody = json.dumps({"kind": "phone", "value": "+6281299999999"})
    assert served.ok(*ask, officer, stdin=nobody).json["items"] == []
    assert "+6281299999999" not in "".join(served.transcript)
    served.ok("auditors", "revoke", "dpo-here", "--why", "END")
    assert served(*ask, officer, stdin=subject).code == output.NO


def test_a_case_is_found_by_type_and_number(served: Served) -> None:
    """The case that was sent as TYPE:NUMBER is asked for in the same way."""
    served.warn("--case", "LP:LP/B/7/XI/2026")
    ask = ("transfers", "search", "--gateway", served.url, "--token-file", served.token("a-case", "auditor"), "--json")
    (found,) = served.ok(*ask, "--case", "LP:LP/B/7/XI/2026").json["items"]
    assert found["withheld"] == ["/body/reporter"]
    assert served.ok(*ask, "--case", "LP:LP/B/8/XI/2026").json["items"] == []


def test_a_token_file_that_others_can_read_is_refused(served: Served) -> None:
    """An auditor's token is as good as the auditor."""
    token = served.token("a-careless", "auditor")
    token.chmod(0o644)
    result = served("transfers", "search", "--gateway", served.url, "--token-file", token)
    assert (result.code, "chmod 600" in result.err) == (output.MISUSE, True)
    wrong = served.secret("wrong.token", "wrong-token\n")
    result = served("transfers", "search", "--gateway", served.url, "--token-file", wrong)
    assert (result.code, "token.invalid" in result.err) == (output.NO, True)
    token.chmod(0o600)
    assert (
        served("transfers", "search", "--gateway", "http://127.0.0.1:1", "--token-file", token).code == output.UNASKED
    )
    assert served("transfers", "search", "--gateway", "ftp://x", "--token-file", token).code == output.MISUSE
    assert (
        served("transfers", "show", "../../metrics", "--gateway", served.url, "--token-file", token).code == output.NO
    )


def test_the_served_ledger_verifies_and_has_every_read_in_it(served: Served) -> None:
    """From its URL, with the pinned key; an auditor's look is an entry like any other."""
    key = next(row["vkey"] for row in served.ok("ledger", "list", "--json").json if row["ledger"] == "gateway")
    before = served.ok("ledger", "verify", f"{served.url}/ledger/gateway", "--vkey", key, "--json").json
    served.ok("transfers", "search", "--gateway", served.url, "--token-file", served.token("a-read", "auditor"))
    after = served.ok("ledger", "verify", f"{served.url}/ledger/gateway/", "--vkey", key, "--json").json
    assert (before["ok"], after["ok"]) == (True, True)
    # The new token, and the read with it.
    assert after["size"] == before["size"] + 2


def test_a_pinned_ledger_key_that_is_not_the_gateways_stops_a_send(served: Served) -> None:
    """A client that was given the right key notices another gateway before it sends anything."""
    other = served.ok("ledger", "list", "--json").json[0]["vkey"]
    forged = "127.0.0.1:1" + other[other.index("/ledger") :]
    result = served.warn("--vkey", forged)
    assert result.code in {output.NO, output.MISUSE}
    assert result.out == ""
