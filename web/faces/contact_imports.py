"""Imports of contacts as JSON: Resend's fields, and what is ours. Pure; the fields are those of
`api/schemas/contact_imports`."""

from dataclasses import asdict

from audience.confirmations import Asking
from audience.importing.imports import Import


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


def import_answer(one: Import, asking: Asking) -> dict[str, object]:
    """An import by itself, with how far asking its people is."""
    return import_face(one) | {"asking": asdict(asking) | {"held": asking.held or None}}
