"""`/y/<link>`: the reader of an address says yes to a sign-up. GET shows a button, POST acts: scanners of mail follow
links, and none of them wants a newsletter."""

from fastapi import APIRouter, Request, Response

from audience import confirmations, forms, topics
from audience.confirmations import Confirmation
from audience.forms import Form, Texts
from audience.links import ConfirmLink
from core.objectives import PAGE
from messages import signing_up
from messages.signing_up import Yes
from pages.answers import PageError
from pages.brand import brand_of
from pages.deps import deps
from pages.language import Catalogue, catalogue
from pages.limits import count, limits, strange
from pages.rendering import page
from store.database import Connection
from web.forms import one, read_form
from web.objectives import serves

router = APIRouter()


@router.get("/y/{link}")
@serves(PAGE)
async def ask(request: Request, link: str) -> Response:
    """What is wanted, and a button."""
    known = _read(request, link)
    async with deps(request).database.connection() as connection:
        row = await confirmations.find(connection, known.application_id, known.confirmation_id)
        if row is None or (row.over and row.confirmed_at is None):
            raise PageError(410, "ended")
        return await _page(connection, request, row, catalogue(request), done=row.confirmed_at is not None)


@router.post("/y/{link}")
@serves(PAGE)
async def confirm(request: Request, link: str) -> Response:
    """Yes. Done once, however often it is posted."""
    known, form = _read(request, link), await read_form(request)
    if one(form, "action") != "confirm":
        raise PageError(400, "form")
    count(request, limits(request).acts)
    given = deps(request)
    async with given.database.transaction() as connection:
        row = await signing_up.confirm(connection, Yes(known, given.clients.address(request)))
    if row is None:
        raise PageError(410, "ended")
    async with given.database.connection() as connection:
        return await _page(connection, request, row, catalogue(request, one(form, "lang")), done=True)


def _read(request: Request, text: str) -> ConfirmLink:
    link = deps(request).links.read_confirmation(text)
    if link is None:
        raise strange(request)
    return link


async def _page(
    connection: Connection, request: Request, row: Confirmation, words: Catalogue, *, done: bool
) -> Response:
    form = await forms.kept_one(connection, row.application_id, row.form_id)
    known = {topic.id: topic for topic in await topics.every(connection, row.application_id)}
    return page(
        "confirming.html",
        words,
        sender=await _sender(connection, form, row),
        row=row,
        texts=form.texts(words.code) if form else Texts(),
        topics=[known[one] for one in row.wanted.topics if one in known],
        choices=f"/u/{deps(request).links.seal(signing_up.choices_link(row))}?lang={words.code}",
        done=done,
    )


async def _sender(connection: Connection, form: Form | None, row: Confirmation) -> str:
    if form is not None:
        return form.sender_name
    return (await brand_of(connection, row.application_id, row.email_id or row.id)).name
