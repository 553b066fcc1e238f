"""`sinergi agreement` and `schemas`: what is in force was signed by everybody, and explains itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import resources
from gateway.agreement.document import agreement_from_json, parse_agreement
from gateway.cli import output
from tests import standing
from tests.cli.office import entries
from tests.cli.shell import AGENCIES, DOCUMENT, Shell

DISCLOSABLE = ["/body/reporter", "/body/recruiter", "/body/narrative"]


def version(shell: Shell, number: int) -> Path:
    """The shipped agreement under another version number."""
    path = shell.home / f"v{number}.yaml"
    path.write_text(standing.version(number, DOCUMENT.read_text()))
    return path


def two_agencies(shell: Shell) -> Shell:
    for agency in AGENCIES:
        shell.ok("agencies", "add", "--why", "T-1", agency, "--name", agency)
        shell.ok("keys", "import", "--why", "T-1", agency, shell.key(agency))
    return shell


def active(shell: Shell) -> list[int]:
    return [row["version"] for row in shell.ok("agreement", "list", "--json").json if row["active"]]


def warning(**changes: Any) -> str:
    """A message for --message: the published example, as the immigration office would send it."""
    examples = resources.schemas_dir() / "early-warning.report" / "1" / "examples"
    given = {
        "iss": "imigrasi-banten",
        "aud": "polda-banten",
        "type": "early-warning.report/1",
        "agreement": "pks-banten-2025",
        "purpose": "EARLY_WARNING",
        "classification": "R",
        "body": json.loads((examples / "valid-pulo-panjang.json").read_text()),
        "disclosable": DISCLOSABLE,
    }
    return json.dumps(given | changes)


def test_check_prints_the_digest_that_the_parties_sign(shell: Shell) -> None:
    """The digest is the agreement's identity; --json says the rest."""
    agreement = parse_agreement(DOCUMENT.read_text())
    assert shell.ok("agreement", "check", DOCUMENT).out == f"{agreement.digest}\n"
    told = shell.ok("agreement", "check", DOCUMENT, "--json").json
    assert (told["digest"], told["rules"]) == (agreement.digest, len(agreement.rules))


def test_show_json_is_the_canonical_document(shell: Shell) -> None:
    """What --json prints is byte for byte what the digest is over."""
    agreement = parse_agreement(DOCUMENT.read_text())
    shown = shell.ok("agreement", "show", DOCUMENT, "--json").out.removesuffix("\n").encode()
    assert agreement_from_json(shown).digest == agreement.digest
    assert "early-warning-report" in shell.ok("agreement", "show", DOCUMENT).out


def test_every_fault_of_a_document_is_told_with_its_line(shell: Shell, tmp_path: Path) -> None:
    """Two mistakes, two lines; the answer is no."""
    text = (
        DOCUMENT.read_text()
        .replace('clause: "1"', 'clause: "99"')
        .replace("onward_transfer: false", "onward_transfer: 3")
    )
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("onward_transfer: 3", "onward_transfer: false"))
    result = shell("agreement", "check", wrong)
    assert result.code == output.NO
    assert result.err.count("no such clause") >= 2
    assert "line " in result.err
    wrong.write_text(text)
    assert shell("agreement", "check", wrong).code == output.NO
    assert shell("agreement", "check", tmp_path / "missing.yaml").code == output.MISUSE


def test_an_agreement_signed_by_both_comes_into_force(fresh: Shell, tmp_path: Path) -> None:
    """It gets its ledger; both ledgers say who signed, and the gateway's who activated it."""
    two_agencies(fresh)
    signatures = [fresh.signed(DOCUMENT, agency) for agency in AGENCIES]
    dry = fresh.ok(
        "agreement",
        "activate",
        "--why",
        "T-1",
        DOCUMENT,
        "--signature",
        signatures[0],
        "--signature",
        signatures[1],
        "--dry-run",
    )
    assert "can be activated" in dry.err
    assert active(fresh) == []
    assert [row["ledger"] for row in fresh.ok("ledger", "list", "--json").json] == ["gateway"]
    assert fresh.activate(DOCUMENT, signatures).code == output.DONE
    assert active(fresh) == [1]
    (own,) = entries(fresh, "pks-banten-2025")
    assert (own["kind"], own["signers"]) == ("agreement.activated", list(AGENCIES))
    activated, act = entries(fresh)[-2:]
    assert activated["digest"] == own["digest"] == parse_agreement(DOCUMENT.read_text()).digest
    assert (act["what"], act["about"]) == ("agreement.activate", "pks-banten-2025/1")
    again = fresh.activate(DOCUMENT, signatures)
    assert again.code == output.NO
    assert "higher version" in again.err


def test_a_new_version_replaces_and_an_old_one_never_returns(house: Shell) -> None:
    """Versions only go up, though the old one's signatures still verify."""
    second = version(house, 2)
    assert house.activate(second, [house.signed(second, agency) for agency in AGENCIES]).code == output.DONE
    assert active(house) == [2]
    signatures = [house.home / f"pks-banten-2025-{agency}.jws" for agency in AGENCIES]
    assert house.activate(DOCUMENT, signatures).code == output.NO
    assert active(house) == [2]


def test_a_missing_signature_refuses(house: Shell) -> None:
    """One party's will is not an agreement; signing twice does not help."""
    third = version(house, 3)
    mine = house.signed(third, AGENCIES[0])
    for signatures in ([mine], [mine, mine]):
        result = house.activate(third, signatures)
        assert result.code == output.NO
        assert f"{AGENCIES[1]} has not signed this version" in result.err
    assert house("agreement", "activate", "--why", "T-1", third).code == output.MISUSE


def test_a_signature_of_another_version_refuses(house: Shell) -> None:
    """A party that signed version 4 has not signed version 5, though the texts differ in one digit."""
    fourth, fifth = version(house, 4), version(house, 5)
    result = house.activate(fifth, [house.signed(fifth, AGENCIES[0]), house.signed(fourth, AGENCIES[1])])
    assert result.code == output.NO
    assert f"{AGENCIES[1]} signed another document" in result.err


def test_a_signature_by_a_revoked_or_a_strangers_key_refuses(fresh: Shell) -> None:
    """Keys are judged at the moment of activation: revoked, suspended, never imported, another agency's."""
    two_agencies(fresh)
    signatures = [fresh.signed(DOCUMENT, agency) for agency in AGENCIES]
    fresh.key("stranger")
    foreign = fresh.signed(DOCUMENT, AGENCIES[1], "stranger")
    assert "no such key" in fresh.activate(DOCUMENT, [signatures[0], foreign]).err
    borrowed = fresh.home / "borrowed.jws"
    fresh.ok(
        "agreement", "sign", DOCUMENT, "--as", AGENCIES[1], "--key", f"file:{fresh.home / AGENCIES[0]}.pem",
        "--passphrase-file", fresh.home / f"{AGENCIES[0]}.pass", "--out", borrowed,
    )  # fmt: skip
    assert fresh.activate(DOCUMENT, [signatures[0], borrowed]).code == output.NO
    fresh.ok("agencies", "set", "--why", "T-1", AGENCIES[1], "--status", "suspended")
    assert "suspended" in fresh.activate(DOCUMENT, signatures).err
    fresh.ok("agencies", "set", "--why", "T-1", AGENCIES[1], "--status", "active")
    fresh.ok("keys", "revoke", AGENCIES[1], fresh.kid(AGENCIES[1]), "--why", "INC-7")
    result = fresh.activate(DOCUMENT, signatures)
    assert (result.code, "revoked" in result.err) == (output.NO, True)
    assert active(fresh) == []
    assert [row["ledger"] for row in fresh.ok("ledger", "list", "--json").json] == ["gateway"]


@pytest.mark.parametrize("text", ["", "not a signature", "a.b.c"])
def test_garbage_for_a_signature_refuses(house: Shell, text: str) -> None:
    """No traceback, one reason."""
    third = version(house, 9)
    garbage = house.home / "garbage.jws"
    garbage.write_text(text)
    result = house.activate(third, [garbage])
    assert result.code == output.NO
    assert "internal" not in result.err


def test_only_a_party_can_sign_and_only_with_its_passphrase(house: Shell, tmp_path: Path) -> None:
    """Signing needs the private key's file, its passphrase, and a name in the document."""
    key = f"file:{house.home / AGENCIES[0]}.pem"
    passphrase = house.home / f"{AGENCIES[0]}.pass"
    words = ("agreement", "sign", DOCUMENT, "--as")
    assert house(*words, "bnn", "--key", key, "--passphrase-file", passphrase).code == output.NO
    other = house.home / f"{AGENCIES[1]}.pass"
    result = house(*words, AGENCIES[0], "--key", key, "--passphrase-file", other)
    assert (result.code, result.out) == (output.MISUSE, "")
    printed = house.ok(*words, AGENCIES[0], "--key", key, "--passphrase-file", passphrase).out.strip()
    assert printed.count(".") == 2
    existing = tmp_path / "there.jws"
    existing.write_text("keep me")
    assert (
        house(*words, AGENCIES[0], "--key", key, "--passphrase-file", passphrase, "--out", existing).code
        == output.MISUSE
    )
    assert existing.read_text() == "keep me"


def test_explain_says_every_rule_in_words(shell: Shell) -> None:
    """A legal officer can read what the YAML says, with its source."""
    told = shell.ok("agreement", "explain", DOCUMENT).out
    agreement = parse_agreement(DOCUMENT.read_text())
    assert all(f"{rule.id}: {rule.title.en}" in told for rule in agreement.rules)
    assert "/body/reporter is withheld always" in told
    assert told.count("source (") == len(agreement.rules)


def test_explain_decides_a_message_without_recording_it(shell: Shell) -> None:
    """Permitted: the rule, what is withheld, until when it is kept and by when it is answered; no gateway is needed."""
    permitted = shell.ok("agreement", "explain", DOCUMENT, "--message", "-", stdin=warning()).out
    assert permitted.startswith("permitted\n")
    assert "rule: early-warning-report" in permitted
    assert "withheld: /body/narrative /body/recruiter /body/reporter" in permitted
    assert "keep until: " in permitted
    assert "acknowledge by: " in permitted
    with_case = warning(case={"type": "LP", "number": "LP/B/1/XI/2026"})
    decision = shell.ok("agreement", "explain", DOCUMENT, "--message", "-", "--json", stdin=with_case).json
    assert decision["withheld"] == ["/body/reporter"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"purpose": "PROFILING"}, "rule.purpose"),
        ({"disclosable": []}, "rule.field-not-disclosable"),
        ({"aud": "bnn"}, "rule.none"),
        ({"agreement": "other"}, "agreement.unknown"),
        ({"body": {}}, "schema.violated"),
        ({"type": "unheard-of/1"}, "schema.unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_explain_names_the_reasons_of_a_refusal(shell: Shell, changes: dict[str, Any], code: str) -> None:
    """The answer is no, exit 1, with the code that the gateway would give."""
    result = shell("agreement", "explain", DOCUMENT, "--message", "-", "--json", stdin=warning(**changes))
    assert result.code == output.NO
    assert result.json["permitted"] is False
    assert code in {reason["code"] for reason in result.json["reasons"]}


def test_explain_can_ask_about_another_day(shell: Shell) -> None:
    """Before a term ends one can see what will happen after it."""
    result = shell("agreement", "explain", DOCUMENT, "--message", "-", "--at", "2035-01-01", stdin=warning())
    assert (result.code, "agreement.inactive" in result.out) == (output.NO, True)


def test_explain_takes_a_signed_message_and_a_related_transfer(house: Shell, tmp_path: Path) -> None:
    """A message kept by `send` is explained as it is; a reply, with the transfer that it answers."""
    from gateway.keyring import load_signer
    from gateway.message.envelope import Claims, issue

    signer = load_signer(f"file:{house.home / AGENCIES[1]}.pem", f"passphrase-of-{AGENCIES[1]}".encode())
    transfer = "01a20a7a-b0ef-778e-9b00-c875ba0989be"
    examples = resources.schemas_dir() / "early-warning.acknowledgement" / "1" / "examples"
    body = json.loads(next(iter(sorted(examples.glob("valid-*.json")))).read_text())
    claims = Claims(
        iss=AGENCIES[1], aud=AGENCIES[0], iat=1_790_000_000, exp=1_790_003_600, jti="jti-12345678",
        type="early-warning.acknowledgement/1", agreement="pks-banten-2025", purpose="EARLY_WARNING",
        classification="R", in_reply_to=transfer,
    )  # fmt: skip
    message = tmp_path / "answer.sd-jwt"
    message.write_text(issue(claims, body, (), signer))
    alone = house("agreement", "explain", DOCUMENT, "--message", message)
    assert (alone.code, "answers-early-warning" in alone.out) == (output.NO, True)
    related = tmp_path / "related.json"
    related.write_text(
        json.dumps(
            {
                "transfer": transfer, "type": "early-warning.report/1", "sender": AGENCIES[0], "recipient": AGENCIES[1],
                "accepted": True, "open": True, "live": True,
            }
        )
    )  # fmt: skip
    house.ok("agreement", "explain", DOCUMENT, "--message", message, "--related", related)
    related.write_text('{"surprise": 1}')
    assert house("agreement", "explain", DOCUMENT, "--message", message, "--related", related).code == output.MISUSE


@pytest.mark.parametrize("text", ["", "nonsense", "{", '{"body": 3}', '{"body": {}, "disclosable": "x"}', "{}", "ü~"])
def test_what_is_no_message_is_no_decision(shell: Shell, text: str) -> None:
    """No traceback, and never "permitted"."""
    result = shell("agreement", "explain", DOCUMENT, "--message", "-", stdin=text)
    assert result.code in {output.NO, output.MISUSE}
    assert "internal" not in result.err
    assert "permitted" not in result.out


def test_schemas_are_listed_and_shown_complete(shell: Shell) -> None:
    """Each schema stands alone; the released form asks for fewer fields."""
    types = shell.ok("schemas", "list", "--json").json
    assert "early-warning.report/1" in [entry["type"] for entry in types]
    full = shell.ok("schemas", "show", "early-warning.report/1").json
    released = shell.ok("schemas", "show", "early-warning.report/1", "--released").json
    assert full["$schema"] == released["$schema"]
    assert set(released["required"]) < set(full["required"])
    assert shell("schemas", "show", "nothing/1").code == output.NO
