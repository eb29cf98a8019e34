"""Ending mail that is queued and that nobody may send any more."""

from collections.abc import Sequence
from typing import Any

from messages import moves, timeline
from messages.model import MessageRef
from messages.states import State
from messages.timeline import Entry, EventKind
from store import arrays
from store.counters import Counted
from store.database import Connection


async def cancel_rows(connection: Connection, rows: Sequence[Sequence[Any]], why: str) -> int:
    """End these rows of the queue as cancelled, each `(email_id, position, lane, attempts, capture, now)`, locked by
    the caller; how many there were. `why` stands in their timelines."""
    if not rows:
        return 0
    columns = {
        **arrays.first_and_last([row[0] for row in rows]),
        "emails": arrays.uuids(row[0] for row in rows),
        "positions": arrays.integers(row[1] for row in rows),
        "states": [State.CANCELLED.value] * len(rows),
        "attempts": arrays.integers(row[3] for row in rows),
        "times": arrays.moments([row[5] for row in rows]),
    }
    ended = await moves.end(connection, columns, [MessageRef(row[0], row[1]) for row in rows])
    kind = EventKind.CANCELLED
    entries = [
        Entry(
            email, position, at, kind, detail=why, capture=capture,
            counted=None if capture else Counted(lane, "", "", kind.value),
        )
        for email, position, lane, _, capture, at in rows if MessageRef(email, position) in ended
    ]  # fmt: skip
    await timeline.write(connection, entries)
    return len(ended)
