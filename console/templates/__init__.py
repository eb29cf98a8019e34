"""Templates: what mail and campaigns are made of, how each looks, and which version is in force."""

from typing import Final

from fastapi import APIRouter

from accounts.roles import Right
from console.editor import routes as editor
from console.guard import ConsoleRoute
from console.menu import Entry
from console.noun import Noun
from console.templates import routes

_router = APIRouter(route_class=ConsoleRoute)
for _part in (editor, routes):  # `/templates/new` before `/templates/{template_id}`
    _router.routes.extend(_part.router.routes)

NOUN: Final = Noun(_router, [Entry("Reach", 40, "Templates", "/templates", "templates", Right.CAMPAIGNS_SEE)])

__all__ = ["NOUN"]
