"""The timeline of messages: what happened to each, and how often what happened. The only writer of `events`.

Everything that tells a story about a message (an outcome, a cancellation, late news) becomes an `Entry` and passes
`write`, in the transaction that makes it true; applications hear of it from there (`messages/telling`). It moves no
state and decides nothing. Campaigns hear of their mail in the same way (`messages/news`).

Whose mail an entry counts for is looked up here unless its writer knows it (`messages/origins`).
"""

from collections import Counter
from collections.abc import Sequence

from messages import news
from messages.entries import COLUMNS, Entry, EventKind
from messages.origins import complete
from messages.telling import tell
from store import counters
from store.database import Connection

__all__ = ["Entry", "EventKind", "write"]

_COPY = (
    "COPY events (email_id, position, at, kind, attempt, ip, provider, mx, tls, phase, code, enhanced, reply, action,"
    " class, scope, rule, detail, next_attempt_at, duration_ms, pool_id, engagement) FROM STDIN"
)


async def write(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write these events, count them, and tell the applications, within the caller's transaction."""
    if not entries:
        return
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for entry in entries:
            await copy.write_row(entry[:COLUMNS])
    counts = [((entry.email_id, entry.position), entry.counted, entry.origin) for entry in entries if entry.counted]
    await counters.add(connection, Counter(await complete(connection, counts)))
    await tell(connection, entries)
    await news.tell(connection, entries)
