"""`keys reindex` over all that is stored: interrupted and continued, with holds, officers and erased messages, and forgetting."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from gateway.key_management import reindexing
from gateway.key_management.reindexing import reindex, to_forget, to_reindex
from gateway.key_management.rotation import rotate
from gateway.keyring import load_signer, read_passphrase
from gateway.keys.keychain import INDEX, KEPT, state
from gateway.message.envelope import Claims, issue
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.tables import HoldRow, OfficerRow, SubjectIndex, TransferRow
from gateway.transfer import Outcome
from gateway.wiring import Store, now, open_gateway, open_store
from tests.cli.shell import Shell
from tests.cli.test_officers import enrol
from tests.cli.test_retention import IMIGRASI, LAST_SPRING, PKS, POLDA, SUBJECT, entries, exchanged, in_service, query


class PowerCutError(Exception):
    """As a power cut in the middle of the walk."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two messages a commit, and no other node that has to hear of it."""
    monkeypatch.setattr(reindexing, "BATCH", 2)
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)


def rotated(shell: Shell) -> tuple[str, str]:
    """The index key in use until now, and the next one, which has begun."""
    with open_store(load_settings(shell.config)) as store:
        done = rotate(store, INDEX, lead=timedelta(), why="T-1", who="tester")
    return done.old, str(done.new)


def states(store: Store) -> dict[str, str]:
    with store.database.reading() as session:
        own = queries.own_keys(session)
    return {key.kid: state(key, own, now()) for key in own if key.role == INDEX}


def under(store: Store, column: Any, kid: str) -> int:
    with store.database.reading() as session:
        return int(session.connection().execute(select(func.count()).where(col(column) == kid)).scalar_one())


def seen(shell: Shell) -> list[str]:
    """Whom the index finds by a person's document."""
    found = shell.ok("subjects", "find", "--subject-file", "-", "--json", stdin=SUBJECT).json
    return sorted(one["transfer"] for one in found)


def test_the_walk_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each of its commits: what is found stays the same, the next run does the rest, and holds and officers follow."""
    office = in_service(tmp_path)
    office.ok("agencies", "officers", "add", enrol(office, "reindexed"), "--why", "SPRIN-7")
    sent = exchanged(office, *(query(jti=f"interrupted-{number}") for number in range(5)), ago=LAST_SPRING)
    hold = ("holds", "add", "--subject-file", "-", "--why", "PERKARA-7", "--citation", "Penetapan 12/2026", "--json")
    covered = office.ok(*hold, stdin=SUBJECT).json["covers"]
    assert (covered, seen(office)) == (5, sorted(one.transfer for one in sent))
    old, new = rotated(office)
    whole, runs = reindexing.record, 0

    def after(limit: int) -> Callable[..., Any]:
        done = 0

        def commit(store: Store, job: Any) -> Any:
            nonlocal done
            if done == limit:
                raise PowerCutError
            done += 1
            return whole(store, job)

        return commit

    with open_store(load_settings(office.config)) as store:
        assert to_reindex(store) == 5
        for _ in range(8):  # each run makes one commit and is cut off, until one finds nothing more to do
            runs += 1
            with monkeypatch.context() as cut:
                cut.setattr(reindexing, "record", after(1))
                try:
                    reindex(store, why="T-1", who="tester")
                except PowerCutError:
                    store.keys.learn(_own(store))
                    continue
            break
        assert 4 <= runs < 8
        assert to_reindex(store) == 0
        assert states(store) == {old: "retired", new: "active"}
        for column in (TransferRow.index_key, SubjectIndex.index_key, HoldRow.index_key, OfficerRow.index_key):
            assert (under(store, column, old), under(store, column, new) > 0) == (0, True)
    assert seen(office) == sorted(one.transfer for one in sent)
    # The hold keeps what it covers, and the ledger has its new commitment.
    kept = office("subjects", "erase", "--subject-file", "-", "--why", "DSR-1", "--dry-run", "--json", stdin=SUBJECT)
    assert all("hold" in why for why in kept.json["kept"].values())
    assert len(kept.json["kept"]) == 5
    again = [one for one in entries(office) if one["kind"] == "hold.added"]
    assert len({one["commitment"] for one in again}) == 2
    office.ok("ledger", "fsck")


def test_erased_messages_keep_the_old_key_until_they_are_forgotten(tmp_path: Path) -> None:
    """A retry of an erased message is recognised by it; forgotten, it is a replay without a receipt, and an act says why."""
    office = in_service(tmp_path)
    body, claims = query(jti="erased-and-asked-again", purpose="SUPERVISION")[1:]
    past = datetime.now(UTC) + LAST_SPRING
    signer = load_signer(f"file:{office.home / POLDA}.pem", read_passphrase(office.home / f"{POLDA}.pass"))
    issued = int(past.timestamp())
    members: dict[str, Any] = {
        "iss": POLDA, "aud": IMIGRASI, "iat": issued, "exp": issued + 3600, "type": "stay-permit.query/1", "agreement": PKS,
        "classification": "T", "legal_basis": ("UU 6/2011 Pasal 89 ayat (2) huruf a",),
    }  # fmt: skip
    text = issue(Claims(**(members | claims)), body, ["/body/document"], signer).encode()

    def posted(moment: datetime) -> Outcome:
        with open_gateway(load_settings(office.config), lambda: moment) as gateway:
            return asyncio.run(gateway.exchange.transfer(text))

    first = posted(past)
    assert (first.decision, first.again) == ("refused", False)
    assert office.ok("retention", "run", "--json").json["erased"] >= 1
    old, new = rotated(office)
    planned = office.ok("keys", "reindex", "--why", "T-2", "--forget-erased", "--dry-run", "--json").json
    assert (planned["dry_run"], planned["index_key"]) == (True, new)
    office.ok("keys", "reindex", "--why", "T-2")
    with open_store(load_settings(office.config)) as store:
        assert (states(store)[old], to_forget(store)) == (KEPT, (old,))
        assert under(store, TransferRow.index_key, old) >= 1
        assert under(store, SubjectIndex.index_key, old) == 0
    again = posted(datetime.now(UTC))
    assert (again.transfer, again.again) == (first.transfer, True)
    told = office.ok("keys", "reindex", "--forget-erased", "--why", "T-3", "--json").json
    assert told["forgotten"] == [old]
    with open_store(load_settings(office.config)) as store:
        assert (states(store)[old], to_forget(store)) == ("retired", ())
    assert [one["why"] for one in entries(office) if one.get("what") == "keys.retire/index"][-1] == "T-3"
    late = posted(datetime.now(UTC))
    assert (late.decision, late.again, late.reasons[0].code) == ("refused", False, "envelope.replayed")


def _own(store: Store) -> Any:
    with store.database.reading() as session:
        return queries.own_keys(session)
