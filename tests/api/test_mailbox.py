"""A call for waiting messages whose caller goes away, or which fails: nothing is kept from others, nothing is left running."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from gateway.api.mailbox import _while_there
from gateway.delivery.page import Page
from gateway.errors import CallerError, StoreUnavailableError
from gateway.store.jobs.deliveries import Leased

PAGE = Page(leased=(Leased("t-1", 1, 60),))


class Shelf:
    """What was given back to it."""

    def __init__(self) -> None:
        self.back: list[Page] = []

    def give_back(self, page: Page) -> None:
        self.back.append(page)


async def silent() -> Any:
    await asyncio.Event().wait()


async def leaves() -> Any:
    return {"type": "http.disconnect"}


async def writes() -> Any:
    return {"type": "http.request", "body": b"x"}


async def called(taking: Callable[[], Awaitable[Page]], receive: Callable[[], Awaitable[Any]], shelf: Shelf) -> Page:
    request = Request(
        {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""},
        receive,  # type: ignore[arg-type]
    )
    before = asyncio.all_tasks()
    try:
        return await _while_there(request, taking(), shelf)  # type: ignore[arg-type]
    finally:
        assert asyncio.all_tasks() <= before


async def page() -> Page:
    return PAGE


async def fails() -> Page:
    raise StoreUnavailableError("no")


async def waits() -> Page:
    await asyncio.Event().wait()
    return PAGE


def test_who_stays_gets_the_page() -> None:
    """And nothing is given back that was handed out."""
    shelf = Shelf()
    assert asyncio.run(called(page, silent, shelf)) is PAGE
    assert shelf.back == []


def test_a_page_whose_caller_has_left_is_given_back() -> None:
    """It came in the very moment in which the caller went: nobody would read it, and nobody else get it for a minute."""
    shelf = Shelf()
    assert asyncio.run(called(page, leaves, shelf)) == Page()
    assert shelf.back == [PAGE]


def test_a_body_is_refused_and_its_page_given_back() -> None:
    """Whoever sends one is told so, whether it waits or not; its messages are there for the next call."""
    shelf = Shelf()
    with pytest.raises(CallerError):
        asyncio.run(called(page, writes, shelf))
    assert shelf.back == [PAGE]


def test_a_wait_ends_when_the_caller_leaves() -> None:
    """Nothing was handed out, and there is nothing to be given back."""
    shelf = Shelf()
    assert asyncio.run(called(waits, leaves, shelf)) == Page()
    assert shelf.back == []


@pytest.mark.parametrize("receive", [silent, leaves])
def test_a_store_that_fails_leaves_nobody_listening(receive: Callable[[], Awaitable[Any]]) -> None:
    """The failure is the answer where there is somebody to hear it; no task goes on, and none is left with an error unheard."""
    said: list[str] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, about: said.append(about["message"]))
        await called(fails, receive, Shelf())

    if receive is silent:
        with pytest.raises(StoreUnavailableError):
            asyncio.run(story())
    else:
        asyncio.run(story())
    assert said == []


def test_an_end_from_outside_goes_on_through_it() -> None:
    """A stopping server cancels the call: the cancellation survives and takes the waiting with it, however slowly that ends."""

    async def ends_slowly() -> Page:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            raise
        return PAGE

    async def story(receive: Callable[[], Awaitable[Any]]) -> None:
        call = asyncio.create_task(called(ends_slowly, receive, Shelf()))
        await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    for receive in (silent, leaves):
        asyncio.run(story(receive))
