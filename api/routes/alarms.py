"""`/alarms`: what a person has to look at. List, and close by hand.

Thin: `alarms/repository` stores. Every route wants an operator's key. An alarm whose cause is gone closes by itself.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from alarms.model import Alarm
from alarms.repository import close_alarm, open_alarms
from api.answers import json_answer
from api.openapi import errors
from api.operating import Operator, OperatorRoute, PageOf, With, page, page_of
from api.schemas_throttles import AlarmCleared, AlarmList

router = APIRouter(prefix="/alarms", tags=["Alarms"], route_class=OperatorRoute)


@router.get("", response_model=AlarmList, responses=errors("invalid_parameter"))
async def list_alarms(who: Operator, given: With, wanted: Annotated[PageOf, Depends(page_of)]) -> Response:
    """Open alarms, oldest first."""
    async with given.database.connection() as connection:
        found = page(await open_alarms(connection), lambda alarm: str(alarm.id), wanted)
    return json_answer(found | {"data": [_answer(alarm) for alarm in found["data"]]})


@router.post("/{alarm_id}/clear", response_model=AlarmCleared, responses=errors("invalid_parameter", "not_found"))
async def clear_alarm(alarm_id: UUID, who: Operator, given: With) -> Response:
    """Closes an alarm. When the same thing happens again, it is raised again."""
    async with given.database.transaction() as connection:
        alarm = await close_alarm(connection, alarm_id)
    return json_answer({"object": "alarm", "id": alarm.id, "cleared": True})


def _answer(alarm: Alarm) -> dict[str, object]:
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
