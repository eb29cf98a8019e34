"""`/system`: processes with their last sign of life, queues, servers, versions, and the settings in force.

Thin: `alarms/system` looks, as for the API and the command line. Settings are those of the process that answers, and
secrets are in none of them.
"""

from typing import Final

from fastapi import APIRouter, Response

from accounts.roles import Right
from alarms.doors import seconds_shown
from alarms.system import system
from console.guard import ConsoleRoute, needs
from console.menu import Entry
from console.noun import Noun
from console.rendering import page
from console.visit import Visiting
from core.in_force import in_force
from core.version import version
from flags import asking, service

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("Administer", 30, "System", "/system", "system", Right.SYSTEM_SEE)])

_ALL: Final = "all"
_ROUTES: Final = 20
_LATE: Final = 60.0
"""Seconds that due mail may wait before it is worth a colour."""


@router.get("/system")
@needs(Right.SYSTEM_SEE)
async def show(visit: Visiting) -> Response:
    """The page; settings that are as they come only when they are asked for."""
    found = await system(visit.given.database, visit.given.settings)
    async with visit.given.database.connection() as connection:
        switched = [one for one in await service.states(connection) if not one.as_declared]
    every = visit.asked("settings") == _ALL
    settings = in_force(visit.given.settings)
    return page(
        visit, "system/system.html", found=found, every=every, late=_LATE, version=version(),
        switched=switched, flags_as_of=asking.as_of(), shown=seconds_shown,
        routes_shown=_ROUTES,
        settings=[one for one in settings if one.given or every], more=sum(not one.given for one in settings),
    )  # fmt: skip
