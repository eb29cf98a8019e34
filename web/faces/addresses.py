"""What was found about an address as JSON. Pure; the fields are those of `api/schemas/addresses`."""

from audience.checks import DEAD, MEANINGS, Checked


def checked_face(found: Checked) -> dict[str, object]:
    """One address that was checked."""
    return {
        "given": found.given,
        "email": found.email or None,
        "ok": found.ok,
        "deliverable": False if DEAD & set(found.problems) else True if found.asked else None,
        "problems": [{"code": one, "message": found.reason or MEANINGS[one]} for one in found.problems],
        "suggestion": found.suggestion or None,
    }
