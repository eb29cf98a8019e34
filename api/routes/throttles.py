"""`/throttles`: which IP or sending domain rests where, and what an operator may do about it.

Thin: `pools/throttle_administration` finds and checks. Every route wants an operator's key.
All workers hear of a change when its transaction commits.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With, by, known_site
from api.schemas.throttles import Override, RestNow, ThrottleAnswer, ThrottleList
from pools import throttle_administration
from pools.throttle_repository import Key
from web.absent import Absent
from web.answers import json_answer
from web.faces.throttles import throttle_face
from web.paging import listed, page_of

router = APIRouter(prefix="/throttles", tags=["Throttles"], route_class=OperatorRoute)


@router.get("", summary="List throttles", response_model=ThrottleList)
async def list_throttles(
    who: Operator,
    given: With,
    wanted: Part,
    ip: Annotated[str | None, Query(max_length=100, description="Only this IP.")] = None,
    provider: Annotated[str | None, Query(max_length=300, description="Only this provider or `mx:<server>`.")] = None,
    kind: Annotated[
        Literal["ip", "domain"] | None, Absent, Query(description="Only IPs, or only sending domains.")
    ] = None,
) -> Response:
    """Everything that is not healthy: resting, probing or recovering, with the rule and reply behind it."""
    site = known_site(given, provider, everywhere=True) if provider else ""
    async with given.database.connection() as connection:
        rows = await throttle_administration.found(connection, kind, ip or "", site)
    return json_answer(listed(page_of(rows, lambda row: "/".join(row.key), wanted), throttle_face))


@router.post("/override", summary="End a rest", response_model=ThrottleAnswer, responses=errors("conflict"))
async def override(body: Override, who: Operator, given: With) -> Response:
    """Ends a rest. A few mails try the provider now; when it throttles again, the rest begins anew, and longer."""
    site = known_site(given, body.site, field="site", everywhere=True)
    async with given.database.transaction() as connection:
        row = await throttle_administration.override(connection, body.kind, body.subject, site, body.reason, by(who))
    return json_answer(throttle_face(row))


@router.post("/rest", summary="Rest an IP or a domain", response_model=ThrottleAnswer, responses=errors("not_found"))
async def rest(body: RestNow, who: Operator, given: With) -> Response:
    """Rests an IP or sending domain at a provider until a time, whatever the provider says."""
    site = known_site(given, body.site, field="site", everywhere=True)
    async with given.database.transaction() as connection:
        row = await throttle_administration.rest(
            connection, Key(body.kind, body.subject, site), body.until, body.reason, by(who), given.clock.now()
        )
    return json_answer(throttle_face(row))
