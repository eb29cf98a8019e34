"""`/snippets`: programs that send, with the addresses of this server and a domain of whoever reads."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Response

from accounts import repository
from accounts.domain import Domain
from accounts.roles import Right
from console import menu, owners
from console.choosing import pick
from console.guard import ConsoleRoute, needs
from console.noun import Noun
from console.rendering import page
from console.snippets.snippets import HERE, Values, snippets
from console.visit import Visit, Visiting
from core.settings import Settings

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [menu.Entry("Send", 60, "Snippets", "/snippets", "snippets", Right.SENDING_SEE)])

_SUBMISSION: Final = 587
"""What the world sees on a server (RFC 6409), whatever port the process has behind it."""
_NOBODYS: Final = "example.com"
"""Where there is no domain yet (RFC 2606)."""
_PRACTISED: Final = "you@gmail.sim"
"""Whom mail of a practice internet reaches: nobody is in it by their own address."""


@router.get("/snippets")
@needs(Right.SENDING_SEE)
async def show(visit: Visiting) -> Response:
    """For one domain: the one that is named, else the newest that may send."""
    async with visit.given.database.connection() as connection:
        names = await owners.owners(connection, visit)
        mine = owners.asked_for(visit, names) or list(names)
        known = (await repository.domains_of(connection, mine)).entries if mine else []
    domain = _chosen(visit, known)
    settings = visit.given.settings
    recipient = _PRACTISED if settings.simulator else visit.me.email
    values = values_for(settings, domain.name if domain else _NOBODYS, recipient)
    return page(
        visit, "snippets/page.html", values=values, snippets=snippets(values), domain=domain,
        options=[(str(one.id), one.name) for one in known], application=visit.asked("application"),
        owner=names.get(domain.application_id, "") if domain else "",
        unnamed=not values.local and not settings.api_public_url,
    )  # fmt: skip


def values_for(settings: Settings, domain: str, recipient: str) -> Values:
    """The addresses by which programs reach this server. A practice internet has a host name, and no way to it."""
    public = settings.hostname not in ("", "localhost") and not settings.simulator
    return Values(
        settings.api_public_url or f"http://{HERE}:{settings.api_port}",
        settings.hostname if public else HERE,
        _SUBMISSION if public else settings.submission_port,
        f"hello@{domain}",
        recipient,
    )


def _chosen(visit: Visit, known: Sequence[Domain]) -> Domain | None:
    named = pick([(str(one.id), one.name) for one in known], visit.asked("domain"))
    asked = next((one for one in known if str(one.id) == named), None)
    return asked or next((one for one in known if one.status == "verified"), None) or next(iter(known), None)
