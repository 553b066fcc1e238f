"""Officers: who may approve a release, how an operator admits them, and what is never told of them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.jose import sign_jws
from gateway.keyring import load_signer
from gateway.ledger.entry import decode
from gateway.settings import load_settings
from gateway.statements.enrolment import ENROLMENT_TYP, Person, sign_enrolment, verify_enrolment
from gateway.store import queries
from gateway.wiring import now, open_store
from tests.cli.office import NAME, NIP, enrol
from tests.cli.shell import Result, Shell


def added(shell: Shell, statement: Path, *options: str) -> Result:
    return shell("agencies", "officers", "add", "--why", "T-1", statement, *options)


@pytest.fixture
def polda(fresh: Shell) -> Shell:
    fresh.ok("agencies", "add", "--why", "T-1", "polda-banten", "--name", "Polda Banten")
    return fresh


def test_an_officer_is_admitted_listed_and_revoked(polda: Shell) -> None:
    """From the statement at the officer's machine to the end of the key, each step an answer and an exit code."""
    statement = enrol(polda, "sari")
    assert added(polda, statement).out.strip() == polda.kid("sari")
    (held,) = polda.ok("agencies", "officers", "list", "polda-banten", "--json").json
    assert (held["kid"], held["role"], held["unit"], held["status"]) == (
        polda.kid("sari"), "PPA_OFFICER", "Unit PPA", "active",
    )  # fmt: skip
    assert polda.ok("agencies", "officers", "list", "imigrasi-banten", "--json").json == []
    revoke = ("agencies", "officers", "revoke", "polda-banten", polda.kid("sari"), "--why", "MUTASI-7")
    assert "Nothing was changed" in polda.ok(*revoke, "--dry-run").err
    assert polda.ok(*revoke, "--json").json["status"] == "revoked"
    (held,) = polda.ok("agencies", "officers", "list", "--json").json
    assert held["status"] == "revoked"
    assert polda(*revoke).code == 1


def test_name_and_number_are_told_only_when_they_are_asked_for(polda: Shell) -> None:
    """The ledger and the database hold neither in clear; the list opens them on request alone."""
    statement = enrol(polda, "sari")
    assert statement.stat().st_mode & 0o777 == 0o600
    polda.ok("agencies", "officers", "add", "--why", "T-1", statement)
    listed = polda.ok("agencies", "officers", "list", "--json")
    assert NIP not in listed.out
    assert NAME not in listed.out
    (held,) = polda.ok("agencies", "officers", "list", "--names", "--json").json
    assert (held["id"], held["name"]) == (NIP, NAME)
    for path in (polda.home / "gw").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert NIP.encode() not in content, path
            assert NAME.encode() not in content, path


def test_the_ledger_names_the_key_and_the_role(polda: Shell) -> None:
    """`officer.added` and `officer.revoked` are there, with who did it, and with nothing else about the person."""
    polda.ok("agencies", "officers", "add", "--why", "T-1", enrol(polda, "sari"))
    polda.ok("agencies", "officers", "revoke", "polda-banten", polda.kid("sari"), "--why", "MUTASI-7")
    with open_store(load_settings(polda.config)) as store, store.database.reading() as session:
        entries = [decode(leaf) for leaf in queries.leaves(session, "gateway", 0, 256)]
    kinds = {entry["kind"]: entry for entry in entries}
    assert kinds["officer.added"].keys() == {
        "v", "kind", "time", "agency", "key", "role", "not_before", "not_after",
    }  # fmt: skip
    assert kinds["officer.added"]["role"] == "PPA_OFFICER"
    assert kinds["officer.revoked"].items() >= {"key": polda.kid("sari"), "why": "MUTASI-7"}.items()
    whats = [entry["what"] for entry in entries if entry["kind"] == "operator.act"]
    assert whats[-2:] == ["officers.add", "officers.revoke"]


def test_a_key_is_one_party_s(polda: Shell) -> None:
    """An agency's key never approves, an officer's never speaks for an agency, a revoked one never comes back."""
    polda.ok("keys", "import", "--why", "T-1", "polda-banten", polda.key("polda"))
    refused = added(polda, enrol(polda, "polda"))
    assert (refused.code, "known already" in refused.err) == (1, True)
    polda.ok("agencies", "officers", "add", "--why", "T-1", enrol(polda, "sari"))
    again = added(polda, enrol(polda, "sari", id="another"))
    assert (again.code, "known already" in again.err) == (1, True)
    imported = polda("keys", "import", "--why", "T-1", "polda-banten", polda.home / "sari.jwk")
    assert (imported.code, "officer" in imported.err) == (1, True)
    polda.ok("agencies", "officers", "revoke", "polda-banten", polda.kid("sari"), "--why", "INC-1")
    assert added(polda, enrol(polda, "sari")).code == 1


def test_a_statement_is_for_one_gateway_and_one_agency(polda: Shell) -> None:
    """Another gateway's statement is misuse; an agency that is not there is a no."""
    elsewhere = added(polda, enrol(polda, "sari", gateway="gw-other"))
    assert (elsewhere.code, "another gateway" in elsewhere.err) == (2, True)
    unknown = added(polda, enrol(polda, "sari", agency="nobody"))
    assert (unknown.code, "no agency nobody" in unknown.err) == (1, True)
    assert polda.ok("agencies", "officers", "list", "--json").json == []


def test_a_role_is_one_of_the_code_list(polda: Shell) -> None:
    """The answer lists the roles that there are."""
    refused = added(polda, enrol(polda, "sari", role="CHIEF_OF_EVERYTHING"))
    assert refused.code == 2
    assert "VICTIM_PROTECTION_OFFICER" in refused.err


def test_nobody_is_enrolled_with_a_key_they_do_not_hold(polda: Shell) -> None:
    """A statement with somebody else's public key, signed with one's own, proves nothing."""
    polda.key("mine")
    polda.key("theirs")
    mine = load_signer(f"file:{polda.home / 'mine.pem'}", b"passphrase-of-mine")
    theirs = json.loads((polda.home / "theirs.jwk").read_text())
    public = {name: theirs[name] for name in ("kty", "crv", "x")}
    payload = {
        "iss": "polda-banten", "aud": "gw-test", "iat": int(now().timestamp()), "id": NIP, "name": NAME,
        "role": "PPA_OFFICER", "unit": "Unit PPA", "jwk": public,
    }  # fmt: skip
    forged = polda.secret("forged.jws", sign_jws(payload, ENROLMENT_TYP, mine))
    refused = added(polda, forged)
    assert (refused.code, "header does not fit the key" in refused.err) == (2, True)


def test_a_dry_run_shows_the_statement_and_admits_nobody(polda: Shell) -> None:
    """The operator can hold it against the letter of appointment first."""
    shown = polda.ok("agencies", "officers", "add", "--why", "T-1", enrol(polda, "sari"), "--dry-run")
    assert NAME in shown.err
    assert polda.ok("agencies", "officers", "list", "--json").json == []


def test_a_statement_is_read_exactly(polda: Shell) -> None:
    """Old, of the future, with a member more or with a private key in it: each is refused."""
    polda.key("sari")
    signer = load_signer(f"file:{polda.home / 'sari.pem'}", b"passphrase-of-sari")
    person = Person(id=NIP, name=NAME, role="PPA_OFFICER", unit="Unit PPA")
    time = now()
    good = sign_enrolment(person, "polda-banten", "gw-test", key=signer.public, signer=signer, now=time)
    enrolment = verify_enrolment(good, "gw-test", time)
    assert enrolment.key == signer.public
    assert NIP not in repr(enrolment)
    for moment in (time + timedelta(days=8), time - timedelta(minutes=2)):
        with pytest.raises(GatewayError, match="in the last 7 days"):
            verify_enrolment(good, "gw-test", moment)
    payload = {
        "iss": "polda-banten", "aud": "gw-test", "iat": int(time.timestamp()), "id": NIP, "name": NAME,
        "role": "PPA_OFFICER", "unit": "Unit PPA", "jwk": dict(signer.public.jwk),
    }  # fmt: skip
    verify_enrolment(sign_jws(payload, ENROLMENT_TYP, signer), "gw-test", time)
    wrong = (
        {"birth_date": "1980-01-15"},
        {"iat": True},
        {"name": "a\nb"},
        {"role": "ppa"},
        {"jwk": {**signer.public.jwk, "d": "AAAA"}},
        {"jwk": "none"},
    )
    for change in wrong:
        with pytest.raises(GatewayError):
            verify_enrolment(sign_jws(payload | change, ENROLMENT_TYP, signer), "gw-test", time)
    with pytest.raises(GatewayError):
        verify_enrolment(sign_jws(payload, "approval+jwt", signer), "gw-test", time)
