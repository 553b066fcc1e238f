"""What was leased for somebody who is gone: it is due again at once, and never for two."""

import asyncio
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from gateway.delivery.inbox import Inbox
from gateway.delivery.page import Page, Shelf
from gateway.delivery.redeliver import redeliver
from gateway.errors import KeyAwayError, KeyringError, StoreUnavailableError
from gateway.keyring import Secret
from gateway.keys.keychain import STORAGE, OwnKey, Ring
from gateway.store.jobs.deliveries import GiveBack, Lease, Reschedule, Retry
from gateway.store.sealing import Sealer
from gateway.store.tables import DEAD, OutboxRow, micros
from tests.delivery.world import LEDGER, RECIPIENT, START, World, until

pytestmark = pytest.mark.anyio


class Gate:
    """Where something stops until it is let through."""

    def __init__(self) -> None:
        self.reached, self.through = threading.Event(), threading.Event()

    def pass_(self) -> None:
        self.reached.set()
        assert self.through.wait(20)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.through.set()


def stopping(what: Any, gate: Gate) -> Any:
    def stopped(*given: Any) -> Any:
        gate.pass_()
        return what(*given)

    return stopped


async def attempts(inbox: Inbox) -> list[tuple[str, int]]:
    return [(item["transfer"], item["attempt"]) for item in (await inbox.take(RECIPIENT, 10, 5)).items]


@pytest.mark.parametrize("where", [(Lease, "stage"), (Shelf, "_open")], ids=["commits", "is opened"])
async def test_a_caller_that_leaves_while_its_lease(
    world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str]
) -> None:
    """The next call has the messages at once, one attempt higher, not after the lease of the connection that is gone."""
    transfer, inbox = world.send(), world.inbox()
    with monkeypatch.context() as patched:
        patched.setattr(*where, stopping(getattr(*where), gate))
        call = asyncio.create_task(inbox.take(RECIPIENT, 10, 0))
        await until(gate.reached.is_set)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        gate.through.set()
    assert await attempts(inbox) == [(transfer, 2)]
    assert await world.inbox(max_wait=0).take(RECIPIENT, 10, 0) == Page()


async def test_a_page_that_cannot_be_read_is_there_for_the_next_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller hears 503 with a `Retry-After` of seconds, and should not find an empty inbox then."""
    transfer, inbox = world.send(), world.inbox()

    def no(*_: Any) -> Page:
        raise StoreUnavailableError("no")

    with monkeypatch.context() as patched:
        patched.setattr(Shelf, "_open", no)
        with pytest.raises(StoreUnavailableError):
            await inbox.take(RECIPIENT, 10, 0)
    assert await attempts(inbox) == [(transfer, 2)]


async def test_what_is_given_back_late_is_not_taken_from_who_has_it_now(world_on_both: World) -> None:
    """The lease ended and the next caller has the messages, or they were given back before: theirs is another lease."""
    world = world_on_both
    world.send()
    inbox = world.inbox(max_wait=0)
    first = await inbox.take(RECIPIENT, 10, 0)
    world.clock.advance(seconds=60)
    second = await inbox.take(RECIPIENT, 10, 0)
    assert (len(first.items), len(second.items)) == (1, 1)
    for page, then in ((first, 0), (second, 1), (second, 0), (first, 0)):
        world.recorder.submit(GiveBack(page.leased, micros(world.clock()))).result(10)
        # Who takes it in between keeps it.
        assert len((await inbox.take(RECIPIENT, 10, 0)).items) == then


async def test_giving_back_waits_for_nobody(world_on_both: World) -> None:
    """Another node is signing for one of two: that one is left alone, the other is given back, and no batch stands still."""
    world = world_on_both
    world.send_many([world.job() for _ in range(2)])
    inbox = world.inbox(max_wait=0)
    held, free = (await inbox.take(RECIPIENT, 10, 0)).leased
    row = select(col(OutboxRow.attempts)).where(col(OutboxRow.transfer) == held.transfer).with_for_update()
    with world.database.read.begin() as connection:
        connection.execute(row)
        world.recorder.submit(GiveBack((held, free), micros(world.clock()))).result(4)
    again = {item.transfer for item in (await inbox.take(RECIPIENT, 10, 0)).leased}
    # SQLite has one writer, and nobody who holds a row.
    assert again == {free.transfer} | ({held.transfer} if world.database.is_sqlite else set())


async def test_the_report_of_an_earlier_push_does_not_touch_a_lease_after_a_second_start(world: World) -> None:
    """An operator starts a delivery again while it is under way: its attempts begin at 1 once more, and so do the leases."""
    transfer, inbox = world.send(), world.inbox(max_wait=0)
    (first,) = (await inbox.take(RECIPIENT, 10, 0)).leased
    world.clock.advance(seconds=1)
    redeliver(world.recorder, world.database, transfer, "op", "T-1", world.clock())
    (second,) = (await inbox.take(RECIPIENT, 10, 0)).leased
    assert first.attempt == second.attempt
    now = world.clock()
    failed = Retry(first.transfer, first.attempt, first.until, micros(now), "timeout")
    world.recorder.submit(Reschedule([failed], {transfer: LEDGER}, now)).result(10)
    assert (await inbox.take(RECIPIENT, 10, 0)).leased == ()
    failed = Retry(second.transfer, second.attempt, second.until, micros(now), "timeout")
    world.recorder.submit(Reschedule([failed], {transfer: LEDGER}, now)).result(10)
    assert len((await inbox.take(RECIPIENT, 10, 0)).leased) == 1


@pytest.mark.parametrize("change", [{"state": DEAD}, {"due_at": 4711}, {"attempts": 9}], ids=str)
async def test_what_became_of_it_meanwhile_stays(world: World, change: dict[str, Any]) -> None:
    """Signed for, withdrawn, dead, put off or started anew: a lease that is given back undoes none of it."""
    world.send()
    page = await world.inbox().take(RECIPIENT, 10, 0)
    until_ = page.leased[0].until
    with world.database.write.begin() as connection:
        connection.execute(update(OutboxRow).values(**change))
    world.recorder.submit(GiveBack(page.leased, 1)).result(10)
    with world.database.read.connect() as connection:
        row = connection.execute(OutboxRow.__table__.select()).one()  # type: ignore[attr-defined]
    assert (row.due_at, row.state, row.attempts) == tuple(
        ({"due_at": until_, "state": "waiting", "attempts": 1} | change).values()
    )


async def test_giving_back_while_the_gateway_stops_is_no_fault(world: World) -> None:
    """The recorder takes nothing more: the lease ends by itself."""
    world.send()
    inbox = world.inbox()
    page = await inbox.take(RECIPIENT, 10, 0)
    world.recorder.stop()
    inbox.give_back(page)


async def test_a_node_that_lacks_the_storage_key_leases_nothing(world: World) -> None:
    """It could open none of it: an attempt that reached nobody would be used up, and another node be kept from it."""

    def absent(_uri: str) -> Secret:
        raise KeyringError("no such file")

    transfer, here = world.send(), Ring(Secret("before", os.urandom(32)), STORAGE, absent, world.clock)
    here.learn([OwnKey("storage", STORAGE, None, "file:/nowhere", START - timedelta(days=1))])
    shelf = Shelf(world.database, world.recorder, Sealer(here), world.clock, timedelta(seconds=60))
    with pytest.raises(KeyAwayError):
        await shelf.take(RECIPIENT, 10)
    assert await attempts(world.inbox()) == [(transfer, 1)]
