"""People: what may we send them, what did they get, on what consent? And the lists that they came in by."""

from typing import Final

from fastapi import APIRouter

from accounts.roles import Right
from console.guard import ConsoleRoute
from console.menu import Entry
from console.noun import Noun
from console.people import bringing, routes

_router = APIRouter(route_class=ConsoleRoute)
for _part in (bringing, routes):  # `/imports/new` before `/{contact_id}`
    _router.routes.extend(_part.router.routes)

NOUN: Final = Noun(_router, [Entry("Reach", 20, "People", "/people", "people", Right.PEOPLE_SEE)])

__all__ = ["NOUN"]
