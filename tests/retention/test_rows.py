"""Attacks on what lies beside the ledger: messages, receipts, holds, agreements; and what a restored table brings back."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, event, insert, text, update
from sqlmodel import col

from gateway.data_protection.data_subjects import Request, Subject, trail
from gateway.data_protection.holds import add_hold, release_hold
from gateway.data_protection.subject_erasure import early_erasure, erase, preview
from gateway.errors import AccessDeniedError, AgreementInvalidError, LedgerForkedError
from gateway.founding import RefusedError
from gateway.keyring import signer_for
from gateway.ledger.entry import AuditRead, decode
from gateway.record import open_content
from gateway.retention import Retention, check
from gateway.statements.hold_release import HoldRelease
from gateway.statements.two_officers import sign_statement
from gateway.store import mentions
from gateway.store.append import Memory
from gateway.store.configuration import Configuration
from gateway.store.identity import new_transfer_id
from gateway.store.jobs.events import RecordEvent
from gateway.store.patrol import require_whole
from gateway.store.tables import (
    AgreementRow,
    ConfigVersion,
    HoldRow,
    LedgerMention,
    SubjectIndex,
    TransferRow,
)
from gateway.wiring import Store
from tests.functional.flow import POLDA, Flow, Secrets
from tests.retention.acts import NIK, faults, officers, years_later
from tests.store.tampering import tamper


def row(**values: Any) -> Callable[[Connection, str], Any]:
    return lambda connection, transfer: connection.execute(
        update(TransferRow).where(col(TransferRow.id) == transfer).values(**values)
    )


def gone(connection: Connection, transfer: str) -> None:
    connection.execute(delete(TransferRow).where(col(TransferRow.id) == transfer))


ATTACKS: dict[str, tuple[str, Callable[[Connection, str], Any], str]] = {
    "another sender": ("plain", row(sender=POLDA), "differs from entry 1 in sender"),
    "another commitment": ("plain", row(commitment="0" * 64), "in commitment"),
    "expired already": ("plain", row(expires_at=1), "in exp"),
    "kept for longer": ("plain", row(retain_until="2199-01-01"), "in retain_until"),
    "a refusal made a permission": ("refused", row(decision="accepted"), "in kind"),
    "a reason left out": ("refused", row(reasons="[]"), "in reasons"),
    "another entry": ("plain", row(position=0), "names entry 0, which is about something else"),
    "emptied": (
        "plain",
        row(erased_at=1, erased_position=0, sealed_content=b"", wrapped_key=b""),
        "is marked erased, but no entry says so",
    ),
    "emptied, without an entry's place": ("plain", row(erased_at=1), "is marked erased, but no entry says so"),
    "taken away": ("plain", gone, "the message of entry 1 is gone"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_message_whose_row_was_altered_is_found(flow: Flow, shared: Secrets, attack: str) -> None:
    """The tree is whole and the row lies: the check names transfer, entry and member, and the gateway does not start."""
    kind, change, told = ATTACKS[attack]
    if kind == "plain":
        sent = flow.accepted("plain", {"name": "X"})
    else:
        sent = flow.post("plain", purpose="SUPERVISION")
        assert sent.decision == "refused"
    assert faults(flow, shared) == {}
    with flow.database.write.begin() as connection:
        change(connection, sent.transfer)
    found = faults(flow, shared)
    # What was never permitted has no delivery either.
    assert list(found) == ([12, 14] if attack == "a refusal made a permission" else [12])
    assert told in found[12]
    with pytest.raises(LedgerForkedError, match="test was altered"):
        require_whole(flow.database, shared.checkpoint, Memory(), 256, flow.clock())


def test_what_is_known_of_a_message_is_found_without_reading_every_other(flow: Flow, database_url: str) -> None:
    """An erasure takes a message's subjects away, and holds ask for them: the planner has an index for that."""
    if not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL reads a table of two rows whole, and is right")
    with flow.database.write.begin() as connection:
        plan = connection.execute(text("EXPLAIN QUERY PLAN DELETE FROM subject_index WHERE transfer IN ('a', 'b')"))
        assert "subject_index_by_transfer" in " ".join(str(row) for row in plan)


def test_an_index_by_name_is_not_walked_by_place(flow: Flow, database_url: str) -> None:
    """Evidence and trails ask it what is about a name: SQLite's planner goes by the name, without having counted anything."""
    if not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL reads a table of a few rows whole, and is right")
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    with flow.database.reading() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", note)
        list(mentions.reads(session, "gateway", ["a", "b"]))
        mentions.positions(session, "gateway", keys=["a", "b"], type_="plain/1", agreement="test")
        event.remove(connection, "before_cursor_execute", note)
        for statement, parameters in asked:
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            assert "ledger_mention_by_name (ledger=? AND sort=? AND name=?)" in plan
            assert "ledger_mention USING PRIMARY KEY" not in plan


def test_a_place_that_is_left_out_of_the_index_is_found(flow: Flow, shared: Secrets) -> None:
    """Evidence looks there for what became of a key: who takes a line out, or turns it to something else, hides a revocation."""
    with flow.database.write.begin() as connection:
        assert connection.execute(delete(LedgerMention).where(col(LedgerMention.ledger) == "test")).rowcount == 1
    assert "the index does not say that entry 0 is about agreement test" in faults(flow, shared)[12]
    for position, sort, name in ((0, "agreement", "test"), (-1, "key", "x")):
        row = {"ledger": "test", "position": position, "sort": sort, "name": name}
        with flow.database.write.begin() as connection:
            connection.execute(insert(LedgerMention), [row])
    assert faults(flow, shared)[12] == "the index says that entry -1 is about key x, and it is not"
    with flow.database.write.begin() as connection:
        connection.execute(delete(LedgerMention).where(col(LedgerMention.position) == -1))
        connection.execute(
            update(LedgerMention).where(col(LedgerMention.ledger) == "test").values(sort="key", name="x")
        )
    assert faults(flow, shared)[12] == (
        "the index does not say that entry 0 is about agreement test; "
        "the index says that entry 0 is about key x, and it is not"
    )


def test_who_looked_is_told_without_reading_every_entry(
    flow: Flow, store: Store, shared: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among a thousand looks at other transfers the trail reads its own two; a look that is hidden from it is found."""
    sent = flow.accepted("plain", {"nik": NIK})

    def looked(transfer: str | None, who: str) -> AuditRead:
        filters = {"from": "2026-01-01"} if transfer is None else {"transfer": transfer}
        return AuditRead(time=flow.clock(), auditor=who, role="dpo", what="transfers.show", filters=filters, results=1)

    others = [looked(new_transfer_id(flow.clock()) if number % 2 else None, "bpk") for number in range(1000)]
    entries = [*others[:400], looked(sent.transfer, "dpo-1"), *others[400:], looked(sent.transfer, "dpo-2")]
    flow.recorder.submit(RecordEvent("gateway", entries)).result(10)
    read: list[bytes] = []

    def counted(leaf: bytes) -> dict[str, Any]:
        read.append(leaf)
        return decode(leaf)

    monkeypatch.setattr("gateway.data_protection.data_subjects.decode", counted)
    request = Request(Subject("nik", NIK), "DSR-15", "tester", flow.clock())
    (told,) = trail(store, request)["transfers"]
    assert [one["who"] for one in told["reads"]] == ["dpo-1", "dpo-2"]
    assert len(read) == len(told["reads"])
    assert faults(flow, shared, "gateway") == {}
    with flow.database.write.begin() as connection:
        hidden = delete(LedgerMention).where(col(LedgerMention.name) == sent.transfer)
        assert connection.execute(hidden).rowcount == len(read)
    assert f"is about read {sent.transfer}" in faults(flow, shared, "gateway")[12]


def test_a_rule_that_was_written_past_the_gateway_is_refused(flow: Flow, shared: Secrets) -> None:
    """Document and digest fit each other; the ledger activated, and the parties signed, another."""
    with flow.database.reading() as session:
        stored = session.get(AgreementRow, ("test", 1))
    assert stored is not None
    from gateway.agreement.document import agreement_from_json

    document = json.loads(stored.document)
    document["rules"][0]["priority"] = "urgent"
    forged = agreement_from_json(json.dumps(document, separators=(",", ":"), sort_keys=True).encode())

    def write(**values: Any) -> None:
        with flow.database.write.begin() as connection:
            connection.execute(update(AgreementRow).values(**values))
            connection.execute(update(ConfigVersion).values(version=col(ConfigVersion.version) + 1))

    for values, told in (
        ({"document": forged.canonical(), "digest": forged.digest}, "is not what entry 0"),
        ({"document": stored.document, "digest": stored.digest, "position": 7}, "no such entry"),
        ({"position": 0, "signatures": "[]"}, "is not signed by its parties"),
    ):
        write(**values)
        with pytest.raises(AgreementInvalidError, match=told):
            Configuration(flow.database)
        assert told in faults(flow, shared)[13]
    write(signatures=stored.signatures)
    assert faults(flow, shared) == {}
    with flow.database.write.begin() as connection:
        connection.execute(delete(AgreementRow))
    assert "version 1 was activated and is gone" in faults(flow, shared)[13]


def test_an_activation_that_was_written_into_the_ledger_is_refused(flow: Flow, database_url: str) -> None:
    """The entry is changed with its row: it is not the one that the tree has, and nothing is decided by it."""

    def forge(connection: Connection) -> None:
        place = "WHERE ledger = 'test' AND position = 0"
        leaf = bytes(connection.execute(text(f"SELECT leaf FROM ledger_entry {place}")).scalar_one())
        later = leaf.replace(b'"time":"2', b'"time":"3')
        connection.execute(text(f"UPDATE ledger_entry SET leaf = :leaf {place}"), {"leaf": later})

    tamper(database_url, forge)
    with pytest.raises(AgreementInvalidError, match="not the one in its tile"):
        Configuration(flow.database)


def test_a_hold_names_nothing_in_public_and_cannot_be_turned(flow: Flow, store: Store, shared: Secrets) -> None:
    """The entry has a commitment; a row that was turned to another message, ended or taken away past the gateway is found."""
    sent, other = flow.accepted("plain"), flow.accepted("plain")
    held = add_hold(store, "transfer", sent.transfer, why="PERKARA-7", citation="Penetapan", who="tester")
    (entry,) = flow.entries("gateway")
    assert sent.transfer not in json.dumps(entry)
    assert entry["scope"] == "transfer"
    assert faults(flow, shared, "gateway") == {}
    for change, told in (
        ({"target": other.transfer}, "not about what it was placed on"),
        ({"target": sent.transfer, "released_at": 1}, "was ended without an entry"),
    ):
        with flow.database.write.begin() as connection:
            connection.execute(update(HoldRow).values(**change))
        assert told in faults(flow, shared, "gateway")[12]
    with flow.database.write.begin() as connection:
        connection.execute(update(HoldRow).values(released_at=None))
    ending = HoldRelease(store.settings.gateway.id, held.id, "SELESAI-7")
    words = [sign_statement(ending, POLDA, key, datetime.now(UTC)) for key in officers(flow)[:2]]
    release_hold(store, held.id, words, why="SELESAI-7", who="tester")
    assert faults(flow, shared, "gateway") == {}
    with flow.database.write.begin() as connection:
        connection.execute(delete(HoldRow))
    assert f"the hold {held.id} is gone" in faults(flow, shared, "gateway")[12]


def test_what_a_restored_table_brings_back_is_erased_again(
    flow: Flow, store: Store, retention: Retention, shared: Secrets
) -> None:
    """The ledger says erased, the rows of yesterday are there: found, erased again without a second entry, but for a hold."""
    sent, kept = flow.accepted("plain", {"nik": NIK}), flow.accepted("plain")
    refused = flow.post("plain", purpose="SUPERVISION")
    ids = [sent.transfer, kept.transfer, refused.transfer]
    years_later(flow, *ids)
    before = {one: flow.row(one).model_dump() for one in ids}
    with flow.database.reading() as session:
        index = [dict(one._mapping) for one in session.connection().execute(SubjectIndex.__table__.select())]  # type: ignore[attr-defined]
    assert retention.run("tester").erased == 3
    after = flow.entries()
    with flow.database.write.begin() as connection:
        for one, values in before.items():
            connection.execute(update(TransferRow).where(col(TransferRow.id) == one).values(**values))
        connection.execute(insert(SubjectIndex), index)
    assert open_content(flow.exchange.sealer, flow.row(sent.transfer))["message"]
    assert f"{sent.transfer} was erased by entry" in faults(flow, shared)[12]
    add_hold(store, "transfer", kept.transfer, why="PERKARA-7", citation="Penetapan", who="tester")
    done = retention.repeat("T-1", "tester")
    assert (set(done.erased), done.kept) == ({sent.transfer, refused.transfer}, {kept.transfer: ("hold",)})
    assert flow.entries() == after
    assert flow.row(refused.transfer).purpose == ""
    assert check(flow.database, shared.checkpoint) == (2, ())
    assert f"{kept.transfer} was erased" in faults(flow, shared)[12]
    assert (retention.repeat("T-1", "tester").erased, flow.entries("gateway")[-1]["what"]) == ((), "retention.repeat")


def test_before_its_day_two_officers_must_sign(flow: Flow, store: Store, retention: Retention, shared: Secrets) -> None:
    """One signature, one person twice, another person's token or another ground erase nothing; the entries name both keys."""
    sari, budi, sari_again = officers(flow)
    sent = flow.accepted("plain", {"nik": NIK})
    flow.hand_out(POLDA)
    with flow.database.write.begin() as connection:
        connection.exec_driver_sql("UPDATE outbox SET state = 'delivered'")
    flow.clock.advance(days=1)
    request = Request(Subject("nik", NIK), "DSR-14", "tester", flow.clock())
    ground = "UU27-2022-43-1-d"
    assert preview(store, retention, request)["kept"] == {sent.transfer: ["retention-duty"]}
    assert preview(store, retention, request, before_retention=ground)["erased"] == [sent.transfer]
    matter, now = early_erasure(store, request, ground), datetime.now(UTC)
    assert NIK not in str(matter)
    words = [sign_statement(matter, POLDA, key, now) for key in (sari, budi, sari_again)]
    other = early_erasure(store, Request(Subject("nik", NIK[::-1]), "DSR-14", "tester", now), ground)
    for statements in (
        [],
        words[:1],
        [words[0], words[2]],
        [words[0], sign_statement(other, POLDA, budi, now)],
        [words[0], sign_statement(early_erasure(store, request, "ANOTHER"), POLDA, budi, now)],
        [words[0], sign_statement(HoldRelease(matter.aud, sent.transfer, "DSR-14"), POLDA, budi, now)],
        [words[0], sign_statement(matter, POLDA, signer_for(Ed25519PrivateKey.generate()), now)],
    ):
        with pytest.raises(AccessDeniedError, match="nothing is erased before its day"):
            erase(store, retention, request, before_retention=ground, statements=statements)
    assert open_content(flow.exchange.sealer, flow.row(sent.transfer))["message"]
    done = erase(store, retention, request, before_retention=ground, statements=words[:2])
    assert done["erased"] == [sent.transfer]
    entry = flow.entries()[-1]
    assert (entry["kind"], entry["why"], set(entry["approvals"])) == ("transfer.erased", ground, {sari.kid, budi.kid})
    begun, ended = flow.entries("gateway")
    assert (begun["request"], begun["results"], begun.get("erased")) == (ended["request"], 1, None)
    assert (ended["erased"], set(ended["approvals"])) == (1, {sari.kid, budi.kid})
    assert check(flow.database, shared.checkpoint) == (1, ())


def test_keys_that_change_during_an_early_erasure_stop_it(
    flow: Flow, store: Store, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An officer's key is revoked after the signatures were judged: what is not gone by then stays."""
    sari, budi, _ = officers(flow)
    sent = flow.accepted("plain", {"nik": NIK})
    years_later(flow, sent.transfer)
    request = Request(Subject("nik", NIK), "DSR-14", "tester", flow.clock())
    matter = early_erasure(store, request, "UU27-2022-43-1-d")
    words = [sign_statement(matter, POLDA, key, datetime.now(UTC)) for key in (sari, budi)]
    judged = Configuration.current

    def changed_after(configuration: Configuration) -> Any:
        found = judged(configuration)
        with flow.database.write.begin() as connection:
            connection.execute(update(ConfigVersion).values(version=col(ConfigVersion.version) + 1))
        return found

    monkeypatch.setattr(Configuration, "current", changed_after)
    with pytest.raises(RefusedError, match="0 are erased: run it again"):
        erase(store, retention, request, before_retention="UU27-2022-43-1-d", statements=words)
    monkeypatch.undo()
    assert open_content(flow.exchange.sealer, flow.row(sent.transfer))["message"]
