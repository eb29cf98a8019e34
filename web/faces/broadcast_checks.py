"""What was found before a campaign begins, as JSON. Pure; the fields are those of `api/schemas/broadcasts`."""

from campaigns.checking.model import Checks
from campaigns.forecast import Forecast


def checks_face(found: Checks) -> dict[str, object]:
    """All of it."""
    people = found.people
    skipped = sorted(people.skipped.items(), key=lambda one: (-one[1], one[0]))
    return {
        "object": "broadcast_checks",
        "id": found.campaign_id,
        "can_start": found.can_start,
        "people": {
            "total": people.total,
            "reached": people.reached,
            "skipped": [{"reason": reason, "people": n} for reason, n in skipped],
            "exact": people.exact,
        },
        "findings": [
            {"code": one.code, "severity": one.severity, "found": one.found, "advice": one.advice, "people": one.people}
            for one in found.findings
        ],
        "forecast": forecast_face(found.forecast) if found.forecast is not None else None,
    }


def forecast_face(found: Forecast) -> dict[str, object]:
    """When it will be out."""
    return {
        "starts_at": found.starts_at,
        "ends_at": found.ends_at,
        "held_by": found.held_by,
        "expected_at": found.expected_at,
        "pace_per_hour": round(found.pace.per_hour, 1) if found.pace else None,
        "put_off": found.put_off.people if found.put_off else 0,
        "put_off_until": found.put_off.until if found.put_off else None,
        "providers": [
            {"provider": one.provider, "people": one.people, "ends_at": one.ends_at, "held_by": one.held_by}
            for one in found.providers
        ],
    }
