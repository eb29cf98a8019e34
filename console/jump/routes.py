"""`/find`: an id, an address, a domain or an IP leads straight to its page. A noun says what it knows beside ids and
names (`console/noun.Noun.jump`), in the order of `console/nouns`. The rest is looked for by `console/kinds`."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from console.guard import ConsoleRoute, signed_in
from console.jump.named import Named, called_like, named, the_one, with_id
from console.noun import Noun
from console.rendering import page
from console.visit import Visit, Visiting

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router)

_LONGEST: Final = 200


@router.get("/find")
@signed_in
async def find(visit: Visiting) -> Response:
    """On to the page of the first noun that knows it; else to what is called so, or a list of that."""
    text = visit.asked("q")
    for jump in visit.request.app.state.jumps if text else ():
        path = await jump(visit, text)
        if path is not None:
            return visit.go(path)
    found = await _known(visit, text) if text else []
    one = the_one(found, text)
    return visit.go(one.path) if one else page(visit, "jump/find.html", text=text, found=found)


@router.get("/find/names")
@signed_in
async def suggest(visit: Visiting) -> Response:
    """Names of one kind, for a field of a form that somebody types into: the options of its list, and no page."""
    given = visit.request.query_params.items()
    text = next((text for name, text in given if name not in ("of", "application")), "")[:_LONGEST].replace("\0", "")
    async with visit.given.database.connection() as connection:
        names = await called_like(connection, visit, visit.asked("of"), _id(visit.asked("application")), text.strip())
    return page(visit, "jump/names.html", names=names)


async def _known(visit: Visit, text: str) -> list[Named]:
    async with visit.given.database.connection() as connection:
        if (wanted := _id(text)) is None:
            return await named(connection, visit, text)
        one = await with_id(connection, visit, wanted)
    return [one] if one else []


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
