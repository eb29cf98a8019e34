"""The timeline of messages: what happened to each, and how often what happened. The only writer of `events`.

Everything that tells a story about a message (an outcome, a cancellation, late news) becomes an `Entry` and passes
`write`, in the transaction that makes it true; applications hear of it from there (`messages/telling`). It moves no
state and decides nothing. Campaigns hear of their mail in the same way (`messages/news`).

Whose mail an entry counts for is looked up here unless its writer knows it (`messages/origins`).
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from messages import news
from messages.entries import Entry, EventKind
from messages.origins import complete
from messages.telling import tell
from store import copying, counters
from store.copying import NULL, integer, json, kept_text, moment, smallint, text, uuid
from store.database import Connection

__all__ = ["Entry", "EventKind", "write"]

_COPY: Final = (
    "COPY events (email_id, position, at, kind, attempt, next_attempt_at, duration_ms, pool_id, engagement, reply,"
    " detail, ip, provider, mx, tls, phase, code, enhanced, action, class, scope, rule) FROM STDIN (FORMAT BINARY)"
)
_ROW: Final = copying.begin(22)
_SERVER: Final = slice(Entry._fields.index("ip"), Entry._fields.index("enhanced") + 1)
_VERDICT: Final = slice(Entry._fields.index("action"), Entry._fields.index("rule") + 1)


async def write(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write these events, count them, and tell the applications, within the caller's transaction."""
    if not entries:
        return
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copying.send(copy, map(_row, entries))
    counts = [((entry.email_id, entry.position), entry.counted, entry.origin) for entry in entries if entry.counted]
    await counters.add(connection, Counter(await complete(connection, counts)))
    await tell(connection, entries)
    await news.tell(connection, entries)


def _row(entry: Entry) -> bytes:
    engagement = entry.engagement
    return b"".join(
        (
            _ROW, uuid(entry.email_id), smallint(entry.position), moment(entry.at), text(entry.kind),
            smallint(entry.attempt), moment(entry.next_attempt_at), integer(entry.duration_ms), uuid(entry.pool_id),
            NULL if engagement is None else json(engagement.encode()), text(entry.reply), text(entry.detail),
            _server(entry[_SERVER]), _verdict(entry[_VERDICT]),
        )
    )  # fmt: skip


# Few servers, and fewer verdicts, come again and again.


@lru_cache(10_000)
def _server(facts: tuple[Any, ...]) -> bytes:
    *names, code, enhanced = facts
    return b"".join((*map(kept_text, names), smallint(code), kept_text(enhanced)))


@lru_cache(1_000)
def _verdict(facts: tuple[Any, ...]) -> bytes:
    return b"".join(map(kept_text, facts))
