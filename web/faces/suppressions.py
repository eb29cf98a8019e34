"""Entries of the suppression list as JSON. Pure."""

from collections.abc import Sequence
from typing import Literal

from suppression.reasons import Reason
from suppression.repository import Added, Removed, Suppression
from web.faces.references import deleted, reference

Origin = Literal["bounce", "complaint", "manual"]

ORIGINS: dict[Origin, tuple[Reason, ...]] = {
    "bounce": (Reason.HARD_BOUNCE, Reason.SOFT_BOUNCES),
    "complaint": (Reason.COMPLAINT,),
    "manual": (Reason.UNSUBSCRIBE, Reason.MANUAL, Reason.IMPORT),
}
"""Resend's three words for our reasons."""


def suppression_face(entry: Suppression) -> dict[str, object]:
    """An entry as `SuppressionItem`."""
    origin = next(name for name, reasons in ORIGINS.items() if entry.reason in reasons)
    return {
        "id": entry.id,
        "email": entry.address,
        "origin": origin,
        "source_id": None,
        "created_at": entry.created_at,
        "scope": entry.scope,
        "reason": entry.reason,
        "source": entry.source,
        "detail": entry.detail,
        "expires_at": entry.expires_at,
    }


def suppression_answer(entries: Sequence[Suppression]) -> dict[str, object]:
    """All entries of one address, as `SuppressionAnswer`: the first by itself, and each in `entries`."""
    shown = [suppression_face(entry) for entry in entries]
    return {"object": "suppression"} | shown[0] | {"entries": shown}


def added_face(one: Added) -> dict[str, object]:
    """An entry that stands now, as `AddedSuppression`."""
    return reference("suppression", one.id) | {"email": one.address, "scope": one.scope}


def removed_face(one: Removed) -> dict[str, object]:
    """An entry that is gone, as `SuppressionRemoved`."""
    return deleted("suppression", one.id)
