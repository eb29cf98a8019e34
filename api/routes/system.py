"""`/system`: which processes there are, what waits, which servers answer, which settings hold.

Thin: `alarms/system` looks. It wants an operator's key.
"""

from fastapi import APIRouter, Response

from alarms.system import system
from api.auth import Operator
from api.operating import OperatorRoute, With
from api.schemas.system import SystemAnswer
from core.in_force import in_force
from core.objectives import REPORT
from flags import asking
from web.answers import json_answer
from web.faces.system import system_face
from web.objectives import serves

router = APIRouter(prefix="/system", tags=["System"], route_class=OperatorRoute)


@router.get("", summary="Get the state of the system", response_model=SystemAnswer)
@serves(REPORT)
async def get_system(who: Operator, given: With) -> Response:
    """Processes by their signs of life, queues, servers, and the settings of the process that answers."""
    found = await system(given.database, given.settings)
    return json_answer(system_face(found, in_force(given.settings), asking.as_of()))
