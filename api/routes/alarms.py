"""`/alarms`: what a person has to look at. List, and close by hand.

Thin: `alarms/repository` stores. Every route wants an operator's key. An alarm whose cause is gone closes by itself.
"""

from uuid import UUID

from fastapi import APIRouter, Response

from alarms.repository import close_alarm, open_alarms
from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With
from api.schemas.alarms import AlarmCleared, AlarmList
from web.answers import json_answer
from web.faces.alarms import alarm_face, cleared
from web.paging import listed, page_of

router = APIRouter(prefix="/alarms", tags=["Alarms"], route_class=OperatorRoute)


@router.get("", response_model=AlarmList)
async def list_alarms(who: Operator, given: With, wanted: Part) -> Response:
    """Open alarms, oldest first."""
    async with given.database.connection() as connection:
        found = page_of(await open_alarms(connection), lambda alarm: str(alarm.id), wanted)
    return json_answer(listed(found, alarm_face))


@router.post("/{alarm_id}/clear", response_model=AlarmCleared, responses=errors("not_found"))
async def clear_alarm(alarm_id: UUID, who: Operator, given: With) -> Response:
    """Closes an alarm. When the same thing happens again, it is raised again."""
    async with given.database.transaction() as connection:
        alarm = await close_alarm(connection, alarm_id)
    return json_answer(cleared(alarm))
