"""Tasks that swallow a cancellation end all the same."""

import asyncio
import contextlib

from core.tasks import end, heed_cancellation


async def stubborn(swallows: int) -> None:
    """Goes on after so many cancellations, as a task does that waits in the database pool at a bad moment."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallows -= 1
            if swallows < 0:
                raise


async def test_one_that_swallows_is_asked_again() -> None:
    tasks = [asyncio.create_task(stubborn(n)) for n in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_one_that_has_failed_is_left_as_it_is() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    await end([task])
    assert isinstance(task.exception(), ValueError)


async def test_a_loop_that_looks_ends_by_itself() -> None:
    async def loop() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            heed_cancellation()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
