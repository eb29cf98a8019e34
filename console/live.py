"""Pages that stay true while somebody looks: server-sent events, with one look at the database for all who listen.

Every few seconds, while anybody listens, the sessions of all listeners are asked for in one statement, and each
*view* (what somebody may see, in their time zone) is made once, however many look at it. A stream ends with its
session, or when its user may see something else than at its beginning; to listen keeps no session alive. Whoever has
no stream (too many of them, a proxy that cannot) asks for the page again and again, as `assets/console.js` says.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from accounts import sessions
from accounts.users import User
from core.errors import UnavailableError
from core.logs import get_logger
from core.tasks import end, heed_cancellation
from store.database import Connection, Database

_log = get_logger(__name__)

TICK_SECONDS: Final = 5.0
MOST_OF_USER: Final = 6
"""Streams of one user: browsers keep six connections to a host."""
MOST: Final = 200
"""Of one process."""
GONE: Final = "gone"
"""The event after which a browser does not connect again."""
_ALIVE: Final = b": here\n\n"
"""Says nothing, and finds out whether anybody is still there."""

Make = Callable[[Connection, Hashable], Awaitable[str]]
"""A view → its HTML."""


@dataclass(eq=False, slots=True)
class Listener:
    """One stream."""

    session: UUID
    user: User
    """As they were at its beginning."""
    view: Hashable
    waiting: "asyncio.Queue[bytes | None]" = field(default_factory=lambda: asyncio.Queue(1))
    said: str = ""

    def tell(self, html: str) -> None:
        """The newest; what was not read yet is out of date. Says only that it is there where nothing has changed."""
        event = event_of(html) if html != self.said else _ALIVE
        if self.waiting.full() and event is not _ALIVE:
            self.waiting.get_nowait()
        if not self.waiting.full():
            self.waiting.put_nowait(event)
        self.said = html

    def finish(self) -> None:
        """Nothing follows."""
        if self.waiting.full():
            self.waiting.get_nowait()
        self.waiting.put_nowait(None)


class Live:
    """The streams of one process. `make` makes a view."""

    def __init__(self, database: Database, make: Make, seconds: float = TICK_SECONDS) -> None:
        self._database = database
        self._make = make
        self._seconds = seconds
        self._listeners: set[Listener] = set()
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._listeners)

    async def stop(self) -> None:
        """End all streams."""
        await end(self._tasks)
        for one in self._listeners:
            one.finish()

    def listen(self, session: UUID, user: User, view: Hashable) -> Listener | None:
        """A stream from now on, which `events` reads; None when there are too many."""
        mine = Counter(one.user.id for one in self._listeners)[user.id]
        if mine >= MOST_OF_USER or len(self._listeners) >= MOST:
            return None
        listener = Listener(session, user, view)
        self._listeners.add(listener)
        self._wanted.set()
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._go_on(), name="live")]
        return listener

    async def events(self, listener: Listener) -> AsyncIterator[bytes]:
        """What a stream says, until it ends."""
        try:
            while (event := await listener.waiting.get()) is not None:
                yield event
            yield event_of("", GONE)
        finally:
            self._listeners.discard(listener)

    async def tick(self) -> None:
        """Look once, and tell everybody. Raises DatabaseUnavailableError."""
        listeners = list(self._listeners)
        async with self._database.connection() as connection:
            users = await sessions.alive(connection, [one.session for one in listeners])
            there = [one for one in listeners if _sees_the_same(one.user, users.get(one.session))]
            for one in set(listeners) - set(there):
                one.finish()
            made = {view: await self._make(connection, view) for view in {one.view for one in there}}
        for one in there:
            one.tell(made[one.view])

    async def _go_on(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                await self.tick()
            except UnavailableError:
                pass  # the pages ask by themselves then, and say so
            except Exception as error:  # a bug in one view may not silence the others for ever
                _log.error("live_failed", exc_info=error)
            heed_cancellation()
            await asyncio.sleep(self._seconds)
            if not self._listeners:
                self._wanted.clear()


def event_of(data: str, name: str = "") -> bytes:
    """An event as it goes over the wire."""
    lines = data.replace("\r", "").split("\n")
    head = f"event: {name}\n" if name else ""
    told = "".join([f"data: {line}\n" for line in lines])
    return f"{head}{told}\n".encode("utf-8", "replace")


def _sees_the_same(was: User, now: User | None) -> bool:
    return now is not None and (now.rights, now.applications) == (was.rights, was.applications)
