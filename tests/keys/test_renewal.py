"""A lost key of the gateway: what it signed is what its id says, and what is not delivered is signed anew so that it arrives."""

import contextlib
import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlmodel import col

from gateway.delivery.redeliver import redeliver
from gateway.errors import KeyAwayError
from gateway.jose import parse_jws
from gateway.key_management.compromise import compromise
from gateway.key_management.own_compromise import compromise_own, find_own, touched
from gateway.key_management.renewal import Renewed, renew_releases
from gateway.key_management.rotation import rotate
from gateway.keyring import KeyringSigner
from gateway.keyring.held import Elsewhere
from gateway.keys.keychain import SIGN
from gateway.record import open_content
from gateway.sdk.reception import KeySet
from gateway.settings import load_settings
from gateway.statements.alert import read_alert, sign_alert
from gateway.statements.receipt import read_release, sign_release
from gateway.store import queries
from gateway.store.identity import new_transfer_id
from gateway.store.sealing import Sealer
from gateway.store.tables import AlertRow, GatewayKeyRow, OutboxRow, TransferRow, micros
from gateway.wiring import Store, now, open_store
from tests.cli.office import FOREIGNER, PKS, entries, exchanged, query
from tests.cli.shell import AGENCIES, DOCUMENT, Shell, founded
from tests.keys.runs import release

IMIGRASI, POLDA = AGENCIES
GATEWAY = "gw-test"
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def office(tmp_path: Path) -> Shell:
    """A gateway in service whose agencies have had their keys for a while."""
    shell = founded(tmp_path)
    for agency in AGENCIES:
        shell.ok("agencies", "add", agency, "--name", agency.title(), "--why", "T-1")
        shell.ok(
            "keys",
            "import",
            agency,
            shell.key(agency),
            "--not-before",
            "2025-12-01",
            "--not-after",
            "2099-01-01",
            "--why",
            "T-1",
        )
    shell.activate(DOCUMENT, [shell.signed(DOCUMENT, agency) for agency in AGENCIES])
    return shell


def sent(shell: Shell, name: str, ago: timedelta = HALF_AN_HOUR) -> str:
    (outcome,) = exchanged(shell, query(jti=name), ago=-ago)
    assert outcome.decision == "accepted"
    return outcome.transfer


def next_key(store: Store) -> str:
    return rotate(store, SIGN, lead=timedelta(), why="T-1", who="tester").new or ""


def published(store: Store) -> KeySet:
    """As /.well-known/jwks.json says it."""
    with store.database.reading() as session:
        own = queries.own_keys(session)
    keys = [
        {
            **(key.jwk or {}),
            "purpose": key.role,
            "status": key.status,
            "nbf": int(key.not_before.timestamp()),
        }
        | ({} if key.untrusted_since is None else {"revoked_since": int(key.untrusted_since.timestamp())})
        for key in own
        if key.jwk is not None
    ]
    return KeySet.read({"keys": keys})


def test_a_transfer_is_in_doubt_by_the_key_that_signed_it(office: Shell) -> None:
    """Neither what came before the key existed, nor what the next key signed while the old one still counted."""
    long_ago = datetime.now(UTC) - timedelta(days=1)
    first = sent(office, "letter-one")
    with open_store(load_settings(office.config)) as store:
        one, two = store.keys.sign.kid, next_key(store)
        assert [found.transfer for found in touched(store, one, long_ago).transfers] == [first]
        assert touched(store, two, long_ago).transfers == ()
    second = sent(office, "letter-two")
    with open_store(load_settings(office.config)) as store:
        three = next_key(store)
        assert [found.transfer for found in touched(store, one, long_ago).transfers] == [first]
        found = compromise_own(store, two, long_ago, why="INC-1", who="tester")
        assert [one.transfer for one in found.transfers] == [second]
        assert release(store, second).kid == three
        with store.database.reading() as session:
            alerts = session.connection().exec_driver_sql("SELECT jws FROM alert").scalars().all()
        assert [parse_jws(jws, "alert+jwt", 2).payload["transfers"] for jws in alerts] == [[second]]
        # Signed anew by the third key, it is that one's as well: should that be lost, too, it is not forgotten.
        assert [one.transfer for one in touched(store, three, long_ago).transfers] == [second]


def test_what_was_not_delivered_arrives_under_the_key_in_use(office: Shell) -> None:
    """A message that waits since before the new key began, one that was stopped and is started again, and the alert of it."""
    since = datetime.now(UTC) - timedelta(minutes=20)
    waits = sent(office, "letter-one", timedelta(minutes=15))
    with open_store(load_settings(office.config)) as store:
        compromise(store, POLDA, office.kid(POLDA), since, why="INC-1", who="tester")  # stops it, and alerts
        old, new = store.keys.sign.kid, next_key(store)
        done = compromise_own(store, old, since, why="INC-2", who="tester")
        assert (done.signed_anew, done.alerts_anew) == (1, 1)
        again = compromise_own(store, old, since, why="INC-2", who="tester")
        assert (again.signed_anew, again.alerts_anew) == (0, 0)
        redeliver(store.recorder, store.database, waits, "tester")
        keys = published(store)
        with store.database.reading() as session:
            alerts = session.connection().exec_driver_sql("SELECT id, jws, kid FROM alert ORDER BY id").all()
        renewed = parse_jws(next(row.jws for row in alerts if row.kid == office.kid(POLDA)), "alert+jwt", 2)
        for jws in (release(store, waits), renewed):
            assert jws.kid == new
            assert keys.require(jws.kid, jws.payload["iat"]).kid == new
    issued = [entry["alert"] for entry in entries(office, PKS) if entry["kind"] == "alert.issued"]
    assert sorted(issued) == sorted([renewed.payload["jti"], *(row.id for row in alerts)])
    office.ok("ledger", "fsck")


def test_what_was_altered_keeps_nothing_else_from_its_recipient(office: Shell) -> None:
    """Rows that do not open or name a key that never was, a release and an alert that no key bears out: all others go out."""
    since = datetime.now(UTC) - timedelta(minutes=20)
    numbers = ("A1", "A2", "A3", "A4", "A5")
    asked = [FOREIGNER | {"document": FOREIGNER["document"] | {"number": number}} for number in numbers]
    outcomes = exchanged(office, *(("stay-permit.query/1", body, {}) for body in asked), ago=timedelta(minutes=-15))
    waiting = [outcome.transfer for outcome in outcomes if outcome.decision == "accepted"]
    assert len(waiting) == len(numbers)
    with open_store(load_settings(office.config)) as store:
        compromise(store, POLDA, office.kid(POLDA), since, why="INC-1", who="tester")
        old = store.keys.sign.kid
        sealer = Sealer(store.keys.storage)
        with store.database.reading() as session:
            row = queries.transfer(session, waiting[1])
        content = open_content(sealer, row)
        honest = read_release(content["release"], store.keys.sign.public)
        content["release"] = sign_release(replace(honest, transfer=waiting[0]), store.keys.sign)
        forged = sealer.unwrap(row.id, row.storage_key, row.wrapped_key).close("content", json.dumps(content).encode())
        with store.database.write.begin() as connection:
            connection.execute(update(GatewayKeyRow).values(not_before=micros(since - HALF_AN_HOUR)))
            # SQLite keeps whatever type somebody wrote.
            for name, value in (
                (waiting[0], b"altered"),
                (waiting[1], forged),
                (waiting[3], text("'altered so long'")),
            ):
                connection.execute(update(TransferRow).where(col(TransferRow.id) == name).values(sealed_content=value))
            nobodys = update(TransferRow).where(col(TransferRow.id) == waiting[4]).values(storage_key="nobody's")
            connection.execute(nobodys)
            jws = connection.execute(select(col(AlertRow.jws))).scalar_one()
            connection.execute(update(AlertRow).values(jws=f"{jws[:-6]}AAAAAA"))
            (row_, waits) = (
                dict(connection.exec_driver_sql(f"SELECT * FROM {name}").mappings().first() or {})
                for name in ("alert", "outbox WHERE transfer=(SELECT id FROM alert)")
            )
            for id_, changed in {"nowhere": {"ledger": "nowhere"}, "bytes": {"jws": text("x'00'")}}.items():
                connection.execute(insert(AlertRow).values(**row_ | {"id": id_} | changed))
                connection.execute(insert(OutboxRow).values(**waits | {"transfer": id_}))
        new = next_key(store)
        done = compromise_own(store, old, since, why="INC-2", who="tester")
        assert (done.signed_anew, done.alerts_anew, len(done.left)) == (1, 0, 7)
        assert {*waiting[:2], *waiting[3:], "nowhere", "bytes"} < set(done.left)
        assert release(store, waiting[2]).kid == new
        assert release(store, waiting[1]).kid == old


def test_an_alert_that_the_ledger_does_not_bear_out_is_not_signed_anew(office: Shell) -> None:
    """Who has the lost key and can write the database makes an alert up, or turns one: the key in use signs
    neither, and nobody is taken to have been told.
    """
    since = datetime.now(UTC) - timedelta(minutes=20)
    sent(office, "letter-one", timedelta(minutes=15))
    with open_store(load_settings(office.config)) as store:
        compromise(store, POLDA, office.kid(POLDA), since, why="INC-1", who="tester")
        lost, old = store.keys.sign, store.keys.sign.kid
        new = next_key(store)
        with store.database.write.begin() as connection:
            row: dict[str, Any] = dict(connection.exec_driver_sql("SELECT * FROM alert").mappings().one())
            waits: dict[str, Any] = dict(
                connection.exec_driver_sql("SELECT * FROM outbox WHERE transfer=?", (row["id"],)).mappings().one()
            )
            true = read_alert(row["jws"], lost.public)
            made_up = replace(true, jti=new_transfer_id(now()))
            connection.execute(insert(AlertRow), [row | {"id": made_up.jti, "jws": sign_alert(made_up, lost)}])
            connection.execute(insert(OutboxRow), [waits | {"transfer": made_up.jti}])
            # One of a time at which the key was not lost yet, as it says itself, names the transfer as told already.
            told = replace(made_up, agency=GATEWAY, kid=old, iat=true.since - 86_400, jti=new_transfer_id(now()))
            connection.execute(insert(AlertRow), [row | {"id": told.jti, "kid": old, "jws": sign_alert(told, lost)}])
            turned = replace(true, agency=IMIGRASI, kid=office.kid(IMIGRASI))
            connection.execute(
                update(AlertRow).where(col(AlertRow.id) == true.jti).values(jws=sign_alert(turned, lost))
            )
        done = compromise_own(store, old, since, why="INC-2", who="tester")
        assert (done.alerts_anew, set(done.left)) == (0, {made_up.jti, true.jti})
        with store.database.reading() as session:
            texts = session.connection().exec_driver_sql("SELECT jws FROM alert").scalars().all()
        signed = [jws.payload for jws in (parse_jws(text, "alert+jwt", 2) for text in texts) if jws.kid == new]
        assert [(one["kid"], tuple(one["transfers"])) for one in signed] == [(old, true.transfers)]


@pytest.mark.parametrize("altered", ["CAST(substr(leaf, 1, length(leaf) - 1) AS BLOB)", "CAST(leaf AS TEXT)"])
def test_an_entry_that_does_not_decode_stops_no_renewal(office: Shell, altered: str) -> None:
    """The alert whose entry was altered is left and named; the release goes out under the key in use all the same."""
    since = datetime.now(UTC) - timedelta(minutes=20)
    sent(office, "letter-one", timedelta(minutes=15))
    with open_store(load_settings(office.config)) as store:
        compromise(store, POLDA, office.kid(POLDA), since, why="INC-1", who="tester")
        old, _ = store.keys.sign.kid, next_key(store)
        with contextlib.closing(sqlite3.connect(store.database.url.removeprefix("sqlite:///"))) as direct, direct:
            direct.execute("DROP TRIGGER ledger_entry_fixed")
            cut = f"UPDATE ledger_entry SET leaf = {altered} WHERE instr(leaf, ?)"
            assert direct.execute(cut, (b'"kind":"alert.issued"',)).rowcount == 1
        with store.database.reading() as session:
            (alert,) = session.connection().execute(select(col(AlertRow.id))).scalars()
        done = compromise_own(store, old, since, why="INC-2", who="tester")
        assert (done.signed_anew, done.alerts_anew, done.left) == (1, 0, (alert,))


def test_a_signing_key_that_does_not_answer_leaves_no_release_behind(
    office: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is wrong with the messages: the run says what is, and the next one signs them."""
    waits = sent(office, "letter-one")

    def silent(_: bytes) -> bytes:
        raise TimeoutError

    with open_store(load_settings(office.config)) as store:
        old, new, ring = store.keys.sign.kid, next_key(store), store.keys.signing
        lost = find_own(store, old)
        with store.database.reading() as session:
            store.keys.learn(queries.own_keys(session))
        with monkeypatch.context() as patched:
            patched.setitem(ring._held, new, KeyringSigner(ring.named(new).public, Elsewhere(silent)))
            patched.setattr(ring, "_standing", None)
            with pytest.raises(KeyAwayError):
                renew_releases(store, lost, [waits])
        ring._standing = None
        assert renew_releases(store, lost, [waits]) == Renewed(1)
        assert release(store, waits).kid == new
