"""Ending asyncio tasks that use the database pool.

Before Python 3.12 `asyncio.wait_for`, with which psycopg_pool waits for a connection, swallows a cancellation that
comes together with what it waited for: the task then goes on as if nobody had asked it to end. Whoever starts such a
task for long ends it with `end`; a loop within a TaskGroup, whose parent cancels only once, looks itself.
"""

import asyncio
from collections.abc import Collection
from typing import Any

_AGAIN_SECONDS = 0.1


async def end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until they have ended. How they ended is not looked at."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen: no complaint about an exception that nobody retrieved


def heed_cancellation() -> None:
    """Raise CancelledError when the running task was cancelled and something swallowed that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
