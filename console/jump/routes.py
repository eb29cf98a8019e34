"""`/find`: an id, an address, a domain or an IP leads straight to its page. Each noun says what it knows
(`console/noun.Noun.jump`), in the order of `console/nouns`. Any other text is looked for in names."""

from fastapi import APIRouter, Response

from console.guard import ConsoleRoute, signed_in
from console.jump.named import Named, named, the_one
from console.noun import Noun
from console.rendering import page
from console.visit import Visit, Visiting

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router)


@router.get("/find")
@signed_in
async def find(visit: Visiting) -> Response:
    """On to the page of the first noun that knows it; else to what is called so, or a list of that."""
    text = visit.asked("q")
    for jump in visit.request.app.state.jumps if text else ():
        path = await jump(visit, text)
        if path is not None:
            return visit.go(path)
    found = await _named(visit, text) if text else []
    one = the_one(found, text)
    return visit.go(one.path) if one else page(visit, "jump/find.html", text=text, found=found)


async def _named(visit: Visit, text: str) -> list[Named]:
    async with visit.given.database.connection() as connection:
        return await named(connection, visit, text)
