"""Campaigns: who got it, who did not and why, when does it end; written, looked at, checked and sent."""

from typing import Final

from fastapi import APIRouter

from accounts.roles import Right
from console.campaigns import acts, content, editor, routes
from console.guard import ConsoleRoute
from console.menu import Entry
from console.noun import Noun

_router = APIRouter(route_class=ConsoleRoute)
for _part in (editor, content, acts, routes):  # `/new` before `/{campaign_id}`, `/content` before `/{act}`
    _router.routes.extend(_part.router.routes)

NOUN: Final = Noun(_router, [Entry("Reach", 10, "Campaigns", "/campaigns", "campaigns", Right.CAMPAIGNS_SEE)])

__all__ = ["NOUN"]
