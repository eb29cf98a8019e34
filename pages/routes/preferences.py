"""`/u/<link>`: one person's page about the mail of one application, and the target of one-click unsubscribing.

GET shows and never acts: scanners and prefetchers follow links. POST acts, without cookie, log-in or redirect, and
answers with the page as it is then; sent again it changes nothing more. A mail provider posts
`List-Unsubscribe=One-Click` (RFC 8058) to the same address. Whoever has the link may choose for that person: it is
sealed, and stands in their mail alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from audience.choices import Preference, Source
from audience.links import MailLink
from audience.topics import Subscription
from core.objectives import PAGE
from core.queues import Lane
from messages import choosing
from messages.choosing import Standing
from pages.answers import PageError
from pages.brand import brand_of
from pages.deps import deps
from pages.language import catalogue
from pages.limits import count, limits, strange
from pages.moving import ask_to_move
from pages.rendering import page
from pages.visits import Said, Visit, said, title
from store.database import Connection
from web.forms import Form, one, read_form
from web.objectives import serves

router = APIRouter()

PATH: Final = "/u/{link}"
ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")
PAUSES: Final = (30, 90)
"""Days."""


@router.get(PATH)
@serves(PAGE)
async def show(request: Request, link: str) -> Response:
    """The page."""
    visit = _visit(request, _read(request, link), {})
    async with visit.given.database.connection() as connection:
        return await _page(connection, visit)


@router.post(PATH)
@serves(PAGE)
async def act(request: Request, link: str) -> Response:
    """A one-click of a mail provider, or one of the page's forms."""
    known = _read(request, link)  # before the body: who has no link costs nothing more
    visit = _visit(request, known, await read_form(request))
    name, value = ONE_CLICK
    if one(visit.form, name).lower() == value.lower():
        async with visit.given.database.transaction() as connection:
            await choosing.unsubscribe(connection, visit.person, visit.link.topic_id, visit.act(Source.ONE_CLICK))
        return Response("Unsubscribed.\n", media_type="text/plain")
    wanted = _ACTS.get(one(visit.form, "action"))
    if wanted is None:
        raise PageError(400, "form")
    count(request, limits(request).acts)
    async with visit.given.database.transaction() as connection:
        told = await wanted(connection, visit)
    if told.then is not None:
        await told.then()
    async with visit.given.database.connection() as connection:
        return await _page(connection, visit, told)


def _read(request: Request, text: str) -> MailLink:
    link = deps(request).links.read(text)
    if link is None:
        raise strange(request)
    return link


def _visit(request: Request, link: MailLink, form: Form) -> Visit:
    return Visit(request, deps(request), link, form, catalogue(request, one(form, "lang")))


async def _page(connection: Connection, visit: Visit, told: Said | None = None) -> Response:
    brand = await brand_of(connection, visit.link.application_id, visit.link.email_id)
    stands = await choosing.standing(connection, visit.person)
    return page(
        "preferences.html",
        visit.words,
        422 if told and told.wrong else 200,
        brand=brand,
        address=visit.link.address,
        stands=stands,
        own=_own(stands, visit.link.topic_id),
        topics=[one for one in stands.preferences if one.shown],
        pauses=PAUSES,
        told=told,
        title=lambda topic: title(topic, visit.words),
        typed=one(visit.form, "address") if told and told.wrong else "",
    )


def _own(stands: Standing, topic_id: UUID | None) -> Preference | None:
    """The type of mail that the link stood in, if it can be left."""
    found = next((one for one in stands.preferences if one.topic.id == topic_id), None)
    return found if found and found.topic.lane is Lane.MARKETING else None


# What can be done


async def _leave(connection: Connection, visit: Visit) -> Said:
    own = _own(await choosing.standing(connection, visit.person), visit.link.topic_id)
    if own is None:
        return await _leave_all(connection, visit)
    await choosing.unsubscribe(connection, visit.person, own.topic.id, visit.act())
    return said("done.left", topic=title(own.topic, visit.words))


async def _take(connection: Connection, visit: Visit) -> Said:
    stands = await choosing.standing(connection, visit.person)
    own = _own(stands, visit.link.topic_id)
    if own is None:
        raise PageError(400, "form")
    wanted = _kept_off(stands) | {own.topic.id: Subscription.OPT_IN}
    await choosing.choose(connection, visit.person, wanted, visit.act())
    return said("done.taken", topic=title(own.topic, visit.words))


async def _save(connection: Connection, visit: Visit) -> Said:
    """What is ticked is taken, what is not is left; what the person was not shown stays as it is."""
    stands = await choosing.standing(connection, visit.person)
    ticked = set(visit.form.get("topic", ()))
    wanted = {
        one.topic.id: Subscription.OPT_IN if str(one.topic.id) in ticked else Subscription.OPT_OUT
        for one in stands.preferences
        if one.shown and one.topic.lane is Lane.MARKETING
    }
    now = {one.topic.id: one.subscribed for one in stands.preferences}
    changed = {key: word for key, word in wanted.items() if stands.off or now[key] != (word is Subscription.OPT_IN)}
    if not stands.off or Subscription.OPT_IN in changed.values():
        await choosing.choose(connection, visit.person, changed, visit.act())
    return said("done.saved")


def _kept_off(stands: Standing) -> dict[UUID, Subscription]:
    """Who has left everything and takes one type again takes that one only."""
    if not stands.off:
        return {}
    return {one.topic.id: Subscription.OPT_OUT for one in stands.preferences if one.topic.lane is Lane.MARKETING}


def _pause(days: int) -> "_Does":
    async def do(connection: Connection, visit: Visit) -> Said:
        until = visit.given.clock.now() + timedelta(days=days)
        await choosing.pause(connection, visit.person, until, visit.act())
        return said("done.paused", date=visit.words.day(until))

    return do


async def _resume(connection: Connection, visit: Visit) -> Said:
    await choosing.pause(connection, visit.person, None, visit.act())
    return said("done.resumed")


async def _leave_all(connection: Connection, visit: Visit) -> Said:
    await choosing.leave_all(connection, visit.person, visit.act())
    return said("done.all_off")


async def _return(connection: Connection, visit: Visit) -> Said:
    await choosing.return_to_all(connection, visit.person, visit.act())
    return said("done.all_on")


async def _move(connection: Connection, visit: Visit) -> Said:
    count(visit.request, limits(visit.request).moves)
    brand = await brand_of(connection, visit.link.application_id, visit.link.email_id)
    return await ask_to_move(connection, visit, brand)


_Does = Callable[[Connection, Visit], Awaitable[Said]]

_ACTS: Final[Mapping[str, _Does]] = {
    "leave": _leave,
    "take": _take,
    "save": _save,
    **{f"pause{days}": _pause(days) for days in PAUSES},
    "resume": _resume,
    "leave_all": _leave_all,
    "return": _return,
    "move": _move,
}
"""By the value of the button that was pressed."""
