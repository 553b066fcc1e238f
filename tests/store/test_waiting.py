"""Those who wait for a commit: put together by the turn, answered once, and forgotten when they go away."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CallerError, StoreUnavailableError
from gateway.ledger.entry import OperatorAct
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import TURN, Recorder, Transaction
from gateway.store.session import Database
from gateway.store.waiting import Line, Waiting, answer

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def job(number: int = 0) -> RecordEvent:
    return RecordEvent("pks", (OperatorAct(time=NOW, who="op", what=f"act-{number}", why="T-1"),))


@pytest.fixture
def recorder(
    open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys, tmp_path: Path
) -> Iterator[Recorder]:
    made = Recorder(open_empty(f"sqlite:///{tmp_path / 'gateway.db'}"), checkpoint_keys)
    made.start()
    yield made
    made.stop()


def test_what_one_turn_of_the_loop_brings_shares_a_commit(recorder: Recorder) -> None:
    """Forty tasks that are ready together are one commit, and their entries stand in the order in which they came."""

    async def together() -> list[int]:
        committed = await asyncio.gather(*(recorder.record(job(number)) for number in range(40)))
        return [one.result[0].index for one in committed]

    assert asyncio.run(together()) == list(range(40))
    assert recorder.figures.commits == 1


def test_a_long_turn_is_handed_over_in_parts(recorder: Recorder) -> None:
    """However much is ready at once, the first do not wait until all of it has been judged."""
    waiting = []

    async def together() -> None:
        async def one(number: int) -> None:
            if number == TURN:
                waiting.append(sum(map(len, recorder._turns.values())))
            await recorder.record(job(number))

        await asyncio.gather(*(one(number) for number in range(TURN + 8)))

    asyncio.run(together())
    assert waiting == [0]
    assert recorder.figures.jobs == TURN + 8


def test_a_caller_that_goes_away_in_time_leaves_nothing(recorder: Recorder) -> None:
    """A task that is cancelled before its job is taken: the job never happens, and its neighbour's does."""

    async def two() -> int:
        gone = asyncio.create_task(recorder.record(job(1)))
        stays = asyncio.create_task(recorder.record(job(2)))
        await asyncio.sleep(0)
        gone.cancel()
        index: int = (await stays).result[0].index
        assert (await asyncio.gather(gone, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        return index

    assert asyncio.run(two()) == 0
    assert recorder.figures.jobs == 1


def test_a_task_hears_why_its_job_was_refused(recorder: Recorder) -> None:
    """What a job raises reaches its own caller; the rest of the turn is recorded."""

    class Refusing:
        ledgers = ("pks",)
        message_id = None

        def stage(self, _transaction: Transaction) -> None:
            raise CallerError("no")

    async def both() -> Any:
        return await asyncio.gather(recorder.record(Refusing()), recorder.record(job()), return_exceptions=True)

    refused, recorded = asyncio.run(both())
    assert isinstance(refused, CallerError)
    assert recorded.result[0].index == 0


def test_a_stopped_recorder_takes_no_task(recorder: Recorder) -> None:
    """After the stop a task is refused like a thread, at once."""
    recorder.stop()
    with pytest.raises(StoreUnavailableError):
        asyncio.run(recorder.record(job()))


def test_the_first_answer_stands() -> None:
    """A batch that fails after some of it was answered does not take their answers back."""
    told, untold = Waiting(job(), Future()), Waiting(job(), Future())
    answer([(told, "recorded", None)])
    answer([(one, None, StoreUnavailableError("late")) for one in (told, untold)])
    assert told.future.result() == "recorded"
    assert isinstance(untold.future.exception(), StoreUnavailableError)


def test_a_loop_that_ended_keeps_no_answer_from_others() -> None:
    """Whoever waited in a closed loop has gone; threads in the same batch get their answers."""
    loop = asyncio.new_event_loop()
    gone = Waiting(job(), loop.create_future())
    loop.close()
    thread = Waiting(job(), Future())
    answer([(gone, 1, None), (thread, 2, None)])
    assert thread.future.result() == 2


def test_a_closed_line_is_served_to_its_end() -> None:
    """Who stands in line when it closes is taken, first come first served; then there is nobody."""
    line = Line()
    arrived = [Waiting(job(number), Future()) for number in range(5)]
    line.join(arrived)
    line.close()
    assert line.take(3) == arrived[:3]
    assert line.take(3) == arrived[3:]
    assert line.take(3) is None


def test_who_comes_after_the_stop_is_told_so(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was let in a moment before the line was closed is answered at once, thread and task alike."""
    recorder.stop()
    monkeypatch.setattr(recorder, "_stopping", False)
    with pytest.raises(StoreUnavailableError, match="stopping"):
        recorder.submit(job())
    with pytest.raises(StoreUnavailableError, match="stopping"):
        asyncio.run(asyncio.wait_for(recorder.record(job()), 5))
