"""Answers that cost a question elsewhere, remembered for some seconds. The one cache of this kind.

A key is asked for once at a time, however many want it; who goes away while he waits takes nothing from the others. The
age of an answer counts from before its question, so it is never older than it says. "There is none" (None) is
remembered as any answer, but apart, so that a flood of wrong keys cannot push out the right ones. A question that fails
is an answer to nobody but those who wait for it, unless `pause` says for how long nobody needs to ask again.

`stale` is for who would rather have an old answer than wait: for so many seconds more it is given at once while a new
one is asked for, and while there is none to be had because the other side is away.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from core.errors import UnavailableError
from core.logs import get_logger

_log = get_logger(__name__)

MOST: Final = 10_000
"""Answers kept; beyond that the oldest goes."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Answer(Generic[V]):
    value: V
    at: float


class Remembered(Generic[K, V]):
    """Answers by key, for the tasks of one event loop."""

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        keep: float,
        *,
        stale: float = 0.0,
        pause: float = 0.0,
        most: int = MOST,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`load` asks; it runs in a task of its own. All times are seconds. `pause` is for an UnavailableError only:
        any other failure is a bug, and asked for again by whoever comes next."""
        self._load = load
        self._keep = keep
        self._stale = stale
        self._pause = pause
        self._most = most
        self._monotonic = monotonic
        self.clear()

    async def get(self, key: K) -> V:
        """The answer. Raises what `load` raises."""
        now = self._monotonic()
        known = self._hits.get(key) or self._misses.get(key)
        if known is not None and now - known.at < self._keep:
            return known.value
        failed = self._failed.get(key) if self._pause else None
        if failed is not None and now - failed.at >= self._pause:
            failed = None
        asking = None if failed is not None else self._asking.get(key) or self._ask(key)
        if known is not None and now - known.at < self._keep + self._stale:
            return known.value
        if failed is not None:
            raise failed.value.with_traceback(None)  # else it would grow, and hold on to whoever asked before
        assert asking is not None
        return await asyncio.shield(asking)

    def clear(self) -> None:
        """Believe nothing of what is known. New dictionaries instead of empty ones: an answer under way lands in the
        old ones."""
        self._hits: dict[K, _Answer[V]] = {}
        self._misses: dict[K, _Answer[V]] = {}
        self._failed: dict[K, _Answer[UnavailableError]] = {}
        self._asking: dict[K, asyncio.Task[V]] = {}

    def _ask(self, key: K) -> "asyncio.Task[V]":
        task = asyncio.get_running_loop().create_task(self._asked(key), name="remember")
        task.add_done_callback(_seen)
        self._asking[key] = task
        return task

    async def _asked(self, key: K) -> V:
        hits, misses, failures, asking = self._hits, self._misses, self._failed, self._asking
        at = self._monotonic()
        try:
            value = await self._load(key)
        except UnavailableError as error:
            if self._pause:
                self._put(failures, key, _Answer(error, self._monotonic()))
            raise
        except Exception as error:
            # Whoever is content with an old answer does not wait for this one, and nobody would hear of it.
            if self._stale:
                _log.error("not_remembered", what=getattr(self._load, "__qualname__", ""), exc_info=error)
            raise
        finally:
            asking.pop(key, None)
        for table in (hits, misses, failures):
            table.pop(key, None)
        self._put(misses if value is None else hits, key, _Answer(value, at))
        return value

    def _put(self, table: dict[K, T], key: K, value: T) -> None:
        """Insert as the newest; a table at its bound loses its oldest entry."""
        if len(table) >= self._most:
            del table[next(iter(table))]
        table[key] = value


def _seen(task: "asyncio.Task[object]") -> None:
    """All who waited may have gone: no complaint then about an exception that nobody retrieved."""
    if not task.cancelled():
        task.exception()
