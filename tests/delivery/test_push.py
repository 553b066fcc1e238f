"""Pushes to a real recipient over HTTP: at least once on the wire, exactly once in the ledger."""

import asyncio
import json
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import delete
from sqlmodel import col, select

from gateway.statements.request_token import parse_request_token, verify_request_token
from gateway.store.tables import DELIVERED, WAITING, AgencyRow, TransferRow, micros
from tests.delivery.pushing import always, as_time_passes, pushing, state
from tests.delivery.recipient import Push, Recipient, Reply, acknowledging
from tests.delivery.world import BULK, GATEWAY, RECIPIENT, SENDER, START, URGENT, World, until

pytestmark = pytest.mark.anyio


async def test_a_page_arrives_with_a_token_that_proves_where_it_comes_from(world: World, recipient: Recipient) -> None:
    """An endpoint can refuse strangers: the token names agency, method, URL and the very bytes."""
    sent = world.send_many([world.job() for _ in range(3)])
    async with pushing(world, recipient):
        (push, *_) = await recipient.got(1)
        await until(lambda: all(world.outbox(transfer).state == DELIVERED for transfer in sent))
    assert push.headers["content-type"] == "application/json"
    body = json.loads(push.body)
    assert body.keys() == {"items", "more"}
    assert [item.keys() for item in body["items"]] == [{"transfer", "message", "release", "attempt"}] * 3
    scheme, text = push.headers["authorization"].split(" ")
    with world.database.reading() as session:
        url = session.exec(select(AgencyRow.endpoint_url).where(AgencyRow.id == RECIPIENT)).one()
    assert url is not None
    claims = verify_request_token(
        parse_request_token(text),
        world.signer.public,
        audience=RECIPIENT,
        method="POST",
        url=url,
        now=world.clock(),
        leeway=timedelta(0),
        body=push.body,
    )
    assert (scheme, claims.iss, claims.exp - claims.iat) == ("Bearer", GATEWAY, 60)
    assert len(world.entries("transfer.acknowledged")) == 3


async def test_at_least_once_on_the_wire_and_exactly_once_in_the_ledger(world: World, recipient: Recipient) -> None:
    """An answer that is lost on the way means a second push, and still one entry a message."""
    lost = 0

    async def answer(push: Push) -> Reply:
        nonlocal lost
        receipts = [world.acknowledge(item) for item in push.items]
        if lost == 0:
            lost += 1
            await world.acknowledgements.record(receipts[:2], RECIPIENT)
            raise OSError  # the connection breaks before the answer
        return acknowledging(*receipts)

    recipient.answer = answer
    sent = world.send_many([world.job() for _ in range(5)])
    async with pushing(world, recipient):
        await recipient.got(1)
        await until(lambda: sum(world.outbox(one).last_error == "broken-off" for one in sent) == 3)
        world.clock.advance(seconds=10)
        await until(lambda: all(world.outbox(transfer).state == DELIVERED for transfer in sent))
    wire = Counter(transfer for push in recipient.pushes for transfer in push.transfers)
    ledger = Counter(entry["transfer"] for entry in world.entries("transfer.acknowledged"))
    assert max(wire.values()) > 1
    assert ledger == dict.fromkeys(sent, 1)


async def test_a_message_that_was_just_recorded_goes_out_at_once(world: World, recipient: Recipient) -> None:
    """With `wake`, nobody waits for the next look at the database."""
    async with pushing(world, recipient, poll_seconds=60) as worker:
        await asyncio.sleep(0.2)
        transfer = world.send(priority=URGENT)
        worker.wake(RECIPIENT)
        pushes = await recipient.got(1)
        assert pushes[0].transfers == [transfer]


async def test_an_early_warning_does_not_wait_behind_a_bulk_page_under_way(world: World, recipient: Recipient) -> None:
    """The recipient chews on a bulk page with a backlog behind it; the warning arrives meanwhile."""
    release = asyncio.Event()
    bulk = set(world.send_many([world.job(priority=BULK) for _ in range(150)]))

    async def answer(push: Push) -> Reply:
        if bulk & set(push.transfers):
            await release.wait()
        return acknowledging(*(world.acknowledge(item) for item in push.items))

    recipient.answer = answer
    async with pushing(world, recipient) as worker:
        await recipient.got(1)
        warning = world.send(priority=URGENT)
        worker.wake(RECIPIENT)
        await until(lambda: world.outbox(warning).state == DELIVERED)
        assert not release.is_set()
        assert [len(push.transfers) for push in recipient.pushes] == [100, 1]
        release.set()
        await until(lambda: all(world.outbox(transfer).state == DELIVERED for transfer in bulk))


async def test_one_dead_recipient_does_not_delay_another(world: World, recipient: Recipient) -> None:
    """Each agency has lanes of its own."""
    hanging = Recipient(lambda _push: asyncio.sleep(60, Reply()))
    world.set_endpoint("imigrasi", f"http://imigrasi.test:{await hanging.start()}/push")
    stuck = world.send(recipient="imigrasi")
    async with pushing(world, recipient, timeout=30.0) as worker:
        await hanging.got(1)
        sent = world.send()
        await until(lambda: world.outbox(sent).state == DELIVERED)
        assert state(world, stuck) == (WAITING, 1, None)
        await worker.stop(grace=0)
    await hanging.stop()


async def test_a_row_that_was_taken_away_does_not_keep_the_others(world: World, recipient: Recipient) -> None:
    """It is missed by the audit; what waits beside it is pushed, and tried again on its schedule."""
    gone, good = world.send_many([world.job() for _ in range(2)])
    with world.database.write.begin() as connection:
        connection.execute(delete(TransferRow).where(col(TransferRow.id) == gone))
    recipient.answer = always(Reply(200))
    async with pushing(world, recipient):
        await until(lambda: state(world, good) == (WAITING, 1, "not-acknowledged"))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(500), "status-500"),
        (Reply(302, headers={"Location": "/elsewhere"}), "status-302"),
        (Reply(401), "status-401"),
        (Reply(200), "not-acknowledged"),
        (Reply(200, b'{"acknowledgements":[]}'), "not-acknowledged"),
        (Reply(200, b"<html>welcome</html>"), "answer-malformed"),
        (Reply(200, b'{"acknowledgements":"yes"}'), "answer-malformed"),
        (Reply(200, b'{"acknowledgements":[1]}'), "answer-malformed"),
        (Reply(200, b'{"acknowledgements":[],"acknowledgements":[]}'), "answer-malformed"),
        (Reply(200, json.dumps({"acknowledgements": ["x"] * 4}).encode()), "answer-malformed"),
        (Reply(200, b'{"acknowledgements":["x"]}'), "not-acknowledged"),
    ],
    ids=lambda value: None if isinstance(value, Reply) else value,
)
async def test_without_a_true_receipt_a_message_stays_on_its_way(
    world: World, recipient: Recipient, reply: Reply, error: str
) -> None:
    """A status code is not evidence: only the recipient's signature ends a delivery."""
    recipient.answer = always(reply)
    transfer = world.send()
    async with pushing(world, recipient):
        await until(lambda: world.outbox(transfer).last_error is not None)
    assert state(world, transfer) == (WAITING, 1, error)
    assert timedelta(seconds=5) <= timedelta(microseconds=world.outbox(transfer).due_at - micros(START))
    assert world.entries("transfer.acknowledged") == []


@pytest.mark.parametrize("lie", [{"sd_hash": "A" * 43}, {"iss": SENDER}, {"aud": "elsewhere"}])
async def test_a_lying_receipt_in_the_answer_delivers_nothing(
    world: World, recipient: Recipient, lie: dict[str, str]
) -> None:
    """The error says why, and the true receipts beside it count."""

    async def answer(push: Push) -> Reply:
        first, *others = push.items
        return acknowledging(world.acknowledge(first, **lie), *(world.acknowledge(item) for item in others))

    recipient.answer = answer
    first, second = world.send_many([world.job(), world.job()])
    async with pushing(world, recipient):
        await until(lambda: world.outbox(max(first, second)).state == DELIVERED)
        await until(lambda: world.outbox(min(first, second)).last_error is not None)
    assert state(world, min(first, second)) == (WAITING, 1, "receipt.mismatch")
    # What operators are alarmed by: receipts in answers count like those that are handed in.
    for status in ("recorded", "refused"):
        assert world.metrics.registry.get_sample_value("sinergi_acknowledgements_total", {"status": status}) == 1.0
    assert len(world.entries("transfer.acknowledged")) == 1


async def test_a_slow_recipient_costs_no_more_than_the_timeout(world: World, recipient: Recipient) -> None:
    """No push hangs; the message is tried again."""
    recipient.answer = lambda _push: asyncio.sleep(60, Reply())
    transfer = world.send()
    async with pushing(world, recipient, timeout=0.1):
        await until(lambda: world.outbox(transfer).last_error is not None)
    assert state(world, transfer) == (WAITING, 1, "timeout")


async def test_a_recipient_that_manages_small_pages_gets_small_pages(world: World, recipient: Recipient) -> None:
    """A page that is too much for it is not sent again and again."""

    async def answer(push: Push) -> Reply:
        if len(push.items) > 4:
            await asyncio.sleep(60)
        return acknowledging(*(world.acknowledge(item) for item in push.items))

    recipient.answer = answer
    sent = world.send_many([world.job() for _ in range(20)])
    async with pushing(world, recipient, timeout=0.2, page=16):
        await as_time_passes(world, lambda: all(world.outbox(transfer).state == DELIVERED for transfer in sent))


async def test_a_recipient_that_is_down_is_not_called_all_the_time(world: World, recipient: Recipient) -> None:
    """The breaker opens: the backlog keeps its attempts, and a probe finds out when the recipient is back."""
    recipient.answer = always(Reply(500))
    sent = world.send_many([world.job() for _ in range(50)])
    async with pushing(world, recipient, page=10):
        await recipient.got(3)
        await asyncio.sleep(0.2)
        assert len(recipient.pushes) == 3
        assert sum(world.outbox(transfer).attempts for transfer in sent) == sum(
            len(push.transfers) for push in recipient.pushes
        )

        async def fine(push: Push) -> Reply:
            return acknowledging(*(world.acknowledge(item) for item in push.items))

        recipient.answer = fine
        world.clock.advance(seconds=30)
        await until(lambda: all(world.outbox(transfer).state == DELIVERED for transfer in sent))
    assert len(recipient.pushes[3].transfers) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(world: World, recipient: Recipient, status: int) -> None:
    """Neither this message nor the next one is sent before the moment that the recipient named."""
    recipient.answer = always(Reply(status, headers={"Retry-After": "600"}))
    first = world.send()
    async with pushing(world, recipient):
        await until(lambda: world.outbox(first).last_error is not None)
        world.clock.advance(seconds=599)
        second = world.send()
        await asyncio.sleep(0.15)
        assert len(recipient.pushes) == 1
        world.clock.advance(seconds=1)
        await recipient.got(2)
    assert world.outbox(first).due_at >= micros(START + timedelta(seconds=600))
    assert recipient.pushes[1].transfers == [second]


async def test_gone_pauses_the_endpoint_for_good(world: World, recipient: Recipient) -> None:
    """410: recorded, on every node, over a restart; what waits can be pulled at once."""
    recipient.answer = always(Reply(410))
    transfer = world.send()
    before = world.configuration.current().version
    async with pushing(world, recipient) as worker:
        await until(lambda: world.outbox(transfer).last_error is not None)
        world.send()
        worker.wake(RECIPIENT)
        await asyncio.sleep(0.15)
    assert len(recipient.pushes) == 1
    with world.database.reading() as session:
        assert session.exec(select(AgencyRow.paused_reason).where(AgencyRow.id == RECIPIENT)).one() == "gone"
    (entry,) = world.entries("agency.changed", "gateway")
    assert (entry["agency"], entry["status"]) == (RECIPIENT, "endpoint-paused")
    assert world.configuration.reload().version > before
    assert world.configuration.current().directory.agencies[RECIPIENT].endpoint is None
    page = await world.inbox().take(RECIPIENT, 10, 0)
    assert [item["attempt"] for item in page.items if item["transfer"] == transfer] == [2]


async def test_an_address_outside_the_allow_list_gets_nothing(world: World, recipient: Recipient) -> None:
    """One good address beside a bad one is not enough."""
    world.set_endpoint(RECIPIENT, f"http://polda.test:{await recipient.start()}/push")
    transfer = world.send()
    worker = world.worker(resolve=lambda _host, _port: ["127.0.0.1", "127.0.0.2"])
    await worker.start()
    await until(lambda: world.outbox(transfer).last_error is not None)
    await worker.stop()
    assert state(world, transfer) == (WAITING, 1, "endpoint.forbidden")
    assert recipient.connections == 0
