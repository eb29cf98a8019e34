"""What applications hear of choices: `contact.topics.updated`, in Resend's shape, each topic as the API shows it."""

from collections.abc import Mapping
from uuid import UUID

from audience import topics
from audience.choices import Person, Preference, preference_face
from audience.topics import Subscription
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent


async def tell_choices(
    connection: Connection, person: Person, changed: Mapping[UUID, Subscription], how: Mapping[str, object]
) -> None:
    """Somebody chose about these topics, or about all of them; and how it came to that."""
    at = await outbox.moment(connection)
    if at is None:
        return
    known = await topics.every(connection, person.application_id) if changed else []
    chosen = [
        Preference(one, changed[one.id] is Subscription.OPT_IN, chosen=True) for one in known if one.id in changed
    ]
    data = {"email": person.address, "topics": [preference_face(one) for one in chosen], **how}
    kind = EventType.CONTACT_TOPICS_UPDATED
    await outbox.append_known(connection, [OutboxEvent(kind, person.application_id, at, data, person.address)])
