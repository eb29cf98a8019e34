"""What tells the replies to the steps of a mail apart: their enhanced codes (RFC 2034). Pure.

Where several mails are under way, one reply too many would be read as that to the next mail, and the 250 to a recipient
as that to a mail. Servers without such codes, or with the same for all steps, get one mail at a time.
"""

import re
from collections.abc import Sequence
from typing import Final

from mta.model import Phase
from mta.reply_parser import Reply

_CODE: Final = re.compile(rb"2\.\d{1,3}\.\d{1,3}")


class Marks:
    """Of one server, as a mail that went alone has shown them."""

    __slots__ = ("_mail", "_rcpt", "_reset", "_reset_lines", "_whole")

    def __init__(self) -> None:
        self._reset = self._mail = self._rcpt = self._whole = b""
        self._reset_lines: list[bytes] = []

    def __bool__(self) -> bool:
        """They are known, and tell the steps apart."""
        return bool(self._mail)

    def learn(self, reset: Reply, replies: Sequence[Reply]) -> None:
        """Those to RSET, MAIL, RCPT and the mail itself, successes all of them; the first that are learned count."""
        mail, rcpt, whole = found = tuple(map(_mark, replies))
        apart = len({*found}) == len(found) and reset.lines != replies[-1].lines
        if not self._mail and apart and all(map(_CODE.fullmatch, found)):
            self._reset, self._mail, self._rcpt, self._whole = _mark(reset), mail, rcpt, whole
            self._reset_lines = reset.lines

    def misplaced(self, phase: Phase, reply: Reply) -> bool:
        """True for a success that is not that of this step. `Phase.EHLO` stands for RSET. What a server says of a whole
        mail may begin with anything but what it says in the other steps."""
        if not self._mail or reply.code // 100 != 2:
            return False
        mark = _mark(reply)
        if phase is not Phase.DOT:
            return mark != {Phase.EHLO: self._reset, Phase.MAIL: self._mail}.get(phase, self._rcpt)
        others = {self._reset, self._mail, self._rcpt} - {self._whole}
        return mark in others or reply.lines == self._reset_lines


def _mark(reply: Reply) -> bytes:
    words = reply.lines[-1].split(None, 1) if reply.lines else ()
    return words[0] if words else b""
