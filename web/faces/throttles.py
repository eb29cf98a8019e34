"""Rests of an IP or sending domain as JSON. Pure."""

from pools.throttle_repository import ThrottleRow


def throttle_face(row: ThrottleRow) -> dict[str, object]:
    """A throttle as `ThrottleAnswer`."""
    condition = row.condition
    return {
        "object": "throttle",
        "id": "/".join(row.key),
        "kind": row.key.kind,
        "subject": row.key.subject,
        "site": row.key.site,
        "state": condition.state,
        "since": condition.since,
        "rest_until": condition.rest_until,
        "rate": condition.rate,
        "strikes": condition.strikes,
        "rule": condition.rule,
        "reply": condition.reply,
    }
