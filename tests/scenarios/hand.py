"""Somebody's hand in a real browser, while a whole Postlane runs."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import browser
from tests.browser import Page
from tests.scenarios.hearing import SECONDS
from tests.stack import RunningStack

BROWSING = 3 * browser.SECONDS
"""Seconds for a few steps on a busy machine."""

Step = Callable[[Page], Awaitable[Any]]


def click(selector: str, text: str = "", *, leads_on: bool = True) -> Step:
    """As `Page.click`."""
    return lambda tab: tab.click(selector, text, leads_on=leads_on)


def fill(selector: str, text: str) -> Step:
    """As `Page.fill`."""
    return lambda tab: tab.fill(selector, text)


def typed(text: str) -> Step:
    """Where the caret stands."""
    return lambda tab: tab.call("Input.insertText", text=text)


def choose(selector: str, text: str) -> Step:
    """As `Page.choose`."""
    return lambda tab: tab.choose(selector, text)


def until(expression: str) -> Step:
    """As `Page.until`."""
    return lambda tab: tab.until(expression)


class Hand:
    """A browser in a thread of its own, so that the services are looked after while it loads."""

    def __init__(self, stack: RunningStack, loop: asyncio.AbstractEventLoop, page: Page) -> None:
        self.stack, self.loop, self.page = stack, loop, page

    def does(self, *steps: Step) -> str:
        """One step after the other; what stands there in the end."""

        async def work() -> str:
            for step in steps:
                await step(self.page)
            return await self.page.text()

        return str(self.stack.wait_for(asyncio.run_coroutine_threadsafe(work(), self.loop), BROWSING, "the browser"))


@contextmanager
def hand(stack: RunningStack, folder: Path, *, scripts: bool = False) -> Iterator[Hand]:
    """A browser, while the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="browser")
    thread.start()
    tab = browser.browsing(folder, scripts=scripts)

    def run(step: Awaitable[Any]) -> Any:
        return stack.wait_for(asyncio.run_coroutine_threadsafe(step, loop), BROWSING, "the browser")  # type: ignore[arg-type]

    try:
        page = run(tab.__aenter__())
        try:
            yield Hand(stack, loop, page)
        finally:
            run(tab.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()
