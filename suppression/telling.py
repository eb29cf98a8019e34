"""What applications hear of the list: `suppression.added` and `suppression.removed`, in Resend's shape.

Told is the application that owns the entry or whose mail it forbids; of the operators' entries, the operators. What an
import brings is told to nobody: millions of events would say what the importer knows.
"""

from collections.abc import Sequence

from store.database import Connection
from suppression.entries import Suppression
from suppression.reasons import origin_of
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent


async def tell(connection: Connection, kind: EventType, entries: Sequence[Suppression]) -> None:
    """Write the events of these entries, within the caller's transaction."""
    if entries and await outbox.listened(connection):
        (at,) = await (await connection.execute("SELECT now()")).fetchone() or (entries[0].created_at,)
        events = [OutboxEvent(kind, one.owner or one.only_for, at, _data(one), key=one.address) for one in entries]
        await outbox.append_known(connection, events)


def _data(entry: Suppression) -> dict[str, object]:
    return {
        "id": entry.id,
        "email": entry.address,
        "origin": origin_of(entry.reason),
        "source_id": entry.source_id,
        "created_at": entry.created_at,
        "scope": entry.scope,
        "only_for": entry.only_for,
        "topic_id": entry.topic,
        "reason": entry.reason,
        "expires_at": entry.expires_at,
    }
