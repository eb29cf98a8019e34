"""What applications hear of contacts: `contact.created`, `contact.updated` and `contact.deleted`, in Resend's shape and
with what is ours. Written in the transaction that makes it true; what an import brings is told to nobody: a million
events would say what the importer knows."""

from collections.abc import Sequence
from uuid import UUID

from audience import contacts, membership
from audience.choices import Person
from audience.contacts import Contact
from audience.membership import MemberStatus
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent


async def tell(connection: Connection, kind: EventType, found: Sequence[Contact]) -> None:
    """Write the events of these contacts as they stand now: that they go, before they do."""
    at = await outbox.moment(connection) if found else None
    if at is None:
        return
    left = await contacts.unsubscribed(connection, found)
    places = await membership.places(connection, [one.id for one in found])
    events = []
    for one in found:
        lists = [place.segment_id for place in places[one.id] if place.status is not MemberStatus.UNSUBSCRIBED]
        data = contact_event(one, lists, unsubscribed=one.id in left)
        events.append(OutboxEvent(kind, one.application_id, at, data, one.address))
    await outbox.append_known(connection, events)


async def tell_of(connection: Connection, person: Person) -> None:
    """Somebody left all mail or came back: said of their contact, where they are one and somebody listens."""
    if not await outbox.listened(connection):
        return
    found = await contacts.find(connection, person.application_id, person.address)
    if found is not None:
        await tell(connection, EventType.CONTACT_UPDATED, [found])


def contact_event(one: Contact, segments: Sequence[UUID], *, unsubscribed: bool) -> dict[str, object]:
    """A contact in an event."""
    return {
        "id": one.id,
        "audience_id": segments[0] if segments else None,
        "segment_ids": list(segments),
        "email": one.email,
        "first_name": one.first_name,
        "last_name": one.last_name,
        "unsubscribed": unsubscribed,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "status": one.status,
        "language": one.language,
        "time_zone": one.time_zone,
        "properties": dict(one.properties),
    }
