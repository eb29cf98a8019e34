"""`/`: the overview, and the stream that keeps it true while somebody looks (`console/live`)."""

from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from console.guard import ConsoleRoute, looks_on, signed_in
from console.menu import Entry
from console.noun import Noun
from console.overview.figures import overview, view_of
from console.overview.picture import values
from console.rendering import page
from console.visit import Visiting
from core.refusal import conflict
from web.edge import LASTS

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("", 0, "Overview", "/", "overview")])

_EVENTS: Final = "text/event-stream"
_BUSY: Final = 429
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""nginx would keep events back until it has 4 KB of them."""


@router.get("/")
@signed_in
async def show(visit: Visiting) -> Response:
    """The last 24 hours, what waits, what needs somebody."""
    async with visit.given.database.connection() as connection:
        seen = await overview(connection, view_of(visit), visit.now)
    return page(visit, "overview/overview.html", **values(seen))


@router.get("/overview/stream")
@signed_in
@looks_on
async def stream(visit: Visiting) -> Response:
    """The same again and again, for a page that is open."""
    if _EVENTS not in visit.request.headers.get("accept", "") or visit.session is None:
        raise conflict("this address is for the page of the overview, which listens to it")
    listener = visit.given.live.listen(visit.session.id, visit.me, view_of(visit))
    if listener is None:
        return Response("Too many pages listen.\n", _BUSY, media_type="text/plain")
    visit.request.scope[LASTS] = True
    return StreamingResponse(visit.given.live.events(listener), headers=_HEADERS, media_type=_EVENTS)
