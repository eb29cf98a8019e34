"""Puts the routers of an application's nouns together."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter, FastAPI

UNOBSERVED: Final[Any] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""`telemetry` of an application. What happens is told by ourselves (`web/edge`, `web/traced`); FastAPI would look for
whoever listens at each request, and tell them what was wrong with a body. Versions that have none pass it over."""

OF_PAGES: Final[Any] = {
    "title": "Postlane", "openapi_url": None, "docs_url": None, "redoc_url": None, "redirect_slashes": False,
    "telemetry": UNOBSERVED,
}  # fmt: skip
"""What applications that show pages are made with: no API that would be described."""


def take_routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Serve the routes of these routers, in their order.

    As they are: `include_router` makes each of them a second time, with what the application adds to a router, when it
    is first asked for. Ours adds nothing, and that took 0.15 s of the first request after every start.
    """
    for router in routers:
        app.router.routes.extend(router.routes)
