"""The mail that was accepted, as far as it is kept, and how much there was of everything.

Owns a bounded store in memory (so many mails per mailbox, so many octets in all; the oldest go first), totals per
mailbox, and counts per (provider, client). Never writes to disk and never decides. Filled by `simulator/mailroom.py`,
read by `simulator/control.py`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from simulator.model import StoredMail


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept."""

    per_mailbox: int = 50
    octets: int = 64 * 1024 * 1024
    """Of all bodies together; a body of several recipients counts for each."""
    mailbox_names: int = 1_000_000
    """Addresses with a total of their own; mails to further ones are counted in `unlisted`."""


class Mailboxes:
    """Bounded first-in first-out store. Addresses are lower case."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._boxes: dict[str, deque[StoredMail]] = {}
        self._order: dict[int, StoredMail] = {}
        self._octets = 0
        self.totals: dict[str, int] = {}
        self.unlisted = 0

    def put(self, mail: StoredMail) -> None:
        """Keep a mail and forget the oldest ones over the limits."""
        box = self._boxes.get(mail.recipient)
        if box is None:
            box = self._boxes[mail.recipient] = deque()
        box.append(mail)
        self._order[mail.number] = mail
        self._octets += len(mail.data)
        self._count(mail.recipient)
        if len(box) > self._limits.per_mailbox:
            self._forget(box[0])
        while self._octets > self._limits.octets:
            self._forget(next(iter(self._order.values())))

    def of(self, address: str) -> tuple[StoredMail, ...]:
        """What is kept of one mailbox, oldest first."""
        return tuple(self._boxes.get(address.lower(), ()))

    def kept(self) -> Iterator[StoredMail]:
        """Every kept mail, oldest first."""
        return iter(self._order.values())

    def clear(self) -> None:
        """Forget mails and totals."""
        self._boxes.clear()
        self._order.clear()
        self.totals.clear()
        self._octets = self.unlisted = 0

    def _count(self, address: str) -> None:
        total = self.totals.get(address)
        if total is None and len(self.totals) >= self._limits.mailbox_names:
            self.unlisted += 1
            return
        self.totals[address] = (total or 0) + 1

    def _forget(self, oldest: StoredMail) -> None:
        # The globally oldest mail is also the oldest of its own mailbox, so popleft always removes `oldest`.
        box = self._boxes[oldest.recipient]
        box.popleft()
        if not box:
            del self._boxes[oldest.recipient]
        del self._order[oldest.number]
        self._octets -= len(oldest.data)


class Counts:
    """How often each thing happened, per (provider, client). A client is an IP, or an EHLO name in EHLO mode."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], dict[str, int]] = {}

    def add(self, provider: str, client: str, what: str) -> None:
        """Count one more `what` (an outcome such as "accepted", or "connections", "tls_sessions")."""
        row = self._counts.get((provider, client))
        if row is None:
            row = self._counts[(provider, client)] = {}
        row[what] = row.get(what, 0) + 1

    def rows(self) -> list[dict[str, str | int]]:
        """One row per provider and client, sorted."""
        return [{"provider": key[0], "client": key[1], **row} for key, row in sorted(self._counts.items())]

    def total(self, what: str) -> int:
        """Sum over all providers and clients."""
        return sum(row.get(what, 0) for row in self._counts.values())

    def clear(self) -> None:
        """Start again from nothing."""
        self._counts.clear()
