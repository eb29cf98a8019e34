"""Applications as JSON. Pure."""

from accounts.quotas import quota_face
from accounts.repository import Tenant


def application_face(one: Tenant) -> dict[str, object]:
    """An application as `ApplicationAnswer`."""
    return {
        "object": "application",
        "id": one.application.id,
        "name": one.application.name,
        "domains": one.domains,
        "keys": one.keys,
        **quota_face(one.application.quota),
        "messages_today": one.messages_today,
        "created_at": one.application.created_at,
    }
