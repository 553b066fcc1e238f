"""The queue at the door, without a gateway: whose turn it is, and whose turn comes too late."""

import asyncio
import time

import pytest

from gateway.api.admission import Admission, Pace
from gateway.errors import BusyError
from gateway.settings import ServerSettings
from gateway.telemetry import Metrics


def admission(**settings: float) -> Admission:
    return Admission(ServerSettings(**settings), Metrics())


@pytest.fixture(autouse=True)
def one_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.admission.AT_WORK", 1)


async def work(door: Admission, done: list[int], number: int, seconds: float = 0.0) -> None:
    async with door.message():
        await asyncio.sleep(seconds)
        done.append(number)


def test_turns_come_in_order() -> None:
    """First come, first served; and nobody is left behind."""

    async def story() -> list[int]:
        door, done = admission(), []
        await asyncio.gather(*(work(door, done, number) for number in range(20)))
        assert door.messages == 0
        return done

    assert asyncio.run(story()) == list(range(20))


def test_who_would_wait_too_long_is_refused() -> None:
    """Whose turn does not come in time is told so then, and who comes next at once; when there is room again, all is well."""

    async def story() -> None:
        door, done = admission(longest_wait=0.1), []
        slow = asyncio.create_task(work(door, done, 0, 0.3))
        await asyncio.sleep(0)
        began = time.monotonic()
        with pytest.raises(BusyError):
            await work(door, done, 1)
        assert 0.09 < time.monotonic() - began < 0.29
        began = time.monotonic()
        with pytest.raises(BusyError):
            door.enter("/v1/messages")
        with pytest.raises(BusyError):
            await work(door, done, 2)
        assert time.monotonic() - began < 0.05
        await slow
        await work(door, done, 3)
        assert done == [0, 3]
        assert door.messages == 0

    asyncio.run(story())


def test_who_goes_away_leaves_its_turn_to_the_next() -> None:
    """A caller that hangs up in the queue, or in the very moment of its turn, takes no turn with it."""

    async def story() -> None:
        door, done = admission(), []
        tasks = [asyncio.create_task(work(door, done, number, 0.01)) for number in range(4)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await tasks[0]
        # Its turn has come, and it has not run yet.
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(work(door, done, 4), 5)
        assert done == [0, 3, 4]
        assert door.messages == 0

    asyncio.run(story())


def test_failed_work_makes_room() -> None:
    """An error while a message is judged gives its place back."""

    async def story() -> None:
        door = admission(messages_at_once=1)
        for _ in range(3):
            with pytest.raises(ValueError, match="judged"):
                async with door.message():
                    raise ValueError("judged")
        assert door.messages == 0

    asyncio.run(story())


def test_a_turn_is_nobodys_for_no_longer_than_a_moment() -> None:
    """One gives up, the last at work ends and a newcomer arrives in one turn of the loop: the newcomer is not left behind."""

    async def story() -> list[int]:
        door, done = admission(longest_wait=5), []
        ends = asyncio.get_running_loop().create_future()

        async def first() -> None:
            async with door.message():
                await ends

        at_work = asyncio.create_task(first())
        await asyncio.sleep(0)
        gives_up = asyncio.create_task(work(door, done, 1))
        await asyncio.sleep(0)
        ends.set_result(None)
        newcomer = asyncio.create_task(work(door, done, 2))
        gives_up.cancel()
        await asyncio.wait_for(newcomer, 1)
        await at_work
        assert door.messages == 0
        return done

    assert asyncio.run(story()) == [2]


def test_who_would_wait_too_long_is_told_before_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is seen how fast the work goes, a newcomer behind too many is refused in the moment in which it comes."""
    monkeypatch.setattr(Pace, "ENOUGH", 4)

    async def story() -> None:
        door, done = admission(longest_wait=1), []
        tasks = [asyncio.create_task(work(door, done, number, 0.05)) for number in range(30)]
        await asyncio.sleep(Pace.KNOWN + 0.15)
        # Twenty and more still wait, at 50 ms each.
        began = time.monotonic()
        with pytest.raises(BusyError):
            door.enter("/v1/messages")
        assert time.monotonic() - began < 0.02
        await asyncio.gather(*tasks[:20])
        door.enter("/v1/messages")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())


def test_a_pace_is_what_was_finished_while_others_waited() -> None:
    """Nothing is reckoned from one batch alone, nor from long ago; and what has stopped is known to have stopped."""
    pace = Pace()
    pace.begin(100.0)
    for _ in range(50):
        pace.finish()
    assert pace.seconds(1_000, 100.1) == 0.0
    assert pace.seconds(200, 100.5) == 2.0
    assert pace.seconds(200, 101.0) == 4.0
    pace.begin(200.0)
    assert pace.seconds(200, 200.9) == 0.0
    assert pace.seconds(200, 201.0) == 200.0
    # A rush: of 256 at once the first two are finished, and the other 126 of those at work in a moment.
    pace.begin(250.0)
    pace.finish()
    pace.finish()
    assert pace.seconds(128, 250.3) == 0.0
    assert pace.seconds(128, 251.0) == 64.0
    # Ten a second for a long time, and then a hundred.
    pace.begin(300.0)
    for tenth in range(1, 1_000):
        pace.finish()
        pace.seconds(1, 300 + tenth / 10)
    assert pace.seconds(10, 400.0) == pytest.approx(1.0, rel=0.1)
    for hundredth in range(1, 1_000):
        pace.finish()
        pace.seconds(1, 400 + hundredth / 100)
    assert pace.seconds(100, 410.0) == pytest.approx(1.0, rel=0.25)


def test_turns_leave_the_loop_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a whole batch is finished at once, its successors do not all begin before anybody else is heard."""
    monkeypatch.setattr("gateway.api.admission.AT_WORK", 64)

    async def story() -> None:
        door = admission()
        begun = 0
        batch = [asyncio.get_running_loop().create_future() for _ in range(2)]

        async def one(finished: "asyncio.Future[None]") -> None:
            nonlocal begun
            async with door.message():
                begun += 1
                await finished

        first = [asyncio.create_task(one(batch[0])) for _ in range(64)]
        await asyncio.sleep(0)
        second = [asyncio.create_task(one(batch[1])) for _ in range(64)]
        await asyncio.sleep(0)
        assert begun == 64
        batch[0].set_result(None)
        most = 0
        while begun < 128:
            before = begun
            await asyncio.sleep(0)
            most = max(most, begun - before)
        assert most <= 16
        batch[1].set_result(None)
        await asyncio.gather(*first, *second)
        assert door.messages == 0

    asyncio.run(story())
