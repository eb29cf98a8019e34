"""Imports of contacts as JSON: Resend's fields, and what is ours. Pure; the fields are those of
`api/schemas/contact_imports`."""

from audience.imports import Import


def import_face(one: Import) -> dict[str, object]:
    """An import."""
    counts = ("total", "created", "updated", "skipped", "failed")
    return {
        "object": "contact_import",
        "id": one.id,
        "status": one.status,
        "created_at": one.created_at,
        "completed_at": one.completed_at,
        "counts": {name: getattr(one, name) for name in counts},
        "name": one.name,
        "confirmations": one.confirmations,
        "reasons": dict(one.reasons),
        "faults": [dict(fault) for fault in one.faults],
        "failure": one.failure or None,
    }
