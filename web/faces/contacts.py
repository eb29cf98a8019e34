"""Contacts, their lists and their history as JSON. Pure; the fields are those of `api/schemas/contacts`."""

from collections.abc import Mapping, Sequence

from audience.contact_history import ContactPast
from audience.contacts import Contact
from audience.membership import Place
from audience.properties import Definitions, Property
from messages.people import Seen


def contact_face(seen: Seen) -> dict[str, object]:
    """A contact in a list."""
    one = seen.contact
    return {
        "id": one.id,
        "email": one.email,
        "first_name": one.first_name,
        "last_name": one.last_name,
        "unsubscribed": seen.unsubscribed,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "status": one.status,
        "confirmed_at": one.confirmed_at,
        "language": one.language,
        "time_zone": one.time_zone,
    }


def contact_answer(seen: Seen, definitions: Definitions) -> dict[str, object]:
    """A contact by itself."""
    return {"object": "contact"} | contact_face(seen) | {"properties": typed_face(seen.contact, definitions)}


def typed_face(contact: Contact, definitions: Definitions) -> dict[str, Mapping[str, object]]:
    """Each value with the type of its property."""
    return {
        key: {"type": definition.type, "value": contact.properties[key]}
        for key, definition in definitions.items()
        if key in contact.properties
    }


def property_face(one: Property) -> dict[str, object]:
    """A property of contacts."""
    return {
        "id": one.id,
        "key": one.key,
        "type": one.type,
        "fallback_value": one.fallback,
        "created_at": one.created_at,
    }


def property_answer(one: Property) -> dict[str, object]:
    """A property by itself."""
    return {"object": "contact_property"} | property_face(one)


def place_face(place: Place) -> dict[str, object]:
    """A list that a contact is on."""
    return {
        "id": place.segment_id,
        "name": place.name,
        "created_at": place.created_at,
        "status": place.status,
        "added_at": place.added_at,
    }


def contact_past_face(past: ContactPast) -> dict[str, object]:
    """One change of a contact."""
    return {
        "at": past.at,
        "what": past.what,
        "source": past.source,
        "ip": past.ip or None,
        "actor": past.actor or None,
        "source_id": past.source_id,
        "detail": dict(past.detail),
    }


def removed_face(contact: Contact) -> dict[str, object]:
    """A contact that is gone: Resend's SDKs read `contact`, its description says `id`."""
    return {"object": "contact", "contact": contact.id, "id": contact.id, "deleted": True}


def places_face(places: Sequence[Place]) -> list[dict[str, object]]:
    """All of them."""
    return [place_face(one) for one in places]
