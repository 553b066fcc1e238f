"""What takes two operators since the gateway's own keys and the places of messages do: each done by two, and by nobody alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import delete, update
from sqlmodel import col

from gateway.cli.duties import DUTIES
from gateway.cli.main import app
from gateway.cli.output import DONE, MISUSE
from gateway.countersigning import approve
from gateway.errors import MalformedError
from gateway.founding import RefusedError
from gateway.key_management import reindexing
from gateway.key_management.own_compromise import compromise_own
from gateway.key_management.rotation import rotate
from gateway.keyring import load_signer
from gateway.keys.directory import Endpoint, parse_endpoint
from gateway.keys.keychain import OwnKey, state
from gateway.operations.acts import Authority, act
from gateway.operations.agencies import add_agency, change_agency
from gateway.operations.proposals import find, judge, propose
from gateway.settings import load_settings
from gateway.statements.proposal import LIFETIME, draft, sign_proposal
from gateway.store import queries
from gateway.store.configuration import Configuration
from gateway.store.tables import ProposalRow
from gateway.wiring import Store, now, open_store
from tests.cli.office import entries
from tests.cli.operated import GATEWAY, POLDA, acts, by, operated, passphrase_of, proposed, refused
from tests.cli.shell import Shell

PLACE = ("--endpoint", "https://a.example/in", "--allow-network", "203.0.113.0/28")
THERE = parse_endpoint("https://b.example/in", ["203.0.113.0/28"])


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Two operators, and an agency without an endpoint."""
    return operated(tmp_path_factory.mktemp("two"), "sari", "budi")


@pytest.fixture
def store(gate: Shell) -> Iterator[Store]:
    with open_store(load_settings(gate.config)) as opened:
        yield opened


def own_keys(store: Store, role: str) -> list[OwnKey]:
    with store.database.reading() as session:
        return [key for key in queries.own_keys(session) if key.role == role]


def staged(shell: Shell, role: str) -> dict[str, str]:
    """The gateway's keys of a role that are not over, and how each stands."""
    rows = shell("keys", "status", "--json").json
    return {row["kid"]: row["state"] for row in rows if (row["owner"], row["role"]) == (GATEWAY, role)}


def approved(shell: Shell, id_: str, by_whom: str = "budi") -> str:
    done = by(shell, by_whom, "operators", "approve", id_)
    assert done.code == DONE, done.err
    return done.err


# Every act says why.

# The reason is in what two of them sign.
REASONED = {"operators approve", "agencies keys approve", "agencies officers approve", "keys ceremony record"}
# They change nothing at the gateway.
HARMLESS = {
    "operators enrol",
    "operators sign",
    "agencies officers list",
    "keys ceremony create",
    "keys ceremony recover",
}
HARMLESS |= {"subjects find", "subjects show"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_act_of_an_operator_states_a_reason() -> None:
    """`--why` is required of whatever changes something, and its help says that it names no person."""
    wanting = {name for name, duty in DUTIES.items() if duty.needs_operator} - REASONED - HARMLESS
    given = {}
    for name, command in commands(typer.main.get_command(app)):
        for option in command.params:
            if option.name == "why":
                given[name] = option.required
    assert {name for name in wanting if not given.get(name)} == set()


# The gateway's own keys.


def test_the_gateway_s_key_is_rotated_by_two(gate: Shell) -> None:
    """The first signature makes nothing, not even a file; the second announces the key, and both stand in the entry."""
    folder = gate.config.parent / "keys"
    files, before = sorted(folder.iterdir()), staged(gate, "sign")
    id_ = proposed(gate, "sari", "keys", "rotate", "--role", "sign", "--why", "T-1", "--lead", "3600")
    refused(by(gate, "sari", "operators", "approve", id_), "1 of 2 operators")
    assert (staged(gate, "sign"), sorted(folder.iterdir())) == (before, files)
    assert "the new sign key" in approved(gate, id_)
    assert sorted(staged(gate, "sign").values()) == ["active", "pending"]
    assert acts(gate)[-1] == acts(gate)[-1] | {
        "what": "keys.rotate/sign", "who": "sari+budi", "digest": id_, "approvals": [gate.kid("sari"), gate.kid("budi")],
    }  # fmt: skip
    gate.ok("keys", "history")


def test_a_planned_rotation_gives_way_to_an_urgent_one(gate: Shell) -> None:
    """With `--instead` the announced key never begins, the ledger says so, and the one in use ends as the new one says."""
    role = ("--role", "request", "--why", "T-1")
    approved(gate, proposed(gate, "sari", "keys", "rotate", *role, "--lead", "604800"))
    (planned,) = [kid for kid, told in staged(gate, "request").items() if told == "pending"]
    refused(by(gate, "sari", "keys", "rotate", *role, "--lead", "0"), "--instead")
    approved(gate, proposed(gate, "sari", "keys", "rotate", *role, "--lead", "0", "--instead"))
    assert sorted(staged(gate, "request").values()) == ["active", "retiring"]
    assert planned not in staged(gate, "request")
    (retired,) = [one for one in entries(gate) if one["kind"] == "key.retired" and one["key"] == planned]
    assert retired["not_after"] < now().isoformat()
    gate.ok("keys", "history")
    for wrong in ("request", "storage", "checkpoint"):
        done = by(gate, "sari", "keys", "rotate", "--role", wrong, "--why", "T-1", "--instead")
        assert done.code == MISUSE, done.err


def test_a_rotation_is_of_the_keys_that_were_there_when_it_was_signed_for(gate: Shell, tmp_path: Path) -> None:
    """Another key in use, or another one in the named file, than when the first operator signed: nothing is done."""
    pem, settings = tmp_path / "given.pem", load_settings(gate.config)
    make = ("keys", "generate", pem, "--passphrase-file", settings.keys.passphrase_file, "--out")
    gate.ok(*make, tmp_path / "one.jwk")
    words = ("keys", "rotate", "--role", "checkpoint", "--why", "T-1", "--lead", "0")
    named = proposed(gate, "sari", *words, "--key", f"file:{pem}")
    pem.unlink()
    gate.ok(*make, tmp_path / "two.jwk")
    refused(by(gate, "budi", "operators", "approve", named), "no longer the rotation that was proposed")
    first, second = (proposed(gate, "sari", *words) for _ in range(2))
    approved(gate, first)
    refused(by(gate, "budi", "operators", "approve", second), "no longer the rotation that was proposed")


@pytest.mark.parametrize("role", ["sign", "request", "checkpoint", "storage", "index"])
def test_a_lost_key_of_the_gateway_itself_is_ended_by_two(
    tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rotated first, then proposed, then done: once, and never later than it was said; of each of its keys."""
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)  # no other node has to read that the reading changed over
    shell = operated(tmp_path, "sari", "budi")
    ((lost, _),) = staged(shell, role).items()
    words = (
        "keys",
        "compromised",
        GATEWAY,
        lost,
        "--since",
        (now() - timedelta(hours=1)).isoformat(),
        "--why",
        "INC-1",
    )
    refused(by(shell, "sari", *words), "first `sinergi keys rotate")
    approved(shell, proposed(shell, "sari", "keys", "rotate", "--role", role, "--why", "INC-1", "--lead", "0"))
    if walk := {"storage": "rewrap", "index": "reindex"}.get(role):
        refused(by(shell, "sari", *words), f"first `sinergi keys {walk}")
        count = by(shell, "sari", "keys", walk, "--why", "INC-1", "--dry-run", "--json").json
        assert (count["dry_run"], sorted(staged(shell, role).values())) == (True, ["active", "retiring"])
        assert by(shell, "sari", "keys", walk, "--why", "INC-1").code == DONE
    size = len(entries(shell))
    with open_store(load_settings(shell.config)) as store:
        with pytest.raises(RefusedError, match="two operators must sign"):
            compromise_own(store, lost, now() - timedelta(hours=1), why="INC-1", who="sari")
        assert not any(key.status == "revoked" for key in own_keys(store, role))
    assert len(entries(shell)) == size
    id_ = proposed(shell, "sari", *words)
    assert "is revoked" in approved(shell, id_)
    # Continued by the word of one, as often as need be; a later moment is refused, and an earlier one takes two again.
    assert by(shell, "sari", *words).code == DONE
    later = by(shell, "sari", *words[:5], now().isoformat(), *words[6:])
    refused(by(shell, "budi", "operators", "approve", later.out.strip()), "declared lost since an earlier")
    with open_store(load_settings(shell.config)) as store:
        (held,) = [key for key in own_keys(store, role) if key.kid == lost]
        assert (held.status, held.untrusted_since) == ("revoked", datetime.fromisoformat(words[5]))
        assert state(held, own_keys(store, role), now()) == "revoked"
    told = [one for one in entries(shell) if one["kind"] == "key.revoked"]
    assert [one["key"] for one in told] == ([lost] if role in ("sign", "request", "checkpoint") else [])
    shell.ok("keys", "history")


# Where an agency's messages go.


def test_an_endpoint_is_set_by_two(gate: Shell) -> None:
    """One proposes where pushes and notices go, another approves; to push no more one is enough."""
    refused(by(gate, "sari", "agencies", "add", "new", "--name", "New", "--why", "T-1", *PLACE), "takes two operators")
    liaison = ("--liaison-endpoint", "https://c.example/in", "--liaison-allow-network", "203.0.113.0/28")
    id_ = proposed(gate, "sari", "agencies", "set", POLDA, *PLACE, *liaison, "--why", "T-1")
    (held,) = gate.ok("agencies", "list", "--json").json
    assert (held["endpoint"], held["liaison_endpoint"]) == (None, None)
    approved(gate, id_)
    (held,) = gate.ok("agencies", "list", "--json").json
    assert (held["endpoint"], held["liaison_endpoint"]) == (PLACE[1], liaison[1])
    assert acts(gate)[-1] == acts(gate)[-1] | {"what": "agencies.set/endpoint+liaison", "digest": id_, "why": "T-1"}
    mixed = by(gate, "sari", "agencies", "set", POLDA, *PLACE, "--name", "Other", "--why", "T-1")
    assert mixed.code == MISUSE, mixed.err
    assert by(gate, "sari", "agencies", "set", POLDA, "--no-endpoint", "--why", "T-2").code == DONE


def test_a_suspension_is_one_s_and_its_end_two_s(gate: Shell) -> None:
    """What stops must be fast; what lets an agency in again is not one person's."""
    assert by(gate, "sari", "agencies", "set", POLDA, "--status", "suspended", "--why", "INC-1").code == DONE
    id_ = proposed(gate, "sari", "agencies", "set", POLDA, "--status", "active", "--why", "INC-1")
    assert gate.ok("agencies", "list", "--json").json[0]["status"] == "suspended"
    approved(gate, id_)
    assert gate.ok("agencies", "list", "--json").json[0]["status"] == "active"


def test_the_file_of_an_authority_is_the_one_that_was_signed_for(gate: Shell, tmp_path: Path) -> None:
    """Exchanged between the signatures it is refused: who holds its key could receive what the agency should."""
    file = tmp_path / "ca.pem"
    file.write_text("one")
    id_ = proposed(gate, "sari", "agencies", "set", POLDA, *PLACE, "--ca-file", file, "--why", "T-1")
    file.write_text("other")
    refused(by(gate, "budi", "operators", "approve", id_), "not the file that was proposed")


ALONE: dict[str, Callable[[Store], object]] = {
    "rotation": lambda store: rotate(store, "storage", why="T-1", who="sari"),
    "endpoint": lambda store: change_agency(store, POLDA, endpoint=THERE, why="T-1", who="sari"),
    "liaison": lambda store: change_agency(store, POLDA, liaison=THERE, why="T-1", who="sari"),
    "new agency": lambda store: add_agency(store, "straw", "Straw", endpoint=THERE, why="T-1", who="sari"),
    "its liaison": lambda store: add_agency(store, "straw", "Straw", liaison=THERE, why="T-1", who="sari"),
}


@pytest.mark.parametrize("alone", sorted(ALONE))
def test_no_function_does_it_alone(store: Store, alone: str) -> None:
    """Called with a name, past every command, it is refused under the recorder's lock, and leaves no file behind."""
    files = sorted((store.settings.gateway.state_dir / "keys").iterdir())
    with pytest.raises(RefusedError, match="two operators must sign"):
        ALONE[alone](store)
    assert sorted((store.settings.gateway.state_dir / "keys").iterdir()) == files


# A row that was set back.


def set_back(store: Store, id_: str) -> None:
    with store.database.write.begin() as connection:
        connection.execute(update(ProposalRow).where(col(ProposalRow.id) == id_).values(state="pending"))


def checked(shell: Shell) -> dict[str, Any]:
    """Check 15 of the gateway's own ledger."""
    (found,) = shell.ok("ledger", "fsck", "--ledger", "gateway", "--json").json["ledgers"]
    return next(check for check in found["checks"] if check["number"] == 15)


def test_a_proposal_is_used_once_whatever_its_row_says(tmp_path: Path) -> None:
    """Done or withdrawn, and set back in the database, or made once more after its row went: it is done no second time."""
    shell = operated(tmp_path, "sari", "budi")
    words = ("agencies", "set", POLDA, *PLACE, "--why", "T-1")
    done, withdrawn, late = (proposed(shell, "sari", *words) for _ in range(3))
    approved(shell, done)
    assert by(shell, "sari", "operators", "withdraw", withdrawn, "--why", "T-2").code == DONE
    assert by(shell, "sari", "agencies", "set", POLDA, "--no-endpoint", "--why", "T-2").code == DONE
    assert not checked(shell)["warning"]
    before = len(entries(shell))
    with open_store(load_settings(shell.config)) as store:
        budi = load_signer(f"file:{shell.home / 'budi.pem'}", passphrase_of("budi").encode())
        for id_ in (done, withdrawn):
            set_back(store, id_)
            kept = find(store, id_)
            with pytest.raises(RefusedError, match="changed the row"):
                approve(store, kept, sign_proposal(kept.proposal, budi))
        # Judged before it was used, and carried out after it was used and set back.
        kept = find(store, late)
        judged = judge(store, kept, sign_proposal(kept.proposal, budi))
        change_agency(store, POLDA, endpoint=THERE, why="T-1", who=judged)
        set_back(store, late)
        judged = replace(judged, config_version=Configuration(store.database).current().version)
        with pytest.raises(RefusedError, match="changed the row"):
            change_agency(store, POLDA, liaison=THERE, why="T-1", who=judged)
        told = checked(shell)
        assert told["warning"]
        for id_ in (done, withdrawn, late):
            assert f"the proposal {id_} is marked pending" in told["detail"]
        kept = find(store, done)
        with store.database.write.begin() as connection:
            connection.execute(delete(ProposalRow).where(col(ProposalRow.id) == done))
        with pytest.raises(RefusedError, match="made before"):
            propose(store, kept.proposal, kept.signature)
    assert len(entries(shell)) == before + 2  # one change of the agency, with its act
    assert f"the proposal {done} is gone" in checked(shell)["detail"]


def test_what_no_ledger_says_was_proposed_is_not_done(gate: Shell, store: Store) -> None:
    """A row with two true signatures that somebody put there: nobody was told that it waits."""
    kept = find(store, proposed(gate, "sari", "agencies", "set", POLDA, *PLACE, "--why", "T-1"))
    other = replace(kept.proposal, nonce=draft(GATEWAY, "a", "b", {}, why="T", now=now(), lifetime=LIFETIME).nonce)
    sari, budi = (
        load_signer(f"file:{gate.home / name}.pem", passphrase_of(name).encode()) for name in ("sari", "budi")
    )
    planted = replace(kept, id=other.digest, proposal=other, signature=sign_proposal(other, sari))
    with pytest.raises(RefusedError, match="does not say that it was proposed"):
        approve(store, planted, sign_proposal(other, budi))


def test_an_act_that_was_done_twice_all_the_same_is_told(gate: Shell, store: Store) -> None:
    """By whoever writes past every command: the audit names both entries, and messages go on."""
    id_ = proposed(gate, "sari", "agencies", "set", POLDA, *PLACE, "--why", "T-1")
    approved(gate, id_)
    again = Authority("sari+budi", ("a" * 43, "b" * 43), id_).entry(now(), "agencies.set/endpoint", why="T-1")
    act(store, [again])
    found = checked(gate)
    assert (found["ok"], found["warning"]) == (True, True)
    assert f"the proposal {id_} was ended by entry" in found["detail"]


# Made by hand.


@pytest.mark.parametrize(
    ("what", "about", "parameters"),
    [
        ("keys.compromised", POLDA, {"kid": "k" * 43}),
        ("keys.compromised", GATEWAY, {"kid": "k" * 43, "since": "yesterday"}),
        ("keys.rotate", "sign-key", {"role": "all", "replaces": "k", "lead_seconds": "0"}),
        ("agencies.set", POLDA, {"networks": "0.0.0.0/0"}),
        ("keys.steal", POLDA, {"kid": "k" * 43}),
    ],
)
def test_a_proposal_made_by_hand_is_not_even_kept(
    gate: Shell, store: Store, what: str, about: str, parameters: dict[str, str]
) -> None:
    """Signed by an operator and of no sense: it is refused with a code where it comes in."""
    made = draft(GATEWAY, what, about, parameters, why="T-1", now=datetime.now(UTC), lifetime=LIFETIME)
    sari = load_signer(f"file:{gate.home / 'sari.pem'}", passphrase_of("sari").encode())
    with pytest.raises(MalformedError) as refusal:
        propose(store, made, sign_proposal(made, sari))
    assert refusal.value.code == "request.malformed"


@pytest.mark.parametrize(
    "parameters",
    [
        {"endpoint": "https://a.example/in"},
        {"endpoint_networks": "203.0.113.0/28"},
        {"endpoint": "gopher://a", "endpoint_networks": "203.0.113.0/28"},
        {"endpoint": "https://a.example/in", "endpoint_networks": "everywhere"},
        {"endpoint": "https://a.example/in", "endpoint_networks": "203.0.113.0/28", "endpoint_ca_file": "/none"},
    ],
    ids=["no networks", "no endpoint", "no URL", "no addresses", "no file"],
)
def test_what_has_a_form_and_no_sense_is_refused_as_misuse(
    gate: Shell, store: Store, parameters: dict[str, str]
) -> None:
    """Such a proposal can be kept; approving it is an error of the operator with a code, and nothing is used up."""
    made = draft(GATEWAY, "agencies.set", POLDA, parameters, why="T-1", now=datetime.now(UTC), lifetime=LIFETIME)
    sari, budi = (
        load_signer(f"file:{gate.home / name}.pem", passphrase_of(name).encode()) for name in ("sari", "budi")
    )
    id_ = propose(store, made, sign_proposal(made, sari))
    with pytest.raises(Exception, match=r"\w") as refusal:
        approve(store, find(store, id_), sign_proposal(made, budi))
    assert refusal.value.code == "config.invalid"  # type: ignore[attr-defined]
    assert find(store, id_).state == "pending"


def test_an_endpoint_is_described_by_what_was_proposed() -> None:
    """The URL, the addresses and the file of its authority are all that an endpoint is: nothing of it escapes the signatures."""
    assert set(Endpoint.__slots__) == {"url", "networks", "ca_file"}


@pytest.mark.parametrize("end", ["approve", "withdraw"])
def test_who_comes_second_is_not_told_of_tampering(tmp_path: Path, end: str) -> None:
    """Two operators at once: nobody wrote to the database, and the second is told what became of the proposal."""
    shell = operated(tmp_path, "sari", "budi")
    id_ = proposed(shell, "sari", "agencies", "set", POLDA, *PLACE, "--why", "T-1")
    with open_store(load_settings(shell.config)) as store:
        budi = load_signer(f"file:{shell.home / 'budi.pem'}", passphrase_of("budi").encode())
        kept = find(store, id_)
        if end == "approve":
            approved(shell, id_)
        else:
            assert by(shell, "sari", "operators", "withdraw", id_, "--why", "T-2").code == 0
        with pytest.raises(RefusedError, match=r"the proposal is (done|withdrawn) already"):
            approve(store, kept, sign_proposal(kept.proposal, budi))
