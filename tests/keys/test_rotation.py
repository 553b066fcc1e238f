"""What a rotation leaves where it is interrupted, meets another one, or is told of a key in another folder."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlmodel import select

from gateway import keyring
from gateway.errors import OperatorError, StoreUnavailableError
from gateway.founding import RefusedError
from gateway.founding.beginning import initialise
from gateway.founding.charter import Charter
from gateway.key_management import announcement, own_compromise, rotation, withdrawal
from gateway.key_management.ceremony import Plan, Present, create
from gateway.key_management.own_compromise import compromise_own
from gateway.key_management.standing import history
from gateway.keys.keychain import OwnKey
from gateway.operations import acts
from gateway.settings import Settings
from gateway.statements.appointment import sign_appointment
from gateway.store import configuration, queries
from gateway.store.recorder import Recorder, Transaction
from gateway.store.tables import OperatorRow, RecoveryKeyRow, SubjectIndex, micros
from gateway.wiring import Store, now, open_gateway, open_store

AT_ONCE = timedelta()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return initialise(tmp_path / "gw", Charter(gateway_id="gw-test"), who="tester")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


def own(store: Store, role: str) -> list[OwnKey]:
    with store.database.reading() as session:
        return [key for key in queries.own_keys(session) if key.role == role]


def files(store: Store, role: str) -> list[Path]:
    """The new files: the first one has no date in its name."""
    return sorted((store.settings.gateway.state_dir / "keys").glob(f"{role}-*.pem"))


def broken(what: BaseException, before: bool) -> Callable[..., Any]:
    """A `submit` that lets the caller down before, or after, the job is recorded."""
    whole = Recorder.submit

    def submit(self: Recorder, job: Any) -> Any:
        if not before:
            whole(self, job).result(30)
        raise what

    return submit


@pytest.mark.parametrize(
    ("role", "what"),
    [("sign", TimeoutError()), ("storage", KeyboardInterrupt()), ("checkpoint", StoreUnavailableError("unknown"))],
    ids=["late", "interrupt", "unknown"],
)
def test_an_announced_key_keeps_its_file_whatever_happens_then(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, role: str, what: BaseException
) -> None:
    """Ctrl-C, a late answer, a COMMIT of unknown outcome: the key that was announced is there, and the gateway opens with it."""
    with monkeypatch.context() as patched, open_store(settings) as store:
        patched.setattr(Recorder, "submit", broken(what, before=False))
        with pytest.raises(StoreUnavailableError, match="not known whether the key was announced"):
            rotation.rotate(store, role, lead=AT_ONCE, why="T-1", who="tester")
    with open_store(settings) as store:
        (file,) = files(store, role)
        assert own(store, role)[-1].uri == f"file:{file}"
        with pytest.raises(OperatorError):
            # Typed again it says so: another one would be a second rotation, and not this one.
            rotation.rotate(store, role, uri=f"file:{file}", why="T-1", who="tester")


def test_an_interrupted_rotation_that_waits_behind_another_commit_does_not_happen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever went away before the recorder took the job is left out of the commit that its stop still makes."""
    hold = threading.Event()
    whole = Recorder._record

    def slow(self: Recorder, batch: Any, **more: Any) -> None:
        hold.wait(30)
        whole(self, batch, **more)

    monkeypatch.setattr(Recorder, "_record", slow)
    monkeypatch.setattr(acts, "_WAIT_SECONDS", 0.2)
    with open_store(settings) as store:
        with pytest.raises(StoreUnavailableError):
            acts.act(store, [])  # the recorder is busy with this one
        with pytest.raises(StoreUnavailableError, match="not known"):
            rotation.rotate(store, "sign", why="T-1", who="tester")
        hold.set()
    with open_store(settings) as store:
        assert len(own(store, "sign")) == 1


def test_a_rotation_that_is_refused_leaves_no_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was committed: the new private key is nobody's, and goes."""
    monkeypatch.setattr(Recorder, "submit", broken(acts.ConflictError("no"), before=True))
    with pytest.raises(RefusedError):
        rotation.rotate(store, "sign", why="T-1", who="tester")
    assert files(store, "sign") == []


@pytest.mark.parametrize("role", ["sign", "storage"])
def test_of_two_rotations_at_once_one_is_done(store: Store, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    """Both were planned on the same key; the second is refused under the lock, and its new key goes."""
    planned = rotation.plan(store, role, lead=AT_ONCE)
    first = rotation.rotate(store, role, lead=AT_ONCE, why="T-1", who="one")
    monkeypatch.setattr(rotation, "plan", lambda *_, **__: planned)
    with pytest.raises(RefusedError, match="meanwhile"):
        rotation.rotate(store, role, lead=AT_ONCE, why="T-2", who="other")
    assert [key.kid for key in own(store, role)][1:] == [first.new]
    assert [f"file:{file}" for file in files(store, role)] == [first.uri]


def test_a_key_in_the_folder_of_whoever_types_is_found_from_everywhere(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--key file:next.pem` is kept as the whole path: the server runs in another folder."""
    passphrase = keyring.read_passphrase(store.settings.keys.passphrase_file)
    keyring.generate(tmp_path / "next key.pem", keyring.SECRET, passphrase)
    monkeypatch.chdir(tmp_path)
    done = rotation.rotate(store, "storage", uri="file:next%20key.pem", lead=AT_ONCE, why="T-1", who="tester")
    assert (done.uri, own(store, "storage")[-1].uri) == (f"file:{tmp_path}/next%20key.pem",) * 2
    monkeypatch.chdir("/")
    with open_store(store.settings) as elsewhere:
        assert elsewhere.keys.storage.named(done.new or "").id == done.new


def standing(store: Store, role: str) -> list[tuple[str, bool]]:
    """Of each key of the role its status, and whether it has an end."""
    return [(key.status, key.not_after is not None) for key in own(store, role)]


@pytest.mark.parametrize("role", ["sign", "index"])
def test_an_announced_key_that_is_lost_is_withdrawn_and_the_one_in_use_goes_on(settings: Settings, role: str) -> None:
    """The store opens without it and says so; withdrawn, it never begins, and the next rotation is as if it had not been."""
    with open_store(settings) as store:
        done = rotation.rotate(store, role, lead=timedelta(days=7), why="T-1", who="tester")
    (file,) = files(store, role)
    file.unlink()
    with open_store(settings) as store:
        assert [str(done.new) in fault for fault in store.keys.faults] == [True]
        found = withdrawal.withdraw(store, role, why="INC-1", who="tester")
        assert (found.key.kid, found.goes_on.kid) == (done.new, done.old)
        with pytest.raises(RefusedError, match="key waits to begin"):
            withdrawal.withdraw(store, role, why="INC-1", who="tester")
        assert standing(store, role) == [("active", False), ("retired", True)]
        rotation.rotate(store, role, lead=AT_ONCE, why="T-2", who="tester")
        assert history(store)[1] == []
    with open_store(settings) as store:
        assert store.keys.faults == ()


@pytest.mark.parametrize("role", ["storage", "index"])
def test_an_announced_secret_gives_way_to_one_that_is_needed_earlier(settings: Settings, role: str) -> None:
    """With `instead` the announced one never begins, nothing is left under it, and the next one is used and rotated as ever."""
    with open_store(settings) as store:
        planned = rotation.rotate(store, role, lead=timedelta(days=7), why="T-1", who="tester")
        digests = [
            {"kind": "nik", "token": kid, "transfer": "t-1", "index_key": kid} for kid in (planned.old, planned.new)
        ]

        def write(transaction: Transaction) -> None:
            transaction.connection.execute(insert(SubjectIndex), digests)

        acts.act(store, [], write)
        with pytest.raises(RefusedError, match="--instead"):
            rotation.rotate(store, role, lead=AT_ONCE, why="T-2", who="tester")
        done = rotation.rotate(store, role, lead=AT_ONCE, instead=True, why="T-2", who="tester")
        assert (done.old, done.instead_of) == (planned.old, planned.new)
        assert standing(store, role) == [("active", False), ("active", False), ("retired", True)]
        with store.database.reading() as session:
            left = set(session.exec(select(SubjectIndex.index_key)))
        assert left == ({planned.old} if role == "index" else {planned.old, planned.new})
        assert history(store)[1] == []
    with open_store(settings) as store:
        ring = store.keys.storage if role == "storage" else store.keys.index
        assert ring.current().id == done.new
        assert planned.new not in {key.id for key in ring.counting()}


@pytest.mark.parametrize("role", ["sign", "storage"])
def test_an_announced_key_that_begins_meanwhile_does_not_give_way(
    store: Store, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    """Between the plan and the commit its moment came: something may be signed or wrapped by it, so it stays, and its file."""
    announced = rotation.rotate(store, role, lead=timedelta(hours=1), why="T-1", who="tester")
    monkeypatch.setattr(withdrawal, "now", lambda: announced.begins)
    with pytest.raises(RefusedError, match="in use already"):
        rotation.rotate(store, role, lead=AT_ONCE, instead=True, why="T-2", who="tester")
    assert [key.status for key in own(store, role)] == ["active", "active"]


def test_an_announced_key_that_begins_meanwhile_is_not_revoked_as_one_that_never_will(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes on under the key before when its moment came in between: first it is replaced, like any key in use."""
    announced = rotation.rotate(store, "storage", lead=timedelta(hours=1), why="T-1", who="tester")
    monkeypatch.setattr(withdrawal, "now", lambda: announced.begins)
    with pytest.raises(RefusedError, match="has begun meanwhile"):
        compromise_own(store, announced.new or "", now() - timedelta(hours=1), why="INC-1", who="tester")
    assert [key.status for key in own(store, "storage")] == ["active", "active"]


def test_an_announced_key_in_other_hands_is_revoked_before_it_begins(settings: Settings) -> None:
    """It need not be replaced: what is in use goes on, without an end; and the key in use of a checkpoint is no such key."""
    with open_store(settings) as store:
        done = rotation.rotate(store, "sign", lead=timedelta(days=7), why="T-1", who="tester")
        compromise_own(store, done.new or "", now() - timedelta(hours=1), why="INC-1", who="tester")
        assert standing(store, "sign") == [("active", False), ("revoked", False)]
        assert store.keys.sign.kid == done.old
        assert history(store)[1] == []
        coming = rotation.rotate(store, "checkpoint", lead=timedelta(days=7), why="T-2", who="tester")
        with pytest.raises(RefusedError):
            compromise_own(store, coming.new or "", now() - timedelta(hours=1), why="INC-2", who="tester")
        with pytest.raises(OperatorError):
            withdrawal.plan(store, "checkpoint")


def test_a_key_that_is_replaced_while_it_is_revoked_leaves_the_key_in_use_its_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators at once: `keys rotate --instead` and `keys compromised`. The old key must not count for ever."""
    announced = rotation.rotate(store, "sign", lead=timedelta(days=7), why="T-1", who="tester")
    record, ends = own_compromise.record, []

    def later(*args: Any) -> Any:
        rotation.rotate(store, "sign", lead=timedelta(days=1), instead=True, why="T-2", who="tester")
        ends.extend(key.not_after for key in own(store, "sign"))
        monkeypatch.setattr(own_compromise, "record", record)
        return record(*args)

    monkeypatch.setattr(own_compromise, "record", later)
    since = now() - timedelta(hours=1)
    with pytest.raises(RefusedError, match="replaced meanwhile"):
        compromise_own(store, announced.new or "", since, why="INC-1", who="tester")
    compromise_own(store, announced.new or "", since, why="INC-1", who="tester")
    assert [key.not_after for key in own(store, "sign")] == ends
    assert ends[0] is not None
    assert history(store)[1] == []


def test_a_key_that_has_begun_is_not_withdrawn(store: Store) -> None:
    """It has signed by then: the way on is the next rotation."""
    rotation.rotate(store, "sign", lead=AT_ONCE, why="T-1", who="tester")
    with pytest.raises(RefusedError):
        withdrawal.withdraw(store, "sign", why="INC-1", who="tester")


PASSPHRASE = "bukan-rahasia-siapa-pun"


def theirs(folder: Path, name: str) -> tuple[str, keyring.KeyringSigner]:
    """A person's own key file: its URI, and the key."""
    path = folder / f"{name}.pem"
    keyring.generate(path, "EdDSA", PASSPHRASE.encode())
    return f"file:{path}", keyring.load_signer(f"file:{path}", PASSPHRASE.encode())


@pytest.mark.parametrize("held", ["operator", "recovery"])
def test_a_gateway_does_not_take_the_key_of_an_operator_or_a_recovery_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """With it the gateway would be the second person, or would speak for an agency whose keys are lost."""
    monkeypatch.setenv("SINERGI_KEY_PASSPHRASE", PASSPHRASE)
    given = tmp_path / "passphrase"
    keyring.write_private(given, PASSPHRASE.encode())
    settings = initialise(tmp_path / "gw", Charter(gateway_id="gw-test", passphrase_file=given), who="tester")
    uri, key = theirs(tmp_path, held)
    time, jwk = micros(now()), json.dumps(dict(key.public.jwk))
    row = {"kid": key.kid, "jwk": jwk, "status": "revoked", "changed_at": time}  # revoked: it does not come back either
    rows: dict[str, tuple[Any, dict[str, Any]]] = {
        "operator": (OperatorRow, {**row, "operator": "ayu", "added_at": time}),
        "recovery": (RecoveryKeyRow, {**row, "agency": "polda", "not_before": time, "not_after": time + 1}),
    }
    with open_store(settings) as store:
        acts.act(store, [], rows=[rows[held]])
        monkeypatch.setattr(announcement, "require_two", lambda *_: None)
        for role in ("sign", "request", "checkpoint"):
            with pytest.raises(RefusedError, match="is known already"):
                rotation.rotate(store, role, uri=uri, lead=AT_ONCE, why="T-1", who="tester")


@pytest.mark.parametrize("role", ["sign", "request", "checkpoint"])
def test_a_gateway_is_not_founded_with_the_key_of_an_operator_or_one_key_for_two_things(
    tmp_path: Path, role: str
) -> None:
    """Neither by a ceremony nor by init; what was refused leaves no gateway behind."""
    given = tmp_path / "passphrase"
    keyring.write_private(given, PASSPHRASE.encode())
    people = {name: theirs(tmp_path, name) for name in ("ayu", "budi")}
    stated = [
        sign_appointment(name, "gw-test", key=key.public, signer=key, now=now()) for name, (_, key) in people.items()
    ]
    uri, _ = people["ayu"]
    charter = Charter(gateway_id="gw-test", passphrase_file=given)
    with pytest.raises(OperatorError, match="is an operator's already"):
        initialise(tmp_path / "gw", replace(charter, operators=stated, given={role: uri}), who="t")
    others = {"sign": "request", "request": "checkpoint", "checkpoint": "sign"}
    twice = {role: uri, others[role]: uri}
    with pytest.raises(OperatorError, match="use another key"):
        initialise(tmp_path / "gw", replace(charter, given=twice), who="t")
    present = tuple(Present(name, key) for name, (_, key) in people.items())
    plan = Plan("gw-test", tmp_path / "made", present, 2, 3, {role: uri}, given)
    plan.directory.mkdir()
    with pytest.raises(OperatorError, match="is an operator's already"):
        create(plan, now(), lambda _shares: ["a", "b", "c"], lambda _text: None)
    assert not (tmp_path / "gw" / "sinergi.toml").exists()
    assert list(plan.directory.iterdir()) == []


def test_where_other_nodes_may_serve_they_are_given_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file cannot be on every node five seconds later; whoever runs one node alone says so with --lead."""
    assert rotation.default_lead(store, "storage") == timedelta(seconds=5)
    monkeypatch.setattr(type(store.database), "is_sqlite", False)
    assert {rotation.default_lead(store, role) for role in rotation.ROLES} == {timedelta(minutes=15)}
    planned = rotation.plan(store, "storage", lead=timedelta(seconds=5))
    assert planned.begins < now() + timedelta(seconds=6)


def test_a_file_that_comes_late_is_opened_without_another_change(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that read of the key before it had the file is ready again once it has it, not only at the next rotation."""
    with open_gateway(settings) as node:
        with open_store(settings) as store:
            done = rotation.rotate(store, "sign", why="T-1", who="tester")
            (place,) = files(store, "sign")
        hidden = place.rename(place.with_suffix(".hidden"))
        node.configuration.reload()
        assert [str(done.new) in fault for fault in node.store.keys.faults] == [True]
        hidden.rename(place)
        node.configuration.reload()
        assert len(node.store.keys.faults) == 1
        monkeypatch.setattr(configuration, "AGAIN_SECONDS", 0.0)
        node.configuration.reload()
        assert node.store.keys.faults == ()
