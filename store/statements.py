"""How long statements take, by what they are for. `store/statement_metrics` shows it.

A family is a small number of statements that serve one purpose, such as taking mail to work. Which family a statement
is of follows from the function that runs it: `FAMILIES` names functions and modules, and everything else is of the
folder that it stands in. No text of SQL is looked at.

`TimedCursor` is the edge: every statement over `store/database` passes it. A statement costs a microsecond more by it,
and a batch of mail has some ten of them, so a label is looked up by no statement and nothing is locked: each process
runs its statements on one loop.
"""

import sys
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from types import FrameType
from typing import Any, Final, TypeVar

from psycopg import AsyncCopy, AsyncCursor
from psycopg.rows import TupleRow

_T = TypeVar("_T")

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
"""Seconds; few, for there is a histogram of every family in every process."""

FAMILIES: Final[Mapping[str, str]] = {
    # The way of a mail.
    "messages.accept": "accept",
    "messages.storing": "accept",
    "accounts.quotas": "accept",
    "messages.claim": "give_back",
    "messages.claim.claim": "claim",
    "messages.claim.load": "load",
    "messages.claim.load_content": "load",
    "messages.personal": "load",
    "messages.claim.still_sendable": "suppression_check",
    "outcomes.record": "record",
    "messages.moves": "record",
    "messages.timeline": "record",
    "messages.news": "record",
    "messages.origins": "record",
    "messages.telling": "record",
    "store.counters": "record",
    "messages.due": "due_scan",
    "webhooks.outbox": "outbox",
    "webhooks.queue": "webhook_queue",
    # What decides about IPs.
    "pools.throttle": "throttles",
    "pools.throttle_repository": "throttles",
    "warmup.ledger": "warmup_ledger",
    # Who asks.
    "accounts.directory": "api_keys",
    "accounts.sessions": "console",
    # Campaigns and what comes back.
    "campaigns.feed": "campaign_feed",
    "campaigns.room": "campaign_feed",
    "campaigns.snapshot": "campaign_snapshot",
    "campaigns.settle": "campaign_settle",
    "outcomes.engagement": "engagement",
    "outcomes.engagement_writer": "engagement",
    "outcomes.inbound": "inbound",
    # Figures.
    "store.folding": "figures",
    "store.totals": "figures",
    # Is a connection that is handed out still good? As quick as a statement can be.
    "store.database.proven": "ping",
}  # fmt: skip
"""By function, or module, or first part of a module's name: the longest that fits."""

FOLDERS: Final = frozenset(
    {
        "accounts", "alarms", "api", "audience", "backups", "campaigns", "cli", "console", "flags", "messages",
        "outcomes", "pages", "pools", "requestlog", "sandbox", "store", "suppression", "templates", "warmup",
        "webhooks", "workers",
    }
)  # fmt: skip
"""Each the family of what no line of `FAMILIES` is about."""
OTHER: Final = "other"


class Timing:
    """How long the statements of one family took, or whatever else happens a thousand times a second on one loop: the
    client library's histogram looks through its bounds one by one, and locks twice."""

    __slots__ = ("bounds", "counts", "seconds")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        """One of them."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds


TIMINGS: Final[dict[str, Timing]] = {}
"""Of this process, by family."""
_KNOWN: Final[dict[tuple[str, str], Timing]] = {}
_CONNECTION: Final = "psycopg.connection_async"
"""`connection.execute` makes a cursor: who asked stands behind it."""


def timing(family: str) -> Timing:
    """That of a family, for as long as the process runs."""
    return TIMINGS.setdefault(family, Timing())


COMMIT: Final = timing("commit")
"""The end of a transaction: the wait for the disk, and for a standby that is waited for."""
CONNECTION: Final = timing("connection")
"""The wait for a connection that is free."""


def family_of(module: str, function: str) -> str:
    """What statements of a function are for."""
    folder = module.partition(".")[0]
    for name in (f"{module}.{function}", module, folder):
        if name in FAMILIES:
            return FAMILIES[name]
    return folder if folder in FOLDERS else OTHER


def _timing_of(frame: FrameType | None) -> Timing:
    if frame is not None and frame.f_globals.get("__name__") == _CONNECTION:
        frame = frame.f_back
    if frame is None:
        return timing(OTHER)
    key = frame.f_globals.get("__name__", ""), frame.f_code.co_name
    found = _KNOWN.get(key)
    if found is None:
        found = _KNOWN[key] = timing(family_of(*key))
    return found


async def _timed(statement: Awaitable[_T], its: Timing) -> _T:
    started = perf_counter()
    try:
        return await statement
    finally:
        its.note(perf_counter() - started)


class TimedCursor(AsyncCursor[TupleRow]):
    """A cursor whose statements are timed. None of its methods is a coroutine function itself: whoever calls it has to
    be the frame above."""

    def execute(self, *given: Any, **named: Any) -> Coroutine[Any, Any, Any]:
        """As psycopg's."""
        return _timed(super().execute(*given, **named), _timing_of(sys._getframe(1)))

    def executemany(self, *given: Any, **named: Any) -> Coroutine[Any, Any, None]:
        """As psycopg's."""
        return _timed(super().executemany(*given, **named), _timing_of(sys._getframe(1)))

    def copy(self, *given: Any, **named: Any) -> Any:
        """As psycopg's; the time is that of the block, with the making of its rows."""
        return _timed_copy(super().copy(*given, **named), _timing_of(sys._getframe(1)))


@asynccontextmanager
async def _timed_copy(copying: AbstractAsyncContextManager[AsyncCopy], its: Timing) -> AsyncIterator[AsyncCopy]:
    started = perf_counter()
    try:
        async with copying as copy:
            yield copy
    finally:
        its.note(perf_counter() - started)
