"""Routes without FastAPI's machinery, for the few that are called thousands of times a second.

FastAPI documents a `DirectRoute` like any other, but takes no part in its requests: `web/edge` finds the endpoint by
method and path and calls it with the `Request`; it returns a `Response`, and asks for the key by itself. Middleware,
routing and dependencies cost 60 µs a request otherwise, of the 300 that sending an email takes in all.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

Endpoint = Callable[[Request], Awaitable[Response]]


class DirectRoute(APIRoute):
    """A route at a fixed path whose endpoint takes the request and nothing else."""


def direct_endpoints(routers: Iterable[APIRouter]) -> Mapping[tuple[str, str], Endpoint]:
    """Endpoints by (method, path)."""
    return {
        (method, route.path): route.endpoint
        for router in routers
        for route in router.routes
        if isinstance(route, DirectRoute)
        for method in route.methods or ()
    }
