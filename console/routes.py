"""What belongs to no noun: `/healthz` for load balancers, `/robots.txt`, and the files that pages load."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from console.assets import BY_URL
from console.deps import deps
from store.database import DatabaseUnavailableError
from web.answers import json_answer

router = APIRouter()

_SECONDS: Final = 2.0
"""Below the deadline of those who ask."""
_KEPT: Final = {"cache-control": "public, max-age=31536000, immutable"}


@router.get("/healthz")
async def healthz(request: Request) -> Response:
    """Asks PostgreSQL for a sign of life."""
    try:
        async with asyncio.timeout(_SECONDS), deps(request).database.connection() as connection:
            await connection.execute("SELECT 1")
    except (TimeoutError, DatabaseUnavailableError):
        return json_answer({"status": "database away"}, 503, {"retry-after": "2"})
    return json_answer({"status": "ok"})


@router.get("/robots.txt")
async def robots() -> Response:
    """Nothing here is for search engines."""
    return Response("User-agent: *\nDisallow: /\n", media_type="text/plain")


@router.get("/assets/{name}")
async def asset(name: str) -> Response:
    """A file, for ever: its name changes with it."""
    found = BY_URL.get(f"/assets/{name}")
    if found is None:
        raise HTTPException(404)
    return Response(found.content, headers=_KEPT, media_type=found.kind)
