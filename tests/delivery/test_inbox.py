"""The inbox: leases, order, long polls."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from gateway.delivery.page import Shelf
from gateway.errors import StoreUnavailableError
from gateway.message.envelope import parse, sd_hash, verify
from gateway.statements.receipt import read_release
from gateway.store.tables import TransferRow
from tests.delivery.world import BULK, NORMAL, RECIPIENT, SENDER, URGENT, World, until

pytestmark = pytest.mark.anyio


async def test_an_item_is_the_release_and_nothing_of_what_was_withheld(world: World) -> None:
    """The recipient gets the sender's signature over the rest, and the gateway's word for what that rest is."""
    transfer = world.send()
    page = await world.inbox().take(RECIPIENT, 10, 0)
    (item,) = page.items
    assert item.keys() == {"transfer", "message", "release", "attempt"}
    assert (item["transfer"], item["attempt"], page.more) == (transfer, 1, False)
    message = verify(parse(item["message"].encode()), world.keys[SENDER].public, complete=False)
    assert "reporter" not in message.body
    released = read_release(item["release"], world.signer.public)
    assert released.sd_hash == sd_hash(item["message"])
    assert released.withheld == ("/body/reporter",)


async def test_the_most_urgent_and_oldest_come_first(world: World) -> None:
    """A warning that came last overtakes everything that waits."""
    bulk = world.send(priority=BULK)
    normal = []
    for _ in range(2):
        world.clock.advance(seconds=1)
        normal.append(world.send(priority=NORMAL))
    world.clock.advance(seconds=1)
    urgent = world.send(priority=URGENT)
    page = await world.inbox().take(RECIPIENT, 10, 0)
    assert [item["transfer"] for item in page.items] == [urgent, *normal, bulk]


async def test_concurrent_pulls_never_hand_out_the_same_item(world_on_both: World) -> None:
    """Sixteen callers at once, and every message is in exactly one answer."""
    world = world_on_both
    sent = world.send_many([world.job() for _ in range(60)])
    inboxes = [world.inbox() for _ in range(4)]
    pages = await asyncio.gather(*(inboxes[number % 4].take(RECIPIENT, 7, 0) for number in range(16)))
    handed_out = Counter(item["transfer"] for page in pages for item in page.items)
    assert set(handed_out.values()) == {1}
    assert set(handed_out) == set(sent)


async def test_more_says_whether_something_else_is_due(world: World) -> None:
    """A caller knows when to come again at once."""
    world.send_many([world.job() for _ in range(3)])
    inbox = world.inbox()
    first, second = await inbox.take(RECIPIENT, 2, 0), await inbox.take(RECIPIENT, 2, 0)
    assert (len(first.items), first.more) == (2, True)
    assert (len(second.items), second.more) == (1, False)


async def test_a_lease_that_ends_hands_the_item_out_again_one_attempt_higher(world: World) -> None:
    """Until then nobody gets it; afterwards it is as if it had not arrived."""
    world.send()
    inbox = world.inbox(lease_seconds=60)
    assert (await inbox.take(RECIPIENT, 10, 0)).items[0]["attempt"] == 1
    world.clock.advance(seconds=59)
    assert (await inbox.take(RECIPIENT, 10, 0)).items == ()
    world.clock.advance(seconds=1)
    assert (await inbox.take(RECIPIENT, 10, 0)).items[0]["attempt"] == 2


async def test_an_agency_sees_its_own_messages_only(world: World) -> None:
    """Another agency's inbox is another world."""
    world.send(recipient="imigrasi")
    assert (await world.inbox().take(RECIPIENT, 10, 0)).items == ()


async def test_an_expired_message_is_not_handed_out(world: World) -> None:
    """After `exp` nobody may read it, swept or not."""
    world.send(valid=timedelta(minutes=1))
    world.clock.advance(minutes=2)
    page = await world.inbox().take(RECIPIENT, 10, 0)
    assert (page.items, page.more) == ((), False)


async def test_a_page_has_a_size_and_always_one_item(world: World) -> None:
    """A hundred messages of a megabyte do not become one answer; one large message still arrives."""
    shelf = Shelf(world.database, world.recorder, world.sealer, world.clock, timedelta(seconds=60), size=30_000)
    world.send_many([world.job(filler=10_000) for _ in range(3)])
    pages = [await shelf.take(RECIPIENT, 100) for _ in range(2)]
    assert [(len(page.items), page.more) for page in pages] == [(2, True), (1, False)]
    world.send(filler=100_000)
    assert len((await shelf.take(RECIPIENT, 100)).items) == 1


async def test_a_caller_that_waits_is_answered_when_a_message_is_recorded_here(world: World) -> None:
    """`wake` is enough; the next look at the database would come much later."""
    inbox = world.inbox(poll_seconds=60)
    waiting = asyncio.create_task(inbox.take(RECIPIENT, 10, 30))
    await asyncio.sleep(0.05)
    transfer = world.send()
    assert not waiting.done()
    inbox.wake(RECIPIENT)
    async with asyncio.timeout(20):
        assert [item["transfer"] for item in (await waiting).items] == [transfer]


async def test_a_caller_that_waits_is_answered_when_another_node_records(world: World) -> None:
    """Nobody wakes it here; a look at the database does."""
    waiting = asyncio.create_task(world.inbox(poll_seconds=0.05).take(RECIPIENT, 10, 30))
    await asyncio.sleep(0.02)
    world.send()
    async with asyncio.timeout(20):
        assert len((await waiting).items) == 1


async def test_waiting_holds_no_database_connection(world: World) -> None:
    """A hundred long polls and a pool of eight connections."""
    inbox = world.inbox(poll_seconds=60)
    waiting = [asyncio.create_task(inbox.take(RECIPIENT, 1, 30)) for _ in range(100)]
    await asyncio.sleep(0.05)
    await until(lambda: world.database.read.pool.checkedout() == 0)  # type: ignore[attr-defined]
    assert not any(one.done() for one in waiting)
    world.send_many([world.job() for _ in range(100)])
    inbox.wake(RECIPIENT)
    async with asyncio.timeout(20):
        pages = await asyncio.gather(*waiting)
    assert len({item["transfer"] for page in pages for item in page.items}) == 100


async def test_a_wait_in_vain_ends_with_an_empty_page(world: World) -> None:
    """And not before its time."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    page = await world.inbox().take(RECIPIENT, 10, 0.15)
    assert (page.items, page.more) == ((), False)
    assert loop.time() - started >= 0.14


async def test_nobody_waits_longer_than_the_setting(world: World) -> None:
    """A caller cannot hold a request open for as long as it likes."""
    async with asyncio.timeout(20):
        assert (await world.inbox(max_wait=0).take(RECIPIENT, 10, 3600)).items == ()


async def test_a_stop_answers_those_who_wait(world: World) -> None:
    """Draining does not wait for long polls to run out."""
    inbox = world.inbox(poll_seconds=60)
    waiting = asyncio.create_task(inbox.take(RECIPIENT, 10, 30))
    await asyncio.sleep(0.05)
    inbox.drain()
    async with asyncio.timeout(20):
        assert (await waiting).items == ()
        assert (await inbox.take(RECIPIENT, 10, 30)).items == ()


async def test_a_caller_that_goes_away_loses_nothing(world: World) -> None:
    """A dropped connection while waiting leases nothing; what was leased comes again."""
    inbox = world.inbox(poll_seconds=60)
    waiting = asyncio.create_task(inbox.take(RECIPIENT, 10, 30))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    transfer = world.send()
    inbox.wake(RECIPIENT)
    page = await inbox.take(RECIPIENT, 10, 0)
    assert [(item["transfer"], item["attempt"]) for item in page.items] == [(transfer, 1)]


@pytest.mark.parametrize("change", [update(TransferRow).values(sealed_content=b"x" * 99), delete(TransferRow)], ids=str)
async def test_a_row_that_was_altered_or_taken_away_does_not_keep_the_others(world: World, change: Any) -> None:
    """One message that does not open is reported in the log; its neighbours arrive."""
    spoilt, good = world.send(), world.send()
    with world.database.write.begin() as connection:
        connection.execute(change.where(col(TransferRow.id) == spoilt))
    page = await world.inbox().take(RECIPIENT, 10, 0)
    assert [item["transfer"] for item in page.items] == [good]


async def test_a_store_that_does_not_answer_is_not_an_empty_inbox(world: World) -> None:
    """Nothing here and nothing known are two answers."""
    world.send()
    world.recorder.stop()
    with pytest.raises(StoreUnavailableError):
        await world.inbox().take(RECIPIENT, 10, 0)
