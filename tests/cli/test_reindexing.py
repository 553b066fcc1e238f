"""`keys reindex` over all that is stored: interrupted and continued, with holds, officers and erased messages, and forgetting."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from gateway.cli import output
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
from tests.cli.office import IMIGRASI, LAST_SPRING, PKS, POLDA, SUBJECT, enrol, entries, exchanged, in_service, query
from tests.cli.shell import Shell


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


def written(shell: Shell, moment: datetime, **claims: Any) -> bytes:
    """A signed query, to be posted more than once."""
    body, members = query(**claims)[1:]
    signer = load_signer(f"file:{shell.home / POLDA}.pem", read_passphrase(shell.home / f"{POLDA}.pass"))
    issued = int(moment.timestamp())
    common: dict[str, Any] = {
        "iss": POLDA, "aud": IMIGRASI, "iat": issued, "exp": issued + 3600, "type": "stay-permit.query/1", "agreement": PKS,
        "classification": "T", "legal_basis": ("UU 6/2011 Pasal 89 ayat (2) huruf a",),
    }  # fmt: skip
    return issue(Claims(**(common | members)), body, ["/body/document"], signer).encode()


def post(shell: Shell, text: bytes, moment: datetime) -> Outcome:
    with open_gateway(load_settings(shell.config), lambda: moment) as gateway:
        return asyncio.run(gateway.exchange.transfer(text))


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
    office, past = in_service(tmp_path), datetime.now(UTC) + LAST_SPRING
    text = written(office, past, jti="erased-and-asked-again", purpose="SUPERVISION")

    def posted(moment: datetime) -> Outcome:
        return post(office, text, moment)

    first = posted(past)
    assert (first.decision, first.again) == ("refused", False)
    assert office.ok("retention", "run", "--why", "T-1", "--json").json["erased"] >= 1
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


def lose(shell: Shell) -> Path:
    """The index key's file is gone; the settings name another one. Where it is kept, to see that nothing needs it."""
    keys = shell.config.parent / "keys"
    (keys / "index.pem").rename(shell.home / "lost.pem")
    shell.ok(
        "keys", "generate", keys / "index-2.pem", "--algorithm", "X25519", "--passphrase-file", keys / "passphrase"
    )
    shell.config.write_text(shell.config.read_text().replace("/keys/index.pem", "/keys/index-2.pem"))
    return keys / "index-2.pem"


def test_a_lost_index_key_loses_what_is_erased_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the walk is done what must know everything waits, a retry is known by its text, and no hold is overlooked."""
    office, past, today = in_service(tmp_path), datetime.now(UTC) + LAST_SPRING, datetime.now(UTC)
    erased, kept = (written(office, past, jti=f"lost-index-{name}", purpose="SUPERVISION") for name in ("one", "two"))
    gone = post(office, erased, past)
    assert office.ok("retention", "run", "--why", "T-1", "--json").json["erased"] == 1
    first = post(office, kept, past)
    hold = ("holds", "add", "--subject-file", "-", "--why", "PERKARA-7", "--citation", "Penetapan 12/2026", "--json")
    assert office.ok(*hold, stdin=SUBJECT).json["covers"] == 1
    there = office("keys", "rotate", "--role", "index", "--lost", "--key", f"file:{tmp_path}/x.pem", "--why", "T-1")
    assert there.code == output.NO  # the key opens: it is not lost
    new = lose(office)
    assert office("keys", "status").code == output.MISUSE
    rotate_lost = ("keys", "rotate", "--role", "index", "--lost", "--key", f"file:{new}", "--why", "INC-1", "--json")
    planned = office.ok(*rotate_lost, "--dry-run").json
    assert (len(planned["lost"]), planned["forgotten"], planned["new"]) == (1, 1, None)
    done = office.ok(*rotate_lost).json
    old = done["old"]
    assert (done["lost"], done["forgotten"]) == ([old], 1)
    # The message that is stored is the same again; of one that came since, the hold may cover it.
    again = post(office, kept, today)
    assert (again.transfer, again.again, again.receipt == first.receipt) == (first.transfer, True, True)
    fresh = post(office, written(office, past, jti="after-the-loss", purpose="SUPERVISION"), past)
    assert office.ok("retention", "run", "--why", "T-1", "--json").json["erased"] == 0
    find = ("subjects", "find", "--subject-file", "-", "--json")
    assert office(*find, stdin=SUBJECT).code == output.UNASKED
    assert office(*hold, stdin=SUBJECT).code == output.UNASKED
    warned = {row["kid"]: (row["state"], row["warning"]) for row in office("keys", "status", "--json").json}
    assert warned[old] == ("lost", "what is stored waits for `sinergi keys reindex`")
    # Until then it stays what it is: neither another rotation nor a compromise makes the half index look like the whole.
    assert office("keys", "rotate", "--role", "index", "--why", "T-1").code == output.NO
    assert office("keys", "compromised", "gw-test", old, "--since", "2026-11-01", "--why", "T-1").code == output.NO
    # Cut off before the change over, the walk is continued.
    with monkeypatch.context() as cut, open_store(load_settings(office.config)) as store:
        cut.setattr(reindexing, "_change_over", _power_cut)
        with pytest.raises(PowerCutError):
            reindex(store, why="INC-1", who="tester")
        assert (to_reindex(store), states(store)[old]) == (0, "lost")
    assert office(*find, stdin=SUBJECT).code == output.UNASKED
    office.ok("keys", "reindex", "--why", "INC-1")
    assert seen(office) == sorted([first.transfer, fresh.transfer])
    assert post(office, kept, today).transfer == first.transfer
    assert (
        office.ok("retention", "run", "--why", "T-1", "--json").json["erased"] == 0
    )  # the hold is over both, and known to be
    late = post(office, erased, today)
    assert (late.transfer == gone.transfer, late.reasons[0].code) == (False, "envelope.replayed")
    told = [(one["what"], one["about"], one["why"]) for one in entries(office) if one["kind"] == "operator.act"]
    new_key = f"index-key:{done['new']}"
    lost_key = f"index-key:{old}"
    assert told[-3:] == [
        ("keys.lost/index", lost_key, "INC-1"), ("keys.rotate/index", new_key, "INC-1"), ("keys.retire/index", lost_key, "INC-1")
    ]  # fmt: skip
    office.ok("keys", "status"), office.ok("keys", "history"), office.ok("ledger", "fsck")


def test_an_older_index_key_that_is_gone_is_forgotten_without_it(tmp_path: Path) -> None:
    """Lost after the next one began: what is stored is found by its text, and what is erased is forgotten by an act."""
    office, past = in_service(tmp_path), datetime.now(UTC) + LAST_SPRING
    post(office, written(office, past, jti="older-key-erased", purpose="SUPERVISION"), past)
    office.ok("retention", "run", "--why", "T-1")
    kept = post(office, written(office, past, jti="older-key-stored", purpose="SUPERVISION"), past)
    old, _ = rotated(office)
    (second,) = (office.config.parent / "keys").glob("index-2*.pem")
    office.config.write_text(office.config.read_text().replace("/keys/index.pem", f"/keys/{second.name}"))
    (office.config.parent / "keys" / "index.pem").unlink()
    assert office("keys", "reindex", "--why", "T-2").code == output.MISUSE
    assert office.ok("keys", "reindex", "--forget-erased", "--why", "T-2", "--json").json["forgotten"] == [old]
    assert seen(office) == [kept.transfer]
    office.ok("keys", "status")


def _power_cut(*_: Any) -> None:
    raise PowerCutError


def _own(store: Store) -> Any:
    with store.database.reading() as session:
        return queries.own_keys(session)
