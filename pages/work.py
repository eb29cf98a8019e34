"""Proof of work for sign-ups: a puzzle that costs a browser a moment, and whoever signs up thousands a lot.

No third party sees who signs up, and nobody has to look at pictures. A challenge belongs to one form, is signed, holds
for `VALID` and once; its answer is a number that, put behind it, gives a SHA-256 that begins with so many zero bits.
What a process has seen it remembers, and nothing is stored. Who cannot or will not compute may sign up still, only
more rarely (`pages/limits`).
"""

import hashlib
import hmac
import os
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from core.secrets import InstanceSecret

BITS: Final = 16
"""65,536 tries on average: a fraction of a second in a browser, a second or two on an old phone."""
VALID: Final = timedelta(minutes=30)
_REMEMBERED: Final = 100_000
"""Answered challenges of one process; beyond them the oldest could be used again, until it ends."""
_LONGEST: Final = 200


class Work:
    """Makes challenges and looks at answers. One per process."""

    def __init__(self, secret: InstanceSecret, bits: int = BITS) -> None:
        self.bits = bits
        self._secret = secret
        self._used: dict[str, None] = {}

    def challenge(self, form_id: UUID, now: datetime) -> str:
        """A new one; with its answer it fits into one block of SHA-256, which the script of the pages counts on."""
        ends = int((now + VALID).timestamp())
        head = f"{ends}.{os.urandom(6).hex()}"
        return f"{head}.{self._mac(form_id, head)}"

    def done(self, form_id: UUID, challenge: str, answer: str, now: datetime) -> bool:
        """Whether this is a first right answer to a challenge of ours for that form."""
        if len(challenge) > _LONGEST or len(answer) > 20 or not answer.isascii() or not answer.isdigit():
            return False
        head, _, mac = challenge.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(form_id, head).encode()) or challenge in self._used:
            return False
        if datetime.fromtimestamp(int(head.partition(".")[0]), UTC) < now:
            return False
        if zero_bits(hashlib.sha256(f"{challenge}:{answer}".encode()).digest()) < self.bits:
            return False
        if len(self._used) >= _REMEMBERED:
            del self._used[next(iter(self._used))]
        self._used[challenge] = None
        return True

    def _mac(self, form_id: UUID, head: str) -> str:
        return self._secret.mac("signup-work", form_id.bytes + head.encode(), 8).hex()


def zero_bits(digest: bytes) -> int:
    """How many bits at its beginning are zero."""
    return len(digest) * 8 - int.from_bytes(digest, "big").bit_length()


def solve(challenge: str, bits: int = BITS) -> str:
    """The answer, as a browser finds it: for tests, and for programs that sign people up themselves."""
    answer = 0
    while zero_bits(hashlib.sha256(f"{challenge}:{answer}".encode()).digest()) < bits:
        answer += 1
    return str(answer)
