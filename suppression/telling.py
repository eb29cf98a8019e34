"""What applications hear of the list: `suppression.added` and `suppression.removed`, in Resend's shape.

Told is the application that owns the entry or whose mail it forbids; of the operators' entries, the operators. What an
import brings is told to nobody: millions of events would say what the importer knows.
"""

from collections.abc import Sequence
from datetime import datetime

from store.database import Connection
from suppression.entries import Suppression, suppression_face
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent


async def tell(connection: Connection, kind: EventType, entries: Sequence[Suppression]) -> None:
    """Write the events of these entries, within the caller's transaction: each as the API shows it to whoever is
    told."""
    at = await outbox.moment(connection) if entries else None
    if at is not None:
        await outbox.append_known(connection, [_event(kind, one, at) for one in entries])


def _event(kind: EventType, entry: Suppression, at: datetime) -> OutboxEvent:
    whose = entry.owner or entry.only_for
    shown = entry.seen_by(whose) if whose else entry
    return OutboxEvent(kind, whose, at, suppression_face(shown), key=entry.address)
