"""A gateway with operators of its own: what one may do, what takes two, and how each rule is attacked."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.context import Invocation
from gateway.cli.duties import DUTIES, ROLES
from gateway.cli.main import app
from gateway.cli.output import DONE, MISUSE
from gateway.countersigning import approve
from gateway.errors import OperatorError
from gateway.founding import RefusedError
from gateway.jose import parse_jws, public_key_from_jwk, verify_jws
from gateway.key_management.compromise import compromise
from gateway.keyring import load_signer, signer_for
from gateway.operations.acts import Authority
from gateway.operations.agency_keys import import_key, revoke_key
from gateway.operations.officers import add_officer
from gateway.operations.operators import admit_operator
from gateway.operations.proposals import find, judge
from gateway.settings import load_settings
from gateway.statements.proposal import PROPOSAL_TYP, parse_proposal, sign_proposal
from gateway.wiring import open_store
from tests.cli.office import NAME, enrol, entries
from tests.cli.operated import (
    IMIGRASI,
    POLDA,
    acts,
    admitted,
    by,
    key_of,
    operated,
    passphrase_of,
    proposed,
    refused,
    stated,
    statement_of,
)
from tests.cli.shell import Shell


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Three operators, an agency with a key and a recovery key, and another agency with a key."""
    shell = operated(tmp_path_factory.mktemp("gate"), "sari", "budi", "dewi")
    assert by(shell, "sari", "agencies", "add", "--why", "T-1", IMIGRASI, "--name", "Imigrasi").code == DONE
    for done in (
        admitted(shell, stated(shell, "polda")),
        admitted(shell, stated(shell, "imigrasi", agency=IMIGRASI), agency=IMIGRASI),
        admitted(shell, stated(shell, "spare", use="recovery", endorser="polda")),
    ):
        assert done.code == DONE, done.err
    return shell


# Who may run what.


def every_command(group: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, (*path, name))
        else:
            yield " ".join((*path, name))


def test_every_command_says_who_may_run_it() -> None:
    """A new command without an entry fails here; so does an entry without a command, or of a role that nobody has."""
    assert set(every_command(typer.main.get_command(app))) == set(DUTIES)
    assert {duty.role for duty in DUTIES.values()} <= set(ROLES)


CHANGES: dict[str, tuple[str, ...]] = {
    "agencies set": (POLDA, "--status", "suspended", "--why", "T-1"),
    "operators revoke": ("k" * 43, "--why", "T-1"),
    "agencies keys approve": ("0" * 64,),
    "keys revoke": (POLDA, "k" * 43, "--why", "T-1"),
    "keys compromised": (POLDA, "k" * 43, "--since", "2026-11-20", "--why", "T-1"),
    "keys rotate": ("--role", "sign", "--why", "T-1"),
    "auditors issue": ("bpk-01", "--name", "BPK", "--role", "auditor", "--days", "30", "--why", "T-1"),
    "retention run": ("--why", "T-1"),
    "transfers redeliver": ("019a9c5e-7a10-7cc3-8a2e-0d6f6f1b2c3d", "--why", "T-1"),
}


@pytest.mark.parametrize("command", sorted(CHANGES))
def test_a_name_alone_does_nothing(gate: Shell, command: str) -> None:
    """Without a key a command that changes something is misuse, whatever name is given; nothing is written."""
    size = len(entries(gate))
    done = gate(*command.split(), *CHANGES[command], "--operator", "sari")
    assert (done.code, "this gateway has operators" in done.err) == (MISUSE, True), done.err
    assert len(entries(gate)) == size


def test_no_command_of_an_operator_s_opens_the_store_without_a_key(gate: Shell) -> None:
    """The same of every command in the table; and of one that is not in it."""
    wanting = [command for command, duty in DUTIES.items() if duty.needs_operator]
    with open_store(load_settings(gate.config)) as store:
        for command in (*wanting, "a command that nobody wrote down"):
            with pytest.raises(OperatorError, match="this gateway has operators"):
                Invocation(gate.config, command=command)._show_key(store)


def test_a_key_that_is_no_operator_s_does_nothing(gate: Shell) -> None:
    """A stranger's, an agency's, and the recovery key: none of them acts."""
    for name in ("stranger", "polda", "spare"):
        refused(by(gate, name, "agencies", "set", "--why", "T-1", POLDA, "--name", "Mine"), "not an operator's")


def test_nobody_acts_under_another_s_name(gate: Shell) -> None:
    """The ledger names whose key it is; a name that does not fit is refused."""
    refused(
        by(gate, "sari", "agencies", "set", "--why", "T-1", POLDA, "--name", "Polda", "--operator", "budi"),
        "sari's, not budi's",
    )
    assert by(gate, "sari", "agencies", "set", "--why", "T-1", POLDA, "--name", "Kepolisian Daerah Banten").code == DONE
    assert acts(gate)[-1]["who"] == "sari"


def test_reading_asks_for_no_key(gate: Shell) -> None:
    """Lists, states and checks are for whoever may read the gateway's files."""
    for command in ("operators list", "agencies list", "agencies keys list", "keys list", "keys history"):
        gate.ok(*command.split())


# What takes two.


def test_an_agency_s_key_is_admitted_by_two(gate: Shell) -> None:
    """Proposed by one, approved by another: both keys and the document's digest are in the entry, and the old key has an end."""
    statement = stated(gate, "next", endorser="polda")
    shown = by(gate, "sari", "agencies", "keys", "propose", POLDA, statement, "--why", "T-7", "--dry-run")
    assert "Nothing was changed" in shown.err
    assert gate.kid("next") in shown.err
    size = len(entries(gate))
    id_ = proposed(gate, "sari", "agencies", "keys", "propose", POLDA, statement, "--why", "T-7", "--overlap-days", "3")
    assert gate.kid("next") not in gate.ok("agencies", "keys", "list", POLDA, "--json").out
    done = by(gate, "budi", "agencies", "keys", "approve", id_)
    assert done.code == DONE, done.err
    act = acts(gate)[-1]
    assert act == act | {
        "what": "keys.admit", "about": POLDA, "why": "T-7", "who": "sari+budi", "digest": id_,
        "approvals": [gate.kid("sari"), gate.kid("budi")],
    }  # fmt: skip
    assert [entry["kind"] for entry in entries(gate)[size:]] == [
        "operator.act", "key.added", "key.retired", "operator.act",
    ]  # fmt: skip
    keys = {key["kid"]: key for key in gate.ok("agencies", "keys", "list", POLDA, "--json").json}
    assert keys[gate.kid("next")]["status"] == keys[gate.kid("polda")]["status"] == "active"
    end = datetime.fromisoformat(keys[gate.kid("polda")]["not_after"])
    assert timedelta(days=2, hours=23) < end - datetime.now(UTC) < timedelta(days=3, minutes=1)
    # Both signatures are kept, and prove it without the database: over the document, by the operators' published keys.
    (kept,) = [one for one in gate.ok("operators", "proposals", "--all", "--json").json if one["id"] == id_]
    public = {one["kid"]: public_key_from_jwk(one["jwk"]) for one in gate.ok("operators", "list", "--json").json}
    document = parse_proposal(gate.ok("operators", "show", id_).out.strip().encode())
    assert (kept["state"], document.digest, len(kept["signatures"])) == ("done", id_, 2)
    for text, kid in zip(kept["signatures"], act["approvals"], strict=True):
        signed = verify_jws(parse_jws(text, PROPOSAL_TYP), public[kid])
        assert dict(signed.payload) == document.members()
    gate.ok("keys", "history")


def test_one_operator_is_not_two(gate: Shell) -> None:
    """Not by approving the own proposal, not with a second key of the same person, not with a forged signature."""
    id_ = proposed(
        gate, "sari", "agencies", "keys", "propose", POLDA, stated(gate, "k1", endorser="polda"), "--why", "T-1"
    )
    refused(by(gate, "sari", "operators", "approve", id_), "1 of 2 operators")
    second = proposed(gate, "sari", "operators", "add", statement_of(gate, "sari2", operator="sari"), "--why", "T-2")
    assert by(gate, "budi", "operators", "approve", second).code == DONE
    refused(by(gate, "sari2", "operators", "approve", id_), "1 of 2 operators")
    document = gate.secret("document.json", gate.ok("operators", "show", id_).out)
    for name in ("stranger", "sari"):
        out = gate.home / f"by-{name}.jws"
        gate.ok("operators", "sign", document, *key_of(gate, name), "--out", out)
        refused(by(gate, "sari", "operators", "approve", id_, "--signature", out))
    assert gate.kid("k1") not in gate.ok("agencies", "keys", "list", POLDA, "--json").out
    assert by(gate, "budi", "operators", "withdraw", "--why", "T-1", id_).code == DONE


def test_a_signature_made_elsewhere_is_the_second_one(gate: Shell) -> None:
    """The document is taken to the other operator's machine, signed there, and brought back."""
    statement = stated(gate, "k2", endorser="polda")
    id_ = proposed(gate, "sari", "agencies", "keys", "propose", POLDA, statement, "--why", "T-1")
    document = gate.secret("elsewhere.json", gate.ok("operators", "show", id_[:12]).out)
    out = gate.home / "elsewhere.jws"
    told = gate.ok("operators", "sign", document, *key_of(gate, "budi"), "--out", out)
    assert (told.out.strip(), gate.kid("k2") in told.err) == (id_, True)
    assert by(gate, "sari", "operators", "approve", id_, "--signature", out).code == DONE


def test_a_proposal_is_good_for_one_act(gate: Shell) -> None:
    """Approved, withdrawn, or expired: it is never used again, nor proposed again."""
    statement = stated(gate, "k3", endorser="polda")
    propose = ("agencies", "keys", "propose", POLDA, statement, "--why", "T-1")
    id_ = proposed(gate, "sari", *propose)
    assert by(gate, "budi", "operators", "approve", id_).code == DONE
    refused(by(gate, "dewi", "operators", "approve", id_), "done already")
    again = proposed(gate, "sari", *propose)
    refused(by(gate, "budi", "operators", "approve", again), "already")
    assert by(gate, "dewi", "operators", "withdraw", "--why", "T-1", again).code == DONE
    refused(by(gate, "budi", "operators", "approve", again), "withdrawn already")
    old = proposed(gate, "sari", "operators", "add", statement_of(gate, "late"), "--why", "T-1")
    with closing(sqlite3.connect(gate.config.parent / "sinergi.db")) as database:
        database.execute("UPDATE proposal SET expires_at = 1 WHERE id = ?", (old,))
        database.commit()
    refused(by(gate, "budi", "operators", "approve", old), "expired")
    refused(gate("operators", "show", "0" * 64), "no such proposal")
    assert gate("operators", "show", "0" * 7).code == MISUSE


def test_what_was_signed_is_what_is_done(gate: Shell) -> None:
    """A statement or a document that was exchanged in the database after the first signature is not what is approved."""
    first, other = stated(gate, "k4", endorser="polda"), stated(gate, "k5", endorser="polda")
    id_ = proposed(gate, "sari", "agencies", "keys", "propose", POLDA, first, "--why", "T-1")
    database = gate.config.parent / "sinergi.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE proposal SET attachment = ? WHERE id = ?", (other.read_text().strip(), id_))
        connection.commit()
    refused(by(gate, "budi", "operators", "approve", id_), "not the one that was proposed")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "UPDATE proposal SET document = CAST(replace(document, 'T-1', 'T-2') AS BLOB) WHERE id = ?", (id_,)
        )
        connection.commit()
    refused(by(gate, "budi", "operators", "approve", id_), "not the one that was made")
    for name in ("k4", "k5"):
        assert gate.kid(name) not in gate.ok("agencies", "keys", "list", "--json").out
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM proposal WHERE id = ?", (id_,))
        connection.commit()


def test_what_was_signed_for_another_gateway_is_nothing_here(gate: Shell) -> None:
    """The same two run a gateway for trying things out: what they sign there, put into this database, is void."""
    statement = statement_of(gate, "kiki")
    id_ = proposed(gate, "sari", "operators", "add", statement, "--why", "T-1")
    sari, budi = (
        load_signer(f"file:{gate.home / name}.pem", passphrase_of(name).encode()) for name in ("sari", "budi")
    )
    with open_store(load_settings(gate.config)) as store:
        kept = find(store, id_)
        there = replace(kept.proposal, gateway="gw-tried-out")
        put = replace(kept, id=there.digest, proposal=there, signature=sign_proposal(there, sari))
        with pytest.raises(RefusedError, match="another gateway"):
            approve(store, put, sign_proposal(there, budi))
    assert by(gate, "dewi", "operators", "withdraw", "--why", "T-1", id_).code == DONE


def test_who_is_admitted_is_who_was_signed_for(gate: Shell) -> None:
    """One key, two statements: what is signed as a second key of one person does not make another person of them."""
    id_ = proposed(gate, "sari", "operators", "add", statement_of(gate, "gita", operator="sari"), "--why", "T-1")
    invented = statement_of(gate, "gita", operator="zul")
    with closing(sqlite3.connect(gate.config.parent / "sinergi.db")) as connection:
        connection.execute("UPDATE proposal SET attachment = ? WHERE id = ?", (invented.read_text().strip(), id_))
        connection.commit()
    refused(by(gate, "budi", "operators", "approve", id_), "not the one that was proposed")
    assert gate.kid("gita") not in gate.ok("operators", "list", "--json").out


@pytest.mark.parametrize(
    ("name", "endorser"), [("thief", None), ("thief", "thief"), ("thief", "imigrasi"), ("polda", "polda")]
)
def test_a_key_of_nobody_s_is_not_even_proposed(gate: Shell, name: str, endorser: str | None) -> None:
    """Without the agency's endorsement, with the new key's own, with another agency's: refused at once. A known key as well."""
    statement = stated(gate, name, endorser=endorser)
    done = by(gate, "sari", "agencies", "keys", "propose", POLDA, statement, "--why", "T-1")
    if name == "polda":
        assert done.code == DONE
        refused(by(gate, "budi", "operators", "approve", done.out.strip()), "already")
    else:
        refused(done)
    assert by(gate, "sari", "agencies", "keys", "propose", IMIGRASI, stated(gate, "k6", endorser="polda"), "--why",
              "T-1").code == MISUSE  # fmt: skip


def test_no_other_command_admits_a_key(gate: Shell) -> None:
    """`keys import` is for a gateway without operators; a function that is called without the commands refuses as well."""
    refused(by(gate, "sari", "keys", "import", "--why", "T-1", POLDA, gate.key("k7")), "two operators must sign")


def test_a_lost_key_is_replaced_by_the_recovery_key(gate: Shell) -> None:
    """The offline key endorses in its place, and two operators agree; once revoked it endorses nothing more."""
    statement = stated(gate, "k8", endorser="spare")
    shown = by(
        gate, "sari", "agencies", "keys", "propose", POLDA, statement, "--why", "T-1", "--dry-run", "--json"
    ).json
    assert (shown["recovered"], shown["endorsed_by"]) == (True, gate.kid("spare"))
    assert admitted(gate, statement).code == DONE
    refused(by(gate, "sari", "agencies", "keys", "propose", POLDA,
               stated(gate, "spare2", use="recovery", endorser="k8"), "--why", "T-1"), "its own word")  # fmt: skip
    assert by(gate, "sari", "keys", "revoke", POLDA, gate.kid("spare"), "--why", "INC-3").code == DONE
    stale = stated(gate, "k9", endorser="spare")
    refused(by(gate, "sari", "agencies", "keys", "propose", POLDA, stale, "--why", "T-1"))
    assert admitted(gate, stated(gate, "spare3", use="recovery", endorser="k8")).code == DONE
    gate.ok("keys", "history")


def test_a_past_compromise_takes_two_and_a_revocation_one(gate: Shell) -> None:
    """`keys revoke` ends a key at once; what casts doubt on the past is proposed, and done by the second signature."""
    for name in ("k10", "k11"):
        assert admitted(gate, stated(gate, name, endorser="polda")).code == DONE
    assert by(gate, "sari", "keys", "revoke", POLDA, gate.kid("k10"), "--why", "INC-1").code == DONE
    assert acts(gate)[-1] == acts(gate)[-1] | {"what": "keys.revoke", "who": "sari", "why": "INC-1"}
    since = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    id_ = proposed(gate, "sari", "keys", "revoke", POLDA, gate.kid("k11"), "--why", "INC-2", "--since", since)
    statuses = {key["kid"]: key["status"] for key in gate.ok("agencies", "keys", "list", "--json").json}
    assert (statuses[gate.kid("k10")], statuses[gate.kid("k11")]) == ("revoked", "active")
    assert by(gate, "dewi", "operators", "approve", id_).code == DONE
    statuses = {key["kid"]: key["status"] for key in gate.ok("agencies", "keys", "list", "--json").json}
    assert statuses[gate.kid("k11")] == "revoked"
    refused(by(gate, "budi", "operators", "approve", id_), "done already")
    assert acts(gate)[-1]["approvals"] == [gate.kid("sari"), gate.kid("dewi")]


def test_a_revoked_operator_neither_acts_nor_counts(gate: Shell) -> None:
    """One operator ends another's key at once; what that one proposed, and nobody approved yet, is worth nothing."""
    added = proposed(gate, "sari", "operators", "add", statement_of(gate, "eko"), "--why", "SK-9")
    assert by(gate, "budi", "operators", "approve", added).code == DONE
    waiting = proposed(gate, "eko", "operators", "add", statement_of(gate, "fajar"), "--why", "SK-10")
    assert by(gate, "sari", "operators", "revoke", gate.kid("eko"), "--why", "INC-4").code == DONE
    refused(by(gate, "eko", "agencies", "set", "--why", "T-1", POLDA, "--name", "X"), "revoked")
    refused(by(gate, "budi", "operators", "approve", waiting), "revoked")
    refused(by(gate, "sari", "operators", "revoke", gate.kid("eko"), "--why", "INC-4"), "already")
    again = proposed(gate, "sari", "operators", "add", statement_of(gate, "eko"), "--why", "SK-11")
    refused(by(gate, "budi", "operators", "approve", again), "known already")


def test_a_person_s_key_is_one_party_s(gate: Shell) -> None:
    """An agency's key is no operator's, an operator's no agency's; no statement serves two gateways."""
    wrong = proposed(gate, "sari", "operators", "add", statement_of(gate, "polda", operator="gani"), "--why", "T-1")
    refused(by(gate, "budi", "operators", "approve", wrong), "known already")
    mine = admitted(gate, stated(gate, "dewi", endorser="polda"))
    refused(mine, "operator dewi's")
    elsewhere = statement_of(gate, "hadi", gateway="gw-other")
    assert by(gate, "sari", "operators", "add", elsewhere, "--why", "T-1").code == MISUSE


def test_signatures_are_used_up_by_whoever_calls(gate: Shell) -> None:
    """Past every command: judged signatures do one act, none after a change of operators, none when they expired meanwhile."""
    statements = [statement_of(gate, name) for name in ("ivan", "joko")]
    ids = [proposed(gate, "sari", "operators", "add", one, "--why", "T-1") for one in statements]
    budi = load_signer(f"file:{gate.home / 'budi.pem'}", passphrase_of("budi").encode())
    with open_store(load_settings(gate.config)) as store:

        def judged(id_: str) -> Authority:
            kept = find(store, id_)
            return judge(store, kept, sign_proposal(kept.proposal, budi))

        def admit(number: int, by: Authority) -> None:
            name = ("ivan", "joko")[number]
            admit_operator(store, statements[number].read_text(), name, gate.kid(name), why="T-1", who=by)

        before, by = judged(ids[1]), judged(ids[0])
        admit(0, by)
        with pytest.raises(RefusedError, match="changed meanwhile"):
            admit(1, before)
        with pytest.raises(RefusedError, match="used or withdrawn"):
            admit(1, replace(by, config_version=judged(ids[1]).config_version))
        late = judged(ids[1])
        with closing(sqlite3.connect(gate.config.parent / "sinergi.db")) as database:
            database.execute("UPDATE proposal SET expires_at = 1 WHERE id = ?", (ids[1],))
            database.commit()
        with pytest.raises(RefusedError, match="has expired"):
            admit(1, late)
        with pytest.raises(RefusedError, match="two operators must sign"):
            admit(1, Authority("sari+budi", approvals=by.approvals))
    assert gate.kid("joko") not in gate.ok("operators", "list", "--json").out


def test_no_function_does_alone_what_takes_two(gate: Shell) -> None:
    """Called with a name, past every command: a key, a past compromise and an officer are refused under the recorder's lock."""
    officer, size = enrol(gate, "iptu").read_text().strip(), len(entries(gate))
    since = datetime.now(UTC) - timedelta(hours=1)
    jwk = signer_for(Ed25519PrivateKey.generate()).public.jwk
    with open_store(load_settings(gate.config)) as store:
        for alone in (
            lambda: import_key(store, POLDA, jwk, why="T-1", who="sari"),
            lambda: revoke_key(store, IMIGRASI, gate.kid("imigrasi"), why="T-1", who="sari", since=since),
            lambda: compromise(store, IMIGRASI, gate.kid("imigrasi"), since, why="T-1", who="sari"),
            lambda: add_officer(store, officer, why="T-1", who="sari"),
        ):
            with pytest.raises(RefusedError, match="two operators must sign"):
                alone()
    assert len(entries(gate)) == size


def test_an_officer_is_admitted_by_two_who_both_read_the_statement(gate: Shell) -> None:
    """The name waits nowhere: the second operator brings the statement again, and another one is refused."""
    first, other = enrol(gate, "ipda"), enrol(gate, "kompol", id="197901012004011001")
    assert by(gate, "sari", "agencies", "officers", "add", first).code == MISUSE
    id_ = proposed(gate, "sari", "agencies", "officers", "add", first, "--why", "SPRIN-7")
    assert NAME.encode() not in (gate.config.parent / "sinergi.db").read_bytes()
    approve = ("agencies", "officers", "approve", id_)
    refused(by(gate, "sari", *approve, first), "1 of 2 operators")
    refused(by(gate, "budi", *approve, other), "not the one that was proposed")
    assert by(gate, "budi", "operators", "approve", id_).code == MISUSE
    assert by(gate, "sari", "agencies", "officers", "list", "--json").json == []
    assert by(gate, "budi", *approve, first).code == DONE
    (held,) = by(gate, "sari", "agencies", "officers", "list", "--json").json
    assert (held["kid"], held["status"]) == (gate.kid("ipda"), "active")
    act = acts(gate)[-1]
    assert (act["what"], act["why"], act["approvals"]) == (
        "officers.add",
        "SPRIN-7",
        [gate.kid("sari"), gate.kid("budi")],
    )
