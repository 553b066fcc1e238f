"""Attacks on what is owed: deliveries and alerts that somebody took out of the outbox, or that call themselves done."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, update
from sqlmodel import col, select

from gateway.delivery.redeliver import redeliver
from gateway.errors import LedgerForkedError
from gateway.jose import Signer
from gateway.keyring import signer_for
from gateway.statements.alert import read_alert, sign_alert
from gateway.store.append import Memory
from gateway.store.fsck import examine
from gateway.store.jobs.alerts import AcknowledgeAlert, AlertAbout, LostKey
from gateway.store.jobs.deliveries import Reschedule, Retry
from gateway.store.patrol import require_whole
from gateway.store.tables import AcknowledgementRow, AlertRow, GatewayKeyRow, OutboxRow
from tests.functional.flow import IMIGRASI, POLDA, Flow, Secrets
from tests.retention.acts import faults


def waiting(**values: Any) -> Callable[[Connection, str], Any]:
    return lambda connection, transfer: connection.execute(
        update(OutboxRow).where(col(OutboxRow.transfer) == transfer).values(**values)
    )


def signed_elsewhere(connection: Connection, transfer: str) -> None:
    """A receipt in a ledger that there is not, where nobody compares it with an entry."""
    waiting(state="delivered")(connection, transfer)
    receipt = {"transfer": transfer, "event": "delivered", "jws": "a.b.c", "ledger": "nowhere", "position": 9}
    connection.execute(insert(AcknowledgementRow), [receipt | {"recorded_at": 0}])


OWED: dict[str, tuple[Callable[[Connection, str], Any], str]] = {
    "taken away": (
        lambda connection, transfer: connection.execute(delete(OutboxRow).where(col(OutboxRow.transfer) == transfer)),
        "is gone",
    ),
    "called delivered": (waiting(state="delivered"), "its recipient signed nothing"),
    "called dead": (waiting(state="dead"), "is marked dead, but no entry says so"),
    "called withdrawn": (waiting(state="withdrawn"), "is marked withdrawn, but no entry says so"),
    "called expired": (waiting(state="expired"), "is marked expired before its time"),
    "to somebody else": (waiting(recipient="pemprov-banten"), "is to somebody else"),
    "for a shorter time": (waiting(expires_at=1), "ends at another time"),
    "held back": (waiting(due_at=2**62), "held back for more than a day"),
    "signed for elsewhere": (signed_elsewhere, "its recipient signed nothing"),
}


@pytest.mark.parametrize("attack", OWED)
def test_a_delivery_that_is_owed_and_was_taken_away_is_found(flow: Flow, shared: Secrets, attack: str) -> None:
    """The message is accepted and its row is true, and nothing would bring it: the check says which, and what to do."""
    change, told = OWED[attack]
    flow.accepted("plain")
    sent = flow.accepted("plain")
    assert faults(flow, shared) == {}
    (check,) = (
        one
        for one in examine(flow.database, shared.checkpoint, "test", None, now=flow.clock()).report.checks
        if one.number == 14
    )
    assert check.detail == "2 deliveries"
    with flow.database.write.begin() as connection:
        change(connection, sent.transfer)
    found = faults(flow, shared)
    assert list(found) == [14]
    assert sent.transfer in found[14]
    assert told in found[14]
    with pytest.raises(LedgerForkedError, match="test was altered"):
        require_whole(flow.database, shared.checkpoint, Memory(), 1, flow.clock())


@pytest.mark.parametrize(
    ("table", "column", "check"),
    [
        ("transfer", "expires_at", 12),
        ("outbox", "expires_at", 14),
        ("outbox", "due_at", 14),
        ("alert", "expires_at", 14),
    ],
)
def test_what_is_no_moment_is_a_finding_and_ends_no_audit(
    flow: Flow, shared: Secrets, table: str, column: str, check: int
) -> None:
    """SQLite keeps a text where a number belongs: an audit that fell over it would find nothing any more, of no row."""
    if not flow.database.is_sqlite:
        pytest.skip("PostgreSQL keeps no text there")
    alerted(flow, shared)
    flow.accepted("plain")
    with flow.database.write.begin() as connection:
        first = "WHERE rowid = (SELECT min(rowid) FROM transfer)" if table == "transfer" else ""
        connection.exec_driver_sql(f"UPDATE {table} SET {column} = 'soon' {first}")
    assert check in faults(flow, shared)
    with flow.database.write.begin() as connection:
        connection.exec_driver_sql("DELETE FROM outbox")
    assert "is gone" in faults(flow, shared)[14]


@pytest.mark.parametrize("attack", ["taken away", "called delivered"])
def test_what_expired_meanwhile_is_found_as_well(flow: Flow, shared: Secrets, attack: str) -> None:
    """Nothing can be delivered any more, and both agencies can be told."""
    sent, _other = flow.accepted("plain"), flow.accepted("plain")
    with flow.database.write.begin() as connection:
        OWED[attack][0](connection, sent.transfer)
    flow.clock.advance(days=3)
    found = faults(flow, shared)
    assert list(found) == [14]
    assert sent.transfer in found[14]


@pytest.mark.parametrize("attack", ["taken away", "called delivered"])
def test_what_was_taken_away_is_delivered_after_all(flow: Flow, shared: Secrets, attack: str) -> None:
    """`transfers redeliver` gives it a place in the outbox again, with an entry, and the check passes."""
    sent = flow.accepted("plain")
    with flow.database.write.begin() as connection:
        OWED[attack][0](connection, sent.transfer)
    redeliver(flow.recorder, flow.database, sent.transfer, "op-1", now=flow.clock())
    assert faults(flow, shared) == {}
    assert flow.entries("test")[-1]["kind"] == "transfer.redelivered"
    with flow.database.reading() as session:
        row = session.get(OutboxRow, sent.transfer)
        assert row is not None
        assert (row.state, row.recipient, row.attempts) == ("waiting", POLDA, 0)


def test_what_was_stopped_by_an_entry_is_not_owed(flow: Flow, shared: Secrets) -> None:
    """A delivery that was given up, and one that was given up and started again."""
    sent, again = flow.accepted("plain"), flow.accepted("plain")
    for transfer in (sent.transfer, again.transfer):
        with flow.database.reading() as session:
            row = session.get(OutboxRow, transfer)
            assert row is not None
            retry = Retry(transfer, row.attempts, row.due_at, None, "refused")
        flow.recorder.submit(Reschedule([retry], {transfer: "test"}, flow.clock())).result(10)
    assert faults(flow, shared) == {}
    redeliver(flow.recorder, flow.database, again.transfer, "op-1", now=flow.clock())
    assert faults(flow, shared) == {}
    with flow.database.write.begin() as connection:
        waiting(state="dead")(connection, again.transfer)
    assert "is marked dead" in faults(flow, shared)[14]


def own_key(flow: Flow, signer: Signer, use: str) -> None:
    """A key of the gateway."""
    public = json.dumps(dict(signer.public.jwk))
    with flow.database.write.begin() as connection:
        row = {"kid": signer.kid, "use": use, "jwk": public, "not_before": 0, "status": "active"}
        connection.execute(insert(GatewayKeyRow), [row])


def alerted_about(flow: Flow, shared: Secrets) -> str:
    """The id of one more alert that the police find in their inbox about a key of the immigration office."""
    sent, sign, kid = flow.accepted("plain"), shared.sign, shared.sign.kid
    lost = LostKey("gw-test", IMIGRASI, kid, flow.clock(), lambda alert: sign_alert(alert, sign), {kid: sign.public})
    flow.recorder.submit(AlertAbout("test", [sent.transfer], lost, flow.clock())).result(10)
    with flow.database.reading() as session:
        return session.exec(select(AlertRow.id).order_by(col(AlertRow.id).desc())).first() or ""


def alerted(flow: Flow, shared: Secrets) -> str:
    """The id of the first alert of a gateway that has one key."""
    own_key(flow, shared.sign, "sign")
    return alerted_about(flow, shared)


def signed_for(flow: Flow, alert: str) -> None:
    version = flow.exchange.configuration.current().version
    receipt = AcknowledgeAlert("test", alert, "delivered", POLDA, flow.keys[POLDA].kid, "a.b.c", flow.clock(), version)
    assert flow.recorder.submit(receipt).result(10).result is not None


ALERTS: dict[str, tuple[Callable[[Connection, str], Any], str]] = {
    "taken away": (OWED["taken away"][0], "is gone from the outbox, not waiting"),
    "called delivered": (waiting(state="delivered"), "is delivered, not waiting"),
    "called dead": (waiting(state="dead"), "is dead, not waiting"),
    "called expired": (waiting(state="expired"), "is expired, not waiting"),
    "to somebody else": (waiting(recipient=IMIGRASI), "is to somebody else"),
    "held back": (waiting(due_at=2**62), "is held back for more than a day"),
}


@pytest.mark.parametrize("attack", ALERTS)
def test_an_alert_that_somebody_took_away_is_found(flow: Flow, shared: Secrets, attack: str) -> None:
    """Whoever stole a key wants nobody to hear of it: the alert waits, for its recipient, until that signs for it."""
    change, told = ALERTS[attack]
    alert = alerted(flow, shared)
    assert faults(flow, shared) == {}
    with flow.database.write.begin() as connection:
        change(connection, alert)
    assert faults(flow, shared) == {14: f"the alert {alert} {told}"}
    with pytest.raises(LedgerForkedError, match="test was altered"):
        require_whole(flow.database, shared.checkpoint, Memory(), 1, flow.clock())


def test_an_alert_that_was_signed_for_is_owed_no_more(flow: Flow, shared: Secrets) -> None:
    """Handed out again it would be told to whoever has the inbox now: that is found as well."""
    alert = alerted(flow, shared)
    signed_for(flow, alert)
    assert faults(flow, shared) == {}
    with flow.database.write.begin() as connection:
        waiting(state="waiting")(connection, alert)
    assert faults(flow, shared) == {14: f"the alert {alert} is waiting, not delivered"}


def with_its_text(change: Callable[[str], str]) -> Callable[[Connection, str], Any]:
    def alter(connection: Connection, alert: str) -> None:
        here = col(AlertRow.id) == alert
        jws = connection.execute(select(col(AlertRow.jws)).where(here)).scalar_one()
        connection.execute(update(AlertRow).where(here).values(jws=change(jws)))

    return alter


OTHER = "says something else than its entry, or is not signed by us"
HIDDEN: dict[str, tuple[Callable[[Connection, str], Any], str]] = {
    "with its row": (
        lambda connection, alert: (
            OWED["taken away"][0](connection, alert),
            connection.execute(delete(AlertRow).where(col(AlertRow.id) == alert)),
        ),
        "is gone",
    ),
    "called signed for": (
        lambda connection, alert: (
            waiting(state="delivered")(connection, alert),
            connection.execute(update(AlertRow).where(col(AlertRow.id) == alert).values(acknowledgement="a.b.c")),
        ),
        "is marked as signed for, but no entry says so",
    ),
    "called over": (
        lambda connection, alert: (
            waiting(state="expired", expires_at=1)(connection, alert),
            connection.execute(update(AlertRow).where(col(AlertRow.id) == alert).values(expires_at=1)),
        ),
        "ends at another time",
    ),
    "to somebody else, with its row": (
        lambda connection, alert: (
            waiting(recipient=IMIGRASI)(connection, alert),
            connection.execute(update(AlertRow).where(col(AlertRow.id) == alert).values(recipient=IMIGRASI)),
        ),
        "is to somebody else",
    ),
    "unsigned": (with_its_text(lambda jws: f"{jws[:-6]}AAAAAA"), OTHER),
    "in another ledger": (
        lambda connection, alert: connection.execute(
            update(AlertRow).where(col(AlertRow.id) == alert).values(ledger="gateway")
        ),
        "is gone",
    ),
}


@pytest.mark.parametrize("attack", HIDDEN)
def test_an_alert_is_owed_by_its_entry_whatever_its_row_says(flow: Flow, shared: Secrets, attack: str) -> None:
    """Whoever can write the outbox can write the row beside it as well: what is owed is told by the ledger."""
    change, told = HIDDEN[attack]
    alert = alerted(flow, shared)
    with flow.database.write.begin() as connection:
        change(connection, alert)
    found = faults(flow, shared)
    assert list(found) == [14]
    assert f"the alert {alert} {told}" in found[14]


def test_an_alert_says_what_its_entry_says(flow: Flow, shared: Secrets) -> None:
    """Whoever has a key that the gateway lost signs another text for it: it would tell of somebody else's key."""
    alert = alerted(flow, shared)

    def turned(jws: str) -> str:
        return sign_alert(replace(read_alert(jws, shared.sign.public), agency=POLDA), shared.sign)

    with flow.database.write.begin() as connection:
        with_its_text(turned)(connection, alert)
    assert faults(flow, shared) == {14: f"the alert {alert} {OTHER}"}


def test_an_alert_is_the_one_that_was_signed_last(flow: Flow, shared: Secrets) -> None:
    """The thief of a lost key signs it about another transfer, at the time of the true one: its recipient refuses that key."""
    alert = alerted(flow, shared)

    def turned(jws: str) -> str:
        honest = read_alert(jws, shared.sign.public)
        return sign_alert(replace(honest, transfers=(honest.jti,)), shared.sign)

    with flow.database.write.begin() as connection:
        with_its_text(turned)(connection, alert)
    assert faults(flow, shared) == {14: f"the alert {alert} is another text than its newest entry names"}


def test_an_alert_is_not_another_one_again(flow: Flow, shared: Secrets) -> None:
    """Two of one moment to one recipient about one key, each with its own transfers: one told twice hides the other's."""
    first = alerted(flow, shared)
    other = alerted_about(flow, shared)
    assert faults(flow, shared) == {}
    with flow.database.write.begin() as connection:
        jws = connection.execute(select(col(AlertRow.jws)).where(col(AlertRow.id) == first)).scalar_one()
        with_its_text(lambda _: jws)(connection, other)
    assert faults(flow, shared) == {14: f"the alert {other} {OTHER}"}


def test_an_alert_is_signed_by_a_key_that_signs(flow: Flow, shared: Secrets) -> None:
    """The key of pushes is read from more machines: what it signs is no alert."""
    alert, other = alerted(flow, shared), signer_for(Ed25519PrivateKey.generate())
    own_key(flow, other, "request")
    with flow.database.write.begin() as connection:
        with_its_text(lambda jws: sign_alert(read_alert(jws, shared.sign.public), other))(connection, alert)
    assert faults(flow, shared) == {14: f"the alert {alert} {OTHER}"}
