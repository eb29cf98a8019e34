"""How many mails of a campaign may be put into the queue now, and for which destinations no more.

`MOST_QUEUED` bounds what is due: workers always have enough, and what is decided late (who left, what is paused) is
decided late for nearly all. Mail that was put off by a server does not count: it waits for its own time. Nor does what
waits for a person or its campaign: no IP is short of room for it.

What waits for an IP, of a ramp or of a provider that slows all of them down, is bounded too, at each destination and in
all. Whoever else goes there stays a row, so that the most engaged are taken first still in days to come; people of
other destinations are taken past them.
"""

import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from messages import halted, restored
from store.database import Connection

MOST_QUEUED: Final = 10_000
"""Mails of one campaign that are due: some seconds of work for all workers."""
MOST_HELD: Final = 1_000
"""Mails for one destination that wait for an IP: what a ramp lets through in five minutes, but for its last stages, and
what the feed makes in a second."""
MOST_HELD_IN_ALL: Final = 50_000
"""Many small domains may be behind one provider."""
ENOUGH: Final = 10
"""A part of `MOST_QUEUED`: who has to look past others looks for so many at once."""
AGAIN_SECONDS: Final = 10.0
"""Looking past hundreds of thousands takes a while, so who found nobody else looks again after this, or when there is
room at another destination."""

# What is claimed has its lease ahead, and what was put off its own time: neither keeps others waiting.
_DUE: Final = """
SELECT count(*) FROM (SELECT FROM delivery_queue WHERE campaign_id = %(campaign)s AND due_at <= now()
                       LIMIT %(most)s) due
"""

# A claim takes the reason away, so this is mail that nobody could take when it was tried. By an index of such mail.
_HELD: Final = f"""
SELECT destination, count(*) FROM delivery_queue
 WHERE campaign_id = %(campaign)s AND hold IS NOT NULL AND due_at > now()
   AND hold NOT IN ('{halted.HELD}', '{restored.HELD}') GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Room:
    """Of one campaign."""

    mails: int
    full: frozenset[str] = frozenset()
    """Destinations for which no more are made."""
    is_idle: bool = False
    """Nothing of it is due: workers may have nothing to do."""


_looked: dict[UUID, tuple[float, frozenset[str]]] = {}
"""Until when this process looks for nobody else, while these destinations are full."""


async def of(connection: Connection, campaign_id: UUID) -> Room:
    """As it is now."""
    names = {"campaign": campaign_id, "most": MOST_QUEUED}
    held: dict[str, int] = dict(await (await connection.execute(_HELD, names)).fetchall())
    full = frozenset(name for name, n in held.items() if n >= MOST_HELD)
    if sum(held.values()) >= MOST_HELD_IN_ALL or _was_looked(campaign_id, full):
        return Room(0, full)
    row = await (await connection.execute(_DUE, names)).fetchone()
    due = row[0] if row else 0
    left = MOST_QUEUED - due
    return Room(left if not full or left >= MOST_QUEUED // ENOUGH else 0, full, not due)


def found_nobody(campaign_id: UUID, room: Room) -> None:
    """All who wait have a destination that is full."""
    if room.full:
        now = time.monotonic()
        for known in [known for known, (until, _) in _looked.items() if until < now]:
            del _looked[known]
        _looked[campaign_id] = (now + AGAIN_SECONDS, room.full)


def _was_looked(campaign_id: UUID, full: frozenset[str]) -> bool:
    until, known = _looked.get(campaign_id, (0.0, frozenset()))
    return bool(full) and full == known and time.monotonic() < until
