"""Urgent messages after trouble: with a recipient that is back within a minute, and not held up by one that always fails."""

from datetime import timedelta

import pytest

from gateway.store.tables import DELIVERED, WAITING
from tests.delivery.pushing import acknowledge_all, always, as_time_passes, pushing
from tests.delivery.recipient import Push, Recipient, Reply
from tests.delivery.world import NORMAL, URGENT, World, until

pytestmark = pytest.mark.anyio


async def test_a_recipient_that_is_back_after_hours_has_the_warning_within_a_minute(
    world: World, recipient: Recipient
) -> None:
    """However long it was away: by the recipient's clock less than a minute passes from its return to the warning."""
    acknowledge = recipient.answer
    recipient.answer = always(Reply(503))
    async with pushing(world, recipient) as worker:
        warning, other = world.send(priority=URGENT), world.send(priority=NORMAL)
        away = world.clock() + timedelta(hours=5)
        await as_time_passes(world, lambda: world.clock() >= away)
        await until(lambda: world.outbox(warning).attempts > world.outbox(other).attempts)
        recipient.answer, back = acknowledge, world.clock()
        delivered_at = None
        for _ in range(60):
            world.clock.advance(seconds=1)
            worker.wake("polda-banten")
            try:
                await until(lambda: world.outbox(warning).state == DELIVERED, 0.2)
            except TimeoutError:
                continue
            delivered_at = world.clock()
            break
        assert delivered_at is not None
        assert delivered_at - back < timedelta(minutes=1)
        assert world.outbox(other).state == WAITING  # whose schedule is as it was


async def test_a_warning_that_the_recipient_always_fails_on_does_not_stop_the_next(
    world: World, recipient: Recipient
) -> None:
    """One message that breaks the recipient's program, the oldest of them, and still every other one arrives."""
    poison = world.send(priority=URGENT)

    async def answer(push: Push) -> Reply:
        return Reply(500) if poison in push.transfers else await acknowledge_all(world, push)

    recipient.answer = answer
    async with pushing(world, recipient) as worker:
        await recipient.got(1)
        others = world.send_many([world.job(priority=URGENT) for _ in range(30)])
        began = world.clock()

        def later() -> bool:
            world.clock.advance(seconds=1)
            worker.wake("polda-banten")
            return all(world.outbox(one).state == DELIVERED for one in others)

        await until(later)
        assert world.outbox(poison).state == WAITING
        assert world.clock() - began < timedelta(hours=1)
