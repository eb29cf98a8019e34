"""Alarms as JSON. Pure."""

from alarms.model import Alarm
from web.faces.references import reference


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


def cleared(alarm: Alarm) -> dict[str, object]:
    """An alarm that was closed, as `AlarmCleared`."""
    return reference("alarm", alarm.id) | {"cleared": True}
