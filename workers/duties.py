"""Work that is done again and again: a table of duties, each with a name, an interval and a function of its owner.

Most duties of most moments find nothing to do, and finding that takes several statements. So a duty may say by what
condition it has work, and one statement asks for all of them together; such duties begin at the same moments.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import psycopg

from core.errors import UnavailableError
from core.logs import get_logger
from core.remembered import Remembered
from core.tasks import heed_cancellation
from store.database import Database, DatabaseConflictError

_log = get_logger(__name__)
_T = TypeVar("_T")

REPEAT_SECONDS: Final = 1.0
"""Before a duty is done again whose transaction was in another's way: the database is not away."""


TICK_SECONDS: Final = 0.25
"""Duties with a condition begin at multiples of this."""

TOGETHER_SECONDS: Final = 0.02
"""An answer serves whoever asks within this time: timers of the same moment."""

PATIENCE_SECONDS: Final = 1.0
"""Whoever has no answer by then does the duty unasked: another's table may be locked for as long as somebody likes."""


@dataclass(frozen=True, slots=True)
class Duty(Generic[_T]):
    """One row of a table. `do` gets the tools of its process."""

    name: str
    seconds: float
    do: Callable[[_T], Awaitable[object]]
    share: float = 1.0
    """The most of the process's time it may take: what takes longer is done more rarely."""
    waits: str = ""
    """A condition in SQL under which it has something to do, as cheap as the look for a row of an index; "": always."""
    unasked: float = 60.0
    """After so many seconds it is done whatever its condition says."""


class Agenda:
    """What there is to do for the duties of a process."""

    def __init__(self, database: Database, table: Iterable[Duty[Any]]) -> None:
        self._database = database
        self._places = {one: n for n, one in enumerate(dict.fromkeys(duty.waits for duty in table if duty.waits))}
        self._statement = f"SELECT {', '.join(self._places)}"
        self._answers = Remembered(self._ask, TOGETHER_SECONDS)

    async def has(self, condition: str) -> bool:
        """Whether the condition holds at this moment, or nobody can tell: one condition's trouble may not stop the
        duties of the others. Raises DatabaseUnavailableError."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return bool((await self._answers.get(None))[self._places[condition]])
        except TimeoutError:
            return True

    async def _ask(self, _: None) -> Sequence[object]:
        try:
            async with self._database.connection() as connection:
                row = await (await connection.execute(self._statement)).fetchone()
        except psycopg.Error as error:
            _log.error("duties_not_asked_about", exc_info=error)
            return [True] * len(self._places)
        assert row is not None, "a SELECT without FROM has one row"
        return row


async def do_all(table: Iterable[Duty[_T]], tools: _T, agenda: Agenda | None = None) -> None:
    """All duties side by side; the first that finds the database away ends them all (in an ExceptionGroup)."""
    async with asyncio.TaskGroup() as group:
        for duty in table:
            repeated = _repeat(duty, tools) if agenda is None or not duty.waits else _attend(duty, tools, agenda)
            group.create_task(repeated, name=duty.name)


async def _attend(duty: Duty[_T], tools: _T, agenda: Agenda) -> None:
    """Repeat it, but for the times at which it has nothing to do."""
    begun, done = time.monotonic(), -math.inf

    async def do(tools: _T) -> None:
        nonlocal done
        now = time.monotonic()
        if now - done >= duty.unasked or await agenda.has(duty.waits):
            done = now
            await duty.do(tools)

    await _repeat(replace(duty, do=do), tools, begun)


async def _repeat(duty: Duty[_T], tools: _T, begun: float | None = None) -> None:
    """What fails is logged and tried again next time: one duty's trouble may not stop the others. `begun`: where its
    ticks are counted from."""
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
        pause = max(duty.seconds - took, took / duty.share - took, 0.0)
        await asyncio.sleep(pause if begun is None else to_tick(pause, started + took - begun))


def to_tick(pause: float, since: float) -> float:
    """The pause, shortened so that it ends at a tick when it begins `since` seconds after one; to reach one that is
    nearly there it may be longer by as much as answers are old. Seconds."""
    past = (since + pause + TOGETHER_SECONDS) % TICK_SECONDS - TOGETHER_SECONDS
    return max(pause - past, 0.0)
