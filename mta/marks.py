"""What tells the replies to the steps of a mail apart: enhanced codes, mostly (RFC 2034). Pure.

Where several mails are under way, one reply too many would be read as that to the next mail, and the 250 to a recipient
as that to a mail. Servers whose replies to MAIL, RCPT and the mail itself begin alike get one mail at a time.
"""

from collections.abc import Sequence
from typing import Final

from mta.model import Phase
from mta.reply_parser import Reply

_PLACES: Final = {Phase.MAIL: 0, Phase.RCPT: 1, Phase.DOT: 2}


class Marks:
    """Of one server, as a mail that went alone has shown them."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        """They are known, and all are different."""
        return bool(self._known)

    def learn(self, replies: Sequence[Reply]) -> None:
        """Those to MAIL, RCPT and the mail itself, successes all of them; the first that are learned count."""
        if self._known:
            return
        found = tuple(map(_mark, replies))
        if len({*found}) == len(found) == len(_PLACES):
            self._known = found

    def misplaced(self, phase: Phase, reply: Reply) -> bool:
        """True for a success that belongs to another step than this one."""
        if not self._known or reply.code // 100 != 2:
            return False
        mark = _mark(reply)
        return mark in self._known and mark != self._known[_PLACES[phase]]


def _mark(reply: Reply) -> bytes:
    words = reply.lines[-1].split(None, 1) if reply.lines else ()
    return words[0] if words else b""
