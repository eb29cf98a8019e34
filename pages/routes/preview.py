"""`/preview/<token>`: a public page as it would look, in a frame of the console that made the address (`web/previews`).

Nothing can be done there: no form of it is sent, no script runs, and it tells of nobody. A topic is shown on the page
of preferences of somebody who has chosen nothing.
"""

from typing import Final

from fastapi import APIRouter, Request, Response

from audience import topics
from audience.choices import Preference
from audience.topics import Subscription
from core.ids import uuid7
from core.objectives import PAGE
from core.queues import Lane
from messages.choosing import Standing
from pages.brand import brand_of
from pages.deps import deps
from pages.language import catalogue
from pages.limits import strange
from pages.rendering import page
from pages.routes import preferences, signup
from pages.visits import title
from web.objectives import serves
from web.previews import PATH, Preview, What

router = APIRouter()

_NOBODY: Final = "you@example.com"
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none';"
    " frame-ancestors {origin}"
)


@router.get(PATH)
@serves(PAGE)
async def show(request: Request, token: str) -> Response:
    """The page."""
    given = deps(request)
    found = given.previews.read(token, given.clock.now())
    if found is None:
        raise strange(request)
    answer = await (signup.previewed(request, found.id) if found.what is What.FORM else _topic(request, found))
    answer.headers["content-security-policy"] = _POLICY.format(origin=found.framed_by)
    return answer


async def _topic(request: Request, found: Preview) -> Response:
    words = catalogue(request)
    async with deps(request).database.connection() as connection:
        every = await topics.every(connection, found.application_id)
        brand = await brand_of(connection, found.application_id, uuid7())
    shown = [Preference(one, one.default is Subscription.OPT_IN, chosen=False) for one in every]
    own = next((one for one in shown if one.topic.id == found.id), None)
    if own is None:
        raise strange(request)
    leavable = own if own.topic.lane is Lane.MARKETING else None
    return page(
        "preferences.html", words, brand=brand, address=_NOBODY,
        stands=Standing(tuple(shown), None, off=False, blocked=False), own=leavable,
        topics=[one for one in shown if one.shown or one is own], pauses=preferences.PAUSES, told=None,
        title=lambda topic: title(topic, words), typed="",
    )  # fmt: skip
