"""Whose turn it is on a connection that carries several mails at a time.

Replies come in the order of the commands, so each mail reads its own after the mail ahead has read all of its. Writing
is freer: a mail that is written in one piece may go out once everything ahead is written, whatever has its replies. One
line for each connection, all in one event loop.
"""

import asyncio
from dataclasses import dataclass
from functools import partial

_Told = asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Place:
    """A mail in the line. `leave` it, whatever happens."""

    line: "Line"
    ahead_written: _Told | None
    """Done once all that is ahead is written."""
    ahead_done: _Told | None
    """Done once all that is ahead has left."""
    written: _Told | None = None
    done: _Told | None = None
    """Both only where somebody stands behind."""
    touched: bool = False
    """Something of the mail was written: the connection owes replies to it."""
    has_written: bool = False
    has_left: bool = False

    @property
    def first(self) -> bool:
        """Nobody is ahead."""
        return self.ahead_done is None or self.ahead_done.done()

    async def behind(self) -> None:
        """Wait until all that is ahead is written."""
        if self.ahead_written is not None and not self.ahead_written.done():
            await asyncio.wait([self.ahead_written])  # being cancelled must not cancel it for others

    async def turn(self) -> None:
        """Wait until all that was ahead has left."""
        if self.ahead_done is not None and not self.ahead_done.done():
            await asyncio.wait([self.ahead_done])

    def wrote(self) -> None:
        """All of it is written: the next may be."""
        self.has_written = True
        if self.written is not None:
            _pass_on(self.ahead_written, self.written)

    def leave(self) -> None:
        """It has its replies, or will read none. Those behind one that gives up still wait for those ahead of it."""
        line = self.line
        line.length -= 1
        if not line.length:
            line.last = None
        self.wrote()
        self.has_left = True
        if self.done is not None:
            _pass_on(self.ahead_done, self.done)

    def followed(self, loop: asyncio.AbstractEventLoop) -> tuple[_Told, _Told]:
        """What tells those behind: that all up to here is written, and that all up to here has left. Most mails have
        nobody behind them, and tell nobody."""
        if self.written is None or self.done is None:
            self.written, self.done = loop.create_future(), loop.create_future()
            if self.has_written:
                _pass_on(self.ahead_written, self.written)
            if self.has_left:
                _pass_on(self.ahead_done, self.done)
        return self.written, self.done


class Line:
    """The mails of one connection that are under way."""

    __slots__ = ("_loop", "last", "length")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.last: Place | None = None
        self.length = 0

    def stand(self) -> Place:
        """Stand behind all others."""
        place = Place(self, *self.last.followed(self._loop)) if self.last is not None else Place(self, None, None)
        self.last = place
        self.length += 1
        return place


def _pass_on(ahead: _Told | None, mine: _Told) -> None:
    """Tell those behind, once those ahead have told."""
    if ahead is None or ahead.done():
        _tell(mine)
    else:
        ahead.add_done_callback(partial(_tell, mine))


def _tell(mine: _Told, _ahead: object = None) -> None:
    if not mine.done():
        mine.set_result(None)
