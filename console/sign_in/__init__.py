"""Coming in: by password and second factor, by a provider (OpenID Connect), by a one-time link; going out."""

from typing import Final

from fastapi import APIRouter

from console.guard import ConsoleRoute
from console.noun import Noun
from console.sign_in import openid, routes

_router = APIRouter(route_class=ConsoleRoute)
for _part in (routes, openid):
    _router.routes.extend(_part.router.routes)

NOUN: Final = Noun(_router)

__all__ = ["NOUN"]
