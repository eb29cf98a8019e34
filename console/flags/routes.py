"""`/flags`: what can be switched off while everything runs, who switched what and when; switch it, after having read
what will happen.

`?open=NAME` opens one at the side. Thin: `flags/service`, as for the API and the command line.
"""

from uuid import UUID

from fastapi import APIRouter, Response

from accounts import repository as accounts
from accounts.audit import Entry, Values
from accounts.repository import Application
from accounts.roles import Right
from console import menu
from console.flags import words
from console.guard import ConsoleRoute, needs
from console.listing import opened
from console.noun import Noun
from console.rendering import page
from console.visit import Visit, Visiting
from core.refusal import Refused, invalid
from flags import asking, service
from flags.declared import flag_named
from flags.service import Change, State, percent_of
from store import heartbeats
from store.database import Connection

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [menu.Entry("Administer", 35, "Flags", "/flags", "flags", Right.SYSTEM_SEE)])

_BACK = "back"
"""In a form: as it is declared, or for an application as it is for everything."""


@router.get("/flags")
@needs(Right.SYSTEM_SEE)
async def list_flags(visit: Visiting) -> Response:
    """All of them, one perhaps open at the side."""
    return await _list(visit, visit.asked("open"))


@router.get("/flags/{name}")
@needs(Right.MACHINE_CHANGE)
async def ask(visit: Visiting, name: str) -> Response:
    """What a switch will do, before it is made."""
    flag_named(name)
    try:
        text, reason = visit.asked("percent"), visit.asked("reason", service.LONGEST_REASON)
        percent = None if text == _BACK else percent_of(text)
        async with visit.given.database.connection() as connection:
            found = await service.state(connection, name)
            whose = await _application(connection, visit.asked("application"))
            service.check(found.flag, Change(percent, whose.id if whose else None, reason))
            running = [one for one in await heartbeats.processes(connection) if not one.silent]
    except Refused as error:
        return await _list(visit, name, error)
    told = words.what_happens(found, percent, whose.name if whose else "", len(running))
    return page(
        visit, "flags/ask.html", found=found, percent=text, whose=whose, reason=reason, told=told, words=words,
        goal=service.words_of(found.flag, percent) if percent is not None else "",
    )  # fmt: skip


@router.post("/flags/{name}")
@needs(Right.MACHINE_CHANGE)
async def switch(visit: Visiting, name: str) -> Response:
    """Switches it."""
    flag_named(name)
    try:
        text = visit.field("percent")
        async with visit.given.database.transaction() as connection:
            whose = await _application(connection, visit.field("application"))
            owner = whose.id if whose else None
            change = Change(None if text == _BACK else percent_of(text), owner, visit.field("reason"))
            before = await service.state(connection, name)
            after = await service.switch(connection, name, change, visit.me.email)
            verb = "clear" if change.percent is None else "set"
            values = _values(before, owner, whose), _values(after, owner, whose)
            await visit.note(connection, Entry(f"flag.{verb}", name, *values, owner))
    except Refused as error:
        return await _list(visit, name, error)
    stands = after.of(owner) if owner else None
    told = service.words_of(after.flag, stands) if stands is not None else after.told
    return visit.go(
        f"/flags?open={name}",
        f"{words.title(after)} is {told}{f' for {whose.name}' if whose else ''}. Every process goes by it within"
        f" {service.IN_FORCE_SECONDS} seconds.",
    )


async def _list(visit: Visit, open_name: str, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        found = await service.states(connection)
        names = [one.name for one in await accounts.applications(connection)]
    shown = next((one for one in found if one.flag.name == open_name), None)
    return page(
        visit, "flags/list.html", 422 if error else 200, rows=found, shown=shown, words=words, error=error,
        applications=names, answered=words.how_they_stand(found), as_of=asking.as_of(), back=_BACK,
        words_of=service.words_of,
        at=lambda one: opened(visit, one) if visit.path == "/flags" else (f"/flags?open={one}" if one else "/flags"),
    )  # fmt: skip


async def _application(connection: Connection, name: str) -> Application | None:
    """None: everything."""
    if not name:
        return None
    found = next((one for one in await accounts.applications(connection) if one.name == name), None)
    if found is None:
        raise invalid("application", f"there is no application {name}")
    return found


def _values(state: State, owner: UUID | None, whose: Application | None) -> Values:
    """For the audit log."""
    rows = [state.setting] if owner is None else state.own
    row = next((row for row in rows if row is not None and row.application_id == owner), None)
    return {
        "percent": row.percent if row else None, "reason": row.reason if row else "",
        "application": whose.name if whose else None,
    }  # fmt: skip
