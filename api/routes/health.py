"""`/healthz` and `/metrics` of the API process: for load balancers, container health checks and Prometheus. No key."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api.deps import Deps, deps
from api.errors import ApiError
from api.schemas.health import Health
from core.metrics import told
from store.database import DatabaseUnavailableError
from web.answers import json_answer
from web.objectives import unmeasured

router = APIRouter(tags=["Health"])

_SECONDS: Final = 2.0
"""A health check has a deadline of its own, below that of those who ask (Docker: 30 s, load balancers: often 5 s)."""


@router.get("/healthz", response_model=Health, summary="Check the health of the server", openapi_extra={"security": []})
@unmeasured
async def healthz(collaborators: Annotated[Deps, Depends(deps)]) -> Response:
    """Asks PostgreSQL for a sign of life. Redis is not asked: without it mail is still accepted."""
    try:
        async with asyncio.timeout(_SECONDS), collaborators.database.connection() as connection:
            await connection.execute("SELECT 1")
    except (TimeoutError, DatabaseUnavailableError):
        raise ApiError(
            "service_unavailable", "PostgreSQL does not answer. Nothing can be accepted.", {"retry-after": "2"}
        ) from None
    return json_answer({"status": "ok"})


@router.get(
    "/metrics",
    response_class=Response,
    summary="Get metrics for Prometheus",
    responses={200: {"description": "Metrics as text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    openapi_extra={"security": []},
)
@unmeasured
async def metrics() -> Response:
    """What this process has counted, with all others behind its port."""
    return Response(told(), media_type=CONTENT_TYPE_LATEST)
