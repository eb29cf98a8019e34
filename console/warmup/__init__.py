"""Are we on plan, and when is it over?"""

from typing import Final

from fastapi import APIRouter

from accounts.roles import Right
from console.guard import ConsoleRoute
from console.menu import Entry
from console.noun import Noun
from console.warmup import plans, routes

_router = APIRouter(route_class=ConsoleRoute)
for _part in (plans, routes):  # `/warmup/plans` before `/warmup/{ip}`
    _router.routes.extend(_part.router.routes)

NOUN: Final = Noun(_router, [Entry("Operate", 20, "Warm-up", "/warmup", "warmup", Right.MACHINE_SEE)])

__all__ = ["NOUN"]
