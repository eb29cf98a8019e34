"""Work that is done again and again: a table of duties, each with a name, an interval and a function of its owner."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from core.errors import UnavailableError
from core.logs import get_logger
from core.tasks import heed_cancellation
from store.database import DatabaseConflictError

_log = get_logger(__name__)
_T = TypeVar("_T")

REPEAT_SECONDS: Final = 1.0
"""Before a duty is done again whose transaction was in another's way: the database is not away."""


@dataclass(frozen=True, slots=True)
class Duty(Generic[_T]):
    """One row of a table. `do` gets the tools of its process."""

    name: str
    seconds: float
    do: Callable[[_T], Awaitable[object]]
    share: float = 1.0
    """The most of the process's time it may take: what takes longer is done more rarely."""


async def do_all(table: Iterable[Duty[_T]], tools: _T) -> None:
    """All duties side by side; the first that finds the database away ends them all (in an ExceptionGroup)."""
    async with asyncio.TaskGroup() as group:
        for duty in table:
            group.create_task(_repeat(duty, tools), name=duty.name)


async def _repeat(duty: Duty[_T], tools: _T) -> None:
    """What fails is logged and tried again next time: one duty's trouble may not stop the others."""
    while True:
        started = time.monotonic()
        try:
            await duty.do(tools)
        except DatabaseConflictError as error:
            _log.warning("duty_repeated", duty=duty.name, error=str(error))
            await asyncio.sleep(min(REPEAT_SECONDS, duty.seconds))
            continue
        except UnavailableError:
            raise
        except Exception as error:  # a bug in one duty may not stop the others
            _log.error("duty_failed", duty=duty.name, exc_info=error)
        heed_cancellation()
        took = time.monotonic() - started
        await asyncio.sleep(max(duty.seconds - took, took / duty.share - took, 0.0))
