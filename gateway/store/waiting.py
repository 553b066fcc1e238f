"""Who waits for a commit, in what order, and how each gets its answer.

A thread waits at a future of its own. Tasks of an event loop are kept together: a batch's answers come to their loop in
one call, so that it is not woken for each message. Leaves to the recorder what is taken together and what comes of it.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any


class Waiting:
    """One job and where its caller waits: a thread's future, or one of an event loop."""

    __slots__ = ("answered", "future", "job")

    def __init__(self, job: Any, future: "Future[Any] | asyncio.Future[Any]") -> None:
        self.job = job
        self.future = future
        self.answered = False

    def take(self) -> bool:
        """False when the caller went away: nothing of its job happens. From now on it happens all the same."""
        if isinstance(self.future, Future):
            return self.future.set_running_or_notify_cancel()
        return not self.future.cancelled()


Answer = tuple[Waiting, Any, BaseException | None]
"""Whose, the result, and in its place why there is none."""


def answer(answers: Iterable[Answer]) -> None:
    """From any thread. Whoever has an answer already, or went away, gets none."""
    loops: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for one in answers:
        waiting = one[0]
        if waiting.answered:
            continue
        waiting.answered = True
        if isinstance(waiting.future, Future):
            _settle([one])
        else:
            loops.setdefault(waiting.future.get_loop(), []).append(one)
    for loop, together in loops.items():
        # RuntimeError: the loop is closed, and with it everybody who waited there has gone.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, together)


def _settle(answers: Iterable[Answer]) -> None:
    for waiting, result, reason in answers:
        if waiting.future.done():
            continue
        if reason is None:
            waiting.future.set_result(result)
        else:
            waiting.future.set_exception(reason)


class Line:
    """Those who wait, first come first served, across threads."""

    def __init__(self) -> None:
        self._held: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._held)

    def join(self, arrived: Iterable[Waiting]) -> bool:
        """Together: nobody is taken from among them before all are there. False once the line is closed: nobody joined."""
        with self._changed:
            if self._closed:
                return False
            self._held.extend(arrived)
            self._changed.notify()
            return True

    def close(self) -> None:
        """Nobody comes any more; those who wait are still taken."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, most: int) -> list[Waiting] | None:
        """Waits until somebody is there, and takes the first ones. None once the line is closed and empty."""
        with self._changed:
            while not self._held:
                if self._closed:
                    return None
                self._changed.wait()
            return [self._held.popleft() for _ in range(min(most, len(self._held)))]
