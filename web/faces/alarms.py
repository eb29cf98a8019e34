"""Alarms as JSON. Pure."""

from alarms.model import Alarm


def alarm_face(alarm: Alarm) -> dict[str, object]:
    """An alarm as `AlarmAnswer`."""
    return {
        "object": "alarm",
        "id": alarm.id,
        "kind": alarm.kind,
        "subject": alarm.subject,
        "detail": alarm.detail,
        "raised_at": alarm.raised_at,
        "last_at": alarm.last_at,
        "count": alarm.count,
    }
