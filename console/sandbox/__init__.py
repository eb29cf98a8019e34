"""The mailbox of the sandbox: which mail was caught instead of sent?"""

from typing import Final

from fastapi import APIRouter

from accounts.roles import Right
from console.guard import ConsoleRoute
from console.menu import Entry
from console.noun import Noun
from console.sandbox import acts, routes

_router = APIRouter(route_class=ConsoleRoute)
for _part in (acts, routes):
    _router.routes.extend(_part.router.routes)

NOUN: Final = Noun(_router, [Entry("Send", 50, "Sandbox", "/sandbox", "sandbox", Right.SENDING_SEE)])

__all__ = ["NOUN"]
