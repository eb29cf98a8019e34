"""What applications hear of topics and choices: `topic.*` and `contact.topics.updated`, in Resend's shape."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent


async def tell_topic(
    connection: Connection, kind: EventType, application_id: UUID, topic: Mapping[str, object]
) -> None:
    """A topic was made, changed or deleted; within the caller's transaction."""
    await _tell(connection, kind, application_id, topic)


async def tell_choices(
    connection: Connection, application_id: UUID, address: str, changed: Mapping[UUID, str], how: Mapping[str, object]
) -> None:
    """Somebody chose: their topics by id with the new subscription, and how it came to that."""
    topics = [{"id": topic_id, "subscription": subscription} for topic_id, subscription in changed.items()]
    data = {"email": address, "topics": topics, **how}
    await _tell(connection, EventType.CONTACT_TOPICS_UPDATED, application_id, data, address)


async def _tell(
    connection: Connection, kind: EventType, application_id: UUID, data: Mapping[str, object], key: str = ""
) -> None:
    if await outbox.listened(connection):
        at: datetime
        ((at,),) = await (await connection.execute("SELECT now()")).fetchall()
        await outbox.append_known(connection, [OutboxEvent(kind, application_id, at, data, key)])
