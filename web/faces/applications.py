"""Applications as JSON. Pure."""

from accounts.repository import Tenant


def application_face(one: Tenant) -> dict[str, object]:
    """An application as `ApplicationAnswer`."""
    return {
        "object": "application",
        "id": one.application.id,
        "name": one.application.name,
        "domains": one.domains,
        "keys": one.keys,
        "created_at": one.application.created_at,
    }
