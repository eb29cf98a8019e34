"""`/find`: an id, an address, a domain or an IP leads straight to its page. Each noun says what it knows
(`console/noun.Noun.jump`), in the order of `console/nouns`."""

from fastapi import APIRouter, Response

from console.guard import ConsoleRoute, signed_in
from console.noun import Noun
from console.rendering import page
from console.visit import Visiting

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router)


@router.get("/find")
@signed_in
async def find(visit: Visiting) -> Response:
    """On to the page of the first noun that knows it."""
    text = visit.asked("q")
    for jump in visit.request.app.state.jumps if text else ():
        path = await jump(visit, text)
        if path is not None:
            return visit.go(path)
    return page(visit, "jump/find.html", text=text)
