"""One mail off the wire: what follows `354`, up to its final dot (RFC 5321 section 4.5.2), within bounds.

Owns the dot: found and unstuffed here, at CRLF.CRLF only. A mail that is too large, or for which there is no memory, is
read to its end all the same, because a client listens only then; what is too much is dropped at once. Mails are
searched for their end in pieces, not by line: ten million lines cost what ten do.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mta.inbound_gate import ByteBudget

END: Final = b"\r\n.\r\n"
FREE_BYTES: Final = 64 * 1024
"""Of each mail, outside the budget: small mail goes on while large mails hold all of it."""
PACE_BYTES: Final = 1024 * 1024
"""A client that has sent so much more gets a new deadline."""
_READ_AT_ALL: Final = 128 * 1024 * 1024
"""Behind this the connection ends. So much is read of a mail that is too large, in the hope that it ends."""
_ODD_START: Final = 1_000
"""Line ends before the first other character. They have to be read one by one."""


class NotTaken(StrEnum):
    """Why there is no mail, though all of it was read."""

    TOO_LARGE = "too_large"
    NO_ROOM = "no_room"


@dataclass(frozen=True, slots=True)
class MailBounds:
    """How much of a mail is taken."""

    max_bytes: int
    cuts: bool
    """A larger mail is cut there instead of being refused."""


class MailReader:
    """Reads one mail; `held` bytes of the budget are the caller's to give back."""

    def __init__(
        self, reader: asyncio.StreamReader, bounds: MailBounds, budget: ByteBudget, on_pace: Callable[[], None]
    ) -> None:
        self.held = 0
        self._reader = reader
        self._bounds = bounds
        self._budget = budget
        self._on_pace = on_pace
        # Stuffed dots are not counted (RFC 1870 section 3); a line of one dot has them as a quarter.
        self._most = bounds.max_bytes * 4 // 3 + len(END)
        self._mail = bytearray()
        self._size = 0
        self._dropped: NotTaken | None = None

    async def read(self) -> bytes | NotTaken:
        """The mail with its dots unstuffed. Raises `asyncio.IncompleteReadError` when the client leaves, and
        `ConnectionAbortedError` when what it sends has no end."""
        start = await self._start()
        if not start.endswith(END):
            self._keep(start[2:])
            while not await self._piece():
                pass
        else:
            self._keep(start[2:-3])
        return self._dropped or self._unstuffed()

    async def _start(self) -> bytearray:
        """The first characters, behind a line end: until they cannot be a part of the end any more."""
        start = bytearray(b"\r\n")
        while len(start) < _ODD_START:
            start += await self._reader.readexactly(1)
            if start.endswith(END) or not any(start.endswith(END[:size]) for size in range(1, len(END))):
                return start
        raise ConnectionAbortedError("a mail of line ends only")

    async def _piece(self) -> bool:
        """Take what is there; True with the last piece."""
        try:
            self._keep((await self._reader.readuntil(END))[:-3])
        except asyncio.LimitOverrunError as error:
            self._keep(await self._reader.read(error.consumed))
            return False
        return True

    def _keep(self, piece: bytes | bytearray) -> None:
        before, self._size = self._size, self._size + len(piece)
        if self._size > max(_READ_AT_ALL, self._most):
            raise ConnectionAbortedError("a mail without an end")
        if before // PACE_BYTES != self._size // PACE_BYTES:
            self._on_pace()
        if self._dropped or len(self._mail) >= self._most:
            self._too_large()
        elif self._fits(len(self._mail) + len(piece)):
            self._mail += piece
        else:
            self._drop(NotTaken.NO_ROOM)

    def _too_large(self) -> None:
        if not self._bounds.cuts and not self._dropped:
            self._drop(NotTaken.TOO_LARGE)

    def _fits(self, size: int) -> bool:
        more = max(0, size - FREE_BYTES) - self.held
        if more <= 0:
            return True
        if not self._budget.take(more):
            return False
        self.held += more
        return True

    def _drop(self, why: NotTaken) -> None:
        self._dropped = why
        self._mail = bytearray()
        self._budget.give_back(self.held)
        self.held = 0

    def _unstuffed(self) -> bytes | NotTaken:
        mail = bytes(self._mail.removeprefix(b".")).replace(b"\r\n.", b"\r\n")
        self._mail = bytearray()
        if len(mail) <= self._bounds.max_bytes:
            return mail
        return mail[: self._bounds.max_bytes] if self._bounds.cuts else NotTaken.TOO_LARGE
