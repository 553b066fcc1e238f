"""Erasure on a real database: what goes, what stays, what stands against it, and that no byte is left."""

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select, text, update
from sqlmodel import col

from gateway.data_protection.holds import add_hold, release_hold
from gateway.erasure import Stored, standing_against
from gateway.errors import AccessDeniedError, ErasedError, KeyRefusedError
from gateway.founding import RefusedError
from gateway.keyring import signer_for
from gateway.record import open_content
from gateway.retention import LEASE, Retention, check, scrub
from gateway.statements.hold_release import HoldRelease
from gateway.statements.receipt import read_gateway_receipt
from gateway.statements.two_officers import sign_statement
from gateway.store import queries
from gateway.store.jobs.erasures import Erase, Erased
from gateway.store.recorder import Recorder
from gateway.store.session import Database
from gateway.store.tables import HoldRow, LedgerHead, OutboxRow, SubjectIndex, TransferRow
from gateway.transfer import Outcome
from gateway.wiring import Store
from tests.functional.flow import IMIGRASI, POLDA, Clock, Flow, Secrets, found, held, node, run
from tests.retention.acts import NIK, expire, officers, years_later

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def stored(**changes: Any) -> Stored:
    """A message whose last day was yesterday, delivered long ago."""
    members: dict[str, Any] = {
        "transfer": "t",
        "received_at": NOW - timedelta(days=400),
        "expires_at": NOW - timedelta(days=399),
        "retain_until": date(2026, 11, 23),
    }
    return Stored(**(members | changes))


@pytest.mark.parametrize(
    ("changes", "against"),
    [
        ({}, ()),
        ({"retain_until": date(2026, 11, 24)}, ("retention-duty",)),
        ({"retain_until": None}, ()),
        ({"retain_until": None, "received_at": NOW - timedelta(days=90)}, ("retention-duty",)),
        ({"held": True}, ("hold",)),
        ({"waiting": True}, ("delivery",)),
        ({"expires_at": NOW + timedelta(seconds=1)}, ("delivery",)),
        ({"deadline": NOW + timedelta(days=1)}, ("deadline",)),
        ({"deadline": NOW - timedelta(days=1)}, ("deadline",)),
        ({"deadline": NOW - timedelta(days=1), "escalated": True}, ()),
        ({"stands_until": NOW + timedelta(seconds=1)}, ("stands",)),
        ({"stands_until": NOW}, ()),
        ({"erased": True, "held": True}, ("erased",)),
        ({"held": True, "waiting": True, "retain_until": date(2027, 1, 1)}, ("hold", "retention-duty", "delivery")),
    ],
)
def test_what_stands_against_an_erasure(changes: Mapping[str, Any], against: tuple[str, ...]) -> None:
    """Each reason by itself, its edge, and all of them together."""
    assert standing_against(stored(**changes), NOW, 90) == against


def test_without_the_duty_only_the_day_is_not_asked() -> None:
    """A person's right may go before the retention's end, and never before a hold."""
    early = stored(retain_until=date(2027, 1, 1), held=True)
    assert standing_against(early, NOW, 90, duty=False) == ("hold",)


def of_subject(flow: Flow, transfer: str) -> int:
    with flow.database.reading() as session:
        return len(session.exec(select(SubjectIndex).where(col(SubjectIndex.transfer) == transfer)).all())


def test_past_its_day_a_message_goes_and_its_proof_stays(flow: Flow, retention: Retention, shared: Secrets) -> None:
    """Accepted and refused ones, in bounded commits: content, key and index are gone, every proof verifies as before."""
    raw = flow.message("plain", {"nik": NIK})
    sent = flow.send(raw)[0]
    young = flow.accepted("plain", {"nik": NIK})
    others = [flow.accepted("plain") for _ in range(3)]
    bad = flow.post("plain", {"nik": NIK}, agreement="unknown-words", type="strangers-words/1", jti="refused-jti-1")
    assert bad.decision == "refused"
    with flow.database.write.begin() as connection:
        late = update(TransferRow).where(col(TransferRow.id) == young.transfer).values(retain_until="2099-01-01")
        connection.execute(late)
    assert retention.run("tester").erased == 0
    flow.clock.advance(days=733)
    waiting = retention.preview()
    assert (waiting.erased, waiting.kept) == (1, {"delivery": 4})
    expire(flow, sent.transfer, *(one.transfer for one in others))
    assert retention.run("tester", limit=3).erased == 3
    rest = retention.run("tester")
    assert rest.erased + 3 == len([sent, *others, bad])
    row = flow.row(sent.transfer)
    assert (row.wrapped_key, row.sealed_content, row.sealed_receipt) == (b"", b"", b"")
    assert (row.erased_for, of_subject(flow, sent.transfer)) == ("retention", 0)
    with pytest.raises(ErasedError):
        open_content(flow.exchange.sealer, row)
    assert row.erased_position is not None
    entry = flow.entries()[row.erased_position]
    assert entry.keys() == {"v", "kind", "time", "transfer", "erased_for", "who"}
    claimed = flow.row(bad.transfer)
    assert (claimed.type, claimed.agreement, claimed.erased_for) == ("", "", "retention")
    assert of_subject(flow, young.transfer) == 1
    assert open_content(flow.exchange.sealer, flow.row(young.transfer))["message"]
    assert check(flow.database, shared.checkpoint) == (5, ())
    assert retention.run("tester").erased == 0


def test_an_erased_message_sent_again_gets_a_receipt_without_the_key(
    flow: Flow, retention: Retention, shared: Secrets
) -> None:
    """The retry is answered as the message it is, whatever became of its key; whoever cannot sign it learns nothing."""
    raw = flow.message("plain", {"name": "X"}, disclosable=["/body/name"])
    first = flow.send(raw)[0]
    years_later(flow, first.transfer)
    assert retention.run("tester").erased == 1
    again = flow.send(raw)[0]
    assert (again.again, again.transfer, again.decision, again.index) == (True, first.transfer, "accepted", first.index)
    before, after = (read_gateway_receipt(one.receipt, shared.sign.public) for one in (first, again))
    assert (before.commitment_key != "", after.commitment_key, before.erased_at) == (True, "", None)
    assert after.erased_at is not None
    assert (before.sd_hash, before.leaf_hash, before.rule) == (after.sd_hash, after.leaf_hash, after.rule)
    head, payload, signature = raw.decode().split("~")[0].split(".")
    forged = f"{head}.{payload}.{signature[:-4]}AAAA~{raw.decode().partition('~')[2]}".encode()
    with pytest.raises(KeyRefusedError):
        flow.send(forged)


def test_what_was_destroyed_or_kept_past_the_program_is_found(
    flow: Flow, retention: Retention, shared: Secrets
) -> None:
    """Somebody with the database empties a message, puts an erased one's key back, or claims an erasure: each is a flaw."""
    erased, emptied, claimed = (flow.accepted("plain", {"nik": NIK}).transfer for _ in range(3))
    key = flow.row(erased).wrapped_key
    with flow.database.write.begin() as connection:
        late = update(TransferRow).where(col(TransferRow.id) != erased).values(retain_until="2099-01-01")
        connection.execute(late)
    years_later(flow, erased)
    assert retention.run("tester").erased == 1
    assert check(flow.database, shared.checkpoint) == (1, ())
    position = flow.row(erased).erased_position
    nothing = {"wrapped_key": b"", "sealed_content": b"", "sealed_receipt": b""}
    for transfer, values in (
        (erased, {"wrapped_key": key}),
        (emptied, nothing),
        (claimed, {**nothing, "erased_at": 1, "erased_for": "retention", "erased_position": position}),
    ):
        with flow.database.write.begin() as connection:
            connection.execute(update(TransferRow).where(col(TransferRow.id) == transfer).values(**values))
    _, flaws = check(flow.database, shared.checkpoint)
    assert {(flaw.transfer, flaw.what) for flaw in flaws} == {
        (erased, "content or key is left in the row"),
        (emptied, "destroyed without an entry"),
        (claimed, "rows are left in subject_index"),
        (claimed, f"entry {position} is about something else"),
    }


def test_a_hold_keeps_and_two_persons_end_it(flow: Flow, store: Store, retention: Retention) -> None:
    """By person, by case and by transfer; one signature, two keys of one person, or another reason end nothing."""
    sari, budi, sari_again = officers(flow)
    named = flow.accepted("plain", {"nik": NIK})
    one, other = flow.accepted("plain"), flow.accepted("plain")
    by_person = add_hold(
        store, "nik", f" {NIK} ", why="PERKARA-7", citation="Penetapan PN Serang 12/2026", who="tester"
    )
    by_transfer = add_hold(store, "transfer", one.transfer, why="PERKARA-7", citation="Penetapan", who="tester")
    assert (by_person.covers, by_transfer.covers) == (1, 1)
    assert NIK not in json.dumps(flow.entries("gateway"))
    years_later(flow, named.transfer, one.transfer, other.transfer)
    report = retention.run("tester")
    assert (report.erased, report.kept) == (1, {"hold": 2})
    with pytest.raises(RefusedError, match="erased"):
        add_hold(store, "transfer", other.transfer, why="PERKARA-7", citation="Penetapan", who="tester")
    ending = HoldRelease(store.settings.gateway.id, by_person.id, "SELESAI-7")
    words = [sign_statement(ending, POLDA, key, datetime.now(UTC)) for key in (sari, budi, sari_again)]
    elsewhere = HoldRelease(ending.aud, by_transfer.id, ending.why)
    for statements in (
        [],
        words[:1],
        [words[0], words[0]],
        [words[0], words[2]],
        [words[0], sign_statement(elsewhere, POLDA, budi, datetime.now(UTC))],
        [words[0], sign_statement(ending, POLDA, budi, datetime.now(UTC) - timedelta(days=8))],
        [words[0], sign_statement(ending, IMIGRASI, budi, datetime.now(UTC))],
        [words[0], sign_statement(ending, POLDA, signer_for(Ed25519PrivateKey.generate()), datetime.now(UTC))],
    ):
        with pytest.raises(AccessDeniedError):
            release_hold(store, by_person.id, statements, why="SELESAI-7", who="tester")
    with pytest.raises(AccessDeniedError):
        release_hold(store, by_person.id, words[:2], why="ANOTHER-REASON", who="tester")
    assert retention.run("tester").kept == {"hold": 2}
    assert set(release_hold(store, by_person.id, words[:2], why="SELESAI-7", who="tester")) == {sari.kid, budi.kid}
    with pytest.raises(RefusedError):
        release_hold(store, by_person.id, words[:2], why="SELESAI-7", who="tester")
    report = retention.run("tester")
    assert (report.erased, report.kept) == (1, {"hold": 1})
    assert [entry["kind"] for entry in flow.entries("gateway")] == ["hold.added", "hold.added", "hold.released"]


def test_an_officer_of_another_office_ends_no_hold(flow: Flow, store: Store) -> None:
    """Who approves a release of a victim's name does not, by that, decide about evidence."""
    sent = flow.accepted("plain")
    hold = add_hold(store, "transfer", sent.transfer, why="PERKARA-7", citation="Penetapan", who="tester")
    ending = HoldRelease(store.settings.gateway.id, hold.id, "SELESAI-7")
    words = [sign_statement(ending, POLDA, key, datetime.now(UTC)) for key in officers(flow, "PPA_OFFICER")]
    with pytest.raises(AccessDeniedError):
        release_hold(store, hold.id, words, why="SELESAI-7", who="tester")


@pytest.mark.parametrize("hold_first", [True, False])
def test_of_a_hold_and_an_erasure_at_once_the_first_counts(flow: Flow, store: Store, hold_first: bool) -> None:
    """Both in one batch: an answered hold is never followed by the erasure of what it covers, and never of nothing."""
    sent = flow.accepted("plain", {"nik": NIK})
    years_later(flow, sent.transfer)
    job = Erase(
        ledger="test", own_ledger="gateway", transfers=[sent.transfer], erased_for="retention", who="tester",
        now=flow.clock(), refused_days=90,
    )  # fmt: skip

    async def both() -> tuple[Any, Any]:
        def place() -> Any:
            return add_hold(store, "transfer", sent.transfer, why="PERKARA-7", citation="Penetapan", who="tester")

        with held(flow.recorder):
            if hold_first:
                placing = asyncio.create_task(asyncio.to_thread(place))
                await waits(flow.recorder, 1)
            erasing = flow.recorder.submit(job)
            if not hold_first:
                placing = asyncio.create_task(asyncio.to_thread(place))
                await waits(flow.recorder, 2)
        outcome = await asyncio.gather(placing, return_exceptions=True)
        return outcome[0], erasing.result(10).result

    placed, erased = run(both())
    assert isinstance(erased, Erased)
    if hold_first:
        assert (erased.erased, erased.kept) == ((), {sent.transfer: ("hold",)})
        assert open_content(flow.exchange.sealer, flow.row(sent.transfer))["message"]
    else:
        assert erased.erased == (sent.transfer,)
        assert isinstance(placed, RefusedError)


def test_an_erasure_waits_for_a_hold_that_another_node_is_placing(flow: Flow) -> None:
    """The other node has the lock of the gateway's own ledger and has not committed: what it places is seen."""
    sent = flow.accepted("plain")
    years_later(flow, sent.transfer)
    job = Erase(
        ledger="test", own_ledger="gateway", transfers=[sent.transfer], erased_for="retention", who="tester",
        now=flow.clock(), refused_days=90,
    )  # fmt: skip
    hold = {
        "id": "other-node", "scope": "transfer", "target": sent.transfer, "why": "PERKARA-7", "citation": "Penetapan",
        "added_by": "tester", "added_at": 0, "approvals": "[]", "commitment_key": bytes(32),
        "storage_key": "", "wrapped_key": b"", "sealed_target": b"",
    }  # fmt: skip
    with flow.database.write.begin() as connection:
        head = select(col(LedgerHead.size)).where(col(LedgerHead.ledger) == "gateway").with_for_update()
        connection.execute(head).one()
        connection.execute(insert(HoldRow), [hold])
        erasing = flow.recorder.submit(job)
        time.sleep(0.3)
        assert not erasing.done()
    assert erasing.result(10).result.kept == {sent.transfer: ("hold",)}


async def waits(recorder: Recorder, jobs: int) -> None:
    while recorder.waiting < jobs:  # noqa: ASYNC110 - a thread's queue rings no bell
        await asyncio.sleep(0.01)


def test_one_node_runs_the_timer(flow: Flow, retention: Retention) -> None:
    """The first that asks gets it, the next one only when it is due again or the first one died; a stop is no end."""
    sent = [flow.accepted("plain") for _ in range(3)]
    years_later(flow, *(one.transfer for one in sent))
    asked: list[bool] = []

    def once() -> bool:
        asked.append(True)
        return len(asked) == 1

    stopped = retention.run_when_due(once)
    assert stopped is not None
    finished = retention.run_when_due(lambda: True)
    assert finished is not None
    assert stopped.erased + finished.erased == 3
    assert retention.run_when_due(lambda: True) is None
    flow.clock.advance(days=1)
    assert retention.run_when_due(lambda: True) is not None
    assert timedelta(days=1) > LEASE


def test_no_byte_of_an_erased_message_is_left_in_sqlite(
    open_empty: Any, tmp_path: Path, shared: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the ciphertexts, of the wrapped keys or of the index, in database, WAL and shared memory."""
    database = open_empty(f"sqlite:///{tmp_path / 'sinergi.db'}")
    with node(database, shared, Clock(), found(database, shared.checkpoint)) as flow:
        gone, needles = _fill(flow)
        before = _bytes(tmp_path)
        assert all(needle in before for needle in needles)
        _erase(flow, gone)
        assert scrub(database)
        after = _bytes(tmp_path)
        assert [needle for needle in needles if needle in after] == []
        assert check(database, shared.checkpoint) == (len(gone), ())


def _fill(flow: Flow, count: int = 60) -> tuple[list[str], list[bytes]]:
    """Messages of many sizes, among others that stay; all the bytes of which nothing may be left."""
    sent: list[Outcome] = []
    for number in range(count):
        body = {"nik": f"36040815039{number:05}", "text": "rahasia " * (number * 7)}
        sent += flow.send(flow.message("plain", body), flow.message("plain", {"nik": f"99040815039{number:05}"}))
    gone = [one.transfer for one in sent[::2]]
    needles: list[bytes] = []
    with flow.database.reading() as session:
        for row in queries.transfers(session, gone).values():
            needles += [bytes(row.wrapped_key), bytes(row.sealed_receipt)[40:72], bytes(row.sealed_content)[40:72]]
            needles += [bytes(row.sealed_content)[-32:], bytes(row.sealed_receipt)[-32:]]
        tokens = session.execute(select(col(SubjectIndex.token)).where(col(SubjectIndex.transfer).in_(gone))).scalars()
        needles += [token.encode() for token in tokens]
    return gone, needles


def _erase(flow: Flow, gone: list[str]) -> None:
    with flow.database.write.begin() as connection:
        connection.execute(update(OutboxRow).values(state="delivered"))
    flow.clock.advance(days=1)
    for first in range(0, len(gone), 25):
        job = Erase(
            ledger="test", own_ledger="gateway", transfers=gone[first : first + 25], erased_for="data-subject",
            who="tester", now=flow.clock(), refused_days=90, duty=False,
        )  # fmt: skip
        assert not flow.recorder.submit(job).result(10).result.kept


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("sinergi.db*")))


def test_no_byte_of_an_erased_message_is_left_in_postgresql(
    open_empty: Any, postgres_url: str, shared: Secrets
) -> None:
    """In the files of the whole database, once its tables were written anew and the server has put them on the disk."""
    database = open_empty(postgres_url)
    with node(database, shared, Clock(), found(database, shared.checkpoint)) as flow:
        gone, needles = _fill(flow)
        before = _relations(database)
        # A few stand across the edge of a page.
        assert sum(needle in before for needle in needles) > 0.9 * len(needles)
        _erase(flow, gone)
        # A plain VACUUM frees the room of dead rows and overwrites nothing: about half of these bytes would still be there.
        assert scrub(database, rewrite=True)
        after = _relations(database)
        assert [needle for needle in needles if needle in after] == []
        assert check(database, shared.checkpoint) == (len(gone), ())


def test_a_rewrite_while_somebody_reads_an_older_state_is_not_called_clean(
    open_empty: Any, postgres_url: str, shared: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL takes along what an open snapshot still sees: said so, and clean once that reader is gone."""
    monkeypatch.setattr("gateway.retention._REWRITES", 1)
    database = open_empty(postgres_url)
    with node(database, shared, Clock(), found(database, shared.checkpoint)) as flow:
        sent = flow.accepted("plain")
        with database.read.connect() as reader:
            reader.execution_options(isolation_level="REPEATABLE READ")
            reader.execute(text("SELECT count(*) FROM transfer"))
            _erase(flow, [sent.transfer])
            assert not scrub(database, rewrite=True)
        assert scrub(database, rewrite=True)


def _relations(database: Database) -> bytes:
    """All files of one database, as they are on the server's disk."""
    with database.write.connect() as connection:
        folder = connection.execute(
            text(
                "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()"
            )
        ).scalar_one()
        connection.execute(text("CHECKPOINT"))
    if not Path(folder).is_dir():
        pytest.skip("the server's files are on another machine")
    return b"".join(path.read_bytes() for path in sorted(Path(folder).iterdir()))
