"""`/healthz` of the public pages, for load balancers and container health checks; and what robots are told."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from pages.deps import Deps, deps
from store.database import DatabaseUnavailableError
from web.answers import json_answer
from web.objectives import unmeasured

router = APIRouter()

_SECONDS: Final = 2.0
"""Below the deadline of those who ask."""


@router.get("/healthz")
@unmeasured
async def healthz(collaborators: Annotated[Deps, Depends(deps)]) -> Response:
    """Asks PostgreSQL for a sign of life."""
    try:
        async with asyncio.timeout(_SECONDS), collaborators.database.connection() as connection:
            await connection.execute("SELECT 1")
    except (TimeoutError, DatabaseUnavailableError):
        return json_answer({"status": "database away"}, 503, {"retry-after": "2"})
    return json_answer({"status": "ok"})


@router.get("/robots.txt")
@unmeasured
async def robots() -> Response:
    """Nothing here is for search engines."""
    return Response("User-agent: *\nDisallow: /\n", media_type="text/plain")
