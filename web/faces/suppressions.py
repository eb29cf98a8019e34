"""Entries of the suppression list as JSON. Pure."""

from typing import Literal

from suppression.reasons import Reason
from suppression.repository import Suppression

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
