"""Events of applications as JSON. Pure; the fields are those of `api/schemas/events`."""

from campaigns.automations.events import Definition, Told


def event_face(definition: Definition) -> dict[str, object]:
    """A definition in a list."""
    return {
        "id": definition.id,
        "name": definition.name,
        "schema": definition.schema,
        "created_at": definition.created_at,
        "updated_at": definition.updated_at,
    }


def event_answer(definition: Definition) -> dict[str, object]:
    """A definition by itself."""
    return {"object": "event"} | event_face(definition)


def told_face(told: Told) -> dict[str, object]:
    """An event that was told, and what it began."""
    return {"object": "event", "event": told.name, "id": told.id, "contact_id": told.contact.id, "runs": told.runs}
