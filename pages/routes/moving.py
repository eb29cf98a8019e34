"""`/m/<link>`: somebody reads mail at the new address and confirms that mail shall go there. GET shows, POST acts."""

from fastapi import APIRouter, Request, Response

from audience import choices
from audience.choices import Act, MoveStands, Person, Source
from audience.links import MoveLink
from core.addresses import fold_address
from core.objectives import PAGE
from pages.answers import PageError
from pages.brand import brand_of
from pages.deps import deps
from pages.language import Catalogue, catalogue
from pages.limits import count, limits, strange
from pages.moving import VALID, tell_old
from pages.rendering import page
from web.forms import one, read_form
from web.objectives import serves

router = APIRouter()


@router.get("/m/{link}")
@serves(PAGE)
async def ask(request: Request, link: str) -> Response:
    """Who wants what, and a button."""
    return await _page(request, _wish(request, link), catalogue(request), done=False)


@router.post("/m/{link}")
@serves(PAGE)
async def confirm(request: Request, link: str) -> Response:
    """Move choices and history. Done once, however often it is posted."""
    wish, form = _wish(request, link), await read_form(request)
    if one(form, "action") != "confirm":
        raise PageError(400, "form")
    count(request, limits(request).acts)
    from campaigns import readdressing  # loads what composes questions, and few people ever move

    given, words = deps(request), catalogue(request, one(form, "lang"))
    person, to = Person(wish.application_id, wish.address), fold_address(wish.to)
    act = Act(Source.LINK, given.clients.address(request), wish.email_id, wish.position)
    async with given.database.transaction() as connection:
        stands = await choices.move_stands(connection, person, to, wish.asked_at)
        if stands is MoveStands.FORGOTTEN:  # erased since: nothing of them comes back by an older link
            raise PageError(410, "old")
        if stands is MoveStands.OPEN:
            await readdressing.move(connection, person, to, act, wish.to)
            brand = await brand_of(connection, wish.application_id, wish.email_id)
            await tell_old(connection, given, wish, brand, words)
    return await _page(request, wish, words, done=True)


def _wish(request: Request, text: str) -> MoveLink:
    given = deps(request)
    wish = given.links.read_move(text)
    if wish is None:
        raise strange(request)
    if given.clock.now() - wish.asked_at > VALID:
        raise PageError(410, "old")
    return wish


async def _page(request: Request, wish: MoveLink, words: Catalogue, *, done: bool) -> Response:
    async with deps(request).database.connection() as connection:
        brand = await brand_of(connection, wish.application_id, wish.email_id)
    return page("moving.html", words, brand=brand, wish=wish, done=done)
