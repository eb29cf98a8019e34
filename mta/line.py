"""Whose turn it is on a connection that carries several mails at a time.

Replies come in the order of the commands, so each mail reads its own after the mail ahead has read all of its. Writing
is freer: a mail that is written in one piece may go out while those ahead, written in one piece too, wait for their
replies. One line for each connection, all in one event loop.
"""

import asyncio
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Place:
    """A mail in the line. `leave` it, whatever happens."""

    line: "Line"
    ahead: "asyncio.Future[None] | None"
    """Done when the mail ahead has left."""
    done: "asyncio.Future[None]"
    free: bool
    """Everything ahead is written: so may be this one."""
    held: bool = True

    @property
    def first(self) -> bool:
        """Nobody is ahead."""
        return self.ahead is None or self.ahead.done()

    async def turn(self) -> None:
        """Wait until all that was ahead has left."""
        if self.ahead is not None and not self.ahead.done():
            await asyncio.wait([self.ahead])  # being cancelled must not cancel it for others

    def wrote(self) -> None:
        """All of it is written: others may write behind it."""
        if self.held:
            self.held = False
            self.line.held -= 1

    def leave(self) -> None:
        """It has its replies, or will read none. Those behind one that gives up still wait for those ahead of it."""
        self.wrote()
        self.line.length -= 1
        if self.line.last is self.done:
            self.line.last = self.ahead if self.ahead is not None and not self.ahead.done() else None
        if self.ahead is None or self.ahead.done():
            self._done()
        else:
            self.ahead.add_done_callback(self._done)

    def _done(self, _: object = None) -> None:
        self.done.set_result(None)


class Line:
    """The mails of one connection that are under way."""

    __slots__ = ("_loop", "held", "last", "length")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.last: asyncio.Future[None] | None = None
        self.length = 0
        self.held = 0
        """Those not written to their end, behind which nobody may write."""

    def enter(self) -> Place:
        """Stand behind all others."""
        place = Place(self, self.last, self._loop.create_future(), free=not self.held)
        self.last = place.done
        self.length += 1
        self.held += 1
        return place
