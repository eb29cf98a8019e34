"""Waiting for the replies of one connection, each within its own time.

Owns the time-outs of a conversation; it reads nothing (`mta/reply_parser`) and decides nothing (`mta/smtp_client`).
Three things keep it cheap: replies to commands that went out together are awaited together, with one wake-up; what is
written as soon as they have come is followed by another wait without one (`go_on`); and the timer of an earlier wait is
left running, because nearly every wait ends long before. It looks again when it is due.
"""

import asyncio
import math

from mta.reply_parser import ReplyParser


class ReplyWait:
    """Used by one task at a time."""

    __slots__ = ("_due", "_loop", "_parser", "_seen", "_timer", "_until", "_waiter", "clock", "deadline", "late")

    def __init__(self, loop: asyncio.AbstractEventLoop, parser: ReplyParser, deadline: float) -> None:
        self.deadline = deadline
        """Loop time that ends every wait. `math.inf`: none."""
        self.late = False
        """The last wait ended because nothing came in time."""
        self.clock: tuple[float, ...] = ()
        """How many seconds each reply that is waited for may take beyond the one before."""
        self._loop = loop
        self._parser = parser
        self._seen = 0
        """Replies that waited when the time was set: part of another one gives it no more."""
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._until = math.inf
        """Loop time for which the timer is set, and from which on it is too late."""

    def sleep(self, clock: tuple[float, ...]) -> "asyncio.Future[None]":
        """To be awaited: until `wake`, or until there is a reply for each of `clock`; or until one refuses, or none
        comes in time."""
        self.clock, self.late = clock, False
        self._waiter = waiter = self._loop.create_future()
        self._watch(self._loop.time())
        return waiter

    @property
    def sleeping(self) -> bool:
        """Somebody waits, and was not cancelled."""
        return self._waiter is not None and not self._waiter.done()

    def heard(self, now: float) -> None:
        """Something came at this loop time."""
        parser = self._parser
        if parser.fault or parser.has(len(self.clock)):
            self.late = False
            self.wake()
        elif self._waiter is not None and len(parser.replies) > self._seen:
            self._watch(now)

    def go_on(self, clock: tuple[float, ...], now: float) -> None:
        """What was waited for came at this loop time, and whoever sleeps waits for these next."""
        self.clock = clock
        self._watch(now)

    def wake(self) -> None:
        """Let who sleeps look about."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():  # done: cancelled
            waiter.set_result(None)

    def end(self) -> None:
        """The connection is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.wake()

    def _watch(self, now: float) -> None:
        self._seen = len(self._parser.replies)
        self._until = min(now + self.clock[self._seen], self.deadline)
        if self._timer is None or self._until < self._due:
            self._set()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = self._until
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._until:
            self._set()
        else:
            self.late = True
            self.wake()
