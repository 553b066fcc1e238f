"""The worker's life: attempts that end, messages that expire, nodes that share, a stop that loses nothing."""

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, update
from sqlmodel import col, select
from structlog.testing import capture_logs

from gateway.delivery.redeliver import redeliver
from gateway.errors import NotFoundError, OperatorError
from gateway.keyring import signer_for
from gateway.keys.directory import ACTIVE, SUSPENDED
from gateway.retention import Retention
from gateway.store.session import open_database
from gateway.store.tables import DEAD, DELIVERED, EXPIRED, WAITING, OperatorRow, TransferRow, UsedToken, micros
from gateway.telemetry import Metrics
from tests.delivery.pushing import acknowledge_all, always, as_time_passes, pushing, state
from tests.delivery.recipient import Push, Recipient, Reply
from tests.delivery.world import RECIPIENT, SENDER, START, World, until

pytestmark = pytest.mark.anyio


async def test_after_the_last_attempt_a_message_is_dead_until_an_operator_starts_it_again(
    world: World, recipient: Recipient
) -> None:
    """Giving up is an entry, and so is the new start, after which everything is as on the first day."""
    recipient.answer = always(Reply(500))
    transfer = world.send()
    async with pushing(world, recipient, retry_limit=2) as worker:
        await until(lambda: world.outbox(transfer).last_error is not None)
        world.clock.advance(seconds=10)
        await until(lambda: world.outbox(transfer).state == DEAD)
        (dead,) = world.entries("transfer.dead")
        assert (dead["transfer"], dead["recipient"], dead["attempts"]) == (transfer, RECIPIENT, 2)
        world.clock.advance(hours=5)
        await asyncio.sleep(0.1)
        assert len(recipient.pushes) == 2

        recipient.answer = lambda push: acknowledge_all(world, push)
        index = await asyncio.to_thread(
            redeliver, world.recorder, world.database, transfer, "op-1", "TICKET-7", world.clock()
        )
        worker.wake(RECIPIENT)
        await until(lambda: world.outbox(transfer).state == DELIVERED)
    (entry,) = world.entries("transfer.redelivered")
    assert (entry["transfer"], entry["who"], entry["why"]) == (transfer, "op-1", "TICKET-7")
    assert index > 0
    assert recipient.pushes[-1].items[0]["attempt"] == 1


@pytest.mark.parametrize(
    ("operators", "told"),
    [([], (0, True)), (["sari"], (1, False)), (["sari", "sari"], (1, False)), (["sari", "budi"], None)],
    ids=["none", "one", "one with two keys", "two"],
)
async def test_a_gateway_with_too_few_operators_says_so_in_its_log(
    world: World, recipient: Recipient, operators: list[str], told: tuple[int, bool] | None
) -> None:
    """At the start and once a day: with fewer than two nothing that takes two can be done."""
    for number, operator in enumerate(operators):
        jwk = json.dumps(dict(signer_for(Ed25519PrivateKey.generate()).public.jwk))
        row = {"kid": f"{number}", "operator": operator, "jwk": jwk, "status": ACTIVE, "added_at": 1, "changed_at": 1}
        with world.database.write.begin() as connection:
            connection.execute(insert(OperatorRow), [row])
    async with pushing(world, recipient) as worker:
        with capture_logs() as logs:
            await worker._watch_keys()
    found = {(one["left"], one["named"]) for one in logs if one["event"] == "few_operators"}
    assert found == (set() if told is None else {told})


async def test_only_what_is_still_on_its_way_can_be_delivered_again(world: World) -> None:
    """Delivered and expired stay what they are, and an unknown id is not found."""
    inbox = world.inbox()
    delivered = world.send()
    (item,) = (await inbox.take(RECIPIENT, 10, 0)).items
    await world.acknowledgements.record([world.acknowledge(item)], RECIPIENT)
    expired = world.send(valid=timedelta(minutes=1))
    waiting = world.send()
    world.clock.advance(minutes=2)

    def again(transfer: str) -> int:
        return redeliver(world.recorder, world.database, transfer, "op-1", now=world.clock())

    with pytest.raises(OperatorError, match="it is delivered"):
        again(delivered)
    with pytest.raises(OperatorError, match="it is expired"):
        again(expired)
    await world.worker().sweep()
    with pytest.raises(OperatorError, match="it is expired"):
        again(expired)
    with pytest.raises(NotFoundError):
        again("01890a5d-ac96-774b-bcce-b302099a8057")
    with pytest.raises(OperatorError):
        redeliver(world.recorder, world.database, waiting, "op-1", "because I want to")
    assert again(waiting) > 0
    assert world.recorder.alive


async def test_what_passes_its_exp_undelivered_is_recorded_as_expired(world_on_both: World) -> None:
    """In the ledger of its agreement, once, whatever the number of nodes that sweep."""
    world = world_on_both
    short = world.send_many([world.job(valid=timedelta(minutes=1)) for _ in range(3)])
    long_ = world.send()
    world.clock.advance(minutes=2)
    assert sum(await asyncio.gather(*(world.worker().sweep() for _ in range(3)))) == 3
    assert await world.worker().sweep() == 0
    assert {world.outbox(transfer).state for transfer in short} == {EXPIRED}
    assert world.outbox(long_).state == WAITING
    assert {entry["transfer"] for entry in world.entries("transfer.expired")} == set(short)
    assert len(world.entries("transfer.expired")) == 3


async def test_a_message_that_waits_for_its_next_attempt_expires_on_time(world: World, recipient: Recipient) -> None:
    """The next attempt is never planned beyond `exp`, where it would only delay the entry."""
    recipient.answer = always(Reply(503, headers={"Retry-After": "3600"}))
    transfer = world.send(valid=timedelta(minutes=10))
    async with pushing(world, recipient):
        await until(lambda: world.outbox(transfer).last_error is not None)
        assert world.outbox(transfer).due_at == world.outbox(transfer).expires_at
        world.clock.advance(minutes=10)
        await until(lambda: world.outbox(transfer).state == EXPIRED)
    assert len(world.entries("transfer.expired")) == 1


async def test_two_nodes_push_each_message_once(world: World, recipient: Recipient) -> None:
    """Leases are shared: two workers on one database do not send the same page."""
    sent = world.send_many([world.job() for _ in range(40)])
    async with pushing(world, recipient, page=5):
        second = world.worker(resolve=lambda _host, _port: ["127.0.0.1"], page=5)
        await second.start()
        await until(lambda: all(world.outbox(transfer).state == DELIVERED for transfer in sent))
        await second.stop()
    wire = Counter(transfer for push in recipient.pushes for transfer in push.transfers)
    assert wire == dict.fromkeys(sent, 1)


async def test_a_stop_loses_nothing(world: World, recipient: Recipient) -> None:
    """A page that is abandoned under way is handed out again when its lease ends."""
    recipient.answer = lambda _push: asyncio.sleep(60, Reply())
    transfer = world.send()
    async with pushing(world, recipient, timeout=30.0) as worker:
        await recipient.got(1)
        async with asyncio.timeout(5):
            await worker.stop(grace=0.05)
    assert state(world, transfer) == (WAITING, 1, None)
    world.clock.advance(seconds=61)
    page = await world.inbox().take(RECIPIENT, 10, 0)
    assert [item["attempt"] for item in page.items] == [2]


async def test_a_page_under_way_is_finished_at_a_stop(world: World, recipient: Recipient) -> None:
    """A recipient that answers in time has its receipts recorded."""

    async def answer(push: Push) -> Reply:
        await asyncio.sleep(0.1)
        return await acknowledge_all(world, push)

    recipient.answer = answer
    transfer = world.send()
    async with pushing(world, recipient) as worker:
        await recipient.got(1)
        await worker.stop()
    assert world.outbox(transfer).state == DELIVERED


async def test_an_endpoint_that_changes_is_followed(world: World, recipient: Recipient) -> None:
    """A new URL counts from the next page on, and takes the old one's failures with it."""
    old = Recipient(always(Reply(500)))
    async with pushing(world, old) as worker:
        transfer = world.send()
        await until(lambda: world.outbox(transfer).last_error is not None)
        world.set_endpoint(RECIPIENT, f"http://polda.test:{await recipient.start()}/push")
        await worker.refresh()
        await as_time_passes(world, lambda: world.outbox(transfer).state == DELIVERED)
    await old.stop()
    assert len(recipient.pushes) == 1


async def test_a_suspended_agency_gets_no_pushes(world: World, recipient: Recipient) -> None:
    """Its receipts would be refused, and it may read nothing."""
    world.set_endpoint(RECIPIENT, f"http://polda.test:{await recipient.start()}/push")
    world.change_agency(RECIPIENT, status=SUSPENDED)
    world.send()
    worker = world.worker(resolve=lambda _host, _port: ["127.0.0.1"])
    await worker.start()
    await asyncio.sleep(0.15)
    await worker.stop()
    assert recipient.pushes == []


async def test_without_push_the_worker_only_keeps_house(world: World, recipient: Recipient) -> None:
    """The setting turns pushes off; expiry and checkpoints go on."""
    transfer = world.send(valid=timedelta(minutes=1))
    async with pushing(world, recipient, push=False):
        await asyncio.sleep(0.1)
        world.clock.advance(minutes=2)
        await until(lambda: world.outbox(transfer).state == EXPIRED)
        await until((world.checkpoints.directory / "pks.checkpoint").exists)
    assert recipient.pushes == []


async def test_used_tokens_are_forgotten_after_their_time(world: World) -> None:
    """The table of used tokens does not grow for ever, and forgets none that could still be replayed."""
    rows = [
        {"agency": SENDER, "jti": name, "expires_at": micros(START + timedelta(seconds=seconds))}
        for name, seconds in (("old-token", -1), ("live-token", 1))
    ]
    with world.database.write.begin() as connection:
        connection.execute(insert(UsedToken), rows)

    def left() -> list[str]:
        with world.database.reading() as session:
            return list(session.exec(select(UsedToken.jti).order_by(col(UsedToken.jti))))

    worker = world.worker()
    await worker.start()
    await until(lambda: left() == ["live-token"])
    await worker.stop()


async def test_no_exception_ends_a_loop(world: World, recipient: Recipient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is logged without what it says, and the next round works."""
    faults = iter([RuntimeError("payload 3604010101900001"), ValueError("junk")])
    honest = type(world.acknowledgements).record

    async def record(self: Any, *given: Any) -> Any:
        if (fault := next(faults, None)) is not None:
            raise fault
        return await honest(self, *given)

    monkeypatch.setattr("gateway.delivery.acknowledge.Acknowledgements.record", record)
    monkeypatch.setattr("gateway.delivery.lane._LONGEST_BACKOFF", 0.02)
    transfer = world.send()
    async with pushing(world, recipient):
        for pushes in (1, 2):
            await recipient.got(pushes)
            await asyncio.sleep(0.05)
            world.clock.advance(seconds=61)
        await until(lambda: world.outbox(transfer).state == DELIVERED)


async def test_an_unreadable_database_does_not_end_the_deliveries(
    world: World, recipient: Recipient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is away nothing is sent; when it is back, the next look finds what waits."""
    broken = open_database("sqlite:////nonexistent/folder/sinergi.db")
    async with pushing(world, recipient) as worker:
        monkeypatch.setattr(worker._doorbell, "_database", broken)
        await asyncio.sleep(0.1)
        transfer = world.send()
        await asyncio.sleep(0.1)
        assert world.outbox(transfer).attempts == 0
        monkeypatch.setattr(worker._doorbell, "_database", world.database)
        await until(lambda: world.outbox(transfer).state == DELIVERED)
    broken.close()


async def test_a_serving_node_erases_what_is_past_its_day(world: World) -> None:
    """Without anybody's command, once a period: the entry says that it was the timer."""
    transfer = world.send(valid=timedelta(minutes=1))
    with world.database.write.begin() as connection:
        connection.execute(update(TransferRow).values(retain_until="2000-01-01"))
    world.clock.advance(minutes=2)
    retention = Retention(
        database=world.database,
        recorder=world.recorder,
        clock=world.clock,
        own_ledger="gateway",
        refused_days=90,
        every=timedelta(days=1),
    )
    worker = world.worker(push=False, retention=retention)
    assert await worker.sweep() == 1
    await worker.start()
    try:
        await until(lambda: bool(world.entries("transfer.erased")))
    finally:
        await worker.stop()
    (entry,) = world.entries("transfer.erased")
    assert (entry["transfer"], entry["erased_for"], entry["who"]) == (transfer, "retention", "retention-timer")


async def test_what_is_past_its_last_day_is_counted_whatever_stands_against_it(
    world_on_both: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sinergi_retention_past_day` shows a timer that does not run, and what an erasure must leave, until it is gone."""
    world, metrics = world_on_both, Metrics()
    monkeypatch.setattr("gateway.delivery.worker.PAST_DAY_SECONDS", 0.02)
    retention = Retention(
        database=world.database, recorder=world.recorder, clock=world.clock, own_ledger="gateway", refused_days=90
    )
    worker = world.worker(push=False, metrics=metrics, retention=retention)
    ended, waiting, young = (world.send(valid=timedelta(days=days)) for days in (1, 9, 1))

    def kept_through(day: str, *transfers: str) -> None:
        change = update(TransferRow).where(col(TransferRow.id).in_(transfers)).values(retain_until=day)
        with world.database.write.begin() as connection:
            connection.execute(change)

    def counted() -> float | None:
        return metrics.registry.get_sample_value("sinergi_retention_past_day")

    kept_through(START.date().isoformat(), ended, waiting)
    kept_through("2099-01-01", young)
    assert await asyncio.to_thread(retention.past_day) == 0
    world.clock.advance(days=2)
    await worker.start()
    await until(lambda: (counted(), world.outbox(ended).state) == (2, EXPIRED))
    report = await asyncio.to_thread(retention.run, "tester")
    assert (report.erased, report.kept) == (1, {"delivery": 1})
    await until(lambda: counted() == 1)
    await worker.stop()
