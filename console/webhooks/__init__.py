"""Webhooks: did my application hear everything?"""

from typing import Final

from fastapi import APIRouter

from accounts.roles import Right
from console.guard import ConsoleRoute
from console.menu import Entry
from console.noun import Noun
from console.webhooks import acts, routes

_router = APIRouter(route_class=ConsoleRoute)
for _part in (acts, routes):  # `/webhooks/new` before `/webhooks/{webhook_id}`
    _router.routes.extend(_part.router.routes)

NOUN: Final = Noun(_router, [Entry("Send", 40, "Webhooks", "/webhooks", "webhooks", Right.SENDING_SEE)])

__all__ = ["NOUN"]
