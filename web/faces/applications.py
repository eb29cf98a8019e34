"""Applications as JSON. Pure."""

from accounts.repository import Application


def application_face(one: Application) -> dict[str, object]:
    """An application as `ApplicationAnswer`."""
    return {"object": "application", "id": one.id, "name": one.name, "created_at": one.created_at}
